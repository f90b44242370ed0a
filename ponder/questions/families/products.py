"""What is the product of some numbers?"""

from collections.abc import Iterator

from ponder.questions.family import LIBRARY, Candidate, Facts, Family
from ponder.questions.gym import entries

TAIL = " Give only the result as your final answer."


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate]:
    """Yield multiplications."""
    for entry in entries("products", params, seed):
        facts = {"expression": entry["metadata"]["expression"]}
        yield Candidate(entry["question"].removesuffix(TAIL), entry["answer"], facts)


def key(facts: Facts) -> str:
    """Return the key of a question: its factors, in any order."""
    return "*".join(sorted(facts["expression"].split(" * "), key=int))


FAMILY = Family(
    LIBRARY, "Apache-2.0", ("min_terms", "max_terms", "min_digits", "max_digits"), candidates, key
)
