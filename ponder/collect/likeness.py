"""How a text resembles benchmark questions: by key, by n-grams, nearly as a whole, or holding one.

Pure functions; what is looked for and reported is told in contamination.hits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ponder.collect import duplicates, grams
from ponder.collect.wording import Words
from ponder.questions.drawn import Question, question_id

# Words of a trace that are shown before and after its first shared passage.
CONTEXT = 40
# Words and signs of the shortest text that is looked for within others: shorter ones, such as "find
# x", stand in many.
SHORTEST = 3


class Item(NamedTuple):
    """A benchmark question that is looked for."""

    benchmark: str
    id: str
    question: str
    key: str

    @property
    def has_key(self) -> bool:
        """Whether it has a canonical key: one that is not the hash of its text."""
        return self.key != question_id(self.question)


class Match(NamedTuple):
    """What a text shares with an Item; see contamination.hits for the fields."""

    item: Item
    by: str
    form: str
    share: float
    overlap: str
    text: str


def by_key(items: Sequence[Item]) -> Callable[[Question], list[Match]]:
    """Return the function that gives the items whose key or text a question has."""
    numbers: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        for name in {item.key, question_id(item.question)}:
            numbers.setdefault(name, []).append(number)

    def look(question: Question) -> list[Match]:
        if question.id not in numbers and question.key not in numbers:
            return []
        names = {}
        for name in (question.id, question.key):
            for number in numbers.get(name, ()):
                names[number] = name
        return [
            Match(items[number], "key", "", 1.0, name, question.question)
            for number, name in sorted(names.items())
        ]

    return look


class Search:
    """Benchmark questions, indexed to be looked for in texts.

    `ngrams` are lengths in words, () for none; from a Jaccard similarity of `minhash` on a text is
    a near-duplicate, None for none.
    """

    def __init__(
        self,
        items: Sequence[Item],
        words_of: Callable[[str], Words],
        ngrams: Sequence[int],
        minhash: float | None,
    ) -> None:
        self.items, self.words_of = items, words_of
        texts = [words_of(item.question) for item in items]
        self.grams = grams.indexed(texts, ngrams) if ngrams and items else None
        self.similar = _similar(texts, minhash) if minhash is not None and items else None
        self.whole = _whole(texts, grams.without_any(self.grams)) if self.grams else None

    def question(self, text: str) -> list[Match]:
        """Return what a question shares with the items."""
        if not self.items:
            return []
        words = self.words_of(text)
        matches = self._grams(words, lambda shared: text)
        if self.similar:
            for number, share, overlap in self.similar(words):
                matches.append(Match(self.items[number], "minhash", "", share, overlap, text))
        if self.whole:
            for number, overlap in self.whole(words):
                matches.append(Match(self.items[number], "whole", "", 1.0, overlap, text))
        return matches

    def trace(self, text: str) -> list[Match]:
        """Return the n-grams that a trace shares with the items."""
        if not self.grams:
            return []
        words = self.words_of(text)

        def around(shared: grams.Shared) -> str:
            start, form = shared.starts[0], getattr(words, shared.form)
            return " ".join(form[max(0, start - CONTEXT) : start + shared.n + CONTEXT])

        return self._grams(words, around)

    def _grams(self, words: Words, shown: Callable[[grams.Shared], str]) -> list[Match]:
        matches = []
        for shared in grams.shared(self.grams, words) if self.grams else ():
            overlap = grams.passages(getattr(words, shared.form), shared.starts, shared.n)
            item, by = self.items[shared.item], f"{shared.n}-gram"
            matches.append(Match(item, by, shared.form, shared.share, overlap, shown(shared)))
        return matches


def _similar(
    texts: Sequence[Words], threshold: float
) -> Callable[[Words], Iterator[tuple[int, float, str]]]:
    """Return the function that gives (number, similarity, shared passages) of the nearly equal
    texts.
    """
    index = duplicates.index(threshold)
    for number, text in enumerate(texts):
        if members := duplicates.shingles_of(text.question):
            index.insert(number, duplicates.sketch(members), check_duplication=False)

    def look(words: Words) -> Iterator[tuple[int, float, str]]:
        members = duplicates.shingles_of(words.question)
        if not members:
            return
        for number in sorted(index.query(duplicates.sketch(members))):
            shingles = duplicates.shingles_of(texts[number].question)
            share = duplicates.jaccard(members, shingles)
            if share >= threshold:
                yield number, share, _shared_shingles(words.question, shingles)

    return look


def _shared_shingles(words: list[str], shingles: set[str]) -> str:
    """Return the passages of `words` that are made of some shingles."""
    n = min(duplicates.SHINGLE, len(words))
    starts = [
        start
        for start in range(len(words) - n + 1)
        if " ".join(words[start : start + n]) in shingles
    ]
    return grams.passages(words, starts, n)


def _whole(
    texts: Sequence[Words], short: Sequence[int]
) -> Callable[[Words], list[tuple[int, str]]]:
    """Return the function that gives (number, text) of the short texts, given by their numbers,
    that a text holds as a whole.
    """
    counts = Counter(token for text in texts for token in set(text.tokens))
    by_rarest: dict[str, list[tuple[int, str]]] = {}
    for number in short:
        wanted = texts[number].question
        if len(wanted) >= SHORTEST:
            rarest = min(wanted, key=lambda token: (counts[token], token))
            by_rarest.setdefault(rarest, []).append((number, " ".join(wanted)))

    def look(words: Words) -> list[tuple[int, str]]:
        if by_rarest.keys().isdisjoint(words.tokens):
            return []
        rare = by_rarest.keys() & words.tokens
        line = f" {' '.join(words.tokens)} "
        return [
            (number, text)
            for token in sorted(rare)
            for number, text in by_rarest[token]
            if f" {text} " in line
        ]

    return look
