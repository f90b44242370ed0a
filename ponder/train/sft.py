"""The parts of the training loop in train.py.

Rows to tokens, which weights are trained, the learning rate, and the file of the trained weights.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ponder import control, rows
from ponder.chat import Chat
from ponder.errors import UserError
from ponder.models import Model
from ponder.rows import Trace
from ponder.runs import Run, dump, put_in_place, read_jsonl
from ponder.train import adapters
from ponder.train.saved import CONFIG, WEIGHTS, quiet_peft
from ponder.train.saved import with_weights as with_weights

if TYPE_CHECKING:
    from datasets import Dataset

    from ponder.study import Train

ADAPTER_FIELDS = (
    "r",
    "lora_alpha",
    "lora_dropout",
    "bias",
    "base_model_name_or_path",
)  # copied from peft's own description


def tokenise_rows(path: Path, chat: Chat, recipe: Train) -> Dataset:
    """Return a `datasets.Dataset` of the traces in `path` with columns id, ids, loss.

    Raises UserError for a row longer than train.max_tokens (never cut: s1, table 8) or than the
    model's context, and for one without a loss token.
    """
    from datasets import Dataset

    records = []
    for trace in rows.read(Trace, path):
        ids, loss = _tokens_of(trace, chat, recipe)
        if len(ids) > recipe.max_tokens:
            raise UserError(
                f"row {trace.id} has {len(ids)} tokens, but train.max_tokens is "
                f"{recipe.max_tokens}; raise it or drop the row in selection"
            )
        if len(ids) > chat.tokenizer.model_max_length:
            raise UserError(
                f"row {trace.id} has {len(ids)} tokens, but model.context is "
                f"{chat.tokenizer.model_max_length}; drop the row in selection"
            )
        if not any(loss):
            raise UserError(f"row {trace.id} has no token that carries loss; drop it in selection")
        records.append({"id": trace.id, "ids": ids, "loss": loss})
    return Dataset.from_list(records)


def long_rows(traces: Iterable[Trace], chat: Chat, recipe: Train) -> dict[str, str]:
    """Return {id: how long} of the traces that tokenise_rows refuses for their length.

    A row is prompt, thinking and answer; a trace without thinking or answer is left out.
    """
    lengths = {
        trace.id: len(_tokens_of(trace, chat, recipe)[0])
        for trace in traces
        if trace.think and trace.answer
    }
    limits = {
        "train.max_tokens": recipe.max_tokens,
        "model.context": chat.tokenizer.model_max_length,
    }
    name, most = min(limits.items(), key=lambda limit: limit[1])
    return {
        ident: f"{length} tokens, {name}={most}"
        for ident, length in lengths.items()
        if length > most
    }


def _tokens_of(trace: Trace, chat: Chat, recipe: Train) -> tuple[list[int], list[int]]:
    """Return (ids, loss) of a trace in the form that the recipe trains on."""
    think, wrong = (trace.think, trace.wrong) if recipe.trace == "full" else ("", [])
    limit = None
    if recipe.control != "none":
        limit = control.bound(chat.length(think, recipe.control))
    question = control.instruct(trace.question, recipe.control, limit)
    return chat.row(question, think, trace.answer, () if recipe.loss_on_wrong else wrong)


def trainable(network: Any, model: Model, recipe: Train, seed: int) -> Any:
    """Return the network in training mode, gradients required of what train.method trains alone.

    lora: adapters of peft on model.lora_targets, their initial values drawn from `seed`. full: all
    weights, or without train.train_embeddings all but the input embeddings, and with them the
    output embeddings that they are tied to. Raises UserError for targets that no adapter goes on.
    """
    if recipe.method == "lora":
        from peft import LoraConfig, get_peft_model

        layers = adapters.target_layers(network, model)

        adapter = LoraConfig(
            r=recipe.lora_rank,
            lora_alpha=recipe.lora_alpha,
            lora_dropout=0.0,
            bias="none",
            target_modules=sorted(model.lora_targets),
            task_type="CAUSAL_LM",
        )
        with torch.random.fork_rng(), quiet_peft():
            torch.manual_seed(seed)
            network = get_peft_model(network, adapter)
        # What peft opens; by itself it would note the folder of this machine.
        network.peft_config["default"].base_model_name_or_path = model.base_name
        assert adapters.adapted_layers(network) == layers, "peft means other layers than we do"
    elif not recipe.train_embeddings:
        network.get_input_embeddings().requires_grad_(False)
    return network.train()


def count_tokens(batch: Sequence[dict]) -> tuple[int, int]:
    """Return how many tokens the rows of a step have, and how many of them carry loss.

    The first token of a row never carries loss: nothing predicts it.
    """
    tokens = sum(len(row["ids"]) for row in batch)
    loss_tokens = sum(sum(row["loss"][1:]) for row in batch)
    return tokens, loss_tokens


def learning_rate(step: int, num_steps: int, recipe: Train) -> float:
    """Return the learning rate of a step, counted from 1 (s1, appendix D).

    Linear warm-up over the share train.warmup of the steps, then a cosine to 0.
    """
    warm = math.ceil(recipe.warmup * num_steps)
    if step <= warm:
        return recipe.lr * step / warm
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, num_steps - warm)))


def check_finite(loss: torch.Tensor, norm: torch.Tensor, step: int) -> None:
    """Raise UserError when the loss or the gradient norm is infinite or not a number."""
    if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
        raise UserError(
            f"step {step} has loss {loss.item()} and gradient norm {norm.item()}; lower train.lr"
        )


def save_weights(network: Any, folder: Path, writes: bool = True) -> None:
    """Write the trained weights in bf16: an adapter as peft opens it, or weights by their names.

    Every process calls it, for shards are put together tensor by tensor; only the one with `writes`
    keeps and writes them, each file whole or not at all. Raises UserError when there is no room.
    """
    from ponder.train import sharding

    adapter = None
    if hasattr(network, "peft_config"):
        from peft import get_peft_model_state_dict

        adapter = _adapter_config(network.peft_config["default"])
        weights = get_peft_model_state_dict(network, save_embedding_layers=False)
    else:
        weights = {name: p for name, p in network.named_parameters() if p.requires_grad}
    tensors = {}
    for name, weight in sorted(weights.items()):
        tensor = sharding.full_tensor(weight.detach().to(torch.bfloat16))
        if writes:
            tensors[name] = tensor.cpu().contiguous()
    if writes:
        _write_weights(tensors, adapter, folder)


def _adapter_config(adapter: Any) -> dict:
    """Return what adapter_config.json says of an adapter: what peft needs to open it."""
    return {
        **{field: getattr(adapter, field) for field in ADAPTER_FIELDS},
        "target_modules": sorted(adapter.target_modules),
        "inference_mode": True,
        "peft_type": str(adapter.peft_type.value),
        "task_type": "CAUSAL_LM",
    }


def _write_weights(tensors: dict[str, torch.Tensor], adapter: dict | None, folder: Path) -> None:
    """Write adapter_model.safetensors, and adapter_config.json for an adapter, into a folder."""
    from ponder.train import checkpoints

    part = folder / "part"
    shutil.rmtree(part, ignore_errors=True)  # left by a run that was killed
    try:
        part.mkdir(parents=True)
        checkpoints.write(tensors, part / WEIGHTS)
        if adapter:
            (part / CONFIG).write_text(dump(adapter, indent=1))
            put_in_place(part / CONFIG, folder / CONFIG)
        put_in_place(part / WEIGHTS, folder / WEIGHTS)
    except OSError as error:
        raise UserError(
            f"the trained weights cannot be written to {folder} ({error.strerror}); free some "
            "space, and the same command goes on from the last checkpoint"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def report(run: Run, cost: dict) -> str:
    """Return the last line that a training prints, from its metrics and its cost (meter.record)."""
    last_loss = read_jsonl(run.folder / "metrics.jsonl")[-1]["loss"]
    seconds, tokens = cost["seconds"], cost["tokens"]
    return (
        f"train {run.name}: {cost['rows']} rows, {cost['steps']} steps, {tokens} tokens, "
        f"last loss {last_loss:.4f}, {seconds / 60:.1f} min, {tokens / seconds:.0f} tokens/s "
        f"-> {run.folder}"
    )
