#!/usr/bin/env bash
# Is fine-tuning toward the start better than plain decay? From what ../lambda_mu measured.
#   experiments/l2_sp_claim/run.sh
set -euo pipefail
here="$(dirname "${BASH_SOURCE[0]}")"
python "$here/compare.py" "$here/../lambda_mu/surfaces.csv" "$here/results.csv"
