"""How far, how fast and how long does somebody travel?"""

import random
from fractions import Fraction

from ponder.questions import stories
from ponder.questions.stories import Form, Numbers

BY_ROAD = ("drives", "rides a motorbike", "takes a bus that goes")


def _speed(rng: random.Random, most: int) -> int:
    """Return a speed in steps of 5 from 30 on."""
    return 30 + 5 * rng.randint(0, most)


def _legs(rng: random.Random, most: int) -> Numbers:
    return {
        "first": _speed(rng, most),
        "hours": rng.randint(2, 9),
        "second": _speed(rng, most),
        "more": rng.randint(2, 9),
    }


def _even_legs(rng: random.Random, most: int) -> Numbers:
    """Return legs whose average speed is a whole number."""
    while True:
        numbers = _legs(rng, most)
        distance = numbers["first"] * numbers["hours"] + numbers["second"] * numbers["more"]
        is_whole = distance % (numbers["hours"] + numbers["more"]) == 0
        if is_whole and numbers["first"] != numbers["second"]:
            return numbers


def _meeting(rng: random.Random, most: int) -> Numbers:
    first, second = _speed(rng, most), _speed(rng, most)
    return {"first": first, "second": second, "apart": (first + second) * rng.randint(2, 9)}


def _catching(rng: random.Random, most: int) -> Numbers:
    """Return speeds of walkers or riders of which the faster one catches up in whole hours."""
    while True:
        slow, faster, ahead = rng.randint(4, 3 + most), rng.randint(2, most), rng.randint(2, 5)
        if slow * ahead % faster == 0:
            return {"slow": slow, "fast": slow + faster, "ahead": ahead}


def _fuel(rng: random.Random, most: int) -> Numbers:
    return {
        "distance": 50 * rng.randint(2, most),
        "use": rng.randint(4, 9),
        "price": rng.randint(2, 4),
        "toll": rng.randint(3, most),
    }


def _rest(rng: random.Random, most: int) -> Numbers:
    first, hours, second = _speed(rng, most), rng.randint(2, 6), _speed(rng, most)
    distance = first * hours + second * rng.randint(2, 6)
    return {"first": first, "hours": hours, "second": second, "distance": distance}


def _walks(rng: random.Random, most: int) -> Numbers:
    there, around, days = rng.randint(2, most), rng.randint(2, most), rng.randint(3, 14)
    goal = (2 * there + around) * days + rng.randint(2, 5 * most)
    return {"there": there, "around": around, "days": days, "goal": goal}


FORMS = (
    Form(
        "legs",
        3,
        _legs,
        lambda first, hours, second, more: first * hours + second * more,
        (
            "{name} {moves} at {first} km/h for {hours} hours and then at {second} km/h for {more} "
            "hours. How many kilometres is that in all?",
            "For {hours} hours {name} makes {first} kilometres an hour, and for the next {more} "
            "hours {second} kilometres an hour. How many kilometres has {he} come?",
        ),
        {"moves": BY_ROAD},
    ),
    Form(
        "average",
        5,
        _even_legs,
        lambda first, hours, second, more: Fraction(first * hours + second * more, hours + more),
        (
            "A train runs {hours} hours at {first} km/h and {more} hours at {second} km/h without "
            "a stop. What is its average speed in km/h?",
            "{name} {moves} at {first} km/h for {hours} hours, then at {second} km/h for another "
            "{more} hours. What was {his} average speed over the whole way, in km/h?",
        ),
        {"moves": BY_ROAD},
    ),
    Form(
        "meeting",
        2,
        _meeting,
        lambda first, second, apart: Fraction(apart, first + second),
        (
            "Two towns lie {apart} km apart. {name} leaves one of them at {first} km/h and {other} "
            "the other at {second} km/h, at the same time and towards each other. After how many "
            "hours do they meet?",
            "{name} and {other} live {apart} km from each other and set off at the same moment to "
            "meet on the road, one at {first} and one at {second} kilometres an hour. How many "
            "hours does it take until they meet?",
        ),
    ),
    Form(
        "catching",
        3,
        _catching,
        lambda slow, fast, ahead: Fraction(slow * ahead, fast - slow),
        (
            "{name} cycles at {slow} km/h. {other} starts {ahead} hours later on the same road at "
            "{fast} km/h. How many hours after setting off does {other} catch up?",
            "A slow boat makes {slow} km an hour and has left {ahead} hours before a fast boat "
            "that makes {fast} km an hour on the same course. How many hours does the fast boat "
            "need to reach the slow one?",
        ),
    ),
    Form(
        "fuel",
        5,
        _fuel,
        lambda distance, use, price, toll: Fraction(2 * distance * use * price, 100) + toll,
        (
            "{name}'s car needs {use} litres of petrol for 100 km, and a litre costs ${price}. "
            "{He} drives {distance} km to a lake and the same way back, and pays ${toll} of toll "
            "once. How many dollars does the trip cost?",
            "A van uses {use} litres for every 100 km at ${price} a litre. What does a delivery "
            "{distance} km away cost in dollars, there and back, with ${toll} for a bridge?",
        ),
    ),
    Form(
        "rest",
        3,
        _rest,
        lambda first, hours, second, distance: Fraction(distance - first * hours, second),
        (
            "The way to the sea is {distance} km. {name} goes at {first} km/h for {hours} hours "
            "and does the rest at {second} km/h. How many hours does the rest take?",
            "Of a route of {distance} km, {name} covers the first part in {hours} hours at {first} "
            "km/h. How many hours are left if {he} goes on at {second} km/h?",
        ),
    ),
    Form(
        "walks",
        4,
        _walks,
        lambda there, around, days, goal: goal - (2 * there + around) * days,
        (
            "Every day {name} walks {there} km to a lake, {around} km around it, and the same way "
            "home. {He} wants to walk {goal} km altogether. How many kilometres are still to go "
            "after {days} days?",
            "It is {there} km from {name}'s house to the park, and a lap of the park is {around} "
            "km. For {days} days {he} runs there, once around, and back. How many kilometres short "
            "of {goal} km is {he} then?",
        ),
    ),
)

FAMILY = stories.family("travel", FORMS)
