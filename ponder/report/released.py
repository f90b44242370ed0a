"""The released records: the rows of the table, the methods compared, the runs in logs/ behind them.

Reads files alone, and counts nothing.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ponder.config import build, yaml_value
from ponder.errors import UserError
from ponder.rows import answers_path
from ponder.runs import ROOT, read_jsonl
from ponder.stages import evaluate_label, seeded
from ponder.statistics import Sample

HASH = len("-") + 8  # characters that end the name of a run


@dataclass(frozen=True)
class TableRow:
    """One row of the released table (paper/rows.yaml): no control, greedy decoding."""

    label: str
    experiment: str
    subject: str
    budget: str
    main: bool
    control, decoding, seed = "none", "greedy", 0

    def run_label(self, split: str) -> str:
        """Return the name of the row's evaluate run, without its hash."""
        return evaluate_label(
            self.experiment, self.subject, self.control, self.budget, self.decoding, split
        )


@dataclass(frozen=True)
class MethodRun:
    """One run of a method, and the mean thinking tokens within which it obeys.

    `least` and `most` are in the unit of its method; None: no limit.
    """

    name: str
    experiment: str
    subject: str
    control: str
    budget: str
    decoding: str
    least: float | None
    most: float | None
    seed = 0

    def run_label(self, split: str) -> str:
        """Return the name of its evaluate run, without its hash."""
        return evaluate_label(
            self.experiment, self.subject, self.control, self.budget, self.decoding, split
        )


@dataclass(frozen=True)
class SeedRun:
    """One evaluation of a training with some seed, that a plan asks for."""

    experiment: str
    budget: str
    seed: int
    subject, control, decoding = "trained", "none", "greedy"

    def run_label(self, split: str) -> str:
        """Return the name of its evaluate run, without its hash."""
        name = seeded(self.experiment, self.seed)
        return evaluate_label(name, self.subject, self.control, self.budget, self.decoding, split)


@dataclass(frozen=True)
class Method:
    """A way to control test-time compute, named as in s1's table 3 where it is there."""

    name: str
    title: str
    unit: Literal["tokens", "steps", "unasked"]
    runs: tuple[MethodRun, ...]


@dataclass(frozen=True)
class Methods:
    """What is compared (paper/methods.yaml)."""

    # Without an instruction: class-conditional control is to be shorter or longer than this.
    unasked: MethodRun
    voting: MethodRun  # several samples of each question
    votes: tuple[int, ...]  # how many of them vote
    parallel: MethodRun  # the same with more samples, beside budget forcing at equal tokens
    parallel_votes: tuple[int, ...]
    longer: tuple[MethodRun, ...]  # budget forcing that thinks longer, beside it
    methods: tuple[Method, ...]

    def named(self) -> dict[tuple[str, str], MethodRun]:
        """Return {(method, run): MethodRun} of all runs, each label once.

        `unasked` is a run of budget forcing as well, and keeps the name that it has there.
        """
        runs = {(method.name, run.name): run for method in self.methods for run in method.runs}
        runs |= {
            ("unasked", self.unasked.name): self.unasked,
            ("voting", self.voting.name): self.voting,
        }
        first_key: dict[str, tuple[str, str]] = {}
        for key, run in runs.items():
            first_key.setdefault(run.run_label("test"), key)
        return {key: runs[key] for key in first_key.values()}


def rows() -> list[TableRow]:
    """Return the rows of the released table, in its order."""
    nodes = yaml_value((ROOT / "paper" / "rows.yaml").read_text())
    return [build(TableRow, node) for node in nodes]


def methods() -> Methods:
    """Return the Methods that the paper compares."""
    return build(Methods, yaml_value((ROOT / "paper" / "methods.yaml").read_text()))


def voting(
    compared: Methods, logs: Path | str = ROOT / "logs"
) -> tuple[MethodRun, tuple[int, ...]]:
    """Return the run whose samples vote beside budget forcing, and how many of them vote: those of
    `voting` until the larger one is released.
    """
    if run_folders("evaluate", compared.parallel.run_label("test"), logs):
        return compared.parallel, compared.parallel_votes
    most = max(compared.votes)
    return compared.voting, tuple(k for k in compared.parallel_votes if k <= most)


def sequential(compared: Methods, logs: Path | str = ROOT / "logs") -> list[MethodRun]:
    """Return the runs of budget forcing beside which samples vote: those of BF, and the longer ones
    that are released.
    """
    forcing = next(method for method in compared.methods if method.name == "BF")
    longer = [
        run for run in compared.longer if run_folders("evaluate", run.run_label("test"), logs)
    ]
    return [*forcing.runs, *longer]


def run_folder(stage: str, label: str, logs: Path | str = ROOT / "logs") -> Path:
    """Return the one completed run of a stage whose name is `label` plus a hash.

    Runs that logs/corrections.jsonl supersedes are passed over. Raises UserError when there is
    none or more than one: a released run is superseded by an entry there, never silently.
    """
    completed = run_folders(stage, label, logs)
    if len(completed) != 1:
        raise UserError(
            f"{stage} run {label} is {len(completed)} times in {Path(logs).name}/, but must be "
            "there once; release it with make release, or say in logs/corrections.jsonl which one "
            "the other supersedes"
        )
    return completed[0]


def run_folders(stage: str, label: str, logs: Path | str = ROOT / "logs") -> list[Path]:
    """Return the completed runs of a stage whose name is `label` plus a hash, but for those that
    logs/corrections.jsonl supersedes.
    """
    size, gone = len(label) + HASH, superseded(logs)
    return [
        path.parent
        for path in sorted(Path(logs, stage).glob(f"{label}-*/manifest.json"))
        if len(path.parent.name) == size
        and f"{stage}/{path.parent.name}" not in gone
        and json.loads(path.with_name("status.json").read_text())["status"] == "completed"
    ]


def superseded(logs: Path | str = ROOT / "logs") -> dict[str, dict]:
    """Return {what: entry} of logs/corrections.jsonl.

    What no longer counts are released runs ("stage/name") and paths; the entry says why.
    """
    path = Path(logs) / "corrections.jsonl"
    return {entry["supersedes"]: entry for entry in (read_jsonl(path) if path.exists() else ())}


def groups() -> dict[str, list[str]]:
    """Return {group: families} of the released table: within reach, out of reach, transfer."""
    path = ROOT / "paper" / "generated" / "results.json"
    if not path.exists():
        raise UserError(
            "paper/generated/results.json is missing; restore it from git, or run make paper"
        )
    entries = json.loads(path.read_text())["groups"]
    return {name: entry["families"] for name, entry in entries.items() if entry["families"]}


def samples(folder: Path | str) -> list[Sample]:
    """Return the samples of an evaluate run."""
    return read_jsonl(answers_path(Path(folder)))
