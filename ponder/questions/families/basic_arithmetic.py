"""What is the value of an expression with brackets?"""

from collections.abc import Iterator

from ponder.questions.expressions import value
from ponder.questions.family import LIBRARY, Candidate, Facts, Family
from ponder.questions.gym import entries


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate | None]:
    """Yield expressions; None where the library's answer is not the exact value, as it rounds
    quotients down.
    """
    for entry in entries("basic_arithmetic", params, seed):
        expression = entry["metadata"]["expression"]
        if value(expression) == int(entry["answer"]):
            yield Candidate(entry["question"], entry["answer"], {"expression": expression})
        else:
            yield None


def key(facts: Facts) -> str:
    """Return the key of a question: its expression without spaces."""
    return facts["expression"].replace(" ", "")


FAMILY = Family(
    LIBRARY, "Apache-2.0", ("min_terms", "max_terms", "min_digits", "max_digits"), candidates, key
)
