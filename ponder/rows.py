"""The rows that flow from stage to stage: what each holds, said once for all who handle them.

A row is a line of a JSON-lines file. Its fields carry their meaning, from which the data cards, the
Croissant metadata, the glossary of logs/README.md and the audit's schema are made. A field that not
every row has defaults to ABSENT: it is left out of the file, which is another thing than null.
"""

import dataclasses
import re
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ponder.errors import RecordError
from ponder.runs import AGAIN, read_jsonl


class Absent:
    """What a field has that a row was written without; there is one of it, and it is false."""

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "ABSENT"  # copies and pickles are this very one


ABSENT: Any = Absent()
JSON_WORDS = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    type(None): "null",
}
OWN_WAY_OUT = (
    "mend the file, or let collect.py experiment=traces make such rows of traces of your own"
)
Row = TypeVar("Row")


def column(meaning: str, **default: Any) -> Any:
    """Return a dataclass field whose meaning is said in words."""
    return dataclasses.field(metadata={"meaning": meaning}, **default)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A question with a teacher's trace and answer: a row of traces.jsonl and train.jsonl."""

    id: str = column(
        "name of the question: the first 16 hex digits of the SHA-256 of its text in lower case "
        "with single spaces"
    )
    family: str = column("the generator or data set that the question comes from")
    domain: str = column(
        "the group that the draw goes by: the family, a column of the source, or a classifier's "
        "label"
    )
    question: str = column("what the teacher was asked")
    answer: str = column("the teacher's final answer")
    gold: str = column("the reference answer; empty where the source has none")
    think: str = column("the teacher's thinking; empty where a call gave none")
    wrong: list = column(
        "[start, end) in characters of each value in `think` that a program wrote wrong on "
        "purpose, or of a first attempt that a second one mends"
    )
    tokens: int = column(
        "tokens of `think` in the tokenizer of the model to be trained, a program's doubt left out"
    )
    # The path is that of the first releases: data cards keep their bytes (ponder/README.md has old
    # and new paths).
    correct: bool = column("whether `answer` equals `gold`, as ponder/grading.py compares them")
    teacher: str = column("who wrote `think` and `answer`")
    rejected: str | None = column(
        "why the call gave no trace that can be used; null or empty for one that did",
        default=ABSENT,
    )
    graded: bool = column(
        "traces that came from elsewhere only: whether a reference answer or its source said "
        "whether `answer` is right; where neither did, `correct` is false and says nothing",
        default=ABSENT,
    )


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request to a model teacher and what came back: a row of calls.jsonl.gz."""

    key: str = column("name of the call: 16 hex digits of a hash of everything that was asked")
    purpose: str = column("what it was made for")
    id: str = column("the question of `traces`")
    # A classifier of domains is no teacher.
    teacher: str = column("as in `traces`", default=ABSENT)
    model: str = column("the model or the name of an API")
    revision: str | None = column("of an open model, where it is known", default=ABSENT)
    request: str = column("all that was sent, sampling parameters included, as JSON")
    response: str = column("what came back, without ids and account fields, as JSON")
    status: str = column("how the call ended")
    reason: str | None = column("why it failed, or how a local model's text ended")
    prompt_tokens: int | None = column("tokens of the prompt, as the server counts them")
    completion_tokens: int | None = column(
        "tokens that were made, thinking included, as the server counts them"
    )


@dataclass(frozen=True, kw_only=True)
class SampleRow:
    """One answer of an evaluation: a row of samples.jsonl; the oldest runs lack some fields."""

    task: str = column("the family, or the benchmark's task")
    id: str = column("the id of the question")
    sample: int = column("which sample of the question, from 0", default=ABSENT)
    question: str = column("its text; a public benchmark's is not ours to publish", default=ABSENT)
    gold: str = column("its answer; not of a public benchmark", default=ABSENT)
    gold_sha256: str = column(
        "public benchmarks only: first 16 hex digits of the SHA-256 of the answer's normal form "
        "(ponder/grading/sealed.py)",
        default=ABSENT,
    )
    thinking: str = column("the text between the thinking delimiter and the end of thinking")
    reply: str = column("the text after it, which is graded")
    correct: bool = column(
        "whether the final answer of `reply` equals `gold`, or what `gold_sha256` is of"
    )
    ids: list = column("every token after the prompt, sampled or forced")
    forced: list = column("positions in `ids` of forced tokens")
    num_thinking: int = column("tokens of thinking, forced ones included")
    num_answer: int = column("tokens of the answer, its end of turn included")
    num_ignored: int = column("ends of thinking that were replaced by the nudge")
    capped: bool = column("whether the cap ended the thinking; always so when the cap is 0")
    rounds: list = column(
        "of the thinking: its tokens, and the stop that ended it, [] at the cap", default=ABSENT
    )
    finish: str = column(
        "how the answer ended: stop by itself, length at the cap on answers, rejected without one, "
        "empty without a model"
    )
    tries: int = column("rejection sampling: thinkings drawn; 1 elsewhere", default=ABSENT)
    thrown: int = column(
        "rejection sampling: tokens of thinkings thrown away; 0 elsewhere", default=ABSENT
    )
    seed: str | None = column(
        "the purpose that names the stream the answer was drawn from; null: greedy", default=ABSENT
    )
    engine: str = column("what decoded, and its version as it states it", default=ABSENT)
    base_sha256: str | None = column(
        "first 16 hex digits of the SHA-256 of the base's weights; null where a server holds them",
        default=ABSENT,
    )
    adapter_sha256: str | None = column("the same of the adapter; null without one", default=ABSENT)
    tokenizer_sha256: str | None = column("the same of the tokenizer", default=ABSENT)
    prompt_sha256: str = column(
        "first 16 hex digits of the SHA-256 of the prompt's token ids; subject nearest: of its text"
    )
    nearest: str = column(
        "subject nearest only: the id of the training row whose answer was given", default=ABSENT
    )
    answer: str | None = column(
        "benchmarks only: what the first grader read as the answer", default=ABSENT
    )
    how: str | None = column("benchmarks only: where in the reply it stood", default=ABSENT)
    choice: str | None = column("benchmarks only: the letter chosen among options", default=ABSENT)
    by: str = column(
        "benchmarks only: which comparison decided, a key of ponder/grading/verify.py: grade",
        default=ABSENT,
    )
    second: bool = column("benchmarks only: what the second grader says", default=ABSENT)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A number that the documents print and what it follows from: a row of logs/claims.jsonl."""

    id: str = column("its path in paper/generated/results.json")
    estimator: str = column("how it is computed, a key of ponder/audit/claims.py: ESTIMATORS")
    value: Any = column("the number, or the numbers that belong together")
    printed: list = column("the forms in which documents print it")
    runs: list = column("the runs it is computed from, as stage/name")
    families: list | None = column("the families it is computed over; null: all")
    decisions: list = column("the decision records that rest on it", default=ABSENT)


