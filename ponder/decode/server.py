"""The engine `server`: rows of Requests decoded by a server that takes and returns token ids.

vLLM is one (Requests: ponder/decode/budget.py), llama.cpp another, with a dialect of its own
(ponder/decode/llamacpp.py). Each call is one POST to /v1/completions, after a
prompt of everything so far: the server keeps nothing. The fields are those of vLLM
(vllm/entrypoints/openai/completion/protocol.py; return_token_ids since 0.10.2, its pull request
22587). All that shapes the sampling is sent: a server fills in what is left out from the model's
generation_config.json (its "OpenAI-Compatible Server" page). Not used are `stop`, which is text,
and `min_tokens`, which also bars the model's own ends, asked for or not (vllm/sampling_params.py,
update_from_generation_config; its pull request 5849).

SGLang takes the same fields (return_token_ids since its pull request 30917), but one: its
`ignore_eos` turns stop_token_ids off as well (schedule_batch.py, _check_token_based_finish). So it
is not told that, ends at the model's own ends too, and is asked again from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeVar

from ponder.api import client as clients
from ponder.api import limits, wire
from ponder.api.client import Client
from ponder.chat import Chat
from ponder.config import Name
from ponder.decode import budget as budgeting
from ponder.decode import llamacpp
from ponder.decode.budget import Completion, Request
from ponder.errors import ServerError, UserError
from ponder.hashing import purpose_seed

UNSTATED = "engine not stated,"
# What vLLM cuts a logit_bias to: the most it has for "always", and for "never", which is why
# replies are checked.
BIAS = 100
FIELDS = {
    "top_p": 1.0,
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "ignore_eos": True,
    "skip_special_tokens": False,
    "include_stop_str_in_output": True,
    "return_token_ids": True,
}
SGLANG_FIELDS = {
    name: value
    for name, value in FIELDS.items()
    if name not in ("ignore_eos", "include_stop_str_in_output")
}
REQUIREMENT = (
    "budget forcing needs a server that takes and returns token ids, as vLLM does, and not text "
    "alone; check engine.url and how that server was started, or take engine=hf"
)
Dialect = Literal["server", "sglang", "llamacpp"]  # how it is asked: as vLLM is, or in its own way
Row = Generator[Request, Any, Any]
Result = TypeVar("Result")
# (number of the call, prompt, limit, stops, barred) -> the ids of one completion
Call = Callable[[int, list[int], int, list[int], list[int]], Awaitable[tuple[int, ...]]]


@dataclass(frozen=True)
class HfEngine:
    """transformers in this process (conf/engine, ponder/decode/hf.py)."""

    kind: Literal["hf"]
    name: Name


@dataclass(frozen=True)
class ServerEngine:
    """A server of token ids (conf/engine); how it is asked is in conf/client."""

    kind: Dialect
    name: Name
    url: str  # up to and with /v1
    model: str | None  # null: the only model that the server lists

    def __post_init__(self) -> None:
        wire.origin_of(self.url)


@dataclass(frozen=True)
class Connection:
    """A server that was tried and found fit."""

    url: str
    model: str
    client: Client
    vocabulary: int  # ids from here on are none of the tokenizer
    engine: str  # what answers and its version, as the server states them
    dialect: Dialect = "server"

    @property
    def origin(self) -> str:
        """The address without its path."""
        return wire.origin_of(self.url)


def connect(server: ServerEngine, client: Client, chat: Chat) -> Connection:
    """Return the Connection of a ServerEngine, for the model whose Chat this is.

    Raises UserError, before anything is measured, when it cannot be reached, lists no single model
    where none is named, or is unfit: when it refuses token ids, returns none, or does not keep to
    stop_token_ids, ignore_eos and logit_bias.
    """
    if client.max_dollars is not None:
        raise UserError(
            f"client.max_dollars={client.max_dollars:g} bounds what collect.py spends, and "
            "evaluate.py counts no dollars; leave it null with engine=server"
        )
    return asyncio.run(_connect(server, client, chat))


def run(
    connection: Connection,
    prompts: Sequence[list[int]],
    rows: Sequence[Row],
    temperature: float = 0.0,
    purposes: Sequence[str] | None = None,
) -> Iterator[tuple[int, Any]]:
    """Yield (index, what the row returned) of each row as it is finished; see hf.run.

    client.concurrency rows are under way at once. At a temperature of 0 each call takes the
    likeliest tokens; above it the n-th call of a row draws with the seed named by its purpose and
    n, so that nothing depends on what comes when. Raises ServerError when the server fails for
    good, or returns what does not fit what it was asked.
    """
    if temperature and not 0.01 <= temperature <= 2:
        raise UserError(
            f"decoding.temperature={temperature:g} is none that vLLM draws at as it is; give 0, "
            "or 0.01 to 2"
        )
    assert purposes is not None or not temperature, "draws need purposes"
    results = _run(connection, prompts, rows, temperature, purposes or ())
    with asyncio.Runner() as runner:  # at its end it cancels what is under way
        yield from in_turn(runner, results)


def in_turn(runner: asyncio.Runner, results: AsyncGenerator[Result, None]) -> Iterator[Result]:
    """Yield what an asynchronous generator yields, which runs while the next is waited for."""

    async def next_result() -> Result | None:
        return await anext(results, None)

    while (result := runner.run(next_result())) is not None:
        yield result


async def decode_rows(
    prompts: Sequence[list[int]],
    rows: Sequence[Row],
    at_once: int,
    call_of: Callable[[int], Call],
) -> AsyncGenerator[tuple[int, Any], None]:
    """Yield (index, what the row returned) of each row as it is finished, `at_once` under way.

    `call_of` gives the Call that the row of an index asks.
    """
    slots = asyncio.Semaphore(at_once)

    async def decode(index: int) -> Any:
        async with slots:
            return await decode_row(prompts[index], rows[index], call_of(index))

    tasks = {asyncio.ensure_future(decode(index)): index for index in range(len(prompts))}
    waiting = set(tasks)
    try:
        while waiting:
            finished, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(finished, key=lambda task: tasks[task]):
                yield tasks[task], task.result()
    finally:
        for task in tasks:
            task.cancel()
        # Also collects the errors of tasks that failed beside the first, which alone is raised.
        await asyncio.gather(*tasks, return_exceptions=True)


async def decode_row(prompt: Sequence[int], row: Row, call: Call) -> Any:
    """Return what a row returns; `call` gives the ids of one completion, and its numbers count."""
    ids: list[int] = []  # of the row, after the prompt
    completion = None
    numbers = itertools.count()
    while True:
        try:
            request = row.send(completion)
        except StopIteration as end:
            return end.value
        ids = [*ids[: request.keep], *request.ids]
        sampled: tuple[int, ...] = ()
        stop: tuple[int, ...] = ()
        while not stop and len(sampled) < request.limit:
            limit, stops, barred = next_call(request, sampled)
            context = [*prompt, *ids, *sampled]
            sampled += await call(next(numbers), context, limit, stops, barred)
            stop = budgeting.stop_of(sampled, request.stops)
        completion = Completion(sampled, stop)
        ids += sampled


def next_call(request: Request, sampled: tuple[int, ...]) -> tuple[int, list[int], list[int]]:
    """Return (limit, stops, barred) of the call that goes on with a partly sampled Request.

    A server stops at single tokens. So a call ends where a stop of several tokens may have begun,
    and the next goes no further than where one could be complete: what follows either ends it there
    or goes on. While a suppressed stop may be all that is sampled, one token is asked for at a
    time, without those in `barred`.
    """
    stops = [tuple(stop) for stop in request.stops if stop]
    limit = request.limit - len(sampled)
    for stop in stops:
        for length in range(1, len(stop)):
            if sampled[-length:] == stop[:length]:  # the stop may have begun
                limit = min(limit, len(stop) - length)
    if request.suppress and any(sampled == stop[: len(sampled)] for stop in stops):
        limit = 1
    barred = budgeting.tokens_to_suppress(sampled, stops) if request.suppress else []
    return limit, sorted({stop[0] for stop in stops}), barred


def read_completion(
    text: str, prompt: Sequence[int], limit: int, stops: Sequence[int], vocabulary: int
) -> tuple[tuple[int, ...], str]:
    """Return (ids, "") of the body of a completion, or ((), what is wrong with it).

    Nothing in the body is believed. SGLang may come to say response_token_ids, as it does of chats
    (its pull request 38459).
    """
    try:
        (choice,) = json.loads(text)["choices"]
        ids = choice.get("token_ids", choice.get("response_token_ids"))
        finish, echo = choice.get("finish_reason"), choice.get("prompt_token_ids")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return (), "returns no single completion"
    problem = problem_of_ids(ids, vocabulary)
    if not problem and echo is not None and echo != prompt:
        problem = "reads other tokens than those of its prompt"
    problem = problem or problem_of_end(ids, finish, limit, stops)
    return ((), problem) if problem else (tuple(ids), "")


def read_sglang(
    text: str, prompt: Sequence[int], limit: int, stops: Sequence[int], vocabulary: int
) -> tuple[tuple[int, ...], str]:
    """Return read_completion of a body in which an end of the model's own is one of the stops.

    SGLang names the token that it stopped at (matched_stop).
    """
    try:
        (choice,) = json.loads(text)["choices"]
        end = choice.get("matched_stop")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        end = None
    ends = [*stops, end] if type(end) is int else stops
    return read_completion(text, prompt, limit, ends, vocabulary)


def problem_of_ids(ids: Any, vocabulary: int) -> str:
    """Return what is wrong with the token ids of a completion, or ""."""
    if ids is None:
        return "returns text without token ids"
    if isinstance(ids, list) and all(type(i) is int and 0 <= i < vocabulary for i in ids):
        return ""
    return f"returns something else than ids of the {vocabulary} tokens of this tokenizer"


def problem_of_end(ids: list[int], finish: Any, limit: int, stops: Sequence[int]) -> str:
    """Return what is wrong with where a completion ends, or ""."""
    if len(ids) > limit:
        return f"returns {len(ids)} tokens where it was asked for {limit}"
    if any(token in stops for token in ids[:-1]):
        return "goes on after a token that it was told to stop at"
    stopped = bool(ids) and ids[-1] in stops
    if finish == "stop" and not stopped:
        return "stops where it was not told to, or leaves out the token that it stopped at"
    if finish == "length" and len(ids) < limit:
        return (
            f"ends after {len(ids)} of {limit} tokens, as if its context were shorter than "
            "model.context"
        )
    if finish not in ("stop", "length") or stopped != (finish == "stop"):
        return "gives a reason for the end that does not fit the tokens"
    return ""


# --- requests --------------------------------------------------------------------------


async def _run(
    connection: Connection,
    prompts: Sequence[list[int]],
    rows: Sequence[Row],
    temperature: float,
    purposes: Sequence[str],
) -> AsyncGenerator[tuple[int, Any], None]:
    """Yield (index, what the row returned); see `run`."""
    pace = limits.Pace(connection.client.per_minute)

    def call_of(session: Any, index: int) -> Call:
        async def call(
            number: int, prompt: list[int], limit: int, stops: list[int], barred: list[int]
        ) -> tuple[int, ...]:
            fields: dict[str, Any] = {"temperature": temperature}
            if temperature:
                fields["seed"] = purpose_seed(f"{purposes[index]}/{number}")
            if barred:
                fields["logit_bias"] = {str(token): -BIAS for token in barred}
            ids = await _completion(
                connection, session, pace, f"{index}/{number}", prompt, limit, stops, fields
            )
            if ids[-1] in barred:
                _unfit(connection, f"samples a token in spite of a logit_bias of -{BIAS}")
            return ids

        return call

    async with wire.session(connection.url, connection.client) as session:
        at_once, own = connection.client.concurrency, functools.partial(call_of, session)
        async with contextlib.aclosing(decode_rows(prompts, rows, at_once, own)) as results:
            async for result in results:
                yield result


async def _completion(
    connection: Connection,
    session: Any,
    pace: limits.Pace,
    key: str,
    prompt: list[int],
    limit: int,
    stops: list[int],
    fields: dict[str, Any],
) -> tuple[int, ...]:
    """Return the ids of one completion, or of its beginning; raises ServerError for none."""
    if connection.dialect == "llamacpp":
        limit = min(limit, llamacpp.SEGMENT)
        body, read = llamacpp.body_of(prompt, limit, fields), llamacpp.read_completion
    else:
        is_vllm = connection.dialect == "server"
        body = {"prompt": prompt, "max_tokens": limit, "stop_token_ids": stops, **fields}
        body |= FIELDS if is_vllm else SGLANG_FIELDS
        read = read_completion if is_vllm else read_sglang
    text = await _post(connection, session, pace, key, body)
    ids, problem = read(text, prompt, limit, stops, connection.vocabulary)
    if problem:
        _unfit(connection, problem)
    return ids


async def _post(
    connection: Connection, session: Any, pace: limits.Pace, key: str, body: dict[str, Any]
) -> str:
    """Return the text of a reply; raises ServerError where no attempt gives one."""
    request: limits.Request = {"key": key, "body": {"model": connection.model, **body}}
    book = limits.Book(connection.client, 0.0)
    is_llamacpp = connection.dialect == "llamacpp"
    path = _beside(connection.url, "completion") if is_llamacpp else "completions"
    result = await clients.answer(session, path, request, pace, book)
    assert result is not None, "nothing here stops the pace"
    if result.status == "answered":
        return result.response
    if result.http_status in wire.UNFIT:
        _unfit(
            connection,
            f"refuses a prompt of {len(body['prompt'])} token ids, "
            f"{body.get('max_tokens', body.get('n_predict'))} to follow, with {result.reason}",
        )
    raise ServerError(
        f"{connection.origin} gives no completion: attempt {result.attempts} ended with "
        f"{result.reason}; see that it runs, and the same command goes on from what is kept"
    )


def _unfit(connection: Connection, problem: str) -> NoReturn:
    raise ServerError(f"{connection.origin} {problem}; {REQUIREMENT}")


# --- connecting ------------------------------------------------------------------------


async def _connect(server: ServerEngine, client: Client, chat: Chat) -> Connection:
    pace = limits.Pace(client.per_minute)
    async with wire.session(server.url, client) as session:
        model, owner = await _find_model(session, server, client)
        version = await _version(session, server.url)
        connection = Connection(
            server.url,
            model,
            client,
            len(chat.tokenizer),
            f"{owner} {version}",
            server.kind,
        )
        prompt, token = chat.prompt("2 + 2"), chat.turn_end
        body = {"prompt": prompt, "max_tokens": 1}
        if connection.dialect == "llamacpp":
            body = llamacpp.body_of(prompt, 1, {})
        await _post(connection, session, pace, "probe/prompt", body)
        for stops in ([token], []):  # vLLM goes on after an end that it was not told to stop at
            fields = {"temperature": 0.0, "logit_bias": {str(token): BIAS}}
            key = f"probe/{len(stops)}"
            ids = await _completion(connection, session, pace, key, prompt, 2, stops, fields)
            if set(ids) != {token}:
                _unfit(connection, f"samples another token in spite of a logit_bias of {BIAS}")
        return connection


async def _find_model(session: Any, server: ServerEngine, client: Client) -> tuple[str, str]:
    """Return (model, owner): the model that is meant, and whose the server says it is.

    vLLM says "vllm" of all.
    """
    try:
        owners = _owners_of(await wire.send(session.get, "models", clients.LISTING))
    except (wire.Refused, wire.Failed) as error:
        if server.model is not None:
            return server.model, UNSTATED
        raise ServerError(
            f"{wire.origin_of(server.url)} does not list its models ({error}); start the server, "
            f"check engine.url, up to and with /v1, {wire.key_words(client)}, or say "
            "engine.model=..."
        ) from None
    if server.model is not None:
        return server.model, owners.get(server.model) or UNSTATED
    if len(owners) != 1:
        offers = ", ".join(sorted(owners)[:10]) or "no model"
        raise UserError(
            f"{wire.origin_of(server.url)} lists {offers}; say which one is meant with "
            "engine.model=..."
        )
    ((model, owner),) = owners.items()
    return model, owner or UNSTATED


def _owners_of(text: str) -> dict[str, str | None]:
    """Return {model: owner} of a list of models.

    Names and owners that are not short and printable are left out.
    """
    try:
        entries = json.loads(text)["data"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise wire.Failed("no list in its reply") from None
    owners = {}
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and (name := _printable(entry.get("id"))):
            owners[name] = _printable(entry.get("owned_by"))
    return owners


async def _version(session: Any, url: str) -> str:
    """Return the version that vLLM states at /version, beside /v1, or that none is stated."""
    try:
        reply = json.loads(await wire.send(session.get, _beside(url, "version"), clients.LISTING))
        version = _printable(reply["version"])
    except (wire.Refused, wire.Failed, ValueError, RecursionError, KeyError, TypeError):
        version = None
    return version or "version not stated"


def _beside(url: str, name: str) -> str:
    """Return the address of a name beside /v1."""
    return f"{url.rstrip('/').removesuffix('/v1')}/{name}"


def _printable(value: Any) -> str | None:
    """Return a short printable ASCII text as it is, and None for anything else."""
    return value if isinstance(value, str) and re.fullmatch("[ -~]{1,200}", value) else None
