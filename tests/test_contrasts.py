"""What pre-registered contrasts over seeds came to: met, not met, void, or which seeds lack."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ROOT

from ponder.audit import notes
from ponder.errors import UserError
from ponder.report import contrasts, front_page, numbers, plans, sources
from ponder.report.printed import printed
from ponder.report.seeds import mcnemar
from ponder.report.sources import PlannedAnswer

PLAN = {
    "seeds": [0, 1, 2, 3, 4],
    "budgets": {"a": ["free", "wait1"], "b": ["cap0"]},
    "families": ["t"],
    "n": 60,
    "estimator": "two-way random effects, seed by question, Satterthwaite",
    "contrasts": [
        {"name": "arms", "ours": ["a", "free"], "theirs": ["b", "cap0"], "expected": "higher"},
        {"name": "wait", "ours": ["a", "wait1"], "theirs": ["a", "free"], "expected": "lower"},
    ],
}
SHARE = {("a", "free"): 0.8, ("a", "wait1"): 0.2, ("b", "cap0"): 0.4}


def runs(shares=SHARE, seeds=range(5), n=60):
    """Made-up evaluations: in each seed a share of the questions is right, drawn anew."""
    made = {}
    for side, share in shares.items():
        for seed in seeds:
            right = np.random.default_rng([seed, *map(ord, "".join(side))]).random(n) < share
            samples = {
                ("t", f"{at:03}", 0): {
                    "correct": bool(flag),
                    "num_thinking": 3,
                    "capped": False,
                    "num_ignored": 0,
                    "reply": "Final Answer: 1",
                }
                for at, flag in enumerate(right)
            }
            samples |= {("other family", "1", 0): next(iter(samples.values()))}
            folder = Path(f"logs/evaluate/{'-'.join(side)}-{seed}-01234567")
            made[(*side, seed)] = PlannedAnswer(folder, samples, "a processor")
    return made


def by_name(entries):
    return {entry["name"]: entry for entry in entries}


def test_with_every_seed_each_contrast_has_its_verdict_and_its_numbers():
    found = contrasts.outcome("plan", PLAN, runs())
    assert found["outcome"] == "arms: met; wait: met"
    arms, wait = (by_name(found["contrasts"])[name]["all"] for name in ("arms", "wait"))
    assert arms["low"] > 0 > wait["high"] and arms["detectable"] > 0
    assert max(arms["p"], wait["p"]) == max(arms["p_holm"], wait["p_holm"])
    assert min(arms["p_holm"], wait["p_holm"]) == 2 * min(arms["p"], wait["p"])
    ours, theirs = (
        [by_name(found["arms"])[name]["seeds"][seed]["accuracy"] for seed in range(5)]
        for name in ("a, free", "b, cap0")
    )
    assert arms["difference"] == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert arms["between_seeds"] == pytest.approx(np.std(np.subtract(ours, theirs), ddof=1))


@pytest.mark.parametrize(
    "mean, p, word",
    [
        (0.1, 0.049, "higher"),
        (0.1, 0.05, "no difference"),
        (-0.1, 0.001, "lower"),
        (-0.1, 0.2, "no difference"),
        (0.0, 1.0, "no difference"),
    ],
)
def test_a_direction_needs_its_sign_and_its_corrected_p_value(mean, p, word):
    assert contrasts.found(mean, p) == word


def test_an_outcome_is_met_when_what_was_found_is_what_was_expected():
    for expected in ("higher", "lower", "no difference"):
        contrast = PLAN["contrasts"][0] | {"expected": expected}
        judged = contrasts.outcome("plan", PLAN | {"contrasts": [contrast]}, runs())
        (one,) = judged["contrasts"]
        assert one["outcome"] == ("met" if one["found"] == expected else "not met")
        assert one["found"] == "higher"


def test_a_seed_that_lacks_anywhere_leaves_every_contrast_without_a_verdict():
    some = {key: run for key, run in runs().items() if key not in [("b", "cap0", 3)]}
    found = contrasts.outcome("plan", PLAN, some)
    assert found["outcome"] == "not run: seed 3 of b (cap0)"
    outcomes = by_name(found["contrasts"])
    assert outcomes["arms"]["outcome"] == "not run: seed 3 of b (cap0)"
    assert outcomes["wait"]["outcome"] == "not run: its correction waits for the others"
    assert {entry["all"] for entry in found["contrasts"]} == {None}
    assert len(by_name(found["arms"])["b, cap0"]["seeds"]) == 4


def test_what_is_there_is_shown_and_what_lacks_is_named_by_arm_and_budget():
    found = contrasts.outcome("plan", PLAN, runs(seeds=[0, 1]))
    assert found["outcome"] == "not run: seeds 2-4 of a (free, wait1); seeds 2-4 of b (cap0)"
    (arm,) = [arm for arm in found["arms"] if arm["name"] == "a, free"]
    assert [seed["name"] for seed in arm["seeds"]] == ["seed 0", "seed 1"]
    assert arm["all"]["between_seeds"] is not None and arm["seeds"][0]["n"] == 60
    first = contrasts.outcome("plan", PLAN, runs(seeds=[0]))["arms"][0]["all"]
    assert first["between_seeds"] is None
    nothing = contrasts.outcome("plan", PLAN, {})
    assert nothing["arms"] == [] and nothing["outcome"].startswith("not run: seeds 0-4 of a")


def test_other_questions_than_announced_void_all_contrasts():
    found = contrasts.outcome("plan", PLAN | {"n": 61}, runs())
    assert found["outcome"] == "arms: void; wait: void"
    one_less = runs()
    del one_less["b", "cap0", 2].samples["t", "000", 0]
    assert contrasts.outcome("plan", PLAN, one_less)["outcome"] == "arms: void; wait: void"


def test_a_single_seed_is_compared_by_question():
    plan = PLAN | {"seeds": [0], "estimator": "paired by question, McNemar exact"}
    found = contrasts.outcome("plan", plan, runs(seeds=[0]))
    wait = by_name(found["contrasts"])["wait"]["all"]
    assert found["outcome"] == "arms: met; wait: met" and wait["between_seeds"] is None
    assert wait["p"] == pytest.approx(mcnemar(wait["gained"], wait["lost"]))
    assert wait["difference"] == pytest.approx((wait["gained"] - wait["lost"]) / 60)
    nothing = contrasts.outcome("plan", plan, {})
    assert nothing["outcome"] == "not run: a (free, wait1); b (cap0)"


def test_every_plan_names_runs_that_could_be_found():
    for _, plan in plans.of_contrasts():
        labels = plans.labels(plan)
        for contrast in plan["contrasts"]:
            for side in ("ours", "theirs"):
                assert {(*contrast[side], seed) for seed in plan["seeds"]} <= labels.keys()
    labels = [label for _, plan in plans.of_contrasts() for label in plans.labels(plan).values()]
    assert "cpu-s1-seed4-trained-wait1-test" in labels


@pytest.mark.parametrize(
    "numbers, words",
    [
        ([3], "seed 3"),
        ([2, 3, 4], "seeds 2-4"),
        ([4, 0, 1], "seeds 0-1, 4"),
        ([1, 3], "seeds 1, 3"),
    ],
)
def test_seeds_are_named_in_spans(numbers, words):
    assert contrasts.spans(numbers) == words


def training(folder, seed, recipe, rows="r"):
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump({"seed": seed, "train": recipe}))
    (folder / "manifest.json").write_text(
        json.dumps({"inputs": {"train.jsonl": rows}, "files": {}})
    )
    return folder


def test_a_seed_may_differ_from_the_first_in_its_seed_alone(tmp_path):
    first = training(tmp_path / "a-00000000", 0, {"lr": 0.1, "epochs": 2})
    newer = training(tmp_path / "a-seed1-00000000", 1, {"lr": 0.1, "epochs": 2, "added": 1})
    sources.check_seed(newer, first, 1)
    with pytest.raises(UserError, match="a-seed1-00000000 has seed 1"):
        sources.check_seed(newer, first, 2)
    other = training(tmp_path / "a-seed2-00000000", 2, {"lr": 0.2, "epochs": 2}, "others")
    with pytest.raises(UserError, match="differs from a-00000000 in lr, rows"):
        sources.check_seed(other, first, 2)


def test_the_released_plan_says_the_same_in_the_audit_and_in_the_documents():
    path = ROOT / "logs" / "preregistrations" / "cpu-seeds.yaml"
    results = json.loads((ROOT / "paper" / "generated" / "results.json").read_text())
    plan = by_name(results["contrasts"])["cpu-seeds"]
    found = notes.outcome(path)
    assert (
        plan["outcome"] == found["outcome"]
        and plan["outcome"] in (ROOT / "paper" / "results.md").read_text()
    )
    there = {f"evaluate/{seed['run']}" for arm in plan["arms"] for seed in arm["seeds"]}
    assert there == set(found["runs"])
    later = notes.to_follow(yaml.safe_load(path.read_text()), found)
    assert later and all("-seed" in folder.name for folder in later)


# --- in the README ---------------------------------------------------------------------


SHARES = {
    ("cpu", "free"): 0.6,
    ("cpu", "cap16"): 0.5,
    ("cpu", "wait1"): 0.2,
    ("cpu-answers", "cap0"): 0.3,
    ("cpu-correct", "free"): 0.6,
    ("cpu-s1", "free"): 0.95,
}


def with_seeds(shares):
    """results.json, its plan over seeds come to an end with made-up answers of such shares."""
    results = json.loads((ROOT / "paper" / "generated" / "results.json").read_text())
    plan = dict(plans.of_contrasts())["cpu-seeds"] | {"families": ["t"], "n": 60}
    plan["budgets"] = {arm: [budget] for arm, budget in SHARES}
    plan["budgets"]["cpu"] = ["free", "cap16", "wait1"]
    found = contrasts.outcome("cpu-seeds", plan, runs(shares))
    others = [entry for entry in results["contrasts"] if entry["name"] != "cpu-seeds"]
    results["contrasts"] = numbers.rounded([found, *others])
    results["printed"]["contrasts"] = printed(results["contrasts"])
    return results, by_name(found["contrasts"])


def test_once_all_seeds_have_verdicts_the_readme_says_each_with_its_interval():
    results, found = with_seeds(SHARES)
    text = front_page.s1_table(results, "")
    assert "**How sure.** The models compared here were trained 5 times each" in text
    for name, words in (
        ("traces", "SFT, no forcing minus SFT on answers only"),
        ("doubt", "SFT with doubt, no forcing minus SFT, no forcing"),
        ("s1_choice", "SFT on s1's choice of rows, no forcing minus SFT, no forcing"),
        ("cap", "SFT, thinking cut at 16 minus SFT, no forcing"),
    ):
        contrast = found[name]
        assert f"{words} {contrast['all']['text']}" in text
        missed = f"{words} (expected {contrast['expected']}, found {contrast['found']})"
        assert (missed in text) == (contrast["outcome"] == "not met")
    assert {found[name]["found"] for name in found} == {"higher", "lower", "no difference"}
    rows = {line.split(" |")[0][2:]: line for line in text.splitlines() if line.startswith("| ")}
    wait = rows['Appending "Wait" lifts 50.0% to 56.7%']
    assert f"over 5 trainings: {found['wait']['all']['text']} points" in wait
    assert "| opposite direction |" in wait
    choice = next(line for words, line in rows.items() if words.startswith("Rows chosen"))
    assert "over 5 trainings" in choice and "| same direction; of one training pre" in choice


def test_the_readme_says_what_another_processor_turns_where_one_trained_again():
    results, _ = with_seeds(SHARES)
    entry = {"name": "cpu-again", "n": "360", "trainings": "2", "all": {"text": "-6.4 [-8, -4]"}}
    entry |= {"machine": {"differing_share": "1.1%"}, "seed": {"differing_share": "7.5%"}}
    results["printed"]["machines"] = [entry]
    text = front_page.s1_table(results, "")
    assert "1.1% of the answers to 360 questions turn from right to wrong or back" in text
    assert "over 2 trainings; with another seed 7.5%: -6.4 [-8, -4] points, exploratory." in text
    results["printed"]["machines"] = []
    assert "processor" not in front_page.s1_table(results, "")


def test_before_all_seeds_have_verdicts_the_readme_says_what_one_training_got():
    results, _ = with_seeds({side: 0.5 for side in SHARES if side[0] != "cpu-s1"})
    text = front_page.s1_table(results, "")
    assert "How sure" not in text and "over 5 trainings" not in text
    assert "Each of these rows is of one training" in text


def test_each_seed_has_its_place_in_every_scope_that_is_given():
    scopes = {"within reach": ["t"], "transfer": ["other family"], "out of reach": []}
    found = contrasts.outcome("plan", PLAN, runs(seeds=[0, 1]), scopes)
    for seed in found["arms"][0]["seeds"]:
        at = seed["scopes"]
        assert at["within reach"] == {key: seed[key] for key in ("thinking_tokens", "accuracy")}
        assert at["transfer"]["accuracy"] in (0, 1) and at["out of reach"] is None
