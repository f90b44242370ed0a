"""Sequential against parallel thinking on one axis of tokens spent: longer thinking under caps and
Waits beside several samples that vote. Reads nothing.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ponder.report import canvas, curves, methods
from ponder.report.asked import powers
from ponder.report.canvas import NORMAL, SMALL, Theme
from ponder.report.comparisons import corrected, difference, summary
from ponder.report.released import MethodRun
from ponder.report.sources import Evaluation
from ponder.statistics import Sample

Rows = Sequence[Mapping[str, Any]]


def parallel(
    run: str,
    samples: Sequence[Sample],
    votes: Sequence[int],
    runs: Mapping[str, MethodRun],
    evaluations: Mapping[str, Evaluation],
) -> dict[str, Any]:
    """Return what voting and coverage give at the tokens of all samples that vote.

    `samples` are those of the run with several answers to each question, `runs` and `evaluations`
    the runs of budget forcing by their names, with one answer to each. {"run", "samples": of a
    question, "votes": methods.voting, "sequential": each run of budget forcing with its summary,
    under "votes" and "votes_tokens" the vote whose tokens are nearest to its own by their "ratio",
    and under "all" that vote minus the run, corrected over all runs}.
    """
    points = methods.voting(list(samples), votes)
    scores = [point.pop("scores") for point in points]
    sequential = []
    for name, forced in runs.items():
        folder, by_key = evaluations[name]
        answers = [sample for _, sample in sorted(by_key.items())]
        entry = {"name": name, "run": folder.name, "budget": forced.budget, **_summary(answers)}
        at = _nearest(points, entry["thinking_tokens"])
        voted = [{"correct": score} for score in scores[at]]
        nearest = {
            "votes": points[at]["k"],
            "votes_tokens": points[at]["tokens"],
            "ratio": points[at]["tokens"] / max(entry["thinking_tokens"], 1),
        }
        sequential.append(
            entry | nearest | {"all": difference(voted, answers, f"paper/parallel/{name}")}
        )
    corrected([entry["all"] for entry in sequential])
    asked = len({(sample["task"], sample["id"]) for sample in samples})
    return {
        "run": run,
        "samples": len(samples) // asked,
        "votes": points,
        "sequential": sequential,
    }


def _summary(answers: list[Sample]) -> dict[str, Any]:
    found = summary(answers)
    assert found is not None, "every run answered something"
    return found


def _nearest(points: Sequence[Mapping[str, Any]], tokens: float) -> int:
    """Return the place of the vote whose tokens are nearest to some tokens, by their ratio."""
    distances = [abs(math.log(point["tokens"] / max(tokens, 1))) for point in points]
    return distances.index(min(distances))


def curve(points: Sequence[Mapping[str, Any]], value: str) -> list[dict[str, Any]]:
    """Return the votes as rows of a figure: their "accuracy", or their "coverage" in its place."""
    return [
        {
            "thinking_tokens": point["tokens"],
            "n": point["n"],
            "accuracy": point[value]["value"],
            "low": point[value]["low"],
            "high": point[value]["high"],
        }
        for point in points
    ]


def draw(path: Path, results: Mapping[str, Any], theme: Theme) -> None:
    """Write the figure: accuracy against the thinking tokens spent on a question."""
    found = results["parallel"]
    forced = found["sequential"]
    rows: dict[str, tuple[Rows, str, str, str]] = {
        "majority vote": (curve(found["votes"], "accuracy"), theme.gold, "-", "s"),
        "coverage": (curve(found["votes"], "coverage"), theme.pink, "--", "s"),
        "cuts": (curves.cuts(forced), theme.blue, "-", "o"),
        "Wait": (curves.waits(forced), theme.orange, "--", "^"),
    }
    for name, (points, *_) in rows.items():
        canvas.check(name, points)
    words = "; ".join(
        f"{name}: "
        + ", ".join(f"{p['accuracy']:.1%} at {p['thinking_tokens']:.1f} tokens" for p in points)
        for name, (points, *_) in rows.items()
    )
    seeds = curves.other_seeds(results["contrasts"], curves.ALL)
    of_cuts = curves.of_curve(seeds, curves.MAIN, curves.cuts(forced))
    of_waits = curves.of_curve(seeds, curves.MAIN, curves.waits(forced)[1:])
    words += curves.seed_words([*of_cuts, *of_waits])
    title = "Accuracy against thinking tokens spent: longer thinking, and several samples"
    shown = [*(points for points, *_ in rows.values()), of_cuts, of_waits]
    ticks = powers([point["thinking_tokens"] for points in shown for point in points])
    with canvas.figure(path, 3.2, theme, title, words) as drawing:
        panel = drawing.subplots()
        for points, colour, style, mark in rows.values():
            canvas.line(panel, points, colour, style, mark, 4)
        canvas.seeds(panel, of_cuts, theme.blue)
        canvas.seeds(panel, of_waits, theme.orange)
        panel.set_xscale("log")
        panel.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=SMALL)
        panel.set_xticks([], minor=True)
        panel.set_xlim(ticks[0] / 1.1, ticks[-1] * 1.1)
        panel.set_xlabel("thinking tokens spent on a question", fontsize=NORMAL)
        canvas.percent_axis(panel, theme)
        labels = [
            (100 * points[-1]["accuracy"], name, colour)
            for name, (points, colour, *_) in rows.items()
        ]
        canvas.end_labels(panel, labels)
        panel.text(
            0.02, 0.95, "crosses: other seeds", color=theme.faint, fontsize=SMALL,
            transform=panel.transAxes, va="top",
        )  # fmt: skip
        drawing.subplots_adjust(left=0.095, right=0.78, top=0.97, bottom=0.16)
