"""Accuracy against thinking tokens, by task with what s1 published beside it, or by method. The same rows give the same bytes.

Reads nothing: rows come in, an SVG or PNG goes out. Letters are paths of the font that matplotlib brings along, as in
ponder/card/plots.py; a name from the data is text to draw, never mark-up.
"""

import contextlib
import math

from ponder import statistics
from ponder.card.plots import STYLE, plain
from ponder.config import check_choice
from ponder.errors import UserError

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")  # Okabe and Ito
PUBLISHED, PAPER = "#555555", "s1-32B as published, interval ours"
MARKS = {
    "cap": ("o", "thinking cut at a cap"),
    "free": ("s", "no forcing"),
    "wait": ("^", "end ignored, text appended"),
    "other": ("v", "other control of the length"),
}
METHODS = {  # colour, mark, line; white inside where nothing is forced
    "BF": ("#0072B2", "o", "-"),
    "TCC": ("#D55E00", "s", "--"),
    "TCC+BF": ("#D55E00", "s", "-"),
    "SCC": ("#009E73", "^", "--"),
    "SCC+BF": ("#009E73", "^", "-"),
    "CCC": ("#CC79A7", "D", "--"),
    "RS": ("#E69F00", "v", "--"),
    "BF without SFT": ("#56B4E9", "o", "-"),
    "majority vote": ("#222222", "P", "-"),
    "coverage": ("#222222", "X", ":"),
}
ARMS = {
    "SFT": ("#0072B2", None, "cpu"),
    "SFT with doubt": ("#D55E00", "white", "cpu-correct"),
}  # of the released table
LEVELS = {
    "base, 4 examples": ("#555555", "Base, 4 worked examples"),
    "answers only": ("#007A5A", "SFT on answers only"),
}
KEYS = ("kind", "thinking_tokens", "accuracy", "low", "high", "n")
TICKS = 5  # on the axis of tokens, at most
COLUMNS = 4  # panels beside each other, at most


def published_rows(published, task):
    """Return the points of s1's Figure 1 for a task as rows of `draw`, [] for a task that the figure does not have.

    `published` is the value of paper/published.yaml. Their intervals are Wilson's at 95% for one greedy run over all
    questions, which is ours to say: the paper draws none. Raises UserError for a percentage that cannot be (scaling.exact).
    """
    if task == "source" or task not in published["figure1"]:
        return []
    drawn, questions = published["figure1"][task], published["questions"][task]
    rows = []
    for tokens, percent in zip(drawn["thinking"], drawn["accuracy"], strict=True):
        right = round(statistics.exact(percent, questions) * questions)
        rows.append(
            {
                "thinking_tokens": tokens,
                **statistics.accuracy([True] * right + [False] * (questions - right)),
            }
        )
    return rows


