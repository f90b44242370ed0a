"""What a server's own thinking budget did, judged from its replies; nothing here asks a server.

A chat server that promises a budget names a field of the request for it. Field names: vLLM, page
"Reasoning Outputs" and vllm/config/reasoning.py (a start with --reasoning-config); llama.cpp,
tools/server (its chat endpoint reads both names; -1 is no budget, as of --reasoning-budget);
SGLang, page "Thinking Budget" (a start with --enable-strict-thinking); OpenRouter and Anthropic,
their pages on reasoning tokens; DashScope's deep thinking.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ponder.api import replies

Verdict = Literal[
    "kept",  # the thinking has at most so many tokens, and an answer follows
    "not kept",  # it has more
    "ignored",  # it is the thinking without a budget, word for word
    "cuts the answer",  # the budget ended the answer too, or nothing is left of it
    "refused",  # the server knows no such field
    "not tested",  # without a budget it thinks no longer than that
    "not counted",  # it is another thinking, and nothing tells its tokens
    "no number",  # the field promises less thinking, but no number of tokens
]
BROKEN = ("not kept", "ignored", "cuts the answer")
JUDGED = ("kept", *BROKEN)
STARTED = "as started"  # the field of a budget that the server was started with


@dataclass(frozen=True)
class Field:
    """A field of a request that promises a thinking budget."""

    name: str  # dotted
    owner: str  # what /v1/models calls the server whose field it is; "" for hosted ones
    body: Callable[[int], dict[str, Any]]


FIELDS = (
    Field("thinking_token_budget", "vllm", lambda n: {"thinking_token_budget": n}),
    Field("reasoning_budget_tokens", "llamacpp", lambda n: {"reasoning_budget_tokens": n}),
    Field("thinking_budget_tokens", "llamacpp", lambda n: {"thinking_budget_tokens": n}),
    Field(
        "custom_params.thinking_budget",
        "sglang",
        lambda n: {"custom_params": {"thinking_budget": n}},
    ),
    Field("reasoning.max_tokens", "", lambda n: {"reasoning": {"max_tokens": n}}),
    Field(
        "thinking.budget_tokens",
        "",
        lambda n: {"thinking": {"type": "enabled", "budget_tokens": n}},
    ),
    Field("thinking_budget", "", lambda n: {"thinking_budget": n}),
    Field("max_thinking", "", lambda n: {"max_thinking": n}),
)
EFFORT = Field("reasoning_effort", "", lambda n: {"reasoning_effort": "low"})


@dataclass(frozen=True)
class Seen:
    """One reply, or why there is none."""

    thinking: str = ""
    answer: str = ""
    finish: str = ""
    pieces: tuple[str, ...] = ()  # texts of all its tokens, where the server gives them
    ids: tuple[int, ...] = ()  # of the same tokens, where it gives these too
    prompt: tuple[int, ...] = ()  # ids of the prompt, where it gives them
    tokens: int | None = None  # of the thinking
    completion: int | None = None  # tokens of all, as the server counts them
    refused: str = ""


@dataclass(frozen=True)
class Finding:
    """What one field does: a line of the table."""

    field: str
    promised: bool
    verdict: Verdict
    bound: int | None  # tokens of the thinking; None: unknown
    forcing: str  # same | differs | why it was not compared


def read(text: str) -> Seen:
    """Return what the body of a chat completion shows; an empty Seen where it shows nothing."""
    try:
        record = json.loads(text)  # not replies.record_of, which leaves out every id
    except (ValueError, RecursionError):
        record = {}
    record = record if isinstance(record, dict) else {}
    reply = replies.parse(text, None)
    choices = record.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    choice = choice if isinstance(choice, dict) else {}
    pieces, ids = _pieces(choice)
    thinking = min(_opening(pieces, reply.think), len(pieces))
    details = record.get("usage")
    details = details.get("completion_tokens_details") if isinstance(details, dict) else None
    stated = details.get("reasoning_tokens") if isinstance(details, dict) else None
    tokens = thinking if pieces else stated if type(stated) is int else None
    return Seen(
        thinking=reply.think,
        answer=reply.answer,
        finish=reply.finish,
        pieces=pieces,
        ids=ids,
        prompt=_whole_numbers(record.get("prompt_token_ids")),
        tokens=0 if not reply.think else tokens,
        completion=reply.usage["completion_tokens"],
    )


def _pieces(choice: dict[str, Any]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return (texts, ids) of the tokens of a choice, from its logprobs; empty where it has none.

    llama.cpp states the id beside each text; vLLM lists the ids as token_ids (return_token_ids).
    """
    logprobs = choice.get("logprobs")
    entries = logprobs.get("content") if isinstance(logprobs, dict) else None
    entries = entries if isinstance(entries, list) else []
    if not all(
        isinstance(entry, dict) and isinstance(entry.get("token"), str) for entry in entries
    ):
        return (), ()
    ids = _whole_numbers(choice.get("token_ids"))
    ids = ids or _whole_numbers([entry.get("id") for entry in entries])
    return tuple(entry["token"] for entry in entries), ids if len(ids) == len(entries) else ()


