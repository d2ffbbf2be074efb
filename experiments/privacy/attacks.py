"""Who was a model of the source trained on? Two attacks on W_s, by epsilon.

    python attacks.py OUTPUT EPSILONS [NUMBER OVERRIDES...]

Users of the source are halved at random, NUMBER times; the two halves of each draw train a model
each, as the source's owner would. Every model is attacked; its shadow models are those of the other
draws, so that each user is in one half of them and out of the other. EPSILONS is a list like
inf,8,1. Adds to attacks.csv beside this file what it has not got; tables, artifacts and the losses
of each user go below OUTPUT.
"""

import csv
import logging
import sys
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import polars as pl
import torch
from inference import auc, found_at, likelihood_ratios, threshold_scores
from omegaconf import OmegaConf

from crossrec.configuration.composing import CONF, check_config, compose
from crossrec.data.columns import USER
from crossrec.data.domain import Domain
from crossrec.data.prepared import load_pair
from crossrec.data.simulation.marketplace import Marketplace
from crossrec.encoders.content import Content
from crossrec.models.interface import Recommender
from crossrec.stages.collecting import collect
from crossrec.stages.encoding import encode_items
from crossrec.stages.handover import Received
from crossrec.stages.pretraining import pretrain_encoder
from crossrec.stages.settings import Settings
from crossrec.stages.source_job import hand_over_source
from crossrec.stages.staging import Staging
from crossrec.training.fitting import build_model
from crossrec.training.private import Users

HERE = Path(__file__).parent
SEED = 0  # of the marketplace, of the halves and of the trainings
WHOLE = "all"
TEXT_FIELDS = "[title,brand,categories,description,keywords]"  # as data=marketplace reads them


def write_tables(output: Path, number: int) -> dict[str, Path]:
    """The source as tables: all of its users, and each half of each draw.

    Returns:
        Name of a half ("0a", "0b", "1a", ...), or WHOLE, -> its folder.
    """
    market = Marketplace(output / "data", relatedness=0.7, seed=SEED, strength=2.0)
    raw = market.read("home")
    events, items = raw.interactions.collect(), raw.items.collect()
    users = events[USER].unique().sort()
    chosen: dict[str, pl.Series] = {WHOLE: users}
    for draw in range(number):
        mixed = users.sample(fraction=1, shuffle=True, seed=draw)
        chosen[f"{draw}a"], chosen[f"{draw}b"] = mixed[::2], mixed[1::2]
    folders = {}
    for name, half in chosen.items():
        folders[name] = output / "halves" / name / "home"
        folders[name].mkdir(parents=True, exist_ok=True)
        own = events.filter(pl.col(USER).is_in(half.implode()))
        own.write_parquet(folders[name] / "interactions.parquet")
        items.write_parquet(folders[name] / "items.parquet")
    return folders


def settings_of(output: Path, source: Path, overrides: tuple[str, ...]) -> Settings:
    """The settings of crossrec.weights on a folder of tables."""
    given = (
        *("+experiment=table_pair", f"data.source={source}", "data.target=not_here"),
        f"data.text_fields={TEXT_FIELDS}",
        *("split=leave_one_out", "pretraining=off", "trainer.enable_progress_bar=false"),
        *(f"seed={SEED}", f"paths.artifacts={output / 'artifacts'}", *overrides),
    )
    cfg = hydra.compose("train", list(given), return_hydra_config=True)
    choices = cfg.hydra.runtime.choices
    cfg = OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])
    check_config(cfg, choices)
    folder = output / "attacked" / "_".join([source.parent.name, *overrides]).replace("/", "")
    folder.mkdir(parents=True, exist_ok=True)
    return compose(cfg, folder)


class Attacker:
    """Has the catalog, W_s as it was handed over, and the histories of those it asks about."""

    def __init__(self, output: Path, whole: Path, given: tuple[str, ...]) -> None:
        self.settings = settings_of(output, whole, given)
        self.staging = Staging(self.settings.artifacts)
        self.data = collect(self.settings, self.staging, without="target")
        self.pair = load_pair(self.data)
        self.language_model = pretrain_encoder(self.settings, self.staging, self.data)
        self.user_ids = self.pair.source.user_ids[self.pair.source.train.users.tolist()]

    def content(self, handed: Path) -> Content:
        """Vectors of the catalog, through the map that was handed over."""
        received = Received.read(handed)
        return encode_items(
            self.settings, self.staging, self.data, self.language_model, received.map
        )

    def losses(self, handed: Path) -> np.ndarray:
        """(U,) of the users in `user_ids`; what was not handed over, of single items, is zero."""
        received = Received.read(handed)
        content, domain = self.content(handed), self.pair.source
        model = build_model(self.settings.model.make, domain, content.source, SEED)
        for name, parameter in model.named_parameters():
            parameter.data = received.weights.get(name, torch.zeros_like(parameter))
        return user_losses(model, domain)


