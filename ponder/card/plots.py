"""The two figures of a data card: what was chosen beside all there was.

The same counts give the same bytes. Letters are drawn as paths of the font that matplotlib brings
along, on opaque white, so that neither the reader's fonts nor a dark page changes what is seen. A
name from the data is text to draw, never mark-up.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panels = Mapping[str, tuple[Mapping[str, int], Mapping[str, int]]]

POOL, CHOSEN = "#b8b8b8", "#0072B2"  # grey, and the blue of Okabe and Ito
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "ponder",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}
GROUPS, NAME = 20, 28  # groups in a figure, the largest; characters of a name
BINS = 40  # bins of equal width, at most
WIDE = 10  # lengths further apart than this factor are drawn on a logarithmic axis


def plain(text: str, characters: int = 80) -> str:
    """Return text as ASCII on one line that no Markdown, HTML or LaTeX reads as its own.

    It is cut after so many `characters`. What is not a plain character comes out as in JSON, e.g. a
    line break as \\n and < as \\u003c.
    """
    escaped = "".join(map(_escaped, text[: characters + 1]))
    if len(escaped) <= characters:
        return escaped
    cut = re.sub(r"\\(u[0-9a-f]{0,3})?$", "", escaped[: characters - 3])  # no half of an escape
    return f"{cut}..."


def _escaped(character: str) -> str:
    if character in "`|<>&\x7f":
        return f"\\u{ord(character):04x}"
    return json.dumps(character)[1:-1]


@contextlib.contextmanager
def _figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Give an empty figure of so many inches, and write it to `path` at the end of the block."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own matplotlibrc says
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height), facecolor="white")
        yield figure
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def length(path: Path, pool: list[int], chosen: list[int]) -> None:
    """Write the figure of how long all traces are and how long the chosen ones.

    Both lists hold the thinking tokens of each trace, above 0.
    """
    with _figure(path, 7.2, 3.4) as figure:
        axes = figure.add_axes((0.09, 0.16, 0.88, 0.78))
        _histogram(axes, pool, edges(pool), "all {:,} traces", color=POOL, histtype="stepfilled")
        _histogram(
            axes, chosen, edges(pool), "{:,} chosen", color=CHOSEN, histtype="step", linewidth=1.6
        )
        label = "thinking tokens of a trace"
        if logarithmic(pool):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.minorticks_off()
            label += " (logarithmic)"
        axes.set_xlabel(label)
        axes.set_ylabel("share of traces, %")
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        if pool:
            axes.legend(frameon=False)


def _histogram(axes: Axes, tokens: list[int], bins: list[float], label: str, **style: Any) -> None:
    """Draw the shares of lengths in bins; `label` has a place for their number."""
    if tokens:
        axes.hist(
            tokens,
            bins=bins,
            weights=[100 / len(tokens)] * len(tokens),
            label=f"{label.format(len(tokens))}, median {median_low(tokens):,} tokens",
            **style,
        )


def logarithmic(tokens: list[int]) -> bool:
    """Return whether lengths lie so far apart that equal steps would hide most of them.

    Far apart means that the 95th percentile is more than WIDE times the 5th.
    """
    ranked = sorted(tokens) or [1]
    return ranked[len(ranked) * 19 // 20] > WIDE * ranked[len(ranked) // 20]


def edges(tokens: list[int]) -> list[float]:
    """Return the edges of the bins that hold all lengths, in rising order.

    Bins have equal, round widths, and on a logarithmic axis 4 of them double a length.
    """
    low, high = min(tokens, default=1), max(tokens, default=1)
    if logarithmic(tokens):
        first, last = math.floor(4 * math.log2(low)), math.floor(4 * math.log2(high)) + 1
        return [2 ** (step / 4) for step in range(first, last + 1)]
    widths = (round_number * 10**power for power in range(10) for round_number in (1, 2, 5))
    width = next(width for width in widths if high // width - low // width < BINS)
    return [width * step for step in range(low // width, high // width + 2)]


def groups(path: Path, panels: Panels) -> None:
    """Write the figure of rows per group, a panel under the other.

    `panels` is {title: ({group: rows of the pool}, {group: rows chosen})}.
    """
    heights = [1.15 + 0.36 * min(GROUPS, len(pool)) for pool, _ in panels.values()]  # inches
    whole = sum(heights) + 0.3
    with _figure(path, 7.2, whole) as figure:
        top = sum(heights)
        for (title, (pool, chosen)), height in zip(panels.items(), heights, strict=True):
            box = (0.32, (top - height + 0.65) / whole, 0.65, (height - 0.95) / whole)
            _bars(figure.add_axes(box), title, pool, chosen)
            top -= height
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, frameon=False, loc="upper right", ncols=2)


def _bars(axes: Axes, title: str, pool: Mapping[str, int], chosen: Mapping[str, int]) -> None:
    """Draw a panel: two bars, all and chosen, for each of the largest groups of the pool."""
    ranked = sorted(pool, key=lambda name: (-pool[name], name))
    drawn, others = ranked[:GROUPS], ranked[GROUPS:]
    for counts, offset, colour, label in (
        (pool, -0.2, POOL, "all {:,} rows"),
        (chosen, 0.2, CHOSEN, "{:,} chosen"),
    ):
        rows, total = [counts.get(name, 0) for name in drawn], sum(counts.values())
        bars = axes.barh(
            [position + offset for position in range(len(rows))],
            [100 * count / max(1, total) for count in rows],
            0.38,
            color=colour,
            label=label.format(total),
        )
        axes.bar_label(bars, [f"{n:,}" for n in rows], padding=3, fontsize=8, color="#333333")
    axes.set_yticks(range(len(drawn)), [plain(name, NAME) for name in drawn])
    axes.invert_yaxis()
    axes.margins(x=0.12, y=0.02)
    axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
    label = "share of rows, %; beside the bars: rows"
    if others:
        label += (
            f"\n{len(others)} other groups are not drawn: "
            f"{sum(pool[name] for name in others):,} rows, "
            f"{sum(chosen.get(name, 0) for name in others):,} chosen"
        )
    axes.set_xlabel(label)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
