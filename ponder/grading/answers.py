"""What a reply answers: the one extractor of what is graded and of what is trained on.

Pure, deterministic, and blind to the gold answer: every function here sees one text, and the
options of a multiple choice. Nothing of it is evaluated. How answers are compared stands in
ponder/grading/forms.py. The answers of an evaluation on the families of drawn questions are read
by ponder/grading/families.py, whose rules are stricter and stay as they were released.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from ponder.grading.forms import alike, inlined, normal, number, tidy
from ponder.grading.plain import plain

__all__ = [
    "LETTERS",
    "MAX_CHARACTERS",
    "Answer",
    "choice",
    "extract",
    "normal",
    "number",
    "tidy",
    "trained",
]

MAX_CHARACTERS = 256  # a longer final answer is no answer
LETTERS = "ABCD"

BOX = re.compile(r"(?:\\(?:boxed|fbox|framebox)|\bboxed)\s{0,9}\{")
BARE_BOX = re.compile(r"\\boxed[ ]{1,9}(-?\d[\d.,/]{0,40})")
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
# What stands in a box that only shows the form of an answer.
PLACEHOLDER = re.compile(
    r"(?i)\s*(?:\\text\{)?[<\[]?(?:your |final |the )*answer[>\]]?\}?\s*|\.{3}"
)

WORD = (
    r"(?:\banswers?|\br\u00e9ponse|\brespuesta|\bresposta|\brisposta|\bantwort|"
    r"\b\u043e\u0442\u0432\u0435\u0442|\u7b54\u6848|\u7b54\u3048|\uc815\ub2f5)"
)
MARKS = r"[*_ \t]{0,20}"
LABEL = re.compile(
    # "Final Answer:", "answer (a):", "**The answer is:**"
    rf"(?i){WORD}{MARKS}(?:\(\w{{1,3}}\))?{MARKS}(?:is{MARKS})?[:\uff1a]"
    # a line "Answer = 7" or "Final Answer - 7"
    rf"|^[#*_ \t]{{0,20}}(?:the )?(?:final )?answer{MARKS}(?:=|[-\u2013\u2014][ ])"
    # a heading "### Final Answer", without a colon
    rf"|^[#*_ \t]{{0,20}}(?:final )?answer{MARKS}$"
    # GSM8K's "#### 7"
    r"|^[ \t]{0,3}####[ \t]{0,9}(?=[-+$\u20ac\u00a3\\.]{0,3}\d)",
    re.MULTILINE,
)
IS = re.compile(r"(?i)\b(?:answer|option|choice)[*_ ]{1,20}is\b")
CLOSING = {"\\[": "\\]", "$$": "$$", "```": "```"}
DISPLAY = re.compile(r"\\begin\{((?:align|equation|gather|aligned|displaymath)\*?)\}")
SENTENCE_END = re.compile(r"(?<!\bNo)(?<!\bno)(?<!\b[ap]\.m)\.\s|\u3002")
# Words that open a clause behind an answer: "7, as required".
CLAUSE = re.compile(
    r",\s+(?:as|which|where|since|because|so|if|when|hence|thus|therefore|that|rounded|given|"
    r"assuming|altogether|in total|for|with|by|respectively|measured)\b.*$"
    r"|;\s+(?:this|that|it|which|so|hence|we|the)\b.*$",
    re.DOTALL,
)
WRAPPED = re.compile(r"(\*\*|__|\*|`|\")([^*`\"]+)\1\s*[.,;:!\u3002]*")


class Answer(NamedTuple):
    """A final answer: its text, and where it stood: "box", "line" or "text" (the whole reply)."""

    text: str
    how: str


# --- extraction ------------------------------------------------------------------------


def extract(reply: str) -> Answer | None:
    """Return the final Answer of a reply, or None for none, or one of more than 256 characters.

    It is the last box that closes and is neither empty nor a placeholder; else what the last
    <answer> holds; else what follows the last label ("Final Answer:", "#### "), on its line or
    below it, or without one the last "answer is", up to the end of the sentence; else a reply of a
    single line that has no box, open or empty.
    """
    if (boxed := _last_box(reply)) is not None:
        return _bounded(boxed, "box")
    if (labelled := _labelled(reply)) is not None:
        return _bounded(_sentence(labelled), "line")
    text = reply.strip()
    return _bounded("" if "\n" in text or BOX.search(text) else text, "text")


def trained(reply: str) -> str:
    """Return the text of a reply that is trained on as its answer, without outer white space.

    It is what `extract` reads behind a label. A reply whose answer stands elsewhere in it is
    trained on whole, as s1 does with its solutions (data/tokenization.py L18-34, which puts
    "Answer:" before them); what `extract` reads in the whole is the same answer.
    """
    answer = extract(reply)
    if answer is None:
        return reply.strip()
    labelled = _labelled(reply)
    if answer.how == "box" and (labelled is None or _last_box(labelled) != _last_box(reply)):
        return reply.strip()
    return answer.text


def _bounded(text: str, how: str) -> Answer | None:
    text = text.strip()
    return Answer(text, how) if 0 < len(text) <= MAX_CHARACTERS else None


def _last_box(text: str) -> str | None:
    """Return what stands in the last box that closes and has content, or None.

    It is found in one pass over the braces.
    """
    ends: dict[int, int | None] = {match.end() - 1: None for match in BOX.finditer(text)}
    opened: list[int] = []
    for match in BRACE.finditer(text) if ends else ():
        if match[0] == "{":
            opened.append(match.start())
        elif match[0] == "}" and opened and (begin := opened.pop()) in ends:
            ends[begin] = match.start()
    for begin, end in reversed(ends.items()):
        if end is not None and (inside := text[begin + 1 : end]).strip():
            if not PLACEHOLDER.fullmatch(inside[:100]):
                return inside
    bare = BARE_BOX.findall(text)
    return bare[-1].rstrip(".,") if bare else None


def _labelled(reply: str) -> str | None:
    """Return what stands behind the last label of a reply, "" for nothing, None without a label."""
    end = _end_of_last(LABEL, reply)
    tag = reply.rfind("<answer>")
    if tag >= (end or 0):
        inside, closed, _ = reply[tag + len("<answer>") :].partition("</answer>")
        if closed:
            return inside
    if end is None:
        end = _end_of_last(IS, reply)
        return None if end is None else _block(reply[end:])
    rest = reply[end:]
    if not rest.partition("\n")[0].strip(" \t*_"):
        later = _end_of_last(IS, rest)
        return _block(rest if later is None else rest[later:])
    return _block(rest)


def _end_of_last(mark: re.Pattern[str], text: str) -> int | None:
    """Return where the last match of `mark` ends, or None."""
    end = None
    for match in mark.finditer(text):
        end = match.end()
    return end


def _block(rest: str) -> str:
    """Return what a label is followed by: its first line with text, or a display or code block.

    Emphasis that closes behind the label belongs to the label.
    """
    text = rest.lstrip("*_").lstrip()
    for opening, closing in CLOSING.items():
        if text.startswith(opening):
            inside, closed, _ = text[len(opening) :].partition(closing)
            if closed:
                return _code(inside) if opening == "```" else inside
    if display := DISPLAY.match(text):
        inside, closed, _ = text[display.end() :].partition(f"\\end{{{display[1]}}}")
        if closed:
            return inside.strip().removesuffix("\\\\").rpartition("\\\\")[2].replace("&", "")
    if text.startswith("\\begin"):
        return text.partition("\n\n")[0]
    return text.partition("\n")[0]


def _code(inside: str) -> str:
    """Return what a code block holds, without the name of a language behind its fence."""
    first, _, below = inside.partition("\n")
    return below if first.strip().isalpha() and below.strip() else inside


def _sentence(text: str) -> str:
    """Return the answer in what stands behind a label: without emphasis and what is said after."""
    text = text.strip()
    if (inner := _end_of_last(IS, text)) is not None and text[inner:].strip():
        text = text[inner:].strip()
    text = SENTENCE_END.split(text + " ", maxsplit=1)[0].strip() if ". " in text else text
    text = CLAUSE.sub("", text).strip()
    if wrapped := WRAPPED.fullmatch(text):
        text = wrapped[2].strip()
    for mark in ("**", "__", "`"):
        if text.count(mark) % 2:
            text = text.removeprefix(mark).removesuffix(mark).strip()
    return text


# --- multiple choice -------------------------------------------------------------------

LEAD = re.compile(r"(?i)(?:the )?(?:correct |right )?(?:answer|option|choice)(?: is)?[:\s]*")
HEAD = re.compile(r"([(\[]?)([A-Da-d])(?![\w^{'\\])([)\]]?[.:,]?)\s*(.*)", re.DOTALL)
REASON = re.compile(r"(?i)(?:is|because|since|as|which|by|for|with|from|due)\b|[-\u2013\u2014(]")
LETTER = re.compile(r"(?<![\w\\{^])([A-D])(?![\w'}])")
ARTICLE = re.compile(r"(?:the|an?)\s+")


def choice(answer: str, options: Sequence[str]) -> str | None:
    """Return the letter that an answer names, or None.

    It does so by the letter itself, unless another one is named beside it, or by the words or the
    value of exactly one of the options.
    """
    text = _bare(answer)
    lead = LEAD.match(text)
    if head := HEAD.fullmatch(text[lead.end() :] if lead else text):
        bracket, letter, mark, rest = head.groups()
        if letter.isupper() and (not rest or bracket or mark or REASON.match(rest)):
            return _unopposed(letter, rest, options)
        if letter.islower() and not rest and (bracket == "(") == (mark[:1] == ")"):
            return letter.upper()
    return _named(answer, options)


def _unopposed(letter: str, rest: str, options: Sequence[str]) -> str | None:
    """Return a letter, or None where what follows it names another letter or option."""
    named = _named(rest, options)
    if named is not None:
        return letter if named == letter else None
    return None if set(LETTER.findall(rest)) - {letter} else letter


def _named(text: str, options: Sequence[str]) -> str | None:
    """Return the letter of the one option that has the words of a text, or else its value."""
    letters = [
        letter
        for letter, option in zip(LETTERS, options, strict=True)
        if _words(option) == _words(text)
    ] or [
        letter
        for letter, option in zip(LETTERS, options, strict=True)
        if len(option) <= MAX_CHARACTERS and alike(option, text)
    ]
    return letters[0] if len(letters) == 1 else None


def _bare(text: str) -> str:
    bare = inlined(plain(text.replace("**", "")))
    return re.sub(r"\s+(?=[.:,)])", "", bare).strip()


def _words(text: str) -> str:
    """Return a text in lower case without article, white space and full stop."""
    bare = _bare(text).casefold()
    if article := ARTICLE.match(bare):
        bare = bare[article.end() :]
    return re.sub(r"\s", "", bare).rstrip(".")
