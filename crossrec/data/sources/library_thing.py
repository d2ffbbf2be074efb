"""LibraryThing: reviews of works, as collected by UC San Diego."""

import re
from dataclasses import replace
from pathlib import Path

import polars as pl

from crossrec.data.columns import ITEM, RATING, REVIEW, TIMESTAMP, USER
from crossrec.data.raw import RawDomain
from crossrec.data.sources.formats import json_lines
from crossrec.data.sources.lines import LineFormat, check_share, head, read_lines
from crossrec.data.sources.published import Published, changed
from crossrec.data.sources.tidy import null_if_empty, raw_domain, unix_seconds
from crossrec.errors import UserError

DOMAIN = "lthing_data"
RELEASE = Published(
    title="LibraryThing",
    folders=(DOMAIN,),
    archives=("lthing_data.tar.gz",),
    page="https://cseweb.ucsd.edu/~jmcauley/datasets.html#social_data",
    url="https://mcauleylab.ucsd.edu/public_datasets/data/librarything/lthing_data.tar.gz",
)
_LAYOUTS = (("reviews.txt",), ("reviews.json",))
_REVIEW = pl.Schema(
    {
        "work": pl.String(),
        "user": pl.String(),
        "stars": pl.Float64(),
        "unixtime": pl.Int64(),
        "comment": pl.String(),
    }
)
_ASSIGNED = re.compile(rb"^reviews\[[^\n]*?\] = (?=\{)", re.MULTILINE)


class LibraryThing:
    """Reads the one domain of the data set, "lthing_data", from that folder below `folder`, or from
    `folder` itself.

    Two editions are out: `reviews.json`, one Python literal a line, and `reviews.txt`, a Python
    program that assigns the same literals: `reviews[('work', 'user')] = {...}`. A review without
    stars is an event without a rating. Works and users are LibraryThing's own, so their ids get a
    prefix: work 3206242 is "library_thing_3206242", also in link files. There is no text of works
    but reviews.

    Sources: T. Zhao, J. McAuley and I. King, "Improving latent factor models via personalized
    feature projection for one class recommendation", CIKM 2015; C. Cai, R. He and J. McAuley,
    "SPMC: socially-aware personalized Markov chains for sparse sequential recommendation",
    IJCAI 2017.

    Args:
        folder: where the files are looked for.
        download: fetch what is missing (600 MB).
        max_malformed: share of malformed lines above which reading fails.
    """

    def __init__(
        self, folder: str | Path, download: bool = True, max_malformed: float = 0.01
    ) -> None:
        self.folder = Path(folder)
        self.download = download
        self.max_malformed = check_share(max_malformed)

    def files(self, domain: str) -> tuple[Path, ...]:
        """The reviews, fetched if need be.

        Raises:
            UserError: there is no such domain, or its file is missing and cannot be fetched.
        """
        if domain != DOMAIN:
            raise UserError(f"LibraryThing has one domain, {DOMAIN}, got {domain!r}")
        return RELEASE.provide(self.folder, _LAYOUTS, self.download)

    def read(self, domain: str, scratch: Path | None = None) -> RawDomain:
        """Interactions of "lthing_data", and its works without text.

        Raises:
            UserError: as `files`, or the file cannot be read.
        """
        files = self.files(domain)
        lines = read_lines(files[0], _form(files[0]), self.max_malformed, _events, scratch)
        return raw_domain(domain, lines.table, None, files, lines.n_lines, lines.n_malformed)


def _form(path: Path) -> LineFormat:
    first = (head(path, 1) or [""])[0]
    form = json_lines(_REVIEW, ("work", "user", "unixtime"), literals=True)
    if first.startswith("{"):
        return form
    if not re.match(r"reviews\s*(=|\[)", first):
        raise UserError(
            f"{path}, line 1: expected a review {{'work': ..., 'user': ...}} or `reviews = {{}}`, "
            f"found {first[:80]!r}. Put the official file there."
        )
    has_header = not first.startswith("reviews[")
    return replace(
        changed(form, before=lambda block: _ASSIGNED.sub(b"", block)), has_header=has_header
    )


def _events(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        pl.concat_str(pl.lit("library_thing_"), "user").alias(USER),
        pl.concat_str(pl.lit("library_thing_"), "work").alias(ITEM),
        pl.col("stars").cast(pl.Float32).alias(RATING),
        unix_seconds(pl.col("unixtime")).alias(TIMESTAMP),
        null_if_empty(pl.col("comment").str.strip_chars()).alias(REVIEW),
    )
