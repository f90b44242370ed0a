"""What is the value of an expression of decimal numbers with a product or a quotient?"""

from collections.abc import Iterator
from fractions import Fraction

from ponder.questions.expressions import decimal, value
from ponder.questions.family import LIBRARY, Candidate, Facts, Family
from ponder.questions.gym import between, entries

HEAD = (
    "Please solve this problem to a maximum of 12 significant digits, rounding up from the half. "
    "Only reply with the final value.\n"
)
PLACES = 4  # decimals of the longest answer; library: 12 digits, rounded


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate | None]:
    """Yield expressions; None where the exact value is too long to be asked for, and for sums and
    differences alone, which the family decimal_chain_sum asks for.
    """
    for entry in entries("decimal_arithmetic", params, seed):
        expression = between(entry["question"], HEAD, " = ?", "decimal_arithmetic")
        answer = decimal(value(expression), PLACES) if set(expression) & set("*/") else None
        if answer is None or Fraction(answer) != Fraction(entry["answer"]):
            yield None
        else:
            yield Candidate(f"Calculate {expression}.", answer, {"expression": expression})


def key(facts: Facts) -> str:
    """Return the key of a question: its expression without spaces."""
    return facts["expression"].replace(" ", "")


FAMILY = Family(
    LIBRARY,
    "Apache-2.0",
    ("min_terms", "max_terms", "min_num_decimal_places", "max_num_decimal_places"),
    candidates,
    key,
)
