"""Asks an OpenAI-compatible server many requests at once, and stops in time when the server, the key or the money is gone.

What is true of one exchange is in ponder/api/wire.py; here are attempts, pace, cost and order. Issue 3.
"""

import asyncio
import collections
import datetime
import json
import math
import random
import re
import time
from dataclasses import dataclass

from tqdm import tqdm

from ponder.api import limits, replies, wire
from ponder.config import at_least
from ponder.errors import UserError

AGAIN = (408, 409, 425, 429)  # what a server may answer otherwise a moment later, besides every 5xx
UNFIT = (
    400,
    413,
    422,
)  # the server finds this request at fault: too long, or against its rules; others may do
LISTING = 30  # seconds for the list of models, which costs a server nothing
BYTES_PER_TOKEN = 4  # of English text; an estimate's only approximation


@dataclass(frozen=True)
class Client:
    """How servers are asked (conf/client); not part of a run's identity."""

    name: str
    key_env: str | None  # the environment variable that holds the key; null sends a dummy
    concurrency: int  # requests in flight
    per_minute: int | None  # attempts a minute
    timeout: float  # seconds of one attempt, and the longest wait that a server may ask for
    attempts: int  # of one request
    backoff: (
        float  # seconds before the second attempt, doubled before each further one up to `timeout`
    )
    give_up: int  # requests failed in a row after which the server is taken to be down
    dollars_in: float | None  # per million prompt tokens; null: unknown
    dollars_out: float | None  # per million completion tokens
    max_dollars: float | None

    def __post_init__(self):
        if self.key_env is not None and not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", self.key_env):
            raise UserError(
                "client.key_env must be the name of an environment variable that holds the key, never the key itself"
            )
        at_least(1, "client", self, "concurrency", "attempts", "give_up")
        for key in ("per_minute", "timeout", "max_dollars"):
            value = getattr(self, key)
            if value is not None and not 0 < value < math.inf:
                raise UserError(f"client.{key} is {value}, but must be a number above 0")
        for key in ("backoff", "dollars_in", "dollars_out"):
            value = getattr(self, key)
            if value is not None and not 0 <= value < math.inf:
                raise UserError(f"client.{key} is {value}, but must be a number of 0 or more")
        if self.max_dollars is not None and not self.priced:
            raise UserError(
                f"client.max_dollars={self.max_dollars} needs prices; set client.dollars_in and client.dollars_out"
            )

    @property
    def priced(self):
        """Whether both prices are known."""
        return self.dollars_in is not None and self.dollars_out is not None

    def dollars(self, prompt_tokens, completion_tokens):
        """Return what some tokens cost, or None where a price or a count is unknown."""
        if not self.priced or prompt_tokens is None or completion_tokens is None:
            return None
        return (self.dollars_in * prompt_tokens + self.dollars_out * completion_tokens) / 1e6


@dataclass(frozen=True)
class Estimate:
    """What requests will take, before they are sent."""

    requests: int
    prompt_tokens: int
    completion_tokens: int | None  # at most; None: no bound
    dollars: float | None  # at most; None: a price is unknown or there is no bound


@dataclass(frozen=True)
class Result:
    """What became of one request."""

    key: str
    status: str  # answered | failed
    response: (
        str  # the body of the last reply, undecodable bytes as U+FFFD; "" where there was none
    )
    reason: str  # why it failed; "" where it did not
    attempts: int
    seconds: float  # of the last attempt
    utc: str  # when that ended
    prompt_tokens: int | None  # as the server counts them
    completion_tokens: int | None
    dollars: float | None  # of the answer; what failed attempts cost is known to nobody


def estimate(requests, client, spent=0.0):
    """Return the Estimate of requests [{"key", "body"}].

    A prompt's text is taken to have a token per 4 bytes, a reply as many as its limit allows. Raises UserError when the
    prompts alone, after `spent` dollars, pass client.max_dollars.
    """
    prompts = sum(
        len(p) if isinstance(p, list) else math.ceil(len(p.encode()) / BYTES_PER_TOKEN)
        for p in (limits.prompt_of(r["body"]) for r in requests)
    )
    bounds = [limits.bound_of(r["body"]) for r in requests]
    completions = None if None in bounds else sum(bounds)
    least = client.dollars(prompts, 0)
    if client.max_dollars is not None and spent + least > client.max_dollars:
        raise UserError(
            f"the prompts of {len(requests)} requests alone cost about {least:.2f} dollars after {spent:.2f} spent, "
            f"but client.max_dollars is {client.max_dollars:g}; raise it or ask fewer questions"
        )
    return Estimate(len(requests), prompts, completions, client.dollars(prompts, completions))


