#!/bin/sh
# 2,200 damaged data sets for each reader (twenty minutes on one core) into results.csv, and the
# memory that reading a file of 200 MB takes into memory.csv. Ends with 1 if a case is wrong.
set -eu
cd "$(dirname "$0")"
export OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1
"${PYTHON:-python}" memory.py "${TMPDIR:-/tmp}" memory.csv
"${PYTHON:-python}" fuzz.py "${1:-2200}" results.csv
