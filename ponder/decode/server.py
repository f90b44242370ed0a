"""The engine `server`: rows of Requests (ponder/decode/budget.py) decoded by a server that takes and returns token ids, as vLLM does.

Each call is one POST to /v1/completions, after a prompt of everything so far: the server keeps nothing. The fields are those of
vLLM (vllm/entrypoints/openai/completion/protocol.py; return_token_ids since 0.10.2, its pull request 22587). All that shapes
the sampling is sent: a server fills in what is left out from the model's generation_config.json (its "OpenAI-Compatible
Server" page). Not used are `stop`, which is text, and `min_tokens`, which also bars the model's own ends, asked for or not
(vllm/sampling_params.py, update_from_generation_config; its pull request 5849). Issue 5.
"""

import asyncio
import itertools
import json
import re
from dataclasses import dataclass
from typing import Literal

from ponder.api import client as clients
from ponder.api import limits, wire
from ponder.decode import budget as budgets
from ponder.errors import UserError
from ponder.hashing import purpose_seed

UNSTATED = "engine not stated,"
BIAS = 100  # what vLLM cuts a logit_bias to: the most it has for "always", and for "never", which is why replies are checked
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
NEEDED = (
    "budget forcing needs a server that takes and returns token ids, as vLLM does, and not text alone; check engine.url and "
    "how that server was started, or take engine=hf"
)


@dataclass(frozen=True)
class HfEngine:
    """transformers in this process (conf/engine, ponder/decode/hf.py)."""

    kind: Literal["hf"]
    name: str


@dataclass(frozen=True)
class ServerEngine:
    """A server of token ids (conf/engine); how it is asked is in conf/client."""

    kind: Literal["server"]
    name: str
    url: str  # up to and with /v1
    model: str | None  # null: the only model that the server lists

    def __post_init__(self):
        wire.origin_of(self.url)


@dataclass(frozen=True)
class Connection:
    """A server that was tried and found fit."""

    url: str
    model: str
    client: clients.Client
    vocabulary: int  # ids from here on are none of the tokenizer
    said: str  # what answers and its version, as the server states them

    @property
    def origin(self):
        """The address without its path."""
        return wire.origin_of(self.url)


def connect(server, client, chat):
    """Return the Connection of a ServerEngine, asked as a Client says, for the model whose Chat this is.

    Raises UserError, before anything is measured, when it cannot be reached, lists no single model where none is named, or
    is unfit: when it refuses token ids, returns none, or does not keep to stop_token_ids, ignore_eos and logit_bias.
    """
    if client.max_dollars is not None:
        raise UserError(
            f"client.max_dollars={client.max_dollars:g} bounds what collect.py spends, and evaluate.py counts no "
            "dollars; leave it null with engine=server"
        )
    return asyncio.run(_connect(server, client, chat))


def run(connection, prompts, rows, temperature=0.0, purposes=None):
    """Yield (index, what the row returned) of each row as it is done; rows and `prompts` as in engine.run.

    client.concurrency rows are under way at once. At a temperature of 0 each call takes the likeliest tokens; above it the n-th
    call of a row draws with the seed named by its purpose and n, so that nothing depends on what comes when. Raises
    UserError when the server fails for good, or returns what does not fit what it was asked.
    """
    if temperature and not 0.01 <= temperature <= 2:
        raise UserError(
            f"decoding.temperature={temperature:g} is none that vLLM draws at as it is; give 0, or 0.01 to 2"
        )
    assert purposes is not None or not temperature, "draws need purposes"
    made = _run(connection, prompts, rows, temperature, purposes)

    async def following():
        return await anext(made, None)

    with asyncio.Runner() as runner:
        try:
            while (pair := runner.run(following())) is not None:
                yield pair
        finally:
            runner.run(made.aclose())


