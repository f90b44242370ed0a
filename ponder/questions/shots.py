"""Worked examples to put before a question: the solver's plain traces of drawn questions that nobody is asked."""

import random

from ponder.errors import UserError
from ponder.questions import drawn, solver


def worked_examples(directory, families, number, splits):
    """Return {family: ((question, think, answer), ...)}: `number` examples each, from the first of `splits` that has the family.

    Raises UserError for a family that none of the splits has (a transfer family stands in dev alone, so dev cannot be
    asked with examples), or that has too few questions there.
    """
    by_split = {split: drawn.read_split(directory, split) for split in splits}
    examples = {}
    for family in sorted(families):
        own = next(
            (
                rows
                for rows in ([q for q in by_split[s] if q.family == family] for s in splits)
                if rows
            ),
            [],
        )[:number]
        if not own and len(splits) == 1:
            raise UserError(
                f"{family} has no question in {splits[0]} to show as a worked example, and examples never come from "
                "what is asked; leave the family out, or set benchmark.split=test"
            )
        if len(own) < number:
            raise UserError(
                f"shots={number}, but {family} has {len(own)} questions to show; lower it"
            )
        traces = [solver.write(q, "none", 0.0, random.Random(f"shot/{q.id}")) for q in own]
        examples[family] = tuple(
            (q.question, t.think, q.answer) for q, t in zip(own, traces, strict=True)
        )
    return examples
