"""Which traces are trained on: s1's three filters in a first, simple form (s1, section 2.2). Pure and seeded."""
import random
from collections import Counter
from dataclasses import dataclass

from ponder.config import ConfigError, at_least


@dataclass(frozen=True)
class Selection:
    """The filters of one data set (conf/selection)."""
    name: str
    size: int          # rows to choose
    max_tokens: int    # quality: a longer trace is dropped as run on
    min_tokens: int    # difficulty: a shorter trace is dropped as too easy

    def __post_init__(self):
        at_least(1, "selection", self, "size", "max_tokens")


def quality(trace, rule):
    """Return why a trace is dropped, or None: a wrong answer, an empty trace, one that is too long."""
    if not trace["think"].strip():
        return "empty trace"
    if not trace["correct"]:
        return "wrong answer"
    return "too long" if trace["tokens"] > rule.max_tokens else None


def difficulty(trace, rule):
    """Return why a trace is dropped, or None: trace length stands for difficulty, the paper's second signal."""
    return "too short" if trace["tokens"] < rule.min_tokens else None


def diversity(traces, size, seed):
    """Return `size` traces: a domain drawn uniformly, then one of its traces uniformly, until all are chosen.

    The order is the order of the draws. Raises ConfigError when there are not enough traces.
    """
    if len(traces) < size:
        raise ConfigError(f"selection.size={size} exceeds the {len(traces)} traces that pass quality and difficulty; lower it")
    domains = {}
    for trace in sorted(traces, key=lambda t: t["id"]):
        domains.setdefault(trace["domain"], []).append(trace)
    rng, chosen = random.Random(f"diversity/{seed}"), []
    while len(chosen) < size:
        domain = rng.choice(sorted(domains))
        chosen.append(domains[domain].pop(rng.randrange(len(domains[domain]))))
        if not domains[domain]:
            del domains[domain]
    return chosen


def select(traces, rule, seed):
    """Return (chosen traces, funnel): the count after each filter and, per dropped id, the filter and its reason."""
    funnel, dropped, kept = {"pool": len(traces)}, {}, traces
    for step in (quality, difficulty):
        reasons = {trace["id"]: step(trace, rule) for trace in kept}
        dropped |= {ident: f"{step.__name__}: {reason}" for ident, reason in reasons.items() if reason}
        kept = [trace for trace in kept if not reasons[trace["id"]]]
        funnel[step.__name__] = len(kept)
    chosen = diversity(kept, rule.size, seed)
    ids = {trace["id"] for trace in chosen}
    dropped |= {trace["id"]: "diversity: not drawn" for trace in kept if trace["id"] not in ids}
    funnel["diversity"] = len(chosen)
    return chosen, {"after": funnel, "domains": dict(sorted(Counter(t["domain"] for t in chosen).items())), "dropped": dropped}
