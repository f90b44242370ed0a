"""The text of token ids, from a released tokenizer.json alone: a byte-level BPE, read as JSON and
without its library.
"""

import functools
import hashlib
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.audit.checks import (
    Findings,
    answers_file,
    completed,
    contents,
    read,
    samples,
    tokenizers,
)
from ponder.rows import ABSENT, SampleRow


@dataclass(frozen=True)
class Vocabulary:
    """What a released tokenizer.json says of its token ids."""

    path: Path
    digest: str  # first 16 hex digits of the file's SHA-256, as samples name it
    bytes_of: dict[int, bytes]
    added: dict[int, str]  # the text of the added tokens, which stand for themselves


@functools.cache
def vocabulary(path: Path) -> Vocabulary:
    """Return the Vocabulary of a tokenizer.json; raises RecordError."""
    tokenizer, byte_of = read(path), bytes_of_characters()
    # By a table, for there are 200,000 tokens; a character that spells no byte fails.
    table = dict.fromkeys(range(256), "\uffff")
    table |= {ord(character): chr(byte) for character, byte in byte_of.items()}
    added = {entry["id"]: entry["content"] for entry in tokenizer["added_tokens"]}
    learnt = {
        number: token.translate(table).encode("latin-1")
        for token, number in tokenizer["model"]["vocab"].items()
        if number not in added
    }
    all_tokens = learnt | {number: text.encode() for number, text in added.items()}
    return Vocabulary(path, hashlib.sha256(contents(path)).hexdigest()[:16], all_tokens, added)


def released() -> dict[str, Vocabulary]:
    """Return {digest: its Vocabulary} of the released tokenizers."""
    found = map(vocabulary, tokenizers())
    return {known.digest: known for known in found}


def vocabulary_of(folder: Path) -> Vocabulary | None:
    """Return the Vocabulary that an evaluation's token ids are of, None where it is not released.

    Its samples name it; where older ones do not, it is that of the same model elsewhere.
    """
    named = samples(folder)[0].tokenizer_sha256 if samples(folder) else ABSENT
    if named is ABSENT:
        named = tokenizers_of_models().get(model_of(folder))
    return released().get(named or "")


def model_of(folder: Path) -> str:
    """Return the name of an evaluation's model."""
    return read(folder / "config.yaml")["model"]["name"]


@functools.cache
def tokenizers_of_models() -> dict[str, str]:
    """Return {model: digest of its tokenizer} from the evaluations whose samples name it."""
    named = {}
    for folder in completed("evaluate"):
        first = samples(folder)[:1]
        if first and first[0].tokenizer_sha256:
            named[model_of(folder)] = first[0].tokenizer_sha256
    return named


def bytes_of_characters() -> dict[str, int]:
    """Return {character: byte} as GPT-2's vocabulary spells bytes: printable ones as themselves,
    the others as the characters from 256 on.
    """
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in plain)
    spelled = {chr(256 + number): byte for number, byte in enumerate(others)}
    return {chr(byte): byte for byte in plain} | spelled


def text(ids: Iterable[int], known: Vocabulary) -> str:
    """Return the text of token ids; bytes that are no whole character become the replacement
    character.
    """
    return b"".join(known.bytes_of[number] for number in ids).decode(errors="replace")


def is_in_vocabulary(sample: SampleRow, known: Vocabulary) -> bool:
    """Whether a sample has token ids, all of a vocabulary, and names no other one."""
    names_another = sample.tokenizer_sha256 and sample.tokenizer_sha256 != known.digest
    return bool(sample.ids) and not names_another and known.bytes_of.keys() >= {*sample.ids}


def readable(sample: SampleRow) -> Vocabulary | None:
    """Return the released Vocabulary that made a sample: by its hash and, since older samples name
    none, by what it says without its added tokens, which replies leave out; None for none.
    """
    return next((known for known in released().values() if _says_all(sample, known)), None)


def _says_all(sample: SampleRow, known: Vocabulary) -> bool:
    if not is_in_vocabulary(sample, known):
        return False
    whole = text([number for number in sample.ids if number not in known.added], known)
    thinking = sample.thinking
    for name in known.added.values():
        thinking = thinking.replace(name, "")
    return thinking in whole and sample.reply in whole


def pieces(
    sample: SampleRow, start: int = 0, stop: int | None = None
) -> list[tuple[str, bool]] | None:
    """Return [(text, forced)] of a sample's tokens from `start` to `stop`, neighbours of a kind as
    one; None if not readable.
    """
    known = readable(sample)
    if known is None:
        return None
    forced, span = {*sample.forced}, range(len(sample.ids))[start:stop]
    return [
        (text([sample.ids[position] for position in positions], known), is_forced)
        for is_forced, positions in itertools.groupby(span, forced.__contains__)
    ]


def says(sample: SampleRow, known: Vocabulary, delimiters: dict[str, Any]) -> bool:
    """Whether a sample's tokens are its thinking, a delimiter, and its reply."""
    ids, count = sample.ids, sample.num_thinking
    ends = delimiters["turn_start"], delimiters["turn_end"]
    turns = {number for number, name in known.added.items() if name in ends}
    for cut in {count, count + 1, len(ids)} & {*range(len(ids) + 1)}:
        if text(ids[:cut], known).removesuffix("\n") != sample.thinking:
            continue
        for start in range(cut, cut + 5):
            reply = text([number for number in ids[start:] if number not in turns], known).strip()
            parted = _parting(delimiters).fullmatch(text(ids[cut:start], known))
            if reply == sample.reply and parted:
                return True
    return False


def _parting(delimiters: dict[str, Any]) -> re.Pattern[str]:
    """Return the pattern of all that may part thinking and reply."""
    start, end = (re.escape(delimiters[name]) for name in ("turn_start", "turn_end"))
    answer = re.escape(delimiters["answer"] or "")
    return re.compile(rf"\n?(?:(?:{start}|{end})(?:{answer})?\n?)*")


def tokens() -> Findings:
    """Whether thinking and reply of each answer are what its token ids say in a released
    vocabulary.
    """
    problems, count, other = [], 0, 0
    for folder in completed("evaluate"):
        config, known = read(folder / "config.yaml"), vocabulary_of(folder)
        is_nearest = config["subject"]["kind"] == "nearest"
        for number, sample in enumerate(samples(folder), 1):
            no_model_answered = sample.finish == "rejected" or is_nearest
            if known is None or (not sample.ids and no_model_answered):
                other += 1
                continue
            count += 1
            delimiters = config["model"]["delimiters"]
            if not is_in_vocabulary(sample, known) or not says(sample, known, delimiters):
                problems.append(
                    f"{answers_file(folder)} row {number}: its token ids say something else "
                    "than its text"
                )
    looked_at = f"{count:,} answers; {other:,} without tokens, or of a tokenizer not released"
    return Findings(looked_at, problems)
