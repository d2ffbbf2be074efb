"""What a language model is worth to a recommender, and to whom: one run for each row.

    python measure.py REAL OUTPUT WORLD SPLIT SEEDS ROW [ROW ...]

REAL holds the Amazon tables as folders of domains; raw files, artifacts and the values of each user
go below OUTPUT. A run is added to pretraining.csv (what a language model learned) beside this file;
what lies below OUTPUT already is not measured again.
"""

import csv
import json
import logging
import sys
from itertools import product
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import polars as pl
import torch
from torch import Tensor

from crossrec.configuration.composing import CONF, compose
from crossrec.data.columns import USER
from crossrec.data.prepared import load_pair
from crossrec.data.storage import in_train
from crossrec.evaluation.metrics import ndcg
from crossrec.evaluation.ranking import rank
from crossrec.stages.collecting import collect
from crossrec.stages.encoding import encode_items
from crossrec.stages.end_to_end import keep_states
from crossrec.stages.learning import Learning, validation_of
from crossrec.stages.pretraining import pretrain_encoder
from crossrec.stages.scoring import Ranker
from crossrec.stages.staging import Staging

HERE = Path(__file__).parent
# All rows have the same few epochs, little patience, and a sample of negatives in the softmax.
COMMON = (
    *("trainer.enable_progress_bar=false", "trainer.max_epochs=15", "training.patience=3"),
    *("objective.full_below=1000", "objective.n_negatives=512"),
    "data.text_fields=[title,brand,categories]",
)
SPLITS = {"users": ("split=leave_one_out",), "items": ("split=cold_items", "model.use_ids=false")}
FAST = "encoder.dtype=auto"
RAW = ("pretraining=off", FAST)
COOCCURRENCE = (
    *("pretraining=cooccurrence", FAST),
    *("pretraining.max_steps=60", "pretraining.trainable_layers=3"),
)
SMOLLM2 = ("encoder=smollm2", *RAW)
ROWS = {
    "no text": ("encoder=none", "model.use_ids=true"),
    "MiniLM": RAW,
    "MiniLM, default": ("pretraining=default", FAST),
    "MiniLM, cooccurrence": COOCCURRENCE,
    "SmolLM2": SMOLLM2,
    # Variations of the rows above.
    "MiniLM, whitening none": (*RAW, "encoder.whitening=none"),
    "MiniLM, whitening pca": (*RAW, "encoder.whitening=pca"),
    "MiniLM, layers": (*RAW, "encoder.layers=[1,2,3,4,5,6]"),
    "MiniLM, text profile": (*RAW, "model.text_profile=true"),
    "MiniLM, end to end": ("pretraining=off", "end_to_end=last_layers"),
    "MiniLM, cooccurrence, whitening none": (*COOCCURRENCE, "encoder.whitening=none"),
    "MiniLM, cooccurrence, whitening pca": (*COOCCURRENCE, "encoder.whitening=pca"),
    "SmolLM2, layers": (*SMOLLM2, "encoder.layers=[10,15,20]"),
}
AMAZON = "amazon_grocery_home_kitchen"
N_USERS = 4000  # of the 9,398 in both of its domains
K = 10


def measure(real: Path, output: Path, world: str, split: str, seed: int, row: str) -> None:
    """One run: what each of its users got, and what its language model learned."""
    paths = (f"paths.data={output / 'data'}", f"paths.artifacts={output / 'artifacts'}")
    given = (*_world(world, real, output), *COMMON, *SPLITS[split], *ROWS[row], *paths)
    settings = compose(hydra.compose("train", [*given, f"seed={seed}"]), output)
    staging = Staging(settings.artifacts)
    data = collect(settings, staging)
    pair = load_pair(data)
    language_model = pretrain_encoder(settings, staging, data)
    if settings.pretraining["enabled"] and language_model is not None:
        account = json.loads((language_model.folder / "pretraining.json").read_text())
        _write_account({"world": world, "split": split, "seed": seed, "row": row}, account)
    content = encode_items(settings, staging, data, language_model)
    end_to_end = keep_states(settings, staging, data, language_model, content)
    learning = Learning(settings, staging, data, pair, content, end_to_end)
    source = learning.train_source()
    trained = {
        "scratch": (settings.scratch, learning.train("scratch", settings.scratch, None)),
        "l2_sp": (settings.transfer, learning.train("transfer", settings.transfer, source)),
    }
    rankers = {
        name: learning.open(method, artifact) for name, (method, artifact) in trained.items()
    }
    rankers["zero-shot"] = learning.open_zero_shot(source)
    # Items that nobody has in train are ranked among themselves.
    among = torch.ones(pair.target.n_items, dtype=torch.bool)
    if split == "items":
        among = torch.from_numpy(~in_train(data, "target"))
    test = pair.target.test
    users = pl.DataFrame(
        {
            USER: pair.target.user_ids[test.users.tolist()],
            "n_train": test.n_train.numpy(),
            **{name: _ndcg(ranker, among) for name, ranker in rankers.items()},
        }
    )
    validation = {name: validation_of(artifact) for name, (_, artifact) in trained.items()}
    file = _file(output, world, split, seed, row)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".json").write_text(json.dumps({"items": int(among.sum()), **validation}))
    users.write_parquet(file)
    print(world, split, seed, row, users.mean().row(0), flush=True)


