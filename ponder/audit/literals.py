"""Every number in the documents that is no claim: each must be a literal of logs/literals.yaml, with its reason."""

import re
import unicodedata

from ponder.audit.checks import ROOT, read, shown
from ponder.audit.claims import builder

# A number: digits that are no part of a name (H100, s1-59k, Q4_1) or a version's tail.
NUMBER = re.compile(r"(?<![A-Za-z0-9])(?<![A-Za-z0-9][._-])[-+]?\.?\d+(?:[.,/]\d+)*\w*%?")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
# In code: standing alone, a percentage, or a decimal fraction after a sign; else it is an option, an index or a part of a name.
IN_CODE = re.compile(
    r"""(?<![^\s`|(}{"'>~])[-+]?\.?\d+(?:[.,/]\d+)*(?![^\s`|)}"',;:])"""
    r"""|[-+]?\d[\d.,]*%|(?<=[^=][=:])\d*\.\d+(?![\w.])"""
)
TABLES = re.compile(r"<!-- results -->\n.*?<!-- /results -->", re.DOTALL)
MARKDOWN = re.compile(r"<!--=.+?-->.*?<!--/-->|https?://[^\s)>|\]]+|^ *\d\. ", re.MULTILINE)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
# Of typst: comments, lengths, arguments and arithmetic of its code, references into s1's paper, and names that a look-up must find.
TYPST = re.compile(
    r"""(?:^|(?<=\s))//[^\n]*|,\) \* \d\b|(?:\w: |\(|, )\d[\d.]*(?:pt|cm|em|fr)(?=[,)])|\bnumbering: "1\""""
    r"""|\b(?:columns|colspan|digits): \d(?![\d.,%]\d|%)|len\(\) [->] \d\b|slice\(0,|\(100 \* """
    r"""|== [01](?![\w.,%]\d|%)|\#sec\[\d(?:\.\d)?\]|\b(?:at|comparison|method|run|tokens|slope|obeys|thinks"""
    r"""|versus|against|cited|json|image)\((?:"[^"\n]*"(?:,\s)?)+"""
)


MARKS = re.compile(r"<!--=.+?-->.*?<!--/-->")  # what a template puts in
ANYWHERE = re.compile(
    r"\d+(?:[.,]\d+)*\s?(?:%|percent\b)"
)  # in code, in names and in addresses too
READS = re.compile(
    r"\b(?:include|import|read|json|yaml|toml|csv|xml|cbor|plugin|eval|image)\b[ (]*\"([^\"]*)\""
)


def stray(text, suffix, allowed=()):
    """Return (line, number) of each number in a document that no template puts there and no phrase of `allowed` holds."""

    def without(text):
        for phrase in allowed:
            text = standing(phrase).sub(lambda found: re.sub(r"\S", "_", found[0]), text)
        return text

    if suffix == ".typ":
        code, prose = [], without(blank(TYPST, text))
    else:
        text = without(blank(TABLES, text))
        code = [
            found for span in CODE.finditer(text) for found in IN_CODE.finditer(text, *span.span())
        ]
        prose = blank(COMMENT, blank(MARKDOWN, blank(CODE, text)))
    found = [
        *code,
        *NUMBER.finditer(prose),
        *ANYWHERE.finditer(prose if suffix == ".typ" else blank(MARKS, text)),
    ]
    odd = [
        (at, sign)
        for at, sign in enumerate(text)
        if not sign.isascii() and unicodedata.category(sign) in ("Nd", "Nl", "No")
    ]
    places = {(match.start(), match[0]) for match in found} | set(odd)
    return sorted({(text.count("\n", 0, at) + 1, said) for at, said in places})


def standing(phrase):
    """Return the pattern of a phrase that is no part of a longer word or number."""
    return re.compile(rf"(?<![\w.]){re.escape(phrase)}(?!\w)")


def literals():
    """Whether every number in the documents that no template puts in is a literal of logs/literals.yaml, with its reason."""
    allowed, problems = read(ROOT / "logs" / "literals.yaml") or [], []
    phrases, texts = [entry["text"] for entry in allowed], {}
    for path in [*(ROOT / name for name in builder().DOCUMENTS), ROOT / "paper" / "paper.typ"]:
        texts[path] = path.read_text()
        problems += [
            f"{shown(path)} line {line} holds {number}, which no template put there; make it a claim, or say why not in "
            "logs/literals.yaml"
            for line, number in stray(texts[path], path.suffix, phrases)
        ]
    paper = ROOT / "paper"
    problems += [
        f"paper/paper.typ reads {name}, which no check reads"
        for name in READS.findall(texts[paper / "paper.typ"])
        if not re.fullmatch(r"generated/(results\.json|\w+\.svg)", name)
    ]
    problems += [
        f"{shown(path)} is a template that no check reads"
        for path in paper.rglob("*.typ")
        if path not in texts
    ]
    problems += [
        f"logs/literals.yaml allows {phrase!r}, which stands nowhere; remove it"
        for phrase in phrases
        if not any(standing(phrase).search(text) for text in texts.values())
    ]
    problems += [
        f"logs/literals.yaml gives no reason for {entry['text']!r}"
        for entry in allowed
        if len(entry.get("reason", "")) < 10
    ]
    if len(allowed) > 30:
        problems.append(f"logs/literals.yaml has {len(allowed)} entries, at most 30 are allowed")
    return f"{len(allowed)} of at most 30 literals", problems


def blank(pattern, text):
    """Return a text whose matches are spaces, its lines kept."""
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
