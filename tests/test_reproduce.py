"""`make reproduce`: what runs, in which order, and what the exit code says."""

import json
import re
from types import SimpleNamespace

import pytest
import yaml
from conftest import ROOT

from ponder import stages
from ponder.errors import UserError
from ponder.release import reproduce
from ponder.report import released
from ponder.report.plans import seed_runs
from ponder.runs import Run

GROUPS = {"within reach": ["facing"], "transfer": ["coin"]}


def results(folder, facing, coin):
    """Write the results of an evaluate run with 10 questions a family and an interval of plus or
    minus 20 points.
    """
    folder.mkdir()
    accuracy = (facing + coin) / 20
    overall = {
        "n": 20,
        "correct": facing + coin,
        "accuracy": accuracy,
        "low": accuracy - 0.2,
        "high": accuracy + 0.2,
    }
    tasks = {
        name: {"n": 10, "correct": right} for name, right in (("facing", facing), ("coin", coin))
    }
    (folder / "results.json").write_text(json.dumps({"all": overall, "tasks": tasks}))
    return folder


@pytest.mark.parametrize(
    "facing, coin, inside",
    [(8, 2, True), (10, 4, True), (4, 2, True), (10, 5, False), (3, 2, False)],
)
def test_a_row_is_reproduced_only_inside_the_released_interval(
    tmp_path, monkeypatch, capsys, facing, coin, inside
):
    ours, theirs = results(tmp_path / "ours", facing, coin), results(tmp_path / "theirs", 8, 2)
    monkeypatch.setattr(stages, "evaluate_run", lambda plan: SimpleNamespace(folder=ours))
    monkeypatch.setattr(reproduce.released, "run_folder", lambda stage, label: theirs)
    assert reproduce.compare("a row", released.rows()[0], GROUPS) == inside
    printed = capsys.readouterr().out
    assert f"{facing / 10:.1%} / 80.0%" in printed
    assert printed.rstrip().endswith("inside" if inside else "OUTSIDE")


# --- names -----------------------------------------------------------------------------


CONFIG = {"train": {"lr": 0.001}}


def recorded(folder, config, inputs):
    """The folder of a completed run with this config and these inputs."""
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "status.json").write_text(json.dumps({"inputs": inputs, "status": "completed"}))
    return folder


def planned_run(config, inputs):
    return Run("train", "cpu", config, inputs, "outputs", "disabled")


def test_the_name_of_a_run_stands_beside_the_released_one_with_the_reason(tmp_path):
    run = planned_run(CONFIG | {"seed": 0}, {"a": "b"})
    folder = recorded(tmp_path / "cpu-00000000", CONFIG, {"a": "b"})
    line = reproduce.name_beside(run, folder)
    assert line.startswith(f"train: this run is {run.name}, the released one cpu-00000000; ")
    assert line.endswith("and 1 of them came after that release (in seed)")
    other = planned_run({"train": {"lr": 1}}, {"a": "c"})
    line = reproduce.name_beside(other, folder)
    assert line.endswith("and these have another value: inputs.a, train.lr")


def test_the_same_name_needs_no_reason(tmp_path):
    run = planned_run(CONFIG, {})
    folder = recorded(tmp_path / run.name, CONFIG, {})
    line = reproduce.name_beside(run, folder)
    assert line == f"train: this run is {run.name}, the released one {run.name}"


def test_the_collection_of_the_main_arm_says_why_its_name_is_another(capsys, monkeypatch):
    tokenizer = {"base/tokenizer.json": "0" * 64}  # without a download
    monkeypatch.setattr(stages.models, "tokenizer_inputs", lambda model, out: tokenizer)
    run = stages.collect_run(reproduce.planned("collect", "experiment=cpu"))
    reproduce.print_name(run, "cpu")
    printed = capsys.readouterr().out
    assert f"this run is {run.name}, the released one cpu-eb6b00e3" in printed
    assert "came after that release (in decontamination, domains, inputs" in printed
    assert "another value" not in printed
    reproduce.print_name(run, "no-such-experiment")
    assert "none of no-such-experiment is released" in capsys.readouterr().out


# --- what runs -------------------------------------------------------------------------