async def decoded(prompt, row, call):
    """Return what a row returns. `call(number, prompt, limit, stops, barred)` gives the ids of one completion, `number` counts."""
    ids, done, numbers = [], None, itertools.count()
    while True:
        try:
            request = row.send(done)
        except StopIteration as end:
            return end.value
        ids, said, stop = [*ids[: request.keep], *request.ids], (), ()
        while not stop and len(said) < request.limit:
            said += await call(next(numbers), [*prompt, *ids, *said], *next_call(request, said))
            stop = budgets.stop_of(said, request.stops)
        done = budgets.Completion(said, stop)
        ids += said


def next_call(request, said):
    """Return (limit, stops, barred) of the call that goes on with a Request of which the tokens `said` are sampled.

    A server stops at single tokens. So a call ends where a stop of several tokens may have begun, and the next goes no
    further than where one could be complete: what follows either ends it there or goes on. While a suppressed stop may be
    all that is sampled, one token is asked for at a time, without those in `barred`.
    """
    stops = [tuple(stop) for stop in request.stops if stop]
    begun = [
        len(stop) - n for stop in stops for n in range(1, len(stop)) if said[-n:] == stop[:n]
    ]  # tokens until one ends
    limit = min([request.limit - len(said), *begun])
    if request.suppress and any(said == stop[: len(said)] for stop in stops):
        limit = 1
    return (
        limit,
        sorted({stop[0] for stop in stops}),
        budgets.barred(said, stops) if request.suppress else [],
    )


def read(text, prompt, limit, stops, vocabulary):
    """Return (ids, "") of the body of a completion, or ((), what is wrong with it): nothing in it is believed."""
    try:
        (choice,) = json.loads(text)["choices"]
        ids, finish, echo = (
            choice.get(key) for key in ("token_ids", "finish_reason", "prompt_token_ids")
        )
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return (), "returns no single completion"
    if ids is None:
        return (), "returns text without token ids"
    if not isinstance(ids, list) or any(
        type(token) is not int or not 0 <= token < vocabulary for token in ids
    ):
        return (), f"returns something else than ids of the {vocabulary} tokens of this tokenizer"
    if echo is not None and echo != prompt:
        return (), "reads other tokens than those of its prompt"
    if len(ids) > limit:
        return (), f"returns {len(ids)} tokens where it was asked for {limit}"
    if any(token in stops for token in ids[:-1]):
        return (), "goes on after a token that it was told to stop at"
    ended = bool(ids) and ids[-1] in stops
    if finish == "stop" and not ended:
        return (), "stops where it was not told to, or leaves out the token that it stopped at"
    if finish == "length" and len(ids) < limit:
        return (
            (),
            f"ends after {len(ids)} of {limit} tokens, as if its context were shorter than model.context",
        )
    if finish not in ("stop", "length") or ended != (finish == "stop"):
        return (), "gives a reason for the end that does not fit the tokens"
    return tuple(ids), ""


# --- asking ----------------------------------------------------------------------------


async def _run(connection, prompts, rows, temperature, purposes):
    room, pace = (
        asyncio.Semaphore(connection.client.concurrency),
        limits.Pace(connection.client.per_minute),
    )

    async def one(session, index):
        async def call(number, prompt, limit, stops, barred):
            seed = {"seed": purpose_seed(f"{purposes[index]}/{number}")} if temperature else {}
            bias = {"logit_bias": {str(token): -BIAS for token in barred}} if barred else {}
            fields = {"temperature": temperature, **seed, **bias}
            ids = await _completion(
                connection, session, pace, f"{index}/{number}", prompt, limit, stops, fields
            )
            if ids[-1] in barred:
                _unfit(connection, f"samples a token in spite of a logit_bias of -{BIAS}")
            return ids

        async with room:
            return await decoded(prompts[index], rows[index], call)

    async with wire.session(connection.url, connection.client) as session:
        tasks = {asyncio.ensure_future(one(session, index)): index for index in range(len(prompts))}
        waiting = set(tasks)
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for index, task in sorted((tasks[task], task) for task in done):
                    yield index, task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(
                *tasks, return_exceptions=True
            )  # those that failed beside the first too: it is told alone