@torch.no_grad()
def user_losses(model: Recommender, domain: Domain) -> np.ndarray:
    """(U,) each user's mean over their train events of -log softmax(scores)[item], in nats.

    The loss that DP-SGD clips, in the order of the users of `domain.train`.
    """
    model.eval()
    place = {user: row for row, user in enumerate(domain.train.users.tolist())}
    losses = np.full(len(place), np.nan)
    embedded = model.embed_items()
    candidates = model.item_vectors(embedded)
    for part in Users(domain, model.max_history)[torch.arange(len(place))]:
        users, items, own = (x.flatten(0, 1) for x in (part.users, part.items, part.own))
        scores = model.user_vectors(users, items, embedded)[:, :-1] @ candidates.T
        chosen = scores.gather(-1, items.clamp(min=0)[..., None]).squeeze(-1)
        each = ((scores.logsumexp(-1) - chosen) * own).view(*part.own.shape)
        mean = each.sum((1, 2)) / part.own.sum((1, 2)).clamp(min=1)
        losses[[place[user] for user in part.users[:, 0].tolist()]] = mean.numpy()
    return losses


def losses_of(
    attacker: Attacker, output: Path, name: str, folder: Path, epsilon: str, given: tuple[str, ...]
) -> np.ndarray:
    """(U,) losses under the model of one half, which is trained unless its losses are there."""
    file = output / "losses" / f"{'_'.join([epsilon, name, *given])}.parquet"
    if not file.exists():
        # The noise of each model is its own; the number is one of an experiment, not a secret.
        number = int(name[:-1]) * 2 + (name[-1] == "b")
        private = ("privacy=dp", f"privacy.epsilon={epsilon}", f"privacy.noise_seed={number}")
        overrides = (*given, *(() if epsilon == "inf" else private))
        handed = hand_over_source(settings_of(output, folder, overrides)).folder
        table = pl.DataFrame({USER: attacker.user_ids, "loss": attacker.losses(handed)})
        file.parent.mkdir(exist_ok=True)
        table.write_parquet(file)
    return pl.read_parquet(file)["loss"].to_numpy()


def attack(
    epsilon: str, losses: dict[str, np.ndarray], members: dict[str, np.ndarray], file: Path
) -> None:
    """Attack each model with those of the other draws as shadow models, and write what came out.

    Args:
        losses, members: (U,) by name of a half.
    """
    for name, of_model in losses.items():
        inside = members[name]
        shadows = [other for other in losses if other[:-1] != name[:-1]]
        shadow = np.stack([losses[other] for other in shadows])
        shadow_members = np.stack([members[other] for other in shadows])
        scores = {
            "threshold": threshold_scores(of_model),
            "shadow": likelihood_ratios(of_model, shadow, shadow_members),
        }
        for kind, score in scores.items():
            row = {
                "epsilon": epsilon,
                "model": name,
                "attack": kind,
                "shadow_models": len(shadows) if kind == "shadow" else 0,
                "members": int(inside.sum()),
                "others": int((~inside).sum()),
                "loss_members": float(of_model[inside].mean()),
                "loss_others": float(of_model[~inside].mean()),
                "auc": auc(score, inside),
                "found_at_.01": found_at(score, inside),
            }
            write(file, row)


def write(file: Path, row: dict[str, Any]) -> None:
    """Add a row to a table."""
    new = not file.exists()
    with file.open("a", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, list(row), lineterminator="\n")
        if new:
            table.writeheader()
        table.writerow({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()})
    print(row, flush=True)


def measure(
    folders: dict[str, Path], output: Path, epsilons: list[str], given: tuple[str, ...], file: Path
) -> None:
    """Train on each half at each epsilon, attack, and add to a table.

    Args:
        folders: what `write_tables` gave.
        given: overrides of all trainings.
    """
    halves = {name: folder for name, folder in folders.items() if name != WHOLE}
    attacker = Attacker(output, folders[WHOLE], given)
    members = {}
    for name, folder in halves.items():
        users = pl.read_parquet(folder / "interactions.parquet")[USER].unique()
        members[name] = attacker.user_ids.is_in(users.implode()).to_numpy()
    for epsilon in epsilons:
        losses = {
            name: losses_of(attacker, output, name, folder, epsilon, given)
            for name, folder in halves.items()
        }
        attack(epsilon, losses, members, file)


def main() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("crossrec").setLevel(logging.INFO)
    output, epsilons = Path(sys.argv[1]).resolve(), sys.argv[2].split(",")
    number, given, file = int([*sys.argv, "3"][3]), tuple(sys.argv[4:]), HERE / "attacks.csv"
    if number < 3:
        sys.exit("NUMBER must be 3 at least: a model's shadow models are those of two other draws")
    if file.exists():  # an epsilon that is not whole is measured again
        table = pl.read_csv(file, infer_schema=False)
        attacked = table.filter(attack="shadow").group_by("epsilon").len()
        done = set(attacked.filter(len=2 * number)["epsilon"])
        table.filter(pl.col("epsilon").is_in(done)).write_csv(file)
        epsilons = [epsilon for epsilon in epsilons if epsilon not in done]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        measure(write_tables(output, number), output, epsilons, given, file)


if __name__ == "__main__":
    main()
