"""The engine `server` against a server of token ids over the engine `hf`, and hostile ones."""

import asyncio
import dataclasses
import gc
import itertools
import json
import random
import signal
import threading
import time

import pytest
import servers
from conftest import answered
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from servers import HANG, QUICK, RESET, Act, Tokens, status

from ponder import chat, config
from ponder.decode import budget as budgets
from ponder.decode import hf, sweep
from ponder.decode import server as completions
from ponder.decode.budget import Budget, Request
from ponder.decode.server import HfEngine, ServerEngine
from ponder.errors import UserError
from ponder.terminal.signals import Terminated

ENDS = tuple((token,) for token in range(0, 258, 9))  # many, so that rows end at different times
MARKS = chat.Marks(
    ENDS, ENDS, (257,), newline=10, nudge=(87, 97), answer=(256, 65), forced_answer=(256, 65, 70)
)
NONE = dataclasses.replace(MARKS, nudge=())


def prompts_of(*lengths):
    rng = random.Random("prompts")
    return [[rng.randrange(256) for _ in range(length)] for length in lengths]


PROMPTS = prompts_of(7, 12, 3, 20, 5, 9)


def rule(
    max_thinking=24, num_ignore=0, nudge="W", max_answer=9, force_answer="capped", scope="total"
):
    return Budget("test", max_thinking, num_ignore, nudge, max_answer, force_answer, scope)


def connected(server, chat, client=QUICK, model=None):
    return completions.connect(ServerEngine("server", "test", server.url, model), client, chat)


def served(server, chat, prompts, rows, client=QUICK, **options):
    """Return what the rows return, in the order of the prompts."""
    results = dict(completions.run(connected(server, chat, client), prompts, rows, **options))
    assert len(results) == len(prompts)
    return [results[index] for index in range(len(prompts))]


def refused(server, chat, prompts=(), rows=(), client=QUICK, model=None):
    """Return what is said when connecting or running is refused."""
    with pytest.raises(UserError) as message:
        connection = connected(server, chat, client, model)
        list(completions.run(connection, prompts, rows))
    assert str(message.value).isprintable() and len(str(message.value)) < 600
    return str(message.value)


def rows_of(budget, marks, number):
    return [budgets.forced(budget, marks) for _ in range(number)]


# --- the configuration -----------------------------------------------------------------


def test_the_engines_of_conf_are_what_the_code_reads():
    for name, engine in (
        ("hf", HfEngine("hf", "hf")),
        ("server", ServerEngine("server", "server", "http://127.0.0.1:8000/v1", None)),
        ("llamacpp", ServerEngine("llamacpp", "llamacpp", "http://127.0.0.1:8080/v1", None)),
        ("sglang", ServerEngine("sglang", "sglang", "http://127.0.0.1:30000/v1", None)),
    ):
        node = OmegaConf.load(f"conf/engine/{name}.yaml")
        assert config.build(type(engine), node) == engine


def test_an_address_with_a_secret_in_it_is_refused_and_not_repeated():
    with pytest.raises(UserError) as message:
        ServerEngine("server", "test", "http://me:hunter2@host/v1", None)
    assert "environment variable" in str(message.value) and "hunter2" not in str(message.value)


def test_a_limit_on_dollars_is_refused_where_none_are_counted(chat):
    client = dataclasses.replace(QUICK, dollars_in=1.0, dollars_out=1.0, max_dollars=5.0)
    with pytest.raises(UserError, match="max_dollars=5 .*leave it null"):
        completions.connect(
            ServerEngine("server", "test", "http://127.0.0.1:9/v1", None), client, chat
        )


# --- the same tokens as the engine hf --------------------------------------------------

BUDGETS = {
    "free": (rule(), MARKS),
    "a cap": (rule(3), MARKS),
    "a cap of zero": (rule(0), MARKS),
    "Wait": (rule(num_ignore=2), MARKS),
    "Wait and a forced answer": (rule(num_ignore=2, force_answer="always"), MARKS),
    "no string": (rule(num_ignore=2, nudge=""), NONE),
    "no string, each round its own cap": (rule(6, 3, "", scope="per_segment"), NONE),
    "each round its own cap": (rule(6, 2, scope="per_segment"), MARKS),
    "no forcing": (rule(force_answer="never"), MARKS),
}


