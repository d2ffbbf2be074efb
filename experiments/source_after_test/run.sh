#!/usr/bin/env bash
# What are source events worth that lie after a user's held-out target event?
#   experiments/source_after_test/run.sh REAL_FOLDER OUTPUT
# REAL_FOLDER holds the Amazon tables as folders of domains (interactions.parquet, items.parquet).
set -euo pipefail
real="${1:?folder of real tables}" out="${2:?folder for runs}"
common=(encoder=none pretraining=off trainer.enable_progress_bar=false
    "paths.data=$out/data" "paths.artifacts=$out/artifacts"
    split.source_after_test=cut,keep seed=0,1,2)
run() { # NAME OVERRIDES...
    python -m crossrec.train -m "${@:2}" "${common[@]}" "hydra.sweep.dir=$out/$1"
}
run marketplace +experiment=home_to_electronics
run office +experiment=table_pair \
    "data.source=$real/amazon_office_industrial/industrial" \
    "data.target=$real/amazon_office_industrial/office"
run electronics +experiment=table_pair \
    "data.source=$real/amazon_home_electronics/home_kitchen" \
    "data.target=$real/amazon_home_electronics/electronics"
