"""What is left, added or asked for in per cent?"""

import random
from fractions import Fraction

from ponder.questions import stories
from ponder.questions.stories import Form, Numbers

DEAR = ("bicycle", "coat", "guitar", "tent", "desk", "camera", "watch", "printer")
PLACES = ("a village", "a small town", "a suburb", "a valley")


def _percent(rng: random.Random) -> int:
    return 5 * rng.randint(1, 10)


def _discount(rng: random.Random, most: int) -> Numbers:
    price = 20 * rng.randint(2, most)
    return {"price": price, "percent": _percent(rng), "off": rng.randint(1, min(most, price // 4))}


def _growth(rng: random.Random, most: int) -> Numbers:
    return {
        "start": 200 * rng.randint(2, 5 * most),
        "first": 10 * rng.randint(1, 6),
        "second": 10 * rng.randint(1, 6),
    }


def _of_these(rng: random.Random, most: int) -> Numbers:
    """Return a number of people of whom both parts are whole people."""
    while True:
        numbers = {"all": 20 * rng.randint(2, most), "some": _percent(rng), "part": _percent(rng)}
        some = numbers["all"] * numbers["some"]
        if some % 100 == 0 and some // 100 * numbers["part"] % 100 == 0:
            return numbers


def _tip(rng: random.Random, most: int) -> Numbers:
    bill, tip = 5 * rng.randint(4, 2 * most), rng.choice((10, 15, 20))
    return {"bill": bill, "tax": rng.randint(4, 12), "tip": tip}


def _before(rng: random.Random, most: int) -> Numbers:
    price, percent = 20 * rng.randint(2, 2 * most), _percent(rng)
    paid = price - price * percent // 100
    return {"percent": percent, "paid": paid, "more": rng.randint(2, most)}


def _interest(rng: random.Random, most: int) -> Numbers:
    money = 100 * rng.randint(2, 2 * most)
    return {"money": money, "rate": rng.randint(2, 9), "years": rng.randint(2, 9)}


def _share(rng: random.Random, most: int) -> Numbers:
    """Return counts of which the last is a whole percentage of all."""
    while True:
        numbers = {name: rng.randint(2, 3 * most) for name in ("red", "blue", "green")}
        if 100 * numbers["green"] % sum(numbers.values()) == 0:
            return numbers


FORMS = (
    Form(
        "discount",
        3,
        _discount,
        lambda price, percent, off: price - Fraction(price * percent, 100) - off,
        (
            "A {item} costs ${price}. In the sale it is {percent}% cheaper, and {name} has a "
            "voucher for another ${off}. How many dollars does {he} pay?",
            "{name} sees a {item} for ${price}. The shop takes {percent}% off the price and then "
            "${off} more, as it is the last one. What is the price in dollars now?",
        ),
        {"item": DEAR},
    ),
    Form(
        "growth",
        4,
        _growth,
        lambda start, first, second: Fraction(start * (100 + first) * (100 + second), 10_000),
        (
            "In {place} live {start} people. In one year their number grows by {first}%, and in "
            "the next by {second}% of what it was then. How many people live there after the two "
            "years?",
            "In {place} {start} litres of milk are made a week. After a rise of {first}% and then "
            "another of {second}% on top, how many litres a week are made?",
        ),
        {"place": PLACES},
    ),
    Form(
        "of these",
        3,
        _of_these,
        lambda all, some, part: Fraction(all * some, 100) - Fraction(all * some * part, 10_000),
        (
            "A school has {all} pupils. {some}% of them are in a club, and {part}% of those in a "
            "club play chess. How many are in a club but do not play chess?",
            "Of {all} trees in an orchard {some}% bear fruit, and {part}% of those that bear fruit "
            "have been harvested. How many trees with fruit are still to be harvested?",
            "{name} has {all} photographs. {some}% of them are in colour, and {part}% of those in "
            "colour are framed. How many photographs in colour are not framed?",
        ),
    ),
    Form(
        "tip",
        4,
        _tip,
        lambda bill, tax, tip: bill + Fraction(bill * (tax + tip), 100),
        (
            "A meal costs ${bill} before tax. {name} pays {tax}% tax and gives {tip}% of the price "
            "before tax as a tip. How many dollars does {he} spend in all?",
            "On a bill of ${bill} come {tax}% tax and a tip of {tip}%, both worked out from the "
            "${bill}. What does {name} pay altogether, in dollars?",
        ),
    ),
    Form(
        "before",
        3,
        _before,
        lambda percent, paid, more: Fraction(100 * paid, 100 - percent) + more,
        (
            "{name} got a {item} {percent}% cheaper and paid ${paid}. Without the reduction, and "
            "with ${more} for delivery, how many dollars would it have cost?",
            "After a reduction of {percent}% a {item} costs ${paid}. {other} paid the full price "
            "and ${more} for a bag to it. How many dollars did {other} pay?",
        ),
        {"item": DEAR},
    ),
    Form(
        "interest",
        3,
        _interest,
        lambda money, rate, years: money + Fraction(money * rate * years, 100),
        (
            "{name} lends {other} ${money} at {rate}% simple interest a year. How many dollars "
            "does {other} owe after {years} years?",
            "A bank pays {rate}% of the first deposit every year, and never interest on interest. "
            "{name} deposits ${money}. How many dollars are there after {years} years?",
        ),
    ),
    Form(
        "share",
        4,
        _share,
        lambda red, blue, green: Fraction(100 * green, red + blue + green),
        (
            "In a bag there are {red} red, {blue} blue and {green} green beads. How many per cent "
            "of the beads are green?",
            "At a meeting {red} people vote for a playground, {blue} for a pond and {green} for a "
            "garden. What percentage of the votes does the garden get?",
        ),
    ),
)

FAMILY = stories.family("percentages", FORMS)
