"""The benchmarks of the paper: task files, local copies, the order of options, and lm-eval.

The benchmark files are not part of the project; tests over them read the folder PONDER_BENCHMARKS,
else shared/benchmarks beside the checkout, and skip where a file is absent. GPQA is made up here:
its terms forbid to show it.
"""

import dataclasses
import json
import os
from pathlib import Path

import pytest
from conftest import ROOT, SMOKE, composed, evaluated, study_of
from omegaconf import OmegaConf

from ponder import rows
from ponder.audit import answers as audited
from ponder.audit import explain
from ponder.config import build
from ponder.errors import UserError
from ponder.grading import sealed, verify
from ponder.questions import benchmark_rows, benchmarks
from ponder.questions.drawn import question_id
from ponder.release import exports, revisions

BENCHMARKS = Path(os.environ.get("PONDER_BENCHMARKS", ROOT.parent / "shared" / "benchmarks"))
NAMES = ["aime24", "aime25", "gpqa_diamond", "gsm8k", "math500"]
ROWS = {"aime24": 30, "aime25": 30, "gpqa_diamond": 198, "gsm8k": 1319, "math500": 500}


def spec_of(name, *overrides):
    """Return the HubBenchmark of conf/benchmark/<name>.yaml."""
    config = composed("name=any", f"benchmark={name}", *overrides, script="evaluate")
    return build(benchmarks.HubBenchmark, config.benchmark, "benchmark")


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_these_are_the_benchmarks():
    assert benchmarks.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_task_file_names_its_data_set_and_a_revision(name):
    data = benchmarks.data(name, {})
    assert data.task == name and "/" in data.hub
    assert data.rows == ROWS[name] and data.data_files == ()
    assert data.revision == "unverified" or len(data.revision) == 40


@pytest.mark.parametrize("name", NAMES)
def test_a_revision_can_be_resolved_in_the_task_file(name):
    text = (benchmarks.TASKS / f"{name}.yaml").read_text()
    new, answers, failures = revisions.resolve(text, lambda hub: "a" * 40)
    if "unverified" in text:
        assert list(answers) == [benchmarks.data(name, {}).hub] and not failures
        assert "revision: " + "a" * 40 in new


@pytest.mark.parametrize("name", [*NAMES, "s1"])
def test_a_benchmark_is_an_option_of_the_configuration(name):
    spec = spec_of(name)
    assert spec.name == name and spec.kind == "hub" and spec.split == "test"
    assert set(benchmarks.inputs(spec)) == {f"{task} {spec.data(task).hub}" for task in spec.tasks}


def test_no_option_of_the_drawn_benchmarks_is_taken_for_one_of_these():
    drawn = composed("name=any", "benchmark=cpu", script="evaluate").benchmark
    with pytest.raises(UserError):
        build(benchmarks.HubBenchmark, drawn, "benchmark")


@pytest.mark.parametrize(
    "overrides, words",
    [
        (["benchmark.tasks=[coin]"], ["names coin", "aime24"]),
        (["benchmark.tasks=[]"], ["benchmark.tasks is empty"]),
        (["benchmark.split=dev"], ["benchmark.split is 'dev'"]),
        (["benchmark.limit=0"], ["benchmark.limit is 0"]),
        (["+benchmark.local.aime24.rows=3"], ["benchmark.local is 'aime24'", "math500"]),
        (
            ["+benchmark.local.math500.row=3"],
            ["benchmark.local.math500.row is read by nothing", "rows"],
        ),
        (["+benchmark.local.math500.revision=main"], ["they name the benchmark"]),
        (["+benchmark.local.math500=x.jsonl"], ["must be a mapping"]),
        (["+benchmark.local.math500.wrong=[a]"], ["has 1 wrong options", "must have 3"]),
        (["+benchmark.local.math500.rows=0"], ["rows is 0"]),
    ],
)
def test_a_mistake_is_told_in_one_sentence(overrides, words):
    with pytest.raises(UserError) as raised:
        spec_of("math500", *overrides)
    message = str(raised.value)
    assert "\n" not in message and all(word in message for word in words)


# --- reading -----------------------------------------------------------------------------


def local(task, path, **changes):
    return benchmarks.data(task, {"data_files": [str(path)], **changes})


@pytest.mark.parametrize(
    "task, changes",
    [
        ("aime24", {"question": "question"}),
        ("math500", {"question": "question"}),
        ("gsm8k", {"question": "problem", "after": None, "rows": 8792}),
    ],
)
def test_a_local_copy_is_read(task, changes):
    path = BENCHMARKS / f"{task}.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is absent; PONDER_BENCHMARKS names the folder of benchmark files")
    rows = benchmark_rows.read(local(task, path, **changes))
    file_rows = [json.loads(line) for line in path.read_text().split("\n") if line]
    assert [row["answer"] for row in rows] == [row["answer"] for row in file_rows]
    assert all(row["id"] == question_id(row["question"]) and row["options"] == [] for row in rows)


