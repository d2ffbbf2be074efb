"""The main job, top to bottom: raw files -> results table. Each stage keeps what it makes."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from crossrec.collecting import collect
from crossrec.data.domain import Domain
from crossrec.data.identities import split_name
from crossrec.data.pair import DomainPair
from crossrec.data.prepared import load_pair, read_account
from crossrec.encoders.content import Content
from crossrec.encoders.language_model import LanguageModel
from crossrec.encoding import encode_items, pretrain_encoder
from crossrec.evaluation.results import Results, write_results
from crossrec.judging import baselines, carried, judge, oracle, trained
from crossrec.models.interface import Recommender
from crossrec.recommend import recommend, write_recommendations
from crossrec.scoring import Scorer, of_model, of_pair_model
from crossrec.settings import Part, Settings
from crossrec.staging import Staging
from crossrec.trainers import device_of, trainer_of
from crossrec.training.fitting import build_model, fit_source, fit_target, zero_shot
from crossrec.training.objectives import Rating
from crossrec.training.pair_training import build_pair, fit_pair
from crossrec.training.weights import put_weights, read_weights, save_weights
from crossrec.transfer.method import check_overlap
from crossrec.transfer.pair_model import PairModel

log = logging.getLogger(__name__)
# How a run is shown is no input of what it makes.
SHOWN = ("enable_progress_bar", "enable_model_summary", "log_every_n_steps")
TRAINING_CODE = ("data", "models", "transfer", "training", "evaluation/ranking.py", "losses.py")


def main_job(settings: Settings) -> "Outcome":
    """Everything between raw files and the results table."""
    stages = Stages(settings)
    data = stages.collect()
    pair = load_pair(data)
    overlap = len(pair.shared_users), len(pair.shared_items)
    names = f"{pair.source.name} -> {pair.target.name}"
    method = settings.transfer.make()
    check_overlap(method, names, *overlap)
    language_model = stages.pretrain(data)
    content = stages.encode(data, language_model)
    own_network = isinstance(method, PairModel)
    source = None if own_network else stages.train_source(data, pair, content)
    scratch = stages.train_target("scratch", data, pair, content, None, settings.scratch)
    if own_network:
        transferred = stages.train_pair(data, pair, content)
    else:
        part = settings.transfer
        transferred = stages.train_target("transfer", data, pair, content, source, part)
    models = stages.open_models(pair, content, source, scratch, transferred)
    stages.recommend(pair, models)
    results, caption = stages.evaluate(data, pair, content, models)
    return Outcome(results, caption, validation_of(transferred), data, stages.staging.used)


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        results: the table.
        caption: what it was measured on.
        validation: what the transferred model reached in validation, by address.
        data: folder of the prepared pair.
        artifacts: stage -> name of the artifact that it made or reused.
    """

    results: Results
    caption: str
    validation: dict[str, float]
    data: Path
    artifacts: dict[str, str]


@dataclass(frozen=True)
class Models:
    """The trained models.

    Attributes:
        source, zero_shot: on the source, and its weights in the target; None where the method
            brings a network of its own.
        scratch: on the target alone.
        transferred: how the transferred model scores.
        domain: where the transferred model competes.
    """

    source: Recommender | None
    zero_shot: Recommender | None
    scratch: Recommender
    transferred: Scorer
    domain: Domain


