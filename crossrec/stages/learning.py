"""Models as artifacts: trained unless they are there, and opened as rankers."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from crossrec.data.domain import Domain
from crossrec.data.identities import Identity
from crossrec.data.pair import DomainPair
from crossrec.data.pseudonyms import fingerprint
from crossrec.encoders.content import Content
from crossrec.lineage import code_behind
from crossrec.models.content import LearnedContent
from crossrec.models.fusion import fuse
from crossrec.models.interface import Recommender
from crossrec.stages.curves import keep_curve, show_curve
from crossrec.stages.end_to_end import EndToEnd
from crossrec.stages.handover import WEIGHTS, Received
from crossrec.stages.scoring import Single, of_model, of_pair_model
from crossrec.stages.settings import Part, Settings
from crossrec.stages.staging import Staging
from crossrec.stages.trainers import device_of, started, trainer_of
from crossrec.training.fitting import (
    build_model,
    fit_private,
    fit_source,
    fit_target,
    zero_shot,
)
from crossrec.training.importance import fisher
from crossrec.training.pair_training import build_pair, fit_pair
from crossrec.training.resuming import Progress
from crossrec.training.weights import put_weights, read_weights, save_weights
from crossrec.transfer.pair_model import PairModel

log = logging.getLogger(__name__)
Model = Recommender | PairModel
# Modules behind every training; those of its components come besides.
TRAINING = (
    "crossrec.data.prepared",
    "crossrec.models.fusion",
    "crossrec.training.fitting",
    "crossrec.training.pair_training",
    "crossrec.training.importance",
)
# And where the language model learns, too.
END_TO_END = ("crossrec.encoders.last_layers",)
# How a run is shown, and how often it is saved, is no input of what it makes.
SHOWN = ("enable_progress_bar", "enable_model_summary", "log_every_n_steps")
SAVED = ("checkpoint_minutes",)


class Learning:
    """The training stages of one run, and their models.

    Args:
        settings: of the run.
        staging: where artifacts are kept.
        data: what `collect` made.
        pair: read from it.
        content: vectors of its items.
        end_to_end: makes the network that reads them, where it learns with the recommender.
    """

    def __init__(
        self,
        settings: Settings,
        staging: Staging,
        data: Path,
        pair: DomainPair,
        content: Content,
        end_to_end: EndToEnd | None = None,
    ) -> None:
        self.settings, self.staging = settings, staging
        self.data, self.pair, self.content = data, pair, content
        self.end_to_end = end_to_end

    def train_source(self) -> Path:
        """The recommender on the source domain: W_s."""

        def make(folder: Path, progress: Progress) -> None:
            s = self.settings
            model = self._model(self.pair.source)
            trainer, objective = trainer_of(s, "source"), s.objective.make()
            if s.is_private:
                decay = s.training["weight_decay"]
                account = fit_private(
                    model, self.pair.source, objective, trainer, s.privacy, decay, s.seed
                )
            else:
                account = fit_source(
                    model, self.pair.source, objective, trainer, s.training, s.seed, progress
                )
            save_weights(folder, model, account)

        reads = {"privacy": self.settings.privacy} if self.settings.is_private else {}
        return self._stage("source", [self.settings.model], reads, make)

    def receive_source(self, received: Received) -> Path:
        """W_s of another owner, in the target's order, as if `train_source` had made it here."""
        key = Identity(**self.settings.identity).key
        model = self._model(self.pair.target_only)
        self.pair, weights = received.lay_on(self.pair, model, key)

        def make(folder: Path) -> None:
            save_file({n: value.contiguous() for n, value in weights.items()}, folder / WEIGHTS)
            account = {"privacy": received.about["privacy"], "received": received.about["sha256"]}
            (folder / "training.json").write_text(json.dumps(account, indent=1) + "\n")

        inputs = {
            "data": self.data.name,
            "received": received.about["sha256"],
            "salt": key and fingerprint(key),
        }
        code = code_behind("crossrec.data.pseudonyms", "crossrec.encoders.whitening")
        return self.staging.stage("source", (*code, "stages/handover.py"), inputs, make)

    def train(self, name: str, method: Part, source: Path | None) -> Path:
        """A model of the target, with a transfer method.

        Args:
            name: of the stage: scratch, transfer, or that of a candidate.
            source: what `train_source` made; None for a method that uses nothing of it.
        """
        brings_network = isinstance(method.make(), PairModel)
        reads: dict[str, Any] = {"method": method.config}
        if brings_network:
            reads["model"] = None
        elif source is not None:
            reads["source"] = {"artifact": source.name}
            reads["weights_alone"] = self.settings.weights_alone

        def make(folder: Path, progress: Progress) -> None:
            if brings_network:
                self._train_pair(folder, progress, name, method)
            else:
                self._train_target(folder, progress, name, method, source)

        parts = [method] if brings_network else [method, self.settings.model]
        # What a run of a method made is there for a guard of which it is a candidate.
        kind = "scratch" if name == "scratch" else "transfer"
        return self._stage(name, parts, reads, make, kind)

    def _train_target(
        self, folder: Path, progress: Progress, name: str, method: Part, source: Path | None
    ) -> None:
        """The same recommender as in the source on the target domain: W."""
        s = self.settings
        carry = method.make()
        domain = self._target(carry.reads_source)
        weights = read_weights(source) if source else {}
        importance = self._importance(weights, carry.source_cases)
        model = self._model(domain)
        account = fit_target(
            model,
            self.pair,
            domain,
            weights,
            carry,
            s.objective.make(),
            trainer_of(s, name),
            s.training,
            s.seed,
            importance,
            progress,
        )
        save_weights(folder, model, account)

    def _train_pair(self, folder: Path, progress: Progress, name: str, method: Part) -> None:
        """A method that brings its own network, on both domains."""
        s = self.settings
        model = method.make()
        account = fit_pair(
            model,
            self.pair,
            self.content,
            s.objective.make,
            trainer_of(s, name),
            s.training,
            s.seed,
            progress,
        )
        save_weights(folder, model, account)

    def open(self, method: Part, artifact: Path) -> Single:
        """What `train` made, as a ranker of the target."""
        return _ranker(*self.load(method, read_weights(artifact)))

    def open_source(self, artifact: Path) -> Single:
        """What `train_source` made, as a ranker of the source."""
        return _ranker(*self.load_source(read_weights(artifact)))

    def open_zero_shot(self, artifact: Path) -> Single:
        """The source's weights as a ranker of the target: nothing is trained."""
        return _ranker(*self.load_zero_shot(read_weights(artifact)))

    def load(self, method: Part, weights: dict[str, Tensor]) -> tuple[Domain, Model]:
        """A model of the target with weights that `train` kept, and the domain that it reads."""
        made = method.make()
        if isinstance(made, PairModel):
            build_pair(made, self.pair, self.content, self.settings.seed)
            put_weights(made, weights)
            return self.pair.target, made.to(device_of(self.settings))
        return self._load(self._target(made.reads_source), weights)

    def load_source(self, weights: dict[str, Tensor]) -> tuple[Domain, Model]:
        """The model of the source, with the weights that `train_source` kept."""
        return self._load(self.pair.source, weights)

    def load_zero_shot(self, weights: dict[str, Tensor]) -> tuple[Domain, Model]:
        """A model of the target made of the source's weights alone."""
        domain = self._target(reads_source=True)
        model = self._model(domain)
        zero_shot(model, self.pair, domain, weights)
        return domain, model.to(device_of(self.settings))

    def _load(self, domain: Domain, weights: dict[str, Tensor]) -> tuple[Domain, Model]:
        model = self._model(domain)
        put_weights(model, weights)
        return domain, model.to(device_of(self.settings))

    def _target(self, reads_source: bool) -> Domain:
        if reads_source and not self.settings.weights_alone:
            return self.pair.target
        return self.pair.target_only

    def _model(self, domain: Domain) -> Recommender:
        content: Tensor | LearnedContent | None
        if domain is self.pair.source:
            content = self.end_to_end.source() if self.end_to_end else self.content.source
        else:
            vectors = self.end_to_end or self.content
            content = vectors.of_target(domain.n_context > 0)
        model = build_model(self.settings.model.make, domain, content, self.settings.seed)
        fuse(model, self.content.blocks, self.content.fusion)
        return model

    def _importance(self, weights: dict[str, Tensor], n_cases: int) -> dict[str, Tensor] | None:
        """How much the source's loss depends on each of its weights, if a method asks for it."""
        if n_cases == 0:
            return None
        s = self.settings
        model = self._model(self.pair.source)
        put_weights(model, weights)
        model.to(device_of(s))
        return fisher(model, self.pair.source, s.objective.make(), n_cases, s.seed)

    def _stage(
        self,
        name: str,
        parts: list[Part],
        reads: dict[str, Any],
        make: Callable[[Path, Progress], None],
        kind: str | None = None,
    ) -> Path:
        """Train unless it is there.

        Args:
            name, kind: as in `Staging.stage`.
            parts: components whose code the result depends on, besides the objective's.
            reads: inputs besides those of every training.
            make: trains, writes the artifact into a folder, and how far it is wherever it is told.
        """
        s = self.settings
        components = [part.config["_target_"] for part in (*parts, s.objective)]
        behind = [*TRAINING, *(target.rpartition(".")[0] for target in components)]
        if self.end_to_end:
            behind += END_TO_END
            reads = {**reads, "end_to_end": self.end_to_end.inputs}
        code = code_behind(*behind)
        inputs = {
            "data": self.data.name,
            "content": self.content.artifact,
            "fusion": self.content.fusion,
            "model": s.model.config,
            "objective": s.objective.config,
            "training": {k: v for k, v in s.training.items() if k not in SAVED},
            "trainer": {k: v for k, v in s.trainer.config.items() if k not in SHOWN} | started(),
            "seed": s.seed,
            **reads,
        }

        def make_with_curve(folder: Path) -> None:
            file = self.staging.progress(kind or name, code, inputs)
            minutes = s.training["checkpoint_minutes"]
            make(folder, Progress(file, folder / "checkpoint.partial", minutes))
            keep_curve(s.run_folder, name, folder)

        folder = self.staging.stage(name, code, inputs, make_with_curve, True, kind)
        show_curve(folder, s.run_folder, name)
        account = account_of(folder)
        trained = f", epoch {account['best_epoch'] + 1} of {account['epochs']}"
        log.info(
            "           %s %.4f in validation%s",
            account["monitor"].removeprefix("valid/"),
            account["best"],
            trained if account["epochs"] else "",
        )
        return folder


def _ranker(domain: Domain, model: Model) -> Single:
    of = of_pair_model(model) if isinstance(model, PairModel) else of_model(model)
    return Single(domain, of)


def account_of(artifact: Path) -> dict[str, Any]:
    """What a training stage says of its training."""
    account: dict[str, Any] = json.loads((artifact / "training.json").read_text())
    return account


def validation_of(artifact: Path) -> dict[str, float]:
    """The validation metric that chose a model's weights, e.g. ndcg@10, and its best value."""
    account = account_of(artifact)
    return {account["monitor"].removeprefix("valid/"): account["best"]}
