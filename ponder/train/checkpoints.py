"""A checkpoint is a folder of safetensors files, one per process: weights, optimizer state, step. There whole or not; no pickle.

checkpoint-<step>/shard-<rank>-of-<world>.safetensors holds the process's rows of each trained weight and of AdamW's two moments.
Laid end to end in the order of ranks they are the full tensors, so any number of processes can go on: each reads the rows that it
needs. Data order, learning rate and random draws follow from config and step, so this is all that a run needs to go on to the
same bytes.
"""

import contextlib
import errno
import os
import re
import shutil

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor, Shard

from ponder.errors import UserError
from ponder.runs import read_jsonl, write_jsonl

MOMENTS = ("exp_avg", "exp_avg_sq")  # AdamW's state besides its step
TYPES = {torch.float32: "F32", torch.bfloat16: "BF16"}  # safetensors' names


def write(tensors, path, metadata=None):
    """Write a safetensors file and wait until it is on the disk. Raises OSError, which safetensors hides in an error of its own."""
    try:
        save_file(tensors, path, metadata)
    except SafetensorError as error:
        found = re.search(r"\(os error (\d+)\)", str(error))
        number = int(found[1]) if found else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(path, 0o666 & ~mask)  # safetensors lets nobody else read its files
    _to_disk(path)


def save(run, network, optimizer, step, rank=0, world=1, barrier=lambda: None):
    """Write the state after `step`, replacing the checkpoint before it. Every process calls it; `barrier` waits for all of them.

    Raises UserError in all processes when one cannot write; the checkpoint before it stays, so there must be room for two.
    """
    folder = run.folder / f"checkpoint-{step}"
    part, problem = run.folder / f"{folder.name}.part", None
    tensors = {}
    for name, p in _trained(network).items():
        tensors[f"weight/{name}"] = _local(p.detach()).contiguous()
        tensors |= {
            f"{moment}/{name}": _local(optimizer.state[p][moment]).contiguous()
            for moment in MOMENTS
        }
    try:
        part.mkdir(exist_ok=True)
        write(tensors, part / _shard(rank, world), _facts(run, step, rank, world))
    except OSError as error:  # told below: the others wait at the barrier
        problem = error
        (part / _shard(rank, world)).unlink(missing_ok=True)
    barrier()
    if rank == 0:
        if all((part / _shard(r, world)).exists() for r in range(world)):
            older = [place for place in _whole(run.folder).values() if place != folder]
            for place in (
                part,
                *(
                    run.folder / name
                    for name in ("metrics.jsonl", "timing.jsonl")
                    if (run.folder / name).exists()
                ),
            ):
                _to_disk(place)  # a checkpoint without its metrics would be refused
            os.rename(part, folder)
            _to_disk(run.folder)
            for place in older:
                shutil.rmtree(place)
        else:
            shutil.rmtree(part, ignore_errors=True)
    barrier()
    if not folder.exists():
        why = problem.strerror if problem else "another process could not write its shard"
        since = f"step {before}" if (before := max(_whole(run.folder), default=0)) else "the start"
        raise UserError(
            f"the checkpoint after step {step} cannot be written to {run.folder} ({why}); free some space, "
            f"and the same command goes on from {since}"
        ) from problem


def resume(run, network, optimizer, rank=0, world=1):
    """Return the step of the run's checkpoint after loading it, or 0 without one; later metrics rows are cut off.

    Raises UserError for a checkpoint that is not whole, whose headers are damaged or of another run, and for one whose metrics
    are lost. Numbers are not checked: the file system keeps them.
    """
    found = _whole(run.folder)
    step = max(found, default=0)
    if step:
        with contextlib.ExitStack() as stack, torch.no_grad():
            _load(
                _shards(run, found[step], step, _trained(network), stack),
                network,
                optimizer,
                step,
                rank,
                world,
            )
    metrics = run.folder / "metrics.jsonl"
    kept = (
        [row for row in read_jsonl(metrics, tolerate_cut=True) if row["step"] <= step]
        if metrics.exists()
        else []
    )
    if [row["step"] for row in kept] != list(range(1, step + 1)):
        raise UserError(
            f"{metrics} has not one row for each of the {step} steps before {found[step].name}; restore it, or "
            f"delete {found[step]} to start again"
        )
    if rank == 0:
        for part in run.folder.glob(
            "checkpoint-*.part"
        ):  # what a kill left while it was being written
            shutil.rmtree(part, ignore_errors=True)
        write_jsonl(metrics, kept)
        if step:
            run.say(f"train {run.name}: goes on after step {step}")
    return step


