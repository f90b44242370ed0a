"""The benchmarks of the paper, and GSM8K: where their questions are, and one form for all of them.

What a benchmark of the paper is stands in its task file (ponder/evaluate/tasks/<task>.yaml), and
what one of your own is in conf/benchmark, which also says which are asked and where local copies
are. No question of them is part of this project.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from ponder.config import Name, at_least, build, check_choice
from ponder.errors import UserError
from ponder.grading.answers import LETTERS
from ponder.hashing import file_sha256
from ponder.questions.hub import UNVERIFIED

if TYPE_CHECKING:
    pass

BOX = "\\boxed"
TASKS = Path(__file__).resolve().parent.parent / "evaluate" / "tasks"


# What a benchmark of the user's own need not say.
ABSENT: dict[str, Any] = {
    "hub": None,
    "revision": None,
    "config": None,
    "split": None,
    "rows": None,
    "after": None,
    "wrong": [],
    "options": None,
    "data_files": [],
}


@dataclass(frozen=True)
class Data:
    """The data set of a benchmark: `dataset_kwargs.data` of its task file, or all of it in `local`.

    Its right answers are in one column, and its options, if it has any, in three columns of wrong
    ones or in one column that lists all of them.
    """

    task: str
    hub: str | None  # null: there are data_files alone
    revision: str | None  # `unverified`: nobody has read it; the hub's newest is taken
    config: str | None
    split: str | None
    rows: int | None  # another number of questions is another benchmark; null: as many as there are
    question: str  # the column of the question
    answer: str  # the column of the right answer
    # the answer begins behind the last such mark; \\boxed: it is in the last box; null: the column
    after: str | None
    wrong: tuple[str, ...]  # the columns of the wrong options; [] where there are none
    # the column that lists the options; the answer is its letter, its place from 0, or its text
    options: str | None
    data_files: tuple[str, ...]  # local copies in place of the hub: .jsonl, .csv or .parquet
    # given: as they stand there; hash: by their ids, so that the first ones are a fixed random part
    order: Literal["given", "hash"] = "given"

    def __post_init__(self) -> None:
        if self.rows is not None:
            at_least(1, f"benchmark {self.task}", self, "rows")
        if self.wrong and len(self.wrong) != len(LETTERS) - 1:
            raise UserError(
                f"benchmark {self.task} has {len(self.wrong)} wrong options, but must have "
                f"{len(LETTERS) - 1}; name their columns, or []"
            )
        if self.wrong and self.options:
            raise UserError(
                f"benchmark {self.task} has options in the column {self.options} and in "
                f"{list(self.wrong)}; leave one of them out, with null or []"
            )
        if self.hub is None and not self.data_files:
            raise UserError(
                f"benchmark {self.task} has neither a hub nor data_files; name the data set, or "
                f"local files such as data_files: [{self.task}.jsonl]"
            )
        if self.hub is not None and (self.revision is None or self.split is None):
            raise UserError(
                f"benchmark {self.task} names the hub's {self.hub} without its revision and split; "
                f"give both, revision: {UNVERIFIED} where you do not know it"
            )


@dataclass(frozen=True)
class HubBenchmark:
    """What is asked (conf/benchmark): benchmarks of a hub, or local copies of them."""

    kind: Literal["hub"]
    name: Name
    tasks: tuple[str, ...]
    split: Literal["test"]  # they have no other, so every reading of them is logged
    limit: int | None
    # task -> what differs from its task file in a local copy, such as data_files; of a task of your
    # own, which has no file, all of it
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

    A task without a file is one of the user's own: `changes` are all of it. Raises UserError for a
    task or a key that is not known.
    """
    path, where = TASKS / f"{task}.yaml", f"benchmark.local.{task}"
    facts = _facts(path) if path.is_file() else {}
    if not isinstance(changes, dict):
        raise UserError(f"{where} is {changes!r}, but must be a mapping, e.g. with data_files")
    if "hub" not in facts:
        if not changes:
            raise UserError(
                f"benchmark.tasks names {task}, but must be of: {', '.join(names())}; or say what "
                f"{task} is in {where}, as conf/README.md shows"
            )
        return build(Data, {**ABSENT, **changes, "task": task}, where)
    if {"task", "hub", "revision"} & set(changes):
        raise UserError(
            f"{where} is {changes!r}, but must be a mapping that leaves task, hub and revision as "
            "they are: they name the benchmark; give another one another name"
        )
    return build(Data, {"task": task, **facts, **changes}, where)


def facts(source: Data) -> dict[str, Any]:
    """Return what a task file would say of a Data."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(source).items()
    }


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
            assert source.hub and source.revision, "Data has either files or a hub"
            identities[f"{task} {source.hub}"] = source.revision
    return identities
