"""What the families that sort share: the key of a question, its steps and their answer."""

from collections.abc import Callable, Sequence
from typing import Any

from ponder.questions.family import Step


def order_key(direction: str, items: list[Any]) -> str:
    """Return the key of a sorting question: direction and what is sorted, in any order."""
    return f"{direction} {' '.join(map(str, sorted(items)))}"


def picks(items: list[str], rank: Callable[[str], Any], direction: str) -> list[Step]:
    """Return one step per pick: the item, and after a bar the items left in their order."""
    choose = min if direction == "ascending" else max
    solved: list[Step] = []
    picked: list[str] = []
    left = items
    while left:
        pick = choose(left, key=rank)
        # The last pick has no rival; the slip that is left is to pick an item again.
        others = left if len(left) > 1 else picked
        wrong = tuple(_pick(other, left) for other in dict.fromkeys(others) if other != pick)
        solved.append(Step("", _pick(pick, left), wrong))
        left = _without(pick, left)
        picked.append(pick)
    return solved


def _pick(item: str, left: list[str]) -> str:
    return " ".join([item, "|", *_without(item, left)]) if len(left) > 1 else item


def _without(item: str, left: list[str]) -> list[str]:
    place = left.index(item)
    return left[:place] + left[place + 1 :]


def sorted_items(solved: Sequence[Step]) -> str:
    """Return the items in the order in which they were picked."""
    return ", ".join(step.value.split(" ")[0] for step in solved)
