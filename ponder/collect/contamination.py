"""Which questions and traces hold something of a benchmark.

Looked for are shared word n-grams, near-duplicates and canonical keys, last and over every row. The
paper looked before it added AIME, which let one question of MATH-500 in (s1, issue 26).
"""

from __future__ import annotations

import glob
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ponder.collect import duplicates
from ponder.config import build
from ponder.errors import UserError
from ponder.questions import tables
from ponder.questions.drawn import Question, question_id
from ponder.rows import Trace

if TYPE_CHECKING:
    import numpy as np

# Jaccard similarity. Below it nearly all pairs are candidates of MinHash: the cost is quadratic.
LEAST = 0.5
# Shared passages of a pair that are shown, the longest ones; a pair itself is always in the report.
PASSAGES = 3
# Words of a trace that are shown before and after its first shared passage.
CONTEXT = 40
# Bits of a hash by which most n-grams are known not to be in a benchmark: 4 MB stay in a cache.
FILTER = 22
FACTOR = random.Random("contamination/n-grams").getrandbits(64) | 1


@dataclass(frozen=True)
class BenchmarkSource:
    """Where the questions of a benchmark stand, and in which columns."""

    path: str | None  # a JSONL file, or a pattern such as dir/*.jsonl
    field: str  # holds the question
    id: str | None  # names it; null: file and line do
    # Its canonical key; null: the hash of the question, as for any that no program wrote.
    key: str | None


@dataclass(frozen=True)
class Decontamination:
    """What counts as a copy, inside the pool and of a benchmark (conf/decontamination)."""

    name: str
    near: float | None
    prefer: tuple[str, ...]
    ngrams: tuple[int, ...]
    minhash: float | None
    keys: bool
    traces: bool
    benchmarks: dict[str, Any]

    def __post_init__(self) -> None:
        self._check_similarities()
        self._check_ngrams()
        compares = bool(self.ngrams or self.minhash or self.keys)
        if self.benchmarks and not compares:
            raise UserError(
                "decontamination has benchmarks, but neither ngrams, minhash nor keys to look for; "
                "set one of them"
            )
        if compares and not self.benchmarks:
            raise UserError(
                "decontamination.benchmarks is {}, but ngrams, minhash and keys need texts to look "
                "for; name some"
            )
        for name in self.benchmarks:
            self.source(name)

    def _check_similarities(self) -> None:
        for key in ("near", "minhash"):
            value = getattr(self, key)
            if value is not None and not LEAST <= value <= 1:
                raise UserError(
                    f"decontamination.{key}={value} is no similarity that MinHash finds; give "
                    f"{LEAST} to 1, or null"
                )

    def _check_ngrams(self) -> None:
        for key in ("ngrams", "prefer"):
            values = getattr(self, key)
            if len(set(values)) < len(values):
                raise UserError(
                    f"decontamination.{key} is {list(values)}, but must name each only once"
                )
        if self.ngrams and min(self.ngrams) < 2:
            raise UserError(
                f"decontamination.ngrams has {min(self.ngrams)}, but a single word is no copy; "
                "give 2 or more"
            )
        if self.traces and not self.ngrams:
            raise UserError(
                "decontamination.traces=true looks for n-grams, but decontamination.ngrams is []; "
                "give e.g. [8,13]"
            )

    def source(self, name: str) -> BenchmarkSource:
        """Return the BenchmarkSource of one configured benchmark."""
        return build(BenchmarkSource, self.benchmarks[name], f"decontamination.benchmarks.{name}")


# --- benchmarks ------------------------------------------------------------------------


def files(rule: Decontamination) -> list[str]:
    """Return the paths of all benchmark files, sorted; raises UserError where there is none."""
    paths: set[str] = set()
    for name in rule.benchmarks:
        paths.update(_paths(rule, name))
    return sorted(paths)


