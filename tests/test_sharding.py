"""Two processes under torchrun, on one node or two, train what one trains; one goes on where two
were stopped.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import ROOT, SMOKE, collected, study_of, trained
from safetensors.torch import load_file

from ponder import hashing, stages
from ponder.errors import UserError
from ponder.runs import read_jsonl
from ponder.train import packing, processes

# Every batch of 7 rows takes several packs of each process, and the last of an epoch, of 3 rows,
# leaves one process fewer.
UNEVEN = ("train.batch_rows=7", "train.max_tokens=420", "train.epochs=3")
RECIPES = {
    "full": ("train.method=full", "train.train_embeddings=true", "train.recompute=true"),
    # One process has no row in any step.
    "lora": ("train.method=lora", "train.batch_rows=1", "train.epochs=1"),
    "full-bfloat16": ("train.method=full", "train.compute=bfloat16"),
    # Adapters stay in float32.
    "lora-bfloat16": ("train.method=lora", "train.compute=bfloat16", "train.weights=bfloat16"),
}


def two(out, *overrides):
    """Start train.py on two processes."""
    return launched(("--nproc-per-node=2", "--standalone"), out, *overrides)


def launched(words, out, *overrides):
    """Start train.py by torchrun with these words."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        *words,
        "train.py",
        *SMOKE,
        *overrides,
        f"out={out}",
    ]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def finished(process):
    """Return what torchrun printed; where it does not end in time it is killed with all of its."""
    try:
        output, _ = process.communicate(timeout=150)
    except subprocess.TimeoutExpired:
        killed(process)
        raise
    assert process.returncode == 0, output[-3000:]
    return output


def killed(process):
    """Kill torchrun, and its workers, which are in sessions of their own."""
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (process.pid, *map(int, workers)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return workers


def same(run, other, losses=1e-5):
    """Assert that two runs saw the same rows and have the same losses, up to `losses`."""
    metrics, other_metrics = (read_jsonl(r.folder / "metrics.jsonl") for r in (run, other))
    for row, other_row in zip(metrics, other_metrics, strict=True):
        assert row["loss"] == pytest.approx(other_row["loss"], abs=losses), row["step"]
        for key in ("step", "tokens", "loss_tokens", "lr"):
            assert row[key] == other_row[key]
    batches, other_batches = ((r.folder / "batches.jsonl").read_bytes() for r in (run, other))
    assert batches == other_batches


def same_weights(run, other):
    """Assert that two runs release the same weights.

    To 1e-4, or to the last bit of bfloat16 where that is more.
    """
    weights, others = (
        load_file(r.folder / "adapter" / "adapter_model.safetensors") for r in (run, other)
    )
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(
            weight.float(), others[name].float(), atol=1e-4, rtol=2**-7, msg=name
        )


@pytest.mark.parametrize(
    "recipe",
    [pytest.param(name, marks=() if name == "lora" else pytest.mark.slow) for name in RECIPES],
)
def test_two_processes_train_what_one_trains(tmp_path, recipe):
    overrides = (*UNEVEN, *RECIPES[recipe])
    one, both = collected(tmp_path / "one", *overrides), collected(tmp_path / "two", *overrides)
    run = trained(one)
    output = finished(two(both.out, *overrides))
    other = stages.train_run(both)
    assert other.finished and output.count(" rows, ") == 1  # only the first process speaks
    if "bfloat16" in recipe:
        # Products rounded to 8 bits, packs of other rows: equal to that precision and no more.
        return same(run, other, losses=1e-2)
    same(run, other)
    same_weights(run, other)


def test_two_nodes_that_meet_train_what_one_process_trains(tmp_path):
    overrides = (*UNEVEN, *RECIPES["full"], "train.epochs=1")
    one, both = collected(tmp_path / "one", *overrides), collected(tmp_path / "two", *overrides)
    run = trained(one)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ("--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", "--local-addr=127.0.0.1")
    words += (f"--rdzv-endpoint=127.0.0.1:{port}",)
    nodes = [launched(words, both.out, *overrides) for _ in range(2)]
    try:
        outputs = [finished(node) for node in nodes]
    finally:
        for node in nodes:
            if node.poll() is None:
                killed(node)
    assert sorted(output.count(" rows, ") for output in outputs) == [0, 1]  # rank 0 alone speaks
    other = stages.train_run(both)
    assert other.finished
    same(run, other)
    same_weights(run, other)


@pytest.mark.slow
def test_a_run_stopped_on_two_processes_goes_on_in_one(tmp_path):
    overrides = (*UNEVEN, *RECIPES["full"], "train.epochs=15")
    straight = collected(tmp_path / "straight", *overrides)
    stopped = collected(tmp_path / "stopped", *overrides)
    run = stages.train_run(stopped)
    metrics = run.folder / "metrics.jsonl"
    process, until = two(stopped.out, *overrides), time.monotonic() + 240
    while process.poll() is None and time.monotonic() < until:
        if metrics.exists() and metrics.read_bytes().count(b"\n") >= 4:
            break
        time.sleep(0.005)
    workers = killed(process)
    process.communicate()  # ends when the last of them has let go of the output
    assert process.returncode == -signal.SIGKILL and len(workers) >= 2 and not run.finished
    newest = max(
        run.folder.glob("checkpoint-*[0-9]"), key=lambda place: int(place.name.split("-")[1])
    )
    assert sorted(path.name for path in newest.iterdir()) == [
        "shard-0-of-2.safetensors",
        "shard-1-of-2.safetensors",
    ]
    runs = trained(straight), trained(stopped)
    same(*runs)
    same_weights(*runs)
    assert "goes on after step" in (run.folder / "stdout.log").read_text()


def test_a_process_without_rows_adds_nothing(network):
    network.set_attn_implementation(packing.ATTENTION)
    loss = packing.loss_of(network, packing.pack([]), 8)
    loss.backward()
    assert loss.item() == 0 and all(
        p.grad is None or p.grad.abs().max() == 0 for p in network.parameters()
    )


def test_a_base_that_cannot_be_made_stops_both(tmp_path):
    overrides = (*UNEVEN, "model.name=missing", "model.source=hub", "model.hub=nobody/nothing")
    process = two(tmp_path, *overrides)
    output = process.communicate(timeout=150)[0]
    assert process.returncode and "nobody/nothing could not be loaded from the hub" in output


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_told():
    with pytest.raises(
        UserError,
        match="hardware.device=cuda asks for GPU 0, but this machine has 0; .*hardware=cpu2",
    ):
        with processes.process_group("cuda", study_of(*SMOKE).train):
            pass


def test_several_processes_that_cannot_meet_are_told(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        UserError, match="WORLD_SIZE=2 is set, but not RANK.*start the script with torchrun"
    ):
        with processes.process_group("cpu", study_of(*SMOKE).train):
            pass


def test_each_step_draws_from_its_own_seed(tmp_path, monkeypatch):
    """Nothing draws while training today.

    A fork that turns dropout on still resumes to the same bytes.
    """
    manual_seed, seeds = torch.manual_seed, []

    def recording(seed):
        seeds.append(seed)
        return manual_seed(seed)

    monkeypatch.setattr(torch, "manual_seed", recording)
    plan = collected(tmp_path)
    trained(plan)
    expected = [hashing.purpose_seed(f"train step/{plan.seed}/{step}/0") for step in (1, 2, 3)]
    assert [seed for seed in seeds if seed in expected] == expected
