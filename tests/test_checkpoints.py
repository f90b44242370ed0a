"""Checkpoints: the same bits on any number of processes, and one sentence for bad ones.

At any kill they are whole or not there.
"""

import contextlib
import json
import os
import pickle
import resource
import shutil
import struct
import subprocess
import types
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from safetensors.torch import load_file, save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from ponder.errors import UserError, user_errors
from ponder.runs import read_jsonl, write_jsonl
from ponder.train import checkpoints, sft


class Tiny(torch.nn.Module):
    """Tensors of 5, 1 and 4 rows: two processes hold unequal shards, one of them empty."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.head = torch.nn.Linear(3, 5), torch.nn.Linear(5, 1)
        self.frozen = torch.nn.Linear(3, 3).requires_grad_(False)
        self.scale = torch.nn.Parameter(torch.ones(4, 2, 2))

    def forward(self, x):
        """Return one number."""
        y = self.head(torch.tanh(self.layer(self.frozen(x))))
        return y.square().mean() + self.scale.sum().sin()


def new_network(world=1):
    """Return a fresh network with its optimizer, in shards for several processes."""
    network = Tiny()
    if world > 1:
        mesh = init_device_mesh("cpu", (world,))
        for part in (network.layer, network):
            fully_shard(part, mesh=mesh)
    return network, torch.optim.AdamW(
        [p for p in network.parameters() if p.requires_grad], lr=0.1, fused=True
    )


def fit(network, optimizer, steps):
    """Take some steps."""
    for step in steps:
        network(torch.linspace(-1, step, 12).view(4, 3)).backward()
        optimizer.step()
        optimizer.zero_grad()


def run_in(folder, steps=3, name="tiny-01234567"):
    """Return what checkpoints needs of a run, with a metrics row for each step."""
    folder.mkdir(exist_ok=True)
    if not (folder / "metrics.jsonl").exists():
        write_jsonl(folder / "metrics.jsonl", [{"step": step} for step in range(1, steps + 1)])
    return types.SimpleNamespace(folder=folder, name=name, say=lambda text: None)


def whole(tensor):
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach().clone()


def state(network, optimizer):
    """Return all that a checkpoint holds as full tensors."""
    tensors = {}
    for name, weight in network.named_parameters():
        tensors[f"weight/{name}"] = whole(weight)
        for kind, value in optimizer.state.get(weight, {}).items():
            tensors[f"{kind}/{name}"] = whole(value)
    return tensors


def same(one, other):
    return one.keys() == other.keys() and all(
        one[key].dtype == other[key].dtype and torch.equal(one[key], other[key]) for key in one
    )


def kinds(optimizer):
    """Return what AdamW's state is made of."""
    return [
        (type(value), value.dtype, value.shape, getattr(value, "placements", None))
        for weight_state in optimizer.state.values()
        for _, value in sorted(weight_state.items())
    ]


def save_in(folder, rank=0, world=1, barrier=lambda: None):
    """Save after step 3 in `folder`, with the true state beside it, and go on for two steps.

    The true state after those lies there too.
    """
    network, optimizer = new_network(world)
    fit(network, optimizer, range(3))
    if rank == 0:
        run_in(folder)  # its metrics are written by one process
    barrier()
    checkpoints.save(run_in(folder), network, optimizer, 3, rank, world, barrier)
    now = state(network, optimizer)
    fit(network, optimizer, range(3, 5))
    later = state(network, optimizer)
    if rank == 0:
        save_file(now, folder / "truth.safetensors")
        save_file(later, folder / "later.safetensors")
    barrier()
    return kinds(optimizer)


def resume_in(folder, rank=0, world=1):
    """Resume in a fresh network.

    Returns its state, the state two steps later, and what AdamW's is made of.
    """
    network, optimizer = new_network(world)
    assert checkpoints.resume(run_in(folder), network, optimizer, rank, world) == 3
    now, resumed_kinds = state(network, optimizer), kinds(optimizer)
    fit(network, optimizer, range(3, 5))
    return now, state(network, optimizer), resumed_kinds


