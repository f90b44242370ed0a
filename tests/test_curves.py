"""The figures: what they draw and refuse, that the same numbers give the same readable bytes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from ponder.errors import UserError
from ponder.report import asked, canvas, curves, dots, figures, parallel
from ponder.report.numbers import GROUPS
from ponder.statistics import accuracy

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = yaml.safe_load((ROOT / "paper" / "published.yaml").read_text())
RESULTS = json.loads((ROOT / "paper" / "generated" / "results.json").read_text())
SVG = "{http://www.w3.org/2000/svg}"
NAMES = ("qwen", "scaling", "models", "families", "methods", "parallel")


def row(tokens, right, n, budget):
    return {
        "budget": budget,
        "thinking_tokens": tokens,
        **accuracy([True] * right + [False] * (n - right)),
    }


def ours():
    return {
        "aime24": {
            "SFT": [row(0, 0, 30, "cap0"), row(900, 4, 30, "wait1"), row(700.5, 3, 30, "free")]
        },
        "boolean": {
            "SFT": [row(16, 150, 300, "cap16"), row(39, 290, 300, "free")],
            "base": [row(20, 90, 300, "plain")],
        },
    }


def panels_of(monkeypatch, draw, *arguments):
    """Return the panels of a drawn figure, to look at what matplotlib was given."""
    from matplotlib.figure import Figure

    drawings = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (drawings.append(self), save(self, *a, **k))
    )
    draw(*arguments)
    return [panel for panel in drawings[0].axes if panel.axison]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """All figures of the released results, by name."""
    folder = tmp_path_factory.mktemp("figures")
    return {path.stem: path for path in figures.draw(RESULTS, folder)}


def test_every_figure_has_a_light_and_a_dark_variant_of_the_same_points(drawn):
    assert set(drawn) == {f"{name}{suffix}" for name in NAMES for suffix in ("", "-dark")}
    colour = re.compile(r"#[0-9a-f]{6}")
    for name in NAMES:
        light, dark = (drawn[name + suffix].read_text() for suffix in ("", "-dark"))
        assert light != dark
        # Ids are hashes of what they stand for, colours included.
        plain = [re.sub(r'(id|href|clip-path)="[^"]*"', "", text) for text in (light, dark)]
        assert colour.sub("", plain[0]) == colour.sub("", plain[1]), name


def test_a_figure_is_text_on_no_background_and_says_what_it_shows(drawn):
    for name, path in drawn.items():
        tree = ElementTree.parse(path)
        svg = tree.getroot()
        assert svg.get("role") == "img" and svg[0].tag == f"{SVG}title" and svg[0].text
        assert svg[1].tag == f"{SVG}desc" and len(svg[1].text) > 100, name
        words = {element.text for element in tree.iter(f"{SVG}text")}
        assert words & {
            "base",
            "within reach (n=240)",
            "transfer",
            "after SFT",
            "BF",
            "coverage",
        }, name
        background = svg.find(f".//*[@id='patch_1']/{SVG}path").get("style")
        assert background == "fill: none", name


def test_nothing_is_clipped(drawn):
    """Every text lies inside the figure, at the width that matplotlib measures."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    measure = TextToPath()
    for name, path in drawn.items():
        svg = ElementTree.parse(path).getroot()
        width, height = (float(number) for number in svg.get("viewBox").split()[2:])
        for text in svg.iter(f"{SVG}text"):
            style = text.get("style")
            size = float(re.search(r"(\d+(?:\.\d+)?)px", style)[1])
            font = FontProperties(
                family="DejaVu Sans", size=size, weight="bold" if "bold" in style else "normal"
            )
            wide, _, _ = measure.get_text_width_height_descent(text.text, font, ismath=False)
            if "rotate(-90" in (text.get("transform") or ""):
                continue
            x, y = text_place(text)
            anchor = re.search(r"text-anchor: (\w+)", style)
            left = x - {"middle": wide / 2, "end": wide}.get(anchor and anchor[1], 0)
            assert left >= 0 and left + wide <= width, (name, text.text)
            assert size <= y <= height, (name, text.text)


def text_place(text):
    if text.get("x"):
        return float(text.get("x")), float(text.get("y"))
    place = re.search(r"translate\(([-\d.]+) ([-\d.]+)\)", text.get("transform"))
    return float(place[1]), float(place[2])


