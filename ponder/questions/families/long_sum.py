"""What is a chain of sums and differences of numbers with several digits?

The library's chain_sum at the size for which a model needs no short chain: the family chain_sum is
the same with one digit, and solved by a program.
"""

from collections.abc import Iterator

from ponder.questions.family import LIBRARY, Candidate, Facts, Family
from ponder.questions.gym import between, entries

HEAD = "State the final answer to the following arithmetic problem: "


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate]:
    """Yield chains of sums and differences."""
    for entry in entries("chain_sum", params, seed):
        expression = between(entry["question"], HEAD, " =", "chain_sum")
        yield Candidate(entry["question"], entry["answer"], {"expression": expression})


def key(facts: Facts) -> str:
    """Return the key of a question: its expression without spaces."""
    return facts["expression"].replace(" ", "")


FAMILY = Family(
    LIBRARY, "Apache-2.0", ("min_terms", "max_terms", "min_digits", "max_digits"), candidates, key
)
