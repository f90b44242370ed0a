"""Numbers over samples: accuracies, paired differences, and what test-time compute buys.

Pure; every interval is 95%. What test-time compute buys are the three metrics of s1 (section 3.2),
coverage and votes. A method is a list of runs, one per budget. A run is its mean thinking tokens
and its accuracy, a share from 0 to 1. The paper prints Scaling as a slope per token; its Table 3
comes out only as percentage points per doubling of the tokens (tests/test_statistics.py). Both are
returned, and `scaling` without more words is the second.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from ponder.errors import UserError
from ponder.hashing import purpose_seed

RESAMPLES = 10_000  # s1, section 4.2: paired bootstrap with 10,000 resamples
TINY = 1e-12  # far above the error of a sum of probabilities, far below any that matters
CHUNK = 500  # resamples at a time; bounds the memory, changes no number

Numbers = NDArray[np.float64]
Limit = tuple[float | None, float | None]  # (least, most) thinking tokens, None where there is none
Limits = Sequence[Limit]
Flags = Sequence[bool]  # whether each answer is right
Sample = Mapping[str, Any]  # the fields of a SampleRow


def accuracy(flags: Flags) -> dict[str, Any]:
    """Return {"n", "correct", "accuracy", "low", "high"} of answers, with Wilson's interval."""
    n, correct = len(flags), int(sum(flags))
    interval = binomtest(correct, n).proportion_ci(method="wilson")
    return {
        "n": n,
        "correct": correct,
        "accuracy": correct / n,
        "low": float(interval.low),
        "high": float(interval.high),
    }


def difference(flags: Flags, others: Flags) -> dict[str, float]:
    """Return {"difference", "low", "high"}: the mean of flags - others, paired by question.

    The interval is the percentile bootstrap's over questions with all resamples, whose distribution
    is known: each question is gained, lost or neither (decision 0048).
    """
    n = len(flags)
    assert n == len(others) and {*flags, *others} <= {0, 1}, "answers are right or wrong"
    gained = sum(a > b for a, b in zip(flags, others, strict=True))
    lost = sum(a < b for a, b in zip(flags, others, strict=True))
    ends = _resampled(gained, lost, n)
    return {"difference": (gained - lost) / n, "low": ends[0] / n, "high": ends[1] / n}


def _resampled(gained: int, lost: int, n: int) -> tuple[int, int]:
    """Return the 2.5th and the 97.5th percentile of gained - lost in resamples of n questions.

    A resample's count is a sum of n independent values -1, 0 or 1. Its probabilities are the
    coefficients of the n-th power of one value's generating function.
    """
    turns = np.exp(-2j * np.pi * np.arange(2 * n + 1) / (2 * n + 1))
    one = gained / n * turns + (n - gained - lost) / n + lost / n / turns
    chances = np.fft.ifft(one**n).real  # of 0 to n, then of -n to -1
    below = np.cumsum(np.roll(chances, n))  # at -n, -n + 1, ..., n
    low, high = (int(np.searchsorted(below, share - TINY)) - n for share in (0.025, 0.975))
    return low, high


