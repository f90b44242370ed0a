"""Serve a model of conf/model by llama.cpp on this machine, as an OpenAI-compatible endpoint.

    make serve MODEL=qwen2.5-coder-1.5b
    python -m ponder.serve qwen2.5-coder-1.5b --port 8081 --slots 24
    python -m ponder.serve qwen2.5-coder-1.5b model.source=folder +model.folder=/models

The server is the PyPI wheel xllamacpp (`make xllamacpp`), for CPUs. It answers on 127.0.0.1 alone
and needs no key. It calls the model by its name, the hash of its GGUF file and the version of the
wheel, and every reply repeats that, so a collection records what answered.
"""

import argparse
import importlib.metadata
import signal
from pathlib import Path
from typing import Any

from ponder import models, study
from ponder.errors import UserError, user_errors
from ponder.models import Model
from ponder.terminal import overrides

HOST = "127.0.0.1"
CONTEXT = 2048  # tokens of a slot: a question, 1,024 tokens of an answer, and room


def served_name(model: Model, sha256: str) -> str:
    """Return what a server calls a model: its name, the first hex digits of its file, the wheel."""
    try:
        version = importlib.metadata.version("xllamacpp")
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            "xllamacpp is not installed, and llama.cpp is served by it; run `make xllamacpp`"
        ) from None
    return f"{model.name}@{sha256[:12]}, xllamacpp {version}"


def start(path: Path, name: str, port: int, slots: int, threads: int) -> Any:
    """Return a running server of xllamacpp."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.model_alias = {name}
    parameters.hostnames = [HOST]
    parameters.port = port
    parameters.n_parallel = slots
    parameters.n_ctx = slots * CONTEXT
    parameters.cont_batching = True
    parameters.ui = False
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    parameters.verbosity = 0
    return xllamacpp.Server(parameters)


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ponder.serve", description="Serve a model by llama.cpp until Ctrl-C."
    )
    parser.add_argument("model", help="a name of conf/model whose weights are a GGUF file")
    parser.add_argument("words", nargs="*", help="overrides, such as model.source=hub")
    parser.add_argument("--port", type=int, default=8080, help="on 127.0.0.1 (8080)")
    parser.add_argument("--slots", type=int, default=12, help="answers at the same time (12)")
    return parser


@user_errors
def main() -> None:
    """Start the server, say where it listens, and wait for Ctrl-C or SIGTERM."""
    words = arguments().parse_args()
    plan = study.read(
        overrides.composed("collect", ["experiment=cpu", f"model={words.model}", *words.words])
    )
    path, sha256 = models.gguf_file(plan.model, plan.out)
    name = served_name(plan.model, sha256)
    server = start(path, name, words.port, words.slots, plan.hardware.threads)
    print(f"{name} at {server.listening_address}/v1", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print("stopped")


if __name__ == "__main__":
    main()
