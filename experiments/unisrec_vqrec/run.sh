#!/usr/bin/env bash
# UniSRec and VQ-Rec on their five targets of Amazon 2018, 5-core, full ranking.
#   experiments/unisrec_vqrec/run.sh FILES OUTPUT [SEEDS]
# FILES holds CATEGORY_5.json.gz and meta_CATEGORY.json.gz of each category, or gets them.
set -euo pipefail
files="${1:?folder of review files}" out="${2:?folder for runs}" seeds="${3:-0}"
targets=(Industrial_and_Scientific Prime_Pantry Musical_Instruments Arts_Crafts_and_Sewing
    Office_Products)
for target in "${targets[@]}"; do
    python -m crossrec.train -m +experiment=amazon_pair data=amazon2018 data.reader.reviews=false \
        'data.source=[Grocery_and_Gourmet_Food,Home_and_Kitchen,CDs_and_Vinyl,Movies_and_TV]' \
        "data.target=$target" cleaning=five_core split.source_after_test=keep \
        encoder=minilm pretraining=off model=sasrec 'evaluation.ks=[10,50]' \
        transfer=unisrec,vq_rec transfer.dim=300 training.learning_rate=1e-3 training.patience=10 \
        trainer.max_epochs=300 trainer.enable_progress_bar=false recommend.top_n=1 "seed=$seeds" \
        "paths.data=$files" "paths.artifacts=$out/artifacts" "hydra.sweep.dir=$out/runs/$target"
    python -m crossrec.report "$out/runs/$target"
done
