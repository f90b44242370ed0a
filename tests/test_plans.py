"""The form of pre-registrations: what breaks it is said in one sentence."""

import re
import shutil
from datetime import datetime

import pytest
import yaml
from conftest import ROOT

from ponder.audit import notes
from ponder.errors import UserError
from ponder.report import plans, seeds

PLAN = dict(plans.of_contrasts())["cpu-distilled-seeds"]
TWO = dict(plans.of_two_runs())["cpu-s1"]
ONE = PLAN["contrasts"][0]
TURNED = {"name": "turned", "expected": "lower", "ours": ONE["theirs"], "theirs": ONE["ours"]}
DEEP = []
for _ in range(5000):
    DEEP = [DEEP]
BROKEN = [  # fields of a plan of contrasts that are others, and words of what is said
    ({"read_before": "cpu"}, "read_before is 'cpu', but must be a list, not empty"),
    ({"read_before": 5}, "read_before is 5"),
    ({"read_before": []}, "read_before is []"),
    ({"read_before": [["cpu"]]}, "read_before is [['cpu']]"),
    ({"read_before": ["cpu-nowhere"]}, "cpu-nowhere, which is none of the arms of budgets"),
    ({"read_befor": ["cpu"]}, "did you mean read_before?"),
    ({5: ["cpu"]}, "5 is no field of a plan"),
    ({"seeds": []}, "seeds is []"),
    ({"seeds": [0, True]}, "seeds is [0, True]"),
    ({"seeds": [1, 1]}, "seeds is [1, 1]"),
    ({"seeds": [-1]}, "seeds is [-1]"),
    ({"seeds": ["0"]}, "seeds is ['0']"),
    ({"seeds": {0: 1}}, "seeds is {0: 1}"),
    ({"seeds": [16**9000, -1]}, "seeds is a value of kind list"),
    ({"budgets": []}, "budgets is []"),
    ({"budgets": {"cpu": "free"}}, "budgets is {'cpu': 'free'}"),
    ({"budgets": {"../../etc": ["free"]}}, "budgets is {'../../etc': ['free']}"),
    ({"budgets": {"cpu": ["*"]}}, "budgets is {'cpu': ['*']}"),
    ({"budgets": {3: ["free"]}}, "budgets is {3: ['free']}"),
    ({"budgets": DEEP}, "budgets is [[[[[["),
    ({"benchmark": "a/b"}, "benchmark is 'a/b'"),
    ({"question": ["why"]}, "question is ['why'], but must be a sentence"),
    ({"stop": ""}, "stop is '', but must be a sentence"),
    ({"decision": 0o62}, "decision is 50, but must be the number of a decision record in quotes"),
    ({"decision": "62"}, "decision is '62'"),
    ({"families": None}, "families is None"),
    ({"n": "360"}, "n is '360'"),
    ({"n": True}, "n is True"),
    ({"n": 1}, "n is 1, but must be the number of questions, 2 or more"),
    ({"written": "one day"}, "written is 'one day', but must be a day"),
    ({"written": datetime(2026, 11, 29)}, "but must be a day, such as"),
    ({"estimator": "the best one"}, "estimator is 'the best one', but must be two-way"),
    ({"estimator": ["x"]}, "estimator is ['x']"),
    ({"estimator": seeds.ONE_SEED}, "which is of one seed, but there are several seeds"),
    ({"correction": "none"}, "correction is 'none', but must be Holm"),
    ({"contrasts": []}, "contrasts is [], but must be a list, not empty"),
    ({"contrasts": ["wait"]}, "a contrast is 'wait'"),
    ({"contrasts": [{**ONE, "more": 1}]}, "but must have expected, name, ours, theirs"),
    ({"contrasts": [{**ONE, "name": ["a"]}]}, "a contrast is called ['a']"),
    ({"contrasts": [{**ONE, "name": "a/b"}]}, "a contrast is called 'a/b', but must have a name"),
    ({"contrasts": [{**ONE, "expected": "better"}]}, "distilled expects 'better'"),
    ({"contrasts": [{**ONE, "expected": {}}]}, "distilled expects {}"),
    ({"contrasts": [{**ONE, "ours": ["cpu", "wait1"]}]}, "no [arm, budget] of budgets"),
    ({"contrasts": [{**ONE, "theirs": "cpu, free"}]}, "distilled compares 'cpu, free'"),
    ({"contrasts": [{**ONE, "theirs": ONE["ours"]}]}, "compares a side with itself"),
    ({"contrasts": [ONE, {**PLAN["contrasts"][1], "name": ONE["name"]}]}, "or is there twice"),
    ({"contrasts": [ONE, TURNED]}, "turned compares a side with itself, or is there twice"),
]
OF_TWO = [
    ({"expected": "better"}, "expected is 'better', but must be higher, lower, no difference"),
    ({"expected": ["higher"]}, "expected is ['higher']"),
    ({"runs": 5}, "runs is 5, but must be ours and theirs"),
    ({"runs": ["a", "b"]}, "runs is ['a', 'b']"),
    ({"runs": {"ours": "a"}}, "runs is {'ours': 'a'}"),
    ({"runs": {"ours": "a", "theirs": 3}}, "runs is {"),
    ({"runs": {"ours": "a", "theirs": "a"}}, "runs is {"),
    ({"families": "facing boolean"}, "families is 'facing boolean'"),
    ({"families": 5}, "families is 5"),
    ({"n": "360"}, "n is '360'"),
    ({"metric": None}, "metric is None, but must be a sentence"),
    ({"mine": 1}, "'mine' is no field of a plan"),
]


