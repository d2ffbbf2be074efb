"""How near to the machine's limits crossrec ranks: measured product and copy rates, and a floor.

python limits.py CSV [USERS ITEMS DIM K]
"""

import csv
import resource
import statistics
import sys
import time
from collections.abc import Callable

import torch

from crossrec.evaluation.metrics import METRICS
from crossrec.evaluation.ranking import Queries, factorized, rank

ROUNDS = 3
COLUMNS = ("what", "value", "unit")


def seconds(work: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(file: str, n_users: int, n_items: int, dim: int, k: int) -> None:
    """The machine's rates, then a sample of users against the floor, in turn."""
    torch.manual_seed(0)
    rows: list[tuple[str, float, str]] = [("threads", torch.get_num_threads(), "")]
    a = torch.randn(2048, 2048)
    gemm = 2 * 2048**3 / min(seconds(lambda: a @ a) for _ in range(5)) / 1e9
    big, other = torch.randn(2**26), torch.empty(2**26)
    copy = 2 * 4 * 2**26 / min(seconds(lambda: other.copy_(big)) for _ in range(5)) / 1e9
    rows += [("GEMM 2,048 cubed", gemm, "GFLOP/s"), ("copy, read + write", copy, "GB/s")]
    # Of so many users, in blocks of 256, a part is enough: they are ranked block by block alike.
    part = min(n_users, max(256, 2 * 10**8 // n_items))
    users, items = torch.randn(part, dim), torch.randn(n_items, dim)
    truth = torch.randint(n_items, (part,))
    none, one = torch.zeros(part + 1, dtype=torch.int64), torch.arange(part + 1)
    queries = Queries(
        users=one[:-1].numpy(), seen_offsets=none, seen_items=none[:0],
        truth_offsets=one, truth_items=truth,
    )  # fmt: skip
    block = max(1, 2**22 // n_items)
    out = torch.empty(block, n_items)

    def product_alone() -> None:
        for start in range(0, part, block):
            chosen = users[start : start + block]
            torch.mm(chosen, items.T, out=out[: len(chosen)])

    def product_and_selection() -> None:
        """The floor: products, one pass that finds how many are greater, one that finds groups."""
        for start in range(0, part, block):
            chosen = users[start : start + block]
            scores = torch.mm(chosen, items.T, out=out[: len(chosen)])
            scores.amax(1)

    def torch_topk() -> None:
        for start in range(0, part, block):
            chosen = users[start : start + block]
            torch.mm(chosen, items.T, out=out[: len(chosen)]).topk(k, dim=1)

    def ours() -> None:
        rank(factorized(users, items), queries, n_items, k)

    ways = {
        "product alone": product_alone,
        "floor: product + one pass of selection": product_and_selection,
        "torch product + topk, no ranks": torch_topk,
        "crossrec: ranks of held-out items + top k": ours,
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, work in ways.items():
            taken[name].append(seconds(work))
    size = f"{part:,} of {n_users:,} x {n_items:,} x {dim}, top {k}"
    for name, values in taken.items():
        rows.append((f"{name} ({size})", part / statistics.median(values), "users/s"))
    floors = taken["floor: product + one pass of selection"]
    shares = [
        floor / mine
        for floor, mine in zip(
            floors, taken["crossrec: ranks of held-out items + top k"], strict=True
        )
    ]
    rows.append(("crossrec as a share of the floor", statistics.median(shares), ""))
    flops = 2 * part * n_items * dim / statistics.median(list(taken.values())[-1]) / 1e9
    rows.append(("crossrec's products", flops, "GFLOP/s"))
    ranking = rank(factorized(users, items), queries, n_items, k)
    metrics = seconds(
        lambda: [f(ranking.truth_ranks, ranking.truth_offsets, 10) for f in METRICS.values()]
    )
    rows.append(
        ("metrics, part of evaluation", metrics / statistics.median(list(taken.values())[-1]), "")
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows.append(("peak memory", peak, "MB"))
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for what, value, unit in rows:
            writer.writerow((what, f"{value:.4g}", unit))
            print(f"{what:<75} {value:10.4g} {unit}", flush=True)


if __name__ == "__main__":
    sizes = [int(size) for size in sys.argv[2:]] or [100_000, 100_000, 64, 100]
    main(sys.argv[1], *sizes)
