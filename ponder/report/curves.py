"""Accuracy against thinking tokens under budget forcing: by group of families, and by family.

A cut and "Wait" are different interventions: cuts are a solid line up to the point without
forcing, and "Wait" is a dashed line from there. Reads nothing.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ponder import statistics
from ponder.card.plots import plain
from ponder.report import canvas
from ponder.report.canvas import NORMAL, SMALL, Theme

Rows = Sequence[Mapping[str, Any]]
ARMS = {"SFT": ("cpu", "blue"), "SFT with doubt": ("cpu-correct", "orange")}
LEVELS = {
    "base, 4 examples": "Base, 4 worked examples",
    "answers only": "SFT on answers only",
}
LEVEL_ENDS = 0.74  # of the width of the panel with names: where the lines of LEVELS end
COLUMNS = 3  # panels of families beside each other
PAPER = "s1-32B as published"
ALL = "all"  # the scope of every family
MAIN = "cpu"  # the experiment whose budgets are drawn by family, by method and beside votes


def cuts(rows: Rows) -> list[Mapping[str, Any]]:
    """Return the rows of a curve that are cut at a cap, then the one without forcing, in order.

    The turn of an untrained base has a cap as well: its longest is the one without forcing.
    """
    return sorted(
        (row for row in rows if "wait" not in row["budget"]), key=lambda r: r["thinking_tokens"]
    )


def waits(rows: Rows) -> list[Mapping[str, Any]]:
    """Return the row without forcing and those with "Wait" appended, in order; [] for none."""
    more = sorted(
        (row for row in rows if "wait" in row["budget"]), key=lambda r: r["thinking_tokens"]
    )
    return [*cuts(rows)[-1:], *more] if more else []


def published_rows(published: Mapping[str, Any], task: str) -> list[dict[str, Any]]:
    """Return the points of s1's figure 1 for a task as rows, [] for a task that it does not have.

    `published` is the value of paper/published.yaml. Their intervals are Wilson's at 95% for one
    greedy run over all questions, which is ours to say: the paper draws none. Raises UserError
    for a percentage that cannot be (statistics.exact).
    """
    if task == "source" or task not in published["figure1"]:
        return []
    points, questions = published["figure1"][task], published["questions"][task]
    rows = []
    for tokens, percent in zip(points["thinking"], points["accuracy"], strict=True):
        right = round(statistics.exact(percent, questions) * questions)
        flags = [True] * right + [False] * (questions - right)
        rows.append({"thinking_tokens": tokens, **statistics.accuracy(flags)})
    return rows


# --- by group --------------------------------------------------------------------------


def draw_groups(
    path: Path, results: Mapping[str, Any], groups: Sequence[str], theme: Theme
) -> None:
    """Write the figure of the arms of the table: a panel for each group that has families.

    The first panel is large and has the names; `results` is what ponder.report.numbers makes.
    """
    names = [name for name in groups if results["groups"][name]["n"]]
    seeds = {
        name: {
            arm: of_curve(
                other_seeds(results["contrasts"], name), arm, trained(results["rows"], arm)
            )
            for arm, _ in ARMS.values()
        }
        for name in names
    }
    words = "; ".join(_arm_words(results, name, seeds[name]) for name in names)
    title = "Accuracy against mean thinking tokens under budget forcing"
    with canvas.figure(path, 5.3, theme, title, words) as drawing:
        grid = drawing.add_gridspec(
            2, 2, height_ratios=(1.55, 1), left=0.095, right=0.985, top=0.95, bottom=0.085,
            hspace=0.36, wspace=0.12,
        )  # fmt: skip
        places = [grid[0, :], grid[1, 0], grid[1, 1]]
        for number, name in enumerate(names):
            panel = drawing.add_subplot(places[number])
            rows = [row | row["groups"][name] for row in results["rows"]]
            constant = results["groups"][name]["constant"]
            _group(panel, rows, seeds[name], constant, theme, named=number == 0)
            canvas.percent_axis(panel, theme, labels=number != 2)
            members = results["groups"][name]
            panel.set_title(
                f"{name} (n={members['n']})", loc="left", fontsize=NORMAL, fontweight="bold"
            )
            if number or len(names) == 1:
                panel.set_xlabel("mean thinking tokens", fontsize=NORMAL)


def _arm_words(results: Mapping[str, Any], group: str, seeds: Mapping[str, Rows]) -> str:
    texts = []
    for word, (experiment, _) in ARMS.items():
        points = [
            f"{row['groups'][group]['accuracy']} at "
            f"{row['groups'][group]['thinking_tokens']} tokens ({row['budget']})"
            for row in trained(results["printed"]["rows"], experiment)
        ]
        texts.append(f"{word} {', '.join(points)}{seed_words(seeds[experiment])}")
    return f"{group}: {'; '.join(texts)}"


def _group(
    panel: Any,
    rows: Rows,
    seeds: Mapping[str, Rows],
    constant: float,
    theme: Theme,
    named: bool,
) -> None:
    edge = 0.0
    for word, (experiment, colour_name) in ARMS.items():
        arm = trained(rows, experiment)
        canvas.check(word, arm)
        colour = getattr(theme, colour_name)
        _arm(panel, arm, colour)
        canvas.seeds(panel, seeds[experiment], colour)
        edge = max(edge, *(point["thinking_tokens"] for point in [*arm, *seeds[experiment]]))
        if named:
            _names(panel, word, arm, colour)
    levels = [(100 * constant, "constant guess", theme.faint, ":")]
    for (word, label), style in zip(LEVELS.items(), ("--", "-."), strict=True):
        row = next(row for row in rows if row["label"] == label)
        levels.append((100 * row["accuracy"], word, theme.ink, style))
    for height, _, colour, style in levels:
        end = LEVEL_ENDS if named else 1
        panel.axhline(height, 0, end, color=colour, linewidth=0.9, linestyle=style, zorder=1)
    panel.set_xlim(-0.03 * edge, edge * (1.53 if named else 1.06))
    if named:
        labels = [(height, word, colour) for height, word, colour, _ in levels]
        canvas.end_labels(panel, labels, x=LEVEL_ENDS + 0.012)
        panel.text(
            0.99,
            0.96,
            'solid: thinking cut at a cap\ndashed: "Wait" appended\ncrosses: other seeds',
            color=theme.faint,
            transform=panel.transAxes,
            ha="right",
            va="top",
            fontsize=SMALL,
        )
    panel.set_xticks([tick for tick in panel.get_xticks() if 0 <= tick <= 1.06 * edge])
    panel.tick_params(axis="x", labelsize=SMALL)


def other_seeds(plans: Sequence[Mapping[str, Any]], scope: str) -> dict[str, list[Any]]:
    """Return {"arm, budget": what each of its seeds but the first got in a scope: a group of
    families, a family or ALL}; what two plans read is there once.
    """
    found: dict[str, dict[str, Any]] = {}
    for arm in (arm for plan in plans for arm in plan["arms"]):
        got = {seed["name"]: seed["scopes"].get(scope) for seed in arm["seeds"]}
        found.setdefault(arm["name"], {}).update(got)
    return {
        name: [got for seed, got in sorted(of_seeds.items()) if seed != "seed 0" and got]
        for name, of_seeds in found.items()
    }


def trained(rows: Rows, experiment: str) -> list[Any]:
    """Return those of the table's rows that measure what an experiment trained."""
    return [row for row in rows if (row["experiment"], row["subject"]) == (experiment, "trained")]


