"""How fast a language model learns, step by step."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """How fast what learns, when.

    Attributes:
        learning_rate: peak for the body.
        head_learning_rate: peak for the head.
        head_steps: first steps, in which the body rests.
        warmup_steps: steps over which a learning rate rises.
        total_steps: optimizer steps of the whole run.
    """

    learning_rate: float
    head_learning_rate: float
    head_steps: int
    warmup_steps: int
    total_steps: int


def ramp_and_cosine(step: int, start: int, warmup: int, total: int) -> float:
    """Factor of a learning rate: 0 before `start`, linear up over `warmup` steps, cosine to 0."""
    if step < start:
        return 0.0
    if step < start + warmup:
        return (step - start + 1) / (warmup + 1)
    progress = (step - start - warmup) / max(1, total - start - warmup)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
