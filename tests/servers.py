"""Servers that the tests ask: one that misbehaves as it is told, and `transformers serve`.

`Misbehaving(script)` answers POST by `script(text, nth)`: `text` is the last message (or the
prompt) of a request, `nth` counts the requests with that text from 1; it returns an Act, made by
the functions below. `acts({"word": [first, ...]})` is such a script: the nth request whose text
holds the word gets the nth act, later ones the last, all others `answer()`.
"""

import collections
import contextlib
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ponder.api.client import Client

QUICK = Client(  # asks again at once
    name="test",
    key_env=None,
    concurrency=4,
    per_minute=None,
    timeout=60.0,
    attempts=3,
    backoff=0.01,
    give_up=5,
    dollars_in=None,
    dollars_out=None,
    max_dollars=None,
)


@dataclass(frozen=True)
class Act:
    """What a server does with one request."""

    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    wait: float = 0.0  # seconds before the first byte
    drip: float = 0.0  # seconds between the tenths of the body
    length: int | None = None  # Content-Length, where it is a lie
    end: str = "close"  # close | reset | hang: what follows, instead of any reply for the last two


def answer(
    content="Final Answer: 4", reasoning="2 + 2 is 4.", finish="stop", usage=(10, 5), **options
):
    """Return a good chat completion, with an account field, an id and a clock around it."""
    message = {"role": "assistant", "content": content} | (
        {} if reasoning is None else {"reasoning": reasoning}
    )
    data = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "fake",
        "organization": "org-secret",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {
            "prompt_tokens": usage[0],
            "completion_tokens": usage[1],
            "total_tokens": sum(usage),
            "account": "acct",
        },
    }
    return Act(body=json.dumps(data).encode(), **options)


def status(code, message="no", **headers):
    """Return an error; `retry_after="2"` becomes a header."""
    return Act(
        code,
        {name.replace("_", "-"): value for name, value in headers.items()},
        json.dumps({"error": {"message": message}}).encode(),
    )