def _ndcg(ranker: Ranker, among: Tensor) -> Any:
    """(users,) NDCG@10 among some candidates."""
    test, n_items = ranker.domain.test, ranker.domain.n_items
    scores = ranker.block("test")

    def block(rows: slice) -> Tensor:
        return scores(rows).masked_fill(~among, -torch.inf)

    ranking = rank(block, test.queries(), n_items, K)
    return ndcg(ranking.truth_ranks, ranking.truth_offsets, K).numpy()


def _world(world: str, real: Path, output: Path) -> tuple[str, ...]:
    if world == "marketplace":
        return ("+experiment=home_to_electronics",)
    folders = _some_users(real / AMAZON, output / "tables")
    sides = zip(("source", "target"), folders, strict=True)
    return (
        *("+experiment=table_pair", "data.position_spans_domains=true", "split.cold_at_most=2"),
        *(f"data.{side}={folder}" for side, folder in sides),
    )


def _some_users(real: Path, output: Path) -> list[Path]:
    """The pair with the events of some users alone, of those who are known in both domains."""
    names = ("grocery", "home_kitchen")
    events = [pl.read_parquet(real / name / "interactions.parquet") for name in names]
    shared = sorted(set(events[0][USER]) & set(events[1][USER]))
    chosen = np.random.default_rng(0).permutation(len(shared))[:N_USERS]
    kept_users = [shared[place] for place in chosen]
    for name, table in zip(names, events, strict=True):
        folder = output / name
        if not (folder / "items.parquet").exists():
            folder.mkdir(parents=True, exist_ok=True)
            kept = table.filter(pl.col(USER).is_in(kept_users))
            items = pl.read_parquet(real / name / "items.parquet")
            kept.write_parquet(folder / "interactions.parquet")
            items.join(kept, on="item_id", how="semi").write_parquet(folder / "items.parquet")
    return [output / name for name in names]


def _write_account(run: dict[str, Any], account: dict[str, Any]) -> None:
    """Before and after, a line for each measure."""
    rows = []
    for name in ("perplexity", "accuracy"):
        if f"{name}_before" in account:
            rows.append((name, *(account[f"{name}_{when}"] for when in ("before", "after"))))
    for direction, before in account["retrieval_before"].items():
        after = account["retrieval_after"][direction]
        rows.append((f"ndcg@10 {direction}", before["ndcg@10"], after["ndcg@10"]))
    file = HERE / "pretraining.csv"
    new = not file.exists()
    with file.open("a", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        if new:
            table.writerow([*run, "measure", "before", "after"])
        table.writerows([*run.values(), n, f"{b:.5f}", f"{a:.5f}"] for n, b, a in rows)


def _file(output: Path, world: str, split: str, seed: int, row: str) -> Path:
    return output / "users" / world / split / f"{row}_{seed}.parquet"


def main() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("crossrec").setLevel(logging.INFO)
    logging.basicConfig(format="[%(asctime)s] %(message)s", datefmt="%H:%M:%S")
    real, output = (Path(folder).resolve() for folder in sys.argv[1:3])
    world, split, seeds = sys.argv[3:6]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        for seed, row in product(map(int, seeds.split(",")), sys.argv[6:]):
            if not _file(output, world, split, seed, row).exists():
                measure(real, output, world, split, seed, row)


if __name__ == "__main__":
    main()
