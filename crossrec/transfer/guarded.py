"""The guard: carried and not carried models mixed, so that carrying costs nothing."""

from collections.abc import Mapping
from typing import Any

from crossrec.errors import UserError
from crossrec.transfer.method import Overlap


class Guarded:
    """Trains several transfer methods and mixes their rankings by weights that validation chooses.

    Scratch and the baselines of the table always take part, so where nothing can be carried the
    mixture falls back on what the target alone can do; where a method carries something, it gets
    weight (`evaluation.mixing`: greedy selection, Caruana et al., ICML 2004). Methods whose overlap
    the pair lacks are left out. Every method has a row of its own in the table, and so has the
    mixture of what knows the target alone (`target-mix`): more than that is owed to the source.

    Args:
        candidates: transfer methods by name, each with the settings in which it differs from its
            YAML file.

    Raises:
        UserError: there is no candidate, or a guard would guard itself.
    """

    needs: Overlap = "none"

    def __init__(self, candidates: Mapping[str, Mapping[str, Any] | None]) -> None:
        if not candidates:
            raise UserError(
                "transfer.candidates names no method: write transfer.candidates.l2_sp={}"
            )
        if "guarded" in candidates or "scratch" in candidates:
            raise UserError("transfer.candidates: scratch takes part anyway, and guarded cannot")
        self.candidates = dict(candidates)
