"""Ctrl-C, SIGTERM and SIGUSR1 at any moment: one line, a run that says so, nothing that is lost."""

import gc
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, SMOKE, collected, command, evaluated, study_of, trained
from servers import Misbehaving, answer
from test_sharding import two
from test_train_resume import bytes_of

from ponder import stages
from ponder.errors import message
from ponder.runs import Run, read_jsonl
from ponder.terminal import signals
from ponder.train import checkpoints

LINES = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated (SIGTERM)",
    signal.SIGUSR1: "preempted (SIGUSR1)",
}
GOES_ON = ": the same command goes on from here\n"
# No checkpoint but the one that a signal makes.
LONG = ("train.epochs=12", "train.checkpoint_steps=1000", "wandb=disabled")


def code_of(number):
    return 128 + number


def status_of(run):
    status = json.loads((run.folder / "status.json").read_text())
    return status["status"], status["reason"]


def start(name, *arguments, env=()):
    """Start one of the scripts as a process of its own."""
    return subprocess.Popen(
        [sys.executable, f"{name}.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **dict(env)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_rows(process, path, rows):
    """Wait until a file of a process has so many rows."""
    until = time.monotonic() + 240
    while not path.exists() or path.read_bytes().count(b"\n") < rows:
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.005)


@pytest.fixture
def handlers():
    """The handlers of a script in this process, with a run open."""
    with signals.handled():
        signals.run_opened()
        yield


# --- the first moments -------------------------------------------------------------------


@pytest.mark.parametrize(
    "line, number",
    [
        ("train hydra", signal.SIGINT),
        ("collect omegaconf", signal.SIGTERM),
        ("evaluate yaml", signal.SIGINT),
        ("collect antlr4", signal.SIGINT),
        ("train torch", signal.SIGINT),
        ("train torch", signal.SIGTERM),
        ("evaluate torch", signal.SIGUSR1),
    ],
)
def test_a_signal_while_imports_run_is_one_line(line, number, tmp_path):
    script, module = line.split()
    stub = f"import os; os.kill(os.getpid(), {int(number)})\nraise ImportError('went on')\n"
    (tmp_path / f"{module}.py").write_text(stub)
    plan = collected(tmp_path / "out") if module == "torch" else study_of(*SMOKE)
    words = (*SMOKE, f"out={plan.out}")
    ended = command(script, *words, env={"PYTHONPATH": str(tmp_path)})
    assert (ended.returncode, ended.stdout) == (code_of(number), "")
    assert ended.stderr == LINES[number] + GOES_ON


def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    (tmp_path / "yaml.py").write_text(
        "import os, signal; os.kill(os.getpid(), signal.SIGINT); raise ImportError('went on')\n"
    )

    def ignore():  # as nohup and a shell's & do
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    ended = command("train", *SMOKE, env={"PYTHONPATH": str(tmp_path)}, preexec_fn=ignore)
    assert "went on" in ended.stderr and "interrupted" not in ended.stderr


def test_a_signal_before_any_import_of_ours_finds_few_modules():
    program = "import sys; before = set(sys.modules); from ponder.terminal import cli; "
    program += "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    names = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True).split()
    assert "ponder" in names and not {"hydra", "omegaconf", "inspect", "dataclasses"} & set(names)


# --- a run that is open ------------------------------------------------------------------


@pytest.mark.parametrize("number", LINES, ids=str)
def test_a_run_that_a_signal_ends_has_failed_and_says_by_what(handlers, number, tmp_path):
    run = Run("train", "test", {"seed": 0}, {}, tmp_path, "disabled")
    kind = KeyboardInterrupt if number == signal.SIGINT else signals.Terminated
    with pytest.raises(kind), run:
        os.kill(os.getpid(), number)
    assert status_of(run) == ("failed", (LINES[number] + GOES_ON).strip())
    assert not run.finished


def test_a_signal_while_the_mirror_opens_marks_the_run_as_well(handlers, tmp_path, monkeypatch):
    run = Run("train", "test", {"seed": 0}, {}, tmp_path, "offline")
    monkeypatch.setattr(Run, "_open_mirror", lambda run: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(signals.Terminated), run:
        pass
    assert status_of(run)[0] == "failed"


def test_sigterm_twice_ends_a_run_once(handlers, tmp_path):
    run = Run("train", "test", {"seed": 0}, {}, tmp_path, "disabled")
    with pytest.raises(signals.Terminated), run:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # torchrun's, while the run is marked
    assert status_of(run)[0] == "failed"


@pytest.mark.parametrize("number", LINES, ids=str)
def test_a_signal_in_a_finalizer_is_not_lost(handlers, number):
    class Finalized:
        def __del__(self):
            os.kill(os.getpid(), number)
            time.sleep(0)

    with pytest.raises((KeyboardInterrupt, signals.Terminated)):
        Finalized()
        gc.collect()
        time.sleep(5)


def test_what_is_no_signal_in_a_finalizer_is_told_as_ever(handlers, capsys):
    class Finalized:
        def __del__(self):
            raise RuntimeError("a finalizer's own")

    Finalized()
    gc.collect()
    assert "a finalizer's own" in capsys.readouterr().err


def test_sigterm_that_is_deferred_comes_at_the_end(handlers):
    with pytest.raises(signals.Terminated), signals.deferred() as terminated:
        assert not terminated()
        os.kill(os.getpid(), signal.SIGTERM)
        assert terminated()
        ended = True
    assert ended


def test_the_signal_that_came_first_is_the_one_that_is_told(handlers):
    with pytest.raises(signals.Terminated) as ended, signals.deferred():
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)  # SLURM's next, before it kills
    assert ended.value.code == code_of(signal.SIGUSR1)
    assert message(ended.value) == (LINES[signal.SIGUSR1] + GOES_ON).strip()


def test_a_handler_that_a_launcher_installed_stays_its_own():
    came = []
    usual = signal.signal(signal.SIGUSR1, lambda number, frame: came.append(number))
    try:
        with signals.handled():
            signals.run_opened()
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, usual)
    assert came == [signal.SIGUSR1]


