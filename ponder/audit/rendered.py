"""What a reader of a Markdown document sees: its text as it is rendered, with code, with texts and
titles of images and links, and without what is not seen.

Rendered by CommonMark with tables and struck text. Of raw HTML a few tags are known; whatever else
stands in a document is a problem, for nobody here knows what it shows.
"""

import posixpath
import re
import unicodedata
from html import unescape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from markdown_it.token import Token

ATTRIBUTE = '="[^"<>]*"'
TAGS = {  # what may stand in a document as HTML
    "comments": r"<!--(?!-?>)(?:(?!--).)*-->",
    "<br>": r"<br */?>",
    "<picture>": r"</?picture>",
    "<source> with media and srcset": rf"<source(?: (?:media|srcset){ATTRIBUTE})+ */?>",
    "<img> with src and alt": rf"<img(?: (?:src|alt){ATTRIBUTE})+ */?>",
}
HTML = re.compile("|".join(TAGS.values()), re.DOTALL)
OTHER_TAG = re.compile(r"<[/!?a-zA-Z][^>\n]*>?")
SHOWN = re.compile(rf"\b(srcset|src|alt){ATTRIBUTE}")
DRAWN = re.compile(r":(?:zero|one|two|three|four|five|six|seven|eight|nine|keycap_ten):")
UNSEEN = ("Cf", "Mn", "Me")  # Unicode's categories of what has no width, turns or strikes out text
FIGURE = re.compile(r"paper/generated/[\w-]+\.svg")


class Rendered(NamedTuple):
    """What is seen of a document, as one text in which code stands between backticks."""

    text: str
    code: list[tuple[int, int]]  # where code begins and ends in it
    lines: list[tuple[int, int]]  # (place in the text, line of the source), in order
    problems: list[str]  # a sentence for each thing of which nobody knows what it shows


def rendered(name: str, source: str) -> Rendered:
    """Return what is seen of the document `name`, a path from the root, with this source."""
    from markdown_it import MarkdownIt

    notes: dict = {}
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    markdown.validateLink = _is_shown  # type: ignore[method-assign]
    tokens = markdown.parse(source, notes)
    page = _Page(name)
    for token in tokens:
        if token.map:
            page.lines.append((page.length, token.map[0] + 1))
        page.add_block(token)
    for label in notes.get("references", ()):
        if label.startswith("^"):
            page.problems.append(f"{name} has the footnote [{label.lower()}]; say it in the text")
    text = "".join(page.pieces)
    unseen = sorted({f"U+{ord(sign):04X}" for sign in text if unicodedata.category(sign) in UNSEEN})
    page.problems += [f"{name} has {sign}, which changes what is read unseen" for sign in unseen]
    return Rendered(text, page.code, page.lines, page.problems)


def _is_shown(url: str) -> bool:
    """Return that an address is kept, whatever it is: images show theirs, and each is judged."""
    return True


class _Page:
    """A document as it is read from its tokens, in their order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pieces: list[str] = []
        self.length = 0
        self.code: list[tuple[int, int]] = []
        self.lines = [(0, 1)]
        self.problems: list[str] = []

    @property
    def line(self) -> int:
        return self.lines[-1][1]

    def add(self, text: str) -> None:
        self.pieces.append(text)
        self.length += len(text)

    def add_code(self, text: str) -> None:
        start = self.length
        self.add(f"`{text}`")
        self.code.append((start, self.length))

    def add_block(self, token: "Token") -> None:
        if token.type == "inline":
            for child in token.children or ():
                self.add_inline(child)
        elif token.type in ("fence", "code_block"):
            self.add_code(f"\n{token.content}")
        elif token.type == "html_block":
            self.add_html(token.content)
        elif token.type == "ordered_list_open" and token.attrs.get("start", 1) != 1:
            self.add(f"{token.attrs['start']}.")
        if token.type == "inline" or not token.type.endswith("_close"):
            self.add("\n")

    def add_inline(self, token: "Token") -> None:
        if token.type in ("softbreak", "hardbreak"):
            self.add("\n")
        elif token.type == "html_inline":
            self.add_html(token.content)
        elif token.type == "image":
            self.add_image(str(token.attrs.get("src", "")))
            for child in token.children or ():
                self.add_inline(child)
        elif token.type == "code_inline":
            self.add_code(token.content)
        else:
            for name in DRAWN.findall(token.content):
                self.problems.append(f"{self.name} line {self.line} has {name}, a digit as a sign")
            self.add(token.content)
        if title := token.attrs.get("title"):
            self.add(f" {title} ")

    def add_image(self, place: str) -> None:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self.name), place))
        if not FIGURE.fullmatch(path):
            self.problems.append(
                f"{self.name} line {self.line} shows {place}, which is no figure of paper/generated"
            )
        self.add_code(place)

    def add_html(self, source: str) -> None:
        end = 0
        for tag in HTML.finditer(source):
            self.add_between(source[end : tag.start()])
            self.add_tag(tag[0])
            end = tag.end()
        self.add_between(source[end:])

    def add_between(self, text: str) -> None:
        for tag in OTHER_TAG.findall(text):
            self.problems.append(
                f"{self.name} line {self.line} has {tag}; of HTML documents have {', '.join(TAGS)}"
            )
        self.add(unescape(text))

    def add_tag(self, tag: str) -> None:
        if tag.startswith("<br"):
            self.add("\n")
        for attribute in SHOWN.finditer("" if tag.startswith("<!--") else tag):
            value = unescape(attribute[0].partition("=")[2][1:-1])
            self.add(value) if attribute[1] == "alt" else self.add_image(value)
