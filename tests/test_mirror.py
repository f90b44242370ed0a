"""The wandb mirror of metrics.jsonl: a run that was killed goes on with one curve."""

import contextlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import types

import pytest
import wandb
from conftest import ROOT, SMOKE, collected, evaluated, study_of, trained

from ponder import stages
from ponder.errors import UserError
from ponder.runs import Run, read_jsonl, write_jsonl
from ponder.terminal.signals import Terminated


class Opened:
    """What stands for wandb's run: it keeps how it was opened and what it was sent."""

    def __init__(self, options, starting_step):
        self.options, self.starting_step = options, starting_step
        self.rows, self.exit_code = [], None

    def log(self, row, step):
        self.rows.append((step, row))

    def finish(self, exit_code=None):
        self.exit_code = exit_code or 0

    @property
    def steps(self):
        return [step for step, _ in self.rows]


@pytest.fixture
def mirrors(monkeypatch):
    """What wandb.init opened, as `opened`; `known` is the step that the next one starts at."""
    record = types.SimpleNamespace(opened=[], known=0)

    def init(**options):
        record.opened.append(Opened(options, record.known))
        return record.opened[-1]

    monkeypatch.setattr(wandb, "init", init)
    return record


class Killed(BaseException):
    """What stops a run in this process."""


def goes_on(out, mode, rows, last):
    """Open the run, cut its metrics to some rows as a resume does, replay, and log to `last`."""
    with Run("train", "test", {"seed": 0}, {}, out, mode) as run:
        path = run.folder / "metrics.jsonl"
        if path.exists():
            write_jsonl(path, read_jsonl(path)[:rows])
        run.replay()
        for step in range(rows + 1, last + 1):
            run.metric(step=step, loss=1 / step)
        if last < 8:
            raise Killed
    return run


def killed_and_resumed(out, mode):
    """Kill a run after step 5, start it again from step 4 and finish at step 8; return it."""
    with pytest.raises(Killed):
        goes_on(out, mode, 0, 5)
    return goes_on(out, mode, 4, 8)


def test_the_last_mirror_of_a_resumed_run_sees_every_step_once(tmp_path, mirrors):
    run = killed_and_resumed(tmp_path, "offline")
    first, last = mirrors.opened
    assert first.steps == [1, 2, 3, 4, 5] and last.steps == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [row for _, row in last.rows] == read_jsonl(run.folder / "metrics.jsonl")
    assert (first.exit_code, last.exit_code) == (1, 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (UserError("a mistake"), 2),
        (ValueError("a bug"), 1),
        (OSError(28, "No space left on device"), 2),
        (SystemExit(3), 3),
        (KeyboardInterrupt(), 130),
        (Terminated(), 143),
    ],
)
def test_a_run_that_fails_is_no_success_in_its_mirror(tmp_path, mirrors, error, code):
    with contextlib.suppress(BaseException), Run("train", "x", {}, {}, tmp_path, "offline"):
        if error:
            raise error
    assert [opened.exit_code for opened in mirrors.opened] == [code]


def test_a_run_whose_end_cannot_be_written_is_no_success_either(tmp_path, mirrors, monkeypatch):
    def full(run):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Run, "_write_manifest", full)
    with pytest.raises(OSError), Run("train", "x", {}, {}, tmp_path, "offline"):
        pass
    assert [opened.exit_code for opened in mirrors.opened] == [2]


@pytest.mark.parametrize(
    ("variable", "option", "usual"),
    [
        ("WANDB_PROJECT", "project", "ponder"),
        ("WANDB_RUN_GROUP", "group", "train"),
        ("WANDB_JOB_TYPE", "job_type", "train"),
        ("WANDB_DIR", "dir", "wandb"),
    ],
)
def test_what_the_environment_says_to_wandb_is_left_to_wandb(
    tmp_path, mirrors, monkeypatch, variable, option, usual
):
    monkeypatch.delenv(variable, raising=False)
    for value in (None, "", "mine"):
        if value is not None:
            monkeypatch.setenv(variable, value)
        with Run("train", "x", {"for": value}, {}, tmp_path, "offline"):
            pass
    given = [opened.options[option] for opened in mirrors.opened]
    assert [value and value.rpartition("/")[2] for value in given] == [usual, usual, None]
    assert not {"entity", "tags", "notes"} & mirrors.opened[-1].options.keys()


