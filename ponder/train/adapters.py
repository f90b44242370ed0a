"""Which layers an adapter of LoRA goes on, and whether what was trained has learned.

Adapters are trained on linear layers of the decoder alone. On the output head the loss would not
see them, for it multiplies by the head's weight (ponder/train/packing.py); on the embeddings of a
model whose head is tied to them, merging would change the head as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from ponder.errors import UserError
from ponder.train import processes

if TYPE_CHECKING:
    from ponder.models import Model


def target_layers(network: Any, model: Model) -> list[str]:
    """Return the names of the linear layers that model.lora_targets means in a network, in order.

    A target is the last part of a layer's name, such as q_proj, or as many parts from the end as
    tell it from others, such as layers.0.self_attn.q_proj; it is no pattern. Raises UserError for
    no target, one that is no linear layer of the decoder, or a layer that two of them mean.
    """
    linear = linear_layers(network)
    known = f"name layers of {model.name}: {', '.join(sorted({_last(name) for name in linear}))}"
    if not model.lora_targets:
        raise UserError(
            "model.lora_targets is empty, so train.method=lora has nothing to train; "
            f"{known}, or take train.method=full"
        )
    target_of: dict[str, str] = {}
    for target in model.lora_targets:
        layers = [name for name in linear if f".{name}".endswith(f".{target}")]
        if not layers or not target:
            raise UserError(
                f"model.lora_targets has {target!r}, which is no linear layer inside the decoder's "
                f"layers, and adapters go on those alone; {known}"
            )
        for name in layers:
            if name in target_of:
                raise UserError(
                    f"model.lora_targets has {target_of[name]!r} and {target!r}, which both mean "
                    f"{name}; name each layer once"
                )
            target_of[name] = target
    return [name for name in linear if name in target_of]


def linear_layers(network: Any) -> list[str]:
    """Return the names of all linear layers inside the layers of a network's decoder, in order."""
    inside = {id(module) for layer in network.get_decoder().layers for module in layer.modules()}
    return [
        name
        for name, module in network.named_modules()
        if id(module) in inside and isinstance(module, torch.nn.Linear)
    ]


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def adapted_layers(network: Any) -> list[str]:
    """Return the names of the layers of a base network that peft put adapters on."""
    base = network.get_base_model()
    return [name for name, module in base.named_modules() if hasattr(module, "lora_A")]


def check_gradients(network: torch.nn.Module) -> None:
    """Raise UserError when a trained weight has no gradient after the first step's way back."""
    weights = [(name, w) for name, w in network.named_parameters() if w.requires_grad]
    _refuse([name for name, weight in weights if weight.grad is None], "no part in the loss")


def check_moved(network: torch.nn.Module, optimizer: torch.optim.Optimizer, num_steps: int) -> None:
    """Raise UserError, before anything is called trained, when a weight never had a gradient.

    AdamW's second moment is a sum of squared gradients: 0 everywhere says that no step had any.
    Every process calls it. After a single step the first matrix of an adapter has none yet, since
    the second one was 0; so it is not asked for.
    """
    names = [
        name
        for name, weight in network.named_parameters()
        if weight.requires_grad and not (num_steps == 1 and "lora_A" in name)
    ]
    weights = dict(network.named_parameters())
    moved = torch.tensor([float(_has_moment(weights[name], optimizer)) for name in names])
    processes.sum_over_processes(moved)
    still = [name for name, count in zip(names, moved.tolist(), strict=True) if not count]
    _refuse(still, f"no gradient in {num_steps} steps")


def _has_moment(weight: torch.nn.Parameter, optimizer: torch.optim.Optimizer) -> bool:
    """Return whether this process's rows of a weight ever had a gradient."""
    moment = optimizer.state.get(weight, {}).get("exp_avg_sq")
    if moment is None:
        return False
    rows = moment.to_local() if hasattr(moment, "to_local") else moment
    return bool(rows.any())


def _refuse(names: Sequence[str], reason: str) -> None:
    if names:
        raise UserError(
            f"{len(names)} trained weights had {reason}, the first is {names[0]}; they would be "
            "called trained and are not, so take their layers out of what is trained "
            "(model.lora_targets, train.train_embeddings)"
        )
