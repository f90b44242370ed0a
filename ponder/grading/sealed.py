"""The gold answer of a public benchmark, kept as a hash: whether an answer states it can be looked
up, and what it is stays with its owners. Pure.

A hash hides nothing that can be tried out, such as a small number; it keeps a benchmark's answers
from being read, copied and trained on by accident.
"""

import hashlib

from ponder.grading import parts
from ponder.grading.forms import in_prose, normal

DIGITS = 16  # of the SHA-256, in hex


def seal(gold: str) -> str:
    """Return 16 hex digits of the SHA-256 of an answer's normal form, its unit left out."""
    return _digest(normal(parts.read(gold).text))


def opens(answer: str, sealed: str) -> bool:
    """Return whether an answer is, as a text or an exact number, the one that was sealed.

    An answer that is equal by mathematics alone, such as another form of a root, opens nothing.
    """
    texts = (answer, parts.read(answer).text, in_prose(answer) or "")
    return sealed in {_digest(normal(text)) for text in texts}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
