#!/usr/bin/env bash
# Methods side by side on MovieLens-1M -> 100K, and a guard over those that share a loss.
#   experiments/movielens_methods/run.sh OUTPUT [SEEDS]
set -euo pipefail
out="${1:?folder for runs}" seeds="${2:-0,1,2,3,4}"
train() { # NAME OVERRIDES...
    python -m crossrec.train -m +experiment=movielens_1m_to_100k "seed=$seeds" "${@:2}" \
        recommend.top_n=1 trainer.enable_progress_bar=false "paths.data=$out/data" \
        "paths.artifacts=$out/artifacts" "hydra.sweep.dir=$out/runs/$1"
}
# Methods with networks of their own, by the full softmax: a guard gives each a row.
train guarded transfer=guarded '~transfer.candidates.finetune' '~transfer.candidates.l2_sp' \
    '+transfer.candidates.cmf={}' '+transfer.candidates.clfm={}' '+transfer.candidates.dcdcsr={}' \
    '+transfer.candidates.bitgcf={}' '+transfer.candidates.emcdr={}' \
    '+transfer.candidates.sscdr={}' '+transfer.candidates.natr={}'
# Networks that score pairs learn better from single events, as in their papers.
logistic=(objective=logistic training.events_per_batch=2048)
train logistic transfer=clfm,dtcdr,deepapf "${logistic[@]}" training.learning_rate=3e-3
train conet transfer=conet "${logistic[@]}" training.learning_rate=5e-3
# Other models on the target alone.
train single transfer=joint_knn model=lightgcn,sasrec
python -m crossrec.report "$out/runs"
