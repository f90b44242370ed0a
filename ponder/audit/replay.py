"""Run again and compare to the last bit: the first steps of the main training, five of its
answers, and all of `smoke`.

The training is run by the code of the commit that it names, answers and smoke by the code that is
here. Unequal bits fail a run on the platform that it names alone, for other processors sum in
another order (decision 0027); equal ones pass anywhere. Nothing is written but into the folder
`out`, and nothing stays there but base models.
"""

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ponder import rows
from ponder.audit.checks import Verdict
from ponder.errors import UserError
from ponder.hashing import file_sha256
from ponder.report import released
from ponder.rows import SampleRow
from ponder.runs import ROOT, environment, plain, read_jsonl

LOGS, STEPS, ANSWERS = ROOT / "logs", 3, 5
# Of runs before it was recorded: no other gives their bits (0027).
EARLY = {"torch_cpu_capability": "AVX512"}
SMOKE = {
    "collect": ("smoke",),
    "train": ("smoke",),
    "evaluate": ("smoke-trained-free-dev", "smoke-trained-cap16-dev"),
}
# Hold a run's name, or config and inputs that it is a hash of; a run that was released before these
# gained keys has another name here.
NAMING = ("README.md", "adapter_config.json", "base.json", "config.yaml", "croissant.json")
SWEEP = {"evaluate": ("sweep=[free,cap16]",)}
# What else chooses kernels, without a trace in environment.json (0027).
SWITCHES = ("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS")


class Comparison(NamedTuple):
    """What a replay found. `problems` are wrong on any platform, `unequal_bits` on that of `run`
    alone.
    """

    run: Path
    looked_at: str
    problems: list[str]
    unequal_bits: list[str]


class Pair(NamedTuple):
    """A row that was made again, and the released one."""

    name: str
    again: dict[str, Any]
    released: dict[str, Any]


def replay(out: Path) -> list[Verdict]:
    """Return the Verdicts on the main training, its answers, and smoke."""
    return [
        judged(
            "replay-train",
            train,
            out,
            "that the recorded code and rows give the recorded losses and gradients",
            f"the steps after the first {STEPS}, and the saved weights",
        ),
        judged(
            "replay-generate",
            generate,
            out,
            "that the released weights give the released tokens",
            "the answers that were not drawn, and those of other runs",
        ),
        judged(
            "replay-smoke",
            smoke,
            out,
            "that all three stages make the bytes that they made when smoke was released",
            "anything about a real model: smoke's is random and tiny",
        ),
    ]


def judged(
    check: str,
    part: Callable[..., Comparison],
    out: Path,
    proves: str,
    leaves_open: str,
    *arguments: Any,
) -> Verdict:
    """Return the Verdict on the Comparison that part(scratch folder, *arguments) gives; NOT_RUN
    where it raises UserError.
    """
    models = Path(out).resolve() / "models"
    models.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="replay-", dir=models.parent) as scratch:
            (Path(scratch) / "models").symlink_to(models)
            comparison = part(Path(scratch), *arguments)
    except UserError as error:
        return Verdict(check, "NOT_RUN", str(error), proves, leaves_open, complete=False)
    record = json.loads((comparison.run / "environment.json").read_text())
    here, platform_differences = differences(record)
    problems, bits = comparison.problems, comparison.unequal_bits
    looked_at = (
        f"{comparison.looked_at}, on {here['cpu']}, {here['torch_cpu_capability']}, "
        f"torch {here['torch']}, threads as it had: {here['threads']}"
    )
    if platform_differences and not problems:
        looked_at += f"; there {'; '.join(platform_differences)}"
        if bits:
            looked_at += f": bits are not promised here, and {len(bits)} differ ({bits[0]})"
            return Verdict(check, "UNSUPPORTED", looked_at, proves, leaves_open)
    result = "FAIL" if problems or bits else "PASS"
    return Verdict(check, result, looked_at, proves, leaves_open, (*problems, *bits))