def long_marks(network):
    """Return Marks whose stops have several tokens that the network really samples.

    Others only begin like those.
    """
    endless = dataclasses.replace(MARKS, ends=(), answer_ends=())
    samples = hf.decode(network, PROMPTS, rule(24, max_answer=1), endless, 8)
    ends = tuple(tuple(s.ids[4 + at : 6 + at + at % 2]) for at, s in enumerate(samples))
    decoys = tuple((sample.ids[2], 256, sample.ids[3]) for sample in samples)
    return dataclasses.replace(
        MARKS, ends=ends + decoys, answer_ends=(*ENDS, *ends), answer=ends[0]
    )


@pytest.mark.parametrize("name", BUDGETS)
def test_every_budget_gets_the_token_ids_of_the_engine_hf(network, chat, name):
    budget, marks = BUDGETS[name]
    wanted = hf.decode(network, PROMPTS, budget, marks, 8)
    with Tokens(network) as server:
        assert served(server, chat, PROMPTS, rows_of(budget, marks, 6)) == wanted
    assert len({len(sample.ids) for sample in wanted}) > 1 or name in (
        "a cap of zero",
        "no forcing",
    )


@pytest.mark.parametrize(
    "budget",
    [
        rule(),
        rule(num_ignore=2),
        rule(num_ignore=2, nudge="", scope="per_segment"),
        rule(force_answer="never"),
    ],
    ids=["free", "Wait", "no string", "no forcing"],
)
def test_stops_of_several_tokens_end_where_they_end_on_the_engine_hf(network, chat, budget):
    marks = long_marks(network)
    marks = marks if budget.nudge else dataclasses.replace(marks, nudge=())
    wanted = hf.decode(network, PROMPTS, budget, marks, 8)
    with Tokens(network) as server:
        assert served(server, chat, PROMPTS, rows_of(budget, marks, 6)) == wanted
    assert any(len(stop) > 1 for sample in wanted for _, stop in sample.rounds), (
        "such a stop should be met"
    )


def test_the_rows_of_a_sweep_are_rows_like_any_other(network, chat):
    chosen = [rule(3), rule(), rule(num_ignore=2), rule(0), rule(force_answer="never")]
    marks = [MARKS] * len(chosen)

    def rows():
        return [sweep.row_of_budgets(chosen, marks) for _ in PROMPTS]

    wanted = dict(hf.run(network, PROMPTS, rows(), 8))
    with Tokens(network) as server:
        samples = served(server, chat, PROMPTS, rows())
    assert samples == [wanted[index] for index in range(6)]


def test_a_row_that_asks_for_nothing_and_no_rows_at_all_send_nothing(network, chat):
    def silent():
        return "nothing"
        yield

    with Tokens(network) as server:
        connection = connected(server, chat)
        before = len(server.requests)
        assert sorted(completions.run(connection, [[1], [2]], [silent(), silent()])) == [
            (0, "nothing"),
            (1, "nothing"),
        ]
        assert list(completions.run(connection, [], [])) == [] and len(server.requests) == before


# --- stops and what is suppressed, whatever a model says -------------------------------

STOPS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=3).map(tuple), max_size=3).map(
    tuple
)


@given(st.integers(0, 99), STOPS, st.booleans(), st.integers(1, 12), st.integers(0, 3))
def test_calls_that_stop_at_single_tokens_make_what_one_row_of_tokens_makes(
    seed, stops, suppress, limit, keep
):
    """Three tokens, so that stops begin in each other; a fourth, 3, comes where they are barred."""

    def next_token(context, barred=()):
        rng = random.Random(f"{seed}/{list(context)}")
        return next((token for token in rng.sample(range(3), 3) if token not in barred), 3)

    def row():
        first = yield Request(0, (1,), 3, (), False)
        second = yield Request(min(keep, 3), (2,), limit, stops, suppress)
        return first, second

    numbers = []

    async def call(number, prompt, most, singles, barred):
        assert most >= 1 and (not barred or most == 1)
        assert all(type(token) is int for token in singles)
        numbers.append(number)
        sampled = []
        while len(sampled) < most and not (sampled and sampled[-1] in singles):
            # The same context, wherever the prompt ends and the completion begins.
            sampled.append(next_token([*prompt[1:], *sampled], barred))
        return tuple(sampled)

    def say(held, sampled, barred):
        return next_token([*held, *sampled], barred)

    assert asyncio.run(completions.decode_row([0], row(), call)) == answered(row(), say)
    assert numbers == list(range(len(numbers)))


