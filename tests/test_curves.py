"""The figure of accuracy against thinking tokens: what it draws and refuses, that it is deterministic, the published points."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from ponder.errors import UserError
from ponder.report import curves
from ponder.statistics import accuracy

ROOT = Path(__file__).resolve().parent.parent
PAPER = yaml.safe_load((ROOT / "paper" / "published.yaml").read_text())


def row(tokens, right, n, kind):
    return {
        "kind": kind,
        "thinking_tokens": tokens,
        **accuracy([True] * right + [False] * (n - right)),
    }


def ours():
    return {
        "aime24": {
            "SFT": [row(0, 0, 30, "cap"), row(900, 4, 30, "wait"), row(700.5, 3, 30, "free")]
        },
        "boolean": {
            "SFT": [row(16, 150, 300, "cap"), row(39, 290, 300, "free")],
            "base": [row(20, 90, 300, "other")],
        },
    }


def panels_of(monkeypatch, tmp_path, *arguments, draw=curves.draw):
    """Return the panels of a drawn figure, to look at what matplotlib was given, and the figure."""
    from matplotlib.figure import Figure

    kept = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (kept.append(self), save(self, *a, **k))
    )
    draw(tmp_path / "a.svg", *arguments)
    return [panel for panel in kept[0].axes if panel.axison], kept[0]


def test_a_figure_says_how_many_points_it_holds(tmp_path):
    drawn = curves.draw(tmp_path / "a.svg", ours(), PAPER)
    assert drawn == {
        "aime24": {"ours": 3, "published": 7},
        "boolean": {"ours": 3, "published": 0},
        "math500": {"ours": 0, "published": 5},
        "gpqa_diamond": {"ours": 0, "published": 5},
    }
    ElementTree.parse(tmp_path / "a.svg")


def test_the_same_rows_give_the_same_bytes_in_another_process(tmp_path):
    curves.draw(tmp_path / "a.svg", ours(), PAPER)
    code = "import sys; from tests import test_curves as t; t.curves.draw(sys.argv[1], t.ours(), t.PAPER)"
    for name, settings in {
        "b.svg": "",
        "c.svg": "lines.linewidth: 9\nsvg.hashsalt: mine\nfont.size: 30\n",
    }.items():
        (tmp_path / "matplotlibrc").write_text(settings)
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / name)],
            cwd=ROOT,
            check=True,
            timeout=300,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
            },
        )
        assert (tmp_path / name).read_bytes() == (tmp_path / "a.svg").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "a.svg").read_bytes()


def test_the_panel_holds_our_intervals_and_the_published_points(monkeypatch, tmp_path):
    (aime, boolean, math500, gpqa), figure = panels_of(monkeypatch, tmp_path, ours(), PAPER)
    assert (math500.get_title(), gpqa.get_title()) == (
        "s1: math500 (n=500)",
        "s1: gpqa_diamond (n=198)",
    )
    lines = [line for line in aime.lines if len(line.get_xdata()) > 1]
    theirs, mine = (
        lines[0],
        next(line for line in lines if list(line.get_xdata()) == [0, 700.5, 900]),
    )
    assert list(theirs.get_xdata()) == PAPER["figure1"]["aime24"]["thinking"]
    assert [round(y, 1) for y in theirs.get_ydata()] == PAPER["figure1"]["aime24"]["accuracy"]
    assert [round(y, 4) for y in mine.get_ydata()] == [0, 10, 13.3333]
    ends = [tuple(round(float(y), 6) for _, y in bar.get_segments()[0]) for bar in aime.collections]
    assert len(ends) == 10
    for mine in ours()["aime24"]["SFT"]:
        assert (round(100 * mine["low"], 6), round(100 * mine["high"], 6)) in ends
    assert aime.get_xscale() == "symlog" and boolean.get_xscale() == "log"
    assert aime.get_title() == "aime24 (n=30)" and 0 in aime.get_xticks()
    for panel, rows in ((aime, [0, 500, 900, 7320]), (boolean, [16, 20, 39])):
        low, high = panel.get_xlim()
        assert (
            all(low < tokens < high for tokens in rows) and len(panel.get_xticks()) <= curves.TICKS
        )
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words[:3] == ["SFT", "base", curves.PAPER] and len(words) == 3 + 4


def test_published_points_have_intervals_only_where_the_paper_has_points():
    rows = curves.published_rows(PAPER, "math500")
    assert [r["thinking_tokens"] for r in rows] == [499, 984, 1814, 2868, 3200]
    assert rows[0] == {"thinking_tokens": 499, **accuracy([True] * 320 + [False] * 180)}
    assert curves.published_rows(PAPER, "gsm8k") == curves.published_rows(PAPER, "source") == []
    broken = {**PAPER, "questions": {**PAPER["questions"], "aime24": 7}}
    with pytest.raises(UserError, match="no share of 7 questions"):
        curves.published_rows(broken, "aime24")


def test_a_name_is_text_and_no_mark_up(monkeypatch, tmp_path):
    bad = {"$\\frac{\n": {"</svg><script>": [row(4, 1, 3, "cap")]}}
    (panel, *_), _ = panels_of(monkeypatch, tmp_path, bad, PAPER)
    assert panel.get_title() == "$\\\\frac{\\n (n=3)"  # as JSON would write it, on one line
    ElementTree.parse(tmp_path / "a.svg")
    assert b"<script" not in (tmp_path / "a.svg").read_bytes()


def test_runs_that_thought_not_at_all_or_all_equally_are_drawn(tmp_path):
    for tokens in (0, 0.3, 1, 250_000):
        assert (
            curves.draw(tmp_path / "a.svg", {"t": {"x": [row(tokens, 1, 3, "cap")] * 2}}, PAPER)[
                "t"
            ]["ours"]
            == 2
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "cap32"}, "kind is 'cap32', but must be one of"),
        ({"low": 0.9}, "cannot be"),
        ({"accuracy": 30.0}, "cannot be"),
        ({"thinking_tokens": -1}, "cannot be"),
        ({"thinking_tokens": float("nan")}, "cannot be"),
    ],
)
def test_a_row_that_cannot_be_is_refused_with_its_task_and_curve(tmp_path, change, words):
    with pytest.raises(UserError, match=f"^t, x: .*{words}"):
        curves.draw(tmp_path / "a.svg", {"t": {"x": [row(4, 1, 3, "cap") | change]}}, PAPER)
    assert not (tmp_path / "a.svg").exists()


def test_nothing_to_draw_a_missing_key_and_too_many_curves_are_refused(tmp_path):
    good = row(4, 1, 3, "cap")
    for rows in ({}, {"t": {}}, {"t": {"x": []}}, {"t": {"x": [good]}, "u": {"x": []}}):
        with pytest.raises(UserError, match="no rows to draw"):
            curves.draw(tmp_path / "a.svg", rows, PAPER)
    with pytest.raises(UserError, match="t, x: a row has no low"):
        curves.draw(
            tmp_path / "a.svg",
            {"t": {"x": [{key: good[key] for key in good if key != "low"}]}},
            PAPER,
        )
    with pytest.raises(UserError, match="7 curves need more than the 6 colours"):
        curves.draw(tmp_path / "a.svg", {"t": {str(i): [good] for i in range(7)}}, PAPER)


def methods():
    """Two panels of made-up methods; rows of methods have no kind."""
    forced = [
        {key: value for key, value in row(tokens, 3, 10, "cap").items() if key != "kind"}
        for tokens in (32, 8, 16)
    ]
    return {"one": {"BF": forced, "TCC": forced[:1]}, "two": {"BF": forced, "coverage": forced[1:]}}


def test_a_method_has_the_same_look_in_all_panels_and_its_points_from_left_to_right(
    monkeypatch, tmp_path
):
    panels, _ = panels_of(monkeypatch, tmp_path, methods(), draw=curves.draw_methods)
    assert [panel.get_title() for panel in panels] == ["one (n=10)", "two (n=10)"]
    for panel, names in zip(panels, (["BF", "TCC"], ["BF", "coverage"]), strict=True):
        lines = [line for line in panel.lines if list(line.get_xdata()) == [8, 16, 32]]
        assert len(lines) == 1 and lines[0].get_color() == curves.METHODS["BF"][0]
        assert [text.get_text() for text in panel.get_legend().get_texts()] == names
        assert panel.get_xlim()[0] < 8 and panel.get_xlim()[1] > 32


def test_the_looks_of_methods_differ():
    assert len(set(curves.METHODS.values())) == len(curves.METHODS)


def test_the_figure_of_methods_is_the_same_bytes_twice(tmp_path):
    for name in ("a.svg", "b.svg"):
        curves.draw_methods(tmp_path / name, methods())
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "a.svg").read_bytes()


def test_a_method_without_rows_an_unknown_one_and_a_row_that_cannot_be_are_refused(tmp_path):
    (good, *_), path = methods()["one"]["BF"], tmp_path / "a.svg"
    for curve, words in (
        ({"BF": []}, "t, BF has no rows"),
        ({"XX": [good]}, "t: method is 'XX'"),
        ({"BF": [good | {"low": 0.9}]}, "cannot be"),
        ({"BF": [{"n": 3}]}, "a row has no thinking_tokens"),
    ):
        with pytest.raises(UserError, match=words):
            curves.draw_methods(path, {"t": curve})
    assert not path.exists()
