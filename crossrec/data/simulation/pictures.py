"""Pictures of products: a form with a pattern and an emblem, somewhere before a background.

    type      outline: how many lobes, how deep, how wide
    style     pattern on it: stripes, bars, checks or rings, wide to narrow
    color     hue of the form
    material  hue of the pattern, darker
    brand     emblem in a corner: six cells, light or dark

Everything else is chance and says nothing: place, size, turn, corner, background, light, noise.
What else a product is (its features, whom it is for, its tier) does not show.
"""

from colorsys import hsv_to_rgb
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossrec.data.simulation.looks import Look

SIDE = 64  # pixels
SOFT = 0.03  # half-width of an edge, where the form's radius is 1
CELL = 5  # pixels of an emblem's cell
NOISE = 0.06  # standard deviation, where white is 1
_LINE = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
_X, _Y = np.meshgrid(_LINE, _LINE)


def draw(look: Look, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(SIDE, SIDE, 3) RGB of one product; a facet that it does not have is drawn as the first."""
    place = {facet: look.get(facet, 0) for facet in ("type", "style", "color", "material", "brand")}
    center = rng.uniform(-0.18, 0.18, size=2)
    size, turn = rng.uniform(0.62, 0.8), rng.uniform(-0.2, 0.2)
    x, y = (_X - center[0]) / size, (_Y - center[1]) / size
    x, y = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    inside = _inside(place["type"], x, y)[..., None]
    second = _pattern(place["style"], x, y)[..., None]
    main_color = np.array(hsv_to_rgb(place["color"] / 12 % 1, 0.75, 0.95))
    second_color = np.array(hsv_to_rgb((place["material"] / 10 + 0.05) % 1, 0.8, 0.45))
    picture = _background(rng)
    picture += inside * (main_color + second * (second_color - main_color) - picture)
    _stamp(picture, place["brand"] + 1, rng)
    picture = picture * rng.uniform(0.8, 1.1) + NOISE * rng.standard_normal(picture.shape)
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)


def _inside(kind: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 inside the outline of a type, 0 outside: 6 numbers of lobes x 3 depths x 3 widths."""
    lobes, depth, width = 3 + kind % 6, 0.08 + 0.12 * (kind // 6 % 3), kind // 18 % 3 - 1
    x, y = x * 1.3**width, y / 1.3**width
    radius = 1 - depth + depth * np.cos(lobes * np.arctan2(y, x))
    return 1 / (1 + np.exp(((np.hypot(x, y) - 0.85 * radius) / SOFT).clip(-50, 50)))


def _pattern(style: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 where a style's pattern is, 0 between: 4 kinds x 3 widths."""
    waves = np.pi * 2.0 ** (1 + style // 4 % 3)
    across, along = np.sin(waves * x), np.sin(waves * y)
    kinds = (across, along, across * along * 2, np.sin(waves * np.hypot(x, y)))
    return 0.5 + 0.5 * np.tanh(4 * (kinds[style % 4] - 0.3))


def _background(rng: np.random.Generator) -> NDArray[np.float64]:
    """Bright, with a slope of light and a breath of color."""
    slope = rng.uniform(-0.1, 0.1, size=2)
    light = rng.uniform(0.6, 0.9) + slope[0] * _X + slope[1] * _Y
    return light[..., None] + rng.uniform(-0.05, 0.05, size=3)


def _stamp(picture: NDArray[np.float64], number: int, rng: np.random.Generator) -> None:
    """Set the emblem, the six bits of `number` as 2 x 3 cells in a frame, into some corner."""
    bits = np.array([number >> bit & 1 for bit in range(6)], dtype=np.float64).reshape(2, 3)
    emblem = np.pad(np.kron(bits, np.ones((CELL, CELL))), 1, constant_values=0.5)
    height, width = emblem.shape
    top = int(rng.integers(3)) if rng.random() < 0.5 else SIDE - height - int(rng.integers(3))
    left = int(rng.integers(3)) if rng.random() < 0.5 else SIDE - width - int(rng.integers(3))
    picture[top : top + height, left : left + width] = emblem[..., None]


def write_picture(file: Path, look: Look, rng: np.random.Generator) -> None:
    """Write a PNG of a product."""
    from PIL import Image  # here, for most runs draw nothing

    Image.fromarray(draw(look, rng)).save(file, format="PNG")