def test_a_stop_of_several_tokens_costs_no_call_until_it_begins():
    """Its first token ends a call, not its last, which is mostly a newline."""
    request = Request(0, (), 20, ((5, 6, 7), (9,)), False)
    assert completions.next_call(request, ()) == (20, [5, 9], [])
    assert completions.next_call(request, (1, 2, 5)) == (2, [5, 9], [])
    assert completions.next_call(request, (1, 5, 6)) == (1, [5, 9], [])
    assert completions.next_call(request, (1, 5, 8)) == (17, [5, 9], [])
    hushed = dataclasses.replace(request, suppress=True)
    assert completions.next_call(hushed, ()) == (1, [5, 9], [9])
    assert completions.next_call(hushed, (5,)) == (1, [5, 9], []), (
        "two tokens here would be the stop unbarred"
    )
    assert completions.next_call(hushed, (5, 6)) == (1, [5, 9], [7])
    assert completions.next_call(hushed, (1,)) == (19, [5, 9], [])


def test_the_models_own_ends_count_only_where_they_are_asked_for(network, chat):
    """vLLM ends at tokens of its generation_config.json as well, and its min_tokens bars them."""
    budget = rule(num_ignore=2, nudge="")
    wanted = hf.decode(network, PROMPTS, budget, NONE, 8)
    tokens = {token for sample in wanted for token in sample.ids}
    with Tokens(network, ends=tuple(tokens)) as server:
        assert served(server, chat, PROMPTS, rows_of(budget, NONE, 6)) == wanted
        bodies = [request["body"] for request in server.requests[1:]]
    for body in bodies:
        assert body["ignore_eos"] and "min_tokens" not in body and "stop" not in body
        assert body["top_p"] == body["repetition_penalty"] == 1
        assert body["top_k"] == -1 and body["min_p"] == 0


# --- order, chance and failures --------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 3, 16])
def test_answers_in_any_order_and_any_number_at_once_change_nothing(network, chat, concurrency):
    budget = rule(num_ignore=2)
    wanted = hf.decode(network, PROMPTS, budget, MARKS, 8)
    waits = random.Random("waits")
    with Tokens(network, wait=lambda nth: waits.choice((0, 0, 0.02))) as server:
        client = dataclasses.replace(QUICK, concurrency=concurrency)
        assert served(server, chat, PROMPTS, rows_of(budget, MARKS, 6), client) == wanted
        several = concurrency > 1 and 1 < server.most <= concurrency
        assert several or server.most == min(concurrency, 6)


def test_what_is_drawn_depends_on_the_purpose_and_the_call_alone(network, chat):
    names = ["a", "b", "c", "d", "e", "f"]
    samples = []
    for concurrency, purposes in ((1, names), (6, names), (6, names[::-1])):
        client = dataclasses.replace(QUICK, concurrency=concurrency)
        drawing = {"temperature": 1.0, "purposes": purposes}
        rows = rows_of(rule(num_ignore=1), MARKS, 6)
        with Tokens(network, wait=lambda nth: 0.01 * (nth % 3)) as server:
            samples.append(served(server, chat, PROMPTS, rows, client, **drawing))
            bodies = [request["body"] for request in server.requests]
        seeds = [body["seed"] for body in bodies if "seed" in body]
        assert len(set(seeds)) == len(seeds) > 6 and all(0 <= seed < 2**63 for seed in seeds)
    assert samples[0] == samples[1] != samples[2]


def test_one_prompt_drawn_for_several_purposes_gives_several_answers(network, chat):
    with Tokens(network) as server:
        drawing = {"temperature": 1.0, "purposes": list("abcd")}
        rows = rows_of(rule(), MARKS, 4)
        samples = served(server, chat, [PROMPTS[0]] * 4, rows, **drawing)
    assert len({tuple(sample.ids) for sample in samples}) > 1


