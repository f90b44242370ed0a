"""What a training run cost: tokens, FLOPs, seconds, its share of the matrix products that the machine can do, and energy.

FLOPs are counted (ponder/train/costs.py), the rest is measured where the run ran, and no data sheet is asked. Energy is that of all
processor packages as Linux tells it (RAPL through powercap, on Intel and AMD), other work on the machine included.
"""

import statistics
import time
from pathlib import Path

from ponder.errors import UserError
from ponder.runs import read_jsonl
from ponder.train import costs

SIDE, GPU_SIDE = (
    2048,
    8192,
)  # on two cores 1,024 reaches 96% of it and 4,096 no more; a GPU needs longer products
POWERCAP = Path("/sys/class/powercap")


def ceiling(device, dtype, side=None, seconds=0.5):
    """Return the FLOP/s of square matrix products by this process: the median of those that fit into `seconds`, or of one.

    device, dtype: in torch's words. With several processes let all measure at once and add up, for they share the machine.
    """
    import torch

    side = side or (SIDE if device == "cpu" else GPU_SIDE)
    random = torch.Generator(device).manual_seed(
        0
    )  # its own, so that the run's random state stays as it is
    a, b = (
        torch.rand(side, side, device=device, generator=random).to(getattr(torch, dtype))
        for _ in range(2)
    )
    (a[: side // 4] @ b)[0, 0].item()  # loads what a first product loads
    clocks = []
    while not clocks or sum(clocks) < seconds:
        began = time.perf_counter()
        (a @ b)[0, 0].item()  # a GPU has finished once a value is read
        clocks.append(time.perf_counter() - began)
    return 2 * side**3 / statistics.median(clocks)


def packages(device, root=POWERCAP):
    """Return {processor package: (microjoules so far, microjoules at which it starts anew)}; empty where nothing tells.

    Empty on a GPU too, for it would be the smaller part. Parts of a package (core, dram) and the platform (psys) are left out.
    """
    found = {}
    for zone in sorted(root.glob("intel-rapl:*")) if device == "cpu" else ():
        try:
            if (zone / "name").read_text().startswith("package"):
                found[zone.name] = tuple(
                    int((zone / name).read_text()) for name in ("energy_uj", "max_energy_range_uj")
                )
        except (OSError, ValueError):
            return {}
    return found


def joules(before, after):
    """Return the energy between two readings of packages(), each counter having started anew at most once; None without any."""
    if not before or before.keys() != after.keys():
        return None
    return (
        sum(
            (after[zone][0] - at) + (span if after[zone][0] < at else 0)
            for zone, (at, span) in before.items()
        )
        / 1e6
    )


def why_no_energy(device, root=POWERCAP):
    """Return in words why packages() is empty, or None when it is not."""
    if device != "cpu":
        return "only the counters of processors are read, not those of a GPU"
    if packages(device, root):
        return None
    if any(root.glob("intel-rapl:*")):
        return "the energy counters of this machine are not readable for its user"
    return "this machine has no energy counters (a virtual machine often has none)"


def cost(dimensions, sizes, metrics, clocks, pairs, recompute, ceiling):
    """Return what a run's rows of metrics.jsonl and its clocks by step add up to; the keys are told in logs/README.md.

    `pairs`: of tokens that see each other, over all steps. Raises UserError for a step without a clock.
    """
    if missing := [row["step"] for row in metrics if row["step"] not in clocks]:
        raise UserError(
            f"timing.jsonl has no clock of step {missing[0]}, so nobody can say what the run cost; "
            "delete the run's folder to train again"
        )
    tokens, loss_tokens = (sum(row[key] for row in metrics) for key in ("tokens", "loss_tokens"))
    useful, executed = costs.flops(dimensions, sizes, tokens, loss_tokens, pairs, recompute)
    energies = [clocks[row["step"]].get("joules") for row in metrics]
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
    run, dimensions, sizes, lengths, batches, recipe, ceiling, processes, device, root=POWERCAP
):
    """Write the run's cost.json and return it; for the first process, after the last step.

    sizes: costs.sizes of the network, sharded or not. lengths: tokens per row. batches: rows of each step, as indices. ceiling:
    FLOP/s of all processes together. Raises UserError for a step without a clock.
    """
    metrics = read_jsonl(run.folder / "metrics.jsonl")
    clocks = {
        row["step"]: row for row in read_jsonl(run.folder / "timing.jsonl") if "step" in row
    }  # an undone step counts once
    pairs = sum(lengths[row] * (lengths[row] + 1) // 2 for batch in batches for row in batch)
    found = cost(dimensions, sizes, metrics, clocks, pairs, recipe.recompute, ceiling)
    found |= {
        "rows": len(lengths),
        "compute": recipe.compute,
        "device": device,
        "processes": processes,
        "no_joules": None,
    }
    if found["joules"] is None:
        found["no_joules"] = (
            why_no_energy(device, root) or "some steps ran where no counter was readable"
        )
    run.write_json("cost.json", found)
    return found
