"""A network over several processes: FSDP2 with a group per decoder layer (s1, appendix D).

Weights, gradients and AdamW's state lie in shards, each process holding its rows of every tensor; a
layer is gathered when its turn comes. Layers may be computed again on the way back. The module
ponder/train/costs.py counts the bytes of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from ponder.train.packing import Objective
from ponder.train.processes import Processes

if TYPE_CHECKING:
    from ponder.study import Train


def shard(objective: Objective, recipe: Train, processes: Processes) -> Objective:
    """Return the Objective on this process's device, sharded over all processes.

    Weights are gathered in recipe.compute, gradients are summed in float32. A single process that
    computes in the type of its weights has nothing to gather: its network stays as it is.
    """

    def in_type_of_weights(part: torch.nn.Module) -> torch.nn.Module:
        # Part after part, so that no process holds all of them in float32.
        return part.float() if recipe.weights == "float32" else part

    network = objective.network
    if recipe.recompute:
        network.activation_checkpointing_enable()
    if processes.world == 1 and recipe.compute == recipe.weights:
        in_type_of_weights(objective).to(processes.device)
        return objective
    mesh = init_device_mesh(processes.device.type, (processes.world,))
    policy = MixedPrecisionPolicy(
        param_dtype=getattr(torch, recipe.compute), reduce_dtype=torch.float32
    )
    for part in (*network.get_decoder().layers, objective):
        fully_shard(in_type_of_weights(part), mesh=mesh, mp_policy=policy)
    for module in objective.modules():
        if isinstance(module, FSDPModule):
            # The loss is divided by the loss tokens of all processes already.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    return objective


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor put together from the shards of all processes; each must call it."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
