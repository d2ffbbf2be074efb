"""Approximate search in a large catalog beside exact ranking: what it finds, and how fast.

    pip install faiss-cpu && python experiments/speed/approximate.py CSV

A million simulated items in 64 dimensions, of two kinds: `spread` (independent normal numbers,
where no index can leave much out) and `groups` (1,000 groups, as items of a kind lie together; a
user likes three of them). Exact lists are crossrec's ranking; the index is an inverted file (Sivic
and Zisserman, ICCV 2003): items lie in 1,024 cells, and a query looks into the `nprobe` nearest.
One thread, processor time.
"""

import csv
import sys
import time

import faiss
import numpy as np
import torch

from crossrec.evaluation.ranking import Queries, factorized, rank

N_ITEMS, DIM, N_USERS, N_GROUPS, N_CELLS, K = 1_000_000, 64, 1_000, 1_000, 1_024, 100
PROBES = (1, 4, 16, 64, 256)


def drawn(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(users, 64) and (items, 64) float32 vectors."""
    generator = np.random.default_rng(0)
    items = generator.standard_normal((N_ITEMS, DIM), dtype=np.float32)
    users = generator.standard_normal((N_USERS, DIM), dtype=np.float32)
    if kind == "groups":
        centers = 2 * generator.standard_normal((N_GROUPS, DIM), dtype=np.float32)
        items += centers[generator.integers(N_GROUPS, size=N_ITEMS)]
        users += centers[generator.integers(N_GROUPS, size=(N_USERS, 3))].mean(axis=1)
    return users, items


def exact(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """(users, K) the items with the highest inner products."""
    nothing = torch.zeros(N_USERS + 1, dtype=torch.int64), torch.empty(0, dtype=torch.int64)
    wanted = torch.arange(N_USERS + 1), torch.zeros(N_USERS, dtype=torch.int64)
    queries = Queries(np.arange(N_USERS), *nothing, *wanted)
    scores = factorized(torch.from_numpy(users), torch.from_numpy(items))
    return rank(scores, queries, N_ITEMS, K, beyond_k=False).top_items.numpy()


def main(file: str) -> None:
    """A row for exact ranking and for each number of cells, for each kind."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    rows: list[tuple[str, str, int | str, float, float]] = []
    for kind in ("spread", "groups"):
        users, items = drawn(kind)
        start = time.process_time()
        truth = exact(users, items)
        milliseconds = (time.process_time() - start) * 1000 / N_USERS
        rows.append((kind, "exact", "", 1.0, milliseconds))
        index = faiss.index_factory(DIM, f"IVF{N_CELLS},Flat", faiss.METRIC_INNER_PRODUCT)
        start = time.process_time()
        index.train(items[:: N_ITEMS // 100_000])
        index.add(items)
        print(kind, "built in", round(time.process_time() - start, 1), "s", flush=True)
        for nprobe in PROBES:
            index.nprobe = nprobe
            start = time.process_time()
            _, found = index.search(users, K)
            milliseconds = (time.process_time() - start) * 1000 / N_USERS
            hits = [len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True)]
            rows.append((kind, "inverted file", nprobe, sum(hits) / (K * N_USERS), milliseconds))
            print(rows[-1], flush=True)
    with open(file, "w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["items", "search", "nprobe", "recall@100", "ms_a_user"])
        table.writerows((*row[:3], f"{row[3]:.4f}", f"{row[4]:.3f}") for row in rows)


if __name__ == "__main__":
    main(sys.argv[1])
