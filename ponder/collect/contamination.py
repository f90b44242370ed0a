"""Which questions and traces hold something of a benchmark.

Looked for are canonical keys where both questions have one, else shared word n-grams,
near-duplicates and short texts as a whole; last and over every row. The paper looked before it
added AIME, which let one question of MATH-500 in (s1, issue 26).
"""

from __future__ import annotations

import functools
import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.collect import likeness
from ponder.collect.likeness import Item, Match
from ponder.collect.wording import Instructions
from ponder.config import Name, build
from ponder.errors import UserError
from ponder.questions import tables
from ponder.questions.drawn import Question, question_id
from ponder.rows import Trace

# Jaccard similarity. Below it nearly all pairs are candidates of MinHash: the cost is quadratic.
LEAST = 0.5


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

    name: Name
    near: float | None
    prefer: tuple[str, ...]
    ngrams: tuple[int, ...]
    minhash: float | None
    keys: bool
    traces: bool
    benchmarks: dict[str, Any]
    instructions: tuple[str, ...] = ()  # runs released before 2026-11-29 have none

    def __post_init__(self) -> None:
        self._check_similarities()
        self._check_ngrams()
        for pattern in self.instructions:
            try:
                re.compile(pattern)
            except re.error as error:
                raise UserError(
                    f"decontamination.instructions has {pattern!r}, no regular expression "
                    f"({error}); mend it"
                ) from error
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


def compared(rule: Decontamination, has_keys: bool) -> tuple[str, ...]:
    """Return the names of the benchmarks, each with what was looked for.

    `has_keys` says whether the questions of the pool have canonical keys, as drawn ones do.
    """
    return tuple(
        f"{name} ({', '.join(_comparisons(rule, has_keys, rule.source(name)))})"
        for name in sorted(rule.benchmarks)
    )


def _comparisons(rule: Decontamination, has_keys: bool, source: BenchmarkSource) -> list[str]:
    by_key = rule.keys and has_keys and source.key is not None
    comparisons = [] if by_key else [f"{n}-grams" for n in rule.ngrams]
    if rule.minhash and not by_key:
        comparisons.append("near-duplicates")
    if rule.ngrams and not by_key and not has_keys:
        comparisons.append("short texts as a whole")
    if rule.keys:
        comparisons.append("equal keys or texts" if has_keys else "equal texts")
    return comparisons


def check_pool(rule: Decontamination, has_keys: bool) -> None:
    """Raise UserError where a rule that compares keys alone is for questions without any."""
    if rule.benchmarks and not has_keys and not (rule.ngrams or rule.minhash):
        raise UserError(
            f"decontamination={rule.name} compares canonical keys alone, but questions of a file "
            "or a hub have none; set decontamination.ngrams=[8,13] and decontamination.minhash=0.6"
        )


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


def hits(
    questions: Sequence[Question],
    traces: Sequence[Trace],
    benchmarks: dict[str, list[dict[str, str]]],
    rule: Decontamination,
) -> list[dict[str, Any]]:
    """Return one row for each pair of texts of which one holds something of the other, sorted.

    A row is {id: of the question, where: question | trace, benchmark, benchmark_id, by: "8-gram" or
    another n, minhash, whole or key, form, share, overlap: the shared text, text, benchmark_text}.
    `benchmarks` is as of read_benchmarks.

    - key: equal canonical keys or equal texts; questions only. Where both questions have a
      canonical key and `rule.keys`, nothing else is looked for: the n-grams of templated questions
      are all shared. The others below are for pairs of which one has none, as in a file or a hub.
    - n-gram: a shared run of n words, in one of two forms. "words" is s1's: lower case, split at
      white space, punctuation kept (s1, data/decontaminate_util.py). "plain" has the letters and
      digits alone, without punctuation, signs and layout of TeX, since one question is set in TeX
      in many ways; as it takes a formula apart, only n-grams count of which half the words or more
      have two letters or more. A pair found in both is reported as "words". `share` is the part of
      the benchmark question's n-grams that the text has.
    - minhash: Jaccard similarity (`share`) of shingles, see duplicates.near, of `rule.minhash` or
      more, without `rule.instructions` around them; questions only.
    - whole: all words and signs of a benchmark question that is too short to have an n-gram, in a
      row; questions only.

    Letters are compared as a reader sees them (wording.lower). `text` is the question, or of a
    trace the words around the first shared passage. Traces, thinking and answer, are read if
    `rule.traces`. The cost is linear in questions and traces, but for the number of hits.
    """
    items = sorted(_items(benchmarks))
    words_of = Instructions(rule.instructions).words_of
    # As everywhere: the key of a question that no program wrote is the hash of its text, its id.
    keyed = {question.id for question in questions if rule.keys and question.key != question.id}

    @functools.cache
    def search(is_keyed: bool) -> likeness.Search:
        wanted = [item for item in items if not (is_keyed and item.has_key)]
        return likeness.Search(wanted, words_of, rule.ngrams, rule.minhash)

    matches: list[tuple[str, str, Match]] = []
    look_for_keys = likeness.by_key(items) if rule.keys else None
    for question in questions:
        resembling = search(question.id in keyed).question(question.question)
        if look_for_keys:
            resembling += look_for_keys(question)
        matches += [(question.id, "question", match) for match in resembling]
    for trace in traces if rule.traces else ():
        resembling = search(trace.id in keyed).trace(f"{trace.think}\n{trace.answer}")
        matches += [(trace.id, "trace", match) for match in resembling]
    rows = [_hit(ident, where, match) for ident, where, match in matches]
    order = ("id", "where", "benchmark", "benchmark_id", "by", "benchmark_text", "text")
    return sorted(rows, key=lambda row: tuple(row[name] for name in order))


def _items(benchmarks: dict[str, list[dict[str, str]]]) -> Iterator[Item]:
    for name, rows in benchmarks.items():
        for row in rows:
            yield Item(name, row["id"], row["question"], row["key"])


def _hit(ident: str, where: str, match: Match) -> dict[str, Any]:
    """Return the row of a match."""
    return {
        "id": ident,
        "where": where,
        "benchmark": match.item.benchmark,
        "benchmark_id": match.item.id,
        "by": match.by,
        "form": match.form,
        "share": round(float(match.share), 4),
        "overlap": match.overlap,
        "text": match.text,
        "benchmark_text": match.item.question,
    }


def strongest(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return {id: its strongest hit} of the rows of `hits`.

    A key is the strongest, then an n-gram with the more words, a whole text counting as 10 and
    minhash as 9: a near-duplicate says more than eight shared words, a long shared run more than
    both. Of two alike it is the one with the larger share, then the first in the order of `hits`.
    """
    ranks = {"key": 10**9, "whole": 10, "minhash": 9}

    def strength(row: dict[str, Any]) -> tuple[int, float]:
        return ranks.get(row["by"]) or int(row["by"].removesuffix("-gram")), row["share"]

    # The sort is stable and the last row of an id stays: of equally strong ones the first.
    return {row["id"]: row for row in sorted(reversed(rows), key=strength)}