@contextlib.contextmanager
def files_of_at_most(num_bytes):
    """Give this process a real limit on the size of its files.

    Writing more fails as on a full disk.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def process(rank, world, place):
    """One of `world` real processes: saves, and resumes what others saved.

    Then it meets a disk that is full for the last of them.
    """
    place = Path(place)
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{place}/store-{world}", rank=rank, world_size=world
    )
    fresh = save_in(place / f"by-{world}", rank, world, dist.barrier)
    for savers in (1, 2, 3):
        folder = place / f"by-{savers}"
        now, later, resumed_kinds = resume_in(folder, rank, world)
        assert resumed_kinds == fresh, "AdamW's state is of other kinds than what AdamW makes"
        assert same(now, load_file(folder / "truth.safetensors"))
        assert savers != world or same(later, load_file(folder / "later.safetensors"))
    network, optimizer = new_network(world)
    fit(network, optimizer, range(4))
    with (
        files_of_at_most(100) if rank == world - 1 else contextlib.nullcontext(),
        pytest.raises(UserError) as refusal,
    ):
        run = run_in(place / f"by-{world}")
        checkpoints.save(run, network, optimizer, 4, rank, world, dist.barrier)
    (place / f"refusal-{rank}-of-{world}").write_text(str(refusal.value))
    sft.save_weights(network, place / f"by-{world}/adapter", rank == 0)
    truth = {name: whole(p).bfloat16() for name, p in network.named_parameters() if p.requires_grad}
    dist.barrier()
    assert same(load_file(place / f"by-{world}/adapter/adapter_model.safetensors"), truth)
    dist.destroy_process_group()


def split_checkpoint(folder, world, into):
    """Write the checkpoint of one process as `world` would have written it.

    Its rows are cut by torch.chunk.
    """
    (into / "checkpoint-3").mkdir(parents=True)
    shutil.copy(folder / "truth.safetensors", into)
    for rank in range(world):
        shards = {}
        for key, tensor in load_file(shard_of(folder)).items():
            chunks = tensor.chunk(world)
            shards[key] = chunks[rank].clone() if rank < len(chunks) else tensor[:0].clone()
        facts = {"run": run_in(into).name, "step": "3", "rank": str(rank), "world": str(world)}
        save_file(shards, into / f"checkpoint-3/shard-{rank}-of-{world}.safetensors", facts)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with the checkpoints by-1, by-2 and by-3, named by how many processes saved them."""
    place = tmp_path_factory.mktemp("saved")
    save_in(place / "by-1")
    split_checkpoint(place / "by-1", 3, place / "by-3")
    torch.multiprocessing.spawn(process, (2, str(place)), nprocs=2)  # which resume all of them
    return place


@pytest.mark.parametrize("world", [1, 2, 3])
def test_one_process_resumes_what_any_number_saved_to_the_bit(saved, world):
    folder = saved / f"by-{world}"
    shards = [f"shard-{rank}-of-{world}.safetensors" for rank in range(world)]
    assert sorted(p.name for p in (folder / "checkpoint-3").iterdir()) == shards
    now, later, resumed_kinds = resume_in(folder)
    assert same(now, load_file(folder / "truth.safetensors"))
    assert world > 1 or same(later, load_file(folder / "later.safetensors"))
    fresh = new_network()
    fit(*fresh, range(1))
    assert resumed_kinds == kinds(fresh[1])


def test_two_processes_resume_what_any_number_saved_to_the_bit(saved):
    assert (saved / "refusal-1-of-2").exists(), "the fixture's two processes assert it"


def test_no_process_goes_on_when_one_of_them_has_no_room(saved):
    first, last = ((saved / f"refusal-{rank}-of-2").read_text() for rank in range(2))
    assert "another process could not write its shard" in first and "File too large" in last
    for refusal in (first, last):
        assert refusal.endswith("free some space, and the same command goes on from step 3")
    assert [p.name for p in (saved / "by-2").glob("checkpoint*")] == ["checkpoint-3"]


@pytest.fixture
def good(tmp_path):
    """A run's folder with checkpoint-3 of one process."""
    save_in(tmp_path / "run")
    return tmp_path / "run"


def shard_of(folder):
    return folder / "checkpoint-3/shard-0-of-1.safetensors"


def file_of(header, body=b""):
    """Return the bytes of a safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def with_header(shape, offsets):
    """Return a change to one tensor of 4 bytes that is described otherwise."""
    return lambda path: path.write_bytes(
        file_of({"a": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}, b"1234")
    )


def changed(**facts):
    """Return a change of the metadata."""

    def change(path):
        with checkpoints.safe_open(path, "pt") as file:
            before = file.metadata()
        after = {key: value for key, value in (before | facts).items() if value is not None}
        save_file(load_file(path), path, after)

    return change


def with_tensors(change):
    """Return a change of the tensors."""

    def apply(path):
        with checkpoints.safe_open(path, "pt") as file:
            facts = file.metadata()
        save_file(change(load_file(path)), path, facts)

    return apply


class Bomb:
    """A pickle that makes a file when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("exploded",)


