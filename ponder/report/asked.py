"""The ways to control test-time compute: tokens asked for against tokens got, and accuracy beside.

Reads nothing.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ponder.report import canvas, curves
from ponder.report.canvas import NORMAL, SMALL, Theme

Rows = Sequence[Mapping[str, Any]]
# A line of panels each: its title, and {method: (colour, line)}; dashed where nothing is cut.
LINES = {
    "budget forcing": {"BF": ("blue", "-"), "BF without SFT": ("orange", "-")},
    "asking for tokens": {"TCC": ("blue", "--"), "TCC+BF": ("orange", "-")},
    "asking for steps": {"SCC": ("blue", "--"), "SCC+BF": ("orange", "-")},
    "words, draws and votes": {
        "CCC": ("pink", "none"),
        "RS": ("green", "-"),
        "majority vote": ("gold", "-"),
    },
}
NAMES = {"CCC": "words (CCC)", "RS": "rejection (RS)", "BF without SFT": "without SFT"}


def points(methods: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return {method: rows} of results.json's methods; a row has "asked", its limit, or None.

    Of votes the tokens of all samples that vote count, and nothing is asked.
    """
    rows = {
        row["name"]: [
            point | {"asked": point["least"] if point["most"] is None else point["most"]}
            for point in row["points"]
        ]
        for row in methods["table"]
    }
    rows["majority vote"] = [
        {
            "thinking_tokens": point["tokens"],
            "n": point["n"],
            "accuracy": point["accuracy"]["value"],
            "low": point["accuracy"]["low"],
            "high": point["accuracy"]["high"],
            "name": f"{point['k']} votes",
            "asked": None,
        }
        for point in methods["voting"]
    ]
    return rows


def draw(path: Path, results: Mapping[str, Any], theme: Theme) -> None:
    """Write the figure of methods: for each kind of control two panels beside each other."""
    rows = points(results["methods"])
    shown = [name for methods_of in LINES.values() for name in methods_of]
    for name in shown:
        canvas.check(name, rows[name])
    tokens = [row["thinking_tokens"] for name in shown for row in rows[name]]
    seeds = curves.other_seeds(results["contrasts"], curves.ALL)
    others = curves.of_curve(seeds, curves.MAIN, rows["BF"])
    tokens += [point["thinking_tokens"] for point in others]
    limits = [row["asked"] for name in shown for row in rows[name] if row["asked"]]
    ticks = powers([*tokens, *limits])
    title = "Tokens asked for against tokens got, and accuracy, for each way to control thinking"
    words = "; ".join(f"{name}: {_words(rows[name])}" for name in shown)
    words += curves.seed_words(others)
    with canvas.figure(path, 6.6, theme, title, words) as drawing:
        panels = drawing.subplots(len(LINES), 2, squeeze=False)
        for (left, right), (line_title, looks) in zip(panels, LINES.items(), strict=True):
            last = line_title == list(LINES)[-1]
            _asked(left, {name: rows[name] for name in looks}, looks, ticks, theme)
            _accuracy(right, {name: rows[name] for name in looks}, looks, ticks, theme)
            left.set_title(line_title, loc="left", fontsize=NORMAL, fontweight="bold")
            left.set_xlabel("tokens asked for" if last else "", fontsize=NORMAL)
            right.set_xlabel("mean thinking tokens" if last else "", fontsize=NORMAL)
            left.set_ylabel("tokens got", fontsize=SMALL, labelpad=1)
            right.set_ylabel("accuracy", fontsize=SMALL, labelpad=0)
        _seeds(panels[0], seeds, rows["BF"], theme)
        panels[0, 0].text(
            0.97,
            0.04,
            "dotted: as asked\ncrosses: other seeds",
            transform=panels[0, 0].transAxes,
            color=theme.faint,
            fontsize=SMALL,
            ha="right",
        )
        drawing.subplots_adjust(
            left=0.105, right=0.985, top=0.955, bottom=0.08, hspace=0.55, wspace=0.32
        )


