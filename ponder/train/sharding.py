"""A network over several processes: FSDP2 with a group per decoder layer, and layers that are computed again (s1, appendix D).

Weights, gradients and AdamW's state lie in shards, each process holding its rows of every tensor; a layer is gathered when its
turn comes. ponder/train/costs.py counts the bytes of this with layers computed again.
"""

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard


def placed(objective, recipe, processes):
    """Return the packing.Objective on this process's device, sharded over all of them.

    Weights are gathered in recipe.compute, gradients are summed in float32. A single process that computes in the type of its
    weights has nothing to gather: its network stays as it is.
    """
    network = objective.network

    def kept(part):
        """A part of the network in the type of its weights: one after the other, so that no process holds them all in float32."""
        return part.float() if recipe.weights == "float32" else part

    if recipe.recompute:
        network.activation_checkpointing_enable()
    if processes.world == 1 and recipe.compute == recipe.weights:
        return kept(objective).to(processes.device)
    mesh = init_device_mesh(processes.device.type, (processes.world,))
    policy = MixedPrecisionPolicy(
        param_dtype=getattr(torch, recipe.compute), reduce_dtype=torch.float32
    )
    for part in (*network.get_decoder().layers, objective):
        fully_shard(kept(part), mesh=mesh, mp_policy=policy)
    for module in objective.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(
                1.0
            )  # the loss is divided by the loss tokens of all processes already
            module.set_force_sum_reduction_for_comms(True)
    return objective


def whole(tensor):
    """Return a tensor that every process sees whole; each must ask for it."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
