"""Who has more than whom, how many have they together, and how many were there at first?"""

import random

from ponder.questions import stories
from ponder.questions.stories import Form, Numbers

THINGS = ("stamps", "badges", "coins", "feathers", "comics", "fossils", "keys", "medals")


def _chain(rng: random.Random, most: int) -> Numbers:
    least, times = rng.randint(4, 2 * most), rng.randint(2, 5)
    return {"least": least, "times": times, "fewer": rng.randint(2, least)}


def _backwards(rng: random.Random, most: int) -> Numbers:
    given = rng.randint(3, 2 * most)
    return {
        "given": given,
        "now": 2 * rng.randint(3, 2 * most),
        "found": 2 * rng.randint(1, given // 2),
    }


def _days(rng: random.Random, most: int) -> Numbers:
    numbers = {"first": rng.randint(3, most), "times": rng.randint(2, 5)}
    second = numbers["first"] * numbers["times"]
    numbers["fewer"] = rng.randint(1, second - 1)
    total = numbers["first"] + 2 * second - numbers["fewer"]
    return numbers | {"goal": total + rng.randint(2, 3 * most)}


def _mean(rng: random.Random, most: int) -> Numbers:
    numbers = {name: rng.randint(2, 2 * most) for name in ("first", "second", "third_day")}
    least = sum(numbers.values()) // 4 + 1
    return numbers | {"mean": rng.randint(least, least + most)}


def _half(rng: random.Random, most: int) -> Numbers:
    return {
        "many": 2 * rng.randint(3, 2 * most),
        "more": rng.randint(2, most),
        "lost": rng.randint(2, 4),
    }


def _level(rng: random.Random, most: int) -> Numbers:
    less = rng.randint(2, 3 * most)
    return {"less": less, "more": less + 2 * rng.randint(1, 2 * most)}


def _shelves(rng: random.Random, most: int) -> Numbers:
    return {
        "shelves": rng.randint(2, 9),
        "each": rng.randint(5, 2 * most),
        "lent": rng.randint(2, 9),
        "boxes": rng.randint(2, 9),
        "inside": rng.randint(5, 2 * most),
    }


FORMS = (
    Form(
        "chain",
        4,
        _chain,
        lambda least, times, fewer: least + 2 * times * least - fewer,
        (
            "{other} has {least} {things}. {name} has {times} times as many, and {third} has "
            "{fewer} fewer than {name}. How many {things} do the three have together?",
            "{third} owns {fewer} {things} less than {name}, and {name} owns {times} times as many "
            "as {other}, who has {least}. How many do they own in all?",
        ),
        {"things": THINGS},
    ),
    Form(
        "backwards",
        3,
        _backwards,
        lambda given, now, found: (now + found) // 2 + given - found,
        (
            "{name} finds {found} {things} and then gives {given} away. After that {he} gets as "
            "many again as {he} still has, and loses {found}, so that {he} ends with {now}. How "
            "many {things} did {he} have at the beginning?",
            "First {found} {things} are put into a drawer, then {given} are taken out. Then their "
            "number is doubled, and {found} are taken out again, which leaves {now}. How many "
            "{things} were in the drawer at first?",
        ),
        {"things": THINGS},
    ),
    Form(
        "days",
        5,
        _days,
        lambda first, times, fewer, goal: goal - first - 2 * times * first + fewer,
        (
            "{name} picks {first} kg of plums on Friday, {times} times as much on Saturday, and "
            "{fewer} kg less on Sunday than on Saturday. {He} needs {goal} kg. How many kilograms "
            "are missing?",
            "A class wants to collect {goal} bottles. It collects {first} in the first week, "
            "{times} times as many in the second, and {fewer} fewer in the third than in the "
            "second. How many bottles are still missing?",
        ),
    ),
    Form(
        "mean",
        4,
        _mean,
        lambda first, second, third_day, mean: 4 * mean - first - second - third_day,
        (
            "On three days {name} sells {first}, {second} and {third_day} {things}. How many must "
            "{he} sell on the fourth day for an average of {mean} a day?",
            "{name} has found {first}, {second} and {third_day} {things} on three walks. After a "
            "fourth walk the average is {mean}. How many did {he} find on the fourth?",
        ),
        {"things": THINGS},
    ),
    Form(
        "half",
        4,
        _half,
        lambda many, more, lost: many + many // 2 + more - lost,
        (
            "{name} has {many} {things}, and {other} has {more} more than half as many. They put "
            "them together and lose {lost}. How many {things} are left?",
            "There are {many} {things} in the first box. In the second are half as many and "
            "{more} more. {lost} are taken out. How many {things} are in the two boxes then?",
        ),
        {"things": THINGS},
    ),
    Form(
        "level",
        2,
        _level,
        lambda less, more: (more - less) // 2,
        (
            "{name} has {more} {things} and {other} has {less}. How many must {name} give to "
            "{other} so that both have the same number?",
            "In one jar are {less} {things}, in another {more}. How many have to be moved from one "
            "to the other until the jars hold equally many?",
        ),
        {"things": THINGS},
    ),
    Form(
        "shelves",
        4,
        _shelves,
        lambda shelves, each, lent, boxes, inside: shelves * each - lent + boxes * inside,
        (
            "{name} keeps {each} {things} on each of {shelves} shelves and {inside} in each of "
            "{boxes} boxes. {He} has lent {lent} of those on the shelves to {other}. How many "
            "{things} are still there?",
            "On {shelves} shelves stood {each} {things} each, before {lent} were taken away. Then "
            "{boxes} boxes with {inside} {things} each are brought. How many {things} are there "
            "now?",
        ),
        {"things": THINGS},
    ),
)

FAMILY = stories.family("comparisons", FORMS)
