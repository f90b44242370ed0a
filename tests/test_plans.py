"""The form of a pre-registration of several contrasts: what breaks it is said in one sentence."""

import shutil

import pytest
import yaml
from conftest import ROOT

from ponder.audit import notes
from ponder.errors import UserError
from ponder.report import plans, seeds

PLAN = dict(plans.read())["cpu-distilled-seeds"]
ONE = PLAN["contrasts"][0]
BROKEN = [  # fields of a plan that are others, and words of what is said
    ({"read_before": "cpu"}, "read_before is 'cpu', but must be a list"),
    ({"read_before": 5}, "read_before is 5"),
    ({"read_before": [["cpu"]]}, "read_before is [['cpu']]"),
    ({"read_before": ["cpu-nowhere"]}, "which is no list of its arms"),
    ({"read_befor": ["cpu"]}, "did you mean read_before?"),
    ({"seeds": []}, "seeds is []"),
    ({"seeds": [0, True]}, "seeds is [0, True]"),
    ({"seeds": [1, 1]}, "seeds is [1, 1]"),
    ({"seeds": ["0"]}, "seeds is ['0']"),
    ({"seeds": {0: 1}}, "seeds is {0: 1}"),
    ({"budgets": []}, "budgets is []"),
    ({"budgets": {"cpu": "free"}}, "budgets is {'cpu': 'free'}"),
    ({"budgets": {"../../etc": ["free"]}}, "budgets is {'../../etc': ['free']}"),
    ({"budgets": {"cpu": ["*"]}}, "budgets is {'cpu': ['*']}"),
    ({"budgets": {3: ["free"]}}, "budgets is {3: ['free']}"),
    ({"benchmark": "a/b"}, "benchmark is 'a/b'"),
    ({"families": None}, "families is None"),
    ({"n": "360"}, "n is '360'"),
    ({"written": "one day"}, "written is 'one day', but must be a day"),
    ({"estimator": "the best one"}, "estimator is 'the best one', but must be one of: two-way"),
    ({"estimator": ["x"]}, "estimator is ['x']"),
    ({"estimator": seeds.ONE_SEED}, "is of one seed, but seeds are [0, 1, 2]"),
    ({"correction": "none"}, "correction is 'none', but must be Holm"),
    ({"contrasts": []}, "contrasts is []"),
    ({"contrasts": ["wait"]}, "a contrast is 'wait'"),
    ({"contrasts": [{**ONE, "more": 1}]}, "but must have expected, name, ours, theirs"),
    ({"contrasts": [ONE, ONE]}, "each needs a name of its own"),
    ({"contrasts": [{**ONE, "name": ["a"]}]}, "a contrast is called ['a']"),
    ({"contrasts": [{**ONE, "expected": "better"}]}, "distilled expects 'better'"),
    ({"contrasts": [{**ONE, "expected": {}}]}, "distilled expects {}"),
    ({"contrasts": [{**ONE, "ours": ["cpu", "wait1"]}]}, "no [arm, budget] of its budgets"),
    ({"contrasts": [{**ONE, "theirs": "cpu, free"}]}, "theirs of distilled is 'cpu, free'"),
]


def test_every_plan_keeps_the_form():
    found = plans.read()
    assert len(found) > 2 and not [plans.problem(plan) for _, plan in found if plans.problem(plan)]


@pytest.mark.parametrize(("change", "words"), BROKEN)
def test_what_breaks_the_form_is_said(change, words):
    assert words in plans.problem(PLAN | change)


@pytest.mark.parametrize("field", sorted(PLAN))
def test_a_field_that_is_missing_is_said_and_read_before_may_be(field):
    said = plans.problem({key: value for key, value in PLAN.items() if key != field})
    assert said == (None if field == "read_before" else f"{field} is missing")


def test_a_broken_plan_is_one_sentence_for_its_reader_and_void_for_the_audit(tmp_path):
    folder = tmp_path / "preregistrations"
    shutil.copytree(ROOT / "logs" / "preregistrations", folder)
    (folder / "mine.yaml").write_text(yaml.safe_dump(PLAN | {"read_before": 5}))
    with pytest.raises(UserError, match=r"^logs/preregistrations/mine.yaml: read_before is 5, but"):
        plans.read(tmp_path)
    found = notes.outcome(folder / "mine.yaml")
    assert found["outcome"] == "void" and found["question"].startswith("read_before is 5")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"expected": "better"}, "expected is 'better'"),
        ({"expected": ["higher"]}, "expected is ['higher']"),
        ({"runs": ["a", "b"]}, "runs is ['a', 'b']"),
        ({"runs": {"ours": "a"}}, "must name ours and theirs"),
        ({"runs": {"ours": "a", "theirs": 3}}, "must name ours and theirs"),
        ({"mine": 1}, "its fields are not those of a pre-registration"),
    ],
)
def test_a_plan_of_two_runs_has_its_form_too(change, words):
    plan = yaml.safe_load((ROOT / "logs/preregistrations/cpu-s1.yaml").read_text())
    assert notes.ill_formed(plan) is None and words in notes.ill_formed(plan | change)
    assert notes.ill_formed(["a list"]) and notes.ill_formed(None)
