#!/usr/bin/env bash
# News for people known from a shop, short videos for people known from the news; three worlds each.
#   experiments/news_and_social/run.sh OUTPUT
set -euo pipefail
out="${1:?folder for runs}"
for name in news_from_home social_from_news; do
    python -m crossrec.train -m "+experiment=$name" seed=0,1,2 \
        "paths.data=$out/data" "paths.artifacts=$out/artifacts" "hydra.sweep.dir=$out/runs/$name"
done