def _seeds(panels: Any, seeds: Mapping[str, list[Any]], rows: Rows, theme: Theme) -> None:
    """Draw what other seeds of the main arm got under budget forcing in its two panels."""
    for row in rows:
        points = curves.of_curve(seeds, curves.MAIN, [row])
        canvas.seeds(panels[1], points, theme.blue)
        if row["asked"] is not None:
            got = [point["thinking_tokens"] for point in points]
            canvas.crosses(panels[0], [row["asked"]] * len(got), got, theme.blue)


def powers(tokens: Sequence[float]) -> list[int]:
    """Return the powers of two from below the least tokens above 0 to above the most."""
    above = [count for count in tokens if count > 0] or [1]
    first = max(0, math.floor(math.log2(min(above))))
    last = max(first, math.ceil(math.log2(max(above))))
    return [2**power for power in range(first, last + 1)]


def _words(rows: Rows) -> str:
    return ", ".join(
        f"{row['name']} {row['thinking_tokens']:.1f} tokens {row['accuracy']:.1%}" for row in rows
    )


def _scale(axis: Any, ticks: list[int]) -> None:
    shown = ticks[:: math.ceil(len(ticks) / 5)]
    axis.axes.set(**{f"{axis.axis_name}scale": ("log")})
    axis.set_ticks(shown, labels=[f"{tick:,}" for tick in shown], fontsize=SMALL)
    axis.set_ticks([], minor=True)


def _asked(
    panel: Any,
    rows: Mapping[str, Rows],
    looks: Mapping[str, tuple[str, str]],
    ticks: list[int],
    theme: Theme,
) -> None:
    ends = (ticks[0] / 1.25, ticks[-1] * 1.25)
    panel.plot(ends, ends, color=theme.faint, linewidth=0.9, linestyle=":")
    for name, (colour_name, style) in looks.items():
        asked = [row for row in rows[name] if row["asked"] is not None]
        colour = getattr(theme, colour_name)
        for part, part_style, mark in parts(asked, style):
            panel.plot(
                [row["asked"] for row in part],
                [row["thinking_tokens"] for row in part],
                color=colour,
                linestyle=part_style,
                linewidth=1.3,
                marker=mark,
                markersize=4,
                mfc="none" if style == "--" else colour,
            )
    _scale(panel.xaxis, ticks)
    _scale(panel.yaxis, ticks)
    panel.set_xlim(*ends)
    panel.set_ylim(*ends)
    panel.grid(color=theme.grid, linewidth=0.6)
    panel.tick_params(length=2.5)


def parts(rows: Rows, style: str) -> list[tuple[Rows, str, str]]:
    """Return the stretches of a method's curve as (rows, line, mark).

    "Wait" goes on dashed from the run before it, which is the one without it.
    """
    usual = [row for row in rows if not row["name"].startswith("Wait")]
    more = [row for row in rows if row["name"].startswith("Wait")]
    stretches: list[tuple[Rows, str, str]] = [(usual, style, "o")]
    if more:
        stretches += [([*usual[-1:], *more], "--", ""), (more, "none", "^")]
    return stretches


def _accuracy(
    panel: Any,
    rows: Mapping[str, Rows],
    looks: Mapping[str, tuple[str, str]],
    ticks: list[int],
    theme: Theme,
) -> None:
    for name, (colour_name, style) in looks.items():
        for part, part_style, mark in parts(rows[name], style):
            canvas.line(panel, part, getattr(theme, colour_name), part_style, mark, 4)
    _scale(panel.xaxis, ticks)
    panel.set_xlim(ticks[0] / 1.25, ticks[-1] * 1.25)
    canvas.percent_axis(panel, theme, step=50)
    labels = [
        (NAMES.get(name, name), getattr(theme, colour_name))
        for name, (colour_name, _) in looks.items()
    ]
    for number, (text, colour) in enumerate(labels):
        panel.text(
            0.02,
            0.83 - 0.135 * number,
            text,
            color=colour,
            transform=panel.transAxes,
            fontsize=SMALL,
            fontweight="bold",
        )
