"""Anybody's evaluate runs as their records tell them, and the arms that they are runs of.

Reads run folders of logs/ and outputs/; no model runs.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from ponder import lineage, rows
from ponder.errors import RecordError, UserError
from ponder.rows import SampleRow
from ponder.runs import read_jsonl

PLACES = ("logs", "outputs")  # where runs lie, by stage
Key = tuple[str, str, int]  # task, id of the question, number of the sample
Question = tuple[str, str]  # task, id


@dataclass(frozen=True)
class Training:
    """The training whose weights answered."""

    name: str  # its run
    seed: int | None
    recipe: dict[str, Any]  # its configuration of training, and the hash of its rows


@dataclass(frozen=True)
class Evaluation:
    """One evaluate run as its records tell it."""

    folder: Path
    label: str  # without its hash and its seed
    config: dict[str, Any]
    training: Training | None
    samples: dict[Key, SampleRow]


@dataclass(frozen=True)
class Arm:
    """Evaluations that differ in the training seed alone, each answering the same questions."""

    label: str
    evaluations: tuple[Evaluation, ...]  # by seed

    def answers(self) -> list[SampleRow]:
        """Return the answers of all seeds."""
        return [sample for run in self.evaluations for sample in run.samples.values()]

    def questions(self) -> list[Question]:
        """Return what was asked, each question once however many samples it has."""
        return list(dict.fromkeys(key[:2] for key in self.evaluations[0].samples))

    def numbers(self) -> list[int | None]:
        """Return the seeds: None for one that is not told, [] where nothing is trained."""
        return [run.training.seed for run in self.evaluations if run.training]


def right(run: Evaluation, questions: Sequence[Question]) -> list[float]:
    """Return the share of right samples of each question: 1 or 0 where it has one."""
    flags: dict[Question, list[bool]] = {}
    for (task, ident, _), sample in run.samples.items():
        flags.setdefault((task, ident), []).append(sample.correct)
    return [sum(flags[question]) / len(flags[question]) for question in questions]


# --- reading ---


def folders(name: str) -> list[Path]:
    """Return the completed evaluate runs that a name means; raises UserError for none."""
    patterns = [name] if "/" in name else [f"{place}/evaluate/{name}" for place in PLACES]
    matches = [
        path
        for pattern in patterns
        for end in ("", "-" + "[0-9a-f]" * 8)
        for path in _glob(pattern + end)
        if rows.answers_path(path).exists() and (path / "manifest.json").exists()
    ]
    if not matches:
        raise UserError(
            f"no finished evaluation is called {name!r}; name a folder, a pattern in quotes, or a "
            "label as logs/README.md lists them"
        )
    return list(dict.fromkeys(matches))


def _glob(pattern: str) -> list[Path]:
    path = Path(pattern)
    base = Path(path.anchor) if path.is_absolute() else Path()
    parts = path.relative_to(base) if path.is_absolute() else path
    return sorted(base.glob(str(parts)))


def read(
    folder: Path,
    makers: dict[str, Path],
    tasks: Sequence[str] = (),
    left_out: Collection[str] = (),
) -> Evaluation:
    """Return the Evaluation of a run folder, of some tasks or of all, but for the questions whose
    ids are left out.

    `makers` are the train runs by their weights, for evaluations that were made before a record
    said which training it measured.
    """
    config = yaml.safe_load((folder / "config.yaml").read_text())
    training = _training(folder, makers)
    label = folder.name[: -len("-01234567")]
    if training and training.seed:
        label = label.replace(f"-seed{training.seed}-", "-", 1)
    answered = rows.read(SampleRow, rows.answers_path(folder))
    there = {sample.task for sample in answered}
    if missing := [task for task in tasks if task not in there]:
        raise UserError(
            f"{folder.name} answered nothing of {', '.join(missing)}; name some of "
            f"{', '.join(sorted(there))}"
        )
    if left_out and not any(sample.id in left_out for sample in answered):
        raise UserError(
            f"--without names no question of {folder.name}; name another file, or leave it out"
        )
    samples = {
        (sample.task, sample.id, sample.sample or 0): sample
        for sample in answered
        if (not tasks or sample.task in tasks) and sample.id not in left_out
    }
    if not samples:
        raise UserError(f"{folder.name} answered nothing that is not left out; leave out less")
    return Evaluation(folder, label, config, training, samples)


def ids_in(path: str) -> set[str]:
    """Return the ids of questions that a .jsonl file names, such as gsm8k-originals.jsonl.

    Raises UserError for a file that cannot be read or has a line without an id.
    """
    try:
        return {row["id"] for row in read_jsonl(path)}
    except (OSError, RecordError, KeyError, TypeError) as error:
        raise UserError(
            f"--without {path} is no .jsonl file whose lines have an id ({type(error).__name__}); "
            "name another, such as data/qwen/gsm8k-originals.jsonl"
        ) from error


def _training(folder: Path, makers: dict[str, Path]) -> Training | None:
    """Return the training that a run's record names, else the one that made what it read."""
    status = json.loads((folder / "status.json").read_text())
    said = status.get("training")
    if said is None:
        digests = status["inputs"].values()
        made = next((makers[digest] for digest in digests if digest in makers), None)
        said = lineage.training(made, ()) if made else None
    if said is None:
        return None
    return Training(said["run"], said["seed"], {"rows": said["rows"], **said["recipe"]})


