"""What a run is made of, as plain values: nothing below the command line knows Hydra."""

from collections.abc import Callable, Mapping
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
class DataSettings:
    """What a pair of domains is made of.

    Attributes:
        seed: of everything that is drawn.
        run_folder: where the run's own files go.
        artifacts: folder of artifacts that runs share.
        data: name, source (one name or several), target, simulated, rating_scale,
            position_spans_domains, text_fields.
        identity: overlap, user_links, item_links (see `data.identities.Identity`).
        protocol: source_after_test, cut_at, cold_at_most, name of the split.
        reader, cleaning, split, split_source: components.
    """

    seed: int
    run_folder: Path
    artifacts: Path
    data: dict[str, Any]
    identity: dict[str, Any]
    protocol: dict[str, Any]
    reader: Part
    cleaning: Part
    split: Part
    split_source: Part

    @property
    def rating_scale(self) -> tuple[float, float] | None:
        """Lowest and highest rating, None where there are none."""
        scale = self.data["rating_scale"]
        return (float(scale[0]), float(scale[1])) if scale else None

    @property
    def sources(self) -> list[str]:
        """The source domains."""
        source = self.data["source"]
        return [source] if isinstance(source, str) else list(source)

    def data_caption(self, account: dict[str, Any]) -> str:
        """Data set, fingerprint and split.

        Args:
            account: what `data.prepared.read_account` gives.
        """
        simulated = "SIMULATED users, " if self.data["simulated"] else ""
        past = {
            "cut": "source events after the test event are cut",
            "keep": "source events after the test event are kept",
            "unknown": "without a common time: all source events count as past",
            "absent": "one domain alone is here, the other is another owner's",
        }[account["order"]]
        later = account["later_share"]
        leak = f", {later:.0%} of train later than the average test event" if later else ""
        return (
            f"{self.data['name']}: {account['source']} -> {account['target']} ({simulated}"
            f"fingerprint {account['fingerprint']}); split {self.protocol['name']}{leak}, {past}"
        )


@dataclass(frozen=True)
class Settings(DataSettings):
    """One run: its data, its parts, and where it reads and writes.

    Attributes:
        model, objective, transfer, trainer: components; `scratch` is the transfer method that
            carries nothing.
        candidates: the transfer methods that a guard mixes, by name; empty where there is none.
        content: what is known of items: fusion, and the settings of each modality, by its name.
        encoder, pretraining, end_to_end, training, privacy, evaluation, recommend, reranking:
            arguments of their stages.
        logger: makes the Lightning logger of a training stage from the stage's name, or None.
        source_weights: folder of a source model that its owner handed over; None where the source
            is at hand.
        callbacks: makes more Lightning callbacks of a training stage, likewise.
    """

    model: Part
    objective: Part
    transfer: Part
    scratch: Part
    candidates: dict[str, Part]
    trainer: Part
    content: dict[str, Any]
    encoder: dict[str, Any]
    pretraining: dict[str, Any]
    end_to_end: dict[str, Any]
    training: dict[str, Any]
    privacy: dict[str, Any]
    evaluation: dict[str, Any]
    recommend: dict[str, Any]
    reranking: dict[str, Any]
    source_weights: Path | None
    logger: Callable[[str], Any]
    callbacks: Callable[[str], list[Any]]

    @property
    def is_private(self) -> bool:
        """Whether the source is learned with differential privacy."""
        return self.privacy["epsilon"] is not None

    @property
    def weights_alone(self) -> bool:
        """Whether nothing of the source but its weights may reach the target: no event of it."""
        return self.is_private or self.source_weights is not None

    def caption(self, account: dict[str, Any]) -> str:
        """What a run was measured on and how, for under the table.

        Args:
            account: what `data.prepared.read_account` gives.
        """
        of_all = " of what users had, too" if account["repeated"] else ""
        n = self.evaluation["negatives"]
        ranking = "full ranking" if n is None else f"ranks among {n} fixed negatives, SAMPLED"
        return (
            f"{self.data_caption(account)}; cold: at most {self.protocol['cold_at_most']} target "
            f"interactions in train; {ranking}{of_all}, ties against the model; "
            f"{self._crossing}seed {self.seed}."
        )

    @property
    def _crossing(self) -> str:
        if not self.is_private:
            return ""
        epsilon = self.privacy["epsilon"]
        return f"W_source by DP-SGD, epsilon <= {epsilon:g} a user, and no event of the source; "


def in_one_process(trainer: Mapping[str, Any]) -> bool:
    """Whether a Trainer of this configuration trains in the process that made it."""
    return trainer["devices"] in (1, "1") and "spawn" not in str(trainer["strategy"])
