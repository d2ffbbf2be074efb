#!/usr/bin/env bash
# ./run.sh FOLDER_OF_REAL_DATA  (data sets as folders of domains with interactions.parquet and
# items.parquet); writes results.csv beside this file. About 10 seconds.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cd "$here/../.."
python -m crossrec.data.simulation.calibration "$(realpath "${1:?folder of real data sets}")" \
    "$here/results.csv"
