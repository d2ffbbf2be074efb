#!/bin/sh
# experiments/senses/run.sh OUTPUT: raw files and artifacts go below OUTPUT, tables beside this file
set -eu
here=$(cd "$(dirname "$0")" && pwd)
${PYTHON:-python} "$here/measure.py" "$1"
${PYTHON:-python} "$here/summary.py" "$1"
