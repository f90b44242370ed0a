"""A server's own thinking budget: five scripted servers and llama.cpp, each with its verdict."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT
from servers import Act, Misbehaving, status

from ponder import conform
from ponder.api import budgets
from ponder.api.budgets import Finding, Seen

WORDS = [f" step{number}" for number in range(40)]
ANSWER = [" It", " is", " 24", "."]
LIMIT = 64
GGUF = ROOT / "outputs" / "models" / "gguf" / "smollm2-135m.gguf"
# llama.cpp thinks where the chat template opens a thinking.
LLAMACPP = """
import signal, sys, xllamacpp
turns = "{% for m in messages %}<|im_start|>{{ m.role }}\\n"
turns += "{% if m.role == 'assistant' %}<think>\\n{{ m.reasoning_content }}\\n"
turns += "</think>\\n\\n{% endif %}"
turns += "{{ m.content }}<|im_end|>\\n{% endfor %}"
turns += "{% if add_generation_prompt %}<|im_start|>assistant\\n<think>\\n{% endif %}"
parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.model_alias = {"thinker"}
parameters.hostnames, parameters.port = ["127.0.0.1"], int(sys.argv[2])
parameters.n_parallel, parameters.n_ctx, parameters.ui = 1, 512, False
parameters.use_jinja, parameters.chat_template = True, turns
parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
parameters.verbosity = 0
server = xllamacpp.Server(parameters)
print(server.listening_address, flush=True)
signal.pause()
"""


class Thinker(Misbehaving):
    """A chat server that thinks 40 tokens; `reply(budget)` gives (thinking, answer, finish).

    `field` is the one that it knows; `strict` refuses every other. It takes ids where `exact`.
    """

    def __init__(self, reply, field="thinking_token_budget", owner="", strict=False, exact=False):
        super().__init__()
        self.reply, self.field, self.owner = reply, field, owner
        self.strict, self.exact = strict, exact

    def got(self, path):
        card = {"id": "fake", "owned_by": self.owner}
        return Act(body=json.dumps({"data": [card]}).encode())

    def act(self, body, text, nth):
        if "prompt" in body:
            if not self.exact:
                return status(404)
            return Act(body=json.dumps({"choices": [{"text": "".join(ANSWER)}]}).encode())
        known = {"model", "messages", "max_tokens", "temperature", self.field}
        known |= {"logprobs", "return_token_ids"}
        if self.strict and set(body) - known:
            return status(400, f"unknown field {min(set(body) - known)}")
        outcome = self.reply(body.get(self.field))
        if isinstance(outcome, Act):
            return outcome
        thinking, answer, finish = outcome
        pieces = [*thinking, "</think>", *answer]
        choice = {
            "message": {"reasoning": "".join(thinking), "content": "".join(answer)},
            "finish_reason": finish,
            "logprobs": {"content": [{"token": piece} for piece in pieces]},
        }
        reply = {"choices": [choice], "usage": {"completion_tokens": len(pieces)}}
        if self.exact:
            choice["token_ids"] = [hash(piece) % 1000 for piece in pieces]
            reply["prompt_token_ids"] = [1, 2]
        return Act(body=json.dumps(reply).encode())


def honest(budget):
    return WORDS[:budget], ANSWER, "stop"


def deaf(budget):
    return WORDS, ANSWER, "stop"


def greedy_cut(budget):
    return (WORDS, ANSWER, "stop") if budget is None else (WORDS[:budget], ANSWER[:1], "length")


def late(budget):
    return WORDS[: budget and budget + 5], ANSWER, "stop"


def failing(budget):
    return (WORDS, ANSWER, "stop") if budget is None else status(500, "out of memory")


def ran(monkeypatch, capsys, server, *words):
    """Return (exit code, stdout, stderr) of the command against a server."""
    monkeypatch.setattr(sys, "argv", ["conform", server.url, "client.attempts=1", *words])
    with pytest.raises(SystemExit) as ended:
        conform.main()
    shown = capsys.readouterr()
    return ended.value.code, shown.out, shown.err


@pytest.mark.parametrize("owner", ["vllm", ""])
@pytest.mark.parametrize(
    ("reply", "verdict", "bound", "code"),
    [
        (honest, "kept", "8 tokens", 0),
        (deaf, "ignored", "40 tokens", 1),
        (greedy_cut, "cuts the answer", "8 tokens", 1),
        (late, "not kept", "13 tokens", 1),
    ],
)
def test_each_server_gets_its_verdict(owner, reply, verdict, bound, code, monkeypatch, capsys):
    with Thinker(reply, owner=owner) as server:
        ended, out, _ = ran(monkeypatch, capsys, server, "--budget", "8", "--tokens", str(LIMIT))
    (line,) = [line for line in out.splitlines() if line.startswith("thinking_token_budget")]
    assert verdict in line and bound in line and ended == code


def test_a_server_without_the_field_promises_nothing(monkeypatch, capsys):
    with Thinker(honest, field=None, strict=True) as server:
        code, out, err = ran(monkeypatch, capsys, server, "--budget", "8", "--tokens", str(LIMIT))
    lines = [line for line in out.splitlines() if "refused" in line]
    assert len(lines) == len(budgets.FIELDS) + 1 and code == 2
    assert "no field of a thinking budget can be judged" in err


def test_an_error_of_the_server_is_told(monkeypatch, capsys):
    with Thinker(failing, owner="vllm") as server:
        code, out, err = ran(monkeypatch, capsys, server, "--budget", "8", "--tokens", str(LIMIT))
    assert code == 2 and out == "" and "status 500" in err and "thinking_token_budget" in err


def test_a_field_that_binds_clears_those_of_other_servers():
    kept = Finding("a", True, "kept", 8, "-")
    ignored = Finding("b", True, "ignored", 40, "-")
    assert budgets.exit_code(budgets.findings([kept, ignored])) == 0
    assert budgets.exit_code(budgets.findings([ignored])) == 1


def test_the_answer_is_held_against_exact_forcing(monkeypatch, capsys):
    with Thinker(honest, owner="vllm", exact=True) as server:
        _, out, _ = ran(monkeypatch, capsys, server, "--budget", "8", "--tokens", str(LIMIT))
        (forced,) = [r["body"]["prompt"] for r in server.requests if "prompt" in r["body"]]
    assert "same" in out
    assert forced == [1, 2, *(hash(piece) % 1000 for piece in [*WORDS[:8], "</think>"])]
    assert budgets.same_answer(Seen(answer="It is 24."), " It is 25.") == "differs"


def test_a_special_token_in_the_answer_does_not_hide_where_it_begins():
    """Listed tokens have a text where the answer leaves a special one out, as vLLM does."""
    pieces = ("a", "b", "</think>", "\n", "It", " is", "\n", "<|im_start|>", "4")
    seen = Seen("ab", "It is\n4", "length", pieces, tuple(range(9)), (90, 91), 2)
    free = Seen("abcd", "", "length", ("a", "b", "c", "d"), (50, 51, 52, 53), (90, 91), 4)
    assert budgets.forced_ids(free, seen, seen.prompt, 3) == [90, 91, 50, 51, 52, 2, 3]


def test_a_budget_that_the_server_was_started_with(monkeypatch, capsys):
    words = ("--started-with", "8", "--tokens", str(LIMIT))
    started = Thinker(lambda free: (WORDS if free == -1 else WORDS[:8], ANSWER, "stop"))
    started.field = "reasoning_budget_tokens"
    with started as server:
        code, out, _ = ran(monkeypatch, capsys, server, *words)
    assert code == 0 and "as started  8" in out
    with Thinker(deaf) as server:
        assert ran(monkeypatch, capsys, server, *words)[0] == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--field", "thinking_token_budgets"], "did you mean thinking_token_budget?"),
        (["--budget", "0"], "a budget of 0 does not fit"),
        (["--budget", "600"], "a budget of 600 does not fit --tokens 512"),
        (["one", "two"], "one and two are two models"),
        (["--budget", "50"], "give a lower --budget"),
    ],
)
def test_mistakes_are_told_in_a_sentence(words, sentence, monkeypatch, capsys):
    with Thinker(honest) as server:
        code, _, err = ran(monkeypatch, capsys, server, *words)
    assert code == 2 and sentence in err and err.count("\n") == 1


def test_a_server_that_lists_no_tokens_is_judged_by_its_texts():
    free = Seen("a b c d", "4", "stop")
    assert budgets.judge(free, free, 2, LIMIT) == "ignored"
    assert budgets.judge(free, Seen("a b", "4", "stop"), 2, LIMIT) == "not counted"
    assert budgets.judge(free, Seen("a b", "4", "stop", tokens=2), 2, LIMIT) == "kept"
    assert budgets.judge(Seen(answer="4"), Seen(answer="4"), 2, LIMIT) == "not tested"


def test_llama_cpp_keeps_both_of_its_fields(monkeypatch, capsys):
    pytest.importorskip("xllamacpp", reason="xllamacpp is not installed: make xllamacpp")
    if not GGUF.exists():
        pytest.skip(f"{GGUF} is not there: python -m ponder.serve smollm2-135m writes it")
    words = [sys.executable, "-c", LLAMACPP, str(GGUF), "18747"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().strip()
        server = type("Started", (), {"url": f"{address}/v1"})
        code, out, _ = ran(monkeypatch, capsys, server, "--budget", "8", "--tokens", "40")
        assert code == 0, out
        assert all("kept" in line for line in out.splitlines() if "_budget" in line)
    finally:
        process.kill()
        process.wait()
