"""The dialect of SGLang: rows as of the engine `hf`, though it ends at the model's own ends too."""

import pytest
from servers import QUICK, Tokens
from test_server import BUDGETS, PROMPTS, refused, reply, rows_of

from ponder.decode import hf
from ponder.decode import server as completions
from ponder.decode.server import ServerEngine
from ponder.errors import UserError


class SGLang(Tokens):
    """SGLang's completions over the engine `hf`.

    `ignore_eos` turns its stop_token_ids off as well, and what ended a completion is matched_stop.
    """

    def completion(self, body):
        body = {**body, **({"stop_token_ids": []} if body.get("ignore_eos") else {})}
        made = super().completion(body)
        (choice,) = made["choices"]
        del choice["stop_reason"]
        if choice["finish_reason"] == "stop":
            choice["matched_stop"] = choice["token_ids"][-1]
        return made


def connected(server, chat, kind="sglang"):
    return completions.connect(ServerEngine(kind, "test", server.url, None), QUICK, chat)


@pytest.mark.parametrize("name", BUDGETS)
def test_every_budget_has_the_samples_of_hf(name, network, chat):
    budget, marks = BUDGETS[name]
    wanted = dict(hf.run(network, PROMPTS, rows_of(budget, marks, len(PROMPTS)), 8))
    tokens = sorted({token for sample in wanted.values() for token in sample.ids})
    with SGLang(network, ends=(257, *tokens[::5])) as server:
        connection = connected(server, chat)
        rows = rows_of(budget, marks, len(PROMPTS))
        assert dict(completions.run(connection, PROMPTS, rows)) == wanted
        bodies = [request["body"] for request in server.requests[1:]]
    assert connection.dialect == "sglang"
    assert not any("ignore_eos" in body or "stop" in body for body in bodies)
    assert all(body["return_token_ids"] and "stop_token_ids" in body for body in bodies)


def test_a_key_that_was_renamed_is_read(network, chat):
    def renamed(body, made, nth):
        (choice,) = made["choices"]
        choice["response_token_ids"] = choice.pop("token_ids", None)
        return made

    with SGLang(network, alter=renamed) as server:
        assert connected(server, chat).dialect == "sglang"


def test_as_vllm_it_is_refused_before_anything_is_measured(network, chat):
    with SGLang(network) as server:
        assert "goes on after a token that it was told to stop at" in refused(server, chat)


END = {"token_ids": [4, 7], "finish_reason": "stop", "matched_stop": 7}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"matched_stop": None}, "stops where it was not told to"),
        ({"matched_stop": 4}, "goes on after a token that it was told to stop at"),
        ({"matched_stop": "7"}, "stops where it was not told to"),
        ({"token_ids": []}, "leaves out the token that it stopped at"),
        ({"token_ids": [4, 999]}, "something else than ids"),
    ],
)
def test_what_does_not_fit_is_not_believed(change, words):
    ids, problem = completions.read_sglang(reply(END | change), [1], 5, [9], 258)
    assert ids == () and words in problem
    assert completions.read_sglang(reply(END), [1], 5, [9], 258) == ((4, 7), "")
    assert completions.read_sglang("[", [1], 5, [9], 258)[1] == "returns no single completion"


def test_a_server_that_samples_another_token_is_refused(network, chat):
    def other(body, made, nth):
        made["choices"][0] |= {"token_ids": [5], "finish_reason": "stop", "matched_stop": 5}
        return made

    with SGLang(network, alter=other) as server, pytest.raises(UserError, match="logit_bias"):
        connected(server, chat)
