"""The gold answer of a public benchmark, kept as a hash: what it is stays with its owners. Pure.

A hash hides nothing that can be tried out. It keeps a benchmark's answers from being read, copied
and trained on by accident; and who audits a run finds whole numbers and letters by trying them, so
that their answers can be graded again.
"""

import functools
import hashlib
import itertools

from ponder.grading import parts
from ponder.grading.answers import LETTERS
from ponder.grading.forms import normal

DIGITS = 16  # of the SHA-256, in hex
TRIED = 1_000_000  # whole numbers from 0; few answers of GSM8K are larger, or below 0


def seal(gold: str) -> str:
    """Return 16 hex digits of the SHA-256 of an answer's normal form, its unit left out."""
    return _digest(normal(parts.read(gold).text))


def opened(sealed: str) -> str | None:
    """Return the whole number up to TRIED, or the letter of an option, that has a seal."""
    return _tried().get(sealed)


@functools.cache
def _tried() -> dict[str, str]:
    """Return {seal: what has it}."""
    candidates = itertools.chain(LETTERS, map(str, range(TRIED + 1)))
    return {_digest(text): text for text in candidates}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
