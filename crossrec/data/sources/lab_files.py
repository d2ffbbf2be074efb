"""Files that the recommender lab of UC San Diego publishes, found or fetched."""

from pathlib import Path

from crossrec.data.download import fetch
from crossrec.errors import UserError

LAB = "https://mcauleylab.ucsd.edu/public_datasets"


def lab_file(url: str, folder: Path, dataset: str, download: bool) -> Path:
    """A file under its official name, gzip or plain, in `folder/dataset` or in `folder`.

    Args:
        url: where the file is published; what is fetched goes into `folder/dataset`.

    Raises:
        UserError: the file is not there and cannot be fetched.
    """
    name = url.rsplit("/", 1)[-1]
    place = folder / dataset
    for where in (place, folder):
        for path in (where / name, where / name.removesuffix(".gz")):
            if path.is_file():
                return path
    reason = "download is switched off (data.reader.download=false)"
    if download:
        try:
            return fetch(url, place / name)
        except UserError as error:
            reason = str(error)
    raise UserError(
        f"{name} is not in {place} or {folder}, and {reason}. Fetch {url} elsewhere and put it "
        f"into {place}, or use simulated data: data=marketplace."
    )
