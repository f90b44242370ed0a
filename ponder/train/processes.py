"""The processes of one training: one alone, or many that torchrun started.

torchrun --nproc-per-node 8 train.py ...
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from ponder.errors import UserError

if TYPE_CHECKING:
    from ponder.study import Train

# One process may wait for a disk that another writes 65 GB of weights to.
PATIENCE = timedelta(hours=4)


@dataclass(frozen=True)
class Processes:
    """This process among all: its rank, how many there are, the device that it computes on."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0


@contextlib.contextmanager
def process_group(kind: str, recipe: Train) -> Iterator[Processes]:
    """Give the Processes that torchrun describes in the environment, or a single one.

    `kind` is cpu or cuda. A process alone gets a group too where the `recipe` computes in another
    type than that of its weights: sharding.shard gathers them then. Raises UserError when this
    machine has no GPU for this process, or when the environment names several processes and not
    where they meet.
    """
    world = int(os.environ.get("WORLD_SIZE", 1))
    rank = local_rank = 0
    if world > 1:
        if not {"RANK", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
            raise UserError(
                f"WORLD_SIZE={world} is set, but not RANK, MASTER_ADDR and MASTER_PORT; start the "
                "script with torchrun, or unset it"
            )
        rank, local_rank = (int(os.environ.get(name, 0)) for name in ("RANK", "LOCAL_RANK"))
    device = _device(kind, local_rank)
    backend = "cuda:nccl,cpu:gloo" if kind == "cuda" else "gloo"
    if world > 1:
        dist.init_process_group(backend, timeout=PATIENCE)
    elif recipe.compute != recipe.weights:
        dist.init_process_group(
            backend, timeout=PATIENCE, store=dist.HashStore(), rank=0, world_size=1
        )
    try:
        yield Processes(rank, world, device)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _device(kind: str, local_rank: int) -> torch.device:
    """Return the device of this process, made torch's current one where it is a GPU."""
    if kind != "cuda":
        return torch.device(kind)
    if local_rank >= torch.cuda.device_count():
        raise UserError(
            f"hardware.device=cuda asks for GPU {local_rank}, but this machine has "
            f"{torch.cuda.device_count()}; start as many processes as there are GPUs, or set "
            "hardware=cpu2"
        )
    torch.cuda.set_device(local_rank)
    return torch.device(kind, local_rank)


def barrier() -> None:
    """Wait until every process is here."""
    if dist.is_initialized():
        dist.barrier()


def sum_over_processes(number: torch.Tensor) -> torch.Tensor:
    """Return the sum of a scalar tensor over all processes; the tensor itself is changed to it."""
    if dist.is_initialized():
        dist.all_reduce(number)
    return number


def in_any_process(fact: bool) -> bool:
    """Return in every process whether `fact` holds in one of them; each calls it."""
    return sum_over_processes(torch.tensor(float(fact))).item() > 0
