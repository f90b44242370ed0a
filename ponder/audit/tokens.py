"""The text of token ids, from the released tokenizer.json alone: a byte-level BPE, read as JSON and without its library."""

import functools
import hashlib
import itertools
import re

from ponder.audit.checks import DATA, completed, contents, read, shown

TOKENIZER = DATA / "tokenizer.json"


@functools.cache
def vocabulary():
    """Return ({id: bytes}, added, digest) of the released tokenizer: added {id: text} stand for themselves; the first 16 hex digits
    of its SHA-256, as samples name it."""
    found = read(TOKENIZER)
    plain = [
        *range(33, 127),
        *range(161, 173),
        *range(174, 256),
    ]  # GPT-2 writes these bytes as themselves, and the others
    moved = (byte for byte in range(256) if byte not in plain)  # as the characters from 256 on
    byte_of = {chr(byte): byte for byte in plain} | {
        chr(256 + n): byte for n, byte in enumerate(moved)
    }
    added = {entry["id"]: entry["content"] for entry in found["added_tokens"]}
    learnt = {
        number: bytes(byte_of[c] for c in token)
        for token, number in found["model"]["vocab"].items()
        if number not in added
    }
    known = learnt | {number: said.encode() for number, said in added.items()}
    return known, added, hashlib.sha256(contents(TOKENIZER)).hexdigest()[:16]


def text(ids):
    """Return the text of token ids; bytes that are no whole character become the replacement character."""
    return b"".join(vocabulary()[0][number] for number in ids).decode(errors="replace")


def readable(sample):
    """Whether the released tokenizer made a sample: by its hash and, since older samples name none, by what it says without its
    added tokens, which replies leave out."""
    known, added, digest = vocabulary() if TOKENIZER.exists() else ({}, {}, "")
    if (
        not sample["ids"]
        or sample.get("tokenizer_sha256") not in (None, digest)
        or not known.keys() >= {*sample["ids"]}
    ):
        return False
    said, thinking = (
        text(number for number in sample["ids"] if number not in added),
        sample["thinking"],
    )
    for name in added.values():
        thinking = thinking.replace(name, "")
    return thinking in said and sample["reply"] in said


def pieces(sample, start=0, stop=None):
    """Return [(text, forced)] of a sample's tokens from `start` to `stop`, neighbours of a kind as one; None if not readable."""
    if not readable(sample):
        return None
    forced, span = {*sample["forced"]}, range(len(sample["ids"]))[start:stop]
    return [
        (text(sample["ids"][position] for position in positions), kind)
        for kind, positions in itertools.groupby(span, forced.__contains__)
    ]


MODEL = "smollm2-135m"  # whose tokenizer is released
DELIMITER = re.compile(
    r"\n?(?:<\|im_(?:start|end)\|>(?:answer)?\n?)*"
)  # all that may part thinking and reply


def says(sample):
    """Whether a sample's tokens are its thinking, a delimiter, and its reply."""
    ids, count = sample["ids"], sample["num_thinking"]
    turns = {number for number, name in vocabulary()[1].items() if name.startswith("<|im_")}
    for cut in {count, count + 1, len(ids)} & {*range(len(ids) + 1)}:
        if text(ids[:cut]).removesuffix("\n") == sample["thinking"]:
            for start in range(cut, cut + 5):
                reply = text(number for number in ids[start:] if number not in turns).strip()
                if reply == sample["reply"] and DELIMITER.fullmatch(text(ids[cut:start])):
                    return True
    return False


def tokens():
    """Whether thinking and reply of each answer are what its token ids say in the released vocabulary."""
    problems, count, other = [], 0, 0
    known, _, digest = vocabulary()
    for folder in completed("evaluate"):
        made = read(folder / "config.yaml")
        for number, sample in enumerate(read(folder / "samples.jsonl"), 1):
            no_tokens = not sample["ids"] and (
                sample["finish"] == "rejected" or made["subject"]["kind"] == "nearest"
            )
            if no_tokens or made["model"]["name"] != MODEL:
                other += 1
                continue
            count += 1
            of_it = (
                sample.get("tokenizer_sha256", digest) == digest
                and sample["ids"]
                and known.keys() >= {*sample["ids"]}
            )
            if not of_it or not says(sample):
                problems.append(
                    f"{shown(folder)}/samples.jsonl row {number}: its token ids say something else than its text"
                )
    return f"{count:,} answers; {other:,} without tokens, or of another tokenizer", problems
