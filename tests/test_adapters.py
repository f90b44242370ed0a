"""Where adapters go, that all of them learn, and that a mistake is told before anything is paid."""

import dataclasses
import json
import warnings

import pytest
import torch
from conftest import ROOT, SMOKE, collected, composed, script, study_of, trained
from peft import LoraConfig, PeftModel, get_peft_model

from ponder import models
from ponder.errors import UserError
from ponder.train import adapters, costs, packing, sft

RECIPE = study_of(*SMOKE).train
IDS = torch.arange(3, 40)[None]


def model_with(targets):
    return study_of(*SMOKE, f"model.lora_targets=[{','.join(targets)}]").model


def fresh(folder, delimiters, untied=False):
    """Return the pocket network, its weights as they lie on disk; or one whose head is its own."""
    torch.set_num_threads(1)
    network = models.load_network(folder)
    if untied:
        head = network.get_output_embeddings()
        head.weight = torch.nn.Parameter(torch.randn_like(head.weight) * 0.1)
        network.config.tie_word_embeddings = False
    return network


def learn(network, steps=3):
    """Take some steps of training and return the AdamW that took them."""
    network.set_attn_implementation(packing.ATTENTION)
    weights = [w for w in network.parameters() if w.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-2)
    ids = IDS[0].tolist()
    for _ in range(steps):
        packing.loss_of(network, packing.pack([(ids, [1] * len(ids))]), 16).backward()
        optimizer.step()
        optimizer.zero_grad()
    return optimizer


@pytest.mark.parametrize(
    "targets, reason",
    [
        (["q_proj", "lm_head"], "'lm_head', which is no linear layer inside the decoder's"),
        (["q_proj", "embed_tokens"], "'embed_tokens'"),
        (["lm_head"], "'lm_head'"),
        (["q_proj", "query_proj"], "'query_proj'.*name layers of pocket: down_proj, gate_proj"),
        (["q_porj"], "'q_porj'"),
        (["q_proj", "input_layernorm"], "'input_layernorm'"),
        (["norm"], "'norm'"),
        (["self_attn"], "'self_attn'"),
        (["mlp", "q_proj"], "'mlp'"),
        (["all-linear"], "'all-linear'"),
        (["'.*_proj'"], r"'\.\*_proj'"),
        (["'q_proj|k_proj'"], "'q_proj|k_proj'"),
        (["'model.layers.*.q_proj'"], "'model.layers"),
        (["_proj"], "'_proj'"),
        (["roj"], "'roj'"),
        (["Q_PROJ"], "'Q_PROJ'"),
        (["layers.7.self_attn.q_proj"], "'layers.7.self_attn.q_proj'"),
        (["'0'"], "'0'"),
        (["''"], "''"),
        (["'.'"], r"'\.'"),
        (["q_proj", "q_proj"], "'q_proj' and 'q_proj', which both mean model.layers.0"),
        (["q_proj", "self_attn.q_proj"], "'q_proj' and 'self_attn.q_proj'"),
        ([], "is empty.*train.method=full"),
    ],
)
@pytest.mark.parametrize("untied", [False, True])
def test_a_target_that_is_no_layer_for_an_adapter_is_refused(
    pocket_folder, pocket_model, targets, reason, untied
):
    network, model = fresh(pocket_folder, pocket_model.delimiters, untied), model_with(targets)
    with pytest.raises(UserError, match=f"model.lora_targets .*{reason}"):
        sft.trainable(network, model, RECIPE, 0)
    assert not hasattr(network, "peft_config")


