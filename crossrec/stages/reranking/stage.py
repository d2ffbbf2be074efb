"""The stage in which a language model judges the best items of the transferred model."""

import json
import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import Tensor

from crossrec.data.pair import DomainPair
from crossrec.encoders.language_model import weights_digest
from crossrec.encoders.likelihood import locate_causal
from crossrec.evaluation.ranking import rank
from crossrec.evaluation.reranking import Judged, choose_weight, compared
from crossrec.evaluation.reranking_tables import markdown, sentence
from crossrec.lineage import code_behind
from crossrec.stages.reranking.asking import Questions, item_texts
from crossrec.stages.reranking.language_judge import MODEL, Judge, read_judge_prompt
from crossrec.stages.reranking.tuning import tuned
from crossrec.stages.scoring import Ranker
from crossrec.stages.settings import Settings
from crossrec.stages.staging import Staging
from crossrec.stages.trainers import device_of

log = logging.getLogger(__name__)
Part = Literal["valid", "test"]


class Reranking:
    """A judge of the transferred model's best items, on a sample of users.

    Args:
        settings: of the run; its reranking names a model.
        staging: where artifacts are kept.

    Raises:
        UserError: the prompt or the model cannot be used.
    """

    def __init__(self, settings: Settings, staging: Staging) -> None:
        self.settings, self.staging = settings, staging
        self.options = options = settings.reranking
        self.prompt = read_judge_prompt(options)
        cache = settings.artifacts / "language_models"
        self.folder = locate_causal(options["model"], MODEL, cache)

    def run(
        self, data: Path, pair: DomainPair, ranker: Ranker, ranked_by: str, caption: str
    ) -> None:
        """Judge, choose the judge's weight on validation, and compare on test.

        Writes reranking.csv, reranking.md and reranking.json into the run folder. The results
        table is left alone: these rows are of a sample, and only comparable with each other.

        Args:
            data: folder of the prepared pair.
            ranker: the transferred model.
            ranked_by: name of its artifact.
            caption: of the run.
        """
        s, o = self.settings, self.options
        texts = item_texts(data, s.data["text_fields"], o["item_chars"])
        questions = Questions(self.prompt, pair.target, texts, o["max_history"])
        folder = self.folder
        if o["tune_steps"]:
            folder = tuned(s, self.staging, questions, folder, self._inputs(data, folder))
        artifact = self.judge(data, questions, ranker, ranked_by, folder)
        valid, test = (read_judged(artifact, part) for part in ("valid", "test"))
        weight, reached = choose_weight(valid)
        table = compared(test, weight, s.evaluation["metrics"], s.evaluation["ks"])
        account = json.loads((artifact / "judge.json").read_text())
        account |= {"weight": weight, "valid/ndcg@10": {f"{w:g}": v for w, v in reached.items()}}
        run = s.run_folder
        (run / "reranking.json").write_text(json.dumps(account, indent=1) + "\n")
        table.write_csv(run / "reranking.csv")
        (run / "reranking.md").write_text(markdown(table, caption, account, o), encoding="utf-8")
        log.info("           %s", sentence(table, weight))

    def judge(
        self, data: Path, questions: Questions, ranker: Ranker, ranked_by: str, model: Path
    ) -> Path:
        """What the judge says of the best items of a sample of validation and of test users."""
        s, o = self.settings, self.options
        inputs = {
            **self._inputs(data, model),
            "ranked_by": ranked_by,
            "candidates": o["candidates"],
            "users": o["users"],
            "dtype": o["dtype"],
        }

        def make(folder: Path) -> None:
            judge = Judge(model, o["score"], o["dtype"], device_of(s), questions)
            account = {}
            for part in ("valid", "test"):
                judged = self._candidates(questions, ranker, part)
                start = time.monotonic()
                asked = judged.users[judged.within].unique()
                histories = getattr(questions.domain, part).history
                for row in progress(asked.tolist()):
                    history = questions.history(histories, int(judged.rows[row]))
                    judged.judgments[row] = judge.opinion(history, judged.items[row])
                seconds = (time.monotonic() - start) / max(1, len(asked))
                account[part] = {
                    "users": len(judged.rows),
                    "asked": len(asked),
                    "seconds_per_asked_user": seconds,
                }
                save_file(vars(judged), folder / f"{part}.safetensors")
            (folder / "judge.json").write_text(json.dumps(account, indent=1) + "\n")

        code = code_behind("crossrec.stages.reranking.stage")
        artifact = self.staging.stage("judge", code, inputs, make)
        test = json.loads((artifact / "judge.json").read_text())["test"]
        log.info(
            "           asked about %d of %d test users (%.1f s each): of the others no order of "
            "the best %d can change a metric",
            test["asked"],
            test["users"],
            test["seconds_per_asked_user"],
            o["candidates"],
        )
        return artifact

    def _inputs(self, data: Path, model: Path) -> dict[str, object]:
        o = self.options
        return {
            "data": data.name,
            "text_fields": self.settings.data["text_fields"],
            "model": weights_digest(model),
            "prompt": self.prompt.text,
            **{key: o[key] for key in ("score", "max_history", "item_chars")},
            "seed": self.settings.seed,
        }

    def _candidates(self, questions: Questions, ranker: Ranker, part: Part) -> Judged:
        """The best items of a sample of the queries, not judged yet."""
        target, k = ranker.domain, min(self.options["candidates"], ranker.domain.n_items)
        held_out = getattr(target, part)
        draws = np.random.default_rng([self.settings.seed, part == "test"])
        rows = np.sort(draws.permutation(len(held_out))[: self.options["users"]])
        chosen = torch.from_numpy(rows)
        block = ranker.block(part)
        queries = held_out.queries(chosen)

        def score(places: slice) -> Tensor:
            return torch.cat([block(slice(row, row + 1)).clone() for row in rows[places].tolist()])

        ranking = rank(score, queries, target.n_items, k)
        return Judged(
            rows=chosen,
            truth_offsets=queries.truth_offsets,
            truth_items=queries.truth_items,
            truth_ranks=ranking.truth_ranks,
            items=ranking.top_items,
            scores=ranking.top_scores,
            judgments=torch.full(ranking.top_items.shape, torch.nan),
        )


def progress(rows: list[int]) -> Iterable[int]:
    """The rows, with a bar while they are gone through."""
    console = Console(stderr=True)
    hidden = not console.is_interactive
    return track(rows, f"{'judge':<10}", console=console, transient=True, disable=hidden)


def read_judged(artifact: Path, part: Part) -> Judged:
    """What the judge said of the sample of a part."""
    return Judged(**load_file(artifact / f"{part}.safetensors"))
