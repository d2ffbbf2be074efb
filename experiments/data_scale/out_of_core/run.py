"""Prepare a domain of any size by prepare.sql, on DuckDB or on Spark, for crossrec to read.

    python run.py duckdb RAW OUT

RAW is a folder with interactions/ and, if there are any, items/ (Parquet, as data=tables reads
them), or a file of JSON lines, gzip or not. Into the folder OUT go

    interactions/part=0/...   the k-core, in 16 parts by a hash of the user
    items/                    the rows of its items
    split.parquet             its leave-one-out split, for split=shared
    account.json              what each step left
"""

import argparse
import json
import shutil
import time
from hashlib import blake2b
from pathlib import Path
from string import Template
from typing import NoReturn

from engines import ENGINES, HERE, Engine, statements

COLUMNS = {
    "user_id": "STRING",
    "item_id": "STRING",
    "rating": "FLOAT",
    "timestamp": "BIGINT",
    "position": "BIGINT",
    "review": "STRING",
}
WHOLE = ("tinyint", "smallint", "int", "integer", "bigint")
MOST_UNUSABLE = 0.01


def main() -> None:
    """Read the command line and prepare the domain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=list(ENGINES))
    parser.add_argument("raw", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--columns", nargs="*", default=[], metavar="OURS=THEIRS")
    parser.add_argument("--min-user", type=int, default=5)
    parser.add_argument("--min-item", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", type=int, default=1024, help="MiB")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    events = asked.raw / "interactions" if asked.raw.is_dir() else asked.raw
    if not events.exists():
        fail(f"there is no {events}: RAW is a folder with interactions/, or a file of JSON lines")
    if asked.out.exists():
        fail(f"{asked.out} is there already: remove it or name another folder")
    scratch = asked.out.absolute() / "scratch"
    scratch.mkdir(parents=True)
    engine = ENGINES[asked.engine](scratch, asked.memory, asked.threads)
    view_raw(engine, events, dict(pair.split("=") for pair in asked.columns))
    values = {
        "min_user": asked.min_user,
        "min_item": asked.min_item,
        "start": engine.word(start(asked.seed)),
    }
    account = prepare(engine, values)
    write(engine, asked.raw, asked.out.absolute())
    (asked.out / "account.json").write_text(json.dumps(account, indent=1) + "\n")
    shutil.rmtree(scratch)


def start(seed: int) -> int:
    """The number from which crossrec.data.splits.draws starts at this seed."""
    return int.from_bytes(blake2b(str(seed).encode(), digest_size=8).digest(), "little")


def view_raw(engine: Engine, raw: Path, names: dict[str, str]) -> None:
    """Make the view raw of our columns, null where the files lack one that they may lack."""
    names = {column: names.get(column, column) for column in COLUMNS}
    held = engine.open("files", raw, {names[column]: COLUMNS[column] for column in COLUMNS})
    if lacking := [names[column] for column in ("user_id", "item_id") if names[column] not in held]:
        fail(
            f"{raw} has no column {', '.join(lacking)} but {', '.join(held)}: name it by --columns"
        )
    for column in ("timestamp", "position"):
        if held.get(names[column], "bigint") not in WHOLE:
            fail(f"{raw}: {names[column]} is {held[names[column]]}, not whole numbers; convert it")
    columns = (
        f"CAST({names[column] if names[column] in held else 'NULL'} AS {dtype}) AS {column}"
        for column, dtype in COLUMNS.items()
    )
    engine.run(f"CREATE TEMPORARY VIEW raw AS SELECT {', '.join(columns)} FROM files")


def prepare(engine: Engine, values: dict[str, object]) -> list[dict[str, object]]:
    """Run prepare.sql, its part "core" until it drops nothing.

    Returns:
        What each step left, and when it was done.
    """
    text = Template((HERE / "prepare.sql").read_text()).substitute(values)
    _, events, core, split = text.split("-- == ")
    begin = time.monotonic()
    account: list[dict[str, object]] = []

    def note(step: str, interactions: int) -> None:
        seconds = round(time.monotonic() - begin, 1)
        account.append({"step": step, "interactions": interactions, "seconds": seconds})
        print(f"{seconds:8.1f} s  {interactions:12,}  {step}", flush=True)

    n_rows = engine.count("SELECT count(*) FROM raw")
    note("rows", n_rows)
    for number, statement in enumerate(statements(events.partition("\n")[2])):
        engine.run(statement)
        if number == 0:
            n_usable = engine.count("SELECT count(*) FROM usable")
            note("with ids", n_usable)
            if n_rows - n_usable > MOST_UNUSABLE * n_rows:
                fail(f"{n_rows - n_usable:,} of {n_rows:,} rows name no user or no item")
    left = engine.count("SELECT count(*) FROM pairs")
    note("no repeat", left)
    before = None
    while left != before:
        for statement in statements(core.partition("\n")[2]):
            engine.run(statement)
        before, left = left, engine.count("SELECT count(*) FROM pairs")
        note("frequent enough", left)
    for statement in statements(split.partition("\n")[2]):
        engine.run(statement)
    return account


def write(engine: Engine, raw: Path, out: Path) -> None:
    """Write interactions, items and split."""
    engine.write("interactions", out / "interactions", by="part")
    if raw.is_dir() and (raw / "items").is_dir():
        engine.open("all_items", raw / "items", {})
        engine.run(
            "CREATE TEMPORARY VIEW items AS SELECT * FROM all_items "
            "WHERE CAST(item_id AS STRING) IN (SELECT item_id FROM pairs)"
        )
        engine.write("items", out / "items", by=None)
    engine.write_file("split", out / "split.parquet")


def fail(message: str) -> NoReturn:
    """End with a message."""
    raise SystemExit(f"error: {message}")


if __name__ == "__main__":
    main()
