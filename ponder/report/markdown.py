"""The numbers of the Markdown documents, put into them. Pure: it formats and counts nothing.

A document is its own template: a number in its prose stands between `<!--=path-->` and `<!--/-->`,
which no reader sees, and what is made as a whole between two comments such as `<!-- results -->`
and `<!-- /results -->`. Every number is a string of results.json under `printed`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ponder.errors import UserError
from ponder.report.front_page import example, public_table, s1_table
from ponder.report.results_page import results_page

INLINE = re.compile(r"(?<=<!--=)(.+?)-->(.*?)(?=<!--/-->)")
BLOCK = re.compile(r"(?<=<!-- )([\w-]+)( -->\n)(.*?)(?=<!-- /\1 -->)", re.DOTALL)


@dataclass(frozen=True)
class Document:
    """A document that holds numbers: how its links reach the root, and the blocks that it has."""

    root: str
    blocks: tuple[str, ...]


DOCUMENTS = {  # by their path from the root of the repository
    "README.md": Document("", ("public-table", "s1-table", "example")),
    "data/README.md": Document("../", ()),
    "conf/README.md": Document("../", ()),
    "paper/results.md": Document("../", ("results",)),
}

BLOCKS: dict[str, Callable[[Mapping[str, Any], str], str]] = {
    "public-table": public_table,
    "s1-table": s1_table,
    "example": example,
    "results": results_page,
}


def at(results: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path such as `rows/SFT, no forcing/all/n`.

    An item of a list is named by its label, name or k. Raises UserError for a path that is not
    there.
    """
    value: Any = results
    for key in path.split("/"):
        if isinstance(value, list):
            value = {name_of(item): item for item in value}
        if not isinstance(value, dict) or key not in value:
            raise UserError(
                f"no number is called {path!r}: {key!r} is not there; take a path in "
                "paper/generated/results.json under `printed`"
            )
        value = value[key]
    return value


def name_of(item: Any) -> str:
    """Return what an item of a list is called in a path."""
    is_named = isinstance(item, dict)
    return str(item.get("label", item.get("name", item.get("k")))) if is_named else str(item)


def filled(text: str, results: Mapping[str, Any], root: str) -> str:
    """Return a document with its blocks and the numbers in its prose put in anew."""

    def block(match: re.Match) -> str:
        name, opening, old = match.groups()
        return name + opening + (BLOCKS[name](results, root) if name in BLOCKS else old)

    def number(match: re.Match) -> str:
        string = at(results["printed"], match[1])
        if not isinstance(string, str):
            raise UserError(f"{match[1]!r} is no single number; take a path that ends at one")
        return f"{match[1]}-->{string}"

    return INLINE.sub(number, BLOCK.sub(block, text))


def checked(text: str, name: str) -> str:
    """Return the text of a document; raises UserError for one that cannot be what it is filled in.

    It must have the blocks of DOCUMENTS, each once and in order, an end for every number that it
    opens, and a title.
    """
    wanted = DOCUMENTS[name].blocks
    if not re.search("^# ", text, re.MULTILINE):
        raise UserError(f"{name} is empty or has no title; restore it from git")
    if blocks(text) != wanted:
        raise UserError(
            f"{name} has the blocks {', '.join(blocks(text)) or 'none'}, but must have "
            f"{', '.join(wanted) or 'none'}, each from <!-- name --> to <!-- /name -->; restore it "
            "from git"
        )
    if not text.count("<!--=") == text.count("<!--/-->") == len(INLINE.findall(text)):
        raise UserError(
            f"{name} has a number <!--=...--> without its <!--/-->; restore it from git"
        )
    if any(len(re.findall(rf"<!-- /?{block} -->", text)) != 2 for block in wanted):
        raise UserError(f"{name} opens or closes a block more than once; restore it from git")
    return text


def blocks(text: str) -> tuple[str, ...]:
    """Return the names of the blocks of a document, in order."""
    return tuple(match[1] for match in BLOCK.finditer(text))
