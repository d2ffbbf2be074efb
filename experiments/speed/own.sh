#!/usr/bin/env bash
# crossrec against the machine and against its own growth; no peers, no data, 12 minutes.
#   THREADS=1|2 experiments/speed/own.sh     needs an environment with crossrec as `python`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PYTHONPATH="$PWD" PYTHONWARNINGS=ignore OMP_NUM_THREADS="${THREADS:-2}"
speed=experiments/speed
python $speed/limits.py $speed/limits_threads_$OMP_NUM_THREADS.csv
OMP_NUM_THREADS=1 python $speed/step_costs.py $speed/step_costs.csv
OMP_NUM_THREADS=1 python $speed/two_ranks.py $speed/two_ranks.csv
OMP_NUM_THREADS=1 python $speed/growth.py $speed/growth.csv
