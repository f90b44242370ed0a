"""Word n-grams that a text shares with others, found through one index of those.

Pure functions. The cost is linear in the text, but for the number of what it shares.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ponder.collect.wording import Words

if TYPE_CHECKING:
    import numpy as np

FORMS = ("words", "plain")  # fields of Words; where both find an n-gram, the first is named
# The least share of words of two letters or more in an n-gram that counts.
PROSE = {"words": 0.0, "plain": 0.5}
# Shared passages of a pair that are shown, the longest ones; a pair itself is always in the report.
PASSAGES = 3
# Bits of a hash by which most n-grams are known not to be in a text: 4 MB stay in a cache.
FILTER = 22
FACTOR = random.Random("contamination/n-grams").getrandbits(64) | 1


class Shared(NamedTuple):
    """The different n-grams that a text shares with an indexed one."""

    item: int  # the number of the indexed text
    n: int
    form: str  # of FORMS
    starts: list[int]  # where they stand first in the text, in words
    share: float  # the part of the indexed text's n-grams


@dataclass(frozen=True)
class GramIndex:
    """The n-grams of some texts, T in number, W words together; a 0 follows each text."""

    numbers: dict[str, int]  # of each different word, from 1
    words: np.ndarray  # [W + T] uint64: the numbers of all words
    owners: np.ndarray  # [W + T]: the index of the text that each stands in
    # n: [2 ** FILTER] bool, whether a hash may be here; all hashes, sorted; where each stands.
    grams: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]
    sizes: dict[int, np.ndarray]  # n: [T], how many different n-grams each text has


def indexed(texts: Sequence[Words], lengths: Iterable[int]) -> dict[str, GramIndex]:
    """Return {form: the GramIndex of some texts}."""
    return {
        form: _index([getattr(text, form) for text in texts], lengths, PROSE[form])
        for form in FORMS
    }


def shared(indexes: dict[str, GramIndex], text: Words) -> list[Shared]:
    """Return what a text shares with each of the texts of `indexed`."""
    pairs: dict[tuple[int, int], Shared] = {}
    for form, index in indexes.items():
        for n, starts_of in _shared(index, getattr(text, form)):
            for item, starts in starts_of.items():
                if (item, n) not in pairs:
                    share = len(starts) / index.sizes[n][item]
                    pairs[item, n] = Shared(item, n, form, starts, share)
    return list(pairs.values())


def without_any(indexes: dict[str, GramIndex]) -> list[int]:
    """Return the numbers of the texts that have no n-gram of the least length, in either form."""
    sizes = [index.sizes[min(index.sizes)] for index in indexes.values()]
    return [number for number, counts in enumerate(zip(*sizes, strict=True)) if not any(counts)]


def _index(texts: Sequence[list[str]], lengths: Iterable[int], prose: float) -> GramIndex:
    """Return the GramIndex of texts, given as words; `prose` is as of PROSE."""
    import numpy as np

    different = dict.fromkeys(itertools.chain.from_iterable(texts))
    numbers = {word: number for number, word in enumerate(different, 1)}
    # A 0 ends each text and stands for every word that no text has: no n-gram reaches over it.
    sequence: list[int] = []
    for text in texts:
        sequence += map(numbers.__getitem__, text)
        sequence.append(0)
    words = np.array(sequence, np.uint64)
    owners = np.repeat(np.arange(len(texts)), [len(text) + 1 for text in texts])
    is_prose = np.array([False, *(len(word) > 1 and word.isalpha() for word in numbers)])
    prose_before = np.concatenate([[0], np.cumsum(is_prose[words])])
    grams, sizes = {}, {}
    for n in sorted(lengths):
        starts, hashes = _hashes(words, n)
        counts = prose_before[starts + n] - prose_before[starts] >= prose * n
        starts, hashes = starts[counts], hashes[counts]
        sizes[n] = _num_different(hashes, owners[starts], len(texts))
        order = np.argsort(hashes, kind="stable")
        maybe = np.zeros(1 << FILTER, bool)
        maybe[hashes >> np.uint64(64 - FILTER)] = True
        grams[n] = maybe, hashes[order], starts[order]
    return GramIndex(numbers, words, owners, grams, sizes)


def _num_different(hashes: np.ndarray, owners: np.ndarray, texts: int) -> np.ndarray:
    """Return [texts]: how many different hashes each owner has."""
    import numpy as np

    order = np.lexsort((hashes, owners))
    ordered_owners, ordered = owners[order], hashes[order]
    is_first = np.ones(len(order), bool)
    is_first[1:] = (np.diff(ordered_owners) != 0) | (np.diff(ordered) != 0)
    return np.bincount(ordered_owners[is_first], minlength=texts)


def _hashes(words: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (where they start, hashes) of all n-grams of word numbers without a 0."""
    import numpy as np

    count = max(0, len(words) - n + 1)
    hashes, whole = np.zeros(count, np.uint64), np.ones(count, bool)
    for shift in range(n):
        part = words[shift : shift + count]
        hashes = (hashes + part) * np.uint64(FACTOR)
        whole &= part != 0
    starts = np.flatnonzero(whole)
    return starts, hashes[starts]


def _shared(index: GramIndex, words: list[str]) -> Iterator[tuple[int, dict[int, list[int]]]]:
    """Yield (n, {text: starts}), n ascending, while there are shared n-grams.

    The starts are where the different n-grams that `words` share with the text first stand in
    `words`.
    """
    import numpy as np

    numbers = np.fromiter(map(index.numbers.get, words, itertools.repeat(0)), np.uint64, len(words))
    for n, (maybe, hashes_there, places) in index.grams.items():
        starts, hashes = _hashes(numbers, n)
        candidates = np.flatnonzero(maybe[hashes >> np.uint64(64 - FILTER)])
        different, first = np.unique(hashes[candidates], return_index=True)
        low = np.searchsorted(hashes_there, different)
        count = np.searchsorted(hashes_there, different, "right") - low
        here = np.repeat(starts[candidates[first]], count)
        if not len(here):
            return
        there = places[np.repeat(low - np.cumsum(count) + count, count) + np.arange(len(here))]
        # The words themselves decide: equal hashes are only likely to be equal n-grams.
        span = np.arange(n)
        same = (index.words[there[:, None] + span] == numbers[here[:, None] + span]).all(axis=1)
        owners = index.owners[there[same]].tolist()
        starts_of: dict[int, set[int]] = {}
        for item, start in zip(owners, here[same].tolist(), strict=True):
            starts_of.setdefault(item, set()).add(start)
        yield n, {item: sorted(starts_of[item]) for item in sorted(starts_of)}


def passages(words: list[str], starts: Iterable[int], n: int) -> str:
    """Return the longest passages of `words` that n-grams at `starts` cover, in their order.

    PASSAGES of them, and how many more there are.
    """
    covered: list[list[int]] = []
    for start in starts:
        if covered and start < covered[-1][1]:
            covered[-1][1] = start + n
        else:
            covered.append([start, start + n])
    longest = sorted(covered, key=lambda passage: (passage[0] - passage[1], passage[0]))
    texts = [" ".join(words[first:end]) for first, end in sorted(longest[:PASSAGES])]
    if len(covered) > PASSAGES:
        texts.append(f"({len(covered) - PASSAGES} more)")
    return " ... ".join(texts)
