"""What does a purchase cost, and what is left of the money?"""

import random
from fractions import Fraction

from ponder.questions import stories
from ponder.questions.stories import Form, Numbers

GOODS = ("notebooks", "candles", "mugs", "plants", "scarves", "toy cars", "calendars", "lamps")
FOODS = ("apples", "buns", "yoghurts", "melons", "jars of honey", "bars of chocolate", "pretzels")
SMALL = ("stickers", "pencils", "balloons", "postcards", "erasers", "buttons", "marbles")


def _price(rng: random.Random, most: int) -> int:
    """Return a price in cents, in steps of a quarter, of up to `most` half dollars."""
    return 25 * rng.randint(2, 2 * most)


def _change(rng: random.Random, most: int) -> Numbers:
    count, price = rng.randint(2, min(most, 12)), _price(rng, most)
    return {"count": count, "price": price, "paid": (count * price // 1000 + 1) * 10}


def _coupon(rng: random.Random, most: int) -> Numbers:
    numbers = {"count": rng.randint(2, most), "price": rng.randint(3, most)}
    numbers |= {"more": rng.randint(2, most), "cost": rng.randint(2, most)}
    return numbers | {"off": rng.randint(2, 5)}


def _packs(rng: random.Random, most: int) -> Numbers:
    size, single = rng.randint(3, 12), rng.randint(2, 9)
    packs = rng.randint(2, most)
    price = size * single - rng.randint(1, size)
    return {"size": size, "single": single, "needed": packs * size, "price": price}


def _budget(rng: random.Random, most: int) -> Numbers:
    count, price, cost = rng.randint(2, most), rng.randint(2, most), rng.randint(2, 9)
    return {
        "count": count,
        "price": price,
        "cost": cost,
        "money": count * price + rng.randint(2, most) * cost + rng.randint(0, cost - 1),
    }


def _bill(rng: random.Random, most: int) -> Numbers:
    while True:
        friends = rng.randint(3, 8)
        numbers = {
            "friends": friends,
            "pizzas": rng.randint(2, most),
            "price": rng.randint(6, 6 + most),
            "drinks": friends * rng.randint(1, 3),
            "cost": rng.randint(2, 5),
        }
        if numbers["pizzas"] * numbers["price"] % friends == 0:
            return numbers


def _second(rng: random.Random, most: int) -> Numbers:
    pairs, price = rng.randint(2, most), 2 * rng.randint(2, most)
    return {"count": 2 * pairs, "price": price, "delivery": rng.randint(3, 12)}


FORMS = (
    Form(
        "change",
        2,
        _change,
        lambda count, price, paid: paid - Fraction(count * price, 100),
        (
            "{name} buys {count} {item} at {price:money} each and pays with ${paid}. How many "
            "dollars does {he} get back?",
            "In a shop {item} cost {price:money} apiece. {name} takes {count} of them to the "
            "counter and hands over ${paid}. What is {his} change in dollars?",
            "The price of {item} is {price:money} each. How many dollars of ${paid} are left to "
            "{name} after buying {count}?",
        ),
        {"item": FOODS},
    ),
    Form(
        "coupon",
        4,
        _coupon,
        lambda count, price, more, cost, off: count * price + more * cost - off,
        (
            "{name} orders {count} {item} for ${price} each and {more} {food} for ${cost} each. A "
            "voucher takes ${off} off the whole order. How many dollars does {he} pay?",
            "For a party {name} needs {more} {food}, which cost ${cost} each, and {count} {item}, "
            "which cost ${price} each. With {his} ${off} voucher, how much is the bill in dollars?",
            "A market sells {item} at ${price} and {food} at ${cost} apiece. {name} takes {count} "
            "{item} and {more} {food}, and the seller lets {him} have it all for ${off} less. What "
            "does {he} pay in dollars?",
        ),
        {"item": GOODS, "food": FOODS},
    ),
    Form(
        "packs",
        4,
        _packs,
        lambda size, single, needed, price: needed * single - needed // size * price,
        (
            "Single {item} cost ${single} each, and a pack of {size} costs ${price}. {name} needs "
            "{needed} {item}. How many dollars does {he} save with packs?",
            "{name} wants {needed} {item}. {He} can buy them one by one for ${single} each, or in "
            "packs of {size} at ${price} a pack. By how many dollars are the packs cheaper?",
        ),
        {"item": SMALL},
    ),
    Form(
        "budget",
        3,
        _budget,
        lambda count, price, cost, money: (money - count * price) // cost,
        (
            "{name} has ${money}. {He} first buys {count} {item} at ${price} each and then as many "
            "{small} as {he} can, at ${cost} each. How many {small} does {he} get?",
            "With ${money} in {his} purse, {name} pays for {count} {item} that cost ${price} each. "
            "How many {small} at ${cost} each can {he} still afford?",
        ),
        {"item": GOODS, "small": SMALL},
    ),
    Form(
        "bill",
        4,
        _bill,
        lambda friends, pizzas, price, drinks, cost: Fraction(
            pizzas * price + drinks * cost, friends
        ),
        (
            "{friends} friends eat out together. They order {pizzas} dishes at ${price} each and "
            "{drinks} drinks at ${cost} each, and everybody pays the same. How many dollars does "
            "each of them pay?",
            "A table of {friends} shares the bill equally. On it are {drinks} drinks for ${cost} "
            "each and {pizzas} plates for ${price} each. What is each one's share in dollars?",
        ),
    ),
    Form(
        "second",
        4,
        _second,
        lambda count, price, delivery: count // 2 * (price + price // 2) + delivery,
        (
            "A shop sells {item} at ${price} each, and every second one at half price. {name} "
            "orders {count} of them, and delivery is ${delivery}. How many dollars does {he} pay "
            "in all?",
            "This week, whoever buys two {item} gets the second for half the price of ${price}. "
            "What do {count} of them cost {name} in dollars, with ${delivery} for delivery?",
        ),
        {"item": GOODS},
    ),
)

FAMILY = stories.family("shopping", FORMS)
