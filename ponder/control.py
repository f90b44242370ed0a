"""Control of the thinking's length by what a question says: the conditional methods that s1 compares with budget forcing
(sections 3.2 and 5.2, appendix E). Pure text; ponder/chat.py makes tokens of it.
"""

from dataclasses import dataclass

from ponder.config import check_choice
from ponder.errors import UserError

SENTENCES = {
    unit: f"Think for up to {{}} {unit}." for unit in ("tokens", "steps")
}  # s1, lm_eval/tasks/aime/utils.py


@dataclass(frozen=True)
class Control:
    """How long a question asks to be thought about (conf/control)."""

    name: str
    kind: str  # none | tokens | steps: the model was trained to obey such a limit | class: a sentence in words
    limit: int | None  # of tokens or steps
    sentence: str | None  # of a class

    def __post_init__(self):
        check_choice("control.kind", self.kind, ("none", "class", *SENTENCES))
        if (self.kind in SENTENCES) != (self.limit is not None) or (
            self.limit is not None and self.limit < 1
        ):
            raise UserError(
                f"control.limit={self.limit} does not fit control.kind={self.kind}; give a number from 1 on for "
                "tokens and steps, and null for anything else"
            )
        if (self.kind == "class") != bool(self.sentence):
            raise UserError(
                f"control.sentence={self.sentence!r} does not fit control.kind={self.kind}; give a sentence for "
                "class alone"
            )


def asked(question, kind, limit=None, sentence=None):
    """Return the question with its instruction behind an empty line, as s1 puts it; with kind `none` the question itself."""
    if kind == "none":
        return question
    return f"{question}\n\n{sentence if kind == 'class' else SENTENCES[kind].format(limit)}"


def bound(count):
    """Return the instruction of a training row whose thinking has `count` tokens or steps: rounded up to a power of 2, 1 or more
    (s1, appendix E.1)."""
    return 1 << max(0, count - 1).bit_length()


def steps(think):
    """Return the (start, end) of each step of a trace. A step is a line: our traces have no blank lines, on which s1 splits."""
    found, at = [], 0
    for line in think.split("\n"):
        found.append((at, at + len(line)))
        at += len(line) + 1
    return found


def countdown(limit, done):
    """Return the line that opens a step when so many of `limit` are done (s1, appendix E.1)."""
    return f"{limit - done} steps left\n"
