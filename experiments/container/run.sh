#!/bin/sh
# From the repository: sh experiments/container/run.sh FOLDER [TORCH_INDEX=...]
set -e
git archive --format=tar HEAD | (mkdir -p "$1/context" && tar x -C "$1/context")
python experiments/container/steps.py "$1/context/Dockerfile" "$1/context" "$1/built" $2 -- \
    crossrec.train +experiment=home_to_electronics encoder=none pretraining=off \
    trainer.max_epochs=2
"$1/built/python/bin/python" -c "import torch; print('torch', torch.__version__)"
