"""What a run is made of, as plain values: nothing below the command line knows Hydra."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Part:
    """A configured component: what it is, for keys and records, and how it is made.

    Attributes:
        config: the resolved configuration, made of plain values.
        make: builds (or, for a function, calls) the component; arguments add to configured ones.
    """

    config: dict[str, Any]
    make: Callable[..., Any]


@dataclass(frozen=True)
class Settings:
    """One run: its parts, and where it reads and writes.

    Attributes:
        seed: of everything that is drawn.
        run_folder: where the run's own files go.
        artifacts: folder of artifacts that runs share.
        data: name, source, target, simulated, rating_scale, position_spans_domains.
        protocol: source_after_test, cut_at, cold_at_most, name of the split.
        reader, cleaning, split, model, objective, transfer, trainer: components; `scratch` is the
            transfer method that carries nothing.
        encoder, pretraining, training, evaluation, recommend: arguments of their stages.
        logger: makes the Lightning logger of a training stage from the stage's name, or None.
    """

    seed: int
    run_folder: Path
    artifacts: Path
    data: dict[str, Any]
    protocol: dict[str, Any]
    reader: Part
    cleaning: Part
    split: Part
    model: Part
    objective: Part
    transfer: Part
    scratch: Part
    trainer: Part
    encoder: dict[str, Any]
    pretraining: dict[str, Any]
    training: dict[str, Any]
    evaluation: dict[str, Any]
    recommend: dict[str, Any]
    logger: Callable[[str], Any]

    @property
    def rating_scale(self) -> tuple[float, float] | None:
        """Lowest and highest rating, None where there are none."""
        scale = self.data["rating_scale"]
        return (float(scale[0]), float(scale[1])) if scale else None

    def caption(self, account: dict[str, Any]) -> str:
        """Data set, fingerprint, split and seed, for under the table.

        Args:
            account: what `data.prepared.read_account` gives.
        """
        simulated = "SIMULATED users, " if self.data["simulated"] else ""
        past = {
            "cut": "source events after the test event are cut",
            "keep": "source events after the test event are kept",
            "unknown": "without a common time: all source events count as past",
        }[account["order"]]
        return (
            f"{self.data['name']}: {account['source']} -> {account['target']} ({simulated}"
            f"fingerprint {account['fingerprint']}); split {self.protocol['name']}, {past}; "
            f"cold: at most {self.protocol['cold_at_most']} target interactions in train; full "
            f"ranking, ties against the model; seed {self.seed}."
        )
