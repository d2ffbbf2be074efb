#!/usr/bin/env bash
# Item texts -> vectors: crossrec's encoder and sentence-transformers, in turn, in one process.
# Usage: experiments/encoding_speed/run.sh VENV THREADS ITEMS...
#   VENV     a folder for an environment with sentence-transformers, made if it is not there
#   THREADS  as many as nothing else needs
#   ITEMS    parquet files with a column title
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
venv="${1:?where the environment may lie}" threads="${2:?how many threads}"
shift 2
if [[ ! -d "$venv" ]]; then
    python -m venv "$venv"
    # The lock pins torch==2.13.0 and sentence-transformers==6.2.0, and has MiniLM.
    "$venv/bin/pip" install --quiet -r requirements.lock
fi
export OMP_NUM_THREADS="$threads" PYTHONPATH="$PWD"
"$venv/bin/python" experiments/encoding_speed/measure.py experiments/encoding_speed/results.csv "$@"
