"""The benchmarks of the paper, and GSM8K: where their questions are, and one form for all of them.

What a benchmark is stands in its task file (ponder/evaluate/tasks/<task>.yaml); conf/benchmark says
which are asked, and where local copies are. No question of them is part of this project.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import yaml

from ponder.config import at_least, build, check_choice
from ponder.errors import UserError
from ponder.grading.answers import LETTERS, MAX_CHARACTERS
from ponder.hashing import file_sha256
from ponder.questions import tables
from ponder.questions.drawn import question_id
from ponder.questions.hub import UNVERIFIED
from ponder.questions.tables import Row

if TYPE_CHECKING:
    from datasets import Dataset

TASKS = Path(__file__).resolve().parent.parent / "evaluate" / "tasks"


@dataclass(frozen=True)
class Data:
    """The data set of a benchmark, as `dataset_kwargs.data` of its task file states it."""

    task: str
    hub: str
    revision: str  # `unverified`: nobody has read it; the hub's newest is taken
    config: str | None
    split: str
    rows: int  # another number of questions is another benchmark
    question: str  # the column of the question
    answer: str  # the column of the right answer
    after: str | None  # the answer begins behind the last such mark; null: it is the whole column
    wrong: tuple[str, ...]  # the columns of the wrong options; [] where there are none
    data_files: tuple[str, ...]  # local copies in place of the hub: .jsonl, .csv or .parquet

    def __post_init__(self) -> None:
        at_least(1, f"benchmark {self.task}", self, "rows")
        if self.wrong and len(self.wrong) != len(LETTERS) - 1:
            raise UserError(
                f"benchmark {self.task} has {len(self.wrong)} wrong options, but must have "
                f"{len(LETTERS) - 1}; name their columns, or []"
            )


@dataclass(frozen=True)
class HubBenchmark:
    """What is asked (conf/benchmark): benchmarks of a hub, or local copies of them."""

    kind: Literal["hub"]
    name: str
    tasks: tuple[str, ...]
    split: Literal["test"]  # they have no other, so every reading of them is logged
    limit: int | None
    # task -> what differs from its task file in a local copy, such as data_files
    local: dict[str, Any]

    def __post_init__(self) -> None:
        if not self.tasks:
            raise UserError("benchmark.tasks is empty; name at least one task")
        if self.limit is not None:
            at_least(1, "benchmark", self, "limit")
        for task in self.local:
            check_choice("benchmark.local", task, self.tasks)
        for task in self.tasks:
            self.data(task)

    def data(self, task: str) -> Data:
        """Return the Data of one task, local changes included; raises UserError as `data` does."""
        return data(task, self.local.get(task, {}))


# --- what a task file says -------------------------------------------------------------


def names() -> list[str]:
    """Return the names of all benchmarks that have a task file of this kind, sorted."""
    return sorted(path.stem for path in TASKS.glob("*.yaml") if "hub" in _facts(path))


def data(task: str, changes: Any) -> Data:
    """Return the Data of a task; `changes`, a mapping, win over its file.

    Raises UserError for a task or a key that is not known.
    """
    path = TASKS / f"{task}.yaml"
    facts = _facts(path) if path.is_file() else {}
    if "hub" not in facts:
        raise UserError(f"benchmark.tasks names {task}, but must be of: {', '.join(names())}")
    if not isinstance(changes, dict) or {"task", "hub", "revision"} & set(changes):
        raise UserError(
            f"benchmark.local.{task} is {changes!r}, but must be a mapping that leaves task, hub "
            "and revision as they are: they name the benchmark; write another task file for "
            "another one"
        )
    return build(Data, {"task": task, **facts, **changes}, f"benchmark.local.{task}")


def _facts(path: Path) -> dict[str, Any]:
    """Return what a task file says of its data, {} for a task of another kind.

    The functions that it names are not looked up.
    """

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: None)
    task = yaml.load(path.read_text(encoding="utf-8"), Loader)
    return task.get("dataset_kwargs", {}).get("data", {})


def inputs(spec: HubBenchmark) -> dict[str, str]:
    """Return {what is read: its sha256, or the revision of what the hub has}, to identify a run.

    Raises UserError for a local copy that cannot be read.
    """
    identities = {}
    for task in spec.tasks:
        source = spec.data(task)
        try:
            for path in source.data_files:
                identities[f"{task} {Path(path).name}"] = file_sha256(path)
        except OSError as error:
            raise UserError(
                f"benchmark.local.{task}.data_files={list(source.data_files)} cannot be read "
                f"({error.strerror}); name files that are there"
            ) from error
        if not source.data_files:
            identities[f"{task} {source.hub}"] = source.revision
    return identities


# --- the questions ---------------------------------------------------------------------


class BenchmarkQuestion(TypedDict):
    """A question of a benchmark; its id hashes the text.

    `options` is [] unless the question is multiple choice; then they are part of the question, and
    the answer is a letter.
    """

    id: str
    question: str
    answer: str
    options: list[str]


def read(source: Data) -> list[BenchmarkQuestion]:
    """Return the questions of a Data, in the order of its rows.

    Raises UserError, with the row, for what gives no question, for two equal ones, and where their
    number is not that of the benchmark.
    """
    questions: dict[str, BenchmarkQuestion] = {}
    for number, row in enumerate(_rows(source), start=1):
        try:
            question = _question(source, row)
        except tables.Unfit as error:
            raise UserError(
                f"{source.task}, row {number}: {error}; name the columns with "
                f"+benchmark.local.{source.task}.<key>=<column>, or mend the row"
            ) from error
        if question["id"] in questions:
            raise UserError(
                f"{source.task}, row {number}: the same question as an earlier one; give each once"
            )
        questions[question["id"]] = question
    if len(questions) != source.rows:
        place = ", ".join(source.data_files) or source.hub
        raise UserError(
            f"{source.task} has {source.rows} questions, but {place} has {len(questions)}; give "
            "the right split, or say so with "
            f"+benchmark.local.{source.task}.rows={len(questions)}"
        )
    return list(questions.values())


def _rows(source: Data) -> Iterator[Row]:
    if source.data_files:
        for path in source.data_files:
            yield from tables.file_rows(path)
        return
    try:
        yield from tables.hub_rows(
            source.hub,
            None if source.revision == UNVERIFIED else source.revision,
            source.config,
            source.split,
            (),
            {source.question, source.answer, *source.wrong},
            f"a local copy with +benchmark.local.{source.task}.data_files=[{source.task}.jsonl]",
        )
    except UserError as error:
        raise UserError(f"{source.task}: {error}") from error


def _question(source: Data, row: Row) -> BenchmarkQuestion:
    cells = {}
    for column in (source.question, source.answer, *source.wrong):
        cells[column] = tables.clean(tables.cell_text(row, column), column, tables.MAX_TEXT)
    question = cells[source.question]
    answer = _answer(source, cells[source.answer])
    if not question or not answer:
        empty = source.answer if question else source.question
        raise tables.Unfit(f"column {empty} is empty")
    ident = question_id(question)
    if source.wrong:
        texts = [answer, *(cells[column] for column in source.wrong)]
        order = option_order(ident)
        options = [texts[at] for at in order]
        # s1's form: the question, a blank line, a line for each option, and no instruction
        # (gpqa_diamond_openai).
        lines = [f"{letter}) {text}" for letter, text in zip(LETTERS, options, strict=True)]
        return {
            "id": ident,
            "question": question + "\n\n" + "\n".join(lines),
            "answer": LETTERS[order.index(0)],
            "options": options,
        }
    if len(answer) > MAX_CHARACTERS:
        raise tables.Unfit(
            f"an answer of {len(answer)} characters, but only {MAX_CHARACTERS} can be graded"
        )
    return {"id": ident, "question": question, "answer": answer, "options": []}


def _answer(source: Data, text: str) -> str:
    """Return the right answer in the text of its column."""
    if source.after is None:
        return text
    _, mark, answer = text.rpartition(source.after)
    if not mark:
        raise tables.Unfit(f"column {source.answer} without {source.after!r}")
    return answer.strip()


def option_order(ident: str) -> list[int]:
    """Return the order of the four options, the right one being 0, by a hash of the question's id.

    Nothing else decides it. s1 shuffled by the stream of the whole process, so its order depended
    on what ran before.
    """
    digests = [hashlib.sha256(f"{ident}/{at}".encode()).hexdigest() for at in range(len(LETTERS))]
    return sorted(range(len(LETTERS)), key=lambda at: digests[at])


def load(source: Data) -> "dict[str, Dataset]":
    """Return lm-eval's form of a Data: {"test": Dataset}.

    It is made once, so that prompts and scores come from the same rows. Raises UserError as `read`
    does.
    """
    import datasets

    return {"test": datasets.Dataset.from_list(read(source))}
