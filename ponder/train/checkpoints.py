"""Checkpoints: folders of safetensors files, one per process; there whole or not, and no pickle.

checkpoint-<step>/shard-<rank>-of-<world>.safetensors holds the process's rows of each trained
weight and of AdamW's two moments. Laid end to end in the order of ranks they are the full tensors,
so any number of processes can go on: each reads the rows that it needs. Data order, learning rate
and random draws follow from config and step, so this is all that a run needs to go on to the same
bytes.
"""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor, Shard

from ponder.errors import UserError
from ponder.runs import Run, flush, put_in_place, read_jsonl, write_jsonl

MOMENTS = ("exp_avg", "exp_avg_sq")  # AdamW's state besides its step
DTYPE_NAMES = {torch.float32: "F32", torch.bfloat16: "BF16"}  # of safetensors
Slices = dict[str, Any]  # the tensors of an open shard by name, as safetensors' slices


def write(
    tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file and wait until it is on the disk.

    Raises OSError, which safetensors hides in an error of its own.
    """
    try:
        save_file(tensors, path, metadata)
    except SafetensorError as error:
        match = re.search(r"\(os error (\d+)\)", str(error))
        number = int(match[1]) if match else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(path, 0o666 & ~mask)  # safetensors lets nobody else read its files
    flush(path)


def save(
    run: Run,
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    rank: int = 0,
    world: int = 1,
    barrier: Callable[[], None] = lambda: None,
) -> None:
    """Write the state after `step`, replacing the checkpoint before it.

    Every process calls it; `barrier` waits for all of them. Raises UserError in all processes when
    one cannot write; the checkpoint before it stays, so there must be room for two.
    """
    folder = run.folder / f"checkpoint-{step}"
    part = run.folder / f"{folder.name}.part"
    problem = None
    tensors = _state(network, optimizer)
    try:
        part.mkdir(exist_ok=True)
        write(tensors, part / _shard_name(rank, world), _identity(run, step, rank, world))
    except OSError as error:  # raised below: the others wait at the barrier
        problem = error
        (part / _shard_name(rank, world)).unlink(missing_ok=True)
    barrier()
    if rank == 0:
        _put_in_place(part, folder, world)
    barrier()
    if not folder.exists():
        reason = problem.strerror if problem else "another process could not write its shard"
        last_step = max(_checkpoints(run.folder), default=0)
        restart = f"step {last_step}" if last_step else "the start"
        raise UserError(
            f"the checkpoint after step {step} cannot be written to {run.folder} ({reason}); "
            f"free some space, and the same command goes on from {restart}"
        ) from problem


def _put_in_place(part: Path, folder: Path, world: int) -> None:
    """Make a written folder the run's only checkpoint, or delete it where a shard is missing."""
    if not all((part / _shard_name(rank, world)).exists() for rank in range(world)):
        shutil.rmtree(part, ignore_errors=True)
        return
    older = [path for path in _checkpoints(folder.parent).values() if path != folder]
    for name in ("metrics.jsonl", "timing.jsonl"):  # a checkpoint without its metrics is refused
        if (folder.parent / name).exists():
            flush(folder.parent / name)
    put_in_place(part, folder)
    for path in older:
        shutil.rmtree(path)


def resume(
    run: Run,
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    rank: int = 0,
    world: int = 1,
) -> int:
    """Return the step of the run's checkpoint after loading it, or 0 without one.

    Later rows of metrics are cut off. Raises UserError for a checkpoint that is not whole, whose
    headers are damaged or of another run, and for one whose metrics are lost. Numbers are not
    checked: the file system keeps them.
    """
    checkpoints = _checkpoints(run.folder)
    step = max(checkpoints, default=0)
    if step:
        weights = _trained_weights(network)
        with contextlib.ExitStack() as stack, torch.no_grad():
            shards = _open_shards(run, checkpoints[step], step, weights, stack)
            _load(shards, weights, optimizer, step, rank, world)
    metrics = run.folder / "metrics.jsonl"
    rows = []
    if metrics.exists():
        rows = [row for row in read_jsonl(metrics, tolerate_cut=True) if row["step"] <= step]
    if [row["step"] for row in rows] != list(range(1, step + 1)):
        raise UserError(
            f"{metrics} has not one row for each of the {step} steps before "
            f"{checkpoints[step].name}; restore it, or delete {checkpoints[step]} to start again"
        )
    if rank == 0:
        for part in run.folder.glob("checkpoint-*.part"):  # half written when a run was killed
            shutil.rmtree(part, ignore_errors=True)
        write_jsonl(metrics, rows)
        if step:
            run.say(f"train {run.name}: goes on after step {step}")
    return step


def _trained_weights(network: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Return the trained weights by name."""
    return {name: weight for name, weight in network.named_parameters() if weight.requires_grad}


def _state(network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return this process's rows of each trained weight and of its two moments, by name."""
    tensors = {}
    for name, weight in _trained_weights(network).items():
        tensors[f"weight/{name}"] = _local_rows(weight.detach()).contiguous()
        for moment in MOMENTS:
            tensors[f"{moment}/{name}"] = _local_rows(optimizer.state[weight][moment]).contiguous()
    return tensors


def _local_rows(tensor: torch.Tensor) -> torch.Tensor:
    """Return this process's rows of a tensor: a view, through which the tensor can be written."""
    assert tensor.dim() > 0, "a tensor is cut into rows"
    if not isinstance(tensor, DTensor):
        return tensor
    assert tensor.placements == (Shard(0),), "only cut into rows, in the order of ranks"
    return tensor.to_local()


def _row_range(num_rows: int, rank: int, world: int) -> tuple[int, int]:
    """Return the first row of a process and the one after its last, as FSDP2 cuts a tensor.

    FSDP2 cuts as torch.chunk does.
    """
    size = -(-num_rows // world)
    return min(rank * size, num_rows), min((rank + 1) * size, num_rows)


def _shard_name(rank: int, world: int) -> str:
    return f"shard-{rank}-of-{world}.safetensors"


def _identity(run: Run, step: int, rank: int, world: int) -> dict[str, str]:
    """Return what a shard's header says about whose it is."""
    return {"run": run.name, "step": str(step), "rank": str(rank), "world": str(world)}


def _checkpoints(folder: Path) -> dict[int, Path]:
    """Return the checkpoints of a run's folder by their steps."""
    checkpoints = {}
    for path in folder.glob("checkpoint-*"):
        if match := re.fullmatch(r"checkpoint-(\d+)", path.name):
            checkpoints[int(match[1])] = path
    return checkpoints


def _open_shards(
    run: Run,
    folder: Path,
    step: int,
    weights: Mapping[str, torch.Tensor],
    stack: contextlib.ExitStack,
) -> list[Slices]:
    """Return the open shards of a checkpoint in the order of their ranks.

    Each holds the tensors that it must have and nothing else; the `stack` closes them.
    """
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    world, way_out = len(names), f"delete {folder} to start again"
    if not names or set(names) != {_shard_name(rank, world) for rank in range(world)}:
        raise UserError(
            f"{folder} is not whole, it has {', '.join(names) or 'no shard'}; {way_out}"
        )
    shards = []
    for rank in range(world):
        path = folder / _shard_name(rank, world)
        try:
            shard = stack.enter_context(safe_open(path, "pt"))
            metadata = shard.metadata() or {}
            slices = {key: shard.get_slice(key) for key in shard.keys()}
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path} cannot be read ({str(error)[:200]!r}); {way_out}") from error
        _check_identity(path, metadata, _identity(run, step, rank, world), way_out)
        _check_tensors(path, slices, _expected_tensors(weights, rank, world), way_out)
        shards.append(slices)
    return shards


def _check_identity(
    path: Path, metadata: Mapping[str, str], identity: Mapping[str, str], way_out: str
) -> None:
    for key, value in identity.items():
        if metadata.get(key) != value:
            raise UserError(
                f"{path} belongs to {key} {metadata.get(key)!r:.100}, not {value!r}; {way_out}"
            )


def _expected_tensors(
    weights: Mapping[str, torch.Tensor], rank: int, world: int
) -> dict[str, tuple[str, list[int]]]:
    """Return {name: (type, shape)} of the tensors that a shard must have."""
    expected = {}
    for name, weight in weights.items():
        begin, end = _row_range(weight.shape[0], rank, world)
        for kind in ("weight", *MOMENTS):
            shape = [end - begin, *weight.shape[1:]]
            expected[f"{kind}/{name}"] = (DTYPE_NAMES[weight.dtype], shape)
    return expected


def _check_tensors(
    path: Path, slices: Slices, expected: Mapping[str, tuple[str, list[int]]], way_out: str
) -> None:
    actual = {key: (part.get_dtype(), part.get_shape()) for key, part in slices.items()}
    for key in sorted(actual.keys() | expected.keys()):
        if actual.get(key) != expected.get(key):
            raise UserError(
                f"{path} has {key!r:.100} as {actual.get(key)}, but this run needs "
                f"{expected.get(key)}; {way_out}"
            )


def _load(
    shards: list[Slices],
    weights: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    step: int,
    rank: int,
    world: int,
) -> None:
    """Fill the weights and the optimizer's state with this process's rows of the shards."""
    for name, weight in weights.items():
        begin, end = _row_range(weight.shape[0], rank, world)
        # As torch.optim.AdamW makes them, those of a DTensor too.
        moments = {moment: torch.zeros_like(weight) for moment in MOMENTS}
        for kind, tensor in {"weight": weight, **moments}.items():
            rows = _local_rows(tensor)
            assert rows.shape[0] == end - begin
            for shard_rank, shard in enumerate(shards):
                first, after = _row_range(weight.shape[0], shard_rank, len(shards))
                low, high = max(first, begin), min(after, end)
                if low < high:
                    part = shard[f"{kind}/{name}"][low - first : high - first]
                    rows[low - begin : high - begin] = part
        optimizer.state[weight] = {
            "step": torch.tensor(float(step), device=weight.device),
            **moments,
        }
