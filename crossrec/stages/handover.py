"""What crosses from the owner of the source to the owner of the target: W_s, and no row of data.

weights.safetensors   the weights that say nothing of one user or item, and the affine map that
                      content vectors went through. With identity.salt also those that do (tables
                      of users and items): their rows are called by hashes
source.json           what they are weights of, and what they cost the source's users in privacy
"""

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from crossrec.data.columns import ITEM
from crossrec.data.domain import Domain
from crossrec.data.download import digest
from crossrec.data.pair import DomainPair
from crossrec.data.pseudonyms import pseudonyms
from crossrec.encoders.content import read_map
from crossrec.encoders.language_model import LanguageModel, weights_digest
from crossrec.encoders.whitening import VectorMap
from crossrec.errors import UserError
from crossrec.models.interface import Recommender
from crossrec.stages.settings import Settings

log = logging.getLogger(__name__)
WEIGHTS, ABOUT = "weights.safetensors", "source.json"
FORMAT = 1
READ_AS = ("prefix", "layers", "max_length")  # of the encoder: they move vectors
MEAN, MATRIX = "content.mean", "content.matrix"


def reading(settings: Settings, language_model: LanguageModel | None) -> dict[str, Any] | None:
    """What content vectors depend on: vectors of two owners are comparable where this is equal."""
    if language_model is None:
        return None
    options = {name: settings.encoder[name] for name in READ_AS}
    model = weights_digest(language_model.folder)
    return {"model": model, "pooling": language_model.pooling, **options}


