"""The parts of training: the learning rate, which tokens and weights take part, saved weights."""

import dataclasses
import json
import math
from types import SimpleNamespace

import pytest
import torch
from conftest import SMOKE, study_of

from ponder import models
from ponder.errors import UserError
from ponder.runs import write_jsonl
from ponder.train import packing, sft

RECIPE = study_of(*SMOKE).train
ROWS = [
    ("Mia faces north. She turns left. Which way?", "north\nleft: west", "west"),
    ("State the final answer: 2 + 3 - 1 =", "2 + 3 = 5\n5 - 1 = 4", "4"),
    ("Start with True. Then: not. What is the result?", "True\nnot: False", "False"),
    ("Sort these numbers: 3, 1, 2", "1 | 3 2\n2 | 3\n3", "1, 2, 3"),
]


def recipe(**changes):
    return dataclasses.replace(RECIPE, **changes)


@pytest.mark.parametrize(
    "steps, warmup, lr, expected",
    [
        (10, 0.2, 1.0, {1: 0.5, 2: 1.0, 6: 0.5, 10: 0.0}),
        (10, 0.2, 3e-3, {1: 1.5e-3, 2: 3e-3, 4: 3e-3 * 0.5 * (1 + math.sqrt(0.5)), 6: 1.5e-3}),
        (20, 0.05, 1.0, {1: 1.0, 20: 0.0}),
        (21, 0.05, 1.0, {1: 0.5, 2: 1.0}),  # a share of a step is rounded up
        # The paper: 1,000 rows of 16, 5 epochs.
        (315, 0.05, 1e-5, {1: 1e-5 / 16, 8: 5e-6, 16: 1e-5}),
        (4, 0.0, 1.0, {1: 0.5 * (1 + math.sqrt(0.5)), 2: 0.5, 4: 0.0}),
        (1, 0.05, 1.0, {1: 1.0}),
        (4, 1.0, 1.0, {1: 0.25, 4: 1.0}),
    ],
)
def test_the_learning_rate_warms_up_and_then_falls_as_a_cosine(steps, warmup, lr, expected):
    for step, rate in expected.items():
        assert sft.learning_rate(step, steps, recipe(warmup=warmup, lr=lr)) == pytest.approx(
            rate, abs=1e-12
        )


def packed(chat, rows=ROWS):
    return packing.pack([chat.row(*row) for row in rows])


def fit(network, batch, lr, steps):
    weights = [p for p in network.parameters() if p.requires_grad]
    optimizer, losses = torch.optim.AdamW(weights, lr=lr), []
    for _ in range(steps):
        loss = packing.loss_of(network, batch, 16) / len(batch.targets_L)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.fixture
def fresh(pocket_model, pocket_folder):
    torch.set_num_threads(1)
    network = models.load(pocket_folder, pocket_model.delimiters)[0]
    network.set_attn_implementation(packing.ATTENTION)
    return network


@pytest.mark.parametrize("method, lr, share", [("full", 1e-2, 0.1), ("lora", 2e-2, 0.5)])
def test_four_rows_are_learned_by_heart(network, chat, pocket_model, method, lr, share):
    network.set_attn_implementation(packing.ATTENTION)
    network = sft.trainable(network, pocket_model, recipe(method=method, lora_rank=16), 0)
    losses = fit(network, packed(chat), lr, 100)
    assert losses[0] > 5 and losses[-1] < share * losses[0]


def test_only_the_weights_of_the_method_are_trained(fresh, pocket_model):
    names = {
        name
        for name, _ in fresh.named_parameters()
        if "embed" not in name and "lm_head" not in name
    }
    full = sft.trainable(fresh, pocket_model, recipe(method="full"), 0)
    assert {name for name, p in full.named_parameters() if p.requires_grad} == names
    lora = sft.trainable(fresh, pocket_model, recipe(method="lora"), 0)
    moving = [name for name, p in lora.named_parameters() if p.requires_grad]
    assert len(moving) == 2 * 2 * len(pocket_model.lora_targets) and all(
        "lora_" in name for name in moving
    )


def test_the_first_adapter_changes_nothing_and_follows_from_its_seed_alone(
    fresh, pocket_model, pocket_folder, chat
):
    before = packing.loss_of(fresh, packed(chat), 16).item()
    state = torch.get_rng_state()
    networks = []
    for seed in (1, 1, 2):
        base = models.load(pocket_folder, pocket_model.delimiters)[0]
        base.set_attn_implementation(packing.ATTENTION)
        torch.rand(3)
        networks.append(sft.trainable(base, pocket_model, RECIPE, seed))
        torch.set_rng_state(state)
    loss = packing.loss_of(networks[0], packed(chat), 16).item()
    assert loss == pytest.approx(before, rel=1e-6)
    first, again, other = (
        [weight for weight in network.parameters() if weight.requires_grad] for network in networks
    )
    assert all(map(torch.equal, first, again)) and not all(map(torch.equal, first, other))


