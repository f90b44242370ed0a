"""`audit.py replay`: equal bits pass anywhere; one unequal bit fails where bits are promised and
proves nothing elsewhere.
"""

import json
import math
import shutil
import subprocess

import pytest
from conftest import ROOT, SMOKE, collected, command, evaluated, study_of, trained

from ponder.audit import replay
from ponder.audit.checks import Verdict
from ponder.errors import UserError
from ponder.runs import commit, dump, read_jsonl, write_jsonl

KNOWN = commit()["commit"]


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Smoke runs of all stages, as if they were released."""
    logs = tmp_path_factory.mktemp("logs")
    trained(collected(logs))
    for budget in ("free", "cap16"):
        evaluated(study_of(*SMOKE, f"out={logs}", f"budget={budget}"))
    return logs


@pytest.fixture
def logs(released, tmp_path):
    """A copy of them that a test may damage."""
    return shutil.copytree(released, tmp_path / "logs")


def faked(monkeypatch, released, *names):
    """Let the code of every commit be the code that is here, and some scripts make what was
    released, at once.
    """
    real = replay.script

    def script(scratch, name, *overrides, code=ROOT):
        if name not in names:
            return real(scratch, name, *overrides, code=code)
        shutil.copytree(released / name, scratch / name, dirs_exist_ok=True)
        return subprocess.Popen(["true"])

    monkeypatch.setattr(replay, "unpack", lambda commit, folder: folder.symlink_to(ROOT))
    monkeypatch.setattr(replay, "script", script)


@pytest.fixture
def nothing_made(monkeypatch, released):
    """Nothing is made again: the scripts make what was released."""
    faked(monkeypatch, released, "collect", "train", "evaluate")


def judged(part, tmp_path, *where):
    """Return the verdict on a part, after a look at what it left."""
    verdict = replay.judged("replay", part, tmp_path / "out", "", "", *where)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["models"]
    return verdict


def only(folder, pattern):
    """Return the one path of a pattern."""
    (path,) = folder.glob(pattern)
    return path


def changed(path, change):
    """Change the first row of a file of JSON lines."""
    rows = read_jsonl(path)
    change(rows[0])
    write_jsonl(path, rows)


def made_elsewhere(folder):
    """Let the environment.json of a run name another processor."""
    path = folder / "environment.json"
    path.write_text(dump(json.loads(path.read_text()) | {"cpu": "another processor"}))


def test_the_three_stages_of_smoke_make_the_same_bytes_again(released, tmp_path):
    verdict = judged(replay.smoke, tmp_path, released)
    assert (
        verdict.result == "PASS"
        and verdict.problems == ()
        and "of 4 smoke runs" in verdict.looked_at
    )


def test_a_training_makes_the_same_steps_again(released, tmp_path, monkeypatch):
    faked(monkeypatch, released, "collect")
    verdict = judged(replay.train, tmp_path, released, "smoke")
    assert verdict.result == "PASS" and verdict.looked_at.startswith("steps 1 to 3 of smoke-")


def test_a_last_bit_of_a_loss_fails_where_it_is_promised_and_proves_nothing_elsewhere(
    logs, nothing_made, tmp_path
):
    assert judged(replay.train, tmp_path, logs, "smoke").result == "PASS"
    folder = only(logs, "train/smoke-*")
    changed(
        folder / "metrics.jsonl", lambda row: row.update(loss=math.nextafter(row["loss"], math.inf))
    )
    verdict = judged(replay.train, tmp_path, logs, "smoke")
    (problem,) = verdict.problems
    assert verdict.result == "FAIL" and problem.startswith("step 1: loss is ")
    made_elsewhere(folder)
    verdict = judged(replay.train, tmp_path, logs, "smoke")
    assert verdict.result == "UNSUPPORTED" and verdict.problems == ()
    assert "there cpu was another processor, not " in verdict.looked_at


@pytest.mark.parametrize(
    "name, change",
    [
        ("metrics", lambda row: row.update(tokens=row["tokens"] + 1)),
        ("metrics", lambda row: row.update(lr=math.nextafter(row["lr"], 1))),
        ("metrics", lambda row: row.update(step=2)),
        ("batches", lambda row: row["ids"].reverse()),
    ],
)
def test_what_no_processor_can_change_fails_on_any(logs, nothing_made, tmp_path, name, change):
    folder = only(logs, "train/smoke-*")
    changed(folder / f"{name}.jsonl", change)
    made_elsewhere(folder)
    assert judged(replay.train, tmp_path, logs, "smoke").result == "FAIL"


def test_answers_are_made_again_and_a_changed_token_fails(logs, tmp_path):
    where = "smoke-trained-free-dev", only(logs, "train/smoke-*") / "adapter"
    assert judged(replay.generate, tmp_path, logs, *where).result == "PASS"
    path = only(logs, "evaluate/smoke-trained-free-dev-*") / "samples.jsonl"
    rows = read_jsonl(path)
    write_jsonl(path, [row | {"ids": [*row["ids"][:-1], row["ids"][-1] ^ 1]} for row in rows])
    verdict = judged(replay.generate, tmp_path, logs, *where)
    assert verdict.result == "FAIL" and len(verdict.problems) == replay.ANSWERS
    assert all(": ids is " in problem for problem in verdict.problems)
    made_elsewhere(path.parent)
    assert judged(replay.generate, tmp_path, logs, *where).result == "UNSUPPORTED"
    write_jsonl(path, [row | {"question": row["question"] + " "} for row in rows])
    assert judged(replay.generate, tmp_path, logs, *where).result == "FAIL"


def test_another_sample_of_smoke_fails_though_its_manifest_was_made_to_fit(
    logs, nothing_made, tmp_path
):
    assert judged(replay.smoke, tmp_path, logs).result == "PASS"
    path = only(logs, "evaluate/smoke-trained-cap16-*") / "samples.jsonl"
    changed(path, lambda row: row.update(correct=not row["correct"]))
    manifest = path.with_name("manifest.json")
    record = json.loads(manifest.read_text())
    record["files"]["samples.jsonl"]["sha256"] = replay.file_sha256(path)
    manifest.write_text(dump(record))
    verdict = judged(replay.smoke, tmp_path, logs)
    assert verdict.result == "FAIL"
    assert verdict.problems == (f"{path.parent.name}/samples.jsonl has other bytes",)
    for folder in logs.glob("evaluate/smoke-*"):
        made_elsewhere(folder)
    assert judged(replay.smoke, tmp_path, logs).result == "UNSUPPORTED"


def test_what_is_not_released_is_not_run(tmp_path, logs):
    for part in (replay.train, replay.generate, replay.smoke):
        assert judged(part, tmp_path, tmp_path / "nothing").result == "NOT_RUN"
    (logs / "corrections.jsonl").write_text(
        dump({"supersedes": f"train/{only(logs, 'train/smoke-*').name}"})
    )
    assert "train run smoke is 0 times" in judged(replay.smoke, tmp_path, logs).looked_at


def test_bits_depend_on_processor_kernels_packages_and_switches_not_on_cores(monkeypatch):
    import torch  # noqa: F401    environment() names its version then

    record = replay.environment(2)
    assert replay.differences(record | {"logical_cores": 96, "threads": 96, "python": "3"})[1] == []
    early = dict(record)
    del early["torch_cpu_capability"], early["torch_build"]
    assert len(replay.differences(early)[1]) == (record["torch_cpu_capability"] != "AVX512")
    other = record | {
        "cpu": "A",
        "torch_cpu_capability": "AVX2",
        "packages": record["packages"] | {"torch": "1.0"},
    }
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    assert [text.split()[0] for text in replay.differences(other)[1]] == [
        "cpu",
        "torch_cpu_capability",
        "torch",
        "MKL_CBWR",
    ]


@pytest.mark.skipif(KNOWN is None, reason="no git checkout")
def test_the_code_of_a_commit_is_its_own_and_of_an_unknown_one_there_is_none(tmp_path):
    replay.unpack(KNOWN, tmp_path)
    assert (tmp_path / "train.py").is_file() and (tmp_path / "conf").is_dir()
    with pytest.raises(UserError, match="is not in this checkout"):
        replay.unpack("0" * 40, tmp_path)


# --- what is drawn ---------------------------------------------------------------------


def test_a_training_is_started_with_the_words_that_its_name_tells():
    known = {
        "cpu": ["experiment=cpu"],
        "cpu-s1-seed3": ["experiment=cpu-s1", "seed=3"],
        "cpu-again-seed1": ["experiment=cpu", "name=cpu-again", "seed=1"],
        "qwen-again": ["experiment=qwen-again"],
    }
    assert {label: replay.overrides_of(label, ROOT) for label in known} == known


def test_only_where_a_model_taught_are_the_released_rows_given(tmp_path):
    folder = tmp_path / "collect" / "x-01234567"
    folder.mkdir(parents=True)
    for kind, rows in (("hf", folder / "train.jsonl"), ("solver", None)):
        (folder / "config.yaml").write_text(f"teacher: {{kind: {kind}}}\n")
        assert replay.taught_by_a_model(tmp_path) == rows


def test_a_seed_draws_answers_and_steps_from_the_whole_run():
    folder = ROOT / "logs/train/cpu-d57f96ff"
    drawn = {replay.drawn_steps(folder, str(seed)) for seed in range(300)}
    assert all(last - first == replay.STEPS - 1 for first, last in drawn)
    firsts = [first for first, _ in drawn]
    assert min(firsts) < 30 and max(firsts) > 470 and max(firsts) <= 498
    assert replay.drawn_steps(folder, "7") == replay.drawn_steps(folder, "7")


def test_the_weights_of_an_evaluation_are_found_by_their_hash():
    folder = replay.folder_of(replay.LOGS, "evaluate", "cpu-seed1-trained-wait1-test")
    assert replay.weights_of(folder) == ROOT / "data/cpu/cpu-seed1/adapter"
    full = replay.folder_of(replay.LOGS, "evaluate", "cpu-full-trained-free-dev-1ef80881")
    with pytest.raises(UserError, match="are not released, so its answers cannot be made again"):
        replay.weights_of(full)


def test_a_run_without_a_model_is_not_replayed(tmp_path):
    served = "qwen-base-boxed-math-unforced-llamacpp-gsm8k-400-5ddefde2"
    for name, words in (
        ("cpu-nearest-free-test-15c2604b", "no model answered here"),
        (served, "engine=hf did not answer in " + served),
    ):
        verdict = replay.judged("replay", replay.generate, tmp_path, "", "", replay.LOGS, name)
        assert verdict.result == "NOT_RUN" and words in verdict.looked_at


def test_a_replayed_run_is_noted_and_the_others_are_told(tmp_path, monkeypatch):
    folder = ROOT / "logs/evaluate/cpu-trained-free-test-43c273eb"
    before = int(replay.never_replayed(tmp_path).split()[3])
    made = Verdict("replay-generate", "PASS", "x", "y", "z")
    monkeypatch.setattr(replay, "judged", lambda *arguments: made)
    assert replay.replay_run(tmp_path, folder, "7") == made
    assert int(replay.never_replayed(tmp_path).split()[3]) == before - 1


@pytest.mark.parametrize(
    "words, message",
    [
        (["--answers", "0"], "--answers=0 is no number from 1 on"),
        (["--steps", "5:2"], "--steps 5:2 ends before it begins"),
        (["--steps", "x:2"], "--steps=x is no number"),
        (["--sead", "7"], "--sead is no option of audit.py"),
        (["--seed"], "--seed needs what draws"),
    ],
)
def test_a_wrong_option_is_one_sentence(words, message):
    process = command("audit", "replay", "cpu-trained-free-test-43c273eb", *words)
    assert process.returncode == 2 and process.stderr.count("\n") == 1
    assert message in process.stderr
