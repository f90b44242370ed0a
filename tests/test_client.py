"""Asking a server: every way in which it can fail, against a server that fails so.

And once against a real one.
"""

import asyncio
import dataclasses
import email.utils
import json
import math
import os
import random
import signal
import threading
import time

import pytest
import servers
from conftest import composed, study_of
from hypothesis import given
from hypothesis import strategies as st
from servers import HANG, QUICK, RESET, Act, Misbehaving, acts, answer, cut_short, status, truncated

from ponder import config, models
from ponder.api import client as clients
from ponder.api import limits, replies, wire
from ponder.api.client import Client
from ponder.errors import ServerError, UserError

PRICED = dataclasses.replace(QUICK, dollars_in=1e6, dollars_out=1e6)  # a dollar a token


def requests_of(*texts, **body):
    return [
        {
            "key": text,
            "body": {"model": "fake", "messages": [{"role": "user", "content": text}], **body},
        }
        for text in texts
    ]


def asked(server, texts, client=QUICK, **options):
    """Return {key: Result} of some texts."""
    kept = {}
    requests = requests_of(*texts, max_tokens=5)
    clients.ask(
        server.url,
        "chat/completions",
        requests,
        client,
        lambda r: kept.update({r.key: r}),
        **options,
    )
    return kept


def refused(server, texts, client=QUICK, kind=ServerError, **options):
    """Return the message with which ask stops, an error of `kind`, and what it kept before."""
    kept, requests = {}, requests_of(*texts, max_tokens=5)
    with pytest.raises(UserError) as error:
        clients.ask(
            server.url,
            "chat/completions",
            requests,
            client,
            lambda r: kept.update({r.key: r}),
            **options,
        )
    message = str(error.value)
    rest = (
        f"; {len(kept)} of {len(texts)} results are kept, and the same command goes on from there"
    )
    assert type(error.value) is kind and message.isprintable() and message.endswith(rest)
    return message, kept


# --- the configuration -----------------------------------------------------------------


def test_the_default_client_of_conf_knows_no_price_and_no_key():
    client = config.build(Client, composed("experiment=cpu").client)
    assert (client.key_env, client.dollars_in, client.dollars_out, client.max_dollars) == (
        None,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"key_env": "sk-0123456789"}, "never the key itself"),
        ({"concurrency": 0}, "client.concurrency is 0"),
        ({"attempts": 0}, "client.attempts is 0"),
        ({"give_up": 0}, "client.give_up is 0"),
        ({"per_minute": 0}, "client.per_minute is 0"),
        ({"timeout": math.nan}, "client.timeout is nan"),
        ({"backoff": -1.0}, "client.backoff is -1.0"),
        ({"dollars_in": -1.0}, "client.dollars_in is -1.0"),
        ({"dollars_out": math.inf}, "client.dollars_out is inf"),
        ({"max_dollars": 0.0, "dollars_in": 1.0, "dollars_out": 1.0}, "client.max_dollars is 0.0"),
        ({"max_dollars": 5.0, "dollars_in": 1.0}, "needs prices"),
    ],
)
def test_a_wrong_setting_is_refused_in_words(changed, words):
    with pytest.raises(UserError) as message:
        dataclasses.replace(QUICK, **changed)
    assert words in str(message.value) and "sk-0123456789" not in str(message.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:password@host/v1",
        "http://user@host/v1",
        "https://host/v1?key=secret",
        "https://host/v1#secret",
        "ftp://host/v1",
        "host/v1",
        "http:///v1",
        "http://host:secret/v1",
        "http://host:0/v1",
        "http://[secret/v1",
        "https://host/v1 secret",
        "https://host/v1\n",
        "",
    ],
)
def test_a_url_that_may_hold_a_secret_is_refused_without_repeating_it(url):
    for act in (
        lambda: clients.ask(url, "chat/completions", [], QUICK, None),
        lambda: clients.model_of(url, QUICK),
    ):
        with pytest.raises(UserError) as message:
            act()
        assert (
            "http(s)://host/..." in str(message.value)
            and "secret" not in str(message.value)
            and "user@" not in str(message.value)
        )


# --- the estimate ----------------------------------------------------------------------


