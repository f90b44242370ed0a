"""Accuracy against thinking tokens on a public benchmark, a curve for each arm. Reads nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ponder.report import canvas
from ponder.report.canvas import NORMAL, SMALL, Theme
from ponder.report.curves import cuts, waits

COLOURS = {  # of the arms as ponder/report/public.py names them
    "base": "faint",
    "SFT, s1's choice of traces": "blue",
    "SFT, random traces": "green",
    "SFT on answers only": "orange",
}
OWN = "math-unforced"  # an untrained model's own turn: its answer is part of what it thinks


def draw(path: Path, measured: Mapping[str, Any], theme: Theme) -> None:
    """Write the figure of what ponder.report.public.measured returns."""
    names = list(dict.fromkeys(arm["arm"] for arm in measured["arms"]))
    points = {name: _points(measured["arms"], name) for name in names}
    title = f"Accuracy on {measured['benchmark']} against mean thinking tokens"
    words = "; ".join(
        f"{name}: "
        + ", ".join(
            f"{row['text']} at {row['thinking_tokens']:.0f} tokens ({row['words']})" for row in rows
        )
        for name, rows in points.items()
    )
    with canvas.figure(path, 3.6, theme, title, words) as drawing:
        panel = drawing.add_subplot()
        for name, rows in points.items():
            canvas.check(name, rows)
            _curve(panel, rows, getattr(theme, COLOURS.get(name, "ink")))
        everything = [row for rows in points.values() for row in rows]
        if not everything:
            panel.text(0.5, 0.5, "not run", color=theme.faint, transform=panel.transAxes)
            return
        edge = max(row["thinking_tokens"] for row in everything)
        top = 10 * (1 + int(10 * max(row["high"] for row in everything)))
        panel.set_xlim(-0.03 * edge, 1.62 * edge)
        panel.set_ylim(-1, top)
        panel.set_yticks(
            range(0, top + 1, 10), [f"{tick}%" for tick in range(0, top + 1, 10)], fontsize=SMALL
        )
        panel.set_xticks([tick for tick in panel.get_xticks() if 0 <= tick <= 1.05 * edge])
        panel.tick_params(axis="x", labelsize=SMALL, length=2.5)
        panel.grid(axis="y", color=theme.grid, linewidth=0.6)
        panel.set_xlabel("mean thinking tokens", fontsize=NORMAL)
        last = {name: rows[-1] for name, rows in points.items()}
        labels = [
            (100 * row["accuracy"], name, getattr(theme, COLOURS.get(name, "ink")))
            for name, row in last.items()
        ]
        canvas.end_labels(panel, labels, x=0.655)
        panel.text(
            0.02,
            0.97,
            'solid: thinking cut at a cap\nsquare: no forcing\ndashed: "Wait" appended',
            color=theme.faint,
            transform=panel.transAxes,
            va="top",
            fontsize=SMALL,
        )
        drawing.subplots_adjust(left=0.085, right=0.985, top=0.96, bottom=0.15)


def _points(arms: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the points of an arm: its cuts, no forcing, its Waits."""
    rows = [
        {"budget": arm["budget"], "words": arm["words"], **arm["all"]}
        for arm in arms
        if arm["arm"] == name and arm["budget"] != OWN
    ]
    return [dict(row) for row in (*cuts(rows), *waits(rows)[1:])]


def _curve(panel: Any, rows: Sequence[Mapping[str, Any]], colour: str) -> None:
    ended = [row for row in rows if row["budget"] == "math"]
    canvas.line(panel, cuts(rows), colour, "-", "o")
    canvas.line(panel, ended, colour, "none", "s", 6)
    if waits(rows):
        canvas.line(panel, waits(rows), colour, "--", "")
        canvas.line(panel, waits(rows)[1:], colour, "none", "^")
