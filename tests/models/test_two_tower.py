"""The two-tower model: causal, honest about padding, and one function over both domains."""

import pytest
import torch

from crossrec.data.columns import PAD
from crossrec.models.two_tower import TwoTower


def model(n_items: int = 5, n_context: int = 4, **options: object) -> TwoTower:
    torch.manual_seed(0)
    content = torch.randn(n_items + n_context, 6)
    made = TwoTower(3, n_items, n_context, content, dim=8, hidden=16, **options)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


def states(made: TwoTower, items: list[list[int]]) -> torch.Tensor:
    return made.user_vectors(torch.arange(len(items)), torch.tensor(items), made.embed_items())


def test_shapes_and_score() -> None:
    made = model()
    items = made.item_vectors(made.embed_items())
    users = states(made, [[0, 7, PAD]])
    assert items.shape == (5, 10)
    assert users.shape == (1, 4, 10)
    assert torch.equal(items[:, -2], torch.ones(5))
    assert torch.equal(items[:, -1], made.item_bias[:5])
    assert torch.equal(users[..., -1], torch.ones(1, 4))


def test_a_state_does_not_depend_on_later_events() -> None:
    made = model()
    one, other = states(made, [[0, 7, 3, 1]]), states(made, [[0, 7, 8, 4]])
    assert torch.allclose(one[:, :3], other[:, :3], atol=1e-6)
    assert not torch.allclose(one[:, 3], other[:, 3], atol=1e-3)


def test_padding_changes_nothing() -> None:
    made = model()
    short, padded = states(made, [[0, 7]]), states(made, [[0, 7, PAD, PAD]])
    assert torch.allclose(short, padded[:, :3], atol=1e-6)
    assert padded.isfinite().all()


def test_untrained_past_weights_make_a_user_the_same_function_of_either_domain() -> None:
    torch.manual_seed(0)
    content = torch.randn(3, 6)
    alone = TwoTower(1, 3, 0, content, dim=8).eval()
    across = TwoTower(1, 2, 3, torch.cat([torch.randn(2, 6), content]), dim=8).eval()
    weights = {k: v for k, v in alone.state_dict().items() if k not in ("item_ids", "item_bias")}
    across.load_state_dict(weights, strict=False)
    with torch.no_grad():
        across.item_ids.zero_()
        alone.item_ids.zero_()
        for made in (alone, across):
            torch.manual_seed(1)
            for parameter in made.mlp.parameters():
                parameter.normal_()
    own = states(alone, [[0, 2, 1]])
    past = states(across, [[2, 4, 3]])
    assert torch.allclose(own, past, atol=1e-5)


def test_pseudo_count_weighs_the_other_history_against_the_own_one() -> None:
    # Without attention and MLP: z = (1 * own + kappa * 2 * past) / (1 + kappa * 2 + 1).
    torch.manual_seed(0)
    made = TwoTower(1, 2, 2, torch.randn(4, 6), dim=8).eval()
    with torch.no_grad():
        made.past_weight.copy_(torch.tensor([0.5, 1.0]))
    kappa = torch.tensor(0.5).exp()
    e = made.embed_items()
    expected = (e[1] + kappa * (e[2] + e[3])) / (2 + 2 * kappa)
    assert torch.allclose(states(made, [[2, 1, 3]])[0, -1, :8], expected, atol=1e-6)


def test_every_weight_learns() -> None:
    made = model()
    users = states(made, [[0, 7, 3, 1]])
    (users @ made.item_vectors(made.embed_items()).T).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())


def test_without_ids_a_new_item_is_its_content() -> None:
    made = model(use_ids=False)
    assert not hasattr(made, "item_ids")
    assert torch.equal(made.embed_items(), made.adapter(made.content()))


def test_neither_content_nor_ids_is_refused() -> None:
    with pytest.raises(ValueError, match="content vectors, item ids, or both"):
        TwoTower(1, 2, 0, None, use_ids=False)


def test_past_dropout_leaves_out_the_other_history_alone() -> None:
    made = model(dropout=0.0, past_dropout=1.0).train()
    without = states(made, [[0, PAD, 1]])
    assert torch.allclose(states(made, [[0, 7, 1]]), without, atol=1e-6)
    made.eval()
    assert not torch.allclose(states(made, [[0, 7, 1]])[:, -1], without[:, -1], atol=1e-3)


def test_a_text_profile_starts_as_nothing() -> None:
    torch.manual_seed(0)
    content = torch.randn(5, 6)
    plain, profiled = (
        TwoTower(1, 3, 2, content, dim=8, text_profile=profile).eval() for profile in (False, True)
    )
    profiled.load_state_dict(plain.state_dict(), strict=False)
    assert torch.equal(states(plain, [[0, 4]]), states(profiled, [[0, 4]]))


def test_text_profile_by_hand() -> None:
    """The texts of the history of both domains, the later ones weighing more; and no id."""
    torch.manual_seed(0)
    made = TwoTower(1, 3, 2, torch.randn(5, 6), dim=8, text_profile=True).eval()
    without = states(made, [[0, 4, 1, PAD]])
    with torch.no_grad():
        made.profile.weight.normal_()
        made.recency.fill_(0.5)
        found = states(made, [[0, 4, 1, PAD]]) - without
        texts = made.profile(made.content())
    assert torch.equal(found[0, 0], torch.zeros(10))
    assert torch.allclose(found[0, 1, :8], texts[0], atol=1e-5)  # one event: not shrunk
    w = torch.tensor([0.0, 0.5, 1.0]).exp()
    wanted = (w[0] * texts[0] + w[1] * texts[4] + w[2] * texts[1]) / w.sum()
    assert torch.allclose(found[0, 3, :8], wanted, atol=1e-5)
    assert torch.equal(made.item_vectors(made.embed_items())[:, :8], made.embed_items()[:3, :8])


def test_a_text_profile_is_causal_and_learns() -> None:
    made = model(text_profile=True)
    one, other = states(made, [[0, 7, 3, 1]]), states(made, [[0, 7, 8, 4]])
    assert torch.allclose(one[:, :3], other[:, :3], atol=1e-6)
    (one @ made.item_vectors(made.embed_items()).T).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())


def test_a_text_profile_needs_texts() -> None:
    with pytest.raises(ValueError, match="choose an encoder"):
        TwoTower(1, 2, 0, None, dim=4, text_profile=True)
