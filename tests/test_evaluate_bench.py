"""The bench of nine budgets: its choices, its goals, and peers that are scripted."""

import contextlib
import dataclasses
import re
from types import SimpleNamespace

import pytest
from bench import evaluate_peers, evaluate_speed
from conftest import SMOKE, study_of

from ponder.decode import budget as budgets
from ponder.decode import hf
from ponder.decode.budget import Completion, Sample


def by_the_rule(prompt, point):
    """Return the Sample of a prompt whose tokens follow a rule on all before them."""
    row, held, got = budgets.forced(point.budget, point.marks), list(prompt), None
    while True:
        try:
            request = row.send(got)
        except StopIteration as end:
            return end.value
        held = [*held[: len(prompt) + request.keep], *request.ids]
        ids, stop = [], ()
        while len(ids) < request.limit and not stop:
            ids.append(sum(held + ids) * 31 % 258)
            stop = budgets.stop_of(ids, request.stops)
        held, got = held + ids, Completion(tuple(ids), stop)


@pytest.fixture(scope="module")
def points(chat):
    """The Points of a cap, of none and of one end ignored; a fifth of all tokens ends a part."""
    found = {}
    for name in ("cap16", "free", "wait1"):
        budget = study_of(*SMOKE, f"budget={name}").budget
        ends = tuple((token,) for token in range(0, 258, 5))
        marks = dataclasses.replace(chat.marks(budget.nudge), ends=ends, answer_ends=ends)
        found[name] = evaluate_speed.Point(budget, marks)
    return found


def runs(seconds, tokens=100):
    """Return the Runs of {budget: seconds of each turn} with so many useful tokens each."""
    sample = Sample(ids=[1] * (tokens + 2), forced=(0, 1))
    return evaluate_speed.Runs(seconds, {name: [sample] for name in seconds})


def arms(sweep=(10.0,), alone=4.0, **peers):
    """Return arms whose nine budgets take equally long; "free" of a peer may be given as a pair."""
    together = runs({"all": list(sweep)}, 100 * len(evaluate_speed.BUDGETS))
    made = {"sweep": together, "alone": runs(equal(alone))}
    for name, seconds in {"lm-eval": 12.0, **peers}.items():
        whole, single = seconds if isinstance(seconds, tuple) else (seconds, seconds)
        made[name] = runs(equal(whole) | {"free": [single]})
    return made


def equal(seconds):
    """Return the same seconds for each budget, one turn."""
    return {name: [seconds] for name in evaluate_speed.BUDGETS}


# --- a peer's answers ------------------------------------------------------------------