def test_greedy_decoding_sends_no_seed(network, chat):
    with Tokens(network) as server:
        served(server, chat, PROMPTS, rows_of(rule(), MARKS, 6))
        assert not any("seed" in request["body"] for request in server.requests)


@pytest.mark.parametrize("temperature", [0.005, 2.5, -1.0])
def test_a_temperature_that_the_server_would_change_is_refused(temperature):
    with pytest.raises(UserError, match="give 0, or 0.01 to 2"):
        list(completions.run(None, [], [], temperature, []))


@pytest.mark.parametrize(
    "first",
    [RESET, status(503), status(429, retry_after="0.01"), Act(body=b"<html>"), Act(body=b"{}")],
    ids=["a reset", "503", "429", "no JSON", "no choices"],
)
def test_an_attempt_that_fails_is_made_again(network, chat, first):
    wanted = hf.decode(network, PROMPTS, rule(num_ignore=1), MARKS, 8)

    def script(text, nth):
        return first if nth == 1 and len(text) % 2 else None

    with Tokens(network, script=script) as server:
        assert served(server, chat, PROMPTS, rows_of(rule(num_ignore=1), MARKS, 6)) == wanted
        assert max(server.counts.values()) > 1


def test_a_server_that_dies_midway_and_comes_back_changes_nothing(network, chat):
    wanted = hf.decode(network, PROMPTS, rule(num_ignore=1), MARKS, 8)
    dead, second = threading.Event(), []

    def again():
        first.__exit__()
        time.sleep(0.1)
        second.append(Tokens(network, port=first.server.server_address[1]).__enter__())

    def script(text, nth):
        if len(first.requests) == 9 and not dead.is_set():
            dead.set()
            threading.Thread(target=again).start()
        return RESET if dead.is_set() else None

    client = dataclasses.replace(QUICK, attempts=40, backoff=0.05)
    with Tokens(network, script=script) as first:
        connection = connected(first, chat, client)
        rows = rows_of(rule(num_ignore=1), MARKS, 6)
        samples = dict(completions.run(connection, PROMPTS, rows))
        assert [samples[index] for index in range(6)] == wanted
    assert second[0].requests and dead.is_set()
    second[0].__exit__()


@pytest.mark.parametrize(
    "act, words",
    [
        (RESET, "attempt 3 ended with the connection broke; see that it runs"),
        (status(500), "attempt 3 ended with status 500"),
        (
            status(400, "maximum context length is 8"),
            "refuses a prompt of 7 token ids, 24 to follow, with status 400 (maximum context",
        ),
        (status(401, "sk-hunter2"), "answered 401"),
        (HANG, "attempt 1 ended with no whole reply in 1 seconds"),
    ],
)
def test_a_server_that_fails_for_good_is_said_in_one_sentence(network, chat, act, words):
    sent = str(PROMPTS[0])
    client = dataclasses.replace(QUICK, timeout=1.0, attempts=1) if act is HANG else QUICK
    with Tokens(network, script=lambda text, nth: act if text == sent else None) as server:
        message = refused(server, chat, PROMPTS, rows_of(rule(), MARKS, 6), client)
    assert words in message and "hunter2" not in message and "\n" not in message


def test_what_is_done_is_handed_out_while_others_are_under_way(network, chat):
    stuck = str(PROMPTS[0])
    client = dataclasses.replace(QUICK, timeout=5.0, attempts=1)
    with Tokens(network, script=lambda text, nth: HANG if text == stuck else None) as server:
        connection = connected(server, chat, client)
        results = completions.run(connection, PROMPTS, rows_of(rule(), MARKS, 6))
        assert 0 not in {index for index, _ in itertools.islice(results, 5)}
        with pytest.raises(UserError, match="no whole reply in 5 seconds"):
            next(results)


