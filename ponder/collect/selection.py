"""Which traces are trained on: s1's filters, what is contaminated, then a draw (s1, section 2.2).

The filters are for quality and for difficulty. All of it is pure: the same traces, rule, seed,
attempts and hits give the same rows in the same order, so an audit replays it from committed files.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ponder import rows
from ponder.collect import draws, traces
from ponder.config import Name, at_least
from ponder.errors import RecordError, UserError
from ponder.rows import Trace

if TYPE_CHECKING:
    from ponder.questions.drawn import Question

ALGORITHM_1 = ("s1", "mended")
BY_DOMAIN = (*ALGORITHM_1, "diverse")
ROW_TOO_LONG = "row too long"
STEPS = ("quality", "difficulty", "decontamination", "draw")
# Of a question or an answer. About 5,000 tokens, a sixth of what s1 trains on at once: a pattern of
# quadratic cost then takes seconds, not days.
MAX_CHARACTERS = 20_000

# {reference model: {id of a question: whether it got it right, None for a call that failed}}
Attempts = dict[str, dict[str, bool | None]]


@dataclass(frozen=True)
class Spared:
    """Questions of `families` that match `pattern` skip all of selection.patterns."""

    families: tuple[str, ...]
    pattern: str


@dataclass(frozen=True)
class First:
    """Right traces of `families` with `min_tokens` thinking tokens or more come before any draw."""

    families: tuple[str, ...]
    min_tokens: int


@dataclass(frozen=True)
class Matched:
    """The families whose domains shape the last draws of the released variant.

    See draws.matched_weights.
    """

    whole: str
    scaled: str
    share: float

    @property
    def families(self) -> tuple[str, str]:
        """Both families."""
        return self.whole, self.scaled


@dataclass(frozen=True)
class Selection:
    """The filters and the draw of one data set (conf/selection)."""

    name: Name
    method: Literal["s1", "mended", "random", "longest", "diverse", "all"]
    variant: Literal["paper", "released"]
    size: int
    uniform_until: int
    keep_wrong: bool
    min_tokens: int
    max_tokens: int
    patterns: tuple[str, ...]
    spared: tuple[Spared, ...]
    references: dict[str, str]
    first: tuple[First, ...]
    matched: Matched | None

    def __post_init__(self) -> None:
        at_least(0, "selection", self, "uniform_until", "min_tokens")
        at_least(max(1, self.min_tokens), "selection", self, "max_tokens")
        if self.method != "all":
            at_least(1, "selection", self, "size")
        if self.method in ALGORITHM_1 and self.variant == "released":
            self._check_matched_draws()
        if self.matched is not None and self.matched.share < 0:
            raise UserError(
                f"selection.matched.share={self.matched.share} is no share; give 0 or more"
            )
        self._check_patterns()
        for name, path in self.references.items():
            if not (isinstance(name, str) and isinstance(path, str)):
                raise UserError(
                    f"selection.references has {name!r}: {path!r}, but must map a name to the path "
                    "of a traces.jsonl"
                )

    def _check_matched_draws(self) -> None:
        if self.matched is None:
            raise UserError(
                "selection.variant=released draws by selection.matched, which is null; give it or "
                "take selection.variant=paper"
            )
        if self.uniform_until >= self.size:
            raise UserError(
                f"selection.uniform_until={self.uniform_until} leaves variant=released nothing of "
                f"selection.size={self.size} to draw by selection.matched; lower it"
            )

    def _check_patterns(self) -> None:
        for pattern in (*self.patterns, *(spared.pattern for spared in self.spared)):
            try:
                re.compile(pattern)
            except re.error as error:
                raise UserError(
                    f"selection has the pattern {pattern!r}, no regular expression ({error}); mend "
                    "it"
                ) from error

    @property
    def families(self) -> set[str]:
        """The families that the rule names and reads."""
        families: set[str] = set()
        for spared in self.spared if self.patterns else ():
            families.update(spared.families)
        for first in self.first if self.method == "s1" else ():
            families.update(first.families)
        if self.method in ALGORITHM_1 and self.variant == "released" and self.matched is not None:
            families.update(self.matched.families)
        return families


class Reason(NamedTuple):
    """Why a trace is dropped: the rule, and what about this trace, or ""."""

    rule: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.rule}: {self.detail}" if self.detail else self.rule


class Drop(NamedTuple):
    """The step that dropped a trace, and why."""

    step: str
    reason: Reason


# --- quality ---------------------------------------------------------------------------


def quality(trace: Trace, rule: Selection) -> Reason | None:
    """Return why a trace is dropped for its quality, or None.

    Looked at are its format, its length, the question's string patterns and whether it is right.
    Paper and released code keep wrong answers (s1, section 2.2): `rule.keep_wrong`.
    """
    if trace.rejected:
        return Reason("rejected", trace.rejected)
    if reason := _missing_text(trace, rule):
        return Reason(reason)
    for name, text in (("question", trace.question), ("answer", trace.answer)):
        if len(text) > MAX_CHARACTERS:
            return Reason(f"{name} of more than {MAX_CHARACTERS} characters")
    if trace.tokens > rule.max_tokens:
        return Reason("too long")
    if pattern := matched_pattern(trace, rule):
        return Reason(f"pattern {pattern}")
    if trace.correct or rule.keep_wrong:
        return None
    return Reason("not graded" if trace.graded is False else "wrong answer")


def _missing_text(trace: Trace, rule: Selection) -> str | None:
    """Return which text that a trace needs is empty, or None."""
    if not trace.think.strip():
        return "empty trace"
    if not trace.answer.strip():
        return "empty answer"
    if not trace.gold.strip() and trace.graded is rows.ABSENT:
        return "no reference answer"
    if rule.method in BY_DOMAIN and not trace.domain.strip():
        return "missing domain"
    return None


def matched_pattern(trace: Trace, rule: Selection) -> str | None:
    """Return the first of `rule.patterns` that the question matches.

    None where it matches none, and for a spared question.
    """
    matches = (pattern for pattern in rule.patterns if re.search(pattern, trace.question))
    pattern = next(matches, None)
    if pattern is None:
        return None
    for spared in rule.spared:
        if trace.family in spared.families and re.search(spared.pattern, trace.question):
            return None
    return pattern


# --- difficulty ------------------------------------------------------------------------


def difficulty(trace: Trace, rule: Selection, attempts: Attempts) -> Reason | None:
    """Return why a trace is dropped for its difficulty, or None.

    Dropped is a question that a reference model answered, one of which its call failed, and a short
    trace. `attempts` is as of read_attempts; raises UserError when a reference of the rule was not
    asked the question.
    """
    verdicts = _verdicts(trace.id, rule, attempts)
    for name, verdict in verdicts.items():
        if verdict:
            return Reason(f"answered by {name}")
    for name, verdict in verdicts.items():
        if verdict is None:
            return Reason(f"failed call of {name}")
    return Reason("too short") if trace.tokens < rule.min_tokens else None


def _verdicts(ident: str, rule: Selection, attempts: Attempts) -> dict[str, bool | None]:
    """Return {reference: whether it got the question right, None for a call that failed}."""
    verdicts = {}
    for name in sorted(rule.references):
        if ident not in attempts.get(name, {}):
            raise UserError(
                f"selection.references.{name} ({rule.references[name]}) has no attempt at question "
                f"{ident}; run that reference over the same questions, or take it out"
            )
        verdicts[name] = attempts[name][ident]
    return verdicts


def files(rule: Selection) -> list[str]:
    """Return the paths that the rule reads, sorted.

    Raises UserError for one that does not exist.
    """
    for name, path in rule.references.items():
        if not Path(path).is_file():
            raise UserError(
                f"selection.references.{name} is {path}, which does not exist; collect it with "
                "that model as the teacher, or name another traces.jsonl"
            )
    return sorted(rule.references.values())


def read_attempts(rule: Selection) -> Attempts:
    """Return the attempts of `rule.references`, from the traces.jsonl of each.

    Raises UserError for a file that is missing, RecordError for one that holds a line that is no
    trace, or two attempts at one question.
    """
    files(rule)
    return {name: _read_reference(path) for name, path in rule.references.items()}


def _read_reference(path: str) -> dict[str, bool | None]:
    attempts: dict[str, bool | None] = {}
    for number, trace in enumerate(rows.read(Trace, path), 1):
        if trace.id in attempts:
            raise RecordError(
                f"{path} row {number} is a second attempt at question {trace.id}; make the file "
                "again"
            )
        attempts[trace.id] = None if traces.call_failed(trace) else trace.correct
    return attempts


# --- the funnel ------------------------------------------------------------------------


def of_pool(rule: Selection, limit: int | None, size: int) -> Selection:
    """Return the rule for a pool of `size` questions that was cut at `limit`, null for uncut.

    One that was cut below selection.size is a trial of the path: every row that passes is taken.
    """
    cut_short = limit is not None and limit < rule.size
    is_trial = cut_short and rule.method != "all" and size < rule.size
    return dataclasses.replace(rule, method="all") if is_trial else rule


def check(questions: Sequence[Question], rule: Selection, attempts: Attempts) -> None:
    """Raise UserError for what must fail whatever a teacher answers.

    That is too small a pool, a family that no question has, and a question that a reference was not
    asked.
    """
    if rule.method != "all" and len(questions) < rule.size:
        raise UserError(
            f"selection.size={rule.size} exceeds the {len(questions)} questions of the pool; lower "
            "it"
        )
    _check_families({question.family for question in questions}, rule)
    for question in questions:
        _verdicts(question.id, rule, attempts)


def _check_families(families: Iterable[str], rule: Selection) -> None:
    if absent := sorted(rule.families - set(families)):
        raise UserError(
            f"selection={rule.name} names the family {absent[0]!r}, which no trace has (there are: "
            f"{', '.join(sorted(families))}); correct or remove it under spared, first or matched"
        )


def select(
    candidates: Sequence[Trace],
    rule: Selection,
    seed: int,
    attempts: Attempts | None = None,
    contaminated: dict[str, dict[str, Any]] | None = None,
    long_rows: Mapping[str, str] | None = None,
) -> tuple[list[Trace], dict[str, Any], dict[str, Drop]]:
    """Return (rows, funnel, drops): the traces to train on, counts, and {id: Drop} of the others.

    `attempts` is as of read_attempts, `contaminated` as of contamination.strongest, `long_rows`
    {id: how long} of traces whose whole row no training takes, which quality drops. The funnel
    holds the count after each of STEPS, the steps that dropped under 1% of what reached them
    (inert), how many rows the draw took first, domains of the rows, families of pool and rows, and
    how often each reason dropped a row. Raises UserError as difficulty and draws.draw do, and for a
    family that no trace has.
    """
    contaminated = contaminated or {}
    assert len({trace.id for trace in candidates}) == len(candidates), "two traces have one id"
    pool = Counter(trace.family for trace in candidates)
    _check_families(pool, rule)
    filters: dict[str, Callable[[Trace], Reason | None]] = {
        "quality": lambda trace: quality(trace, rule) or _length(trace, long_rows or {}),
        "difficulty": lambda trace: difficulty(trace, rule, attempts or {}),
        "decontamination": lambda trace: _contamination(contaminated.get(trace.id)),
    }
    passed, drops = list(candidates), {}
    after = {"pool": len(passed)}
    for step, reason_of in filters.items():
        reached, passed = passed, []
        for trace in reached:
            if (reason := reason_of(trace)) is None:
                passed.append(trace)
            else:
                drops[trace.id] = Drop(step, reason)
        after[step] = len(passed)
    _check_size(len(passed), rule, drops)
    chosen = draws.draw(passed, rule, seed)
    after["draw"] = len(chosen)
    ids = {trace.id for trace in chosen}
    assert ids.isdisjoint(contaminated) and ids.isdisjoint(drops) and len(ids) == len(chosen), (
        "a row that may not be drawn"
    )
    not_drawn = Drop("draw", Reason("not drawn"))
    drops |= {trace.id: not_drawn for trace in passed if trace.id not in ids}
    families = Counter(trace.family for trace in chosen)
    funnel = {
        "after": after,
        "inert": _inert(after),
        "first": len(draws.taken_first(passed, rule)) if rule.method in ALGORITHM_1 else 0,
        "domains": dict(sorted(Counter(trace.domain for trace in chosen).items())),
        "families": {name: {"pool": pool[name], "chosen": families[name]} for name in sorted(pool)},
        "reasons": dict(sorted(_tally(drops).items())),
    }
    return chosen, funnel, dict(sorted(drops.items()))


def _length(trace: Trace, long_rows: Mapping[str, str]) -> Reason | None:
    """Return why a trace is dropped for the length of its whole row, or None."""
    return Reason(ROW_TOO_LONG, long_rows[trace.id]) if trace.id in long_rows else None


def long_rows_of(drops: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the `long_rows` that a run's dropped.jsonl, as of dropped_rows, says were dropped."""
    prefix = f"{ROW_TOO_LONG}: "
    return {
        row["id"]: row["reason"].removeprefix(prefix)
        for row in drops
        if row["step"] == "quality" and row["reason"].startswith(prefix)
    }