def describe(estimate):
    """Return an Estimate in words."""
    completions = (
        "any number of" if estimate.completion_tokens is None else f"{estimate.completion_tokens:,}"
    )
    dollars = "dollars unknown" if estimate.dollars is None else f"{estimate.dollars:.2f} dollars"
    return f"{estimate.requests:,} requests, {estimate.prompt_tokens:,} prompt and {completions} completion tokens, {dollars}"


def ask(url, path, requests, client, keep, spent=0.0, lose=lambda dollars: None):
    """Send requests [{"key", "body"}] to url/path and hand each Result to `keep`, one at a time, in order of completion.

    A request is tried up to client.attempts times, one that the server finds at fault (UNFIT) once, and then kept as failed.
    Raises UserError, after what was in flight has ended, when the server refuses everybody (401, 403, 404, a redirect),
    seems down (client.give_up failures in a row, or failures at the end and silence), asks for too long a wait, or when the
    next request could, with `spent` dollars of earlier starts, pass client.max_dollars. The failures in a row are then not
    kept; what was kept stays kept, and asking for the rest goes on. `lose` is told the most dollars of each attempt that may have
    been billed unseen.
    """
    wire.origin_of(url)
    assert len({r["key"] for r in requests}) == len(requests), "two requests with one key"
    for r in requests:
        if client.max_dollars is not None and limits.bound_of(r["body"]) is None:
            raise UserError(
                f"client.max_dollars={client.max_dollars} needs a bound on every reply; set max_tokens in its body"
            )
    if requests:
        asyncio.run(_ask(url, path, requests, client, keep, limits.Book(client, spent, lose)))


def model_of(url, client):
    """Return the one model that a server offers; raises UserError when it offers none or several, or does not say."""
    try:
        models = asyncio.run(_models(url, client))
    except (wire.Refused, wire.Failed) as error:
        raise UserError(
            f"{wire.origin_of(url)} does not list its models ({error}); start the server, check its url, up to and "
            f"with /v1, {wire.key_words(client)}, or say teacher.model=..."
        ) from None
    if len(models) != 1:
        offers = ", ".join(models[:10]) + ", ..." * (len(models) > 10) if models else "no model"
        raise UserError(
            f"{wire.origin_of(url)} offers {offers}; say which one is meant with teacher.model=..."
        )
    return models[0]


