"""Which traces are trained on: s1's filters for quality and difficulty, what is contaminated, then a draw (s1, section 2.2).

All of it is pure: the same traces, rule, seed, attempts and hits give the same rows in the same order, so an audit replays
it from committed files.
"""

import itertools
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ponder.collect import draws
from ponder.config import at_least, check_choice
from ponder.errors import UserError
from ponder.runs import read_jsonl

METHODS = (*draws.METHODS, "all")
BY_DOMAIN = ("s1", "diverse")
STEPS = ("quality", "difficulty", "decontamination", "draw")
FIELDS = {
    "question": str,
    "answer": str,
    "gold": str,
    "think": str,
    "domain": str,
    "tokens": int,
    "correct": bool,
}
# About 5,000 tokens, a sixth of what s1 trains on at once. A pattern of quadratic cost then takes seconds, not days.
MAX_CHARACTERS = 20_000


@dataclass(frozen=True)
class Spared:
    """Questions of `families` that match `pattern` skip all of selection.patterns."""

    families: tuple[str, ...]
    pattern: str


@dataclass(frozen=True)
class First:
    """Right traces of `families` with at least `min_tokens` thinking tokens are taken before any draw."""

    families: tuple[str, ...]
    min_tokens: int


@dataclass(frozen=True)
class Matched:
    """The families whose domains shape the released variant's last draws: see draws.matched_weights."""

    whole: str
    scaled: str
    share: float

    @property
    def families(self):
        """Both families."""
        return self.whole, self.scaled


@dataclass(frozen=True)
class Selection:
    """The filters and the draw of one data set (conf/selection)."""

    name: str
    method: str
    variant: str
    size: int
    uniform_until: int
    keep_wrong: bool
    min_tokens: int
    max_tokens: int
    patterns: tuple[str, ...]
    spared: tuple[Spared, ...]
    references: dict
    first: tuple[First, ...]
    matched: Matched | None

    def __post_init__(self):
        check_choice("selection.method", self.method, METHODS)
        check_choice("selection.variant", self.variant, ("paper", "released"))
        at_least(0, "selection", self, "uniform_until", "min_tokens")
        at_least(max(1, self.min_tokens), "selection", self, "max_tokens")
        if self.method != "all":
            at_least(1, "selection", self, "size")
        if self.method == "s1" and self.variant == "released":
            if self.matched is None:
                raise UserError(
                    "selection.variant=released draws by selection.matched, which is null; give it or take "
                    "selection.variant=paper"
                )
            if self.uniform_until >= self.size:
                raise UserError(
                    f"selection.uniform_until={self.uniform_until} leaves variant=released nothing of "
                    f"selection.size={self.size} to draw by selection.matched; lower it"
                )
        if self.matched is not None and self.matched.share < 0:
            raise UserError(
                f"selection.matched.share={self.matched.share} is no share; give 0 or more"
            )
        for pattern in (*self.patterns, *(spared.pattern for spared in self.spared)):
            try:
                re.compile(pattern)
            except re.error as error:
                raise UserError(
                    f"selection has the pattern {pattern!r}, no regular expression ({error}); mend it"
                ) from error
        for name, path in self.references.items():
            if not (isinstance(name, str) and isinstance(path, str)):
                raise UserError(
                    f"selection.references has {name!r}: {path!r}, but must map a name to the path of a traces.jsonl"
                )

    @property
    def families(self):
        """The families that the rule names and reads."""
        named = {family for spared in self.spared if self.patterns for family in spared.families}
        if self.method == "s1":
            named |= {family for first in self.first for family in first.families}
            named |= set(self.matched.families) if self.variant == "released" else set()
        return named


