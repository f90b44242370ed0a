"""The unit behind or before a value: which text is one, and when two are the same."""

import re

# Each unit and how else it is written; s behind a longer name is a plural.
SPELLINGS = {
    "mm": "millimeter millimetre",
    "cm": "centimeter centimetre",
    "dm": "decimeter decimetre",
    "m": "meter metre",
    "km": "kilometer kilometre",
    "in": "inch inches",
    "ft": "foot feet",
    "yd": "yard",
    "mi": "mile",
    "mg": "milligram",
    "g": "gram",
    "kg": "kilogram",
    "lb": "lbs pound",
    "oz": "ounce",
    "s": "sec second",
    "min": "minute",
    "h": "hr hrs hour",
    "day": "",
    "week": "",
    "month": "",
    "year": "yr yrs",
    "mL": "ml milliliter millilitre",
    "L": "liter litre",
    "gallon": "gal",
    "acre": "",
    "degree": "deg \u00b0",
    "rad": "radian",
    "%": "percent percentage pct",
    "$": "dollar usd buck",
    "cent": "\u00a2",
    "\u20ac": "eur euro",
    "\u00a3": "gbp",
    "mph": "",
    "am": "a.m a.m.",
    "pm": "p.m p.m.",
    "N": "newton",
    "J": "joule",
    "W": "watt",
    "V": "volt",
    "Hz": "hertz",
    "K": "kelvin",
    "C": "celsius",
    "F": "fahrenheit",
    "mol": "mole",
}
UNITS = {name: name for name in SPELLINGS}
for _name, _others in SPELLINGS.items():
    for _other in _others.split():
        UNITS[_other] = UNITS[_other + "s"] = _name
    if len(_name) > 2:
        UNITS[_name + "s"] = _name

POWER = r"(?:\s*\^\s*\{?\s*(-?\d)\s*\}?)?"
VALUE_END = r"[\w})\]\\|!.]"
TEXT = re.compile(rf"(.*{VALUE_END})\s*\\text\s*\{{([^{{}}]*)\}}{POWER}", re.DOTALL)
DEGREE = re.compile(r"(.*?\S)\s*(?:\^\s*\{?\s*\\circ\s*\}?|\\degree(?![a-zA-Z])|\\circ)", re.DOTALL)
PERCENT = re.compile(r"(.*?\S)\s*\\?%", re.DOTALL)
WORDS = re.compile(
    rf"(.*[\d}})\]!])(\s*)((?:[a-zA-Z\u20ac\u00a3\u00a2.]+)(?:(?:\s*/\s*|\s+)[a-zA-Z.]+(?:\^\d)?)*){POWER}",
    re.DOTALL,
)
MODULUS = re.compile(r"(.*\S)\s*(mod\s+\w+)")
MONEY = re.compile(
    r"(-?)\s*(\\\$|[\u20ac\u00a3\u00a2]|(?:USD|US\\\$|EUR|GBP)\s)\s*(?=[\d.\\])(.*)", re.DOTALL
)
NO_UNIT = re.compile(r"(?i)\b(?:and|or|mod|pi|sqrt|sin|cos|tan|log|ln|if|i)\b|\\")
GENERIC = {"", "unit", "units", "total", "altogether", "each", "in total", "times", "per unit"}
ANGLE = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")


def unit_of(text: str) -> tuple[str, str | None]:
    """Return (value, unit) of plain LaTeX: what stands before a unit, and its usual spelling.

    The unit is None where there is none, or one that names no measure ("12 ways"), which conflicts
    with nothing.
    """
    unit: list[str] = []
    if money := MONEY.fullmatch(text):
        text = money[1] + money[3]
        unit.append(_usual(money[2].strip().strip("\\").removeprefix("US\\"), None) or "")
    for _ in range(4):
        step = _last_unit(text)
        if step is None:
            break
        text = step[0].rstrip()
        unit.insert(0, step[1] or "")
    name = " ".join(filter(None, unit))
    if name in ("degree c", "degree f"):
        name = name.removeprefix("degree ")
    return text, name or None


def conflict(one: str | None, other: str | None) -> bool:
    """Return whether two units measure differently; degrees may be those of a temperature."""
    if one is None or other is None or one == other:
        return False
    return not ("degree" in (one, other) and {one, other} & {"c", "f"})


def _last_unit(text: str) -> tuple[str, str | None] | None:
    """Return (what stands before it, its usual spelling) of the last unit of a text, or None."""
    if (modulus := MODULUS.fullmatch(text)) is not None:
        return modulus[1], " ".join(modulus[2].split())
    if (percent := PERCENT.fullmatch(text)) is not None:
        return percent[1], "%"
    if not ANGLE.search(text) and (degree := DEGREE.fullmatch(text)) is not None:
        return degree[1], "degree"
    if (match := TEXT.fullmatch(text)) is not None:
        before, words, power = match.groups()
        return None if NO_UNIT.search(words) else (before, _usual(words, power))
    if (match := WORDS.fullmatch(text)) is not None:
        before, space, words, power = match.groups()
        if NO_UNIT.search(words) or not _is_unit(words, bool(space)):
            return None
        return before, _usual(words, power)
    return None


def _is_unit(words: str, spaced: bool) -> bool:
    """Return whether plain words behind a value are a unit, not letters that are multiplied."""
    parts = [part for part in re.split(r"[\s/]+|\^\d", words.strip(" .")) if part]
    known = bool(parts) and all(part in UNITS or part.casefold() in UNITS for part in parts)
    if any(len(part) > 1 for part in parts) and (spaced or known):
        return known or all(len(part) > 1 for part in parts)
    return known and (spaced or not words.isalpha())


def _usual(words: str, power: str | None) -> str | None:
    """Return the usual spelling of a unit in words, None for one that names no measure."""
    bare = re.sub(r"\s*/\s*", "/", re.sub(r"\s+", " ", words).strip(" .,;:"))
    bare = re.sub(r"\bper\b\s*", "/", bare).replace(" /", "/")
    power = power if power not in ("1", None) else None
    for prefix, exponent in (("square", "2"), ("sq", "2"), ("cubic", "3"), ("cu", "3")):
        if re.match(rf"{prefix}\b", bare.casefold()):
            bare, power = bare[len(prefix) :].strip(" ."), exponent
    parts = re.split(r"([ /])", bare)
    usual = [UNITS.get(part) or UNITS.get(part.casefold()) or part for part in parts]
    if not any(part in UNITS.values() for part in usual):
        return None
    name = {"mi/h": "mph"}.get("".join(usual), "".join(usual))
    return name.casefold() + (f"^{power}" if power else "")
