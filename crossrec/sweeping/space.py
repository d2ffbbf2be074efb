"""Parameters of a W&B sweep file as distributions of Optuna."""

import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from crossrec.configuration.annotations import is_number, is_whole
from crossrec.configuration.overrides import written
from crossrec.configuration.values import check_keys
from crossrec.errors import UserError

# Distribution -> the keys that it needs and those that it may have.
KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "constant": (("value",), ()),
    "categorical": (("values",), ()),
    "int_uniform": (("min", "max"), ()),
    "uniform": (("min", "max"), ()),
    "q_uniform": (("min", "max"), ("q",)),
    "log_uniform": (("min", "max"), ()),
    "log_uniform_values": (("min", "max"), ()),
    "q_log_uniform_values": (("min", "max"), ("q",)),
}


def distribution(where: str, node: Any) -> BaseDistribution | None:
    """What a parameter is drawn from; None for a constant.

    Args:
        where: file and key, for messages: "sweeps/x.yaml: parameters.transfer.mu".
        node: what the file has there.

    Raises:
        UserError: it is no parameter of W&B's, or one that Optuna cannot draw.
    """
    if not isinstance(node, Mapping) or not node:
        raise UserError(f"{where} must say value, values, or min and max, got {node!r}")
    kind = _kind(where, node)
    needed, possible = KEYS[kind]
    check_keys(f"{where} ({kind})", node, {"distribution", *needed, *possible})
    if missing := [key for key in needed if key not in node]:
        raise UserError(f"{where} ({kind}) needs {' and '.join(missing)}")
    if kind == "constant":
        return None
    if kind == "categorical":
        return _categorical(where, node["values"])
    for key in ("min", "max", "q"):
        if key in node and not (is_number(node[key]) and math.isfinite(node[key])):
            hint = " (YAML 1.1 reads 1e-4 as text: write 1.0e-4)" * isinstance(node[key], str)
            raise UserError(f"{where}.{key} must be a number, got {node[key]!r}{hint}")
    low, high, q = node["min"], node["max"], node.get("q", 1)
    if not low < high or q <= 0:
        raise UserError(f"{where}: min must be below max and q above 0, got {dict(node)}")
    return _numeric(where, kind, low, high, q)


def constant(node: Mapping[str, Any]) -> Any:
    """The value of a parameter that has no distribution."""
    return node["value"]


def grid(where: str, drawn_from: BaseDistribution) -> list[Any]:
    """All values of a parameter, in the file's order or upward.

    Raises:
        UserError: there is no end of them.
    """
    if isinstance(drawn_from, CategoricalDistribution):
        return list(drawn_from.choices)
    if isinstance(drawn_from, IntDistribution) and not drawn_from.log:
        return list(range(drawn_from.low, drawn_from.high + 1, drawn_from.step))
    if isinstance(drawn_from, FloatDistribution) and drawn_from.step is not None:
        steps = round((drawn_from.high - drawn_from.low) / drawn_from.step)
        return [drawn_from.low + step * drawn_from.step for step in range(steps + 1)]
    raise UserError(f"{where}: a grid needs values, int_uniform or q_uniform; write values: [...]")


def ends(drawn_from: BaseDistribution) -> tuple[Any, Any]:
    """The first and the last value of a parameter, or the lowest and the highest."""
    if isinstance(drawn_from, CategoricalDistribution):
        return drawn_from.choices[0], drawn_from.choices[-1]
    assert isinstance(drawn_from, IntDistribution | FloatDistribution)
    return drawn_from.low, drawn_from.high


def _kind(where: str, node: Mapping[str, Any]) -> str:
    """The distribution that is named, or that W&B takes the keys for."""
    kind = node.get("distribution")
    if kind is None:
        if "parameters" in node:
            raise UserError(f"{where}: nested parameters are not read; write them as a.b: ...")
        if "value" in node:
            return "constant"
        if "values" in node:
            return "categorical"
        ends = node.get("min"), node.get("max")
        return "int_uniform" if all(map(is_whole, ends)) else "uniform"
    if kind not in KEYS:
        raise UserError(
            f"{where}.distribution: no {kind!r} offline; there are {', '.join(KEYS)} "
            "(a W&B agent may know more)"
        )
    return str(kind)


def _categorical(where: str, values: Any) -> CategoricalDistribution:
    if not isinstance(values, list) or not values:
        raise UserError(f"{where}.values must be a list of at least one value, got {values!r}")
    # A list or mapping is kept as the override writes it: Optuna stores plain choices alone.
    choices = [
        written("", value)[1:] if isinstance(value, list | dict) else value for value in values
    ]
    if len({repr(choice) for choice in choices}) < len(choices):
        raise UserError(f"{where}.values has a value twice: {values}")
    return CategoricalDistribution(choices)


def _numeric(where: str, kind: str, low: float, high: float, q: float) -> BaseDistribution:
    whole = all(map(is_whole, (low, high, q)))
    if kind == "int_uniform":
        if not whole:
            raise UserError(f"{where} (int_uniform): min and max must be whole numbers")
        return IntDistribution(int(low), int(high))
    if kind == "uniform":
        return FloatDistribution(low, high)
    if kind == "q_uniform":
        # As far as whole steps of q go from min, so that min and max are never left.
        last = min(high, low + math.floor((high - low) / q + 1e-9) * q)
        if whole:
            return IntDistribution(int(low), int(last), step=int(q))
        return FloatDistribution(low, last, step=q)
    if kind == "log_uniform":  # whose ends are exponents of e
        return FloatDistribution(math.exp(low), math.exp(high), log=True)
    if low <= 0:
        raise UserError(f"{where} ({kind}): min must be above 0, got {low}")
    if kind == "log_uniform_values":
        return FloatDistribution(low, high, log=True)
    if not whole or q != 1:
        raise UserError(f"{where} ({kind}): offline whole numbers alone, and q: 1")
    return IntDistribution(int(low), int(high), log=True)
