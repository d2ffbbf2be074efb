"""Pretraining of a language model as a LightningModule: its schedule, its measures, its state."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel

from crossrec.training.checkpoint import Checkpoint, write_checkpoint
from crossrec.training.retrieval import Measures, Retrieval
from crossrec.training.schedule import Schedule, ramp_and_cosine
from crossrec.training.sharding import Share, part_of, shard, wholes
from crossrec.training.task import Task


@dataclass(frozen=True)
class Saving:
    """Where a training writes down how far it is.

    Attributes:
        file: the checkpoint.
        partial: see `write_checkpoint`.
        every: steps from one checkpoint to the next.
    """

    file: Path
    partial: Path
    every: int


class LanguageModelTraining(lightning.LightningModule):
    """The weighted sum of tasks, by AdamW.

    Logs the losses of each step, and what held-out texts and users measure before and after:
    valid/perplexity, valid/accuracy, valid/ndcg@10_source_to_target and so on of `Retrieval`.

    Args:
        network: a transformers network with a language-modeling head; what of it shall learn
            requires gradients.
        tasks: weight and task; a batch holds a part for each.
        retrieval: measured before and after, None where nobody can be asked.
        schedule: of the learning rates.
        saving: of checkpoints; None writes none.
        resumed: what an earlier process wrote; None begins at the beginning.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        tasks: list[tuple[float, Task]],
        retrieval: Retrieval | None,
        schedule: Schedule,
        saving: Saving | None,
        resumed: Checkpoint | None,
    ) -> None:
        super().__init__()
        self.network = network
        self.weights = [weight for weight, _ in tasks]
        self.tasks = [task for _, task in tasks]
        # What tasks hold (the model as it was) goes where the network goes.
        self.held = nn.ModuleList(task for task in self.tasks if isinstance(task, nn.Module))
        self.retrieval, self.schedule, self.saving = retrieval, schedule, saving
        self.resumed = resumed
        account: dict[str, Any] = resumed.account if resumed else {}
        self.measures: dict[str, float | Measures | None] = account.get("measures", {})
        self.tokens_seen: int = account.get("tokens", 0)
        self.seconds_before: float = account.get("seconds", 0.0)
        if resumed is not None:
            self._restore(resumed)

    @property
    def body(self) -> list[nn.Parameter]:
        """What learns of the network without its head."""
        return [p for p in self.network.base_model.parameters() if p.requires_grad]

    @property
    def head(self) -> list[nn.Parameter]:
        """What else learns."""
        of_body = {id(p) for p in self.body}
        return [p for p in self._learning().values() if id(p) not in of_body]

    @property
    def share(self) -> Share:
        """What this rank reads of each batch."""
        return Share(self.trainer.global_rank, self.trainer.world_size)

    def configure_model(self) -> None:
        if self.device_mesh is None:  # of one rank
            return
        held = [part for task in self.held for part in task.children()]
        for network in (self.network, *held):
            if isinstance(network, PreTrainedModel):
                shard(network, self.device_mesh["data_parallel"])

    def training_step(self, batch: tuple[int, list[Any]], batch_idx: int) -> Tensor:
        number, parts = batch
        loss = torch.zeros((), device=self.device)
        for weight, task, part in zip(self.weights, self.tasks, parts, strict=True):
            if self._body_rests() and not task.reads_head:
                continue
            of_task, logged = task.loss(self.network, part, number, self.share)
            loss = loss + weight * of_task
            self.tokens_seen += task.n_tokens(part)
            for name, value in logged.items():
                self.log(f"pretraining/{name}", value, prog_bar=name != "drift")
        seconds = time.monotonic() - self.started
        self.log("pretraining/tokens_per_second", self.tokens_seen / seconds, prog_bar=True)
        return loss * self.share.n_ranks  # FSDP takes the mean of what is to be summed

    def _body_rests(self) -> bool:
        return bool(self.global_step < self.schedule.head_steps)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        if self._body_rests():
            for parameter in self.body:
                parameter.grad = None  # AdamW skips it, its moments stay clean

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        plan = self.schedule
        groups = [
            (self.body, plan.learning_rate, plan.head_steps),
            (self.head, plan.head_learning_rate, 0),
        ]
        groups = [group for group in groups if group[0]]
        optimizer = AdamW([{"params": params, "lr": rate} for params, rate, _ in groups])
        if self.resumed is not None:
            learning = [parameter for params, _, _ in groups for parameter in params]
            state: dict[int, dict[str, Tensor]] = {}
            for name, tensor in self.resumed.group("moment").items():
                place, key = name.split(".")
                state.setdefault(int(place), {})[key] = part_of(tensor, learning[int(place)])
            settings = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": settings})
        scheduler = LambdaLR(optimizer, [self._factor(start) for _, _, start in groups])
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _factor(self, start: int) -> Callable[[int], float]:
        done = self.resumed.step if self.resumed else 0
        warmup, total = self.schedule.warmup_steps, self.schedule.total_steps
        return lambda step: ramp_and_cosine(step + done, start, warmup, total)

    def on_train_start(self) -> None:
        self.started = time.monotonic() - self.seconds_before
        if self.resumed is None:
            self._measure("before")
            self.measures |= {
                f"{name.removesuffix('_before')}_head": None
                for name in self.measures
                if name != "retrieval_before"
            }
        elif scale := self.resumed.account["precision"]:
            self.trainer.precision_plugin.load_state_dict(scale)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if self.schedule.head_steps and self.global_step == self.schedule.head_steps:
            self._measure("head")

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        step, saving = self.global_step, self.saving
        due = saving is not None and step % saving.every == 0 and step < self.schedule.total_steps
        whole = (batch_idx + 1) % self.trainer.accumulate_grad_batches == 0
        if saving is not None and due and whole:
            state = self._state()
            if self.trainer.is_global_zero:
                write_checkpoint(saving.file, saving.partial, state)
            self.trainer.strategy.barrier()  # a long wait inside of a step would be an error

    def on_train_end(self) -> None:
        self._measure("after")

    def _measure(self, when: str) -> None:
        logged: dict[str, Any] = {}
        for task in self.tasks:
            found = task.measure(self.network, self.share)
            self.measures |= {f"{name}_{when}": value for name, value in found.items()}
            logged |= found
        if self.retrieval is not None and when != "head":
            beside = self.retrieval.measure(self.network, self.share)
            self.measures[f"retrieval_{when}"] = beside
            logged |= {f"ndcg@10 {name}": values["ndcg@10"] for name, values in beside.items()}
        named = {f"valid/{name.replace(' ', '_')}": value for name, value in logged.items()}
        for logger in self.trainer.loggers:
            logger.log_metrics(named, self.global_step)

    def _state(self) -> Checkpoint:
        """What there is to save, its tensors on the first rank alone."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        tensors: dict[str, Tensor] = {f"weight:{n}": p for n, p in self._learning().items()}
        for place, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"moment:{place}.{key}": tensor for key, tensor in moments.items()}
        account = {
            "measures": self.measures,
            "tokens": self.tokens_seen,
            "seconds": time.monotonic() - self.started,
            "precision": self.trainer.precision_plugin.state_dict(),
        }
        kept = wholes(tensors, self.trainer.is_global_zero)
        return Checkpoint(self.global_step, kept, account)

    def _restore(self, checkpoint: Checkpoint) -> None:
        weights = checkpoint.group("weight")
        for name, parameter in self._learning().items():
            parameter.data.copy_(weights[name])

    def _learning(self) -> dict[str, nn.Parameter]:
        return {n: p for n, p in self.network.named_parameters() if p.requires_grad}
