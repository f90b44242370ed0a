"""Evaluations of the pocket model, each killed with kill -9 at random moments and started again,
against a straight run.

    # 20 runs, each killed at least once
    PYTHONPATH=tests python tests/kills/evaluation.py
    # a few, two at a time
    PYTHONPATH=tests python tests/kills/evaluation.py --kills 3 --jobs 2

In turn a sweep of the trained model, answers drawn until they are short, a sweep of the base with
worked examples, and drawn answers. A moment is drawn in one of four phases of a process' life:
before its first block of questions, in a block, while a block is being kept, or after the last one.
Every file that a run promises to make again must be the bytes of the straight run, and nothing else
may be left. What datasets keeps of the questions is made anew in every run, so that it is killed
too. Exits with 1 unless all are identical.
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

from ponder.runs import NOT_REPRODUCED, dump

GENERATED = "generations.jsonl"  # what a killed run goes on from
QUESTIONS = (
    "benchmark.tasks=[chain_sum,number_sorting]",
    "benchmark.limit=16",
    "hardware.decode_rows=2",
)  # 32 in blocks of 8
ARMS = {
    "sweep": ("subject=trained", "sweep=[free,cap16]"),
    "drawn again": ("subject=trained", "budget=reject16", "decoding=sampled", "decoding.samples=4"),
    "sweep of the base": ("subject=base-4shot", "sweep=[plain,plain-cap16]"),
    "drawn": ("subject=trained", "budget=cap16", "decoding=sampled", "decoding.samples=4"),
}
PHASES = ("start", "block", "keep", "end")
LATE = "after the last manifest"  # a kill that changes nothing any more


@dataclass(frozen=True)
class Straight:
    """A run without a kill: its files, folders and kept answers, and how long it took, in seconds:
    to its first block, to each of the others, and from its last to its last manifest.
    """

    files: dict
    folders: int
    answers: int
    start: float
    block: float
    end: float


def start(out, script, *overrides):
    """Start one of the scripts as a process of its own."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(out / "datasets")}
    return subprocess.Popen(
        [sys.executable, f"{script}.py", *SMOKE, f"out={out}", *overrides],
        cwd=ROOT,
        text=True,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def ended(process):
    """Wait for a process; raises RuntimeError when it failed by itself."""
    _, told = process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(
            f"{' '.join(process.args)} left with {process.returncode}:\n{told[-2000:]}"
        )


def answers_in(out):
    """Return how many lines each file of kept answers has, and whether one of them ends in a line
    that is not whole.
    """
    counts, cut = [], False
    for path in sorted(out.glob(f"evaluate/*/{GENERATED}")):
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # just now
            continue
        counts.append(data.count(b"\n"))
        cut |= bool(data) and not data.endswith(b"\n")
    return counts, cut


def manifests_in(out):
    """Return how many runs under `out` are finished."""
    return len(list(out.glob("evaluate/*/manifest.json")))


def until(process, ready, pause=0.001):
    """Wait until `ready()` or the end of the process, looking every `pause` seconds."""
    while process.poll() is None and not ready():
        time.sleep(pause)


def kept(out):
    """Return {name: bytes} of what the runs under `out` promise to make again; of a manifest that
    is what it says of those.
    """
    files = {}
    for folder in sorted((out / "evaluate").iterdir()):
        assert json.loads((folder / "status.json").read_text())["status"] == "completed"
        for path in folder.rglob("*"):
            name = path.relative_to(out / "evaluate").as_posix()
            if path.name == "manifest.json":
                entries = json.loads(path.read_text())["files"]
                files[name] = dump(
                    {
                        file: e["sha256"] if e["reproducible"] else None
                        for file, e in entries.items()
                    }
                ).encode()
            elif path.name not in NOT_REPRODUCED:
                files[name] = path.read_bytes() if path.is_file() else b"a folder"
    return files


def prepared(base, name):
    """Return a new folder for runs under `base` that shares its model, its collected rows and its
    trained weights.
    """
    out = base / name
    out.mkdir()
    for shared in ("models", "collect", "train"):
        (out / shared).symlink_to(base / "before" / shared)
    return out


def straight(base, arms):
    """Collect and train under `base`, then evaluate each arm without a kill; return {arm: its
    Straight}.
    """
    (base / "before").mkdir()
    for script in ("collect", "train"):
        ended(start(base / "before", script))
    made = {}
    for number, arm in enumerate(arms):
        out = prepared(base, f"straight-{number}")
        process = start(out, "evaluate", *QUESTIONS, *ARMS[arm])
        seen, at = [0], [time.monotonic()]  # answers kept, when
        while process.poll() is None:
            until(
                process,
                lambda out=out, seen=seen: sum(answers_in(out)[0]) > seen[-1] or manifests_in(out),
            )
            if manifests_in(out):
                break
            seen.append(sum(answers_in(out)[0]))
            at.append(time.monotonic())
        ended(process)
        at.append(time.monotonic())
        files = kept(out)
        answers = sum(
            data.count(b"\n") for name, data in files.items() if name.endswith("/samples.jsonl")
        )
        assert len(at) > 4 and seen[-2] < answers, "the questions fit into one block"
        made[arm] = Straight(
            files,
            manifests_in(out),
            answers,
            at[1] - at[0],
            (at[-2] - at[1]) / (len(at) - 3),
            at[-1] - at[-2],
        )
    return made


def strike(process, out, phase, rng, whole):
    """Kill the process at a random moment of a phase, unless it ends before."""
    here = sum(answers_in(out)[0])
    if phase == "start":
        time.sleep(rng.random() * whole.start)
    elif phase in ("block", "keep"):
        wanted = rng.randint(min(here + 1, whole.answers), whole.answers)
        until(
            process,
            lambda: sum(answers_in(out)[0]) >= wanted or manifests_in(out),
            0.001 if phase == "block" else 0,
        )
        time.sleep(
            rng.random() * whole.block
            if phase == "block"
            else rng.choice((0, 0.001)) * rng.random()
        )
    else:
        until(process, lambda: sum(answers_in(out)[0]) == whole.answers or manifests_in(out))
        time.sleep(1.1 * rng.random() * whole.end)  # a little beyond the last manifest too
    process.kill()


def moment(out, whole):
    """Return the moment of a kill as far as the files that it left show."""
    if finished := manifests_in(out):
        return LATE if finished == whole.folders else "between two manifests"
    counts, cut = answers_in(out)
    if any(out.glob("evaluate/*/samples.jsonl*")):
        return "while results were written"
    if not sum(counts):
        return "before the first block"
    if cut or len(counts) < whole.folders or len(set(counts)) > 1:
        return "while a block was kept"
    return "in a block" if sum(counts) < whole.answers else "after the last block"


def one_run(base, number, arm, whole, seed):
    """Evaluate once, killed at one to three moments, one of them before it is finished; return what
    became of it.
    """
    command, attempt, moments = ("evaluate", *QUESTIONS, *ARMS[arm]), 0, []
    while set(moments) <= {LATE}:
        rng, attempt = random.Random(f"kill evaluation/{seed}/{number}/{attempt}"), attempt + 1
        out, moments, resumed = prepared(base, f"run-{number}-{attempt}"), [], 0
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            resumed += sum(answers_in(out)[0]) > 0
            process = start(out, *command)
            strike(process, out, rng.choice(PHASES), rng, whole)
            ended(process)
            if process.returncode == 0:  # it was faster than the kill
                break
            moments.append(moment(out, whole))
            if moments[-1] == LATE:
                break
    resumed += sum(answers_in(out)[0]) > 0
    ended(start(out, *command))
    found = kept(out)
    differs = sorted(
        name for name in whole.files | found if whole.files.get(name) != found.get(name)
    )
    shutil.rmtree(out)
    return {"arm": arm, "moments": moments, "resumed": resumed, "differs": differs}


def kill_all(base, runs, jobs=1, seed=0, say=lambda text: None):
    """Return the results of `runs` killed runs under the folder `base`, the arms in turn."""
    began = time.monotonic()
    arms = [list(ARMS)[number % len(ARMS)] for number in range(runs)]
    made = straight(base, dict.fromkeys(arms))
    for arm, whole in made.items():
        say(
            f"{arm}: {whole.answers} answers in {whole.folders} runs; {whole.start:.1f} s to the "
            f"first block, {whole.block:.2f} s "
            f"each, {whole.end:.2f} s after the last"
        )
    results = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(
            lambda number: one_run(base, number, arms[number], made[arms[number]], seed),
            range(runs),
        ):
            results.append(result)
            say(
                f"{len(results)}/{runs} after {time.monotonic() - began:.0f} s: {result['arm']}, "
                "killed "
                + f"{', then '.join(result['moments'])}: "
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
    parser.add_argument("--kills", type=int, default=20, help="runs, each killed at least once")
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
    print(f"{sum(result['resumed'] for result in results)} starts went on from kept answers")
    print(f"identical: {same} of {len(results)}")
    return 0 if same == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