def hand_over(
    folder: Path,
    settings: Settings,
    model: Recommender,
    domain: Domain,
    content: str | None,
    language_model: LanguageModel | None,
    key: bytes | None,
    privacy: dict[str, Any] | None,
) -> None:
    """Write the files named above.

    Args:
        model: of the source, trained.
        domain: the source.
        content: name of the artifact of its content vectors, None without an encoder.
        key: with which users are hashed, and items are now; None: no row of a table crosses.
        privacy: what the training spent.
    """
    tables = {*model.item_tables, *model.user_tables}
    weights = {
        name: p.detach().cpu().contiguous()
        for name, p in model.named_parameters()
        if key is not None or name not in tables
    }
    if content is not None:
        learned = read_map(settings.artifacts / content)
        weights |= {MEAN: torch.from_numpy(learned.mean), MATRIX: torch.from_numpy(learned.matrix)}
    save_file(weights, folder / WEIGHTS)
    ids = None
    if key is not None:
        users = domain.user_ids.to_list()  # hashes already
        ids = {"users": users, "items": pseudonyms(domain.items[ITEM], key, "item")}
    about = {
        "format": FORMAT,
        "sha256": digest(folder / WEIGHTS, "sha256"),
        "model": settings.model.config,
        "reading": reading(settings, language_model),
        "suggested": {k: v for k, v in settings.transfer.config.items() if k in ("lambda_", "mu")},
        "privacy": privacy,
        "ids": ids,
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n")


@dataclass(frozen=True)
class Received:
    """A source model of another owner.

    Attributes:
        folder: where it came from.
        about: its source.json.
        weights: by parameter name.
        map: that its content vectors went through; None without an encoder.
    """

    folder: Path
    about: dict[str, Any]
    weights: dict[str, Tensor]
    map: VectorMap | None

    @classmethod
    def read(cls, folder: Path) -> "Received":
        """Read and verify a folder that `hand_over` wrote.

        Raises:
            UserError: a file is missing, damaged or of another format.
        """
        where = f"source_weights={folder}"
        for name in (WEIGHTS, ABOUT):
            if not (folder / name).is_file():
                raise UserError(
                    f"{where} has no {name}: give the folder that python -m crossrec.weights made"
                )
        try:
            about = json.loads((folder / ABOUT).read_text())
            written, expected = about["format"], about.get("sha256")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{where}: {ABOUT} is damaged: ask for it again") from error
        if written != FORMAT:
            raise UserError(
                f"{where}: {ABOUT} is of format {written}, and this version of crossrec reads "
                f"{FORMAT}: let it be made again with this version"
            )
        if digest(folder / WEIGHTS, "sha256") != expected:
            raise UserError(
                f"{where}: {WEIGHTS} is not the file that {ABOUT} describes (its sha256 differs): "
                "ask for both again"
            )
        try:
            weights = load_file(folder / WEIGHTS)
        except SafetensorError as error:
            raise UserError(f"{where}: {WEIGHTS} is no safetensors file") from error
        mean, matrix = weights.pop(MEAN, None), weights.pop(MATRIX, None)
        made = None
        if mean is not None and matrix is not None:
            made = VectorMap(mean.numpy(), matrix.numpy())
        return cls(folder, about, weights, made)

    def check_reading(self, mine: dict[str, Any] | None) -> None:
        """Refuse vectors that would mean something else than those that the weights know.

        Raises:
            UserError: names what differs.
        """
        theirs = self.about["reading"]
        if (theirs is None) != (mine is None):
            has, lacks = ("it", "this run") if theirs else ("this run", "it")
            raise UserError(
                f"source_weights={self.folder}: {has} reads items with a language model and "
                f"{lacks} does not: choose the encoder that its owner chose"
            )
        for key in theirs or {}:
            if mine is not None and theirs[key] != mine[key]:
                raise UserError(
                    f"source_weights={self.folder} was trained with encoder.{key}={theirs[key]}, "
                    f"and this run has {mine[key]}: choose the encoder that its owner chose"
                )

    def lay_on(
        self, pair: DomainPair, model: Recommender, key: bytes | None
    ) -> tuple[DomainPair, dict[str, Tensor]]:
        """The pair with what is known to both owners, and the weights in the target's order.

        Args:
            pair: its source is empty.
            model: of the target.
            key: with which the target's users are hashed; it must be the source's for rows of
                tables to be found.

        Raises:
            UserError: the weights are of another model.
        """
        parameters = dict(model.named_parameters())
        tables = {*model.item_tables, *model.user_tables}
        strangers = sorted(self.weights.keys() - parameters.keys())
        missing = sorted(parameters.keys() - self.weights.keys() - tables)
        shapes = [
            f"{name} {tuple(value.shape)} for {tuple(parameters[name].shape)}"
            for name, value in self.weights.items()
            if name in parameters
            and value.shape[name in tables :] != parameters[name].shape[name in tables :]
        ]
        if strangers or missing or shapes:
            kind = self.about["model"]["_target_"].rpartition(".")[2]
            wrong = [*(f"no {n} here" for n in strangers), *(f"no {n} there" for n in missing)]
            raise UserError(
                f"source_weights={self.folder} does not fit this model: {kind} with other sizes or "
                f"parts ({'; '.join([*wrong, *shapes])}): set model as its owner did (source.json)"
            )
        ids = self.about["ids"]
        if ids is None or key is None:
            return pair, {n: value for n, value in self.weights.items() if n not in tables}
        target = pair.target_only
        users = _places(target.user_ids.to_list(), ids["users"])
        items = _places(pseudonyms(target.items[ITEM], key, "item"), ids["items"])
        laid = {}
        for name, value in self.weights.items():
            rows = users if name in model.user_tables else items if name in model.item_tables else 0
            laid[name] = value
            if isinstance(rows, Tensor):
                laid[name] = torch.zeros_like(parameters[name])
                laid[name][rows[:, 0]] = value[rows[:, 1]]
        shared = items[:, :1].expand(-1, 2)
        log.info("           %d users and %d items have rows in W_source", len(users), len(items))
        return replace(pair, shared_users=users[:, 0], shared_items=shared), laid


def _places(mine: list[str], theirs: list[str]) -> Tensor:
    """(R, 2) place here and place there of what stands in both lists."""
    place = {name: there for there, name in enumerate(theirs)}
    both = [(here, place[name]) for here, name in enumerate(mine) if name in place]
    return torch.tensor(both, dtype=torch.int64).reshape(-1, 2)
