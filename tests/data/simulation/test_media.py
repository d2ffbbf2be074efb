"""Pictures and sounds of products: what shows, what is chance, and who sees them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from crossrec.data.simulation import pictures, sounds
from crossrec.data.simulation.kit_files import KITS, read_domain_kit, read_shared_kit
from crossrec.data.simulation.looks import Look, looks
from crossrec.data.simulation.marketplace import Marketplace
from crossrec.data.simulation.products import make_products

SHARED = read_shared_kit(KITS / "shared.yaml")
SIZES = {"electronics": {"users": 30, "shared_users": 10, "items": 24}}
PLAIN: Look = {
    **dict.fromkeys(("type", "style", "color", "material", "brand"), 2),
    **dict.fromkeys(("feature", "other_feature", "context", "tier"), 1),
}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_look_is_the_place_of_each_value() -> None:
    kit = read_domain_kit(KITS / "electronics.yaml", SHARED, {"items": 40})
    products = make_products(SHARED, kit, seed=0)
    found = looks(SHARED, kit, products)
    brands = [*SHARED.facets["brand"], *kit.brands]
    for look, names in zip(found, products.names, strict=True):
        assert look.keys() == names.keys()
        assert SHARED.facets["style"][look["style"]] == names["style"]
        assert brands[look["brand"]] == names["brand"]
        assert kit.types[look["type"]].name == names["type"]
        assert kit.features[look["other_feature"]] == names["other_feature"]
    # The numbers of forms, patterns and emblems suffice for the kits.
    assert len(kit.types) <= 54
    assert len(brands) < 2**6
    assert len(kit.features) <= 2**5


@pytest.mark.parametrize("facet", ["type", "style", "color", "material", "brand"])
def test_a_picture_shows_a_facet_and_chance_does_not_hide_it(facet: str) -> None:
    """The same chance with another value changes pixels; equal chance is equal noise."""
    one, other = (pictures.draw({**PLAIN, facet: place}, rng()) for place in (2, 3))
    assert one.shape == (64, 64, 3)
    assert one.dtype == np.uint8
    changed = np.abs(one.astype(int) - other).max(axis=2) > 20
    assert changed.mean() > 0.01


def test_chance_moves_the_form_and_nothing_is_equal_twice() -> None:
    one, other = (pictures.draw(PLAIN, rng(seed)).astype(int) for seed in (0, 1))
    assert (np.abs(one - other).max(axis=2) > 40).mean() > 0.1
    np.testing.assert_array_equal(one, pictures.draw(PLAIN, rng(0)))


@pytest.mark.parametrize("facet", ["feature", "other_feature", "context", "tier"])
def test_what_is_heard_does_not_show(facet: str) -> None:
    same = pictures.draw({**PLAIN, facet: 7}, rng())
    np.testing.assert_array_equal(same, pictures.draw(PLAIN, rng()))


@pytest.mark.parametrize("color", [0, 4, 8])
def test_the_hue_of_the_form_is_that_of_the_color(color: int) -> None:
    """Places 0, 4 and 8 of twelve are red, green and blue."""
    for seed in range(5):
        picture = pictures.draw({**PLAIN, "color": color, "style": 0}, rng(seed)).astype(int)
        vivid = picture[np.ptp(picture, axis=2) > 120]
        main = vivid[vivid.max(axis=1) > 150]
        assert main.mean(axis=0).argmax() == color // 4


def tones_of(sound: np.ndarray) -> int:
    """At how many beats a tone begins: loud within the 60 milliseconds after them."""
    level = np.abs(sound.astype(float))
    starts = [round(beat * sounds.BEAT * sounds.RATE) for beat in range(sounds.BEATS)]
    return sum(level[start : start + 480].max() > 0.35 * level.max() for start in starts)


@pytest.mark.parametrize(("feature", "tones"), [(0, 1), (1, 2), (5, 3), (21, 4)])
def test_the_rhythm_is_the_feature(feature: int, tones: int) -> None:
    """The bits of the place are the beats after the first at which a tone begins."""
    for seed in range(5):
        sound = sounds.play({**PLAIN, "feature": feature, "tier": 0}, rng(seed))
        assert tones_of(sound) == tones


@pytest.mark.parametrize("context", [0, 5, 11])
def test_the_pitch_is_the_context(context: int) -> None:
    """One long tone without strong harmonics: the spectrum's peak is the pitch."""
    look = {**PLAIN, "context": context, "feature": 0, "tier": 3, "brand": -1}
    spectrum = np.abs(np.fft.rfft(sounds.play(look, rng()).astype(float)))
    hertz = spectrum.argmax() * sounds.RATE / round(sounds.RATE * sounds.SECONDS)
    assert hertz == pytest.approx(220 * 2 ** (context / 12), rel=0.02)


def test_brand_and_tier_are_heard_and_forms_are_not() -> None:
    plain = sounds.play(PLAIN, rng()).astype(int)
    for facet in ("brand", "tier"):
        assert np.abs(sounds.play({**PLAIN, facet: 3}, rng()) - plain).max() > 1000
    for facet in ("type", "style", "color", "material"):
        np.testing.assert_array_equal(sounds.play({**PLAIN, facet: 7}, rng()), plain)


def test_files_are_drawn_when_asked_for_and_beside_the_domain(tmp_path: Path) -> None:
    market = Marketplace(tmp_path / "a", 0.7, 0, 2.0, SIZES)
    before = market.files("electronics")
    bytes_before = [file.read_bytes() for file in before]
    assert [path.name for path in market.folder.iterdir()] == ["electronics"]
    drawn = market.media_files("electronics", "image")
    played = market.media_files("electronics", "audio")
    assert len(drawn) == len(played) == 24
    assert set(drawn) == set(market.oracle("electronics").items)
    assert Image.open(next(iter(drawn.values()))).size == (64, 64)
    rate, sound = wavfile.read(next(iter(played.values())))
    assert (rate, len(sound), sound.dtype) == (8000, 5120, np.int16)
    # Neither the domain nor its folder's name knows of them, and the seed decides every byte.
    assert [file.read_bytes() for file in market.files("electronics")] == bytes_before
    again = Marketplace(tmp_path / "b", 0.7, 0, 2.0, SIZES)
    assert again.folder.name == market.folder.name
    for medium, files in (("image", drawn), ("audio", played)):
        for item, path in again.media_files("electronics", medium).items():
            assert path.read_bytes() == files[item].read_bytes()
    other = Marketplace(tmp_path / "b", 0.7, 1, 2.0, SIZES).media_files("electronics", "image")
    assert {p.read_bytes() for p in other.values()} != {p.read_bytes() for p in drawn.values()}