def test_an_estimate_counts_prompts_bounds_replies_and_knows_no_price_by_itself():
    requests = requests_of("x" * 41, "\u00e9" * 20, max_tokens=100)
    assert clients.estimate(requests, QUICK) == clients.Estimate(2, 11 + 10, 200, None)
    assert (
        clients.describe(clients.estimate(requests, QUICK))
        == "2 requests, 21 prompt and 200 completion tokens, dollars unknown"
    )
    assert clients.estimate(requests, PRICED).dollars == 221
    assert clients.estimate(requests_of("four"), PRICED) == clients.Estimate(1, 1, None, None)
    assert (
        clients.estimate(
            [{"key": "ids", "body": {"prompt": [1, 2, 3], "max_tokens": 4}}], PRICED
        ).dollars
        == 7
    )
    assert "any number of completion tokens" in clients.describe(
        clients.estimate(requests_of("four"), PRICED)
    )


def test_an_estimate_refuses_what_cannot_be_paid():
    requests = requests_of("x" * 400)
    assert (
        clients.estimate(requests, dataclasses.replace(PRICED, max_dollars=100.0)).prompt_tokens
        == 100
    )
    for most, spent in ((99.0, 0.0), (100.0, 0.5)):
        with pytest.raises(UserError, match=f"client.max_dollars is {most:g}; raise it"):
            clients.estimate(requests, dataclasses.replace(PRICED, max_dollars=most), spent=spent)


# --- what comes back -------------------------------------------------------------------


def test_a_good_reply_is_kept_raw_with_its_figures_and_the_request_goes_out_as_it_is(caplog):
    with caplog.at_level("DEBUG"), Misbehaving() as server:
        result = asked(server, ["q"], dataclasses.replace(QUICK, dollars_in=2.0, dollars_out=8.0))[
            "q"
        ]
        sent = server.requests[0]
    assert not [r.name for r in caplog.records if r.name != "asyncio"]  # no line per request
    assert sent["path"] == "/v1/chat/completions"
    assert sent["body"] == {
        "model": "fake",
        "messages": [{"role": "user", "content": "q"}],
        "max_tokens": 5,
    }
    assert (result.status, result.reason, result.attempts) == ("answered", "", 1)
    assert (result.prompt_tokens, result.completion_tokens) == (10, 5)
    assert result.response.encode() == answer().body and result.dollars == pytest.approx(
        (10 * 2 + 5 * 8) / 1e6
    )
    assert 0 <= result.seconds < 5 and result.utc.endswith("+00:00")


def test_no_header_goes_out_but_what_a_request_needs(monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-another-server")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-another-server")
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-another-server")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv(
        "OPENAI_CUSTOM_HEADERS", "X-Secret: header-of-another-server\nAuthorization: another"
    )
    monkeypatch.setenv("PONDER_TEST_KEY", "sk-test")
    with Misbehaving() as server:
        asked(server, ["q"])
        asked(server, ["q"], dataclasses.replace(QUICK, key_env="PONDER_TEST_KEY"))
        heads = [r["headers"] for r in server.requests]
    assert [h.pop("authorization") for h in heads] == ["Bearer none", "Bearer sk-test"]
    for head in heads:
        assert {name.lower() for name in head} <= set(wire.SENT) and "another" not in str(head)