def test_another_number_of_rows_is_another_benchmark(tmp_path):
    rows = [{"problem": "1+1?", "answer": "2"}, {"problem": "1+2?", "answer": "3"}]
    path = written(tmp_path / "a.jsonl", rows)
    message = r"math500 has 500 questions, but .* has 2; .*benchmark.local.math500.rows=2"
    with pytest.raises(UserError, match=message):
        benchmark_rows.read(local("math500", path))
    assert [row["answer"] for row in benchmark_rows.read(local("math500", path, rows=2))] == [
        "2",
        "3",
    ]


@pytest.mark.parametrize(
    "row, words",
    [
        ({"question": "x", "answer": "1"}, "no column problem"),
        ({"problem": "x"}, "no column answer"),
        ({"problem": "", "answer": "1"}, "problem is empty"),
        ({"problem": "x", "answer": ""}, "answer is empty"),
        ({"problem": "x", "answer": "1" * 257}, "257 characters"),
        ({"problem": "One?", "answer": "1"}, "the same question"),
    ],
)
def test_a_row_that_gives_no_question_is_told_with_its_number(tmp_path, row, words):
    path = written(tmp_path / "a.jsonl", [{"problem": "one?", "answer": "1"}, row])
    with pytest.raises(UserError, match=f"math500, row 2: .*{words}"):
        benchmark_rows.read(local("math500", path, rows=2))


def test_the_answer_of_gsm8k_stands_behind_the_solution(tmp_path):
    row = {"question": "how many?", "answer": "6*3=<<6*3=18>>18 eggs\n#### 1,018"}
    path = written(tmp_path / "a.jsonl", [row])
    assert benchmark_rows.read(local("gsm8k", path, rows=1))[0]["answer"] == "1,018"
    path = written(tmp_path / "b.jsonl", [row | {"answer": "18"}])
    with pytest.raises(UserError, match="without '####'"):
        benchmark_rows.read(local("gsm8k", path, rows=1))


