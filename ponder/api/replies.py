"""What a model behind an OpenAI-compatible server wrote, read from the text of its response.

Pure functions; every input is hostile. The thinking stands in one of the fields REASONING of the
message, in parts of its content, or before </think> at the head of the content, with or without the
opening tag; for others the config names the text that ends it (teacher.reasoning_ends).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ponder.api.records import KEY_MARK, record_of

__all__ = ["COMPLETE", "Reply", "parse", "record_of", "usage_of"]

THINK, END = "<think>", "</think>"
# Fields of a message that hold its thinking, the first with a text counts: vLLM and OpenRouter,
# DeepSeek and SGLang, OpenRouter, Ollama, LiteLLM.
REASONING = (
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "thinking",
    "thinking_blocks",
)
# What the type of a part is called that holds thinking, such as reasoning.text or summary_text.
THOUGHT = re.compile("think|thought|reason|summary", re.IGNORECASE)
# Where the text of a part stands.
TEXTS = ("thinking", "reasoning", "reasoning_content", "text", "summary", "content")
# Finish reasons of a reply that its model ended: OpenAI; text-generation-inference (eos_token,
# stop_sequence); Anthropic (end_turn, stop_sequence); Cohere (complete). In lower case.
COMPLETE = ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete", "completed")
COUNTS = ("prompt_tokens", "completion_tokens")
# All control characters but tab and the line ends.
CONTROL = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]")
FINISH = re.compile("[a-z_-]{1,40}")
# Tokens; a number above it is no count of one reply.
LARGEST_COUNT = 10**9


@dataclass(frozen=True)
class Reply:
    """A reply, its texts without outer white space; empty texts where none could be read."""

    think: str
    answer: str
    finish: str  # in lower case; "" where the server named none
    usage: dict[str, int | None]  # prompt_tokens and completion_tokens
    rejected: str | None  # why it gives no trace


def parse(
    response: str,
    reasoning_ends: str | None,
    complete: Sequence[str] = COMPLETE,
    most_tokens: int | None = None,
) -> Reply:
    """Return the Reply in the text of a chat completion; raises nothing, whatever the text is.

    `reasoning_ends` is None, or the text whose last occurrence in the content ends the thinking and
    begins the answer (a closing tag </think> belongs to neither). `complete` holds the finish
    reasons of a whole reply, "" for one that names none; such a reply is whole as well where it has
    fewer completion tokens than `most_tokens`, the limit of its request. Rejected is: a malformed
    reply, damaged text, any other finish reason, no reasoning (the answer is then the whole
    content), empty reasoning, an empty answer.
    """
    record, _ = record_of(response)
    usage, choices = usage_of(record), record.get("choices")
    if not isinstance(choices, list) or len(choices) != 1:
        num_choices = len(choices) if isinstance(choices, list) else 0
        reason = f"{num_choices} choices" if num_choices else "malformed reply"
        return Reply("", "", "", usage, reason)
    choice = choices[0] if isinstance(choices[0], dict) else {}
    content, thoughts = _texts(choice)
    finish = _finish(choice.get("finish_reason"))
    damage = _damage("".join([content or "", *thoughts]))
    think, answer, rejected = (
        ("", "", damage) if damage else _split(content, thoughts, reasoning_ends)
    )
    if not _is_whole(finish, complete, usage["completion_tokens"], most_tokens):
        rejected = f"finish reason {finish or 'missing'}"
    return Reply(think, answer, finish, usage, rejected)


def usage_of(record: dict[str, Any]) -> dict[str, int | None]:
    """Return {"prompt_tokens", "completion_tokens"} of a record; None where no count was given."""
    usage = record.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return {name: _count(counts.get(name)) for name in COUNTS}


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= LARGEST_COUNT else None


def _finish(reason: Any) -> str:
    """Return a finish reason in lower case, "" where there is none, "unknown" for what is none."""
    if reason is None or reason == "":
        return ""
    lower = reason.lower() if isinstance(reason, str) else ""
    return lower if FINISH.fullmatch(lower) else "unknown"


def _is_whole(
    finish: str, complete: Sequence[str], tokens: int | None, most_tokens: int | None
) -> bool:
    """Return whether a reply was ended by its model; see `parse`."""
    if finish in complete:
        return True
    return not finish and tokens is not None and most_tokens is not None and tokens < most_tokens


# --- where the texts stand -------------------------------------------------------------


def _texts(choice: dict[str, Any]) -> tuple[str | None, list[str]]:
    """Return (content, thoughts) of a recorded choice.

    The content is None where there is none; the text of a plain completion is its content. Each
    thought is the text of a field that holds thinking, or of all such parts of the content.
    """
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    content = message.get("content")
    texts: list[str] = []
    thoughts: list[str] = []
    for is_thought, text in _parts(choice.get("text") if content is None else content):
        (thoughts if is_thought else texts).append(text)
    fields = [_text_in(message.get(name), "\n") for name in REASONING]
    fields.append("".join(thoughts) if thoughts else None)
    return "".join(texts) if texts or thoughts else None, [f for f in fields if f is not None]


def _parts(content: Any) -> Iterator[tuple[bool, str]]:
    """Yield (whether it is thinking, its text) for each part of a content that has a text."""
    if isinstance(content, str):
        yield False, content
        return
    for part in content if isinstance(content, list) else [content]:
        if not isinstance(part, dict):
            continue
        is_thought = bool(THOUGHT.search(str(part.get("type", ""))))
        nested = part.get("content")
        if not is_thought and isinstance(nested, list | dict):
            yield from _parts(nested)
        elif (text := _text_in(part, "")) is not None:
            yield is_thought, text


def _text_in(value: Any, joint: str) -> str | None:
    """Return the text that a field holds: a text, a part, or a list of them, joined; else None."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        fields = [text for name in TEXTS if (text := _text_in(value.get(name), joint)) is not None]
        return next(filter(None, fields), "" if fields else None)
    if isinstance(value, list):
        texts = [text for item in value if (text := _text_in(item, "")) is not None]
        return joint.join(texts) if texts else None
    return None


def _split(
    content: str | None, thoughts: Sequence[str], reasoning_ends: str | None
) -> tuple[str, str, str | None]:
    """Return (think, answer, rejected) of texts that are whole."""
    fields = [text.strip() for text in thoughts]
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
    if KEY_MARK in text:
        return "it repeats the key"
    if "\ufffd" in text:
        return "damaged text: U+FFFD"
    character = CONTROL.search(text)
    return f"damaged text: control character U+{ord(character[0]):04X}" if character else None
