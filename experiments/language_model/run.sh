#!/usr/bin/env bash
# What a language model is worth to a recommender: rows of an ablation, in two worlds and two splits.
#   experiments/language_model/run.sh REAL_FOLDER OUTPUT
# REAL_FOLDER holds the Amazon tables as folders of domains (interactions.parquet, items.parquet).
# What was measured before is not measured again.
set -euo pipefail
real="${1:?folder of real tables}" out="${2:?folder for runs}"
here="$(dirname "${BASH_SOURCE[0]}")"
measure() { ${PYTHON:-python} "$here/measure.py" "$real" "$out" "$@"; }
rows=("no text" "MiniLM" "MiniLM, default" "MiniLM, cooccurrence" "SmolLM2")
for split in users items; do
    measure marketplace $split 0,1,2 "${rows[@]}"
    measure amazon $split 0 "${rows[@]}"
done
# What else can be turned, on one seed.
measure marketplace users 0 "MiniLM, whitening none" "MiniLM, whitening pca" "MiniLM, layers" \
    "MiniLM, text profile" "MiniLM, end to end" "MiniLM, cooccurrence, whitening pca"
${PYTHON:-python} "$here/summary.py" "$out"
