"""An evaluation from end to end inside lm-eval.

Budgets act, killed runs go on, and results follow from the samples.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import datasets
import pytest
import yaml
from conftest import ROOT, SMOKE, collected, command, evaluated, script, study_of, trained
from servers import Tokens, status

from ponder import hashing, models, stages, statistics
from ponder.decode import budget as budgets
from ponder.decode import hf
from ponder.errors import UserError
from ponder.evaluate import harness, results, subjects
from ponder.questions import drawn
from ponder.rows import SampleRow, row_of
from ponder.runs import read_jsonl

SMALL = ("hardware.decode_rows=1", "budget.max_answer=8")  # blocks of 4 questions
BASE = ("subject=base", "budget=plain", "budget.max_thinking=24", *SMALL)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A folder with the smoke data and the smoke adapter."""
    os.chdir(ROOT)
    folder = tmp_path_factory.mktemp("harness")
    trained(collected(folder))
    return folder


def plan_of(out, *overrides):
    return study_of(*SMOKE, f"out={out}", *overrides)


@pytest.fixture(scope="module")
def base(out):
    """The untrained pocket on 2 questions of each task, blocks of 4."""
    return evaluated(plan_of(out, *BASE))


def samples_of(run):
    return read_jsonl(run.folder / "samples.jsonl")


def test_every_task_has_its_first_questions_in_their_order(base, out):
    plan = plan_of(out, *BASE)
    answered = [(row["task"], row["id"]) for row in samples_of(base)]
    assert Counter(task for task, _ in answered) == dict.fromkeys(plan.benchmark.tasks, 2)
    rows = drawn.read_split(plan.benchmark.dir, "dev")
    for task in plan.benchmark.tasks:
        first = [row.id for row in rows if row.family == task][:2]
        assert [question_id for name, question_id in answered if name == task] == first
    by_id = {row.id: row for row in rows}
    assert all(
        (s["question"], s["gold"]) == (by_id[s["id"]].question, by_id[s["id"]].answer)
        for s in samples_of(base)
    )


def test_results_are_recomputed_from_the_samples(base):
    samples, results = samples_of(base), json.loads((base.folder / "results.json").read_text())
    assert results["all"] == statistics.summary(samples)
    for task, result in results["tasks"].items():
        assert result == statistics.summary([s for s in samples if s["task"] == task])


def test_every_sample_can_be_audited(base, out, chat):
    plan = plan_of(out, *BASE)
    for row in samples_of(base):
        assert all(row["ids"][at] is not None for at in row["forced"])
        assert len(row["ids"]) == row["num_thinking"] + row["num_answer"] + len(row["forced"])
        assert row["rounds"] == [[row["num_thinking"], row["rounds"][0][1]]]
        assert row["finish"] in ("stop", "length")
        assert row["num_thinking"] <= 24 and row["num_answer"] <= 8
        assert row["reply"].startswith(plan.model.delimiters.final)
        assert chat.decode(row["ids"]).startswith(row["thinking"])
        folder = models.base_folder(plan.model, plan.out)
        assert hashing.file_sha256(folder / "model.safetensors").startswith(row["base_sha256"])
        assert hashing.file_sha256(folder / "tokenizer.json").startswith(row["tokenizer_sha256"])
        assert (row["adapter_sha256"], row["seed"]) == (None, None)
        assert "transformers" in row["engine"]
    assert not (base.folder / "generations.jsonl").exists()


def test_a_batch_is_decoded_as_the_engine_alone_would(base, out, pocket_model):
    plan = plan_of(out, *BASE)
    plain = dataclasses.replace(pocket_model.delimiters, think=None, answer=None)
    network, chat = models.load(models.base_folder(plan.model, plan.out), plain)
    for row in samples_of(base)[:3]:
        (alone,) = hf.decode(
            network, [chat.prompt(row["question"])], plan.budget, chat.marks("Wait"), 1
        )
        assert alone.ids == row["ids"]


