"""Where the files of KuaiRec lie, and where they come from."""

from dataclasses import replace
from pathlib import Path

from crossrec.data.download import fetch
from crossrec.data.sources.published import Published
from crossrec.errors import UserError

MATRICES = ("big_matrix", "small_matrix")
CATEGORIES = "item_categories.csv"
CAPTIONS = "kuairec_caption_category.csv"
RECORD = "https://zenodo.org/records/18164998"
RELEASE = Published(
    title="KuaiRec",
    folders=("KuaiRec 2.0/data", "KuaiRec/data", "KuaiRec"),  # the first is the zip's own
    archives=("KuaiRec.zip",),
    page=RECORD,
    url=RECORD + "/files/KuaiRec.zip",
    md5="261550d472c48eff4990fb13c0e5bcf7",
)
CAPTIONS_URL = f"{RECORD}/files/{CAPTIONS}"  # zips of before 2024 lack them
CAPTIONS_MD5 = "31bc38cdccdf75a71df137779035f8cb"


def find(folder: Path, domain: str, download: bool) -> tuple[Path, ...]:
    """Watches, captions and, if they are there, categories of an official matrix, or of a data set
    of one's own in `folder/NAME`.

    Raises:
        UserError: one of the first two is not there and cannot be had.
    """
    if domain in MATRICES:
        matrix = f"{domain}.csv"
        held = RELEASE.provide(folder, ((matrix, CATEGORIES), (matrix,)), download)
        return held[0], _captions(folder, download), *held[1:]
    for place in (folder / domain, folder / domain / "data"):
        for matrix in MATRICES:
            needed = place / f"{matrix}.csv", place / CAPTIONS
            if all(path.is_file() for path in needed):
                categories = place / CATEGORIES
                return (*needed, categories) if categories.is_file() else needed
    raise UserError(
        f"KuaiRec has the domains {' and '.join(MATRICES)}. A data set of one's own in its format "
        f"has {' or '.join(f'{matrix}.csv' for matrix in MATRICES)}, and {CAPTIONS}, in "
        f"{folder / domain}, but they are not there. For simulated data use data=marketplace."
    )


def _captions(folder: Path, download: bool) -> Path:
    """The captions: beside the matrices, in the zip, or by themselves."""
    try:
        return replace(RELEASE, url=None).provide(folder, ((CAPTIONS,),), download=False)[0]
    except UserError as error:
        if not download:
            raise
        try:
            return fetch(CAPTIONS_URL, folder / RELEASE.folders[0] / CAPTIONS, md5=CAPTIONS_MD5)
        except UserError as failure:
            raise UserError(f"{error} Fetching it has failed: {failure}") from failure
