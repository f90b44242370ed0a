"""What all figures share: colours for a light and a dark page, axes, labels, and the SVG file.

The same numbers give the same bytes. The background is transparent, text is text (in a font that
the reader's machine has), and each file says in words what it shows. A name from the data is text
to draw, never mark-up.
"""

import contextlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from ponder.card.plots import STYLE as CARD_STYLE
from ponder.errors import UserError

WIDTH = 5.6  # inches: a point of text is about a pixel where the figure is 400 pixels wide
SMALL, NORMAL = 9, 10  # points
STYLE = CARD_STYLE | {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    # The first is what matplotlib measures with; the others are as wide or narrower.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Helvetica", "Arial"],
    "font.size": NORMAL,
}
GAP = 0.075  # between the middles of two labels, as a share of the height of a panel
KEYS = ("thinking_tokens", "accuracy", "low", "high", "n")


@dataclass(frozen=True)
class Theme:
    """The colours of one variant of a figure; `suffix` is what its file name ends with."""

    suffix: str
    ink: str
    faint: str
    grid: str
    blue: str
    orange: str
    green: str
    pink: str
    gold: str


LIGHT = Theme(
    "", "#1f2328", "#59636e", "#d1d9e0", "#0072b2", "#c25100", "#007a5a", "#a8457f", "#8f6400"
)
DARK = Theme(
    "-dark", "#e6edf3", "#9198a1", "#3d444d", "#58a6ff", "#f0883e", "#3fb98f", "#e38cc0", "#e3b341"
)
THEMES = (LIGHT, DARK)


@contextlib.contextmanager
def figure(path: Path, height: float, theme: Theme, title: str, words: str) -> Iterator[Any]:
    """Yield a matplotlib Figure of WIDTH by `height` inches, and write it as SVG afterwards.

    `title` and `words` (what it shows, for those who do not see it) stand in the file.
    """
    import matplotlib
    from matplotlib.figure import Figure

    colours = dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), theme.ink
    )
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own matplotlibrc says
        matplotlib.rcParams.update(STYLE | colours | {"axes.facecolor": "none"})
        drawing = Figure(figsize=(WIDTH, height))
        yield drawing
        text = io.StringIO()
        nameless = {"Date": None, "Creator": None}
        drawing.savefig(text, format="svg", transparent=True, metadata=nameless)
    path.write_text(described(text.getvalue(), title, words))


def described(svg: str, title: str, words: str) -> str:
    """Return an SVG that says its title and what it shows, as programs that read aloud expect."""
    spoken = f"<title>{escape(title)}</title>\n <desc>{escape(words)}</desc>"
    return re.sub(
        r"(<svg\b[^>]*)>",
        lambda opening: f'{opening[1]} role="img">\n {spoken}',
        svg,
        count=1,
    )


def check(where: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Raise UserError unless each row can be drawn; `where` names them.

    A row is statistics.summary's: thinking_tokens, a mean; accuracy, low and high, shares with
    their 95% interval; n, questions.
    """
    if not rows:
        raise UserError(f"{where} has no rows to draw; evaluate it first, or leave it out")
    for row in rows:
        if missing := [key for key in KEYS if key not in row]:
            raise UserError(
                f"{where}: a row has no {missing[0]}; a row of the figure has {', '.join(KEYS)}"
            )
        shares = 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
        if not (shares and 0 <= row["thinking_tokens"] < float("inf")):
            raise UserError(
                f"{where}: {row['thinking_tokens']} thinking tokens with accuracy "
                f"{row['accuracy']} in [{row['low']}, {row['high']}] cannot be; tokens are 0 or "
                "more, shares ordered and from 0 to 1"
            )


def line(
    panel: Any,
    rows: Sequence[Mapping[str, Any]],
    colour: str,
    style: str,
    mark: str,
    size: float = 4.5,
) -> None:
    """Draw rows in their order as a curve of accuracy in percent, each with its interval."""
    tokens = [row["thinking_tokens"] for row in rows]
    heights = [100 * row["accuracy"] for row in rows]
    bars = [
        [max(0, 100 * (row["accuracy"] - row["low"])) for row in rows],
        [max(0, 100 * (row["high"] - row["accuracy"])) for row in rows],
    ]
    panel.errorbar(
        tokens,
        heights,
        bars,
        color=colour,
        linestyle=style,
        linewidth=1.3,
        marker=mark,
        markersize=size,
        elinewidth=0.8,
        mfc="none" if style == "--" else colour,
    )


def crosses(panel: Any, across: Sequence[float], up: Sequence[float], colour: str) -> None:
    """Draw what other seeds of training got, if any."""
    if across:
        panel.plot(
            across, up, color=colour, linestyle="none", marker="x", markersize=3.5, alpha=0.75
        )


def seeds(panel: Any, points: Sequence[Mapping[str, Any]], colour: str) -> None:
    """Draw other seeds beside a `line`: tokens against accuracy in percent."""
    tokens = [point["thinking_tokens"] for point in points]
    crosses(panel, tokens, [100 * point["accuracy"] for point in points], colour)


def percent_axis(panel: Any, theme: Theme, labels: bool = True, step: int = 25) -> None:
    """Set up the axis of accuracy, from 0 to 100 percent; without `labels` its lines alone."""
    panel.set_ylim(-3, 103)
    ticks = range(0, 101, step)
    panel.set_yticks(ticks, [f"{tick}%" if labels else "" for tick in ticks], fontsize=SMALL)
    panel.grid(axis="y", color=theme.grid, linewidth=0.6)
    panel.tick_params(length=2.5)


def end_labels(
    panel: Any, labels: Sequence[tuple[float, str, str]], x: float = 1.02, size: float = NORMAL
) -> None:
    """Write [(height in percent, text, colour)] right of a panel, pushed apart where they meet."""
    ordered = sorted(labels)
    places = spread([height for height, _, _ in ordered])
    for place, (_, text, colour) in zip(places, ordered, strict=True):
        panel.text(
            x,
            place,
            text,
            color=colour,
            transform=panel.get_yaxis_transform(),
            va="center",
            fontsize=size,
        )


def spread(heights: Sequence[float], gap: float = 100 * GAP) -> list[float]:
    """Return ascending heights moved until they are `gap` apart.

    Those that meet are moved as a pile around their own middle.
    """
    piles: list[list[float]] = []
    for height in heights:
        pile = [height]
        while piles and _bottom(pile, gap) < _bottom(piles[-1], gap) + gap * len(piles[-1]):
            pile = piles.pop() + pile
        piles.append(pile)
    return [_bottom(pile, gap) + gap * at for pile in piles for at in range(len(pile))]


def _bottom(pile: list[float], gap: float) -> float:
    return sum(pile) / len(pile) - gap * (len(pile) - 1) / 2
