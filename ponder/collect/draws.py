"""How rows are drawn from what the filters leave: s1's Algorithm 1 in both variants, and others.

The others are the sets that s1 was compared with. Every draw takes candidates sorted by id and a
seed, and changes neither; the order of its rows is the order of the draws.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ponder.errors import UserError
from ponder.rows import Trace

if TYPE_CHECKING:
    from ponder.collect.selection import Matched, Selection


def draw(traces: Iterable[Trace], rule: Selection, seed: int) -> list[Trace]:
    """Return the rows that `rule.method` draws from `traces`.

    Raises UserError when there are fewer than `rule.size`.
    """
    candidates = sorted(traces, key=lambda trace: trace.id)
    if rule.method == "all":
        return candidates
    if len(candidates) < rule.size:
        raise UserError(
            f"selection.size={rule.size} exceeds the {len(candidates)} traces that pass the "
            "filters; lower it"
        )
    return METHODS[rule.method](candidates, rule, seed)


def diverse(candidates: Sequence[Trace], rule: Selection, seed: int) -> list[Trace]:
    """Return `size` rows: each time a domain drawn uniformly, then one of its rows uniformly.

    A row is drawn once (s1, 1K-diverse).
    """
    domains = by_domain(candidates)
    rng = random.Random(f"diversity/{seed}")
    rows: list[Trace] = []
    while len(rows) < rule.size:
        domain = rng.choice(sorted(domains))
        rows.append(domains[domain].pop(rng.randrange(len(domains[domain]))))
        if not domains[domain]:
            del domains[domain]
    return rows


def uniform(candidates: Sequence[Trace], rule: Selection, seed: int) -> list[Trace]:
    """Return `size` rows, every candidate as likely as any other (s1, 1K-random)."""
    return random.Random(f"random/{seed}").sample(candidates, rule.size)


def longest(candidates: Sequence[Trace], rule: Selection, seed: int) -> list[Trace]:
    """Return the `size` rows with the longest traces, the longest first (s1, 1K-longest).

    Ties go by id.
    """
    return by_length(candidates)[: rule.size]


def s1(candidates: Sequence[Trace], rule: Selection, seed: int) -> list[Trace]:
    """Return `size` rows of s1's Algorithm 1.

    Those of taken_first come first, by id; then a domain is drawn and a row of it by
    length. A row already taken stays in its domain and may be drawn: the set does not grow. Variant
    "released" draws the domains uniformly until it has `uniform_until` rows, then by
    `matched_weights` (s1, data/filter.ipynb; not in the paper). Raises UserError when more than
    `size` rows come first, or the matched domains run out.
    """
    rows = {trace.id: trace for trace in taken_first(candidates, rule)}
    if len(rows) > rule.size:
        raise UserError(
            f"{'selection.first' if rule.first else 'selection.method=mended'} takes {len(rows)} "
            f"traces, more than selection.size={rule.size}; raise the size"
        )
    # Rank r is then at -1 - r, cheap to take out.
    shortest_first = by_domain(by_length(candidates)[::-1])
    weights: dict[str, int] = {}
    if rule.variant == "released":
        assert rule.matched is not None
        weights = matched_weights(candidates, rule.matched)
    rng, domains = random.Random(f"s1/{seed}"), sorted(shortest_first)
    while len(rows) < rule.size:
        if rule.variant == "paper" or len(rows) < rule.uniform_until:
            domain = rng.choice(domains)
        else:
            domain = weighted(rng, weights)
        bucket = shortest_first[domain]
        trace = bucket.pop(-1 - rank(rng, len(bucket)))
        rows.setdefault(trace.id, trace)
        if not bucket:
            domains.remove(domain)
            weights.pop(domain, None)
    return list(rows.values())


METHODS = {"s1": s1, "mended": s1, "random": uniform, "longest": longest, "diverse": diverse}


def taken_first(candidates: Iterable[Trace], rule: Selection) -> list[Trace]:
    """Return the right traces that come before any draw of s1's algorithm, in their order.

    Of method mended those that hold a wrong attempt too, of s1 those of `rule.first`.
    """
    if rule.method == "mended":
        return [trace for trace in candidates if trace.correct and trace.wrong]
    least: dict[str, int] = {}
    for first in rule.first:
        for family in first.families:
            least[family] = min(first.min_tokens, least.get(family, first.min_tokens))
    return [
        trace
        for trace in candidates
        if trace.correct and trace.family in least and trace.tokens >= least[trace.family]
    ]


def matched_weights(candidates: Sequence[Trace], matched: Matched) -> dict[str, int]:
    """Return {domain: whole number}, the shape of the benchmarks.

    It is the rows of `whole`, plus the rows of `scaled` times a ratio. The ratio gives `scaled` the
    share `matched.share` of the rows of `whole`, each product cut to a whole number, as released
    (s1, data/filter.ipynb). Raises UserError when a family has no row left.
    """
    counts = {}
    for family in matched.families:
        rows = [trace for trace in candidates if trace.family == family]
        if not rows:
            raise UserError(
                f"selection.matched names {family!r}, of which no trace passes; take "
                "selection.variant=paper"
            )
        counts[family] = Counter(trace.domain for trace in rows)
    whole, scaled = counts[matched.whole], counts[matched.scaled]
    ratio = matched.share * whole.total() / scaled.total()
    weights = {
        domain: int(scaled[domain] * ratio) + whole[domain] for domain in sorted(whole | scaled)
    }
    return {domain: weight for domain, weight in weights.items() if weight}


def weighted(rng: random.Random, weights: dict[str, int]) -> str:
    """Return a key of {key: whole number} with a chance in proportion to its number, exactly.

    Raises UserError where there is no key.
    """
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


def rank(rng: random.Random, size: int) -> int:
    """Return a rank below `size` with P(rank) = 2^-rank, normalised.

    It tosses fair coins, since 2.0 ** -1075 is already 0.
    """
    while True:
        tails = 0
        while rng.getrandbits(1):
            tails += 1
        if tails < size:
            return tails


def by_length(candidates: Iterable[Trace]) -> list[Trace]:
    """Return the rows from the longest trace to the shortest, ties in the order they came."""
    return sorted(candidates, key=lambda trace: -trace.tokens)


def by_domain(candidates: Iterable[Trace]) -> dict[str, list[Trace]]:
    """Return {domain: rows}, rows in the order they came."""
    domains: dict[str, list[Trace]] = {}
    for trace in candidates:
        domains.setdefault(trace.domain, []).append(trace)
    return domains