def test_every_plan_keeps_the_form():
    found = plans.read()
    assert len(plans.of_contrasts()) > 2 and plans.of_two_runs()
    assert not [name for name, plan in found if plans.problem(plan)]


@pytest.mark.parametrize(("change", "words"), BROKEN)
def test_what_breaks_the_form_of_contrasts_is_said(change, words):
    said = plans.problem(PLAN | change)
    assert words in said and len(said) < 400


@pytest.mark.parametrize(("change", "words"), OF_TWO)
def test_what_breaks_the_form_of_two_runs_is_said(change, words):
    assert plans.problem(TWO) is None and words in plans.problem(TWO | change)


@pytest.mark.parametrize("value", [None, 5, "x", [], ["contrasts"], {}, {"contrast": [ONE]}])
def test_what_is_no_plan_is_said(value):
    assert re.match("it holds|it has neither runs", plans.problem(value))


@pytest.mark.parametrize(
    ("plan", "field"), [(plan, field) for plan in (PLAN, TWO) for field in sorted(plan)]
)
def test_a_field_that_is_missing_is_said_and_read_before_may_be(plan, field):
    said = plans.problem({key: value for key, value in plan.items() if key != field})
    if field in ("contrasts", "runs"):
        assert said == "it has neither runs, of which there are two, nor contrasts"
    else:
        assert said == (None if field == "read_before" else f"{field} is missing")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (yaml.safe_dump(PLAN | {"read_before": 5}), "mine.yaml: read_before is 5, but must"),
        ("contrasts: [", "mine.yaml is not read as YAML"),
        (b"question: \xff", "mine.yaml is not read as YAML"),
        ("", "mine.yaml: it holds None"),
    ],
)
def test_a_broken_plan_is_one_sentence_for_its_reader(tmp_path, text, words):
    shutil.copytree(ROOT / "logs" / "preregistrations", tmp_path / "preregistrations")
    path = tmp_path / "preregistrations" / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=words):
        plans.read(tmp_path)


def test_a_broken_plan_is_void(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(PLAN | {"read_before": 5}))
    found = notes.outcome(path)
    assert found["outcome"] == "void" and found["question"].startswith("read_before is 5")
