"""What is a truth value after some operations?"""

import random
from collections.abc import Iterator

from ponder.questions.family import OWN, Candidate, Facts, Family, Step


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate]:
    """Yield questions about a truth value after some operations.

    Every draw is as likely as its mirror image (and/or, True/False exchanged), so both answers are
    equally likely.
    """
    rng = random.Random(f"candidates/boolean/{seed}")
    while True:
        start = rng.choice((True, False))
        value = start
        operations = []
        for _ in range(rng.randint(params["min_operations"], params["max_operations"])):
            word, other = rng.choice(("and", "or", "xor", "not")), rng.choice((True, False))
            if word == "not":
                value = not value
            elif word == "and":
                value = value and other
            elif word == "or":
                value = value or other
            else:
                value = value != other
            operations.append("not" if word == "not" else f"{word} {other}")
        question = f"Start with {start}. Then: {', '.join(operations)}. What is the result?"
        yield Candidate(question, str(value), {"start": str(start), "operations": operations})


def key(facts: Facts) -> str:
    """Return the key of a question: the start and the operations."""
    return f"{facts['start']} {', '.join(facts['operations'])}"


def steps(facts: Facts) -> list[Step]:
    """Return the start, and the value after each operation."""
    solved = [Step("", facts["start"])]
    for operation in facts["operations"]:
        value = truth(solved[-1].value == "True", operation)
        solved.append(Step(f"{operation}: ", str(value), (str(not value),)))
    return solved


def truth(value: bool, operation: str) -> bool:
    """Return the value after one operation, such as "not" or "xor True"."""
    word, _, operand = operation.partition(" ")
    if word == "not":
        return not value
    other = operand == "True"
    return {"and": value and other, "or": value or other, "xor": value != other}[word]


FAMILY = Family(OWN, "Apache-2.0", ("min_operations", "max_operations"), candidates, key, steps)
