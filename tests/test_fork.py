"""A family and a benchmark that a fork adds: each by its guide, and in one place.

The files of the guides are taken from conf/README.md: what a forker copies is what runs here.
"""

import dataclasses
import json
import re
import shutil
import sys

import pytest
from conftest import ROOT, SMOKE, evaluated, script
from hydra import compose, initialize_config_dir

from ponder import stages, study
from ponder.audit import literals, rows
from ponder.collect import contamination
from ponder.errors import UserError
from ponder.hashing import file_sha256
from ponder.questions import benchmark_rows, benchmarks, drawn, families, pools, solver
from ponder.questions.drawing import draw_family
from ponder.questions.families import FAMILIES
from ponder.questions.family import Candidate, Family, Step
from ponder.runs import read_jsonl

FILE = re.compile(r"^cat > (\S+) <<'END'\n(.*?)^END$", re.MULTILINE | re.DOTALL)
ASKED_SHORTLY = ("subject=base", "budget=plain", "budget.max_thinking=8", "budget.max_answer=8")


def guide(title):
    """Return {path: text} of the files that a section of conf/README.md tells to write."""
    text = (ROOT / "conf/README.md").read_text()
    section = text.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return dict(FILE.findall(section))


def fork(folder, title):
    """Write the files of a guide into a folder, and return their texts by path."""
    files = guide(title)
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return files


def config_of(folder, stage, *overrides):
    """Return the config of a script in a fork whose own options lie in folder/conf."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        own = f"hydra.searchpath=[file://{folder / 'conf'}]"
        return compose(stage, [own, *overrides, f"out={folder / 'out'}"])


@pytest.fixture
def register(monkeypatch):
    """A function that makes a module file a family, as its place in the package would."""

    def add(path):
        monkeypatch.setattr(families, "__path__", [*families.__path__, str(path.parent)])
        name = f"{families.__name__}.{path.stem}"
        monkeypatch.setitem(sys.modules, name, None)  # so that it is taken out again
        del sys.modules[name]
        monkeypatch.setitem(FAMILIES, path.stem, families.family(path.stem))

    return add


# --- a family --------------------------------------------------------------------------


def test_a_family_is_added_in_one_place(tmp_path, register):
    files = fork(tmp_path, "A new family")
    module, experiment = files
    assert module == "ponder/questions/families/largest.py", "the one place"
    assert experiment == "conf/experiment/largest.yaml", "and an experiment that has it"
    register(tmp_path / module)
    words = ("experiment=largest", "hardware.threads=1", f"questions.dir={tmp_path / 'questions'}")
    words += ("questions.limit=600",)
    config = config_of(tmp_path, "collect", *words)
    released = {path: file_sha256(path) for path in (ROOT / "data/cpu/questions").rglob("*.jsonl")}
    script("collect").main(config)
    plan = study.read(config_of(tmp_path, "evaluate", *words, "subject=nearest"))

    # The questions: the released ones of the released families, and the new family.
    new, old = plan.questions.dir, "data/cpu/questions"
    for split in ("pool", "probe", "dev", "test"):
        questions = [row for row in drawn.read_split(new, split) if row.family != "largest"]
        assert sorted(questions, key=lambda row: row.id) == sorted(
            drawn.read_split(old, split), key=lambda row: row.id
        )
    assert released == {path: file_sha256(path) for path in released}
    assert {row.family for row in drawn.read_split(new, "pool")} - {
        row.family for row in drawn.read_split(old, "pool")
    } == {"largest"}
    entry = pools.sources(plan.questions)["largest"]
    assert (entry["source"], entry["licence"], entry["rows"]) == ("my own", "MIT", 860)

    # Collect: right traces, a card that names the source, nothing of dev and test in the pool.
    folder = stages.collect_run(plan).folder
    traces = [row for row in read_jsonl(folder / "traces.jsonl") if row["family"] == "largest"]
    assert len(traces) > 60 and all(trace["correct"] for trace in traces)
    assert {"largest"} < {row["family"] for row in read_jsonl(folder / "train.jsonl")}
    assert "| `largest` | my own | MIT |" in (folder / "README.md").read_text()
    benchmark_questions = contamination.read_benchmarks(plan.decontamination)
    assert set(benchmark_questions) == {"cpu_dev", "cpu_test", "own_dev", "own_test"}
    asked = next(row for row in drawn.read_split(new, "test") if row.family == "largest")
    reworded = dataclasses.replace(asked, id="0" * 16, question="Of these, the largest?")
    hits = contamination.hits([reworded], [], benchmark_questions, plan.decontamination)
    assert [(hit["benchmark"], hit["by"]) for hit in hits] == [("own_test", "key")]

    # Evaluate: old and new families in one.
    run = evaluated(plan)
    results = json.loads((run.folder / "results.json").read_text())
    assert list(plan.benchmark.tasks)[-1] == "largest" and len(plan.benchmark.tasks) == 9
    assert {task: numbers["n"] for task, numbers in results["tasks"].items()} == dict.fromkeys(
        plan.benchmark.tasks, 2
    )
    dev = {row.id for row in drawn.read_split(new, "dev") if row.family == "largest"}
    assert {
        row["id"] for row in read_jsonl(run.folder / "samples.jsonl") if row["task"] == "largest"
    } <= dev


def numbers(question=str, answer=str, facts=None, steps=None):
    """Return a Family of the numbers from 0, each made by the functions given."""
    make_facts = facts or (lambda number: {"number": number})
    return Family(
        origin="my own",
        licence="MIT",
        params=(),
        candidates=lambda params, seed: (
            Candidate(question(number), answer(number), make_facts(number))
            for number in range(10**6)
        ),
        key=lambda facts: repr(facts),
        steps=steps or (lambda facts: [Step("", str(facts["number"]))]),
    )


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (numbers(answer=lambda n: str(n + 1)), "has the answer '1', but its steps lead to '0'"),
        (numbers(facts=lambda n: {"number": {n}}), "facts that JSON cannot hold"),
        (numbers(facts=lambda n: {"number": (n,)}), "another key once its facts are read"),
        (numbers(facts=lambda n: {"number": {n: 1}}), "another key once its facts are read"),
        (
            numbers(answer=lambda n: "a\nb", steps=lambda facts: [Step("", "a\nb")]),
            "which no reply could give",
        ),
        (
            numbers(answer=lambda n: "x" * 300, steps=lambda facts: [Step("", "x" * 300)]),
            "which no reply could give",
        ),
        (numbers(answer=lambda n: "", steps=lambda facts: [Step("", "")]), "no reply could give"),
        (numbers(question=lambda n: "the same"), "showed 2000 distinct questions in 2000"),
    ],
)
def test_a_draw_stops_at_a_family_that_does_not_fit_together(family, message, monkeypatch):
    monkeypatch.setitem(FAMILIES, "counting", family)
    with pytest.raises(UserError, match=message) as raised:
        draw_family("counting", {}, 10, 0)
    assert "\n" not in str(raised.value) and "counting" in str(raised.value)


def test_a_module_without_a_family_is_told(tmp_path, register):
    (tmp_path / "riddle.py").write_text("answer = 42\n")
    with pytest.raises(UserError, match=r"families/riddle.py has no FAMILY = Family"):
        register(tmp_path / "riddle.py")


MODULE = """
from ponder.questions.family import Candidate, Family, Step

