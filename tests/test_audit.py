"""The commands of audit.py, and what its checks do where git or the records cannot tell."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import command

import audit
from ponder import errors, lineage, rows
from ponder.audit import answers, checks, decisions, explain, git, indexes, notes, rules
from ponder.report import plans

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


@pytest.mark.parametrize("apart", [False, True])
def test_everything_is_checked_without_network_and_without_torch(apart):
    offline = [
        name
        for name in audit.CHECKS
        if name not in ("history", "preregistrations") and (name in audit.APART) == apart
    ]
    command = [sys.executable, "-c", ALONE, *offline]  # in one process, whose modules are seen
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr
    assert process.stdout.count("PASS") == len(offline) + 1


def test_a_second_process_gives_the_verdicts_that_one_gives():
    names = ["decisions", "literals", "readings"]
    assert {*names} & {*audit.APART}
    found = list(audit.side_by_side(names))
    assert [verdict.check for verdict in found] == ["decisions", "readings", "literals"]
    assert audit.in_order(found) == audit.in_order(audit.verdicts(names))


def test_a_second_process_that_ends_early_is_no_pass(monkeypatch):
    monkeypatch.setattr(audit, "listed", killed)
    with pytest.raises(errors.UserError, match="looked at literals was killed"):
        list(audit.side_by_side(["decisions", "literals"]))


def killed(*_):
    """Stand in for what a second process does."""
    os._exit(9)


ASLEEP = """
import os, time
import audit
def asleep(*_):
    print(os.getpid(), flush=True)
    time.sleep(600)
