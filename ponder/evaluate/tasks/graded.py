"""lm-eval's hooks into our benchmarks and their grader, for our own harness and for stock `lm_eval --include_path ponder/evaluate/tasks`."""

import sys
from pathlib import Path

sys.path.append(
    str(Path(__file__).resolve().parents[3])
)  # the `lm_eval` command does not look in the repository

from ponder.config import build  # noqa: E402
from ponder.grading import verify  # noqa: E402
from ponder.questions import benchmarks


def load(data, local=None, **metadata):
    """Return {"test": Dataset} for `data`, what a task file says of its data set.

    `local` is {task: what differs in a local copy}, as in conf/benchmark; TaskManager(metadata={"local": ...}) and
    `lm_eval --metadata '{"local": ...}'` give it, among other `metadata` that say nothing here.
    """
    changes = (local or {}).get(data["task"], {})
    return benchmarks.load(build(benchmarks.Data, {**data, **changes}, f"local.{data['task']}"))


def process_results(doc, results):
    """Return {"acc", "acc_second", "differ"} of one question's reply, each 0.0 or 1.0."""
    grade = verify.grade(results[0], doc["answer"], doc["options"])
    return {
        "acc": float(grade["correct"]),
        "acc_second": float(grade["second"]),
        "differ": float(grade["correct"] != grade["second"]),
    }
