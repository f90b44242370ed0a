"""The table of anybody's runs: the released rows again, seeds as one arm, intervals that cover."""

import csv
import io
import json

import numpy as np
import pytest
import yaml
from conftest import ROOT

from ponder import runs
from ponder.errors import UserError
from ponder.report import evaluations, seeds, table
from ponder.rows import SampleRow

FREE = "logs/evaluate/cpu-trained-free-test-*"  # released: outputs/ may hold the same, made again


@pytest.fixture(autouse=True)
def root(monkeypatch):
    monkeypatch.chdir(ROOT)


def printed(capsys, *arguments):
    table.main(list(arguments))
    return capsys.readouterr().out


def test_the_released_rows_come_out_to_the_last_digit(capsys):
    results = json.loads((ROOT / "paper/generated/results.json").read_text())
    row = next(row for row in results["rows"] if row["label"] == "SFT, no forcing")
    text = printed(capsys, FREE, "--format", "csv")
    (line,) = csv.DictReader(io.StringIO(text))
    assert [round(float(line[key]), 6) for key in ("accuracy", "low", "high")] == [
        row["all"][key] for key in ("accuracy", "low", "high")
    ]
    assert int(line["n"]) == row["all"]["n"] and line["seeds"] == "1"


def test_a_difference_has_its_flips_and_holm_over_the_lines(capsys):
    text = printed(
        capsys,
        "logs/evaluate/cpu-trained-cap16-test-*",
        "logs/evaluate/cpu-trained-wait1-test-*",
        "--against",
        FREE,
        "--format",
        "csv",
    )
    cap, wait, free = csv.DictReader(io.StringIO(text))
    assert (wait["gained"], wait["lost"], cap["gained"]) == ("7", "138", "7")
    assert float(cap["p (Holm)"]) == float(cap["p"])  # the larger of the two
    assert float(wait["p (Holm)"]) == pytest.approx(2 * float(wait["p"]))
    assert free["difference"] == "" and float(wait["difference"]) < 0 < float(wait["detectable"])


def test_questions_that_a_file_names_are_left_out(capsys, tmp_path):
    whole, part = tmp_path / "all.jsonl", tmp_path / "part.jsonl"
    ids = [row["id"] for row in runs.read_jsonl(evaluations.folders(FREE)[0] / "samples.jsonl")]
    runs.write_jsonl(whole, [{"id": ident} for ident in ids])
    runs.write_jsonl(part, [{"id": ident} for ident in ids[:50]])
    (line,) = csv.DictReader(
        io.StringIO(printed(capsys, FREE, "--without", str(part), "--format", "csv"))
    )
    assert int(line["n"]) == len(ids) - 50
    for file, sentence in ((whole, "leave out less"), (tmp_path / "none", "have an id")):
        with pytest.raises(SystemExit):
            table.main([FREE, "--without", str(file)])
        assert sentence in capsys.readouterr().err


def test_tasks_restrict_the_questions(capsys):
    text = printed(capsys, FREE, "--tasks", "boolean,chain_sum", "--format", "csv")
    (line,) = csv.DictReader(io.StringIO(text))
    assert line["n"] == "120"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["no-such-run"], "no finished evaluation is called 'no-such-run'"),
        ([FREE, "--tasks", "chess"], "answered nothing of chess"),
        ([FREE, "--tasks", "boolean,chess"], "answered nothing of chess"),
        ([FREE, "--against", "logs/evaluate/cpu-trained-cap*-test-*"], "names 4 arms: cpu-"),
        ([FREE, "--plot", "picture.foo"], "is no picture"),
        ([FREE, "--plot", "nowhere/picture.svg"], "is no picture"),
        ([FREE, "--without", "data/qwen/gsm8k-originals.jsonl"], "names no question"),
        (["cpu-seed1-trained-free-test", "--against", "cpu-s1-trained-free-test"], "in common"),
        (
            [FREE, "--against", "logs/evaluate/cpu-trained-free-dev-*"],
            "answered different questions",
        ),
    ],
)
def test_a_mistake_is_a_sentence(arguments, words, capsys):
    with pytest.raises(SystemExit) as stop:
        table.main(arguments)
    assert stop.value.code == 2 and words in capsys.readouterr().err


PLAN = yaml.safe_load((ROOT / "logs/preregistrations/cpu-seeds.yaml").read_text())


def test_the_seeds_of_each_planned_arm_are_one_row_with_the_number_of_the_documents(capsys):
    results = json.loads((ROOT / "paper/generated/results.json").read_text())
    plan = next(plan for plan in results["contrasts"] if plan["name"] == "cpu-seeds")
    tasks = ",".join(PLAN["families"])
    for arm in plan["arms"]:
        runs_of = [f"logs/evaluate/{seed['run']}" for seed in reversed(arm["seeds"])]
        text = printed(capsys, *runs_of, "--tasks", tasks, "--format", "csv")
        (row,) = csv.DictReader(io.StringIO(text))
        assert row["seeds"] == str(len(arm["seeds"])) and row["n"] == str(PLAN["n"])
        assert row["seed numbers"].split() == [seed["name"][5:] for seed in arm["seeds"]]
        for key in ("accuracy", "low", "high"):
            assert float(row[key]) == pytest.approx(arm["all"][key], abs=1e-6), arm["name"]


