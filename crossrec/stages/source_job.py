"""The job of a source's owner: raw files -> W_s, to be handed to the owner of a target."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossrec.data.identities import Identity
from crossrec.data.prepared import load_pair
from crossrec.models.interface import Recommender
from crossrec.stages.collecting import collect
from crossrec.stages.encoding import encode_items
from crossrec.stages.handover import hand_over
from crossrec.stages.learning import Learning, account_of, validation_of
from crossrec.stages.pretraining import pretrain_encoder
from crossrec.stages.settings import Settings
from crossrec.stages.staging import Cost, Staging
from crossrec.training.weights import read_weights


@dataclass(frozen=True)
class Handed:
    """What the owner of a source has made.

    Attributes:
        folder: of W_s (see `handover`), inside the run folder, whose other files (the log, the
            record) are not for handing over.
        validation, data, artifacts, costs, privacy: as in `main_job.Outcome`.
    """

    folder: Path
    validation: dict[str, dict[str, float]]
    data: Path
    artifacts: dict[str, str]
    costs: dict[str, Cost]
    privacy: dict[str, Any] | None


def hand_over_source(settings: Settings) -> Handed:
    """The owner of a source: its raw files -> W_s."""
    staging = Staging(settings.artifacts)
    data = collect(settings, staging, without="target")
    pair = load_pair(data)
    with_text = "text" in settings.content
    language_model = pretrain_encoder(settings, staging, data) if with_text else None
    content = encode_items(settings, staging, data, language_model)
    learning = Learning(settings, staging, data, pair, content)
    artifact = learning.train_source()
    _, model = learning.load_source(read_weights(artifact))
    assert isinstance(model, Recommender)
    folder, spent = settings.run_folder / "handover", account_of(artifact).get("privacy")
    folder.mkdir(exist_ok=True)
    hand_over(
        folder,
        settings,
        model,
        pair.source,
        content.artifact,
        language_model,
        Identity(**settings.identity).key,
        spent,
    )
    validation = {"source": validation_of(artifact)}
    return Handed(folder, validation, data, staging.used, staging.costs, spent)
