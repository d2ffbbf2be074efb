"""VQ-Rec: codes are nearest centers, items are means of code vectors, and it learns."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.pair import DomainPair
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.pair_training import PairTraining, build_pair
from crossrec.transfer.content.quantization import k_means, nearest, quantize
from crossrec.transfer.content.vq_rec import VQRec

Steps = Callable[..., list[list[float]]]
ContentOf = Callable[[DomainPair], Content]


def small(**changed: object) -> VQRec:
    settings = {"dim": 8, "n_layers": 1, "n_groups": 3, "n_codes": 4, "max_history": 12}
    return VQRec(**(settings | changed))


def built(pair: DomainPair, content_of: ContentOf, **changed: object) -> VQRec:
    model = small(**changed)
    build_pair(model, pair, content_of(pair), seed=0)
    return model.eval()


def test_centers_of_two_clusters() -> None:
    torch.manual_seed(0)
    rows = torch.tensor([[0.0], [1.0], [10.0], [12.0]])
    assert sorted(k_means(rows, 2).flatten().tolist()) == [0.5, 11.0]


def test_no_more_centers_than_different_rows() -> None:
    assert k_means(torch.tensor([[1.0], [1.0], [2.0]]), 5).flatten().sort().values.tolist() == [
        1,
        2,
    ]


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), n_codes=st.integers(1, 6))
def test_lloyd_does_not_make_it_worse(seed: int, n_codes: int) -> None:
    rows = torch.randn(30, 2, generator=torch.Generator().manual_seed(seed))

    def error(iterations: int) -> float:
        torch.manual_seed(seed)
        centers = k_means(rows, n_codes, iterations)
        return float(((rows - centers[nearest(rows, centers)]) ** 2).sum())

    assert error(5) <= error(1) + 1e-4
    assert error(1) <= error(0) + 1e-4


def test_codes_by_hand() -> None:
    """Two groups of two columns: a code says which of the two clusters each part is in."""
    low, high = [0.0, 0.0], [9.0, 9.0]
    vectors = torch.tensor([low + low, low + high, high + low, high + high])
    codes = quantize(vectors, torch.ones(4, dtype=torch.bool), n_groups=2, n_codes=2)
    assert (codes[:, 0] < 2).all()
    assert (codes[:, 1] >= 2).all()
    assert codes[0, 0] == codes[1, 0] != codes[2, 0] == codes[3, 0]
    assert codes[0, 1] == codes[2, 1] != codes[1, 1] == codes[3, 1]


def test_columns_that_no_group_count_divides() -> None:
    vectors = torch.randn(9, 5)
    assert quantize(vectors, torch.ones(9, dtype=torch.bool), 3, 2).shape == (9, 3)
    assert quantize(vectors, torch.ones(9, dtype=torch.bool), 8, 2).shape == (9, 8)


def test_centers_are_fitted_on_train_alone() -> None:
    vectors = torch.randn(20, 4)
    fitted = torch.arange(20) < 15
    codes = []
    for moved in (0.0, 100.0):
        torch.manual_seed(1)
        codes.append(quantize(vectors + moved * ~fitted[:, None], fitted, 2, 3))
    assert torch.equal(codes[0][:15], codes[1][:15])


def test_the_same_seed_makes_the_same_codes(users_pair: DomainPair, content_of: ContentOf) -> None:
    assert torch.equal(built(users_pair, content_of).codes, built(users_pair, content_of).codes)


@torch.no_grad()
def test_an_item_is_the_mean_of_its_codes(users_pair: DomainPair, content_of: ContentOf) -> None:
    model = built(users_pair, content_of)
    expected = model.of_code[model.codes[18 + 5]].mean(0)  # source item 5, after 18 target items
    assert torch.allclose(model.vectors("source")[5], expected, atol=1e-7)
    assert torch.allclose(model.vectors("target")[18 + 5], expected, atol=1e-7)


@torch.no_grad()
def test_equal_texts_of_both_domains_are_one_vector(
    apart_pair: DomainPair, content_of: ContentOf
) -> None:
    content = content_of(apart_pair)
    assert content.source is not None
    assert content.target is not None
    content.target[4] = content.source[7]
    model = small()
    build_pair(model, apart_pair, content, seed=0)
    table = model.vectors("target")
    assert torch.equal(table[4], table[18 + 7])


def test_items_that_do_not_exist(users_pair: DomainPair, content_of: ContentOf) -> None:
    items = torch.arange(24).repeat(40)
    model = built(users_pair, content_of, replaced=1.0)
    codes = model.spoiled(items)
    group = torch.div(codes, 4, rounding_mode="floor")
    assert torch.equal(group, torch.arange(3).expand_as(group))
    counts = torch.bincount(codes.flatten(), minlength=12).float() / len(items)
    assert torch.allclose(counts, torch.full((12,), 0.25), atol=0.06)
    partly = built(users_pair, content_of, replaced=0.5).spoiled(items)
    same = (partly == model.codes[18 + items]).float().mean().item()
    assert same == pytest.approx(0.5 + 0.5 / 4, abs=0.05)  # a random code may be the same


@pytest.mark.parametrize("name", ["users_pair", "items_pair", "apart_pair"])
def test_twenty_steps_lower_the_loss_of_each_phase(
    name: str, request: pytest.FixtureRequest, steps: Steps, content_of: ContentOf
) -> None:
    pair = request.getfixturevalue(name)
    pretraining, finetuning = steps(
        small(dropout=0.0, freeze_encoder=False), pair, content_of(pair)
    )
    assert pretraining[-1] < 0.9 * pretraining[0]
    assert finetuning[-1] < 0.9 * finetuning[0]


@pytest.mark.parametrize("make", [BPR, Logistic, Rating])
def test_it_is_tuned_by_any_objective(
    users_pair: DomainPair, steps: Steps, content_of: ContentOf, make: Callable[[], Objective]
) -> None:
    _, finetuning = steps(small(temperature=1.0), users_pair, content_of(users_pair), make)
    assert finetuning[-1] < finetuning[0]


def test_what_moves_in_the_target(users_pair: DomainPair, content_of: ContentOf) -> None:
    for freeze, moving in ((True, {"of_code"}), (False, {"of_code", "encoder"})):
        model = built(users_pair, content_of, freeze_encoder=freeze)
        PairTraining(model, users_pair, model.phases[1], Softmax, 0.1, 0.0)
        found = {n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad}
        assert found == moving


@torch.no_grad()
def test_scores_of_both_catalogs(users_pair: DomainPair, content_of: ContentOf) -> None:
    batch = users_pair.target.valid.history.last(torch.arange(10, 15), 12)
    source = batch.items >= users_pair.target.n_items
    assert source.any()
    with_source, without = (
        built(users_pair, content_of, temperature=0.5, reads_source=reads).scorer("target")(batch)
        for reads in (True, False)
    )
    assert with_source.shape == (5, 18)
    assert not torch.allclose(with_source[source.any(1)], without[source.any(1)])
    assert with_source.abs().max() <= 1 / 0.5 + 1e-4
    own = users_pair.source.valid.history.last(torch.arange(5), 12)
    assert built(users_pair, content_of).scorer("source")(own).shape == (5, 24)


def test_without_text_there_are_no_codes(users_pair: DomainPair) -> None:
    with pytest.raises(UserError, match=r"transfer=vq_rec .* choose an encoder"):
        build_pair(small(), users_pair, Content(None, None, None), seed=0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dim": 7}, "transfer.dim must be divisible by transfer.n_heads, got 7, 2"),
        ({"temperature": -1.0}, "transfer.temperature must be > 0, got -1"),
        ({"n_groups": 0}, "transfer.n_groups must be >= 1, got 0"),
        ({"n_codes": 0}, "transfer.n_codes must be >= 1, got 0"),
        ({"replaced": 0.0}, "transfer.replaced must be > 0 and <= 1, got 0"),
    ],
)
def test_bad_values_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        small(**changed)
