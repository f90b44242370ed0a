"""Many budgets at about the price of the largest: one row that makes all their samples, and the plans of a sweep.

Under greedy decoding the thinking under a smaller cap begins that under a larger one, and an ignored end only adds to it.
So what is sampled after the same tokens is sampled once, and each budget goes on from the longest part it shares with the
one before. Nothing here knows caps or nudges: it only compares tokens. Valid for greedy decoding alone.
"""

from ponder.decode import budget as budgets


def order(chosen):
    """Return the indices of Budgets in the order in which each shares most with the one before: the longest thinking first."""

    def key(i):
        b = chosen[i]
        return b.force_answer == "never", -b.max_thinking, not b.num_ignore, b.nudge, -b.num_ignore

    return sorted(range(len(chosen)), key=key)


def swept(chosen, marks):
    """Return a row as budget.forced does, but for several Budgets and their Marks: it returns a list of Samples, one for each."""
    known, samples, held = (
        {},
        [None] * len(chosen),
        [],
    )  # held: what the engine has after the prompt
    for at in order(chosen):
        row, ids, done = budgets.forced(chosen[at], marks[at]), [], None
        while True:
            try:
                request = row.send(done)
            except StopIteration as end:
                samples[at] = end.value
                break
            ids = [*ids[: request.keep], *request.ids]
            key = tuple(ids), request.stops, request.suppress
            done = cut(known.get(key), request.limit)
            if done is None:
                same = budgets.common(held, ids)
                done = yield budgets.Request(
                    same, tuple(ids[same:]), request.limit, request.stops, request.suppress
                )
                known[key], held = done, [*ids, *done.ids]
            ids += done.ids
    return samples


def drawn(budget, marks):
    """Return a row as `swept` does, of one Budget: what is drawn twice after the same tokens is drawn twice."""
    return [(yield from budgets.forced(budget, marks))]


def cut(done, limit):
    """Return what a Completion would have been under another limit, or None where it does not say."""
    if done is None or (not done.stop and len(done.ids) < limit):
        return None
    return done if len(done.ids) <= limit else budgets.Completion(done.ids[:limit], ())
