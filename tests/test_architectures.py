"""Which models are computed exactly: loss and decoding against transformers, and who is refused."""

import dataclasses
import json
import random
import shutil

import pytest
import torch
from conftest import ROOT, SMOKE, composed, script, study_of
from transformers import AutoConfig, AutoModelForCausalLM

from ponder import hashing, models
from ponder.base import architectures
from ponder.decode import attention
from ponder.errors import UserError
from ponder.train import adapters, packing, sft

WORDS, CONTEXT = 97, 64
SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": WORDS,
    "max_position_embeddings": CONTEXT,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
LENGTHS = (12, 40, 7, 25)
RECIPE = study_of(*SMOKE).train
# As accepted, and with what some models of the family have.
VARIANTS = [(name, {}) for name in architectures.EXACT] + [
    ("llama", {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
    ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}}),
    ("qwen2", {"use_sliding_window": True, "sliding_window": CONTEXT, "max_window_layers": 2}),
    ("mistral", {"sliding_window": CONTEXT}),
    ("mistral", {"sliding_window": None}),
    ("gpt_neox", {"use_parallel_residual": False, "attention_bias": False}),
    ("smollm3", {"no_rope_layers": [1, 0, 1, 1]}),
]


def config_of(name, **changes):
    """Return a tiny config of an architecture; of SHAPE the keys that it knows."""
    known = AutoConfig.for_model(name)
    shape = {key: value for key, value in SHAPE.items() if hasattr(known, key)}
    return AutoConfig.for_model(name, **{**shape, **changes})


def network_of(config, kind="sdpa"):
    """Return a random network, weights large enough that positions and windows matter."""
    torch.set_num_threads(1)
    torch.manual_seed(hashing.purpose_seed(config.model_type))
    network = AutoModelForCausalLM.from_config(config, attn_implementation=kind).eval()
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() > 1:
                weight.mul_(6)
            else:
                weight.add_(torch.randn_like(weight) * 0.3)
    return network


def rows_of(*lengths):
    draw = random.Random(0)
    return [
        ([draw.randrange(WORDS) for _ in range(n)], [0] * (n // 3) + [1] * (n - n // 3))
        for n in lengths
    ]


def plain_loss(network, rows):
    """Return the summed loss by transformers alone, row by row."""
    total = 0.0
    for ids, flags in rows:
        with torch.no_grad():
            shares = torch.log_softmax(network(torch.tensor([ids])).logits[0].float(), -1)
        total -= sum(shares[t - 1, ids[t]].item() for t in range(1, len(ids)) if flags[t])
    return total


def packed_loss(network, rows):
    network.set_attn_implementation(packing.ATTENTION)
    with torch.no_grad():
        return packing.loss_of(network, packing.pack(rows), 7).item()


@pytest.mark.parametrize("name, changes", VARIANTS)
def test_the_loss_of_an_accepted_model_is_that_of_transformers(name, changes):
    config, rows = config_of(name, **changes), rows_of(*LENGTHS)
    assert architectures.inexact(config, CONTEXT) is None
    network = network_of(config)
    expected = plain_loss(network, rows)
    assert packed_loss(network, rows) == pytest.approx(expected, rel=1e-5)
    assert packed_loss(network.train(), rows) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name, changes", VARIANTS)
def test_the_engine_gives_the_logits_of_transformers(name, changes):
    network, rows = network_of(config_of(name, **changes)), [ids for ids, _ in rows_of(*LENGTHS)]
    store, every = attention.Store(network, len(rows)), range(len(rows))
    with torch.no_grad():
        expected = torch.stack([network(torch.tensor([ids])).logits[0, -1] for ids in rows])
        for start, end in ((0, 5), (5, -1), (-1, None)):  # a prompt, a part, one token
            parts = [ids[start:end] for ids in rows]
            feeds = [(len(ids[:start]) if start else 0, len(p)) for ids, p in zip(rows, parts)]
            logits = attention.forward(network, store, feeds, sum(parts, []), every)
    scale = expected.abs().max().item()
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("name", architectures.EXACT)
def test_every_adapter_of_an_accepted_model_learns_and_merging_it_changes_nothing(name, tmp_path):
    config, rows = config_of(name), rows_of(*LENGTHS)
    linear = adapters.linear_layers(network_of(config))
    targets = {layer.rpartition(".")[2] for layer in linear}
    model = study_of(*SMOKE, f"model.lora_targets=[{','.join(sorted(targets))}]").model
    network = sft.trainable(network_of(config, packing.ATTENTION), model, RECIPE, 0)
    weights = {n: w for n, w in network.named_parameters() if w.requires_grad}
    before = {n: w.detach().clone() for n, w in weights.items()}
    optimizer = torch.optim.AdamW(weights.values(), lr=1e-2)
    for _ in range(2):
        (packing.loss_of(network, packing.pack(rows), 7) / 50).backward()
        adapters.check_gradients(network)
        optimizer.step()
        optimizer.zero_grad()
    adapters.check_moved(network, optimizer, 2)
    assert len(weights) == 2 * len(linear)
    assert all(not torch.equal(before[n], w) for n, w in weights.items())
    with torch.no_grad():
        for weight in weights.values():  # as they are written
            weight.copy_(weight.to(torch.bfloat16))
    trained = packed_loss(network, rows)
    sft.save_weights(network, tmp_path)
    merged = sft.with_weights(network_of(config), tmp_path)
    assert plain_loss(merged, rows) == pytest.approx(trained, rel=1e-5)
    assert trained != pytest.approx(plain_loss(network_of(config), rows), rel=1e-3)


DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0] * 48,
    "long_factor": [4.0] * 48,
    "original_max_position_embeddings": 32,
    "rope_theta": 1e4,
}