@pytest.mark.parametrize(
    "targets, count",
    [
        (["q_proj"], 2),
        (["o_proj", "down_proj"], 4),
        (["self_attn.q_proj", "v_proj"], 4),
        (["layers.0.self_attn.q_proj"], 1),
        (["model.layers.1.mlp.up_proj", "k_proj"], 3),
        (["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], 14),
    ],
)
@pytest.mark.parametrize("untied", [False, True])
def test_every_adapter_learns_and_the_merged_model_is_the_trained_one(
    pocket_folder, pocket_model, targets, count, untied, tmp_path
):
    base = [fresh(pocket_folder, pocket_model.delimiters, untied) for _ in range(3)]
    for other in base[1:]:
        other.load_state_dict(base[0].state_dict())
    network = sft.trainable(base[0], model_with(targets), RECIPE, 0)
    before = {n: w.detach().clone() for n, w in network.named_parameters() if w.requires_grad}
    assert len(before) == 2 * count
    adapters.check_moved(network, learn(network), 3)
    after = dict(network.named_parameters())
    assert all(not torch.equal(weight, after[name]) for name, weight in before.items())
    sft.save_weights(network, tmp_path)
    with torch.no_grad():
        plain = base[1](IDS).logits
        unmerged = PeftModel.from_pretrained(base[1], tmp_path).eval()(IDS).logits
        merged = sft.with_weights(base[2], tmp_path)(IDS).logits
    torch.testing.assert_close(merged, unmerged, rtol=1e-5, atol=1e-5)
    assert (merged - plain).abs().max() > 1e-2
    saved = json.loads((tmp_path / "adapter_config.json").read_text())
    assert saved["target_modules"] == sorted(targets)


def test_an_adapter_is_made_and_put_on_without_a_word_of_peft(
    pocket_folder, pocket_model, tmp_path, recwarn
):
    filters = list(warnings.filters)
    network = fresh(pocket_folder, pocket_model.delimiters)
    sft.save_weights(sft.trainable(network, pocket_model, RECIPE, 0), tmp_path)
    assert warnings.filters == filters, "whoever else says it is heard"
    sft.with_weights(fresh(pocket_folder, pocket_model.delimiters), tmp_path)
    assert [str(warning.message) for warning in recwarn] == []


def with_adapter_of_the_head(folder, delimiters):
    """Return a network with an adapter that peft allows and the loss does not see."""
    settings = LoraConfig(r=4, target_modules=["q_proj", "lm_head"], task_type="CAUSAL_LM")
    return get_peft_model(fresh(folder, delimiters, untied=True), settings).train()


def test_a_weight_that_never_has_a_gradient_is_not_called_trained(pocket_folder, pocket_model):
    network = with_adapter_of_the_head(pocket_folder, pocket_model.delimiters)
    optimizer = learn(network)
    with pytest.raises(UserError, match=r"2 trained weights had no gradient in 3 steps.*lm_head"):
        adapters.check_moved(network, optimizer, 3)


def test_a_weight_without_a_part_in_the_loss_ends_the_training_at_its_first_step(
    pocket_folder, pocket_model
):
    network = with_adapter_of_the_head(pocket_folder, pocket_model.delimiters)
    network.set_attn_implementation(packing.ATTENTION)
    packing.loss_of(network, packing.pack([([1, 2, 3], [1, 1, 1])]), 16).backward()
    with pytest.raises(UserError, match=r"2 trained weights had no part in the loss.*lm_head"):
        adapters.check_gradients(network)


def test_a_weight_whose_gradient_is_zero_in_every_step_is_not_called_trained(
    pocket_folder, pocket_model
):
    network = sft.trainable(fresh(pocket_folder, None), pocket_model, RECIPE, 0)
    silent = dict(network.named_parameters())[
        "base_model.model.model.layers.1.mlp.up_proj.lora_B.default.weight"
    ]
    silent.register_hook(torch.zeros_like)
    with pytest.raises(UserError, match=r"weights had no gradient in 3 steps.*layers\.1\.mlp\.up"):
        adapters.check_moved(network, learn(network), 3)


def test_all_weights_of_full_fine_tuning_move_and_its_targets_are_not_read(
    pocket_folder, pocket_model
):
    recipe = dataclasses.replace(RECIPE, method="full", train_embeddings=True)
    network = sft.trainable(fresh(pocket_folder, None), model_with(["nothing"]), recipe, 0)
    assert not hasattr(network, "peft_config")
    adapters.check_moved(network, learn(network, 1), 1)


def test_a_training_of_one_step_is_a_training(tmp_path):
    plan = collected(tmp_path, "train.epochs=1", "train.batch_rows=1000")
    run = trained(plan)
    assert len((run.folder / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_wrong_target_is_told_before_a_teacher_is_asked(tmp_path, monkeypatch, capsys):
    from ponder.collect import teachers

    monkeypatch.setattr(teachers, "write", lambda *_: pytest.fail("the teacher was asked"))
    wrong = "model.lora_targets=[q_proj,lm_head]"
    with pytest.raises(SystemExit) as end:
        script("collect").main(composed(*SMOKE, f"out={tmp_path}", wrong, script="collect"))
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert end.value.code == 2 and "error: model.lora_targets has 'lm_head'" in line


@pytest.mark.parametrize("name", [path.stem for path in (ROOT / "conf/model").glob("*.yaml")])
def test_the_targets_of_every_model_of_the_configuration_are_layers_of_it(name):
    plan = study_of("experiment=cpu", f"model={name}")
    recipe = dataclasses.replace(plan.train, method="lora", lora_rank=8, lora_alpha=16)
    network = costs.network(plan.model, plan.model.architecture, recipe, "bfloat16")
    layers = adapters.adapted_layers(network)
    assert len(layers) == plan.model.dimensions.layers * len(plan.model.lora_targets)
