"""What is a chain of sums and differences of one-digit numbers?"""

from collections.abc import Iterator

from ponder.questions.family import LIBRARY, Candidate, Facts, Family, Step
from ponder.questions.gym import between, entries


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate]:
    """Yield chains of sums and differences of one-digit numbers."""
    head = "State the final answer to the following arithmetic problem: "
    for entry in entries("chain_sum", params | {"min_digits": 1, "max_digits": 1}, seed):
        expression = between(entry["question"], head, " =", "chain_sum")
        yield Candidate(entry["question"], entry["answer"], {"expression": expression})


def key(facts: Facts) -> str:
    """Return the key of a question: its expression."""
    return facts["expression"]


def steps(facts: Facts) -> list[Step]:
    """Return each partial result."""
    first, *rest = facts["expression"].split(" ")
    solved, total = [], int(first)
    for sign, term in zip(rest[::2], rest[1::2], strict=True):
        after = total + int(term) if sign == "+" else total - int(term)
        wrong = (str(after - 1), str(after + 1))
        solved.append(Step(f"{total} {sign} {term} = ", str(after), wrong))
        total = after
    return solved


FAMILY = Family(LIBRARY, "Apache-2.0", ("min_terms", "max_terms"), candidates, key, steps)
