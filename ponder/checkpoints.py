"""A checkpoint is one safetensors file: trained weights, optimizer state, step. Written whole or not at all; no pickle.

The data order and the learning rate follow from the config and the step, and nothing in training draws random numbers,
so this is all that a run needs to go on to the same bytes.
"""
import os

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ponder.config import ConfigError
from ponder.runs import read_jsonl, write_jsonl

MOMENTS = ("exp_avg", "exp_avg_sq")    # AdamW's state besides its step


def _weights(network):
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def save(run, network, optimizer, step):
    """Write the state after `step`, replacing the checkpoint before it."""
    tensors = {}
    for name, p in _weights(network).items():
        tensors[f"weight/{name}"] = p.detach()
        tensors |= {f"{moment}/{name}": optimizer.state[p][moment] for moment in MOMENTS}
    part = run.folder / "checkpoint.part"
    save_file(tensors, part, metadata={"step": str(step), "run": run.name})
    os.replace(part, run.folder / "checkpoint.safetensors")


def resume(run, network, optimizer):
    """Return the step of the run's checkpoint after loading it, or 0 without one; later metrics rows are cut off.

    Raises ConfigError for a checkpoint that is damaged or of another run.
    """
    path, step = run.folder / "checkpoint.safetensors", 0
    if path.exists():
        try:
            with safe_open(path, "pt") as file, torch.no_grad():
                facts = file.metadata() or {}
                if facts.get("run") != run.name:
                    raise ConfigError(f"{path} belongs to run {facts.get('run')}, not {run.name}; delete it to start again")
                step = int(facts["step"])
                for name, p in _weights(network).items():
                    p.copy_(file.get_tensor(f"weight/{name}"))
                    moments = {moment: file.get_tensor(f"{moment}/{name}").clone() for moment in MOMENTS}
                    optimizer.state[p] = {"step": torch.tensor(float(step)), **moments}
        except ConfigError:
            raise
        except Exception as error:    # safetensors raises its own type, which is no public name
            raise ConfigError(f"{path} cannot be read ({str(error).splitlines()[0]}); delete it to start again") from error
    metrics = run.folder / "metrics.jsonl"
    kept = [row for row in read_jsonl(metrics, tolerate_cut=True) if row["step"] <= step] if metrics.exists() else []
    write_jsonl(metrics, kept)
    if step:
        run.say(f"train {run.name}: goes on after step {step}")
    return step