@pytest.fixture
def steps(monkeypatch):
    """The commands that `reproduce` would run, with everything released in place and equal."""
    called = []
    monkeypatch.setattr(
        reproduce, "script", lambda name, *overrides: called.append((name, *overrides))
    )
    monkeypatch.setattr(reproduce, "released_data", lambda experiment: {})
    monkeypatch.setattr(reproduce, "same_data", lambda experiment: True)
    monkeypatch.setattr(reproduce, "compare", lambda label, row, groups, more=(): True)
    monkeypatch.setattr(reproduce, "print_name", lambda run, label: None)
    monkeypatch.setattr(stages, "train_run", lambda plan: None)
    monkeypatch.setattr(stages, "evaluate_run", lambda plan: None)
    monkeypatch.setattr(reproduce, "planned", lambda stage, *overrides: None)
    monkeypatch.setattr(reproduce.released, "run_folder", lambda stage, label: None)
    monkeypatch.setattr(reproduce.released, "groups", lambda: GROUPS)
    monkeypatch.setattr(reproduce, "taught_by_a_model", lambda name: name == "cpu-distilled")
    return called


def exit_code(which):
    with pytest.raises(SystemExit) as stop:
        reproduce.main(which)
    return stop.value.code


def test_the_main_arm_is_one_training_with_its_evaluations_and_the_base(steps):
    assert exit_code("main") == 0
    assert steps[:2] == [("collect", "experiment=cpu"), ("train", "experiment=cpu")]
    assert {step[:2] for step in steps[2:]} == {("evaluate", "experiment=cpu")}
    assert len(steps[2:]) == sum(row.main for row in released.rows())


def test_everything_trains_every_arm_and_released_seed_and_no_run_comes_twice(steps):
    assert exit_code("all") == 0
    trained = [overrides for name, *overrides in steps if name == "train"]
    assert [overrides[0] for overrides in trained if len(overrides) == 1] == [
        "experiment=cpu",
        "experiment=cpu-answers",
        "experiment=cpu-correct",
        "experiment=cpu-distilled",
        "experiment=cpu-s1",
        "experiment=cpu-token-conditional",
        "experiment=cpu-step-conditional",
    ]
    arms = {run.experiment for run in seed_runs()}
    folders = [folder.name for folder in (ROOT / "logs" / "train").glob("*-seed[1-9]*")]
    seeds = [re.fullmatch(r"(.+)-seed(\d+)-\w{8}", name).groups() for name in folders]
    others = sorted(overrides for overrides in trained if len(overrides) > 1)
    qwen = [["experiment=qwen", "+rows=data/qwen/qwen/train.jsonl"]]
    again = [[f"experiment={arm}", f"seed={seed}"] for arm, seed in seeds if arm in arms]
    for line in again:  # a model's rows are the released ones, for it writes others elsewhere
        line += ["+rows=data/cpu/cpu-distilled/train.jsonl"] * ("distilled" in line[0])
    assert others == sorted(qwen + again)
    assert sum(name == "collect" for name, *_ in steps) == 7
    everything = [*released.rows(), *released.methods().named().values()]
    everything += reproduce.released_seeds()
    compared = released.methods()
    everything += [released.voting(compared)[0], *released.sequential(compared)]
    labels = {run.run_label("test") for run in everything}
    evaluations = reproduce.evaluations("all")
    answered = [overrides[0] for name, *overrides in steps if name == "evaluate"]
    assert answered.count("experiment=qwen") == 1  # all its budgets in one pass
    assert len(answered) - 1 == len(labels) == len(evaluations)
    assert {run.run_label("test") for run in evaluations.values()} == labels


@pytest.mark.parametrize("part", ["same_data", "compare"])
def test_other_data_or_another_accuracy_is_exit_code_1(steps, monkeypatch, part):
    monkeypatch.setattr(reproduce, part, lambda *arguments: False)
    assert exit_code("main") == 1


def test_what_is_not_released_is_reported_before_anything_runs(steps, monkeypatch, capsys):
    def missing(stage, label):
        raise UserError(f"{stage} run {label} is 0 times in logs/")

    monkeypatch.setattr(reproduce.released, "run_folder", missing)
    assert exit_code("main") == 2 and not steps and "is 0 times in logs/" in capsys.readouterr().err


# --- the Qwen2.5 scale -----------------------------------------------------------------


