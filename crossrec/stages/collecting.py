"""The first stage: raw files -> cleaned, aligned and split tables and tensors of both domains."""

import logging
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from crossrec.artifacts import ArtifactStore, code_digest
from crossrec.data.download import digest
from crossrec.data.identities import Identity, check_sources, read_domains, split_name
from crossrec.data.pair import Side
from crossrec.data.prepared import describe, read_account, read_statistics
from crossrec.data.preparing import Protocol, prepare
from crossrec.data.pseudonyms import fingerprint
from crossrec.data.splits import export_split
from crossrec.data.statistics.account import as_json
from crossrec.data.statistics.plots import plot_domains
from crossrec.data.statistics.tables import markdown
from crossrec.data.storage import DOMAINS, read_interactions
from crossrec.lineage import code_behind
from crossrec.stages.settings import DataSettings, Part
from crossrec.stages.staging import Staging

log = logging.getLogger(__name__)
DESCRIBED_BY = ("crossrec.data.statistics.plots", "crossrec.data.statistics.tables")
PLACES = ("folder", "download")  # where files lie is no input: what is in them is


def collect(settings: DataSettings, staging: Staging, without: Side | None = None) -> Path:
    """The folder of the prepared pair (see `data.prepared`), made now unless it is there.

    Args:
        without: the side that is another owner's: none of its files is looked for.

    Raises:
        UserError: a domain cannot be read, is empty after cleaning, or cannot be split as asked.
    """
    s = settings
    reader = s.reader.make()
    here = [] if without == "source" else s.sources
    names = here if without == "target" else [*here, s.data["target"]]
    check_sources(s.sources, s.data["target"])
    identity = Identity(**s.identity)
    files = dict.fromkeys(file for name in names for file in reader.files(split_name(name)[0]))

    def make(folder: Path) -> None:
        with TemporaryDirectory(dir=folder) as scratch:
            # Without a target the last source is read in its place, as one domain among others.
            *sources, last = names
            read, target = read_domains(reader, sources, last, Path(scratch))
            prepare(
                [*read, target] if without == "target" else read,
                None if without == "target" else target,
                folder,
                clean=s.cleaning.make,
                rating_scale=s.rating_scale,
                identity=identity,
                protocol=Protocol(
                    split=lambda events: s.split.make(events, seed=s.seed),
                    split_source=lambda events: s.split_source.make(events, seed=s.seed),
                    source_after_test=s.protocol["source_after_test"],
                    cut_at=s.protocol["cut_at"],
                    position_spans_domains=s.data["position_spans_domains"],
                    joint=s.protocol.get("joint", False),
                ),
                absent="+".join(s.sources) if without == "source" else s.data["target"],
            )

    inputs = {
        "files": [[digest(file, "sha256"), _folder_values(file)] for file in files],
        "reader": _without_places(s.reader.config),
        "without": without,
        "names": [Path(name).name for name in names],
        "rating_scale": s.data["rating_scale"],
        "position_spans_domains": s.data["position_spans_domains"],
        "cleaning": s.cleaning.config,
        "overlap": identity.overlap,
        "salt": identity.key and fingerprint(identity.key),
        "links": [digest(file, "sha256") for file in identity.files()],
        "split": _of_split(s.split),
        "split_source": _of_split(s.split_source),
        "protocol": {k: s.protocol[k] for k in ("source_after_test", "cut_at")},
        "seed": s.seed,
    }
    folder = staging.stage("collect", ("data",), inputs, make)
    for line in describe(read_account(folder)):
        log.info("           %s", line)
    return folder


def write_data_report(data: Path, folder: Path, caption: str, store: ArtifactStore) -> list[Path]:
    """Write data.json, data.md and data.png into a folder: what the domains of a pair are.

    They are made once for all runs on the same data: drawing takes longer than a small run trains.

    Args:
        data: what `collect` made.
        folder: of the run.
        caption: what stands above the tables.
        store: has what was made before.

    Returns:
        The plots among them.
    """

    def make(draft: Path) -> None:
        accounts = read_statistics(data)
        (draft / "data.json").write_text(as_json(accounts))
        (draft / "data.md").write_text(markdown(accounts, caption))
        plot_domains(accounts, caption, draft / "data.png")

    code = code_digest(*code_behind(*DESCRIBED_BY))
    inputs = {"data": data.name, "caption": caption, "code": code}
    made, _ = store.get_or_make("describe", inputs, make)
    for name in ("data.json", "data.md", "data.png"):
        shutil.copyfile(made / name, folder / name)
    return [folder / "data.png"]


def export(data: Path, folder: Path, split: str) -> list[Path]:
    """Write the splits of source and target into a folder, for split=shared to read.

    Args:
        split: what the split is called.
    """
    files = []
    for domain in DOMAINS:
        events = read_interactions(data, domain)
        files.append(folder / f"{domain}_split.parquet")
        export_split(events, files[-1], split)
    return files


def _folder_values(file: Path) -> list[str]:
    """What the folders of a partitioned table say of a file's rows ("year=2018")."""
    return [part for part in file.parts[:-1] if "=" in part]


def _without_places(config: Any) -> Any:
    """A reader's configuration, and that of readers inside it, without where the files lie."""
    if not isinstance(config, dict):
        return config
    return {key: _without_places(config[key]) for key in config if key not in PLACES}


def _of_split(split: Part) -> dict[str, Any]:
    """A split's configuration, with what is in its file in place of where the file lies."""
    file = split.config.get("file")
    if file is None or not Path(file).is_file():  # the split itself says what is wrong with it
        return split.config
    return {**split.config, "file": digest(Path(file), "sha256")}
