"""The same weights behind two engines, llama.cpp and transformers, on the same questions.

llama.cpp multiplies the four-bit file as it is, transformers its weights in bfloat16, so answers
may differ, and what is compared is how many are right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder import statistics
from ponder.report import released, sources
from ponder.report.comparisons import corrected, difference
from ponder.report.printed import share_text
from ponder.runs import read_jsonl
from ponder.statistics import Sample

Answers = Mapping[str, Sample]  # by the id of the question: whether it is right, and its tokens


@dataclass(frozen=True)
class Pair:
    """Two released runs of one stage over the same questions, by their labels."""

    words: str  # what answers, and what
    stage: str  # evaluate, or collect
    ours: str  # by llama.cpp
    theirs: str  # by transformers


PAIRS = {
    "student": Pair(
        "the base on GSM8K, its own turn",
        "evaluate",
        "qwen-base-boxed-math-unforced-llamacpp-gsm8k-400",
        "qwen-base-boxed-math-unforced-gsm8k-400",
    ),
    "teacher": Pair(
        "the teacher on generated questions, sampled", "collect", "qwen-server", "qwen-traces"
    ),
}


def engines(logs: Path, data: Path) -> list[dict[str, Any]]:
    """Return each of PAIRS whose two runs are released, as `beside`, with its name and words."""
    found = []
    for name, pair in PAIRS.items():
        labels = (pair.ours, pair.theirs)
        if not all(released.run_folders(pair.stage, label, logs) for label in labels):
            continue
        folders = [sources.run_folder(pair.stage, label, logs) for label in labels]
        read = _answers if pair.stage == "evaluate" else _traces
        ours, theirs = (read(folder, data) for folder in folders)
        runs = {"ours_run": folders[0].name, "theirs_run": folders[1].name}
        found.append({"name": name, "words": pair.words, **runs, **beside(ours, theirs)})
    corrected([entry["all"] for entry in found])
    return found


def beside(ours: Answers, theirs: Answers) -> dict[str, Any]:
    """Return what two engines get on the questions that both answered.

    {"ours", "theirs": accuracy with its interval, its text and the mean "tokens" of an answer,
    "all": the paired difference, ours minus theirs}. A sampled answer is another draw in each,
    which the interval of the difference covers.
    """
    both = sorted(ours.keys() & theirs.keys())
    assert both, "two engines answered no question in common"
    first, second = ([answers[ident] for ident in both] for answers in (ours, theirs))
    return {
        "ours": _side(first),
        "theirs": _side(second),
        "all": difference(first, second, "paper/engines"),
    }


def _side(answers: Sequence[Sample]) -> dict[str, Any]:
    right = statistics.accuracy([answer["correct"] for answer in answers])
    tokens = sum(answer["tokens"] for answer in answers) / len(answers)
    return right | {"tokens": tokens, "text": share_text(right)}


def _answers(folder: Path, _: Path) -> dict[str, Sample]:
    """Return the answers of an evaluate run; their tokens are all that was written."""
    return {
        sample["id"]: {"correct": sample["correct"], "tokens": len(sample["ids"])}
        for sample in released.samples(folder)
    }


def _traces(folder: Path, data: Path) -> dict[str, Sample]:
    """Return the traces of a collection from its data set; their tokens are the thinking."""
    path = data / "qwen" / folder.name.rpartition("-")[0] / "traces.jsonl"
    return {
        trace["id"]: {"correct": trace["correct"], "tokens": trace["tokens"]}
        for trace in read_jsonl(path)
    }