def _whole_numbers(values: Any) -> tuple[int, ...]:
    """Return a list of ids as a tuple, and () for anything else."""
    if isinstance(values, list) and all(type(value) is int for value in values):
        return tuple(values)
    return ()


def _opening(pieces: Sequence[str], thinking: str) -> int:
    """Return how many tokens there are up to the last visible character of the thinking."""
    text = ""
    for count, piece in enumerate(pieces, start=1):
        text += piece
        if thinking and thinking in text:
            return count
    return len(pieces)


def judge(free: Seen, seen: Seen, budget: int, limit: int) -> Verdict:
    """Return the Verdict of a reply under a budget, beside the one without.

    `limit` is the max_tokens of both. A reply that ends for its length before that was ended by the
    budget.
    """
    if seen.refused:
        return "refused"
    if not free.thinking or (free.tokens is not None and free.tokens <= budget):
        return "not tested"
    if seen.thinking == free.thinking:
        return "ignored"
    if seen.tokens is None:
        return "not counted"
    if seen.tokens > budget:
        return "not kept"
    cut = seen.finish == "length" and (seen.completion is None or seen.completion < limit)
    return "cuts the answer" if cut or not seen.answer else "kept"


def fields_to_try(owner: str, named: str | None) -> list[Field]:
    """Return the fields to ask a server with: its own, the one that is named, or all of them."""
    if named is not None:
        return [field for field in FIELDS if field.name == named]
    own = [field for field in FIELDS if field.owner == owner and owner]
    return own or list(FIELDS)


def findings(rows: Iterable[Finding]) -> list[Finding]:
    """Return the findings of a server that names no field of its own, with what it promises.

    Where a field binds it is the one, and the others are none of the server's; where none does,
    each one that was accepted without an effect is a promise.
    """
    rows = list(rows)
    binds = any(row.verdict in ("kept", "not kept", "cuts the answer") for row in rows)
    return [
        Finding(
            row.field, not (binds and row.verdict == "ignored"), row.verdict, row.bound, row.forcing
        )
        for row in rows
    ]


def exit_code(rows: Sequence[Finding]) -> int:
    """Return 1 where a promised budget is not kept, 0 where one is, 2 where none is judged."""
    promised = [row.verdict for row in rows if row.promised]
    if any(verdict in BROKEN for verdict in promised):
        return 1
    return 0 if "kept" in promised else 2


def forced_ids(free: Seen, seen: Seen, prompt: Sequence[int], budget: int) -> list[int]:
    """Return the ids that force the thinking of `free` to end after `budget` tokens.

    It is closed as the server closed it in `seen`: by the tokens between thinking and answer.
    [] where one of them is without ids or the closing cannot be told.
    """
    if not (free.ids and seen.ids and prompt and seen.answer and seen.tokens is not None):
        return []
    for end in range(seen.tokens, len(seen.ids)):
        if "".join(seen.pieces[end:]).strip().startswith(seen.answer[:1]) and _begins(seen, end):
            return [*prompt, *free.ids[:budget], *seen.ids[seen.tokens : end]]
    return []


def _begins(seen: Seen, start: int) -> bool:
    """Return whether the answer of a reply begins with its token `start`, white space left out.

    Its first line is looked for: special tokens have a text here, and none in the answer.
    """
    rest = "".join(seen.pieces[start:])
    shown = rest.strip()
    return bool(seen.pieces[start].strip()) and shown.startswith(seen.answer.splitlines()[0])


def same_answer(seen: Seen, forced: str) -> str:
    """Return "same" where one of two answers begins with the other: a limit may have cut one."""
    first, second = seen.answer.strip(), forced.strip()
    same = bool(second) and (first.startswith(second) or second.startswith(first))
    return "same" if same else "differs"


def table(rows: Sequence[Finding], free: Seen, budget: int) -> str:
    """Return the findings as text: a line for each field."""
    lines = [("field", "promised", "ends after", "answer beside exact forcing", "verdict")]
    for row in rows:
        bound = "unknown" if row.bound is None else f"{row.bound} tokens"
        promised = str(budget) if row.promised and row.verdict != "no number" else "-"
        lines.append((row.field, promised, bound, row.forcing, row.verdict))
    bound = "unknown" if free.tokens is None else f"{free.tokens} tokens"
    lines.append(("(none)", "-", bound, "-", "without a budget"))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