def differences(record: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the environment here, and in words what of it bits depend on and was otherwise in an
    environment.json.
    """
    import torch  # noqa: F401    environment() names its version then

    here = with_packages(environment(record["threads"]))
    there = with_packages(EARLY | record)
    names = ("system", "machine", "cpu", "torch_cpu_capability", *here["packages"])
    switches = [name for name in SWITCHES if name in os.environ]
    return here, [
        *(
            f"{name} was {there.get(name)}, not {here[name]}"
            for name in names
            if here[name] != there.get(name)
        ),
        *(f"{name} was not set to {os.environ[name]}" for name in switches),
    ]


def with_packages(record: dict[str, Any]) -> dict[str, Any]:
    """Return an environment with the versions of its packages beside its other values."""
    return {**record, **record["packages"]}


def train(scratch: Path, logs: Path = LOGS, experiment: str = "cpu") -> Comparison:
    """Replay the first steps of a released training, by its own collect.py and train.py."""
    folder = released.run_folder("train", experiment, logs)
    commit = json.loads((folder / "status.json").read_text())["commits"][0]["commit"]
    code = scratch / "code"
    unpack(commit, code)
    script(scratch, "collect", f"experiment={experiment}", code=code).wait()
    with script(scratch, "train", f"experiment={experiment}", code=code) as process:
        try:
            steps = first_steps(scratch, process)
        finally:
            process.terminate()
    if len(steps) < STEPS:
        raise UserError(f"the code of {folder.name} does not run here: {last_line(scratch)}")
    (again,) = scratch.glob("train/*")
    problems = []
    if again.name != folder.name:
        problems.append(f"its code makes {again.name}: other rows, or another config")
    if read_jsonl(again / "batches.jsonl") != read_jsonl(folder / "batches.jsonl"):
        problems.append("batches.jsonl: other rows in its steps")
    recorded: list[dict[str, Any]] = read_jsonl(folder / "metrics.jsonl")[:STEPS]
    recorded += [{}] * (STEPS - len(recorded))
    pairs = [
        Pair(f"step {number}", step, reference)
        for number, (step, reference) in enumerate(zip(steps, recorded, strict=False), 1)
    ]
    problems += unequal(pairs, "step", "lr", "tokens", "loss_tokens")
    looked_at = f"steps 1 to {STEPS} of {folder.name}, by the code of commit {commit[:12]}"
    return Comparison(folder, looked_at, problems, unequal(pairs, "loss", "grad_norm"))


def first_steps(scratch: Path, process: subprocess.Popen) -> list[dict[str, Any]]:
    """Return the rows of metrics.jsonl as soon as a training has written enough, or has ended."""
    steps: list[dict[str, Any]] = []
    has_ended = False
    while not has_ended and len(steps) < STEPS:
        time.sleep(0.2)
        has_ended = process.poll() is not None  # before reading, so that no last row is missed
        steps = []
        for path in scratch.glob("train/*/metrics.jsonl"):
            steps += read_jsonl(path, tolerate_cut=True)
    return steps


def generate(
    scratch: Path,
    logs: Path = LOGS,
    label: str = "cpu-trained-free-test",
    adapter: Path = ROOT / "data/cpu/cpu/adapter",
) -> Comparison:
    """Replay some answers of a released greedy evaluation, drawn by its name; they are decoded
    together, without the others.
    """
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    # evaluate.py shares its name with a package that lm-eval imports: look into the checkout last.
    elsewhere = [place for place in sys.path if Path(place).resolve() != ROOT]
    sys.path[:] = [*elsewhere, str(ROOT)]
    from ponder import stages, study
    from ponder.evaluate import subjects

    folder = released.run_folder("evaluate", label, logs)
    answers = rows.read(SampleRow, folder / "samples.jsonl")
    drawn = random.Random(f"replay/{folder.name}").sample(answers, ANSWERS)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("evaluate", [f"experiment={label.split('-')[0]}"])
    OmegaConf.set_struct(config, False)  # a run records defaults that conf/ leaves out
    here = {"out": str(scratch), "wandb": "disabled", "subject": {"adapter": str(adapter)}}
    plan = study.read(OmegaConf.merge(config, OmegaConf.load(folder / "config.yaml"), here))
    run = stages.evaluate_run(plan)
    run.folder.mkdir(parents=True)
    subject = subjects.language_models([plan], [run])[0].subject
    prompts = [subject.prompt(row.task, row.question) for row in drawn]
    generations = dict(subject.answer([(row.task, row.id, 0) for row in drawn], prompts))
    pairs = []
    for number, (row, prompt) in enumerate(zip(drawn, prompts, strict=True)):
        again = plain(generations[number][0][1]) | {"prompt_sha256": prompt_sha256(prompt)}
        pairs.append(Pair(f"{row.task} {row.id}", again, rows.values_of(row)))
    inputs = json.loads((folder / "status.json").read_text())["inputs"]
    problems = [
        f"{name} is not what the run read"
        for name, digest in inputs.items()
        if run.inputs.get(name) != digest
    ]
    problems += unequal(pairs, "prompt_sha256")
    looked_at = f"{ANSWERS} answers of {folder.name}"
    return Comparison(folder, looked_at, problems, unequal(pairs, "ids", "forced", "finish"))


def prompt_sha256(prompt: list[int] | str) -> str:
    """Return the first 16 hex digits of the SHA-256 of a prompt's token ids, as
    samples have it."""
    return hashlib.sha256(json.dumps(prompt).encode()).hexdigest()[:16]


def smoke(scratch: Path, logs: Path = LOGS) -> Comparison:
    """Replay the three stages of the released smoke runs, and compare every file that is the same
    whenever it is made; of a run that has another name here, without those that say it.
    """
    folders = [
        released.run_folder(stage, label, logs)
        for stage, labels in SMOKE.items()
        for label in labels
    ]
    codes = [
        script(scratch, stage, "experiment=smoke", *SWEEP.get(stage, ())).wait() for stage in SMOKE
    ]
    bits, count = [], 0
    if any(codes):
        bits.append(f"a script stopped: {last_line(scratch)}")
    for folder in folders:
        files = json.loads((folder / "manifest.json").read_text())["files"]
        run = run_again(scratch, folder)
        for name, entry in files.items():
            is_naming = run.name != folder.name and Path(name).name in NAMING
            if is_naming or not entry["reproducible"]:
                continue
            count += 1
            if not (run / name).exists():
                bits.append(f"{folder.name}/{name} has not been made")
            elif file_sha256(run / name) != entry["sha256"]:
                bits.append(f"{folder.name}/{name} has other bytes")
    return Comparison(folders[-1], f"{count} files of {len(folders)} smoke runs", [], bits)


def run_again(scratch: Path, folder: Path) -> Path:
    """Return the folder of the same run in `scratch`: under its name, or under the only other name
    with that label.
    """
    again = scratch / folder.parent.name / folder.name
    label = folder.name.rpartition("-")[0]
    others = [path for path in again.parent.glob("*") if path.name.rpartition("-")[0] == label]
    return others[0] if not again.exists() and len(others) == 1 else again


def unequal(pairs: list[Pair], *keys: str) -> list[str]:
    """Return a sentence for each of some keys in which a row differs from the released one."""
    return [
        f"{pair.name}: {key} is {pair.again.get(key)!r:.60}, released "
        f"{pair.released.get(key)!r:.60}"
        for pair in pairs
        for key in keys
        if pair.again.get(key) != pair.released.get(key)
    ]


def unpack(commit: str, folder: Path) -> None:
    """Write the checkout of a commit into a folder; raises UserError where git does not know it."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True)
    if archive.returncode:
        raise UserError(
            f"commit {commit[:12]} is not in this checkout; take one with its history "
            "(git fetch --unshallow)"
        )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")


def script(scratch: Path, name: str, *overrides: str, code: Path = ROOT) -> subprocess.Popen:
    """Return the process of one of the three scripts of a checkout, whose runs go to `scratch` and
    whose output to a file there.
    """
    command = [sys.executable, f"{name}.py", *overrides, f"out={scratch}", "wandb=disabled"]
    settings = {"HF_DATASETS_CACHE": str(scratch / "datasets")}
    with open(scratch / "output", "ab") as output:
        return subprocess.Popen(
            command,
            cwd=code,
            env=os.environ | settings,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def last_line(scratch: Path) -> str:
    """Return the last line that the scripts printed."""
    text = (scratch / "output").read_text(errors="replace").strip()
    return text.rpartition("\n")[2][-300:]
