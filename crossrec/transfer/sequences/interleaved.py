"""SASRec over the interleaved history of both domains."""

from collections.abc import Mapping

from torch import Tensor

from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.models.sasrec import SASRec
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import Batches, Loss, PairModel, Scores
from crossrec.transfer.sequences.two_domain_batch import (
    TwoDomains,
    check_network,
    prediction_loss,
)


class Interleaved(PairModel):
    """One SASRec, one vocabulary: what comes next, in whichever domain it comes.

    The events of a user in both domains stand in one sequence in the order of time. Before each
    event the state predicts it among the items of its own domain, for that is what is asked:
    alpha * l_source + (1 - alpha) * l_target, each the mean over its events. An item of both
    catalogs has one vector. The network is that of Kang and McAuley (ICDM 2018), and read over two
    domains as one it is the plain baseline of cross-domain sequential recommendation. With no user
    in both domains it is one network trained on the sequences of both, so it needs no overlap:
    what is carried then is how a history is read.

    Args:
        dim: d, length of the vectors, divisible by n_heads.
        n_layers, n_heads, dropout: of the transformer.
        max_history: events of both domains that are read.
        alpha: weight of the source's loss, 0 <= alpha < 1.

    Raises:
        UserError: a setting is out of range.
    """

    needs: Overlap = "none"

    def __init__(
        self,
        dim: int = 64,
        n_layers: int = 2,
        n_heads: int = 2,
        dropout: float = 0.2,
        max_history: int = 50,
        alpha: float = 0.7,
    ) -> None:
        super().__init__()
        check_network(alpha, dim, n_heads, max_history)
        self.dim, self.n_layers, self.n_heads = dim, n_layers, n_heads
        self.dropout, self.max_history, self.alpha = dropout, max_history, alpha

    def build(self, pair: DomainPair, content: Content) -> None:
        """A SASRec whose items are those of both catalogs."""
        self.domains = TwoDomains(pair, self.max_history)
        self.network = SASRec(
            n_users=pair.target.n_users,
            n_items=pair.target.n_items,
            n_context=self.domains.ids.n_items - pair.target.n_items,
            content=self.domains.content(content),
            dim=self.dim,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            dropout=self.dropout,
            max_history=self.max_history,
        )

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """alpha of the source's loss and 1 - alpha of the target's."""
        embedded = self.network.embed_items()
        read = self.domains.read_training(batches)
        states = [self.network.user_vectors(e.users, e.rows, embedded) for e in read]

        def of(side: Side) -> Tensor:
            item = embedded[self.domains.ids.rows(side)]
            return prediction_loss(losses[side], side, read, states, item)

        return self.alpha * of("source") + (1 - self.alpha) * of("target")

    def scorer(self, side: Side) -> Scores:
        """Inner products of the last state with the side's catalog."""
        embedded = self.network.embed_items()
        item = embedded[self.domains.ids.rows(side)]

        def scores(histories: Batch) -> Tensor:
            events = self.domains.read(side, histories)
            state = self.network.user_vectors(events.users, events.rows, embedded)
            return events.last(state) @ item.T

        return scores