def makers(evaluations: Sequence[Path]) -> dict[str, Path]:
    """Return {SHA-256 of weights: train run that made them} here and beside evaluations."""
    places = dict.fromkeys([*map(Path, PLACES), *(folder.parent.parent for folder in evaluations)])
    return {
        digest: path.parent
        for place in places
        for path in sorted((place / "train").glob("*/manifest.json"))
        for name, digest in lineage.written(path).items()
        if name.endswith(".safetensors")
    }


# --- arms ---


def arms(evaluations: Sequence[Evaluation]) -> list[Arm]:
    """Return the arms of some evaluations, in their order; what tells arms of one label apart is
    added to their labels.

    Raises UserError for runs of one arm that answered different questions, or for a seed, or an
    untrained run, that is there twice.
    """
    groups: list[list[Evaluation]] = []
    for run in evaluations:
        own = next((group for group in groups if _one_arm(run, group[0])), None)
        if own is None:
            groups.append([run])
        else:
            own.append(run)
    return _told_apart([_arm(runs) for runs in groups])


def _one_arm(run: Evaluation, other: Evaluation) -> bool:
    """Return whether two evaluations differ at most in the seed of the training that they measure.

    A key that only one of them records came to the configuration after the other was made, and says
    nothing.
    """
    if run.label != other.label or (run.training is None) != (other.training is None):
        return False
    ours, theirs = _settings(run), _settings(other)
    return not any(ours[key] != theirs[key] for key in ours.keys() & theirs.keys())


def _settings(run: Evaluation) -> dict[str, Any]:
    """Return what an evaluation and the training behind it were told, flat.

    Where the training is known, the place of its weights says nothing.
    """
    if run.training is None:
        return lineage.flat(run.config)
    settings = lineage.flat(run.config) | lineage.flat(run.training.recipe)
    return {key: value for key, value in settings.items() if key != "subject.adapter"}


def _told_apart(found: list[Arm]) -> list[Arm]:
    """Return arms whose labels say in what those of one label differ."""
    named = []
    for arm in found:
        ours = _settings(arm.evaluations[0])
        others = [
            _settings(other.evaluations[0])
            for other in found
            if other is not arm and other.label == arm.label
        ]
        keys = [
            key
            for key, value in ours.items()
            if any(key in theirs and theirs[key] != value for theirs in others)
        ]
        words = ", ".join(f"{key}={ours[key]!s:.12}" for key in keys)
        named.append(replace(arm, label=f"{arm.label} ({words})") if words else arm)
    return named


def _arm(runs: list[Evaluation]) -> Arm:
    first = runs[0]
    for run in runs[1:]:
        if run.samples.keys() != first.samples.keys():
            raise UserError(
                f"{run.folder.name} and {first.folder.name} are seeds of one arm but answered "
                "different questions; evaluate both on the same"
            )
    numbers = [run.training.seed if run.training else None for run in runs]
    if len(set(numbers)) < len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        what = first.label if twice is None else f"seed {twice}"
        same = [run.folder for run, number in zip(runs, numbers, strict=True) if number == twice]
        raise UserError(
            f"{what} is twice: {' and '.join(map(str, same))}; name each run once, where a "
            f"path such as {same[-1].parent}/... narrows a pattern"
        )
    by_seed = sorted(zip(numbers, runs, strict=True), key=lambda pair: pair[0] or 0)
    return Arm(first.label, tuple(run for _, run in by_seed))