def _contamination(hit: dict[str, Any] | None) -> Reason | None:
    """Return why a trace with a hit of contamination.hits is dropped, or None without one."""
    if hit is None:
        return None
    return Reason(hit["by"], f"{hit['benchmark']} {hit['benchmark_id']}, {hit['where']}")


def _check_size(left: int, rule: Selection, drops: dict[str, Drop]) -> None:
    """Raise UserError, with what dropped the most, where fewer traces are left than are drawn."""
    if left >= (1 if rule.method == "all" else rule.size):
        return
    common = _tally(drops, detailed=True).most_common(3)
    most = ", ".join(f"{count} {reason}" for reason, count in common) or "nothing"
    if rule.method == "all":
        raise UserError(
            f"selection={rule.name}: no trace passes the filters; look at what was dropped: {most}"
        )
    raise UserError(
        f"selection.size={rule.size} exceeds the {left} traces that pass the filters; lower it, or "
        f"look at what was dropped: {most}"
    )


def _inert(after: dict[str, int]) -> list[str]:
    """Return the steps that dropped under 1% of what reached them."""
    counts = zip(STEPS, itertools.pairwise(after.values()), strict=True)
    return [step for step, (before, left) in counts if 100 * (before - left) < before]


def _tally(drops: dict[str, Drop], detailed: bool = False) -> Counter[str]:
    """Return how often each "step: rule" dropped a trace; `detailed` tells a trace's own words."""
    if detailed:
        return Counter(f"{drop.step}: {drop.reason}" for drop in drops.values())
    counts = Counter((drop.step, drop.reason.rule) for drop in drops.values())
    return Counter({f"{step}: {rule}": count for (step, rule), count in counts.items()})


def dropped_rows(copies: Sequence[dict[str, Any]], drops: dict[str, Drop]) -> list[dict[str, str]]:
    """Return sorted rows {id, step, reason} of all that was dropped.

    `copies` is as of duplicates.remove, `drops` as of select.
    """
    lines = [
        {"id": row["id"], "step": "duplicates", "reason": f"{row['by']} copy of {row['kept']}"}
        for row in copies
    ]
    lines += [
        {"id": ident, "step": drop.step, "reason": str(drop.reason)}
        for ident, drop in drops.items()
    ]
    return sorted(lines, key=lambda row: (row["id"], row["step"], row["reason"]))
