"""What is the greatest common divisor of some numbers?"""

from collections.abc import Iterator

from ponder.questions.family import LIBRARY, Candidate, Facts, Family
from ponder.questions.gym import entries

LEAST = 5  # of an answer: three of four draws have a smaller one
TAIL = " Give only the GCD as your final answer."


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate | None]:
    """Yield questions about the greatest common divisor; None where a guess would do."""
    for entry in entries("gcd", params, seed):
        if int(entry["answer"]) < LEAST:
            yield None
            continue
        facts = {"numbers": entry["metadata"]["numbers"]}
        yield Candidate(entry["question"].removesuffix(TAIL), entry["answer"], facts)


def key(facts: Facts) -> str:
    """Return the key of a question: its numbers, in any order."""
    return "gcd " + " ".join(map(str, sorted(facts["numbers"])))


FAMILY = Family(
    LIBRARY,
    "Apache-2.0",
    ("min_numbers", "max_numbers", "min_value", "max_value"),
    candidates,
    key,
)
