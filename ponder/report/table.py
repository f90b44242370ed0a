"""One table of anybody's evaluations: runs that differ in the training seed alone are one arm.

    python -m ponder.report.table cpu-trained-free-test "cpu-seed*-trained-free-test"
    python -m ponder.report.table "outputs/evaluate/mine-*" --against cpu-trained-free-test
    python -m ponder.report.table "*-gsm8k" --without data/qwen/gsm8k-originals.jsonl
    python -m ponder.report.table ... --format csv > table.csv    # pandas.read_csv opens it

A run is named by its folder, a pattern, or its label with or without the hash, in logs/evaluate and
outputs/evaluate. What is measured is read from the records; no model runs.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ponder import lineage, rows, statistics
from ponder.errors import RecordError, UserError, user_errors
from ponder.evaluate.results import vote_of
from ponder.report import seeds
from ponder.rows import SampleRow
from ponder.runs import read_jsonl

PLACES = ("logs", "outputs")  # where runs lie, by stage
COLUMNS = (
    "arm",
    "n",
    "seeds",
    "accuracy",
    "interval",
    "thinking tokens",
    "cut",
    "unanswered",
    "right if cut",
    "right if completed",
)
AGAINST = ("difference", "its interval", "gained", "lost", "p", "p (Holm)", "detectable")
Key = tuple[str, str, int]  # task, id of the question, number of the sample


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
    evaluations: tuple[Evaluation, ...]

    def answers(self) -> list[SampleRow]:
        """Return the answers of all seeds."""
        return [sample for run in self.evaluations for sample in run.samples.values()]

    def table(self, keys: Sequence[Key]) -> list[list[float]]:
        """Return whether each answer is right: a row for each seed, a column for each key."""
        return [[float(run.samples[key].correct) for key in keys] for run in self.evaluations]


# --- reading ---


def folders(name: str) -> list[Path]:
    """Return the completed evaluate runs that a name means; raises UserError for none."""
    patterns = [name] if "/" in name else [f"{place}/evaluate/{name}" for place in PLACES]
    matches = [
        path
        for pattern in patterns
        for end in ("", "-" + "[0-9a-f]" * 8)
        for path in _glob(pattern + end)
        if (path / "samples.jsonl").exists() and (path / "manifest.json").exists()
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
    samples = {
        (sample.task, sample.id, sample.sample or 0): sample
        for sample in rows.read(SampleRow, folder / "samples.jsonl")
        if (not tasks or sample.task in tasks) and sample.id not in left_out
    }
    if not samples:
        wanted = ", ".join(tasks) or "what is not left out"
        raise UserError(
            f"{folder.name} answered nothing of {wanted}; name other tasks, or leave out less"
        )
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


def arms(evaluations: Sequence[Evaluation]) -> list[Arm]:
    """Return the arms of some evaluations, in their order.

    Raises UserError for runs of one arm that answered different questions, or for a seed that is
    there twice.
    """
    groups: list[list[Evaluation]] = []
    for run in evaluations:
        own = next((group for group in groups if _one_arm(run, group[0])), None)
        if own is None:
            groups.append([run])
        else:
            own.append(run)
    return [_arm(runs) for runs in groups]


def _one_arm(run: Evaluation, other: Evaluation) -> bool:
    """Return whether two evaluations differ at most in the seed of the training that they measure.

    A key that only one of them records came to the configuration after the other was made, and says
    nothing.
    """
    if run.label != other.label or (run.training is None) != (other.training is None):
        return False
    if run.folder == other.folder:
        return True
    pairs = [(run.config, other.config)]
    if run.training and other.training:
        pairs.append((run.training.recipe, other.training.recipe))
    return not any(differs for pair in pairs for differs in _differences(*pair))


def _differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return the keys that both have, with different values."""
    ours, theirs = lineage.flat(one), lineage.flat(other)
    return [key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]]


