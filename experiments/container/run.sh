#!/bin/sh
# From the repository: sh experiments/container/run.sh FOLDER
set -e
git archive --format=tar HEAD | (mkdir -p "$1/context" && tar x -C "$1/context")
for build in cpu cuda; do
    python experiments/container/steps.py "$1/context/Dockerfile" "$1/context" "$1/$build" \
        BUILD=$build -- crossrec.train +experiment=home_to_electronics encoder=none \
        pretraining=off trainer.max_epochs=2 hydra.run.dir="$1/$build/run"
    "$1/$build/python/bin/python" -c "import torch; print('$build', torch.__version__)"
done
