"""What is measured on a public benchmark: arms, questions without originals, costs, the figure."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from ponder.report import arms, front_page, plans, public, tables, verdicts
from ponder.report.canvas import THEMES
from ponder.report.printed import printed
from ponder.report.sources import PlannedAnswer
from ponder.runs import dump, write_jsonl

PLAN = {"benchmark": "gsm8k-400", "n": 4, "seeds": [0]}


def sample(ident, correct, tokens=10, capped=False, answer="4"):
    """Return the row of an answer to GSM8K."""
    return {
        "task": "gsm8k",
        "id": ident,
        "correct": correct,
        "num_thinking": tokens,
        "capped": capped,
        "num_ignored": 0,
        "reply": "Final Answer: 4",
        "ids": [1] * (tokens + 2),
        "answer": answer,
    }


def answer(*samples):
    """Return the PlannedAnswer of some rows."""
    keyed = {(s["task"], s["id"], 0): s for s in samples}
    return PlannedAnswer(Path("logs/evaluate/any-0123abcd"), keyed, "a processor")


ANSWERS = {
    ("qwen-base-boxed", "math", 0): answer(
        sample("a", True), sample("b", False, 30, True, None), sample("c", False), sample("d", True)
    ),
    ("qwen-base-boxed", "cap64", 0): answer(*(sample(i, i == "a", 5, True) for i in "abcd")),
    ("qwen-trained", "math", 0): answer(*(sample(i, i != "b", 20) for i in "abcd")),
    ("qwen-trained", "math-wait1", 0): answer(*(sample(i, i == "b", 40) for i in "abcd")),
    ("qwen-trained", "math", 1): answer(sample("a", False)),
}


@pytest.fixture
def measured():
    return public.measured("qwen", PLAN, ANSWERS, {"a", "z"})


def test_each_arm_is_counted_with_and_without_the_originals_of_templates(measured):
    first, *others = measured["arms"]
    assert [entry["name"] for entry in (first, *others)] == [
        "qwen-base-boxed, math",
        "qwen-base-boxed, cap64",
        "qwen-trained, math",
        "qwen-trained, math-wait1",
    ], "another seed is no arm of its own"
    assert (first["all"]["n"], first["all"]["correct"]) == (4, 2)
    assert (first["fresh"]["n"], first["fresh"]["correct"]) == (3, 1)
    assert (first["all"]["thinking_tokens"], first["written"]) == (15, 17)
    assert (first["ends"]["cut_share"], first["ends"]["unanswered_share"]) == (0.25, 0.25)
    assert (first["arm"], first["words"]) == ("base", "no forcing")


def released(logs, stage, name, timing, threads=2, metrics=()):
    """Write what a cost is counted from of a released run."""
    folder = logs / stage / f"{name}-0123abcd"
    folder.mkdir(parents=True)
    write_jsonl(folder / "timing.jsonl", timing)
    write_jsonl(folder / "metrics.jsonl", metrics)
    (folder / "environment.json").write_text(dump({"threads": threads}))
    (folder / "status.json").write_text(dump({"status": "completed"}))
    (folder / "manifest.json").write_text(dump({"files": {}}))
    return folder


def test_what_it_cost_counts_the_time_of_a_sweep_once(measured, tmp_path):
    marks = [{"event": "start"}, {"event": "end", "seconds": 99999}]
    released(tmp_path, "collect", "qwen-traces", [*marks, {"tokens": 100, "seconds": 3600}])
    ended = released(tmp_path, "collect", "qwen-reference", [{"tokens": 50, "seconds": 1800}])
    (ended / "status.json").write_text(dump({"status": "failed"}))
    steps = [{"step": 1, "tokens": 7}, {"step": 2, "tokens": 8}]
    clock = [*marks, {"step": 1, "seconds": 900}, {"step": 2, "seconds": 900}]
    released(tmp_path, "train", "qwen", clock, metrics=steps)
    for number, arm in enumerate(measured["arms"]):
        row = {"answers": 4, "tokens": 10, "seconds": 3600, "budgets": 4}
        folder = released(tmp_path, "evaluate", f"any{number}", [*marks, row])
        arm["run"] = folder.name
    cost = public.cost("qwen", measured, tmp_path)
    assert [(s["name"], s["runs"], s["tokens"], s["hours"]) for s in cost["stages"]] == [
        ("collect", 2, 150, 1.5),
        ("train", 1, 15, 0.5),
        ("evaluate", 4, 40, 1.0),
    ]
    assert (cost["hours"], cost["core_hours"]) == (3.0, 6.0)
    assert cost["dollars"] == pytest.approx(6 * cost["price"])
    words = tables.cost_words(printed(cost))
    assert "6.0 core-hours" in words and "150 tokens in 1.5 hours to collect" in words


@pytest.mark.parametrize("theme", THEMES)
def test_the_figure_names_every_arm_and_is_the_same_twice(measured, theme, tmp_path):
    texts = []
    for name in ("one.svg", "two.svg"):
        arms.draw(tmp_path / name, measured, theme)
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
    root = ElementTree.fromstring(texts[0])
    said = "".join(root.itertext())
    for arm in measured["arms"]:
        assert arm["arm"] in said and arm["all"]["text"] in said


def test_every_arm_and_budget_of_the_pre_registration_has_a_name():
    (name, plan), *_ = [(n, p) for n, p in plans.of_contrasts() if "benchmark" in p]
    assert name in public.COSTS and set(plan["budgets"]) == set(public.ARMS)
    assert {budget for some in plan["budgets"].values() for budget in some} == set(public.BUDGETS)
    assert set(arms.COLOURS) == set(public.ARMS.values())


CONTRASTS = {
    "training": ("qwen-trained, math", "qwen-base-boxed, math", "higher", "met"),
    "traces": ("qwen-trained, math", "qwen-base-boxed, cap64", "lower", "not met"),
    "choice": ("qwen-trained, math", "qwen-base-boxed, math", "no difference", "not met"),
    "wait": ("qwen-trained, math-wait1", "qwen-trained, math", "no difference", "met"),
    "cap": ("qwen-base-boxed, cap64", "qwen-trained, math", "lower", "met"),
}
PLANNED = {
    "name": "qwen",
    "contrasts": [
        {"name": name, "ours": ours, "theirs": theirs, "found": found, "outcome": outcome}
        for name, (ours, theirs, found, outcome) in CONTRASTS.items()
    ],
}


def test_the_front_page_says_what_was_found_and_how_sure_it_is(measured):
    (text, _) = front_page.in_words(printed(measured), PLANNED, "")
    for words in (
        "answers **75.0%** of 4 questions of GSM8K right",
        "its base 50.0%: **training on traces helps**",
        "25.0%: **traces teach less than their answers**",
        "50.0%: **s1's choice of traces shows no gain**",
        '25.0%: **forcing more thinking by "Wait" shows no gain**',
        "with thinking cut at 64 tokens, 25.0%: **cutting the thinking costs**",
        'all but "traces, choice" came out as expected',
        "another seed of the training may say otherwise",
    ):
        assert words in text, words
    unread = [contrast | {"found": None} for contrast in PLANNED["contrasts"]]
    assert front_page.in_words(printed(measured), PLANNED | {"contrasts": unread}, "") == []
    assert front_page.FOUND.keys() == CONTRASTS.keys() == {*verdicts.AS_S1, "traces"}


@pytest.mark.parametrize(
    ("as_s1", "found", "verdict"),
    [
        ("lower", "lower", "same direction"),
        ("higher", "lower", "opposite direction"),
        ("higher", "no difference", "not distinguishable"),
    ],
)
def test_the_verdict_on_a_contrast_is_whether_it_has_the_direction_of_s1(as_s1, found, verdict):
    assert verdicts.towards(as_s1, found) == verdict
