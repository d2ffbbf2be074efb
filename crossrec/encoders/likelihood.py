"""What a causal language model thinks of continuations of a text that they share."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crossrec.encoders.encode import pad
from crossrec.encoders.language_head import objective_of, open_with_head
from crossrec.encoders.language_model import locate, open_tokenizer
from crossrec.errors import UserError

AT_ONCE = 32  # continuations that are read together


def locate_causal(name: str, key: str, cache_folder: Path) -> Path:
    """The folder of a causal language model (see `locate`).

    Args:
        key: the setting that names it.

    Raises:
        UserError: there is no such model, or it is none that continues texts.
    """
    try:
        folder = locate(name, cache_folder)
    except UserError as error:
        why = str(error).removeprefix(f"encoder.model={name}: ").partition(". Use ")[0]
        raise UserError(
            f"{key}={name}: {why}. Expected smollm2, a Hugging Face folder of a causal language "
            "model, or its name on the hub"
        ) from error
    if objective_of(folder) != "causal":
        raise UserError(
            f"{key}={name}: this model fills in masked words and cannot continue a text; expected "
            "a causal one such as smollm2"
        )
    return folder


def open_causal(
    folder: Path, key: str, device: str = "cpu", dtype: str = "float32"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model in evaluation mode, and its tokenizer.

    Args:
        folder: what `locate_causal` gave.
        key: the setting that names it.
        device, dtype: where and in what type it computes, as torch names them.

    Raises:
        UserError: the folder has no language-modeling head.
    """
    network, fresh_head = open_with_head(folder, "causal", seed=0)
    if fresh_head:
        raise UserError(f"{key}: {folder} holds a body without a language-modeling head")
    nn.Module.to(network, device=device, dtype=getattr(torch, dtype))
    return network, open_tokenizer(folder)


def logits_at(network: PreTrainedModel, wanted: Tensor, **inputs: object) -> Tensor:
    """(n, vocabulary) logits at the n positions that `wanted` (texts, length) marks, float32.

    The projection to the vocabulary, the dearest layer of a small model, sees no other position.
    """
    projection = network.get_output_embeddings()
    hook = projection.register_forward_pre_hook(lambda _, given: (given[0][wanted],))
    try:
        logits: Tensor = network(**inputs).logits
    finally:
        hook.remove()
    return logits.float()


def last_places(attention: Tensor) -> Tensor:
    """(texts, length) bool: the last token of each text that is padded on the right."""
    places = torch.arange(attention.shape[1], device=attention.device)
    return places == attention.sum(dim=1, keepdim=True) - 1


def answer_tokens(tokenizer: PreTrainedTokenizerBase, prompt: str, key: str) -> tuple[int, int]:
    """The first tokens of Yes and of No after a prompt.

    Args:
        prompt: its last character says whether a blank comes first.
        key: the setting that names the model.

    Raises:
        UserError: the tokenizer begins both with the same token.
    """
    blank = "" if prompt[-1:].isspace() else " "
    words = [
        tokenizer(blank + word, add_special_tokens=False)["input_ids"] for word in ("Yes", "No")
    ]
    # Some begin every word with the token of a blank.
    yes, no = words if words[0][:1] != words[1][:1] else (words[0][1:], words[1][1:])
    if not yes or not no or yes[0] == no[0]:
        raise UserError(f"{key}: its tokenizer does not tell Yes from No; choose another model")
    return yes[0], no[0]


@torch.inference_mode()
def yes_over_no(
    network: PreTrainedModel,
    prefix: Sequence[int],
    suffixes: Sequence[Sequence[int]],
    answers: tuple[int, int],
) -> Tensor:
    """log p(yes) - log p(no) as the next token of prefix + suffix, (K,) on the CPU.

    TALLRec (Bao et al., RecSys 2023) asks a language model in this way whether a user will like an
    item. The prefix is read once, and its keys and values serve all suffixes.

    Args:
        prefix: token ids, at least one.
        suffixes: token ids of each, at least one.
        answers: the tokens that mean yes and no.
    """
    yes, no = answers
    parts = []
    for inputs, attention in _continued(network, prefix, suffixes):
        logits = logits_at(network, last_places(attention), **inputs)
        parts.append(logits[:, yes] - logits[:, no])
    return torch.cat(parts).cpu()


@torch.inference_mode()
def log_likelihood(
    network: PreTrainedModel, prefix: Sequence[int], suffixes: Sequence[Sequence[int]]
) -> Tensor:
    """Mean log p of a suffix's tokens, each given all before it, (K,) on the CPU."""
    parts = []
    for inputs, attention in _continued(network, prefix, suffixes):
        ids = inputs["input_ids"]
        predicts = attention.bool() & ~last_places(attention)
        follows = predicts.roll(1, dims=1)
        log_p = logits_at(network, predicts, **inputs).log_softmax(dim=1)
        of_token = log_p.gather(1, ids[follows][:, None]).squeeze(1)
        rows = predicts.nonzero()[:, 0]
        total = torch.zeros(len(ids), device=ids.device).index_add(0, rows, of_token)
        parts.append(total / predicts.sum(dim=1))
    return torch.cat(parts).cpu()


def _continued(
    network: PreTrainedModel, prefix: Sequence[int], suffixes: Sequence[Sequence[int]]
) -> Iterator[tuple[dict, Tensor]]:
    """Inputs and attention (texts, length) of suffixes, AT_ONCE at a time, after a cached prefix.

    Each begins with the prefix's last token, which predicts the suffix's first one.
    """
    *head, last = prefix
    device = network.device
    cache = None
    if head:
        ids = torch.tensor([head], device=device)
        cache = network.base_model(input_ids=ids, use_cache=True).past_key_values
    for start in range(0, len(suffixes), AT_ONCE):
        part = suffixes[start : start + AT_ONCE]
        ids, attention = (t.to(device) for t in pad([[last, *suffix] for suffix in part]))
        inputs: dict[str, object] = {"input_ids": ids, "use_cache": cache is not None}
        if cache is not None:
            inputs["past_key_values"] = repeated = deepcopy(cache)  # it grows with what is read
            repeated.batch_repeat_interleave(len(part))
        # What is padded stands on the right, where no token before it looks: no mask is needed.
        yield inputs, attention