def _trained(network):
    """Return the trained weights by name."""
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def _local(tensor):
    """Return this process's rows of a tensor: a view of them, so that writing to it writes to the tensor."""
    assert tensor.dim() > 0, "rows are what a tensor is cut into"
    assert not isinstance(tensor, DTensor) or tensor.placements == (Shard(0),), (
        "only cut into rows, in the order of ranks"
    )
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _chunk(num_rows, rank, world):
    """Return the first row of a process and the one after its last, as torch.chunk and with it FSDP2 cut a tensor."""
    size = -(-num_rows // world)
    return min(rank * size, num_rows), min((rank + 1) * size, num_rows)


def _shard(rank, world):
    return f"shard-{rank}-of-{world}.safetensors"


def _facts(run, step, rank, world):
    return {"run": run.name, "step": str(step), "rank": str(rank), "world": str(world)}


def _whole(folder):
    """Return the checkpoints of a run's folder by their steps."""
    return {
        int(m[1]): place
        for place in folder.glob("checkpoint-*")
        if (m := re.fullmatch(r"checkpoint-(\d+)", place.name))
    }


def _to_disk(path):
    """Wait until a file or folder would survive a power cut."""
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def _shards(run, folder, step, weights, stack):
    """Return the open shards of a checkpoint in the order of their ranks, each with nothing but the tensors it must have."""
    names = sorted(place.name for place in folder.glob("*.safetensors"))
    world, way_out = len(names), f"delete {folder} to start again"
    if not names or set(names) != {_shard(r, world) for r in range(world)}:
        raise UserError(
            f"{folder} is not whole, it has {', '.join(names) or 'no shard'}; {way_out}"
        )
    shards = []
    for rank in range(world):
        path = folder / _shard(rank, world)
        try:
            shard = stack.enter_context(safe_open(path, "pt"))
            facts, tensors = (
                shard.metadata() or {},
                {key: shard.get_slice(key) for key in shard.keys()},
            )
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path} cannot be read ({str(error)[:200]!r}); {way_out}") from error
        for key, value in _facts(run, step, rank, world).items():
            if facts.get(key) != value:
                raise UserError(
                    f"{path} belongs to {key} {facts.get(key)!r:.100}, not {value!r}; {way_out}"
                )
        due = {}
        for name, p in weights.items():
            begin, end = _chunk(p.shape[0], rank, world)
            due |= {
                f"{kind}/{name}": (TYPES[p.dtype], [end - begin, *p.shape[1:]])
                for kind in ("weight", *MOMENTS)
            }
        has = {key: (tensor.get_dtype(), tensor.get_shape()) for key, tensor in tensors.items()}
        for key in sorted(has.keys() | due.keys()):
            if has.get(key) != due.get(key):
                raise UserError(
                    f"{path} has {key!r:.100} as {has.get(key)}, but this run needs {due.get(key)}; {way_out}"
                )
        shards.append(tensors)
    return shards


def _load(shards, network, optimizer, step, rank, world):
    """Fill the weights and the optimizer's state with this process's rows of the shards."""
    for name, p in _trained(network).items():
        begin, end = _chunk(p.shape[0], rank, world)
        moments = {
            moment: torch.zeros_like(p) for moment in MOMENTS
        }  # as torch.optim.AdamW makes them, a DTensor's too
        for kind, tensor in {"weight": p, **moments}.items():
            rows = _local(tensor)
            assert rows.shape[0] == end - begin
            for r, shard in enumerate(shards):
                first, after = _chunk(p.shape[0], r, len(shards))
                low, high = max(first, begin), min(after, end)
                if low < high:
                    rows[low - begin : high - begin] = shard[f"{kind}/{name}"][
                        low - first : high - first
                    ]
        optimizer.state[p] = {"step": torch.tensor(float(step), device=p.device), **moments}
