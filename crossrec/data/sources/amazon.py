"""Amazon reviews: the releases of 2014, 2018 and 2023, any category, under their official names."""

import re
from pathlib import Path

from crossrec.data.download import fetch
from crossrec.data.raw import RawDomain
from crossrec.data.sources.amazon_formats import AmazonFile, recognize
from crossrec.data.sources.lines import Lines, check_share, head, read_lines
from crossrec.data.sources.tidy import raw_domain
from crossrec.errors import UserError

_LAB = "https://mcauleylab.ucsd.edu/public_datasets/data"
_SNAP = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles"
REVIEWS_URL = {
    "2014": _SNAP + "/reviews_{}_5.json.gz",
    "2018": _LAB + "/amazon_v2/categoryFilesSmall/{}_5.json.gz",
    "2023": _LAB + "/amazon_2023/raw/review_categories/{}.jsonl.gz",
}
METADATA_URL = {
    "2014": _SNAP + "/meta_{}.json.gz",
    "2018": _LAB + "/amazon_v2/metaFiles2/meta_{}.json.gz",
    "2023": _LAB + "/amazon_2023/raw/meta_categories/meta_{}.jsonl.gz",
}
# Official names without ".gz", the most complete first.
_REVIEWS = {
    "2014": ("reviews_{}.json", "reviews_{}_5.json", "ratings_{}.csv"),
    "2018": ("{}.json", "{}_5.json", "{}.csv"),
    "2023": ("{}.jsonl", "{}.csv"),
}
_METADATA: dict[str, tuple[str, ...]] = {
    "2014": ("meta_{}.json",),
    "2018": ("meta_{}.json",),
    "2023": ("meta_{}.jsonl",),
}
_LINES_TO_RECOGNISE = 20  # so that a malformed first line is counted like any other

_EVENTS = ("reviews", "ratings")


class Amazon:
    """Reads a category of one release from a folder, fetching what is missing.

    A file may lie in `folder` or in `folder/amazonRELEASE` (where downloads go), gzip or plain; of
    several the most complete is read: all reviews, then the 5-core, then ratings without text.
    Metadata may be missing where there are ratings only. Item ids are ASINs (2023: of the parent,
    so that variants of a product are one item).

    Args:
        release: "2014", "2018" or "2023".
        folder: where the files are looked for.
        download: fetch missing files (2014 and 2018: the 5-core reviews).
        max_malformed: share of malformed lines in a file above which reading fails.
        reviews: read the text of reviews, which takes most of the memory.
    """

    def __init__(
        self,
        release: str,
        folder: str | Path,
        download: bool = True,
        max_malformed: float = 0.01,
        reviews: bool = True,
    ) -> None:
        self.release = str(release)
        if self.release not in REVIEWS_URL:
            raise UserError(
                f"data.reader.release must be one of {', '.join(REVIEWS_URL)}, got {release!r}"
            )
        self.folder = Path(folder)
        self.download = download
        self.max_malformed = check_share(max_malformed)
        self.reviews = reviews

    def read(self, category: str, scratch: Path | None = None) -> RawDomain:
        """Interactions and items of a category, named as in the file names ("Home_and_Kitchen").

        Args:
            scratch: a folder for reviews that are too many for memory.

        Raises:
            UserError: a file is missing, of another release, or cannot be read.
        """
        files = self.files(category)
        lines = self._read(files[0], self._recognize(files[0], _EVENTS), scratch)
        items = None
        if len(files) > 1:
            items = self._read(files[1], self._recognize(files[1], ("metadata",)), None).frame
        return raw_domain(category, lines.table, items, files, lines.n_lines, lines.n_malformed)

    def files(self, category: str) -> tuple[Path, ...]:
        """The category's reviews or ratings and, if there is any, its metadata; fetched if need be.

        Raises:
            UserError: a file is missing, or is of another release.
        """
        if not re.fullmatch(r"\w+", category):
            raise UserError(
                f"Amazon categories are written as in the file names (Home_and_Kitchen), got "
                f"{category!r}"
            )
        events = self._find(category, _REVIEWS) or self._fetch(category, REVIEWS_URL)
        metadata = self._find(category, _METADATA)
        if metadata is None and self._recognize(events, _EVENTS).kind == "reviews":
            metadata = self._fetch(category, METADATA_URL)
        return (events,) if metadata is None else (events, metadata)

    def _read(self, path: Path, file: AmazonFile, scratch: Path | None) -> Lines:
        return read_lines(path, file.lines, self.max_malformed, file.tidy, scratch)

    def _folders(self) -> tuple[Path, Path]:
        return self.folder / f"amazon{self.release}", self.folder

    def _find(self, category: str, names: dict[str, tuple[str, ...]]) -> Path | None:
        for name in names[self.release]:
            for folder in self._folders():
                for ending in (".gz", ""):
                    path = folder / (name.format(category) + ending)
                    if path.is_file():
                        return path
        return None

    def _fetch(self, category: str, urls: dict[str, str]) -> Path:
        url = urls[self.release].format(category)
        target = self._folders()[0] / url.rsplit("/", 1)[-1]
        reason = "download is switched off (data.reader.download=false)"
        if self.download:
            try:
                return fetch(url, target)
            except UserError as error:
                reason = str(error)
        raise UserError(
            f"Amazon {self.release}, {category}: {target.name} is not in {self.folder} or "
            f"{target.parent}, and {reason}. Fetch {url} elsewhere and put it into "
            f"{target.parent} as {target.name}, or use simulated data: data=marketplace."
        )

    def _recognize(self, path: Path, kinds: tuple[str, ...]) -> AmazonFile:
        """What the file is by the first of its lines that says so."""
        first = head(path, _LINES_TO_RECOGNISE)
        file = next(filter(None, (recognize(line, self.reviews) for line in first)), None)
        if file is None or file.kind not in kinds:
            found = f"Amazon {file.release} {file.kind}" if file else f"{(first or [''])[0][:80]!r}"
            raise UserError(
                f"{path}, line 1: expected Amazon {self.release} {' or '.join(kinds)}, found "
                f"{found}. Put the official file there."
            )
        if file.release != self.release:
            raise UserError(
                f"{path} holds {file.kind} of Amazon {file.release}, but Amazon {self.release} was "
                f"asked for. Use data=amazon{file.release}, or put the file of {self.release} into "
                f"{self._folders()[0]}."
            )
        return file
