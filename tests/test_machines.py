"""Seed or machine: which of two trainings' answers differ, and where a comparison is refused."""

from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from falsify import git as git_in
from test_contrasts import PLAN, runs

from ponder.audit import notes
from ponder.audit.checks import Unsupported
from ponder.errors import UserError
from ponder.report import machines, plans, results_page
from ponder.report.printed import printed
from ponder.report.sources import PlannedAnswer

KEYS = [("t", f"{at:03}", 0) for at in range(200)]
SIDES = {("a", "free"): 0.8}


def flags(seed, turned=()):
    right = np.random.default_rng(seed).random(len(KEYS)) < 0.6
    return {key: bool(flag) != (key in turned) for key, flag in zip(KEYS, right, strict=True)}


def test_a_machine_that_turns_two_answers_moves_less_than_seeds_that_are_drawn_anew():
    first = {seed: flags(seed) for seed in range(3)}
    found = machines.beside(first, {1: flags(1, KEYS[:2])}, [(0, 1), (0, 2), (1, 2)])
    assert found["machine"]["differing_share"] == 2 / 200
    by_seed = [sum(first[a][k] != first[b][k] for k in KEYS) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert found["seed"]["differing_share"] == pytest.approx(sum(by_seed) / 600)
    assert found["all"]["difference"] == pytest.approx(2 / 200 - sum(by_seed) / 600)
    assert found["found"] == "the seed moves more"
    assert (found["n"], found["pairs"]) == (200, "0 and 1, 0 and 2, 1 and 2")


def test_a_machine_that_turns_every_answer_moves_more():
    first = {seed: flags(seed) for seed in range(2)}
    assert machines.beside(first, {0: flags(0, KEYS)}, [(0, 1)])["found"] == (
        "the machine moves more"
    )


def test_the_same_answers_are_not_distinguishable():
    first = {0: flags(7), 1: flags(7)}
    found = machines.beside(first, {1: flags(7)}, [(0, 1)])
    assert found["found"] == "not distinguishable" and found["all"]["text"] == "+0.0 [+0.0, +0.0]"


def planned(processors, monkeypatch, again="another"):
    """The plan's arm a with three seeds by some processors, its seed 1 made again by `again`."""
    answers = {
        key: PlannedAnswer(run.folder, run.samples, processors[key[2]])
        for key, run in runs(SIDES, range(3)).items()
    }
    one = runs(SIDES, [9])["a", "free", 9]
    made = PlannedAnswer(
        Path("logs/evaluate/a-again-seed1-trained-free-test-0"), one.samples, again
    )
    monkeypatch.setattr(machines, "_again", lambda arm, seed, *_: made if seed == 1 else None)
    return machines.machines(PLAN | {"budgets": {"a": ["free"]}}, answers, Path(), {})


def test_what_is_made_again_stands_beside_what_was_first(monkeypatch):
    (found,) = planned(["one", "one", "two"], monkeypatch)
    assert found["name"] == "a-again" and found["pairs"] == "0 and 1" and found["n"] == 60
    (seed,) = found["seeds"]
    assert seed["first"]["processor"] == "one" and seed["again"]["processor"] == "another"
    page = "\n".join(results_page._machines(printed([found]), "../"))
    assert "a, seed 1" in page and found["all"]["text"] in page and found["found"] in page


def test_only_another_kind_of_processor_makes_it_again(monkeypatch):
    with pytest.raises(UserError, match="another kind of processor"):
        planned(["one", "one", "two"], monkeypatch, again="one")


def test_seeds_by_as_many_machines_say_nothing_of_seeds(monkeypatch):
    assert planned(["one", "two", "three"], monkeypatch) == []


def test_an_arm_that_another_plan_reads_is_not_made_again_twice():
    plan = PLAN | {"budgets": {"a": ["free"]}, "read_before": ["a"]}
    assert machines.machines(plan, runs(SIDES, range(3)), Path(), {}) == []


# --- read before -----------------------------------------------------------------------


DISTILLED = notes.read(ROOT / "logs" / "preregistrations" / "cpu-distilled-seeds.yaml")


def test_what_a_plan_reads_itself_must_follow_it_and_what_another_reads_need_not():
    names = [
        "evaluate/cpu-distilled-trained-free-test-00000000",
        "evaluate/cpu-distilled-seed1-trained-free-test-00000000",
        "evaluate/cpu-distilled-seed2-trained-cap64-test-00000000",
        "evaluate/cpu-seed1-trained-free-test-00000000",
    ]
    followed = notes.to_follow(DISTILLED, {"runs": names})
    assert [f"evaluate/{folder.name}" for folder in followed] == names[1:3]


def commits_of(stem):
    """The commits of a plan, newest first; the test is skipped where there is no history."""
    try:
        notes.need_history()
    except Unsupported as reason:
        pytest.skip(str(reason))
    return git_in(ROOT, "log", "--format=%H", "--", f"logs/preregistrations/{stem}.yaml").split()


def test_what_is_said_to_be_read_before_must_be_in_an_earlier_plan():
    name = "cpu-distilled-seeds"
    several = dict(plans.of_contrasts())
    assert not list(notes.unplanned(name, several, commits_of(name)))
    for arm in ("cpu-distilled", "cpu"):
        plan = DISTILLED | {"read_before": [arm], "budgets": {arm: ["free", "wait4"]}}
        (problem,) = notes.unplanned(name, several | {name: plan}, commits_of(name))
        assert problem.startswith(arm)
    # The first plan was there before, so the second cannot vouch for it.
    first = several["cpu-seeds"] | {"read_before": ["cpu-distilled"]}
    first["budgets"] = {"cpu-distilled": ["free"]}
    several |= {"cpu-seeds": first}
    assert list(notes.unplanned("cpu-seeds", several, commits_of("cpu-seeds")))


def test_a_plan_on_a_benchmark_does_not_vouch_for_the_same_arm_on_drawn_questions():
    name = "cpu-distilled-seeds"
    other = {key: value for key, value in DISTILLED.items() if key != "read_before"}
    several = {name: DISTILLED, "cpu-seeds": other}
    assert not list(notes.unplanned(name, several, commits_of(name)))
    several["cpu-seeds"] = other | {"benchmark": "gsm8k-400"}
    assert list(notes.unplanned(name, several, commits_of(name)))


def test_only_seed_0_was_there_before_a_plan_whatever_the_order():
    plan = DISTILLED | {"seeds": [2, 1, 0]}
    names = [f"evaluate/cpu-distilled{of}-trained-free-test-00000000" for of in ("", "-seed2")]
    assert [folder.name for folder in notes.to_follow(plan, {"runs": names})] == [names[1][9:]]