def of_curve(
    seeds: Mapping[str, list[Any]], experiment: str, rows: Rows
) -> list[Mapping[str, Any]]:
    """Return the points of other seeds that belong to the rows of an experiment's curve."""
    return [point for row in rows for point in seeds.get(f"{experiment}, {row['budget']}", [])]


def seed_words(points: Rows) -> str:
    """Return what other seeds got, as a figure says it to those who do not see it; "" for none."""
    texts = [f"{p['accuracy']:.1%} at {p['thinking_tokens']:.1f} tokens" for p in points]
    return f"; other seeds: {', '.join(texts)}" if texts else ""


def _arm(panel: Any, rows: Rows, colour: str) -> None:
    canvas.line(panel, cuts(rows), colour, "-", "o")
    if waits(rows):
        canvas.line(panel, waits(rows)[:1], colour, "-", "s")
        canvas.line(panel, waits(rows), colour, "--", "")
        canvas.line(panel, waits(rows)[1:], colour, "none", "^")


def _names(panel: Any, word: str, rows: Rows, colour: str) -> None:
    """Write the name of an arm at its point without forcing, and "Wait" at its last point."""
    first = word == next(iter(ARMS))
    side = ((-5, 6), "right") if first else ((6, 6), "left")
    places = [(cuts(rows)[-1], word, *side)]
    places += [(row, "Wait", (6, 5 if first else -6), "left") for row in waits(rows)[-1:]]
    for row, text, offset, alignment in places:
        panel.annotate(
            text,
            (row["thinking_tokens"], 100 * row["accuracy"]),
            offset,
            textcoords="offset points",
            ha=alignment,
            va="center",
            color=colour,
            fontsize=NORMAL,
            fontweight="bold",
        )


