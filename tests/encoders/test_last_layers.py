"""The last layers of a language model: the same vectors before they learn, all texts after."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from crossrec.encoders.content import FILE, read_content, write_content
from crossrec.encoders.language_model import LanguageModel
from crossrec.encoders.last_layers import LastLayers
from crossrec.encoders.token_states import STATES, read_states, write_states
from crossrec.errors import UserError

CATALOGS = {
    "source": ["red pan", None, "oak chair", "glass"],
    "target": ["red lamp", "red pan", "green steel knife blue lamp"],
}
OPTIONS = {"max_length": 16, "batch_tokens": 16, "dtype": "float32", "device": "cpu"}


def made(
    folder: Path, model: Path, pooling: str, layers: int = 1, whitening: str = "whiten"
) -> tuple[LastLayers, dict[str, torch.Tensor]]:
    """The last layers over the texts of CATALOGS, and the text number of each item."""
    learned = [torch.ones(len(texts), dtype=torch.bool).numpy() for texts in CATALOGS.values()]
    texts = list(CATALOGS.values())
    write_content(folder, texts, learned, LanguageModel(model, pooling), whitening, 3, **OPTIONS)
    write_states(folder, CATALOGS, model, layers, **OPTIONS)
    vector_map = {name: load_file(folder / FILE)[name].float() for name in ("mean", "matrix")}
    states, offsets, numbers = read_states(folder, 32, "float32")
    encoder = LastLayers(
        model,
        pooling,
        layers=layers,
        rank=2,
        scale=0.5,
        states=states,
        offsets=offsets,
        batch_tokens=16,
        seed=0,
        **vector_map,
    )
    return encoder, numbers


@pytest.mark.parametrize("whitening", ["whiten", "pca", "none"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("model", ["tiny_bert", "tiny_llama"])
def test_before_they_learn_they_make_the_content_vectors(
    tmp_path: Path, request: pytest.FixtureRequest, model: str, layers: int, whitening: str
) -> None:
    folder = request.getfixturevalue(model)
    pooling = "mean" if model == "tiny_bert" else "last"
    encoder, numbers = made(tmp_path, folder, pooling, layers, whitening)
    content = read_content(tmp_path)
    for name, wanted in (("source", content.source), ("target", content.target)):
        assert wanted is not None
        described = numbers[name] >= 0
        found = encoder(numbers[name][described])
        assert torch.allclose(found, wanted[described], atol=1e-5)
    assert numbers["source"].tolist() == [0, -1, 1, 2]
    assert numbers["target"].tolist() == [3, 0, 4]


def test_only_real_tokens_are_kept(tmp_path: Path, tiny_bert: Path) -> None:
    encoder, _ = made(tmp_path, tiny_bert, "mean")
    # Five distinct texts of 2, 2, 1, 2 and 5 words, each between [CLS] and [SEP].
    assert encoder.offsets.tolist() == [0, 4, 8, 11, 15, 22]
    assert (tmp_path / STATES).stat().st_size == 22 * 32 * 4


def test_b_and_a_alone_learn_and_are_saved(tmp_path: Path, tiny_bert: Path) -> None:
    encoder, _ = made(tmp_path, tiny_bert, "mean")
    names = {name for name, _ in encoder.named_parameters()}
    assert {name.rpartition(".")[2] for name in names} == {"A", "B"}
    assert len(names) == 2 * 6  # query, key, value, output and two of the feed-forward network
    assert set(encoder.state_dict()) == names
    encoder(torch.arange(5)).square().sum().backward()
    gradients = {name: p.grad for name, p in encoder.named_parameters()}
    assert all((g is not None and bool(g.any())) == n.endswith("B") for n, g in gradients.items())


def test_the_difference_is_scale_times_b_a(tmp_path: Path, tiny_bert: Path) -> None:
    """Against the whole language model, whose weight is changed by hand."""
    from crossrec.encoders.encode import encode

    encoder, numbers = made(tmp_path, tiny_bert, "mean", whitening="none")
    changed = tmp_path / "changed"
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(tiny_bert)
    with torch.no_grad():
        low_rank = encoder.body.encoder.layer[0].attention.self.value
        low_rank.B.normal_()
        model.encoder.layer[1].attention.self.value.weight += 0.5 * low_rank.B @ low_rank.A
    model.save_pretrained(changed)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(changed)
    wanted, _ = encode(CATALOGS["target"], changed)
    found = torch.nn.functional.normalize(encoder(numbers["target"]), dim=1)
    assert torch.allclose(found, torch.from_numpy(wanted), atol=1e-5)


def test_a_text_does_not_depend_on_its_batch(tmp_path: Path, tiny_bert: Path) -> None:
    encoder, _ = made(tmp_path, tiny_bert, "mean")
    torch.nn.init.normal_(next(p for n, p in encoder.named_parameters() if n.endswith("B")))
    together = encoder(torch.arange(5))
    for batch in encoder.train().batches(torch.arange(5)):
        assert torch.allclose(encoder(batch), together[batch], atol=1e-5)


def test_the_seed_says_where_a_starts(tmp_path: Path, tiny_bert: Path) -> None:
    torch.manual_seed(1)
    one, _ = made(tmp_path, tiny_bert, "mean")
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    other, _ = made(tmp_path, tiny_bert, "mean")
    assert torch.equal(before, torch.random.get_rng_state())
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_more_layers_than_there_are(tmp_path: Path, tiny_bert: Path) -> None:
    with pytest.raises(UserError, match="has 2 layers"):
        made(tmp_path, tiny_bert, "mean", layers=3)