def truncated():
    """Return half of a good reply that says it is whole."""
    body = answer().body
    return Act(body=body[: len(body) // 2])


def cut_short():
    """Return half of a good reply that says it is longer, and a closed connection."""
    body = answer().body
    return Act(body=body[: len(body) // 2], length=len(body))


HANG = Act(end="hang")
RESET = Act(end="reset")


def acts(table):
    """Return the script of a table {word: [act, ...]}."""

    def script(text, nth):
        row = next((row for word, row in table.items() if word in text), [answer()])
        return row[min(nth, len(row)) - 1]

    return script


class Misbehaving:
    """A server on 127.0.0.1 for a `with` block.

    `url` ends with /v1; `counts`, `requests` and `most` say what it was asked. `models` are the
    names that it lists, or an Act; port 0 is any that is free.
    """

    def __init__(self, script=None, models=("fake",), port=0):
        self.script, self.models, self.port = script or acts({}), models, port
        self.counts = collections.Counter()  # text: requests
        self.requests = []  # {"path", "headers", "body", "time"} in order of arrival
        self.flying = self.most = 0  # requests at once: now, and at most so far
        self.lock, self.over = threading.Lock(), threading.Event()

    def __enter__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.play(self, outer.got(self.path))

            def do_POST(self):
                outer.posted(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_):  # a client that went away
                pass

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()

    def got(self, path):
        """Return the Act for a GET, whatever its path."""
        if isinstance(self.models, Act):
            return self.models
        listing = {"object": "list", "data": [{"id": name} for name in self.models]}
        return Act(body=json.dumps(listing).encode())

    def act(self, body, text, nth):
        """Return the Act for a POST."""
        return self.script(text, nth)

    def posted(self, handler):
        """Count one request and do as the script says."""
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        text = body["messages"][-1]["content"] if "messages" in body else str(body["prompt"])
        with self.lock:
            self.counts[text] += 1
            nth = self.counts[text]
            self.requests.append(
                {
                    "path": handler.path,
                    "headers": dict(handler.headers),
                    "body": body,
                    "time": time.monotonic(),
                }
            )
            self.flying += 1
            self.most = max(self.most, self.flying)
        try:
            self.play(handler, self.act(body, text, nth))
        finally:
            with self.lock:
                self.flying -= 1

    def play(self, handler, act):
        """Do one Act."""
        self.over.wait(act.wait)
        if act.end == "hang":
            self.over.wait()
        if act.end == "reset":
            handler.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        if act.end != "close":
            handler.close_connection = True
            handler.connection.close()
            return
        handler.send_response(act.status)
        for name, value in act.headers.items():
            handler.send_header(name, value)
        handler.send_header(
            "Content-Length", str(len(act.body) if act.length is None else act.length)
        )
        handler.end_headers()
        size = max(1, len(act.body) // 10)
        for start in range(0, len(act.body), size):
            handler.wfile.write(act.body[start : start + size])
            self.over.wait(act.drip)
        handler.close_connection = act.length is not None


class Tokens(Misbehaving):
    """A server of token ids over the engine `hf`, with the fields and rules of vLLM from 0.10.2 on.

    `script` may give an Act instead of the completion, or None; `alter(body, reply, nth)` may
    change the JSON of a reply; `wait(nth)` are the seconds before the nth of all replies. Tokens
    `ends` end what does not ignore them.
    """

    def __init__(
        self,
        network,
        ends=(257,),
        script=None,
        alter=None,
        wait=None,
        models=("pocket",),
        version="0.33.0",
        **options,
    ):
        super().__init__(script or (lambda text, nth: None), models, **options)
        self.network, self.ends, self.version = network, ends, version
        self.alter, self.wait = alter, wait
        self.engine, self.replies = threading.Lock(), 0

    def got(self, path):
        if path == "/version":
            if self.version is None:
                return Act(404)
            return Act(body=json.dumps({"version": self.version}).encode())
        if isinstance(self.models, Act):
            return self.models
        cards = [
            {"id": name, "object": "model", "owned_by": "vllm", "max_model_len": 2048}
            for name in self.models
        ]
        return Act(body=json.dumps({"object": "list", "data": cards}).encode())

    def act(self, body, text, nth):
        if (act := self.script(text, nth)) is not None:
            return act
        prompt = body["prompt"]
        if not isinstance(prompt, list) or not all(type(token) is int for token in prompt):
            return status(400, "this server reads token ids alone")
        with self.engine:
            reply = self.completion(body)
            self.replies += 1
            wait = self.wait(self.replies) if self.wait else 0.0
        if self.alter:
            reply = self.alter(body, reply, nth)
        data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        return Act(body=data, wait=wait)

    def completion(self, body):
        """Return the JSON of vLLM's reply; what is left out of a request has vLLM's defaults."""
        from ponder.decode import budget, hf

        stops = body.get("stop_token_ids", []) + ([] if body.get("ignore_eos") else list(self.ends))
        bias = {
            int(token): max(-100.0, min(100.0, by))
            for token, by in body.get("logit_bias", {}).items()
        }
        temperature = body.get("temperature", 1.0)
        pick = hf.sampling(temperature, [str(body.get("seed"))]) if temperature else hf.greedy

        def choose(logits_BV, rows):
            for token, by in bias.items():
                logits_BV[:, token] += by
            return pick(logits_BV, rows)

        def row():
            ends = tuple((token,) for token in stops)
            return (yield budget.Request(0, (), body.get("max_tokens", 16), ends, False))

        ((_, completion),) = hf.run(self.network, [body["prompt"]], [row()], 1, choose)
        stop = completion.stop[0] if completion.stop else None
        choice = {
            "index": 0,
            "text": "?" * len(completion.ids),
            "logprobs": None,
            "finish_reason": "length" if stop is None else "stop",
            "stop_reason": stop if stop in body.get("stop_token_ids", []) else None,
        }
        if body.get("return_token_ids"):
            choice["token_ids"] = list(completion.ids)
            choice["prompt_token_ids"] = body["prompt"]
        return {
            "id": "cmpl-1",
            "object": "text_completion",
            "created": 1700000000,
            "model": body["model"],
            "choices": [choice],
            "usage": {
                "prompt_tokens": len(body["prompt"]),
                "completion_tokens": len(completion.ids),
            },
        }


def free_port():
    """Return a port of 127.0.0.1 that nothing listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def started(command, env, port, log, seconds=600):
    """Yield the process of a server once its /health answers; its group ends with the block.

    What it prints goes into the file `log`.
    """
    with open(log, "wb") as file:
        process = subprocess.Popen(
            command, env=os.environ | env, stdout=file, stderr=file, start_new_session=True
        )
    try:
        for _ in range(10 * seconds):
            assert process.poll() is None, log.read_text()[-2000:]
            with contextlib.suppress(OSError, http.client.HTTPException):
                link = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
                link.request("GET", "/health")
                if link.getresponse().status == 200:
                    break
            time.sleep(0.1)
        else:
            raise TimeoutError(log.read_text()[-2000:])
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def transformers_serve(model, home, seconds=600):
    """Yield the url of a `transformers serve` of a model folder; its cache is `home`."""
    port = free_port()
    env = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    (home / "hub").mkdir(parents=True, exist_ok=True)  # without it /v1/models is a 500
    command = [
        *(sys.executable, "-c", "from transformers.cli.transformers import main; main()"),
        *("serve", str(model), "--host", "127.0.0.1", "--port", str(port)),
        *("--device", "cpu", "--dtype", "float32"),
    ]
    with started(command, env, port, home / "log", seconds):
        yield f"http://127.0.0.1:{port}/v1"


@contextlib.contextmanager
def vllm_serve(folder, log, *words, port=None):
    """Yield (process, url, name) of a model folder behind `python -m ponder.serve_vllm`."""
    port = port or free_port()
    command = [sys.executable, "-m", "ponder.serve_vllm", str(folder), "--port", str(port), "--"]
    with started([*command, "--max-model-len", "1024", *words], {}, port, log) as process:
        name = log.read_text().split(" at http", 1)[0].splitlines()[-1]
        yield process, f"http://127.0.0.1:{port}/v1", name