def test_each_mirror_goes_on_with_the_same_run_of_wandb(tmp_path, mirrors):
    run = killed_and_resumed(tmp_path, "offline")
    for opened in mirrors.opened:
        options = opened.options
        assert (options["id"], options["name"]) == (run.name, run.name)
        assert (options["resume"], options["group"]) == ("allow", "train")
        assert (options["mode"], options["config"]) == ("offline", {"seed": 0})


@pytest.mark.parametrize(
    "known, sent", [(6, [6, 7, 8]), (5, [5, 6, 7, 8]), (3, [3, 4, 5, 6, 7, 8]), (9, [])]
)
def test_an_online_run_is_sent_only_the_steps_that_it_lacks(tmp_path, mirrors, known, sent):
    with pytest.raises(Killed):
        goes_on(tmp_path, "online", 0, 5)
    mirrors.known = known
    goes_on(tmp_path, "online", 4, 8)
    assert mirrors.opened[-1].steps == sent


def test_a_run_killed_before_its_first_step_replays_nothing(tmp_path, mirrors):
    with pytest.raises(Killed):
        goes_on(tmp_path, "offline", 0, 0)
    goes_on(tmp_path, "offline", 0, 8)
    assert [opened.steps for opened in mirrors.opened] == [[], list(range(1, 9))]


def test_without_a_mirror_nothing_is_opened_and_the_record_is_the_same(tmp_path, mirrors):
    quiet = killed_and_resumed(tmp_path / "a", "disabled").folder
    mirrored = killed_and_resumed(tmp_path / "b", "offline").folder
    assert len(mirrors.opened) == 2
    metrics = (mirrored / "metrics.jsonl").read_bytes()
    assert (quiet / "metrics.jsonl").read_bytes() == metrics


def test_a_mirror_that_cannot_be_opened_stops_nothing(tmp_path, mirrors, monkeypatch, capsys):
    def refuse(**_):
        raise wandb.errors.Error("no network\nand its details")

    monkeypatch.setattr(wandb, "init", refuse)
    run = goes_on(tmp_path, "online", 0, 8)
    warning = "warning: wandb is off (no network); metrics.jsonl has everything"
    assert warning in capsys.readouterr().out
    assert len(read_jsonl(run.folder / "metrics.jsonl")) == 8


def test_a_killed_training_ends_with_the_whole_curve_in_its_newest_folder(
    tmp_path, mirrors, monkeypatch
):
    plan = collected(tmp_path, "wandb=offline", "train.epochs=2", "train.checkpoint_steps=2")
    real, mine = Run.metric, len(mirrors.opened)  # collect.py opened one as well

    def stop(run, **row):
        if row["step"] == 4:
            raise Killed
        real(run, **row)

    monkeypatch.setattr(Run, "metric", stop)
    with pytest.raises(Killed):
        trained(plan)
    monkeypatch.setattr(Run, "metric", real)
    run = trained(plan)
    first, last = mirrors.opened[mine:]
    assert first.steps == [1, 2, 3] and last.steps == [1, 2, 3, 4, 5, 6]
    assert first.options["id"] == last.options["id"] == run.name
    assert [row for _, row in last.rows] == read_jsonl(run.folder / "metrics.jsonl")


def records_in(path, kind):
    """Return the records of a kind in an offline file of wandb.

    It has records of the LevelDB log format after 7 bytes of header.
    """
    from wandb.proto import wandb_internal_pb2

    data, at, record, messages = path.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # the rest of a block is too short for a header
            at += 32768 - at % 32768
            continue
        _, length, part = struct.unpack("<IHB", data[at : at + 7])
        record, at = record + data[at + 7 : at + 7 + length], at + 7 + length
        if part in (1, 4):  # a whole record, or the last part of one
            message = wandb_internal_pb2.Record.FromString(record)
            if message.WhichOneof("record_type") == kind:
                messages.append(message)
            record = b""
    return messages


