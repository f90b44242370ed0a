"""Each model by group of families, as dots with intervals, other seeds of its training as crosses
below, and a constant guess. Reads nothing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ponder.report import canvas, curves
from ponder.report.canvas import NORMAL, SMALL, Theme

MODELS = {  # how the figure names a row of the table
    "Nearest training question": "nearest question",
    "Base, zero-shot": "base, zero-shot",
    "Base, 4 worked examples": "base, 4 examples",
    "SFT on answers only": "answers only",
    "SFT, no forcing": "SFT",
    "SFT with doubt, no forcing": "SFT with doubt",
    "SFT on s1's choice of rows, no forcing": "SFT, s1's choice",
    "Distilled student, no forcing": "distilled",
}
COLOURS = ("blue", "orange", "green")


def draw(path: Path, results: Mapping[str, Any], groups: Sequence[str], theme: Theme) -> None:
    """Write the figure of the models without forcing: a panel for each group with families."""
    names = [name for name in groups if results["groups"][name]["n"]]
    rows = {row["label"]: row for row in results["rows"]}
    texts = {row["label"]: row for row in results["printed"]["rows"]}
    words = "; ".join(
        f"{name}: "
        + ", ".join(
            f"{short} {texts[label]['groups'][name]['text']}" for label, short in MODELS.items()
        )
        for name in names
    )
    title = "Accuracy of each model without forcing, by group of families"
    with canvas.figure(path, 3.0, theme, title, words) as drawing:
        panels = drawing.subplots(1, len(names), sharey=True, squeeze=False)[0]
        for panel, name, colour in zip(panels, names, COLOURS, strict=False):
            entries = [rows[label]["groups"][name] for label in MODELS]
            canvas.check(name, entries)
            _panel(
                panel, entries, results["groups"][name]["constant"], getattr(theme, colour), theme
            )
            seeds = curves.other_seeds(results["contrasts"], name)
            for place, row in enumerate(rows[label] for label in MODELS):
                points = seeds.get(f"{row['experiment']}, {row['budget']}", [])
                if row["subject"] == "trained":
                    accuracies = [100 * point["accuracy"] for point in points]
                    below = [place + 0.28] * len(points)
                    canvas.crosses(panel, accuracies, below, getattr(theme, colour))
            panel.set_title(name, fontsize=NORMAL, fontweight="bold", loc="left", pad=16)
            size = f"n={results['groups'][name]['n']}"
            panel.text(0, 1.03, size, fontsize=SMALL, transform=panel.transAxes)
        panels[0].set_yticks(range(len(MODELS)), list(MODELS.values()), fontsize=NORMAL)
        panels[0].invert_yaxis()
        guess = results["groups"][names[-1]]["constant"]
        panels[-1].text(100 * guess + 1, len(MODELS) - 0.42, "constant guess", color=theme.faint,
                        fontsize=SMALL, va="center")  # fmt: skip
        drawing.subplots_adjust(left=0.243, right=0.965, top=0.83, bottom=0.09, wspace=0.1)


def _panel(panel: Any, entries: list[dict], constant: float, colour: str, theme: Theme) -> None:
    places = list(range(len(entries)))
    heights = [100 * entry["accuracy"] for entry in entries]
    bars = [
        [max(0, 100 * (entry["accuracy"] - entry["low"])) for entry in entries],
        [max(0, 100 * (entry["high"] - entry["accuracy"])) for entry in entries],
    ]
    panel.errorbar(heights, places, xerr=bars, fmt="o", color=colour, markersize=5, elinewidth=1.2)
    panel.axvline(100 * constant, color=theme.faint, linestyle=":", linewidth=1.2)
    panel.set_xlim(-4, 104)
    panel.set_ylim(-0.6, len(entries) - 0.1)
    panel.set_xticks(range(0, 101, 25), ["0", "", "50%", "", ""], fontsize=SMALL)
    panel.grid(axis="both", color=theme.grid, linewidth=0.6)
    panel.tick_params(length=2.5)
    panel.spines["left"].set_visible(False)
