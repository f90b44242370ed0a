"""Which rows each step sees: every row once an epoch, packs that fit.

The order of a run can be rebuilt without torch.
"""

import itertools
import json
import subprocess
import sys

import pytest
from conftest import ROOT, collected, trained
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import UserError
from ponder.hashing import file_sha256
from ponder.runs import read_jsonl, write_jsonl
from ponder.train import batches

RELEASED = sorted(path.parent for path in ROOT.glob("logs/train/*/status.json"))
TRACE = {
    "family": "f",
    "domain": "d",
    "answer": "a",
    "gold": "a",
    "think": "t",
    "wrong": [],
    "tokens": 1,
    "correct": True,
    "teacher": "t",
}


@given(st.integers(1, 50), st.integers(1, 4), st.integers(1, 9), st.integers(0, 5))
def test_each_epoch_shows_every_row_once(num_rows, epochs, batch_rows, seed):
    steps = batches.order(num_rows, epochs, batch_rows, seed)
    each = -(-num_rows // batch_rows)
    assert len(steps) == epochs * each
    for epoch in range(epochs):
        of_epoch = steps[epoch * each : (epoch + 1) * each]
        assert sorted(itertools.chain(*of_epoch)) == list(range(num_rows))
        assert (
            all(len(step) == batch_rows for step in of_epoch[:-1])
            and 1 <= len(of_epoch[-1]) <= batch_rows
        )


def test_the_order_follows_from_the_seed_and_differs_between_epochs():
    first, other = batches.order(40, 2, 40, 0), batches.order(40, 2, 40, 1)
    assert first == batches.order(40, 2, 40, 0)
    assert len({tuple(step) for step in first + other}) == 4
    assert batches.order(40, 3, 40, 0)[:2] == first


def steps_to_split():
    """Draw (lengths, world, block) that can be split."""
    return st.integers(1, 60).flatmap(
        lambda block: st.tuples(
            st.lists(st.integers(1, block), max_size=24), st.integers(1, 5), st.just(block)
        )
    )


@given(steps_to_split())
def test_every_row_is_in_one_pack_and_no_pack_is_above_the_block(drawn):
    lengths, world, block = drawn
    packs = batches.split_step(lengths, world, block)
    assert sorted(itertools.chain(*packs)) == list(range(len(lengths)))
    assert all(pack == sorted(pack) for pack in packs)
    assert len(packs) % world == 0
    assert max(sum(lengths[at] for at in pack) for pack in packs) <= block


@given(steps_to_split())
def test_each_process_has_as_few_packs_as_their_sum_asks_for_or_at_most_twice_that(drawn):
    lengths, world, block = drawn
    count = len(batches.split_step(lengths, world, block))
    assert count * block >= sum(lengths)
    # Where one pack fewer per process overflowed, each of those packs was more than half full.
    assert count == world or (count - world) * block < 2 * sum(lengths)


@given(steps_to_split())
def test_no_pack_could_give_its_smallest_row_to_another_and_still_be_the_larger(drawn):
    lengths, world, block = drawn
    packs = [[lengths[at] for at in pack] for pack in batches.split_step(lengths, world, block)]
    least = min(map(sum, packs))
    assert all(sum(pack) - min(pack) <= least for pack in packs if pack)


@given(st.lists(st.integers(1, 50), max_size=20))
def test_a_step_that_fits_into_one_block_is_one_pack_in_its_order(lengths):
    assert batches.split_step(lengths, 1, max(1, sum(lengths))) == [list(range(len(lengths)))]


@pytest.mark.parametrize(
    "lengths, world, block, packs",
    [
        ([5, 9, 4, 2], 1, 20, [[0, 1, 2, 3]]),
        ([5, 9, 4, 2], 2, 20, [[1, 3], [0, 2]]),
        # Two packs hold 9 and 5 + 4, then 2 fits into neither.
        ([5, 9, 4, 2], 1, 10, [[1], [0], [2, 3]]),
        ([3, 3, 3, 3], 2, 6, [[0, 2], [1, 3]]),  # ties by index
        ([7, 7, 7], 2, 7, [[0], [1], [2], []]),
        ([4], 3, 8, [[0], [], []]),
        ([], 2, 8, [[], []]),
    ],
)
def test_rows_go_longest_first_to_the_least_loaded(lengths, world, block, packs):
    assert batches.split_step(lengths, world, block) == packs


def test_a_row_longer_than_the_block_is_refused():
    with pytest.raises(
        UserError,
        match="row 1 of the step has 9 tokens, but train.max_tokens is 8; raise it or drop",
    ):
        batches.split_step([3, 9], 2, 8)


def run_command(*folders, before=""):
    """Return the finished `python -m ponder.train.batches` of these folders, run after `before`."""
    program = (
        f"import runpy, sys; {before}sys.argv[1:] = {list(map(str, folders))}; "
        "runpy.run_module('ponder.train.batches', None, '__main__')"
    )
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)


def test_importing_batches_does_not_import_torch():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, ponder.train.batches; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ponder.train.batches" in done.stdout.split() and "torch" not in done.stdout.split()


