"""Run again and compare to the last bit: the first steps of the main training, five of its answers, and all of `smoke`.

The training is run by the code of the commit that it names, answers and smoke by the code that is here. Unequal bits fail a
run on the platform that it names alone, for other processors sum in another order (decision 0027); equal ones pass anywhere.
Nothing is written but into the folder `out`, and nothing stays there but base models.
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
from pathlib import Path

from ponder.audit.checks import Verdict
from ponder.errors import UserError
from ponder.hashing import file_sha256
from ponder.report import released
from ponder.runs import ROOT, environment, plain, read_jsonl

LOGS, STEPS, ANSWERS = ROOT / "logs", 3, 5
EARLY = {
    "torch_cpu_capability": "AVX512"
}  # of runs before it was recorded: no other gives their bits (0027)
SMOKE = {
    "collect": ("smoke",),
    "train": ("smoke",),
    "evaluate": ("smoke-trained-free-dev", "smoke-trained-cap16-dev"),
}
SWITCHES = (
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
)  # what else chooses kernels, without a trace in environment.json (0027)


def replay(out):
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


def judged(check, part, out, proves, leaves_open, *where):
    """Return the Verdict on part(scratch folder, *where), which returns the run whose platform counts, what was looked at, what
    is wrong on any platform, and which bits are unequal; NOT_RUN where it raises UserError.
    """
    models = Path(out).resolve() / "models"
    models.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="replay-", dir=models.parent) as scratch:
            (Path(scratch) / "models").symlink_to(models)
            run, looked_at, wrong, bits = part(Path(scratch), *where)
    except UserError as error:
        return Verdict(check, "NOT_RUN", str(error), proves, leaves_open)
    record = json.loads((run / "environment.json").read_text())
    here, other = differences(record)
    looked_at += f", on {here['cpu']}, {here['torch_cpu_capability']}, torch {here['torch']}, threads as it had: {here['threads']}"
    if wrong or bits and not other:
        return Verdict(check, "FAIL", looked_at, proves, leaves_open, (*wrong, *bits))
    if other:
        looked_at += f"; there {'; '.join(other)}"
    if bits:
        why = f": bits are not promised here, and {len(bits)} differ ({bits[0]})"
        return Verdict(check, "UNSUPPORTED", looked_at + why, proves, leaves_open)
    return Verdict(check, "PASS", looked_at, proves, leaves_open)


def differences(record):
    """Return the environment here, and in words what of it bits depend on and was otherwise in an environment.json."""
    import torch  # noqa: F401    environment() tells of it then

    here, there = ({**e, **e["packages"]} for e in (environment(record["threads"]), EARLY | record))
    names = ("system", "machine", "cpu", "torch_cpu_capability", *here["packages"])
    return here, [
        *(
            f"{name} was {there.get(name)}, not {here[name]}"
            for name in names
            if here[name] != there.get(name)
        ),
        *(f"{name} was not set to {os.environ[name]}" for name in SWITCHES if name in os.environ),
    ]


def train(scratch, logs=LOGS, experiment="cpu"):
    """Replay the first steps of a released training, by its own collect.py and train.py."""
    folder = released.run_folder("train", experiment, logs)
    commit = json.loads((folder / "status.json").read_text())["commits"][0]["commit"]
    unpack(commit, scratch / "code")
    script(scratch, "collect", f"experiment={experiment}", code=scratch / "code").wait()
    made, ended = [], False
    with script(scratch, "train", f"experiment={experiment}", code=scratch / "code") as process:
        try:
            while not ended and len(made) < STEPS:
                time.sleep(0.2)
                ended = process.poll() is not None
                made = [
                    row
                    for path in scratch.glob("train/*/metrics.jsonl")
                    for row in read_jsonl(path, tolerate_cut=True)
                ]
        finally:
            process.terminate()
    if len(made) < STEPS:
        raise UserError(f"the code of {folder.name} does not run here: {said(scratch)}")
    (again,) = scratch.glob("train/*")
    wrong = (
        []
        if again.name == folder.name
        else [f"its code makes {again.name}: other rows, or another config"]
    )
    if read_jsonl(again / "batches.jsonl") != read_jsonl(folder / "batches.jsonl"):
        wrong.append("batches.jsonl: other rows in its steps")
    there = [*read_jsonl(folder / "metrics.jsonl")[:STEPS], *[{}] * STEPS]
    rows = [(f"step {at + 1}", made[at], there[at]) for at in range(STEPS)]
    return (
        folder,
        f"steps 1 to {STEPS} of {folder.name}, by the code of commit {commit[:12]}",
        wrong + unequal(rows, "step", "lr", "tokens", "loss_tokens"),
        unequal(rows, "loss", "grad_norm"),
    )


def generate(
    scratch, logs=LOGS, label="cpu-trained-free-test", adapter=ROOT / "data/cpu/cpu/adapter"
):
    """Replay some answers of a released greedy evaluation, drawn by its name; they are decoded together, without the others."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    # evaluate.py shares its name with a package that lm-eval imports: look into the checkout last, not first.
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != ROOT] + [str(ROOT)]
    from ponder import stages, study
    from ponder.evaluate import subjects

    folder = released.run_folder("evaluate", label, logs)
    drawn = random.Random(f"replay/{folder.name}").sample(
        read_jsonl(folder / "samples.jsonl"), ANSWERS
    )
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("evaluate", [f"experiment={label.split('-')[0]}"])
    own = {"out": str(scratch), "wandb": "disabled", "subject": {"adapter": str(adapter)}}
    plan = study.read(OmegaConf.merge(cfg, OmegaConf.load(folder / "config.yaml"), own))
    run = stages.evaluate_run(plan)
    run.folder.mkdir(parents=True)
    subject = subjects.language_models([plan], [run])[0].subject
    prompts = [subject.prompt(row["task"], row["question"]) for row in drawn]
    made = dict(subject.answer([(row["task"], row["id"], 0) for row in drawn], prompts))
    inputs = json.loads((folder / "status.json").read_text())["inputs"]
    wrong = [
        f"{name} is not what the run read"
        for name in inputs
        if run.inputs.get(name) != inputs[name]
    ]
    hashes = [
        {"prompt_sha256": hashlib.sha256(json.dumps(prompt).encode()).hexdigest()[:16]}
        for prompt in prompts
    ]
    rows = [
        (f"{row['task']} {row['id']}", plain(made[at][0][1]) | hashes[at], row)
        for at, row in enumerate(drawn)
    ]
    return (
        folder,
        f"{ANSWERS} answers of {folder.name}",
        wrong + unequal(rows, "prompt_sha256"),
        unequal(rows, "ids", "forced", "finish"),
    )


