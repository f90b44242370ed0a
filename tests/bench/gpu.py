"""The Qwen2.5 scale on one GPU, in minutes: tests/bench/gpu.sh calls this on a machine that reaches
nothing.

    ids     equal token ids of the untrained base: this device in float32 and in the type that it
            decodes in, beside the CPU in float32
    sft     the main arm, trained on the rows that --rows names
    sweep   the base and the main arm on the questions of --gsm8k, every budget in one pass
    seeds   more seeds of the training, under fewer budgets
    trl     the same training in TRL, tokens a second beside ours, where TRL is installed

Each step is recorded in OUT/times.json when it ends: the same command goes on behind it. The runs
lie in OUT/runs, and `make release RUN=...` takes them on a machine with the repository's history.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path += [str(ROOT), str(ROOT / "tests")]  # last: evaluate.py shares its name with a package

BUDGETS = "math,cap0,cap64,cap128,cap256,math-wait1,math-wait2,math-wait4"
SEED_BUDGETS = "math,cap128,math-wait1"
BASE = ("subject=base-boxed", "budget=math-unforced")
FIRST_TOKENS = 96  # of an answer whose ids are compared: a slip of a bit shows later as well
WARM = 3  # steps that do not count, while memory grows
TRL_STEPS = 40  # of TRL that are measured
TRL = {  # without padding, and the steps of our recipe
    "use_cpu": False,
    "bf16": True,
    "gradient_checkpointing": False,
    "padding_free": True,
    "max_length": None,
    "per_device_train_batch_size": 8,
}


def script(name, *words):
    """Run one of the three scripts; stop with its exit code if it fails."""
    print(f"\n$ python {name}.py {' '.join(words)}", flush=True)
    code = subprocess.run([sys.executable, f"{name}.py", *words], cwd=ROOT).returncode
    if code:
        sys.exit(code)


def run_of(stage, *words):
    """Return the (finished) run of a script's command line."""
    from ponder import stages
    from ponder.release import reproduce

    plan = reproduce.planned(stage, *words)
    return stages.train_run(plan) if stage == "train" else stages.evaluate_run(plan)


def words_of(options, hardware=None):
    """Return the overrides that all scripts get."""
    words = [
        f"experiment={options.experiment}",
        f"hardware={hardware or options.hardware}",
        f"out={options.out}/runs",
        f"+rows={options.rows}",
        "wandb=disabled",
    ]
    if options.gguf:
        gguf = Path(options.gguf)
        words += ["model.source=folder", f"model.folder={gguf.parent}", f"model.file={gguf.name}"]
    return [*words, *options.overrides]


def gsm8k(options, limit=None):
    """Return the overrides that ask the questions of a file, all or the first of them."""
    rows = sum(1 for line in Path(options.gsm8k).read_text().splitlines() if line)
    local = f"{{data_files: [{options.gsm8k}], rows: {rows}}}"
    words = ["benchmark=gsm8k", f"+benchmark.local.gsm8k={local}"]
    return [*words, f"benchmark.limit={limit}"] if limit else words


# --- the steps -------------------------------------------------------------------------


def ids(options):
    """Answer the first questions here in float32, here as usual, and on the CPU in float32; return
    how many answers have equal ids, and how many tokens are equal before the first other one.
    """
    more = [*gsm8k(options, options.questions), *BASE, f"budget.max_thinking={FIRST_TOKENS}"]
    arms = {
        "cpu, float32": [*words_of(options, "cpu2"), *more],
        "here, float32": [*words_of(options), *more, "++hardware.decode_compute=float32"],
        "here": [*words_of(options), *more],
    }
    answers = {}
    for arm, words in arms.items():
        script("evaluate", *words)
        lines = (run_of("evaluate", *words).folder / "samples.jsonl").read_text().splitlines()
        answers[arm] = {row["id"]: row["ids"] for row in map(json.loads, lines)}
    ours = answers.pop("cpu, float32")
    return {"questions": len(ours)} | {
        arm: {
            "equal": sum(ours[name] == other[name] for name in ours),
            "shared tokens": [shared(ours[name], other[name]) for name in sorted(ours)],
        }
        for arm, other in answers.items()
    }


def shared(one, other):
    """Return how many tokens two lists of ids share before the first that differs."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def sft(options, seed=0):
    """Train the main arm with a seed; return its run, its cost and its speed."""
    words = [*words_of(options), f"seed={seed}"]
    script("train", *words)
    run = run_of("train", *words)
    cost = json.loads((run.folder / "cost.json").read_text())
    return {"run": run.name, "cost": cost, "tokens_per_second": speed(run.folder)}


def speed(folder):
    """Return the median over a training's steps of tokens a second, the first ones left out."""
    rows = {}
    for name in ("metrics.jsonl", "timing.jsonl"):
        for row in map(json.loads, (folder / name).read_text().splitlines()):
            if "step" in row:
                rows.setdefault(row["step"], {}).update(row)
    steps = [row for row in rows.values() if "tokens" in row and "seconds" in row]
    steps = steps[WARM:] or steps
    return statistics.median(row["tokens"] / max(row["seconds"], 1e-3) for row in steps)


