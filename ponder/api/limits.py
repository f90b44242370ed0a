"""What many requests to a server may not pass: attempts a minute, the waits that the server asks for, dollars. Issue 3."""

import asyncio
import contextlib
import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

from ponder.errors import UserError
from ponder.runs import dump

TEMPLATE = 32  # tokens that a chat template may put around one message


def key_of(*parts):
    """Return the name of a request: 16 hex of everything that is asked."""
    return hashlib.sha256(dump(parts).encode()).hexdigest()[:16]


def check_body(where, body):
    """Raise UserError for the fields of a request (conf/teacher, conf/domains) that we set ourselves, or without a bound."""
    if taken := {"messages", "model", "stream", "n"} & set(body):
        raise UserError(f"{where} has {min(taken)}, which collect.py sets itself; leave it out")
    if type(bound_of(body)) is not int or bound_of(body) < 1:
        raise UserError(
            f"{where}.max_tokens is {bound_of(body)!r}, but it, or max_completion_tokens, must be a whole number of "
            "1 or more: it bounds the cost"
        )


def prompt_of(body):
    """Return what a request asks: its text, or its token ids."""
    return (
        body["prompt"]
        if "prompt" in body
        else "\n".join(message["content"] for message in body["messages"])
    )


def bound_of(body):
    """Return the most completion tokens of a request, or None."""
    return body.get("max_completion_tokens", body.get("max_tokens"))


@dataclass
class Book:
    """Dollars spent, and those that the requests in flight may still cost."""

    client: Any  # client.Client
    spent: float
    tell: Any = lambda dollars: None  # is told what `lost` adds
    flying: dict = field(default_factory=dict)  # task: most dollars

    def most(self, body):
        """Return the most dollars of one attempt: a prompt has no more tokens than bytes and those of its template."""
        if not self.client.priced:
            return 0.0
        prompt = prompt_of(body)
        tokens = (
            len(prompt)
            if isinstance(prompt, list)
            else len(prompt.encode()) + TEMPLATE * len(body.get("messages", [1]))
        )
        return self.client.dollars(tokens, bound_of(body) or 0)

    def lost(self, dollars):
        """Count what an attempt may have cost unseen."""
        self.spent += dollars
        if dollars:
            self.tell(dollars)

    def covers(self, dollars=0.0):
        """Return whether client.max_dollars holds even if all that is in flight, and `dollars` more, costs the most it may."""
        limit = self.client.max_dollars
        return limit is None or self.spent + sum(self.flying.values()) + dollars <= limit

    def refusal(self):
        """Return why nothing more is asked."""
        return (
            f"client.max_dollars={self.client.max_dollars:g} may not cover another request after {self.spent:.4f} dollars; "
            "raise it"
        )


class Pace:
    """When the next attempt may start: client.per_minute, the waits that the server asks for, never after a stop."""

    def __init__(self, per_minute):
        self.gap = 60 / per_minute if per_minute else 0.0
        self.start = 0.0
        self.lock = asyncio.Lock()
        self.stopped = asyncio.Event()

    def hold(self, seconds):
        """Let nothing start for some seconds."""
        self.start = max(self.start, time.monotonic() + seconds)

    async def rest(self, seconds):
        """Wait, but not beyond a stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopped.wait(), seconds)

    async def turn(self):
        """Wait for the turn of the next attempt; return False after a stop."""
        async with self.lock:
            while not self.stopped.is_set() and (wait := self.start - time.monotonic()) > 0:
                await self.rest(wait)
            self.hold(self.gap)
        return not self.stopped.is_set()
