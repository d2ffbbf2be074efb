"""Both domains' content vectors on a plane, and how far the two mix in the space itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from safetensors import SafetensorError
from safetensors.numpy import load_file

from crossrec.reporting.blocks import Block, Figure, Section, Series
from crossrec.reporting.figures import panel
from crossrec.reporting.reading import artifact_of, record_of

MOST = 600  # items of a domain that are drawn
NEIGHBORS = 10
COLORS = ("#c2410c", "#1d4ed8")  # source, target
MARKERS = "os"


def map_section(run: Path, names: tuple[str, str], title: str) -> Section:
    """A map of a sample of items of source and target.

    Args:
        names: what the two domains are called.
    """
    return Section("map", title, _blocks(run, names))


def _blocks(run: Path, names: tuple[str, str]) -> list[Block]:
    folder = artifact_of(run, "encode")
    if folder is None:
        why = "No language model read the items of this run (encoder=none)."
        return [why if record_of(run) else "There is no record.json that names content vectors."]
    try:
        vectors = load_file(folder / "content.safetensors")
        inputs = json.loads((folder / "artifact.json").read_text())["inputs"]
        source, target = sampled(vectors["source"]), sampled(vectors["target"])
    except (OSError, ValueError, KeyError, SafetensorError):
        return [
            f"The content vectors are not there any more: artifact {folder.name} is missing below "
            "paths.artifacts. The same command makes it again."
        ]
    if min(len(source), len(target)) == 0:
        return ["One of the domains has no item with text: there is nothing to draw."]
    whitened = inputs.get("whiten_dim") is not None
    points = np.split(plane(np.concatenate([source, target]), whitened), [len(source)])
    mixed, expected = mixing(source, target)

    def draw(axes: Axes) -> None:
        for own, color, marker in zip(points, COLORS, MARKERS, strict=True):
            axes.plot(*own.T, marker, color=color, markersize=2.5, alpha=0.6, linewidth=0)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel("first principal direction")
        axes.set_ylabel("second principal direction")

    kept = "whitened: both directions have the same weight" if whitened else "as encoded"
    caption = (
        f"Items by content vector ({len(source):,} of {names[0]}, {len(target):,} of "
        f"{names[1]}; {kept}). Of an item's {NEIGHBORS} nearest neighbors by cosine {mixed:.0%} "
        f"are of the other domain; it would be {expected:.0%} if the domains could not be told "
        "apart."
    )
    legend = [Series(*entry) for entry in zip(names, COLORS, MARKERS, strict=True)]
    return [Figure(caption, caption, [panel("", draw, 320)], legend)]


def sampled(vectors: np.ndarray, most: int = MOST) -> np.ndarray:
    """Up to so many (n, d) vectors of items with content, drawn by lot; the same ones each time."""
    known = np.flatnonzero(vectors.any(axis=1))
    chosen = np.sort(np.random.default_rng(0).permutation(known)[:most])
    return vectors[chosen].astype(np.float64)


def plane(vectors: np.ndarray, whitened: bool = False) -> np.ndarray:
    """(n, 2) the vectors on their first two principal directions (Pearson, 1901).

    Whitened vectors have the same variance in every direction, so none leads; but whitening left
    their columns in the order of the variance that they had, and the first two are what is wanted.

    Args:
        vectors: (n, d).
        whitened: whether the columns are principal directions already.
    """
    if vectors.shape[1] < 2:
        return np.pad(vectors, ((0, 0), (0, 2 - vectors.shape[1])))
    if whitened:
        return vectors[:, :2]
    centered = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centered.T @ centered)  # the strongest comes last
    directions = directions[:, :-3:-1]
    largest = np.abs(directions).argmax(axis=0)
    return centered @ (directions * np.sign(directions[largest, [0, 1]]))


def mixing(a: np.ndarray, b: np.ndarray, neighbors: int = NEIGHBORS) -> tuple[float, float]:
    """The share of nearest neighbors by cosine that are of the other set, and what chance gives.

    The mean over the items of `a` and that over the items of `b` count half each. Chance gives an
    item |other| / (|own| - 1 + |other|).

    Args:
        a, b: (n, d) vectors, none of them zero.
    """
    together = np.concatenate([a, b])
    together /= np.linalg.norm(together, axis=1, keepdims=True)
    cosines = together @ together.T
    np.fill_diagonal(cosines, -np.inf)
    k = min(neighbors, len(together) - 1)
    nearest = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
    of_b = np.arange(len(together)) >= len(a)
    foreign = (of_b[nearest] != of_b[:, None]).mean(axis=1)
    chance = [len(y) / (len(x) - 1 + len(y)) for x, y in ((a, b), (b, a))]
    return float((foreign[~of_b].mean() + foreign[of_b].mean()) / 2), sum(chance) / 2
