"""Item neighbors over both domains: who has this there has that here."""

from crossrec.data.pair import DomainPair, Side
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.item_knn import ItemKNN
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import PairModel, Phase, Scores
from crossrec.transfer.preferences.joint_events import JointEvents


class JointKNN(PairModel):
    """score(u, i) = sum over what u did in either domain of w_j * similarity(j, i).

    Item-kNN (Deshpande and Karypis, ACM TOIS 2004) on one matrix of all users and the items of both
    domains, shared ones once: each item, of either domain, keeps its nearest items of the target.
    w is 1 for items of the target and `source_weight` for those of the source. It is the
    neighborhood method that transfer by networks has to beat, and for users who are in one domain
    only it is item-kNN.

    Args:
        n_neighbors: items of the target that each item keeps.
        shrinkage: of the cosine where few users support it.
        source_weight: what an event in the source counts for, >= 0.

    Raises:
        UserError: an argument is out of range.
    """

    needs: Overlap = "any"
    max_history = 10_000  # all of it
    phases: tuple[Phase, ...] = ()

    def __init__(
        self, n_neighbors: int = 300, shrinkage: float = 20.0, source_weight: float = 0.3
    ) -> None:
        super().__init__()
        for key, value, least in (
            ("n_neighbors", n_neighbors, 1),
            ("shrinkage", shrinkage, 0),
            ("source_weight", source_weight, 0),
        ):
            if not value >= least:
                raise UserError(f"transfer.{key} must be >= {least}, got {value}")
        self.n_neighbors, self.shrinkage = n_neighbors, shrinkage
        self.source_weight = source_weight

    def build(self, pair: DomainPair, content: Content) -> None:
        """Find the neighbors; there are no parameters."""
        self.events = JointEvents(pair, self.source_weight)
        self.knn = ItemKNN(self.n_neighbors, self.shrinkage)
        self.knn.fit(self.events.matrix(weighted=False), self.events.n_target)

    def scorer(self, side: Side) -> Scores:
        """Sums of similarities to the target's items; the source's are not ranked.

        Raises:
            ValueError: side is "source".
        """
        if side == "source":
            raise ValueError("joint_knn finds neighbors among the items of the target alone")
        return lambda histories: self.knn.score(self.events.histories(histories)).to(
            histories.items.device
        )
