"""Items that nobody has in train, without their titles: what pictures and sounds say of them.

    python measure.py OUTPUT

Adds rows to results.csv (recommending) and attributes.csv (what vectors tell of an item) beside
this file; what they have already is not measured again. Raw files, artifacts and the values of
each user go below OUTPUT.
"""

import csv
import logging
import sys
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import polars as pl
import torch
from torch import Tensor

from crossrec.configuration.composing import CONF, compose
from crossrec.data.columns import ITEM
from crossrec.data.prepared import load_pair
from crossrec.data.simulation.kit_files import SHARED, read_domain_kit, read_shared_kit
from crossrec.data.simulation.products import make_products
from crossrec.data.storage import in_train, read_items
from crossrec.encoders.content import Content
from crossrec.evaluation.metrics import ndcg
from crossrec.evaluation.ranking import rank
from crossrec.evaluation.significance import t_quantile
from crossrec.stages.collecting import collect
from crossrec.stages.encoding import encode_items
from crossrec.stages.learning import Learning
from crossrec.stages.pretraining import pretrain_encoder
from crossrec.stages.scoring import Ranker
from crossrec.stages.settings import Settings
from crossrec.stages.staging import Staging

HERE = Path(__file__).parent
COMMON = (
    *("+experiment=home_to_electronics", "split=cold_items", "model.use_ids=false"),
    *("pretraining=off", "trainer.max_epochs=15", "trainer.enable_progress_bar=false"),
)
NO_TEXT = "encoder=none"
CONTENTS = {
    "image": (NO_TEXT, "content=[image]"),
    "audio": (NO_TEXT, "content=[audio]"),
    "image+audio": (NO_TEXT, "content=[image,audio]"),
    "text": ("content=[text]",),
    "text+image+audio": ("content=[text,image,audio]",),
    "text+image+audio, gate": ("content=[text,image,audio]", "content.fusion=gate"),
    "text+image+audio, mixture": ("content=[text,image,audio]", "content.fusion=mixture"),
    "none": (NO_TEXT, "content=[]", "model.use_ids=true"),
}
# No title anywhere, not even as words that train items' pictures must predict.
UNTITLED = {
    "image, no titles learned": (
        *CONTENTS["image"],
        "content.image.labels=[brand,categories]",
    ),
    "audio, no titles learned": (
        *CONTENTS["audio"],
        "content.audio.labels=[brand,categories]",
    ),
}
FACETS = ("style", "color", "material", "context", "tier", "brand", "type", "feature")
K = 10
Row = dict[str, Any]


def measure(name: str, seed: int, overrides: tuple[str, ...], output: Path) -> None:
    """One run: its rows of both tables."""
    paths = (f"paths.data={output / 'data'}", f"paths.artifacts={output / 'artifacts'}")
    given = (*COMMON, *overrides, *paths, f"seed={seed}")
    settings = compose(hydra.compose("train", list(given)), output)
    staging = Staging(settings.artifacts)
    data = collect(settings, staging)
    pair = load_pair(data)
    with_text = "text" in settings.content
    language_model = pretrain_encoder(settings, staging, data) if with_text else None
    content = encode_items(settings, staging, data, language_model)
    learning = Learning(settings, staging, data, pair, content)
    source = learning.train_source()
    rankers = {
        "zero-shot": learning.open_zero_shot(source),
        "scratch": learning.open(
            settings.scratch, learning.train("scratch", settings.scratch, None)
        ),
        "l2_sp": learning.open(
            settings.transfer, learning.train("transfer", settings.transfer, source)
        ),
    }
    cold = torch.from_numpy(~in_train(data, "target"))
    for model, ranker in rankers.items():
        for candidates, among in (("cold", cold), ("all", torch.ones_like(cold))):
            values, chance = judged(ranker, among)
            users = output / "users" / f"{name}_{seed}_{model}_{candidates}.parquet"
            users.parent.mkdir(parents=True, exist_ok=True)
            ids = pair.target.user_ids[pair.target.test.users.tolist()]
            pl.DataFrame({"user_id": ids, "ndcg": values}).write_parquet(users)
            half = t_quantile(len(values)) * values.std(ddof=1) / len(values) ** 0.5
            write(
                HERE / "results.csv",
                {
                    "content": name,
                    "seed": seed,
                    "model": model,
                    "candidates": candidates,
                    "items": int(among.sum()),
                    "users": len(values),
                    "ndcg@10": values.mean(),
                    "half_interval": half,
                    "chance": chance,
                },
            )
    if content.target is not None and content.fusion == "concatenate":
        for facet, accuracy, majority, n in attributes(settings, data, content, cold.numpy()):
            found = {"facet": facet, "accuracy": accuracy, "majority": majority, "items": n}
            write(HERE / "attributes.csv", {"content": name, "seed": seed, **found})