def steps_in(path):
    """Return the steps of an offline file of wandb."""
    return [message.history.step.num for message in records_in(path, "history")]


def test_an_evaluation_mirrors_its_results_and_says_whose_weights_it_measured(tmp_path, mirrors):
    plan = collected(tmp_path, "wandb=offline", "seed=3")
    training = trained(plan)
    run = evaluated(plan)
    opened, numbers = mirrors.opened[-1], json.loads((run.folder / "results.json").read_text())
    ((step, row),) = opened.rows
    assert step == 0 and row["accuracy"] == numbers["all"]["accuracy"]
    assert {"low", "high", "n", "thinking_tokens", "cut", "unanswered"} <= row.keys()
    assert {f"{task}/accuracy" for task in numbers["tasks"]} <= row.keys()
    assert row["cut"] == numbers["all"]["capped"] / row["n"] and 0 <= row["unanswered"] <= 1
    said = opened.options["config"]["training"]
    assert (said["run"], said["seed"]) == (training.name, 3)
    assert said["recipe"]["lr"] == plan.train.lr and said["selection"] == plan.selection.name
    assert json.loads((run.folder / "status.json").read_text())["training"] == said
    assert "training" not in run.config and "training" not in mirrors.opened[-2].options["config"]


def test_weights_of_unknown_training_say_so(tmp_path, mirrors):
    plan = collected(tmp_path / "a", "seed=5")  # seed 0 makes the released bytes
    adapter = trained(plan).folder / "adapter"
    shutil.copytree(adapter, tmp_path / "mine")
    other = study_of(*SMOKE, f"out={tmp_path / 'b'}", f"subject.adapter={tmp_path / 'mine'}")
    assert stages.evaluate_run(other).training is None
    known = study_of(*SMOKE, f"out={tmp_path / 'a'}", f"subject.adapter={tmp_path / 'mine'}")
    assert stages.evaluate_run(known).training["run"] == adapter.parent.name


def test_runs_that_are_open_together_have_a_mirror_each(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    with (
        Run("evaluate", "a", {"budget": "free"}, {}, tmp_path, "offline") as one,
        Run("evaluate", "b", {"budget": "cap16"}, {}, tmp_path, "offline") as other,
    ):
        assert (one.mirror.id, other.mirror.id) == (one.name, other.name)
        one.outcome(accuracy=0.25)
        other.outcome(accuracy=0.5)
    for run, accuracy in ((one, 0.25), (other, 0.5)):
        (path,) = (tmp_path / "wandb" / "wandb").glob(f"offline-run-*/run-{run.name}.wandb")
        for _ in range(60):  # wandb's own process writes the file, late on a busy machine
            said = {
                item.nested_key[0] if item.nested_key else item.key: json.loads(item.value_json)
                for message in records_in(path, "history")
                for item in message.history.item
            }
            if "accuracy" in said:
                break
            time.sleep(0.5)
        assert said["accuracy"] == accuracy


def test_the_newest_offline_file_of_wandb_itself_holds_every_step_once(tmp_path):
    program = (
        "import os, signal, sys; from ponder.runs import Run\n"
        "from test_mirror import Killed, goes_on\n"
        "try: goes_on(sys.argv[1], 'offline', int(sys.argv[2]), int(sys.argv[3]))\n"
        "except Killed: os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests"))),
        "WANDB_SILENT": "true",
    }
    for rows, last, code in ((0, 5, -signal.SIGKILL), (4, 8, 0)):
        process = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), str(rows), str(last)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert process.returncode == code, process.stderr
    (run,) = (tmp_path / "train").iterdir()
    files = sorted((tmp_path / "wandb" / "wandb").glob(f"offline-run-*/run-{run.name}.wandb"))
    assert len(files) == 2 and steps_in(files[-1]) == [1, 2, 3, 4, 5, 6, 7, 8]