def compared(rule: Decontamination) -> tuple[str, ...]:
    """Return the names of the benchmarks, each with what was looked for."""
    comparisons = [f"{n}-grams" for n in rule.ngrams]
    if rule.minhash:
        comparisons.append("near-duplicates")
    if rule.keys:
        comparisons.append("equal keys or texts")
    return tuple(f"{name} ({', '.join(comparisons)})" for name in sorted(rule.benchmarks))


def read_benchmarks(rule: Decontamination) -> dict[str, list[dict[str, str]]]:
    """Return {benchmark: rows {id, question, key}} from the configured files.

    Raises UserError, with path and line, for a file that is missing or empty and for a row without
    a column that is configured.
    """
    benchmarks: dict[str, list[dict[str, str]]] = {}
    for name in sorted(rule.benchmarks):
        benchmarks[name] = []
        for path in _paths(rule, name):
            benchmarks[name] += _read(path, rule.source(name))
    return benchmarks


def _paths(rule: Decontamination, name: str) -> list[str]:
    path, where = rule.source(name).path, f"decontamination.benchmarks.{name}"
    if path is None:
        raise UserError(
            f"{where}.path is null, but the questions of {name} are needed to look for; give their "
            f"JSONL, e.g. {where}.path=/data/{name}.jsonl, or leave it out with '~{where}'"
        )
    paths = [path] if Path(path).is_file() else sorted(glob.glob(path))
    if not paths:
        raise UserError(
            f"{where}.path={path} is no file; give the JSONL of {name}, or leave it out with "
            f"'~{where}'"
        )
    return paths


def _read(path: str, source: BenchmarkSource) -> list[dict[str, str]]:
    """Return the rows {id, question, key} of one file."""
    rows = []
    for number, row in tables.jsonl(path):
        try:
            rows.append(_benchmark_row(row, source, f"{Path(path).name}:{number}"))
        except tables.Unfit as error:
            raise UserError(
                f"{path}, line {number}: {error}; mend the line, or name the columns with "
                "decontamination.benchmarks.<name>.field, id and key"
            ) from error
    if not rows:
        raise UserError(f"{path} holds no question; give the JSONL of a benchmark")
    return rows


def _benchmark_row(row: Any, source: BenchmarkSource, place: str) -> dict[str, str]:
    """Return {id, question, key} of a row; raises tables.Unfit for one that gives none."""
    text = tables.cell(row, source.field)
    if not isinstance(text, str) or not text.strip():
        raise tables.Unfit(f"column {source.field} holds no question")
    text = tables.clean(text, source.field, tables.MAX_TEXT)
    ident = _name(row, source.id, tables.MAX_NAME) if source.id else place
    key = _name(row, source.key, tables.MAX_TEXT) if source.key else question_id(text)
    return {"id": ident, "question": text, "key": key}


def _name(row: Any, column: str, most: int) -> str:
    """Return a short text of a row; `most` are its characters."""
    name = tables.clean(tables.text(tables.cell(row, column), column), column, most)
    if not name:
        raise tables.Unfit(f"column {column} is empty")
    return name


# --- what is looked for ----------------------------------------------------------------


class Item(NamedTuple):
    """A benchmark question that is looked for."""

    benchmark: str
    id: str
    question: str
    key: str


class Match(NamedTuple):
    """What a text shares with an Item; see `hits` for the fields."""

    item: int  # its index
    by: str
    form: str
    share: float
    overlap: str
    text: str