# --- by family -------------------------------------------------------------------------


def draw_families(
    path: Path,
    ours: Mapping[str, Mapping[str, Rows]],
    seeds: Mapping[str, Rows],
    published: Mapping[str, Any],
    theme: Theme,
) -> dict[str, dict[str, int]]:
    """Write the figure by family, and return the number of points drawn in each panel.

    `ours` is {family: {name of a curve: rows}}, at most two curves; a row has its budget. `seeds`
    are, by family, the points of other seeds of the first curve. The
    tasks of s1's figure 1 come in panels of their own behind ours, where `ours` lacks them.
    """
    s1_rows = {task: published_rows(published, task) for task in [*ours, *published["figure1"]]}
    shown = {task: ours.get(task, {}) for task, rows in s1_rows.items() if task in ours or rows}
    for task, curves in shown.items():
        for name, rows in curves.items():
            canvas.check(f"{task}, {name}", rows)
    lines = math.ceil((len(shown) + 1) / COLUMNS)  # the last place holds the names
    title = "Accuracy against mean thinking tokens on each family, and what s1 published"
    words = "; ".join(
        f"{task}: {', '.join(curves) or PAPER}{seed_words(seeds.get(task, ()))}"
        for task, curves in shown.items()
    )
    height = 1.35 * lines + 0.45
    with canvas.figure(path, height, theme, title, plain(words, 8000)) as drawing:
        panels = drawing.subplots(lines, COLUMNS, squeeze=False).ravel()
        for at, (panel, (task, curves)) in enumerate(zip(panels, shown.items(), strict=False)):
            _family(panel, curves, seeds.get(task, ()), s1_rows[task], theme)
            canvas.percent_axis(panel, theme, labels=at % COLUMNS == 0)
            sizes = sorted({row["n"] for rows in [*curves.values(), s1_rows[task]] for row in rows})
            n = " to ".join(str(size) for size in dict.fromkeys((sizes[0], sizes[-1])))
            name = f"{'' if curves else 's1: '}{plain(task, 40).replace('_', ' ')}"
            panel.set_title(f"{name} (n={n})", fontsize=SMALL, loc="left", pad=3)
        for panel in panels[len(shown) :]:
            panel.set_axis_off()
        _key(panels[len(shown)], list(ours), ours, theme)
        drawing.supxlabel("mean thinking tokens", fontsize=NORMAL, y=0.07 / height)
        drawing.subplots_adjust(
            left=0.085, right=0.985, top=1 - 0.22 / height, bottom=0.5 / height, hspace=0.55,
            wspace=0.1,
        )  # fmt: skip
    return {
        task: {"ours": sum(map(len, curves.values())), "published": len(s1_rows[task])}
        for task, curves in shown.items()
    }


def _family(
    panel: Any, curves: Mapping[str, Rows], seeds: Rows, s1_rows: Rows, theme: Theme
) -> None:
    if s1_rows:
        canvas.line(panel, s1_rows, theme.faint, "-", "D", 3)
    for rows, colour in zip(curves.values(), (theme.blue, theme.orange), strict=False):
        canvas.line(panel, cuts(rows), colour, "-", "o", 3)
        if waits(rows):
            canvas.line(panel, waits(rows), colour, "--", "", 3)
            canvas.line(panel, waits(rows)[1:], colour, "none", "^", 3.5)
    canvas.seeds(panel, seeds, theme.blue)
    shown = [*curves.values(), seeds, s1_rows]
    tokens = [row["thinking_tokens"] for rows in shown for row in rows]
    edge = max([1, *tokens])
    panel.set_xlim(-0.06 * edge, 1.08 * edge)
    panel.locator_params(axis="x", nbins=4)
    panel.tick_params(axis="x", labelsize=SMALL)


def _key(
    panel: Any, tasks: list[str], ours: Mapping[str, Mapping[str, Rows]], theme: Theme
) -> None:
    """Write the names of the curves in an empty place."""
    names = list(dict.fromkeys(name for task in tasks for name in ours[task]))
    entries = [
        *zip(map(plain, names), (theme.blue, theme.orange), strict=False),
        (PAPER, theme.faint),
        ("solid: cut at a cap", theme.ink),
        ('dashed: "Wait" appended', theme.ink),
        ("crosses: other seeds", theme.ink),
    ]
    for number, (text, colour) in enumerate(entries):
        panel.text(0.02, 0.94 - 0.175 * number, text, color=colour, fontsize=SMALL, va="center")
