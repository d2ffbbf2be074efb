#!/usr/bin/env bash
# Surfaces over lambda and mu, the rule that they give, and what is chosen against the alternatives.
#   experiments/lambda_mu/run.sh REAL_FOLDER OUTPUT
# REAL_FOLDER holds the Amazon tables as folders of domains (interactions.parquet, items.parquet).
set -euo pipefail
real="${1:?folder of real tables}" out="${2:?folder for runs}"
here="$(dirname "$0")"
train() { # NAME OVERRIDES...
    python -m crossrec.train -m "${@:2}" pretraining=off recommend.top_n=1 \
        trainer.enable_progress_bar=false "paths.artifacts=$out/artifacts" "hydra.sweep.dir=$out/$1"
}
every=1e-4,1e-3,1e-2,1e-1,1,10,100,1e3,1e4
few=1e-4,1e-2,1,10,100,1e4
surface() { # NAME LAMBDAS OVERRIDES...
    train "surfaces/$1/zero" transfer.lambda=0 transfer.mu=1 "${@:3}"
    train "surfaces/$1/grid" "transfer.lambda=$2" transfer.mu=0,0.25,0.5,0.75,1 "${@:3}"
}
market=(+experiment=home_to_electronics "paths.data=$out/data")
tables=(+experiment=table_pair encoder=none model=sasrec)
office=("${tables[@]}" "data.source=$real/amazon_office_industrial/industrial"
    "data.target=$real/amazon_office_industrial/office")
electronics=("${tables[@]}" "data.source=$real/amazon_home_electronics/home_kitchen"
    "data.target=$real/amazon_home_electronics/electronics")
# Its files are fetched by the experiment, or lie in paths.data.
movielens=(+experiment=movielens_1m_to_100k "paths.data=$out/movielens")

surface market_0.7 $every "${market[@]}" data.relatedness=0.7
surface market_0 $every "${market[@]}" data.relatedness=0
surface market_1 $few "${market[@]}" data.relatedness=1
surface office $every "${office[@]}"
surface market_rating $few "${market[@]}" objective=rating
surface movielens $every "${movielens[@]}"
# Pairs that the rule was not made on: the points of its list, and the default.
train surfaces/electronics/zero transfer.lambda=0 transfer.mu=1 "${electronics[@]}"
train surfaces/electronics/grid transfer.lambda=1e4 transfer.mu=0.25,0.5,1 "${electronics[@]}"
train surfaces/electronics/more transfer.lambda=10 transfer.mu=0.25,0.5 "${electronics[@]}"
train surfaces/electronics/one transfer.lambda=1 transfer.mu=1 "${electronics[@]}"
# Measured when the rule was fixed, on fewer points.
some() { # NAME LAMBDAS OVERRIDES...
    train "surfaces/$1/zero" transfer.lambda=0 transfer.mu=1 "${@:3}"
    train "surfaces/$1/grid" "transfer.lambda=$2" transfer.mu=0,0.5,1 "${@:3}"
}
some beauty 1e-2,1,10,1e4 "${tables[@]}" "data.source=$real/amazon_home_electronics/beauty" \
    "data.target=$real/amazon_home_electronics/electronics"
some office_rating $few "${office[@]}" objective=rating
some movielens_rating $few "${movielens[@]}" objective=rating
python "$here/surfaces.py" "$out/report" "$out"/surfaces/*
python "$here/rule.py" "$out/report/surfaces.csv"
# The chosen points against the alternatives; EWC and LoRA at what validation took at seed 0.
seeds=seed=0,1,2,3,4
train chosen/office/ewc "${office[@]}" transfer=ewc transfer.lambda=1,10,100,1e3,1e4
train chosen/office/lora "${office[@]}" transfer=lora transfer.rank=2,4,8,16,32
train chosen/office/l2_sp "${office[@]}" transfer.lambda=1e4 transfer.mu=0.5 $seeds
train chosen/office/ends "${office[@]}" transfer=finetune,freeze $seeds
train chosen/office/ewc_seeds "${office[@]}" transfer=ewc transfer.lambda=1e4 seed=1,2,3,4
train chosen/office/lora_seeds "${office[@]}" transfer=lora transfer.rank=2 seed=1,2,3,4
market+=(data.relatedness=0.7)
train chosen/market/ewc "${market[@]}" transfer=ewc transfer.lambda=1,10,100,1e3,1e4
train chosen/market/lora "${market[@]}" transfer=lora transfer.rank=2,4,8,16,32
train chosen/market/l2_sp "${market[@]}" transfer.lambda=1e4 transfer.mu=1 seed=0,1,2
train chosen/market/finetune "${market[@]}" transfer=finetune seed=0,1,2
python -m crossrec.report "$out/chosen/office" --against l2_sp
python -m crossrec.report "$out/chosen/market" --against l2_sp
# Electronics with five seeds stands in ../guarded, and is reported there in the same way.