def candidates(params, seed):
    number = 0
    while True:
        number += 1
        yield Candidate(f"What is {number}?", str(number), {"number": number})

def key(facts):
    return str(facts["number"])

def steps(facts):
    return [Step("", key(facts))]

FAMILY = Family("my own", "MIT", (), candidates, key, steps)
"""


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("def key(facts):", "def key(facts:", "line 10: SyntaxError '(' was never closed"),
        ("import Candidate", "import Candidates, Candidate", "line 2: ImportError cannot import"),
        ("FAMILY =", "import nowhere\nFAMILY =", "line 16: ModuleNotFoundError No module named"),
        (", (), candidates, key, steps", "", "line 16: TypeError Family.__init__() missing 3"),
        ("number = 0", 'number = params["max_flor"]', "line 5: KeyError 'max_flor'"),
        ('facts["number"]', 'facts["nummer"]', "line 11: KeyError 'nummer'"),
        ("key(facts))]", "str(1 // 0))]", "line 14: ZeroDivisionError"),
        ("yield ", "assert not seed, seed\n        yield ", "line 8: AssertionError 7;"),
        ("(params, seed)", "(params)", "line 16: TypeError candidates must be a function of"),
        ("key(facts)", "key()", "line 16: TypeError key must be a function of (facts): too many"),
        ("steps(facts)", "steps(facts, seed)", "line 16: TypeError steps must be a function of"),
        ("steps)", "steps, answer=42)", "line 16: TypeError answer must be a function of (steps)"),
        ("candidates, key", "key, candidates", "line 16: TypeError candidates must be a function"),
    ],
)
def test_a_fault_in_the_module_of_a_family_is_one_sentence_with_its_line(
    right, wrong, told, tmp_path, register
):
    path = tmp_path / "ponder/questions/families/lift.py"
    path.parent.mkdir(parents=True)
    path.write_text(MODULE.replace(right, wrong, 1))
    with pytest.raises(UserError) as raised:
        register(path)
        draw_family("lift", {}, 10, 7)
    sentence = str(raised.value)
    assert sentence.startswith(f"ponder/questions/families/lift.py {told}"), sentence
    assert sentence.endswith("; mend the module") and "\n" not in sentence
    assert raised.value.__cause__ is not None


def test_a_fault_in_the_steps_of_a_family_is_told_where_its_questions_are_solved(
    tmp_path, register
):
    path = tmp_path / "ponder/questions/families/lift.py"
    path.parent.mkdir(parents=True)
    path.write_text(MODULE)
    register(path)
    question = draw_family("lift", {}, 10, 7)[0][0]
    with pytest.raises(UserError, match="lift.py line 11: KeyError 'number'; mend the module"):
        solver.steps(dataclasses.replace(question, facts={}))


def test_a_fault_of_ours_is_not_told_as_one_of_a_family(tmp_path, register, monkeypatch):
    path = tmp_path / "ponder/questions/families/lift.py"
    path.parent.mkdir(parents=True)
    path.write_text(MODULE)
    register(path)
    monkeypatch.setattr("ponder.questions.drawing.question_id", lambda text: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        draw_family("lift", {}, 10, 7)


@pytest.mark.parametrize("count", [0, 100])
def test_candidates_that_end_are_told_with_how_many_there_were(count, monkeypatch):
    family = dataclasses.replace(
        numbers(),
        candidates=lambda params, seed: (
            Candidate(str(number), str(number), {"number": number}) for number in range(count)
        ),
    )
    monkeypatch.setitem(FAMILIES, "counting", family)
    with pytest.raises(UserError, match=f"counting.py: candidates ended after {count} candidates"):
        draw_family("counting", {}, 10, 0)


# --- a benchmark -----------------------------------------------------------------------


def test_a_benchmark_is_added_in_one_place(tmp_path, monkeypatch):
    files = fork(tmp_path, "A new benchmark")
    assert list(files) == ["riddles.jsonl", "conf/benchmark/riddles.yaml"]
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    local = f"benchmark.local.riddles.data_files=[{tmp_path / 'riddles.jsonl'}]"
    words = (*SMOKE, "benchmark=riddles", local, *ASKED_SHORTLY)
    plan = study.read(config_of(tmp_path, "evaluate", *words))
    run = evaluated(plan)
    assert run.name.startswith("smoke-base-plain-riddles-")
    samples = read_jsonl(run.folder / "samples.jsonl")
    beside = read_jsonl(run.folder / "questions.jsonl")  # a release leaves it out
    asked = [json.loads(line)["question"] for line in files["riddles.jsonl"].splitlines()]
    assert [row["question"] for row in beside] == asked
    assert [row["id"] for row in samples] == [row["id"] for row in beside]
    assert [(row["task"], row["answer"]) for row in beside] == [
        ("riddles", "42"),
        ("riddles", "9/2"),
    ]
    assert json.loads((run.folder / "results.json").read_text())["tasks"]["riddles"]["n"] == 2
    assert (run.folder / "disagreements.jsonl").exists()

    # Its content is part of what names the run.
    (tmp_path / "riddles.jsonl").write_text(files["riddles.jsonl"].replace("42", "43"))
    assert stages.evaluate_run(plan).name != run.name


QUESTION = {"question": "question", "answer": "answer"}
OPTIONS = ["one", "two", "three"]


def own(tmp_path, row, **facts):
    """Return the one question of a benchmark of the user's own with that row."""
    (tmp_path / "own.jsonl").write_text(json.dumps({"question": "Which?"} | row) + "\n")
    files = {"data_files": [str(tmp_path / "own.jsonl")]}
    return benchmark_rows.read(benchmarks.data("own", QUESTION | files | facts))[0]


