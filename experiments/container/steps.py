"""Carry out a Dockerfile's steps in a folder, with a new virtual environment as its image.

    python steps.py DOCKERFILE CONTEXT FOLDER [ARG=VALUE ...] -- WORDS OF A COMMAND

Knows what ours needs: ARG, WORKDIR, COPY, RUN, ENTRYPOINT and CMD. Absolute paths of the image lie
below FOLDER, and files that .dockerignore leaves out are not there to copy. The environment of the
steps holds PATH, HOME and what pip is told, and nothing else of the caller's.
"""

import fnmatch
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """(instruction, rest) of each; lines that end in a backslash go on."""
    whole = "\n".join(line for line in dockerfile.splitlines() if not line.startswith("#"))
    lines = [line.strip() for line in whole.replace("\\\n", " ").splitlines() if line.strip()]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def is_sent(name: str, rules: list[str]) -> bool:
    """Whether a file of the context is sent to the builder: the last rule that fits decides."""
    parts = name.split("/")
    sent = True
    for rule in rules:
        pattern = rule.lstrip("!")
        above = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        if pattern.startswith("**/"):
            fits = any(fnmatch.fnmatch(part, pattern[3:]) for part in parts)
        else:
            fits = any(fnmatch.fnmatch(path, pattern) for path in above)
        if fits:
            sent = rule.startswith("!")
    return sent


def build(dockerfile: Path, context: Path, folder: Path, given: dict[str, str]) -> None:
    """Carry out the steps, then the command that a container would run."""
    rules = (context / ".dockerignore").read_text().split()
    root, image = folder / "root", folder / "python"
    venv.create(image, with_pip=True)
    environment = {"PATH": f"{image}/bin:/usr/bin:/bin", "HOME": str(folder)}
    environment |= {name: os.environ[name] for name in os.environ if name.startswith("PIP_")}
    place, entry, default = root, [], []
    for kind, rest in instructions(dockerfile.read_text()):
        print(f"[{kind} {rest[:90]}]", flush=True)
        if kind == "ARG":
            name, _, value = rest.partition("=")
            environment[name] = given.get(name, value)
        elif kind == "WORKDIR":
            place = root / rest.lstrip("/")
            place.mkdir(parents=True, exist_ok=True)
        elif kind == "COPY":
            *sources, target = rest.split()
            for source in sources:
                copy(context, source, place, target, rules)
        elif kind == "RUN":
            subprocess.run(["/bin/sh", "-c", rest], cwd=place, env=environment, check=True)
        elif kind == "ENTRYPOINT":
            entry = json.loads(rest)
        elif kind == "CMD":
            default = json.loads(rest)
        elif kind != "FROM":
            raise SystemExit(f"{kind} is not known here")
    words = sys.argv[sys.argv.index("--") + 1 :] or default
    command = ["env", "-i", *(f"{k}={v}" for k, v in environment.items()), *entry, *words]
    subprocess.run(command, cwd=place, check=True)


def copy(context: Path, source: str, place: Path, target: str, rules: list[str]) -> None:
    """COPY a file, or what is in a folder."""
    found = context / source
    files = [p for p in found.rglob("*") if p.is_file()] if found.is_dir() else [found]
    sent = [p for p in files if is_sent(p.relative_to(context).as_posix(), rules)]
    if not sent:
        raise SystemExit(f"COPY {source}: nothing of it is in the context")
    for path in sent:
        inside = path.relative_to(found) if found.is_dir() else Path(path.name)
        to = place / target / inside
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, to)


if __name__ == "__main__":
    end = sys.argv.index("--")
    said = dict(word.split("=", 1) for word in sys.argv[4:end])
    build(Path(sys.argv[1]), Path(sys.argv[2]).absolute(), Path(sys.argv[3]).absolute(), said)
