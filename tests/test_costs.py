"""The plan's arithmetic against what really happens.

Bytes allocated and FLOPs computed by small networks, and FSDP2 at full width.
"""

import dataclasses
import types
import weakref

import pytest
import torch
from conftest import ROOT, command
from omegaconf import OmegaConf
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import (
    FlopCounterMode,
    mm_flop,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from ponder import models
from ponder.config import build
from ponder.errors import UserError
from ponder.study import Train
from ponder.train import costs, packing, processes, sharding

ARCHITECTURES = {"qwen2.5-32b": "qwen2", "smollm2-135m": "llama", "pocket": "llama"}
CHUNK = 32


def conf(cls, path):
    return build(cls, OmegaConf.load(ROOT / "conf" / path))


def recipe(method):
    return dataclasses.replace(
        conf(Train, "train/s1.yaml"), method=method, lora_rank=8, lora_alpha=16
    )


def small(**sizes):
    """A Model small enough to run; its sizes are all different, so that no two can be mixed up."""
    d = {
        "hidden": 48,
        "intermediate": 112,
        "layers": 3,
        "heads": 6,
        "kv_heads": 2,
        "vocabulary": 80,
        "tied": False,
        **sizes,
    }
    return dataclasses.replace(
        conf(models.Model, "model/qwen2.5-32b.yaml"),
        dimensions=models.Dimensions(**d),
        context=4096,
    )


def real(model, method, weights, architecture="qwen2", device="cpu", recompute=True):
    """The network of a Model with weights, in the attention of the training loop.

    With `recompute` there is a checkpoint per layer.
    """
    torch.manual_seed(0)
    network = costs.network(model, architecture, recipe(method), weights, device)
    network.set_attn_implementation(packing.ATTENTION)
    if recompute:
        network.activation_checkpointing_enable()
    return network


def loss_of(network, lengths, chunk=CHUNK):
    """The loss over packed rows of random tokens that all carry loss."""
    tokens = sum(lengths)
    ids = torch.randint(0, network.config.vocab_size, (1, tokens))
    position = torch.cat([torch.arange(n) for n in lengths])[None]
    hidden = network.get_decoder()(
        input_ids=ids, position_ids=position, use_cache=False, lengths=lengths
    ).last_hidden_state
    return packing.ChunkedLoss.apply(
        hidden[0], network.get_output_embeddings().weight, ids[0], chunk
    )


class Live(TorchDispatchMode):
    """The bytes of all storages alive, and the most there ever were."""

    def __init__(self, before=()):
        super().__init__()
        self.sizes, self.now, self.most = {}, 0, 0
        self.see(before)

    def see(self, tensors):
        for tensor in tensors:
            storage = tensor.untyped_storage()
            if storage._cdata not in self.sizes:
                self.sizes[storage._cdata] = storage.nbytes()
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self.gone, storage._cdata)

    def gone(self, key):
        self.now -= self.sizes.pop(key)

    def __torch_dispatch__(self, function, _, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        self.see(leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor))
        return out


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_real_network_has_the_parameters_that_models_counts_and_its_biases(name):
    model = conf(models.Model, f"model/{name}.yaml")
    d = model.dimensions
    s = costs.sizes(costs.network(model, ARCHITECTURES[name], recipe("full"), "float32"))
    biases = (
        d.layers * (d.hidden + 2 * d.hidden * d.kv_heads // d.heads)
        if ARCHITECTURES[name] == "qwen2"
        else 0
    )
    assert s.parameters - models.num_parameters(d) == biases
    assert s.weight_bytes == 4 * s.parameters


@pytest.mark.parametrize(
    "method, weights, tied",
    [
        ("full", "float32", False),
        ("full", "bfloat16", True),
        ("lora", "float32", True),
        ("lora", "bfloat16", False),
    ],
)
def test_weights_gradients_and_optimizer_take_exactly_the_planned_bytes(method, weights, tied):
    model = small(tied=tied)
    s = costs.sizes(costs.network(model, "qwen2", recipe(method), weights))
    network = real(model, method, weights)
    assert costs.sizes(network) == s
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, fused=True)
    loss_of(network, (40,)).backward()
    optimizer.step()
    need = costs.memory(model.dimensions, s, 1, costs.BYTES[weights], 40, CHUNK, True)
    assert need.weights == sum(p.nbytes for p in network.parameters())
    assert need.gradients == sum(p.grad.nbytes for p in trained)
    assert need.optimizer == sum(
        t.nbytes for state in optimizer.state.values() for t in state.values()
    )


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("weights", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_one_layer_keeps_exactly_the_planned_bytes(method, weights, architecture):
    model, tokens = small(), 64
    network = real(model, method, weights, architecture)
    decoder, storages = network.get_decoder(), {}
    x = torch.randn(1, tokens, model.dimensions.hidden).to(decoder.dtype).requires_grad_()
    rotary = decoder.rotary_emb(x, torch.arange(tokens)[None])
    outside = {t.untyped_storage()._cdata for t in (*network.parameters(), x, *rotary)}

    def keep(tensor):
        storages[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
        return tensor

    layer = decoder.layers[1]
    layer.gradient_checkpointing = False
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layer(x, position_embeddings=rotary, lengths=(tokens,))
    saved = sum(storage.nbytes() for key, storage in storages.items() if key not in outside)
    s = costs.sizes(network)
    assert saved == tokens * costs.saved_bytes(
        model.dimensions, s, costs.BYTES[weights], s.adapter_bytes
    )


PEAKS = {  # which moment is the largest -> sizes, tokens
    "one layer again": ({"layers": 2, "intermediate": 400}, 1024),
    "hidden states": ({"layers": 8}, 256),
    "the loss": ({"layers": 2, "vocabulary": 20000}, 64),
    "gradients": ({"layers": 4, "intermediate": 400}, 48),
}


@pytest.mark.parametrize("moment", PEAKS)
@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize(
    "weights, accumulates", [("float32", False), ("float32", True), ("bfloat16", False)]
)
def test_the_peak_of_a_real_step_is_the_planned_peak(moment, method, weights, accumulates):
    sizes, tokens = PEAKS[moment]
    model = small(**sizes)
    network = real(model, method, weights)
    if accumulates:
        loss_of(network, (8,)).backward()
    live = Live(
        [*network.parameters(), *(p.grad for p in network.parameters() if p.grad is not None)]
    )
    with live:
        loss_of(network, (tokens - 40, 40)).backward()
    need = costs.memory(
        model.dimensions, costs.sizes(network), 1, costs.BYTES[weights], tokens, CHUNK, accumulates
    )
    assert 0.94 <= live.most / (need.peak - need.optimizer) <= 1.02


@pytest.mark.parametrize(
    "method, weights, layers, tokens, gpus",
    [("full", "float32", 3, 32768, 16), ("lora", "bfloat16", 3, 8192, 8)],
)
def test_fsdp2_allocates_the_planned_bytes_at_the_width_of_the_papers_base(
    method, weights, layers, tokens, gpus
):
    """The real FSDP2 in the place of one GPU of many, on fake tensors, which take no memory."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed import destroy_process_group, init_process_group
    from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
    from torch.testing._internal.distributed.fake_pg import FakeStore

    model = conf(models.Model, "model/qwen2.5-32b.yaml")
    model = dataclasses.replace(
        model, dimensions=dataclasses.replace(model.dimensions, layers=layers)
    )
    init_process_group("fake", rank=0, world_size=gpus, store=FakeStore())
    try:
        network = real(model, method, weights, device="meta")
        s, own = costs.sizes(network), dataclasses.replace(recipe(method), weights=weights)
        objective = packing.Objective(network, own.loss_rows)
        sharding.shard(objective, own, processes.Processes(0, gpus, torch.device("cpu")))
        with FakeTensorMode(allow_non_fake_inputs=True):
            objective.to_empty(device="cpu")
            assert costs.sizes(network) == s  # a sharded network tells its whole sizes
            batch = packing.pack([(list(range(tokens)), [1] * tokens)])
            optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad])
            tracker = FSDPMemTracker(objective, optimizer)
            for _ in range(2):  # AdamW's state is there from the second step on
                tracker.reset_mod_stats()
                with tracker:
                    objective(batch).backward()
                    peak = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]
                    optimizer.step()
                    optimizer.zero_grad()
    finally:
        destroy_process_group()
    measured = {getattr(kind, "value", kind): size for kind, size in peak.items()}
    need = costs.memory(model.dimensions, s, gpus, 2, tokens, 1024, False)
    assert (need.weights, need.optimizer) == (measured["Sharded Param"], measured["OptState"])
    assert need.gathered == measured["Unsharded Param"] + measured["All Gather"]
    assert 0.94 <= measured["Total"] / need.peak <= 1.02


def counted(network, lengths):
    """FLOPs that torch counts in a step, attention on all pairs of tokens of a row included."""
    flash = "_scaled_dot_product_flash_attention_for_cpu"
    # The third is known to torch only where it makes a new matrix.
    formulas = {
        getattr(torch.ops.aten, flash): lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
        getattr(torch.ops.aten, f"{flash}_backward"): lambda d, q, k, v, *_, **__: (
            sdpa_backward_flop_count(d, q, k, v)
        ),
        torch.ops.aten.addmm_: lambda _, a, b, **__: mm_flop(a, b),
    }
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        loss_of(network, lengths).backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("embeddings", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_flops_are_those_that_torch_counts(method, tied, embeddings):
    lengths, model = (96, 33, 64), small(tied=tied)
    d, tokens, pairs = model.dimensions, sum(lengths), sum(n * n for n in lengths)
    again, needed = 2 * pairs * d.hidden * d.layers, {}  # scores, on flash attention's way back
    for recompute in (False, True):
        network = real(model, method, "float32", recompute=recompute)
        network.get_input_embeddings().requires_grad_(embeddings)
        needed[recompute], executed = costs.flops(
            d, costs.sizes(network), tokens, tokens, pairs, recompute
        )
        assert executed == counted(network, lengths)
        assert recompute or needed[recompute] == executed - again
    assert needed[True] == needed[False]


@pytest.fixture(scope="module")
def paper():
    """The paper's experiment as a plan sees it, the machines, and the plan."""
    model, machines = (
        conf(models.Model, "model/qwen2.5-32b.yaml"),
        conf(costs.Machines, "machines/s1.yaml"),
    )
    study = types.SimpleNamespace(name="s1-32b", model=model, train=conf(Train, "train/s1.yaml"))
    return study, machines, costs.plan(study, machines, "qwen2")


def test_the_plan_of_the_paper_says_what_its_users_found(paper):
    rows = {row.name: row for row in paper[2]}
    assert round(rows["h100x16"].sizes.parameters / 1e9, 2) == 32.76  # as published
    assert set(rows) >= {"h100x16", "h100x8", "a100x8", "h100x1-lora"}
    assert rows["h100x16"].memory.peak <= rows["h100x16"].limit  # s1, section 4.1
    # s1's issue 13: out of memory on 8, "you need 16".
    assert rows["h100x8"].memory.peak > rows["h100x8"].limit
    assert rows["a100x8"].longest == 0
    assert rows["h100x1-lora"].longest > 4700  # the mean row of s1K


def test_the_longest_block_fits_and_one_token_more_does_not(paper):
    study, machines, rows = paper
    for row in rows:
        gpus, d, loss_rows = row.option.gpus, study.model.dimensions, study.train.loss_rows
        fits, too_long = (
            costs.memory(d, row.sizes, gpus, 2, tokens, loss_rows, gpus < 16).peak
            for tokens in (row.longest, row.longest + 1)
        )
        assert row.longest == 0 or fits <= row.limit
        assert row.longest == study.model.context or too_long > row.limit


def test_flops_of_the_paper_are_six_per_parameter_and_token_and_some_for_scores(paper):
    row = paper[2][0]
    products, tokens = row.sizes.products + row.sizes.head_trained, 5 * 4_700_000
    assert 1 < row.useful / (6 * products * tokens) < 1.06
    assert row.useful < row.executed < 8 / 6 * row.useful
    assert row.hours * 16 * 989e12 * 0.33 * 3600 == pytest.approx(row.executed)


def test_the_report_holds_the_plan_beside_the_paper(paper):
    text = costs.report(*paper)
    assert text.isascii() and all(len(line) <= 132 for line in text.splitlines())
    for words in ("32,763,876,352 parameters", "458,752 biases", "315 steps of 16 rows"):
        assert words in text
    for row in paper[2]:
        assert text.count(f"\n{row.title} ") == 3
    share = paper[2][0].executed / (16 * 26 * 60 * 989e12)
    assert f"26 minutes imply {share:.1%}" in text and 0.2 < share < 0.3
    for word in ("CUDA context", "NCCL", "fragmentation", "unverified", "18.6 GiB"):
        assert word in text


def test_another_model_is_not_held_against_the_papers_hours(paper):
    study = types.SimpleNamespace(
        name="cpu", model=conf(models.Model, "model/smollm2-135m.yaml"), train=paper[0].train
    )
    machines = dataclasses.replace(paper[1], options={"h100x8": paper[1].options["h100x8"]})
    text = costs.report(study, machines, costs.plan(study, machines, "llama"))
    assert "imply" not in text and "NO" not in text.split()


def test_more_gpus_need_less_and_more_tokens_more_of_each(paper):
    d, s = paper[0].model.dimensions, paper[2][0].sizes
    for gpus, tokens in ((2, 64), (8, 1024), (16, 20000)):
        need, more, longer = (
            costs.memory(d, s, g, 2, t, 1024, True)
            for g, t in ((gpus, tokens), (2 * gpus, tokens), (gpus, tokens + 1))
        )
        assert more.peak < need.peak <= longer.peak and need.hidden < longer.hidden
        assert need.peak >= need.weights + need.optimizer + need.temporary


MISTAKES = {  # the key and its value -> words of the sentence
    ("chips.h100.utilisation", 1.2): "machines.chips.h100.utilisation is 1.2",
    ("options.h100x16.gpus", 0): "machines.options.h100x16.gpus is 0",
    (
        "options.h100x16.chip",
        "b200",
    ): "machines.options.h100x16.chip is 'b200', but must be one of: h100, a100",
    ("options.h100x16.weights", "int4"): "machines.options.h100x16.weights is 'int4'",
    ("options.h100x16.method", "dpo"): "machines.options.h100x16.method is 'dpo'",
    ("options.h100x16.price", 3): "machines.options.h100x16.price is read by nothing",
    ("paper.chip", "b200"): "machines.paper.chip is 'b200'",
    ("paper.rows", 0): "machines.paper.rows is 0",
}


@pytest.mark.parametrize("key, value", MISTAKES)
def test_a_mistake_in_the_machines_is_told_in_a_sentence(key, value):
    machines = OmegaConf.load(ROOT / "conf" / "machines" / "s1.yaml")
    OmegaConf.update(machines, key, value, force_add=True)
    with pytest.raises(UserError) as error:
        build(costs.Machines, machines)
    assert MISTAKES[key, value] in str(error.value)


def test_a_recipe_that_the_arithmetic_is_not_about_is_told(paper):
    study = types.SimpleNamespace(
        name="cpu", model=paper[0].model, train=conf(Train, "train/cpu.yaml")
    )
    with pytest.raises(
        UserError, match="train=cpu has train.compute=float32 and train.recompute=false; give both"
    ):
        costs.plan(study, paper[1], "qwen2")


LARGE = [
    path.stem
    for path in sorted((ROOT / "conf" / "experiment").glob("*.yaml"))
    if "model: qwen2.5-32b" in path.read_text()
]


@pytest.mark.parametrize("experiment", LARGE)
def test_the_plan_of_every_experiment_at_the_papers_scale_prints(experiment, tmp_path):
    result = command("train", f"experiment={experiment}", "plan=true", f"out={tmp_path}")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"plan {experiment}: qwen2.5-32b by the recipe s1")
    assert not list(tmp_path.iterdir())


def test_there_is_an_experiment_at_the_papers_scale():
    assert "s1-32b" in LARGE
