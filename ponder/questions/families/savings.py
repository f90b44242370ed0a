"""How long does somebody save, and what is earned, spent and owed?"""

import random

from ponder.questions import stories
from ponder.questions.stories import Form, Numbers

DREAMS = ("a kayak", "a telescope", "a sewing machine", "a trip", "a drum kit", "a tablet")
WORK = ("in a garden centre", "at a petrol station", "in a library", "for a baker", "in a cafe")


def _goal(rng: random.Random, most: int) -> Numbers:
    weekly, start = rng.randint(3, 2 * most), rng.randint(5, 5 * most)
    goal = start + weekly * rng.randint(3, 2 * most)
    return {"goal": goal, "start": start, "weekly": weekly}


def _wage(rng: random.Random, most: int) -> Numbers:
    pay, hours, days = rng.randint(8, 8 + most), rng.randint(3, 8), rng.randint(2, 5)
    spent = rng.randint(10, pay * hours * days - 1)
    return {"pay": pay, "hours": hours, "days": days, "spent": spent, "weeks": rng.randint(2, 9)}


def _matched(rng: random.Random, most: int) -> Numbers:
    weekly = 2 * rng.randint(2, most)
    return {
        "weekly": weekly,
        "goal": weekly * 3 // 2 * rng.randint(3, most) + rng.randint(0, weekly),
    }


def _plans(rng: random.Random, most: int) -> Numbers:
    """Return two plans of which the one with a fee is cheaper."""
    visits, fee, price = rng.randint(6, 6 + most), rng.randint(5, most + 5), rng.randint(4, 12)
    reduced = rng.randint(1, price - 1)
    while visits * (price - reduced) <= fee:
        visits += rng.randint(3, 9)
    return {
        "visits": visits,
        "fee": fee,
        "price": price,
        "reduced": reduced,
        "months": rng.randint(2, 12),
    }


def _loan(rng: random.Random, most: int) -> Numbers:
    monthly, months = 5 * rng.randint(2, most), rng.randint(2, 9)
    rates, each = rng.randint(2, 8), 5 * rng.randint(2, most)
    return {
        "loan": monthly * months + rates * each,
        "monthly": monthly,
        "months": months,
        "rates": rates,
    }


def _chores(rng: random.Random, most: int) -> Numbers:
    lawns, cars = rng.randint(2, most), rng.randint(2, most)
    lawn, car = rng.randint(5, 15), rng.randint(3, 12)
    shared = lawns * lawn + cars * car
    return {
        "lawns": lawns,
        "lawn": lawn,
        "cars": cars,
        "car": car,
        "soap": rng.randint(1, min(most, shared - 1)),
    }


FORMS = (
    Form(
        "goal",
        2,
        _goal,
        lambda goal, start, weekly: (goal - start) // weekly,
        (
            "{name} wants to buy {dream} for ${goal}. {He} has ${start} and saves ${weekly} a "
            "week. In how many weeks does {he} have enough?",
            "For {dream}, {name} needs ${goal}. In {his} money box are ${start}, and every week "
            "${weekly} are added. After how many weeks is the money there?",
        ),
        {"dream": DREAMS},
    ),
    Form(
        "wage",
        4,
        _wage,
        lambda pay, hours, days, spent, weeks: (pay * hours * days - spent) * weeks,
        (
            "{name} works {work} for ${pay} an hour, {hours} hours a day, {days} days a week. "
            "{He} spends ${spent} a week and saves the rest. How many dollars has {he} saved after "
            "{weeks} weeks?",
            "On {days} days a week {name} earns ${pay} an hour {work}, for {hours} hours each "
            "time. What is left of it in dollars after {weeks} weeks, if {he} needs ${spent} every "
            "week?",
        ),
        {"work": WORK},
    ),
    Form(
        "matched",
        4,
        _matched,
        lambda weekly, goal: -(-goal // (weekly + weekly // 2)),
        (
            "{name} puts ${weekly} a week aside for {dream}, and {his} grandmother adds half as "
            "much. It costs ${goal}. After how many weeks do they have enough for the first time?",
            "Every week {name} saves ${weekly}, and for each $2 of that {his} uncle gives $1 more. "
            "How many whole weeks must pass until ${goal} are together for {dream}?",
        ),
        {"dream": DREAMS},
    ),
    Form(
        "plans",
        5,
        _plans,
        lambda visits, fee, price, reduced, months: (
            (visits * price - fee - visits * reduced) * months
        ),
        (
            "A swim costs ${price}, or ${reduced} with a card for ${fee} a month. {name} goes "
            "{visits} times a month. How many dollars does the card save {him} in {months} months?",
            "Without a pass {name} pays ${price} for each of {visits} rides a month. A pass costs "
            "${fee} a month and makes a ride ${reduced}. How many dollars cheaper is the pass over "
            "{months} months?",
        ),
    ),
    Form(
        "loan",
        3,
        _loan,
        lambda loan, monthly, months, rates: (loan - monthly * months) // rates,
        (
            "{name} borrows ${loan} from {other} without interest. For {months} months {he} pays "
            "back ${monthly} a month, and the rest in {rates} equal rates. How many dollars is one "
            "of these rates?",
            "Of a debt of ${loan}, {name} pays ${monthly} in each of the first {months} months. "
            "The rest is paid in {rates} equal parts. How many dollars is each part?",
        ),
    ),
    Form(
        "chores",
        4,
        _chores,
        lambda lawns, lawn, cars, car, soap: lawns * lawn + cars * car - soap,
        (
            "In the holidays {name} mows {lawns} lawns for ${lawn} each and washes {cars} cars for "
            "${car} each. Soap and petrol cost {him} ${soap}. How many dollars does {he} earn?",
            "{name} washes {cars} cars and mows {lawns} lawns. A car brings ${car}, a lawn "
            "${lawn}, and ${soap} go for a new sponge and petrol. What has {he} earned in dollars?",
        ),
    ),
)

FAMILY = stories.family("savings", FORMS)
