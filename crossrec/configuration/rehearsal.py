"""Components made once for nothing, so that what they refuse is told before any training."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from crossrec.configuration.values import nearest
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.evaluation.evaluate import BEYOND
from crossrec.evaluation.metrics import METRICS
from crossrec.models.content import FixedContent
from crossrec.models.fusion import fuse
from crossrec.models.interface import Recommender
from crossrec.stages.settings import Part, Settings
from crossrec.stages.trainers import FSDP, sharded, started, strategy_of
from crossrec.training.objectives import Softmax
from crossrec.transfer.anchor import lay_over
from crossrec.transfer.content.sequence_encoder import content_of
from crossrec.transfer.method import TransferMethod
from crossrec.transfer.pair_model import PairModel
from crossrec.world import check_machines, n_machines, n_ranks


def check_evaluation(evaluation: dict[str, Any]) -> None:
    """Refuse metrics that do not exist.

    Raises:
        UserError: names the metric and the nearest one that exists.
    """
    for key, known in (("metrics", list(METRICS)), ("beyond", list(BEYOND))):
        names = evaluation[key]
        if not isinstance(names, list):
            raise UserError(f"evaluation.{key} must be a list of {', '.join(known)}, got {names!r}")
        for name in names:
            if name not in known:
                raise UserError(
                    f"evaluation.{key}: there is no metric {name!r}; {nearest(str(name), known)}"
                )


def check_model(model: Part, has_content: bool) -> None:
    """Make a model of two items.

    Raises:
        UserError: its constructor refuses a value.
    """
    content = torch.zeros(2, 4) if has_content else None
    try:
        model.make(n_users=1, n_items=1, n_context=1, content=content)
    except (ValueError, TypeError, AssertionError, RuntimeError) as error:
        raise UserError(f"model: {' '.join(str(error).split())}") from error


READ_PLAINLY = {
    "max_length": lambda value: value != "auto",
    "dtype": lambda value: value in ("float32", "bfloat16", "float16"),
    "layers": lambda value: value == [-1],
    "prefix": lambda value: not value,
}
"""What the encoder may be asked for where its last layers learn: they are run by themselves."""


def check_end_to_end(model: Part, encoder: dict[str, Any], modalities: Collection[str]) -> None:
    """Refuse to train a language model that the recommender does not listen to.

    Args:
        encoder: its settings.
        modalities: what is known of items.

    Raises:
        UserError: says what to choose.
    """
    if set(modalities) != {"text"}:
        raise UserError(
            "end_to_end=last_layers needs a language model that reads the items, and no other "
            "content: choose an encoder (encoder=minilm) and content=[text], or end_to_end=off"
        )
    for key, holds in READ_PLAINLY.items():
        if not holds(encoder[key]):
            raise UserError(
                f"encoder.{key}={encoder[key]} is not known to end_to_end=last_layers, which runs "
                f"the last layers by themselves: leave encoder.{key} as encoder=minilm has it, or "
                "end_to_end=off"
            )
    content = FixedContent(torch.zeros(2, 4))
    made = model.make(n_users=1, n_items=1, n_context=1, content=content)
    if content not in made.modules():
        raise UserError(
            f"end_to_end=last_layers, but this {type(made).__name__} does not read content: use "
            "model=two_tower or model=sasrec with model.use_content=true, or end_to_end=off"
        )


def check_fusion(fusion: str, model: Part, name: str, method: Part) -> None:
    """Refuse a fusion of modalities that nothing would do.

    Args:
        name: of the transfer method.

    Raises:
        UserError: the model reads no content, or the method brings a network of its own.
    """
    content = torch.zeros(2, 4)
    fuse(model.make(n_users=1, n_items=1, n_context=1, content=content), (2, 2), fusion)
    if fusion != "concatenate" and isinstance(method.make(), PairModel):
        raise UserError(
            f"content.fusion={fusion} is of recommenders (model=...), but transfer={name} brings a "
            "network of its own, which reads modalities side by side: use "
            "content.fusion=concatenate"
        )


def check_start(model: Part, methods: Iterable[Part], blocks: Sequence[int], fusion: str) -> None:
    """Let the methods that carry weights start, on a model of two items that learned nothing.

    Which weights a model has depends on its settings, not on the data: a name that fits none of
    them, or a method that finds nothing to adapt, is refused here.

    Args:
        blocks: sizes of the modalities' blocks, whatever they will be; empty without content.
        fusion: of the modalities.

    Raises:
        UserError: a method refuses to start.
    """
    content = torch.zeros(2, sum(blocks)) if blocks else None
    nobody, first = torch.zeros(1, dtype=torch.int64), torch.zeros(1, 2, dtype=torch.int64)
    for carry in (method.make() for method in methods):
        if not isinstance(carry, TransferMethod):
            continue
        made = model.make(n_users=1, n_items=1, n_context=1, content=content)
        fuse(made, blocks, fusion)
        made.observe(nobody, nobody)
        weights = {name: parameter.detach().clone() for name, parameter in made.named_parameters()}
        tables = made.item_tables, made.user_tables
        importance = {name: torch.ones_like(value) for name, value in weights.items()}
        carry.start(made, lay_over(made, weights, *tables, first, first, 1.0, importance))


def check_text(methods: Mapping[str, Part]) -> None:
    """Refuse transfer methods that know items by their texts, in a run without an encoder.

    Args:
        methods: by the name that users write.

    Raises:
        UserError: names the method, and what to choose.
    """
    for name, method in methods.items():
        if getattr(method.make(), "reads_text", False):
            content_of(Content(None, None, None), name)


def check_trainer(trainer: Part) -> None:
    """Refuse devices that are not there, and strategies that start the whole command again.

    Raises:
        UserError: says what there is, or what to use instead.
    """
    accelerator, devices = trainer.config["accelerator"], trainer.config["devices"]
    strategy = str(trainer.config["strategy"])
    several = not (isinstance(devices, int) and devices == 1)
    if n_ranks() > 1:
        check_machines()
        if "spawn" not in strategy and strategy != FSDP:
            raise UserError(
                f"{n_ranks()} processes were started for one run, but trainer.strategy={strategy} "
                "trains in one: add trainer=ddp, or trainer=fsdp for a large language model (and "
                "trainer.accelerator=cpu without GPUs)"
            )
        devices = n_ranks() // n_machines()  # whatever trainer.devices says
    elif strategy == FSDP and several:
        raise UserError(
            f"trainer=fsdp with trainer.devices={devices}: it starts no processes but shares a "
            "language model among those that were started. Leave trainer.devices out, and run "
            "torchrun --nproc-per-node N -m crossrec.train trainer=fsdp ... for N devices"
        )
    on_gpu = accelerator in ("gpu", "cuda")
    there = torch.cuda.device_count() if on_gpu else (os.cpu_count() or 1)
    kind = "GPUs" if on_gpu else "processor cores"
    if on_gpu and there == 0:
        raise UserError(
            f"trainer.accelerator={accelerator}, but torch {torch.__version__} sees no GPU here: "
            f"use trainer{'.accelerator' * ('spawn' in strategy or strategy == FSDP)}=cpu"
        )
    if isinstance(devices, int) and devices > there:
        raise UserError(f"trainer.devices={devices}, but there are {there} {kind} here")
    if strategy.startswith(("ddp", "fsdp_", "deepspeed")) and "spawn" not in strategy:
        raise UserError(
            f"trainer.strategy={strategy} starts this whole command again in every rank; use "
            "trainer=ddp, which spawns ranks inside each training stage, or takes torchrun's"
        )
    if several and isinstance(devices, int) and strategy == "auto":
        raise UserError(
            f"trainer.devices={devices} needs trainer=ddp (with trainer.accelerator=cpu for "
            "processes on this processor)"
        )
    try:
        trainer.make(logger=False, strategy=strategy_of(trainer), **started())
        trainer.make(logger=False, **sharded(trainer))
    except (ValueError, TypeError, MisconfigurationException) as error:
        raise UserError(f"trainer: {' '.join(str(error).split())}") from error


def check_private(settings: Settings) -> None:
    """Refuse to promise privacy where something of the source's users would go around DP-SGD.

    Raises:
        UserError: names the setting, why, and what to choose.
    """
    if settings.source_weights is not None:
        raise UserError(
            "privacy=dp trains the source, and source_weights is of a source that was trained: "
            "its owner chooses privacy=dp, here it is privacy=off"
        )
    check_weights_alone(settings, "privacy=dp")
    made = settings.model.make(n_users=1, n_items=1, n_context=0, content=torch.zeros(1, 4))
    name = type(made).__name__
    if type(made).observe is not Recommender.observe:
        raise UserError(
            f"privacy=dp cannot train {name}, which computes with the interactions themselves: "
            "use model=two_tower or model=mf"
        )
    if not made.factorized:
        raise UserError(
            f"privacy=dp needs a score that is an inner product, which that of {name} is not: "
            "use model=two_tower or model=mf"
        )
    if not isinstance(settings.objective.make(), Softmax):
        raise UserError(
            f"privacy=dp trains with objective=softmax alone: "
            f"{settings.objective.config['_target_'].rpartition('.')[2]} draws or centers by what "
            "users did, without noise"
        )
    if settings.trainer.config["devices"] not in (1, "1") or n_ranks() > 1:
        raise UserError(
            "privacy=dp trains in one process: set trainer.devices=1, and start it without torchrun"
        )


def check_weights_alone(settings: Settings, why: str) -> None:
    """Refuse what would read the source besides its weights.

    Args:
        why: the setting that promises that nothing does.

    Raises:
        UserError: names the setting, and what to choose.
    """
    refused = {
        "pretraining": (
            settings.pretraining["enabled"] and settings.encoder["model"] is not None,
            "the language model learns from what users of the source wrote and had",
            "pretraining=off",
        ),
        "end_to_end": (
            settings.end_to_end["layers"] is not None,
            "the language model learns with the recommender",
            "end_to_end=off",
        ),
        "content": (
            not set(settings.content) <= {"text", "fusion"},
            "other content than text is whitened by what users had",
            "content=[text]",
        ),
        "data.text_fields": (
            "reviews" in settings.data["text_fields"],
            "users wrote the reviews",
            "fields of the catalog alone",
        ),
    }
    for key, (wrong, reason, instead) in refused.items():
        if wrong:
            raise UserError(f"{why} and {key}: {reason}; use {instead}")
    for part in settings.candidates.values() or [settings.transfer]:
        method = part.make()
        name = type(method).__name__
        reads = isinstance(method, PairModel) or method.reads_source_items
        if reads or method.source_cases or getattr(method, "per_source_interaction", False):
            raise UserError(
                f"{why}: {name} reads more of the source than its weights; use transfer=l2_sp "
                "(per_source_interaction=false), finetune, freeze, unfreeze or lora"
            )
