#!/usr/bin/env bash
# A language model judges the transferred model's best items: as published, by Yes or No and by the
# likelihood of a title, and LoRA-tuned on train.
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
judge market_likelihood "${market[@]}" reranking.score=likelihood
judge market_tuned "${market[@]}" reranking.tune_steps=30
judge office "${office[@]}"
judge office_likelihood "${office[@]}" reranking.score=likelihood
judge office_tuned "${office[@]}" reranking.tune_steps=30
python "$here/collect.py" "$out" > "$here/results.csv"
