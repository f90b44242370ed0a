"""TRL's SFTTrainer, given the rows of a run of train.py in its order, computes what it computed."""

import os

import pytest
from conftest import ROOT, collected, trained

from ponder import hashing, models, stages
from ponder.runs import read_jsonl
from ponder.train import sft

pytest.importorskip("trl", reason="TRL is not installed: pip install -e '.[trl]' brings it")
STEPS, CLOSE = 3, 1e-5
METHODS = {"full": ("train.method=full",), "lora": ("train.method=lora",)}
SHAPES = {  # how TRL lays out the eight rows of a step
    "padded": {"per_device_train_batch_size": 8},
    "packed": {"per_device_train_batch_size": 8, "padding_free": True, "max_length": None},
    "accumulated": {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4},
}


@pytest.fixture(scope="module", params=METHODS)
def ours(request, tmp_path_factory):
    """(Study, finished run) of three steps of train.py on the pocket model."""
    os.chdir(ROOT)
    plan = collected(tmp_path_factory.mktemp(request.param), *METHODS[request.param])
    return plan, trained(plan)


def by_trl(plan, steps, folder, **settings):
    """Return what TRL logged per step, and how many tokens its trainer divided by.

    Its steps have the rows of the `steps` of batches.jsonl.
    """
    import torch
    from bench.train_speed import peer

    recipe = plan.train
    network, chat = models.load(models.base_folder(plan.model, plan.out), plan.model.delimiters)
    network = sft.trainable(
        network, plan.model, recipe, hashing.purpose_seed(f"adapter/{plan.seed}")
    )
    rows = sft.tokenise_rows(stages.chosen_rows(plan), chat, recipe)
    places = {ident: place for place, ident in enumerate(rows["id"])}
    batches = [[places[ident] for ident in step["ids"]] for step in steps]
    optimizer = torch.optim.AdamW(
        [p for p in network.parameters() if p.requires_grad],
        lr=recipe.lr,
        betas=(recipe.beta1, recipe.beta2),
        weight_decay=recipe.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda done: sft.learning_rate(min(done + 1, STEPS), STEPS, recipe) / recipe.lr
    )
    trainer = peer(
        network,
        chat.tokenizer,
        rows,
        batches,
        folder,
        optimizers=(optimizer, schedule),
        bf16=False,
        gradient_checkpointing=False,
        max_grad_norm=recipe.clip,
        logging_steps=1,
        **settings,
    )
    divisors, get_batch_samples = [], trainer.get_batch_samples

    def counting(*arguments):
        samples, tokens = get_batch_samples(*arguments)
        divisors.append(int(tokens))
        return samples, tokens

    trainer.get_batch_samples = counting
    trainer.train()
    return [row for row in trainer.state.log_history if "loss" in row], divisors


@pytest.mark.parametrize("shape", SHAPES)
def test_trl_has_the_losses_and_gradients_of_train_py(ours, tmp_path, shape):
    plan, run = ours
    metrics = read_jsonl(run.folder / "metrics.jsonl")
    logged, divisors = by_trl(
        plan, read_jsonl(run.folder / "batches.jsonl"), tmp_path, **SHAPES[shape]
    )
    assert len(metrics) == len(logged) == STEPS
    assert metrics[0]["loss"] - metrics[-1]["loss"] > 100 * CLOSE, (
        "weights that do not move prove nothing about the optimizer"
    )
    for name, other in (("loss", "loss"), ("grad_norm", "grad_norm"), ("lr", "learning_rate")):
        assert [row[other] for row in logged] == pytest.approx(
            [row[name] for row in metrics], rel=CLOSE, abs=CLOSE
        ), name
    # The mean over the step's loss tokens, not of rows or parts.
    assert divisors == [row["loss_tokens"] for row in metrics]


def test_another_order_of_rows_gives_trl_other_losses(ours, tmp_path):
    plan, run = ours
    first, second, third = read_jsonl(run.folder / "batches.jsonl")
    logged, _ = by_trl(plan, [second, first, third], tmp_path, **SHAPES["padded"])
    loss = read_jsonl(run.folder / "metrics.jsonl")[0]["loss"]
    assert abs(logged[0]["loss"] - loss) > 100 * CLOSE