def test_what_is_not_installed_is_left_out_with_its_reason(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PONDER_VLLM_VENV", str(tmp_path))
    monkeypatch.setenv("PONDER_OPENVINO_VENV", str(tmp_path))
    plan = SimpleNamespace(model=SimpleNamespace(source="wheel"))
    found = evaluate_peers.installed(plan, None, ["vllm", "openvino"])
    assert [peer.name for peer in found] == ["lm-eval"]
    vllm, openvino = capsys.readouterr().out.splitlines()
    assert vllm.startswith(f"vllm is left out: {tmp_path} has no vLLM in it; `make serve-vllm")
    assert openvino.startswith(f"openvino is left out: {tmp_path} has no openvino-genai in it;")


# --- choices and goals -----------------------------------------------------------------


def test_the_fastest_size_is_taken_and_of_equal_ones_the_smallest():
    assert evaluate_speed.fastest({8: 10.0, 24: 31.0, 48: 30.0}) == 24
    assert evaluate_speed.fastest({48: 10.0, 8: 10.0}) == 8


def test_each_size_that_fits_is_tried_on_enough_questions(points):
    asked = []

    @contextlib.contextmanager
    def start(size):
        yield lambda prompts, point: asked.append((size, len(prompts))) or []

    peer = evaluate_peers.Peer("one", "", "slots", (4, 24, 32), True, start)
    bench = SimpleNamespace(prompts=[[1]] * 20, points={"free": None, "cap8": None})
    assert set(evaluate_speed.rates_of(bench, peer)) == {4, 20}
    assert [one for one in asked if one[1] != evaluate_speed.WARM] == [(4, 16), (20, 20)]


def test_goals_are_met():
    met = evaluate_speed.goals(arms(vllm=5.0, q4=1.2), ["lm-eval", "vllm"], 1.0, 1.0, 0.0)
    said = {what: reached for _, what, reached in met}
    assert len(said) == 8
    assert said.pop("the sweep takes 2.50 times as long as the longest single run") is False
    assert all(said.values()), said


@pytest.mark.parametrize(
    ("given", "exact", "what"),
    [
        ({"q4": 1.0}, (), "the sweep makes 0.90 times the useful tokens/s"),
        ({"vllm": (5.0, 3.9)}, ("vllm",), "of the fastest exact peer that is not ours, vllm"),
        (
            {"vllm": 3.0, "openvino": 3.5},
            ("vllm", "openvino"),
            "by the faster of our engines, openv",
        ),
        ({"sweep": (30.0,)}, (), "through lm-eval takes 3.60 times as long as the sweep"),
        ({"alone": 6.0}, (), "free alone makes 2.00 times lm-eval's useful tokens/s"),
    ],
)
def test_a_goal_that_is_missed_says_so(given, exact, what):
    reached = evaluate_speed.goals(arms(**given), ["lm-eval", *exact], 1.0, 1.0, 0.0)
    (met,) = [met for _, said, met in reached if what in said]
    assert met is False


def test_a_peer_with_other_weights_is_held_to_what_it_says_in_a_second():
    several = arms(q4=1.2)
    several["q4"] = runs(several["q4"].seconds, tokens=1000)
    reached = evaluate_speed.goals(several, ["lm-eval"], 1.0, 1.0, 0.0)
    assert [met for _, what, met in reached if "one by one, q4" in what] == [False]


def test_a_quantised_peer_may_be_faster_in_the_single_run():
    reached = evaluate_speed.goals(arms(q4=(5.0, 1.0)), ["lm-eval"], 1.0, 1.0, 0.0)
    (met,) = [
        met for _, said, met in reached if "fastest exact peer that is not ours, lm-eval" in said
    ]
    assert met is True


def test_an_engine_of_ours_is_not_held_against_itself():
    given = arms(vllm=3.0, openvino=1.5)
    reached = evaluate_speed.goals(given, ["lm-eval", "vllm", "openvino"], 1.0, 1.0, 0.0)
    (said,) = [what for _, what, met in reached if "our engines, openvino" in what and met]
    assert "2.00 times" in said and said.endswith("that is not ours, vllm")


def test_answers_that_differ_and_gaps_miss_their_goals():
    for shared, answers, gap in ((0.99, 1.0, 0.0), (1.0, 0.99, 0.0), (1.0, 1.0, 2e-3)):
        reached = evaluate_speed.goals(arms(), ["lm-eval"], shared, answers, gap)
        met = [met for *_, met in reached[-3:]]
        assert met == [shared == 1.0, answers == 1.0, gap == 0.0]


def test_the_report_has_every_arm_beside_ours(capsys):
    three = arms(sweep=(10.0, 8.0, 30.0), vllm=(6.0, 2.0))
    evaluate_speed.report(three)
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    assert lines["sweep"][1:] == ["10.0", "8.0", "30.0", "1.00", "90.0"]
    assert lines["alone"][1:6] == ["36.0", "36.0", "36.0", "3.60", "25.0"]
    assert lines["vllm"][1:6] == ["50.0", "50.0", "50.0", "5.00", "18.0"]
    assert lines["vllm"][6:] == ["2.0", "2.0", "2.0", "0.50", "50.0"]
    assert lines["free"][1:] == ["4.0", "12.0", "2.0"]


# --- all of it -------------------------------------------------------------------------


@pytest.mark.slow
def test_the_quick_form_measures_a_peer_that_is_scripted(monkeypatch, tmp_path, capsys):
    """One peer answers by our engine, one by the rule: equal ids of one, the other's not asked."""
    monkeypatch.setattr(evaluate_speed, "study_of", lambda *w: study_of(*w, f"out={tmp_path}"))
    open_now = []

    def peers(plan, bench, names):
        def ours(prompts, point):
            size, vocabulary = bench.rows, len(bench.chat.tokenizer)
            return hf.decode(
                bench.network, prompts, point.budget, point.marks, size, vocabulary=vocabulary
            )

        def peer(name, exact, answer):
            @contextlib.contextmanager
            def start(size):
                assert not open_now, "two peers at a time"
                open_now.append(name)
                yield answer
                open_now.remove(name)

            return evaluate_peers.Peer(name, "scripted", "slots", (2, 64), exact, start)

        ruled = peer(
            "ruled", False, lambda prompts, point: [by_the_rule(p, point) for p in prompts]
        )
        return [evaluate_peers.lm_eval(bench), peer("ours", True, ours), ruled]

    monkeypatch.setattr(evaluate_peers, "installed", peers)
    code = evaluate_speed.main(["--model", "pocket", "--questions", "4"])
    said = capsys.readouterr().out
    assert code in (0, 1) and len(re.findall(r"^goal .*: (MET|MISSED)$", said, re.M)) == 8
    assert (code == 0) == ("MISSED" not in said)
    assert "alone against ours, " in said and "36 of 36 samples have the same token ids" in said
    assert "ruled has other weights: its token ids are not compared" in said
    assert re.search(r"^ruled: scripted; (2|4) slots$", said, re.M)
    for arm in ("sweep", "alone", "lm-eval", "ours", "ruled"):
        assert len(re.findall(rf"^{arm} +[0-9]", said, re.M)) == 1, arm
