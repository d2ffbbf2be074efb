#!/usr/bin/env bash
# The pair of README.md, prepared by crossrec alone and by an engine with crossrec, and compared.
#   bash experiments/data_scale/out_of_core/run.sh OUTPUT [N_EVENTS] [duckdb|spark] [MIB] [THREADS]
# OUTPUT/results.csv gets a line for each step. The engine gets an environment of its own in OUTPUT:
# neither is a package that crossrec needs. Spark needs Java 17 or 21.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
repository="$(cd "$here/../../.." && pwd)"
mkdir -p "${1:?folder for data, environments and results}"
cd "$1"
n="${2:-1000000}" engine="${3:-duckdb}" memory="${4:-1024}" threads="${5:-1}"
python="${PYTHON:-$repository/.venv/bin/python}"
export OMP_NUM_THREADS="$threads" POLARS_MAX_THREADS="$threads"

measured() { # WHAT SCRATCH COMMAND...
    "$python" "$here/measured.py" results.csv "$1" "$n" "$2" "${@:3}"
}

declare -A package=([duckdb]="duckdb==1.4.2" [spark]="pyspark==4.0.1")
if [[ ! -d "env_$engine" ]]; then
    python3 -m venv "env_$engine"
    "env_$engine/bin/pip" install --quiet "${package[$engine]}"
fi
if [[ ! -d "$n/raw" ]]; then
    PYTHONPATH="$here/.." "$python" "$here/raw.py" "$n/raw" "$n"
fi

# crossrec alone.
if [[ ! -d "$n/alone" ]]; then
    measured "crossrec alone" "$n/none" \
        "$python" -m crossrec.data data=tables data.source="$n/raw/Home_and_Kitchen" \
        data.target="$n/raw/Electronics" cleaning=five_core \
        paths.artifacts="$n/alone/artifacts" hydra.run.dir="$n/alone/run"
fi

# The engine, then crossrec on what it wrote.
made="$n/${engine}_$memory"
for domain in Home_and_Kitchen Electronics; do
    measured "$engine, $memory MiB: $domain" "$made/$domain/scratch" \
        "env_$engine/bin/python" "$here/run.py" "$engine" "$n/raw/$domain" "$made/$domain" \
        --min-user 5 --min-item 5 --seed 0 --memory "$memory" --threads "$threads"
done
measured "crossrec after $engine" "$n/none" \
    "$python" -m crossrec.data data=tables data.source="$made/Home_and_Kitchen" \
    data.target="$made/Electronics" cleaning=keep_all \
    split=shared split.function.file="$made/Electronics/split.parquet" \
    paths.artifacts="$made/artifacts" hydra.run.dir="$made/run"

"$python" "$here/check.py" "$n/alone/artifacts" "$made" "$made/artifacts"

# Gzip JSON lines as Amazon 2023 has them, 100,000 a category; nobody in them has a 5-core.
lines="lines/$engine"
if [[ ! -d lines/raw ]]; then
    "$python" "$here/../generate.py" lines/raw 100000
    "$python" -m crossrec.data data=amazon2023 data.reader.reviews=false \
        cleaning=default cleaning.min_user=2 cleaning.min_item=2 \
        paths.data=lines/raw paths.artifacts=lines/alone/artifacts hydra.run.dir=lines/alone/run
fi
rm -rf "$lines"
for domain in Home_and_Kitchen Electronics; do
    "env_$engine/bin/python" "$here/run.py" "$engine" "lines/raw/$domain.jsonl.gz" \
        "$lines/$domain" --columns item_id=parent_asin --min-user 2 --min-item 2 \
        --memory "$memory" --threads "$threads"
done
"$python" -m crossrec.data data=tables data.source="$lines/Home_and_Kitchen" \
    data.target="$lines/Electronics" cleaning=keep_all \
    split=shared split.function.file="$lines/Electronics/split.parquet" \
    paths.artifacts="$lines/artifacts" hydra.run.dir="$lines/run"
"$python" "$here/check.py" lines/alone/artifacts "$lines" "$lines/artifacts"
