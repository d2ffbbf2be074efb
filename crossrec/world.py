"""The processes of one run that torchrun or SLURM (srun) started, on one machine or several.

Each runs the same command. Rank 0 does the work and writes; the others follow it from stage to
stage, read what it made, and train where it trains. They must see the same `paths.artifacts`.
"""

import atexit
import os
from datetime import timedelta

from crossrec.errors import UserError

MAKE, READY = 1, 0  # what rank 0 says of a stage: make it with me; it is there


def n_ranks() -> int:
    """Processes that were started; 1 without such a start."""
    return _number("WORLD_SIZE", "SLURM_STEP_NUM_TASKS", 1)


def rank() -> int:
    """Which of them this is."""
    return _number("RANK", "SLURM_PROCID", 0)


def n_machines() -> int:
    """On how many machines they are."""
    return _number("GROUP_WORLD_SIZE", "SLURM_STEP_NUM_NODES", 1)


def leads() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


def check_machines() -> None:
    """Refuse machines with unlike numbers of processes.

    Raises:
        UserError: says what to start.
    """
    if n_ranks() % n_machines():
        raise UserError(
            f"{n_ranks()} processes on {n_machines()} machines: start as many on each "
            "(torchrun --nproc-per-node, srun --ntasks-per-node)"
        )


def join(accelerator: str) -> None:
    """Meet the other ranks.

    Args:
        accelerator: of the trainer, as Lightning calls it.
    """
    import torch
    from lightning.fabric.plugins.environments import SLURMEnvironment

    on_gpu = accelerator in ("gpu", "cuda")
    if not _by_torchrun():
        slurm = SLURMEnvironment()
        os.environ["MASTER_ADDR"] = slurm.main_address
        os.environ["MASTER_PORT"] = str(slurm.main_port)
    if on_gpu:
        torch.cuda.set_device(rank() % (n_ranks() // n_machines()))
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        rank=rank(),
        world_size=n_ranks(),
        timeout=timedelta(days=7),  # followers wait while rank 0 pretrains and encodes
    )
    atexit.register(_leave)  # or gloo's threads may abort the process as it exits


def _leave() -> None:
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def tell(word: int) -> None:
    """Rank 0 says MAKE or READY."""
    _broadcast(word)


def hear() -> int:
    """What rank 0 says."""
    return _broadcast(READY)


def _broadcast(word: int) -> int:
    import torch

    box = torch.tensor(word)
    torch.distributed.broadcast(box, src=0)
    return int(box)


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _number(torchrun: str, slurm: str, alone: int) -> int:
    if _by_torchrun():
        return int(os.environ[torchrun])
    # A job's shell and what it starts without srun is one process, however many tasks it asked for.
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        return int(os.environ[slurm])
    return alone
