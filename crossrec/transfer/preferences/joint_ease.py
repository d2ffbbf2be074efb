"""A linear model over both domains: each item of the target from all that users did in either."""

from torch import Tensor

from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.ease import EASE, Gram
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import PairModel, Phase, Scores
from crossrec.transfer.preferences.joint_events import JointEvents

MAX_SIDE = 12_000  # of the matrix that is inverted: 1.2 GB, and a minute on one core


class JointEASE(PairModel):
    """score(u, .) = x_u B, the columns of the target, where x_u holds what u did in either domain.

    EASE (Steck, WWW 2019, equations 4 to 8) on one matrix of all users and the items of both
    domains, shared ones once: B minimizes |X - X B|^2 + l2 |B|^2 with zeros on its diagonal. An
    event in the source is `source_weight` in X, where one in the target is 1: at 0 this is EASE on
    the target alone, and so it is, whatever the weight, where no user and no item is shared.

    Args:
        l2: ridge penalty, above 0.
        source_weight: of an event in the source, >= 0.

    Raises:
        UserError: an argument is out of range, or, at the start, both users and items are too many.
    """

    needs: Overlap = "any"
    max_history = 10_000  # all of it
    phases: tuple[Phase, ...] = ()

    def __init__(self, l2: float = 1000.0, source_weight: float = 0.5) -> None:
        super().__init__()
        if not l2 > 0:
            raise UserError(f"transfer.l2 must be > 0, got {l2}")
        if not source_weight >= 0:
            raise UserError(f"transfer.source_weight must be >= 0, got {source_weight}")
        self.l2, self.source_weight = l2, source_weight

    def build(self, pair: DomainPair, content: Content) -> None:
        """Solve for B; there are no parameters."""
        self.events = JointEvents(pair, self.source_weight)
        matrix = self.events.matrix(weighted=True)
        matrix.eliminate_zeros()
        side = Gram.side(matrix)
        if side > MAX_SIDE:
            raise UserError(
                f"transfer=joint_ease would invert a matrix of {side:,} rows, the fewer of users "
                f"and items; it does so up to {MAX_SIDE:,}. Use transfer=joint_knn"
            )
        self.ease = EASE(self.l2).fit(matrix)

    def scorer(self, side: Side) -> Scores:
        """x_u B for the target's items; the source's are not ranked.

        Raises:
            ValueError: side is "source".
        """
        if side == "source":
            raise ValueError("joint_ease ranks the items of the target alone")

        def scores(histories: Batch) -> Tensor:
            found = self.ease.score(self.events.histories(histories))
            return found[:, : self.events.n_target].to(histories.items.device)

        return scores
