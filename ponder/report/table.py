"""One table of anybody's evaluations: runs that differ in the training seed alone are one arm.

    python -m ponder.report.table cpu-trained-free-test "cpu-seed*-trained-free-test"
    python -m ponder.report.table "outputs/evaluate/mine-*" --against cpu-trained-free-test
    python -m ponder.report.table "*-gsm8k" --without data/qwen/gsm8k-originals.jsonl
    python -m ponder.report.table ... --format csv > table.csv    # pandas.read_csv opens it

A run is named by its folder, a pattern, or its label with or without the hash, in logs/evaluate and
outputs/evaluate. What is measured is read from the records; no model runs.
"""

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ponder import statistics
from ponder.errors import UserError, user_errors
from ponder.evaluate.results import vote_of
from ponder.report import evaluations, seeds
from ponder.report.evaluations import Arm, Evaluation, right
from ponder.rows import SampleRow

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
AGAINST = (
    "seeds paired",
    "difference",
    "its interval",
    "gained",
    "lost",
    "p",
    "p (Holm)",
    "detectable",
)
CSV_ALONE = ("seed numbers", "runs", "rows", "lr")  # what tells two trainings apart
PICTURES = (".svg", ".png", ".pdf")


# --- counting ---


def line(arm: Arm) -> dict[str, Any]:
    """Return the numbers of an arm, by the names of COLUMNS and CSV_ALONE; shares from 0 to 1, None
    of nothing. What is not trained has no seeds.

    The interval of one answer to each question is Wilson's, as in the released table; of several
    seeds, or samples, it is over seeds and questions (seeds.share).
    """
    answers, questions = arm.answers(), arm.questions()
    if len(answers) == len(questions):
        single = statistics.accuracy([sample.correct for sample in answers])
        low, high = single["low"], single["high"]
    else:
        estimate = seeds.share([right(run, questions) for run in arm.evaluations])
        low, high = estimate.low, estimate.high
    cut = [sample for sample in answers if sample.capped]
    completed = [sample for sample in answers if not sample.capped]
    training, numbers = arm.evaluations[0].training, arm.numbers()
    return {
        "arm": arm.label,
        "n": len(questions),
        "seeds": len(numbers) or None,
        "accuracy": _share(answers),
        "interval": (low, high),
        "thinking tokens": sum(sample.num_thinking for sample in answers) / len(answers),
        "cut": len(cut) / len(answers),
        "unanswered": sum(vote_of(sample) is None for sample in answers) / len(answers),
        "right if cut": _share(cut),
        "right if completed": _share(completed),
        "seed numbers": " ".join(map(str, numbers)),
        "runs": " ".join(run.folder.name for run in arm.evaluations),
        "rows": training.recipe.get("rows") if training else None,
        "lr": training.recipe.get("lr") if training else None,
    }


def _share(samples: Sequence[SampleRow]) -> float | None:
    return sum(sample.correct for sample in samples) / len(samples) if samples else None


def difference(arm: Arm, reference: Arm) -> dict[str, Any]:
    """Return the numbers of an arm minus a reference, by the names of AGAINST.

    Paired by question, and by the seeds that both have; what is not trained stands beside each seed
    of the other. Of one pair with one answer to each question the interval is the bootstrap's of
    the documents and `p` McNemar's, of several both are those of seeds.crossed. `gained` and `lost`
    are None where questions have several samples. Raises UserError for other questions than the
    reference answered, and where no seed is common.
    """
    questions = reference.questions()
    if set(arm.questions()) != set(questions):
        raise UserError(
            f"{arm.label} and {reference.label} answered different questions; compare runs of one "
            "split, or name the tasks they share with --tasks"
        )
    pairs = _pairs(arm, reference)
    tables = [(right(ours, questions), right(theirs, questions)) for ours, theirs in pairs]
    rows_of = [[a - b for a, b in zip(*pair, strict=True)] for pair in tables]
    cells = [value for row in rows_of for value in row]
    each_once = {value for pair in tables for row in pair for value in row} <= {0, 1}
    single = len(tables) == 1 and each_once
    estimate = seeds.one_seed(rows_of[0]) if single else seeds.crossed(rows_of)
    return {
        "seeds paired": _paired(pairs),
        "difference": estimate.mean,
        "its interval": (estimate.low, estimate.high),
        "gained": sum(value > 0 for value in cells) if each_once else None,
        "lost": sum(value < 0 for value in cells) if each_once else None,
        "p": estimate.p,
        "detectable": estimate.detectable,
    }


