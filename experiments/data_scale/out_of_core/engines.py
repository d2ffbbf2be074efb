"""The two engines that run prepare.sql, each in a scratch folder and within a memory limit."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

HERE = Path(__file__).parent


class Engine(Protocol):
    """What run.py needs of an engine."""

    def open(self, name: str, path: Path, columns: dict[str, str]) -> dict[str, str]:
        """Make a view of a Parquet file, a folder of them, or a (gzip) JSON-lines file.

        Args:
            columns: what is read of JSON lines, and as which types; Parquet says that itself.

        Returns:
            The columns of the view and their types.
        """

    def run(self, statement: str) -> None:
        """Run one statement."""

    def count(self, query: str) -> int:
        """The number that a query gives."""

    def word(self, number: int) -> str:
        """A number below 2**64 as the 64-bit integer that SQL text of the engine says it by."""

    def write(self, view: str, folder: Path, by: str | None) -> None:
        """Write a view as Parquet files in a folder, one level of folders by a column."""

    def write_file(self, view: str, file: Path) -> None:
        """Write a view as one Parquet file."""


def statements(text: str) -> list[str]:
    """The statements of SQL text; no text of ours has a semicolon inside one."""
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]


class DuckDB:
    """One process; tables lie in a database file, and what operators cannot hold in `spill`.

    Args:
        scratch: an empty folder.
        memory: MiB that DuckDB may take.
        threads: that it may use.
    """

    def __init__(self, scratch: Path, memory: int, threads: int) -> None:
        import duckdb

        self.connection = duckdb.connect(scratch / "tables.duckdb")
        self.run(f"SET memory_limit = '{memory}MiB'")
        self.run(f"SET temp_directory = '{scratch / 'spill'}'")
        self.run(f"SET threads = {threads}")
        self.run("SET preserve_insertion_order = false")
        for statement in statements((HERE / "duckdb.sql").read_text()):
            self.run(statement)

    def open(self, name: str, path: Path, columns: dict[str, str]) -> dict[str, str]:
        files = f"{path}/**/*.parquet" if path.is_dir() else str(path)
        read = f"read_parquet('{files}')"
        if not files.endswith(".parquet"):
            typed = ", ".join(f"{column}: '{dtype}'" for column, dtype in columns.items())
            read = f"read_ndjson('{files}', columns = {{{typed}}})"
        self.run(f"CREATE TEMPORARY VIEW {name} AS SELECT * FROM {read}")
        rows = self.connection.execute(f"DESCRIBE {name}").fetchall()
        return {row[0]: row[1].lower() for row in rows}

    def run(self, statement: str) -> None:
        self.connection.execute(statement)

    def count(self, query: str) -> int:
        return int(self.connection.execute(query).fetchall()[0][0])

    def word(self, number: int) -> str:
        return f"{number}::UBIGINT"

    def write(self, view: str, folder: Path, by: str | None) -> None:
        layout = f"PARTITION_BY ({by})" if by else "PER_THREAD_OUTPUT"
        self.run(f"COPY (FROM {view}) TO '{folder}' (FORMAT parquet, {layout})")

    def write_file(self, view: str, file: Path) -> None:
        self.run(f"COPY (FROM {view}) TO '{file}' (FORMAT parquet)")


class Spark:
    """A local Spark; on a cluster, all but `master` and the memory stays as it is.

    Args:
        scratch: an empty folder, for tables and for shuffled and spilled data.
        memory: MiB of the Java heap.
        threads: that it may use.
    """

    def __init__(self, scratch: Path, memory: int, threads: int) -> None:
        from pyspark.sql import SparkSession

        settings = {
            "spark.driver.memory": f"{memory}m",
            "spark.local.dir": scratch / "spill",
            "spark.sql.warehouse.dir": scratch / "tables",
            "spark.sql.ansi.enabled": "false",  # spark.sql counts on integers that wrap
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        builder = SparkSession.builder.master(f"local[{threads}]").appName("crossrec")
        for key, value in settings.items():
            builder = builder.config(key, str(value))
        self.session = builder.getOrCreate()
        for statement in statements((HERE / "spark.sql").read_text()):
            self.run(statement)

    def open(self, name: str, path: Path, columns: dict[str, str]) -> dict[str, str]:
        if path.is_dir() or path.suffix == ".parquet":
            table = self.session.read.parquet(str(path))
        else:
            schema = ", ".join(f"{column} {dtype}" for column, dtype in columns.items())
            table = self.session.read.json(str(path), schema=schema, mode="FAILFAST")
        table.createOrReplaceTempView(name)
        return dict(table.dtypes)

    def run(self, statement: str) -> None:
        self.session.sql(statement)

    def count(self, query: str) -> int:
        return int(self.session.sql(query).first()[0])

    def word(self, number: int) -> str:
        return f"{number - (1 << 64) if number >> 63 else number}L"

    def write(self, view: str, folder: Path, by: str | None) -> None:
        writer = self.session.table(view).write
        (writer.partitionBy(by) if by else writer).parquet(str(folder))

    def write_file(self, view: str, file: Path) -> None:
        folder = file.with_suffix(".parts")
        self.session.table(view).coalesce(1).write.parquet(str(folder))
        (part,) = folder.glob("*.parquet")
        part.rename(file)
        for left in (*folder.iterdir(), folder):
            left.rmdir() if left.is_dir() else left.unlink()


ENGINES: dict[str, Callable[[Path, int, int], Engine]] = {"duckdb": DuckDB, "spark": Spark}
