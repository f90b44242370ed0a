"""Many budgets at about the price of the largest: one row that makes the samples of all of them.

Under greedy decoding the thinking under a smaller cap begins that under a larger one, and an
ignored end only adds to it. So what is sampled after the same tokens is sampled once, and each
budget goes on from the longest part it shares with the one before. Nothing here knows caps or
nudges: it only compares tokens. Valid for greedy decoding alone.
"""

from collections.abc import Generator, Sequence
from typing import Any

from ponder.chat import Marks, Stop
from ponder.decode import budget as budgeting
from ponder.decode.budget import Budget, Completion, Request, Sample

Row = Generator[Request, Any, list[Sample]]  # of several budgets, sent a Completion each time


def order(budgets: Sequence[Budget]) -> list[int]:
    """Return the indices of Budgets in the order in which each shares most with the one before.

    That is the longest thinking first.
    """

    def key(index: int) -> tuple:
        budget = budgets[index]
        return (
            budget.force_answer == "never",
            -budget.max_thinking,
            not budget.num_ignore,
            budget.nudge,
            -budget.num_ignore,
        )

    return sorted(range(len(budgets)), key=key)


def row_of_budgets(budgets: Sequence[Budget], marks: Sequence[Marks]) -> Row:
    """Return a row as budget.forced does, but for several Budgets and the Marks of each.

    It returns a list of Samples, one for each budget in the order given.
    """
    completions: dict[tuple[tuple[int, ...], tuple[Stop, ...], bool], Completion] = {}
    samples: dict[int, Sample] = {}
    in_engine: list[int] = []  # the tokens after the prompt that the engine has
    for index in order(budgets):
        row = budgeting.forced(budgets[index], marks[index])
        ids: list[int] = []
        completion = None
        while True:
            try:
                request = row.send(completion)
            except StopIteration as end:
                samples[index] = end.value
                break
            ids = [*ids[: request.keep], *request.ids]
            key = tuple(ids), request.stops, request.suppress
            completion = under_limit(completions.get(key), request.limit)
            if completion is None:
                common = budgeting.common_length(in_engine, ids)
                completion = yield Request(
                    common, tuple(ids[common:]), request.limit, request.stops, request.suppress
                )
                completions[key], in_engine = completion, [*ids, *completion.ids]
            ids += completion.ids
    return [samples[index] for index in range(len(budgets))]


def row_of_budget(budget: Budget, marks: Marks) -> Row:
    """Return a row as `row_of_budgets` does, of one Budget.

    What is drawn twice after the same tokens is drawn twice.
    """
    return [(yield from budgeting.forced(budget, marks))]


def under_limit(completion: Completion | None, limit: int) -> Completion | None:
    """Return what a Completion would have been under another limit, None where it does not say."""
    if completion is None or (not completion.stop and len(completion.ids) < limit):
        return None
    if len(completion.ids) <= limit:
        return completion
    return Completion(completion.ids[:limit], ())
