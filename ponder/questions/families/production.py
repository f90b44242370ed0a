"""How much is made, packed and earned?"""

import random

from ponder.questions import stories
from ponder.questions.stories import Form, Numbers

GOODS = ("candles", "bricks", "bottles", "chairs", "bulbs", "baskets", "tiles", "notebooks")
BAKED = ("rolls", "muffins", "biscuits", "pies", "pretzels", "waffles")


def _factory(rng: random.Random, most: int) -> Numbers:
    return {
        "rate": rng.randint(10, 3 * most),
        "hours": rng.randint(4, 12),
        "days": rng.randint(2, 6),
        "faulty": rng.randint(2, most),
        "size": rng.choice((6, 8, 10, 12, 20, 24)),
    }


def _bakery(rng: random.Random, most: int) -> Numbers:
    numbers = {
        "trays": rng.randint(2, most),
        "each": rng.randint(6, 24),
        "left": rng.randint(2, 11),
        "price": rng.randint(2, 6),
    }
    income = (numbers["trays"] * numbers["each"] - numbers["left"]) * numbers["price"]
    return numbers | {"cost": rng.randint(1, max(1, income // 2))}


def _hens(rng: random.Random, most: int) -> Numbers:
    """Return eggs that fill whole boxes."""
    while True:
        numbers = {
            "hens": rng.randint(3, most),
            "eggs": rng.randint(2, 6),
            "weeks": rng.randint(2, 8),
            "size": rng.choice((6, 10, 12)),
            "price": rng.randint(2, 6),
        }
        if numbers["hens"] * numbers["eggs"] * numbers["weeks"] % numbers["size"] == 0:
            return numbers


def _machines(rng: random.Random, most: int) -> Numbers:
    return {
        "first": rng.randint(5, 3 * most),
        "second": rng.randint(5, 3 * most),
        "hours": rng.randint(2, 8),
        "more": rng.randint(2, 8),
    }


def _order(rng: random.Random, most: int) -> Numbers:
    rate, days, rest = rng.randint(5, 3 * most), rng.randint(2, 9), rng.randint(2, 9)
    order = rate * days + rest * rng.randint(5, 3 * most)
    return {"rate": rate, "days": days, "rest": rest, "order": order}


def _stock(rng: random.Random, most: int) -> Numbers:
    made, days = rng.randint(5, 3 * most), rng.randint(3, 12)
    return {
        "stock": rng.randint(10, 10 * most),
        "made": made,
        "sold": rng.randint(2, made),
        "days": days,
        "gift": rng.randint(2, 9),
    }


FORMS = (
    Form(
        "factory",
        5,
        _factory,
        lambda rate, hours, days, faulty, size: (rate * hours - faulty) * days // size,
        (
            "A workshop makes {rate} {goods} an hour and works {hours} hours a day. Every day "
            "{faulty} of them are faulty and thrown away. The good ones go into boxes of {size}. "
            "How many full boxes are there after {days} days?",
            "A machine turns out {rate} {goods} in an hour. It runs {hours} hours on each of "
            "{days} days, and on each day {faulty} {goods} break. How many boxes of {size} can be "
            "filled with the rest?",
        ),
        {"goods": GOODS},
    ),
    Form(
        "bakery",
        4,
        _bakery,
        lambda trays, each, left, price, cost: (trays * each - left) * price - cost,
        (
            "{name} bakes {trays} trays of {each} {baked}. {left} of them are not sold, the others "
            "for ${price} each. The ingredients cost ${cost}. How many dollars of profit does {he} "
            "make?",
            "At a school fair {trays} trays with {each} {baked} each are for sale at ${price} "
            "apiece. In the end {left} {baked} are left. What remains in dollars after ${cost} for "
            "flour, eggs and sugar?",
        ),
        {"baked": BAKED},
    ),
    Form(
        "hens",
        4,
        _hens,
        lambda hens, eggs, weeks, size, price: hens * eggs * weeks // size * price,
        (
            "{name} keeps {hens} hens. Each lays {eggs} eggs a week. {He} sells the eggs in boxes "
            "of {size} for ${price} a box. How many dollars does {he} take in {weeks} weeks?",
            "Each of the {hens} hens on a farm lays {eggs} eggs in a week. What are the eggs of "
            "{weeks} weeks worth in dollars, if a box of {size} eggs costs ${price}?",
        ),
    ),
    Form(
        "machines",
        4,
        _machines,
        lambda first, second, hours, more: (first + second) * hours + first * more,
        (
            "An old machine makes {first} {goods} an hour, a new one {second}. Both run for "
            "{hours} hours, then the new one stops and the old one goes on for {more} hours. How "
            "many {goods} do they make in all?",
            "{name} folds {first} boxes an hour and {other} {second}. They work together for "
            "{hours} hours, and {name} stays {more} hours longer. How many boxes are folded in the "
            "end?",
        ),
        {"goods": GOODS},
    ),
    Form(
        "order",
        3,
        _order,
        lambda rate, days, rest, order: (order - rate * days) // rest,
        (
            "A firm has to deliver {order} {goods}. In the first {days} days it made {rate} a day. "
            "How many a day must it make to finish in another {rest} days?",
            "An order is for {order} {goods}. {days} days long {rate} were made each day, and "
            "{rest} days are left. How many must be made on each of these days?",
        ),
        {"goods": GOODS},
    ),
    Form(
        "stock",
        4,
        _stock,
        lambda stock, made, sold, days, gift: stock + (made - sold) * days - gift,
        (
            "A store room holds {stock} {goods}. Every day {made} are added and {sold} are sold. "
            "After {days} days {gift} are given to a school. How many {goods} are there then?",
            "{name} begins with {stock} {goods}, makes {made} a day and sells {sold} a day. How "
            "many does {he} have after {days} days, when {he} has also given {gift} to {other}?",
        ),
        {"goods": GOODS},
    ),
)

FAMILY = stories.family("production", FORMS)
