"""What a training run cost.

Tokens, FLOPs, seconds, its share of the matrix products that the machine can do, and energy. FLOPs
are counted (ponder/train/costs.py); the rest is measured where the run ran, and no data sheet is
used. Energy is that of all processor packages as Linux reports it (RAPL through powercap, on Intel
and AMD), other work on the machine included.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.errors import UserError
from ponder.models import Dimensions
from ponder.runs import Run, read_jsonl
from ponder.train import costs
from ponder.train.costs import Sizes

if TYPE_CHECKING:
    from ponder.study import Train

SIDE = 2048  # on two cores 1,024 reaches 96% of it and 4,096 no more
GPU_SIDE = 8192  # a GPU needs longer products
POWERCAP = Path("/sys/class/powercap")
Readings = dict[str, tuple[int, ...]]  # {processor package: (microjoules, where it starts anew)}


def ceiling(device: str, dtype: str, side: int | None = None, seconds: float = 0.5) -> float:
    """Return the FLOP/s of square matrix products by this process.

    It is the median of the products that fit into `seconds`, or of one. `device` and `dtype` are
    torch's names. With several processes let all measure at once and add up, for they share the
    machine.
    """
    import torch

    side = side or (SIDE if device == "cpu" else GPU_SIDE)
    # A generator of its own, so that the run's random state stays as it is.
    generator = torch.Generator(device).manual_seed(0)
    a, b = (
        torch.rand(side, side, device=device, generator=generator).to(getattr(torch, dtype))
        for _ in range(2)
    )
    (a[: side // 4] @ b)[0, 0].item()  # loads what a first product loads
    clocks: list[float] = []
    while not clocks or sum(clocks) < seconds:
        began = time.perf_counter()
        (a @ b)[0, 0].item()  # a GPU has finished once a value is read
        clocks.append(time.perf_counter() - began)
    return 2 * side**3 / statistics.median(clocks)


def packages(device: str, root: Path = POWERCAP) -> Readings:
    """Return {processor package: (microjoules so far, microjoules at which it starts anew)}.

    Empty where no counter can be read, and on a GPU, where the processor would be the smaller part.
    Parts of a package (core, dram) and the platform (psys) are left out.
    """
    readings: Readings = {}
    if device != "cpu":
        return readings
    for zone in sorted(root.glob("intel-rapl:*")):
        try:
            if (zone / "name").read_text().startswith("package"):
                counter = int((zone / "energy_uj").read_text())
                span = int((zone / "max_energy_range_uj").read_text())
                readings[zone.name] = (counter, span)
        except (OSError, ValueError):
            return {}
    return readings


def joules(before: Readings, after: Readings) -> float | None:
    """Return the energy between two readings of packages(), or None without any.

    Each counter may have started anew at most once.
    """
    if not before or before.keys() != after.keys():
        return None
    microjoules = 0
    for zone, (counter, span) in before.items():
        started_anew = after[zone][0] < counter
        microjoules += after[zone][0] - counter + (span if started_anew else 0)
    return microjoules / 1e6


def why_no_energy(device: str, root: Path = POWERCAP) -> str | None:
    """Return in words why packages() is empty, or None when it is not."""
    if device != "cpu":
        return "only the counters of processors are read, not those of a GPU"
    if packages(device, root):
        return None
    if any(root.glob("intel-rapl:*")):
        return "the energy counters of this machine are not readable for its user"
    return "this machine has no energy counters (a virtual machine often has none)"


def cost(
    dimensions: Dimensions,
    sizes: Sizes,
    metrics: Sequence[Mapping[str, Any]],
    clocks: Mapping[int, Mapping[str, Any]],
    pairs: int,
    recompute: bool,
    ceiling: float,
) -> dict[str, Any]:
    """Return what a run's rows of metrics.jsonl and its clocks by step add up to.

    `pairs`: of tokens that see each other, over all steps. The keys are explained in
    logs/README.md. Raises UserError for a step without a clock.
    """
    if missing := [row["step"] for row in metrics if row["step"] not in clocks]:
        raise UserError(
            f"timing.jsonl has no clock of step {missing[0]}, so nobody can say what the run cost; "
            "delete the run's folder to train again"
        )
    tokens, loss_tokens = (sum(row[key] for row in metrics) for key in ("tokens", "loss_tokens"))
    useful, executed = costs.flops(dimensions, sizes, tokens, loss_tokens, pairs, recompute)
    energies: list[Any] = [clocks[row["step"]].get("joules") for row in metrics]
    energy = None if None in energies else round(sum(energies), 1)
    seconds = sum(clocks[row["step"]]["seconds"] for row in metrics)
    return {
        "steps": len(metrics),
        "tokens": tokens,
        "loss_tokens": loss_tokens,
        "useful_flops": useful,
        "executed_flops": executed,
        "seconds": round(seconds, 3),
        "flops_per_second": round(useful / seconds),
        "ceiling": round(ceiling),
        "share": round(useful / seconds / ceiling, 4),
        "joules": energy,
        "joules_per_million_tokens": None if energy is None else round(energy / tokens * 1e6),
    }


def record(
    run: Run,
    dimensions: Dimensions,
    sizes: Sizes,
    lengths: Sequence[int],
    batches: Sequence[Sequence[int]],
    recipe: Train,
    ceiling: float,
    processes: int,
    device: str,
    root: Path = POWERCAP,
) -> dict[str, Any]:
    """Write the run's cost.json and return it; for the first process, after the last step.

    sizes: costs.sizes of the network, sharded or not. lengths: tokens per row. batches: rows of
    each step, as indices. ceiling: FLOP/s of all processes together. processes: how many. Raises
    UserError for a step without a clock.
    """
    metrics = read_jsonl(run.folder / "metrics.jsonl")
    timing = read_jsonl(run.folder / "timing.jsonl")
    # By step: one that was lost in a kill and made again counts once.
    clocks = {row["step"]: row for row in timing if "step" in row}
    pairs = sum(lengths[row] * (lengths[row] + 1) // 2 for batch in batches for row in batch)
    facts = cost(dimensions, sizes, metrics, clocks, pairs, recipe.recompute, ceiling)
    facts |= {
        "rows": len(lengths),
        "compute": recipe.compute,
        "device": device,
        "processes": processes,
        "no_joules": None,
    }
    if facts["joules"] is None:
        no_counter = why_no_energy(device, root)
        facts["no_joules"] = no_counter or "some steps ran where no counter was readable"
    run.write_json("cost.json", facts)
    return facts