@pytest.mark.parametrize(
    ("row", "facts", "answer"),
    [
        ({"answer": "42"}, {}, "42"),
        ({"answer": 42}, {}, "42"),
        ({"answer": 4.5}, {"rows": 1}, "4.5"),
        ({"answer": "So 6, so:\n#### 7"}, {"after": "####"}, "7"),
        ({"answer": "#### 6\n#### 1,018"}, {"after": "####"}, "1,018"),
        ({"answer": "It is A: no, A: yes"}, {"after": "A:"}, "yes"),
        (
            {"answer": r"so $\boxed{6}$, no $\boxed{\frac{1}{2}}$."},
            {"after": r"\boxed"},
            r"\frac{1}{2}",
        ),
        ({"gold": {"value": "5"}}, {"answer": "gold.value"}, "5"),
        ({"answer": "C", "options": OPTIONS}, {"options": "options"}, "C"),
        ({"answer": 2, "options": OPTIONS}, {"options": "options"}, "C"),
        ({"answer": "2", "options": OPTIONS}, {"options": "options"}, "C"),
        ({"answer": "three", "options": OPTIONS}, {"options": "options"}, "C"),
        ({"answer": "2", "options": ["1", "2", "3", "4"]}, {"options": "options"}, "B"),
        ({"answer": "B", "choices": {"text": ["yes", "no"]}}, {"options": "choices.text"}, "B"),
        ({"answer": "#### b", "options": ["a", "b"]}, {"options": "options", "after": "####"}, "B"),
    ],
)
def test_an_answer_is_read_from_the_columns_of_others(tmp_path, row, facts, answer):
    question = own(tmp_path, row, **facts)
    assert question["answer"] == answer
    if "options" in facts:
        assert question["question"].startswith("Which?\n\nA) ")
        assert len(question["options"]) == question["question"].count(") ")
    else:
        assert (question["question"], question["options"]) == ("Which?", [])


