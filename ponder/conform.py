"""Does a server keep to its own thinking budget, at which token, and what does it do to the answer?

    python -m ponder.conform http://127.0.0.1:8000/v1
    python -m ponder.conform http://127.0.0.1:8000/v1 MODEL --budget 64
    python -m ponder.conform https://HOST/v1 MODEL --field thinking_budget client.key_env=MY_KEY
    python -m ponder.conform http://127.0.0.1:8080/v1 --started-with 64

One question is asked without a budget and once with each field that promises one, greedily, and a
table says what came of it. Where the server gives token ids, the same thinking is also forced to
end after exactly so many tokens, and the two answers are compared. Exit code 1: a promised budget
is not kept; 0: it is; 2: none could be judged, or a mistake.
"""

import argparse
import asyncio
import dataclasses
import json
import sys
from typing import Any

from ponder import config
from ponder.api import budgets, wire
from ponder.api.budgets import Field, Finding, Seen
from ponder.api.client import Client, model_of
from ponder.errors import ServerError, UserError, user_errors
from ponder.terminal import overrides

QUESTION = (
    "How many positive divisors does 360 have? Work it out step by step, then check the result."
)
# What makes a server list its tokens: logprobs for their texts (llama.cpp: ids too), vLLM's ids.
LISTED = {"logprobs": True, "return_token_ids": True}


@dataclasses.dataclass(frozen=True)
class Server:
    """A server, and how it is asked."""

    url: str
    model: str
    owner: str  # what it says that it is; "" where it does not
    client: Client
    limit: int  # max_tokens of each reply


async def findings(
    server: Server, budget: int, named: str | None, started: bool
) -> tuple[list[Finding], Seen]:
    """Return (findings, the reply without a budget) of a server.

    `started`: it was started with this budget, and no request names one; the reply beside it then
    has llama.cpp's words for no budget (-1). Raises ServerError where it gives no reply.
    """
    async with wire.session(server.url, server.client) as session:
        unlimited = {"reasoning_budget_tokens": -1} if started else {}
        listed = LISTED
        free = await _ask(session, server, {**listed, **unlimited})
        if free.refused:
            listed = {}
            free = await _ask(session, server, unlimited)
        if free.refused:
            raise ServerError(
                f"{wire.origin_of(server.url)} refuses a plain question with {free.refused}; check "
                "the name of the model, or give --tokens a lower number"
            )
        tried = budgets.fields_to_try(server.owner, named)
        if started:
            tried = [Field(budgets.STARTED, "", lambda n: {})]
        rows = []
        for field in tried:
            seen = await _ask(session, server, {**listed, **field.body(budget)})
            verdict = budgets.judge(free, seen, budget, server.limit)
            forcing = await _compared(session, server, free, seen, budget)
            rows.append(Finding(field.name, True, verdict, seen.tokens, forcing))
        if not named and not started:
            effort = await _ask(session, server, {**listed, **budgets.EFFORT.body(budget)})
            rows = [*budgets.findings(rows), _effort(effort)]
        return rows, free


def _effort(seen: Seen) -> Finding:
    """Return the finding of reasoning_effort=low, which promises no number."""
    verdict: budgets.Verdict = "refused" if seen.refused else "no number"
    return Finding(f"{budgets.EFFORT.name}=low", False, verdict, seen.tokens, "-")


async def _ask(session: Any, server: Server, fields: dict[str, Any]) -> Seen:
    """Return what the server answers to the question with some fields.

    Raises ServerError for an error other than a refusal of the request.
    """
    body = {
        "model": server.model,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": server.limit,
        "temperature": 0.0,
        **fields,
    }
    try:
        text = await wire.send(session.post, "chat/completions", server.client.timeout, body=body)
    except wire.Refused as error:
        words = wire.describe_status(error, server.client)
        if error.status in wire.UNFIT:
            return Seen(refused=words)
        raise ServerError(
            f"{wire.origin_of(server.url)} answers with {words} where it was asked with "
            f"{', '.join(fields) or 'no field'}; see what its log says"
        ) from None
    except wire.Failed as error:
        raise ServerError(
            f"{wire.origin_of(server.url)} gives no reply ({error}); see that it runs, and check "
            "its url, up to and with /v1"
        ) from None
    return budgets.read(text)


# --- exact forcing ---------------------------------------------------------------------


async def _compared(session: Any, server: Server, free: Seen, seen: Seen, budget: int) -> str:
    """Return how the answer compares with that of exact forcing, or why it does not."""
    if seen.refused:
        return "-"
    if not seen.answer:
        return "no answer"
    prompt = list(seen.prompt) or await _prompt_ids(session, server)
    ids = budgets.forced_ids(free, seen, prompt, budget)
    if not ids:
        return "not compared: no token ids"
    forced = await _completed(session, server, ids)
    if forced is None:
        return "not compared: takes no ids"
    words = budgets.same_answer(seen, forced)
    if words == "same" or not seen.tokens or seen.tokens >= budget:
        return words
    ids = budgets.forced_ids(free, seen, prompt, seen.tokens)  # it may end earlier than promised
    earlier = await _completed(session, server, ids) or ""
    return f"{words}; after {seen.tokens} tokens {budgets.same_answer(seen, earlier)}"


