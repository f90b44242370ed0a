"""What many requests to a server may not exceed: attempts a minute, its own waits, dollars."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from ponder.errors import UserError
from ponder.runs import dump

if TYPE_CHECKING:
    from ponder.api.client import Client

# Tokens that a chat template may put around one message.
TEMPLATE_TOKENS = 32
# Fields of a request that collect.py sets itself.
OWN_FIELDS = {"messages", "model", "stream", "n"}


class Request(TypedDict):
    """One request to a server: what it is called, and its JSON body."""

    key: str
    body: dict[str, Any]


def key_of(*parts: Any) -> str:
    """Return the name of a request: the first 16 hex digits of a SHA-256 of all that is asked."""
    return hashlib.sha256(dump(parts).encode()).hexdigest()[:16]


def check_body(where: str, body: dict[str, Any]) -> None:
    """Raise UserError for request fields (conf/teacher, conf/domains) that are ours or unbounded.

    Ours are OWN_FIELDS; unbounded is a request without a limit on the tokens of its reply.
    """
    if own := OWN_FIELDS & set(body):
        raise UserError(f"{where} has {min(own)}, which collect.py sets itself; leave it out")
    bound = bound_of(body)
    if type(bound) is not int or bound < 1:
        raise UserError(
            f"{where}.max_tokens is {bound!r}, but it, or max_completion_tokens, must be a whole "
            "number of 1 or more: it bounds the cost"
        )


def prompt_of(body: dict[str, Any]) -> str | list[int]:
    """Return what a request asks: its text, or its token ids."""
    if "prompt" in body:
        return body["prompt"]
    return "\n".join(message["content"] for message in body["messages"])


def bound_of(body: dict[str, Any]) -> Any:
    """Return the most completion tokens of a request, as its body states them, or None."""
    return body.get("max_completion_tokens", body.get("max_tokens"))


@dataclass
class Book:
    """Dollars spent, and those that the requests in flight may still cost."""

    client: Client
    spent: float
    # Called with the dollars that `count_loss` adds.
    on_loss: Callable[[float], object] = lambda dollars: None
    # The most dollars that each task in flight may cost.
    in_flight: dict[asyncio.Task, float] = field(default_factory=dict)

    def most_dollars(self, body: dict[str, Any]) -> float:
        """Return the most dollars of one attempt; 0.0 where a price is unknown.

        A prompt has at most as many tokens as bytes, and those of its template.
        """
        prompt = prompt_of(body)
        if isinstance(prompt, list):
            tokens = len(prompt)
        else:
            tokens = len(prompt.encode()) + TEMPLATE_TOKENS * len(body.get("messages", [1]))
        return self.client.dollars(tokens, bound_of(body) or 0) or 0.0

    def count_loss(self, dollars: float) -> None:
        """Add what an attempt may have cost without an answer that says so."""
        self.spent += dollars
        if dollars:
            self.on_loss(dollars)

    def covers(self, dollars: float = 0.0) -> bool:
        """Return whether client.max_dollars holds at worst.

        At worst all that is in flight, and `dollars` more, costs the most that it may.
        """
        limit = self.client.max_dollars
        return limit is None or self.spent + sum(self.in_flight.values()) + dollars <= limit

    def refusal(self) -> UserError:
        """Return the error that says why nothing more is asked."""
        return UserError(
            f"client.max_dollars={self.client.max_dollars:g} may not cover another request after "
            f"{self.spent:.4f} dollars; raise it"
        )


class Pace:
    """When the next attempt may start.

    It keeps to client.per_minute and to the waits that a server asks for, and starts nothing after
    `stopped` is set.
    """

    def __init__(self, per_minute: int | None) -> None:
        self.gap = 60 / per_minute if per_minute else 0.0
        self.start = 0.0
        self.lock = asyncio.Lock()
        self.stopped = asyncio.Event()

    def hold(self, seconds: float) -> None:
        """Let nothing start for some seconds."""
        self.start = max(self.start, time.monotonic() + seconds)

    async def rest(self, seconds: float) -> None:
        """Wait, but not beyond a stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopped.wait(), seconds)

    async def turn(self) -> bool:
        """Wait for the turn of the next attempt; return False after a stop."""
        async with self.lock:
            while not self.stopped.is_set() and (wait := self.start - time.monotonic()) > 0:
                await self.rest(wait)
            self.hold(self.gap)
        return not self.stopped.is_set()
