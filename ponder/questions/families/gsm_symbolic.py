"""Word problems of reasoning-gym that were made from questions of GSM8K's test split.

Names and numbers are variables in about 90 templates, so whoever trains on them has seen the form
of those test questions. Decontamination looks for their words.
"""

import re
from collections.abc import Iterator

from ponder.questions.family import LIBRARY, Candidate, Facts, Family
from ponder.questions.gym import between, data_set

TAIL = " Give the result as your final answer. Do not include units."
NUMBER = re.compile(r"\d+(?:[.,/]\d+)*")
ANSWER = re.compile(r"\d{1,9}(?:\.\d{1,2})?")
SIZE = 1_000_000  # the library draws the template of each entry at once, as many as it is told


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate | None]:
    """Yield word problems; None where a number is a fraction that the library wrote as a long
    decimal, and where the answer is negative or no simple number.
    """
    made = data_set("gsm_symbolic", params, seed, SIZE)
    for index, template in enumerate(made.task_indices):
        entry = made[index]
        question = between(entry["question"], "", TAIL, "gsm_symbolic")
        numbers = NUMBER.findall(question)
        is_long = any(len(number.partition(".")[2]) > 2 for number in numbers)
        if is_long or not ANSWER.fullmatch(entry["answer"]):
            yield None
            continue
        facts = {"template": template, "numbers": numbers, "answer": entry["answer"]}
        yield Candidate(question, entry["answer"], facts)


def key(facts: Facts) -> str:
    """Return the key of a question: template, numbers in their order and answer, not the names.

    The answer stands for numbers that are written as words.
    """
    return f"gsm {facts['template']}: {' '.join(facts['numbers'])} = {facts['answer']}"


FAMILY = Family(LIBRARY, "Apache-2.0", (), candidates, key)