def test_an_error_in_a_step_is_told_before_a_signal(handlers):
    with pytest.raises(ZeroDivisionError), signals.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        raise ZeroDivisionError


# --- a training --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The smoke training, run straight through."""
    os.chdir(ROOT)
    return trained(collected(tmp_path_factory.mktemp("straight"), "train.checkpoint_steps=1000"))


@pytest.mark.parametrize("step", [1, 2, 3])
def test_sigterm_in_any_step_keeps_that_step(handlers, straight, step, tmp_path, monkeypatch):
    plan = collected(tmp_path, "train.checkpoint_steps=1000")
    run = stages.train_run(plan)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "metric", signalled_at(step))
        if step == 2:  # a second one, while the checkpoint for the first is written
            patch.setattr(checkpoints, "save", signalled_first(checkpoints.save))
        with pytest.raises(signals.Terminated):
            trained(plan)
    assert status_of(run) == ("failed", (LINES[signal.SIGTERM] + GOES_ON).strip())
    assert [path.name for path in run.folder.glob("checkpoint-*")] == [f"checkpoint-{step}"]
    signals._state.ended_by = None  # as in another process
    assert bytes_of(trained(plan)) == bytes_of(straight)
    assert f"goes on after step {step}\n" in (run.folder / "stdout.log").read_text()


def signalled_at(step, metric=Run.metric):
    """Return Run.metric with SIGTERM in one step."""

    def signalled(run, **row):
        if row["step"] == step:
            os.kill(os.getpid(), signal.SIGTERM)
        metric(run, **row)

    return signalled


