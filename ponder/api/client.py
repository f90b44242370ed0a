"""Asks an OpenAI-compatible server many requests at once, and stops in time.

In time is before the server, the key or the money is gone. What is true of one exchange is in
ponder/api/wire.py; here are attempts, pace, cost and order.
"""

import asyncio
import collections
import datetime
import json
import math
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ponder.api import limits, records, replies, wire
from ponder.api.limits import Request
from ponder.config import Name, at_least
from ponder.errors import ServerError, UserError
from ponder.terminal import progress

# Statuses that a server may answer otherwise a moment later, besides every 5xx.
AGAIN = (408, 409, 425, 429)
# Seconds for the list of models, which costs a server nothing.
LISTING = 30
# Of English text; an estimate's only approximation.
BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Client:
    """How servers are asked (conf/client); not part of a run's identity."""

    name: Name
    key_env: str | None  # the environment variable that holds the key; null sends a dummy
    concurrency: int  # requests in flight
    per_minute: int | None  # attempts a minute
    timeout: float  # seconds of one attempt, and the longest wait that a server may ask for
    attempts: int  # of one request
    # Seconds before the second attempt, doubled before each further one up to `timeout`.
    backoff: float
    give_up: int  # requests failed in a row after which the server is taken to be down
    dollars_in: float | None  # per million prompt tokens; null: unknown
    dollars_out: float | None  # per million completion tokens
    max_dollars: float | None

    def __post_init__(self) -> None:
        if self.key_env is not None and not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", self.key_env):
            raise UserError(
                "client.key_env must be the name of an environment variable that holds the key, "
                "never the key itself"
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
        if self.max_dollars is not None and (self.dollars_in is None or self.dollars_out is None):
            raise UserError(
                f"client.max_dollars={self.max_dollars} needs prices; set client.dollars_in and "
                "client.dollars_out"
            )

    def dollars(self, prompt_tokens: int | None, completion_tokens: int | None) -> float | None:
        """Return what some tokens cost, or None where a price or a count is unknown."""
        if self.dollars_in is None or self.dollars_out is None:
            return None
        if prompt_tokens is None or completion_tokens is None:
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
    status: Literal["answered", "failed"]
    response: str  # the body of the last reply, undecodable bytes as U+FFFD; "" without one
    reason: str  # why it failed; "" where it did not
    attempts: int
    seconds: float  # of the last attempt
    utc: str  # when that ended
    prompt_tokens: int | None  # as the server counts them
    completion_tokens: int | None
    dollars: float | None  # of the answer; what failed attempts cost is known to nobody
    connected: bool  # whether the last attempt reached the server
    http_status: int | None  # by which the server refused the last attempt; None: it did not


def estimate(requests: Sequence[Request], client: Client, spent: float = 0.0) -> Estimate:
    """Return the Estimate of requests.

    A prompt's text is taken to have a token per 4 bytes, a reply as many as its limit allows.
    Raises UserError when the prompts alone, after `spent` dollars, pass client.max_dollars.
    """
    prompts = sum(_prompt_tokens(request["body"]) for request in requests)
    bounds = [limits.bound_of(request["body"]) for request in requests]
    completions = None if None in bounds else sum(bounds)
    least = client.dollars(prompts, 0)
    if client.max_dollars is not None:
        assert least is not None, "a limit on dollars comes with prices"
        if spent + least > client.max_dollars:
            raise UserError(
                f"the prompts of {len(requests)} requests alone cost about {least:.2f} dollars "
                f"after {spent:.2f} spent, but client.max_dollars is {client.max_dollars:g}; raise "
                "it or ask fewer questions"
            )
    return Estimate(len(requests), prompts, completions, client.dollars(prompts, completions))


def _prompt_tokens(body: dict[str, Any]) -> int:
    """Return the tokens of a prompt: counted where it is ids, estimated where it is text."""
    prompt = limits.prompt_of(body)
    if isinstance(prompt, list):
        return len(prompt)
    return math.ceil(len(prompt.encode()) / BYTES_PER_TOKEN)


def describe(amount: Estimate) -> str:
    """Return an Estimate in words."""
    completions = "any number of"
    if amount.completion_tokens is not None:
        completions = f"{amount.completion_tokens:,}"
    dollars = "dollars unknown" if amount.dollars is None else f"{amount.dollars:.2f} dollars"
    return (
        f"{amount.requests:,} requests, {amount.prompt_tokens:,} prompt and {completions} "
        f"completion tokens, {dollars}"
    )


def ask(
    url: str,
    path: str,
    requests: Sequence[Request],
    client: Client,
    keep: Callable[[Result], object],
    spent: float = 0.0,
    on_loss: Callable[[float], object] = lambda dollars: None,
) -> None:
    """Send requests to url/path and hand each Result to `keep`, one at a time, as they complete.

    A request is tried up to client.attempts times, one that the server finds at fault (wire.UNFIT)
    once, and then kept as failed. `on_loss` is called with the most dollars of each attempt that
    may have been billed without an answer that says so.

    Raises ServerError, after what was in flight has ended, when the server refuses everybody (401,
    403, 404, a redirect), seems down (client.give_up failures in a row, or failures at the end and
    silence) or asks for too long a wait; UserError when the next request could, with `spent`
    dollars of earlier starts, pass client.max_dollars. The failures in a row are then not kept;
    what was kept stays kept, and asking for the rest goes on. A UserError that `keep` raises, after
    it kept a Result, ends it in the same way.
    """
    wire.origin_of(url)
    assert len({request["key"] for request in requests}) == len(requests), (
        "two requests with one key"
    )
    if client.max_dollars is not None:
        for request in requests:
            if limits.bound_of(request["body"]) is None:
                raise UserError(
                    f"client.max_dollars={client.max_dollars} needs a bound on every reply; set "
                    "max_tokens in its body"
                )
    if requests:
        book = limits.Book(client, spent, on_loss)
        asyncio.run(_ask(url, path, requests, keep, book))


def model_of(url: str, client: Client) -> str:
    """Return the one model that a server offers.

    Raises ServerError when it does not list its models, UserError when it offers none or several.
    """
    try:
        names = asyncio.run(_models(url, client))
    except (wire.Refused, wire.Failed) as error:
        raise ServerError(
            f"{wire.origin_of(url)} does not list its models ({error}); start the server, check "
            f"its url, up to and with /v1, {wire.key_words(client)}, or say teacher.model=..."
        ) from None
    if len(names) != 1:
        shown = [*names[:10], "..."] if len(names) > 10 else names
        raise UserError(
            f"{wire.origin_of(url)} offers {', '.join(shown) or 'no model'}; say which one is "
            "meant with teacher.model=..."
        )
    return names[0]


def check_listening(url: str, client: Client) -> None:
    """Raise ServerError where nobody can be reached at a url; any answer at all will do."""
    try:
        asyncio.run(_models(url, client))
    except wire.Refused:
        return
    except wire.Failed as error:
        if not error.connected:
            raise ServerError(
                f"nobody listens at {wire.origin_of(url)} ({error}); start the server, or check "
                "its url, up to and with /v1"
            ) from None


async def _models(url: str, client: Client) -> list[str]:
    """Return the names of a server's models that are names: printable and short."""
    async with wire.session(url, client) as session:
        text = await wire.send(session.get, "models", LISTING)
    text = records.without_key(text, wire.key_of(client))
    try:
        rows = json.loads(text)["data"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise wire.Failed("no list in its reply") from None
    rows = rows if isinstance(rows, list) else []
    names = [row.get("id") for row in rows if isinstance(row, dict)]
    return [name for name in names if isinstance(name, str) and re.fullmatch("[ -~]{1,200}", name)]


# --- all requests ----------------------------------------------------------------------


async def _ask(
    url: str,
    path: str,
    requests: Sequence[Request],
    keep: Callable[[Result], object],
    book: limits.Book,
) -> None:
    """Do what `ask` says."""
    batch = _Batch(wire.origin_of(url), requests, keep, book)
    session = wire.session(url, book.client)
    try:
        while True:
            batch.start(session, path)
            if not book.in_flight:
                break
            ended, _ = await asyncio.wait(book.in_flight, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in book.in_flight if task in ended]:
                batch.settle(task)
        await batch.judge_failures(session)
    finally:
        batch.bar.close()
        for task in book.in_flight:
            task.cancel()
        await asyncio.gather(*book.in_flight, return_exceptions=True)
        await session.close()
    if batch.stop:
        raise type(batch.stop)(
            f"{batch.stop}; {batch.num_kept} of {len(requests)} results are kept, and the same "
            "command goes on from there"
        )


class _Batch:
    """The requests of one `ask`, and how far they are.

    A failure is kept only once a later request is answered: failures in a row may mean that the
    server is down, and another start then asks for them again.
    """

    def __init__(
        self,
        origin: str,
        requests: Sequence[Request],
        keep: Callable[[Result], object],
        book: limits.Book,
    ) -> None:
        self.origin, self.keep, self.book = origin, keep, book
        self.pace = limits.Pace(book.client.per_minute)
        self.waiting = collections.deque(requests)
        self.failures: list[Result] = []  # in a row, not kept yet
        self.num_kept = self.num_answered = 0
        self.stop: UserError | None = None  # why nothing more is asked
        self.bar = progress.bar(len(requests), "request", f"ask {origin}")

    def start(self, session: Any, path: str) -> None:
        """Send requests while there is room for one more, and money."""
        book = self.book
        while self.waiting and self.stop is None and len(book.in_flight) < book.client.concurrency:
            dollars = book.most_dollars(self.waiting[0]["body"])
            if not book.covers(dollars):
                if not book.in_flight:
                    self.stop = book.refusal()
                return
            request = self.waiting.popleft()
            task = asyncio.create_task(answer(session, path, request, self.pace, book))
            book.in_flight[task] = dollars

    def settle(self, task: asyncio.Task) -> None:
        """Take the outcome of a request that ended."""
        dollars = self.book.in_flight.pop(task)
        try:
            result = task.result()
        except UserError as error:
            self._stop_with(error)
            return
        if result is None:
            return  # stopped before its next attempt
        if result.status == "answered":
            self._count_answer(result, dollars)
        elif self.stop is None:
            self._count_failure(result)

    def _count_answer(self, result: Result, most_dollars: float) -> None:
        if result.dollars is None:
            self.book.count_loss(most_dollars)
        else:
            self.book.spent += result.dollars
        self._keep_all([*self.failures, result])
        self.failures = []
        self.num_answered += 1

    def _count_failure(self, result: Result) -> None:
        self.failures.append(result)
        if len(self.failures) >= self.book.client.give_up:
            message = (
                f"{self.origin} seems down or refuses them: {len(self.failures)} requests failed "
                f"in a row, the last with {result.reason}"
            )
            self.failures = []
            self._stop_with(ServerError(message))

    def _keep_all(self, results: list[Result]) -> None:
        for result in results:
            try:
                self.keep(result)
            except UserError as error:
                self._stop_with(error)
            self.num_kept += 1
            self.bar.update()

    def _stop_with(self, error: UserError) -> None:
        """Start nothing more; the first reason is the one that is told."""
        self.stop = self.stop or error
        self.pace.stopped.set()
        self.bar.set_postfix_str("stopping when what is in flight has ended")

    async def judge_failures(self, session: Any) -> None:
        """Keep the failures at the end, unless they show that the server is gone."""
        if self.stop or not self.failures:
            return
        reason = self.failures[-1].reason
        if not self.num_answered and all(map(_is_refused_or_unreached, self.failures)):
            self.stop = ServerError(f"{self.origin} answers nothing: {reason}")
        elif await _silent(session):
            self.stop = ServerError(
                f"{self.origin} fell silent: {len(self.failures)} requests failed in a row, the "
                f"last with {reason}"
            )
        else:
            self._keep_all(self.failures)


def _is_refused_or_unreached(result: Result) -> bool:
    """Return whether nobody was reached, or the server laid the failure to our request (4xx)."""
    status = result.http_status
    return not result.connected or (status is not None and 400 <= status < 500)


# --- one request -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Attempt:
    """What one attempt at a request gave."""

    response: str = ""
    reason: str = ""  # why it is no answer; "" where it is one
    wait: float = 0.0  # seconds that the server asks for before the next one
    retry: bool = True  # whether another attempt may help
    connected: bool = True
    http_status: int | None = None  # of a refusal

    @property
    def may_be_billed(self) -> bool:
        """Whether the server may have answered, and billed, what we did not get."""
        return self.connected and self.http_status is None


async def answer(
    session: Any, path: str, request: Request, pace: limits.Pace, book: limits.Book
) -> Result | None:
    """Return the Result of one request, or None after a stop.

    Raises ServerError for what another attempt cannot mend, and for too long a wait; UserError
    where client.max_dollars may not cover another attempt.
    """
    client, origin = book.client, wire.origin_of(str(session.base_url))
    for number in range(1, client.attempts + 1):
        if not await pace.turn():
            return None
        began = time.monotonic()
        attempt = await _attempt(session, path, request["body"], client, origin)
        seconds = round(time.monotonic() - began, 3)
        if not attempt.reason:
            break
        if attempt.wait > client.timeout:
            raise ServerError(
                f"{origin} asks to wait {attempt.wait:.0f} seconds, more than "
                f"client.timeout={client.timeout:g}; try later"
            )
        pace.hold(attempt.wait)
        if attempt.may_be_billed:
            book.count_loss(book.most_dollars(request["body"]))
        if not attempt.retry or number == client.attempts:
            break
        if not book.covers():
            raise book.refusal()
        await pace.rest(_backoff(client, request["key"], number))
    return _result(request["key"], attempt, number, seconds, client)


async def _attempt(
    session: Any, path: str, body: dict[str, Any], client: Client, origin: str
) -> _Attempt:
    """Return what one attempt gave; raises ServerError for a refusal that no attempt can mend."""
    try:
        text = await wire.send(session.post, path, client.timeout, body=body)
        text = records.without_key(text, wire.key_of(client))
    except wire.Failed as error:
        return _Attempt(reason=str(error), retry=error.retry, connected=error.connected)
    except wire.Refused as error:
        if error.status not in (*AGAIN, *wire.UNFIT) and error.status < 500:
            sentence = wire.describe_refusal(error, origin, body.get("model"), client)
            raise ServerError(sentence) from None
        return _Attempt(
            reason=wire.describe_status(error, client),
            wait=error.wait,
            retry=error.status not in wire.UNFIT,
            http_status=error.status,
        )
    return _Attempt(response=text, reason=_defect(text, client))


def _result(key: str, attempt: _Attempt, number: int, seconds: float, client: Client) -> Result:
    """Return the Result of a request whose last attempt was the one of this number."""
    usage: dict[str, int | None] = {"prompt_tokens": None, "completion_tokens": None}
    if not attempt.reason:
        usage = replies.usage_of(replies.record_of(attempt.response)[0])
    return Result(
        key=key,
        status="failed" if attempt.reason else "answered",
        response=attempt.response,
        reason=attempt.reason,
        attempts=number,
        seconds=seconds,
        utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        **usage,
        dollars=client.dollars(**usage),
        connected=attempt.connected,
        http_status=attempt.http_status,
    )


def _backoff(client: Client, key: str, attempt: int) -> float:
    """Return the seconds to wait after an attempt: doubled each time, with a seeded jitter."""
    jitter = random.Random(f"backoff/{key}/{attempt}").uniform(0.5, 1)
    return jitter * min(client.backoff * 2 ** min(attempt - 1, 32), client.timeout)


async def _silent(session: Any) -> bool:
    """Return whether a server says nothing at all any more; an error is something."""
    try:
        await wire.send(session.get, "models", LISTING)
    except wire.Failed:
        return True
    except wire.Refused:
        pass
    return False


def _defect(text: str, client: Client) -> str:
    """Return why the body of a reply is no answer, or ""."""
    record, _ = replies.record_of(text)
    if not record:
        return "a reply that is no JSON object"
    choices = record.get("choices") or record.get("tokens")  # the second of llama.cpp's own
    errors = [record.get("error")]
    if isinstance(choices, list):
        errors += [choice.get("error") for choice in choices if isinstance(choice, dict)]
    for error in errors:
        if isinstance(error, dict) and error or error and choices:
            return f"a reply with an error{wire.error_words(error, client)}"
    return "" if choices else "a reply without choices"
