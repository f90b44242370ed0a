"""TRL's SFTTrainer, fed the rows of a run of train.py in its order, computes what the loop computed."""

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


def theirs(plan, steps, folder, **settings):
    """Return (what TRL logged per step, how many tokens its trainer divided by) for the rows of each step of batches.jsonl."""
    import torch
    from bench_train import peer

    recipe = plan.train
    network, chat = models.load(models.base_folder(plan.model, plan.out), plan.model.delimiters)
    network = sft.trainable(
        network, plan.model, recipe, hashing.purpose_seed(f"adapter/{plan.seed}")
    )
    rows = sft.tokenised(stages.chosen_rows(plan), chat, recipe)
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
    divided, counted = [], trainer.get_batch_samples

    def counting(*arguments):
        samples, tokens = counted(*arguments)
        divided.append(int(tokens))
        return samples, tokens

    trainer.get_batch_samples = counting
    trainer.train()
    return [row for row in trainer.state.log_history if "loss" in row], divided


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_trl_has_the_losses_and_gradients_of_train_py(ours, tmp_path, shape):
    plan, run = ours
    mine = read_jsonl(run.folder / "metrics.jsonl")
    logged, divided = theirs(
        plan, read_jsonl(run.folder / "batches.jsonl"), tmp_path, **SHAPES[shape]
    )
    assert len(mine) == len(logged) == STEPS
    assert mine[0]["loss"] - mine[-1]["loss"] > 100 * CLOSE, (
        "weights that do not move prove nothing about the optimizer"
    )
    for name, other in (("loss", "loss"), ("grad_norm", "grad_norm"), ("lr", "learning_rate")):
        assert [row[other] for row in logged] == pytest.approx(
            [row[name] for row in mine], rel=CLOSE, abs=CLOSE
        ), name
    assert divided == [
        row["loss_tokens"] for row in mine
    ]  # the mean over the step's loss tokens, not of rows or parts


@pytest.mark.slow
def test_another_order_of_rows_gives_trl_other_losses(ours, tmp_path):
    plan, run = ours
    first, second, third = read_jsonl(run.folder / "batches.jsonl")
    logged, _ = theirs(plan, [second, first, third], tmp_path, **SHAPES["padded"])
    assert (
        abs(logged[0]["loss"] - read_jsonl(run.folder / "metrics.jsonl")[0]["loss"]) > 100 * CLOSE
    )