audit.listed = asleep
list(audit.side_by_side(["literals", "readings"]))
"""


def test_a_second_process_does_not_outlive_the_first():
    command = [sys.executable, "-c", ASLEEP]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
        second = int(first.stdout.readline())
        first.kill()
    for _ in range(600):  # a minute at most
        try:
            os.kill(second, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.kill(second, signal.SIGKILL)
    pytest.fail("the second process was still there after a minute")


def test_a_word_that_is_no_command_is_one_sentence_and_exit_code_2():
    process = command("audit", "everything")
    assert process.returncode == 2
    assert process.stderr.count("\n") == 1
    assert "is no command of audit.py" in process.stderr


def test_help_comes_at_once_and_begins_with_commands():
    assert "python audit.py" in "\n".join(audit.__doc__.splitlines()[:4])
    process = command("audit", "-h")
    assert process.returncode == 0 and process.stdout.strip() == audit.__doc__.strip()
    heavy = {"torch", "scipy", "omegaconf"}
    code = f"import sys, audit; audit.main(['-h']); sys.exit(len({heavy} & sys.modules.keys()))"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


def test_a_failing_check_gives_exit_code_1_and_its_problems(capsys):
    verdicts = [
        checks.Verdict("a", "PASS", "x", "y", "z"),
        checks.Verdict("b", "FAIL", "x", "y", "z", tuple(map(str, range(100, 130)))),
    ]
    assert audit.report(verdicts) == 1 and audit.report(verdicts[:1]) == 0
    printed = capsys.readouterr().out
    assert "- 119" in printed and "- 120" not in printed and "- and 10 more" in printed
    assert "1 FAIL, 1 PASS" in printed


# --- explain and diff ------------------------------------------------------------------


def test_a_printed_number_leads_to_questions_thinking_training_rows_and_teacher():
    results = json.loads((ROOT / "paper" / "generated" / "results.json").read_text())
    (row,) = [row for row in results["rows"] if row["label"] == "SFT, no forcing"]
    printed = row["all"]["text"].split()[0]
    text = "\n".join(explain.explain([printed, "SFT,", "no", "forcing"]))
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
        "paper/paper.pdf",
        f"      page     outputs/site/answers.html#run={FREE}&q=boolean/",
    ):
        assert word in text, word


def test_a_difference_leads_to_answers_gained_and_lost_and_to_what_was_expected():
    lines = explain.explain(["comparisons/s1_choice/trained"])
    text = "\n".join(lines)
    claims = {claim["id"]: claim for claim in checks.read(ROOT / "logs" / "claims.jsonl")}
    value = claims["comparisons/s1_choice/trained"]["value"]
    assert f"GAINED     {value['gained']} of {value['n']} answers" in lines
    assert f"LOST       {value['lost']} of {value['n']} answers" in lines
    assert text.count("  as       ") == 2 and "  as       coin" not in text
    assert "EXPECTED   higher: not met (logs/preregistrations/cpu-s1.yaml)" in lines


@pytest.mark.parametrize(
    "claim", ["methods/table/BF", "methods/table/TCC", "rows/SFT, no forcing/all"]
)
def test_the_line_of_a_claim_is_that_of_its_own_row(claim):
    places = [line for line in explain.explain([claim]) if line.startswith("  in       paper/res")]
    (number,) = [int(line.rpartition(" ")[2]) for line in places]
    line = (ROOT / "paper" / "results.md").read_text().splitlines()[number - 1]
    label = claim.split("/")[2 if claim.startswith("methods") else 1]
    assert re.match(rf"\| \[?{label}[:\]]", line)


def test_a_number_of_several_claims_says_which_they_are():
    lines = explain.explain(["100.0"])
    assert "claims print 100.0" in lines[0]
    assert sum('explain "' in line for line in lines) > 1


def test_what_no_claim_prints_is_refused():
    with pytest.raises(errors.UserError, match="no claim is called or printed as '12345.6'"):
        explain.matching(["12345.6"])


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
        "ends",
        "units",
        "seeds",
        "mistakes",
    ],
)
def test_every_kind_of_claim_can_be_explained(kind):
    claims = checks.read(ROOT / "logs" / "claims.jsonl")
    claim = next(claim for claim in claims if claim["estimator"] == kind)
    lines = explain.explain([claim["id"]])
    assert lines[0].endswith(claim["id"]) and len(lines) > 2
    text = "\n".join(lines)
    assert all(run in text for run in claim["runs"])


def test_what_a_model_wrote_cannot_move_the_cursor():
    text = "".join(explain.indented("reply", "a\x1b[2Jb\nc"))
    assert "\x1b" not in text and "x1b" in text


def test_two_evaluations_are_compared_question_by_question():
    lines = explain.diff(f"evaluate/{FREE}", WAIT)
    free, wait = (checks.samples(ROOT / "logs" / "evaluate" / run) for run in (FREE, WAIT))
    right_with_wait = {(s.task, s.id) for s in wait if s.correct}
    lost = sum(s.correct and (s.task, s.id) not in right_with_wait for s in free)
    assert "  budget.num_ignore: 0 -> 1" in lines and f"ONLY A IS RIGHT: {lost}" in lines


def test_a_forks_run_is_compared_with_the_released_one_that_it_descends_from(tmp_path):
    fork = tmp_path / "cpu-00000000"
    shutil.copytree(ROOT / "logs" / "train" / "cpu-d57f96ff", fork)
    config = yaml.safe_load((fork / "config.yaml").read_text())
    config["train"]["lr"] = 1
    (fork / "config.yaml").write_text(yaml.safe_dump(config))
    status = json.loads((fork / "status.json").read_text())
    status["parent"] = lineage.parent(
        "train", "cpu-00000000", config, status["inputs"], ROOT / "logs"
    )
    (fork / "status.json").write_text(json.dumps(status))
    lines = explain.diff("train/cpu-d57f96ff", str(fork))
    assert "  train.lr: 0.001 -> 1" in lines
    assert "  B descends from train/cpu-d57f96ff, which differs in train.lr" in lines
    assert any("first step that differs: none" in line for line in lines)


def test_runs_of_two_stages_and_unknown_runs_are_refused():
    with pytest.raises(errors.UserError, match="compare two of one stage"):
        explain.diff("train/cpu-d57f96ff", FREE)
    with pytest.raises(errors.UserError, match="no run is called 'nothing'"):
        explain.run_named("nothing")


# --- what cannot be told ---------------------------------------------------------------


def test_an_archive_and_a_shallow_clone_are_unsupported_not_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(git, "ROOT", tmp_path)
    assert {verdict.result for verdict in audit.verdicts(["history", "preregistrations"])} == {
        "UNSUPPORTED"
    }
    subprocess.run(
        ["git", "clone", "-q", "--depth", "1", f"file://{ROOT}", str(tmp_path / "shallow")],
        check=True,
    )
    monkeypatch.setattr(git, "ROOT", tmp_path / "shallow")
    assert all(
        verdict.result == "UNSUPPORTED" and "shallow" in verdict.looked_at
        for verdict in audit.verdicts(["history", "preregistrations"])
    )


def test_a_crash_of_a_check_is_a_failure_that_names_it():
    def some_check():
        raise KeyError("gone")

    verdict = checks.verdict_of("some-check", some_check, "a", "b")
    assert (verdict.check, verdict.result) == ("some-check", "FAIL")
    assert "KeyError" in verdict.problems[0] and not verdict.complete


# --- rules and graders -----------------------------------------------------------------


def test_the_schedule_is_that_of_the_training_loop():
    from ponder.config import build
    from ponder.study import Train
    from ponder.train import sft

    recipe = yaml.safe_load((ROOT / "conf" / "train" / "cpu.yaml").read_text())
    plan = build(Train, recipe)
    for step in range(1, 501):
        assert rules.schedule(step, 500, recipe) == pytest.approx(
            sft.learning_rate(step, 500, plan), rel=1e-13
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
    assert answers.second_grade(reply, gold) == right


SOUND = {
    **dict.fromkeys(rows.required(rows.SampleRow), ""),
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
    assert rules.broken_rules(rows.SampleRow(**SOUND), BUDGET) == []


@pytest.mark.parametrize(
    "change, message",
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
def test_a_sample_that_breaks_a_rule_is_reported(change, message):
    broken = rules.broken_rules(rows.SampleRow(**SOUND | change), BUDGET)
    assert any(message in rule for rule in broken)


def test_each_round_of_a_budget_per_segment_may_think_as_long():
    sample = rows.SampleRow(**SOUND | {"num_thinking": 3, "rounds": [[3, []]]})
    budget = BUDGET | {"max_thinking": 2}
    assert rules.broken_rules(sample, budget)
    assert rules.broken_rules(sample, budget | {"scope": "per_segment"}) == []


# --- decisions and indexes -------------------------------------------------------------


RECORD = """# 0099 Keep it

