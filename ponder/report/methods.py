"""The methods that s1 compares (section 3.2, table 3), from the samples of their runs: metrics, votes, rejections. Pure."""

import math

from ponder import statistics
from ponder.errors import UserError
from ponder.grading import families as grading


def tokens_per_step(rows, seen, counted, plain):
    """Return how many thinking tokens a step of the step-conditional training rows has, and from what that follows.

    `rows` are the rows chosen for training, `seen` the ids that training saw, once for each time. A row's `tokens` are those
    of its trace, a step is a line of it. What counts the steps down ("8 steps left") is thinking too, and is in no row but
    in the loss: `counted` are the loss tokens of the step-conditional training and `plain` those of the training that saw the
    same rows without it. {"tokens_per_step", "steps", "trace", "countdown": thinking tokens of the two kinds, over all seen}.
    """
    by_id = {row["id"]: row for row in rows}
    if unknown := set(seen) - set(by_id):
        raise UserError(
            f"training saw row {min(unknown)}, which is not among the rows of its experiment; restore them from git"
        )
    steps = sum(len(by_id[ident]["think"].split("\n")) for ident in seen)
    trace, countdown = sum(by_id[ident]["tokens"] for ident in seen), counted - plain
    return {
        "tokens_per_step": (trace + countdown) / steps,
        "steps": steps,
        "trace": trace,
        "countdown": countdown,
    }


def limits(method, units):
    """Return the (least, most) mean thinking tokens of each run of a released.Method; `units` says how many its unit has.

    The tokens of the run without an instruction are themselves no limit that is obeyed (s1, table 14: short is below them).
    """
    unit = units[method.unit]
    if method.unit == "unasked":
        return [
            (
                None if run.least is None else math.nextafter(run.least * unit, math.inf),
                None if run.most is None else math.nextafter(run.most * unit, 0),
            )
            for run in method.runs
        ]
    return [
        (
            None if run.least is None else run.least * unit,
            None if run.most is None else run.most * unit,
        )
        for run in method.runs
    ]


def row(method, units, samples, published):
    """Return a method's row of table 3: scaling.intervals, their texts, its runs as "points", and s1's row, in percent, as "s1".

    `samples` holds one list for each run, of the same questions; `published` is the value of paper/published.yaml. A method
    that s1 does not have has None there.
    """
    ends = limits(method, units)
    found = statistics.intervals(
        *statistics.grid([[run] for run in samples]), f"paper/methods/{method.name}", ends
    )
    points = [
        {
            "name": run.name,
            "least": low,
            "most": high,
            **statistics.summary(made),
            "within": sum(
                (low or 0) <= s["num_thinking"] <= (math.inf if high is None else high)
                for s in made
            ),
        }
        for run, (low, high), made in zip(method.runs, ends, samples, strict=True)
    ]
    return {
        "name": method.name,
        "title": method.title,
        **found,
        "slope": slope(found["scaling"]),
        "points": points,
        "text": {
            "control": text(found["control"], 100, 0, bare=method.unit == "unasked"),
            "control_per_sample": text(found["control_per_sample"], 100, 1),
            "scaling": text(found["scaling"], 1, 1, "+"),
            "scaling_per_token": text(found["scaling_per_token"], 1, 2, "+"),
            "performance": text(found["performance"], 100, 1),
        },
        "s1": published["table3"]["rows"].get(method.name),
    }


def slope(found):
    """Return what the interval of a Scaling says, to stand after "is"."""
    if found is None:
        return "not defined"
    return (
        "positive"
        if found["low"] > 0
        else "negative"
        if found["high"] < 0
        else "not distinguishable from 0"
    )


def text(found, factor, digits, sign="", bare=False):
    """Return an interval times a factor as "value [low, high]", "-" where there is none; never a zero with a minus sign.

    With `bare` the value alone: what is obeyed to is itself measured on the same questions, and no resample moves it.
    """
    if found is None:
        return "-"
    value, low, high = (
        format(round(factor * found[key], digits) + 0.0, f"{sign}.{digits}f")
        for key in ("value", "low", "high")
    )
    return value if bare else f"{value} [{low}, {high}]"


def rejection(samples):
    """Return what rejection sampling threw away: {"tries": draws for each question, "thrown": mean thinking tokens of the draws
    thrown away, "spent": mean of all thinking tokens drawn, "unanswered": questions without an accepted draw}."""
    thrown = sum(s["thrown"] for s in samples) / len(samples)
    return {
        "tries": sum(s["tries"] for s in samples) / len(samples),
        "thrown": thrown,
        "spent": thrown + sum(s["num_thinking"] for s in samples) / len(samples),
        "unanswered": sum(s["finish"] == "rejected" for s in samples),
    }


def by_question(samples):
    """Return {(task, id): samples in their order} of a run with several samples of each question.

    Raises UserError unless every question has the samples 0, 1, 2 and so on, equally many.
    """
    found = {}
    for sample in sorted(samples, key=lambda s: (s["task"], s["id"], s["sample"])):
        found.setdefault((sample["task"], sample["id"]), []).append(sample)
    most = max(map(len, found.values()), default=0)
    for (task, ident), mine in found.items():
        if [s["sample"] for s in mine] != list(range(most)):
            raise UserError(
                f"{task} {ident} has the samples {[s['sample'] for s in mine]}, not 0 to {most - 1}; evaluate anew"
            )
    return found


def voting(samples, votes):
    """Return what majority voting gives when the first k samples of each question vote, for each k of `votes`.

    Answers are compared in the form in which the grader compares them. Each point has k, "tokens" (mean thinking tokens of
    the k samples together), "accuracy" of the vote and "coverage" (pass@k from all samples), both with intervals and their
    text in percent, "tied" and "unanswered" questions, and "scores", the vote of each question in the order of `by_question`.
    """

    def said(found):
        return found | {"text": text(found, 100, 1)}

    asked = list(by_question(samples).values())
    given = [([vote_of(s["reply"]) for s in mine], [s["correct"] for s in mine]) for mine in asked]
    points = []
    for k in votes:
        voted, covered = (
            statistics.voting(given, k),
            statistics.coverage([flags for _, flags in given], k),
        )
        points.append(
            {
                "k": k,
                "tokens": sum(s["num_thinking"] for mine in asked for s in mine[:k]) / len(asked),
                "accuracy": said(statistics.interval(voted["scores"], "paper/methods/votes")),
                "coverage": said(statistics.interval(covered, "paper/methods/votes")),
                **{key: voted[key] for key in ("n", "tied", "unanswered", "scores")},
            }
        )
    return points


def vote_of(reply):
    """Return the answer of a reply as the grader compares it, or None for a reply without one."""
    found = grading.extract(reply)
    return None if found is None else grading.normal(found)