def test_the_order_of_every_released_run_is_rebuilt_where_torch_is_missing():
    done = run_command(*RELEASED, before="sys.modules['torch'] = None; ")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        folder.name for folder in RELEASED
    ] and RELEASED
    assert "cpu-d57f96ff: 500 steps, 1,000 rows: the order that seed 0 gives" in lines


def a_run(out, ids="abcdefg", seed=3, epochs=2):
    """Return the folder of a small train run, written with its rows under `out` as scripts do."""
    rows, folder = out / "collect" / "x-1" / "train.jsonl", out / "train" / "x-2"
    rows.parent.mkdir(parents=True)
    folder.mkdir(parents=True)
    write_jsonl(rows, [{**TRACE, "id": name, "question": name} for name in ids])
    (folder / "config.yaml").write_text(
        f"seed: {seed}\ntrain: {{epochs: {epochs}, batch_rows: 3}}\n"
    )
    (folder / "status.json").write_text(json.dumps({"inputs": {"train.jsonl": file_sha256(rows)}}))
    steps = batches.order(len(ids), epochs, 3, seed)
    write_jsonl(
        folder / "batches.jsonl",
        [{"step": n, "ids": [ids[at] for at in step]} for n, step in enumerate(steps, 1)],
    )
    return folder


def test_the_rows_beside_a_run_are_found(tmp_path, capsys):
    assert batches.main(a_run(tmp_path)) == 0
    assert capsys.readouterr().out == "x-2: 6 steps, 7 rows: the order that seed 3 gives\n"


def test_a_training_writes_the_order_that_its_config_plans(tmp_path, capsys):
    run = trained(collected(tmp_path, "train.epochs=2"))
    capsys.readouterr()
    assert batches.main(run.folder) == 0
    assert capsys.readouterr().out == f"{run.name}: 6 steps, 24 rows: the order that seed 0 gives\n"


def swapped(rows):
    rows[3]["ids"].reverse()


@pytest.mark.parametrize(
    "change, said",
    [
        (swapped, "step 4 is not as planned: it says"),
        (lambda rows: rows[1].update(step=7), "step 2 is not as planned: it says"),
        (lambda rows: rows[1].update(more=1), "step 2 is not as planned: it says"),
        (lambda rows: rows.pop(), "step 6 is not as planned: 5 steps are there, planned were 6"),
        (
            lambda rows: rows.append(rows[0]),
            "step 7 is not as planned: 7 steps are there, planned were 6",
        ),
        (lambda rows: rows.clear(), "step 1 is not as planned: 0 steps are there, planned were 6"),
    ],
)
def test_a_run_of_another_order_is_told_with_its_first_step(tmp_path, capsys, change, said):
    folder, other = a_run(tmp_path / "changed"), a_run(tmp_path / "right")
    rows = read_jsonl(folder / "batches.jsonl")
    change(rows)
    write_jsonl(folder / "batches.jsonl", rows)
    assert batches.main(folder, other) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and said in lines[0] and lines[1].endswith("the order that seed 3 gives")


def test_a_run_that_used_another_seed_is_told(tmp_path, capsys):
    folder = a_run(tmp_path)
    (folder / "config.yaml").write_text("seed: 4\ntrain: {epochs: 2, batch_rows: 3}\n")
    assert batches.main(folder) == 1 and "step 1 is not as planned" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("status.json", None, "x-2 has no status.json; name the folder of a train run"),
        ("config.yaml", None, "x-2 has no config.yaml; name the folder of a train run"),
        ("batches.jsonl", None, "x-2 has no batches.jsonl; name the folder of a train run"),
        ("status.json", "{", "x-2 is no train run or is damaged"),
        ("status.json", '{"inputs": {"other": "00"}}', "x-2 is no train run or is damaged"),
        (
            "status.json",
            '{"inputs": {"train.jsonl": "00"}}',
            "train.jsonl with sha256 00...) are not in outputs/collect or data/;",
        ),
        ("config.yaml", "a: [", "x-2 is no train run or is damaged"),
        ("config.yaml", "seed: 1\ntrain: 7\n", "x-2 is no train run or is damaged"),
        (
            "config.yaml",
            "seed: 1\ntrain: {epochs: 1.5, batch_rows: 3}\n",
            "epochs=1.5, which no run can have",
        ),
        (
            "config.yaml",
            "seed: x\ntrain: {epochs: 1, batch_rows: 3}\n",
            "seed='x', which no run can have",
        ),
        (
            "config.yaml",
            "seed: 1\ntrain: {epochs: 1, batch_rows: 0}\n",
            "batch_rows=0, which no run can have",
        ),
        ("batches.jsonl", '{"step": 1', "batches.jsonl line 1 is not whole JSON"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path, capsys, name, text, said):
    folder = a_run(tmp_path)
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(SystemExit) as left:
        batches.main(folder)
    told = capsys.readouterr()
    assert left.value.code == 2 and told.err.startswith("error: ") and told.err.count("\n") == 1
    assert said in told.err and not told.out


def test_the_command_itself_leaves_with_its_code(tmp_path):
    folder = a_run(tmp_path)
    assert run_command(folder).returncode == 0
    write_jsonl(folder / "batches.jsonl", [])
    assert run_command(folder).returncode == 1
    assert run_command(tmp_path).returncode == 2 and run_command().returncode == 2