@pytest.mark.parametrize(
    "name, changes, reason",
    [
        ("gemma2", {}, "attn_logit_softcapping=50.0"),
        ("gemma2", {"sliding_window": 4096, "attn_logit_softcapping": None}, "final_logit_soft"),
        ("gemma3_text", {}, "gemma3_text is none that was compared"),
        ("gpt_oss", {}, "gpt_oss is none"),
        ("cohere", {}, "logit_scale=0.0625"),
        ("cohere2", {}, "logit_scale"),
        ("granite", {"logits_scaling": 8.0}, "logits_scaling=8.0"),
        ("phi", {}, "phi is none"),
        ("bloom", {}, "bloom is none"),
        ("mpt", {}, "mpt is none"),
        ("falcon", {"alibi": True}, "ALiBi"),
        ("llama4_text", {}, "llama4_text is none"),
        ("mamba", {}, "mamba is none"),
        ("qwen3_moe", {}, "qwen3_moe is none"),
        ("diffllama", {}, "diffllama is none"),
        ("mistral", {"sliding_window": 8}, "last 8 tokens.*model.context=64.*set model.context=8"),
        ("mistral", {"sliding_window": CONTEXT - 1}, "last 63 tokens"),
        ("phi3", {"sliding_window": 16}, "last 16 tokens"),
        ("starcoder2", {"sliding_window": 16}, "last 16 tokens"),
        ("olmo3", {"sliding_window": 16}, "last 16 tokens"),
        ("smollm3", {"use_sliding_window": True, "sliding_window": 16}, "last 16 tokens"),
        (
            "qwen2",
            {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 2},
            "last 16 tokens",
        ),
        (
            "phi3",
            {"rope_parameters": LONG, "original_max_position_embeddings": 32},
            "rope_type=longrope.*set model.context=32",
        ),
        (
            "llama",
            {"rope_parameters": DYNAMIC, "max_position_embeddings": 32},
            "rope_type=dynamic.*set model.context=32",
        ),
        ("llama", {"attention_dropout": 0.1}, "attention_dropout=0.1"),
        ("llama", {"is_causal": False}, "sees later tokens"),
    ],
)
def test_a_model_that_is_not_computed_exactly_is_refused_by_its_config(name, changes, reason):
    config = AutoConfig.for_model(name, **{"max_position_embeddings": CONTEXT, **changes})
    with pytest.raises(UserError, match=f"model mine cannot be computed exactly.*{reason}"):
        architectures.check(config, "mine", CONTEXT)


@pytest.mark.parametrize(
    "name, changes",
    [
        ("gemma2", {}),
        ("gemma3_text", {"sliding_window": 8}),
        ("mistral", {"sliding_window": 8}),
        ("mistral", {"sliding_window": max(LENGTHS) - 1}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 2}),
        ("gpt_oss", {}),
    ],
)
def test_attention_that_does_more_is_refused_by_the_loss_and_the_engine_too(name, changes):
    network, rows = network_of(config_of(name, **changes), "eager"), rows_of(*LENGTHS)
    with pytest.raises(UserError, match="over 40 tokens is not computed here"):
        packed_loss(network, rows)
    feeds, ids = [(0, len(ids)) for ids, _ in rows], [t for ids, _ in rows for t in ids]
    with torch.no_grad(), pytest.raises(UserError, match="over 40 tokens is not computed here"):
        attention.forward(network, attention.Store(network, 4), feeds, ids, range(4))