2026-11-28, accepted.

**Question.** Keep it?

**Options.** Yes, or no.

**Choice.** Yes.

**Revisit when** it is
broken.

**Answered 2026-11-28:** it
broke.

**Evidence.** Run `train/cpu-1`.
"""


def written(folder, text, name="0099-keep-it.md"):
    """The Decision of a record with this text."""
    (folder / name).write_text(text)
    return decisions.decision(folder / name)


def test_a_decision_record_is_read_in_its_parts(tmp_path):
    record = written(tmp_path, RECORD)
    assert (record.number, record.title, record.status) == ("0099", "Keep it", "accepted")
    assert record.revisit == "it is broken."
    assert record.answers == (("2026-11-28", "it broke."),)
    assert decisions.evidence(record.text) == ["train/cpu-1"]
    assert list(notes.form_problems(record, "0099")) == []


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("**Choice.**", "Choice.", "no **Choice.**"),
        ("**Options.**", "Options.", "neither **Options**"),
        ("**Answered 2026-11-28:**", "**Answered today:**", "is no '**Answered YYYY-MM-DD:** ...'"),
        ("**Answered 2026-11-28:**", "**Answered 2026-13-28:**", "which is no day"),
        ("# 0099", "# 0098", "'# 0098 K' in its title"),
    ],
)
def test_a_malformed_decision_record_is_reported(tmp_path, old, new, message):
    problems = list(notes.form_problems(written(tmp_path, RECORD.replace(old, new)), "0099"))
    assert len(problems) == 1 and message in problems[0]


def test_every_decision_that_waits_for_an_issue_says_what_came_of_it():
    for record in decisions.decisions().values():
        assert not re.search(r"\bissue\b", record.revisit) or record.answers, record.path.name


def test_the_indexes_are_those_that_the_records_give_and_a_changed_one_is_stale(tmp_path):
    assert indexes.stale_decisions() == [] and indexes.stale_runs() == []
    path = ROOT / "logs" / "decisions" / "README.md"
    (problem,) = indexes.stale(path, path.read_text() + "more")
    assert problem == "logs/decisions/README.md is stale; run python -m ponder.audit.indexes"
    text = (ROOT / "logs" / "README.md").read_text()
    assert indexes.with_run_index(text.replace("| SFT, no forcing |", "| SFT |")) == text
    with pytest.raises(errors.UserError, match="has no line <!-- runs -->"):
        indexes.with_run_index(text.replace("<!-- runs -->", ""))


def test_a_damaged_packing_is_a_record_that_cannot_be_read_wherever_it_is_damaged(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    whole = gzip.compress(b'{"a": 1, "b": "what follows"}\n' * 20, mtime=0)
    for at in range(10, len(whole)):  # behind the header, which says nothing of the content
        path = tmp_path / f"{at}.jsonl.gz"
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        with pytest.raises(errors.RecordError, match=f"{at}.jsonl.gz cannot be read"):
            checks.contents(path)


# --- pre-registrations -----------------------------------------------------------------


def test_an_outcome_is_met_only_with_the_whole_interval_on_its_side(monkeypatch):
    plan = {
        **dict(plans.of_two_runs())["cpu-s1"],
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
