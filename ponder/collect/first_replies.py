"""Stops a collection whose first replies give no trace, before the rest is paid for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ponder.api import replies, wire
from ponder.errors import ServerError

if TYPE_CHECKING:
    from ponder.api.client import Client
    from ponder.rows import Call

# Replies after which a server of which none gives a trace is asked nothing more.
FIRST = 8


def judge_of(
    url: str, kept: Sequence[Call], client: Client, why_rejected: Callable[[Call], str] | None
) -> Callable[[Call], None]:
    """Return the function that is told of each new call, after the `kept` ones.

    It raises ServerError, now or then, where FIRST replies, or client.give_up where that is more,
    were answered and none gives a trace.
    """
    most = max(FIRST, client.give_up)
    reasons: list[str] = []
    answered = (call for call in kept if call.status == "answered")
    has_trace = why_rejected is None or any(not why_rejected(call) for call in answered)

    def judge(call: Call) -> None:
        nonlocal has_trace
        if has_trace or why_rejected is None or call.status == "failed":
            return
        reason = why_rejected(call)
        has_trace = not reason
        reasons.append(reason)
        if not has_trace and len(reasons) >= most:
            raise ServerError(
                f"none of the first {len(reasons)} replies of {wire.origin_of(url)} gives a trace "
                f"(the last: {reason}); {_remedy(reason)}, or raise client.give_up to go on all "
                "the same"
            )

    for call in kept:
        judge(call)
    return judge


def _remedy(reason: str) -> str:
    """Return what may help where every reply is rejected for a reason."""
    if reason == "finish reason length":
        return "raise teacher.body.max_tokens"
    if reason.startswith("finish reason "):
        finish = reason.removeprefix("finish reason ").replace("missing", "''")
        names = ",".join([*replies.COMPLETE, finish])
        return f'if such replies are whole, say so with "+teacher.complete=[{names}]"'
    return (
        "let the server put the thinking into a field of its own, or say what ends it with "
        "teacher.reasoning_ends"
    )