def draw(path, ours, published):
    """Write the figure to `path`, SVG or PNG by its suffix, and return the number of points drawn in each panel.

    `ours` is {task: {name of a curve: rows}}; a row is statistics.summary's (thinking_tokens, a mean; accuracy, low and
    high, shares with their 95% interval; n, questions) and its "kind", a key of MARKS. A name has one colour in all
    panels. `published` is the value of paper/published.yaml: a panel shows its Figure 1 where that has the task, and the
    tasks that only Figure 1 has come in panels of their own behind ours. The axis of tokens doubles from step to step, and
    is linear near 0 where a run did not think at all. Raises UserError for nothing to draw, a row that lacks a key or
    has a value that cannot be, and more curves than colours.
    """
    names = list(dict.fromkeys(name for curves in ours.values() for name in curves))
    if not names or not all(any(curves.values()) for curves in ours.values()):
        raise UserError(
            f"a task of {', '.join(ours) or 'none'} has no rows to draw; evaluate it first, or leave it out"
        )
    if len(names) > len(COLOURS):
        raise UserError(
            f"{len(names)} curves need more than the {len(COLOURS)} colours there are; draw fewer in one figure"
        )
    for task, curves in ours.items():
        for name, rows in curves.items():
            for row in rows:
                _check(row, f"{task}, {name}", KEYS)
                check_choice(f"{task}, {name}: kind", row["kind"], tuple(MARKS))
    colours = dict(zip(names, COLOURS, strict=False))
    theirs = {task: published_rows(published, task) for task in [*ours, *published["figure1"]]}
    shown = {task: ours.get(task, {}) for task, points in theirs.items() if task in ours or points}
    columns = min(COLUMNS, len(shown))
    lines = math.ceil(len(shown) / columns)
    with _figure(path, 0.5 + 2.1 * max(3, columns), 1.6 * lines + 0.9) as figure:
        panels = figure.subplots(lines, columns, squeeze=False).ravel()
        for at, (panel, (task, curves)) in enumerate(zip(panels, shown.items(), strict=False)):
            rows = [row for mine in curves.values() for row in mine]
            _scale(
                panel,
                [row["thinking_tokens"] for row in [*theirs[task], *rows]],
                at % columns == 0,
                at + columns >= len(shown),
            )
            _curve(panel, [(row, "D") for row in theirs[task]], PUBLISHED, "--")
            for name, mine in curves.items():
                _curve(panel, [(row, MARKS[row["kind"]][0]) for row in mine], colours[name], "-")
            counts = sorted({row["n"] for row in [*theirs[task], *rows]})
            asked = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
            panel.set_title(f"{'' if curves else 's1: '}{plain(task, 40)} (n={asked})", fontsize=9)
        for panel in panels[len(shown) :]:
            panel.set_axis_off()
        kinds = {
            row["kind"] for curves in ours.values() for rows in curves.values() for row in rows
        }
        _legend(figure, colours, kinds, any(theirs.values()))
        _margins(figure, 0.9)
    return {
        task: {"ours": sum(map(len, curves.values())), "published": len(theirs[task])}
        for task, curves in shown.items()
    }


def draw_methods(path, panels):
    """Write the figure of methods to `path`, SVG or PNG by its suffix; `panels` is {title: {method: rows}}.

    A method is a key of METHODS; a row is as in `draw`, without a kind. Raises UserError for an unknown method, nothing
    to draw, and a row that lacks a key or has a value that cannot be.
    """
    for title, curves in panels.items():
        for name, rows in curves.items():
            check_choice(f"{title}: method", name, tuple(METHODS))
            if not rows:
                raise UserError(
                    f"{title}, {name} has no rows to draw; evaluate it first, or leave it out"
                )
            for row in rows:
                _check(row, f"{title}, {name}", KEYS[1:])
    with _figure(path, 8.9, 4.0) as figure:
        for at, (panel, (title, curves)) in enumerate(
            zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True)
        ):
            _scale(
                panel,
                [row["thinking_tokens"] for rows in curves.values() for row in rows],
                at == 0,
                True,
            )
            for name, rows in curves.items():
                colour, mark, line = METHODS[name]
                _curve(panel, [(row, mark) for row in rows], colour, line)
            panel.set_title(
                f"{plain(title, 60)} (n={max(row['n'] for rows in curves.values() for row in rows)})",
                fontsize=9,
            )
            handles = [_handle(*METHODS[name]) for name in curves]
            panel.legend(
                handles,
                list(curves),
                loc="upper center",
                bbox_to_anchor=(0.5, -0.17),
                ncols=3,
                frameon=False,
                fontsize=8.5,
            )
        _margins(figure, 1.0)


