#!/bin/sh
# From the repository: sh experiments/serving/schemathesis.sh RUN
# schemathesis 4.32.5 has an environment of its own: python -m venv V && V/bin/pip install schemathesis
set -e
export SERVED_AT=http://127.0.0.1:8899 SCHEMATHESIS_HOOKS=experiments/serving/hooks.py
python -m crossrec.serve "$1" --port 8899 &
trap 'kill $!' EXIT
until python -c "import urllib.request; urllib.request.urlopen('$SERVED_AT/about')" 2>/dev/null; do
    sleep 1
done
"${SCHEMATHESIS:-schemathesis}" run $SERVED_AT/openapi.json --max-examples 100 --seed 1 --no-color
