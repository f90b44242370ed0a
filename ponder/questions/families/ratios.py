"""What follows from a ratio, a scale, a recipe or a rate?"""

import random
from fractions import Fraction

from ponder.questions import stories
from ponder.questions.stories import Form, Numbers

DRINKS = ("syrup", "lemon juice", "apple juice", "tea")
FOODS = ("rice", "flour", "lentils", "oats", "potatoes", "noodles")


def _mixed(rng: random.Random, most: int) -> Numbers:
    first, second = rng.randint(2, 7), rng.randint(2, 9)
    unit = rng.randint(2, most)
    return {
        "first": first,
        "second": second,
        "all": (first + second) * unit,
        "well": rng.randint(2, second * unit - 1),
    }


def _recipe(rng: random.Random, most: int) -> Numbers:
    people, each = rng.randint(2, 8), 5 * rng.randint(4, 4 + most)
    guests = people + rng.randint(2, most)
    return {"people": people, "grams": people * each, "guests": guests}


def _bags(rng: random.Random, most: int) -> Numbers:
    return _recipe(rng, most) | {"bag": rng.choice((250, 400, 500, 750, 1000))}


def _scale(rng: random.Random, most: int) -> Numbers:
    """Return a way on a map that takes whole hours."""
    while True:
        numbers = {
            "scale": rng.randint(2, most),
            "first": rng.randint(2, most),
            "second": rng.randint(2, most),
            "speed": rng.randint(4, 3 * most),
        }
        if numbers["scale"] * (numbers["first"] + numbers["second"]) % numbers["speed"] == 0:
            return numbers


def _apart(rng: random.Random, most: int) -> Numbers:
    small = rng.randint(2, 7)
    large = small + rng.randint(1, 6)
    return {
        "small": small,
        "large": large,
        "more": (large - small) * rng.randint(2, most),
        "bought": rng.randint(2, most),
    }


def _prize(rng: random.Random, most: int) -> Numbers:
    parts = sorted(rng.sample(range(1, 10), 3))
    numbers = dict(zip(("small", "middle", "large"), parts, strict=True))
    return numbers | {"prize": sum(parts) * 10 * rng.randint(1, 2 * most)}


def _workers(rng: random.Random, most: int) -> Numbers:
    """Return painters of whom more finish the rest in whole days."""
    while True:
        painters, days, more = rng.randint(2, 9), rng.randint(5, most), rng.randint(2, 9)
        alone = rng.randint(2, days - 2)
        if painters * (days - alone) % (painters + more) == 0:
            return {"painters": painters, "days": days, "alone": alone, "more": more}


def _exchange(rng: random.Random, most: int) -> Numbers:
    rate, money = rng.randint(3, most), 10 * rng.randint(2, most)
    price = rng.randint(2, most)
    return {
        "rate": rate,
        "money": money,
        "price": price,
        "count": rng.randint(2, max(2, rate * money // price)) if rate * money > 2 * price else 2,
    }


FORMS = (
    Form(
        "mixed",
        4,
        _mixed,
        lambda first, second, all, well: all // (first + second) * second - well,
        (
            "{name} mixes {drink} and water in the ratio {first} to {second} and gets {all} "
            "litres. {well} litres of the water came from a well, the others from the tap. How "
            "many litres of tap water did {he} use?",
            "A tank holds {all} litres of {drink} and water, {first} parts of {drink} to {second} "
            "parts of water. Of the water, {well} litres are rain water. How many litres of the "
            "water are not?",
        ),
        {"drink": DRINKS},
    ),
    Form(
        "recipe",
        2,
        _recipe,
        lambda people, grams, guests: Fraction(grams * guests, people),
        (
            "For {people} people a recipe takes {grams} g of {food}. How many grams are needed for "
            "{guests} people?",
            "{name} needs {grams} g of {food} to feed {people} people. How many grams of it does "
            "{he} cook for {guests}?",
        ),
        {"food": FOODS},
    ),
    Form(
        "bags",
        3,
        _bags,
        lambda people, grams, guests, bag: -(-(grams // people * guests) // bag),
        (
            "A meal for {people} people takes {grams} g of {food}, which is sold in bags of {bag} "
            "g. How many bags must {name} buy for {guests} people?",
            "{grams} g of {food} are enough for {people} people. The shop has bags of {bag} g. "
            "What is the smallest number of bags for {guests} people?",
        ),
        {"food": FOODS},
    ),
    Form(
        "scale",
        3,
        _scale,
        lambda scale, first, second, speed: Fraction(scale * (first + second), speed),
        (
            "One centimetre on a map is {scale} km. {name}'s way is {first} cm to a mill and then "
            "{second} cm to a castle. How many hours does it take at {speed} km/h?",
            "On a map where 1 cm stands for {scale} km, a river is {first} cm long up to a bridge "
            "and {second} cm from there to the sea. How many hours does a boat need for all of it "
            "at {speed} km an hour?",
        ),
    ),
    Form(
        "apart",
        5,
        _apart,
        lambda small, large, more, bought: more // (large - small) * (small + large) + bought,
        (
            "For every {small} red beads there are {large} blue ones in a jar, and there are "
            "{more} more blue beads than red ones. {name} adds {bought} green beads. How many "
            "beads are in the jar then?",
            "The numbers of cats and dogs in a village are as {small} to {large}, and the dogs are "
            "{more} more. There are also {bought} horses. How many of these animals are there in "
            "all?",
        ),
    ),
    Form(
        "prize",
        5,
        _prize,
        lambda small, middle, large, prize: prize // (small + middle + large) * (large - small),
        (
            "{name}, {other} and {third} divide a prize of ${prize} in the ratio {small} to "
            "{middle} to {large}. How many dollars more than {name} does {third} get?",
            "Three villages pay for a bridge of ${prize} in the ratio {small} to {middle} to "
            "{large}. How many dollars lie between the largest and the smallest payment?",
        ),
    ),
    Form(
        "workers",
        4,
        _workers,
        lambda painters, days, alone, more: painters * (days - alone) // (painters + more),
        (
            "{painters} painters would need {days} days for a school. After {alone} days {more} "
            "more painters come to help, as quick as the others. How many days do they all need "
            "for the rest?",
            "A stock of hay lasts {painters} horses {days} days. When {alone} days are over, "
            "{more} more horses come that eat as much. For how many days is the rest enough?",
        ),
    ),
    Form(
        "exchange",
        3,
        _exchange,
        lambda rate, money, price, count: abs(rate * money - price * count),
        (
            "{name} changes {money} dollars into crowns and gets {rate} crowns for each. {count} "
            "tickets cost {price} crowns each. By how many crowns do {his} crowns and the price of "
            "the tickets differ?",
            "A dollar is worth {rate} crowns. By how many crowns do {money} dollars differ from "
            "the price of {count} cups that cost {price} crowns each?",
        ),
    ),
)

FAMILY = stories.family("ratios", FORMS)
