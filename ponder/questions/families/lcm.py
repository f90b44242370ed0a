"""What is the least common multiple of some numbers?"""

from collections.abc import Iterator

from ponder.questions.family import LIBRARY, Candidate, Facts, Family
from ponder.questions.gym import entries


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate]:
    """Yield questions about the least common multiple of some numbers."""
    for entry in entries("lcm", params, seed):
        facts = {"numbers": entry["metadata"]["numbers"]}
        yield Candidate(entry["question"], entry["answer"], facts)


def key(facts: Facts) -> str:
    """Return the key of a question: its numbers, in any order."""
    return "lcm " + " ".join(map(str, sorted(facts["numbers"])))


FAMILY = Family(
    LIBRARY,
    "Apache-2.0",
    ("min_numbers", "max_numbers", "min_value", "max_value"),
    candidates,
    key,
)
