"""Which number solves an equation of the first degree?"""

from collections.abc import Iterator

from ponder.questions.family import LIBRARY, Candidate, Facts, Family
from ponder.questions.gym import entries


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate]:
    """Yield equations in one unknown, whose solution is a whole number."""
    for entry in entries("simple_equations", params, seed):
        metadata = entry["metadata"]
        facts = {"equation": metadata["equation"], "variable": metadata["variable"]}
        yield Candidate(entry["question"], entry["answer"], facts)


def key(facts: Facts) -> str:
    """Return the key of a question: its equation, whatever its unknown is called."""
    return facts["equation"].replace(facts["variable"], "x")


FAMILY = Family(
    LIBRARY, "Apache-2.0", ("min_terms", "max_terms", "min_value", "max_value"), candidates, key
)
