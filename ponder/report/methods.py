"""The methods that s1 compares (section 3.2, table 3), from the samples of their runs. Pure."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ponder import statistics
from ponder.errors import UserError
from ponder.grading.families import extract, normal
from ponder.report.printed import interval_text
from ponder.report.released import Method
from ponder.statistics import Sample

Limit = tuple[float | None, float | None]  # least, most mean thinking tokens; None: no limit
SAME = 0.99  # share of equal answers from which two runs are one
NEAR = 1.05  # lengths that differ by less are nearly equal: a slope is divided by log2 of it, 0.07
WIDE = 100  # points: an interval of a slope as wide as all of the scale of accuracy
NOT_DETERMINED = "not determined"
NOT_PRINTED = "n.d."  # in place of an interval that determines nothing


def tokens_per_step(
    rows: list[dict], seen: list[str], counted: int, plain: int
) -> dict[str, float]:
    """Return how many thinking tokens a step of the step-conditional training rows has.

    `rows` are the rows chosen for training, `seen` the ids that training saw, once for each time.
    A row's `tokens` are those of its trace, a step is a line of it. What counts the steps down
    ("8 steps left") is thinking too, and is in no row but in the loss: `counted` are the loss
    tokens of the step-conditional training and `plain` those of the training that saw the same
    rows without it. {"tokens_per_step", "steps", "trace", "countdown": thinking tokens of the two
    kinds, over all seen}.
    """
    by_id = {row["id"]: row for row in rows}
    if unknown := set(seen) - set(by_id):
        raise UserError(
            f"training saw row {min(unknown)}, which is not among the rows of its experiment; "
            "restore them from git"
        )
    steps = sum(len(by_id[ident]["think"].split("\n")) for ident in seen)
    trace, countdown = sum(by_id[ident]["tokens"] for ident in seen), counted - plain
    return {
        "tokens_per_step": (trace + countdown) / steps,
        "steps": steps,
        "trace": trace,
        "countdown": countdown,
    }


def limits(method: Method, units: Mapping[str, float]) -> list[Limit]:
    """Return the (least, most) mean thinking tokens of each run of a method.

    `units` says how many tokens its unit has. The tokens of the run without an instruction are
    themselves no limit that is obeyed (s1, table 14: short is below them).
    """
    unit = units[method.unit]

    def tokens(limit: float | None, towards: float) -> float | None:
        if limit is None:
            return None
        return math.nextafter(limit * unit, towards) if method.unit == "unasked" else limit * unit

    return [(tokens(run.least, math.inf), tokens(run.most, 0)) for run in method.runs]


def row(
    method: Method,
    units: Mapping[str, float],
    samples: Sequence[list[Sample]],
    published: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a method's row of table 3: statistics.intervals, their texts, and its runs.

    `samples` holds one list for each run, of the same questions; `published` is the value of
    paper/published.yaml. "points" are the runs, "counted" the names of those that Scaling counts
    (`distinct`), "s1" is s1's row in percent, None for a method that s1 does not have.
    """
    ends, purpose = limits(method, units), f"paper/methods/{method.name}"
    correct, tokens = statistics.grid([[run] for run in samples])
    metrics = statistics.intervals(correct, tokens, purpose, ends)
    counted = distinct(samples)
    if len(counted) < len(samples):
        of_counted = statistics.intervals(correct[counted], tokens[counted], purpose)
        metrics |= {key: of_counted[key] for key in ("scaling", "scaling_per_token")}
    word = slope(metrics["scaling"], [float(tokens[number].mean()) for number in counted])
    scaling = interval_text(metrics["scaling"], 1, 1, "+")
    points = [
        {
            "name": run.name,
            "least": least,
            "most": most,
            **statistics.summary(answers),
            "within": sum(_within(sample["num_thinking"], least, most) for sample in answers),
        }
        for run, (least, most), answers in zip(method.runs, ends, samples, strict=True)
    ]
    return {
        "name": method.name,
        "title": method.title,
        **metrics,
        "slope": word,
        "counted": [method.runs[number].name for number in counted],
        "points": points,
        "text": {
            "control": interval_text(metrics["control"], 100, 0, bare=method.unit == "unasked"),
            "control_per_sample": interval_text(metrics["control_per_sample"], 100, 1),
            "scaling": NOT_PRINTED if word == NOT_DETERMINED else scaling,
            "scaling_per_token": interval_text(metrics["scaling_per_token"], 1, 2, "+"),
            "performance": interval_text(metrics["performance"], 100, 1),
        },
        "s1": published["table3"]["rows"].get(method.name),
    }


def _within(tokens: int, least: float | None, most: float | None) -> bool:
    return (least or 0) <= tokens <= (math.inf if most is None else most)


