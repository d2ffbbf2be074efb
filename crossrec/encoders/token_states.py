"""Token states below a language model's last layers, kept in a file that is mapped, not read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from crossrec.encoders.encode import length_buckets, pad, tokenize
from crossrec.encoders.language_model import open_body, open_tokenizer
from crossrec.errors import UserError

STATES, TEXTS = "states.bin", "texts.safetensors"


def write_states(
    folder: Path,
    catalogs: Mapping[str, Sequence[str | None]],
    model_folder: Path,
    layers: int,
    max_length: int,
    batch_tokens: int,
    dtype: str,
    device: str,
) -> None:
    """Run all but the last layers on every distinct text, and keep what they make of each token.

    States of real tokens alone are written, one after the other: tokens x d numbers in all, no
    padding.

    Args:
        folder: where to write.
        catalogs: name -> texts of its items, None where an item has none.
        model_folder: the language model's.
        layers: k, how many of the last layers are left out.
        max_length, batch_tokens, dtype, device: as in `encode`; the states are kept in `dtype`.

    Raises:
        UserError: the language model has fewer layers.
    """
    element_type = getattr(torch, dtype)
    body = open_body(model_folder, element_type, device)
    if layers > body.config.num_hidden_layers:
        raise UserError(
            f"end_to_end.layers={layers}: this language model has "
            f"{body.config.num_hidden_layers} layers"
        )
    written = (text for texts in catalogs.values() for text in texts if text is not None)
    distinct = list(dict.fromkeys(written))
    tokens = tokenize(open_tokenizer(model_folder), distinct, max_length)
    lengths = torch.tensor([len(ids) for ids in tokens])
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    states = _map(folder, int(offsets[-1]), body.config.hidden_size, element_type, write=True)
    with torch.inference_mode():
        for rows in length_buckets(lengths.tolist(), batch_tokens):
            ids, attention = pad([tokens[row] for row in rows])
            made = body(
                input_ids=ids.to(device),
                attention_mask=attention.to(device),
                output_hidden_states=True,
            )
            below = made.hidden_states[-1 - layers].cpu()
            for row, state in zip(rows, below, strict=True):
                states[offsets[row] : offsets[row + 1]] = state[: lengths[row]]
    number = {text: n for n, text in enumerate(distinct)}
    texts = {
        name: torch.tensor([-1 if text is None else number[text] for text in catalog])
        for name, catalog in catalogs.items()
    }
    save_file({"offsets": offsets, **texts}, folder / TEXTS)


def read_states(folder: Path, width: int, dtype: str) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """What `write_states` wrote.

    Args:
        folder: where it was written.
        width: d.
        dtype: as it was given.

    Returns:
        (tokens, d) states, of which the system reads what is looked at; (texts + 1,) int64 offsets
        of the texts in them; and name -> (items,) int64 text number of each item, -1 for none.
    """
    texts = load_file(folder / TEXTS)
    offsets = texts.pop("offsets")
    return _map(folder, int(offsets[-1]), width, getattr(torch, dtype)), offsets, texts


def _map(
    folder: Path, n_tokens: int, width: int, dtype: torch.dtype, write: bool = False
) -> Tensor:
    file = str(folder / STATES)
    return torch.from_file(file, shared=write, size=n_tokens * width, dtype=dtype).view(-1, width)
