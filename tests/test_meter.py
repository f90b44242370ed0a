"""The cost record: counters of a made-up /sys, sums over made-up steps, a made-up clock."""

import json
import re
import types

import pytest
import torch
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as some

from ponder.errors import UserError
from ponder.models import Dimensions
from ponder.runs import NOT_REPRODUCED, Run, write_jsonl
from ponder.train import costs, meter

SPAN = 1_000_000
ZONES = {  # as a machine with two sockets has them: name, microjoules
    "intel-rapl:0": ("package-0", 900_000),
    "intel-rapl:0:0": ("core", 500_000),
    "intel-rapl:0:1": ("dram", 400_000),
    "intel-rapl:1": ("package-1", 100_000),
    "intel-rapl:2": ("psys", 950_000),
    "intel-rapl-mmio:0": ("package-0", 900_000),
}
D = Dimensions(hidden=8, intermediate=16, layers=2, heads=2, kv_heads=1, vocabulary=10, tied=True)
S = costs.Sizes(
    parameters=1000,
    trained=200,
    weight_bytes=4000,
    trained_bytes=800,
    tensors=4,
    layer=450,
    layer_trained=100,
    head_trained=0,
    products=900,
    products_trained=200,
    no_input_gradient=30,
    last_matrix=128,
    adapter_bytes=4,
    ranks=7,
)
METRICS = [
    {"step": 1, "loss": 3.0, "tokens": 8, "loss_tokens": 5},
    {"step": 2, "loss": 2.0, "tokens": 4, "loss_tokens": 2},
]
LENGTHS, BATCHES = [5, 3, 4], [[1, 0], [2]]
PAIRS = 15 + 6 + 10


def powercap(folder, zones=ZONES):
    """Write counters as Linux shows them and return their folder."""
    for zone, (name, energy) in zones.items():
        (folder / zone).mkdir(parents=True)
        for file, value in (("name", name), ("energy_uj", energy), ("max_energy_range_uj", SPAN)):
            (folder / zone / file).write_text(f"{value}\n")
    return folder


def test_each_package_is_read_once_and_its_parts_and_the_platform_are_not(tmp_path):
    assert meter.packages("cpu", powercap(tmp_path)) == {
        "intel-rapl:0": (900_000, SPAN),
        "intel-rapl:1": (100_000, SPAN),
    }
    assert meter.why_no_energy("cpu", tmp_path) is None


def test_a_counter_that_cannot_be_read_leaves_none_and_the_reason(tmp_path):
    (powercap(tmp_path) / "intel-rapl:1" / "energy_uj").unlink()
    (
        tmp_path / "intel-rapl:1" / "energy_uj"
    ).mkdir()  # root may read any file, so take one that nobody can
    assert meter.packages("cpu", tmp_path) == {}
    assert "not readable" in meter.why_no_energy("cpu", tmp_path)


def test_a_machine_without_counters_and_a_gpu_tell_nothing(tmp_path):
    missing = tmp_path / "missing"
    assert meter.packages("cpu", missing) == {} and "no energy counters" in meter.why_no_energy(
        "cpu", missing
    )
    assert meter.packages("cuda", powercap(tmp_path)) == {} and "GPU" in meter.why_no_energy(
        "cuda", tmp_path
    )
    assert meter.joules({}, {}) is None
    assert meter.joules({"a": (0, SPAN)}, {"b": (0, SPAN)}) is None  # another machine


@given(
    some.lists(
        some.tuples(some.integers(0, SPAN - 1), some.integers(0, SPAN - 1)), min_size=1, max_size=4
    )
)
def test_energy_is_what_was_spent_though_counters_start_anew(packages):
    before = {str(i): (at, SPAN) for i, (at, _) in enumerate(packages)}
    after = {str(i): ((at + spent) % SPAN, SPAN) for i, (at, spent) in enumerate(packages)}
    assert meter.joules(before, after) == pytest.approx(sum(spent for _, spent in packages) / 1e6)


def test_the_ceiling_is_the_median_of_the_products_that_fit(monkeypatch):
    ticks = iter(
        [0.0, 0.1, 1.0, 1.3, 2.0, 2.2]
    )  # products of 0.1, 0.3 and 0.2 seconds, then half a second is over
    monkeypatch.setattr(meter.time, "perf_counter", lambda: next(ticks))
    assert meter.ceiling("cpu", "float32", side=32) == pytest.approx(2 * 32**3 / 0.2)
    ticks = iter([0.0, 4.0])  # a slow machine does one
    assert meter.ceiling("cpu", "bfloat16", side=32) == pytest.approx(2 * 32**3 / 4)


