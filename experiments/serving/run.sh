#!/bin/sh
# From the repository: sh experiments/serving/run.sh FOLDER
set -e
export OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1
here=experiments/serving
python $here/measure.py catalog "$1/tables"
python -m crossrec.train +experiment=table_pair data.source="$1/tables/small" \
    data.target="$1/tables/large" encoder=none pretraining=off objective=bpr cleaning=keep_all \
    trainer.max_epochs=1 paths.artifacts="$1/artifacts" hydra.run.dir="$1/run"
python $here/measure.py load "$1/run" $here/results.csv