async def _models(url, client):
    """Return the names of a server's models that are names: printable and short."""
    async with wire.session(url, client) as session:
        text = await wire.send(session.get, "models", LISTING)
    try:
        rows = json.loads(text)["data"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise wire.Failed("no list in its reply") from None
    names = (
        [row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    )
    return [name for name in names if isinstance(name, str) and re.fullmatch("[ -~]{1,200}", name)]


# --- all requests ----------------------------------------------------------------------


async def _ask(url, path, requests, client, keep, book):
    pace = limits.Pace(client.per_minute)
    waiting, failed, kept, answered, stop = collections.deque(requests), [], 0, 0, None
    origin = wire.origin_of(url)
    bar = tqdm(total=len(requests), unit="request", desc=f"ask {origin}")
    session = wire.session(url, client)
    try:
        while True:
            while waiting and stop is None and len(book.flying) < client.concurrency:
                most = book.most(waiting[0]["body"])
                if not book.covers(most):
                    if not book.flying:
                        stop = book.refusal()
                    break
                book.flying[
                    asyncio.create_task(answer(session, path, waiting.popleft(), pace, book))
                ] = most
            if not book.flying:
                break
            done, _ = await asyncio.wait(book.flying, return_when=asyncio.FIRST_COMPLETED)
            for task in [t for t in book.flying if t in done]:
                most = book.flying.pop(task)
                try:
                    result = task.result()
                except UserError as error:
                    stop = stop or str(error)
                    pace.stopped.set()
                    continue
                if result is None:  # stopped before its next attempt
                    continue
                if result.status == "failed":
                    failed += [] if stop else [result]
                    if len(failed) >= client.give_up:
                        stop = (
                            f"{origin} seems down or refuses them: {len(failed)} requests failed in a row, "
                            f"the last with {result.reason}"
                        )
                        pace.stopped.set()
                        failed = []
                    continue
                if result.dollars is None:
                    book.lost(most)
                else:
                    book.spent += result.dollars
                for each in (*failed, result):
                    keep(each)
                    kept += 1
                    bar.update()
                failed, answered = [], answered + 1
            if stop:
                bar.set_postfix_str("stopping when what is in flight has ended")
        if (
            stop is None
            and failed
            and not answered
            and all(f.reason.startswith((wire.UNREACHED, wire.AT_FAULT)) for f in failed)
        ):
            stop = f"{origin} answers nothing: {failed[-1].reason}"
        if stop is None and failed and await _silent(session):
            stop = f"{origin} fell silent: {len(failed)} requests failed in a row, the last with {failed[-1].reason}"
        for each in failed if stop is None else ():
            keep(each)
            bar.update()
    finally:
        bar.close()
        for task in book.flying:
            task.cancel()
        await asyncio.gather(*book.flying, return_exceptions=True)
        await session.close()
    if stop:
        raise UserError(
            f"{stop}; {kept} of {len(requests)} results are kept, and the same command goes on from there"
        )


async def answer(session, path, request, pace, book):
    """Return the Result of one request, or None after a stop; raises UserError for what another attempt cannot mend."""
    client, body, origin = book.client, request["body"], wire.origin_of(str(session.base_url))
    for attempt in range(1, client.attempts + 1):
        if not await pace.turn():
            return None
        began, text, wait, lost, again = time.monotonic(), "", 0.0, True, True
        try:
            text = await wire.send(session.post, path, client.timeout, body=body)
            reason = _unusable(text)
        except wire.Failed as error:
            reason, lost, again = str(error), error.lost, error.again
        except wire.Refused as error:
            if error.status not in (*AGAIN, *UNFIT) and error.status < 500:
                raise UserError(wire.mistake(error, origin, body.get("model"), client)) from None
            reason, wait, lost, again = (
                wire.told(error, client),
                error.wait,
                False,
                error.status not in UNFIT,
            )
        clocks = {
            "attempts": attempt,
            "seconds": round(time.monotonic() - began, 3),
            "utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        }
        if not reason:
            usage = replies.usage_of(replies.record_of(text)[0])
            return Result(
                request["key"],
                "answered",
                text,
                "",
                **clocks,
                **usage,
                dollars=client.dollars(*usage.values()),
            )
        if wait > client.timeout:
            raise UserError(
                f"{origin} asks to wait {wait:.0f} seconds, more than client.timeout={client.timeout:g}; try later"
            )
        pace.hold(wait)
        if lost:
            book.lost(book.most(body))  # it may have been answered, and billed, unseen
        if not again or attempt == client.attempts:
            break
        if not book.covers():
            raise UserError(book.refusal())
        jitter = random.Random(f"backoff/{request['key']}/{attempt}").uniform(0.5, 1)
        await pace.rest(jitter * min(client.backoff * 2 ** min(attempt - 1, 32), client.timeout))
    return Result(
        request["key"],
        "failed",
        text,
        reason,
        **clocks,
        prompt_tokens=None,
        completion_tokens=None,
        dollars=None,
    )


async def _silent(session):
    """Return whether a server says nothing at all any more; an error is something."""
    try:
        await wire.send(session.get, "models", LISTING)
    except wire.Failed:
        return True
    except wire.Refused:
        pass
    return False


def _unusable(text):
    """Return why the body of a reply is no answer, or "" ."""
    record, _ = replies.record_of(text)
    return (
        ""
        if record.get("choices")
        else "a reply without choices"
        if record
        else "a reply that is no JSON object"
    )
