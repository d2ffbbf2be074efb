"""The main job, top to bottom: raw files -> results table. Each stage keeps what it makes."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import polars as pl
from torch import Tensor

import crossrec
from crossrec.artifacts import ArtifactStore, code_digest
from crossrec.data.columns import SPLIT
from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.data.prepared import describe, load_pair, prepare, read_account, read_tables
from crossrec.encoders.content import Content, read_content, write_content
from crossrec.encoders.language_model import LanguageModel, file_digest, weights_digest
from crossrec.encoders.text import compose, corpus
from crossrec.evaluation.results import Results, write_results
from crossrec.judging import baselines, carried, judge, oracle, trained
from crossrec.models.interface import Recommender
from crossrec.recommend import recommend, write_recommendations
from crossrec.settings import Part, Settings
from crossrec.training.fitting import build_model, fit_source, fit_target, zero_shot
from crossrec.training.objectives import Rating
from crossrec.training.pretraining import pretrain
from crossrec.training.progress import StageBar
from crossrec.training.weights import put_weights, read_weights, save_weights
from crossrec.transfer.method import check_overlap

log = logging.getLogger(__name__)
CODE = Path(crossrec.__file__).parent
DOMAINS = ("source", "target")
PLACES = ("folder", "download")  # where files lie is no input: what is in them is
SHOWN = ("enable_progress_bar", "enable_model_summary", "log_every_n_steps")  # nor what is shown
TRAINING_CODE = ("data", "models", "transfer", "training", "evaluation/ranking.py", "losses.py")


def main_job(settings: Settings) -> "Outcome":
    """Everything between raw files and the results table."""
    stages = Stages(settings)
    data = stages.collect()
    pair = load_pair(data)
    overlap = len(pair.shared_users), len(pair.shared_items)
    names = f"{pair.source.name} -> {pair.target.name}"
    check_overlap(settings.transfer.make(), names, *overlap)
    language_model = stages.pretrain(data)
    content = stages.encode(data, language_model)
    source = stages.train_source(data, pair, content)
    scratch = stages.train_target("scratch", data, pair, content, source, settings.scratch)
    transferred = stages.train_target("transfer", data, pair, content, source, settings.transfer)
    models = stages.open_models(pair, content, source, scratch, transferred)
    stages.recommend(pair, models)
    results, caption = stages.evaluate(data, pair, content, models)
    fingerprint = read_account(data)["fingerprint"]
    return Outcome(results, caption, validation_of(transferred), fingerprint, stages.used)


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        results: the table.
        caption: what it was measured on.
        validation: what the transferred model reached in validation, by address.
        fingerprint: of the data.
        artifacts: stage -> name of the artifact that it made or reused.
    """

    results: Results
    caption: str
    validation: dict[str, float]
    fingerprint: str
    artifacts: dict[str, str]


@dataclass(frozen=True)
class Models:
    """The trained models, each with the domain that it competes in."""

    source: Recommender
    scratch: Recommender
    zero_shot: Recommender
    transferred: Recommender
    domain: Domain


