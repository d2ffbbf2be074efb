"""What a configuration may say, checked before any work is done: its keys and values.

Nothing here is heavy to import: a slip of the hand is answered at once.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crossrec.configuration.annotations import is_number, is_whole
from crossrec.errors import UserError

INF = float("inf")


@dataclass(frozen=True)
class Rule:
    """What a value must be, in words and as a predicate."""

    expected: str
    holds: Callable[[Any], bool]


def whole(least: int, most: int | None = None) -> Rule:
    """A whole number within bounds."""
    upto = f" and <= {most}" if most is not None else ""
    return Rule(
        f"a whole number >= {least}{upto}",
        lambda v: is_whole(v) and v >= least and (most is None or v <= most),
    )


def number(least: float, most: float = INF, ends: bool = True) -> Rule:
    """A finite number within bounds; `ends` says whether the bounds are inside."""
    above, below = (">= ", "<= ") if ends else ("> ", "< ")
    bounds = [f"{above}{least:g}"] * (least > -INF) + [f"{below}{most:g}"] * (most < INF)
    return Rule(
        " ".join(["a number", " and ".join(bounds)]).strip(),
        lambda v: (
            is_number(v) and abs(v) < INF and (least <= v <= most if ends else least < v < most)
        ),
    )


def one_of(*allowed: str) -> Rule:
    """One of some words."""
    return Rule(f"one of {', '.join(allowed)}", lambda v: v in allowed)


def some(rule: Rule) -> Rule:
    """A list, not empty, of such values."""
    return Rule(
        f"a list, each {rule.expected}",
        lambda v: isinstance(v, list) and len(v) > 0 and all(map(rule.holds, v)),
    )


def perhaps(rule: Rule) -> Rule:
    """Such a value, or null."""
    return Rule(f"{rule.expected}, or null", lambda v: v is None or rule.holds(v))


def or_auto(rule: Rule) -> Rule:
    """Such a value, or the word auto."""
    return Rule(f"{rule.expected}, or auto", lambda v: v == "auto" or rule.holds(v))


TEXT = Rule("text", lambda v: isinstance(v, str) and v != "")
TRUTH = Rule("true or false", lambda v: isinstance(v, bool))
SHARE = number(0, 1)
WHOLE = Rule("a whole number", is_whole)
PAIR = some(number(-INF))
MEDIUM = {
    "model": TEXT,
    "pooling": one_of("auto", "cls", "mean"),
    "batch_size": whole(2),
    "dtype": one_of("float32", "bfloat16", "float16"),
    "whiten_dim": perhaps(whole(1)),
    "labels": some(TEXT),
    "max_steps": whole(2),
    "learning_rate": number(0, ends=False),
}
RULES = {
    "name": TEXT,
    "seed": whole(0, 2**32 - 1),
    "paths.data": TEXT,
    "paths.artifacts": TEXT,
    "data.source": Rule("text, or a list of texts", lambda v: TEXT.holds(v) or some(TEXT).holds(v)),
    "data.target": TEXT,
    "recommend.top_n": whole(1),
    "recommend.writer": perhaps(TEXT),
    "recommend.writer_prompt": perhaps(TEXT),
    "recommend.writer_users": whole(1),
    "data.text_fields": some(TEXT),
    "source_weights": perhaps(TEXT),
    "identity.overlap": one_of("any", "none", "users", "items", "both"),
    "identity.user_links": perhaps(TEXT),
    "identity.item_links": perhaps(TEXT),
    "identity.salt": perhaps(TEXT),
    "split.cold_at_most": whole(0),
    "split.source_after_test": one_of("cut", "keep"),
    "split.joint": TRUTH,
    "split.cut_at": one_of("user", "global"),
    "data.rating_scale": perhaps(
        Rule("[lowest, highest]", lambda v: PAIR.holds(v) and len(v) == 2 and v[0] < v[1])
    ),
    "data.position_spans_domains": TRUTH,
    "content.fusion": one_of("concatenate", "gate", "mixture"),
    **{
        f"content.{medium}.{k}": rule for medium in ("image", "audio") for k, rule in MEDIUM.items()
    },
    "content.audio.max_seconds": number(0, ends=False),
    "content.vectors.file": TEXT,
    "content.vectors.whiten_dim": perhaps(whole(1)),
    "encoder.max_length": or_auto(whole(4)),
    "encoder.batch_tokens": perhaps(whole(1)),
    "encoder.dtype": one_of("float32", "bfloat16", "float16", "int8", "auto"),
    "encoder.pooling": one_of("auto", "mean", "cls", "last", "weighted"),
    "encoder.layers": some(WHOLE),
    "encoder.prefix": perhaps(Rule("text", lambda v: isinstance(v, str))),
    "encoder.workers": perhaps(whole(1)),
    "encoder.whitening": one_of("whiten", "pca", "none"),
    "encoder.whiten_dim": perhaps(whole(1)),
    "pretraining.enabled": TRUTH,
    "pretraining.objective": one_of("auto", "masked", "causal", "simcse", "cooccurrence"),
    "pretraining.language_weight": number(0),
    "pretraining.corpus": perhaps(TEXT),
    "pretraining.max_steps": whole(1),
    "pretraining.batch_tokens": whole(1),
    "pretraining.max_length": whole(4),
    "pretraining.learning_rate": number(0, ends=False),
    "pretraining.head_learning_rate": number(0, ends=False),
    "pretraining.meaning_weight": number(0),
    "pretraining.head_share": SHARE,
    "pretraining.warmup_share": SHARE,
    "pretraining.trainable_layers": perhaps(whole(0)),
    "pretraining.lora_rank": perhaps(whole(1)),
    "pretraining.masking": one_of("tokens", "fields"),
    "pretraining.packing": TRUTH,
    "pretraining.temperature": number(0, ends=False),
    "pretraining.window": whole(2),
    "pretraining.retrieval_users": whole(0),
    "pretraining.retrieval_texts": perhaps(whole(2)),
    "pretraining.checkpoint_every": whole(1),
    "pretraining.mask_share": number(0, 1, ends=False),
    "pretraining.held_out_share": number(0, 1, ends=False),
    "pretraining.max_held_out": whole(1),
    "end_to_end.layers": perhaps(whole(1)),
    "end_to_end.rank": whole(1),
    "end_to_end.scale": number(0, ends=False),
    "end_to_end.texts_per_step": whole(1),
    "model.dim": whole(1),
    "model.hidden": whole(1),
    "model.n_layers": whole(1),
    "model.n_heads": whole(1),
    "model.max_history": whole(1),
    "model.dropout": Rule("a number >= 0 and < 1", lambda v: SHARE.holds(v) and v < 1),
    "objective.n_negatives": whole(1),
    "objective.n_scored": whole(1),
    "training.learning_rate": number(0, ends=False),
    "training.weight_decay": number(0),
    "training.events_per_batch": whole(1),
    "training.averaging": Rule("a number >= 0 and < 1", lambda v: SHARE.holds(v) and v < 1),
    "training.patience": whole(1),
    "training.checkpoint_minutes": number(0),
    "privacy.epsilon": perhaps(number(0, ends=False)),
    "privacy.delta": perhaps(number(0, 1, ends=False)),
    "privacy.clip": number(0, ends=False),
    "privacy.users_per_step": whole(1),
    "privacy.epochs": whole(1),
    "privacy.learning_rate": number(0, ends=False),
    "privacy.noise_seed": perhaps(whole(0)),
    "trainer.max_epochs": whole(1),
    "evaluation.ks": some(whole(1)),
    "evaluation.test": TRUTH,
    "evaluation.like_at": number(-INF),
    "evaluation.negatives": perhaps(whole(1)),
    "evaluation.negatives_seed": whole(0, 2**32 - 1),
    "reranking.model": perhaps(TEXT),
    "reranking.score": one_of("yes_no", "likelihood"),
    "reranking.prompt": perhaps(TEXT),
    "reranking.candidates": whole(2),
    "reranking.users": whole(2),
    "reranking.max_history": whole(0),
    "reranking.item_chars": whole(8),
    "reranking.dtype": one_of("float32", "bfloat16", "float16"),
    "reranking.tune_steps": whole(0),
    "reranking.tune_examples": whole(2),
    "reranking.tune_rank": whole(1),
    "reranking.tune_layers": perhaps(whole(1)),
    "reranking.tune_learning_rate": number(0, ends=False),
    "logger.name": one_of("csv", "tensorboard", "wandb"),
}


def check_values(config: Mapping[str, Any]) -> None:
    """Hold the values of a resolved configuration against RULES, where it has them.

    Raises:
        UserError: names the key, what was expected and what was found.
    """
    for key, rule in RULES.items():
        node: Any = config
        *groups, name = key.split(".")
        for group in groups:
            node = node.get(group, {})
        if name in node and not rule.holds(node[name]):
            raise UserError(f"{key} must be {rule.expected}, got {node[name]!r}")


def check_keys(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a key that nothing would read.

    Raises:
        UserError: names the key and the nearest known one, or all of them.
    """
    known = sorted(known)
    for key in given:
        if key not in known:
            raise UserError(f"{where} has no setting {key!r}; {nearest(key, known)}")


def nearest(word: str, known: Sequence[str]) -> str:
    """ "did you mean ...?", or a list of what there is."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