def sweep(options):
    """Answer all questions with the base and the main arm; return the accuracies."""
    subject, own_turn = BASE
    return {
        **evaluated(options, own_turn.removeprefix("budget="), [subject], "base-"),
        **evaluated(options, options.budgets, [subject], "base-"),
        **evaluated(options, options.budgets, [], "trained-"),
    }


def evaluated(options, budgets, more, prefix):
    """Return {label: accuracy, interval, run} of a pass over some budgets."""
    words = [*words_of(options), *gsm8k(options), *more]
    script("evaluate", *words, f"sweep=[{budgets}]")
    found = {}
    for budget in budgets.split(","):
        run = run_of("evaluate", *words, f"budget={budget}")
        total = json.loads((run.folder / "results.json").read_text())["all"]
        kept = ("n", "correct", "accuracy", "low", "high")
        found[prefix + budget] = {key: total[key] for key in kept} | {"run": run.name}
    return found


def seeds(options):
    """Train and evaluate more seeds; return {seed: its training and accuracies}."""
    budgets = ",".join(b for b in SEED_BUDGETS.split(",") if b in options.budgets.split(","))
    budgets = budgets or options.budgets.split(",")[0]
    return {
        str(seed): {
            "training": sft(options, seed),
            "accuracies": evaluated(options, budgets, [f"seed={seed}"], "trained-"),
        }
        for seed in range(1, options.seeds + 1)
    }


def trl(options):
    """Return TRL's tokens a second over the first steps of the same training beside ours, or why
    there is none.
    """
    try:
        import trl  # noqa: F401
    except ImportError:
        return {"not run": "TRL is not installed on this machine"}
    theirs = measured_trl(options)
    ours = sft(options)["tokens_per_second"]  # finished before: nothing is trained
    return {"ours": ours, "trl": theirs, "ratio": ours / theirs}


def measured_trl(options):
    """Return the median over steps of TRL's tokens a second, on the rows in our order."""
    import torch
    import train_speed
    from transformers import TrainerCallback

    from ponder.release import reproduce
    from ponder.train import sft as recipe

    plan = reproduce.planned("train", *words_of(options))
    rows, network, tokenizer = train_speed.loaded(plan)
    network = recipe.trainable(network, plan.model, plan.train, 0)
    batches, counts = train_speed.batches_of(plan, rows)
    ended = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_, **__):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            ended.append(time.perf_counter())
            if len(ended) > TRL_STEPS:
                raise train_speed.Enough

    settings = TRL | {"per_device_train_batch_size": plan.train.batch_rows}
    folder = Path(options.out) / "trl"
    trainer = train_speed.peer(
        network, tokenizer, rows, batches, folder, callbacks=[Clock()], **settings
    )
    try:
        trainer.train()
    except train_speed.Enough:
        pass
    seconds = [after - before for before, after in zip(ended, ended[1:], strict=False)]
    speeds = [count[0] / took for count, took in zip(counts[1:], seconds, strict=False)]
    return statistics.median(speeds[WARM:] or speeds)


STEPS = {"ids": ids, "sft": sft, "sweep": sweep, "seeds": seeds, "trl": trl}


# --- all of it -------------------------------------------------------------------------


def machine(hardware):
    """Return what the times depend on, without a name of the machine."""
    import torch
    import transformers

    has_gpu = torch.cuda.is_available()
    return {
        "hardware": hardware,
        "gpu": torch.cuda.get_device_name(0) if has_gpu else None,
        "cuda": torch.version.cuda if has_gpu else None,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def main(arguments=None):
    """Do each step that is not recorded yet, and record it with its seconds."""
    parser = argparse.ArgumentParser(prog="tests/bench/gpu.sh")
    parser.add_argument("out", help="the folder of the times and the runs")
    parser.add_argument("--rows", required=True, help="the train.jsonl of the main arm")
    parser.add_argument("--gsm8k", required=True, help="GSM8K's test questions, .jsonl")
    parser.add_argument("--gguf", help="the base's weights; without it as conf/model says")
    parser.add_argument("--experiment", default="qwen")
    parser.add_argument("--hardware", default="gpu1")
    parser.add_argument("--questions", type=int, default=32, help="whose ids are compared")
    parser.add_argument("--budgets", default=BUDGETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("overrides", nargs="*", help="of all scripts, such as train.epochs=1")
    options = parser.parse_intermixed_args(arguments)
    options.out = str(Path(options.out).resolve())
    options.rows = str(Path(options.rows).resolve())
    options.gsm8k = str(Path(options.gsm8k).resolve())
    options.gguf = options.gguf and str(Path(options.gguf).resolve())
    os.chdir(ROOT)  # where paths of conf/ begin
    record = Path(options.out) / "times.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    done = json.loads(record.read_text()) if record.exists() else {"steps": {}}
    done["machine"] = machine(options.hardware)
    for name, step in STEPS.items():
        if name in done["steps"]:
            print(f"{name}: recorded in {record}, nothing to do")
            continue
        began = time.perf_counter()
        result = step(options)
        done["steps"][name] = {"seconds": round(time.perf_counter() - began, 1), **result}
        part = record.with_suffix(".part")
        part.write_text(json.dumps(done, indent=1, sort_keys=True) + "\n")
        part.replace(record)
        print(f"{name}: {done['steps'][name]['seconds']} s")


if __name__ == "__main__":
    main()
