"""Evaluate runs as logs that Inspect opens: its viewer shows every answer with its thinking.

    make export-inspect                                   # all released runs
    make export-inspect RUNS="cpu-trained-free-test 'outputs/evaluate/mine-*'"
    outputs/inspect-venv/bin/inspect view --log-dir outputs/export/inspect

A run is named as for `make table`. The logs are written without Inspect, as the JSON of its
EvalLog, and then read by Inspect itself, which lies in a venv of its own: neither the lock nor the
tests need it. What no record holds is left out, such as the number of tokens of a prompt.
"""

import argparse
import json
import shutil
import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from ponder import rows
from ponder.errors import UserError, user_errors
from ponder.grading.families import extract
from ponder.report import evaluations
from ponder.rows import ABSENT, SampleRow
from ponder.runs import ROOT, read_jsonl

OUT = ROOT / "outputs" / "export" / "inspect"
TOOLS = ROOT / "outputs" / "inspect-venv" / "bin"
SCORER = "final_answer"
NOT_OURS = "of a public benchmark: not ours to publish"
STOPS = {"stop": "stop", "length": "max_tokens"}  # Inspect's words for how an answer ended
SAME_VERSION = "install the version of locks/inspect.lock with make export-inspect"
# Of a row these are not metadata: they have a place of their own, or are counted.
PLACED = ("question", "gold", "gold_sha256", "thinking", "reply", "correct", "ids", "forced")
# Inspect's own reading of a log: its file, status, answers and how many of them are right.
READER = f"""
import json, sys
from inspect_ai.log import read_eval_log
for path in sys.argv[1:]:
    log = read_eval_log(path, resolve_attachments=True)
    right = sum(sample.scores[{SCORER!r}].value == "C" for sample in log.samples)
    print(json.dumps([path, log.status, len(log.samples), right]))
"""

Record = dict[str, Any]


@user_errors
def main(arguments: Sequence[str] | None = None) -> None:
    """Write the logs of some runs anew, let Inspect read them, and say what it found.

    Raises UserError where Inspect is not installed, or reads something else than was written.
    """
    parser = argparse.ArgumentParser(prog="make export-inspect", description="Logs for Inspect.")
    parser.add_argument(
        "runs", nargs="*", default=["logs/evaluate/*"], help="a folder, a pattern, or a label"
    )
    options = parser.parse_args(arguments)
    if not (TOOLS / "inspect").exists():
        raise UserError(
            f"Inspect is not in {TOOLS.relative_to(ROOT)}; run make export-inspect, which "
            "installs it there"
        )
    folders = list(
        dict.fromkeys(place for name in options.runs for place in evaluations.folders(name))
    )
    makers = evaluations.makers(folders)
    shutil.rmtree(OUT, ignore_errors=True)
    counts = dict(write(log_of(folder, makers), OUT) for folder in folders)
    if faults := misread(counts):
        raise UserError(f"Inspect reads {faults[0]} otherwise than it was written; {SAME_VERSION}")
    place = OUT.relative_to(ROOT)
    print(
        f"Inspect: {len(counts)} runs, {sum(n for n, _ in counts.values())} answers -> {place}, "
        "read by Inspect as written; look at them with\n"
        f"  {TOOLS.relative_to(ROOT)}/inspect view --log-dir {place}"
    )


# --- a log -----------------------------------------------------------------------------


def log_of(folder: Path, makers: dict[str, Path]) -> Record:
    """Return an evaluate run as Inspect's EvalLog has it, ready for JSON.

    `makers` are the train runs by their weights, as evaluations.makers returns them.
    """
    config = yaml.safe_load((folder / "config.yaml").read_text())
    status, results = _json(folder, "status"), _json(folder, "results")
    samples = rows.read(SampleRow, rows.answers_path(folder))
    label, digest = folder.name.rsplit("-", 1)
    model, budget, benchmark = (
        subject(config, status, makers),
        config["budget"],
        config["benchmark"],
    )
    started, completed = clocks(folder)
    asked = {
        "temperature": config.get("decoding", {"temperature": 0.0})["temperature"],
        "reasoning_tokens": budget["max_thinking"],
    }
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": folder.name,
            "run_id": folder.name,
            "task_id": digest,
            "created": started,
            "task": f"{benchmark['name']}-{benchmark['split']}",
            "task_display_name": label,
            "task_args": {name: part for name, part in config.items() if name != "model"},
            "tags": [budget["name"]],
            "dataset": {
                "name": f"{benchmark['name']}/{benchmark['split']}",
                "samples": len({_id(sample) for sample in samples}),
                "sample_ids": list(dict.fromkeys(_id(sample) for sample in samples)),
                "shuffled": False,
            },
            "model": model,
            "model_args": config["model"],
            "model_generate_config": asked,
            "config": {
                "limit": benchmark["limit"],
                "epochs": results["all"].get("samples", 1),
                "epochs_reducer": ["mean"],
            },
            "revision": {"type": "git", "origin": "", **status["commits"][-1]},
            "packages": _json(folder, "environment")["packages"],
            "metadata": {"run": folder.name, "inputs": status["inputs"]},
            "scorers": [{"name": SCORER, "metrics": [{"name": "accuracy"}]}],
        },
        "plan": {
            "name": "plan",
            "steps": [{"solver": "budget", "params": budget}],
            "config": asked,
        },
        "results": _results(results),
        "stats": {"started_at": started, "completed_at": completed},
        "samples": [_sample(sample, budget["name"], model) for sample in samples],
    }


