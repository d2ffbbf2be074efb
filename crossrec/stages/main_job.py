"""The main job, top to bottom: raw files -> results table. Each stage keeps what it makes."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossrec.data.identities import split_name
from crossrec.data.pair import DomainPair
from crossrec.data.prepared import load_pair, read_account
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.evaluation.results import Results, write_results
from crossrec.evaluation.summary import SINGLE_DOMAIN
from crossrec.stages.baselines import METRIC, Tuned, baselines, tune_baselines
from crossrec.stages.collecting import collect
from crossrec.stages.encoding import encode_items
from crossrec.stages.end_to_end import keep_states
from crossrec.stages.exhibits import write_exhibits
from crossrec.stages.guarding import guard, guarded
from crossrec.stages.handover import Received, reading
from crossrec.stages.judging import carried, judge, oracle, trained
from crossrec.stages.learning import Learning, account_of, validation_of
from crossrec.stages.pretraining import pretrain_encoder
from crossrec.stages.reasons import Explainer
from crossrec.stages.recommend import recommend, write_recommendations
from crossrec.stages.reranking.reason_writing import ReasonWriter
from crossrec.stages.reranking.stage import Reranking
from crossrec.stages.scoring import Contestant, Ranker
from crossrec.stages.settings import Part, Settings
from crossrec.stages.staging import Cost, Staging
from crossrec.training.objectives import Rating
from crossrec.transfer.method import check_overlap
from crossrec.transfer.pair_model import PairModel
from crossrec.world import n_ranks

log = logging.getLogger(__name__)
TRANSFERRED = "transferred"  # the row that the run is made for
TARGET_MIX = "target-mix"


@dataclass(frozen=True)
class Learned:
    """What a run has when its models are trained.

    Attributes:
        data: folder of the prepared pair.
        pair: read from it.
        content: vectors of its items.
        learning: opens the models.
        methods: the transfer methods by the name of their row.
        source, scratch: artifacts; no source where nothing is carried.
        artifacts: of the methods.
        received: what the owner of the source handed over, where that is not here.
        reranking, writer: what comes after, if it was asked for.
    """

    data: Path
    pair: DomainPair
    content: Content
    learning: Learning
    methods: dict[str, Part]
    source: Path | None
    scratch: Path
    artifacts: dict[str, Path]
    received: Received | None
    reranking: Reranking | None
    writer: ReasonWriter | None


def learn(settings: Settings, staging: Staging) -> Learned:
    """Everything from raw files to trained models; all ranks of a run go through it."""
    received = Received.read(settings.source_weights) if settings.source_weights else None
    data = collect(settings, staging, without="source" if received else None)
    pair = load_pair(data)
    methods = methods_for(settings, pair)
    # What they refuse is told before anything is trained.
    reranking = Reranking(settings, staging) if settings.reranking["model"] else None
    writer = ReasonWriter(settings, staging) if settings.recommend["writer"] else None
    with_text = "text" in settings.content
    language_model = pretrain_encoder(settings, staging, data) if with_text else None
    if received:
        received.check_reading(reading(settings, language_model))
    vector_map = received.map if received else None
    content = encode_items(settings, staging, data, language_model, vector_map)
    end_to_end = keep_states(settings, staging, data, language_model, content)
    learning = Learning(settings, staging, data, pair, content, end_to_end)
    carrying = any(not isinstance(method.make(), PairModel) for method in methods.values())
    source = None
    if carrying:
        source = learning.receive_source(received) if received else learning.train_source()
        pair = learning.pair
    scratch = learning.train("scratch", settings.scratch, None)
    artifacts = {
        name: learning.train("transfer" if name == TRANSFERRED else name, method, source)
        for name, method in methods.items()
    }
    return Learned(
        data,
        pair,
        content,
        learning,
        methods,
        source,
        scratch,
        artifacts,
        received,
        reranking,
        writer,
    )


def main_job(settings: Settings) -> "Outcome":
    """Everything between raw files and the results table."""
    staging = Staging(settings.artifacts)
    staging.followed = n_ranks() > 1
    made = learn(settings, staging)
    staging.followed = False
    data, pair, source, artifacts = made.data, made.pair, made.source, made.artifacts
    tuned = tune_baselines(staging, data, pair.target_only)
    contest = Contest(settings, pair, made.learning)
    if settings.candidates or settings.evaluation["test"]:
        contest.enter(tuned, source, made.scratch, made.methods, artifacts)
    if settings.candidates:
        reads = {name: path.name for name, path in {"scratch": made.scratch, **artifacts}.items()}
        artifacts[TRANSFERRED] = contest.guard(staging, reads)
    results, caption = None, settings.caption(read_account(data))
    if settings.evaluation["test"]:
        ranked_by = artifacts[TRANSFERRED].name
        with staging.timed("recommend"):
            asked = source if made.received is None else None  # the source itself is not here
            of_source = made.learning.open_source(asked) if asked else None
            contest.recommend(of_source, made.writer, ranked_by)
        with staging.timed("evaluate"):
            results = contest.evaluate(data, made.content)
        if made.reranking:
            made.reranking.run(data, pair, contest.transferred, ranked_by, caption)
    validation = {name: {METRIC: chosen[METRIC]} for name, chosen in tuned.items()}
    trained_rows = {"scratch": made.scratch, **artifacts}
    validation |= {name: validation_of(artifact) for name, artifact in trained_rows.items()}
    spent = account_of(source).get("privacy") if source else None
    return Outcome(results, caption, validation, data, staging.used, staging.costs, spent)


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        results: the table; None where the run stops at validation (evaluation.test=false).
        caption: what it was measured on.
        validation: row of the table -> what it reached in validation, by metric; rows that were
            trained or tuned have one.
        data: folder of the prepared pair.
        artifacts: stage -> name of the artifact that it made or reused.
        costs: stage -> seconds, memory and size (see `Staging.costs`).
        privacy: what the source's training spent of its users' privacy; None if it was not private.
    """

    results: Results | None
    caption: str
    validation: dict[str, dict[str, float]]
    data: Path
    artifacts: dict[str, str]
    costs: dict[str, Cost]
    privacy: dict[str, Any] | None


