"""Numbers over samples: accuracies with their intervals, paired differences. Pure; every interval is 95%."""
import numpy as np
from scipy.stats import binomtest

from ponder.models import purpose_seed

RESAMPLES = 10_000    # s1, section 4.2: paired bootstrap with 10,000 resamples


def accuracy(flags):
    """Return {"n", "correct", "accuracy", "low", "high"} of a list of right-or-wrong, with Wilson's interval."""
    n, correct = len(flags), int(sum(flags))
    interval = binomtest(correct, n).proportion_ci(method="wilson")
    return {"n": n, "correct": correct, "accuracy": correct / n, "low": float(interval.low), "high": float(interval.high)}


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
    return {**accuracy([s["correct"] for s in samples]),
            "thinking_tokens": sum(s["num_thinking"] for s in samples) / len(samples),
            "capped": sum(s["capped"] for s in samples), "ignored_ends": sum(s["num_ignored"] for s in samples)}