def test_a_difference_of_single_runs_is_that_of_the_documents(capsys):
    results = json.loads((ROOT / "paper/generated/results.json").read_text())
    pair = next(pair for pair in results["comparisons"] if pair["name"] == "wait")
    tasks = ",".join(PLAN["families"])
    wait = "logs/evaluate/cpu-trained-wait1-test-*"
    text = printed(capsys, wait, "--against", FREE, "--tasks", tasks, "--format", "csv")
    row = next(csv.DictReader(io.StringIO(text)))
    for ours, theirs in (("difference", "difference"), ("difference low", "low")):
        assert float(row[ours]) == pytest.approx(pair["trained"][theirs], abs=1e-6)


def test_several_samples_of_a_question_are_one_question(capsys):
    text = printed(capsys, "cpu-trained-free-sampled4-test", "--against", FREE, "--format", "csv")
    row = next(csv.DictReader(io.StringIO(text)))
    assert row["n"] == "480" and row["gained"] == row["lost"] == ""
    assert float(row["high"]) - float(row["low"]) > 0.07  # 1,920 answers alike would be at 0.045


def test_the_text_says_what_its_numbers_are(capsys):
    wait = "logs/evaluate/cpu-trained-wait1-test-*"
    text = printed(capsys, wait, "--against", FREE)
    assert "minus cpu-trained-free-test" in text and "over the 1 rows compared" in text
    assert "Exploratory" in text and "Difference" not in printed(capsys, wait)


def evaluation(folder, seed, correct, lr=1, adapter=None):
    """An Evaluation of some questions by a training of some seed; by none where it is None."""
    values = dict(
        task="t",
        question="q",
        gold="1",
        thinking="",
        reply="Final Answer: 1",
        ids=[1],
        forced=[],
        num_thinking=3,
        num_answer=1,
        num_ignored=0,
        capped=False,
        finish="stop",
        prompt_sha256="",
    )
    samples = {
        ("t", str(at), 0): SampleRow(**values, id=str(at), correct=right)
        for at, right in enumerate(correct)
    }
    training = None if seed is None else evaluations.Training(f"x-{seed}", seed, {"lr": lr})
    config = {"budget": "free", "subject": {"adapter": adapter}}
    return evaluations.Evaluation(ROOT / folder, "x-free-dev", config, training, samples)


def test_where_the_weights_lay_makes_no_other_arm():
    runs = [evaluation("a", 0, [1, 0], adapter="data/x"), evaluation("b", 1, [1, 1], adapter=None)]
    assert len(evaluations.arms(runs)) == 1


def test_arms_of_one_label_say_in_what_they_differ():
    runs = [evaluation("a", 0, [1, 0], lr=0.1), evaluation("b", 0, [1, 1], lr=0.2)]
    assert [arm.label for arm in evaluations.arms(runs)] == [
        "x-free-dev (lr=0.1)",
        "x-free-dev (lr=0.2)",
    ]


def test_seeds_are_paired_by_their_number_in_whatever_order_they_are_named():
    first, second = [1, 1, 0, 0, 1, 0, 1, 0], [0, 1, 1, 0, 1, 1, 0, 0]
    ours = [evaluation("a", 0, first), evaluation("b", 1, second)]
    theirs = [evaluation("c", 1, second, 2), evaluation("d", 0, first, 2)]
    mine, reference = evaluations.arms([*ours, *theirs])
    found = table.difference(mine, reference)
    assert (found["gained"], found["lost"], found["seeds paired"]) == (0, 0, "0, 1")


def test_only_the_seeds_that_both_have_are_paired():
    ours = [evaluation("a", 0, [1, 1, 0, 0]), evaluation("b", 1, [1, 1, 1, 1])]
    mine, reference = evaluations.arms([*ours, evaluation("c", 0, [0, 1, 0, 0], 2)])
    found = table.difference(mine, reference)
    assert (found["seeds paired"], found["gained"], found["p"]) == ("0", 1, 1.0)


def test_what_is_not_trained_stands_beside_each_seed_and_has_none_itself():
    ours = [evaluation("a", 0, [1, 1, 0, 0]), evaluation("b", 1, [1, 1, 1, 0])]
    mine, base = evaluations.arms([*ours, evaluation("c", None, [0, 1, 0, 0])])
    found = table.difference(mine, base)
    assert (found["seeds paired"], found["gained"], found["difference"]) == ("0, 1", 3, 3 / 8)
    assert table.line(base)["seeds"] is None


def test_a_copy_of_what_is_not_trained_is_no_second_seed():
    runs = [evaluation(f"{place}/evaluate/c", None, [0, 1]) for place in ("logs", "outputs")]
    with pytest.raises(UserError, match="x-free-dev is twice: "):
        evaluations.arms(runs)


