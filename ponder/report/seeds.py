"""Accuracies and differences over questions and training seeds together. Pure.

A table of answers has a row for each seed and a column for each question. Seeds and questions are
two crossed random factors, as readers and cases are in studies of diagnostic readings: what one
seed alone, or one question alone, would move is in the interval of the mean.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ponder import statistics

LEVEL = 0.95  # of every interval
POWER = 0.8  # of the smallest difference that would be detected


@dataclass(frozen=True)
class Estimate:
    """The mean of a table of seeds by questions, with its 95% interval."""

    mean: float
    low: float
    high: float
    p: float  # two-sided, of a mean of 0
    detectable: float  # the smallest true mean that is told from 0 with a power of 80%
    between_seeds: float  # standard deviation of the seeds' means; 0 for one seed


def crossed(table: ArrayLike) -> Estimate:
    """Return the Estimate of the mean of a table (S seeds, Q questions).

    The variance of the mean is (MS_seed + max(MS_question - MS_rest, 0)) / (S Q), never below what
    seeds alone or questions alone give; its degrees of freedom are Satterthwaite's, the interval
    and the p-value are of Student's t (decision 0030). With one seed, or one question, the other
    factor alone is left: the standard error of a mean. Where nothing varies there is none: the
    interval is as wide as Wilson's of no hit in Q questions, the p-value that of the sign test.
    """
    values = np.asarray(table, float)
    assert values.ndim == 2 and values.size > 1, "a table of seeds by questions"
    seeds, questions = values.shape
    mean = values.mean()
    if min(seeds, questions) == 1:
        spread = values.var(ddof=1)
        variance, freedom = spread / values.size, float(values.size - 1)
    else:
        variance, freedom = _variance(values)
    error = math.sqrt(variance)
    between = float(values.mean(1).std(ddof=1)) if seeds > 1 else 0.0
    if error == 0:
        half = float(stats.binomtest(0, questions).proportion_ci(method="wilson").high)
        sign = 1.0 if mean == 0 else 2.0 ** (1 - questions)
        return Estimate(float(mean), float(mean - half), float(mean + half), sign, half, between)
    student = stats.t(freedom)
    half = student.ppf((1 + LEVEL) / 2) * error
    p = 2 * student.sf(abs(mean) / error)
    detectable = (student.ppf((1 + LEVEL) / 2) + student.ppf(POWER)) * error
    return Estimate(
        float(mean), float(mean - half), float(mean + half), float(p), float(detectable), between
    )


def share(table: ArrayLike) -> Estimate:
    """Return the Estimate of a table of right (1) and wrong (0) answers: that of `crossed`, whose
    interval ends at 0 and 1, for no share lies beyond.
    """
    estimate = crossed(table)
    return replace(estimate, low=max(estimate.low, 0.0), high=min(estimate.high, 1.0))


def _variance(values: np.ndarray) -> tuple[float, float]:
    """Return (variance of the mean, its degrees of freedom) of two crossed random factors."""
    seeds, questions = values.shape
    mean, by_seed, by_question = values.mean(), values.mean(1), values.mean(0)
    ms_seed = questions * ((by_seed - mean) ** 2).sum() / (seeds - 1)
    ms_question = seeds * ((by_question - mean) ** 2).sum() / (questions - 1)
    rest = values - by_seed[:, None] - by_question[None, :] + mean
    freedoms = seeds - 1, questions - 1, (seeds - 1) * (questions - 1)
    ms_rest = (rest**2).sum() / freedoms[2]
    combined = ms_seed + max(ms_question - ms_rest, 0.0)
    if combined < ms_question:  # the seeds say less than the questions alone
        return ms_question / values.size, float(freedoms[1])
    parts = ms_seed**2 / freedoms[0]
    if ms_question > ms_rest:
        parts += ms_question**2 / freedoms[1] + ms_rest**2 / freedoms[2]
    freedom = combined**2 / parts if parts else float(freedoms[1])
    return combined / values.size, float(freedom)


def one_seed(values: Sequence[float]) -> Estimate:
    """Return the Estimate of paired differences of one seed, each 1 (gained), -1 (lost) or 0: the
    bootstrap's interval and McNemar's exact p-value; what is detectable is that of `crossed`.
    """
    assert {*values} <= {-1, 0, 1}, "a share of several samples is no answer gained or lost"
    gained, lost = [value > 0 for value in values], [value < 0 for value in values]
    interval = statistics.difference(gained, lost)
    p = mcnemar(sum(gained), sum(lost))
    return replace(crossed([values]), low=interval["low"], high=interval["high"], p=p)


def mcnemar(gained: int, lost: int) -> float:
    """Return the exact two-sided p-value of McNemar's test, for answers gained and lost."""
    if gained + lost == 0:
        return 1.0
    return float(stats.binomtest(gained, gained + lost).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected by Holm's step-down procedure, in the order they were given."""
    corrected, largest = [0.0] * len(p_values), 0.0
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        corrected[at] = largest
    return corrected


ONE_SEED = "paired by question, McNemar exact"
ESTIMATORS: dict[str, Callable[[list[list[int]]], Estimate]] = {  # as pre-registrations name them
    "two-way random effects, seed by question, Satterthwaite": crossed,
    ONE_SEED: lambda table: one_seed(*table),
}
