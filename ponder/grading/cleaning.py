"""The text of an answer for the second grader: without fonts, emphasis, and with its unit apart."""

import re
import unicodedata

SIGNS = {
    "\u2212": "-",
    "\u00d7": "*",
    "\u03c0": "\\pi ",
    "\u03b1": "\\alpha ",
    "\u03b2": "\\beta ",
    "\u03b8": "\\theta ",
    "\u221e": "\\infty ",
    "\u221a": "\\sqrt ",
    "\u222a": "\\cup ",
    "\u00b1": "\\pm ",
    "\u2264": "\\le ",
    "\u2265": "\\ge ",
    "\u2260": "\\ne ",
    "\u2208": "\\in ",
    "\u211d": "\\mathbb{R}",
    "\u00b2": "^2",
    "\u00b3": "^3",
    "\u00bd": "\\frac12 ",
    "\u00bc": "\\frac14 ",
    "\u00be": "\\frac34 ",
    "\u00b0": "^\\circ",
    "\u3002": ".",
    "\u202f": " ",
    "\u2009": " ",
}

UNITS = {
    "centimeter": "cm",
    "millimeter": "mm",
    "kilometer": "km",
    "meter": "m",
    "metre": "m",
    "inch": "in",
    "inche": "in",
    "feet": "ft",
    "foot": "ft",
    "mile": "mi",
    "yard": "yd",
    "gram": "g",
    "kilogram": "kg",
    "pound": "lb",
    "ounce": "oz",
    "second": "s",
    "sec": "s",
    "minute": "min",
    "hour": "h",
    "day": "day",
    "week": "week",
    "month": "month",
    "year": "year",
    "radian": "rad",
    "degree": "degree",
    "dollar": "$",
    "usd": "$",
    "cent": "cent",
    "percent": "%",
}
MEASURES = {*UNITS.values(), "C", "F", "N", "J", "W", "L"}
LEAD = re.compile(
    r"(?i)^(?:[=#:~&]|\\approx|no\.|is\b|about\b|approximately\b|(?:\\text\{)?\s*answer:\s*\}?)\s*"
)


def cleaned(text: str) -> tuple[str, str]:
    """Return (text, unit) of an answer: without fonts, emphasis, separators of thousands, unit."""
    text = "".join(SIGNS.get(sign, sign) for sign in text if unicodedata.category(sign) != "Cf")
    text = unicodedata.normalize("NFKC", text)
    text = re.sub(r"<\|\w+\|>|\\phantom\{[^{}]*\}|\\!\s*", "", text).replace("{,}", ",")
    text = text.strip(" \t\n*`\"';:!").strip(" .").removesuffix("!") if "*" in text else text
    text = re.sub(r"^[\s*`\"']+|[\s*`\"';:.,]+$", "", LEAD.sub("", text.strip()))
    text = re.sub(r"\s+\([a-z ]{3,}\)$", "", text)
    if text.count("$") == 2 and text[0] == text[-1] == "$":
        text = text[1:-1].strip().rstrip(".,")
    unit = "$" if re.match(r"\\?\$\s*\d|USD", text) and text.count("$") % 2 else ""
    text = re.sub(r"^(?:\\?\$(?=\s*\d)|USD\s|\u20ac|\u00a3|\\pounds)", "", text)
    names = r"\\(?:text|mbox|bm|boldsymbol|operatorname|text(?:bf|rm|it|sf)|math(?:bf|rm|it|sf))"
    text = re.sub(names + r"\s*\{([^{}]*)\}", r"\\text{\1}", text)
    text, behind = _without_units(spaces(text))
    return _ungrouped(text), behind or unit


def _ungrouped(text: str) -> str:
    """Return a text without separators of thousands, and with mixed numbers as sums."""
    spaced = re.sub(r"\\[,;: _]|\\quad|~", " ", text).strip()
    if re.fullmatch(r"-?\d{1,3}(?:[ '_]\d{3})+", spaced):
        text = re.sub(r"[ '_]", "", spaced)
    if re.search(r"[()\[\]{}]", text) is None or re.fullmatch(r"[\d,.]+", text):
        thousands = r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?![\d,])"
        text = re.sub(thousands, lambda match: match[1].replace(",", ""), text)
    text = re.sub(r"^(-?[\d.]+)[eE]([+-]?\d+)$", r"\1*10^{\2}", text)
    return re.sub(r"(?<![\d.])(\d+)\s+(\d+)/(\d+)", r"\1\\frac{\2}{\3}", text)


def _without_units(text: str) -> tuple[str, str]:
    """Return (text, unit) of an answer: the unit in a usual form, "" for none that measures."""
    unit = ""
    behind = re.search(
        r"(?<=[\w})\]])\s*\\text\{(?!\s*(?:,?\s*and|,?\s*or|mod)\b)([^{}]*)\}\s*(\^\{?\d\}?)?\s*\.?\s*$",
        text,
    )
    if behind:
        unit, text = behind[1] + (behind[2] or ""), text[: behind.start()]
    text = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text)
    if not re.search(r"\\(?:sin|cos|tan)", text):
        text, degrees = re.subn(r"\^\s*\{?\s*\\circ\s*\}?|\\degree", "", text)
        unit = unit or ("degree" if degrees else "")
    text, percent = re.subn(r"\\?%\s*$", "", text.strip(" *`").rstrip(" .$"))
    unit = "%" if percent else unit
    no_unit = r"(?!and\b|or\b|pi\b|sqrt\b|mod\b|U\b)"
    plain = r"([a-zA-Z$]{1,}(?:[ /][a-z]+)*)(\^\{?\d\}?)?$"
    if (words := re.search(r"(?<=[\d})])\s+" + no_unit + plain, text)) and (
        len(words[1]) > 1 or words[1] in MEASURES
    ):
        unit, text = unit or words[1] + (words[2] or ""), text[: words.start()]
    return text, _measure(unit)


def _measure(unit: str) -> str:
    words = [word for word in re.findall(r"[a-zA-Z%$]+|\d", unit) if word not in ("per", "the")]
    usual = [UNITS.get(word.lower().removesuffix("s"), word) for word in words]
    usual = [UNITS.get(word.lower(), word) for word in usual]
    return " ".join(usual) if any(word in MEASURES for word in usual) else ""


def spaces(text: str) -> str:
    """Return a text with plain spaces for LaTeX's thin and wide ones."""
    return re.sub(r"(?<!\\)\\[,;: ]|\\q?quad|~", " ", text)