async def _completion(connection, session, pace, key, prompt, limit, stops, fields):
    """Return the ids of one completion; raises UserError for a server that gives none that fits."""
    body = {"prompt": prompt, "max_tokens": limit, "stop_token_ids": stops, **FIELDS, **fields}
    ids, wrong = read(
        await _post(connection, session, pace, key, body),
        prompt,
        limit,
        stops,
        connection.vocabulary,
    )
    if wrong:
        _unfit(connection, wrong)
    return ids


async def _post(connection, session, pace, key, body):
    """Return the text of a reply; raises UserError where no attempt gives one."""
    request = {"key": key, "body": {"model": connection.model, **body}}
    result = await clients.answer(
        session, "completions", request, pace, limits.Book(connection.client, 0.0)
    )
    if result.status == "answered":
        return result.response
    if result.reason.startswith(tuple(f"status {status}" for status in clients.UNFIT)):
        _unfit(
            connection,
            f"refuses a prompt of {len(body['prompt'])} token ids, {body['max_tokens']} to follow, with "
            f"{result.reason}",
        )
    raise UserError(
        f"{connection.origin} gives no completion: attempt {result.attempts} ended with {result.reason}; see that it "
        "runs, and the same command goes on from what is kept"
    )


def _unfit(connection, why):
    raise UserError(f"{connection.origin} {why}; {NEEDED}")


async def _connect(server, client, chat):
    pace = limits.Pace(client.per_minute)
    async with wire.session(server.url, client) as session:
        model, owner = await _listed(session, server, client)
        version = await _version(session, server.url)
        made = Connection(server.url, model, client, len(chat.tokenizer), f"{owner} {version}")
        prompt, token = chat.prompt("2 + 2"), chat.turn_end
        await _post(made, session, pace, "probe/prompt", {"prompt": prompt, "max_tokens": 1})
        for stops, wanted in (([token], (token,)), ([], (token, token))):
            fields = {"temperature": 0.0, "logit_bias": {str(token): BIAS}}
            ids = await _completion(
                made, session, pace, f"probe/{len(stops)}", prompt, 2, stops, fields
            )
            if ids != wanted:
                _unfit(made, f"samples another token in spite of a logit_bias of {BIAS}")
        return made


async def _listed(session, server, client):
    """Return (model, owner): the model that is meant, and whose the server says it is (vLLM says "vllm" of all)."""
    try:
        rows = _rows(await wire.send(session.get, "models", clients.LISTING))
    except (wire.Refused, wire.Failed) as error:
        if server.model is not None:
            return server.model, UNSTATED
        raise UserError(
            f"{wire.origin_of(server.url)} does not list its models ({error}); start the server, check engine.url, "
            f"up to and with /v1, {wire.key_words(client)}, or say engine.model=..."
        ) from None
    if server.model is None and len(rows) != 1:
        offers = ", ".join(sorted(rows)[:10]) or "no model"
        raise UserError(
            f"{wire.origin_of(server.url)} lists {offers}; say which one is meant with engine.model=..."
        )
    model = next(iter(rows)) if server.model is None else server.model
    return model, rows.get(model) or UNSTATED


def _rows(text):
    """Return {name: owner} of a list of models; names and owners that are not short and printable are left out."""
    try:
        rows = json.loads(text)["data"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise wire.Failed("no list in its reply") from None
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return {name: _word(row.get("owned_by")) for row in rows if (name := _word(row.get("id")))}


async def _version(session, url):
    """Return the version that vLLM states at /version, beside /v1, or that none is stated."""
    try:
        said = json.loads(
            await wire.send(
                session.get, f"{url.rstrip('/').removesuffix('/v1')}/version", clients.LISTING
            )
        )
        version = _word(said["version"])
    except (wire.Refused, wire.Failed, ValueError, RecursionError, KeyError, TypeError):
        version = None
    return version or "version not stated"


def _word(value):
    return value if isinstance(value, str) and re.fullmatch("[ -~]{1,200}", value) else None
