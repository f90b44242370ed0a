"""Run again and compare to the last bit: some answers of any evaluation, some steps of any
training, and all of `smoke`.

A training is run by the code of the commit that it names, answers and smoke by the code that is
here. What is run again is drawn by a seed that the auditor gives, or that the operating system
gives and the verdict names: who forges an answer cannot know whether it is drawn. Unequal bits fail
a run on the platform that it names alone, for other processors sum in another order (decision
0027); equal ones pass anywhere. Nothing is written but into the folder `out`, and nothing stays
there but base models and the list of what was replayed.
"""

import hashlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ponder import rows
from ponder.audit.checks import CODE, Verdict, completed, place
from ponder.config import yaml_value
from ponder.errors import UserError
from ponder.hashing import file_sha256
from ponder.report import released
from ponder.report.machines import AGAIN
from ponder.rows import SampleRow
from ponder.runs import ROOT, dump, environment, plain, read_jsonl
from ponder.terminal import progress

LOGS, STEPS, ANSWERS = ROOT / "logs", 3, 5
REPLAYED = "replayed.jsonl"  # the runs of which a part was replayed on this machine
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


def replay(out: Path, seed: str) -> list[Verdict]:
    """Return the Verdicts on the first steps of the main training, some of its answers, and
    smoke.
    """
    return [
        replay_run(out, released.run_folder("train", "cpu"), seed, ANSWERS, (1, STEPS)),
        replay_run(out, released.run_folder("evaluate", "cpu-trained-free-test"), seed),
        judged(
            "replay-smoke",
            smoke,
            out,
            "that all three stages make the bytes that they made when smoke was released",
            "anything about a real model: smoke's is random and tiny",
        ),
    ]


def replay_run(
    out: Path, folder: Path, seed: str, answers: int = ANSWERS, span: tuple[int, int] | None = None
) -> Verdict:
    """Return the Verdict on a part of a released training or evaluation, which `seed` draws: so
    many answers, or the steps of `span` (None: some, anywhere), and note it among the replayed.
    """
    if folder.parent.name == "train":
        verdict = judged(
            "replay-train",
            train,
            out,
            "that the recorded code and rows give the recorded losses and gradients",
            "the steps after those, and the saved weights",
            LOGS,
            folder.name,
            span or drawn_steps(folder, seed),
        )
    else:
        verdict = judged(
            "replay-generate",
            generate,
            out,
            "that the released weights give the released tokens",
            "the answers that were not drawn, and those of other runs",
            LOGS,
            folder.name,
            None,
            answers,
            seed,
        )
    if verdict.result in ("PASS", "FAIL"):
        with open(Path(out) / REPLAYED, "a", encoding="utf-8") as file:
            file.write(dump({"run": f"{folder.parent.name}/{folder.name}"}))
    return verdict


def drawn_steps(folder: Path, seed: str) -> tuple[int, int]:
    """Return the first and last of some steps of a training, side by side, that a seed draws."""
    count = len(read_jsonl(folder / "metrics.jsonl"))
    first = random.Random(f"steps/{seed}/{folder.name}").randint(1, max(1, count - STEPS + 1))
    return first, min(count, first + STEPS - 1)


def never_replayed(out: Path) -> str:
    """Return a line that says which completed trainings and evaluations were never replayed
    here.
    """
    path = Path(out) / REPLAYED
    made = {row["run"] for row in read_jsonl(path)} if path.exists() else set()
    all_runs = [
        f"{stage}/{run.name}" for stage in ("train", "evaluate") for run in completed(stage)
    ]
    never = [name for name in all_runs if name not in made]
    text = f"never replayed here: {len(never)} of {len(all_runs)} runs: {', '.join(never[:5])}"
    return f"{text}, and {len(never) - 5} more" if len(never) > 5 else text


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