BAD = {
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(b"\xff" * 50),
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Bomb())),
    "a file of torch.save": lambda path: torch.save({"weight": Bomb()}, path),
    "an old file of torch.save": lambda path: torch.save(
        {"weight": Bomb()}, path, _use_new_zipfile_serialization=False
    ),
    "a header of 2**63 bytes": lambda path: path.write_bytes(struct.pack("<Q", 2**63) + b"{}"),
    "a header longer than the file": lambda path: path.write_bytes(struct.pack("<Q", 5000) + b"{}"),
    "a tensor of 2**62 bytes": with_header([2**60], [0, 2**62]),
    "a tensor longer than the file": with_header([9], [0, 36]),
    "negative offsets": with_header([1], [-4, 0]),
    "deep nesting": lambda path: path.write_bytes(file_of(b"[" * 100_000)),
    "metadata that is no text": lambda path: path.write_bytes(
        file_of({"__metadata__": {"step": 3}})
    ),
    "no metadata": lambda path: save_file(load_file(path), path),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "another run": changed(run="other-01234567"),
    "another step": changed(step="4"),
    "another rank": changed(rank="1"),
    "another world": changed(world="2"),
    "no rank": changed(rank=None),
    "another type": with_tensors(lambda t: t | {"weight/scale": t["weight/scale"].double()}),
    "a type of half the size": with_tensors(
        lambda t: t | {"exp_avg/scale": t["exp_avg/scale"].bfloat16()}
    ),
    "another shape": with_tensors(lambda t: t | {"weight/scale": t["weight/scale"].view(2, 4, 2)}),
    "more rows": with_tensors(lambda t: t | {"weight/scale": torch.ones(5, 2, 2)}),
    "a tensor too few": with_tensors(
        lambda t: {key: value for key, value in t.items() if key != "exp_avg_sq/layer.bias"}
    ),
    "a tensor too many": with_tensors(lambda t: t | {"../../../evil": torch.ones(1)}),
    "weights that are not trained": with_tensors(
        lambda t: t | {"weight/frozen.weight": torch.ones(3, 3)}
    ),
    "no such shard": lambda path: path.unlink(),
    "the shard of two": lambda path: path.rename(path.with_name("shard-0-of-2.safetensors")),
    "the shards of one and of two": lambda path: shutil.copy(
        path, path.with_name("shard-0-of-2.safetensors")
    ),
    "a file for a folder": lambda path: (shutil.rmtree(path.parent), path.parent.write_bytes(b"x")),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_checkpoint_is_refused_in_one_sentence_with_nothing_loaded(good, monkeypatch, bad):
    monkeypatch.chdir(good)
    BAD[bad](shard_of(good))
    network, optimizer = new_network()
    before = state(network, optimizer)
    with pytest.raises(UserError) as refusal:
        checkpoints.resume(run_in(good), network, optimizer)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 700
    assert str(refusal.value).endswith(f"delete {good}/checkpoint-3 to start again")
    assert same(state(network, optimizer), before)
    assert not (good / "exploded").exists()
    assert len(read_jsonl(good / "metrics.jsonl")) == 3


def test_a_checkpoint_cut_anywhere_is_refused(good):
    path, network = shard_of(good), new_network()
    data = path.read_bytes()
    for length in {*range(16), *range(16, len(data), 23), len(data) - 1}:
        path.write_bytes(data[:length])
        with pytest.raises(UserError, match="cannot be read.*to start again"):
            checkpoints.resume(run_in(good), *network)


def test_a_header_with_any_changed_byte_is_refused_or_read_but_nothing_else(good):
    path, network = shard_of(good), new_network()
    data, accepted = path.read_bytes(), []
    end = 8 + struct.unpack("<Q", data[:8])[0]
    for place in range(end):
        value = (data[place] ^ 1, 0, 255, ord("9"), ord('"'))[place % 5]
        if value == data[place]:
            continue
        path.write_bytes(data[:place] + bytes([value]) + data[place + 1 :])
        try:
            checkpoints.resume(run_in(good), *network)
        except UserError:
            continue
        accepted.append(data[place : place + 1])
    assert set(accepted) <= {b" "}, "only the spaces after the header may be anything"


def test_without_a_checkpoint_a_run_starts_at_its_first_step(tmp_path):
    run = run_in(tmp_path / "run")
    (run.folder / "checkpoint-9.part").mkdir()
    assert checkpoints.resume(run, *new_network()) == 0
    assert read_jsonl(run.folder / "metrics.jsonl") == []
    assert not (run.folder / "checkpoint-9.part").exists()


def test_only_the_first_process_tidies_the_folder(tmp_path):
    run = run_in(tmp_path / "run")
    (run.folder / "checkpoint-9.part").mkdir()
    assert checkpoints.resume(run, *new_network(), rank=1, world=2) == 0
    assert len(read_jsonl(run.folder / "metrics.jsonl")) == 3
    assert (run.folder / "checkpoint-9.part").exists()


class Killed(BaseException):
    """What stops a save in this process without giving it time to tidy up."""


