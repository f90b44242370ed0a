"""The control without a model: answer with the answer of the most similar training question."""

import re
from collections.abc import Sequence

from ponder.rows import Trace


def words(text: str) -> frozenset[str]:
    """Return the set of words, numbers and signs of a text, in one case."""
    return frozenset(re.findall(r"\w+|[^\w\s]", text.casefold()))


def nearest(question: str, traces: Sequence[Trace]) -> Trace:
    """Return the trace whose question shares the largest share of words; the first of equals.

    The share is Jaccard's: words that both have, divided by words that either has.
    """
    own = words(question)

    def similarity(trace: Trace) -> float:
        others = words(trace.question)
        return len(own & others) / len(own | others)

    return max(traces, key=similarity)
