#!/usr/bin/env bash
# What a CUDA device reaches: events a second, and whether the device or the processor is waited for.
#   experiments/speed/gpu.sh [PRECISION...]     default: 32-true bf16-mixed
# Needs an environment with crossrec and a CUDA torch as `python`, and nothing else on the device.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PYTHONPATH="$PWD" PYTHONWARNINGS=ignore
precisions=("$@")
if [[ $# == 0 ]]; then precisions=(32-true bf16-mixed); fi
python experiments/speed/gpu.py experiments/speed/gpu.csv "${precisions[@]}"
