"""The dialect of llama.cpp: rows as of the engine `hf`, in segments that are cut at a stop."""

import json

import pytest
from servers import Act, Misbehaving
from test_server import MARKS, PROMPTS, QUICK, rows_of, rule

from ponder.decode import hf, llamacpp
from ponder.decode import server as completions
from ponder.decode.budget import Request
from ponder.decode.server import ServerEngine
from ponder.errors import UserError

END = 257  # the model's own end of generation, at which llama.cpp stops whatever it is told


class LlamaCpp(Misbehaving):
    """llama.cpp's `/completion` over the engine `hf`; `alter(reply)` changes a reply."""

    def __init__(self, network, alter=lambda reply: reply):
        super().__init__()
        self.network, self.alter = network, alter

    def act(self, body, text, nth):
        bias = {int(token): by for token, by in body.get("logit_bias", {}).items()}

        def choose(logits_BV, rows):
            for token, by in bias.items():
                logits_BV[:, token] += by
            return hf.greedy(logits_BV, rows)

        def row():
            return (yield Request(0, (), body["n_predict"], ((END,),), False))

        with self.lock_of_engine:
            ((_, completion),) = hf.run(self.network, [body["prompt"]], [row()], 1, choose)
        reply = {
            "content": "",
            "tokens": list(completion.ids) if body.get("return_tokens") else [],
            "stop_type": "eos" if completion.stop else "limit",
            "tokens_evaluated": len(body["prompt"]),
        }
        return Act(body=json.dumps(self.alter(reply)).encode())

    def __enter__(self):
        import threading

        self.lock_of_engine = threading.Lock()
        return super().__enter__()


def connected(server, chat):
    engine = ServerEngine("llamacpp", "test", server.url, None)
    return completions.connect(engine, QUICK, chat)


@pytest.mark.parametrize("budget", [rule(), rule(num_ignore=2), rule(max_thinking=40)])
def test_every_budget_has_the_samples_of_hf(budget, network, chat):
    def rows():
        return rows_of(budget, MARKS, len(PROMPTS))

    expected = dict(hf.run(network, PROMPTS, rows(), 3))
    with LlamaCpp(network) as server:
        assert dict(completions.run(connected(server, chat), PROMPTS, rows())) == expected
        bodies = [request["body"] for request in server.requests]
    assert {request["path"] for request in server.requests} == {"/completion"}
    assert max(body["n_predict"] for body in bodies) <= llamacpp.SEGMENT
    assert not any("stop" in body or "ignore_eos" in body for body in bodies)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tokens": []}, "a reply without choices"),
        ({"tokens": [9999]}, "something else than ids"),
        ({"tokens_evaluated": 1}, "reads 1 tokens where its prompt has"),
        ({"tokens": [5, 6]}, "in spite of a logit_bias"),
    ],
)
def test_an_unfit_server_is_refused_before_anything_is_measured(change, words, network, chat):
    with LlamaCpp(network, lambda reply: {**reply, **change}) as server:
        with pytest.raises(UserError, match=words):
            connected(server, chat)


def test_what_follows_the_first_stop_is_dropped():
    def read(tokens, end, limit=8, stops=(4,)):
        reply = {"tokens": tokens, "stop_type": end, "tokens_evaluated": 3}
        return llamacpp.read_completion(json.dumps(reply), [1, 2, 3], limit, stops, 10)

    assert read([5, 4, 6, 7, 8, 9, 1, 2], "limit") == ((5, 4), "")
    assert read([5, 6], "eos") == ((5, 6), "")
    assert read([5, 6, 7, 8], "limit", limit=3) == (
        (5, 6, 7),
        "",
    )  # a whole character, one too many
    assert "context were shorter" in read([5, 6], "limit")[1]
    assert llamacpp.body_of([1], 2, {"seed": 2**62})["seed"] < 2**32