def hits(
    questions: Sequence[Question],
    traces: Sequence[Trace],
    benchmarks: dict[str, list[dict[str, str]]],
    rule: Decontamination,
) -> list[dict[str, Any]]:
    """Return one row for each pair of texts of which one holds something of the other, sorted.

    A row is {id: of the question, where: question | trace, benchmark, benchmark_id, by: "8-gram" or
    another n, minhash or key, form, share, overlap: the shared text, text, benchmark_text}.
    `benchmarks` is as of read_benchmarks.

    - n-gram: a shared run of n words, in one of two forms. "words" is s1's: lower case, split at
      white space, punctuation kept (s1, data/decontaminate_util.py). "plain" has the letters and
      digits alone, without punctuation, signs and layout of TeX, since one question is set in TeX
      in many ways; as it takes a formula apart, only n-grams count of which half the words or more
      have two letters or more. A pair found in both is reported as "words". `share` is the part of
      the benchmark question's n-grams that the text has.
    - minhash: Jaccard similarity (`share`) of shingles, see duplicates.near, of `rule.minhash` or
      more; questions only.
    - key: equal canonical keys or equal texts; questions only. For templated ones, whose n-grams
      are all shared.

    `text` is the question, or of a trace the words around the first shared passage. Traces,
    thinking and answer, are read if `rule.traces`. The cost is linear in questions and traces, but
    for the number of hits.
    """
    items = sorted(_items(benchmarks))
    matches: list[tuple[str, str, Match]] = []
    if rule.ngrams:
        look_for_grams = _look_for_grams(items, rule.ngrams)
        for question in questions:
            for match in look_for_grams(question.question, False):
                matches.append((question.id, "question", match))
        for trace in traces if rule.traces else ():
            for match in look_for_grams(f"{trace.think}\n{trace.answer}", True):
                matches.append((trace.id, "trace", match))
    looks: list[Callable[[Question], Iterable[Match]]] = []
    if rule.minhash is not None:
        looks.append(_look_for_similar(items, rule.minhash))
    if rule.keys:
        looks.append(_look_for_keys(items))
    for look in looks:
        for question in questions:
            matches += [(question.id, "question", match) for match in look(question)]
    rows = [_hit(ident, where, items[match.item], match) for ident, where, match in matches]
    order = ("id", "where", "benchmark", "benchmark_id", "by", "benchmark_text", "text")
    return sorted(rows, key=lambda row: tuple(row[name] for name in order))


def _items(benchmarks: dict[str, list[dict[str, str]]]) -> Iterator[Item]:
    for name, rows in benchmarks.items():
        for row in rows:
            yield Item(name, row["id"], row["question"], row["key"])


def _hit(ident: str, where: str, item: Item, match: Match) -> dict[str, Any]:
    """Return the row of a match."""
    return {
        "id": ident,
        "where": where,
        "benchmark": item.benchmark,
        "benchmark_id": item.id,
        "by": match.by,
        "form": match.form,
        "share": round(float(match.share), 4),
        "overlap": match.overlap,
        "text": match.text,
        "benchmark_text": item.question,
    }