@pytest.mark.parametrize("cut", ["one block", "half a block", "half a line", "nothing"])
def test_a_killed_evaluation_goes_on_to_the_same_samples(base, out, tmp_path, monkeypatch, cut):
    (tmp_path / "models").symlink_to(out / "models")
    plan = plan_of(tmp_path, *BASE)
    run, straight, calls = stages.evaluate_run(plan), hf.run, []

    def killed(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return straight(*arguments, **options)

    monkeypatch.setattr(hf, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluated(plan)
    path = run.folder / "generations.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 8 and not run.finished
    kept, whole = {
        "one block": (lines[:4], 1),
        "half a block": (lines[:6], 1),
        "half a line": ([*lines[:7], lines[7][:50]], 1),
        "nothing": ([], 0),
    }[cut]
    path.write_bytes(b"".join(kept))
    calls[:] = [1, 1, 1]
    assert evaluated(plan).name == base.name
    assert len(calls) - 3 == 4 - whole, "only what was not kept is decoded again"
    for name in ("samples.jsonl", "results.json"):
        assert (run.folder / name).read_bytes() == (base.folder / name).read_bytes()


def test_a_cap_of_16_is_never_exceeded(out):
    rows = samples_of(
        evaluated(plan_of(out, "budget=cap16", "benchmark.tasks=[coin,facing]", *SMALL))
    )
    assert len(rows) == 4
    for row in rows:
        assert row["num_thinking"] <= 16
        assert row["capped"] == (row["num_thinking"] == 16)
        assert not row["capped"] or row["reply"].startswith("Final Answer:")


def test_cap_0_has_no_thinking_at_all(out):
    rows = samples_of(evaluated(plan_of(out, "budget=cap0", "benchmark.tasks=[coin]", *SMALL)))
    assert all(
        (row["num_thinking"], row["thinking"], row["capped"]) == (0, "", True) for row in rows
    )


def scripted(plans, runs, chat, texts):
    """Return the language models of a model that says `texts(question)`.

    These are rounds of thinking and, last, an answer.
    """
    (plan,) = plans

    def answer_one(question):
        row, end = budgets.forced(plan.budget, chat.marks(plan.budget.nudge)), (chat.turn_end,)
        next(row)
        try:
            for text in texts(question):
                row.send(budgets.Completion((*chat.encode(text), *end), end))
        except StopIteration as stop:
            return [harness.record_of(stop.value, chat)]

    def answer(keys, questions):
        return ((index, answer_one(question)) for index, question in enumerate(questions))

    subject = harness.Answerer(lambda task, question: question, answer, False, 4, whole_blocks=True)
    return [harness.BudgetedLM(runs, 0, subject)]


def test_wait_fires_and_the_changed_mind_is_graded(out, chat, monkeypatch):
    plan = plan_of(out, "budget=wait1", "benchmark.tasks=[coin]", "benchmark.limit=null")
    golds = {row.question: row.answer for row in drawn.read_split(plan.benchmark.dir, "dev")}
    other = {"heads": "tails", "tails": "heads"}

    def texts(question):
        return other[golds[question]], f" {golds[question]}", f"Final Answer: {golds[question]}"

    monkeypatch.setattr(
        subjects, "language_models", lambda plans, runs: scripted(plans, runs, chat, texts)
    )
    run = evaluated(plan)
    rows = samples_of(run)
    assert len(rows) == 30 and all(row["num_ignored"] == 1 and row["correct"] for row in rows)
    for row in rows:
        assert row["thinking"] == f"{other[row['gold']]}Wait {row['gold']}"
        forced = chat.decode([row["ids"][position] for position in row["forced"]])
        assert forced.startswith("Wait\n<|im_start|>answer")
    results = json.loads((run.folder / "results.json").read_text())["tasks"]["coin"]
    assert (results["accuracy"], results["ignored_ends"], results["capped"]) == (1.0, 30, 0)


def test_wrong_and_missing_answers_count_as_wrong(out, chat, monkeypatch):
    plan = plan_of(out, "budget=free", "benchmark.tasks=[coin]", "benchmark.limit=null")
    golds = {row.question: row.answer for row in drawn.read_split(plan.benchmark.dir, "dev")}
    replies = iter(10 * ["right", "Final Answer: a coin", "heads or tails, who knows"])

    def texts(question):
        reply = next(replies)
        return "hm", f"Final Answer: {golds[question]}" if reply == "right" else reply

    monkeypatch.setattr(
        subjects, "language_models", lambda plans, runs: scripted(plans, runs, chat, texts)
    )
    result = json.loads((evaluated(plan).folder / "results.json").read_text())["all"]
    assert (result["n"], result["correct"]) == (30, 10)


def test_the_nearest_question_answers_without_a_model(out):
    rows = samples_of(evaluated(plan_of(out, "subject=nearest", "benchmark.tasks=[coin,facing]")))
    known = {
        row["id"]: row["answer"]
        for row in read_jsonl(stages.collect_run(plan_of(out)).folder / "train.jsonl")
    }
    assert all(
        row["reply"] == f"Final Answer: {known[row['nearest']]}" and row["num_thinking"] == 0
        for row in rows
    )


def test_worked_examples_are_never_questions_that_are_asked(out):
    plan = plan_of(out, "subject=base-4shot", "benchmark.split=test")
    examples = subjects.worked_examples(plan)
    asked = {row.question for row in drawn.read_split(plan.benchmark.dir, "test")}
    dev = {row.question for row in drawn.read_split(plan.benchmark.dir, "dev")}
    for task in plan.benchmark.tasks:
        shown = {question for question, _, _ in examples[task]}
        assert len(shown) == 4 and not shown & asked
        assert not plan.questions.spec(task).trained or not shown & dev


def test_a_transfer_family_is_not_asked_dev_with_examples_from_dev(out):
    plan = plan_of(out, "subject=base-4shot", "benchmark.tasks=[facing,coin]")
    with pytest.raises(
        UserError, match="coin has no question in probe to show as a worked example"
    ):
        subjects.worked_examples(plan)
    plan = plan_of(out, "subject=base-4shot", "benchmark.tasks=[facing]")
    assert len(subjects.worked_examples(plan)["facing"]) == 4


def test_an_edited_question_file_is_told_before_anything_is_asked(out, tmp_path):
    shutil.copytree(ROOT / "data/cpu/questions", tmp_path / "questions")
    path = tmp_path / "questions/dev/coin.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    plan = plan_of(out, *BASE, "benchmark.tasks=[coin]", f"benchmark.dir={tmp_path / 'questions'}")
    with pytest.raises(
        UserError, match="coin.jsonl is not the file that the manifest was written for"
    ):
        evaluated(plan)


def test_the_questions_of_another_folder_are_asked(base, out, tmp_path):
    shutil.copytree(ROOT / "data/cpu/questions", tmp_path / "questions")
    own = ("benchmark.tasks=[coin]", f"benchmark.dir={tmp_path / 'questions'}")
    rows = samples_of(evaluated(plan_of(out, *BASE, *own)))
    assert rows == [row for row in samples_of(base) if row["task"] == "coin"]


def test_the_files_for_stock_lm_eval_ask_what_evaluate_asks(out):
    for split in ("dev", "test"):
        plan = plan_of(out, *BASE, f"benchmark.split={split}")
        for task in harness.drawn_tasks(plan.benchmark):
            file = yaml.safe_load((harness.TASKS / f"{task['task']}.yaml").read_text())
            assert file["task"] == task["task"] and file["include"] == "_family"
            data_files = file["dataset_kwargs"]["data_files"]
            assert data_files[split] == task["dataset_kwargs"]["data_files"][split]
            assert set(file) == {"include", "task", "dataset_kwargs"}


def test_stock_lm_eval_runs_a_task_from_the_root_and_reads_dev(pocket_folder, tmp_path):
    command = (
        f"{sys.executable} -m lm_eval --include_path ponder/evaluate/tasks --model hf "
        f"--model_args pretrained={pocket_folder} --tasks facing --apply_chat_template --limit 1 "
        f"--log_samples --output_path {tmp_path}"
    )
    process = subprocess.run(
        command.split(),
        cwd=ROOT,
        env=os.environ | {"HF_DATASETS_CACHE": str(tmp_path / "datasets")},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    row = json.loads(next(tmp_path.rglob("samples_facing_*.jsonl")).read_text().splitlines()[0])
    first = next(q for q in drawn.read_split("data/cpu/questions", "dev") if q.family == "facing")
    assert row["doc"]["id"] == first.id


@pytest.mark.parametrize("split, rows", [("dev", 0), ("test", 1)])
def test_a_reading_of_test_is_logged_and_one_of_dev_is_not(out, tmp_path, split, rows):
    (tmp_path / "models").symlink_to(out / "models")
    plan = plan_of(tmp_path, *BASE, "benchmark.tasks=[coin]", f"benchmark.split={split}")
    run = evaluated(plan)
    log = tmp_path / "test-readings.jsonl"
    logged = read_jsonl(log) if log.exists() else []
    assert [row["run"] for row in logged] == [run.name] * rows
    ids = {row.id for row in drawn.read_split(plan.benchmark.dir, split)}
    assert {row["id"] for row in samples_of(run)} <= ids and f"-{split}-" in run.name


@pytest.mark.parametrize("context, fits", [(1000, True), (999, False)])
def test_prompt_thinking_closing_and_answer_must_fit_the_context(chat, context, fits):
    marks = chat.marks("Wait")
    closing = len(chat.encode("\n")) + len(marks.forced_answer)
    rule = budgets.Budget("test", 1000 - 100 - closing - 32, 0, "Wait", 32, "capped", "total")
    if fits:
        return budgets.check_room(rule, marks, 100, context)
    with pytest.raises(
        UserError, match=f"leaves no room for an answer.*give at most {rule.max_thinking - 1}$"
    ):
        budgets.check_room(rule, marks, 100, context)


def test_a_task_that_is_not_there_is_told(out):
    with pytest.raises(UserError, match="dev/geometry.jsonl.*known tasks: boolean"):
        stages.evaluate_run(plan_of(out, *BASE, "benchmark.tasks=[geometry]"))


def test_an_evaluation_without_an_adapter_is_told_what_to_run(out):
    with pytest.raises(UserError, match="make it with: python train.py experiment=smoke"):
        stages.evaluate_run(plan_of(out, "train.lr=0.5"))


def test_the_same_samples_in_another_folder(base, out, tmp_path):
    (tmp_path / "models").symlink_to(out / "models")
    again = evaluated(plan_of(tmp_path, *BASE))
    assert again.folder != base.folder
    for name in ("samples.jsonl", "results.json", "config.yaml"):
        assert (again.folder / name).read_bytes() == (base.folder / name).read_bytes()


def test_the_real_command_evaluates_though_a_package_has_its_name(out):
    process = command(
        "evaluate",
        *SMOKE,
        f"out={out}",
        "benchmark.tasks=[coin]",
        "budget=cap16",
        "budget.max_answer=7",
    )
    assert process.returncode == 0, process.stderr
    plan = plan_of(out, "benchmark.tasks=[coin]", "budget=cap16", "budget.max_answer=7")
    assert stages.evaluate_run(plan).finished and "/2)" in process.stdout


def test_what_imports_evaluate_finds_the_package_and_not_our_script():
    """The script's first lines run as for `python evaluate.py`; then the package is imported."""
    code = (
        "import runpy, sys\nsys.argv = ['evaluate.py', '--version']\nsys.path[0] = ''\n"
        "try:\n    runpy.run_path('evaluate.py', run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "import importlib.util\nprint(importlib.util.find_spec('evaluate').origin)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    place = process.stdout.strip()
    assert place.endswith(os.path.join("evaluate", "__init__.py")), process.stderr


def test_a_budget_without_room_is_one_line_and_exit_code_2(out):
    process = command("evaluate", *SMOKE, f"out={out}", *BASE, "budget.max_thinking=2000")
    assert process.returncode == 2
    errors = [line for line in process.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "budget.max_thinking=2000 leaves no room for an answer" in errors[0]
    assert "Traceback" not in process.stderr
    run = stages.evaluate_run(plan_of(out, *BASE, "budget.max_thinking=2000"))
    assert json.loads((run.folder / "status.json").read_text())["status"] == "failed"


def test_our_script_in_this_process_is_not_the_package_either():
    import evaluate

    assert hasattr(evaluate, "load") and script("evaluate").__file__ == str(ROOT / "evaluate.py")


# --- several samples of a question, and what asks about its length ---------------------

DRAWN = (
    "subject=base",
    "budget=plain",
    "budget.max_thinking=24",
    "budget.max_answer=8",
    "benchmark.tasks=[coin]",
    "decoding=sampled",
)


def test_each_question_has_several_samples_from_streams_of_their_own(out):
    run = evaluated(plan_of(out, *DRAWN, "decoding.samples=3"))
    rows = samples_of(run)
    assert [row["sample"] for row in rows] == [0, 1, 2] * 2
    assert run.name.startswith("smoke-base-plain-sampled3-dev-")
    assert len({row["seed"] for row in rows}) == 6
    assert rows[0]["seed"] == f"answer/0/coin/{rows[0]['id']}/0"
    assert len({tuple(row["ids"]) for row in rows}) > 1
    summary = json.loads((run.folder / "results.json").read_text())["all"]
    assert (summary["n"], summary["questions"], summary["samples"]) == (6, 2, 3)
    for name in ("coverage", "voting"):
        assert [entry["k"] for entry in summary[name]] == [1, 2]


def test_a_sample_is_the_same_whatever_is_drawn_beside_it(out):
    three = samples_of(evaluated(plan_of(out, *DRAWN, "decoding.samples=3")))
    two = samples_of(
        evaluated(plan_of(out, *DRAWN, "decoding.samples=2", "hardware.decode_rows=1"))
    )
    assert [row["ids"] for row in two] == [row["ids"] for row in three if row["sample"] < 2]


def test_another_decoding_seed_draws_other_answers(out):
    runs = [evaluated(plan_of(out, *DRAWN, f"decoding.seed={seed}")) for seed in (0, 1)]
    one, other = ([row["ids"] for row in samples_of(run)] for run in runs)
    assert one != other


def test_rejection_sampling_says_how_often_it_drew(out):
    plan = plan_of(
        out,
        "budget=reject8",
        "budget.tries=3",
        "decoding=sampled",
        "decoding.samples=1",
        "benchmark.tasks=[coin]",
    )
    for row in samples_of(evaluated(plan)):
        assert row["num_thinking"] < 8 and (row["finish"] == "rejected") == (row["ids"] == [])
        assert row["thrown"] == 8 * (row["tries"] - (row["finish"] != "rejected"))
        assert row["finish"] != "rejected" or not row["correct"]


def test_a_later_draw_is_another_draw(out):
    plan = plan_of(
        out,
        "budget=reject32",
        "budget.tries=40",
        "decoding=sampled",
        "decoding.samples=1",
        "benchmark.limit=1",
        "subject=base",
        "subject.think=think",
        "subject.answer=answer",
    )
    rows = samples_of(evaluated(plan))
    assert any(row["tries"] > 1 and row["finish"] != "rejected" for row in rows), [
        row["tries"] for row in rows
    ]


def test_an_instruction_reaches_the_prompt_and_nothing_else(out):
    plain = samples_of(evaluated(plan_of(out, "benchmark.tasks=[coin]")))
    short = samples_of(evaluated(plan_of(out, "benchmark.tasks=[coin]", "control=short")))
    assert [row["question"] for row in plain] == [row["question"] for row in short]
    assert all(a["prompt_sha256"] != b["prompt_sha256"] for a, b in zip(plain, short, strict=True))


def sample_row(sample, reply, correct):
    """Return the SampleRow of a sample of the question q, with empty fields elsewhere."""
    return row_of(
        SampleRow,
        {
            "task": "t",
            "id": "q",
            "sample": sample,
            "question": "2 + 2?",
            "gold": "4",
            "thinking": "",
            "reply": reply,
            "correct": correct,
            "ids": [],
            "forced": [],
            "num_thinking": 0,
            "num_answer": 0,
            "num_ignored": 0,
            "capped": False,
            "finish": "",
            "prompt_sha256": "",
        },
    )


def test_the_votes_of_equal_answers_count_together():
    samples = [
        sample_row(0, "Final Answer: 4.0", True),
        sample_row(1, "no", False),
        sample_row(2, "Final Answer: 4", True),
        sample_row(3, "Final Answer: 5", False),
    ]
    numbers = results.together(samples, "test")
    votes = [(entry["k"], entry["value"]) for entry in numbers["voting"]]
    assert votes == [(1, 1.0), (2, 1.0), (4, 1.0)]
    assert numbers["coverage"][0]["value"] == 0.5 and numbers["coverage"][2]["value"] == 1.0


# --- what lm-eval caches ---------------------------------------------------------------

CHEAP = ("subject=nearest", "benchmark.tasks=[coin]")  # no model is decoded


@pytest.fixture
def empty_out(out, tmp_path):
    """A folder with the smoke data, and no evaluation."""
    (tmp_path / "collect").symlink_to(out / "collect")
    return tmp_path


def test_what_lm_eval_caches_lies_beside_the_runs(empty_out, monkeypatch):
    monkeypatch.delenv("HF_DATASETS_CACHE", raising=False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", empty_out / "usual")
    run = evaluated(plan_of(empty_out, *CHEAP))
    assert run.folder.is_relative_to(empty_out)
    assert list((empty_out / "datasets").rglob("*.arrow")) and not (empty_out / "usual").exists()
    assert datasets.config.HF_DATASETS_CACHE == empty_out / "usual", "the package's own again"


def test_a_cache_that_the_environment_names_is_used(empty_out, monkeypatch):
    own = empty_out / "own"
    monkeypatch.setenv("HF_DATASETS_CACHE", str(own))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", own)  # as at its first import
    evaluated(plan_of(empty_out, *CHEAP))
    assert list(own.rglob("*.arrow")) and not (empty_out / "datasets").exists()


# --- behind a server -------------------------------------------------------------------


def served_plan(out, server, *overrides):
    return plan_of(
        out, *BASE, "engine=server", f"engine.url={server.url}", "engine.model=pocket", *overrides
    )


@pytest.fixture
def pocket(base, out):
    """The untrained network that `base` asked."""
    plan = plan_of(out, *BASE)
    return models.load_network(models.base_folder(plan.model, plan.out)).eval()


def test_a_model_behind_a_server_gives_the_samples_of_the_engine_hf(base, out, pocket):
    with Tokens(pocket) as server:
        run = evaluated(served_plan(out, server))
    for served, local in zip(samples_of(run), samples_of(base), strict=True):
        assert served["engine"] == "vllm 0.33.0, model pocket" and served["base_sha256"] is None
        differences = {key for key in local if served[key] != local[key]}
        assert differences == {"engine", "base_sha256"}, differences


def test_what_a_server_answered_is_asked_no_second_time(base, out, pocket, tmp_path):
    (tmp_path / "models").symlink_to(out / "models")
    cut = {}

    def script(text, nth):
        return status(500) if cut and len(server.requests) > cut["after"] else None

    with Tokens(pocket, script=script) as server:
        cut["after"] = 12  # the probe takes some, then half of the questions
        plan = served_plan(tmp_path, server, "client.attempts=1", "client.concurrency=1")
        run = stages.evaluate_run(plan)
        with pytest.raises(UserError, match="status 500"):
            evaluated(plan)
        kept = len((run.folder / "generations.jsonl").read_bytes().splitlines())
        assert 0 < kept < 16 and not run.finished
        cut.clear()
        before = len(server.requests)
        evaluated(plan)
        assert len(server.requests) - before < 2 * 16, "what was kept is not asked again"
    assert [row["ids"] for row in samples_of(run)] == [row["ids"] for row in samples_of(base)]


@pytest.mark.parametrize("limit, said", [(2, "at most 2 questions were asked"), (None, "")])
def test_a_report_says_when_a_limit_left_questions_out(limit, said):
    """A forker's benchmark of twelve questions was asked two, without a word (smoke's limit)."""
    counts = {"accuracy": 0.0, "correct": 0, "n": 2, "thinking_tokens": 3.0}
    counts |= {"capped": 0, "ignored_ends": 0}
    run = SimpleNamespace(config={"benchmark": {"limit": limit}}, name="smoke-x", folder="there")
    text = results.report(run, {"tasks": {"units": counts}, "all": counts})
    assert said in text and ("benchmark.limit" in text) == bool(limit)