def test_rows_that_fail_together_are_told_once(monkeypatch, caplog):
    async def failing(*_):
        raise UserError("no")

    monkeypatch.setattr(completions, "_completion", failing)
    connection = completions.Connection("http://127.0.0.1:9/v1", "m", QUICK, 258, "vllm 0.33.0")
    with pytest.raises(UserError, match="^no$"):
        list(completions.run(connection, PROMPTS, rows_of(rule(), MARKS, 6)))
    gc.collect()
    assert not caplog.records, "asyncio logs the traceback of a task that nobody asked after"


def test_an_iterator_that_is_left_early_leaves_nothing_behind(network, chat):
    with Tokens(network) as server:
        results = completions.run(connected(server, chat), PROMPTS, rows_of(rule(), MARKS, 6))
        next(results)
        results.close()


def test_a_signal_while_answers_are_awaited_is_told_as_itself(network, chat, caplog):
    """A SIGTERM was a traceback of asyncio: the results were closed while they were awaited."""

    def ended(*_):
        raise Terminated

    usual = signal.signal(signal.SIGALRM, ended)
    stuck = {str(prompt) for prompt in PROMPTS}
    try:
        with Tokens(network, script=lambda text, nth: HANG if text in stuck else None) as server:
            results = completions.run(connected(server, chat), PROMPTS, rows_of(rule(), MARKS, 6))
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            with pytest.raises(Terminated):
                next(results)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)
    gc.collect()
    assert not caplog.records


# --- what a server may return ----------------------------------------------------------


def reply(choice, *more):
    return json.dumps({"choices": [choice, *more]})


def read(text, limit=5):
    """Return what is read of a completion of the prompt [1, 2] that ends with a 9."""
    return completions.read_completion(text, [1, 2], limit, [9], 258)


