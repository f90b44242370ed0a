"""How a number is printed: once, here, as the string that every document takes. Pure.

A value of results.json has its string at the same path under `printed`. An interval that is
printed as a whole has a `text` beside its numbers.
"""

import json
from collections.abc import Mapping
from typing import Any

# Numbers that stand in no document: they are there to be counted again.
UNPRINTED = {
    "capped",
    "correct",
    "equal_pairs",
    "ignored_ends",
    "last_loss",
    "scaling_per_token",
    "undefined",
    "within",
    "zero_token_runs",
}
FORMATS = {
    "number": "{:,.1f}",
    "share": "{:.1%}",
    "whole share": "{:.0%}",
    "points": "{:+.1f}",  # of a difference that is a share
    "size": "{:.1f}",  # the same without a sign
    "slope": "{:+.1f}",
    "exact": "{:g}",
    "dollars": "{:,.2f}",
}
KINDS = {  # of the values under a key
    "accuracy": "share",
    "between_seeds": "size",
    "constant": "share",
    "constant_dev": "share",
    "constant_test": "share",
    "control": "whole share",
    "control_per_sample": "share",
    "coverage": "share",
    "cut_share": "share",
    "detectable": "size",
    "differing_share": "share",
    "difference": "points",
    "dollars": "dollars",
    "least": "limit",
    "most": "limit",
    "p": "p",
    "p_holm": "p",
    "performance": "share",
    "price": "exact",
    "scaling": "slope",
    "unanswered_share": "share",
}
# What others published is printed as they print it, and settings are printed in full.
FIXED = {"cited": "number", "s1": "number", "recipe": "exact"}


def printed(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree of strings beside the numbers: the same keys, lists and texts.

    Null stays null. Keys of UNPRINTED are left out.
    """
    return _printed(results, "", False)


def _printed(value: Any, kind: str, fixed: bool) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _printed(item, *_kind_of(key, value, kind, fixed))
            for key, item in value.items()
            if key not in UNPRINTED
        }
    if isinstance(value, list):
        return [_printed(item, kind, fixed) for item in value]
    return string(value, kind or "number")


def _kind_of(key: str, siblings: Mapping[str, Any], kind: str, fixed: bool) -> tuple[str, bool]:
    """Return the kind of the values under a key, and whether it holds for all that is below."""
    if fixed:
        return kind, True
    if key in FIXED:
        return FIXED[key], True
    if key in ("low", "high") and "difference" in siblings:
        return "points", False
    if key in ("low", "high") and "accuracy" in siblings:
        return "share", False
    if key in ("value", "low", "high"):
        return kind, False
    return KINDS.get(key, ""), False


def string(value: Any, kind: str = "number") -> str | None:
    """Return one value as it is printed: texts as they are, whole numbers with separators."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return json.dumps(value)
    if kind == "limit":
        return f"{value:,.0f}" if value == int(value) else FORMATS["number"].format(value)
    if isinstance(value, int) and kind in ("number", "exact"):
        return f"{value:,}"
    if kind == "p":
        return f"{value:.3f}" if value >= 0.001 else "<0.001"
    factor = 100 if kind in ("points", "size") else 1
    text = FORMATS[kind].format(factor * value)
    return {"-0.0": "0.0" if kind == "number" else "+0.0"}.get(text, text)


def share_text(entry: Mapping[str, float]) -> str:
    """Return an accuracy with its interval, "49.6% [45.1, 54.0]"."""
    return f"{entry['accuracy']:.1%} [{100 * entry['low']:.1f}, {100 * entry['high']:.1f}]"


def difference_text(entry: Mapping[str, float]) -> str:
    """Return a difference of shares with its interval in points, "+1.2 [-0.4, +2.0]"."""
    value, low, high = (signed(100 * entry[key]) for key in ("difference", "low", "high"))
    return f"{value} [{low}, {high}]"


def interval_text(
    entry: Mapping[str, float] | None, factor: int, digits: int, sign: str = "", bare: bool = False
) -> str:
    """Return an interval times a factor as "value [low, high]", or "-" where there is none.

    With `bare` the value alone: what is obeyed to is itself measured on the same questions, and
    no resample moves it.
    """
    if entry is None:
        return "-"
    value, low, high = (
        signed(factor * entry[key], digits, sign) for key in ("value", "low", "high")
    )
    return value if bare else f"{value} [{low}, {high}]"


def signed(value: float, digits: int = 1, sign: str = "+") -> str:
    """Return a number with its sign, never a zero with a minus sign."""
    return format(round(value, digits) + 0.0, f"{sign}.{digits}f")