def _arm(runs: list[Evaluation]) -> Arm:
    first = runs[0]
    for run in runs[1:]:
        if run.samples.keys() != first.samples.keys():
            raise UserError(
                f"{run.folder.name} and {first.folder.name} are seeds of one arm but answered "
                "different questions; evaluate both on the same"
            )
    numbers = [run.training.seed for run in runs if run.training]
    if len(set(numbers)) < len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        same = [run.folder for run in runs if run.training and run.training.seed == twice]
        raise UserError(
            f"seed {twice} is twice: {' and '.join(map(str, same))}; name each run once, where a "
            f"path such as {same[-1].parent}/... narrows a pattern"
        )
    return Arm(first.label, tuple(runs))


# --- counting ---


def line(arm: Arm) -> dict[str, Any]:
    """Return the numbers of an arm, by the names of COLUMNS; shares from 0 to 1, None of nothing.

    The interval of one seed is Wilson's, as in the released table; of several it is over seeds and
    questions (seeds.share).
    """
    answers, keys = arm.answers(), list(arm.evaluations[0].samples)
    if len(arm.evaluations) == 1:
        single = statistics.accuracy([sample.correct for sample in answers])
        low, high = single["low"], single["high"]
    else:
        estimate = seeds.share(arm.table(keys))
        low, high = estimate.low, estimate.high
    cut = [sample for sample in answers if sample.capped]
    completed = [sample for sample in answers if not sample.capped]
    return {
        "arm": arm.label,
        "n": len(keys),
        "seeds": len(arm.evaluations),
        "accuracy": _share(answers),
        "interval": (low, high),
        "thinking tokens": sum(sample.num_thinking for sample in answers) / len(answers),
        "cut": len(cut) / len(answers),
        "unanswered": sum(vote_of(sample) is None for sample in answers) / len(answers),
        "right if cut": _share(cut),
        "right if completed": _share(completed),
    }


def _share(samples: Sequence[SampleRow]) -> float | None:
    return sum(sample.correct for sample in samples) / len(samples) if samples else None


def difference(arm: Arm, reference: Arm) -> dict[str, Any]:
    """Return the numbers of an arm minus a reference, by the names of AGAINST.

    Paired by question, and by seed where both have the same seeds; else the seeds of each are
    averaged first, and the interval is over questions alone. `p` is McNemar's for one seed each,
    else of seeds.crossed. Raises UserError for other questions than the reference answered.
    """
    keys = list(reference.evaluations[0].samples)
    if arm.evaluations[0].samples.keys() != set(keys):
        raise UserError(
            f"{arm.label} and {reference.label} answered different questions; compare runs of one "
            "split, or name the tasks they share with --tasks"
        )
    ours, theirs = arm.table(keys), reference.table(keys)
    if len(ours) == len(theirs):
        paired = [
            [a - b for a, b in zip(*pair, strict=True)] for pair in zip(ours, theirs, strict=True)
        ]
    else:
        paired = [[a - b for a, b in zip(_means(ours), _means(theirs), strict=True)]]
    estimate = seeds.crossed(paired)
    gained = sum(value > 0 for row in paired for value in row)
    lost = sum(value < 0 for row in paired for value in row)
    single = len(ours) == len(theirs) == 1
    return {
        "difference": estimate.mean,
        "its interval": (estimate.low, estimate.high),
        "gained": gained,
        "lost": lost,
        "p": seeds.mcnemar(gained, lost) if single else estimate.p,
        "detectable": estimate.detectable,
    }


def _means(table: list[list[float]]) -> list[float]:
    return [sum(column) / len(column) for column in zip(*table, strict=True)]


def compared(all_arms: Sequence[Arm], reference: Arm | None) -> list[dict[str, Any]]:
    """Return the lines of a table; Holm's correction is over all lines that are compared."""
    lines = [line(arm) for arm in all_arms]
    if reference is None:
        return lines
    others = [at for at, arm in enumerate(all_arms) if arm is not reference]
    for at in others:
        lines[at] |= difference(all_arms[at], reference)
    for at, p in zip(others, seeds.holm([lines[at]["p"] for at in others]), strict=True):
        lines[at]["p (Holm)"] = p
    return lines


# --- printing ---