def _pairs(arm: Arm, reference: Arm) -> list[tuple[Evaluation, Evaluation]]:
    """Return what is paired: evaluations of the seeds that both arms have, or each with the one
    that is not trained; raises UserError where there is none.
    """
    if not (arm.numbers() and reference.numbers()):
        return [(ours, theirs) for ours in arm.evaluations for theirs in reference.evaluations]
    others = dict(zip(reference.numbers(), reference.evaluations, strict=True))
    pairs = [
        (run, others[seed])
        for seed, run in zip(arm.numbers(), arm.evaluations, strict=True)
        if seed in others
    ]
    if not pairs:
        raise UserError(
            f"{arm.label} has the seeds {arm.numbers()} and {reference.label} "
            f"{reference.numbers()}, so none is paired; name runs with a seed in common"
        )
    return pairs


def _paired(pairs: Sequence[tuple[Evaluation, Evaluation]]) -> str:
    trainings = [ours.training or theirs.training for ours, theirs in pairs]
    return ", ".join(str(training.seed) for training in trainings if training) or "-"


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


def note(lines: Sequence[dict[str, Any]], reference: Arm | None) -> str:
    """Return what a table's numbers are, in sentences."""
    words = (
        "Interval: 95%, Wilson's over questions; over seeds and questions where there are several "
        "seeds or samples."
    )
    if reference is None:
        return words
    rows_compared = sum("p (Holm)" in row for row in lines)
    return (
        f"{words} Difference: minus {reference.label}, in points, paired by question and by the "
        "seeds that both have. Of one seed its interval is the bootstrap's over questions and p "
        "McNemar's; of several both are over seeds and questions (Student's t). p (Holm): "
        f"corrected over the {rows_compared} rows compared. Detectable: the smallest true "
        "difference that would be told from none four times in five. Exploratory, unless it was "
        "pre-registered."
    )


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
    columns = [*columns, *CSV_ALONE]
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
    left_out = evaluations.ids_in(options.without) if options.without else set()
    picture = checked_picture(options.plot) if options.plot else None
    places = [place for name in options.runs for place in evaluations.folders(name)]
    reference_places = evaluations.folders(options.against) if options.against else []
    unique = list(dict.fromkeys([*places, *reference_places]))
    known = evaluations.makers(unique)
    read = [evaluations.read(folder, known, tasks, left_out) for folder in unique]
    all_arms = evaluations.arms(read)
    references = [
        arm for arm in all_arms if any(run.folder in reference_places for run in arm.evaluations)
    ]
    if len(references) > 1:
        raise UserError(
            f"--against {options.against} names {len(references)} arms: "
            f"{', '.join(arm.label for arm in references)}; name one"
        )
    reference = references[0] if references else None
    lines = compared(all_arms, reference)
    columns = COLUMNS + (AGAINST if reference else ())
    print(FORMATS[options.format](lines, columns))
    if options.format != "csv":
        print(f"\n{note(lines, reference)}")
    if picture:
        plot(lines, picture)


def checked_picture(name: str) -> Path:
    """Return the path of a picture; raises UserError for one that cannot be written."""
    path = Path(name)
    if path.suffix not in PICTURES or not path.parent.is_dir():
        raise UserError(
            f"--plot {name} is no picture in a folder that is there; end it in one of "
            f"{', '.join(PICTURES)}"
        )
    return path


def plot(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw accuracy with its interval against mean thinking tokens, a point for each arm."""
    import matplotlib

    matplotlib.use("svg" if path.suffix == ".svg" else "agg")
    from matplotlib import pyplot

    figure, panel = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for row in lines:
        x, y, (low, high) = row["thinking tokens"], row["accuracy"], row["interval"]
        words = row["arm"] + (f", {row['seeds']} seeds" if (row["seeds"] or 1) > 1 else "")
        ends = [[100 * (y - low)], [100 * (high - y)]]
        panel.errorbar(x, 100 * y, ends, fmt="o", capsize=2, label=words)
    panel.set(xlabel="mean thinking tokens", ylabel="accuracy, %, with 95% interval")
    figure.legend(loc="outside lower center", fontsize=8)
    figure.savefig(path)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