def signalled_first(function):
    """Return a function with SIGTERM before it does anything."""

    def signalled(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        function(*arguments)

    return signalled


def test_a_training_that_slurm_ends_loses_no_step(tmp_path):
    words = (*SMOKE, *LONG, f"out={tmp_path}")
    plan = collected(tmp_path, *LONG)
    run = stages.train_run(plan)
    process = start("train", *words)
    wait_for_rows(process, run.folder / "metrics.jsonl", 3)
    process.terminate()
    shown, told = process.communicate(timeout=60)
    assert process.returncode == 143 and "Traceback" not in told
    assert told.endswith(LINES[signal.SIGTERM] + GOES_ON)
    steps = [row["step"] for row in read_jsonl(run.folder / "metrics.jsonl")]
    assert (run.folder / f"checkpoint-{steps[-1]}").is_dir() and len(steps) >= 3
    again = command("train", *words)
    assert again.returncode == 0 and f"goes on after step {steps[-1]}\n" in again.stdout


@pytest.mark.slow
def test_a_training_that_slurm_preempts_and_kills_ends_in_the_same_bytes(straight, tmp_path):
    """SIGUSR1 in a step, SIGKILL as soon as the run is marked: the checkpoint must be there."""
    plan = collected(tmp_path, "train.checkpoint_steps=1000")
    run = stages.train_run(plan)
    process = start(
        "train", *SMOKE, "train.checkpoint_steps=1000", "wandb=disabled", f"out={tmp_path}"
    )
    wait_for_rows(process, run.folder / "metrics.jsonl", 1)
    process.send_signal(signal.SIGUSR1)
    until = time.monotonic() + 60
    while status_of(run)[0] == "running" and time.monotonic() < until:
        time.sleep(0.001)
    process.kill()
    told = process.communicate(timeout=60)[1]
    assert "Traceback" not in told
    assert status_of(run) == ("failed", (LINES[signal.SIGUSR1] + GOES_ON).strip())
    (checkpoint,) = run.folder.glob("checkpoint-*")
    assert bytes_of(trained(plan)) == bytes_of(straight)
    step = checkpoint.name.removeprefix("checkpoint-")
    assert f"goes on after step {step}\n" in (run.folder / "stdout.log").read_text()


@pytest.mark.parametrize(
    "receiver", ["torchrun", pytest.param("one worker", marks=pytest.mark.slow)]
)
def test_processes_of_torchrun_leave_together_with_a_checkpoint(receiver, tmp_path):
    plan = collected(tmp_path, *LONG)
    run, process = stages.train_run(plan), two(plan.out, *LONG)
    wait_for_rows(process, run.folder / "metrics.jsonl", 3)
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(children, encoding="utf-8") as file:
        workers = [int(pid) for pid in file.read().split()]
    os.kill(process.pid if receiver == "torchrun" else workers[-1], signal.SIGTERM)
    output = process.communicate(timeout=150)[0]
    assert process.returncode != 0 and output.count(LINES[signal.SIGTERM] + GOES_ON) == 2
    assert status_of(run)[0] == "failed"
    steps = [row["step"] for row in read_jsonl(run.folder / "metrics.jsonl")]
    (checkpoint,) = run.folder.glob("checkpoint-*")
    assert checkpoint.name == f"checkpoint-{steps[-1]}" and len(list(checkpoint.iterdir())) == 2
    trained(plan)
    assert f"goes on after step {steps[-1]}\n" in (run.folder / "stdout.log").read_text()


# --- the other stages --------------------------------------------------------------------


@pytest.mark.slow
def test_an_evaluation_that_slurm_ends_keeps_its_answers(tmp_path):
    words = ("benchmark.tasks=[coin]", "hardware.decode_rows=1", "budget=cap16", "wandb=disabled")
    plan = collected(tmp_path, *words)
    trained(plan)
    run = stages.evaluate_run(plan)
    process = start("evaluate", *SMOKE, *words, f"out={tmp_path}")
    answers = run.folder / "generations.jsonl"
    wait_for_rows(process, answers, 1)
    process.terminate()
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 143 and told.endswith(LINES[signal.SIGTERM] + GOES_ON)
    assert status_of(run)[0] == "failed" and "Traceback" not in told
    kept = read_jsonl(answers, tolerate_cut=True)
    assert kept and evaluated(plan).finished


@pytest.mark.slow
def test_a_collection_that_slurm_ends_asks_only_for_the_rest(tmp_path):
    words = (
        "teacher=openai",
        "questions.limit=60",
        "selection=server",
        "selection.keep_wrong=true",
        "client.concurrency=2",
        "wandb=disabled",
    )

    def reply(text, nth):
        return answer(content="Final Answer: 3", reasoning="so " * 20, wait=0.05)

    with Misbehaving(reply) as server:
        arguments = (*SMOKE, *words, f"teacher.url={server.url}", f"out={tmp_path}")
        process, until = start("collect", *arguments), time.monotonic() + 240
        while len(server.requests) < 20 and time.monotonic() < until:
            time.sleep(0.005)
        process.terminate()
        told = process.communicate(timeout=60)[1]
        assert process.returncode == 143 and told.endswith(LINES[signal.SIGTERM] + GOES_ON)
        (status,) = tmp_path.glob("collect/*/status.json")
        assert json.loads(status.read_text())["status"] == "failed" and "Traceback" not in told
        assert command("collect", *arguments).returncode == 0
        assert len(server.counts) == 60
        assert sum(server.counts.values()) <= 60 + 2, "what was in flight is asked again, no more"


def test_a_reader_who_leaves_ends_a_command_in_silence():
    for line in ("train --help", "collect experiment=smoke --cfg job", "train --hydra-help"):
        process = start(*line.split())
        process.stdout.close()
        told = process.stderr.read()
        assert process.wait(timeout=60) == code_of(signal.SIGPIPE) and not told