def test_measuring_the_ceiling_leaves_the_random_state_of_a_run_alone():
    before = torch.random.get_rng_state()
    meter.ceiling("cpu", "float32", side=16, seconds=0)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.fixture
def run(tmp_path):
    """A run killed after step 2 whose checkpoint held step 1, and then finished.

    Step 2 was taken twice.
    """
    run = Run("train", "test", {}, {}, tmp_path / "out", "disabled")
    run.folder.mkdir(parents=True)
    write_jsonl(run.folder / "metrics.jsonl", METRICS)
    write_jsonl(
        run.folder / "timing.jsonl",
        [
            {"event": "start"},
            {"step": 1, "seconds": 2.0, "joules": 30.0},
            {"step": 2, "seconds": 9.0, "joules": 90.0},
            {"event": "start"},
            {"step": 2, "seconds": 1.0, "joules": 12.0},
        ],
    )
    return run


def recorded(run, root, recompute=False, device="cpu"):
    """The cost.json of a run, read back."""
    recipe = types.SimpleNamespace(recompute=recompute, compute="float32")
    cost = meter.record(run, D, S, LENGTHS, BATCHES, recipe, 1e5, 2, device, root)
    assert json.loads((run.folder / "cost.json").read_text()) == cost
    return cost


@pytest.mark.parametrize("recompute", [False, True])
def test_the_record_adds_up_what_the_steps_took_each_once(run, tmp_path, recompute):
    cost = recorded(run, powercap(tmp_path), recompute)
    useful, executed = costs.flops(D, S, 12, 7, PAIRS, recompute)
    assert cost == {
        "rows": 3,
        "steps": 2,
        "tokens": 12,
        "loss_tokens": 7,
        "useful_flops": useful,
        "executed_flops": executed,
        "seconds": 3.0,
        "flops_per_second": round(useful / 3),
        "ceiling": 100_000,
        "share": round(useful / 3e5, 4),
        "joules": 42.0,
        "joules_per_million_tokens": 3_500_000,
        "no_joules": None,
        "compute": "float32",
        "device": "cpu",
        "processes": 2,
    }


def test_only_what_is_computed_again_differs_with_recomputation(run, tmp_path):
    plain, again = recorded(run, tmp_path), recorded(run, tmp_path, True)
    assert again["executed_flops"] > plain["executed_flops"]
    assert {**again, "executed_flops": None} == {**plain, "executed_flops": None}


def test_without_energy_of_every_step_there_is_none_and_the_reason(run, tmp_path):
    rows = [
        {"step": 1, "seconds": 2.0, "joules": None},
        {"step": 2, "seconds": 1.0, "joules": 12.0},
    ]
    write_jsonl(run.folder / "timing.jsonl", rows)
    there = powercap(tmp_path / "there")
    for root, device, reason in (
        (tmp_path, "cpu", "virtual machine"),
        (there, "cpu", "some steps"),
        (there, "cuda", "GPU"),
    ):
        cost = recorded(run, root, device=device)
        assert cost["joules"] is cost["joules_per_million_tokens"] is None
        assert reason in cost["no_joules"]
        assert cost["seconds"] == 3.0


def test_a_step_without_a_clock_is_told_in_a_sentence(run, tmp_path):
    write_jsonl(run.folder / "timing.jsonl", [{"step": 1, "seconds": 2.0}])
    with pytest.raises(UserError, match="no clock of step 2"):
        recorded(run, tmp_path)
    assert not (run.folder / "cost.json").exists()


def test_the_glossary_tells_every_key_and_no_other(run, tmp_path):
    text = (ROOT / "logs" / "README.md").read_text()
    part = text.split("`cost.json` (train)")[1].split("\n`")[0]
    first_cells = " ".join(
        line.split("|")[1] for line in part.splitlines() if line.startswith("| `")
    )
    assert set(re.findall(r"`(\w+)`", first_cells)) == set(recorded(run, tmp_path))
    assert "cost.json" in NOT_REPRODUCED
