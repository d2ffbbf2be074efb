#!/usr/bin/env bash
# What a guard mixes where there is something to carry, and where there is nothing.
#   experiments/guarded/run.sh REAL_FOLDER OUTPUT
# REAL_FOLDER holds the Amazon tables as folders of domains (interactions.parquet, items.parquet).
set -euo pipefail
real="${1:?folder of real tables}" out="${2:?folder for runs}"
here="$(dirname "${BASH_SOURCE[0]}")"
guard() { # NAME OVERRIDES...
    python -m crossrec.train -m transfer=guarded pretraining=off trainer.enable_progress_bar=false \
        recommend.top_n=1 "paths.data=$out/data" "paths.artifacts=$out/artifacts" \
        "hydra.sweep.dir=$out/$1" "${@:2}"
    python -m crossrec.report "$out/$1"
    python -m crossrec.report "$out/$1" --against target-mix --output "$out/$1/over_target_mix"
}
guard marketplace +experiment=home_to_electronics data.relatedness=0,0.7 \
    '+transfer.candidates.cmf={}' '+transfer.candidates.joint_knn={}' \
    '+transfer.candidates.ewc={}' '+transfer.candidates.lora={}'
# The Amazon pairs with ids alone, SASRec, and the point of lambda and mu that validation chose on
# the second pair at seed 0 (see ../lambda_mu).
real_pair() { # NAME SOURCE TARGET SEEDS
    guard "$1" +experiment=table_pair encoder=none model=sasrec "seed=$4" \
        "data.source=$real/$2" "data.target=$real/$3" '+transfer.candidates.joint_knn={}' \
        +transfer.candidates.l2_sp.lambda=10 +transfer.candidates.l2_sp.mu=0.5
}
real_pair office amazon_office_industrial/industrial amazon_office_industrial/office 0,1,2,3,4
real_pair electronics amazon_home_electronics/home_kitchen amazon_home_electronics/electronics \
    0,1,2,3,4
real_pair beauty amazon_home_electronics/beauty amazon_home_electronics/electronics 0
# joint_knn alone: no weights are carried.
guard home_kitchen +experiment=table_pair encoder=none model=sasrec seed=0 \
    "data.source=$real/amazon_home_electronics/grocery" \
    "data.target=$real/amazon_home_electronics/home_kitchen" '+transfer.candidates.joint_knn={}' \
    '~transfer.candidates.finetune' '~transfer.candidates.l2_sp'
real_pair grocery amazon_home_electronics/home_kitchen amazon_home_electronics/grocery 0
python -m crossrec.report "$out/electronics" --against l2_sp --output "$out/electronics/over_l2_sp"
# SASRec alone, tuned as much as lambda and mu were: seven settings.
single=(+experiment=table_pair encoder=none model=sasrec transfer=joint_knn
    "data.source=$real/amazon_home_electronics/home_kitchen"
    "data.target=$real/amazon_home_electronics/electronics")
for setting in training.weight_decay=1e-2,0.1,1,3 training.learning_rate=1e-3 \
    "model.dropout=0.4 training.weight_decay=1e-2,1"; do
    # shellcheck disable=SC2086 -- two overrides
    python -m crossrec.train -m "${single[@]}" $setting pretraining=off recommend.top_n=1 \
        trainer.enable_progress_bar=false "paths.artifacts=$out/artifacts" \
        "hydra.sweep.dir=$out/tuning/${setting//[ =,]/_}"
done
# Films that say nothing of office supplies, by text.
python "$here/movielens_tables.py" "$out/data" ml-100k "$out/films"
guard films +experiment=table_pair "data.source=$out/films" \
    "data.target=$real/amazon_office_industrial/office" '+transfer.candidates.ewc={}' \
    '+transfer.candidates.lora={}' '+transfer.candidates.zero_shot_text={}'
