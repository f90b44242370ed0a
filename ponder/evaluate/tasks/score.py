"""lm-eval's hook into our grader, for our own harness and for stock `lm_eval --include_path ponder/evaluate/tasks`."""

import sys
from pathlib import Path

sys.path.append(
    str(Path(__file__).resolve().parents[3])
)  # the `lm_eval` command does not look in the repository

from ponder.grading.families import is_correct  # noqa: E402


def process_results(doc, results):
    """Return {"acc": 0.0 or 1.0} for one question's reply."""
    return {"acc": float(is_correct(results[0], doc["answer"]))}