@pytest.mark.parametrize(
    ("row", "facts", "message"),
    [
        ({"answer": "7"}, {"after": "####"}, "own, row 1: column answer without '####'"),
        ({"answer": "7"}, {"after": r"\boxed"}, "without a whole"),
        ({"answer": r"\boxed{7"}, {"after": r"\boxed"}, "without a whole"),
        ({"answer": "A", "options": "a, b"}, {"options": "options"}, "holds str, not a list"),
        ({"answer": "A", "options": ["a"]}, {"options": "options"}, "lists 1 options"),
        ({"answer": "A", "options": list("vwxyz")}, {"options": "options"}, "2 to 4"),
        ({"answer": "A", "options": ["a", ""]}, {"options": "options"}, "none of them empty"),
        ({"answer": "C", "options": ["a", "b"]}, {"options": "options"}, "names 0 of the options"),
        ({"answer": "a", "options": ["a", "a"]}, {"options": "options"}, "names 2 of the options"),
        ({"answer": 2, "options": ["a", "b"]}, {"options": "options"}, "names 0 of the options"),
        ({"answer": "1"}, {"rows": 2}, "own has 2 questions, but .* has 1"),
        ({"answer": "1"}, {"question": "problem"}, "no column problem"),
        ({"answer": "1"}, {"data_files": []}, "neither a hub nor data_files"),
        ({"answer": "1"}, {"hub": "a/b"}, "without its revision and split"),
        ({"answer": "1"}, {"options": "o", "wrong": ["x", "y", "z"]}, "leave one of them out"),
        ({"answer": "1"}, {"colour": "red"}, "local.own.colour is read by nothing"),
    ],
)
def test_a_mistake_in_a_benchmark_is_told_in_one_sentence(tmp_path, row, facts, message):
    with pytest.raises(UserError, match=message) as raised:
        own(tmp_path, row, **facts)
    assert "\n" not in str(raised.value)


def test_a_benchmark_that_nobody_described_is_told():
    with pytest.raises(UserError, match="names riddles, but must be of: aime24.*benchmark.local"):
        benchmarks.data("riddles", {})


# --- the audit of a fork ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("without", "moved", "message"),
    [
        (None, False, None),
        (
            "data/cpu/questions",
            False,
            "of questions-largest/dev has the id of one of questions/dev",
        ),
        (None, True, "of questions-largest/pool has the id of one of questions/dev"),
    ],
    ids=["the same seed", "drawn without them", "in another split"],
)
def test_a_fork_may_release_the_same_questions_beside_its_own(
    without, moved, message, tmp_path, monkeypatch
):
    monkeypatch.setattr(rows, "groups", lambda: [tmp_path])
    monkeypatch.setattr(rows, "changed_questions", lambda group: ())
    for name in ("questions", "questions-largest"):
        shutil.copytree(ROOT / "data/cpu/questions", tmp_path / name)
    manifest = tmp_path / "questions-largest/manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"without": without}))
    if moved:
        line = (tmp_path / "questions/dev/coin.jsonl").read_text().splitlines(keepends=True)[0]
        with open(tmp_path / "questions-largest/pool.jsonl", "a") as file:
            file.write(line)
    problems = rows.splits().problems
    assert bool(problems) == bool(message)
    assert not message or message in problems[0]


def test_the_values_of_a_file_that_a_guide_writes_are_no_results():
    file = "```sh\ncat > conf/experiment/x.yaml <<'END'\ntrain: {epochs: 7}\nEND\n```\n"
    assert not literals.stray(file, ".md")
    assert literals.stray(file + "\nIt reached 77.7%\n", ".md") == [(7, "77.7%")]
    assert literals.stray(file.replace("<<'END'", ""), ".md") != []