@pytest.fixture
def qwen(monkeypatch, tmp_path):
    """The folder of a synthetic release of experiment=qwen, and of two of its evaluations."""
    folder = tmp_path / "data" / "qwen" / "qwen"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "train.jsonl").write_text("{}\n")
    (tmp_path / "data" / "cpu").symlink_to(ROOT / "data" / "cpu")
    monkeypatch.setattr(reproduce.runs, "ROOT", tmp_path)
    labels = {"qwen-trained-math-test", "qwen-trained-cap64-test"}
    found = reproduce.released.run_folders

    def folders(stage, label, *logs):
        if label.startswith("qwen-trained-"):
            return [folder] if label in labels else []
        return found(stage, label, *logs)

    monkeypatch.setattr(reproduce.released, "run_folders", folders)
    return folder


def test_the_qwen_arm_is_trained_on_its_released_rows_and_answers_in_one_pass(steps, qwen):
    assert exit_code("qwen") == 0
    rows = "+rows=data/qwen/qwen/train.jsonl"
    sweep = "sweep=[math,cap64]"
    assert steps == [
        ("train", "experiment=qwen", rows),
        ("evaluate", "experiment=qwen", rows, "benchmark.split=test", sweep),
    ]


def test_a_qwen_arm_that_is_not_released_is_one_sentence(steps, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(reproduce.runs, "ROOT", tmp_path)
    assert exit_code("qwen") == 2 and not steps
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "the rows of experiment=qwen are not released" in message and "collect.py" in message


def test_qwen_rows_without_an_evaluation_are_one_sentence(steps, qwen, monkeypatch, capsys):
    monkeypatch.setattr(reproduce.released, "run_folders", lambda stage, label: [])
    assert exit_code("qwen") == 2 and not steps
    assert "no evaluation of experiment=qwen on its test questions" in capsys.readouterr().err


def test_all_of_it_has_the_qwen_arm_where_it_is_released(steps, qwen):
    assert exit_code("all") == 0
    assert [step[1] for step in steps].count("experiment=qwen") == 2
    assert sum(step[0] == "collect" for step in steps) == 7


def test_another_seed_of_a_model_s_rows_is_trained_on_the_released_ones():
    rows = "+rows=data/cpu/cpu-distilled/train.jsonl"
    assert reproduce.with_seed("cpu-distilled", 1) == ["seed=1", rows]
    assert reproduce.with_seed("cpu-distilled", 0) == []
    assert reproduce.with_seed("cpu-s1", 2) == ["seed=2"]


@pytest.fixture(scope="module")
def plans():
    """The Study of every run that is reproduced, by its label: composing takes a while."""
    return {
        run.run_label("test"): reproduce.planned("evaluate", *reproduce.overrides(run))
        for run in reproduce.evaluations("all").values()
    }


def test_the_command_line_of_every_row_and_method_composes_to_the_run_that_it_names(plans):
    for run in reproduce.evaluations("all").values():
        plan = plans[run.run_label("test")]
        parts = (plan.subject, plan.control, plan.budget, plan.decoding)
        names = (plan.name, *(part.name for part in parts))
        assert names == (run.experiment, run.subject, run.control, run.budget, run.decoding)
        assert stages._label(plan, None) == run.run_label("test")


def test_the_limits_of_the_methods_are_those_of_the_budget_or_of_the_instruction(plans):
    for method in released.methods().methods:
        for run in method.runs:
            plan = plans[run.run_label("test")]
            if plan.control.kind == "class":
                limits = {"short": (None, 1), "long": (1, None)}
                assert method.unit == "unasked"
                assert (run.least, run.most) == limits[run.control]
            else:
                assert method.unit == ("steps" if plan.control.kind == "steps" else "tokens")
                assert run.least is None
                assert run.most == (plan.control.limit or plan.budget.max_thinking)
            if method.name == "TCC+BF":
                assert plan.budget.max_thinking == run.most
            if method.name in ("TCC", "SCC"):
                assert plan.budget.force_answer == "never"
            assert (plan.budget.tries > 1) == (method.name == "RS")


def test_rows_are_compared_with_the_released_ones_or_with_those_that_the_released_training_names():
    shared = reproduce.released_data("cpu-step-conditional")
    assert set(reproduce.released_data("cpu")) == {"traces.jsonl", "train.jsonl"}
    assert shared == {"train.jsonl": reproduce.released_data("cpu")["train.jsonl"]}
    with pytest.raises(UserError, match="is missing; restore data/ from git"):
        reproduce.released_data("no-such-experiment")
