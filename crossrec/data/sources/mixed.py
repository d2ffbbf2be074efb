"""Domains of different data sets: each is read by the reader of its own."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from crossrec.data.columns import RATING
from crossrec.data.identities import Reader
from crossrec.data.raw import RawDomain
from crossrec.errors import UserError


class Mixed:
    """Hands a domain on to the reader that was given for it.

    Args:
        readers: domain -> its reader.
        rating_factors: domain -> number that brings its ratings to the scale of the others.
    """

    def __init__(
        self, readers: Mapping[str, Reader], rating_factors: Mapping[str, float] | None = None
    ) -> None:
        if not readers:
            raise UserError(
                "data.reader.readers is empty: name a reader for each domain, as in "
                "conf/data/book_crossing_library_thing.yaml"
            )
        self.readers, self.rating_factors = dict(readers), dict(rating_factors or {})
        if unknown := sorted(self.rating_factors.keys() - self.readers.keys()):
            raise UserError(
                f"data.reader.rating_factors names {', '.join(unknown)}, which has no reader"
            )

    def files(self, domain: str) -> tuple[Path, ...]:
        """The files of a domain; see its reader."""
        return self._reader(domain).files(domain)

    def read(self, domain: str, scratch: Path | None = None) -> RawDomain:
        """The tables of a domain; see its reader.

        Raises:
            UserError: no reader was given for the domain, or it cannot read it.
        """
        raw = self._reader(domain).read(domain, scratch)
        scaled = (pl.col(RATING) * self.rating_factors.get(domain, 1)).cast(pl.Float32)
        return replace(raw, interactions=raw.interactions.with_columns(scaled))

    def _reader(self, domain: str) -> Reader:
        if domain not in self.readers:
            raise UserError(
                f"data.reader.readers has no reader for {domain!r}, only for "
                f"{', '.join(self.readers)}"
            )
        return self.readers[domain]
