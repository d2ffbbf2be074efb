"""implicit's side: what it has of the same models. An epoch is as many samples as events.

python experiments/speed/peers/implicit_driver.py MODEL DATA NAME EPOCHS
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from clock import THREADS, K, ndcg_of_lists, now, read_arrays, report, timed, train_matrix
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import CosineRecommender


def main(model: str, data: Path, name: str, epochs: int) -> None:
    """Fit, recommend for the users of validation, and report."""
    arrays = read_arrays(data, name)
    matrix = train_matrix(arrays)
    chosen = {
        # 63 dimensions and an item bias, which it keeps as the last of 64 columns
        "bpr": lambda: BayesianPersonalizedRanking(
            factors=63, iterations=epochs, num_threads=THREADS, random_state=0
        ),
        "itemknn": lambda: CosineRecommender(K=100, num_threads=THREADS),
    }[model]()
    start = now()
    chosen.fit(matrix, show_progress=False)
    fit = now() - start
    users = np.unique(arrays["valid_users"])

    def recommend() -> Any:
        return chosen.recommend(users, matrix[users], N=K, filter_already_liked_items=True)[0]

    seconds, lists = timed(recommend)
    report(
        interactions_per_s=epochs * matrix.nnz / fit if model == "bpr" else None,
        fit_s=fit,
        users_per_s=len(users) / seconds,
        ndcg=ndcg_of_lists(lists, users, arrays),
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