def test_the_same_rows_give_the_same_bytes_in_another_process(drawn, tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests import test_curves as t; "
        "t.figures.draw(t.RESULTS, Path(sys.argv[1]))"
    )
    settings = tmp_path / "matplotlibrc"
    settings.write_text("lines.linewidth: 9\nsvg.hashsalt: mine\nfont.size: 30\n")
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MATPLOTLIBRC": str(settings)},
    )
    for name, path in drawn.items():
        assert (tmp_path / f"{name}.svg").read_bytes() == path.read_bytes(), name
        assert b"<dc:date>" not in path.read_bytes()


def test_a_cut_is_solid_and_wait_is_dashed_from_the_point_without_forcing(monkeypatch, tmp_path):
    aime, *_ = panels_of(
        monkeypatch, curves.draw_families, tmp_path / "a.svg", ours(), {}, PUBLISHED, canvas.LIGHT
    )
    styles = {
        tuple(line.get_xdata()): line.get_linestyle()
        for line in aime.lines
        if line.get_color() == canvas.LIGHT.blue
    }
    assert styles[0, 700.5] == "-" and styles[700.5, 900] == "--"
    rows = [row(9, 1, 3, "plain-cap16"), row(40, 1, 3, "plain"), row(70, 1, 3, "plain-wait1")]
    assert [r["budget"] for r in curves.cuts(rows)] == ["plain-cap16", "plain"]
    assert [r["budget"] for r in curves.waits(rows)] == ["plain", "plain-wait1"]
    assert curves.waits(rows[:2]) == []


def test_the_figure_by_family_holds_our_intervals_and_the_published_points(monkeypatch, tmp_path):
    drawn = []
    panels = panels_of(
        monkeypatch,
        lambda *a: drawn.append(curves.draw_families(*a)),
        tmp_path / "a.svg",
        ours(),
        {},
        PUBLISHED,
        canvas.LIGHT,
    )
    assert drawn[0] == {
        "aime24": {"ours": 3, "published": 7},
        "boolean": {"ours": 3, "published": 0},
        "math500": {"ours": 0, "published": 5},
        "gpqa_diamond": {"ours": 0, "published": 5},
    }
    aime, boolean, math500, gpqa = panels
    titles = [panel.get_title(loc="left") for panel in (aime, math500, gpqa)]
    assert titles == ["aime24 (n=30)", "s1: math500 (n=500)", "s1: gpqa diamond (n=198)"]
    theirs = next(line for line in aime.lines if line.get_color() == canvas.LIGHT.faint)
    assert list(theirs.get_xdata()) == PUBLISHED["figure1"]["aime24"]["thinking"]
    assert [round(y, 1) for y in theirs.get_ydata()] == PUBLISHED["figure1"]["aime24"]["accuracy"]
    ends = [
        tuple(round(float(y), 6) for _, y in segment)
        for bars in aime.collections
        for segment in bars.get_segments()
    ]
    for mine in ours()["aime24"]["SFT"]:
        assert (round(100 * mine["low"], 6), round(100 * mine["high"], 6)) in ends
    for panel, tokens in ((aime, [0, 500, 900, 7320]), (boolean, [16, 20, 39])):
        low, high = panel.get_xlim()
        assert all(low < count < high for count in tokens)


def test_published_points_have_intervals_only_where_the_paper_has_points():
    rows = curves.published_rows(PUBLISHED, "math500")
    assert [r["thinking_tokens"] for r in rows] == [499, 984, 1814, 2868, 3200]
    assert rows[0] == {"thinking_tokens": 499, **accuracy([True] * 320 + [False] * 180)}
    assert curves.published_rows(PUBLISHED, "gsm8k") == []
    assert curves.published_rows(PUBLISHED, "source") == []
    broken = {**PUBLISHED, "questions": {**PUBLISHED["questions"], "aime24": 7}}
    with pytest.raises(UserError, match="no share of 7 questions"):
        curves.published_rows(broken, "aime24")


def test_a_name_is_text_and_no_mark_up(monkeypatch, tmp_path):
    bad = {"$\\frac{\n": {"</svg><script>": [row(4, 1, 3, "cap16")]}}
    path = tmp_path / "a.svg"
    panel, *_ = panels_of(monkeypatch, curves.draw_families, path, bad, {}, PUBLISHED, canvas.DARK)
    title = panel.get_title(loc="left")
    assert title == "$\\\\frac{\\n (n=3)"  # as JSON would write it, on one line
    ElementTree.parse(path)
    assert b"<script" not in path.read_bytes()


