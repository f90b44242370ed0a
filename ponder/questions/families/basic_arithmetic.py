"""What is the value of an expression with brackets or several kinds of signs?"""

import re
from collections.abc import Iterator

from ponder.questions.expressions import value
from ponder.questions.family import LIBRARY, Candidate, Facts, Family
from ponder.questions.gym import entries

# A product, or a chain of sums and differences: the families products and long_sum ask for those.
PLAIN = re.compile(r"\d+(?: \* \d+)*|\d+(?: [+-] \d+)*")


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate | None]:
    """Yield expressions; None for one of another family, and where the library's answer is not the
    exact value, as it rounds quotients down.
    """
    for entry in entries("basic_arithmetic", params, seed):
        expression = entry["metadata"]["expression"]
        if PLAIN.fullmatch(expression) or value(expression) != int(entry["answer"]):
            yield None
        else:
            yield Candidate(entry["question"], entry["answer"], {"expression": expression})


def key(facts: Facts) -> str:
    """Return the key of a question: its expression without spaces."""
    return facts["expression"].replace(" ", "")


FAMILY = Family(
    LIBRARY, "Apache-2.0", ("min_terms", "max_terms", "min_digits", "max_digits"), candidates, key
)