def test_a_part_in_the_order_of_the_ids_is_the_same_whatever_the_order_of_the_rows(tmp_path):
    rows = [{"question": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(20)]
    orders = []
    for name, some in (("given", rows), ("turned", rows[::-1])):
        path = written(tmp_path / f"{name}.jsonl", some)
        changes = {"data_files": [path], "rows": 20, "after": None, "order": "hash"}
        data = spec_of("gsm8k-400").data("gsm8k")
        assert data.order == "hash"
        questions = benchmark_rows.read(benchmarks.data("gsm8k", changes))
        orders.append([question["question"] for question in questions])
    assert orders[0] == orders[1] != [row["question"] for row in rows]


def test_a_hub_out_of_reach_is_told():
    message = (
        r"^math500: simplescaling/openaimath cannot be read .*; allow the network, or give a local "
        r"copy with \+\+benchmark\.local\.math500\.data_files=\[math500\.jsonl\]$"
    )
    with pytest.raises(UserError, match=message):
        benchmark_rows.read(benchmarks.data("math500", {}))


def test_a_local_file_is_named_by_its_content(tmp_path):
    path = written(tmp_path / "a.jsonl", [{"problem": "1+1?", "answer": "2"}])
    spec = spec_of("math500", f"+benchmark.local.math500.data_files=[{path}]")
    before = benchmarks.inputs(spec)
    written(tmp_path / "a.jsonl", [{"problem": "1+1?", "answer": "3"}])
    assert set(before) == {"math500 a.jsonl"} and benchmarks.inputs(spec) != before
    os.remove(path)
    with pytest.raises(UserError, match="cannot be read"):
        benchmarks.inputs(spec)


# --- options -----------------------------------------------------------------------------


def gpqa(number):
    return {
        "Question": f"Which is the number {number}?",
        "Correct Answer": f"{number}\n",
        **{f"Incorrect Answer {at}": f"{number + at}" for at in (1, 2, 3)},
    }


def test_options_are_ordered_by_a_hash_of_the_questions_id_and_by_nothing_else(tmp_path):
    def questions_of(rows):
        path = written(tmp_path / "rows.jsonl", rows)
        return benchmark_rows.read(local("gpqa_diamond", path, rows=len(rows)))

    numbers = range(0, 2000, 10)
    rows = [gpqa(number) for number in numbers]
    questions = questions_of(rows)
    letters = [question["answer"] for question in questions]
    assert questions == questions_of(rows[::-1])[::-1], "the order of the rows says nothing"
    one, two, three, four = questions[7]["options"]
    assert questions[7]["question"].endswith(f"\n\nA) {one}\nB) {two}\nC) {three}\nD) {four}")
    for question, number in zip(questions, numbers, strict=True):
        assert question["options"]["ABCD".index(question["answer"])] == str(number)
    assert min(letters.count(letter) for letter in "ABCD") > 30, "each is right about as often"
    changed = questions_of(
        [row | {"Correct Answer": "9", "Incorrect Answer 1": "8"} for row in rows]
    )
    assert [question["answer"] for question in changed] == letters, "nor do the options' texts"


def test_the_order_of_options_stays_as_it_is():
    """A new order would be another benchmark."""
    assert [benchmark_rows.option_order(ident) for ident in ("0" * 16, "f" * 16)] == [
        [0, 3, 2, 1],
        [2, 0, 1, 3],
    ]


# --- lm-eval -----------------------------------------------------------------------------


def test_lm_eval_asks_and_grades_a_local_copy(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    from lm_eval.api.model import LM
    from lm_eval.evaluator import evaluate
    from lm_eval.tasks import TaskManager

    science = written(tmp_path / "g.jsonl", [gpqa(number) for number in range(0, 40, 10)])
    maths = written(
        tmp_path / "m.jsonl",
        [
            {"problem": "half?", "answer": r"\frac{1}{2}"},
            {"problem": "{{x}} squared?", "answer": "x^2"},
            {"problem": "none?", "answer": "0"},
        ],
    )
    spec = spec_of(
        "s1",
        "benchmark.tasks=[gpqa_diamond,math500]",
        f"+benchmark.local.gpqa_diamond={{data_files: [{science}], rows: 4}}",
        f"+benchmark.local.math500={{data_files: [{maths}], rows: 3}}",
    )
    local_changes = OmegaConf.to_container(OmegaConf.create(spec.local))
    manager = TaskManager(
        include_path=str(benchmarks.TASKS),
        include_defaults=False,
        metadata={"local": local_changes, "revision": "of a model"},
    )
    prompts = []
    replies = {
        "half?": "Final Answer: 0.5",
        "{{x}} squared?": r"\boxed{x \cdot x}",
        "none?": "Final Answer: 1",
    }

    class Scripted(LM):
        def generate_until(self, requests, disable_tqdm=False):
            prompts.extend(request.args for request in requests)
            return [
                replies.get(request.args[0], f"({request.doc['answer']})") for request in requests
            ]

        def loglikelihood(self, requests):
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    results = evaluate(
        Scripted(), manager.load(list(spec.tasks)), bootstrap_iters=0, log_samples=True
    )
    accuracies = results["results"]["gpqa_diamond"]
    assert accuracies["acc,none"] == accuracies["acc_second,none"] == 1
    samples = sorted(results["samples"]["math500"], key=lambda row: row["doc_id"])
    assert [row["acc"] for row in samples] == [1, 1, 0]
    assert any(prompt == "{{x}} squared?" for prompt, _ in prompts), "a question is no template"
    assert all(settings["until"] == [] for _, settings in prompts)


def test_a_benchmark_runs_from_end_to_end(tmp_path, caplog):
    rows = [{"problem": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(3)]
    path = written(tmp_path / "copy.jsonl", rows)
    run = evaluated(
        study_of(
            *SMOKE,
            f"out={tmp_path / 'out'}",
            "subject=base",
            "budget=plain",
            "budget.max_thinking=8",
            "budget.max_answer=8",
            "benchmark=math500",
            "benchmark.limit=null",
            f"+benchmark.local.math500={{data_files: [{path}], rows: 3}}",
        )
    )
    assert run.name.startswith("smoke-base-plain-math500-")
    assert "--metadata" not in caplog.text, "lm-eval advises on a command that is not ours"
    samples = [json.loads(line) for line in (run.folder / "samples.jsonl").read_text().splitlines()]
    assert [(s["task"], s["id"], s["gold_sha256"]) for s in samples] == [
        ("math500", question_id(r["problem"]), sealed.seal(r["answer"])) for r in rows
    ]
    assert not any({"question", "gold"} & set(s) for s in samples), "their text is not ours"
    beside = [
        json.loads(line) for line in (run.folder / "questions.jsonl").read_text().splitlines()
    ]
    assert [(q["question"], q["answer"]) for q in beside] == [
        (r["problem"], r["answer"]) for r in rows
    ]
    shown = explain.answers_of(run.folder)
    assert {s.question for s in shown.values()} == {r["problem"] for r in rows}
    assert all({"how", "by", "second", "answer"} <= set(s) for s in samples)
    assert json.loads((run.folder / "results.json").read_text())["all"]["n"] == 3
    assert (run.folder / "disagreements.jsonl").exists()
    assert len((tmp_path / "out" / "test-readings.jsonl").read_text().splitlines()) == 1, (
        "reading it is logged"
    )


# --- what is kept of a public benchmark ------------------------------------------------


def public_sample(reply, gold, **changes):
    """Return the row of an answer to a public benchmark."""
    facts = {
        "task": "gsm8k",
        "id": "0" * 16,
        "thinking": "",
        "reply": reply,
        "ids": [],
        "forced": [],
        "num_thinking": 0,
        "num_answer": 0,
        "num_ignored": 0,
        "capped": False,
        "finish": "stop",
        "prompt_sha256": "0" * 16,
        "gold_sha256": sealed.seal(gold),
    }
    return rows.row_of(rows.SampleRow, {**facts, **verify.grade(reply, gold), **changes})


SEALED = [
    ("Final Answer: 18", "18", True),
    ("Final Answer: 18.00", "18", True),
    ("Final Answer: 1,018 eggs", "1018", True),
    ("Final Answer: \\boxed{1018}", "1,018", True),
    ("Final Answer: She makes 18 dollars.", "18", True),
    ("Final Answer: \\boxed{\\sqrt{324}}", "18", True),  # by mathematics
    ("Final Answer: \\boxed{\\sqrt{323}}", "18", False),
    ("Final Answer: 19", "18", False),
    ("I do not know.\nReally.", "18", False),
]


@pytest.mark.parametrize("reply, gold, is_right", SEALED)
def test_an_answer_whose_gold_is_a_whole_number_is_graded_again(reply, gold, is_right):
    sample = public_sample(reply, gold)
    assert sample.correct == is_right
    assert audited.text_problem(sample, {}) is None and audited.grade_problem(sample) is None
    for by in (sample.by, "math", "limit"):
        turned = public_sample(reply, gold, correct=not is_right, by=by)
        assert "is marked" in audited.grade_problem(turned)


@pytest.mark.parametrize("gold", ["\\frac{14}{3}", "1,2", "52_8", "50\\%", "2\\sqrt{2}", "-5"])
def test_an_answer_whose_gold_is_none_is_not_said_to_be_wrong(gold):
    for reply in (f"Final Answer: {gold}", "Final Answer: 7"):
        assert audited.grade_problem(public_sample(reply, gold)) is None


@pytest.mark.parametrize("letter", "ABCD")
def test_the_letter_of_an_option_is_found(letter):
    assert sealed.opened(sealed.seal(letter)) == letter


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"question": "How many?"}, "not ours to publish"),
        ({"gold": "18"}, "not ours to publish"),
        ({"gold_sha256": rows.ABSENT}, "no gold_sha256"),
        ({"gold_sha256": sealed.seal("19")}, "another gold_sha256"),
    ],
)
def test_the_text_of_a_public_benchmark_and_another_gold_answer_are_told(changes, words):
    honest = public_sample("Final Answer: 18", "18")
    golds = {}
    assert audited.text_problem(honest, golds) is None
    assert words in audited.text_problem(dataclasses.replace(honest, **changes), golds)


