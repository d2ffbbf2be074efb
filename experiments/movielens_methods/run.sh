#!/usr/bin/env bash
# Methods side by side on MovieLens-1M -> 100K, and a guard over all of them.
#   experiments/movielens_methods/run.sh OUTPUT [SEEDS]
set -euo pipefail
out="${1:?folder for runs}" seeds="${2:-0}"
python -m crossrec.train -m +experiment=movielens_1m_to_100k transfer=guarded "seed=$seeds" \
    '+transfer.candidates.cmf={}' '+transfer.candidates.clfm={}' '+transfer.candidates.dcdcsr={}' \
    '+transfer.candidates.bitgcf={}' '+transfer.candidates.emcdr={}' \
    trainer.enable_progress_bar=false "paths.data=$out/data" "paths.artifacts=$out/artifacts" \
    "hydra.sweep.dir=$out/guarded"