@pytest.mark.parametrize("late", [False, True])
def test_a_save_killed_at_any_moment_leaves_the_old_checkpoint_or_the_new_one(
    good, monkeypatch, late
):
    truth, resumed_steps = {3: load_file(good / "truth.safetensors")}, []
    write_jsonl(good / "metrics.jsonl", [{"step": step} for step in range(1, 5)])
    network, optimizer = new_network()
    fit(network, optimizer, range(4))
    truth[4] = state(network, optimizer)

    def killing(real, moments):
        def call(*args, **kwargs):
            if not late and next(moments) == 0:
                raise Killed
            result = real(*args, **kwargs)
            if late and next(moments) == 0:
                raise Killed
            return result

        return call

    for moment in range(100):
        shutil.copytree(good, run := good.parent / f"killed-{moment}")
        moments = iter(range(moment, -1000, -1))
        with monkeypatch.context() as patch:
            for place, name in (
                (checkpoints, "write"),
                (checkpoints, "save_file"),
                (os, "rename"),
                (os, "unlink"),
                (os, "rmdir"),
                (os, "fsync"),
                (os, "chmod"),
            ):
                patch.setattr(place, name, killing(getattr(place, name), moments))
            try:
                checkpoints.save(run_in(run), network, optimizer, 4)
            except Killed:
                pass
            else:
                break
        other = new_network()
        step = checkpoints.resume(run_in(run), *other)
        assert same(state(*other), truth[step])
        resumed_steps.append(step)
        fit(*other, range(step, 5))
        checkpoints.save(run_in(run), *other, 5)
        assert [p.name for p in run.glob("checkpoint*")] == ["checkpoint-5"]
    assert len(resumed_steps) >= 7 and set(resumed_steps) == {3, 4}
    assert resumed_steps == sorted(resumed_steps)


def test_a_full_disk_keeps_the_checkpoint_before_and_nothing_half_written(good):
    network, optimizer = new_network()
    fit(network, optimizer, range(4))
    sentence = (
        r"after step 4 cannot be written.*\(File too large\); free some space, "
        "and the same command goes on from step 3"
    )
    with files_of_at_most(500), pytest.raises(UserError, match=sentence):
        checkpoints.save(run_in(good), network, optimizer, 4)
    assert [p.name for p in good.glob("checkpoint*")] == ["checkpoint-3"]
    resume_in(good)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True
    ).returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_disk_that_is_really_full_is_told_and_left_as_it_was(small_disk):
    network = torch.nn.Linear(100, 100)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    network(torch.ones(1, 100)).sum().backward()
    optimizer.step()
    with pytest.raises(
        UserError,
        match=r"step 1 cannot be written.*\(No space left on device\).*goes on from the start",
    ):
        checkpoints.save(run_in(small_disk), network, optimizer, 1)
    (small_disk / "filler").write_bytes(b"0" * 50_000)
    with pytest.raises(
        UserError,
        match=r"trained weights cannot be written.*\(No space left on device\); free some space",
    ):
        sft.save_weights(network, small_disk / "adapter")
    (small_disk / "filler").unlink()
    assert [p.name for p in small_disk.rglob("*") if p.name != "metrics.jsonl"] == ["adapter"]
    sft.save_weights(network, small_disk / "adapter")
    assert [p.name for p in (small_disk / "adapter").iterdir()] == ["adapter_model.safetensors"]


def test_trained_weights_without_room_leave_the_ones_before(tmp_path):
    network, _ = new_network()
    sft.save_weights(network, tmp_path / "adapter")
    before = (tmp_path / "adapter/adapter_model.safetensors").read_bytes()
    sentence = r"\(File too large\).*the same command goes on from the last checkpoint"
    with files_of_at_most(100), pytest.raises(UserError, match=sentence):
        sft.save_weights(network, tmp_path / "adapter")
    assert [p.name for p in (tmp_path / "adapter").iterdir()] == ["adapter_model.safetensors"]
    assert (tmp_path / "adapter/adapter_model.safetensors").read_bytes() == before


def test_others_may_read_what_is_written(good):
    plain = good / "plain"
    plain.touch()
    assert shard_of(good).stat().st_mode == plain.stat().st_mode


def test_a_full_disk_anywhere_in_a_script_is_one_sentence_and_exit_code_2(tmp_path, capsys):
    def main():
        with files_of_at_most(100):
            (tmp_path / "rows").write_bytes(b"0" * 1000)

    with pytest.raises(SystemExit) as left:
        user_errors(main)()
    assert left.value.code == 2
    assert capsys.readouterr().err == (
        "error: the disk is full (File too large); free some space, and the same command goes on "
        "from here\n"
    )


def test_another_error_of_the_system_is_not_taken_for_a_full_disk():
    def main():
        raise PermissionError(13, "Permission denied")

    with pytest.raises(PermissionError):
        user_errors(main)()