def summary(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the results of a set of samples.

    What `accuracy` returns, {"thinking_tokens": their mean, "capped": samples that the cap ended,
    "ignored_ends": ends of thinking that forcing replaced}.
    """
    return {
        **accuracy([sample["correct"] for sample in samples]),
        "thinking_tokens": sum(sample["num_thinking"] for sample in samples) / len(samples),
        "capped": sum(sample["capped"] for sample in samples),
        "ignored_ends": sum(sample["num_ignored"] for sample in samples),
    }


# --- the metrics of the paper ---


def control(tokens: ArrayLike, limits: Limits) -> float:
    """Return the share of runs whose mean thinking tokens lie within their limits (s1, equation 1).

    `limits` has a (least, most) for each run, both included, None where there is no limit. The mean
    may obey where single samples do not: `intervals` says both.
    """
    means = np.asarray(tokens, float)
    return _within(means, _bounds(limits, len(means))).mean(-1).item()


def scaling(tokens: ArrayLike, accuracy: ArrayLike) -> dict[str, Any]:
    """Return the mean slope over all pairs of runs, in both forms (s1, equation 2).

    {"scaling": percentage points per doubling of the thinking tokens, "scaling_per_token":
    percentage points per token, "zero_token_runs": runs without thinking, which have no logarithm
    and are left out of "scaling" only, "equal_pairs": pairs of runs of equal length, which have no
    slope and are left out of both}. A form that has no pair left is None. Two runs of nearly equal
    length weigh heavily, since their slope is mostly noise: read it with its interval
    (`intervals`). Raises UserError for lists of unequal length, accuracies beyond 0 to 1 and
    negative token counts.
    """
    lengths, shares = _runs(tokens, accuracy)
    per_doubling = _slope(lengths, shares, "doubling").item()
    per_token = _slope(lengths, shares, "token").item()
    first, second = np.triu_indices(len(lengths), 1)
    return {
        "scaling": None if math.isnan(per_doubling) else per_doubling,
        "scaling_per_token": None if math.isnan(per_token) else per_token,
        "zero_token_runs": int((lengths == 0).sum()),
        "equal_pairs": int((lengths[first] == lengths[second]).sum()),
    }


def performance(accuracy: Iterable[float]) -> float:
    """Return the accuracy of the best run (s1, equation 3).

    The run is chosen on the questions it is reported on, so this flatters.
    """
    return max(accuracy)


def metrics(
    tokens: Sequence[float] | Numbers,
    accuracy: Sequence[float] | Numbers,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Return one row of the paper's Table 3.

    {"runs", "control", "performance"} and what `scaling` returns. Control and Performance are
    shares from 0 to 1. Control is None for a method that was given no limits.
    """
    slopes = scaling(tokens, accuracy)
    return {
        "runs": len(tokens),
        "control": None if limits is None else control(tokens, limits),
        **slopes,
        "performance": float(performance(accuracy)),
    }


def exact(percent: float, questions: int) -> float:
    """Return k / questions for a percentage printed with one decimal, e.g. 10 / 30 for 33.3.

    Table 3 needs it: from its Table 12 as printed, Scaling of TCC is -23.4 and not the -24 (-23.8)
    of the counts. Raises UserError when no whole number of right answers is printed so.
    """
    right = round(percent * questions / 100)
    if abs(100 * right / questions - percent) > 0.05 + 1e-9:
        raise UserError(
            f"{percent}% is no share of {questions} questions to one decimal; correct one of the "
            "two numbers"
        )
    return right / questions


def _runs(tokens: ArrayLike, accuracy: ArrayLike) -> tuple[Numbers, Numbers]:
    lengths, shares = np.asarray(tokens, float), np.asarray(accuracy, float)
    if len(lengths) != len(shares) or not len(lengths):
        raise UserError(
            f"{len(lengths)} token counts stand beside {len(shares)} accuracies; give one of each "
            "for every run"
        )
    if not ((0 <= shares) & (shares <= 1)).all():
        raise UserError(
            f"accuracies are {shares.tolist()}, but each must be a share from 0 to 1; divide "
            "percentages by 100"
        )
    if not (np.isfinite(lengths) & (lengths >= 0)).all():
        raise UserError(
            f"thinking tokens are {lengths.tolist()}, but each must be 0 or more; measure the runs "
            "again"
        )
    return lengths, shares


def _bounds(limits: Limits, runs: int) -> Numbers:
    """Return the limits of `runs` runs, of shape (runs, 2), infinite where there is none."""
    if len(limits) != runs:
        raise UserError(
            f"{len(limits)} limits stand beside {runs} runs; give a (least, most) for every run, "
            "None for no limit"
        )
    bounds = []
    for least, most in limits:
        bounds.append((-math.inf if least is None else least, math.inf if most is None else most))
    return np.array(bounds, float)


def _within(tokens: Numbers, bounds: Numbers) -> NDArray[np.bool_]:
    return (bounds[:, 0] <= tokens) & (tokens <= bounds[:, 1])


def _slope(tokens: Numbers, accuracy: Numbers, per: str) -> Numbers:
    """Return the mean slope over the pairs of the last axis; nan where no pair has one."""
    first, second = np.triu_indices(tokens.shape[-1], 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.log2(tokens) if per == "doubling" else tokens
        gains = 100 * (accuracy[..., second] - accuracy[..., first])
        slopes = gains / (x[..., second] - x[..., first])
        finite = np.isfinite(x[..., second]) & np.isfinite(x[..., first])
        usable = finite & (tokens[..., second] != tokens[..., first])
        return np.where(usable, slopes, 0).sum(-1) / usable.sum(-1)


# --- several samples of one question ---


def pass_at(k: int, samples: int, right: int) -> float:
    """Return the chance that at least one of k samples is right, drawn without replacement.

    1 - C(samples - right, k) / C(samples, k), the unbiased estimate of pass@k (Chen et al. 2021,
    arXiv 2107.03374, equation 1). Raises UserError unless 1 <= k <= samples and 0 <= right <=
    samples.
    """
    _check_k(k, samples)
    if not 0 <= right <= samples:
        raise UserError(f"{right} of {samples} samples cannot be right; count them again")
    return 1 - math.comb(samples - right, k) / math.comb(samples, k)


def coverage(correct: Iterable[Flags], k: int) -> list[float]:
    """Return pass@k of each question; `correct` has the flags of its samples for each question."""
    return [pass_at(k, len(flags), int(sum(flags))) for flags in correct]


def vote(answers: Sequence[str | None], correct: Flags, k: int) -> dict[str, Any]:
    """Return how one question fares when its first k samples vote on the answer.

    `answers` are strings as the grader normalised them, None where a sample gave none: it has no
    vote. {"score": 1 when the most frequent answer is right, 0 when it is wrong, and with a tie the
    share of right ones among the tied, which is what a fair draw would score on average; "first":
    the score by the rule of s1's code, where the tied answer that was seen first wins; "tied":
    whether there was a tie; "unanswered": whether nobody voted, which is wrong}. Right answers
    written differently are not joined: that would let the gold answer help to count. Raises
    UserError unless 1 <= k <= samples.
    """
    _check_k(k, len(answers))
    # Where equal answers were graded differently, as when a grader passed its time limit once, the
    # first counts.
    verdicts: dict[str | None, bool] = {}
    for answer, right in zip(answers, correct, strict=True):
        verdicts.setdefault(answer, bool(right))
    votes = Counter(answer for answer in answers[:k] if answer is not None)
    most = max(votes.values(), default=0)
    # In the order they were seen.
    leaders = [verdicts[answer] for answer, count in votes.items() if count == most]
    return {
        "score": sum(leaders) / max(1, len(leaders)),
        "first": float(leaders[0]) if leaders else 0.0,
        "tied": len(leaders) > 1,
        "unanswered": not leaders,
    }


def voting(questions: Iterable[tuple[Sequence[str | None], Flags]], k: int) -> dict[str, Any]:
    """Return majority voting over [(answers, correct)], a pair for each question.

    {"k", "n", "accuracy": mean of vote's "score", "accuracy_first": of "first", "tied" and
    "unanswered": questions, "scores": "score" of each question, for `interval`}.
    """
    votes = [vote(answers, correct, k) for answers, correct in questions]
    return {
        "k": k,
        "n": len(votes),
        "accuracy": sum(v["score"] for v in votes) / len(votes),
        "accuracy_first": sum(v["first"] for v in votes) / len(votes),
        "tied": sum(v["tied"] for v in votes),
        "unanswered": sum(v["unanswered"] for v in votes),
        "scores": [v["score"] for v in votes],
    }


def several(
    questions: Sequence[tuple[Sequence[str | None], Flags]], purpose: str
) -> dict[str, Any]:
    """Return what several samples of each question say together.

    `questions` is [(answers, correct)], a pair for each question. {"questions", "samples": of each
    question, "coverage": [{"k", "value", "low", "high"}] as `coverage` averages, "voting": the same
    of `vote`'s score with "tied" and "unanswered"} for k = 1, 2, 4 and so on. Intervals are over
    questions.
    """
    flags = [correct for _, correct in questions]
    size = len(flags[0])
    assert all(len(correct) == size for correct in flags), (
        "every question has the same number of samples"
    )
    covered, voted = [], []
    for k in (1 << n for n in range(size.bit_length())):
        shares, votes = coverage(flags, k), voting(questions, k)
        covered.append({"k": k} | interval(shares, f"{purpose}/coverage/{k}"))
        counts = {"k": k, "tied": votes["tied"], "unanswered": votes["unanswered"]}
        voted.append(counts | interval(votes["scores"], f"{purpose}/voting/{k}"))
    return {"questions": len(questions), "samples": size, "coverage": covered, "voting": voted}


def _check_k(k: int, samples: int) -> None:
    if not 1 <= k <= samples:
        raise UserError(
            f"k={k} of {samples} samples cannot be drawn; give a k from 1 to {samples} or sample "
            "more"
        )


# --- intervals ---


def grid(runs: Sequence[Sequence[Sequence[Sample]]]) -> tuple[Numbers, Numbers]:
    """Return (correct, tokens), each of shape (runs, questions, seeds).

    `runs[run][seed]` is a list of samples, each with task, id, correct and num_thinking; questions
    are ordered by (task, id). Raises UserError when one list has other questions than the first, or
    one twice: pairing needs all of them everywhere.
    """
    if not runs or not runs[0] or any(len(seeds) != len(runs[0]) for seeds in runs):
        raise UserError(
            f"the runs have {[len(seeds) for seeds in runs]} seeds; evaluate every run with the "
            "same seeds"
        )
    questions = sorted({(sample["task"], sample["id"]) for sample in runs[0][0]})
    if not questions:
        raise UserError("the first run has no samples; evaluate it first")
    rows = []
    for run, seeds in enumerate(runs):
        for seed, samples in enumerate(seeds):
            values = {}
            for sample in samples:
                key = sample["task"], sample["id"]
                values[key] = sample["correct"], sample["num_thinking"]
            if len(values) != len(samples) or sorted(values) != questions:
                raise UserError(
                    f"run {run}, seed {seed} has {len(samples)} samples of {len(values)} "
                    f"questions, not one of each of the {len(questions)} of the first; evaluate it "
                    "on the same questions"
                )
            rows.append([values[key] for key in questions])
    # Axes: run, seed, question, (correct, tokens).
    cells = np.array(rows, float).reshape(len(runs), len(runs[0]), len(questions), 2)
    correct, tokens = cells.transpose(3, 0, 2, 1)
    return correct, tokens


def resampled(values: ArrayLike, purpose: str) -> Numbers:
    """Return the means of values[..., question, seed] in RESAMPLES resamples, (RESAMPLES, ...).

    Questions and seeds are each drawn with replacement, and a resample takes the same ones
    everywhere, so whatever stands beside each other in `values` stays paired. Drawing both ways
    counts what is common to a question and to a seed (Owen 2007, "The pigeonhole bootstrap") and is
    rather too wide than too narrow. With one seed only questions vary.
    """
    values = np.asarray(values, float)
    questions, seeds = values.shape[-2:]
    question_rng = np.random.default_rng(purpose_seed(f"bootstrap/{purpose}"))
    seed_rng = np.random.default_rng(purpose_seed(f"bootstrap/{purpose}/seeds"))
    means = []
    for start in range(0, RESAMPLES, CHUNK):
        rows = min(CHUNK, RESAMPLES - start)
        question_counts = _draws(question_rng, rows, questions)
        sums = np.tensordot(question_counts, values, (1, values.ndim - 2))  # (rows, ..., seeds)
        seed_counts = _draws(seed_rng, rows, seeds)
        totals = np.einsum("r...s,rs->r...", sums, seed_counts)
        means.append(totals / (questions * seeds))
    return np.concatenate(means)


def interval(values: ArrayLike, purpose: str) -> dict[str, float]:
    """Return {"value", "low", "high"}: the mean of values[question, seed] and its interval.

    The interval is a percentile bootstrap. Of one list, its items are questions. A paired
    difference is the interval of the differences.
    """
    values = np.asarray(values, float)
    values = values[:, None] if values.ndim == 1 else values
    low, high = np.percentile(resampled(values, purpose), [2.5, 97.5])
    return {"value": float(values.mean()), "low": float(low), "high": float(high)}


def intervals(
    correct: ArrayLike, tokens: ArrayLike, purpose: str, limits: Limits | None = None
) -> dict[str, Any]:
    """Return `metrics` of correct and tokens[run, question, seed] with their intervals.

    All runs share their resamples. "scaling", "scaling_per_token", "performance", "control" and
    "control_per_sample" (the share of single samples within the limits of their run) are {"value",
    "low", "high", "undefined": resamples in which it has no value, left out of the interval}, or
    None where the value itself is not defined; the counts of `metrics` stay numbers.
    """
    correct, tokens = np.asarray(correct, float), np.asarray(tokens, float)
    values = metrics(tokens.mean((1, 2)), correct.mean((1, 2)), limits)
    bounds = _bounds([(None, None)] * len(tokens) if limits is None else limits, len(tokens))
    # The share of runs that obey, of shape (questions, seeds).
    obedience = _within(np.moveaxis(tokens, 0, -1), bounds).mean(-1)
    values["control_per_sample"] = None if limits is None else float(obedience.mean())
    resamples = resampled(np.concatenate([correct, tokens, obedience[None]]), purpose)
    accuracies = resamples[:, : len(tokens)]
    lengths = resamples[:, len(tokens) : -1]
    distributions = {
        "scaling": _slope(lengths, accuracies, "doubling"),
        "scaling_per_token": _slope(lengths, accuracies, "token"),
        "performance": accuracies.max(1),
        "control": _within(lengths, bounds).mean(1),
        "control_per_sample": resamples[:, -1],
    }
    for name, distribution in distributions.items():
        values[name] = _with_interval(values[name], distribution)
    return values


def _with_interval(value: float | None, distribution: Numbers) -> dict[str, Any] | None:
    if value is None:
        return None
    defined = distribution[~np.isnan(distribution)]
    low, high = np.percentile(defined, [2.5, 97.5])
    return {
        "value": value,
        "low": float(low),
        "high": float(high),
        "undefined": len(distribution) - len(defined),
    }


def _draws(rng: np.random.Generator, rows: int, size: int) -> Numbers:
    """Return how often each of `size` things is drawn, of shape (rows, size).

    A row is `size` draws with replacement.
    """
    indices = rng.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
    return np.bincount(indices.ravel(), minlength=rows * size).reshape(rows, size).astype(float)
