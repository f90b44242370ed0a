"""What the paper lists: s1's tables and figures, the checklist, traces by family, the costs."""

import re
from pathlib import Path

import pytest
from conftest import ROOT

from ponder.questions.drawn import read_split
from ponder.report import comparisons, costs, sources, traces
from ponder.runs import dump, write_jsonl

ANSWERS = {"yes", "partly", "no", "not applicable"}
STATUS = {"measured", "measured in part", "re-derived", "cited", "rebuilt", "not run", "none"}
PATH = re.compile(r"(?<![\w./])(?:conf|data|logs|paper|ponder|tests)/[\w./-]*\w")
COMMAND = re.compile(r"python (\w+\.py)((?: \S+=\S+)+)")
GROUPS = ("experiment", "teacher", "subject", "decoding", "selection")


def said(entry):
    """Return all that an entry says, as one text."""
    return " ".join(entry.values())


def test_every_table_and_figure_of_s1_has_its_place():
    entries = sources.listed("coverage")
    assert all({*entry["status"].split("; ")} <= STATUS for entry in entries)
    named = " ".join(entry["name"] for entry in entries)
    assert [int(n) for n in re.findall(r"\d+", named.split("Figure")[0])] == list(range(1, 16))
    figures = {int(n) for n in re.findall(r"Figure (\d+)", named)}
    assert figures == set(range(1, 11)) and "Algorithm 1" in named
    for entry in entries:
        if "not run" in entry["status"] and "no command" not in entry["where"]:
            assert COMMAND.search(entry["where"]), entry["name"]


@pytest.mark.parametrize("name", ["coverage", "checklist"])
def test_what_a_list_points_to_is_there(name):
    for entry in sources.listed(name):
        for path in PATH.findall(said(entry)):
            assert (ROOT / path).exists(), path
        for script, words in COMMAND.findall(said(entry)):
            assert (ROOT / script).exists()
            for key, value in (word.strip('"').split("=", 1) for word in words.split()):
                names = value.strip("[]").split(",") if key == "sweep" else [value]
                folder = {"sweep": "budget"}.get(key, key)
                if folder in (*GROUPS, "budget"):
                    assert all((ROOT / "conf" / folder / f"{n}.yaml").exists() for n in names)


def test_the_checklist_answers_every_item_with_evidence():
    entries = sources.listed("checklist")
    assert {entry["answer"] for entry in entries} <= ANSWERS
    assert len({entry["name"] for entry in entries}) == len(entries)
    for entry in entries:
        is_asked = entry["answer"] != "not applicable"
        evidence = entry["evidence"]
        there = (ROOT / evidence).exists() or evidence.startswith("make ")
        assert there == is_asked, entry["name"]


def test_each_family_shows_a_trace_that_ends_in_its_answer():
    questions = read_split(ROOT / "data" / "cpu" / "questions", "dev")
    shown = traces.solved(questions)
    assert [entry["name"] for entry in shown] == sorted({q.family for q in questions})
    facing = next(entry for entry in shown if entry["name"] == "facing")
    assert facing["trace"].endswith(facing["answer"])


def test_the_shortest_trace_of_each_family_is_shown():
    def row(family, tokens):
        texts = dict.fromkeys(("question", "think", "answer"), f"{tokens}")
        return {"family": family, "tokens": tokens, "teacher": "x", **texts}

    shown = traces.shortest([row("b", 9), row("a", 7), row("b", 4), row("b", 4)])
    assert [(entry["name"], entry["trace"]) for entry in shown] == [("a", "7"), ("b", "4")]


def test_a_share_of_a_few_answers_is_not_printed():
    def answered(capped):
        text = {"reply": "Final Answer: 1", "correct": True, "num_thinking": 3, "num_ignored": 0}
        return text | {"capped": capped}

    ends = comparisons.ends([answered(True), *[answered(False)] * 20])
    assert ends["cut"]["text"] == "n.d." and ends["cut"]["n"] == 1
    assert ends["completed"]["text"].startswith("100.0% [8")


def training(logs: Path, name: str, joules: float | None) -> None:
    """Write what the cost of a training is counted from; it took an hour on two threads."""
    folder = logs / "train" / name
    folder.mkdir(parents=True)
    write_jsonl(folder / "timing.jsonl", [{"event": "start"}, {"step": 1, "seconds": 3600}])
    write_jsonl(folder / "metrics.jsonl", [{"step": 1, "tokens": 5}])
    (folder / "environment.json").write_text(dump({"threads": 2}))
    (folder / "cost.json").write_text(dump({"joules": joules}))


def test_energy_is_there_only_where_every_training_counted_it(tmp_path):
    training(tmp_path, "cpu-00000000", 1.8e6)
    training(tmp_path, "qwen-00000000", None)
    one = costs.total(costs.on_families(tmp_path))
    assert (one["kwh"], one["core_hours"], one["dollars"]) == (0.5, 2, 2 * one["price"])
    assert one["stages"] == [{"name": "train", "runs": 1, "tokens": 5, "hours": 1}]
    training(tmp_path, "cpu-11111111", None)
    assert costs.total(costs.on_families(tmp_path))["kwh"] is None
