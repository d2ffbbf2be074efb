"""Texts a second of each way to encode, in turn, and the share of the processor's own rate.

python experiments/encoding_speed/measure.py OUTPUT ITEMS... [--short N] [--long N] [--rounds N]
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from sentence_transformers import SentenceTransformer

from crossrec.encoders.batching import tokenize
from crossrec.encoders.encode import BATCH_TOKENS
from crossrec.encoders.language_model import MINILM, locate, open_tokenizer
from crossrec.encoders.linear import PackedLinear, can_pack
from crossrec.encoders.reader import Reader, Reading, read_alone

MAX_LENGTH = 256  # what sentence-transformers' folder says
BATCHES = (32, 128)
Way = Callable[[list[str]], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("items", type=Path, nargs="+")
    parser.add_argument("--short", type=int, default=3000)
    parser.add_argument("--long", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    folder = locate(MINILM, Path("."))
    rows = []
    for kind, texts in samples(asked.items, asked.short, asked.long).items():
        rows += compare(kind, texts, ways(folder), folder, asked.rounds)
    table = pl.DataFrame(rows)
    table.write_csv(asked.output, float_precision=4)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=200, tbl_hide_dataframe_shape=True):
        print(table)


def samples(files: Sequence[Path], n_short: int, n_long: int) -> dict[str, list[str]]:
    """Titles as they are, duplicates included; and 3 to 9 titles as one text, 96 tokens or so."""
    titles = pl.concat([pl.read_parquet(file, columns=["title"]) for file in files])["title"]
    rng = np.random.default_rng(0)

    def draw(n: int) -> list[str]:
        return titles.gather(np.sort(rng.choice(len(titles), n, replace=False))).to_list()

    short = draw(n_short)
    return {"titles": short, "long": [". ".join(draw(rng.integers(3, 10))) for _ in range(n_long)]}


def ways(folder: Path) -> dict[str, Way]:
    """Each way with its model opened; the first is what the others are compared with."""
    library, tokenizer = SentenceTransformer(str(folder), device="cpu"), open_tokenizer(folder)

    def by_library(size: int) -> Way:
        def encode(texts: list[str]) -> np.ndarray:
            return library.encode(texts, batch_size=size, show_progress_bar=False)

        return encode

    def by_us(dtype: str) -> Way:
        reader = Reader(Reading(folder, "mean", (-1,), dtype, True), "cpu")

        def encode(texts: list[str]) -> np.ndarray:
            distinct = list(dict.fromkeys(texts))
            tokens = tokenize(tokenizer, distinct, MAX_LENGTH)
            row_of = {text: row for row, text in enumerate(distinct)}
            vectors = read_alone(reader, tokens, BATCH_TOKENS["cpu"])
            return vectors[[row_of[text] for text in texts]]

        return encode

    return {
        **{f"sentence-transformers, batch {size}": by_library(size) for size in BATCHES},
        **{f"crossrec {dtype}": by_us(dtype) for dtype in ("float32", "bfloat16", "int8")},
    }


def compare(
    kind: str, texts: list[str], of_all: dict[str, Way], folder: Path, rounds: int
) -> list[dict[str, object]]:
    """A row for each way: texts a second, ratios to each batch size of the library by round."""
    lengths = [len(ids) for ids in tokenize(open_tokenizer(folder), texts, MAX_LENGTH)]
    wall: dict[str, list[float]] = {name: [] for name in of_all}
    cpu: dict[str, list[float]] = {name: [] for name in of_all}
    rates: dict[str, list[float]] = {}
    vectors = {}
    for way in of_all.values():
        way(texts[:64])
    for _ in range(rounds):
        for name, rate in gemm_rates().items():
            rates.setdefault(name, []).append(rate)
        for name, way in of_all.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            vectors[name] = way(texts)
            cpu[name].append(time.process_time() - start_cpu)
            wall[name].append(time.perf_counter() - start)
    exact = vectors[next(iter(of_all))]
    rows = []
    for name in of_all:
        dtype = name.split()[1] if name.startswith("crossrec") else "float32"
        size = None if name.startswith("crossrec") else int(name.split()[-1])
        gflop = gflop_of(lengths, size)
        cosines = (vectors[name] * exact).sum(axis=1)
        row: dict[str, object] = {
            "texts": f"{len(texts)} {kind}, {np.mean(lengths):.1f} tokens",
            "way": name,
            "threads": torch.get_num_threads(),
            "per second": len(texts) / float(np.median(wall[name])),
            "per CPU second": len(texts) / float(np.median(cpu[name])),
        }
        for batch in BATCHES:
            base = f"sentence-transformers, batch {batch}"
            ratios = np.divide(wall[base], wall[name])
            row[f"x batch {batch}"] = float(np.median(ratios))
            row[f"x batch {batch}, from"], row[f"x batch {batch}, to"] = ratios.min(), ratios.max()
            in_cpu = np.divide(cpu[base], cpu[name])
            row[f"x batch {batch}, CPU"] = float(np.median(in_cpu))
        rate = gflop / float(np.median(cpu[name]))
        row |= {
            "cosine mean": float(cosines.mean()),
            "cosine least": float(cosines.min()),
            "GFLOP/CPU s": rate,
            "share of GEMM": rate / float(np.median(rates[dtype])),
        }
        rows.append(row)
    return rows


def gflop_of(lengths: Sequence[int], batch_size: int | None) -> float:
    """Billions of operations of MiniLM-L6 on texts of these lengths, padding included.

    A layer has 4 maps of 384 x 384 and 2 of 384 x 1536, and two products of attention.
    """
    if batch_size is not None:  # sorted by length, each batch as long as its longest text
        ordered = sorted(lengths, reverse=True)
        starts = range(0, len(ordered), batch_size)
        lengths = [ordered[start] for start in starts for _ in ordered[start : start + batch_size]]
    of_tokens = 2 * sum(lengths) * (4 * 384 * 384 + 2 * 384 * 1536)
    of_attention = 4 * 384 * sum(length**2 for length in lengths)
    return 6 * (of_tokens + of_attention) / 1e9


def gemm_rates(size: int = 1024, seconds: float = 0.2) -> dict[str, float]:
    """GFLOP per CPU second of a product of square matrices, by type: of its fastest kernel."""
    x, y = torch.randn(size, size), torch.randn(size, size)
    half_x, half_y = x.bfloat16(), y.bfloat16()
    x8, y8 = (torch.randint(-127, 127, (size, size), dtype=torch.int8) for _ in range(2))
    products: dict[str, list[Callable[[], object]]] = {
        "float32": [lambda: x @ y],
        "bfloat16": [lambda: half_x @ half_y],
        "int8": [lambda: torch._int_mm(x8, y8)],
    }
    if can_pack():
        packed = PackedLinear(y, None)
        products["float32"].append(lambda: packed(x))
    best = {}
    with torch.inference_mode():
        for dtype, kernels in products.items():
            rates = []
            for kernel in kernels:
                kernel()
                n, start = 0, time.process_time()
                while (spent := time.process_time() - start) < seconds:
                    kernel()
                    n += 1
                rates.append(2 * size**3 * n / spent / 1e9)
            best[dtype] = max(rates)
    return best


if __name__ == "__main__":
    main()
