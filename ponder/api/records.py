"""What is kept of a server's reply: its JSON, whole, without ids, clocks and fields of an account.

Pure functions; every input is hostile.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from ponder.runs import dump

# Levels of objects and lists in each other; a reply has about eight.
DEPTH = 64
# Seconds since 1970; a number above it is no time of a reply.
LARGEST_TIME = 10**11
# Words in the name of a field that is left out: who asked, and when.
ACCOUNT = {
    "account",
    "auth",
    "authorization",
    "billing",
    "cookie",
    "customer",
    "email",
    "ip",
    "key",
    "org",
    "organisation",
    "organization",
    "owner",
    "project",
    "secret",
    "session",
    "tenant",
    "user",
}
CLOCKS = {"created", "duration", "latency", "time", "timestamp", "timings"}
# Stands where a reply repeated the key that it was asked with.
KEY_MARK = "[the key stood here]"
# Characters. A shorter key, such as "none" or "EMPTY", is no secret, and a shorter piece of one is
# chance.
SHORTEST_KEY, SHORTEST_PIECE = 8, 12


def record_of(response: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (record, names) of a response's text: what is kept, and its `id` and `created`.

    The record is the JSON object that the server sent, less the fields whose name has a word of
    ACCOUNT or CLOCKS or ends with id, at any depth. Every text can be written as UTF-8 (a lone
    surrogate becomes U+FFFD), a number that is not finite is None, and the JSON of a record has
    itself as its record. Both are {} where the response is no JSON object or one of more than DEPTH
    levels.
    """
    data = load(response)
    names = {"id": _text(data.get("id")), "created": time_of(data.get("created"))}
    return _kept(data), {name: value for name, value in names.items() if value is not None}


def load(response: str) -> dict[str, Any]:
    """Return the JSON object in a response's text; {} where there is none.

    Before and after it may stand what keeps a connection alive: a byte-order mark, white space, and
    the comments and field names of server-sent events (html.spec.whatwg.org, 9.2.6).
    """
    text = response.strip("\ufeff \t\r\n")
    for candidate in (text, _event_data(text)):
        try:
            data = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        return data if isinstance(data, dict) and _depth(data) <= DEPTH else {}
    return {}


def _event_data(text: str) -> str:
    """Return a text without the lines and names that only server-sent events have."""
    lines = map(_event_line, re.split("\r\n|\r|\n", text))
    return "\n".join(line for line in lines if line)


def _event_line(line: str) -> str:
    """Return the data in a line of server-sent events; a line of other text as it is."""
    line = line.strip("\ufeff \t\r\n")
    if re.match(r":|event:|retry:|id:|data:\s*\[DONE\]", line):
        return ""
    return line.removeprefix("data:")


def _depth(value: Any) -> int:
    """Return how many levels of objects and lists a value has, up to DEPTH + 1."""
    level, depth = [value], 0
    while level and depth <= DEPTH:
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        level, depth = inner, depth + 1
    return depth


def _kept(value: Any) -> Any:
    """Return what a record keeps of a value."""
    if isinstance(value, dict):
        fields = {_text(name): _kept(item) for name, item in value.items() if not _left_out(name)}
        return {name: item for name, item in fields.items() if name is not None}
    if isinstance(value, list):
        return [_kept(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _text(value) if isinstance(value, str) else value


def _left_out(name: str) -> bool:
    """Return whether a field is of an account, an id or a clock, by the words of its name."""
    words = [word.lower() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", name)]
    return bool(words) and (words[-1] == "id" or not {*ACCOUNT, *CLOCKS}.isdisjoint(words))


def _text(value: Any) -> str | None:
    """Return a text that can be written as UTF-8, or None where the value is no text."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def time_of(value: Any) -> int | None:
    """Return a time in seconds since 1970, or None where the value is none."""
    return value if type(value) is int and 0 <= value <= LARGEST_TIME else None


# --- the key ---------------------------------------------------------------------------


def without_key(response: str, key: str) -> str:
    """Return a response's text with KEY_MARK in place of the key and of long pieces of it.

    It is looked for in the texts of the JSON, however they are escaped; a response without it comes
    back as it is.
    """
    if len(key) < SHORTEST_KEY:
        return response
    hidden = _hider(key)
    data = load(response)
    if not data:
        return hidden(response)
    shown = _mapped(data, hidden)
    return response if shown == data else dump(shown)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value of JSON with every text in it changed, the names of fields too."""
    if isinstance(value, dict):
        return {change(name): _mapped(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def _hider(key: str) -> Callable[[str], str]:
    """Return the function that hides a key, and pieces of it, in a text, in upper or lower case."""
    size, lower = min(SHORTEST_PIECE, len(key)), key.lower()
    pieces = {lower[start : start + size] for start in range(len(lower) - size + 1)}
    pattern = re.compile("|".join(map(re.escape, sorted(pieces))), re.IGNORECASE | re.ASCII)

    def hide(text: str) -> str:
        shown, end = [], 0
        for match in pattern.finditer(text):
            if match.start() < end:
                continue  # in a piece that is hidden already
            shown.append(text[end : match.start()])
            end = match.end()
            # The longest piece that begins here.
            while text[match.start() : end + 1].lower() in lower and end < len(text):
                end += 1
            shown.append(KEY_MARK)
        return "".join([*shown, text[end:]])

    return hide
