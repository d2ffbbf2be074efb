"""The marketplace: simulated shoppers with known preferences, as raw files of a real format."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import polars as pl

from crossrec.artifacts import whole
from crossrec.data.columns import ITEM, USER
from crossrec.data.raw import RawDomain
from crossrec.data.simulation.generation import common_pool, write_domain
from crossrec.data.simulation.kit_files import (
    KITS,
    SHARED,
    kit_files,
    read_domain_kit,
    read_shared_kit,
)
from crossrec.data.simulation.kits import DomainKit, SharedKit
from crossrec.data.simulation.media import VERSION as MEDIA_VERSION
from crossrec.data.simulation.media import write_media
from crossrec.data.simulation.preferences import Preferences
from crossrec.data.simulation.ranks import ranks
from crossrec.data.sources.amazon import Amazon
from crossrec.data.sources.kuairec import KuaiRec
from crossrec.data.sources.mind import MIND
from crossrec.errors import UserError
from crossrec.integrity import RECORD

VERSION = 1  # raise it with any change of what is generated
# Format -> what its reader calls the n-th user and the n-th item.
NAMES = {"mind": ("mind_U{}", "mind_N{}"), "kuairec": ("kuairec_{}", "kuairec_{}")}


class Marketplace:
    """Reader of a simulated market with one domain a kit.

    No one in it exists: shoppers, products, reviews and brands are drawn from a model (see
    `preferences.make_preferences` and `events.make_events`). A domain is generated when it is first
    asked for, into a folder named by everything that it depends on, in the format that its kit
    names: Amazon Reviews 2023, MIND or KuaiRec. Whatever numbers its files give to people and
    products, somebody has the same id in all domains.

    Args:
        folder: where generated markets lie.
        relatedness: from 0 (tastes of a shopper in two domains have nothing in common) to 1
            (they are the same).
        seed: of everything that is drawn, >= 0.
        strength: standard deviation over the products of the log-weight that taste gives them.
        sizes: domain -> values that replace those of its kit's `market`.
        kits: folder of kits; null for those of the package.
    """

    def __init__(
        self,
        folder: str | Path,
        relatedness: float,
        seed: int,
        strength: float,
        sizes: Mapping[str, Mapping[str, float]] | None = None,
        kits: str | Path | None = None,
    ) -> None:
        if not (isinstance(relatedness, int | float) and 0 <= relatedness <= 1):
            raise UserError(f"data.relatedness must be between 0 and 1, got {relatedness}")
        if seed < 0:
            raise UserError(f"seed must be >= 0, got {seed}")
        if not 0 <= strength <= 20:
            raise UserError(f"data.reader.strength must be between 0 and 20, got {strength}")
        self.relatedness, self.seed, self.strength = float(relatedness), seed, float(strength)
        self.kits_folder = Path(kits) if kits else KITS
        self.kits = kit_files(self.kits_folder)
        sizes = {domain: dict(size) for domain, size in (sizes or {}).items()}
        for domain in sizes:
            self._check(domain)
        self.sizes = sizes
        self.folder = Path(folder) / f"marketplace-{self._hash()}"
        self._sound: set[Path] = set()
        self._domain_kits: dict[str, DomainKit] = {}

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that there are kits of."""
        return tuple(domain for domain in self.kits if domain != SHARED)

    def files(self, domain: str) -> tuple[Path, ...]:
        """The domain's files of events and of items, generating them first if need be."""
        return self._reader(domain).files(domain)

    def read(self, domain: str, scratch: Path | None = None) -> RawDomain:
        """Read a domain as a real one is read, generating it first if need be."""
        raw = self._reader(domain).read(domain, scratch)
        names = NAMES.get(self._kit(domain).format)
        if names is None:  # the files hold the ids themselves
            return raw
        truth = self.oracle(domain)
        user, item = (
            pl.col(column).replace_strict([name.format(rank) for rank in ranks(ids)], ids)
            for column, name, ids in zip(
                (USER, ITEM), names, (truth.users, truth.items), strict=True
            )
        )
        return replace(
            raw,
            interactions=raw.interactions.with_columns(user, item),
            items=raw.items.with_columns(item),
        )

    def oracle(self, domain: str) -> Preferences:
        """The true preferences in a domain, generating it first if need be.

        Where products come and go this is what people like, whenever: see `Preferences`.
        """
        return Preferences.load(self.generate(domain), domain)

    def generate(self, domain: str) -> Path:
        """Write a domain unless it is there as it was written, and say where (see `whole`).

        Raises:
            UserError: a kit is wrong, or the folder cannot be written.
        """
        self._check(domain)
        return self._made(self.folder / domain, lambda draft: self._write(domain, draft))

    def media_files(self, domain: str, medium: str) -> dict[str, Path]:
        """Product -> its picture (medium "image") or sound ("audio"), drawing all if need be.

        They lie beside the domain's files, are no part of them, and are drawn when they are first
        asked for.

        Raises:
            UserError: a kit is wrong, or the folder cannot be written.
        """
        self._check(domain)
        kit = self._kit(domain)
        folder = self._made(
            self.folder / f"{domain}-{medium}-{MEDIA_VERSION}",
            lambda draft: write_media(draft, self._shared_kit, kit, medium, self.seed),
        )
        return {path.stem: path for path in folder.iterdir() if path.name != RECORD}

    def _made(self, folder: Path, write: Callable[[Path], None]) -> Path:
        try:
            whole(folder, {"stage": "marketplace"}, write, self._sound)
        except OSError as error:
            raise UserError(
                f"cannot write the marketplace to {self.folder} ({error}); "
                "make room or set paths.data to another folder"
            ) from error
        return folder

    def _write(self, domain: str, folder: Path) -> None:
        shared, kit = self._shared_kit, self._kit(domain)
        pool = common_pool(shared, [self._kit(known) for known in self.domains], self.seed)
        write_domain(folder, shared, kit, pool, self.relatedness, self.strength, self.seed)

    def _reader(self, domain: str) -> Amazon | MIND | KuaiRec:
        folder = self.generate(domain)
        of_format = self._kit(domain).format
        if of_format == "mind":
            return MIND(self.folder, history=False)
        if of_format == "kuairec":
            return KuaiRec(self.folder, watch_ratio_above=0.0, download=False)  # all were chosen
        return Amazon(release="2023", folder=folder, download=False)

    @cached_property
    def _shared_kit(self) -> SharedKit:
        return read_shared_kit(self.kits[SHARED])

    def _kit(self, domain: str) -> DomainKit:
        if domain not in self._domain_kits:
            self._domain_kits[domain] = read_domain_kit(
                self.kits[domain], self._shared_kit, self.sizes.get(domain, {})
            )
        return self._domain_kits[domain]

    def _check(self, domain: str) -> None:
        if domain not in self.domains:
            raise UserError(
                f"the marketplace has no domain {domain!r}; there are kits of "
                f"{', '.join(self.domains)} in {self.kits_folder}"
            )

    def _hash(self) -> str:
        facts = {
            "version": VERSION,
            "relatedness": self.relatedness,
            "seed": self.seed,
            "strength": self.strength,
            "sizes": self.sizes,
            "kits": {
                kit: blake2b(file.read_bytes()).hexdigest() for kit, file in self.kits.items()
            },
        }
        return blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=6).hexdigest()
