"""Joint EASE: EASE where nothing is shared, and the closed form of the joint matrix by hand."""

import numpy as np
import pytest
import torch

from crossrec.data.pair import DomainPair
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.ease import EASE
from crossrec.stages.scoring import history_matrix, of_pair_model, train_matrix
from crossrec.training.pair_training import build_pair
from crossrec.transfer.preferences import joint_ease
from crossrec.transfer.preferences.joint_ease import JointEASE

NO_CONTENT = Content(None, None, None)


def built(pair: DomainPair, **settings: float) -> JointEASE:
    model = JointEASE(**settings)
    build_pair(model, pair, NO_CONTENT, seed=0)
    return model


def history(items: list[int]) -> Batch:
    codes = torch.tensor([items])
    return Batch(torch.tensor([0]), codes, torch.ones(codes.shape), codes >= 0)


@pytest.mark.parametrize("source_weight", [0.0, 0.7])
def test_without_overlap_it_is_ease(apart_pair: DomainPair, source_weight: float) -> None:
    target = apart_pair.target
    model = built(apart_pair, l2=20.0, source_weight=source_weight)
    alone = EASE(20.0).fit(train_matrix(target))
    expected = alone.score(history_matrix(target.test.history, target.n_items))
    joint = of_pair_model(model)(target.test.history)(slice(None))
    assert torch.allclose(joint, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["users_pair", "items_pair"])
def test_the_closed_form_of_the_joint_matrix(kind: str, request: pytest.FixtureRequest) -> None:
    """B = I - P diag(1 / diag P), P = (X'X + l2 I)^-1, with source events of weight .5 in X."""
    pair: DomainPair = request.getfixturevalue(kind)
    model = built(pair, l2=5.0, source_weight=0.5)
    x = model.events.matrix(weighted=True).toarray().astype(float)
    n_target = pair.target.n_items
    assert set(np.unique(x[:, :n_target])) <= {0.0, 1.0}
    assert set(np.unique(x[:, n_target:])) <= {0.0, 0.5}
    assert x[:, n_target:].any()
    p = np.linalg.inv(x.T @ x + 5.0 * np.eye(x.shape[1]))
    b = np.eye(x.shape[1]) - p / np.diag(p)
    item = int(x[:, n_target:].sum(axis=0).argmax()) + n_target
    code = model.events.columns.tolist().index(item)
    row = np.zeros(x.shape[1])
    row[[3, item]] = 1.0, 0.5
    scores = model.scorer("target")(history([3, code]))[0]
    assert scores.numpy() == pytest.approx((row @ b)[:n_target], abs=1e-5)


def test_source_weight_zero_forgets_the_source(users_pair: DomainPair) -> None:
    n_items = users_pair.target.n_items
    scores = built(users_pair, source_weight=0.0).scorer("target")
    assert torch.allclose(scores(history([2, n_items + 3])), scores(history([2])))
    assert built(users_pair).scorer("target")(history([n_items + 3])).any()


def test_the_source_is_not_ranked(users_pair: DomainPair) -> None:
    with pytest.raises(ValueError, match="the target alone"):
        built(users_pair).scorer("source")


@pytest.mark.parametrize(
    ("key", "value"), [("l2", 0.0), ("l2", float("nan")), ("source_weight", -1.0)]
)
def test_settings_out_of_range(key: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"transfer\.{key} must be >"):
        JointEASE(**{key: value})


def test_too_many_users_and_items(users_pair: DomainPair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_ease, "MAX_SIDE", 3)
    with pytest.raises(UserError, match=r"invert a matrix of \d+ rows.*joint_knn"):
        built(users_pair)
