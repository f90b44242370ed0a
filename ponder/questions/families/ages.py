"""How old is somebody, now, then or together with others?"""

import random
from fractions import Fraction

from ponder.questions import stories
from ponder.questions.stories import Form, Numbers


def _together(rng: random.Random, most: int) -> Numbers:
    times, young, years = rng.randint(2, 6), rng.randint(3, most), rng.randint(2, 15)
    return {"times": times, "total": (times + 1) * young, "years": years}


def _later(rng: random.Random, most: int) -> Numbers:
    return {
        "young": rng.randint(3, 2 * most),
        "older": rng.randint(2, most),
        "years": rng.randint(2, most),
    }


def _will_be(rng: random.Random, most: int) -> Numbers:
    times, young = rng.randint(2, 5), rng.randint(4, most)
    years = rng.randint(2, min(most, times * young - 3))
    return {"times": times, "young": young, "years": years}


def _three(rng: random.Random, most: int) -> Numbers:
    young = rng.randint(4, most)
    return {"young": young, "times": rng.randint(2, 5), "less": rng.randint(2, young - 1)}


def _twice(rng: random.Random, most: int) -> Numbers:
    young, years = rng.randint(2, 2 * most), rng.randint(2, most)
    return {"young": young, "old": 2 * young + years}


def _mean(rng: random.Random, most: int) -> Numbers:
    """Return a mean age of three that leaves at least two years to the third."""
    first, second = rng.randint(5, 2 * most), rng.randint(5, 2 * most)
    least = (first + second) // 3 + 1
    return {"first": first, "second": second, "mean": rng.randint(least, least + most)}


def _ago(rng: random.Random, most: int) -> Numbers:
    times, then, years = rng.randint(2, 5), rng.randint(3, most), rng.randint(2, most)
    return {"times": times, "young": then + years, "years": years, "later": rng.randint(2, most)}


FORMS = (
    Form(
        "together",
        4,
        _together,
        lambda times, total, years: Fraction(total * times, times + 1) + years,
        (
            "{name} is {times} times as old as {other}, and together they are {total} years old. "
            "How old will {name} be in {years} years?",
            "The ages of {other} and {name} add up to {total}, and {name} is {times} times as old "
            "as {other}. What will {name}'s age be {years} years from now?",
        ),
    ),
    Form(
        "later",
        4,
        _later,
        lambda young, older, years: 2 * young + older + 2 * years,
        (
            "{other} is {young} years old, and {name} is {older} years older. What will the sum of "
            "their ages be in {years} years?",
            "{name} is {older} years older than {other}, who has just turned {young}. How old will "
            "the two of them be together {years} years from now?",
        ),
    ),
    Form(
        "will be",
        2,
        _will_be,
        lambda times, young, years: times * young - years,
        (
            "In {years} years {name} will be {times} times as old as {other} is today. {other} is "
            "{young}. How old is {name} today?",
            "{other} is {young} years old. {years} years from now, {name}'s age will be {times} "
            "times what {other}'s age is now. What is {name}'s age now?",
        ),
    ),
    Form(
        "three",
        4,
        _three,
        lambda young, times, less: young + times * young + times * young - less,
        (
            "{other} is {young}. {other}'s neighbour {name} is {times} times as old, and {third} "
            "is {less} years younger than {name}. How many years old are the three together?",
            "{name} is {times} times as old as {other}, and {third} is {less} years younger than "
            "{name}. {other} is {young} years old. What do their three ages add up to?",
        ),
    ),
    Form(
        "twice",
        2,
        _twice,
        lambda young, old: old - 2 * young,
        (
            "{name} is {young} years old and {other} is {old}. In how many years will {other} be "
            "exactly twice as old as {name}?",
            "{other} is {old}, and {name} is {young}. How many years from now is {other}'s age "
            "double that of {name}?",
        ),
    ),
    Form(
        "mean",
        3,
        _mean,
        lambda first, second, mean: 3 * mean - first - second,
        (
            "{name}, {other} and {third} are {mean} years old on average. {name} is {first} and "
            "{other} is {second}. How old is {third}?",
            "The mean age of three players is {mean}. One of them is {first} and another "
            "{second}. What is the age of the third?",
        ),
    ),
    Form(
        "ago",
        4,
        _ago,
        lambda times, young, years, later: times * (young - years) + years + later,
        (
            "{years} years ago {name} was {times} times as old as {other} was then. {other} is "
            "{young} now. How old will {name} be {later} years from now?",
            "{other} is {young} years old. When {other} was {years} years younger, {name} was "
            "{times} times as old as {other}. What will {name}'s age be in {later} years?",
        ),
    ),
)

FAMILY = stories.family("ages", FORMS)