GOOD = {"token_ids": [4, 5, 9], "finish_reason": "stop", "prompt_token_ids": [1, 2]}
HOSTILE = {
    "an id out of range": (GOOD | {"token_ids": [4, 258]}, "ids of the 258 tokens"),
    "a negative id": (GOOD | {"token_ids": [-1]}, "ids of the 258 tokens"),
    "a huge id": (GOOD | {"token_ids": [10**300]}, "ids of the 258 tokens"),
    "ids as text": (GOOD | {"token_ids": ["4", "5"]}, "ids of the 258 tokens"),
    "ids as floats": (GOOD | {"token_ids": [4.0]}, "ids of the 258 tokens"),
    "ids as truths": (GOOD | {"token_ids": [True]}, "ids of the 258 tokens"),
    "one text": (GOOD | {"token_ids": "45"}, "ids of the 258 tokens"),
    "a mapping": (GOOD | {"token_ids": {"4": 5}}, "ids of the 258 tokens"),
    "text alone": ({"text": "hello", "finish_reason": "stop"}, "text without token ids"),
    "ids that are null": (GOOD | {"token_ids": None}, "text without token ids"),
    "too many tokens": (GOOD | {"token_ids": [1] * 6}, "returns 6 tokens where it was asked for 5"),
    "a stop in the middle": (GOOD | {"token_ids": [4, 9, 5, 9]}, "goes on after a token"),
    "a stop left out": (GOOD | {"token_ids": [4, 5]}, "leaves out the token that it stopped at"),
    "nothing, stopped": (GOOD | {"token_ids": []}, "leaves out the token that it stopped at"),
    "nothing, cut": (
        GOOD | {"token_ids": [], "finish_reason": "length"},
        "ends after 0 of 5 tokens",
    ),
    "a short context": (
        GOOD | {"token_ids": [4, 5], "finish_reason": "length"},
        "ends after 2 of 5 tokens",
    ),
    "a stop that it calls the limit": (
        GOOD | {"token_ids": [4, 4, 4, 4, 9], "finish_reason": "length"},
        "does not fit the tokens",
    ),
    "an abort": (GOOD | {"finish_reason": "abort"}, "does not fit the tokens"),
    "no reason": (GOOD | {"finish_reason": None}, "does not fit the tokens"),
    "a reason that is a list": (GOOD | {"finish_reason": ["stop"]}, "does not fit the tokens"),
    "another prompt": (GOOD | {"prompt_token_ids": [1, 2, 3]}, "reads other tokens"),
    "a prompt as text": (GOOD | {"prompt_token_ids": "12"}, "reads other tokens"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_does_not_fit_is_not_believed(case):
    choice, words = HOSTILE[case]
    ids, problem = read(reply(choice))
    assert ids == () and words in problem


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[" * 100_000,
        "5",
        "null",
        '{"choices": 5}',
        '{"choices": {"a": 1}}',
        '{"choices": []}',
        '{"choices": [5]}',
        '{"choices": [[]]}',
        reply(GOOD, GOOD),
        '{"choices": [' + "9" * 5000 + "]}",
    ],
)
def test_what_is_no_completion_is_not_believed(text):
    assert read(text) == ((), "returns no single completion")


def test_a_completion_that_fits_is_taken_as_it_is():
    assert read(reply(GOOD)) == ((4, 5, 9), "")
    # Not every server repeats the prompt.
    silent = {key: value for key, value in GOOD.items() if key != "prompt_token_ids"}
    assert read(reply(silent)) == ((4, 5, 9), "")
    cut = GOOD | {"token_ids": [4, 5], "finish_reason": "length"}
    assert read(reply(cut), limit=2) == ((4, 5), "")


def changed(reply, **fields):
    reply["choices"][0] |= fields
    return reply


def stripped(body, reply, nth):
    ids = reply["choices"][0].get("token_ids", [])
    return changed(reply, token_ids=[token for token in ids if token != 257])


UNFIT = {
    "takes text alone": (
        {"script": lambda text, nth: status(400, "prompt must be a string.")},
        "token ids, 1 to follow, with status 400 (prompt must be a string.)",
    ),
    "returns text alone": (
        {
            "alter": lambda body, reply, nth: {
                "choices": [{"text": "hello", "finish_reason": "length"}]
            }
        },
        "returns text without token ids",
    ),
    "drops special tokens": ({"alter": stripped}, "leaves out the token that it stopped at"),
    "knows no stop_token_ids": ({"drop": "stop_token_ids"}, "goes on after a token"),
    "knows no ignore_eos": ({"drop": "ignore_eos"}, "stops where it was not told to"),
    "knows no logit_bias": ({"drop": "logit_bias"}, "in spite of a logit_bias of 100"),
    "knows no return_token_ids": ({"drop": "return_token_ids"}, "returns text without token ids"),
    "reads another prompt": (
        {"alter": lambda body, reply, nth: changed(reply, prompt_token_ids=[1])},
        "reads other tokens",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_server_that_cannot_be_forced_is_refused_before_any_row_is_asked(network, chat, case):
    options, words = UNFIT[case]

    class Without(Tokens):
        def completion(self, body):
            return super().completion(
                {key: value for key, value in body.items() if key != options["drop"]}
            )

    server = Without(network) if "drop" in options else Tokens(network, **options)
    with server:
        message = refused(server, chat)
        assert words in message and message.endswith(completions.REQUIREMENT)
        assert message.startswith("http://127.0.0.1:")
        prompts = {str(request["body"]["prompt"]) for request in server.requests}
        assert prompts == {str(chat.prompt("2 + 2"))}


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"token_ids": [300]}, "ids of the 258 tokens"),
        ({"token_ids": ["a"]}, "ids of the 258 tokens"),
        ({"token_ids": [1] * 200}, "returns 200 tokens"),
        ({"finish_reason": "abort"}, "does not fit"),
        ({"token_ids": None}, "text without token ids"),
        ({"prompt_token_ids": [5]}, "reads other tokens"),
    ],
)
def test_a_server_that_turns_hostile_is_refused_midway(network, chat, fields, words):
    def alter(body, reply, nth):
        return changed(reply, **fields) if body["prompt"] == PROMPTS[0] else reply

    with Tokens(network, alter=alter) as server:
        message = refused(server, chat, PROMPTS, rows_of(rule(), MARKS, 6))
    assert words in message and message.endswith(completions.REQUIREMENT)


def test_a_reply_of_any_size_is_read_up_to_a_limit(network, chat, monkeypatch):
    monkeypatch.setattr(completions.wire, "LARGEST", 1 << 16)
    prompt = str(PROMPTS[0])
    huge = Act(body=b" " * (1 << 20))
    with Tokens(network, script=lambda text, nth: huge if text == prompt else None) as server:
        message = refused(server, chat, PROMPTS, rows_of(rule(), MARKS, 6))
    assert "a reply of more than 65536 bytes" in message


