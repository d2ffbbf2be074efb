"""Texts continued by a causal language model, word for word the likeliest."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from transformers import (
    GenerationConfig,
    GenerationMixin,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from crossrec.encoders.quiet import quiet

AT_ONCE = 16  # texts


@torch.inference_mode()
def continue_texts(
    network: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    max_tokens: int,
) -> list[str]:
    """What the model writes after each text: greedy, at most `max_tokens` tokens.

    Args:
        network: a causal language model.
        tokenizer: its own, with a padding token.
        texts: not empty.
        max_tokens: of a continuation.
    """
    tokenizer.padding_side = "left"  # so that what is written follows each text at once
    # The folder's own configuration may ask for sampling.
    greedy = GenerationConfig(
        max_new_tokens=max_tokens,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    written: list[str] = []
    for start in range(0, len(texts), AT_ONCE):
        part = list(texts[start : start + AT_ONCE])
        tokens = tokenizer(part, return_tensors="pt", padding=True, return_token_type_ids=False)
        tokens = tokens.to(network.device)
        with quiet():
            ids = GenerationMixin.generate(cast(Any, network), **tokens, generation_config=greedy)
        new = ids[:, tokens["input_ids"].shape[1] :]
        written += tokenizer.batch_decode(new, skip_special_tokens=True)
    return written