def test_a_wrong_value_as_target_has_no_part_in_the_loss(network, chat):
    network.set_attn_implementation(packing.ATTENTION)
    question, think, answer = "q", "a: 7", "7"
    wrong = [(3, 4)]
    ids, flags = chat.row(question, think, answer, wrong)
    at = len(chat.prompt(question)) + 3
    assert chat.decode([ids[at]]) == "7" and not flags[at]
    batch = packing.pack([(ids, flags)])
    assert at - 1 not in batch.before_L.tolist() and len(batch.targets_L) == sum(flags)
    embedded = network.get_input_embeddings()(batch.ids_1T).detach().requires_grad_()
    hidden = network.get_decoder()(
        inputs_embeds=embedded,
        position_ids=batch.position_1T,
        use_cache=False,
        lengths=batch.lengths,
    ).last_hidden_state
    hidden.retain_grad()
    logits = network.get_output_embeddings()(hidden[0, batch.before_L])
    torch.nn.functional.cross_entropy(logits, batch.targets_L, reduction="sum").backward()
    silent = [t for t in range(len(ids)) if t not in batch.before_L.tolist()]
    assert at - 1 in silent and hidden.grad[0, silent].abs().max() == 0
    assert (
        hidden.grad[0, batch.before_L].abs().min(1).values.min() >= 0
        and hidden.grad.abs().max() > 0
    )


def written(tmp_path, **changes):
    row = {
        "id": "0" * 16,
        "family": "f",
        "domain": "d",
        "gold": "7",
        "tokens": 4,
        "correct": True,
        "teacher": "t",
        "question": "q",
        "think": "a: 7",
        "answer": "7",
        "wrong": [[3, 4]],
        **changes,
    }
    write_jsonl(tmp_path / "train.jsonl", [row])
    return tmp_path / "train.jsonl"


@pytest.mark.parametrize(
    "changes, masked", [({}, 1), ({"loss_on_wrong": True}, 0), ({"trace": "none"}, 0)]
)
def test_rows_are_read_as_the_recipe_says(chat, tmp_path, changes, masked):
    (row,) = sft.tokenise_rows(written(tmp_path), chat, recipe(**changes))
    after = row["loss"][len(chat.prompt("q")) :]
    assert after.count(0) == masked
    assert ("a: 7" in chat.decode(row["ids"])) == (changes.get("trace") != "none")


def test_a_row_that_is_too_long_is_refused_and_never_cut(chat, tmp_path):
    length = len(chat.row("q", "a: 7", "7")[0])
    (row,) = sft.tokenise_rows(written(tmp_path), chat, recipe(max_tokens=length))
    assert len(row["ids"]) == length
    with pytest.raises(
        UserError, match=rf"row 0{{16}} has {length} tokens.*train.max_tokens is {length - 1}"
    ):
        sft.tokenise_rows(written(tmp_path), chat, recipe(max_tokens=length - 1))


def test_a_row_longer_than_the_context_of_the_model_is_refused(chat, tmp_path, monkeypatch):
    length = len(chat.row("q", "a: 7", "7")[0])
    monkeypatch.setattr(chat.tokenizer, "model_max_length", length)
    assert len(sft.tokenise_rows(written(tmp_path), chat, recipe())) == 1
    monkeypatch.setattr(chat.tokenizer, "model_max_length", length - 1)
    with pytest.raises(UserError, match=rf"has {length} tokens, but model.context is {length - 1}"):
        sft.tokenise_rows(written(tmp_path), chat, recipe())


class Silent:
    """A Chat whose rows carry no loss, which no real one makes: the closing always does."""

    tokenizer = SimpleNamespace(model_max_length=3)

    def row(self, question, think, answer, wrong):
        return [1, 2, 3], [0, 0, 0]


def test_a_row_without_a_loss_token_is_refused(tmp_path):
    with pytest.raises(UserError, match="row 0000000000000000 has no token that carries loss"):
        sft.tokenise_rows(written(tmp_path), Silent(), RECIPE)


@pytest.mark.parametrize("loss, norm", [(math.nan, 1.0), (1.0, math.inf), (math.inf, math.nan)])
def test_a_loss_or_gradient_that_is_no_number_stops_the_run(loss, norm):
    sft.check_finite(torch.tensor(1.0), torch.tensor(1.0), 7)
    with pytest.raises(UserError, match="step 7.*lower train.lr"):
        sft.check_finite(torch.tensor(loss), torch.tensor(norm), 7)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_saved_weights_come_back_as_their_bf16_values(
    fresh, pocket_folder, pocket_model, chat, tmp_path, method
):
    network = sft.trainable(fresh, pocket_model, recipe(method=method), 0)
    fit(network, packed(chat), 1e-2, 3)
    sft.save_weights(network, tmp_path / "adapter")
    with torch.no_grad():
        for weight in network.parameters():
            if weight.requires_grad:
                weight.copy_(weight.bfloat16().float())
    network.set_attn_implementation("sdpa")
    base = models.load(pocket_folder, pocket_model.delimiters)[0]
    ids = packed(chat).ids_1T[:, :40]
    with torch.no_grad():
        untrained = base(ids).logits
        loaded = sft.with_weights(base, tmp_path / "adapter")
        assert not loaded.training
        torch.testing.assert_close(
            loaded(ids).logits, network.eval()(ids).logits, rtol=1e-4, atol=1e-4
        )
        assert (loaded(ids).logits - untrained).abs().max() > 0.01


def test_saved_weights_are_bf16_and_name_no_place(fresh, pocket_model, tmp_path):
    from safetensors.torch import load_file

    sft.save_weights(
        sft.trainable(fresh, pocket_model, recipe(method="lora"), 0), tmp_path / "adapter"
    )
    assert {
        t.dtype for t in load_file(tmp_path / "adapter/adapter_model.safetensors").values()
    } == {torch.bfloat16}
    description = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    assert description["base_model_name_or_path"] == "pocket"


def test_weights_of_another_model_are_not_put_on_this_one(fresh, tmp_path):
    from safetensors.torch import save_file

    save_file({"foreign.weight": torch.zeros(1)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(UserError, match="'foreign.weight' is no weight of this model"):
        sft.with_weights(fresh, tmp_path)
