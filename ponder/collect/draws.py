"""How rows are drawn from what the filters leave: s1's Algorithm 1 in both variants, and the sets it was compared with.

Every draw takes candidates sorted by id and a seed, and changes neither; the order of its rows is the order of the draws.
"""

import random
from collections import Counter

from ponder.errors import UserError


def draw(traces, rule, seed):
    """Return the rows that `rule.method` draws from `traces`; raises UserError when there are fewer than `rule.size`."""
    candidates = sorted(traces, key=lambda t: t["id"])
    if rule.method == "all":
        return candidates
    if len(candidates) < rule.size:
        raise UserError(
            f"selection.size={rule.size} exceeds the {len(candidates)} traces that pass the filters; lower it"
        )
    return METHODS[rule.method](candidates, rule, seed)


def diverse(candidates, rule, seed):
    """Return `size` rows: a domain drawn uniformly, then one of its rows uniformly, until all are drawn (s1, 1K-diverse)."""
    domains = by_domain(candidates)
    rng, chosen = random.Random(f"diversity/{seed}"), []
    while len(chosen) < rule.size:
        domain = rng.choice(sorted(domains))
        chosen.append(domains[domain].pop(rng.randrange(len(domains[domain]))))
        if not domains[domain]:
            del domains[domain]
    return chosen


def uniform(candidates, rule, seed):
    """Return `size` rows, every candidate as likely as any other (s1, 1K-random)."""
    return random.Random(f"random/{seed}").sample(candidates, rule.size)


def longest(candidates, rule, seed):
    """Return the `size` rows with the longest traces, the longest first, ties by id (s1, 1K-longest)."""
    return by_length(candidates)[: rule.size]


def s1(candidates, rule, seed):
    """Return `size` rows of s1's Algorithm 1: those that `rule.first` takes, by id, then a domain and a row of it by length.

    A row already taken stays in its domain and may be drawn: the set does not grow. Variant "released" draws the domains
    uniformly until it has `uniform_until` rows, then by `matched_weights` (s1, data/filter.ipynb; not in the paper).
    Raises UserError when `rule.first` takes more than `size` rows, or the matched domains run out.
    """
    chosen = {trace["id"]: trace for trace in taken_first(candidates, rule)}
    if len(chosen) > rule.size:
        raise UserError(
            f"selection.first takes {len(chosen)} traces, more than selection.size={rule.size}; raise the size"
        )
    shortest_first = by_domain(
        by_length(candidates)[::-1]
    )  # rank r is then at -1 - r, cheap to take out
    weights = matched_weights(candidates, rule.matched) if rule.variant == "released" else {}
    rng, domains = random.Random(f"s1/{seed}"), sorted(shortest_first)
    while len(chosen) < rule.size:
        if rule.variant == "paper" or len(chosen) < rule.uniform_until:
            domain = rng.choice(domains)
        else:
            domain = weighted(rng, weights)
        bucket = shortest_first[domain]
        trace = bucket.pop(-1 - rank(rng, len(bucket)))
        chosen.setdefault(trace["id"], trace)
        if not bucket:
            domains.remove(domain)
            weights.pop(domain, None)
    return list(chosen.values())


METHODS = {"s1": s1, "random": uniform, "longest": longest, "diverse": diverse}


def taken_first(candidates, rule):
    """Return the right traces that a rule of `rule.first` takes before any draw, in the order of the candidates."""
    least = {}
    for first in rule.first:
        for family in first.families:
            least[family] = min(first.min_tokens, least.get(family, first.min_tokens))
    return [
        t
        for t in candidates
        if t["correct"] and t["family"] in least and t["tokens"] >= least[t["family"]]
    ]


def matched_weights(candidates, matched):
    """Return {domain: whole number}, the shape of the benchmarks: rows of `whole`, plus rows of `scaled` times a ratio.

    The ratio gives `scaled` the share `matched.share` of the rows of `whole`, each product cut to a whole number, as
    released (s1, data/filter.ipynb).
    Raises UserError when a family has no row left.
    """
    counts = {
        family: Counter(t["domain"] for t in candidates if t["family"] == family)
        for family in matched.families
    }
    if empty := [family for family, domains in counts.items() if not domains]:
        raise UserError(
            f"selection.matched names {empty[0]!r}, of which no trace passes; take selection.variant=paper"
        )
    whole, scaled = counts[matched.whole], counts[matched.scaled]
    ratio = matched.share * whole.total() / scaled.total()
    weights = {
        domain: int(scaled[domain] * ratio) + whole[domain] for domain in sorted(whole | scaled)
    }
    return {domain: weight for domain, weight in weights.items() if weight}


def weighted(rng, weights):
    """Return a key of {key: whole number} with a chance in proportion to its number, exactly."""
    if not weights:
        raise UserError(
            "the domains of selection.matched have no trace left to draw; lower selection.size"
        )
    ticket = rng.randrange(sum(weights.values()))
    for key, weight in weights.items():
        ticket -= weight
        if ticket < 0:
            return key
    raise AssertionError("a ticket beyond the sum of the weights")


def rank(rng, size):
    """Return a rank below `size` with P(rank) = 2^-rank normalised: fair coins, since 2.0 ** -1075 is already 0."""
    while True:
        tails = 0
        while rng.getrandbits(1):
            tails += 1
        if tails < size:
            return tails


def by_length(candidates):
    """Return the rows from the longest trace to the shortest, ties in the order they came."""
    return sorted(candidates, key=lambda t: -t["tokens"])


def by_domain(candidates):
    """Return {domain: rows}, rows in the order they came."""
    domains = {}
    for trace in candidates:
        domains.setdefault(trace["domain"], []).append(trace)
    return domains
