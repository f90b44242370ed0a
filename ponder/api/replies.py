"""What a model behind an OpenAI-compatible server said, read from the text of its response. Pure; all of it is hostile.

Servers write the thinking into `reasoning` (vLLM), `reasoning_content` (DeepSeek), or before </think> at the head of the
content, with or without the opening tag; for others the config names the text that ends it (teacher.reasoning_ends). Issue 3.
"""

import json
import re
from dataclasses import dataclass

THINK, END = "<think>", "</think>"
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
CONTROL = re.compile(
    "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]"
)  # all but tab and the line ends
FINISH = re.compile("[a-z_]{1,40}")
LARGEST_COUNT = 10**9  # tokens; a number above it is no count of one reply


@dataclass(frozen=True)
class Reply:
    """A reply, its texts stripped of outer white space; one that is `rejected` has empty texts where none could be read."""

    think: str
    answer: str
    finish: str  # "" where the server named none
    usage: dict  # {"prompt_tokens": int | None, "completion_tokens": int | None}
    rejected: str | None  # why it gives no trace


def parse(response, reasoning_ends):
    """Return the Reply in the text of a chat completion; raises nothing, whatever the text is.

    `reasoning_ends` is None, or the text whose last occurrence in the content ends the thinking and begins the answer (a
    closing tag </think> belongs to neither). Rejected is: a malformed reply, damaged text, any finish reason but "stop",
    no reasoning (the answer is then the whole content), empty reasoning, an empty answer.
    """
    record, _ = record_of(response)
    usage, choices = usage_of(record), record.get("choices", [])
    if len(choices) != 1:
        return Reply("", "", "", usage, f"{len(choices)} choices" if choices else "malformed reply")
    texts, finish = _texts(choices[0]), choices[0]["finish_reason"] or ""
    damage = _damage("".join(filter(None, texts)))
    think, answer, rejected = ("", "", damage) if damage else _split(*texts, reasoning_ends)
    if finish != "stop":
        rejected = f"finish reason {finish or 'missing'}"
    return Reply(think, answer, finish, usage, rejected)


def record_of(response):
    """Return (record, names): what may be kept of a response's text, and apart from it the server's `id` and `created`.

    The record has the model, each choice's texts and finish reason, the usage and the system fingerprint, and nothing
    else, so that no account field gets in. Every value has its right type or is None, every text can be written as UTF-8
    (a lone surrogate becomes U+FFFD), and the JSON of a record has itself as its record. Both are {} where the response
    is no JSON object or an empty one.
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
        "choices": [_choice(c if isinstance(c, dict) else {}) for c in choices]
        if isinstance(choices, list)
        else [],
        "usage": _usage(data.get("usage")),
    }
    names = {
        "id": _text(data.get("id")),
        "created": _count(data.get("created"), 10**11),
    }  # seconds since 1970
    return record, {name: value for name, value in names.items() if value is not None}


def usage_of(record):
    """Return {"prompt_tokens", "completion_tokens"} of a record, each None where the server gave no count."""
    return {name: (record.get("usage") or {}).get(name) for name in COUNTS[:2]}


def _texts(choice):
    """Return (content, reasoning, reasoning_content) of a recorded choice; a plain completion's text is its content."""
    message = choice["message"]
    content = choice["text"] if message["content"] is None else message["content"]
    return content, message["reasoning"], message["reasoning_content"]


def _split(content, reasoning, reasoning_content, reasoning_ends):
    """Return (think, answer, rejected) of texts that are whole."""
    given = [text.strip() for text in (reasoning, reasoning_content) if text is not None]
    if content is None and not given:
        return "", "", "malformed reply: no text"
    content = (content or "").strip()
    if any(given):
        think, answer = next(filter(None, given)), content
    elif content.startswith(THINK):
        if content.count(THINK) > 1 or content.count(END) > 1:
            return "", "", f"more than one {THINK}"
        if END not in content:
            return "", "", f"unclosed {THINK}"
        think, answer = (part.strip() for part in content.removeprefix(THINK).split(END))
    elif (
        content.count(END) == 1 and THINK not in content and not reasoning_ends
    ):  # a chat template wrote the opening tag
        think, answer = (part.strip() for part in content.split(END))
    elif reasoning_ends and reasoning_ends in content:
        at = content.rindex(reasoning_ends)
        think, answer = content[:at].strip(), content[at:].removeprefix(END).strip()
    else:
        return "", content, "empty reasoning" if given else "no reasoning"
    if not think:
        return "", answer, "empty reasoning"
    bare = answer.removeprefix(reasoning_ends.strip()) if reasoning_ends else answer
    return think, answer, None if bare.strip() else "empty answer"


def _damage(text):
    """Return what is wrong with the characters of a text, or None."""
    if "\ufffd" in text:
        return "damaged text: U+FFFD"
    found = CONTROL.search(text)
    return f"damaged text: control character U+{ord(found[0]):04X}" if found else None


def _choice(choice):
    message, finish = choice.get("message"), choice.get("finish_reason")
    message = message if isinstance(message, dict) else {}
    known = finish if isinstance(finish, str) and FINISH.fullmatch(finish) else "unknown"
    return {
        "message": {
            field: _text(message.get(field))
            for field in ("content", "reasoning", "reasoning_content")
        },
        "text": _text(choice.get("text")),
        "finish_reason": None if finish is None else known,
    }


def _usage(usage):
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
    counts = {name: _count(usage.get(name)) for name in COUNTS}
    return counts | {"completion_tokens_details": {"reasoning_tokens": _count(reasoning)}}


def _text(value):
    return (
        value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if isinstance(value, str)
        else None
    )


def _count(value, largest=LARGEST_COUNT):
    return value if type(value) is int and 0 <= value <= largest else None
