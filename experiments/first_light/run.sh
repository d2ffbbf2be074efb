#!/usr/bin/env bash
# Every run behind README.md of this folder. REAL is a folder of real data sets (Amazon pairs as
# parquet tables); without it only the simulated and the MovieLens runs are made.
#   bash experiments/first_light/run.sh OUTPUT [REAL]
set -euo pipefail
output="$(realpath -m "$1")"
real="${2:-}"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python="${PYTHON:-.venv/bin/python}"

train() { # NAME OVERRIDES...: into OUTPUT/NAME
    local name="$1"
    shift
    "$python" -m crossrec.train "$@" paths.data="$output/data" paths.artifacts="$output/artifacts" \
        hydra.run.dir="$output/runs/$name" hydra.sweep.dir="$output/runs/$name"
}

# The marketplace: five worlds at the default relatedness, and five without anything to carry.
train marketplace -m +experiment=home_to_electronics seed=0,1,2,3,4 data.relatedness=0,0.7

train movielens +experiment=movielens_1m_to_100k

if [[ -n "$real" ]]; then
    real="$(realpath "$real")"
    pair() { # NAME FOLDER SOURCE TARGET OVERRIDES...
        local name="$1" folder="$2" source="$3" target="$4"
        shift 4
        train "$name" +experiment=table_pair data.source="$real/$folder/$source" \
            data.target="$real/$folder/$target" "$@"
    }
    pair home_kitchen_to_electronics amazon_home_electronics home_kitchen electronics
    pair grocery_to_home_kitchen amazon_home_electronics grocery home_kitchen
    pair beauty_to_toys amazon_beauty_sports_toys beauty toys
    pair industrial_to_office amazon_office_industrial industrial office
fi

"$python" -m crossrec.report "$output/runs" --output "$output/report"
