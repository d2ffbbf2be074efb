"""A short list of (lambda, mu) to try: made on all pairs but one, tested on that one.

    python experiments/lambda_mu/rule.py OUTPUT/surfaces.csv [SIZE]

The list grows greedily: each time by the point that most raises what validation, choosing among the
list, reaches in validation on the other pairs (as a gain over scratch). What the list then reaches
in test on the pair that it has not seen stands beside fine-tuning (lambda = 0), the default
(lambda = 1, mu = 1), two tries (the default, and the source frozen at half its size), a third one
(a weaker pull to half its size) and the whole surface. Scratch is always in the list: where it is
best in validation, nothing is carried. A pair whose surface lacks points of the list is not tested
on it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

Point = tuple[float, float]
Surface = dict[Point, tuple[float, float]]
"""(lambda, mu) -> gain over scratch in validation and in test, > 0 where transfer is better."""
FINETUNE, DEFAULT, HALF, PULLED = (0.0, 1.0), (1.0, 1.0), (1e4, 0.5), (10.0, 0.5)


def main(arguments: Sequence[str]) -> None:
    path = Path(arguments[0])
    size = int(arguments[1]) if len(arguments) > 1 else 4
    table = pl.read_csv(path)
    rows = []
    for (metric,), own in table.group_by("metric", maintain_order=True):
        surfaces = {
            str(pair): surface(part) for (pair,), part in own.group_by("pair", maintain_order=True)
        }
        if len(surfaces) < 2:  # no other pair to make a list on
            continue
        # Coarse surfaces hold fewer points; a list can only hold what every pair has measured.
        common = sorted(set.intersection(*(set(points) for points in surfaces.values())))
        for pair, points in surfaces.items():
            others = [points for name, points in surfaces.items() if name != pair]
            chosen = short_list(others, common, size)
            rows.append(
                {
                    "metric": metric,
                    "pair": pair,
                    "list": " ".join(f"({x:g}, {mu:g})" for x, mu in chosen),
                    "finetune": points[FINETUNE][1],
                    "default": points[DEFAULT][1],
                    "two_tries": reached(points, [DEFAULT, HALF])[1],
                    "three_tries": reached(points, [DEFAULT, HALF, PULLED])[1],
                    "list_gain": reached(points, chosen)[1],
                    "surface_gain": reached(points, list(points))[1],
                }
            )
        everywhere = short_list(list(surfaces.values()), common, size)
        print(metric, "list made on all pairs:", everywhere)
    found = pl.DataFrame(rows)
    found.write_csv(path.parent / "rule.csv")
    with pl.Config(tbl_rows=100, tbl_width_chars=160, fmt_str_lengths=80):
        print(found)


def surface(part: pl.DataFrame) -> Surface:
    """Relative gains over scratch at each point."""
    sign = -1 if part["metric"][0] == "rmse" else 1
    return {
        (row["lambda"], row["mu"]): (
            sign * (row["valid"] / row["scratch_valid"] - 1),
            sign * (row["test"] / row["scratch_test"] - 1),
        )
        for row in part.iter_rows(named=True)
    }


def reached(points: Surface, tried: Sequence[Point]) -> tuple[float, float]:
    """Validation and test gain of the point that validation chooses; 0 where it is scratch."""
    gains = [points[point] for point in tried]
    return max([(0.0, 0.0), *gains], key=lambda gain: gain[0])


def short_list(surfaces: Sequence[Surface], points: Sequence[Point], size: int) -> list[Point]:
    """The greedy list; see above."""
    chosen: list[Point] = []
    for _ in range(size):

        def value(point: Point) -> float:
            return float(np.mean([reached(s, [*chosen, point])[0] for s in surfaces]))

        chosen.append(max((p for p in points if p not in chosen), key=value))
    return chosen


if __name__ == "__main__":
    main(sys.argv[1:])
