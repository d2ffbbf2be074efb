#!/bin/sh
# From the repository, as root (a small disk is mounted): sh experiments/survival/run.sh FOLDER
set -e
here=experiments/survival
python $here/kills.py "$1/kills" $here/kills.csv 0 0 21
for fault in disk bytes together; do
    python $here/faults.py $fault "$1/$fault" $here/faults.csv
done
