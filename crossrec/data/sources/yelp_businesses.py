"""What Yelp says about a business, in the formats of its early and its later years."""

import polars as pl

from crossrec.data.columns import CATEGORIES, FEATURES, ITEM, TITLE
from crossrec.data.sources.tidy import clean_text, null_if_empty

BUSINESSES = pl.Schema(
    dict.fromkeys(("business_id", "name", "city", "state", "categories", "attributes"), pl.String())
)
# Categories are separated by commas, and these have commas of their own.
_WITH_COMMA = (
    "Beer, Wine & Spirits",
    "Books, Mags, Music & Video",
    "Used, Vintage & Consignment",
    "Wills, Trusts, & Probates",
)
_PAIR = r"[^{},:]+: (?:\{[^{}]*\}|[^{},]*)"


def tidy_businesses(rows: pl.DataFrame) -> pl.DataFrame:
    """Name, categories and features of businesses."""
    items = rows.select(
        pl.col("business_id").alias(ITEM),
        pl.col("name").alias(TITLE),
        _categories(pl.col("categories")).alias(CATEGORIES),
        pl.concat_str(
            null_if_empty(pl.col("city")),
            null_if_empty(pl.col("state")),
            _attributes(rows["attributes"]),
            separator=", ",
            ignore_nulls=True,
        ).alias(FEATURES),
    )
    return clean_text(items, (TITLE, CATEGORIES, FEATURES))


def _categories(text: pl.Expr) -> pl.Expr:
    """ "Pubs, Beer, Wine & Spirits" (until 2017: ["Pubs", "Beer, Wine & Spirits"]) as a path."""
    flat = text.str.strip_chars('[]"').str.replace_all(r'",\s*"', ", ")
    whole = flat.str.replace_many({name: name.replace(", ", "\x1f") for name in _WITH_COMMA})
    return whole.str.replace_all(", ", " > ", literal=True).str.replace_all("\x1f", ", ")


def _attributes(objects: pl.Series) -> pl.Series:
    r"""What holds of each business, in words, from JSON objects as text.

    `{"WiFi": "u'free'", "HasTV": "False", "Ambience": "{'casual': True, 'classy': False}"}` is
    "Wi Fi free, Ambience casual". Values are Python literals in JSON strings; until 2017 they were
    JSON. Neither has quotes, commas or braces inside, so without quotes both read alike.
    """
    plain = objects.str.replace_all(r"\bu'", "").str.replace_all(r"""["']""", "")
    inside = plain.str.strip_prefix("{").str.strip_suffix("}")
    pairs = pl.DataFrame({"row": range(len(objects)), "pair": inside.str.extract_all(_PAIR)})
    pairs = pairs.explode("pair").drop_nulls()
    key = pl.col("pair").str.extract(r"^([^:]+):").str.strip_chars()
    words = (
        key.str.replace(r"\d+$", "")
        .str.replace_all(r"([a-z])([A-Z])", "$1 $2")
        .str.replace_all("_", " ", literal=True)
    )
    value = pl.col("pair").str.extract(r": (.*)$").str.replace_all("_", " ", literal=True)
    nested = value.str.extract_all(r"[^{},:]+: (?i:true)").list.eval(
        pl.element().str.extract("^([^:]+):").str.strip_chars()
    )
    truth = value.str.to_lowercase()
    said = (
        pl.when(value.str.starts_with("{") & (nested.list.len() > 0))
        .then(pl.concat_str(words, nested.list.join(" "), separator=" "))
        .when(truth == "true")
        .then(words)
        .when(~value.str.starts_with("{") & ~truth.is_in(["false", "none", "null", ""]))
        .then(pl.concat_str(words, value, separator=" "))
    )
    found = pairs.select("row", said.alias("said")).drop_nulls()
    texts = found.group_by("row").agg(pl.col("said").str.join(", "))
    return pl.DataFrame({"row": range(len(objects))}).join(
        texts, on="row", how="left", maintain_order="left"
    )["said"]
