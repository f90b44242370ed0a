"""The processes of one training: alone, or many that torchrun started (torchrun --nproc-per-node 8 train.py ...)."""

import contextlib
import os
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from ponder.errors import UserError

PATIENCE = timedelta(
    hours=4
)  # the first process downloads and rewrites 65 GB of weights while the others wait


@dataclass(frozen=True)
class Processes:
    """This process among all: its rank, how many there are, the device that it computes on."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self):
        """Whether this is the process that writes."""
        return self.rank == 0


@contextlib.contextmanager
def joined(kind, recipe):
    """Give the Processes that torchrun describes in the environment, or a single one; `kind` is cpu or cuda.

    A process alone gets a group too where the `recipe` computes in another type than that of its weights: sharding.placed
    gathers them then. Raises UserError when this machine has no GPU for this process, or when the environment names several
    processes and not where they meet.
    """
    world = int(os.environ.get("WORLD_SIZE", 1))
    rank, local = (
        int(os.environ.get(name, 0)) if world > 1 else 0 for name in ("RANK", "LOCAL_RANK")
    )
    if world > 1 and not {"RANK", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        raise UserError(
            f"WORLD_SIZE={world} is set, but not RANK, MASTER_ADDR and MASTER_PORT; start the script with torchrun, "
            "or unset it"
        )
    if kind == "cuda":
        if local >= torch.cuda.device_count():
            raise UserError(
                f"hardware.device=cuda asks for GPU {local}, but this machine has {torch.cuda.device_count()}; "
                "start as many processes as there are GPUs, or set hardware=cpu2"
            )
        torch.cuda.set_device(local)
    device = torch.device(kind, local) if kind == "cuda" else torch.device(kind)
    if world > 1 or recipe.compute != recipe.weights:
        alone = {"store": dist.HashStore(), "rank": 0, "world_size": 1} if world == 1 else {}
        dist.init_process_group(
            "cuda:nccl,cpu:gloo" if kind == "cuda" else "gloo", timeout=PATIENCE, **alone
        )
    try:
        yield Processes(rank, world, device)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def barrier():
    """Wait until every process is here."""
    if dist.is_initialized():
        dist.barrier()


def total(number):
    """Return the sum of a scalar tensor over all processes."""
    if dist.is_initialized():
        dist.all_reduce(number)
    return number


def agreed(problem=None):
    """Raise in every process when one of them has a problem, so that none waits for one that has gone.

    Each calls it, with what went wrong in it or None; the others raise UserError.
    """
    count = total(torch.tensor(float(problem is not None)))
    if problem:
        raise problem
    if count:
        raise UserError("another process stopped; its own sentence says why")


def made_once(make, processes):
    """Return what `make` returns: called by the first process alone, and then by the others, for whom it is there already."""
    made = problem = None
    if processes.first:
        try:
            made = make()
        except Exception as error:  # whatever it is, the others must not wait for it
            problem = error
    agreed(problem)
    return made if processes.first else make()
