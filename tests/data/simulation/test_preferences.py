from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.simulation.preferences import Preferences, make_preferences

World = dict[str, tuple]


def preferences() -> Preferences:
    """Two users, two items; the second factor is popularity."""
    return Preferences(
        ("ann", "bob"),
        ("kettle", "wok"),
        np.array([[2, 1], [-1, 1]], dtype=np.float32),
        np.array([[0.5, -3], [-0.5, -1]], dtype=np.float32),
        np.array([[1], [0]], dtype=np.float32),
        np.array([[3], [0]], dtype=np.float32),
        np.zeros(4, dtype=np.float32),
    )


def test_utility_by_hand() -> None:
    # bob, kettle: -1 * 0.5 + 1 * -3; ann, wok: 2 * -0.5 + 1 * -1.
    assert preferences().utility(["bob", "ann"]).tolist() == [[-3.5, -0.5], [-2.0, -2.0]]


def test_expected_rating_by_hand() -> None:
    # No satisfaction at cuts of zero: each of four stars more has probability one half.
    expected = preferences().expected_rating(["bob", "ann"])
    assert expected[0].tolist() == [3.0, 3.0]
    assert expected[1, 0] == pytest.approx(1 + 4 * 0.9986501, abs=1e-5)  # Phi(3)


def test_unknown_user_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="carol"):
        preferences().utility(["carol"])


def test_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = preferences()
    saved.save(tmp_path, "home")
    loaded = Preferences.load(tmp_path, "home")
    assert loaded.users == saved.users
    assert loaded.items == saved.items
    for name in ("user_factors", "item_factors", "user_ratings", "item_ratings", "rating_cuts"):
        assert np.array_equal(getattr(loaded, name), getattr(saved, name))
        assert getattr(loaded, name).dtype == np.float32


@pytest.fixture(scope="module")
def world(make_world: Callable[..., World]) -> World:
    return make_world(0.5)


@settings(max_examples=30, deadline=None)
@given(relatedness=st.floats(0, 1), strength=st.floats(0.1, 5))
def test_taste_is_as_strong_whatever_the_relatedness(
    world: World, relatedness: float, strength: float
) -> None:
    products, shoppers, _ = world["electronics"]
    made = make_preferences(shoppers, products, relatedness, strength)
    taste = made.user_factors[:, :-1] @ made.item_factors[:, :-1].T  # (users, items)
    np.testing.assert_allclose(taste.mean(axis=1), 0, atol=1e-4 * strength)
    spread = np.sqrt(taste.var(axis=1).mean())
    # The two parts are independent over items, up to chance in few items.
    assert spread == pytest.approx(strength, rel=0.06)


def test_at_the_ends_one_part_of_taste_moves_nothing(world: World) -> None:
    products, shoppers, _ = world["home"]
    n = products.shared.shape[1]
    unrelated = make_preferences(shoppers, products, 0.0, 2.0)
    assert not unrelated.user_factors[:, :n].any()
    assert not unrelated.user_ratings[:, :n].any()
    identical = make_preferences(shoppers, products, 1.0, 2.0)
    assert not identical.user_factors[:, n:-1].any()


def test_shared_taste_is_carried_up_to_its_scale(make_world: Callable[..., World]) -> None:
    world = make_world(1.0)
    n = world["home"][0].shared.shape[1]
    home, electronics = (
        world[domain][2].preferences.user_factors[:500, :n] for domain in ("home", "electronics")
    )
    ratio = home[home != 0] / electronics[home != 0]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
