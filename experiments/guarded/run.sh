#!/usr/bin/env bash
# What a guard mixes where there is something to carry, and where there is nothing.
#   experiments/guarded/run.sh REAL_FOLDER OUTPUT [SEEDS]
# REAL_FOLDER holds the Amazon tables as folders of domains (interactions.parquet, items.parquet).
set -euo pipefail
real="${1:?folder of real tables}" out="${2:?folder for runs}" seeds="${3:-0}"
guard=(transfer=guarded '+transfer.candidates.cmf={}' '+transfer.candidates.joint_knn={}'
    '+transfer.candidates.ewc={}' pretraining=off trainer.enable_progress_bar=false "seed=$seeds"
    "paths.data=$out/data" "paths.artifacts=$out/artifacts")
python -m crossrec.train -m +experiment=home_to_electronics data.relatedness=0,0.7 "${guard[@]}" \
    '+transfer.candidates.lora={}' "hydra.sweep.dir=$out/marketplace"
python -m crossrec.train -m +experiment=table_pair encoder=none "${guard[@]}" \
    "data.source=$real/amazon_office_industrial/industrial" \
    "data.target=$real/amazon_office_industrial/office" "hydra.sweep.dir=$out/office"