class Stages:
    """The stages of one run. Those that make an artifact return its folder."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.staging = Staging(settings.artifacts)

    def collect(self) -> Path:
        """Raw files -> cleaned and split tables and tensors of source and target."""
        return collect(self.settings, self.staging)

    def pretrain(self, data: Path) -> LanguageModel | None:
        """Continue the language model on the unlabeled texts of both domains, train alone."""
        return pretrain_encoder(self.settings, self.staging, data)

    def encode(self, data: Path, language_model: LanguageModel | None) -> Content:
        """Item texts of both domains -> content vectors of mean length 1."""
        return encode_items(self.settings, self.staging, data, language_model)

    def train_source(self, data: Path, pair: DomainPair, content: Content) -> Path:
        """The recommender on the source domain: W_s."""

        def make(folder: Path) -> None:
            s = self.settings
            model = self._model(pair.source, content.source)
            trainer = trainer_of(self.settings, "source")
            account = fit_source(
                model, pair.source, s.objective.make(), trainer, s.training, s.seed
            )
            save_weights(folder, model, account)

        return self._training_stage("source", data, content, {}, make)

    def train_target(
        self,
        name: str,
        data: Path,
        pair: DomainPair,
        content: Content,
        source: Path | None,
        method: Part,
    ) -> Path:
        """The same recommender on the target domain, with a transfer method: W.

        Args:
            source: what `train_source` made; None for a method that uses nothing of it.
        """

        def make(folder: Path) -> None:
            s = self.settings
            carry = method.make()
            domain = pair.target if carry.reads_source else pair.target_only
            model = self._model(domain, content.of_target(domain.n_context > 0))
            account = fit_target(
                model,
                pair,
                domain,
                read_weights(source) if source else {},
                carry,
                s.objective.make(),
                trainer_of(self.settings, name),
                s.training,
                s.seed,
            )
            save_weights(folder, model, account)

        reads = {"method": method.config}
        if source is not None:
            reads["source"] = {"artifact": source.name}
        return self._training_stage(name, data, content, reads, make)

    def train_pair(self, data: Path, pair: DomainPair, content: Content) -> Path:
        """A method that brings its own network, on both domains."""

        def make(folder: Path) -> None:
            s = self.settings
            model = s.transfer.make()
            trainer = trainer_of(s, "transfer")
            account = fit_pair(model, pair, content, s.objective.make, trainer, s.training, s.seed)
            save_weights(folder, model, account)

        reads = {"method": self.settings.transfer.config, "model": None}
        return self._training_stage("transfer", data, content, reads, make)

    def open_models(
        self,
        pair: DomainPair,
        content: Content,
        source: Path | None,
        scratch: Path,
        transferred: Path,
    ) -> Models:
        """Models with the artifacts' weights, and the zero-shot model made of the source's."""
        method = self.settings.transfer.make()
        device = device_of(self.settings)

        def load(domain: Domain, vectors: Tensor | None, artifact: Path) -> Recommender:
            model = self._model(domain, vectors)
            put_weights(model, read_weights(artifact))
            return model.to(device)

        alone = load(pair.target_only, content.target, scratch)
        if source is None:
            build_pair(method, pair, content, self.settings.seed)
            put_weights(method, read_weights(transferred))
            return Models(None, None, alone, of_pair_model(method.to(device)), pair.target)
        domain = pair.target if method.reads_source else pair.target_only
        untrained = self._model(pair.target, content.of_target(True))
        zero_shot(untrained, pair, read_weights(source))
        carried = load(domain, content.of_target(domain.n_context > 0), transferred)
        return Models(
            source=load(pair.source, content.source, source),
            zero_shot=untrained.to(device),
            scratch=alone,
            transferred=of_model(carried),
            domain=domain,
        )

    def recommend(self, pair: DomainPair, models: Models) -> None:
        """Top-N lists for every user, in the target and, if a model knows it, in the source."""
        start = time.monotonic()
        top_n = self.settings.recommend["top_n"]
        path = self.settings.run_folder / "recommendations.parquet"
        lists = [recommend(models.transferred, models.domain, top_n)]
        if models.source is not None:
            lists.append(recommend(of_model(models.source), pair.source, top_n))
        write_recommendations(path, *lists)
        where = "both domains" if models.source is not None else "the target"
        log.info("recommend  top %d in %s (%.1f s)", top_n, where, time.monotonic() - start)

    def evaluate(
        self, data: Path, pair: DomainPair, content: Content, models: Models
    ) -> tuple[Results, str]:
        """Rank the test queries with every model and write the results into the run folder."""
        start = time.monotonic()
        s = self.settings
        rates = isinstance(s.objective.make(), Rating)
        rows = [
            *baselines(pair.target_only, s.rating_scale),
            trained("scratch", of_model(models.scratch), pair.target_only, rates, s.rating_scale),
        ]
        if models.zero_shot is not None and models.source is not None:
            source = of_model(models.source)
            zero = of_model(models.zero_shot)
            rows.append(carried("zero-shot", zero, source, pair, rates, s.rating_scale))
        rows.append(
            trained("transferred", models.transferred, models.domain, rates, s.rating_scale)
        )
        if s.data["simulated"]:
            preferences = s.reader.make().oracle(split_name(s.data["target"])[0])
            rows.append(oracle(preferences, pair.target, s.rating_scale))
        per_user = judge(
            rows, pair.target, content.target, s.protocol["cold_at_most"], s.evaluation
        )
        results = Results.of(per_user, pair.target.n_items)
        caption = s.caption(read_account(data))
        write_results(s.run_folder, per_user, results, caption, pair.target.n_items)
        log.info(
            "evaluate   %d models, %s test users (%.1f s)",
            per_user["model"].n_unique(),
            f"{len(pair.target.test):,}",
            time.monotonic() - start,
        )
        return results, caption

    def _model(self, domain: Domain, content: Tensor | None) -> Recommender:
        return build_model(self.settings.model.make, domain, content, self.settings.seed)

    def _training_stage(
        self,
        name: str,
        data: Path,
        content: Content,
        reads: dict[str, Any],
        make: Callable[[Path], None],
    ) -> Path:
        s = self.settings
        inputs = {
            "data": data.name,
            "content": content.artifact,
            "model": s.model.config,
            "objective": s.objective.config,
            "training": s.training,
            "trainer": {k: v for k, v in s.trainer.config.items() if k not in SHOWN},
            "seed": s.seed,
            **reads,
        }
        folder = self.staging.stage(name, TRAINING_CODE, inputs, make)
        account = json.loads((folder / "training.json").read_text())
        log.info(
            "           %s %.4f in validation, epoch %d of %d",
            account["monitor"].removeprefix("valid/"),
            account["best"],
            account["best_epoch"] + 1,
            account["epochs"],
        )
        return folder


def validation_of(artifact: Path) -> dict[str, float]:
    """Best validation value of a target model by its address, e.g. valid/target/ndcg@10."""
    account = json.loads((artifact / "training.json").read_text())
    return {account["monitor"].replace("valid/", "valid/target/"): account["best"]}
