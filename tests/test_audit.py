"""The commands of audit.py, and what its checks do where git or the records cannot tell."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import command

import audit
from ponder import errors, lineage
from ponder.audit import answers, checks, explain, notes, rules

ROOT = Path(__file__).resolve().parents[1]
FREE, WAIT = "cpu-trained-free-test-43c273eb", "cpu-trained-wait1-test-1c9529df"
# No network and no torch: a socket is an error, and what was imported is looked at in the end.
ALONE = """
import socket, sys
def refused(*words, **more): raise OSError("the network was asked")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused
sys.path.insert(0, ".")
import audit
code = audit.main(sys.argv[1:])
heavy = {"torch", "transformers", "lm_eval", "datasets"} & sys.modules.keys()
sys.exit(f"imported {heavy}" if heavy else code)
"""


def test_everything_is_checked_without_network_and_without_torch():
    offline = [name for name in audit.CHECKS if name not in ("history", "preregistrations")]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *offline], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert done.stdout.count("PASS") == len(offline) + 1


def test_a_word_that_is_no_command_is_one_sentence_and_exit_code_2():
    done = command("audit", "everything")
    assert (
        done.returncode == 2
        and done.stderr.count("\n") == 1
        and "is no command of audit.py" in done.stderr
    )
    assert command("audit", "-h").returncode == 0 and "explain" in command("audit", "-h").stdout


def test_a_failing_check_gives_exit_code_1_and_its_problems(capsys):
    verdicts = [
        checks.Verdict("a", "PASS", "x", "y", "z"),
        checks.Verdict("b", "FAIL", "x", "y", "z", tuple(map(str, range(100, 130)))),
    ]
    assert audit.told(verdicts) == 1 and audit.told(verdicts[:1]) == 0
    said = capsys.readouterr().out
    assert (
        "- 119" in said
        and "- 120" not in said
        and "and 10 more" in said
        and "1 FAIL, 1 PASS" in said
    )


# --- explain and diff ------------------------------------------------------------------


def test_a_printed_number_leads_to_questions_thinking_training_rows_and_teacher():
    rows = (ROOT / "README.md").read_text().splitlines()
    printed = (
        next(row for row in rows if row.startswith("| SFT, no forcing |")).split("|")[5].split()[0]
    )
    said = "\n".join(explain.explain([printed, "SFT,", "no", "forcing"]))
    for word in (
        "CLAIM      rows/SFT, no forcing/all",
        "ESTIMATOR",
        f"logs/evaluate/{FREE}",
        "question ",
        "thinking ",
        "reply ",
        "logs/train/cpu-d57f96ff",
        "logs/collect/cpu-eb6b00e3",
        "TEACHER    solver",
        "data/licenses/",
        "README.md line",
    ):
        assert word in said, word


def test_a_number_of_several_claims_says_which_they_are():
    said = explain.explain(["100.0"])
    assert "claims print 100.0" in said[0] and sum('explain "' in line for line in said) > 1


def test_what_no_claim_prints_is_refused():
    with pytest.raises(errors.UserError, match="no claim is called or printed as '12345.6'"):
        explain.find(["12345.6"])


@pytest.mark.parametrize(
    "kind",
    [
        "difference",
        "method",
        "votes",
        "training",
        "steps",
        "reach",
        "guess",
        "count",
        "base",
        "cited",
    ],
)
def test_every_kind_of_claim_can_be_explained(kind):
    claim = next(
        claim for claim in checks.read(ROOT / "logs" / "claims.jsonl") if claim["estimator"] == kind
    )
    said = explain.explain([claim["id"]])
    assert said[0].endswith(claim["id"]) and len(said) > 2
    assert all(any(run in line for line in said) for run in claim["runs"])


def test_what_a_model_wrote_cannot_move_the_cursor():
    assert "\x1b" not in "".join(explain.indented("reply", "a\x1b[2Jb\nc")) and "x1b" in "".join(
        explain.indented("reply", "\x1b")
    )


def test_two_evaluations_are_compared_question_by_question():
    said = explain.diff(f"evaluate/{FREE}", WAIT)
    samples = [
        {
            (s["task"], s["id"]): s["correct"]
            for s in checks.read(ROOT / "logs" / "evaluate" / run / "samples.jsonl")
        }
        for run in (FREE, WAIT)
    ]
    lost = sum(samples[0][key] and not samples[1][key] for key in samples[0])
    assert "  budget.num_ignore: 0 -> 1" in said and f"ONLY A IS RIGHT: {lost}" in said


def test_a_forks_run_is_compared_with_the_released_one_that_it_descends_from(tmp_path):
    fork = tmp_path / "cpu-00000000"
    shutil.copytree(ROOT / "logs" / "train" / "cpu-d57f96ff", fork)
    made = yaml.safe_load((fork / "config.yaml").read_text())
    made["train"]["lr"] = 1
    (fork / "config.yaml").write_text(yaml.safe_dump(made))
    status = json.loads((fork / "status.json").read_text())
    status["parent"] = lineage.parent(
        "train", "cpu-00000000", made, status["inputs"], ROOT / "logs"
    )
    (fork / "status.json").write_text(json.dumps(status))
    said = explain.diff("train/cpu-d57f96ff", str(fork))
    assert (
        "  train.lr: 0.001 -> 1" in said
        and "  B descends from train/cpu-d57f96ff, which differs in train.lr" in "\n".join(said)
    )
    assert any("first step that differs: none" in line for line in said)


def test_runs_of_two_stages_and_unknown_runs_are_refused():
    with pytest.raises(errors.UserError, match="compare two of one stage"):
        explain.diff("train/cpu-d57f96ff", FREE)
    with pytest.raises(errors.UserError, match="no run is called 'nothing'"):
        explain.run_named("nothing")


# --- what cannot be told ---------------------------------------------------------------


def test_an_archive_and_a_shallow_clone_are_unsupported_not_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    assert {verdict.result for verdict in audit.verdicts(["history", "preregistrations"])} == {
        "UNSUPPORTED"
    }
    subprocess.run(
        ["git", "clone", "-q", "--depth", "1", f"file://{ROOT}", str(tmp_path / "shallow")],
        check=True,
    )
    monkeypatch.setattr(checks, "ROOT", tmp_path / "shallow")
    assert all(
        verdict.result == "UNSUPPORTED" and "shallow" in verdict.looked_at
        for verdict in audit.verdicts(["history", "preregistrations"])
    )


def test_a_crash_of_a_check_is_a_failure_that_names_it():
    def some_check():
        raise KeyError("gone")

    found = checks.answered("some-check", some_check, "a", "b")
    assert (found.check, found.result) == ("some-check", "FAIL") and "KeyError" in found.problems[0]


# --- rules and graders -----------------------------------------------------------------


def test_the_schedule_is_that_of_the_training_loop():
    from ponder.config import build
    from ponder.study import Train
    from ponder.train import sft

    recipe = yaml.safe_load((ROOT / "conf" / "train" / "cpu.yaml").read_text())
    made = build(Train, recipe)
    for step in range(1, 501):
        assert rules.schedule(step, 500, recipe) == pytest.approx(
            sft.learning_rate(step, 500, made), rel=1e-13
        )


@pytest.mark.parametrize(
    "reply, gold, right",
    [
        ("Final Answer: 3, 5, 8", "3, 5, 8", True),
        ("Final Answer: 5, 3, 8", "3, 5, 8", False),
        ("Final Answer: North", "north", True),
        ("", "1", False),
        ("Final Answer: 3, 5", "3, 5, 8", False),
    ],
)
def test_the_second_grader_minds_the_order_of_a_list(reply, gold, right):
    assert answers.second(reply, gold) == right


SOUND = {
    "ids": [5, 6, 7, 8],
    "forced": [2],
    "num_thinking": 2,
    "num_answer": 1,
    "num_ignored": 0,
    "capped": False,
    "finish": "stop",
    "correct": True,
    "rounds": [[2, []]],
}
BUDGET = {"max_thinking": 4, "num_ignore": 1, "max_answer": 3, "force_answer": "capped"}


def test_a_sound_sample_breaks_no_rule():
    assert not list(rules.broken_rules(SOUND, BUDGET, 4))


@pytest.mark.parametrize(
    "change, told",
    [
        ({"num_thinking": 5}, "its budget allows 4"),
        ({"num_ignored": 2}, "its budget allows 1"),
        ({"num_answer": 3}, "4 in all"),
        ({"forced": [2, 1]}, "forced positions"),
        ({"forced": [4]}, "forced positions"),
        ({"rounds": [[1, []]]}, "rounds of"),
        ({"finish": "rejected"}, "finish 'rejected'"),
        ({"tries": 2}, "2 tries"),
        ({"finish": "?"}, "finish '?'"),
    ],
)
def test_a_sample_that_breaks_a_rule_is_told(change, told):
    assert any(told in rule for rule in rules.broken_rules(SOUND | change, BUDGET, 4))


# --- pre-registrations -----------------------------------------------------------------


def test_an_outcome_is_met_only_with_the_whole_interval_on_its_side(monkeypatch):
    plan = {
        **dict.fromkeys(notes.PREREGISTERED, "?"),
        "expected": "higher",
        "runs": {"ours": "cpu-trained-free-test", "theirs": "cpu-trained-wait1-test"},
        "families": ["facing", "boolean"],
        "n": 120,
    }
    monkeypatch.setattr(
        notes, "read", lambda path: plan if path.suffix == ".yaml" else checks.read(path)
    )
    path = Path("some.yaml")
    assert notes.outcome(path)["outcome"] == "met" and notes.outcome(path)["difference"]["low"] > 0
    assert notes.outcome(path)["runs"] == [f"evaluate/{FREE}", f"evaluate/{WAIT}"]
    plan["expected"] = "no difference"
    assert notes.outcome(path)["outcome"] == "not met"
    plan["n"] = 121
    assert notes.outcome(path)["outcome"] == "void"
    assert notes.outcome(path)["runs"] == [f"evaluate/{FREE}", f"evaluate/{WAIT}"]
    plan["runs"] = {"ours": "cpu-nobody-free-test", "theirs": "cpu-trained-wait1-test"}
    assert notes.outcome(path)["outcome"] == "not run"
    plan.pop("n")
    assert notes.outcome(path)["outcome"] == "void"
