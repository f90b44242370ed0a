"""The text of token ids, from the released tokenizer.json alone: a byte-level BPE, read as JSON and
without its library.
"""

import functools
import hashlib
import itertools
import re

from ponder.audit.checks import DATA, Findings, completed, contents, read, samples, shown
from ponder.rows import SampleRow

TOKENIZER = DATA / "tokenizer.json"


@functools.cache
def vocabulary() -> tuple[dict[int, bytes], dict[int, str], str]:
    """Return ({id: bytes}, {id: text} of the added tokens, which stand for themselves, and the
    first 16 hex digits of the file's SHA-256, as samples name it) of the released tokenizer.
    """
    tokenizer, byte_of = read(TOKENIZER), bytes_of_characters()
    added = {entry["id"]: entry["content"] for entry in tokenizer["added_tokens"]}
    learnt = {
        number: bytes(byte_of[character] for character in token)
        for token, number in tokenizer["model"]["vocab"].items()
        if number not in added
    }
    all_tokens = learnt | {number: text.encode() for number, text in added.items()}
    return all_tokens, added, hashlib.sha256(contents(TOKENIZER)).hexdigest()[:16]


def bytes_of_characters() -> dict[str, int]:
    """Return {character: byte} as GPT-2's vocabulary spells bytes: printable ones as themselves,
    the others as the characters from 256 on.
    """
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in plain)
    spelled = {chr(256 + number): byte for number, byte in enumerate(others)}
    return {chr(byte): byte for byte in plain} | spelled


def text(ids: list[int]) -> str:
    """Return the text of token ids; bytes that are no whole character become the replacement
    character.
    """
    tokens_of = vocabulary()[0]
    return b"".join(tokens_of[number] for number in ids).decode(errors="replace")


def is_in_vocabulary(sample: SampleRow) -> bool:
    """Whether a sample has token ids, all of the released vocabulary, and names no other one."""
    known, _, digest = vocabulary()
    names_another = sample.tokenizer_sha256 and sample.tokenizer_sha256 != digest
    return bool(sample.ids) and not names_another and known.keys() >= {*sample.ids}


def readable(sample: SampleRow) -> bool:
    """Whether the released tokenizer made a sample: by its hash and, since older samples name
    none, by what it says without its added tokens, which replies leave out.
    """
    if not TOKENIZER.exists() or not is_in_vocabulary(sample):
        return False
    added = vocabulary()[1]
    whole = text([number for number in sample.ids if number not in added])
    thinking = sample.thinking
    for name in added.values():
        thinking = thinking.replace(name, "")
    return thinking in whole and sample.reply in whole


def pieces(
    sample: SampleRow, start: int = 0, stop: int | None = None
) -> list[tuple[str, bool]] | None:
    """Return [(text, forced)] of a sample's tokens from `start` to `stop`, neighbours of a kind as
    one; None if not readable.
    """
    if not readable(sample):
        return None
    forced, span = {*sample.forced}, range(len(sample.ids))[start:stop]
    return [
        (text([sample.ids[position] for position in positions]), is_forced)
        for is_forced, positions in itertools.groupby(span, forced.__contains__)
    ]


MODEL = "smollm2-135m"  # whose tokenizer is released
# All that may part thinking and reply.
DELIMITER = re.compile(r"\n?(?:<\|im_(?:start|end)\|>(?:answer)?\n?)*")


def says(sample: SampleRow) -> bool:
    """Whether a sample's tokens are its thinking, a delimiter, and its reply."""
    ids, count = sample.ids, sample.num_thinking
    turns = {number for number, name in vocabulary()[1].items() if name.startswith("<|im_")}
    for cut in {count, count + 1, len(ids)} & {*range(len(ids) + 1)}:
        if text(ids[:cut]).removesuffix("\n") != sample.thinking:
            continue
        for start in range(cut, cut + 5):
            reply = text([number for number in ids[start:] if number not in turns]).strip()
            if reply == sample.reply and DELIMITER.fullmatch(text(ids[cut:start])):
                return True
    return False


def tokens() -> Findings:
    """Whether thinking and reply of each answer are what its token ids say in the released
    vocabulary.
    """
    problems, count, other = [], 0, 0
    for folder in completed("evaluate"):
        config = read(folder / "config.yaml")
        for number, sample in enumerate(samples(folder), 1):
            no_model_answered = (
                sample.finish == "rejected" or config["subject"]["kind"] == "nearest"
            )
            if config["model"]["name"] != MODEL or (not sample.ids and no_model_answered):
                other += 1
                continue
            count += 1
            if not is_in_vocabulary(sample) or not says(sample):
                problems.append(
                    f"{shown(folder)}/samples.jsonl row {number}: its token ids say something else "
                    "than its text"
                )
    looked_at = f"{count:,} answers; {other:,} without tokens, or of another tokenizer"
    return Findings(looked_at, problems)
