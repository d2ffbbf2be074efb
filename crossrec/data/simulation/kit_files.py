"""Kits from YAML: the package's own, or those of a folder that the user names."""

from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Any

import yaml

from crossrec.data.simulation.kits import DomainKit, Life, Market, ProductType, SharedKit
from crossrec.errors import UserError

KITS = Path(__file__).parent / "kits"
SHARED = "shared"
FORMATS = ("amazon", "mind", "kuairec")
# libyaml's, ten times as fast, where the package of PyYAML has it.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TEMPLATES = ("titles", "descriptions", "highlights")
_MUST = {"category", "market", "brands", "features", "types"}
_MAY = {"format", "facets", "life", *TEMPLATES}


def kit_files(folder: Path) -> dict[str, Path]:
    """Domain -> its kit; `shared.yaml` is the package's where the folder has none.

    Raises:
        UserError: the folder has no kit of a domain.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if not set(files) - {SHARED}:
        raise UserError(f"data.reader.kits: no kits (DOMAIN.yaml) in {folder}")
    files.setdefault(SHARED, KITS / f"{SHARED}.yaml")
    return files


def read_shared_kit(path: Path) -> SharedKit:
    """Read the shared words; UserError where a lifestyle names a value that no facet has."""
    kit = SharedKit(**_read(path, set(SharedKit.__annotations__), set()))
    known = set(kit.values)
    for name, values in kit.lifestyles.items():
        if unknown := sorted(set(values) - known):
            raise UserError(f"{path}: lifestyle {name!r} names {unknown}, which no facet has")
    return kit


def read_domain_kit(path: Path, shared: SharedKit, size: Mapping[str, float]) -> DomainKit:
    """Read one domain's words; `size` overrides values of its `market`.

    What the kit does not say is as in a shop: files like Amazon's, all shared facets, the shared
    templates, products that stay.

    Raises:
        UserError: the kit is no kit, or a value of it cannot be.
    """
    content = _read(path, _MUST, _MAY)
    kit = DomainKit(
        name=path.stem,
        category=content["category"],
        market=_market(path, {**content["market"], **size}),
        brands=content["brands"],
        features=content["features"],
        types=_types(path, content["types"]),
        format=content.get("format", "amazon"),
        facets=content.get("facets", list(shared.facets)),
        life=_life(path, content.get("life")),
        titles=content.get("titles", shared.titles),
        descriptions=content.get("descriptions", shared.descriptions),
        highlights=content.get("highlights", shared.highlights),
    )
    if kit.format not in FORMATS:
        raise UserError(f"{path}: format is one of {', '.join(FORMATS)}, got {kit.format!r}")
    if "brand" not in kit.facets or not set(kit.facets) <= set(shared.facets):
        raise UserError(
            f"{path}: facets are brand and any of {', '.join(shared.facets)}, got {kit.facets}"
        )
    in_shop = all(kind.price and kind.sizes for kind in kit.types) and "tier" in kit.facets
    if kit.format == "amazon" and not in_shop:
        raise UserError(
            f"{path}: in the format amazon every type has a price and sizes, and facets hold tier"
        )
    _check_templates(path, kit)
    return kit


def _read(path: Path, must: set[str], may: set[str]) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not a readable YAML kit ({error})") from error
    if not isinstance(content, dict) or not must <= set(content) <= must | may:
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        also = f" and may have {sorted(may)}" if may else ""
        raise UserError(f"{path}: a kit has the keys {sorted(must)}{also}, found {found}")
    return content


def _market(path: Path, sizes: dict[str, Any]) -> Market:
    if set(sizes) != set(Market.__annotations__):
        raise UserError(
            f"{path}: market has the keys {sorted(Market.__annotations__)}, found {sorted(sizes)}"
        )
    market = Market(**sizes)
    whole = (market.users, market.shared_users, market.items)
    if not all(isinstance(number, int) for number in whole):
        raise UserError(f"{path}: users, shared_users and items are whole numbers, got {sizes}")
    if not 0 <= market.shared_users <= market.users or market.users < 1 or market.items < 20:
        raise UserError(
            f"{path}: market needs users >= 1, 0 <= shared_users <= users and items >= 20, "
            f"got {sizes}"
        )
    if not 0 <= market.opens < 1 or market.events < 1:
        raise UserError(f"{path}: market needs 0 <= opens < 1 and events >= 1, got {sizes}")
    return market


def _life(path: Path, facts: Any) -> Life | None:
    if facts is None:
        return None
    keys = sorted(Life.__annotations__)
    numbers = isinstance(facts, dict) and all(
        isinstance(value, int | float) for value in facts.values()
    )
    if not numbers or sorted(facts) != keys:
        raise UserError(f"{path}: life has the keys {keys}, each a number, found {facts}")
    life = Life(**facts)
    if life.half_life <= 0 or life.hot_topics < 0 or life.hot_days <= 0:
        raise UserError(
            f"{path}: life needs half_life > 0, hot_topics >= 0 and hot_days > 0, got {facts}"
        )
    return life


def _types(path: Path, shelves: Any) -> list[ProductType]:
    """Types of every shelf: a list of names, or a mapping of names to facts."""
    types = []
    if not isinstance(shelves, dict) or not all(
        isinstance(k, dict | list) for k in shelves.values()
    ):
        raise UserError(f"{path}: types maps each shelf to types, by name or as a list of names")
    for shelf, kinds in shelves.items():
        facts = kinds if isinstance(kinds, dict) else {kind: {} for kind in kinds}
        for name, of_type in facts.items():
            if unknown := sorted(set(of_type) - {"price", "sizes", "peak"}):
                raise UserError(
                    f"{path}: type {name!r} has {unknown}; known are price, sizes, peak"
                )
            sizes = tuple(of_type.get("sizes", ()))
            types.append(ProductType(name, shelf, of_type.get("price"), sizes, of_type.get("peak")))
    return types


def _check_templates(path: Path, kit: DomainKit) -> None:
    """Refuse a template that names what the domain's products do not have."""
    known = {*kit.facets, "type", "feature", "other_feature"}
    if all(kind.sizes for kind in kit.types):
        known.add("size")
    for key in TEMPLATES:
        for template in getattr(kit, key):
            try:
                parts = list(Formatter().parse(template))
            except ValueError as error:
                raise UserError(f"{path}: {template!r} of {key} is no template: {error}") from error
            named = {field for _, field, _, _ in parts if field is not None}
            if unknown := sorted(named - known):
                raise UserError(
                    f"{path}: a template of {key} names {unknown}; a product of this domain has "
                    f"{sorted(known)}"
                )
