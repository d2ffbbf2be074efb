#!/usr/bin/env bash
# 1 to 10 million reviews in each of two categories: raw gzip -> split, id-mapped tensors.
# Needs 12 GB of disk in FOLDER. Usage: experiments/data_scale/run.sh FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder="${1:?where generated files may lie}"
for n in 1000000 2000000 5000000 10000000; do
    [[ -d "$folder/$n" ]] || python experiments/data_scale/generate.py "$folder/$n" "$n"
done
python experiments/data_scale/measure.py "$folder" experiments/data_scale/results.csv \
    1000000 2000000 5000000 10000000