def test_a_hash_beside_a_released_question_is_told():
    question = {"question": "How many?", "answer": "5"}
    sample = dataclasses.replace(
        public_sample("Final Answer: 7", "7"), question="How many?", gold="5"
    )
    assert "though its question is released" in audited.question_problem(sample, question)


def test_an_answer_to_a_public_benchmark_is_explained_and_exported_without_its_text():
    sample = public_sample("Final Answer: 18", "18")
    assert explain.texts(sample, "question", "gold") == []
    exported = exports._answer(sample, "any")
    assert exported["input"] == {"raw": "not ours to publish", "reference": []}


def test_the_gold_answers_of_gsm8k_are_found_and_two_questions_have_two_hashes():
    path = BENCHMARKS / "gsm8k.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with open(path) as file:
        texts = [json.loads(line)["answer"].rpartition("####")[2].strip() for line in file][-1319:]
    found = [sealed.opened(sealed.seal(text)) for text in texts]
    assert found.count(None) <= 4, "negative numbers, and those beyond a million"
    assert all(
        value in (None, text.replace(",", "")) for value, text in zip(found, texts, strict=True)
    )
    one, other = (
        exports._answer(public_sample("Final Answer: 18", "18", id=ident * 16), "any")
        for ident in "01"
    )
    assert one["sample_hash"] != other["sample_hash"]
