"""lm-eval's hook into our grader of drawn questions.

For our own harness and for stock `lm_eval --include_path ponder/evaluate/tasks`.
"""

from typing import Any

from ponder.questions.marking import mark


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Return {"acc": 0.0 or 1.0} for one question's reply."""
    return {"acc": float(mark(results[0], doc["answer"], doc["family"])["correct"])}
