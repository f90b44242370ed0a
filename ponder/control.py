"""Control of the thinking's length by what a question says.

These are the conditional methods that s1 compares with budget forcing (sections 3.2 and 5.2,
appendix E). Pure text; ponder/chat.py makes tokens of it.
"""

from dataclasses import dataclass
from typing import Literal

from ponder.config import Name
from ponder.errors import UserError

# s1, lm_eval/tasks/aime/utils.py
SENTENCES = {unit: f"Think for up to {{}} {unit}." for unit in ("tokens", "steps")}


@dataclass(frozen=True)
class Control:
    """How long a question asks to be thought about (conf/control).

    A model must have been trained to obey a limit in tokens or steps; a class is a sentence in
    words, which any model can read.
    """

    name: Name
    kind: Literal["none", "class", "tokens", "steps"]
    limit: int | None  # of tokens or steps
    sentence: str | None  # of a class

    def __post_init__(self) -> None:
        fits = self.limit is not None and self.limit >= 1
        if self.kind not in SENTENCES:
            fits = self.limit is None
        if not fits:
            raise UserError(
                f"control.limit={self.limit} does not fit control.kind={self.kind}; give a number "
                "from 1 on for tokens and steps, and null for anything else"
            )
        if (self.kind == "class") != bool(self.sentence):
            raise UserError(
                f"control.sentence={self.sentence!r} does not fit control.kind={self.kind}; give a "
                "sentence for class alone"
            )


def instruct(
    question: str, kind: str, limit: int | None = None, sentence: str | None = None
) -> str:
    """Return the question with its instruction behind an empty line, as s1 puts it.

    With kind `none` that is the question itself.
    """
    if kind == "none":
        return question
    return with_sentence(question, sentence if kind == "class" else SENTENCES[kind].format(limit))


def with_sentence(question: str, sentence: str | None) -> str:
    """Return a question with a sentence behind an empty line, or itself where there is none."""
    return f"{question}\n\n{sentence}" if sentence else question


def bound(count: int) -> int:
    """Return the limit that a training row names whose thinking has `count` tokens or steps.

    That is the next power of 2, at least 1 (s1, appendix E.1).
    """
    return 1 << max(0, count - 1).bit_length()


def steps(think: str) -> list[tuple[int, int]]:
    """Return the (start, end) in characters of each step of a trace.

    A step is a line: our traces have no blank lines, on which s1 splits.
    """
    spans, start = [], 0
    for line in think.split("\n"):
        spans.append((start, start + len(line)))
        start += len(line) + 1
    return spans


def countdown(limit: int, finished: int) -> str:
    """Return the line that opens a step after `finished` of `limit` (s1, appendix E.1)."""
    return f"{limit - finished} steps left\n"
