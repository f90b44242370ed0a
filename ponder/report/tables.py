"""Pieces that the Markdown documents share: a table, a figure, a family's name, what runs cost."""

from collections.abc import Mapping
from typing import Any


def table(head: list[str], align: str, rows: list[list[str]]) -> list[str]:
    """Return a table as lines; `align` has a letter for each column, l or r."""
    marks = {"l": "---", "r": "---:"}
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    lines.insert(1, "|" + "|".join(marks[letter] for letter in align) + "|")
    return lines


def picture(root: str, name: str, words: str) -> list[str]:
    """Return a figure that follows the reader's choice of a light or a dark page, as lines."""
    path = f"{root}paper/generated/{name}"
    return [
        "<picture>",
        f'  <source media="(prefers-color-scheme: dark)" srcset="{path}-dark.svg">',
        f'  <img src="{path}.svg" alt="{words}">',
        "</picture>",
    ]


def spelled(family: str) -> str:
    """Return the name of a family in words."""
    return family.replace("_", " ")


def cost_words(cost: Mapping[str, Any]) -> str:
    """Return a sentence on what the runs behind a plan took."""
    stages = ", ".join(
        f"{stage['tokens']} tokens in {stage['hours']} hours to {stage['name']}"
        for stage in cost["stages"]
    )
    return (
        f"The released runs took {stages}; together {cost['core_hours']} core-hours, "
        f"${cost['dollars']} at an assumed ${cost['price']} per core-hour."
    )
