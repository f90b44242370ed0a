"""llama.cpp's own `/completion`, as a dialect of a server that takes and returns token ids.

Fields and reply: llama.cpp, tools/server/README.md, "POST /completion". It stops at the model's own
ends of generation alone: `stop` is text, and special tokens have none in what it is compared with.
So a call asks for a few tokens, and what follows the first stop is dropped here. That is exact, for
no token depends on those after it; it costs at most SEGMENT - 1 tokens at each stop. `ignore_eos`
is not used: it bars the model's ends, and here they must be sampled where they are the likeliest.
Not exact is the arithmetic: weights are rounded as the GGUF file has them, and logits depend on how
a prompt was read, so an answer may depend on what else a server has at hand (cache_prompt).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

SEGMENT = 16  # tokens of a call, so that few are thrown away at a stop
FIELDS = {
    "return_tokens": True,
    "cache_prompt": True,  # else each segment reads all of the prompt again
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "dry_multiplier": 0.0,
    "xtc_probability": 0.0,
    "mirostat": 0,
}
SEEDS = 2**32 - 1  # one more, and it draws with a seed of its own


def body_of(prompt: list[int], limit: int, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a request for at most `limit` tokens; of its fields the seed is folded."""
    body = {"prompt": prompt, "n_predict": limit, **FIELDS, **fields}
    if "seed" in body:
        body["seed"] %= SEEDS
    return body


def read_completion(
    text: str, prompt: Sequence[int], limit: int, stops: Sequence[int], vocabulary: int
) -> tuple[tuple[int, ...], str]:
    """Return (ids up to the first stop, "") of the body of a completion, or ((), what is wrong).

    Nothing in the body is believed.
    """
    try:
        reply = json.loads(text)
        ids, end, read = reply["tokens"], reply["stop_type"], reply["tokens_evaluated"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return (), "returns no completion with token ids"
    if not isinstance(ids, list) or not ids:
        return (), "returns text without token ids"
    if not all(type(token) is int and 0 <= token < vocabulary for token in ids):
        return (), f"returns something else than ids of the {vocabulary} tokens of this tokenizer"
    if read != len(prompt):
        return (), f"reads {read} tokens where its prompt has {len(prompt)}"
    first = next((place for place, token in enumerate(ids) if token in stops), len(ids))
    kept = tuple(ids[: min(first + 1, limit)])
    if len(kept) < limit and kept[-1] not in stops and end != "eos":
        return (), (
            f"ends after {len(kept)} of {limit} tokens, as if its context were shorter than "
            "model.context"
        )
    return kept, ""
