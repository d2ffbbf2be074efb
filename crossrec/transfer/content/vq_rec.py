"""VQ-Rec: items as codes of their text, and a vector for each code (Hou et al., WWW 2023)."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.interface import INITIAL_STD, look_up
from crossrec.transfer.content.quantization import quantize
from crossrec.transfer.content.sequence_encoder import (
    SequenceEncoder,
    check_sizes,
    content_of,
    contrast,
    next_item_cases,
    next_item_scores,
    own_events,
)
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import Batches, Loss, PairModel, Phase, Scores


class VQRec(PairModel):
    """Text vectors are cut into codes; an item is the mean of its codes' vectors.

    Text thus decides which items are alike, but not where they lie. "pretrain" reads the source's
    sequences: a contrastive loss whose negatives are the batch's other items and, for each case,
    an item that does not exist, most of whose codes are random (section 2.3.2); its loss is the
    method, whatever the objective. "finetune" goes on in the target with the objective (softmax
    in section 2.4). Scores are cosines over the temperature.

    The paper learns codes for each domain and a permutation that matches them afterwards; here
    both catalogs, known together, share one set of centers, fitted on items in train, and no
    permutation is needed. As in UniSRec, every position of a sequence is a case.

    Args:
        dim: d of code vectors and states.
        n_layers, n_heads: of the transformer.
        n_groups: codes of an item.
        n_codes: codes that a group chooses from.
        dropout: of the network.
        max_history: events of history that are read.
        temperature: t, 0.07 in the paper.
        replaced: share of random codes in an item that does not exist.
        freeze_encoder: train the codes' vectors alone in the target.
        reads_source: whether target histories hold what the user did in the source.

    Raises:
        UserError: a value is out of range; in `build`, that there are no text vectors.
    """

    codes: Tensor
    needs: Overlap = "none"
    reads_text = True

    def __init__(
        self,
        dim: int = 64,
        n_layers: int = 2,
        n_heads: int = 2,
        n_groups: int = 32,
        n_codes: int = 32,
        dropout: float = 0.2,
        max_history: int = 50,
        temperature: float = 0.2,
        replaced: float = 0.75,
        freeze_encoder: bool = True,
        reads_source: bool = True,
    ) -> None:
        super().__init__()
        check_sizes("transfer", dim, n_heads, temperature)
        for name, value in (("n_groups", n_groups), ("n_codes", n_codes)):
            if value < 1:
                raise UserError(f"transfer.{name} must be >= 1, got {value}")
        if not 0 < replaced <= 1:
            raise UserError(f"transfer.replaced must be > 0 and <= 1, got {replaced}")
        self.dim, self.n_layers, self.n_heads = dim, n_layers, n_heads
        self.n_groups, self.n_codes = n_groups, n_codes
        self.dropout, self.max_history = dropout, max_history
        self.temperature, self.replaced = temperature, replaced
        self.reads_source = reads_source
        self.phases = (
            Phase("pretrain", ("source",), (), "source"),
            Phase("finetune", ("target",), ("of_code",) if freeze_encoder else (), "target"),
        )

    def build(self, pair: DomainPair, content: Content) -> None:
        """The codes of both catalogs, a vector for each code, and the transformer."""
        source, target = content_of(content, "vq_rec")
        self.n_items: dict[Side, int] = {"source": len(source), "target": len(target)}
        in_train = torch.cat([pair.target.item_counts(), pair.source.item_counts()]) > 0
        codes = quantize(torch.cat([target, source]), in_train, self.n_groups, self.n_codes)
        self.register_buffer("codes", codes, persistent=False)
        # Means of many are short: they start at the tables' scale only if their terms are longer.
        scale = INITIAL_STD * self.n_groups**0.5
        self.of_code = nn.Parameter(torch.randn(self.n_groups * self.n_codes, self.dim) * scale)
        self.encoder = SequenceEncoder(
            self.dim, self.n_layers, self.n_heads, self.dropout, self.max_history
        )

    def embed(self, codes: Tensor) -> Tensor:
        """(rows, n_groups) codes -> (rows, d), the mean of their vectors."""
        return F.embedding_bag(codes, self.of_code, mode="mean")

    def vectors(self, side: Side) -> Tensor:
        """Vectors of all items in a side's histories, (rows, d), its catalog first."""
        first = 0 if side == "target" else self.n_items["target"]
        return self.embed(self.codes[first:])

    def read(self, batch: Batch) -> Batch:
        """A batch of the target as this method reads it."""
        return batch if self.reads_source else own_events(batch, self.n_items["target"])

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """The loss of the phase."""
        if self.phase == "pretrain":
            return self.pretraining_loss(batches["source"])
        batch, table = self.read(batches["target"]), self.vectors("target")
        states = self.encoder(look_up(table, batch.items))
        catalog = table[: self.n_items["target"]]
        return losses["target"](next_item_cases(states, catalog, batch, self.temperature))

    def pretraining_loss(self, batch: Batch) -> Tensor:
        """Contrast of states and next items, with one item that does not exist for each case."""
        table, own = self.vectors("source"), batch.own
        states, items = self.encoder(look_up(table, batch.items)), batch.items[own]
        positive = F.normalize(table[items], dim=-1)
        hard = F.normalize(self.embed(self.spoiled(items)), dim=-1)
        return contrast(states[:, :-1][own], positive, items, self.temperature, hard)

    def spoiled(self, items: Tensor) -> Tensor:
        """(M, n_groups) codes of (M,) source items, some of them replaced by random ones."""
        codes = self.codes[self.n_items["target"] + items]
        first = torch.arange(self.n_groups, device=codes.device) * self.n_codes
        drawn = first + torch.randint(self.n_codes, codes.shape, device=codes.device)
        return torch.where(
            torch.rand(codes.shape, device=codes.device) < self.replaced, drawn, codes
        )

    def scorer(self, side: Side) -> Scores:
        """Cosines of a history's last state with the side's catalog, over the temperature."""
        table = self.vectors(side)

        def scores(histories: Batch) -> Tensor:
            batch = histories if side == "source" else self.read(histories)
            return next_item_scores(
                self.encoder, table, self.n_items[side], batch, self.temperature
            )

        return scores
