"""The files of MIND: what a line of them says, and where they lie.

behaviors.tsv   impression id, user id, time, history, impressions ("N55689-1 N35729-0")
news.tsv        news id, category, subcategory, title, abstract, URL, title and abstract entities

Both have no header; quotes in them are plain characters. Times look like "11/11/2019 9:05:58 AM".
"""

from pathlib import Path, PurePosixPath

import polars as pl

from crossrec.data.archives import extract, members
from crossrec.data.columns import USER
from crossrec.data.sources.formats import delimited, timed
from crossrec.data.sources.lines import LineFormat, head
from crossrec.data.sources.published import changed
from crossrec.data.sources.tidy import joined
from crossrec.errors import UserError

SITE = "https://msnews.github.io"
BEHAVIORS, NEWS = FILES = "behaviors.tsv", "news.tsv"
TIME, HISTORY, IMPRESSIONS = "time", "history", "impressions"
NEWS_ID, CATEGORY, SUBCATEGORY = "news_id", "category", "subcategory"
TITLE, ABSTRACT = "title", "abstract"
SEPARATOR = "; "
ENTITIES = ("title_entities", "abstract_entities")

_FIELDS = {
    BEHAVIORS: ("impression_id", USER, TIME, HISTORY, IMPRESSIONS),
    NEWS: (NEWS_ID, CATEGORY, SUBCATEGORY, TITLE, ABSTRACT, "url", *ENTITIES),
}
_PARTS = ("_train", "_dev")
_CLOCK = "%m/%d/%Y %I:%M:%S %p"
_LABELED = r"^\s*\S+-[01](\s+\S+-[01])*\s*$"
_ENTITY = pl.List(pl.Struct({"Label": pl.String()}))
_LINES_TO_RECOGNIZE = 20  # so that a malformed first line is counted like any other


def behaviors() -> LineFormat:
    """Texts but for TIME, unix seconds; a line whose IMPRESSIONS have no labels is malformed."""
    shown = pl.col(IMPRESSIONS)
    labeled = pl.when(shown.str.contains(_LABELED)).then(shown)
    lines = _tabbed(BEHAVIORS, USER, IMPRESSIONS)
    return timed(changed(lines, after=lambda rows: rows.with_columns(labeled)), TIME, _CLOCK)


def clicked() -> pl.Expr:
    """The list of news ids in IMPRESSIONS that have label 1."""
    marked = pl.col(IMPRESSIONS).str.extract_all(r"\S+-1(?:\s|$)")
    return marked.list.eval(pl.element().str.replace(r"-1\s?$", ""))


def news() -> LineFormat:
    """Texts, of ENTITIES the labels; a line with entities that are no such JSON is malformed."""
    decoded = [pl.col(column).str.json_decode(_ENTITY) for column in ENTITIES]
    labels = [
        joined(entities.list.eval(pl.element().struct.field("Label")), SEPARATOR)
        for entities in decoded
    ]

    def with_labels(rows: pl.DataFrame) -> pl.DataFrame:
        try:
            return rows.with_columns(labels)
        except pl.exceptions.PolarsError:
            if rows.height > 1:
                raise  # to be given the lines one by one
            return rows.with_columns(pl.lit(None, pl.String).alias(NEWS_ID))

    return changed(_tabbed(NEWS, NEWS_ID), after=with_labels)


def _tabbed(file: str, *required: str) -> LineFormat:
    return delimited(pl.Schema(dict.fromkeys(_FIELDS[file], pl.String())), required, "\t")


def find_parts(folder: Path, release: str) -> list[Path]:
    """The folders that hold both files of a release: one, or those of train and dev.

    Official zips that lie in `folder` are unpacked beside themselves.

    Raises:
        UserError: a file is not there, or the release is one without clicks.
    """
    if release.endswith("_test"):
        raise UserError(
            f"{release} says which news were shown but not which were clicked (its labels are "
            f"secret), so there is no interaction in it; ask for {release.removesuffix('_test')}, "
            f"which reads train and dev"
        )
    if whole := _find_part(folder, release):
        return [whole]
    halves = [release] if release.endswith(_PARTS) else [release + part for part in _PARTS]
    found = {half: _find_part(folder, half) for half in halves}
    lacking = [half for half, place in found.items() if place is None]
    if not lacking:
        return [place for place in found.values() if place]
    missing = [
        str(path)
        for half in lacking
        for name in FILES
        if not (path := folder / half / name).is_file()
    ]
    raise UserError(
        f"MIND {release}: {', '.join(missing)} missing, and so is "
        f"{' or '.join(f'{half}.zip' for half in lacking)} in {folder}. MIND cannot be fetched "
        f"for you because its license has to be accepted: get the zip from {SITE} and put it into "
        f"{folder} (a release of one's own may also be one folder {folder / release}), or use "
        f"simulated data: data=marketplace."
    )


def _find_part(folder: Path, name: str) -> Path | None:
    """The folder with both files of one part, unpacked if need be."""
    place, archive = folder / name, folder / f"{name}.zip"
    for inside in (place, place / name):
        if all((inside / file).is_file() for file in FILES):
            return inside
    if not archive.is_file():
        return None
    held = [(PurePosixPath(member).name, member) for member in members(archive)]
    for file in FILES:
        found = [member for base, member in held if base == file]
        if len(found) != 1:
            raise UserError(
                f"{archive} holds {len(found) or 'no'} {file}, expected one. Put the official zip "
                f"of {name} there ({SITE})."
            )
        extract(archive, found[0], place / file)
    return place


def check(path: Path) -> Path:
    """Return a file of FILES if it looks like what its name says.

    Raises:
        UserError: none of its first lines has the published fields, or no click is marked.
    """
    fields = _FIELDS[path.name]
    lines = head(path, _LINES_TO_RECOGNIZE)
    rows = [row for line in lines if len(row := line.split("\t")) == len(fields)]
    if not rows:
        found = (lines or [""])[0]
        raise UserError(
            f"{path}, line 1: expected {len(fields)} fields split by tabs ({', '.join(fields)}), "
            f"found {found.count(chr(9)) + 1}: {found[:80]!r}. Put the official {path.name} there."
        )
    shown = pl.Series([row[-1].strip() for row in rows])
    if path.name == BEHAVIORS and not shown.str.contains(_LABELED).any():
        raise UserError(
            f"{path}, line 1: expected impressions that say what was clicked (N55689-1 N35729-0), "
            f"found {rows[0][-1][:80]!r}. The test set has no such labels; use train and dev."
        )
    return path