def train(
    scratch: Path, logs: Path = LOGS, name: str = "cpu", span: tuple[int, int] = (1, STEPS)
) -> Comparison:
    """Replay a released training by its own collect.py and train.py, up to the last step of
    `span`, and compare each step on the way.

    `name` is a run's, or its label. The rows are the released ones where its code knows them by
    their name, or where a model taught another seed than the first (decision 0062); else its code
    chooses them again.
    """
    folder = folder_of(logs, "train", name)
    commit = json.loads((folder / "status.json").read_text())["commits"][0]["commit"]
    code = scratch / "code"
    unpack(commit, code)
    put_rows(scratch, folder)
    overrides = overrides_of(label_of(folder), code)
    chosen = taught_by_a_model(scratch)
    if chosen and "-seed" in label_of(folder):
        overrides.append(f"+rows={chosen}")
    else:
        script(scratch, "collect", *overrides, code=code).wait()
    recorded: list[dict[str, Any]] = read_jsonl(folder / "metrics.jsonl")[: span[1]]
    with script(scratch, "train", *overrides, code=code) as process:
        try:
            steps = first_steps(scratch, process, span[1], folder.name)
        finally:
            process.terminate()
    if len(steps) < span[1]:
        raise UserError(f"the code of {folder.name} does not run here: {last_line(scratch)}")
    (again,) = scratch.glob("train/*")
    problems = []
    if again.name != folder.name:
        problems.append(f"its code makes {again.name}: other rows, or another config")
    if read_jsonl(again / "batches.jsonl") != read_jsonl(folder / "batches.jsonl"):
        problems.append("batches.jsonl: other rows in its steps")
    recorded += [{}] * (span[1] - len(recorded))
    pairs = [
        Pair(f"step {number}", step, reference)
        for number, (step, reference) in enumerate(zip(steps, recorded, strict=False), 1)
    ]
    problems += unequal(pairs, "step", "lr", "tokens", "loss_tokens")
    looked_at = (
        f"steps {span[0]} to {span[1]} of {folder.name} and those before them, by the code of "
        f"commit {commit[:12]}"
    )
    return Comparison(folder, looked_at, problems, unequal(pairs, "loss", "grad_norm"))


def folder_of(logs: Path, stage: str, name: str) -> Path:
    """Return the folder of a released run by its name, or by its label; raises UserError."""
    folder = logs / stage / name
    return folder if folder.is_dir() else released.run_folder(stage, name, logs)


def label_of(folder: Path) -> str:
    """Return the name of a run without its hash."""
    return folder.name.rpartition("-")[0]


def put_rows(scratch: Path, folder: Path) -> None:
    """Put the released collection that a training read among the runs of `scratch`."""
    digest = json.loads((folder / "status.json").read_text())["inputs"]["train.jsonl"]
    for collected in sorted(folder.parents[1].glob("collect/*")):
        files = json.loads((collected / "manifest.json").read_text())["files"]
        if files.get("train.jsonl", {}).get("sha256") != digest:
            continue
        target = scratch / "collect" / collected.name
        shutil.copytree(collected, target)
        (target / "released.json").unlink(missing_ok=True)
        for name in files:
            source = place(collected, name)
            if source.exists():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target / name)


def overrides_of(label: str, code: Path) -> list[str]:
    """Return the words that a training was started with, from its label: `<name>-seed<n>`.

    A name that is no experiment of its code, and ends with what says that another machine made an
    experiment again, is that experiment under another name.
    """
    name, _, seed = label.partition("-seed")
    words = [f"experiment={name}"]
    if name.endswith(AGAIN) and not (code / "conf" / "experiment" / f"{name}.yaml").exists():
        words = [f"experiment={name.removesuffix(AGAIN)}", f"name={name}"]
    return words + ([f"seed={seed}"] if seed else [])


def taught_by_a_model(scratch: Path) -> Path | None:
    """Return the rows of the collection in `scratch` where a model taught it, else None."""
    for folder in scratch.glob("collect/*"):
        if yaml_value((folder / "config.yaml").read_text())["teacher"]["kind"] != "solver":
            return folder / "train.jsonl"
    return None


def first_steps(
    scratch: Path, process: subprocess.Popen, count: int, title: str
) -> list[dict[str, Any]]:
    """Return the rows of metrics.jsonl as soon as a training has written so many, or has ended."""
    steps: list[dict[str, Any]] = []
    has_ended = False
    with progress.bar(count, "step", f"replay {title}") as bar:
        while not has_ended and len(steps) < count:
            time.sleep(0.2)
            has_ended = process.poll() is not None  # before reading, so that no last row is missed
            known, steps = len(steps), []
            for path in scratch.glob("train/*/metrics.jsonl"):
                steps += read_jsonl(path, tolerate_cut=True)
            bar.update(min(count, len(steps)) - min(count, known))
    return steps[:count]


