"""The text of an answer as plain LaTeX: one spelling for each sign and command, nothing around it.

Pure and deterministic; nothing is evaluated.
"""

import re
import unicodedata

# --- characters --------------------------------------------------------------------------

SIGNS = {
    "\u2212": "-",
    "\u2013": "-",
    "\u00d7": r"\times ",
    "\u00f7": "/",
    "\u00b7": r"\cdot ",
    "\u22c5": r"\cdot ",
    "\u221e": r"\infty ",
    "\u221a": r"\sqrt",
    "\u00b0": r"^\circ",
    "\u222a": r"\cup ",
    "\u2229": r"\cap ",
    "\u2205": r"\emptyset ",
    "\u2216": r"\setminus ",
    "\u00b1": r"\pm ",
    "\u2208": r"\in ",
    "\u2264": r"\le ",
    "\u2265": r"\ge ",
    "\u2260": r"\ne ",
    "\u2248": r"\approx ",
    "\u211d": r"\mathbb{R}",
    "\u2124": r"\mathbb{Z}",
    "\u00a0": " ",
    "\u2009": " ",
    "\u202f": " ",
    "\u2044": "/",
    "\u2019": "'",
    "\u3002": ".",
}
GREEK = {
    chr(code): "\\" + unicodedata.name(chr(code)).rpartition(" ")[2].lower() + " "
    for code in (*range(0x3B1, 0x3C2), *range(0x3C3, 0x3CA))
}
INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
CHARACTERS = str.maketrans({**SIGNS, **GREEK, **dict.fromkeys(INVISIBLE, "")})
SUPERSCRIPTS = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207b]+")


def _character(sign: str) -> str:
    """Return the plain form of a character: \\frac{1}{2} for a half, a digit for a wide digit."""
    form = unicodedata.decomposition(sign).split()
    if form[:1] == ["<fraction>"]:
        over, _, under = "".join(chr(int(code, 16)) for code in form[1:]).partition("\u2044")
        return rf"\frac{{{over}}}{{{under}}}"
    return unicodedata.normalize("NFKC", sign) if form[:1] in (["<wide>"], ["<font>"]) else sign


# --- plain LaTeX -------------------------------------------------------------------------

