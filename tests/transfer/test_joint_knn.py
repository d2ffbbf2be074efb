"""Joint neighbors: item-kNN where nothing is shared, and co-occurrence across domains by hand."""

import math

import pytest
import torch
from scipy.sparse import csr_array

from crossrec.data.pair import DomainPair
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.item_knn import ItemKNN
from crossrec.stages.scoring import history_matrix, of_pair_model, train_matrix
from crossrec.training.pair_training import build_pair
from crossrec.transfer.preferences.joint_knn import JointKNN

NO_CONTENT = Content(None, None, None)


def built(pair: DomainPair, **settings: float) -> JointKNN:
    model = JointKNN(**settings)
    build_pair(model, pair, NO_CONTENT, seed=0)
    return model


def history(items: list[int]) -> Batch:
    codes = torch.tensor([items])
    return Batch(torch.tensor([0]), codes, torch.ones(codes.shape), codes >= 0)


def test_without_overlap_it_is_item_knn(apart_pair: DomainPair) -> None:
    target = apart_pair.target
    joint = of_pair_model(built(apart_pair, n_neighbors=5, shrinkage=3.0))(target.test.history)
    alone = ItemKNN(5, 3.0).fit(train_matrix(target))
    expected = alone.score(history_matrix(target.test.history, target.n_items))
    assert torch.allclose(joint(slice(None)), expected)


def test_similarity_across_domains_by_hand(users_pair: DomainPair) -> None:
    """c_ij / (|c_i| |c_j| + shrinkage), where i is of the target and j of the source."""
    target, n_items = users_pair.target, users_pair.target.n_items
    users = target.train.users.repeat_interleave(target.train.lengths)
    had = {(int(u), int(i)) for u, i in zip(users, target.train.items, strict=True)}
    only = users_pair.source.train
    in_target = set(target.train.users.tolist())
    for user, item in zip(only.users.repeat_interleave(only.lengths), only.items, strict=True):
        if int(user) not in in_target:
            had.add((int(user), int(item) + n_items))
    of_item = {item: {u for u, i in had if i == item} for item in range(n_items + 24)}
    source_item = max(range(n_items, n_items + 24), key=lambda item: len(of_item[item]))
    model = built(users_pair, n_neighbors=1000, shrinkage=2.0, source_weight=0.5)
    scores = model.scorer("target")(history([source_item]))[0]
    for item in range(n_items):
        both = len(of_item[item] & of_item[source_item])
        norms = math.sqrt(len(of_item[item]) * len(of_item[source_item]))
        assert scores[item].item() == pytest.approx(0.5 * both / (norms + 2.0), abs=1e-6)
    assert scores.any()


def test_source_weight_zero_forgets_the_source(users_pair: DomainPair) -> None:
    n_items = users_pair.target.n_items
    model = built(users_pair, source_weight=0.0)
    scores = model.scorer("target")
    assert torch.equal(scores(history([2, n_items + 3])), scores(history([2])))
    assert not scores(history([n_items + 3])).any()


def test_a_shared_item_is_one_column(items_pair: DomainPair) -> None:
    target, source = items_pair.shared_items[0].tolist()
    model = built(items_pair)
    n_items = items_pair.target.n_items
    scores = model.scorer("target")
    assert torch.equal(scores(history([n_items + source])), scores(history([target])))


def test_repeats_and_padding_count_once(users_pair: DomainPair) -> None:
    scores = built(users_pair).scorer("target")
    assert torch.equal(scores(history([4, 4, 4])), scores(history([4, -1])))


def test_neighbors_can_be_bounded_to_the_first_items() -> None:
    matrix = csr_array([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    model = ItemKNN(10, 0.0).fit(matrix, n_candidates=2)
    scores = model.score(csr_array([[0.0, 0.0, 1.0]]))
    assert scores[0].tolist() == pytest.approx([1.0, 2**-0.5])


def test_the_source_is_not_ranked(users_pair: DomainPair) -> None:
    with pytest.raises(ValueError, match="the target alone"):
        built(users_pair).scorer("source")


@pytest.mark.parametrize(
    ("key", "value"), [("n_neighbors", 0), ("shrinkage", -1.0), ("source_weight", float("nan"))]
)
def test_settings_out_of_range(key: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"transfer\.{key} must be >= "):
        JointKNN(**{key: value})