def draw_groups(path, results, groups):
    """Write the figure of the released table's arms: a panel for each of these groups of families that has any.

    `results` is what paper/build.py makes of all runs.
    """
    from matplotlib.lines import Line2D

    names = [name for name in groups if results["groups"][name]["n"]]
    with _figure(path, 10.4, 3.9) as figure:
        panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
        for panel, name in zip(panels, names, strict=True):
            _group(panel, [row | row["groups"][name] for row in results["rows"]])
            panel.set_title(f"{name} (n={results['groups'][name]['n']})", fontsize=10)
        panels[0].set_ylabel("accuracy")
        marks = {
            "o": "thinking cut at 0, 16, 32, 64",
            "s": "no forcing",
            "^": "end ignored, Wait appended (x1, x2)",
        }
        handles = [Line2D([], [], color="#333333", marker=mark, linestyle="") for mark in marks]
        figure.legend(
            handles, marks.values(), loc="lower center", ncols=3, frameon=False, fontsize=9
        )
        figure.subplots_adjust(left=0.06, right=0.885, bottom=0.23, top=0.92, wspace=0.64)


@contextlib.contextmanager
def _figure(path, width, height):
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own matplotlibrc says
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height), facecolor="white")
        yield figure
        nameless = (
            {"Date": None, "Creator": None} if str(path).endswith(".svg") else {"Software": None}
        )
        figure.savefig(path, metadata=nameless, dpi=110)


def _check(row, where, keys):
    missing = [key for key in keys if key not in row]
    if missing:
        raise UserError(
            f"{where}: a row has no {missing[0]}; a row of the figure has {', '.join(keys)}"
        )
    if not (
        0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
        and 0 <= row["thinking_tokens"] < math.inf
    ):
        raise UserError(
            f"{where}: {row['thinking_tokens']} thinking tokens with accuracy {row['accuracy']} in [{row['low']}, "
            f"{row['high']}] cannot be; tokens are 0 or more, shares ordered and from 0 to 1"
        )


def _scale(panel, tokens, first, last):
    """Set up the axes for these thinking tokens; the `first` of a line of panels names accuracy, the `last` of a column tokens."""
    ticks = _axis(panel, tokens)
    panel.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    panel.minorticks_off()
    panel.set_ylim(-2, 103)
    panel.set_yticks(range(0, 101, 20), [str(tick) if first else "" for tick in range(0, 101, 20)])
    panel.set_xlabel("mean thinking tokens" if last else "", labelpad=2)
    panel.set_ylabel("accuracy, %" if first else "")
    panel.grid(axis="y", color="#dddddd", linewidth=0.6)


def _axis(panel, tokens):
    """Scale the axis of tokens and return its ticks: 0 where a run has it, and powers of two."""
    above = [count for count in tokens if count > 0] or [1]
    first, last = math.floor(math.log2(min(above))), math.ceil(math.log2(max(above)))
    zero = min(tokens) == 0
    if zero:
        panel.set_xscale("symlog", base=2, linthresh=2**first)
        panel.set_xlim(-(2**first) / 4, 1.3 * max(above))
    else:
        panel.set_xscale("log", base=2)
        panel.set_xlim(min(above) / 1.3, 1.3 * max(above))
    low, high = panel.get_xlim()
    powers = [
        2**power if power >= 0 else 2.0**power
        for power in range(first, last + 1)
        if low <= 2.0**power <= high
    ]
    return [0] * zero + powers[:: math.ceil(len(powers) / (TICKS - zero))]


def _curve(panel, rows, colour, line):
    """Draw [(row, mark)] from left to right, with the interval of each row."""
    rows = sorted(rows, key=lambda drawn: (drawn[0]["thinking_tokens"], drawn[0]["accuracy"]))
    panel.plot(
        [row["thinking_tokens"] for row, _ in rows],
        [100 * row["accuracy"] for row, _ in rows],
        color=colour,
        linewidth=1.1,
        linestyle=line,
    )
    for row, mark in rows:
        bars = [
            [max(0, 100 * (row["accuracy"] - row["low"]))],
            [max(0, 100 * (row["high"] - row["accuracy"]))],
        ]
        panel.errorbar(
            row["thinking_tokens"],
            100 * row["accuracy"],
            bars,
            color=colour,
            markersize=5,
            elinewidth=0.9,
            capsize=2,
            fmt=mark,
            mfc=colour if line == "-" else "white",
        )