def cell(column: str, value: Any) -> str:
    """Return a number as the tables of the documents print it; "" for none."""
    if value is None:
        return ""
    if column in ("interval", "its interval"):
        signed = "+" if column == "its interval" else ""
        return f"[{100 * value[0]:{signed}.1f}, {100 * value[1]:{signed}.1f}]"
    if column == "difference":
        return f"{100 * value:+.1f}"
    if column in ("p", "p (Holm)"):
        return f"{value:.3f}" if value >= 0.001 else "<0.001"
    if column == "thinking tokens":
        return f"{value:.1f}"
    if column == "detectable":
        return f"{100 * value:.1f}"
    return f"{value:.1%}" if isinstance(value, float) else str(value)


def as_text(lines: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Return a table with columns of equal width."""
    table = [list(columns), *([cell(c, row.get(c)) for c in columns] for row in lines)]
    widths = [max(len(row[at]) for row in table) for at in range(len(columns))]
    aligned = [
        [
            row[0].ljust(widths[0]),
            *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)),
        ]
        for row in table
    ]
    return "\n".join("  ".join(row).rstrip() for row in aligned)


def as_markdown(lines: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Return a Markdown table."""
    table = [list(columns), ["---", *["---:"] * (len(columns) - 1)]]
    table += [[cell(column, row.get(column)) for column in columns] for row in lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in table)


def as_csv(lines: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Return comma-separated values: plain numbers, an interval in two columns."""
    out = io.StringIO()
    names = [part for column in columns for part in _csv_names(column)]
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    for row in lines:
        flat: dict[str, Any] = {}
        for column in columns:
            value = row.get(column)
            parts = value if isinstance(value, tuple) else [value]
            flat |= dict(zip(_csv_names(column), parts, strict=False))
        writer.writerow(flat)
    return out.getvalue().rstrip("\n")


def _csv_names(column: str) -> list[str]:
    if column == "interval":
        return ["low", "high"]
    if column == "its interval":
        return ["difference low", "difference high"]
    return [column]


FORMATS = {"text": as_text, "markdown": as_markdown, "csv": as_csv}


@user_errors
def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m ponder.report.table",
        description="One table of evaluations; seeds of one training are one row.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a folder, a pattern, or a label")
    parser.add_argument(
        "--against", metavar="RUN", help="the run that the others are compared with"
    )
    parser.add_argument(
        "--tasks", default="", help="families or tasks, with commas; all by default"
    )
    parser.add_argument(
        "--without", metavar="FILE", help="a .jsonl file of ids of questions that are left out"
    )
    parser.add_argument("--format", choices=tuple(FORMATS), default="text")
    parser.add_argument("--plot", metavar="FILE", help="also draw accuracy against thinking tokens")
    options = parser.parse_args(arguments)
    tasks = tuple(filter(None, options.tasks.split(",")))
    left_out = ids_in(options.without) if options.without else set()
    places = [place for name in options.runs for place in folders(name)]
    reference_places = folders(options.against) if options.against else []
    unique = list(dict.fromkeys([*places, *reference_places]))
    known = makers(unique)
    all_arms = arms([read(folder, known, tasks, left_out) for folder in unique])
    reference = next(
        (arm for arm in all_arms if any(run.folder in reference_places for run in arm.evaluations)),
        None,
    )
    lines = compared(all_arms, reference)
    columns = COLUMNS + (AGAINST if reference else ())
    print(FORMATS[options.format](lines, columns))
    if options.plot:
        plot(lines, Path(options.plot))


def plot(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw accuracy with its interval against mean thinking tokens, a point for each arm."""
    import matplotlib

    matplotlib.use("svg" if path.suffix == ".svg" else "agg")
    from matplotlib import pyplot

    figure, panel = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for row in lines:
        x, y, (low, high) = row["thinking tokens"], row["accuracy"], row["interval"]
        panel.errorbar(x, 100 * y, [[100 * (y - low)], [100 * (high - y)]], fmt="o", capsize=2)
        panel.annotate(
            row["arm"], (x, 100 * y), xytext=(5, 4), textcoords="offset points", fontsize=8
        )
    panel.set(xlabel="mean thinking tokens", ylabel="accuracy, %")
    figure.savefig(path)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