async def _prompt_ids(session: Any, server: Server) -> list[int]:
    """Return the ids that llama.cpp makes of the question, [] where the server is another."""
    messages = [{"role": "user", "content": QUESTION}]
    prompt = await _post(session, server, "apply-template", {"messages": messages})
    if not isinstance(prompt.get("prompt"), str):
        return []
    words = {"content": prompt["prompt"], "add_special": True, "parse_special": True}
    tokens = (await _post(session, server, "tokenize", words)).get("tokens")
    return tokens if isinstance(tokens, list) else []


async def _completed(session: Any, server: Server, ids: list[int]) -> str | None:
    """Return the text that goes on from ids, greedily; None where the server takes none."""
    limit = server.limit
    if server.owner == "llamacpp":
        body = {"prompt": ids, "n_predict": limit, "temperature": 0.0}
        text = (await _post(session, server, "completion", body)).get("content")
        return text if isinstance(text, str) else None
    body = {"model": server.model, "prompt": ids, "max_tokens": limit, "temperature": 0.0}
    choices = (await _post(session, server, "v1/completions", body)).get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    text = choice.get("text") if isinstance(choice, dict) else None
    return text if isinstance(text, str) else None


async def _post(session: Any, server: Server, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON object of a reply, {} where the server has no such address."""
    address = f"{server.url.rstrip('/').removesuffix('/v1')}/{path}"
    try:
        reply = json.loads(await wire.send(session.post, address, server.client.timeout, body=body))
    except (wire.Refused, wire.Failed, ValueError, RecursionError):
        return {}
    return reply if isinstance(reply, dict) else {}


# --- the command -----------------------------------------------------------------------


async def _owner(url: str, client: Client, model: str) -> str:
    """Return what a server says it is: the owned_by of its model, "" where it does not say."""
    async with wire.session(url, client) as session:
        try:
            reply = json.loads(await wire.send(session.get, "models", client.timeout))
            entries = reply["data"]
            owners = [entry["owned_by"] for entry in entries if entry.get("id") == model]
        except (wire.Refused, wire.Failed, ValueError, RecursionError, KeyError, TypeError):
            return ""
        return owners[0] if owners and isinstance(owners[0], str) else ""


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ponder.conform",
        description="Hold a server to its own thinking budget.",
    )
    parser.add_argument("url", help="of the server, up to and with /v1")
    parser.add_argument(
        "words", nargs="*", help="the model, and overrides such as client.timeout=9"
    )
    parser.add_argument("--budget", type=int, default=32, help="tokens of thinking (32)")
    parser.add_argument("--tokens", type=int, default=512, help="tokens of a whole reply (512)")
    parser.add_argument("--field", help="the only field to try, such as thinking_token_budget")
    parser.add_argument(
        "--started-with", type=int, help="the budget that the server was started with; no field"
    )
    return parser


def checked(words: argparse.Namespace) -> tuple[int, list[str], list[str]]:
    """Return (budget, models, overrides) of a command line; raises UserError for a mistake."""
    budget = words.budget if words.started_with is None else words.started_with
    known = [field.name for field in budgets.FIELDS]
    if words.field is not None and words.field not in known:
        near = config.nearest(words.field, known)
        hint = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
        raise UserError(f"--field {words.field} is no field of a thinking budget; {hint}")
    if not 1 <= budget < words.tokens:
        raise UserError(
            f"a budget of {budget} does not fit --tokens {words.tokens}; give at least 1, and less "
            "than a whole reply has"
        )
    models = [word for word in words.words if "=" not in word]
    if len(models) > 1:
        raise UserError(f"{' and '.join(models)} are two models; name one")
    return budget, models, [word for word in words.words if "=" in word]


@user_errors
def main() -> None:
    """Ask the server, print the table, and leave with its exit code."""
    words = arguments().parse_args()
    budget, models, settings = checked(words)
    wire.origin_of(words.url)
    client = config.build(Client, overrides.composed("evaluate", settings).client, "client")
    model = models[0] if models else model_of(words.url, client)
    owner = asyncio.run(_owner(words.url, client, model))
    server = Server(words.url, model, owner, client, words.tokens)
    started = words.started_with is not None
    rows, free = asyncio.run(findings(server, budget, words.field, started))
    print(f"{model} at {wire.origin_of(words.url)}, {owner or 'of unknown make'}: {budget} tokens")
    print(budgets.table(rows, free, budget))
    if (code := budgets.exit_code(rows)) == 2:
        raise UserError(_unjudged(free, budget))
    print("a promised budget is not kept" if code else "kept")
    sys.exit(code)


def _unjudged(free: Seen, budget: int) -> str:
    """Return the sentence for a server of which no budget could be judged."""
    if not free.thinking:
        return (
            "the model does not think at its chat endpoint, so no budget can be judged; serve one "
            "that does"
        )
    if free.tokens is not None and free.tokens <= budget:
        return (
            f"it thinks {free.tokens} tokens without a budget, so one of {budget} says nothing; "
            "give a lower --budget"
        )
    return (
        "no field of a thinking budget can be judged; start the server with one, or force budgets "
        "by engine=server"
    )


if __name__ == "__main__":
    main()