def _handle(colour, mark, line):
    from matplotlib.lines import Line2D

    return Line2D(
        [],
        [],
        color=colour,
        marker=mark,
        linestyle=line,
        linewidth=1.1,
        markersize=5,
        mfc=colour if line == "-" else "white",
    )


def _legend(figure, colours, kinds, published):
    from matplotlib.lines import Line2D

    entries = [
        (Line2D([], [], color=colour, linewidth=2), plain(name, 40))
        for name, colour in colours.items()
    ]
    entries += [(_handle(PUBLISHED, "D", "--"), PAPER)] * published
    entries += [
        (Line2D([], [], color="#333333", marker=mark, linestyle=""), word)
        for kind, (mark, word) in MARKS.items()
        if kind in kinds
    ]
    figure.legend(
        *zip(*entries, strict=True), loc="lower center", ncols=3, frameon=False, fontsize=8.5
    )


def _margins(figure, bottom):
    """Leave room for titles above, and this many inches for what stands below the axes."""
    wide, high = figure.get_figwidth(), figure.get_figheight()
    figure.subplots_adjust(
        left=0.6 / wide,
        right=1 - 0.15 / wide,
        top=1 - 0.3 / high,
        bottom=bottom / high,
        hspace=0.5,
        wspace=0.12,
    )


def _group(panel, rows):
    labels = []
    panel.set_xscale(
        "symlog", base=2, linthresh=8
    )  # linear up to 8 tokens, so that the cut at 0 has a place
    curves = {
        word: sorted(
            (row for row in rows if (row["experiment"], row["subject"]) == (experiment, "trained")),
            key=lambda row: row["thinking_tokens"],
        )
        for word, (_, _, experiment) in ARMS.items()
    }
    edge = max(64, *(curve[-1]["thinking_tokens"] for curve in curves.values())) * 1.35
    for word, curve in curves.items():
        colour, fill, _ = ARMS[word]
        panel.plot(
            [row["thinking_tokens"] for row in curve],
            [row["accuracy"] for row in curve],
            color=colour,
            linewidth=1.2,
        )
        for row in curve:
            mark = {"c": "o", "f": "s", "w": "^"}[row["budget"][0]]  # cap, free, wait
            panel.errorbar(
                row["thinking_tokens"],
                row["accuracy"],
                _bars(row),
                fmt=mark,
                color=colour,
                mfc=fill,
                markersize=5,
                elinewidth=0.9,
                capsize=2,
            )
        labels.append((curve[-1]["accuracy"], word, colour))
    for place, (word, (colour, label)) in enumerate(LEVELS.items()):
        row = next(row for row in rows if row["label"] == label)
        panel.axhline(row["accuracy"], color=colour, linestyle=("--", ":")[place], linewidth=1.3)
        panel.errorbar(
            edge * (0.92, 0.8)[place],
            row["accuracy"],
            _bars(row),
            fmt="none",
            color=colour,
            elinewidth=1.3,
            capsize=2,
        )
        labels.append((row["accuracy"], word, colour))
    spots = [height for height, _, _ in sorted(labels)]
    for i in range(1, len(spots)):  # push labels apart, then back under the top
        spots[i] = max(spots[i], spots[i - 1] + 0.065)
    excess = max(0, spots[-1] - 1.01)
    for spot, (_, word, colour) in zip(spots, sorted(labels), strict=True):
        panel.text(
            1.02,
            spot - excess,
            word,
            color=colour,
            transform=panel.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
        )
    panel.set_xlim(-1, edge)
    panel.set_ylim(-0.02, 1.03)
    ticks = [tick for tick in (0, 8, 16, 32, 64, 128) if tick <= edge]
    panel.set_xticks(ticks, ticks)
    panel.minorticks_off()
    panel.set_yticks([i / 5 for i in range(6)], [f"{20 * i}%" for i in range(6)])
    panel.set_xlabel("mean thinking tokens")
    panel.grid(axis="y", color="#dddddd", linewidth=0.6)


def _bars(row):
    return [[row["accuracy"] - row["low"]], [row["high"] - row["accuracy"]]]