def quality(trace, rule):
    """Return why a trace is dropped, or None: its format, its length, the question's string patterns, a wrong answer.

    Paper and released code keep wrong answers (s1, section 2.2): `rule.keep_wrong`.
    """
    if trace.get("rejected"):
        return f"rejected: {trace['rejected']}"
    for name, kind in FIELDS.items():
        if type(trace.get(name)) is not kind:
            return f"missing {name}"
    for name, reason in (
        ("think", "empty trace"),
        ("answer", "empty answer"),
        ("gold", "no reference answer"),
    ):
        if not trace[name].strip():
            return reason
    if rule.method in BY_DOMAIN and not trace["domain"].strip():
        return "missing domain"
    for name in ("question", "answer"):
        if len(trace[name]) > MAX_CHARACTERS:
            return f"{name} of more than {MAX_CHARACTERS} characters"
    if trace["tokens"] > rule.max_tokens:
        return "too long"
    if pattern := matched_pattern(trace, rule):
        return f"pattern {pattern}"
    return None if trace["correct"] or rule.keep_wrong else "wrong answer"


def matched_pattern(trace, rule):
    """Return the first of `rule.patterns` that the question matches, or None; also None for a spared question."""
    found = next(
        (pattern for pattern in rule.patterns if re.search(pattern, trace["question"])), None
    )
    for spared in rule.spared if found else ():
        if trace["family"] in spared.families and re.search(spared.pattern, trace["question"]):
            return None
    return found


def check(questions, rule, attempts):
    """Raise UserError for what must fail whatever a teacher says: too small a pool, a family or an attempt that is missing."""
    if rule.method != "all" and len(questions) < rule.size:
        raise UserError(
            f"selection.size={rule.size} exceeds the {len(questions)} questions of the pool; lower it"
        )
    _check_families({question.family for question in questions}, rule)
    for question in questions:
        difficulty({"id": question.id, "tokens": rule.min_tokens}, rule, attempts)


def _check_families(families, rule):
    if absent := sorted(rule.families - set(families)):
        raise UserError(
            f"selection={rule.name} names the family {absent[0]!r}, which no trace has (there are: "
            f"{', '.join(sorted(families))}); correct or remove it under spared, first or matched"
        )


def difficulty(trace, rule, attempts):
    """Return why a trace is dropped, or None: a reference model answered the question, or its call failed, or the trace is short.

    `attempts` is as of read_attempts; raises UserError when a reference of the rule was not asked the question.
    """
    verdicts = {}
    for name in sorted(rule.references):
        if trace["id"] not in attempts.get(name, {}):
            raise UserError(
                f"selection.references.{name} ({rule.references[name]}) has no attempt at question {trace['id']}; "
                "run that reference over the same questions, or take it out"
            )
        verdicts[name] = attempts[name][trace["id"]]
    if answered := next((name for name, verdict in verdicts.items() if verdict), None):
        return f"answered by {answered}"
    if failed := next((name for name, verdict in verdicts.items() if verdict is None), None):
        return f"failed call of {failed}"
    return "too short" if trace["tokens"] < rule.min_tokens else None


def files(rule):
    """Return the paths that the rule reads, sorted; raises UserError for one that does not exist."""
    for name, path in rule.references.items():
        if not Path(path).is_file():
            raise UserError(
                f"selection.references.{name} is {path}, which does not exist; collect it with that model as the "
                "teacher, or name another traces.jsonl"
            )
    return sorted(rule.references.values())


def read_attempts(rule):
    """Return {reference: {id: correct}} from the traces.jsonl of each of `rule.references`, None for a call that failed.

    Raises UserError for a file that is missing or holds a line that is no attempt, or two attempts at one question.
    """
    files(rule)
    return {name: _read_reference(path) for name, path in rule.references.items()}


def _read_reference(path):
    attempts = {}
    for number, row in enumerate(read_jsonl(path), 1):
        if not (
            isinstance(row, dict)
            and isinstance(row.get("id"), str)
            and type(row.get("correct")) is bool
        ):
            raise UserError(
                f"{path} line {number} has no id and correct (true or false); make the file again"
            )
        if row["id"] in attempts:
            raise UserError(
                f"{path} line {number} is a second attempt at question {row['id']}; make the file again"
            )
        attempts[row["id"]] = (
            None if str(row.get("rejected") or "").startswith("failed") else row["correct"]
        )
    return attempts