def meanings(kind: type) -> dict[str, str]:
    """Return {field: its meaning} of a kind of row, in order."""
    return {field.name: field.metadata["meaning"] for field in dataclasses.fields(kind)}


def types_of(kind: type) -> dict[str, tuple[type, ...]]:
    """Return {field: the Python types that its value may have}; `object` is every type."""
    hints = typing.get_type_hints(kind)
    return {field.name: _alternatives(hints[field.name]) for field in dataclasses.fields(kind)}


def _alternatives(hint: Any) -> tuple[type, ...]:
    if hint is Any:
        return (object,)
    if isinstance(hint, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def required(kind: type) -> tuple[str, ...]:
    """Return the fields that every row of a kind has."""
    fields = dataclasses.fields(kind)
    return tuple(field.name for field in fields if field.default is dataclasses.MISSING)


KINDS = (Trace, Call, SampleRow, Claim)
TYPES: dict[type, dict[str, tuple[type, ...]]] = {kind: types_of(kind) for kind in KINDS}
REQUIRED: dict[type, tuple[str, ...]] = {kind: required(kind) for kind in KINDS}


def read(
    kind: type[Row], path: Path | str, tolerate_cut: bool = False, way_out: str = AGAIN
) -> list[Row]:
    """Return the rows of a JSON-lines file as `kind`.

    Raises RecordError as `runs.read_jsonl` and `row_of` do; `tolerate_cut` as in the first.
    """
    lines = read_jsonl(path, tolerate_cut, way_out)
    return [
        row_of(kind, values, f"{path} row {number}", way_out)
        for number, values in enumerate(lines, 1)
    ]


ANSWERS = "samples.jsonl"  # of an evaluation


def answers_path(folder: Path) -> Path:
    """Return where the answers of an evaluation lie: samples.jsonl, or samples.jsonl.gz where a
    release packed them because they are many (decision 0063). The first wins over the second.
    """
    plain, packed = folder / ANSWERS, folder / f"{ANSWERS}.gz"
    return packed if packed.exists() and not plain.exists() else plain


def row_of(kind: type[Row], values: Any, where: str = "a row", way_out: str = AGAIN) -> Row:
    """Return a row from what its line holds.

    Raises RecordError for a line that is no mapping, a field that is missing or that no row of this
    kind has, and a value of another type; `way_out` are its last words.
    """
    if not isinstance(values, dict):
        raise RecordError(f"{where} is no mapping; {way_out}")
    allowed = TYPES[kind]
    for name in REQUIRED[kind]:
        if name not in values:
            raise RecordError(
                f"{where} has no {name}, which must be {_words(allowed[name])}; {way_out}"
            )
    for name, value in values.items():
        if name not in allowed:
            raise RecordError(f"{where} has {name!r}, which no {kind.__name__} has; {way_out}")
        if type(value) not in allowed[name] and object not in allowed[name]:
            raise RecordError(
                f"{where}: {name} is of type {type(value).__name__}, but must be "
                f"{_words(allowed[name])}; {way_out}"
            )
    return kind(**values)


def _words(kinds: tuple[type, ...]) -> str:
    """Return Python types as JSON's words for them."""
    return " or ".join(JSON_WORDS.get(kind, "anything") for kind in kinds)


def own_traces(path: Path | str) -> list[Trace]:
    """Return the rows of a train.jsonl that somebody names, made here or anywhere else.

    Raises RecordError for a file without rows, as `read` does, for an id that is there twice, for
    half a surrogate pair, which UTF-8 cannot hold, and for a span of `wrong` outside of `think`.
    """
    traces = read(Trace, path, way_out=OWN_WAY_OUT)
    if not traces:
        raise RecordError(f"{path} has no rows to train on; {OWN_WAY_OUT}")
    rows: dict[str, int] = {}
    for number, trace in enumerate(traces, 1):
        if trace.id in rows:
            raise RecordError(
                f"{path} rows {rows[trace.id]} and {number} have one id, {trace.id!r:.80}; keep "
                "one of them, or give another id to a question of its own"
            )
        rows[trace.id] = number
        for name, value in vars(trace).items():
            if isinstance(value, str) and re.search("[\ud800-\udfff]", value):
                raise RecordError(
                    f"{path} row {number}: {name} has half a surrogate pair, which is no text in "
                    "UTF-8; take it out"
                )
        for span in trace.wrong:
            if not _lies_in(span, trace.think):
                raise RecordError(
                    f"{path} row {number}: wrong has {span!r:.80}, but must hold "
                    f"[start, end) in the {len(trace.think)} characters of think; mend the span, "
                    "or leave it out"
                )
    return traces


def _lies_in(span: Any, text: str) -> bool:
    """Return whether a value is [start, end) of a part of a text that is not empty."""
    pair = isinstance(span, list) and [type(place) for place in span] == [int, int]
    return pair and 0 <= span[0] < span[1] <= len(text)


def values_of(row: Any) -> dict[str, Any]:
    """Return what a row's line holds: its fields in order, without those that it does not have."""
    values = {name: getattr(row, name) for name in TYPES[type(row)]}
    return {name: value for name, value in values.items() if value is not ABSENT}
