"""What the training loop in train.py calls: rows to tokens, which weights move, the learning rate, the weights' file."""

import math
import os
import shutil
import warnings

import torch

from ponder import control
from ponder.errors import UserError
from ponder.runs import dump, read_jsonl


def tokenised(path, chat, recipe):
    """Return a `datasets.Dataset` of the rows in `path` with columns id, ids, loss.

    Raises UserError for a row longer than train.max_tokens (never cut: s1, table 8) or one without a loss token.
    """
    from datasets import Dataset

    records = []
    for row in read_jsonl(path):
        think, wrong = (row["think"], row["wrong"]) if recipe.trace == "full" else ("", [])
        limit = (
            None if recipe.control == "none" else control.bound(chat.length(think, recipe.control))
        )
        question = control.asked(row["question"], recipe.control, limit)
        ids, loss = chat.row(question, think, row["answer"], () if recipe.loss_on_wrong else wrong)
        if len(ids) > recipe.max_tokens:
            raise UserError(
                f"row {row['id']} has {len(ids)} tokens, but train.max_tokens is {recipe.max_tokens}; "
                "raise it or drop the row in selection"
            )
        if not any(loss):
            raise UserError(f"row {row['id']} has no token that carries loss; drop it in selection")
        records.append({"id": row["id"], "ids": ids, "loss": loss})
    return Dataset.from_list(records)


def trainable(network, model, recipe, seed):
    """Return the network in training mode with only the weights of train.method requiring gradients.

    lora: adapters of peft on model.lora_targets, their initial values drawn from `seed`. full: all weights, or without
    train.train_embeddings all but the input embeddings, and with them the output embeddings that they are tied to.
    """
    if recipe.method == "lora":
        from peft import LoraConfig, get_peft_model

        warnings.filterwarnings(
            "ignore", message=".*is_gradient_checkpointing.*"
        )  # peft's business, not the user's
        shape = LoraConfig(
            r=recipe.lora_rank,
            lora_alpha=recipe.lora_alpha,
            lora_dropout=0.0,
            bias="none",
            target_modules=sorted(model.lora_targets),
            task_type="CAUSAL_LM",
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = get_peft_model(network, shape)
    elif not recipe.train_embeddings:
        network.get_input_embeddings().requires_grad_(False)
    return network.train()


def counts(batch):
    """Return how many tokens the rows of a step have, and how many of them carry loss; nothing predicts the first of a row."""
    return sum(len(row["ids"]) for row in batch), sum(sum(row["loss"][1:]) for row in batch)


def learning_rate(step, num_steps, recipe):
    """Return the rate of a step (from 1): linear warm-up over a share of the steps, then cosine to 0 (s1, appendix D)."""
    warm = math.ceil(recipe.warmup * num_steps)
    if step <= warm:
        return recipe.lr * step / warm
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, num_steps - warm)))


def check_finite(loss, norm, step):
    """Raise UserError when the loss or the gradient is no longer a number."""
    if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
        raise UserError(
            f"step {step} has loss {loss.item()} and gradient norm {norm.item()}; lower train.lr"
        )


def save_weights(network, folder, writes=True):
    """Write the trained weights in bf16: an adapter as peft opens it, or else the trained weights by their names.

    Every process calls it, for shards are put together tensor by tensor; only the one with `writes` keeps and writes them, each
    file whole or not at all. Raises UserError when there is no room.
    """
    from ponder.train import checkpoints, sharding

    record = None
    if hasattr(network, "peft_config"):
        from peft import get_peft_model_state_dict

        shape = network.peft_config["default"]
        keep = (
            "peft_type",
            "task_type",
            "r",
            "lora_alpha",
            "lora_dropout",
            "bias",
            "target_modules",
        )
        record = {key: getattr(shape, key) for key in keep}
        record |= {
            "target_modules": sorted(shape.target_modules),
            "base_model_name_or_path": None,
            "inference_mode": True,
            "peft_type": str(shape.peft_type.value),
            "task_type": "CAUSAL_LM",
        }
        found = get_peft_model_state_dict(network)
    else:
        found = {name: p for name, p in network.named_parameters() if p.requires_grad}
    state = {}
    for name, value in sorted(found.items()):
        value = sharding.whole(value.detach().to(torch.bfloat16))
        if writes:
            state[name] = value.cpu().contiguous()
    if not writes:
        return
    part = folder / "part"
    shutil.rmtree(part, ignore_errors=True)  # what a kill left
    try:
        part.mkdir(parents=True)
        checkpoints.write(state, part / "adapter_model.safetensors")
        if record:
            (part / "adapter_config.json").write_text(dump(record, indent=1))
            os.replace(part / "adapter_config.json", folder / "adapter_config.json")
        os.replace(part / "adapter_model.safetensors", folder / "adapter_model.safetensors")
    except OSError as error:
        raise UserError(
            f"the trained weights cannot be written to {folder} ({error.strerror}); free some space, and the same "
            "command goes on from the last checkpoint"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def with_weights(network, folder):
    """Return the base network with the weights that save_weights wrote, in evaluation mode, an adapter merged in."""
    if (folder / "adapter_config.json").exists():
        from peft import PeftModel

        return PeftModel.from_pretrained(network, folder).merge_and_unload().eval()
    from safetensors.torch import load_file

    loaded = network.load_state_dict(
        {k: v.float() for k, v in load_file(folder / "adapter_model.safetensors").items()},
        strict=False,
    )
    assert not loaded.unexpected_keys, "the weights belong to another model"
    return network.eval()


def report(run, cost):
    """Return the last line of a training run, from its metrics and what meter.record said of its cost."""
    last, seconds, tokens = (
        read_jsonl(run.folder / "metrics.jsonl")[-1],
        cost["seconds"],
        cost["tokens"],
    )
    return (
        f"train {run.name}: {cost['rows']} rows, {cost['steps']} steps, {tokens} tokens, last loss {last['loss']:.4f}, "
        f"{seconds / 60:.1f} min, {tokens / seconds:.0f} tokens/s -> {run.folder}"
    )
