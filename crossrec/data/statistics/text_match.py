"""How well the texts of two catalogs match: common words, equal titles, nearest texts."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crossrec.data.cleaning import number
from crossrec.data.columns import BRAND, CATEGORIES, ITEM, KEYWORDS, TITLE
from crossrec.data.splits.draws import hashes

COLUMNS = (TITLE, CATEGORIES, BRAND)
MAX_SAMPLE = 2000
BLOCK_BYTES = 64 << 20

_BEYOND_ASCII = r"[^\x00-\x7f]"
_IDEOGRAPH = r"([\p{Han}\p{Hiragana}\p{Katakana}])"
_NO_WORD = r"[^\p{L}\p{M}\p{N}]+"


@dataclass(frozen=True)
class TextMatch:
    """How well a source's texts know a target's.

    The text of an item is its title, categories and brand, or its keywords if it has none of them.

    Attributes:
        source_items, target_items: items with a word of text.
        source_words, target_words: different words.
        shared_words: different words that both use.
        known_words: share of the target's word occurrences whose word the source uses too.
        equal_titles: target items whose title is one of the source's, but for case, punctuation
            and white space.
        of_titles: their share of the target items that have a title.
        sampled: target items with text that were compared with all others.
        to_source: mean TF-IDF cosine of a sampled item and the source item nearest to it.
        to_target: the same with the nearest other target item, to judge the former by.

    A share or mean of nothing is None.
    """

    source_items: int
    target_items: int
    source_words: int
    target_words: int
    shared_words: int
    known_words: float | None
    equal_titles: int
    of_titles: float | None
    sampled: int
    to_source: float | None
    to_target: float | None


def match_texts(source_items: pl.DataFrame, target_items: pl.DataFrame) -> TextMatch:
    """Compare the texts of two catalogs, whatever the order of their rows.

    A word is a run of letters and digits, or one Chinese or Japanese character, as `normalize`
    leaves it. Cosines are those of TF-IDF vectors (Salton and Buckley, 1988) with weights
    tf * (1 + ln((1 + N) / (1 + df))), N and df over the items of both catalogs that have text.
    The sample is the up to 2,000 target items with text whose ids hash lowest, so that it hardly
    changes as the catalog grows.
    """
    source, target = _word_counts(source_items, target_items)
    occurrences = target.sum(axis=0, dtype=np.float64)
    source_uses, target_uses = source.sum(axis=0) > 0, occurrences > 0
    rows = np.flatnonzero(np.diff(target.indptr))
    drawn = hashes(target_items[ITEM].gather(rows).cast(pl.String))
    sample = rows[np.argsort(drawn, kind="stable")[:MAX_SAMPLE]]
    n_source = int((np.diff(source.indptr) > 0).sum())
    source, target = _weighted(source, target)
    titles = normalize(target_items[TITLE])
    titles = titles.filter(titles != "")
    equal = int(titles.is_in(normalize(source_items[TITLE]).implode()).sum())
    return TextMatch(
        source_items=n_source,
        target_items=len(rows),
        source_words=int(source_uses.sum()),
        target_words=int(target_uses.sum()),
        shared_words=int((source_uses & target_uses).sum()),
        known_words=float(occurrences[source_uses].sum() / occurrences.sum())
        if len(rows)
        else None,
        equal_titles=equal,
        of_titles=equal / len(titles) if len(titles) else None,
        sampled=len(sample),
        to_source=_nearest(source, target[sample]) if n_source and len(rows) else None,
        to_target=_nearest(target, target[sample], sample) if len(rows) > 1 else None,
    )


def normalize(texts: pl.Series) -> pl.Series:
    """Words with one space between: case folded, punctuation out, compatible forms made one.

    "Women’s  CAFÉ-Set" becomes "womens café set"; a null becomes "".
    """
    texts = texts.fill_null("")
    plain = texts.str.to_lowercase()
    special = texts.str.contains(_BEYOND_ASCII).arg_true()
    if len(special):
        lines = texts.gather(special).str.replace_all("\n", " ", literal=True)
        # polars has no case folding ("ß" is "ss"): Python folds all of them in one call.
        folded = "\n".join(lines.str.normalize("NFKC")).casefold().split("\n")
        plain = plain.scatter(special, pl.Series(folded).str.replace_all(_IDEOGRAPH, " $1 "))
    return plain.str.replace_all("['’]", "").str.replace_all(_NO_WORD, " ").str.strip_chars(" ")


def _word_counts(*catalogs: pl.DataFrame) -> list[csr_array]:
    """(items, words) occurrences a catalog; the words are those of all, in alphabetical order."""
    tables = []
    for catalog in catalogs:
        text = pl.concat_str(COLUMNS, separator=" ", ignore_nulls=True)
        text = pl.when(text != "").then(text).otherwise(KEYWORDS)
        words = normalize(catalog.select(text).to_series()).str.split(" ")
        table = words.alias("word").to_frame().with_row_index("item").explode("word")
        tables.append(table.filter(pl.col("word") != "").group_by("item", "word").len("n"))
    codes, names = number(pl.concat([table["word"] for table in tables]))
    matrices, start = [], 0
    for catalog, table in zip(catalogs, tables, strict=True):
        places = table["item"].to_numpy(), codes[start : start + len(table)].to_numpy()
        start += len(table)
        counts = table["n"].to_numpy().astype(np.float32)
        # It sorts the words of a row: sums have one order, whatever that of the table.
        matrices.append(csr_array((counts, places), shape=(len(catalog), len(names))))
    return matrices


def _weighted(*catalogs: csr_array) -> list[csr_array]:
    """TF-IDF vectors of length 1, in place of counts."""
    n_items = sum(int((np.diff(counts.indptr) > 0).sum()) for counts in catalogs)
    n_words = catalogs[0].shape[1]
    having = sum(np.bincount(counts.indices, minlength=n_words) for counts in catalogs)
    rarity = (1 + np.log((1 + n_items) / (1 + having))).astype(np.float32)
    vectors = []
    for counts in catalogs:
        weights = counts.copy()
        weights.data *= rarity[weights.indices]
        lengths = np.sqrt(weights.power(2).sum(axis=1))
        weights.data /= np.repeat(lengths, np.diff(counts.indptr))
        vectors.append(weights)
    return vectors


def _nearest(catalog: csr_array, sample: csr_array, own: NDArray[np.int64] | None = None) -> float:
    """Mean over the sample of the highest cosine with a row of the catalog, but for the own one."""
    words = np.unique(sample.indices)  # no other word adds to a product
    catalog, sample = catalog[:, words], sample[:, words]
    step = max(1, BLOCK_BYTES // (4 * sum(catalog.shape)))
    best = []
    for start in range(0, sample.shape[0], step):
        cosines = catalog @ sample[start : start + step].toarray().T.copy()
        if own is not None:
            rows = own[start : start + step]
            cosines[rows, np.arange(len(rows))] = 0
        best.append(cosines.max(axis=0))
    return min(1.0, float(np.concatenate(best).mean(dtype=np.float64)))
