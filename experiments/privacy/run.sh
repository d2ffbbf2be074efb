#!/usr/bin/env bash
# What the privacy of the source's users costs the target, and what an attacker learns of them.
#   experiments/privacy/run.sh OUTPUT [SEEDS]
# SEEDS is a list like 0,1,2, each a marketplace of its own. The owner of the source and the owner of
# the target have folders of their own; weights alone go from one to the other.
set -euo pipefail
out="${1:?folder for runs}" seeds="${2:-0,1,2}"
here="$(dirname "${BASH_SOURCE[0]}")"
common=(+experiment=home_to_electronics pretraining=off trainer.enable_progress_bar=false)
owner=("${common[@]}" "paths.data=$out/source/data" "paths.artifacts=$out/source/artifacts")
user=("${common[@]}" "paths.data=$out/target/data" "paths.artifacts=$out/target/artifacts")
weights() { # EPSILON OVERRIDES...
    # shellcheck disable=SC2016 -- Hydra's own variable
    python -m crossrec.weights -m "${owner[@]}" "seed=$seeds" "hydra.sweep.dir=$out/weights/$1" \
        'hydra.sweep.subdir=seed_${seed}' "${@:2}"
}
weights inf
# The noise is drawn again for each seed; the seed is an experiment's, for the same numbers again.
for epsilon in 8 4 2 1; do
    weights "$epsilon" privacy=dp "privacy.epsilon=$epsilon" 'privacy.noise_seed=${seed}'
done
for seed in ${seeds//,/ }; do
    handed=()
    for epsilon in inf 8 4 2 1; do
        handed+=("$out/weights/$epsilon/seed_$seed/handover")
    done
    python -m crossrec.train -m "${user[@]}" "seed=$seed" recommend.top_n=1 \
        "source_weights=$(IFS=,; echo "${handed[*]}")" "hydra.sweep.dir=$out/runs/seed_$seed"
done
python "$here/collect.py" "$out" > "$here/results.csv"
# Federated averaging in place of one handover; one process plays both owners. Beside it L2-SP whose
# histories may hold what users did in the source.
python -m crossrec.train -m "${common[@]}" "paths.data=$out/both/data" \
    "paths.artifacts=$out/both/artifacts" "seed=$seeds" transfer=fedavg,l2_sp recommend.top_n=1 \
    "hydra.sweep.dir=$out/both/runs"
python "$here/fedavg.py" "$out/both/runs" > "$here/fedavg.csv"
python "$here/attacks.py" "$out/attacks" inf,8,4,2,1
