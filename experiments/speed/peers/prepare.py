"""MovieLens-1M -> 100K, prepared once by crossrec, and the same events as files that peers read.

    python experiments/speed/peers/prepare.py DATA

Ratings of 3 and more, cleaned as +experiment=movielens_1m_to_100k does. "ml-1m-random" and
"ml-100k-random" hold random 8:1:1 splits per user, as RecBole's benchmark files and as arrays;
"ml-1m-last" and "ml-100k-last" are for leave-one-out: one file, in which a timestamp is an event's
place in its user's history, so that equal times of the raw data have one order for everyone.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from compose import collected

from crossrec.data.domain import Domain
from crossrec.data.prepared import load_pair

HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"


def main(data: Path) -> None:
    """Write everything that is not there."""
    places = {split: str(collected(data, split)) for split in ("ratio", "leave_one_out")}
    for split, ending in (("ratio", "-random"), ("leave_one_out", "-last")):
        pair = load_pair(Path(places[split]))
        for name, domain in (("ml-1m", pair.source), ("ml-100k", pair.target_only)):
            events = events_of(domain)
            if split == "ratio":
                write_benchmark(data, name + ending, events)
                write_arrays(data, name + ending, domain.n_items, events)
            else:
                write_sequences(data, name + ending, events)
    (data / "places.json").write_text(json.dumps(places))


Events = dict[str, tuple[np.ndarray, np.ndarray]]


def events_of(domain: Domain) -> Events:
    """Users and items of each part; users are numbered from 0 without a gap."""
    users, items, _ = domain.train_events()
    parts = {"train": (users, items)}
    for name, held_out in (("valid", domain.valid), ("test", domain.test)):
        query, item, _ = held_out.truths()
        parts[name] = held_out.users[query], item
    known = torch.unique(torch.cat([of for of, _ in parts.values()]))
    return {
        name: (torch.searchsorted(known, of).numpy(), item.numpy())
        for name, (of, item) in parts.items()
    }


def write_benchmark(data: Path, name: str, events: Events) -> None:
    """One file a part, as RecBole's benchmark_filename reads them."""
    for part, (users, items) in events.items():
        times = np.zeros(len(users), dtype=np.int64)
        write_rows(data / name / f"{name}.{part}.inter", users, items, times)


def write_sequences(data: Path, name: str, events: Events) -> None:
    """All parts in one file; RecBole's leave-one-out finds them again by the timestamps."""
    users, items = (np.concatenate([events[p][at] for p in events]) for at in (0, 1))
    order = np.argsort(users, kind="stable")  # train, then validation, then test
    users, items = users[order], items[order]
    first = np.searchsorted(users, users)
    write_rows(data / name / f"{name}.inter", users, items, np.arange(len(users)) - first)


def write_rows(path: Path, users: np.ndarray, items: np.ndarray, times: np.ndarray) -> None:
    """An atomic file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        file.write(HEADER)
        np.savetxt(file, np.stack([users, items, times], 1), fmt="%d", delimiter="\t")


def write_arrays(data: Path, name: str, n_items: int, events: Events) -> None:
    """The same for libraries that take matrices."""
    n_users = 1 + max(int(users.max()) for users, _ in events.values())
    np.savez(
        data / f"{name}.npz",
        n_users=n_users,
        n_items=n_items,
        train_users=events["train"][0],
        train_items=events["train"][1],
        valid_users=events["valid"][0],
        valid_items=events["valid"][1],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
