"""The marketplace: simulated shoppers with known preferences, as raw files of a real format."""

import json
import shutil
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

from crossrec.data.raw import RawDomain
from crossrec.data.simulation.events import make_events
from crossrec.data.simulation.files import write_domain
from crossrec.data.simulation.kits import (
    KITS,
    SHARED,
    kit_files,
    read_domain_kit,
    read_shared_kit,
)
from crossrec.data.simulation.preferences import Preferences, make_preferences
from crossrec.data.simulation.products import make_products
from crossrec.data.simulation.shoppers import make_pool, make_shoppers
from crossrec.data.simulation.streams import stream
from crossrec.data.sources.amazon import Amazon
from crossrec.errors import UserError

VERSION = 1  # raise it with any change of what is generated


class Marketplace:
    """Reader of a simulated market with one domain a kit.

    No one in it exists: shoppers, products, reviews and brands are drawn from a model (see
    `preferences.make_preferences` and `events.make_events`). All domains are generated at once,
    into a folder named by everything that they depend on, in the format of Amazon Reviews 2023.

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

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that there are kits of."""
        return tuple(domain for domain in self.kits if domain != SHARED)

    def files(self, domain: str) -> tuple[Path, ...]:
        """The domain's reviews and metadata, generating the market first if need be."""
        return self._amazon(domain).files(domain)

    def read(self, domain: str) -> RawDomain:
        """Read a domain as a real one is read, generating the market first if need be."""
        return self._amazon(domain).read(domain)

    def _amazon(self, domain: str) -> Amazon:
        self._check(domain)
        self.generate()
        return Amazon(release="2023", folder=self.folder, download=False)

    def oracle(self, domain: str) -> Preferences:
        """The true preferences in a domain, generating the market first if need be."""
        self._check(domain)
        self.generate()
        return Preferences.load(self.folder, domain)

    def generate(self) -> Path:
        """Write all domains unless they are there, and say where.

        They are written elsewhere and moved at the end, so that an interruption leaves nothing
        that looks whole.

        Raises:
            UserError: a kit is wrong, or the folder cannot be written.
        """
        if self.folder.is_dir():
            return self.folder
        try:
            self._generate()
        except OSError as error:
            raise UserError(
                f"cannot write the marketplace to {self.folder} ({error}); "
                "make room or set paths.data to another folder"
            ) from error
        return self.folder

    def _generate(self) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        draft = self.folder.with_name(f".{self.folder.name}-{uuid4().hex}")
        try:
            draft.mkdir()
            self._write(draft)
            try:
                draft.rename(self.folder)
            except OSError:
                if not self.folder.is_dir():  # else another run was first with the same bytes
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _write(self, folder: Path) -> None:
        shared = read_shared_kit(self.kits[SHARED])
        kits = [
            read_domain_kit(self.kits[domain], self.sizes.get(domain, {}))
            for domain in self.domains
        ]
        people = max(kit.market.shared_users for kit in kits)
        pool = make_pool(shared, people, stream(self.seed, "pool"))
        for kit in kits:
            products = make_products(shared, kit, self.seed)
            shoppers = make_shoppers(shared, kit, pool, self.seed)
            preferences = make_preferences(shoppers, products, self.relatedness, self.strength)
            rng = stream(self.seed, kit.name, "events")
            events = make_events(shoppers, products, preferences, rng)
            reviews = stream(self.seed, kit.name, "reviews")
            write_domain(folder, kit.name, shared, products, events, reviews)
            events.preferences.save(folder, kit.name)

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