def distinct(samples: Sequence[list[Sample]]) -> list[int]:
    """Return the places of the runs that count in a slope: of two whose answers are the same to the
    last token in 99% or more, the later one.
    """
    counted: list[int] = []
    for number in reversed(range(len(samples))):
        if not any(is_one_run(samples[number], samples[other]) for other in counted):
            counted.append(number)
    return counted[::-1]


def is_one_run(one: list[Sample], other: list[Sample]) -> bool:
    """Whether two runs give the same tokens to nearly all of the same questions: a budget that
    almost never acts is no second point of a curve.
    """
    answers = {(s["task"], s["id"], s.get("sample", 0)): s["ids"] for s in other}
    equal = sum(answers.get((s["task"], s["id"], s.get("sample", 0))) == s["ids"] for s in one)
    return equal >= SAME * len(one)


def slope(scaling: Mapping[str, float] | None, lengths: Sequence[float]) -> str:
    """Return what the interval of a Scaling says, to stand after "is"; `lengths` are the mean
    thinking tokens of its runs.

    Between two runs of nearly equal length a slope divides by almost nothing, so it says nothing;
    nor does an interval that is as wide as the scale of accuracy.
    """
    if scaling is None:
        return "not defined"
    if scaling["high"] - scaling["low"] > WIDE:
        return NOT_DETERMINED
    ordered = sorted(length for length in lengths if length)
    if any(more < NEAR * less for less, more in itertools.pairwise(ordered)):
        return NOT_DETERMINED
    if scaling["low"] > 0:
        return "positive"
    return "negative" if scaling["high"] < 0 else "not distinguishable from 0"


def rejection(samples: list[Sample]) -> dict[str, float]:
    """Return what rejection sampling threw away.

    {"tries": draws for each question, "thrown": mean thinking tokens of the draws thrown away,
    "spent": mean of all thinking tokens drawn, "unanswered": questions without an accepted draw}.
    """
    thrown = sum(s["thrown"] for s in samples) / len(samples)
    return {
        "tries": sum(s["tries"] for s in samples) / len(samples),
        "thrown": thrown,
        "spent": thrown + sum(s["num_thinking"] for s in samples) / len(samples),
        "unanswered": sum(s["finish"] == "rejected" for s in samples),
    }


def by_question(samples: list[Sample]) -> dict[tuple[str, str], list[Sample]]:
    """Return {(task, id): samples in their order} of a run with several samples of each question.

    Raises UserError unless every question has the samples 0, 1, 2 and so on, equally many.
    """
    questions: dict[tuple[str, str], list[Sample]] = {}
    for sample in sorted(samples, key=lambda s: (s["task"], s["id"], s["sample"])):
        questions.setdefault((sample["task"], sample["id"]), []).append(sample)
    most = max(map(len, questions.values()), default=0)
    for (task, ident), answers in questions.items():
        places = [answer["sample"] for answer in answers]
        if places != list(range(most)):
            raise UserError(
                f"{task} {ident} has the samples {places}, not 0 to {most - 1}; evaluate anew"
            )
    return questions


def voting(samples: list[Sample], votes: Sequence[int]) -> list[dict[str, Any]]:
    """Return what majority voting gives when the first k samples of each question vote.

    A point for each k of `votes`. Answers are compared in the form in which the grader compares
    them. Each point has k, "tokens" (mean thinking tokens of the k samples together), "accuracy"
    of the vote and "coverage" (pass@k from all samples), both with intervals and their text in
    percent, "tied" and "unanswered" questions, and "scores", the vote of each question in the
    order of `by_question`.
    """
    questions = list(by_question(samples).values())
    ballots = [
        ([vote_of(s["reply"]) for s in answers], [s["correct"] for s in answers])
        for answers in questions
    ]
    flags = [correct for _, correct in ballots]
    points = []
    for k in votes:
        vote = statistics.voting(ballots, k)
        tokens = sum(s["num_thinking"] for answers in questions for s in answers[:k])
        points.append(
            {
                "k": k,
                "tokens": tokens / len(questions),
                "accuracy": _mean(vote["scores"]),
                "coverage": _mean(statistics.coverage(flags, k)),
                **{key: vote[key] for key in ("n", "tied", "unanswered", "scores")},
            }
        )
    return points


def _mean(scores: list[float]) -> dict[str, Any]:
    interval = statistics.interval(scores, "paper/methods/votes")
    return interval | {"text": interval_text(interval, 100, 1)}


def vote_of(reply: str) -> Any:
    """Return the answer of a reply as the grader compares it, or None for a reply without one."""
    answer = extract(reply)
    return None if answer is None else normal(answer)
