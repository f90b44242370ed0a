"""Sort some whole numbers."""

from collections.abc import Iterator

from ponder.questions.family import LIBRARY, Candidate, Facts, Family, Step
from ponder.questions.gym import between, entries
from ponder.questions.sorting import order_key, picks, sorted_items

SORTING_FORMAT = """
Please follow the instruction below:
## 1. Let all your answers be a list of numbers. Instead of reporting your answer as \
-69, -13, 1, 7, 11, 43, 59, 61, use ['-69', '-13', '1', '7', '11', '43', '59', '61'] instead
## 2. Convert all numbers in the square brackets as strings. For example, \
['-69', '-13', '1', '7', '11', '43', '59', '61']
"""


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate]:
    """Yield sorting questions about integers (the library writes them as "5.0")."""
    whole = {"min_decimals": 0, "max_decimals": 0}
    limits = {name: float(params[name]) for name in ("min_value", "max_value")}
    for entry in entries("number_sorting", params | whole | limits, seed):
        metadata = entry["metadata"]
        head = f"Sort these numbers in {metadata['direction']} order: "
        body = between(entry["question"], head, SORTING_FORMAT, "number_sorting")
        numbers = [int(float(number)) for number in body.split(", ")]
        ordered = [str(int(float(number))) for number in metadata["sorted_numbers"]]
        facts = {"direction": metadata["direction"], "numbers": numbers}
        yield Candidate(head + ", ".join(map(str, numbers)), ", ".join(ordered), facts)


def key(facts: Facts) -> str:
    """Return the key of a question: direction and numbers, in any order."""
    return order_key(facts["direction"], facts["numbers"])


def steps(facts: Facts) -> list[Step]:
    """Return a line for each pick."""
    return picks([str(number) for number in facts["numbers"]], int, facts["direction"])


FAMILY = Family(
    LIBRARY,
    "Apache-2.0",
    ("min_numbers", "max_numbers", "min_value", "max_value"),
    candidates,
    key,
    steps,
    sorted_items,
)