def generate(
    scratch: Path,
    logs: Path = LOGS,
    name: str = "cpu-trained-free-test",
    adapter: Path | None = None,
    count: int = ANSWERS,
    seed: str = "0",
) -> Comparison:
    """Replay some answers of a released evaluation, drawn by a seed; they are decoded together,
    without the others.

    `name` is a run's, or its label; `adapter` is where its weights lie, None where they are
    released. Raises UserError where no model answered here, or its weights are not released.
    """
    folder = folder_of(logs, "evaluate", name)
    plan, run = planned_again(scratch, folder, adapter)
    # evaluate.py shares its name with a package that lm-eval imports: look into the checkout last.
    sys.path[:] = [*(p for p in sys.path if Path(p).resolve() != CODE), str(CODE)]
    from ponder.evaluate import subjects

    answers = rows.read(SampleRow, rows.answers_path(folder))
    answers = [row for row in answers if row.finish != "rejected"]
    texts = asked(plan, answers)
    drawn = random.Random(f"answers/{seed}/{folder.name}").sample(answers, min(count, len(answers)))
    run.folder.mkdir(parents=True)
    subject = subjects.language_models([plan], [run])[0].subject
    prompts = [subject.prompt(row.task, texts[row.task, row.id]) for row in drawn]
    keys = [(row.task, row.id, row.sample or 0) for row in drawn]
    generations = {}
    with progress.bar(len(drawn), "answer", f"replay {folder.name}") as bar:
        for number, of_budgets in subject.answer(keys, prompts):
            generations[number] = of_budgets
            bar.update()
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
    looked_at = f"{len(drawn)} of {len(answers)} answers of {folder.name}, drawn by seed {seed}"
    return Comparison(folder, looked_at, problems, unequal(pairs, "ids", "forced", "finish"))


def asked(plan: Any, answers: list[SampleRow]) -> dict[tuple[str, str], str]:
    """Return {(task, id): question} of the answers of an evaluation.

    Those of a public benchmark are not released: they are read as the run read them. Raises
    UserError where its files are not here.
    """
    from ponder.questions import benchmark_rows

    if plan.benchmark.kind == "drawn":
        return {(row.task, row.id): row.question for row in answers}
    return {
        (task, row["id"]): row["question"]
        for task in plan.benchmark.tasks
        for row in benchmark_rows.read(plan.benchmark.data(task))
    }


def planned_again(scratch: Path, folder: Path, adapter: Path | None) -> tuple[Any, Any]:
    """Return the Study of a released evaluation and its run in `scratch`.

    What a run did not record, since it is older, is as conf/ has it for its experiment.
    """
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from ponder import stages, study

    recorded = OmegaConf.load(folder / "config.yaml")
    if recorded.subject.kind == "nearest":
        raise UserError(f"no model answered here in {folder.name}; name another run")
    if OmegaConf.select(recorded, "engine.kind") not in (None, "hf"):
        raise UserError(
            f"engine=hf did not answer in {folder.name}, and only its answers are made again; name "
            "another run"
        )
    weights = None
    if recorded.subject.kind == "trained":
        weights = str(adapter or weights_of(folder))
    experiments = [path.stem for path in (CODE / "conf" / "experiment").glob("*.yaml")]
    known = [name for name in experiments if f"{folder.name}-".startswith(f"{name}-")]
    with initialize_config_dir(str(CODE / "conf"), version_base="1.3"):
        config = compose("evaluate", [f"experiment={max(known, key=len, default='cpu')}"])
    OmegaConf.set_struct(config, False)  # a run records defaults that conf/ leaves out
    here = {"out": str(scratch), "wandb": "disabled", "subject": {"adapter": weights}}
    plan = study.read(OmegaConf.merge(config, recorded, here))
    return plan, stages.evaluate_run(plan)


def weights_of(folder: Path) -> Path:
    """Return the folder of the released weights that an evaluation read; raises UserError."""
    inputs = json.loads((folder / "status.json").read_text())["inputs"]
    wanted = {digest for name, digest in inputs.items() if re.search(r"^\w+\.safetensors$", name)}
    for path in sorted((ROOT / "data").glob("*/*/*/*.safetensors")):
        if file_sha256(path) in wanted:
            return path.parent
    raise UserError(
        f"the weights of {folder.name} are not released, so its answers cannot be made again; name "
        "another run"
    )


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
    archive = subprocess.run(["git", "-C", str(CODE), "archive", commit], capture_output=True)
    if archive.returncode:
        raise UserError(
            f"commit {commit[:12]} is not in this checkout; take one with its history "
            "(git fetch --unshallow)"
        )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")


def script(scratch: Path, name: str, *overrides: str, code: Path = CODE) -> subprocess.Popen:
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
