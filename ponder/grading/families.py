"""From an answer text to right or wrong, for the families of drawn questions.

Pure, deterministic, and blind to the gold answer until the last step. What is graded was written by
a model: nothing of it is evaluated or run, and its size is limited before anything else. An
expression is no answer ("4 - 3" is not 1), so none has to be worked out.
"""

import functools
import re
from fractions import Fraction

MAX_CHARACTERS = 256  # a longer final answer is no answer
FINAL = re.compile(r"(?i)\banswer\s*:[ \t]*([^\n]*)")
NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18}|/[0-9]{1,18})?")


def extract(text: str) -> str | None:
    """Return the final answer in a reply, or None.

    It is the last box, by brace matching, else the last "answer:" line.
    """
    boxed = _last_box(text)
    if boxed is not None:
        return boxed if len(boxed) <= MAX_CHARACTERS else None
    lines = FINAL.findall(text)
    answer = lines[-1].strip() if lines else ""
    return answer if 0 < len(answer) <= MAX_CHARACTERS else None


def _last_box(text: str) -> str | None:
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 1, start + len("\\boxed{")
    for at in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[begin:at].strip()
    return None


@functools.lru_cache(2**16)
def normal(answer: str) -> tuple[Fraction | str, ...]:
    """Return the form in which answers are compared: its items, each a Fraction or a folded string.

    Case, surrounding space, a full stop at the end, quotes around an item and brackets around a
    list do not count.
    """
    folded = " ".join(answer.casefold().split()).removesuffix(".").strip("$ ")
    if folded[:1] in "[(" and folded[-1:] in "])":
        folded = folded[1:-1]
    return tuple(_item(item.strip(" '\"`*")) for item in folded.split(","))


def _item(text: str) -> Fraction | str:
    text = text.replace("\u2212", "-")  # the minus sign of typography
    return Fraction(text) if NUMBER.fullmatch(text) and not re.search(r"/0+$", text) else text


def is_correct(reply: str, gold: str) -> bool:
    """Return whether the final answer of a reply equals the gold answer; none is wrong."""
    answer = extract(reply)
    return answer is not None and normal(answer) == normal(gold)
