#!/usr/bin/env bash
# A language model judges the transferred model's best items: as published, and LoRA-tuned on train.
#   experiments/reranking/run.sh REAL_FOLDER OUTPUT
# REAL_FOLDER holds the Amazon tables as folders of domains (interactions.parquet, items.parquet).
set -euo pipefail
real="${1:?folder of real tables}" out="${2:?folder for runs}"
here="$(dirname "${BASH_SOURCE[0]}")"
judge() { # NAME OVERRIDES...
    python -m crossrec.train pretraining=off reranking=smollm2 trainer.enable_progress_bar=false \
        "paths.data=$out/data" "paths.artifacts=$out/artifacts" "hydra.run.dir=$out/$1" "${@:2}"
}
market=(+experiment=home_to_electronics reranking.users=150)
office=(+experiment=table_pair "data.source=$real/amazon_office_industrial/industrial"
    "data.target=$real/amazon_office_industrial/office" reranking.users=300)
judge market "${market[@]}"
judge market_tuned "${market[@]}" reranking.tune_steps=30
judge office "${office[@]}"
judge office_tuned "${office[@]}" reranking.tune_steps=30
python - "$out" > "$here/results.csv" <<'EOF'
import json, sys
from pathlib import Path
import polars as pl

tables = []
for name in ("market", "market_tuned", "office", "office_tuned"):
    folder = Path(sys.argv[1]) / name
    account = json.loads((folder / "reranking.json").read_text())
    table = pl.read_csv(folder / "reranking.csv").filter(pl.col("metric").is_in(["ndcg@10", "hit@10"]))
    columns = {"weight": account["weight"], **account["test"]}
    tables.append(table.select(pl.lit(name).alias("run"), pl.all(), **{k: pl.lit(v) for k, v in columns.items()}))
sys.stdout.write(pl.concat(tables).write_csv(float_precision=4))
EOF
