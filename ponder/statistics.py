"""Numbers over samples: accuracies, paired differences, and what test-time compute buys. Pure; every interval is 95%.

What test-time compute buys are the three metrics of s1 (section 3.2), coverage and votes. A method is a list of runs, one
per budget. A run is its mean thinking tokens and its accuracy, a share from 0 to 1. The paper prints Scaling as a slope
per token; its Table 3 comes out only as percentage points per doubling of the tokens (tests/test_scaling.py). Both are
returned, and `scaling` without more words is the second.
"""

import math
from collections import Counter

import numpy as np
from scipy.stats import binomtest

from ponder.errors import UserError
from ponder.hashing import purpose_seed

RESAMPLES = 10_000  # s1, section 4.2: paired bootstrap with 10,000 resamples
CHUNK = 500  # resamples at a time; bounds the memory, changes no number


def accuracy(flags):
    """Return {"n", "correct", "accuracy", "low", "high"} of a list of right-or-wrong, with Wilson's interval."""
    n, correct = len(flags), int(sum(flags))
    interval = binomtest(correct, n).proportion_ci(method="wilson")
    return {
        "n": n,
        "correct": correct,
        "accuracy": correct / n,
        "low": float(interval.low),
        "high": float(interval.high),
    }


def difference(flags, others, purpose):
    """Return {"difference", "low", "high"}: mean of flags - others, paired by question, by percentile bootstrap."""
    assert len(flags) == len(others)
    paired = np.array(flags, float) - np.array(others, float)
    rng = np.random.default_rng(purpose_seed(f"bootstrap/{purpose}"))
    means = paired[rng.integers(0, len(paired), (RESAMPLES, len(paired)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {"difference": float(paired.mean()), "low": float(low), "high": float(high)}


def summary(samples):
    """Return the results of a set of samples: accuracy with interval, mean thinking tokens, how often forcing acted."""
    return {
        **accuracy([s["correct"] for s in samples]),
        "thinking_tokens": sum(s["num_thinking"] for s in samples) / len(samples),
        "capped": sum(s["capped"] for s in samples),
        "ignored_ends": sum(s["num_ignored"] for s in samples),
    }


# --- the metrics of the paper ----------------------------------------------------------


def control(tokens, limits):
    """Return the share of runs whose mean thinking tokens lie within their limits, both included (s1, equation 1).

    `limits` has a (least, most) for each run, None where there is no limit. The mean may obey where single samples do
    not: `intervals` says both.
    """
    return _within(np.asarray(tokens, float), _limits(limits, len(tokens))).mean(-1).item()


def scaling(tokens, accuracy):
    """Return the mean slope over all pairs of runs, in both forms, and what could not be used (s1, equation 2).

    {"scaling": percentage points per doubling of the thinking tokens, "scaling_per_token": percentage points per token,
    "zero_token_runs": runs without thinking, which have no logarithm and are left out of "scaling" only,
    "equal_pairs": pairs of runs of equal length, which have no slope and are left out of both}. A form that has no pair
    left is None. Two runs of nearly equal length weigh heavily, since their slope is mostly noise: read it with its interval
    (`intervals`). Raises UserError for lists of unequal length, accuracies beyond 0 to 1 and negative token counts.
    """
    tokens, accuracy = _runs(tokens, accuracy)
    doubling, token = (_scaling(tokens, accuracy, per).item() for per in ("doubling", "token"))
    first, second = np.triu_indices(len(tokens), 1)
    return {
        "scaling": None if math.isnan(doubling) else doubling,
        "scaling_per_token": None if math.isnan(token) else token,
        "zero_token_runs": int((tokens == 0).sum()),
        "equal_pairs": int((tokens[first] == tokens[second]).sum()),
    }


def performance(accuracy):
    """Return the accuracy of the best run (s1, equation 3). It is chosen on the questions it is reported on, so it flatters."""
    return max(accuracy)


def metrics(tokens, accuracy, limits=None):
    """Return one row of the paper's Table 3 as {"runs", "control", "performance"} and what `scaling` returns.

    Control and Performance are shares from 0 to 1. Control is None for a method that was given no limits.
    """
    found = scaling(tokens, accuracy)
    return {
        "runs": len(tokens),
        "control": None if limits is None else control(tokens, limits),
        **found,
        "performance": float(performance(accuracy)),
    }


def exact(percent, questions):
    """Return k / questions for a percentage that was printed with one decimal, e.g. 10 / 30 for 33.3.

    Table 3 needs it: from its Table 12 as printed, Scaling of TCC is -23.4 and not the -24 (-23.8) of the counts. Raises
    UserError when no whole number of right answers is printed so.
    """
    right = round(percent * questions / 100)
    if abs(100 * right / questions - percent) > 0.05 + 1e-9:
        raise UserError(
            f"{percent}% is no share of {questions} questions to one decimal; correct one of the two numbers"
        )
    return right / questions


def _runs(tokens, accuracy):
    tokens, accuracy = np.asarray(tokens, float), np.asarray(accuracy, float)
    if len(tokens) != len(accuracy) or not len(tokens):
        raise UserError(
            f"{len(tokens)} token counts stand beside {len(accuracy)} accuracies; give one of each for every run"
        )
    if not ((0 <= accuracy) & (accuracy <= 1)).all():
        raise UserError(
            f"accuracies are {accuracy.tolist()}, but each must be a share from 0 to 1; divide percentages by 100"
        )
    if not (np.isfinite(tokens) & (tokens >= 0)).all():
        raise UserError(
            f"thinking tokens are {tokens.tolist()}, but each must be 0 or more; measure the runs again"
        )
    return tokens, accuracy


def _limits(limits, runs):
    if len(limits) != runs:
        raise UserError(
            f"{len(limits)} limits stand beside {runs} runs; give a (least, most) for every run, None for no limit"
        )
    ends = [
        (-math.inf if low is None else low, math.inf if high is None else high)
        for low, high in limits
    ]
    return np.array(ends, float)


def _within(tokens, ends):
    return (ends[:, 0] <= tokens) & (tokens <= ends[:, 1])


def _scaling(tokens, accuracy, per):
    """Return the mean slope over the pairs of the last axis; nan where no pair has one."""
    first, second = np.triu_indices(tokens.shape[-1], 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.log2(tokens) if per == "doubling" else tokens
        slopes = (
            100 * (accuracy[..., second] - accuracy[..., first]) / (x[..., second] - x[..., first])
        )
        usable = (
            np.isfinite(x[..., second])
            & np.isfinite(x[..., first])
            & (tokens[..., second] != tokens[..., first])
        )
        return np.where(usable, slopes, 0).sum(-1) / usable.sum(-1)


# --- several samples of one question ---------------------------------------------------


def pass_at(k, samples, right):
    """Return the chance that at least one of k samples, drawn without replacement from these, is right.

    1 - C(samples - right, k) / C(samples, k), the unbiased estimate of pass@k (Chen et al. 2021, arXiv 2107.03374,
    equation 1). Raises UserError unless 1 <= k <= samples and 0 <= right <= samples.
    """
    _check_k(k, samples)
    if not 0 <= right <= samples:
        raise UserError(f"{right} of {samples} samples cannot be right; count them again")
    return 1 - math.comb(samples - right, k) / math.comb(samples, k)


def coverage(correct, k):
    """Return pass@k of each question; `correct` has a list of right-or-wrong samples for each question."""
    return [pass_at(k, len(flags), int(sum(flags))) for flags in correct]


def vote(answers, correct, k):
    """Return how one question fares when its first k samples vote on the answer.

    `answers` are strings as the grader normalised them, None where a sample gave none: it has no vote. {"score": 1 when
    the most frequent answer is right, 0 when it is wrong, and with a tie the share of right ones among the tied, which is
    what a fair draw would score on average; "first": the score by the rule of s1's code, where the tied answer that was
    seen first wins; "tied": whether there was a tie; "unanswered": whether nobody voted, which is wrong}. Right answers
    written differently are not joined: that would let the gold answer help to count. Raises UserError unless
    1 <= k <= samples.
    """
    _check_k(k, len(answers))
    graded = {}  # where equal answers were graded differently, as when a grader passed its time limit once, the first counts
    for answer, right in zip(answers, correct, strict=True):
        graded.setdefault(answer, bool(right))
    votes = Counter(answer for answer in answers[:k] if answer is not None)
    most = max(votes.values(), default=0)
    leaders = [
        graded[answer] for answer, count in votes.items() if count == most
    ]  # in the order they were seen
    return {
        "score": sum(leaders) / max(1, len(leaders)),
        "first": float(leaders[0]) if leaders else 0.0,
        "tied": len(leaders) > 1,
        "unanswered": not leaders,
    }


def voting(questions, k):
    """Return majority voting over [(answers, correct)], a pair for each question, with its ties counted.

    {"k", "n", "accuracy": mean of vote's "score", "accuracy_first": of "first", "tied" and "unanswered": questions,
    "scores": "score" of each question, for `interval`}.
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


def several(questions, purpose):
    """Return what several samples of each question say together, from [(answers, correct)], a pair for each question.

    {"questions", "samples": of each question, "coverage": [{"k", "value", "low", "high"}] as `coverage` averages, "voting": the
    same of `vote`'s score with "tied" and "unanswered"} for k = 1, 2, 4 and so on. Intervals are over questions.
    """
    size = len(questions[0][1])
    assert all(len(correct) == size for _, correct in questions), (
        "every question has the same number of samples"
    )
    found = {"questions": len(questions), "samples": size, "coverage": [], "voting": []}
    for k in (1 << n for n in range(size.bit_length())):
        votes = voting(questions, k)
        found["coverage"].append(
            {"k": k}
            | interval(
                coverage([correct for _, correct in questions], k), f"{purpose}/coverage/{k}"
            )
        )
        found["voting"].append(
            {"k": k, "tied": votes["tied"], "unanswered": votes["unanswered"]}
            | interval(votes["scores"], f"{purpose}/voting/{k}")
        )
    return found


def _check_k(k, samples):
    if not 1 <= k <= samples:
        raise UserError(
            f"k={k} of {samples} samples cannot be drawn; give a k from 1 to {samples} or sample more"
        )


# --- intervals -------------------------------------------------------------------------


def grid(runs):
    """Return (correct, tokens), each of shape (runs, questions, seeds), from runs[run][seed] = list of samples.

    A sample has task, id, correct and num_thinking; questions are ordered by (task, id). Raises UserError when one list
    has other questions than the first, or one twice: pairing needs all of them everywhere.
    """
    if not runs or not runs[0] or any(len(seeds) != len(runs[0]) for seeds in runs):
        raise UserError(
            f"the runs have {[len(seeds) for seeds in runs]} seeds; evaluate every run with the same seeds"
        )
    wanted = sorted({(sample["task"], sample["id"]) for sample in runs[0][0]})
    if not wanted:
        raise UserError("the first run has no samples; evaluate it first")
    rows = []
    for run, seeds in enumerate(runs):
        for seed, samples in enumerate(seeds):
            found = {
                (sample["task"], sample["id"]): (sample["correct"], sample["num_thinking"])
                for sample in samples
            }
            if len(found) != len(samples) or sorted(found) != wanted:
                raise UserError(
                    f"run {run}, seed {seed} has {len(samples)} samples of {len(found)} questions, not one of each "
                    f"of the {len(wanted)} of the first; evaluate it on the same questions"
                )
            rows.append([found[key] for key in wanted])
    cells = np.array(rows, float).reshape(
        len(runs), len(runs[0]), len(wanted), 2
    )  # run, seed, question, what
    correct, tokens = cells.transpose(3, 0, 2, 1)
    return correct, tokens


def resampled(values, purpose):
    """Return the means of values[..., question, seed] in RESAMPLES resamples, of shape (RESAMPLES, ...).

    Questions and seeds are each drawn with replacement, and a resample takes the same ones everywhere, so whatever stands
    beside each other in `values` stays paired. Drawing both ways counts what is common to a question and to a seed
    (Owen 2007, "The pigeonhole bootstrap") and is rather too wide than too narrow. With one seed only questions vary.
    """
    values = np.asarray(values, float)
    questions, seeds = values.shape[-2:]
    ask, seed = (
        np.random.default_rng(purpose_seed(f"bootstrap/{purpose}{axis}")) for axis in ("", "/seeds")
    )
    means = []
    for start in range(0, RESAMPLES, CHUNK):
        rows = min(CHUNK, RESAMPLES - start)
        sums = np.tensordot(
            _draws(ask, rows, questions), values, (1, values.ndim - 2)
        )  # (rows, ..., seeds)
        means.append(
            np.einsum("r...s,rs->r...", sums, _draws(seed, rows, seeds)) / (questions * seeds)
        )
    return np.concatenate(means)


def interval(values, purpose):
    """Return {"value", "low", "high"}: the mean of values[question, seed] and its 95% percentile bootstrap interval.

    Of one list, its items are questions. A paired difference is the interval of ours - theirs.
    """
    values = np.asarray(values, float)
    values = values[:, None] if values.ndim == 1 else values
    low, high = np.percentile(resampled(values, purpose), [2.5, 97.5])
    return {"value": float(values.mean()), "low": float(low), "high": float(high)}


def intervals(correct, tokens, purpose, limits=None):
    """Return `metrics` of correct and tokens[run, question, seed] with 95% intervals, from resamples shared by all runs.

    "scaling", "scaling_per_token", "performance", "control" and "control_per_sample" (the share of single samples within
    the limits of their run) are {"value", "low", "high", "undefined": resamples in which it has no value, left out of the
    interval}, or None where the value itself is not defined; the counts of `metrics` stay numbers.
    """
    correct, tokens = np.asarray(correct, float), np.asarray(tokens, float)
    found = metrics(tokens.mean((1, 2)), correct.mean((1, 2)), limits)
    ends = _limits([(None, None)] * len(tokens) if limits is None else limits, len(tokens))
    obeyed = _within(np.moveaxis(tokens, 0, -1), ends).mean(-1)  # (questions, seeds), over runs
    found["control_per_sample"] = None if limits is None else float(obeyed.mean())
    drawn = resampled(np.concatenate([correct, tokens, obeyed[None]]), purpose)
    hits, lengths = drawn[:, : len(tokens)], drawn[:, len(tokens) : -1]
    spread = {
        "scaling": _scaling(lengths, hits, "doubling"),
        "scaling_per_token": _scaling(lengths, hits, "token"),
        "performance": hits.max(1),
        "control": _within(lengths, ends).mean(1),
        "control_per_sample": drawn[:, -1],
    }
    return found | {name: _spread(found[name], values) for name, values in spread.items()}


def _spread(value, values):
    if value is None:
        return None
    kept = values[~np.isnan(values)]
    low, high = np.percentile(kept, [2.5, 97.5])
    return {
        "value": value,
        "low": float(low),
        "high": float(high),
        "undefined": len(values) - len(kept),
    }


def _draws(rng, rows, size):
    """Return how often each of `size` things is drawn in `rows` draws of `size` with replacement, of shape (rows, size)."""
    drawn = rng.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size).astype(float)
