"""What the reader of answers shows: the questions of a split, and each answer of a run with its
forced tokens and its first wrong step.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from ponder.audit import answers as released
from ponder.audit import page
from ponder.audit.page import NOT_OURS, read
from ponder.errors import RecordError, UserError
from ponder.grading.families import extract
from ponder.questions import solver
from ponder.questions.drawn import FIELDS, Question
from ponder.report.mistakes import AGAIN, first_wrong
from ponder.rows import ABSENT, SampleRow

Key = tuple[str, str]  # (family, id) of a question
Steps = Sequence[solver.Step]


def split_of(folder: Path) -> str:
    """Return the name of what an evaluation was asked, as "cpu-test"; "" for a damaged config."""
    benchmark = read(folder / "config.yaml", {}).get("benchmark", {})
    name, split = benchmark.get("name"), benchmark.get("split")
    if not name or not split:
        return ""
    return name if name.endswith(f"-{split}") else f"{name}-{split}"


def questions(
    folders: Iterable[Path], originals: Collection[str] = ()
) -> dict[Key, dict[str, Any]]:
    """Return {(family, id): what the reader shows of a question} of the evaluations of one split,
    in the order in which they were asked first: its text, its answer, the solver's lines, and
    whether its id is one of `originals`, from which a template of training questions was made.
    """
    found: dict[Key, dict[str, Any]] = {}
    for folder in folders:
        steps = steps_of(folder)
        for sample in page.readable_answers(folder):
            key = sample.task, sample.id
            if key not in found:
                found[key] = {
                    "task": sample.task,
                    "id": sample.id,
                    "question": sample.question or NOT_OURS,
                    "gold": sample.gold or NOT_OURS,
                    "steps": [step.line for step in steps.get(key, ())],
                    "original": sample.id in originals,
                }
    return found


def steps_of(folder: Path) -> dict[Key, Steps]:
    """Return {(family, id): the solver's steps} of the released questions that an evaluation was
    asked; without those that no program solves, and nothing of a public benchmark.
    """
    try:
        asked = released.questions_of(folder) or {}
    except (RecordError, LookupError, TypeError):
        return {}  # damaged records: the page is made, and the audit says why
    return {key: steps for key, row in asked.items() if (steps := solved(row))}


def solved(row: dict[str, Any]) -> Steps:
    """Return the solver's steps for a row of questions; none where no program solves it."""
    try:
        return solver.steps(Question(**{name: row[name] for name in FIELDS}))
    except (UserError, LookupError, TypeError, ValueError):
        return ()


def answers(folder: Path, numbers: dict[Key, int]) -> list[dict[str, Any]]:
    """Return what the reader shows of each answer of an evaluation; "q" is the number of its
    question.
    """
    steps = steps_of(folder) if thinks_in_steps(folder) else {}
    shown = []
    for sample in page.readable_answers(folder):
        key = sample.task, sample.id
        shown.append(page.guarded(answer, numbers[key], sample, steps.get(key, ())))
    return shown


def thinks_in_steps(folder: Path) -> bool:
    """Whether an evaluation's subject was taught to think in the solver's lines, and in nothing
    but them: a base was not, and one that counts steps writes lines of its own.
    """
    config = read(folder / "config.yaml", {})
    is_trained = config.get("subject", {}).get("kind") == "trained"
    return is_trained and config.get("control", {}).get("kind") != "steps"


def answer(number: int, sample: SampleRow, steps: Steps) -> dict[str, Any]:
    """Return what the reader shows of an answer: that of the audit's page, and its first wrong
    step.
    """
    shown = page.answer("", sample)
    thinking = "".join(text for text, _ in shown["thinking"])
    del shown["run"]
    return shown | {
        "q": number,
        "capped": sample.capped,
        "answered": is_answered(sample),
        "wrong": wrong_step(thinking, steps) if steps and thinking.strip() else None,
    }


def is_answered(sample: SampleRow) -> bool:
    """Whether the grader of its benchmark, or of the families, found an answer in a reply."""
    found = extract(sample.reply) if sample.answer is ABSENT else sample.answer
    return found is not None


def wrong_step(thinking: str, steps: Steps) -> dict[str, Any]:
    """Return {"kind", "line", "step"} of the first line of a thinking that is not the solver's:
    as ponder.report.mistakes.first_wrong says, with the line's number in the text from 0, None
    where the thinking ends before it or is right, and the solver's step from 1.
    """
    kind, number = first_wrong(thinking, steps)
    said = said_last(thinking)
    is_there = kind not in ("right", "missing")
    return {"kind": kind, "line": said[number - 1] if is_there else None, "step": number}


def said_last(thinking: str) -> list[int]:
    """Return the numbers, from 0, of the lines that count: a line that begins with "Wait, " takes
    the place of the one before it, as in ponder.report.mistakes.mended.
    """
    numbers: list[int] = []
    for number, line in enumerate(thinking.rstrip("\n").split("\n")):
        if line.startswith(AGAIN) and numbers:
            numbers.pop()
        numbers.append(number)
    return numbers
