"""Sequential against parallel at equal tokens: which samples vote, and beside which runs."""

import json
from pathlib import Path

import pytest
from conftest import ROOT, composed

from ponder import stages, study
from ponder.release import reproduce
from ponder.report import parallel, released
from ponder.report.canvas import LIGHT
from ponder.report.released import MethodRun


def answer(ident, number, right, tokens):
    return {
        "task": "t",
        "id": str(ident),
        "sample": number,
        "reply": f"Final Answer: {1 if right else 2 + number}",
        "gold": "1",
        "correct": right,
        "num_thinking": tokens,
        "num_ignored": 0,
        "capped": False,
    }


def forced(name, budget):
    return MethodRun(name, "cpu", "trained", "none", budget, "greedy", None, None)


def found(right_of, greedy):
    """Two questions, three samples each of 10 tokens, and greedy runs by (tokens, right)."""
    samples = [
        answer(ident, number, right, 10)
        for ident, rights in enumerate(right_of)
        for number, right in enumerate(rights)
    ]
    runs = {name: forced(name, name) for name in greedy}
    evaluations = {
        name: (
            Path(name),
            {("t", str(at), 0): answer(at, 0, right, tokens) for at, right in enumerate(rights)},
        )
        for name, (tokens, rights) in greedy.items()
    }
    return parallel.parallel("a run", samples, (1, 2, 3), runs, evaluations)


def test_each_run_stands_beside_the_vote_whose_tokens_are_nearest():
    greedy = {"short": (12, [1, 1]), "none": (0, [0, 0]), "long": (26, [1, 0])}
    result = found([[True, True, False], [False, False, False]], greedy)
    assert (result["run"], result["samples"]) == ("a run", 3)
    assert [point["tokens"] for point in result["votes"]] == [10, 20, 30]
    assert [entry["votes"] for entry in result["sequential"]] == [1, 1, 3]
    assert [entry["votes_tokens"] for entry in result["sequential"]] == [10, 10, 30]
    assert [entry["all"]["difference"] for entry in result["sequential"]] == [-0.5, 0.5, 0.0]
    assert [point["coverage"]["value"] for point in result["votes"]][-1] == 0.5


@pytest.fixture
def logs(tmp_path):
    def release(label):
        folder = tmp_path / "evaluate" / f"{label}-01234567"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        (folder / "status.json").write_text('{"status": "completed"}')

    return tmp_path, release


def test_the_larger_run_takes_the_place_of_the_smaller_once_it_is_released(logs):
    folder, release = logs
    compared = released.methods()
    assert released.voting(compared, folder) == (compared.voting, (1, 2, 3, 4))
    assert [run.name for run in released.sequential(compared, folder)][-1] == "Wait x1"
    release("cpu-trained-free-sampled16-test")
    release("cpu-trained-wait4-test")
    assert released.voting(compared, folder) == (compared.parallel, tuple(range(1, 17)))
    assert [run.name for run in released.sequential(compared, folder)][-2:] == [
        "Wait x1",
        "Wait x4",
    ]


def test_what_is_still_to_be_run_composes_to_the_labels_that_are_looked_for():
    compared = released.methods()
    for run in (compared.parallel, *compared.longer):
        plan = study.read(composed(*reproduce.overrides(run), script="evaluate"))
        assert stages._label(plan, None) == run.run_label("test")


def test_the_figure_says_in_words_what_it_shows(tmp_path):
    results = json.loads((ROOT / "paper/generated/results.json").read_text())
    parallel.draw(tmp_path / "parallel.svg", results, LIGHT)
    text = (tmp_path / "parallel.svg").read_text()
    assert all(f"{name}: " in text for name in ("majority vote", "coverage", "cuts", "Wait"))
