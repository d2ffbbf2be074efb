"""What the pretraining of a language model asks of an objective."""

from typing import Any, Protocol

from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedModel


class Task(Protocol):
    """What a language model is to learn; `reads_head` says whether by its language head."""

    reads_head: bool
    batches: Dataset[Any]

    def loss(
        self, network: PreTrainedModel, batch: Any, number: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of batch `number`, and what to log."""

    def n_tokens(self, batch: Any) -> int:
        """Tokens of a batch, without padding."""

    def measure(self, network: PreTrainedModel) -> dict[str, float]:
        """What is asked about data that nothing is learned from, by name."""
