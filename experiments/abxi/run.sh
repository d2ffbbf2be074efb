#!/usr/bin/env bash
# ABXI's protocol (Bian et al., WWW 2025) on its own data: each domain of a pair as the target, ranked
# among 999 fixed negatives and among all items.
#   experiments/abxi/run.sh REAL_FOLDER OUTPUT [SEEDS]
# REAL_FOLDER holds amazon_home_electronics as folders of domains (interactions.parquet, items.parquet).
set -euo pipefail
real="${1:?folder of real tables}" out="${2:?folder for runs}" seeds="${3:-0}"
here="$(dirname "${BASH_SOURCE[0]}")"
python "$here/prepare.py" "$real/amazon_home_electronics" "$out/tables"
column() { # SOURCE TARGET ENCODER
    python -m crossrec.train -m +experiment=table_pair "data.source=$out/tables/$1" \
        "data.target=$out/tables/$2" data.position_spans_domains=true \
        split=joint_leave_one_out evaluation=sampled_999,default 'evaluation.ks=[5,10]' \
        "encoder=$3" pretraining=off model=sasrec model.dim=64 model.dropout=0.5 \
        objective.full_below=1000 objective.n_negatives=1024 training.learning_rate=2e-3 \
        training.weight_decay=0.3 training.averaging=0.99 \
        transfer=guarded '~transfer.candidates.finetune' '~transfer.candidates.l2_sp' \
        +transfer.candidates.interleaved.dropout=0.5 +transfer.candidates.interleaved.alpha=0.5 \
        '+transfer.candidates.joint_knn={}' \
        +transfer.candidates.abxi.dim=128 +transfer.candidates.abxi.rank=64 \
        trainer.max_epochs=60 training.patience=10 \
        "seed=$seeds" recommend.top_n=1 trainer.enable_progress_bar=false \
        "paths.artifacts=$out/artifacts" "hydra.sweep.dir=$out/runs/$2-$3"
}
column electronics beauty none
column beauty electronics none
for encoder in none minilm; do # nearly all of this pair's events are of items with titles
    column home_kitchen grocery "$encoder"
    column grocery home_kitchen "$encoder"
done
python "$here/collect.py" "$out/runs" "$here/results.csv"
