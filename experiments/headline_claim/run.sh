#!/usr/bin/env bash
# "Accuracy 90%, recall 85%, coverage 78%" for home -> electronics: under which protocol, and by whom.
#   experiments/headline_claim/run.sh REAL_FOLDER OUTPUT
# REAL_FOLDER holds the Amazon tables as folders of domains (interactions.parquet, items.parquet).
set -euo pipefail
real="${1:?folder of real tables}" out="${2:?folder for runs}"
here="$(dirname "${BASH_SOURCE[0]}")"
# Both protocols rank the same models: the second job of a seed trains nothing.
run() { # NAME OVERRIDES...
    python -m crossrec.train -m "${@:2}" evaluation=default,sampled_99 pretraining=off \
        recommend.top_n=1 trainer.enable_progress_bar=false "paths.data=$out/data" \
        "paths.artifacts=$out/artifacts" "hydra.sweep.dir=$out/runs/$1"
}
run marketplace +experiment=home_to_electronics seed=0,1,2
run amazon +experiment=table_pair encoder=none model=sasrec transfer.lambda=10 transfer.mu=0.5 \
    "data.source=$real/amazon_home_electronics/home_kitchen" \
    "data.target=$real/amazon_home_electronics/electronics" seed=0
python "$here/collect.py" "$out/runs" "$out/artifacts" "$here/results.csv"