def test_a_bias_that_is_not_kept_to_is_noticed(network, chat):
    """-100 is no word for never: what is sampled all the same is refused."""
    first = hf.decode(network, [PROMPTS[0]], rule(1), MARKS, 1)[0].ids[0]

    def alter(body, reply, nth):
        if str(first) not in body.get("logit_bias", {}):
            return reply
        return changed(reply, token_ids=[first], finish_reason="stop")

    def row():
        return (yield Request(0, (), 5, ((first,),), True))

    with Tokens(network, alter=alter) as server:
        assert "in spite of a logit_bias of -100" in refused(server, chat, [PROMPTS[0]], [row()])


# --- who answers -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, engine",
    [
        ({}, "vllm 0.33.0"),
        ({"version": None}, "vllm version not stated"),
        ({"version": "0.1\nrun"}, "vllm version not stated"),
        ({"version": {"a": 1}}, "vllm version not stated"),
        ({"models": Act(body=b'{"data": [{"id": "m"}]}')}, "engine not stated, 0.33.0"),
        (
            {"models": Act(body=b'{"data": [{"id": "m", "owned_by": "a\\nb"}, 7]}')},
            "engine not stated, 0.33.0",
        ),
    ],
)
def test_the_engine_and_its_version_are_what_the_server_states(network, chat, options, engine):
    with Tokens(network, **options) as server:
        connection = connected(server, chat)
    assert (connection.engine, connection.vocabulary) == (engine, 258)
    assert connection.model in ("pocket", "m")


@pytest.mark.parametrize(
    "offer, words",
    [
        ((), "lists no model"),
        (("a", "b"), "lists a, b;"),
        (("bad\nname",), "lists no model"),
        (Act(500), "(status 500)"),
        (Act(body=b"<html>"), "(no list in its reply)"),
        (Act(body=b"[" * 10**5), "(no list in its reply)"),
    ],
)
def test_a_server_that_lists_no_single_model_leaves_the_choice_to_the_user(
    network, chat, offer, words
):
    with Tokens(network, models=offer) as server:
        message = refused(server, chat)
        assert words in message and "engine.model=..." in message
        assert connected(server, chat, model="named").model == "named"


def test_nobody_at_the_address_is_said_so(network, chat):
    with Tokens(network) as server:
        pass
    assert "no connection" in refused(server, chat)
    assert "attempt 3 ended with no connection" in refused(server, chat, model="named")


def test_the_key_comes_from_the_environment_and_goes_nowhere_else(network, chat, monkeypatch):
    monkeypatch.setenv("PONDER_TEST_KEY", "sk-hunter2-secret")
    client = dataclasses.replace(QUICK, key_env="PONDER_TEST_KEY")
    with Tokens(network) as server:
        connection = connected(server, chat, client)
        assert all(
            request["headers"]["authorization"] == "Bearer sk-hunter2-secret"
            for request in server.requests
        )
    assert "hunter2" not in repr(connection)
    echo = status(400, "bad key sk-hunter2-secret")
    with Tokens(network, script=lambda text, nth: echo) as server:
        assert "hunter2" not in refused(server, chat, client=client)
    monkeypatch.delenv("PONDER_TEST_KEY")
    assert "PONDER_TEST_KEY" in refused(server, chat, client=client)


def test_a_real_transformers_serve_is_refused_because_it_takes_text_alone(
    pocket_folder, chat, tmp_path
):
    with servers.transformers_serve(pocket_folder, tmp_path) as url:
        server = ServerEngine("server", "test", url, str(pocket_folder))
        with pytest.raises(UserError) as message:
            completions.connect(server, dataclasses.replace(QUICK, timeout=300.0), chat)
    length = len(chat.prompt("2 + 2"))
    assert str(message.value) == (
        f"{url[:-3]} refuses a prompt of {length} token ids, 1 to follow, with status 400; "
        f"{completions.REQUIREMENT}"
    )
