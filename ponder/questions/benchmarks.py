"""The benchmarks of the paper, and GSM8K: where their questions are, and one form for all of them. Issue 5.

What a benchmark is stands in its task file (ponder/evaluate/tasks/<task>.yaml); conf/benchmark says which are asked, and where local copies
are. No question of them is part of this project.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from ponder.config import at_least, build, check_choice
from ponder.errors import UserError
from ponder.grading.answers import LETTERS, MAX_CHARACTERS
from ponder.hashing import file_sha256
from ponder.questions import tables
from ponder.questions.drawn import question_id
from ponder.questions.hub import UNVERIFIED

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

    def __post_init__(self):
        at_least(1, f"benchmark {self.task}", self, "rows")
        if self.wrong and len(self.wrong) != len(LETTERS) - 1:
            raise UserError(
                f"benchmark {self.task} has {len(self.wrong)} wrong options, but must have {len(LETTERS) - 1}; name "
                "their columns, or []"
            )


@dataclass(frozen=True)
class HubBenchmark:
    """What is asked (conf/benchmark): benchmarks of a hub, or local copies of them."""

    kind: Literal["hub"]
    name: str
    tasks: tuple[str, ...]
    split: str  # test: they have no other, so every reading of them is logged
    limit: int | None
    local: dict  # task -> what differs from its task file in a local copy, such as data_files

    def __post_init__(self):
        check_choice("benchmark.split", self.split, ("test",))
        if not self.tasks:
            raise UserError("benchmark.tasks is empty; name at least one task")
        if self.limit is not None:
            at_least(1, "benchmark", self, "limit")
        for task in self.local:
            check_choice("benchmark.local", task, self.tasks)
        for task in self.tasks:
            self.data(task)

    def data(self, task):
        """Return the Data of one task, local changes included."""
        return data(task, self.local.get(task, {}))


# --- what a task file says -------------------------------------------------------------


def names():
    """Return the names of all benchmarks that have a task file of this kind, sorted."""
    return sorted(path.stem for path in TASKS.glob("*.yaml") if "hub" in _facts(path))


def data(task, changes):
    """Return the Data of a task; `changes` win over its file. Raises UserError for a task or a key that is not known."""
    path = TASKS / f"{task}.yaml"
    facts = _facts(path) if path.is_file() else {}
    if "hub" not in facts:
        raise UserError(f"benchmark.tasks names {task}, but must be of: {', '.join(names())}")
    if not isinstance(changes, dict) or {"task", "hub", "revision"} & set(changes):
        raise UserError(
            f"benchmark.local.{task} is {changes!r}, but must be a mapping that leaves task, hub and revision as "
            "they are: they name the benchmark; write another task file for another one"
        )
    return build(Data, {"task": task, **facts, **changes}, f"benchmark.local.{task}")


def _facts(path):
    """Return what a task file says of its data, {} for a task of another kind; its functions are not looked up."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: None)
    return (
        yaml.load(path.read_text(encoding="utf-8"), Loader)
        .get("dataset_kwargs", {})
        .get("data", {})
    )


def inputs(spec):
    """Return {what is read: its sha256, or the revision of what the hub has}, for the identity of a run."""
    found = {}
    for task in spec.tasks:
        said = spec.data(task)
        try:
            found |= {f"{task} {Path(path).name}": file_sha256(path) for path in said.data_files}
        except OSError as error:
            raise UserError(
                f"benchmark.local.{task}.data_files={list(said.data_files)} cannot be read ({error.strerror}); name "
                "files that are there"
            ) from error
        if not said.data_files:
            found[f"{task} {said.hub}"] = said.revision
    return found


# --- the questions ---------------------------------------------------------------------


def read(said):
    """Return the questions of a Data, in the order of its rows: {"id", "question", "answer", "options"}.

    The id hashes the question's text. `options` is [] unless the question is multiple choice; then they are part of the question,
    and the answer is a letter. Raises UserError, with the row, for what gives no question, for two equal ones, and where their
    number is not that of the benchmark.
    """
    found = {}
    for at, row in enumerate(_rows(said), start=1):
        try:
            made = _question(said, row)
        except tables.Unfit as error:
            raise UserError(
                f"{said.task}, row {at}: {error}; name the columns with +benchmark.local.{said.task}.<key>=<column>, "
                "or mend the row"
            ) from error
        if made["id"] in found:
            raise UserError(
                f"{said.task}, row {at}: the same question as an earlier one; give each once"
            )
        found[made["id"]] = made
    if len(found) != said.rows:
        source = ", ".join(said.data_files) or said.hub
        raise UserError(
            f"{said.task} has {said.rows} questions, but {source} has {len(found)}; give the right split, or "
            f" say so with +benchmark.local.{said.task}.rows={len(found)}"
        )
    return list(found.values())


def _rows(said):
    if said.data_files:
        for path in said.data_files:
            yield from tables.local(path)
        return
    try:
        yield from tables.hub(
            said.hub,
            None if said.revision == UNVERIFIED else said.revision,
            said.config,
            said.split,
            (),
            {said.question, said.answer, *said.wrong},
        )
    except UserError as error:
        raise UserError(
            f"{said.task}: {str(error).partition('; ')[0]}; allow the network, or give a local copy with "
            f"+benchmark.local.{said.task}.data_files=[{said.task}.jsonl]"
        ) from error


def _question(said, row):
    cells = {
        column: tables.clean(tables.text(tables.cell(row, column), column), column, tables.MAX_TEXT)
        for column in (said.question, said.answer, *said.wrong)
    }
    question, answer, options = cells[said.question], cells[said.answer], []
    if said.after is not None:
        _, mark, answer = answer.rpartition(said.after)
        if not mark:
            raise tables.Unfit(f"column {said.answer} without {said.after!r}")
        answer = answer.strip()
    if not question or not answer:
        raise tables.Unfit(f"column {said.question if not question else said.answer} is empty")
    ident = question_id(question)
    if said.wrong:
        order = option_order(ident)
        options = [[answer, *(cells[column] for column in said.wrong)][at] for at in order]
        answer = LETTERS[order.index(0)]
        # s1's form: the question, a blank line, a line for each option, and no instruction (gpqa_diamond_openai).
        question += "\n\n" + "\n".join(
            f"{letter}) {text}" for letter, text in zip(LETTERS, options, strict=True)
        )
    elif len(answer) > MAX_CHARACTERS:
        raise tables.Unfit(
            f"an answer of {len(answer)} characters, but only {MAX_CHARACTERS} can be graded"
        )
    return {"id": ident, "question": question, "answer": answer, "options": options}


def option_order(ident):
    """Return the order of the four options, the right one being 0, by a hash of the question's id and nothing else.

    s1 shuffled by the stream of the whole process, so the order depended on what ran before.
    """
    return sorted(
        range(len(LETTERS)), key=lambda at: hashlib.sha256(f"{ident}/{at}".encode()).hexdigest()
    )


def load(said):
    """Return lm-eval's form of a Data: {"test": Dataset}, made once, so that prompts and scores come from the same rows."""
    import datasets

    return {"test": datasets.Dataset.from_list(read(said))}
