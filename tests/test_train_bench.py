"""The forms of a LoRA step that tests/bench/train_joint.py compares compute one thing."""

import pytest
import torch
from bench import train_joint
from conftest import study_of

from ponder import models
from ponder.train import packing, sft

ROWS = [([256, 1, 2, 3, 4], [0, 0, 1, 1, 1]), ([256, 9, 8, 7], [0, 0, 0, 1])]


@pytest.fixture(scope="module")
def network(pocket_folder, pocket_model):
    network, _ = models.load(pocket_folder, pocket_model.delimiters)
    network.set_attn_implementation(packing.ATTENTION)
    recipe = study_of("experiment=smoke", "train.method=lora", "train.lora_rank=4").train
    network = sft.trainable(network, pocket_model, recipe, seed=0)
    with torch.no_grad():
        for index, weight in enumerate(network.parameters()):
            if weight.requires_grad:  # else an adapter begins at zero and nothing reaches its half
                weight.normal_(std=0.1, generator=torch.Generator().manual_seed(index))
    return network


def gradients(network, form):
    train_joint.take(network, form)
    network.zero_grad(set_to_none=True)
    loss = packing.loss_of(network, packing.pack(ROWS), 4)
    loss.backward()
    named = network.named_parameters()
    return loss.item(), {name: p.grad.clone() for name, p in named if p.requires_grad}


@pytest.mark.parametrize("form", ["alone", "joint", "norms"])
def test_every_form_has_the_loss_and_the_gradients_of_the_plain_one(network, form):
    ways = train_joint.forms(network)
    assert len(ways[form]) > 0
    loss, found = gradients(network, ways["plain"])
    other, others = gradients(network, ways[form])
    assert other == pytest.approx(loss, rel=1e-5) and found.keys() == others.keys()
    for name, gradient in found.items():
        assert gradient.abs().max() > 0
        torch.testing.assert_close(others[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


def test_a_form_is_taken_back(network):
    ways = train_joint.forms(network)
    loss, _ = gradients(network, ways["plain"])
    gradients(network, ways["norms"])
    assert gradients(network, ways["plain"])[0] == loss
    assert not any("forward" in module.__dict__ for module in network.modules())