def subject(config: Record, status: Record, makers: dict[str, Path]) -> str:
    """Return who answered, as Inspect names models: who made it, a slash, its name."""
    kind, base = config["subject"]["kind"], config["model"]
    if kind == "base":
        return base["hub"] or f"ponder/{base['name']}"
    maker = makers.get(status["inputs"].get("adapter_model.safetensors"))
    return f"ponder/{maker.name if kind == 'trained' and maker else kind}"


def clocks(folder: Path) -> tuple[str, str]:
    """Return when a run was started first and when it ended, "" where it does not say."""
    events = [row for row in read_jsonl(folder / "timing.jsonl") if "event" in row]
    starts = [row["utc"] for row in events if row["event"] == "start"]
    if events[-1]["event"] != "end":
        return starts[0], ""
    end = datetime.fromisoformat(starts[-1]) + timedelta(seconds=events[-1]["seconds"])
    return starts[0], end.isoformat(timespec="seconds")


def _json(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text())


def _id(sample: SampleRow) -> str:
    return f"{sample.task}/{sample.id}"


def _results(results: Record) -> Record:
    """Return the accuracy over all answers, and of each task, with what else results.json says."""
    metrics = {"accuracy": _metric("accuracy", results["all"])}
    for task, numbers in results["tasks"].items():
        metrics[task] = {**_metric(task, numbers), "group": "accuracy by task"}
    n = results["all"]["n"]
    score = {
        "name": SCORER,
        "scorer": SCORER,
        "reducer": "mean" if "samples" in results["all"] else None,
        "scored_samples": results["all"].get("questions", n),
        "unscored_samples": 0,
        "metrics": metrics,
    }
    return {"total_samples": n, "completed_samples": n, "scores": [score]}


def _metric(name: str, numbers: Record) -> Record:
    rest = {key: value for key, value in numbers.items() if key != "accuracy"}
    return {"name": name, "value": numbers["accuracy"], "metadata": rest}


def _sample(sample: SampleRow, budget: str, model: str) -> Record:
    """Return the record of an answer; every text of a model stands as a text in its own field."""
    question = NOT_OURS if sample.question is ABSENT else sample.question
    parts: list[Record] = [{"type": "text", "text": sample.reply}]
    if sample.thinking:
        parts.insert(0, {"type": "reasoning", "reasoning": sample.thinking})
    message = {"role": "assistant", "content": parts, "source": "generate", "model": model}
    values = {key: value for key, value in rows.values_of(sample).items() if key not in PLACED}
    counts = {"num_ids": len(sample.ids), "num_forced": len(sample.forced)}
    answer = extract(sample.reply) if sample.answer is ABSENT else sample.answer
    return {
        "id": _id(sample),
        "epoch": (sample.sample or 0) + 1,
        "input": question,
        "target": sample.gold_sha256 if sample.gold is ABSENT else sample.gold,
        "messages": [{"role": "user", "content": question, "source": "input"}, message],
        "output": {
            "model": model,
            "choices": [{"message": message, "stop_reason": STOPS.get(sample.finish, "unknown")}],
            "completion": sample.reply,
        },
        "scores": {SCORER: {"value": "C" if sample.correct else "I", "answer": answer}},
        "metadata": {"budget": budget, **counts, **values},
    }


# --- files -----------------------------------------------------------------------------


def write(log: Record, out: Path) -> tuple[Path, tuple[int, int]]:
    """Write a log to `out` under a name of Inspect's form; return (its path, (answers, right))."""
    spec = log["eval"]
    words = (spec["created"].replace(":", "-"), spec["task"], spec["task_display_name"])
    name = "_".join([*(word.replace("_", "-") for word in words), spec["task_id"]])
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.json"
    path.write_text(json.dumps(log, indent=1, allow_nan=False) + "\n", encoding="ascii")
    values = [sample["scores"][SCORER]["value"] for sample in log["samples"]]
    return path, (len(values), values.count("C"))


def misread(counts: dict[Path, tuple[int, int]]) -> list[str]:
    """Return the names of the logs that Inspect does not read as `write` wrote them.

    Raises UserError, with its last words, where it reads one not at all.
    """
    command = [TOOLS / "python", "-I", "-c", READER, *counts]
    process = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if process.returncode:
        words = process.stderr.strip().splitlines() or [f"exit code {process.returncode}"]
        raise UserError(f"Inspect did not read the logs ({words[-1]}); {SAME_VERSION}")
    found = {}
    for line in process.stdout.splitlines():
        path, *facts = json.loads(line)
        found[Path(path)] = facts
    return [
        path.name for path, (n, right) in counts.items() if found[path] != ["success", n, right]
    ]


if __name__ == "__main__":
    main()