def test_runs_that_thought_not_at_all_or_all_equally_are_drawn(tmp_path):
    for tokens in (0, 0.3, 1, 250_000):
        rows = {"t": {"x": [row(tokens, 1, 3, "cap16")] * 2}}
        counts = curves.draw_families(tmp_path / "a.svg", rows, {}, PUBLISHED, canvas.LIGHT)
        assert counts["t"]["ours"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"low": 0.9},
        {"accuracy": 30.0},
        {"thinking_tokens": -1},
        {"thinking_tokens": float("nan")},
    ],
)
def test_a_row_that_cannot_be_is_refused_with_its_task_and_curve(tmp_path, change):
    rows = {"t": {"x": [row(4, 1, 3, "cap16") | change]}}
    with pytest.raises(UserError, match=r"^t, x: .*cannot be"):
        curves.draw_families(tmp_path / "a.svg", rows, {}, PUBLISHED, canvas.LIGHT)
    assert not (tmp_path / "a.svg").exists()


def test_nothing_to_draw_and_a_missing_key_are_refused():
    good = row(4, 1, 3, "cap16")
    canvas.check("t, x", [good])
    with pytest.raises(UserError, match="t, x has no rows to draw"):
        canvas.check("t, x", [])
    with pytest.raises(UserError, match="t, x: a row has no low"):
        canvas.check("t, x", [{key: good[key] for key in good if key != "low"}])


def test_labels_that_meet_are_moved_apart_around_their_middle():
    assert canvas.spread([10, 50], gap=8) == [10, 50]
    assert canvas.spread([24, 26], gap=8) == [21, 29]
    assert canvas.spread([20, 26, 27, 80], gap=10) == pytest.approx([43 / 3, 73 / 3, 103 / 3, 80])


def test_the_dot_plot_marks_the_constant_guess_of_each_group(monkeypatch, tmp_path):
    panels = panels_of(monkeypatch, dots.draw, tmp_path / "a.svg", RESULTS, GROUPS, canvas.LIGHT)
    labels = [label.get_text() for label in panels[0].get_yticklabels()]
    assert labels == list(dots.MODELS.values())
    rows = {entry["label"]: entry for entry in RESULTS["rows"]}
    for panel, name in zip(panels, GROUPS, strict=True):
        points, guess, *others = panel.lines
        wanted = [100 * rows[label]["groups"][name]["accuracy"] for label in dots.MODELS]
        assert list(points.get_xdata()) == wanted
        assert guess.get_xdata()[0] == 100 * RESULTS["groups"][name]["constant"]
        seeds = curves.other_seeds(RESULTS["contrasts"], name)
        labelled = [rows[label] for label in dots.MODELS if rows[label]["subject"] == "trained"]
        arms = [f"{row['experiment']}, {row['budget']}" for row in labelled]
        assert len(seeds["cpu, free"]) == 4 and any(arm in seeds for arm in arms[1:])
        assert [list(line.get_xdata()) for line in others] == [
            [100 * point["accuracy"] for point in seeds[arm]] for arm in arms if seeds.get(arm)
        ]


def test_tokens_got_stand_against_tokens_asked_with_the_diagonal(monkeypatch, tmp_path):
    panels = panels_of(monkeypatch, asked.draw, tmp_path / "a.svg", RESULTS, canvas.LIGHT)
    table = {entry["name"]: entry["points"] for entry in RESULTS["methods"]["table"]}
    for left, looks in zip(panels[::2], asked.LINES.values(), strict=True):
        diagonal, *lines = (line for line in left.lines if line.get_marker() != "x")
        assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
        assert left.get_xlim() == left.get_ylim() == tuple(diagonal.get_xdata())
        drawn = {
            point
            for line in lines
            for point in zip(line.get_xdata(), line.get_ydata(), strict=True)
        }
        limits = {
            (point["least"] if point["most"] is None else point["most"], point["thinking_tokens"])
            for name in looks
            for point in table.get(name, ())
        }
        assert drawn == limits
    for right, looks in zip(panels[1::2], asked.LINES.values(), strict=True):
        assert [text.get_text() for text in right.texts] == [
            asked.NAMES.get(name, name) for name in looks
        ]