def judged(ranker: Ranker, among: Tensor) -> tuple[np.ndarray, float]:
    """(users,) NDCG@10 among some candidates, and what chance would reach on average."""
    test, n_items = ranker.domain.test, ranker.domain.n_items
    scores = ranker.block("test")

    def block(rows: slice) -> Tensor:
        return scores(rows).masked_fill(~among, -torch.inf)

    ranking = rank(block, test.queries(), n_items, K)
    values = ndcg(ranking.truth_ranks, ranking.truth_offsets, K).numpy()
    discounts = 1 / np.log2(np.arange(2, K + 2))
    relevant = ranking.truth_offsets.diff().numpy()
    ideal = discounts.cumsum()[relevant.clip(max=K) - 1]
    chance = relevant / int(among.sum()) * discounts.sum() / ideal
    return values, float(chance.mean())


def attributes(
    settings: Settings, data: Path, content: Content, cold: np.ndarray
) -> list[tuple[str, float, float, int]]:
    """Facet, accuracy on the cold items of a linear map from vectors, that of the most frequent.

    The map is ridge regression of each value's indicator, fitted on all items in train of both
    domains; values of a domain's own (type, feature) are fitted on the target's alone.
    """
    market = settings.reader.make()
    shared = read_shared_kit(market.kits[SHARED])
    sides = {}
    for side, domain in (("source", "home"), ("target", "electronics")):
        kit = read_domain_kit(market.kits[domain], shared, market.sizes.get(domain, {}))
        products = make_products(shared, kit, settings.seed)
        names = dict(zip(products.asins, products.names, strict=True))
        sides[side] = [names[item] for item in read_items(data, side)[ITEM]]
    vectors = torch.cat([content.source, content.target]).numpy().astype(np.float64)
    n_source = len(sides["source"])
    of_target = np.arange(len(vectors)) >= n_source
    fitted = np.concatenate([in_train(data, "source"), ~cold])
    asked = np.concatenate([np.zeros(n_source, dtype=bool), cold])
    rows = []
    for facet in FACETS:
        values = [names[facet] for names in (*sides["source"], *sides["target"])]
        known, codes = np.unique(values, return_inverse=True)
        learned = fitted & of_target if facet in ("type", "feature") else fitted
        inputs = np.concatenate([vectors, np.ones((len(vectors), 1))], axis=1)
        gram = inputs[learned].T @ inputs[learned] + np.eye(inputs.shape[1])
        weights = np.linalg.solve(gram, inputs[learned].T @ np.eye(len(known))[codes[learned]])
        accuracy = ((inputs[asked] @ weights).argmax(1) == codes[asked]).mean()
        frequent = np.bincount(codes[learned & of_target]).argmax()
        rows.append((facet, accuracy, (codes[asked] == frequent).mean(), int(asked.sum())))
    return rows


def write(file: Path, row: Row) -> None:
    """Add a row to a table."""
    new = not file.exists()
    with file.open("a", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, list(row), lineterminator="\n")
        if new:
            table.writeheader()
        table.writerow({k: f"{v:.5f}" if isinstance(v, float) else v for k, v in row.items()})
    print(row, flush=True)


def main() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("crossrec").setLevel(logging.INFO)
    output = Path(sys.argv[1]).resolve()
    file = HERE / "results.csv"
    done = set(pl.read_csv(file).select("content", "seed").iter_rows()) if file.exists() else set()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        for seed in (0, 1, 2):
            for name, overrides in {**CONTENTS, **UNTITLED}.items():
                if (name, seed) not in done:
                    measure(name, seed, overrides, output)


if __name__ == "__main__":
    main()