class Stages:
    """The stages of one run. Those that make an artifact return its folder.

    An artifact is keyed by the stage's own settings, by the artifacts that it reads and by the
    code that makes it: a run that changes only `transfer.lambda` repeats nothing before transfer.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = ArtifactStore(settings.artifacts)
        self.used: dict[str, str] = {}

    def collect(self) -> Path:
        """Raw files -> cleaned and split tables of both domains."""
        s = self.settings
        reader = s.reader.make()
        names = [s.data["source"], s.data["target"]]
        files = [file for name in names for file in reader.files(name)]

        def make(folder: Path) -> None:
            source, target = (reader.read(name) for name in names)
            prepare(
                source,
                target,
                folder,
                clean=s.cleaning.make,
                split=lambda events: s.split.make(events, seed=s.seed),
                rating_scale=s.rating_scale,
                source_after_test=s.protocol["source_after_test"],
                cut_at=s.protocol["cut_at"],
                position_spans_domains=s.data["position_spans_domains"],
            )

        inputs = {
            "files": [file_digest(file) for file in files],
            "reader": {k: v for k, v in s.reader.config.items() if k not in PLACES},
            "names": [Path(name).name for name in names],
            "rating_scale": s.data["rating_scale"],
            "position_spans_domains": s.data["position_spans_domains"],
            "cleaning": s.cleaning.config,
            "split": s.split.config,
            "protocol": {k: s.protocol[k] for k in ("source_after_test", "cut_at")},
            "seed": s.seed,
        }
        folder = self._stage("collect", ("data",), inputs, make)
        for line in describe(read_account(folder)):
            log.info("           %s", line)
        return folder

    def pretrain(self, data: Path) -> LanguageModel | None:
        """Continue the language model on the unlabeled texts of both domains, train alone."""
        s = self.settings
        if s.encoder["model"] is None:
            return None
        cache = s.artifacts / "language_models"
        base = LanguageModel.locate(s.encoder["model"], s.encoder["pooling"], cache)
        if not s.pretraining["enabled"]:
            log.info("pretrain   off: the language model stays as it was published")
            return base
        options = {k: v for k, v in s.pretraining.items() if k not in ("enabled", "max_steps")}

        def make(folder: Path) -> None:
            domains = [read_tables(data, name) for name in DOMAINS]
            train = pl.concat([events.filter(pl.col(SPLIT) == "train") for events, _ in domains])
            texts = corpus(pl.concat([items for _, items in domains]), train)
            limits = {"max_steps": s.pretraining["max_steps"], "max_epochs": -1}
            # One process: a bounded stage does not earn the start of several.
            trainer = self._trainer("pretrain")([], devices=1, strategy="auto", **limits)
            account = pretrain(
                texts, base.folder, folder, trainer, pooling=base.pooling, seed=s.seed, **options
            )
            (folder / "pretraining.json").write_text(json.dumps(account, indent=1) + "\n")

        inputs = {
            "data": data.name,
            "model": weights_digest(base.folder),
            "pooling": base.pooling,
            "pretraining": s.pretraining,
            "precision": s.trainer.config["precision"],
            "seed": s.seed,
        }
        code = ("encoders", "training/pretraining.py", "training/language_modeling.py")
        folder = self._stage("pretrain", code, inputs, make)
        account = json.loads((folder / "pretraining.json").read_text())
        before, after = account["perplexity_before"], account["perplexity_after"]
        log.info("           held-out perplexity %.4g -> %.4g", before, after)
        return LanguageModel(folder, base.pooling)

    def encode(self, data: Path, language_model: LanguageModel | None) -> Content:
        """Item texts of both domains -> content vectors of mean length 1."""
        if language_model is None:
            return Content(None, None, None)
        s = self.settings
        options = {k: s.encoder[k] for k in ("whiten_dim", "max_length", "batch_tokens", "dtype")}

        def make(folder: Path) -> None:
            source, target = (compose(read_tables(data, name)[1]) for name in DOMAINS)
            write_content(folder, source, target, language_model, device=self._device, **options)

        inputs = {
            "data": data.name,
            "model": weights_digest(language_model.folder),
            "pooling": language_model.pooling,
            **options,
        }
        return read_content(self._stage("encode", ("encoders",), inputs, make))

    def train_source(self, data: Path, pair: DomainPair, content: Content) -> Path:
        """The recommender on the source domain: W_s."""

        def make(folder: Path) -> None:
            s = self.settings
            model = self._model(pair.source, content.source)
            trainer = self._trainer("source")
            account = fit_source(
                model, pair.source, s.objective.make(), trainer, s.training, s.seed
            )
            save_weights(folder, model, account)

        return self._training_stage("source", data, content, {}, make)

    def train_target(
        self, name: str, data: Path, pair: DomainPair, content: Content, source: Path, method: Part
    ) -> Path:
        """The same recommender on the target domain, with a transfer method: W."""

        def make(folder: Path) -> None:
            s = self.settings
            carry = method.make()
            domain = pair.target if carry.reads_source else pair.target_only
            model = self._model(domain, content.of_target(domain.n_context > 0))
            account = fit_target(
                model,
                pair,
                domain,
                read_weights(source),
                carry,
                s.objective.make(),
                self._trainer(name),
                s.training,
                s.seed,
            )
            save_weights(folder, model, account)

        reads = {"method": method.config}
        if name != "scratch":  # which uses nothing of the source
            reads["source"] = {"artifact": source.name}
        return self._training_stage(name, data, content, reads, make)

    def open_models(
        self, pair: DomainPair, content: Content, source: Path, scratch: Path, transferred: Path
    ) -> Models:
        """Models with the artifacts' weights, and the zero-shot model made of the source's."""
        reads_source = self.settings.transfer.make().reads_source
        domain = pair.target if reads_source else pair.target_only

        def load(domain: Domain, vectors: Tensor | None, artifact: Path) -> Recommender:
            model = self._model(domain, vectors)
            put_weights(model, read_weights(artifact))
            return model.to(self._device)

        untrained = self._model(pair.target, content.of_target(True))
        zero_shot(untrained, pair, read_weights(source))
        untrained.to(self._device)
        return Models(
            source=load(pair.source, content.source, source),
            scratch=load(pair.target_only, content.target, scratch),
            zero_shot=untrained,
            transferred=load(domain, content.of_target(domain.n_context > 0), transferred),
            domain=domain,
        )

    def recommend(self, pair: DomainPair, models: Models) -> None:
        """Top-N lists for every user, in the target and in the source domain."""
        start = time.monotonic()
        top_n = self.settings.recommend["top_n"]
        path = self.settings.run_folder / "recommendations.parquet"
        write_recommendations(
            path,
            recommend(models.transferred, models.domain, top_n),
            recommend(models.source, pair.source, top_n),
        )
        log.info("recommend  top %d in both domains (%.1f s)", top_n, time.monotonic() - start)

    def evaluate(
        self, data: Path, pair: DomainPair, content: Content, models: Models
    ) -> tuple[Results, str]:
        """Rank the test queries with every model and write the results into the run folder."""
        start = time.monotonic()
        s = self.settings
        rates = isinstance(s.objective.make(), Rating)
        rows = [
            *baselines(pair.target_only, s.rating_scale),
            trained("scratch", models.scratch, pair.target_only, rates, s.rating_scale),
            carried("zero-shot", models.zero_shot, models.source, pair, rates, s.rating_scale),
            trained("transferred", models.transferred, models.domain, rates, s.rating_scale),
        ]
        if s.data["simulated"]:
            preferences = s.reader.make().oracle(s.data["target"])
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

    @property
    def _device(self) -> str:
        """Where encoding, ranking and recommending run: the trainer's accelerator."""
        return "cuda" if self.settings.trainer.config["accelerator"] in ("gpu", "cuda") else "cpu"

    def _model(self, domain: Domain, content: Tensor | None) -> Recommender:
        return build_model(self.settings.model.make, domain, content, self.settings.seed)

    def _trainer(self, stage: str) -> Callable[..., L.Trainer]:
        """Makes the configured Trainer; what the configuration says reaches it untouched."""
        s = self.settings

        def make(callbacks: list[L.Callback], **limits: Any) -> L.Trainer:
            if s.trainer.config.get("enable_progress_bar", True):
                callbacks = [*callbacks, StageBar(stage)]
            logger = s.logger(stage) or False
            return s.trainer.make(
                callbacks=callbacks, logger=logger, default_root_dir=s.run_folder, **limits
            )

        return make

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
        folder = self._stage(name, TRAINING_CODE, inputs, make)
        account = json.loads((folder / "training.json").read_text())
        log.info(
            "           %s %.4f in validation, epoch %d of %d",
            account["monitor"].removeprefix("valid/"),
            account["best"],
            account["best_epoch"] + 1,
            account["epochs"],
        )
        return folder

    def _stage(
        self, name: str, code: tuple[str, ...], inputs: dict[str, Any], make: Callable[[Path], None]
    ) -> Path:
        """Find or make an artifact, and say in one line which it was."""
        start = time.monotonic()
        digest = code_digest(*(CODE / part for part in code))
        folder, reused = self.store.get_or_make(name, {**inputs, "code": digest}, make)
        self.used[name] = folder.name
        seconds = time.monotonic() - start
        log.info("%-10s %s %s (%.1f s)", name, "reused" if reused else "made", folder.name, seconds)
        return folder


def validation_of(artifact: Path) -> dict[str, float]:
    """Best validation value of a target model by its address, e.g. valid/target/ndcg@10."""
    account = json.loads((artifact / "training.json").read_text())
    return {account["monitor"].replace("valid/", "valid/target/"): account["best"]}
