#!/usr/bin/env bash
# "Accuracy 90%, recall 85%, coverage 78%" for home -> electronics: under which protocol, and by whom.
#   experiments/headline_claim/run.sh OUTPUT [SEEDS] [REAL]
# SEEDS are those of the marketplace, each of which is another world: 0,1,2,3,4 unless told. REAL holds
# the Amazon tables as folders of domains (interactions.parquet, items.parquet).
set -euo pipefail
out="${1:?folder for runs}" seeds="${2:-0,1,2,3,4}" real="${3:-}"
here="$(dirname "${BASH_SOURCE[0]}")"
# Both protocols rank the same models: the second job trains nothing.
run() { # NAME SEEDS OVERRIDES...
    python -m crossrec.train -m "${@:3}" "seed=$2" evaluation=default,sampled_99 pretraining=off \
        recommend.top_n=1 trainer.enable_progress_bar=false "paths.data=$out/data" \
        "paths.artifacts=$out/artifacts" "hydra.sweep.dir=$out/runs/$1"
}
run marketplace "$seeds" +experiment=home_to_electronics
if [[ -n "$real" ]]; then
    run amazon 0 +experiment=table_pair encoder=none model=sasrec transfer.lambda=10 transfer.mu=0.5 \
        objective.full_below=1000 objective.n_negatives=1024 \
        "data.source=$real/amazon_home_electronics/home_kitchen" \
        "data.target=$real/amazon_home_electronics/electronics"
fi
python "$here/collect.py" "$out/runs" "$out/artifacts" "$here/results.csv"
