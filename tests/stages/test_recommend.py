"""Top-N lists: complete, without what a user already has, in order of score."""

from collections.abc import Callable

import polars as pl
import pytest
import torch

from crossrec.data.columns import BRAND, CATEGORIES, ITEM, TITLE, USER
from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.models.interface import Recommender
from crossrec.models.matrix_factorization import MatrixFactorization
from crossrec.models.sasrec import SASRec
from crossrec.models.two_tower import TwoTower
from crossrec.stages.reasons import Explainer
from crossrec.stages.recommend import recommend
from crossrec.stages.scoring import Single, of_model


def without_texts(domain: Domain) -> Explainer:
    """Reasons from who has what together."""
    n = domain.n_items + domain.n_context
    nothing = pl.lit(None).cast(pl.String)
    items = pl.DataFrame({ITEM: [f"i{code}" for code in range(n)]})
    columns = dict.fromkeys((TITLE, BRAND, CATEGORIES), nothing)
    return Explainer(domain, items.with_columns(**columns, domain=pl.lit("d")), None)


@pytest.mark.parametrize(
    "make",
    [
        lambda *sizes: TwoTower(*sizes, None, dim=8),
        lambda *sizes: SASRec(*sizes, None, dim=8, n_heads=1),
        lambda *sizes: MatrixFactorization(*sizes, None, dim=8),
    ],
)
def test_lists_hold_the_best_new_items(
    small_pair: DomainPair, make: Callable[..., Recommender]
) -> None:
    torch.manual_seed(0)
    domain = small_pair.target
    model = make(domain.n_users, domain.n_items, domain.n_context)
    lists = recommend(Single(domain, of_model(model)), without_texts(domain), n=5)
    assert lists.group_by(USER).len()["len"].to_list() == [5] * domain.n_users
    assert lists["domain"].unique().to_list() == ["tech"]
    assert lists["because_item_id"].null_count() < len(lists)
    assert not lists["reason"].has_nulls()
    steps = lists.select(step=pl.col("score").diff().over(USER))["step"].drop_nulls()
    assert len(steps) > 0
    assert (steps <= 0).all()
    known = domain.known
    for row, user in enumerate(known.users.tolist()):
        events = slice(int(known.offsets[row]), int(known.offsets[row + 1]))
        had = {domain.items[ITEM][int(i)] for i in known.items[events][known.own[events]]}
        mine = lists.filter(pl.col(USER) == domain.user_ids[user])
        assert not had & set(mine[ITEM])
        batch = known.last(torch.tensor([row]), model.max_history)
        with torch.no_grad():
            embedded = model.embed_items()
            state = model.eval().user_vectors(batch.users, batch.items, embedded)
            scores = (state[0, len(batch.items[0])] @ model.item_vectors(embedded).T).tolist()
        new = [s for i, s in zip(domain.items[ITEM], scores, strict=True) if i not in had]
        assert abs(mine["score"].max() - max(new)) < 1e-5


def test_a_catalog_smaller_than_the_list_is_listed_whole(small_pair: DomainPair) -> None:
    domain = small_pair.source
    model = TwoTower(domain.n_users, domain.n_items, 0, None, dim=8)
    lists = recommend(Single(domain, of_model(model)), without_texts(domain), n=1000)
    # Eight events a user, of which the test event is not known.
    assert lists.group_by(USER).len()["len"].max() <= domain.n_items - 6
    assert lists.filter(pl.col("rank") == 1).height == domain.n_users
