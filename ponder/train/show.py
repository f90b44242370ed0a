"""Training rows as the loss sees them, token by token, for a reader: train.py show=3.

What a chat template, a delimiter or a mask does to a row cannot be seen in its text. Plain text,
without colour or control characters, whatever a row contains.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ponder import rows
from ponder.chat import Chat
from ponder.rows import Trace
from ponder.train import batches, packing, sft

if TYPE_CHECKING:
    from ponder.study import Study

WIDTH = 76  # characters of the tokens on a line; a longer line goes on below
LEGEND = "[special tokens] in brackets, 'text' in quotes; loss: the model learns to write these"
BROKEN = "\N{REPLACEMENT CHARACTER}"  # what a tokenizer writes for a part of a character
BYTES = 4  # of the longest character in UTF-8


@dataclass(frozen=True)
class Token:
    """What a reader sees at one place of a row.

    It is several tokens where a character is spread over them.
    """

    at: int  # the first token, counted from 0
    ids: tuple[int, ...]
    text: str  # quoted, or in brackets for a special token
    loss: bool
    opens: str  # the delimiter that begins here, or ""


def report(path: Path, chat: Chat, study: Study) -> str:
    """Return the first study.show rows that training sees, and how long all rows are.

    `path` is the train.jsonl of the run. Raises UserError like sft.tokenise_rows.
    """
    traces = list(rows.read(Trace, path))
    records = list(sft.tokenise_rows(path, chat, study.train))
    lengths = [len(record["ids"]) for record in records]
    with_loss = sum(len(_loss_positions(record["ids"], record["loss"])) for record in records)
    steps = batches.order(len(records), 1, study.train.batch_rows, study.seed)
    indices = [index for step in steps for index in step][: study.show]
    head = (
        f"{len(records)} rows of {min(lengths)} to {max(lengths)} tokens "
        f"(train.max_tokens={study.train.max_tokens}), {sum(lengths)} tokens, "
        f"{with_loss} of them with loss; the first {len(indices)} that training sees.\n{LEGEND}"
    )
    shown = [
        row(traces[index], records[index]["ids"], records[index]["loss"], chat) for index in indices
    ]
    return "\n\n".join([head, *shown])


def row(trace: Trace, ids: Sequence[int], loss: Sequence[int], chat: Chat) -> str:
    """Return one row: its lengths, what of its trace it lacks, and its tokens."""
    tokens = list(_tokens(ids, loss, chat))
    with_loss = _loss_positions(ids, loss)
    thinking = _thinking(ids, chat)
    facts = [f"{len(ids)} tokens", f"{len(with_loss)} with loss"]
    if thinking is not None:
        facts.append(f"{thinking} of thinking")
    lines = [f"row {_plain(trace.id)} ({_plain(trace.family)}): {', '.join(facts)}"]
    lines += _missing(trace, ids, chat)
    lines.append("    at  loss  opens     tokens")
    for line in _lines(tokens):
        first = line[0]
        mark = "loss" if first.loss else ""
        text = " ".join(token.text for token in line)
        lines.append(f"{first.at:>6}  {mark:<4}  {first.opens:<8}  {text}")
    return "\n".join(lines)


def printable(text: str, encoding: str | None) -> str:
    """Return text as a terminal of an encoding can print it, escaping what that does not have."""
    name = encoding or "ascii"
    return text.encode(name, "backslashreplace").decode(name)


def _plain(text: str) -> str:
    """Return text on one line, control characters escaped."""
    return repr(text)[1:-1]


def _loss_positions(ids: Sequence[int], loss: Sequence[int]) -> list[int]:
    """Return the positions of the tokens that the loss is over, by the code that computes it."""
    before_L = packing.pack([(list(ids), list(loss))]).before_L
    return [position + 1 for position in before_L.tolist()]


def _missing(trace: Trace, ids: Sequence[int], chat: Chat) -> list[str]:
    """Return a line for each delimiter and each text of a trace that is not in its row."""
    text = chat.decode(ids)
    lines = []
    for name, delimiter in _delimiters(chat).items():
        if not _places(ids, delimiter):
            lines.append(f"  NOT IN THIS ROW: the delimiter of the {name}")
    for name, part in (("thinking", trace.think), ("answer", trace.answer)):
        parts = [line for line in part.split("\n") if line.strip()]
        lost = [p for p in parts if chat.decode(chat.encode(p)).strip() not in text]
        if lost:
            lines.append(
                f"  NOT IN THIS ROW: {len(lost)} of the {len(parts)} lines of the trace's {name}, "
                f"the first is {lost[0][:60]!r}"
            )
    return lines


def _delimiters(chat: Chat) -> dict[str, Sequence[int]]:
    """Return the ids of a model's delimiters by what they open; those that it does not use are out.

    Counted steps have no opening of their own: each begins with a turn.
    """
    delimiters = {
        "thinking": [] if chat.counted else chat.think_open,
        "answer": chat.answer_open,
        "final": chat.final,
    }
    return {name: ids for name, ids in delimiters.items() if ids}


def _places(ids: Sequence[int], part: Sequence[int]) -> list[int]:
    """Return where a part begins in a list of ids, in order."""
    wanted, count = list(part), len(part)
    return [at for at in range(len(ids) - count + 1) if list(ids[at : at + count]) == wanted]


def _thinking(ids: Sequence[int], chat: Chat) -> int | None:
    """Return how many tokens lie between the two delimiters of the thinking, or None without them.

    Those of the line end before the answer's delimiter count as well.
    """
    delimiters = _delimiters(chat)
    begins = _places(ids, delimiters.get("thinking", ()) or (chat.turn_start,))
    ends = _places(ids, delimiters.get("answer") or chat.final)
    if "thinking" not in delimiters or not begins or not ends or ends[-1] < begins[-1]:
        return None
    return ends[-1] - begins[-1] - len(delimiters["thinking"])


def _tokens(ids: Sequence[int], loss: Sequence[int], chat: Chat) -> Iterator[Token]:
    """Yield the Tokens of a row."""
    with_loss = set(_loss_positions(ids, loss))
    opens = {
        place: name
        for name, delimiter in _delimiters(chat).items()
        for place in _places(ids, delimiter)
    }
    special = set(chat.tokenizer.all_special_ids)
    special |= {i for i, token in chat.tokenizer.added_tokens_decoder.items() if token.special}
    at = 0
    while at < len(ids):
        count, text = _text_at(ids, at, special, chat)
        is_special = ids[at] in special
        shown = f"[{_plain(text)}]" if is_special else repr(text)
        if count > 1:
            shown += f"/{count}"  # tokens of one character
        yield Token(at, tuple(ids[at : at + count]), shown, at in with_loss, opens.get(at, ""))
        at += count


def _text_at(ids: Sequence[int], at: int, special: set[int], chat: Chat) -> tuple[int, str]:
    """Return (number of tokens, their text) at a position, a character never divided.

    The token before is decoded too: of some tokenizers the first one loses its space.
    """
    before = list(ids[at - 1 : at]) if at else []
    prefix = chat.decode(before) if before else ""
    for count in range(1, BYTES + 1):
        part = list(ids[at : at + count])
        text = chat.decode(before + part)
        text = text[len(prefix) :] if text.startswith(prefix) else chat.decode(part)
        if BROKEN not in text:
            return count, text
        if at + count == len(ids) or ids[at + count] in special:
            break
    return 1, chat.decode(ids[at : at + 1])


def _lines(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the tokens line by line: a line ends where the text's does, or the loss changes."""
    line: list[Token] = []
    for token in tokens:
        width = sum(len(other.text) + 1 for other in line) + len(token.text)
        turn = token.text.startswith("[") and line and not line[-1].text.startswith("[")
        if line and (token.opens or token.loss != line[0].loss or width > WIDTH or turn):
            yield line
            line = []
        line.append(token)
        if "\\n" in token.text:
            yield line
            line = []
    if line:
        yield line
