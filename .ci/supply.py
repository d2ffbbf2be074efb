"""What the lock brings in: pinned, the files that were meant, and under which licenses.

    python .ci/supply.py pins LOCK...                  every line is name==version
    python .ci/supply.py hashes REPORT LOCK HASHES     what pip installed is what HASHES says
    python .ci/supply.py write-hashes REPORT LOCK HASHES
    python .ci/supply.py licenses LOCK LICENSES        is the list up to date?
    python .ci/supply.py write-licenses LOCK LICENSES

REPORT is what `pip install --report REPORT` writes. HASHES has the sha256 of each locked package
that is one wheel for all machines (py3-none-any). pip itself checks hashes for all requirements or
for none, and the lock has packages without one file for all: torch is a CUDA build or a CPU build,
and others are compiled for each platform.
"""

import json
import re
import sys
from importlib import metadata
from pathlib import Path

PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!]+)")
LICENSE_WORDS = 60  # characters: some packages put the whole text where its name belongs


def plain(name: str) -> str:
    """A package's name as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock: Path) -> dict[str, str]:
    """Name -> version of every line; SystemExit names the first that is no exact pin."""
    found: dict[str, str] = {}
    for number, line in enumerate(lock.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = PIN.fullmatch(line.strip())
        if match is None:
            sys.exit(f"{lock}, line {number}: expected name==version, found {line!r}")
        name = plain(match[1])
        if name in found:
            sys.exit(f"{lock}, line {number}: {name} is pinned twice")
        found[name] = match[2]
    return found


def everywhere(report: Path, locked: dict[str, str]) -> dict[str, str]:
    """name==version -> sha256 of the locked packages that came as one wheel for all machines."""
    hashes = {}
    for item in json.loads(report.read_text())["install"]:
        name, version = plain(item["metadata"]["name"]), item["metadata"]["version"]
        about = item["download_info"]
        if name in locked and about["url"].endswith("-none-any.whl"):
            hashes[f"{name}=={version}"] = about["archive_info"]["hashes"]["sha256"]
    return dict(sorted(hashes.items()))


def written_hashes(file: Path) -> dict[str, str]:
    """What `write-hashes` wrote."""
    lines = [line for line in file.read_text().splitlines() if line and line[0] != "#"]
    return dict(line.split(" sha256:") for line in lines)


def check_hashes(report: Path, lock: Path, file: Path) -> None:
    """SystemExit unless every wheel for all machines is written down, with the hash it has."""
    locked = pins(lock)
    known, found = written_hashes(file), everywhere(report, locked)
    stale = [pin for pin in known if locked.get(pin.partition("==")[0]) != pin.partition("==")[2]]
    if stale:
        sys.exit(f"{file}: {', '.join(stale)} is not what {lock} pins: write it anew")
    for pin, sha256 in found.items():
        if pin not in known:
            sys.exit(f"{file} has no line for {pin}: write it anew")
        if known[pin] != sha256:
            sys.exit(
                f"{pin}: its wheel has the sha256 {sha256}, and {file} has {known[pin]}. It is "
                "another file than the one that was locked: do not run anything of it"
            )
    print(
        f"{len(found)} wheels are the files that were locked; {len(locked) - len(found)} of "
        f"{len(locked)} packages are built for each platform, and are not checked"
    )


def license_of(name: str) -> str:
    """The license that an installed package states, in a few words."""
    about = metadata.metadata(name)
    classified = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or []
        if line.startswith("License :: ") and line != "License :: OSI Approved"
    ]
    stated = (about.get("License") or "").strip().splitlines()
    short = stated[0] if len(stated) == 1 and len(stated[0]) <= LICENSE_WORDS else ""
    return about.get("License-Expression") or short or ", ".join(classified) or "not stated"


def licenses(lock: Path) -> str:
    """A Markdown table of the locked packages and their licenses."""
    rows = [f"| {name} | {license_of(name)} |" for name in sorted(pins(lock))]
    return "\n".join(
        [
            "# Licenses of the dependencies",
            "",
            f"What the packages of {lock.name} say of themselves; made by "
            "`python .ci/supply.py write-licenses requirements.lock LICENSES.md`.",
            "",
            "| package | license |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def main(command: str, *files: str) -> None:
    """See the module."""
    paths = [Path(file) for file in files]
    if command == "pins":
        for lock in paths:
            print(f"{lock}: {len(pins(lock))} exact pins")
    elif command == "hashes":
        check_hashes(*paths)
    elif command == "write-hashes":
        report, lock, file = paths
        lines = [f"{pin} sha256:{value}" for pin, value in everywhere(report, pins(lock)).items()]
        head = f"# The wheels of {lock.name} that serve every machine; see .ci/supply.py."
        file.write_text("\n".join([head, *lines, ""]))
    elif command == "licenses":
        lock, file = paths
        if file.read_text() != licenses(lock):
            sys.exit(f"{file} is not what the packages of {lock} say: use write-licenses")
        print(f"{file} is up to date")
    elif command == "write-licenses":
        lock, file = paths
        file.write_text(licenses(lock))
    else:
        sys.exit(f"there is no {command}; {__doc__}")


if __name__ == "__main__":
    main(*sys.argv[1:])
