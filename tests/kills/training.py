"""Full trainings of the pocket model, each killed with kill -9 at random moments and started again,
against a straight run.

    # 100 runs, each killed at least once
    PYTHONPATH=tests python tests/kills/training.py
    # a few, two at a time
    PYTHONPATH=tests python tests/kills/training.py --kills 3 --jobs 2

LoRA and full fine-tuning, a checkpoint after every step or every fifth. A moment is drawn in one of
four phases of a process' life: as it starts, at a step, while a checkpoint is being written, or
after the last step. Every file that a run promises to make again must be the bytes of the straight
run, and nothing else may be left. Exits with 1 unless all are.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from conftest import ROOT, SMOKE

from ponder.runs import NOT_REPRODUCED

RECIPE = (*SMOKE, "train.epochs=8")  # 24 steps
STEPS = 24
METHODS, CHECKPOINTS = ("lora", "full"), (1, 5)
PHASES = ("start", "step", "save", "end")
LATE = "after the manifest"  # a kill that changes nothing any more


@dataclass(frozen=True)
class Clocks:
    """How long a straight run took, in seconds: to its first step, per step, and from its last step
    to its manifest.
    """

    start: float
    step: float
    end: float


def start(out, script="train", *overrides):
    """Start one of the scripts as a process of its own."""
    return subprocess.Popen(
        [sys.executable, f"{script}.py", *RECIPE, f"out={out}", *overrides],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def told(process):
    """Wait for a process and return what it printed; raises RuntimeError when it failed."""
    out, err = process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(
            f"{' '.join(process.args)} left with {process.returncode}:\n{err[-2000:]}"
        )
    return out


def folder_of(out):
    """Return the folder of the one train run under `out`, or a path where nothing is yet."""
    return next((out / "train").glob("*"), out / "train" / "none")


def steps_in(out):
    """Return how many rows metrics.jsonl holds."""
    path = folder_of(out) / "metrics.jsonl"
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def saving(out):
    """Return whether a checkpoint is being written just now."""
    return any(folder_of(out).glob("checkpoint*.part"))


def until(process, ready):
    """Wait until `ready()` or the end of the process."""
    while process.poll() is None and not ready():
        time.sleep(0.0005)


def kept(folder):
    """Return {name: bytes} of what a run promises to make again. How often it saves is in its
    config, so that is left out.
    """
    assert json.loads((folder / "status.json").read_text())["status"] == "completed"
    differ = (*NOT_REPRODUCED, "manifest.json", "config.yaml")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"a folder"
        for path in folder.rglob("*")
        if path.name not in differ
    }


def prepared(base, name):
    """Return a new folder for runs under `base` that shares its model and its collected rows."""
    out = base / name
    out.mkdir()
    for shared in ("models", "collect"):
        (out / shared).symlink_to(base / "straight" / shared)
    return out


def straight(base):
    """Collect rows under `base` and train by each method without a kill; return {method: files} and
    the Clocks of the last.
    """
    (base / "straight").mkdir()
    told(start(base / "straight", "collect"))
    files = {}
    for method in METHODS:
        out = prepared(base, f"straight-{method}")
        at, process = [time.monotonic()], start(out, "train", f"train.method={method}")
        for step in (1, STEPS):
            until(process, lambda step=step, out=out: steps_in(out) >= step)
            at.append(time.monotonic())
        until(process, (folder_of(out) / "manifest.json").exists)
        at.append(time.monotonic())
        told(process)
        files[method] = kept(folder_of(out))
        assert files[method]["metrics.jsonl"].count(b"\n") == STEPS, (
            "the recipe has another number of steps"
        )
    return files, Clocks(at[1] - at[0], (at[2] - at[1]) / (STEPS - 1), at[3] - at[2])


def strike(process, out, phase, rng, clocks):
    """Kill the process at a random moment of a phase, unless it ends before."""
    here = steps_in(out)
    if phase == "start":
        time.sleep(rng.random() * clocks.start)
    elif phase == "step":
        step = rng.randint(min(here + 1, STEPS), STEPS)
        until(process, lambda: steps_in(out) >= step)
        time.sleep(rng.random() * clocks.step)
    elif phase == "save":
        step = rng.randint(min(here, STEPS - 6), STEPS - 6)
        until(process, lambda: steps_in(out) >= step and saving(out))
        time.sleep(rng.choice((0, 0.001, 0.003)) * rng.random())
    else:
        until(process, lambda: steps_in(out) == STEPS)
        time.sleep(1.1 * rng.random() * clocks.end)  # a little beyond the manifest too
    process.kill()


def moment(folder):
    """Return the moment of a kill as far as the files that it left show."""
    if (folder / "manifest.json").exists():
        return LATE
    if any(folder.glob("checkpoint*.part")):
        return "during a save"
    steps = steps_in(folder.parent.parent)
    return (
        "before the first step"
        if not steps
        else "between steps"
        if steps < STEPS
        else "after the last step"
    )


def one_run(base, number, whole, clocks, seed):
    """Train once, killed at one to three moments, one of them before it is finished; return
    {"moments", "resumed", "differs"}.
    """
    method, every = METHODS[number % 2], CHECKPOINTS[number // 2 % 2]
    overrides = (f"train.method={method}", f"train.checkpoint_steps={every}")
    attempt, moments = 0, []
    while set(moments) <= {LATE}:
        rng, attempt = random.Random(f"kill training/{seed}/{number}/{attempt}"), attempt + 1
        out, moments, resumed = prepared(base, f"run-{number}-{attempt}"), [], 0
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            process = start(out, "train", *overrides)
            strike(process, out, rng.choice(PHASES), rng, clocks)
            resumed += "goes on after step" in told(process)
            if process.returncode == 0:  # it was faster than the kill
                break
            moments.append(moment(folder_of(out)))
            if moments[-1] == LATE:
                break
    resumed += "goes on after step" in told(start(out, "train", *overrides))
    found = kept(folder_of(out))
    differs = sorted(
        name for name in whole[method] | found if whole[method].get(name) != found.get(name)
    )
    shutil.rmtree(out)
    return {"moments": moments, "resumed": resumed, "differs": differs}


def kill_all(base, runs, jobs=1, seed=0, say=lambda text: None):
    """Return the results of `runs` killed runs under the folder `base`."""
    began = time.monotonic()
    whole, clocks = straight(base)
    say(
        f"straight: {STEPS} steps; {clocks.start:.1f} s to the first, {clocks.step:.3f} s each, "
        f"{clocks.end:.3f} s after the last"
    )
    results = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(
            lambda number: one_run(base, number, whole, clocks, seed), range(runs)
        ):
            results.append(result)
            say(
                f"{len(results)}/{runs} after {time.monotonic() - began:.0f} s: killed "
                f"{', then '.join(result['moments'])}: "
                + (
                    f"DIFFERENT: {', '.join(result['differs'])}"
                    if result["differs"]
                    else "identical"
                )
            )
    return results


def main():
    """Print what became of each run and of all; return 1 unless every one is the straight run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="runs, each killed at least once")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--seed", type=int, default=0, help="draws the moments")
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as base:
        results = kill_all(
            Path(base), asked.kills, asked.jobs, asked.seed, lambda text: print(text, flush=True)
        )
    moments = collections.Counter(moment for result in results for moment in result["moments"])
    same, seconds = sum(not result["differs"] for result in results), time.monotonic() - began
    print(
        f"{moments.total()} kills in {len(results)} runs, {seconds:.0f} s "
        f"({seconds / moments.total():.1f} s per kill): "
        + ", ".join(f"{count} {name}" for name, count in moments.most_common())
    )
    print(f"{sum(result['resumed'] for result in results)} starts went on from a checkpoint")
    print(f"identical weights, metrics and order: {same} of {len(results)}")
    return 0 if same == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