def test_a_proxy_of_the_environment_is_not_asked_about_this_machine(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with Misbehaving() as server:
        assert asked(server, ["q"])["q"].status == "answered"


@pytest.mark.parametrize(
    "first, attempts",
    [
        (status(500), 2),
        (status(503), 2),
        (status(429), 2),
        (status(408), 2),
        (RESET, 2),
        (truncated(), 2),
        (cut_short(), 2),
        (Act(body=b"[]"), 2),
        (Act(body=b""), 2),
        (Act(body=b'{"error": {"message": "overloaded"}}'), 2),
        (Act(body=b"[" * 10**6), 2),
        (answer(reasoning=""), 1),
        (answer(finish="length"), 1),
        (Act(body=answer("caf\u00e9").body.replace(b"\\u00e9", b"\xe9")), 1),
    ],
)
def test_what_may_pass_is_asked_again_and_what_is_an_answer_is_kept(first, attempts):
    with Misbehaving(acts({"q": [first, answer()]})) as server:
        result = asked(server, ["q"])["q"]
        assert (result.status, result.attempts, server.counts["q"]) == (
            "answered",
            attempts,
            attempts,
        )
    assert json.loads(result.response)["choices"]


@pytest.mark.parametrize(
    "act, reason",
    [
        (status(500), "status 500"),
        (status(429), "status 429"),
        (RESET, "the connection broke"),
        (cut_short(), "the connection broke"),
        (truncated(), "a reply that is no JSON object"),
        (Act(body=b'{"error": "busy"}'), "a reply without choices"),
    ],
)
def test_a_request_that_never_succeeds_is_kept_as_failed_with_its_reason(act, reason):
    with Misbehaving(acts({"bad": [act]})) as server:
        kept = asked(server, ["bad", "good"])
        assert server.counts["bad"] == 3
    assert (kept["bad"].status, kept["bad"].reason, kept["bad"].attempts, kept["bad"].dollars) == (
        "failed",
        reason,
        3,
        None,
    )
    assert kept["bad"].response == (
        act.body.decode() if act.status == 200 and act.end == "close" and act.length is None else ""
    )
    assert kept["good"].status == "answered"


@pytest.mark.parametrize("act", [HANG, answer(drip=0.1), answer(wait=1.0)])
def test_a_timeout_is_of_the_whole_attempt_and_is_tried_again(act):
    with Misbehaving(acts({"slow": [act, answer()], "never": [act]})) as server:
        kept = asked(
            server, ["slow"], dataclasses.replace(QUICK, timeout=0.3, attempts=50)
        )  # on a busy machine more than 2
        assert (
            kept["slow"].status == "answered"
            and kept["slow"].attempts == server.counts["slow"] >= 2
        )
        never = asked(server, ["never"], dataclasses.replace(QUICK, timeout=0.3, attempts=2))[
            "never"
        ]
    assert (never.status, never.reason, never.attempts) == (
        "failed",
        "no whole reply in 0.3 seconds",
        2,
    ) and never.seconds >= 0.3


def test_a_reply_of_any_size_ends_at_the_limit_and_is_not_fetched_again(monkeypatch):
    monkeypatch.setattr(wire, "LARGEST", 10_000)
    with Misbehaving(
        acts({"huge": [answer("x" * 20_000)], "large": [answer("x" * 9_000)]})
    ) as server:
        kept = asked(server, ["huge", "large"])
        assert server.counts["huge"] == 1
    assert (kept["huge"].status, kept["huge"].reason, kept["huge"].response) == (
        "failed",
        "a reply of more than 10000 bytes",
        "",
    )
    assert kept["large"].status == "answered"


@given(st.one_of(st.none(), st.text(max_size=20), st.floats().map(str), st.integers().map(str)))
def test_any_retry_after_is_a_finite_wait(header):
    wait = wire.wait_of(header, 1e9)
    assert wait >= 0 and math.isfinite(wait)


def test_retry_after_is_read_as_seconds_and_as_a_date():
    assert (
        wire.wait_of("2", 0) == 2 and wire.wait_of("0.5", 0) == 0.5 and wire.wait_of("-1", 0) == 0
    )
    assert wire.wait_of(email.utils.formatdate(1e9 + 90, usegmt=True), 1e9) == 90
    assert wire.wait_of(email.utils.formatdate(1e9 - 90, usegmt=True), 1e9) == 0


@pytest.mark.parametrize(
    "header", [lambda: "0.6", lambda: email.utils.formatdate(time.time() + 2, usegmt=True)]
)
def test_a_wait_that_the_server_asks_for_holds_every_request(header):
    with Misbehaving(
        lambda text, nth: (
            status(429, retry_after=header()) if (text, nth) == ("q0", 1) else answer()
        )
    ) as server:
        kept = asked(server, [f"q{i}" for i in range(3)], dataclasses.replace(QUICK, concurrency=1))
        times = [r["time"] for r in server.requests]
    assert [r.status for r in kept.values()] == ["answered"] * 3 and kept["q0"].attempts == 2
    assert times[1] - times[0] >= 0.6


def test_a_longer_wait_than_the_timeout_stops_the_run():
    with Misbehaving(acts({"q": [status(429, retry_after="3600")]})) as server:
        message, _ = refused(server, ["q"])
        assert server.counts["q"] == 1
    assert "asks to wait 3600 seconds, more than client.timeout=60;" in message


def test_waits_between_attempts_double_up_to_the_timeout_and_are_drawn_from_the_key(monkeypatch):
    waits = []

    async def rest(self, seconds):
        waits.append(seconds)

    monkeypatch.setattr(limits.Pace, "rest", rest)
    with Misbehaving(acts({"": [status(500)]})) as server:
        asked(server, ["a"], dataclasses.replace(QUICK, backoff=20.0, attempts=5))
    assert waits == [
        random.Random(f"backoff/a/{n}").uniform(0.5, 1) * most
        for n, most in ((1, 20), (2, 40), (3, 60), (4, 60))
    ]


# --- limits ----------------------------------------------------------------------------


def test_no_more_requests_at_once_than_asked_for_and_all_of_those():
    def script(text, nth):
        end = time.monotonic() + 20
        while server.most < 7 and time.monotonic() < end:
            time.sleep(0.01)
        return answer(wait=0.1)

    with Misbehaving(script) as server:
        assert (
            len(
                asked(
                    server, [f"q{i}" for i in range(21)], dataclasses.replace(QUICK, concurrency=7)
                )
            )
            == 21
        )
        assert server.most == 7


def test_no_more_attempts_a_minute_than_asked_for():
    turns = []

    async def take(pace):
        if await pace.turn():
            turns.append(time.monotonic())

    async def four():
        pace = limits.Pace(600)
        await asyncio.gather(*(take(pace) for _ in range(4)))
        asyncio.get_running_loop().call_later(0.05, pace.stopped.set)
        await take(pace)

    asyncio.run(four())
    assert len(turns) == 4 and all(
        later - earlier > 0.099 for earlier, later in zip(turns, turns[1:])
    )
    with Misbehaving(acts({"q0": [status(500), answer()]})) as server:
        began = time.monotonic()
        asked(server, [f"q{i}" for i in range(4)], dataclasses.replace(QUICK, per_minute=600))
        assert time.monotonic() - began > 0.4


def test_results_are_kept_one_at_a_time_in_order_of_completion_and_what_keep_raises_ends_all():
    threads, order = set(), []

    def keep(result):
        threads.add(threading.get_ident())
        order.append(result.key)
        if len(order) == 3:
            raise OSError("disk full")

    with (
        Misbehaving(acts({"first": [answer(wait=30)]})) as server,
        pytest.raises(OSError, match="disk full"),
    ):
        clients.ask(
            server.url,
            "chat/completions",
            requests_of("first", "b", "c", "d", "e", "f"),
            dataclasses.replace(QUICK, concurrency=2),
            keep,
        )
    assert order == ["b", "c", "d"] and threads == {threading.get_ident()}


def test_the_money_ends_before_it_is_overspent_and_a_higher_limit_goes_on():
    texts = [f"q{i}" for i in range(20)]
    limit = 3 * 15 + (
        2 + 32 + 5
    )  # three true costs, and one at most: 2 bytes, a template, 5 tokens
    with Misbehaving() as server:
        limited = dataclasses.replace(PRICED, max_dollars=float(limit))
        message, kept = refused(server, texts, limited, UserError)
        assert (
            f"client.max_dollars={limit} may not cover another request after 60.0000 dollars"
            in message
        )
        assert (
            len(kept) == sum(server.counts.values()) == 4
            and sum(r.dollars for r in kept.values()) == 60
        )
        message, none = refused(server, texts, limited, UserError, spent=60.0)
        assert not none and sum(server.counts.values()) == 4
        rest = asked(
            server,
            [t for t in texts if t not in kept],
            dataclasses.replace(PRICED, max_dollars=1000.0),
            spent=60.0,
        )
        assert len(rest) == 16 and set(server.counts.values()) == {1}


def test_what_may_have_been_billed_unseen_counts_against_the_money():
    limited = dataclasses.replace(PRICED, max_dollars=100.0, concurrency=1)
    with Misbehaving(
        acts({"cut": [truncated()], "down": [status(500)], "free": [answer(usage=(0, 0))]})
    ) as server:
        message, kept = refused(server, ["cut"], limited, UserError)
        assert (
            "after 80.0000 dollars" in message and server.counts["cut"] == 2
        )  # 3 + 32 + 5 = 40 dollars each
        assert asked(server, ["down", "free"], limited)["down"].status == "failed"


def test_a_limit_on_money_needs_a_bound_on_every_reply():
    limited = dataclasses.replace(PRICED, max_dollars=5.0)
    with pytest.raises(UserError, match="set max_tokens"):
        clients.ask("http://127.0.0.1:1/v1", "chat/completions", requests_of("q"), limited, None)


# --- the user's mistakes ---------------------------------------------------------------


@pytest.mark.parametrize(
    "code, way_out",
    [
        (401, "check the key in the environment variable PONDER_TEST_KEY"),
        (403, "check the key in the environment variable PONDER_TEST_KEY"),
        (404, "check the address"),
        (302, "none is followed with a key"),
        (402, "change the fields of the request"),
    ],
)
def test_a_refusal_for_good_stops_at_once_and_never_shows_the_key(
    code, way_out, monkeypatch, caplog, capsys
):
    key = "sk-verysecret-0123456789abcdef"
    monkeypatch.setenv("PONDER_TEST_KEY", key)
    echo = (
        f"Bearer {key} or '{key[:-4]}...' or {key[3:13]} is no key; max_tokens is too large "
        "\x1b[31m\n"
    )
    act = status(code, echo, Location="http://127.0.0.1:1/elsewhere")
    client = dataclasses.replace(QUICK, key_env="PONDER_TEST_KEY", concurrency=1)
    with (
        caplog.at_level("DEBUG"),
        Misbehaving(lambda text, nth: answer() if text == "good" else act) as server,
    ):
        message, kept = refused(server, ["good", "bad", *"abcdefgh"], client)
        assert (
            sum(server.counts.values()) == 2
            and server.requests[1]["headers"]["authorization"] == f"Bearer {key}"
        )
        for words in (str(code), "'fake'", server.url.removesuffix("/v1"), way_out):
            assert words in message
    assert set(kept) == {"good"} and message.isprintable()
    assert ("max_tokens is too large" in message) == (code in (402, 404))
    shown = message + caplog.text + "".join(capsys.readouterr())
    assert not any(
        key[i : i + 4] in shown.replace("PONDER_TEST_KEY", "") for i in range(len(key) - 3)
    )


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_request_at_fault_is_tried_once_and_kept_with_the_words_of_the_server_but_no_key(
    code, monkeypatch
):
    key = "sk-verysecret-0123456789abcdef"
    monkeypatch.setenv("PONDER_TEST_KEY", key)
    act = status(code, f"{key} or {key[3:13]}: the prompt is too long")
    with Misbehaving(acts({"bad": [act]})) as server:
        kept = asked(
            server,
            ["bad", "good"],
            dataclasses.replace(QUICK, key_env="PONDER_TEST_KEY", concurrency=1),
        )
        assert server.counts["bad"] == 1
    assert (kept["bad"].status, kept["good"].status) == ("failed", "answered")
    assert kept["bad"].reason.startswith(f"status {code} (")
    assert "too long" in kept["bad"].reason and not any(
        key[i : i + 4] in kept["bad"].reason for i in range(len(key) - 3)
    )
    with Misbehaving(lambda text, nth: act) as server:
        message, kept = refused(server, ["a", "b"])
    assert f"answers nothing: status {code}" in message and not kept


@pytest.mark.parametrize(
    "act, connected, http_status",
    [
        (status(400), True, 400),
        (status(429), True, 429),
        (status(500), True, 500),
        (RESET, True, None),
    ],
)
def test_a_failure_says_as_data_what_refused_it(act, connected, http_status):
    with Misbehaving(acts({"bad": [act]})) as server:
        kept = asked(server, ["bad", "good"])
    assert (kept["bad"].connected, kept["bad"].http_status) == (connected, http_status)
    assert (kept["good"].connected, kept["good"].http_status) == (True, None)


def test_failures_at_the_end_are_not_kept_where_the_server_has_fallen_silent():
    with Misbehaving(lambda text, nth: answer() if text == "good" else RESET) as server:
        server.models = RESET
        message, kept = refused(
            server, ["good", "q1", "q2"], dataclasses.replace(QUICK, concurrency=1)
        )
    assert "fell silent: 2 requests failed in a row" in message and set(kept) == {"good"}


def test_what_may_have_been_billed_unseen_is_told():
    lost = []
    mute = Act(body=b'{"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}]}')
    with Misbehaving(acts({"bad": [truncated()], "mute": [mute]})) as server:
        clients.ask(
            server.url,
            "chat/completions",
            requests_of("bad", "mute", "good"),
            PRICED,
            lambda r: None,
            on_loss=lost.append,
        )
    assert len(lost) == PRICED.attempts + 1 and min(lost) > 0


def test_a_key_that_is_missing_or_none_is_named_by_its_variable(monkeypatch):
    client = dataclasses.replace(QUICK, key_env="PONDER_TEST_KEY")
    monkeypatch.delenv("PONDER_TEST_KEY", raising=False)
    with pytest.raises(UserError, match="PONDER_TEST_KEY .* is not set"):
        clients.ask("http://127.0.0.1:1/v1", "chat/completions", requests_of("q"), client, None)
    monkeypatch.setenv("PONDER_TEST_KEY", "sk-secret\n")
    with pytest.raises(UserError, match="PONDER_TEST_KEY .* holds white space") as message:
        clients.model_of("http://127.0.0.1:1/v1", client)
    assert "secret" not in str(message.value)
    with Misbehaving(acts({"q": [status(401)]})) as server:
        assert (
            "name the environment variable that holds the key in client.key_env"
            in refused(server, ["q"])[0]
        )


def test_what_is_in_flight_at_a_stop_ends_and_is_kept_and_nothing_is_tried_again():
    script = acts(
        {
            "slow": [answer(wait=0.3)],
            "again": [status(500, retry_after="30")],
            "bad": [answer(wait=0.1, status=404)],
        }
    )
    with Misbehaving(script) as server:
        message, kept = refused(server, ["slow", "again", "bad"])
        assert server.counts == {"slow": 1, "again": 1, "bad": 1}
    assert set(kept) == {"slow"}


# --- a server that is down -------------------------------------------------------------


def test_failures_in_a_row_stop_the_run_and_none_of_them_is_kept():
    texts = ["a", "lone", "b", "c", *(f"down{i}" for i in range(20))]
    client = dataclasses.replace(QUICK, concurrency=1, attempts=2)
    with Misbehaving(acts({"lone": [status(500)], "down": [status(503)]})) as server:
        message, kept = refused(server, texts, client)
        origin = server.url.removesuffix("/v1")
        assert f"{origin} seems down or refuses them: 5 requests failed in a row" in message
        assert "the last with status 503" in message
        assert sum(text.startswith("down") for text in server.counts) == 5
    assert list(kept) == ["a", "lone", "b", "c"] and kept["lone"].status == "failed"
    with Misbehaving() as server:  # up again: the same command goes on
        assert len(asked(server, [t for t in texts if t not in kept], client)) == 20


def test_a_few_failures_at_the_end_are_kept_but_not_those_of_a_server_that_nobody_reached():
    with Misbehaving(acts({"q": [RESET]})) as server:
        assert [r.status for r in asked(server, ["q1", "q2"]).values()] == ["failed", "failed"]
    message, kept = refused(server, ["q1", "q2"])
    assert "answers nothing: no connection" in message and not kept


def test_what_fails_after_the_server_was_taken_to_be_down_is_not_kept_with_a_late_answer():
    table = {
        "down": [status(500)],
        "late": [dataclasses.replace(status(500), wait=0.3)],
        "slow": [answer(wait=1)],
    }
    with Misbehaving(acts(table)) as server:
        message, kept = refused(
            server,
            ["down1", "down2", "late", "slow"],
            dataclasses.replace(QUICK, give_up=2, attempts=1),
        )
    assert "seems down" in message and set(kept) == {"slow"}


def test_an_interrupt_ends_what_is_in_flight_and_what_was_kept_stays():
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a background job of a shell ignores it
    kept = []

    def keep(result):
        kept.append(result.key)
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()

    with Misbehaving(acts({"hang": [HANG]})) as server, pytest.raises(KeyboardInterrupt):
        clients.ask(server.url, "chat/completions", requests_of("good", "hang"), QUICK, keep)
    signal.signal(signal.SIGINT, before)
    assert kept == ["good"]


# --- the model of a server -------------------------------------------------------------


def test_the_only_model_of_a_server_is_found():
    with Misbehaving(models=("org/model-7b",)) as server:
        assert clients.model_of(server.url, QUICK) == "org/model-7b"


@pytest.mark.parametrize(
    "offer, kind, words",
    [
        ((), UserError, "offers no model"),
        (("a", "b"), UserError, "offers a, b;"),
        (tuple(f"m{i}" for i in range(12)), UserError, "m9, ...;"),
        (("bad\nname", "x" * 300), UserError, "offers no model"),
        (status(500), ServerError, "(status 500)"),
        (Act(body=b"<html>"), ServerError, "(no list in its reply)"),
        (status(401, "sk-secret"), ServerError, "(status 401)"),
        (RESET, ServerError, "(the connection broke)"),
        (Act(body=b'{"data": 5}'), UserError, "offers no model"),
        (Act(body=b"[" * 10**6), ServerError, "(no list in its reply)"),
        (Act(body=b"[1]"), ServerError, "(no list in its reply)"),
    ],
)
def test_a_server_that_names_no_single_model_leaves_the_choice_to_the_user(offer, kind, words):
    with Misbehaving(models=offer) as server, pytest.raises(UserError) as message:
        clients.model_of(server.url, QUICK)
    assert type(message.value) is kind
    assert (
        words in str(message.value)
        and "teacher.model=..." in str(message.value)
        and "secret" not in str(message.value)
    )


def test_nobody_at_the_address_is_said_so():
    with Misbehaving() as server:
        pass
    with pytest.raises(UserError, match="no connection.*start the server"):
        clients.model_of(server.url, QUICK)


# --- a real server ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def smollm2():
    """The folder of SmolLM2-135M, made from its wheel where that can be had."""
    try:
        return models.base_folder(study_of("experiment=cpu").model, "outputs").relative_to(".")
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_a_real_server_answers_and_reasoning_is_read_where_the_config_says(smollm2, tmp_path):
    kept = {}
    client = dataclasses.replace(QUICK, timeout=600.0)
    with servers.transformers_serve(smollm2, tmp_path) as url:
        with pytest.raises(
            UserError, match="offers no model"
        ):  # it lists its cache, and the folder is not in it
            clients.model_of(url, client)
        for key, path, body in (
            (
                "chat",
                "chat/completions",
                {"messages": [{"role": "user", "content": "What is 2+2?"}]},
            ),
            ("plain", "completions", {"prompt": "2 + 2 ="}),
            (
                "cut",
                "chat/completions",
                {"messages": [{"role": "user", "content": "Count to ten."}]},
            ),
        ):
            body |= {
                "model": str(smollm2),
                "max_tokens": 2 if key == "cut" else 20,
                "temperature": 0,
            }
            clients.ask(
                url, path, [{"key": key, "body": body}], client, lambda r: kept.update({r.key: r})
            )
        with pytest.raises(UserError, match="answers nothing: status 400"):
            clients.ask(
                url,
                "chat/completions",
                [{"key": "q", "body": {"model": "another", "messages": []}}],
                client,
                None,
            )
    assert all(
        r.status == "answered" and r.completion_tokens > 0 and r.prompt_tokens > 0
        for r in kept.values()
    )
    bare = replies.parse(kept["chat"].response, None)
    assert bare.rejected == "no reasoning" and len(bare.answer.split()) > 2, bare
    ends = bare.answer.split()[-2]
    split = replies.parse(kept["chat"].response, ends)
    assert (
        split.rejected is None
        and split.think + " " + split.answer == bare.answer
        and split.answer.startswith(ends)
    )
    assert replies.parse(kept["cut"].response, None).rejected == "finish reason length"
    assert json.loads(kept["plain"].response)["choices"][0]["text"]
