"""lm-eval's hooks into our benchmarks and their grader.

For our own harness and for stock `lm_eval --include_path ponder/evaluate/tasks`.
"""

from typing import Any

from ponder.config import build
from ponder.grading import verify
from ponder.questions import benchmark_rows, benchmarks


def load(
    data: dict[str, Any], local: dict[str, dict[str, Any]] | None = None, **metadata: Any
) -> dict[str, Any]:
    """Return {"test": Dataset} for `data`, what a task file says of its data set.

    `local` is {task: what differs in a local copy}, as in conf/benchmark. It comes from
    TaskManager(metadata={"local": ...}) or `lm_eval --metadata '{"local": ...}'`, among other
    `metadata` that mean nothing here.
    """
    changes = (local or {}).get(data["task"], {})
    return benchmark_rows.load(build(benchmarks.Data, {**data, **changes}, f"local.{data['task']}"))


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Return {"acc", "acc_second", "differ"} of one question's reply, each 0.0 or 1.0."""
    grade = verify.grade(results[0], doc["answer"], doc["options"])
    return {
        "acc": float(grade["correct"]),
        "acc_second": float(grade["second"]),
        "differ": float(grade["correct"] != grade["second"]),
    }