def test_other_seeds_stand_beside_the_curves_they_are_seeds_of(monkeypatch, tmp_path):
    def crosses(panels):
        return [
            [
                point
                for line in panel.lines
                if line.get_marker() == "x"
                for point in zip(line.get_xdata(), line.get_ydata(), strict=True)
            ]
            for panel in panels
        ]

    arms = {
        arm["name"]: arm["seeds"][1:]
        for plan in RESULTS["contrasts"]
        if plan["name"] == "cpu-seeds"
        for arm in plan["arms"]
    }
    budgets = ("cap16", "cap32", "cap64", "free", "wait1")
    seeds = [seed["scopes"] for budget in budgets for seed in arms[f"cpu, {budget}"]]
    assert len(seeds) == 4 * len(budgets)
    got = [seed["all"] for seed in seeds]
    wanted = [(point["thinking_tokens"], 100 * point["accuracy"]) for point in got]
    sizes = {name: RESULTS["groups"][name]["n"] for name in GROUPS}
    for seed in seeds:  # every question counts once, over groups and over families
        right = sum(sizes[name] * seed[name]["accuracy"] for name in GROUPS)
        assert right == pytest.approx(sum(sizes.values()) * seed["all"]["accuracy"], abs=1e-3)
        of_family = [seed[family]["accuracy"] for family in RESULTS["families"]]
        assert seed["all"]["accuracy"] == pytest.approx(np.mean(of_family), abs=1e-5)

    left, right, *others = crosses(
        panels_of(monkeypatch, asked.draw, tmp_path / "a.svg", RESULTS, canvas.LIGHT)
    )
    assert sorted(right) == sorted(wanted) and not any(others)
    cut = [seed["scopes"]["all"] for seed in arms["cpu, cap16"]]
    assert {got for limit, got in left if limit == 16} == {one["thinking_tokens"] for one in cut}

    texts = [f"{point['accuracy']:.1%} at {point['thinking_tokens']:.1f}" for point in got]
    said = (tmp_path / "a.svg").read_text()
    assert all(text in said.partition("other seeds: ")[2] for text in texts)

    path = tmp_path / "b.svg"
    (votes,) = crosses(panels_of(monkeypatch, parallel.draw, path, RESULTS, canvas.LIGHT))
    assert sorted(votes) == sorted(wanted)

    arguments = (path, figures.by_family(RESULTS), figures.seeds_by_family(RESULTS))
    by_family = panels_of(monkeypatch, curves.draw_families, *arguments, PUBLISHED, canvas.LIGHT)
    for name, points in zip(RESULTS["families"], crosses(by_family), strict=False):
        got = [seed[name] for seed in seeds]
        assert sorted(points) == sorted((p["thinking_tokens"], 100 * p["accuracy"]) for p in got)


def test_wait_goes_on_dashed_from_the_run_before_it():
    rows = [{"name": name} for name in ("cut at 16", "no forcing", "Wait x1", "Wait x2")]
    stretches = asked.parts(rows, "-")
    assert [(len(part), style) for part, style, _ in stretches] == [
        (2, "-"),
        (3, "--"),
        (2, "none"),
    ]
    assert stretches[1][0][0]["name"] == "no forcing"
    assert asked.parts(rows[:2], "--") == [(rows[:2], "--", "o")]


def test_powers_of_two_span_the_tokens():
    assert asked.powers([7.9, 116]) == [4, 8, 16, 32, 64, 128]
    assert asked.powers([0, 0.3]) == [1] and asked.powers([0]) == [1]


def test_other_seeds_are_crosses_and_the_first_is_on_the_line(monkeypatch, tmp_path):
    results = json.loads(json.dumps(RESULTS))
    seeds = [
        {"name": f"seed {at}", "scopes": {"within reach": row(20, 30 + at, 60, "free")}}
        for at in range(3)
    ]
    arms = [{"name": "cpu, free", "seeds": seeds}, {"name": "cpu-s1, free", "seeds": seeds}]
    results["contrasts"] = [{"name": "plan", "arms": arms}]
    panels = panels_of(
        monkeypatch, curves.draw_groups, tmp_path / "x.svg", results, GROUPS, canvas.LIGHT
    )
    crosses = [line for line in panels[0].lines if line.get_marker() == "x"]
    (line,) = crosses
    assert re.search(r"other seeds: [^;]*51\.7% at 20\.0 tokens", (tmp_path / "x.svg").read_text())
    assert list(line.get_ydata()) == pytest.approx([100 * 31 / 60, 100 * 32 / 60], abs=1e-6)
    assert not [line for line in panels[1].lines if line.get_marker() == "x"]
