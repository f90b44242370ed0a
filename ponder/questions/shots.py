"""Worked examples to put before a question: drawn questions that nobody is asked, solved."""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from ponder.errors import UserError
from ponder.questions import drawn, solver

Example = tuple[str, str, str]  # (question, thinking, answer)


def worked_examples(
    directory: Path | str, families: Iterable[str], number: int, splits: Sequence[str]
) -> dict[str, tuple[Example, ...]]:
    """Return {family: `number` examples}, from the first of `splits` that has the family.

    Raises UserError for a family that none of the splits has (a transfer family stands in dev
    alone, so dev cannot be asked with examples), or that has too few questions there.
    """
    questions_of = {split: drawn.read_split(directory, split) for split in splits}
    examples = {}
    for family in sorted(families):
        candidates: list[drawn.Question] = []
        for split in splits:
            candidates = [q for q in questions_of[split] if q.family == family]
            if candidates:
                break
        questions = candidates[:number]
        if not questions and len(splits) == 1:
            raise UserError(
                f"{family} has no question in {splits[0]} to show as a worked example, and "
                "examples never come from what is asked; leave the family out, or set "
                "benchmark.split=test"
            )
        if len(questions) < number:
            raise UserError(
                f"shots={number}, but {family} has {len(questions)} questions to show; lower it"
            )
        examples[family] = tuple(_example(question) for question in questions)
    return examples


def _example(question: drawn.Question) -> Example:
    rng = random.Random(f"shot/{question.id}")
    thinking = solver.write(question, "none", 0.0, rng)
    return question.question, thinking.think, question.answer
