"""A second opinion on answers to benchmarks, which shares no line of code with the grader.

It reads an answer as sums of products (ponder/grading/sums.py) inside lists, tuples, intervals,
unions, matrices and equations, and compares what it read. It uses no algebra system, evaluates no
text, and gives up on what is long, deep or large; then only equal texts are equal.
"""

import re
from collections.abc import Sequence

from ponder.grading.sums import LONGEST
from ponder.grading.values import same


def is_correct(reply: str, gold: str, options: Sequence[str] = ()) -> bool:
    """Return whether the last answer of a reply has the value of the gold answer.

    With `options`, the texts of a multiple choice, whether it is the letter `gold`.
    """
    answer = last_answer(reply)
    if answer is None:
        return False
    if options:
        return _letter(answer, options) == gold
    return same(answer, gold)


# --- the last answer of a reply ----------------------------------------------------------

LABEL = re.compile(
    r"(?i)(?:answers?|r\u00e9ponse|antwort|respuesta|\u7b54\u6848)\W{0,4}(?:\(\w\)\s*)?(?:is\b)?"
    r"\W{0,3}?[:\uff1a]"
)
WEAK_LABEL = re.compile(
    r"(?i)^\W{0,9}(?:the )?(?:final )?answer\W{0,4}(?:=|[-\u2013] |$)|^\s{0,3}####(?=\W{0,4}\d)"
)


def last_answer(reply: str) -> str | None:
    """Return the text of the last answer in a reply, or None.

    It stands in the last closed box, else in the last <answer>, else behind the last line that says
    "answer:" or the last "answer is", else it is a reply of one line.
    """
    answer = _last_box(reply)
    if answer is None:
        answer = _last_line(reply)
    if answer is None or not 0 < len(answer.strip()) <= LONGEST:
        return None
    return answer.strip()


def _last_box(reply: str) -> str | None:
    pieces = re.split(r"\\?\b(?:boxed|fbox|framebox) ?\{", reply)
    for piece in reversed(pieces[1:]):
        inside = _until_closed(piece)
        if inside is not None and inside.strip() and inside.strip().lower() != "answer":
            return inside
    return None


def _until_closed(text: str) -> str | None:
    """Return what stands before the brace that closes one open brace, None without such a brace."""
    depth = 1
    for at, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return text[:at]
    return None


def _last_line(reply: str) -> str | None:
    if reply.rfind("</answer>") > reply.rfind("<answer>") >= 0:
        return reply.rpartition("</answer>")[0].rpartition("<answer>")[2]
    lines = [line for line in reply.splitlines() if line.strip()]
    answer = _behind_colon(lines)
    if answer is None:
        tails = re.split(r"(?i)(?:answer|option|choice) is\b", reply)
        if len(tails) > 1:
            answer = _first(tails[-1].splitlines())
        elif len(lines) == 1:
            answer = reply
    return None if answer is None else _without_comment(answer)


def _behind_colon(lines: Sequence[str]) -> str | None:
    """Return what follows the last "answer:", or what stands below it where nothing does, or None.

    None also where a later line says "answer is" and nothing follows the colon on its line.
    """
    for at in range(len(lines) - 1, -1, -1):
        pieces = LABEL.split(lines[at])
        if len(pieces) == 1:
            pieces = WEAK_LABEL.split(lines[at])
        if len(pieces) > 1:
            if behind := pieces[-1].strip(" *_"):
                shown = behind in ("\\[", "$$", "```")
                return _first([behind, *lines[at + 1 :]]) if shown else pieces[-1].strip(" _")
            below = lines[at + 1 :]
            if any(re.search("(?i)answer is", line) for line in below):
                return None
            return _first(below)
    return None


def _first(lines: Sequence[str]) -> str:
    """Return the first line with text, or all of the display or code that it opens."""
    lines = [line.strip() for line in lines if line.strip(" *_")]
    if not lines:
        return ""
    for opening, closing in (("\\[", "\\]"), ("$$", "$$"), ("```", "```")):
        if lines[0].startswith(opening):
            block = " ".join([lines[0][len(opening) :], *lines[1:]])
            return block.partition(closing)[0]
    return lines[0]


def _without_comment(answer: str) -> str:
    """Return an answer without what a sentence says before and after it."""
    answer = re.split(r"(?i)answer is\b:?", answer)[-1].strip()
    answer = re.split(r"(?<!\bNo)\.\s", answer.strip(" _") + " ")[0]
    if emphasised := re.match(r"\s*(\*\*|\*|`|__)(.+?)\1(\W*$|\. )", answer):
        answer = emphasised[2]
    return re.split(r",\s+(?:as|which|where|since|because|so|altogether)\b", answer.strip(" *"))[0]


# --- multiple choice ---------------------------------------------------------------------


def _letter(text: str, options: Sequence[str]) -> str | None:
    bare = re.sub(r"\\(?:text|math|)(?:rm|bf|sf|it|)\b|[{}$*`]", " ", text)
    bare = re.sub(
        r"(?i)^\s*(?:the |correct )*(?:answer|option|choice)?(?: is\b)?\s*", "", bare
    ).strip()
    names = re.findall(r"(?<![\w\\])[A-D](?![\w'])", bare)
    if re.fullmatch(r"\(?[a-dA-D]\)?\W*", bare):
        return bare.strip("([")[0].upper()
    if len(set(names)) == 1 and re.match(
        r"[(\[]?[A-D](?:\s*[)\].:,(]|\s+(?:is|because|since)\b)", bare
    ):
        return bare.strip("([")[0]
    if re.match(r"[(\[]?[A-D]\s*[)\].:]", bare):
        behind = _squeezed(bare[bare.index(names[0]) + 1 :].lstrip(" ).:]"))
        own = options["ABCD".index(names[0])]
        return names[0] if behind == _squeezed(own) else None
    squeezed = [_squeezed(option) for option in options]
    answer = _squeezed(text)
    return "ABCD"[squeezed.index(answer)] if squeezed.count(answer) == 1 else None


def _squeezed(text: str) -> str:
    text = re.sub(r"\\(?:text|mathrm)\b|[{}$~*`]|\\ ", "", text)
    return re.sub(r"(?i)^\s*the\s|\s", "", text).strip(".$").lower()