def test_a_window_as_long_as_the_longest_row_hides_nothing_and_a_shorter_one_does():
    rows = rows_of(*LENGTHS)
    wide, narrow = (
        plain_loss(network_of(config_of("mistral", sliding_window=window)), rows)
        for window in (40, 38)
    )
    network = network_of(config_of("mistral", sliding_window=40))
    assert packed_loss(network, rows) == pytest.approx(wide, rel=1e-6)
    assert narrow != pytest.approx(wide, rel=1e-6)


def test_attention_dropout_is_refused_where_it_would_be_left_out():
    network = network_of(config_of("llama", attention_dropout=0.5)).train()
    with pytest.raises(UserError, match="dropout=0.5"):
        packed_loss(network, rows_of(5))


def test_a_head_with_a_bias_is_no_objective():
    with pytest.raises(AssertionError, match="bias"):
        packing.Objective(network_of(config_of("phi")), 7)


def model_of(*overrides):
    return study_of(*SMOKE, *overrides).model


@pytest.fixture
def windowed(pocket_folder, tmp_path):
    """A folder of safetensors that sees the last 8 tokens, and the Model that names it."""
    folder = shutil.copytree(pocket_folder, tmp_path / "windowed")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mistral", "sliding_window": 8}
    config["architectures"] = ["MistralForCausalLM"]
    (folder / "config.json").write_text(json.dumps(config))
    return model_of("model.source=folder", f"+model.folder={folder}", "model.architecture=mistral")


def no_weights(*_, **__):
    pytest.fail("weights were loaded")


def test_a_folder_that_is_not_computed_exactly_is_refused_before_its_weights_are_read(
    windowed, tmp_path, monkeypatch
):
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", no_weights)
    with pytest.raises(UserError, match="last 8 tokens.*model.context=2048"):
        models.base_folder(windowed, tmp_path / "out")
    with pytest.raises(UserError, match="last 8 tokens.*model.context=9 "):
        models.base_folder(dataclasses.replace(windowed, context=9), tmp_path / "out")


def test_a_context_as_short_as_the_window_is_accepted_and_a_served_model_is_too(windowed, tmp_path):
    short = dataclasses.replace(windowed, context=8)
    assert models.config_of(models.base_folder(short, tmp_path)).sliding_window == 8
    assert models.tokenizer_folder(windowed, tmp_path).exists()  # a server computes it
    with pytest.raises(UserError, match="last 8 tokens"):  # though the folder is there now
        models.base_folder(windowed, tmp_path)


def test_a_model_of_a_hub_is_refused_by_its_config_before_its_weights_are_downloaded(
    tmp_path, monkeypatch
):
    gemma = AutoConfig.for_model("gemma2")
    monkeypatch.setattr(AutoConfig, "from_pretrained", lambda *_, **__: gemma)
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", no_weights)
    model = model_of("model.source=hub", "model.hub=owner/name", "model.revision=main")
    with pytest.raises(UserError, match="model pocket cannot be.*attn_logit_softcapping=50.0"):
        models.base_folder(model, tmp_path)


@pytest.mark.parametrize("architecture", ["gemma2", "gemma3_text", "granite", "Llama", "qwen", ""])
def test_an_architecture_that_was_not_compared_is_refused_before_anything(
    architecture, tmp_path, capsys
):
    words = [*SMOKE, f"out={tmp_path}", f"model.architecture='{architecture}'"]
    with pytest.raises(SystemExit) as end:
        script("collect").main(composed(*words, script="collect"))
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert end.value.code == 2 and f"error: model.architecture={architecture} of model" in line
    assert "gemma, glm4, gpt_neox, llama" in line and not (tmp_path / "models").exists()


def test_every_local_model_of_the_configuration_is_computed_exactly():
    for path in sorted((ROOT / "conf/model").glob("*.yaml")):
        model = study_of("experiment=cpu", f"model={path.stem}").model
        architectures.check_name(model.name, model.architecture)
