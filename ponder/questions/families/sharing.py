"""How are things given away, divided and packed, and how many are left over?"""

import random

from ponder.questions import stories
from ponder.questions.stories import Form, Numbers

THINGS = ("cherries", "shells", "stamps", "walnuts", "tickets", "beads", "tulips", "crayons")
GROUPS = ("children", "neighbours", "classmates", "cousins", "players")


def _kept(rng: random.Random, most: int) -> Numbers:
    people, each = rng.randint(3, most), rng.randint(2, most)
    kept = rng.randint(2, most)
    return {"people": people, "kept": kept, "all": people * each + kept + rng.randrange(people)}


def _boxes(rng: random.Random, most: int) -> Numbers:
    return {
        "bags": rng.randint(3, most),
        "each": rng.randint(4, 2 * most),
        "broken": rng.randint(2, 9),
        "size": rng.randint(3, 12),
    }


def _pooled(rng: random.Random, most: int) -> Numbers:
    """Return things that can be divided equally among all who brought some."""
    while True:
        numbers = {
            "friends": rng.randint(2, 9),
            "each": rng.randint(2, most),
            "own": rng.randint(2, 2 * most),
            "eaten": rng.randint(2, most),
        }
        left = numbers["friends"] * numbers["each"] + numbers["own"] - numbers["eaten"]
        if left > 0 and left % (numbers["friends"] + 1) == 0:
            return numbers


def _parts(rng: random.Random, most: int) -> Numbers:
    """Return a number that can be halved, and the half be divided by `part`."""
    part = rng.randint(3, 6)
    left = rng.randint(2, 2 * most) * (part - 1)
    return {"all": 2 * part * left // (part - 1), "part": part, "lost": rng.randint(2, left)}


def _teams(rng: random.Random, most: int) -> Numbers:
    return {
        "boys": rng.randint(5, 3 * most),
        "girls": rng.randint(5, 3 * most),
        "size": rng.randint(4, 11),
    }


def _rows(rng: random.Random, most: int) -> Numbers:
    numbers = {"rows": rng.randint(3, most), "seats": rng.randint(4, most)}
    seats = numbers["rows"] * numbers["seats"]
    numbers |= {"empty": rng.randint(2, min(9, seats // 4)), "tables": rng.randint(3, 9)}
    return numbers


FORMS = (
    Form(
        "kept",
        3,
        _kept,
        lambda people, kept, all: (all - kept) // people,
        (
            "{name} has {all} {things}. {He} keeps {kept} for a friend and gives the same number "
            "of whole {things} to each of {people} {group}, as many as possible. How many does "
            "each of them get?",
            "Out of {all} {things} {name} puts {kept} aside. The others are handed out fairly to "
            "{people} {group}, only whole ones, and what cannot be divided stays in the bowl. How "
            "many {things} does each of the {group} get?",
        ),
        {"things": THINGS, "group": GROUPS},
    ),
    Form(
        "left over",
        3,
        _kept,
        lambda people, kept, all: (all - kept) % people,
        (
            "{name} takes {kept} of {all} {things} for a friend. The rest is shared equally among "
            "{people} {group}, each getting as many whole {things} as possible. How many {things} "
            "are left over?",
            "There are {all} {things}. {kept} of them go to {other}, and {people} {group} share "
            "the others so that all have equally many, and as many as possible. How many {things} "
            "does nobody get?",
        ),
        {"things": THINGS, "group": GROUPS},
    ),
    Form(
        "boxes",
        4,
        _boxes,
        lambda bags, each, broken, size: -(-(bags * each - broken) // size),
        (
            "{name} opens {bags} bags with {each} {things} each. {broken} of them are spoilt and "
            "thrown away, and the others are put into boxes that hold {size}. How many boxes does "
            "{he} need to store them all?",
            "{bags} crates hold {each} {things} each, of which {broken} in all are no good. At "
            "most {size} good ones fit on a plate. What is the smallest number of plates for all "
            "the good {things}?",
        ),
        {"things": THINGS},
    ),
    Form(
        "pooled",
        5,
        _pooled,
        lambda friends, each, own, eaten: (friends * each + own - eaten) // (friends + 1),
        (
            "{name} brings {own} {things} to a picnic, and each of {his} {friends} friends brings "
            "{each}. {eaten} get lost on the way, and {name} and the friends share the rest "
            "equally. How many does each of them get?",
            "Each of {friends} friends puts {each} {things} on the table, and {name} adds {own}. "
            "After {eaten} of them were given to a passer-by, they and {name} divide the rest into "
            "equal parts. How many {things} are in one part?",
        ),
        {"things": THINGS},
    ),
    Form(
        "parts",
        4,
        _parts,
        lambda all, part, lost: all // 2 - all // 2 // part - lost,
        (
            "{name} starts with {all} {things}. {He} gives half of them to {other}, and then one "
            "out of every {part} that are left to {third}. Then {he} loses {lost}. How many "
            "{things} does {he} still have?",
            "Half of {all} {things} are sold in the morning. In the afternoon 1/{part} of what is "
            "left is sold, and {lost} are given away. How many {things} remain in the evening?",
        ),
        {"things": THINGS},
    ),
    Form(
        "teams",
        2,
        _teams,
        lambda boys, girls, size: (boys + girls) % size,
        (
            "{boys} boys and {girls} girls form as many teams of {size} as they can. How many "
            "children are left without a team?",
            "On a trip are {girls} girls and {boys} boys. They fill one boat of {size} seats after "
            "the other. How many of them are in the last boat if it is not full, or 0 if all boats "
            "are full?",
        ),
    ),
    Form(
        "rows",
        4,
        _rows,
        lambda rows, seats, empty, tables: (rows * seats - empty) // tables,
        (
            "A hall has {rows} rows of {seats} seats, and {empty} of the seats are empty. After "
            "the show all the guests sit down at {tables} tables, as evenly as they can. How many "
            "guests are at the table with the fewest?",
            "In a cinema with {rows} rows of {seats} seats all but {empty} seats are taken. The "
            "visitors leave by {tables} doors, spread as evenly as possible. How many people leave "
            "by the door with the fewest?",
        ),
    ),
)

FAMILY = stories.family("sharing", FORMS)