def select(traces, rule, seed, attempts=None, contaminated=None):
    """Return (chosen traces, funnel); `attempts` is {reference: {id: correct}}, `contaminated` {id: reason}.

    The funnel holds the count after each of STEPS, the steps that dropped under 1% of what reached them (inert), how many
    rows the draw took first, domains of the chosen, families of pool and chosen, how often each reason dropped a row, and
    per dropped id "step: reason". Raises UserError as difficulty and draws.draw do, and for a family that no trace has.
    """
    contaminated = contaminated or {}
    assert len({trace["id"] for trace in traces}) == len(traces), "two traces have one id"
    pool = Counter(trace["family"] for trace in traces)
    _check_families(pool, rule)
    filters = {
        "quality": lambda t: quality(t, rule),
        "difficulty": lambda t: difficulty(t, rule, attempts or {}),
        "decontamination": lambda t: contaminated.get(t["id"]),
    }
    after, dropped, left = {"pool": len(traces)}, {}, traces
    for step, reason_of in filters.items():
        reached, left = left, []
        for trace in reached:
            if (reason := reason_of(trace)) is None:
                left.append(trace)
            else:
                dropped[trace["id"]] = f"{step}: {reason}"
        after[step] = len(left)
    if len(left) < (1 if rule.method == "all" else rule.size):
        most = ", ".join(f"{count} {why}" for why, count in _reasons(dropped, 3).most_common(3))
        raise UserError(
            f"selection.size={rule.size} exceeds the {len(left)} traces that pass the filters; lower it, or look at "
            f"what was dropped: {most or 'nothing'}"
            if rule.method != "all"
            else f"selection={rule.name}: no trace passes the filters; look at what was dropped: {most or 'nothing'}"
        )
    chosen = draws.draw(left, rule, seed)
    after["draw"] = len(chosen)
    ids = {trace["id"] for trace in chosen}
    assert ids.isdisjoint(contaminated) and ids.isdisjoint(dropped) and len(ids) == len(chosen), (
        "a row that may not be drawn"
    )
    dropped |= {trace["id"]: "draw: not drawn" for trace in left if trace["id"] not in ids}
    families = Counter(trace["family"] for trace in chosen)
    return chosen, {
        "after": after,
        "inert": [
            step
            for step, (before, kept) in zip(STEPS, itertools.pairwise(after.values()), strict=True)
            if 100 * (before - kept) < before
        ],
        "first": len(draws.taken_first(left, rule)) if rule.method == "s1" else 0,
        "domains": dict(sorted(Counter(trace["domain"] for trace in chosen).items())),
        "families": {name: {"pool": pool[name], "chosen": families[name]} for name in sorted(pool)},
        "reasons": dict(sorted(_reasons(dropped).items())),
        "dropped": dict(sorted(dropped.items())),
    }


def _reasons(dropped, parts=2):
    """Count the reasons. The text after a second colon is the row's own: why a call is no trace, or what it is
    contaminated with.
    """
    return Counter(": ".join(why.split(": ")[:parts]) for why in dropped.values())


def dropped_rows(copies, dropped):
    """Return rows {id, step, reason}, sorted, of the duplicates (see duplicates.remove) and of a funnel's `dropped`."""
    rows = [
        {"id": row["id"], "step": "duplicates", "reason": f"{row['by']} copy of {row['kept']}"}
        for row in copies
    ]
    rows += [
        {"id": ident, **dict(zip(("step", "reason"), why.split(": ", 1), strict=True))}
        for ident, why in dropped.items()
    ]
    return sorted(rows, key=lambda row: (row["id"], row["step"], row["reason"]))