SPECIAL_TOKEN = re.compile(r"<\|[^|<>]{1,30}\|>")
SIZES = re.compile(
    r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits)(?![a-zA-Z])|\\[hv]?phantom\{[^{}]*\}"
)
SPACES = re.compile(r"(?<!\\)\\[,;: ]|\\q?quad(?![a-zA-Z])|~|\\newline(?![a-zA-Z])")
FONTS = re.compile(
    r"\\(?:mbox|text(?:rm|bf|it|sf|tt|normal|up)|math(?:rm|bf|it|sf|tt|cal|normal)|operatorname|"
    r"bm|boldsymbol|pmb|emph|rm|bf|it|sf)(?![a-zA-Z])(?=\s*\{)"
)
SWITCHES = re.compile(r"\\(?:rm|bf|it|sf|bfseries|itshape)(?![a-zA-Z])\s*")
SYNONYMS = {
    r"\\[dtc]frac(?![a-zA-Z])": r"\\frac",
    r"\\(?:leq|leqslant)(?![a-zA-Z])": r"\\le",
    r"\\(?:geq|geqslant)(?![a-zA-Z])": r"\\ge",
    r"\\neq(?![a-zA-Z])": r"\\ne",
    r"\\lt(?![a-zA-Z])": "<",
    r"\\gt(?![a-zA-Z])": ">",
    r"\\lbrace(?![a-zA-Z])": r"\\{",
    r"\\rbrace(?![a-zA-Z])": r"\\}",
    r"\\langle(?![a-zA-Z])": "(",
    r"\\rangle(?![a-zA-Z])": ")",
    r"\\[lr]vert(?![a-zA-Z])": "|",
    r"\\varnothing(?![a-zA-Z])|\\\{\s*\\\}": r"\\emptyset",
    r"\\mathbb\s*\{?\s*R\s*\}?|\\R(?:eals)?(?![a-zA-Z])": r"\\mathbb{R}",
    r"\\pounds(?![a-zA-Z])": "\u00a3",
    r"\\euro?(?![a-zA-Z])": "\u20ac",
    r"\\(?:p?mod|bmod)(?![a-zA-Z])": " mod ",
    r"\(\s*mod\s*(\w+)\s*\)": r"mod \1",
    r"\^\s*\{?\s*(?:T|\\top|\\intercal)\s*\}?$": "",
    r"\{,\}": ",",
    r"\\_": "_",
    r"(?<![\\a-zA-Z])sqrt\s*\(([^()]*)\)": r"\\sqrt{\1}",
    r"\\sqrt\s*\(([^()]*)\)": r"\\sqrt{\1}",
    r"(?<![\\a-zA-Z])(pi|sqrt|sin|cos|tan|log|ln|infinity)(?![a-zA-Z])": r"\\\1",
    r"\\infinity": r"\\infty",
    r"(?<![\\a-zA-Z])([CP])\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)$": r"\\binom{\2}{\3}",
    r"(?<=[)\]])\s*U\s*(?=[(\[])": r"\\cup ",
    r"(?<=\d)\s*\*\s*(?=\d)|\*(?=[\\\w(])": r"\\cdot ",
}
PATTERNS = [(re.compile(pattern), text) for pattern, text in SYNONYMS.items()]
EMPHASIS = re.compile(r"(\*\*|__|\*|_|`+|\"|')(.+?)\1[\s.,;:!]*", re.DOTALL)
LEAD_IN = re.compile(
    r"(?i)(?:[=:&#~]|\\approx|no\.|(?:\\text\s*\{\s*)?(?:final )?answer\s*(?::|is)\s*\}?:?|is\b|"
    r"equals\b|(?:is )?(?:approximately|about|roughly|around|exactly|simply|just|only|therefore|"
    r"thus|hence|so)\b,?)"
    r"\s*(?=\S)"
)
ASIDE = re.compile(r"\s+\((?!mod\b)[a-zA-Z]{3,}[a-zA-Z ,.'-]*\)$")


def plain(text: str) -> str:
    """Return an answer as plain LaTeX, with its unit and name.

    Without dollar signs around mathematics, sizes, thin spaces, fonts, emphasis, and words that
    only lead to the answer.
    """
    text = SUPERSCRIPTS.sub(_superscript, text).translate(CHARACTERS)
    text = SPECIAL_TOKEN.sub("", "".join(map(_character, text)))
    text = _undelimited(text)
    text = re.sub(r"\\!\s*", "", re.sub(r"(?<!\\)\\[()\[\]]", "", text))
    text = FONTS.sub(r"\\text", SPACES.sub(" ", SIZES.sub("", text)))
    text = SWITCHES.sub("", text)
    text = _unwrapped(text)
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return _unwrapped(text)


def _superscript(match: re.Match[str]) -> str:
    return "^{" + unicodedata.normalize("NFKC", match[0]).replace("\u2212", "-") + "}"


def _undelimited(text: str) -> str:
    """Return a text without dollar signs that delimit mathematics; one for money becomes \\$."""
    text = text.strip().replace("\\$", "\0")
    if text.count("$") % 2:
        text = re.sub(r"\$(?=\s*[\d.])", "\0", text, count=1)
    return text.replace("$", "").replace("\0", "\\$")


def _unwrapped(text: str) -> str:
    """Return a text without emphasis, lead-ins, asides and punctuation around it."""
    for _ in range(4):
        before = text
        text = text.strip(" \n\t`").rstrip(" ;,")
        text = text if text.endswith("...") else text.rstrip(" .;:,")
        if wrapped := EMPHASIS.fullmatch(text):
            text = wrapped[2].strip()
        text = text.strip("*") if text.count("**") % 2 else text
        if lead := LEAD_IN.match(text):
            text = text[lead.end() :]
        text = ASIDE.sub("", text)
        if text == before:
            break
    return text