def strongest(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return {id: its strongest hit} of the rows of `hits`.

    A key is the strongest, then an n-gram with the more words, minhash counting as 9: a
    near-duplicate says more than eight shared words, a long shared run more than both. Of two alike
    it is the one with the larger share, then the first in the order of `hits`.
    """
    ranks = {"key": 10**9, "minhash": 9}

    def strength(row: dict[str, Any]) -> tuple[int, float]:
        return ranks.get(row["by"]) or int(row["by"].removesuffix("-gram")), row["share"]

    # The sort is stable and the last row of an id stays: of equally strong ones the first.
    return {row["id"]: row for row in sorted(reversed(rows), key=strength)}


def _look_for_keys(items: Sequence[Item]) -> Callable[[Question], list[Match]]:
    """Return the function that gives the items whose key or text a question has."""
    numbers: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        for name in {item.key, question_id(item.question)}:
            numbers.setdefault(name, []).append(number)

    def look(question: Question) -> list[Match]:
        names = {}
        for name in (question.id, question.key):
            for number in numbers.get(name, ()):
                names[number] = name
        return [
            Match(number, "key", "", 1.0, name, question.question)
            for number, name in sorted(names.items())
        ]

    return look


def _look_for_similar(
    items: Sequence[Item], threshold: float
) -> Callable[[Question], Iterator[Match]]:
    """Return the function that gives the items that a question is nearly equal to."""
    index = duplicates.index(threshold)
    for number, item in enumerate(items):
        if members := duplicates.shingles(item.question):
            index.insert(number, duplicates.sketch(members), check_duplication=False)

    def look(question: Question) -> Iterator[Match]:
        text = question.question
        members = duplicates.shingles(text)
        if not members:
            return
        for number in sorted(index.query(duplicates.sketch(members))):
            item_shingles = duplicates.shingles(items[number].question)
            share = duplicates.jaccard(members, item_shingles)
            if share >= threshold:
                overlap = _shared_shingles(duplicates.tokens(text), item_shingles)
                yield Match(number, "minhash", "", share, overlap, text)

    return look


def _shared_shingles(words: list[str], shingles: set[str]) -> str:
    """Return the passages of `words` that are made of some shingles."""
    n = min(duplicates.SHINGLE, len(words))
    starts = [
        start
        for start in range(len(words) - n + 1)
        if " ".join(words[start : start + n]) in shingles
    ]
    return _passages(words, starts, n)


# --- n-grams ---------------------------------------------------------------------------


def plain(text: str) -> list[str]:
    """Return the words of a text without punctuation, signs and layout.

    They are runs of letters and runs of digits, in lower case.
    """
    return [token for token in duplicates.tokens(text) if token.isalnum()]


FORMS: dict[str, Callable[[str], list[str]]] = {
    "words": lambda text: text.lower().split(),
    "plain": plain,
}
# The least share of words of two letters or more in an n-gram that counts.
PROSE = {"words": 0.0, "plain": 0.5}


@dataclass(frozen=True)
class GramIndex:
    """The n-grams of some texts, T in number, W words together; a 0 follows each text."""

    numbers: dict[str, int]  # of each different word, from 1
    words: np.ndarray  # [W + T] uint64: the numbers of all words
    owners: np.ndarray  # [W + T]: the index of the text that each stands in
    # n: [2 ** FILTER] bool, whether a hash may be here; all hashes, sorted; where each stands.
    grams: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]
    sizes: dict[int, np.ndarray]  # n: [T], how many different n-grams each text has


def _look_for_grams(
    items: Sequence[Item], lengths: Iterable[int]
) -> Callable[[str, bool], list[Match]]:
    """Return the function that gives the items with which a text shares n-grams."""
    indexes = {
        form: _index([split(item.question) for item in items], lengths, PROSE[form])
        for form, split in FORMS.items()
    }

    def look(text: str, is_trace: bool) -> list[Match]:
        matches: dict[tuple[int, int], Match] = {}
        for form, split in FORMS.items():
            words = split(text)
            for n, starts_of in _shared(indexes[form], words):
                for item, starts in starts_of.items():
                    if (item, n) in matches:
                        continue
                    share = len(starts) / indexes[form].sizes[n][item]
                    shown = _around(words, starts[0], n) if is_trace else text
                    overlap = _passages(words, starts, n)
                    matches[item, n] = Match(item, f"{n}-gram", form, share, overlap, shown)
        return list(matches.values())

    return look


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


def _passages(words: list[str], starts: Iterable[int], n: int) -> str:
    """Return the longest passages of `words` that n-grams at `starts` cover, in their order.

    PASSAGES of them, and how many more there are.
    """
    passages: list[list[int]] = []
    for start in starts:
        if passages and start < passages[-1][1]:
            passages[-1][1] = start + n
        else:
            passages.append([start, start + n])
    longest = sorted(passages, key=lambda passage: (passage[0] - passage[1], passage[0]))
    texts = [" ".join(words[first:end]) for first, end in sorted(longest[:PASSAGES])]
    if len(passages) > PASSAGES:
        texts.append(f"({len(passages) - PASSAGES} more)")
    return " ... ".join(texts)


def _around(words: list[str], start: int, n: int) -> str:
    """Return an n-gram with CONTEXT words before and after it."""
    return " ".join(words[max(0, start - CONTEXT) : start + n + CONTEXT])
