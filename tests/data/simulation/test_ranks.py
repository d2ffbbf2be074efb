from hypothesis import given
from hypothesis import strategies as st

from crossrec.data.simulation.ranks import ranks


def test_ranks_by_hand() -> None:
    assert ranks(["c", "a", "b"]) == [2, 0, 1]


@given(st.lists(st.text(max_size=4), unique=True))
def test_ranks_lead_back_to_the_ids(ids: list[str]) -> None:
    ordered = sorted(ids)
    assert [ordered[rank] for rank in ranks(ids)] == ids
