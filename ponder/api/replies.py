"""What a model behind an OpenAI-compatible server wrote, read from the text of its response.

Pure functions; every input is hostile. Servers write the thinking into `reasoning` (vLLM),
`reasoning_content` (DeepSeek), or before </think> at the head of the content, with or without the
opening tag; for others the config names the text that ends it (teacher.reasoning_ends).
"""

import json
import re
from dataclasses import dataclass
from typing import Any

THINK, END = "<think>", "</think>"
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
# All control characters but tab and the line ends.
CONTROL = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]")
FINISH = re.compile("[a-z_]{1,40}")
# Tokens; a number above it is no count of one reply.
LARGEST_COUNT = 10**9
# Seconds since 1970; a number above it is no time of a reply.
LARGEST_TIME = 10**11


@dataclass(frozen=True)
class Reply:
    """A reply, its texts without outer white space; empty texts where none could be read."""

    think: str
    answer: str
    finish: str  # "" where the server named none
    usage: dict[str, int | None]  # prompt_tokens and completion_tokens
    rejected: str | None  # why it gives no trace


def parse(response: str, reasoning_ends: str | None) -> Reply:
    """Return the Reply in the text of a chat completion; raises nothing, whatever the text is.

    `reasoning_ends` is None, or the text whose last occurrence in the content ends the thinking and
    begins the answer (a closing tag </think> belongs to neither). Rejected is: a malformed reply,
    damaged text, any finish reason but "stop", no reasoning (the answer is then the whole content),
    empty reasoning, an empty answer.
    """
    record, _ = record_of(response)
    usage, choices = usage_of(record), record.get("choices", [])
    if len(choices) != 1:
        reason = f"{len(choices)} choices" if choices else "malformed reply"
        return Reply("", "", "", usage, reason)
    texts, finish = _texts(choices[0]), choices[0]["finish_reason"] or ""
    damage = _damage("".join(filter(None, texts)))
    think, answer, rejected = ("", "", damage) if damage else _split(*texts, reasoning_ends)
    if finish != "stop":
        rejected = f"finish reason {finish or 'missing'}"
    return Reply(think, answer, finish, usage, rejected)


def record_of(response: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (record, names) of a response's text: what may be kept, and its `id` and `created`.

    The record has the model, each choice's texts and finish reason, the usage and the system
    fingerprint, and nothing else, so that no account field gets in. Every value has its right type
    or is None, every text can be written as UTF-8 (a lone surrogate becomes U+FFFD), and the JSON
    of a record has itself as its record. Both are {} where the response is no JSON object or an
    empty one.
    """
    try:
        data = json.loads(response)
    except (ValueError, RecursionError):
        return {}, {}
    if not isinstance(data, dict) or not data:
        return {}, {}
    choices = data.get("choices")
    record = {
        "model": _text(data.get("model")),
        "system_fingerprint": _text(data.get("system_fingerprint")),
        "choices": [_choice(choice) for choice in choices] if isinstance(choices, list) else [],
        "usage": _usage(data.get("usage")),
    }
    names = {"id": _text(data.get("id")), "created": _count(data.get("created"), LARGEST_TIME)}
    return record, {name: value for name, value in names.items() if value is not None}


def usage_of(record: dict[str, Any]) -> dict[str, int | None]:
    """Return {"prompt_tokens", "completion_tokens"} of a record; None where no count was given."""
    usage = record.get("usage") or {}
    return {name: usage.get(name) for name in COUNTS[:2]}


def _texts(choice: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Return (content, reasoning, reasoning_content) of a recorded choice.

    The text of a plain completion is its content.
    """
    message = choice["message"]
    content = choice["text"] if message["content"] is None else message["content"]
    return content, message["reasoning"], message["reasoning_content"]


def _split(
    content: str | None,
    reasoning: str | None,
    reasoning_content: str | None,
    reasoning_ends: str | None,
) -> tuple[str, str, str | None]:
    """Return (think, answer, rejected) of texts that are whole."""
    fields = [text.strip() for text in (reasoning, reasoning_content) if text is not None]
    if content is None and not fields:
        return "", "", "malformed reply: no text"
    content = (content or "").strip()
    if any(fields):
        think, answer = next(filter(None, fields)), content
    else:
        if defect := _tag_defect(content):
            return "", "", defect
        parts = _split_content(content, reasoning_ends)
        if parts is None:
            return "", content, "empty reasoning" if fields else "no reasoning"
        think, answer = parts
    if not think:
        return "", answer, "empty reasoning"
    bare = answer.removeprefix(reasoning_ends.strip()) if reasoning_ends else answer
    return think, answer, None if bare.strip() else "empty answer"


def _tag_defect(content: str) -> str | None:
    """Return what is wrong with the tags of a content that begins with <think>, or None."""
    if not content.startswith(THINK):
        return None
    if content.count(THINK) > 1 or content.count(END) > 1:
        return f"more than one {THINK}"
    return None if END in content else f"unclosed {THINK}"


def _split_content(content: str, reasoning_ends: str | None) -> tuple[str, str] | None:
    """Return (think, answer) of a content whose tags are sound; None where it has no thinking."""
    if content.startswith(THINK):
        think, answer = content.removeprefix(THINK).split(END)
    elif content.count(END) == 1 and THINK not in content and not reasoning_ends:
        # The chat template wrote the opening tag.
        think, answer = content.split(END)
    elif reasoning_ends and reasoning_ends in content:
        end = content.rindex(reasoning_ends)
        think, answer = content[:end], content[end:].removeprefix(END)
    else:
        return None
    return think.strip(), answer.strip()


def _damage(text: str) -> str | None:
    """Return what is wrong with the characters of a text, or None."""
    if "\ufffd" in text:
        return "damaged text: U+FFFD"
    character = CONTROL.search(text)
    return f"damaged text: control character U+{ord(character[0]):04X}" if character else None


def _choice(choice: Any) -> dict[str, Any]:
    """Return what a record keeps of one choice."""
    choice = choice if isinstance(choice, dict) else {}
    message, finish = choice.get("message"), choice.get("finish_reason")
    message = message if isinstance(message, dict) else {}
    known = finish if isinstance(finish, str) and FINISH.fullmatch(finish) else "unknown"
    fields = ("content", "reasoning", "reasoning_content")
    return {
        "message": {field: _text(message.get(field)) for field in fields},
        "text": _text(choice.get("text")),
        "finish_reason": None if finish is None else known,
    }


def _usage(usage: Any) -> dict[str, Any]:
    """Return what a record keeps of the usage."""
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
    counts = {name: _count(usage.get(name)) for name in COUNTS}
    return counts | {"completion_tokens_details": {"reasoning_tokens": _count(reasoning)}}


def _text(value: Any) -> str | None:
    """Return a text that can be written as UTF-8, or None where the value is no text."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _count(value: Any, largest: int = LARGEST_COUNT) -> int | None:
    return value if type(value) is int and 0 <= value <= largest else None
