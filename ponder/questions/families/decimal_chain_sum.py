"""What is a chain of sums and differences of decimal numbers?"""

from collections.abc import Iterator

from ponder.questions.expressions import decimal, value
from ponder.questions.family import LIBRARY, Candidate, Facts, Family
from ponder.questions.gym import between, entries

HEAD = "State the final answer to the following arithmetic problem: "
PARAMS = (
    "min_terms",
    "max_terms",
    "min_digits",
    "max_digits",
    "min_decimal_places",
    "max_decimal_places",
)


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate | None]:
    """Yield chains of sums and differences; None where the library's answer is not exact."""
    for entry in entries("decimal_chain_sum", params, seed):
        expression = between(entry["question"], HEAD, " =", "decimal_chain_sum")
        exact = value(expression)
        answer = decimal(exact, params["max_decimal_places"])
        if answer is None or value(entry["answer"]) != exact:
            yield None
        else:
            yield Candidate(entry["question"], answer, {"expression": expression})


def key(facts: Facts) -> str:
    """Return the key of a question: its expression without spaces."""
    return facts["expression"].replace(" ", "")


FAMILY = Family(LIBRARY, "Apache-2.0", PARAMS, candidates, key)
