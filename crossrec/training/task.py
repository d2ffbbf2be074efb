"""What the pretraining of a language model asks of an objective."""

from typing import Any, Protocol

from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from crossrec.training.sharding import ALONE, Share


class Task(Protocol):
    """What a language model is to learn; `reads_head` says whether by its language head."""

    reads_head: bool
    batches: Dataset[Any]

    def loss(
        self, network: PreTrainedModel, batch: Any, number: int, share: Share = ALONE
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of batch `number`, and what to log.

        Args:
            network: in shards where several ranks train it.
            batch: the whole of it.
            number: of the batch.
            share: what this rank reads of it. The gradients of all ranks add up to the batch's.
        """

    def n_tokens(self, batch: Any) -> int:
        """Tokens of a batch, without padding."""

    def measure(self, network: PreTrainedModel, share: Share = ALONE) -> dict[str, float]:
        """What is asked about data that nothing is learned from, by name."""
