"""The stages in which models see and hear the items, and in which vectors are read from a file."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from crossrec.data.columns import ITEM
from crossrec.data.download import digest
from crossrec.data.identities import split_name
from crossrec.data.storage import DOMAINS, in_train, read_items
from crossrec.encoders.content import Content, read_content, save_vectors
from crossrec.encoders.encode_media import encode_media
from crossrec.encoders.given import read_vectors
from crossrec.encoders.language_model import weights_digest
from crossrec.encoders.media_files import MediaFiles, check_found, find_files
from crossrec.encoders.media_model import MediaModel, locate_media_model
from crossrec.encoders.text import compose
from crossrec.encoders.tiny import TINY
from crossrec.errors import UserError
from crossrec.stages.settings import Settings
from crossrec.stages.staging import Staging
from crossrec.stages.trainers import device_of, trainer_of
from crossrec.training.word_prediction import learn_words

log = logging.getLogger(__name__)


def sense(settings: Settings, staging: Staging, data: Path, medium: str) -> Content:
    """Pictures or sounds of both domains' items -> content vectors.

    Args:
        data: folder of the prepared pair.
        medium: "image" or "audio".

    Raises:
        UserError: no item in train has such a file, or the model cannot be had.
    """
    options = settings.content[medium]
    files = media_of(settings, data, medium)
    if options["model"] == TINY:
        model_folder = train_tiny(settings, staging, data, files)
    else:
        model_folder = locate_media_model(options["model"], medium)
    reading = {key: options[key] for key in ("pooling", "batch_size", "dtype", "whiten_dim")}
    seconds = options.get("max_seconds", 0.0)

    def make(folder: Path) -> None:
        dtype = getattr(torch, options["dtype"])
        model = MediaModel.open(
            model_folder, medium, options["pooling"], dtype, device_of(settings)
        )
        vectors, mask = encode_media(files, model, options["batch_size"], seconds)
        _save(folder, data, medium, vectors, mask, options["whiten_dim"])

    inputs = {
        "data": data.name,
        "files": files.key(),
        "model": weights_digest(model_folder),
        "max_seconds": seconds,
        **reading,
    }
    folder = staging.stage(f"encode-{medium}", ("encoders",), inputs, make)
    return read_content(folder)


def media_of(settings: Settings, data: Path, medium: str) -> MediaFiles:
    """The pictures or sounds of the source's items, then of the target's.

    A simulated domain draws its own. Elsewhere the column of that name says where they are; a
    relative path begins in the folder of the domain's files, or in the reader's own.

    Raises:
        UserError: no item has a file.
    """
    s = settings
    reader = s.reader.make()
    references: list[str | None] = []
    folders: list[list[Path]] = []
    for side, names in zip(DOMAINS, (s.sources, [s.data["target"]]), strict=True):
        items = read_items(data, side)
        domains = [split_name(name)[0] for name in names]
        if s.data["simulated"]:
            drawn = {
                name: str(path.absolute())
                for domain in domains
                for item, path in reader.media_files(domain, medium).items()
                for name in (item, f"{domain}/{item}")  # as `identities` calls what is kept apart
            }
            references += [drawn[item] for item in items[ITEM]]
        else:
            references += items[medium].to_list()
        places = [file.parent.absolute() for domain in domains for file in reader.files(domain)]
        if root := s.reader.config.get("folder"):
            places.append(Path(root).absolute())
        folders += [list(dict.fromkeys(places))] * items.height
    files = find_files(medium, references, folders)
    where = dict.fromkeys(str(place) for places in folders[:1] + folders[-1:] for place in places)
    check_found(files, " or ".join(where))
    return files


def train_tiny(settings: Settings, staging: Staging, data: Path, files: MediaFiles) -> Path:
    """A small network trained from scratch on the files of items in train: a Hugging Face folder.

    Args:
        files: of the source's items, then of the target's.
    """
    s, medium = settings, files.medium
    stage = f"pretrain-{medium}"
    options = {
        k: s.content[medium][k] for k in ("labels", "max_steps", "batch_size", "learning_rate")
    }

    def make(folder: Path) -> None:
        # Of what no train event has nothing is learned: neither its picture nor its words.
        learned = np.concatenate([in_train(data, side) for side in DOMAINS])
        texts = [
            text for side in DOMAINS for text in compose(read_items(data, side), options["labels"])
        ]
        limits = {"max_steps": options["max_steps"], "max_epochs": -1}
        trainer = trainer_of(s, stage)([], devices=1, strategy="auto", **limits)
        account = learn_words(
            replace(
                files,
                paths=[path for path, seen in zip(files.paths, learned, strict=True) if seen],
                digests=[name for name, seen in zip(files.digests, learned, strict=True) if seen],
            ),
            [text for text, seen in zip(texts, learned, strict=True) if seen],
            folder,
            trainer,
            learning_rate=options["learning_rate"],
            batch_size=options["batch_size"],
            seed=s.seed,
        )
        (folder / "words.json").write_text(json.dumps(account, indent=1) + "\n")

    inputs = {
        "data": data.name,
        "files": files.key(),
        "precision": s.trainer.config["precision"],
        "seed": s.seed,
        **options,
    }
    folder = staging.stage(
        stage, ("encoders", "training/word_prediction.py", "training/shown.py"), inputs, make
    )
    account = json.loads((folder / "words.json").read_text())
    log.info(
        "           %s words of %s files; explains %.0f%% of them in %s held-out files",
        f"{account['words']:,}",
        f"{account['files']:,}",
        100 * account["explained"],
        f"{account['held_out']:,}",
    )
    return folder


def given_vectors(settings: Settings, staging: Staging, data: Path) -> Content:
    """Vectors of a file -> content vectors of both domains' items.

    Raises:
        UserError: the file cannot be read, or names no item in train.
    """
    options = settings.content["vectors"]
    file = Path(options["file"]).expanduser()
    if not file.is_file():
        raise UserError(f"content.vectors.file={options['file']}: there is no such file")

    def make(folder: Path) -> None:
        ids = [item for side in DOMAINS for item in read_items(data, side)[ITEM]]
        vectors, mask = read_vectors(file, ids)
        log.info("           vectors of %s of %s items", f"{int(mask.sum()):,}", f"{len(mask):,}")
        _save(folder, data, "vectors", vectors, mask, options["whiten_dim"])

    inputs = {
        "data": data.name,
        "file": digest(file, "sha256"),
        "whiten_dim": options["whiten_dim"],
    }
    folder = staging.stage("vectors", ("encoders",), inputs, make)
    return read_content(folder)


def _save(
    folder: Path,
    data: Path,
    name: str,
    vectors: np.ndarray,
    mask: np.ndarray,
    whiten_dim: int | None,
) -> None:
    """Write the vectors of one modality; whitening goes to as many dimensions as there are."""
    learned = [in_train(data, side) for side in DOMAINS]
    if not (mask & np.concatenate(learned)).any():
        raise UserError(
            f"content has {name}, but no item in train has any that can be read: leave {name} out "
            "of content=[...]"
        )
    kind = "none" if whiten_dim is None else "whiten"
    dim = None if whiten_dim is None else min(whiten_dim, vectors.shape[1])
    save_vectors(folder, vectors, mask, learned, kind, dim)
