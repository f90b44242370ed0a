"""The two figures of a data card: what was chosen beside all there was. The same counts give the same bytes.

Letters are drawn as paths of the font that matplotlib brings along, on opaque white, so that neither the reader's fonts nor
a dark page changes what is seen. A name from the data is text to draw, never mark-up.
"""

import contextlib
import json
import math
import re
from statistics import median_low

POOL, CHOSEN = "#b8b8b8", "#0072B2"  # grey, and the blue of Okabe and Ito
STYLE = {
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
BINS, WIDE = (
    40,
    10,
)  # bins of equal width at most; lengths further apart than this factor are drawn on a logarithmic axis


def plain(text, characters=80):
    """Return text as ASCII on one line that no Markdown, HTML or LaTeX reads as its own, cut after so many characters.

    What is not a plain character comes out as in JSON, e.g. a line break as \\n and < as \\u003c.
    """
    whole = "".join(
        f"\\u{ord(c):04x}" if c in "`|<>&\x7f" else json.dumps(c)[1:-1]
        for c in text[: characters + 1]
    )
    return (
        whole
        if len(whole) <= characters
        else re.sub(r"\\(u[0-9a-f]{0,3})?$", "", whole[: characters - 3]) + "..."
    )


@contextlib.contextmanager
def _figure(path, width, height):
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own matplotlibrc says
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height), facecolor="white")
        yield figure
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def length(path, pool, chosen):
    """Write the figure of the thinking tokens of all traces and of the chosen ones; both are lists of whole numbers above 0."""
    with _figure(path, 7.2, 3.4) as figure:
        axes = figure.add_axes((0.09, 0.16, 0.88, 0.78))
        for tokens, label, look in (
            (pool, "all {:,} traces", {"color": POOL, "histtype": "stepfilled"}),
            (chosen, "{:,} chosen", {"color": CHOSEN, "histtype": "step", "linewidth": 1.6}),
        ):
            if tokens:
                label = f"{label.format(len(tokens))}, median {median_low(tokens):,} tokens"
                axes.hist(
                    tokens,
                    bins=edges(pool),
                    weights=[100 / len(tokens)] * len(tokens),
                    label=label,
                    **look,
                )
        if logarithmic(pool):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.minorticks_off()
        axes.set_xlabel(
            "thinking tokens of a trace" + (" (logarithmic)" if logarithmic(pool) else "")
        )
        axes.set_ylabel("share of traces, %")
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        if pool:
            axes.legend(frameon=False)


def logarithmic(tokens):
    """Return whether lengths lie so far apart that equal steps would hide most of them."""
    tokens = sorted(tokens) or [1]
    return tokens[len(tokens) * 19 // 20] > WIDE * tokens[len(tokens) // 20]


def edges(tokens):
    """Return the edges of the bins: of equal width with a round number, or 4 to each doubling on a logarithmic axis."""
    low, high = min(tokens, default=1), max(tokens, default=1)
    if logarithmic(tokens):
        first, last = math.floor(4 * math.log2(low)), math.floor(4 * math.log2(high)) + 1
        return [2 ** (step / 4) for step in range(first, last + 1)]
    width = next(
        w
        for power in range(10)
        for w in (10**power, 2 * 10**power, 5 * 10**power)
        if high // w - low // w < BINS
    )
    return [width * step for step in range(low // width, high // width + 2)]


def groups(path, panels):
    """Write the figure of rows per group; `panels` is {title: ({group: rows of the pool}, {group: rows chosen})}."""
    heights = [1.15 + 0.36 * min(GROUPS, len(pool)) for pool, _ in panels.values()]  # inches
    whole = sum(heights) + 0.3
    with _figure(path, 7.2, whole) as figure:
        top = sum(heights)
        for (title, (pool, chosen)), height in zip(panels.items(), heights, strict=True):
            _bars(
                figure.add_axes(
                    (0.32, (top - height + 0.65) / whole, 0.65, (height - 0.95) / whole)
                ),
                title,
                pool,
                chosen,
            )
            top -= height
        figure.legend(
            *figure.axes[0].get_legend_handles_labels(), frameon=False, loc="upper right", ncols=2
        )


def _bars(axes, title, pool, chosen):
    names = sorted(pool, key=lambda name: (-pool[name], name))
    drawn, left = names[:GROUPS], names[GROUPS:]
    for counts, place, colour, word in (
        (pool, -0.2, POOL, "all {:,} rows"),
        (chosen, 0.2, CHOSEN, "{:,} chosen"),
    ):
        rows, whole = [counts.get(name, 0) for name in drawn], sum(counts.values())
        bars = axes.barh(
            [i + place for i in range(len(rows))],
            [100 * n / max(1, whole) for n in rows],
            0.38,
            color=colour,
            label=word.format(whole),
        )
        axes.bar_label(bars, [f"{n:,}" for n in rows], padding=3, fontsize=8, color="#333333")
    axes.set_yticks(range(len(drawn)), [plain(name, NAME) for name in drawn])
    axes.invert_yaxis()
    axes.margins(x=0.12, y=0.02)
    axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
    more = (
        f"{len(left)} other groups are not drawn: {sum(pool[name] for name in left):,} rows, "
        f"{sum(chosen.get(name, 0) for name in left):,} chosen"
    )
    axes.set_xlabel("share of rows, %; beside the bars: rows" + ("\n" + more if left else ""))
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
