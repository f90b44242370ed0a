"""Trained weights as a folder: whether it is what a training wrote, and how it comes onto a base.

adapter_model.safetensors holds the tensors. Beside it adapter_config.json describes an adapter, and
scales it too (lora_alpha); without it the tensors are the weights of the network by their names.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ponder import models
from ponder.chat import Delimiters
from ponder.errors import RecordError
from ponder.hashing import file_sha256

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
OTHER = "name weights that were trained on this model"  # the way out


def inputs(folder: Path | str, prefix: str = "") -> dict[str, str]:
    """Return {name: sha256} of the files of trained weights, as a run that reads them names them.

    Raises RecordError as `weights` does.
    """
    path = weights(folder)
    files = [path, *([path.with_name(CONFIG)] if path.with_name(CONFIG).exists() else [])]
    return {f"{prefix}{file.name}": file_sha256(file) for file in files}


def weights(folder: Path | str) -> Path:
    """Return the path of the weights in a folder of them.

    Raises RecordError without them, where they or adapter_config.json cannot be read, and where
    they are not what the manifest beside the folder says, of a run or of a released data set.
    """
    path, way_out = Path(folder) / WEIGHTS, "name a folder that does, or restore it from git"
    if not path.exists():
        raise RecordError(f"{folder} holds no {WEIGHTS}; {way_out}")
    try:
        with safe_open(path, "np"):  # its header, and that the file is as long as that says
            pass
    except SafetensorError as error:
        raise RecordError(f"{path} holds no whole safetensors ({error}); {way_out}") from None
    _description(path.with_name(CONFIG), way_out)
    _check_manifest(path.parent)
    return path


def _description(path: Path, way_out: str) -> dict[str, Any] | None:
    """Return what adapter_config.json says, None without one; raises RecordError."""
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_bytes())
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise RecordError(f"{path} holds no whole JSON object; {way_out}")
    if values.get("peft_type") != "LORA" or values.get("task_type") != "CAUSAL_LM":
        raise RecordError(
            f"{path} describes peft_type {values.get('peft_type')!r:.40} for task_type "
            f"{values.get('task_type')!r:.40}, but only LORA for CAUSAL_LM is read; {OTHER}"
        )
    return values


def _check_manifest(folder: Path) -> None:
    """Raise RecordError where the manifest beside a folder of weights says otherwise of its files.

    A folder alone has none, and is whatever somebody put there.
    """
    folder = folder.resolve()
    try:
        files = json.loads((folder.parent / "manifest.json").read_text())["files"]
        listed = {name: entry["sha256"] for name, entry in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    if f"{folder.name}/{WEIGHTS}" not in listed:
        return
    for name in (WEIGHTS, CONFIG):
        path, digest = folder / name, listed.get(f"{folder.name}/{name}")
        actual = file_sha256(path) if path.exists() else None
        if actual != digest:
            raise RecordError(
                f"{path} is not what {folder.parent / 'manifest.json'} says; restore it, or copy "
                f"{folder} elsewhere to use it as weights of your own"
            )


def with_weights(network: Any, folder: Path) -> Any:
    """Return the base network with the weights that sft.save_weights wrote, in evaluation mode.

    An adapter is merged into the weights of the network. Raises RecordError unless every tensor of
    the file has its place in the network, and every place its tensor.
    """
    if _description(folder / CONFIG, OTHER) is not None:
        return _with_adapter(network, folder)
    from safetensors.torch import load_file

    tensors = load_file(folder / WEIGHTS)
    shapes = {name: list(weight.shape) for name, weight in network.named_parameters()}
    embeddings = network.get_input_embeddings().weight
    for name, weight in network.named_parameters():
        if weight is embeddings and name not in tensors:
            del shapes[name]  # not trained without train.train_embeddings, and so not written
    _check_tensors(folder / WEIGHTS, tensors, shapes)
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, False)
    return network.eval()


def merge(base: Path, weights: Path, delimiters: Delimiters, folder: Path) -> None:
    """Write a base with trained weights as one folder of safetensors with its tokenizer."""
    network, chat = models.load(base, delimiters)
    with_weights(network, weights).save_pretrained(folder)
    models.save_tokenizer(chat.tokenizer, folder)


@contextlib.contextmanager
def quiet_peft() -> Iterator[None]:
    """Keep from the terminal that peft asks transformers by an old name: a user can do nothing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
        yield


def _with_adapter(network: Any, folder: Path) -> Any:
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file

    try:
        with quiet_peft():
            adapted = PeftModel.from_pretrained(network, folder)
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = (str(error).strip().splitlines() or ["no reason"])[-1].strip()[:200]
        raise RecordError(
            f"{folder} does not fit the model ({type(error).__name__}: {reason}); {OTHER}"
        ) from error
    placed = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    shapes = {name: list(tensor.shape) for name, tensor in placed.items()}
    _check_tensors(folder / WEIGHTS, load_file(folder / WEIGHTS), shapes)
    return adapted.merge_and_unload().eval()


def _check_tensors(path: Path, tensors: Mapping[str, Any], shapes: Mapping[str, list[int]]) -> None:
    """Raise RecordError unless tensors have the names and shapes given, and finite numbers."""
    for name in sorted(tensors.keys() ^ shapes.keys()):
        what = "is no weight of this model" if name in tensors else "is missing"
        raise RecordError(f"{path}: {name!r:.100} {what}; {OTHER}")
    if not shapes:
        raise RecordError(f"{path} holds no tensor; {OTHER}")
    for name, tensor in tensors.items():
        if list(tensor.shape) != shapes[name]:
            raise RecordError(
                f"{path}: {name!r:.100} has shape {list(tensor.shape)}, but the model needs "
                f"{shapes[name]}; {OTHER}"
            )
        if not tensor.isfinite().all():
            raise RecordError(f"{path}: {name!r:.100} holds values that are no numbers; {OTHER}")