def smoke(scratch, logs=LOGS):
    """Replay the three stages of the released smoke runs, and compare every file that is the same whenever it is made."""
    folders = [
        released.run_folder(stage, label, logs)
        for stage, labels in SMOKE.items()
        for label in labels
    ]
    more = {"evaluate": ("sweep=[free,cap16]",)}
    codes = [
        script(scratch, stage, "experiment=smoke", *more.get(stage, ())).wait() for stage in SMOKE
    ]
    bits, files = [f"a script stopped: {said(scratch)}"] if any(codes) else [], 0
    for folder in folders:
        for name, entry in json.loads((folder / "manifest.json").read_text())["files"].items():
            again = scratch / folder.parent.name / folder.name / name
            files += entry["reproducible"]
            if entry["reproducible"] and not (
                again.exists() and file_sha256(again) == entry["sha256"]
            ):
                bits.append(
                    f"{folder.name}/{name} has {'other bytes' if again.exists() else 'not been made'}"
                )
    return folders[-1], f"{files} files of {len(folders)} smoke runs", [], bits


def unequal(rows, *keys):
    """Return in words what differs; rows: (name, made, released)."""
    return [
        f"{name}: {key} is {made.get(key)!r:.60}, released {there.get(key)!r:.60}"
        for name, made, there in rows
        for key in keys
        if made.get(key) != there.get(key)
    ]


def unpack(commit, folder):
    """Write the checkout of a commit into a folder; raises UserError where git does not know it."""
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True)
    if packed.returncode:
        raise UserError(
            f"commit {commit[:12]} is not in this checkout; take one with its history (git fetch --unshallow)"
        )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tar:
        tar.extractall(folder, filter="data")


def script(scratch, name, *overrides, code=ROOT):
    """Return the process of one of the three scripts, whose runs go to `scratch` and whose words to a file there."""
    command = [sys.executable, f"{name}.py", *overrides, f"out={scratch}", "wandb=disabled"]
    caches = {"HF_DATASETS_CACHE": str(scratch / "datasets")}
    with open(scratch / "said", "ab") as words:
        return subprocess.Popen(
            command, cwd=code, env=os.environ | caches, stdout=words, stderr=subprocess.STDOUT
        )


def said(scratch):
    """Return the last line that the scripts said."""
    return (scratch / "said").read_text(errors="replace").strip().rpartition("\n")[2][-300:]
