"""Popularity counts interactions and ranks all users alike."""

import numpy as np
from scipy.sparse import csr_array

from crossrec.models.popularity import Popularity


def test_counts_by_hand() -> None:
    train = csr_array(np.array([[1.0, 0.0, 5.0], [0.0, 0.0, 2.0]]))
    scores = Popularity().fit(train).score(train)
    assert scores.tolist() == [[1.0, 0.0, 2.0], [1.0, 0.0, 2.0]]


def test_no_interaction_is_all_zero() -> None:
    empty = csr_array((2, 3))
    assert Popularity().fit(empty).score(empty[:1]).tolist() == [[0.0, 0.0, 0.0]]
