#!/usr/bin/env bash
# Ratings of cold users with the epoch chosen by validation, and by test.
#   experiments/cold_start_ratings/run.sh DATA OUTPUT
# DATA holds raw files (ml-1m, simulated shoppers) or gets them.
set -euo pipefail
data="${1:?folder of raw data}" out="${2:?folder for results}"
here="$(dirname "${BASH_SOURCE[0]}")"
for pair in movielens marketplace; do
    python "$here/measure.py" "$pair" "$data" "$out"
done
python "$here/tables.py" "$out"