def methods_for(settings: Settings, pair: DomainPair) -> dict[str, Part]:
    """The transfer methods of a run by the name of their row.

    Raises:
        UserError: the pair lacks the overlap that the method (or every candidate) needs.
    """
    overlap = len(pair.shared_users), len(pair.shared_items)
    names = f"{pair.source.name} -> {pair.target.name}"
    if not settings.candidates:
        check_overlap(settings.transfer.make(), names, *overlap)
        return {TRANSFERRED: settings.transfer}
    able = {}
    for name, method in settings.candidates.items():
        try:
            check_overlap(method.make(), names, *overlap)
        except UserError as error:
            log.info("           without %s: %s", name, str(error).split(":")[0])
        else:
            able[name] = method
    return able


class Contest:
    """The rows of the results table.

    Args:
        settings: of the run.
        pair: source and target.
        learning: opens the models.
    """

    def __init__(self, settings: Settings, pair: DomainPair, learning: Learning) -> None:
        self.settings, self.pair, self.learning = settings, pair, learning
        self.rates = isinstance(settings.objective.make(), Rating)
        self.contestants: list[Contestant] = []

    def enter(
        self,
        tuned: Tuned,
        source: Path | None,
        scratch: Path,
        methods: dict[str, Part],
        artifacts: dict[str, Path],
    ) -> None:
        """Baselines, scratch, zero-shot if there is a source model, and every method."""
        s = self.settings
        self.contestants += baselines(self.pair.target_only, s.rating_scale, tuned)
        self._add("scratch", self.learning.open(s.scratch, scratch))
        if source is not None:
            zero_shot = self.learning.open_zero_shot(source)
            # What maps scores to ratings is fitted on the source's users: it stays with them, too.
            of_source = None if s.weights_alone else self.learning.open_source(source)
            self.contestants.append(
                carried("zero-shot", zero_shot, of_source, self.rates, s.rating_scale)
            )
        for name, method in methods.items():
            self._add(name, self.learning.open(method, artifacts[name]))

    def _add(self, name: str, ranker: Ranker) -> None:
        self.contestants.append(trained(name, ranker, self.rates, self.settings.rating_scale))

    def guard(self, staging: Staging, reads: dict[str, str]) -> Path:
        """Mix all rows so far into the transferred one.

        What rows that know the target alone come to, mixed alike, stands beside it: more than that
        is owed to the source and not to mixing.
        """
        everyone = list(self.contestants)
        single = [contestant for contestant in everyone if contestant.name in SINGLE_DOMAIN]
        self._mix(TARGET_MIX, staging, single, {"scratch": reads["scratch"]})
        return self._mix(TRANSFERRED, staging, everyone, reads)

    def _mix(
        self, name: str, staging: Staging, members: Sequence[Contestant], reads: dict[str, str]
    ) -> Path:
        target, scale = self.pair.target, self.settings.rating_scale
        stage = "guard" if name == TRANSFERRED else name
        artifact = guard(stage, staging, members, target, reads, self.rates)
        self.contestants.append(guarded(name, artifact, members, target, scale))
        return artifact

    @property
    def transferred(self) -> Ranker:
        """How the model that the run is made for ranks."""
        return self.contestants[-1].ranker

    def recommend(self, source: Ranker | None, writer: ReasonWriter | None, ranked_by: str) -> None:
        """Top-N lists for every user, in the target and, if a model knows it, in the source.

        Args:
            source: ranks the source.
            writer: of reasons in the target; None leaves them as `Explainer` puts them.
            ranked_by: name of the transferred model's artifact.
        """
        start = time.monotonic()
        top_n = self.settings.recommend["top_n"]
        rankers = [self.transferred, source] if source else [self.transferred]
        path = self.settings.run_folder / "recommendations.parquet"
        explainers = [
            Explainer.of(ranker.domain, self.pair, self.learning.data, self.learning.content)
            for ranker in rankers
        ]
        lists = [recommend(*who, top_n) for who in zip(rankers, explainers, strict=True)]
        if writer:
            lists[0] = writer.rewrite(lists[0], explainers[0], self.learning.data, ranked_by)
        write_recommendations(path, *lists)
        where = "both domains" if source else "the target"
        log.info("recommend  top %d in %s (%.1f s)", top_n, where, time.monotonic() - start)

    def evaluate(self, data: Path, content: Content) -> Results:
        """Rank the test queries with every row and write the results into the run folder."""
        start = time.monotonic()
        s, target = self.settings, self.pair.target
        rows = list(self.contestants)
        if s.data["simulated"] and not s.identity["salt"]:  # it knows people by their names
            preferences = s.reader.make().oracle(split_name(s.data["target"])[0])
            rows.append(oracle(preferences, target, s.rating_scale))
        shared, cold = self.pair.shared_users, s.protocol["cold_at_most"]
        per_user = judge(rows, target, content.target, shared, cold, s.evaluation)
        results = Results.of(per_user, target.n_items)
        account = read_account(data)
        caption, fingerprint = s.caption(account), account["fingerprint"]
        write_exhibits(s.run_folder, self.pair, s.seed)
        write_results(s.run_folder, per_user, results, caption, target.n_items, fingerprint)
        log.info(
            "evaluate   %d models, %s test users (%.1f s)",
            per_user["model"].n_unique(),
            f"{len(target.test):,}",
            time.monotonic() - start,
        )
        return results
