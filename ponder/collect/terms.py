"""The terms that a teacher's outputs come under, as a gate before release.

Reads files, changes nothing. A text that we hold is named by its SHA-256 and lies under
data/licenses/; one that we do not hold is quoted with its source. Nothing is filled in from memory:
what nobody could read is `unclear`.
"""

from dataclasses import dataclass
from typing import Any, Literal

from ponder.errors import UserError
from ponder.hashing import file_sha256
from ponder.runs import ROOT


@dataclass(frozen=True)
class Terms:
    """What a teacher's outputs may be used for (conf/teacher)."""

    licence: str  # its name, or "unverified"
    reading: Literal["allowed", "restricted", "unclear"]  # whether they may train another model
    text: str | None  # SHA-256 of the text under data/licenses/
    quoted: str | None  # the clause, of a text that we do not hold
    source: str  # where the text or the clause was read
    why: str  # our reading in a sentence

    def __post_init__(self) -> None:
        if self.text and self.quoted:
            raise UserError(
                "teacher.terms has both a text and a quotation; a text that is held is named by "
                "its hash alone"
            )
        if self.reading != "unclear" and not (self.text or self.quoted):
            raise UserError(
                f"teacher.terms.reading={self.reading} rests on no text; give teacher.terms.text "
                "or teacher.terms.quoted, or say unclear"
            )


def check_text(terms: Terms) -> None:
    """Raise UserError unless the text that the terms name lies in data/licenses/ unchanged."""
    if terms.text is None:
        return
    path = ROOT / "data" / "licenses" / f"{terms.text}.txt"
    if not path.exists() or file_sha256(path) != terms.text:
        raise UserError(
            f"teacher.terms.text names {path.relative_to(ROOT)}, which is missing or another text; "
            "restore it, or quote the clause in teacher.terms.quoted"
        )


def refusal(terms: dict[str, Any]) -> str | None:
    """Return why a data set of a teacher's outputs is not released, with the clause.

    `terms` holds the fields of a Terms, as a run's config has them. None where the outputs may
    train another model.
    """
    if terms["reading"] == "allowed":
        return None
    clause = "no text is held"
    if terms["quoted"]:
        clause = f'"{terms["quoted"]}"'
    elif terms["text"]:
        clause = f"data/licenses/{terms['text']}.txt"
    return (
        f"the teacher's terms ({terms['licence']}, {terms['source']}) are {terms['reading']}: "
        f"{clause} - {terms['why']}"
    )