def test_seeds_of_one_recipe_are_one_arm():
    runs = [evaluation("a", 0, [1, 1, 0, 0]), evaluation("b", 1, [1, 0, 0, 0])]
    (arm,) = evaluations.arms(runs)
    line = table.line(arm)
    assert (line["seeds"], line["n"], line["accuracy"]) == (2, 4, 3 / 8)
    low, high = line["interval"]
    assert low < 3 / 8 < high


def test_a_seed_that_is_there_twice_is_refused():
    folders = ("logs/evaluate/a", "logs/evaluate/b", "outputs/evaluate/a")
    runs = [
        evaluation(folder, seed, [1, 1, 0, 0])
        for folder, seed in zip(folders, (0, 1, 0), strict=True)
    ]
    with pytest.raises(UserError) as error:
        evaluations.arms(runs)
    assert f"seed 0 is twice: {ROOT}/{folders[0]} and {ROOT}/{folders[2]};" in str(error.value)
    assert f"a path such as {ROOT}/outputs/evaluate/... narrows a pattern" in str(error.value)
    assert folders[1] not in str(error.value)


def test_seeds_that_answered_different_questions_are_refused():
    with pytest.raises(UserError, match="different questions"):
        evaluations.arms([evaluation("a", 0, [1, 1, 0, 0]), evaluation("b", 1, [1, 0])])


@pytest.mark.parametrize("between_seeds, questions", [(0.0, 360), (0.03, 360), (0.1, 200)])
def test_intervals_over_five_seeds_cover_a_known_mean(between_seeds, questions):
    """1,000 simulated tables of known variances: the 95% interval covers in 93 to 97% of them."""
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(1000):
        by_seed = between_seeds * rng.standard_normal((5, 1))
        by_question = 0.35 * rng.standard_normal((1, questions))
        rest = 0.3 * rng.standard_normal((5, questions))
        estimate = seeds.crossed(0.5 + by_seed + by_question + rest)
        covered += estimate.low <= 0.5 <= estimate.high
    assert 930 <= covered <= 970


def test_intervals_of_right_and_wrong_answers_cover():
    rng = np.random.default_rng(8)
    covered = 0
    for _ in range(500):
        logit = rng.normal(0, 0.3, (5, 1)) + rng.normal(0, 2, (1, 360))
        estimate = seeds.crossed(rng.random((5, 360)) < 1 / (1 + np.exp(-logit)))
        covered += estimate.low <= 0.5 <= estimate.high
    assert 0.93 <= covered / 500 <= 0.97


@pytest.mark.parametrize("seeds_there", [1, 2, 5])
@pytest.mark.parametrize("right", [0, 1])
def test_answers_that_are_all_alike_are_no_certainty(right, seeds_there):
    """Of 16 questions Wilson's interval of none right ends at 19.4%; more seeds say no more."""
    estimate = seeds.share([[right] * 16] * seeds_there)
    ends = (estimate.low, estimate.high)
    assert ends == pytest.approx((0.0, 0.1936) if right == 0 else (0.8064, 1.0), abs=1e-4)
    same = seeds.crossed([[0] * 16] * seeds_there)
    assert (same.low, same.high) == pytest.approx((-0.1936, 0.1936), abs=1e-4)
    assert same.p == 1.0 and same.detectable > 0.1
    all_gained = seeds.crossed([[1] * 16] * seeds_there)
    assert all_gained.low < 1 and all_gained.p == 2 / 2**16


def test_an_interval_of_shares_ends_where_shares_do():
    few = seeds.share([[0] * 30, [0] * 29 + [1]])
    assert few.low == 0.0 < few.mean < few.high < 1


def test_holm_and_mcnemar_by_hand():
    assert seeds.holm([0.01, 0.04, 0.03]) == [0.03, 0.06, 0.06]
    assert seeds.mcnemar(0, 0) == 1.0
    assert seeds.mcnemar(1, 7) == pytest.approx(2 * (1 + 8) / 2**8)


def test_the_record_says_whose_weights_answered_before_the_lineage_does(tmp_path):
    said = {"run": "x-1", "seed": 1, "rows": "r", "selection": "s", "recipe": {"lr": 0.5}}
    folder = tmp_path / "evaluate" / "x-seed1-free-dev-01234567"
    folder.mkdir(parents=True)
    made = ROOT / "logs/train/cpu-seed1-3d521cbd"
    status = {"inputs": {"adapter_model.safetensors": "w"}, "training": said}
    (folder / "status.json").write_text(json.dumps(status))
    training = evaluations._training(folder, {"w": made})
    assert (training.name, training.seed) == ("x-1", 1)
    assert training.recipe == {"rows": "r", "lr": 0.5}
    (folder / "status.json").write_text(json.dumps({"inputs": status["inputs"]}))
    training = evaluations._training(folder, {"w": made})
    assert (training.name, training.seed, training.recipe["lr"]) == (made.name, 1, 0.001)
