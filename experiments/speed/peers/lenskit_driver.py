"""LensKit's side: the models that it has, too, with its own pipeline for the lists.

python experiments/speed/peers/lenskit_driver.py MODEL DATA NAME EPOCHS
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from clock import THREADS, K, ndcg_of_lists, now, rate, read_arrays, report, timed
from lenskit.batch import recommend
from lenskit.data import from_interactions_df
from lenskit.flexmf import FlexMFImplicitConfig, FlexMFImplicitScorer
from lenskit.knn import ItemKNNConfig, ItemKNNScorer
from lenskit.knn.ease import EASEConfig, EASEScorer
from lenskit.parallel import initialize
from lenskit.pipeline import topn_pipeline
from lenskit.training import TrainingOptions

FLEXIBLE = {"bpr": {}, "lightgcn": {"convolution_layers": 2}}


def main(model: str, data: Path, name: str, epochs: int) -> None:
    """Fit, recommend for the users of validation, and report."""
    initialize(processes=THREADS, threads=THREADS, backend_threads=THREADS)
    arrays = read_arrays(data, name)
    events = {"user_id": arrays["train_users"], "item_id": arrays["train_items"]}
    dataset = from_interactions_df(pd.DataFrame(events))
    start = now()
    seconds: list[float] = []
    if model in FLEXIBLE:
        config = FlexMFImplicitConfig(
            preset=model, embedding_size=64, batch_size=2048, epochs=epochs, **FLEXIBLE[model]
        )
        scorer = FlexMFImplicitScorer(config)
        trainer = scorer.create_trainer(dataset, TrainingOptions(rng=0))
        for _ in range(epochs):
            before = now()
            trainer.train_epoch()
            seconds.append(now() - before)
        trainer.finalize()
    else:
        scorer = {
            "ease": lambda: EASEScorer(EASEConfig(regularization=250.0)),
            "itemknn": lambda: ItemKNNScorer(ItemKNNConfig(max_nbrs=100, feedback="implicit")),
        }[model]()
        scorer.train(dataset)
    fit = now() - start
    # The scorer is trained; training the pipeline adds the candidates' part alone.
    pipe = topn_pipeline(scorer, n=K)
    pipe.train(dataset, TrainingOptions(retrain=False))
    users = np.unique(arrays["valid_users"])
    taken, lists = timed(lambda: recommend(pipe, users, n=K, n_jobs=1), repeats=1)  # it is slow
    by_user = {key.user_id: items.ids() for key, items in lists}
    codes = np.full((len(users), K), -1)
    for row, user in enumerate(users):
        found = by_user[user]
        codes[row, : len(found)] = found
    train = len(arrays["train_users"])
    report(
        interactions_per_s=rate([(train, taken) for taken in seconds]),
        fit_s=fit,
        users_per_s=len(users) / taken,
        ndcg=ndcg_of_lists(codes, users, arrays),
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
