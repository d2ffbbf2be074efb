"""A run folder -> its models at work, from its resolved configuration and its artifacts."""

import json
import logging
import shlex
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from crossrec.configuration.composing import recompose
from crossrec.data.domain import Domain
from crossrec.data.pair import Side
from crossrec.data.prepared import load_pair, read_account
from crossrec.encoders.content import Content, read_content
from crossrec.errors import UserError
from crossrec.integrity import check
from crossrec.serving.growing import Additions, grown_content, grown_pair, grown_weights
from crossrec.serving.rows import Mixed, Row, at_work, baseline
from crossrec.serving.text import Reader
from crossrec.stages.baselines import baselines
from crossrec.stages.learning import Learning, Model, account_of
from crossrec.stages.scoring import Contestant
from crossrec.stages.settings import Part
from crossrec.stages.staging import Staging
from crossrec.training.weights import read_weights

log = logging.getLogger(__name__)
Load = Callable[[Learning, dict[str, Tensor]], tuple[Domain, Model]]
TRANSFERRED, SCRATCH, SOURCE = "transferred", "scratch", "source"
READS_HISTORY = {"popularity": False, "item-knn": True, "ease": True}  # the baselines


class Run:
    """A run that was made.

    Args:
        folder: of the run.
        artifacts: where its artifacts are, None for where its configuration says.
        device: where to compute, as torch names it.

    Attributes:
        name: of the folder.
        pair: source and target as the run read them.
        data: folder that the pair was read from.
        caption: what the run was measured on.
        reader: of new items; None if the run can read none, and then `no_reader` says why.

    Raises:
        UserError: it is no finished run of this version, or an artifact is gone; says which command
            makes it again.
    """

    def __init__(self, folder: Path, artifacts: Path | None, device: str) -> None:
        settings = recompose(folder)
        trainer = Part({**settings.trainer.config, "accelerator": device}, settings.trainer.make)
        self.settings = replace(
            settings, trainer=trainer, artifacts=artifacts or settings.artifacts
        )
        self.name = folder.resolve().name
        if self.settings.end_to_end["layers"] is not None:
            raise UserError(
                f"{folder}: a run with end_to_end=last_layers is trained and judged, but not "
                "served; give one with end_to_end=off"
            )
        self.stages = self._stages(folder)
        self.weights = {
            stage: read_weights(artifact)
            for stage, artifact in self.stages.items()
            if (artifact / "weights.safetensors").is_file()
        }
        self.data = self.stages["collect"]
        self.pair = load_pair(self.data)
        self.caption = self.settings.caption(read_account(self.data))
        encoded = self.stages.get("encode")
        self.content = read_content(encoded) if encoded else Content(None, None, None)
        self.base = self._learning(self.pair, self.content)
        self.reader: Reader | None = None
        self.no_reader = "no language model reads the items of this run (encoder=none)"
        if encoded:
            try:
                self.reader = Reader.of(self.settings, encoded, self.stages.get("pretrain"))
            except UserError as error:
                self.no_reader = str(error)
                log.warning("items      none can be added: %s", error)

    def rows(self, added: Additions) -> dict[Side, dict[str, Row]]:
        """What ranks each domain, by the name of the row: the run's model first, then scratch.

        Args:
            added: items that came later.

        Raises:
            RuntimeError: the run's method has weights for each item that nothing can be put into.
        """
        of = _Rows(self, added)
        rows: dict[Side, dict[str, Row]] = {
            "target": {name: of.row(name) for name in (TRANSFERRED, SCRATCH)},
            "source": {},
        }
        # What another owner handed over are weights of the target's shape: its items are not here.
        if SOURCE in self.stages and self.settings.source_weights is None:
            rows["source"][SOURCE] = of.trained(SOURCE, "source", Learning.load_source)
        return rows

    @cached_property
    def baselines(self) -> dict[str, Contestant]:
        """Those of the table, fitted."""
        tuned = json.loads((self.stages["baselines"] / "settings.json").read_text())
        fitted = baselines(self.pair.target_only, None, tuned)
        return {contestant.name: contestant for contestant in fitted}

    def _learning(self, pair: Any, content: Content) -> Learning:
        staging = Staging(self.settings.artifacts)
        return Learning(self.settings, staging, self.stages["collect"], pair, content)

    def _stages(self, folder: Path) -> dict[str, Path]:
        """Stage -> its artifact, all of which are there."""
        try:
            record = json.loads((folder / "record.json").read_text())
            made, command = record["artifacts"], record["command"]
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"{folder} is no finished run: its record.json names no artifacts. Run it to its "
                "end, or give the folder of another run"
            ) from error
        stages = {stage: self.settings.artifacts / name for stage, name in made.items()}
        for stage, artifact in stages.items():
            try:
                check(artifact)
            except UserError as error:
                again = shlex.join(["python", "-m", "crossrec.train", *command[1:]])
                raise UserError(
                    f"{folder}, stage {stage}: {error}. Make it again, where the run was made, "
                    f"with\n  {again}\nor say with --artifacts DIR where the artifacts lie now"
                ) from error
        return stages


class _Rows:
    """The rows of a run with some items added."""

    def __init__(self, run: Run, added: Additions) -> None:
        self.run, self.added = run, added
        grown = any(len(items) for items in added.values())
        self.learning = run.base
        if grown:
            content = grown_content(run.content, added)
            self.learning = run._learning(grown_pair(run.pair, added), content)

    def row(self, name: str) -> Row:
        """A row of the target, called as in the results table."""
        run, settings = self.run, self.run.settings
        if name == TRANSFERRED and settings.candidates:
            return self.mixed("guard")
        if name == "target-mix":
            return self.mixed(name)
        if name in READS_HISTORY:
            ranker = run.baselines[name].ranker
            return baseline(self.learning.pair.target_only, ranker, READS_HISTORY[name])
        if name == "zero-shot":
            # What it knows of an item's id comes from the source: of a new item it knows nothing.
            domain, model = self.learning.load_zero_shot(run.weights[SOURCE])
            return at_work(domain, "target", model)
        method = settings.candidates.get(name, settings.transfer)
        if name == SCRATCH:
            method = settings.scratch
        stage = "transfer" if name == TRANSFERRED else name
        return self.trained(stage, "target", lambda of, weights: of.load(method, weights))

    def mixed(self, stage: str) -> Row:
        """What a guard chose."""
        chosen = account_of(self.run.stages[stage])["weights"]
        weights = {name: weight for name, weight in chosen.items() if weight}
        members = [self.row(name) for name in weights]
        return members[0] if len(members) == 1 else Mixed(members, list(weights.values()))

    def trained(self, stage: str, side: Side, load: Load) -> Row:
        """A model that a stage trained."""
        weights = self.run.weights[stage]
        domain, model = load(self.run.base, weights)
        if self.learning is not self.run.base:
            n_own = len(self.added[side])
            n_context = len(self.added["source"]) if domain.n_context else 0
            tables = getattr(model, "item_tables", ())
            weights = grown_weights(weights, tables, domain, n_own, n_context)
            domain, model = load(self.learning, weights)
        return at_work(domain, side, model)
