"""How long does something take, and how much time is left?"""

import random
from fractions import Fraction

from ponder.questions import stories
from ponder.questions.stories import Form, Numbers

SUBJECTS = ("the piano", "chess", "drawing", "the drums", "juggling", "spelling")


def _parts(rng: random.Random, most: int) -> Numbers:
    return {
        "count": rng.randint(3, 9),
        "length": rng.randint(10, 10 + 2 * most),
        "pause": rng.randint(2, most),
    }


def _morning(rng: random.Random, most: int) -> Numbers:
    """Return a morning with at least three minutes to spare."""
    numbers = {name: rng.randint(3, most) for name in ("dress", "eat", "walk")}
    begin = 5 * rng.randint(90, 108)  # 7:30 to 9:00
    return numbers | {"begin": begin, "start": begin - sum(numbers.values()) - rng.randint(3, most)}


def _week(rng: random.Random, most: int) -> Numbers:
    return {
        "weekday": 5 * rng.randint(2, most),
        "weekend": 5 * rng.randint(2, most),
        "weeks": rng.randint(2, 8),
    }


def _film(rng: random.Random, most: int) -> Numbers:
    seen, hours, minutes = rng.randint(20, 70), rng.randint(1, 3), rng.randint(15, 59)
    start = 15 * 60 + rng.randint(0, 12 * most)
    return {"hours": hours, "minutes": minutes, "start": start, "stop": start + seen}


def _laps(rng: random.Random, most: int) -> Numbers:
    """Return laps that take whole minutes together."""
    while True:
        numbers = {
            "laps": rng.randint(4, 2 * most),
            "seconds": rng.randint(40, 40 + 4 * most),
            "rest": rng.randint(2, most),
        }
        if numbers["laps"] * numbers["seconds"] % 60 == 0:
            return numbers


def _typing(rng: random.Random, most: int) -> Numbers:
    rate, minutes = rng.randint(20, 20 + 2 * most), rng.randint(10, 3 * most)
    done = rng.randint(2, minutes - 2)
    return {"rate": rate, "words": rate * minutes, "done": done}


def _shift(rng: random.Random, most: int) -> Numbers:
    begin = 15 * rng.randint(24, 40)  # 6:00 to 10:00
    return {
        "begin": begin,
        "end": begin + 15 * rng.randint(24, 38),
        "pause": 5 * rng.randint(3, 12),
        "days": rng.randint(2, 6),
    }


FORMS = (
    Form(
        "parts",
        4,
        _parts,
        lambda count, length, pause: count * length + (count - 1) * pause,
        (
            "A concert has {count} parts of {length} minutes each, with a pause of {pause} minutes "
            "between one part and the next. How many minutes does it last from beginning to end?",
            "{name} works on {count} tasks one after the other, {length} minutes on each, and "
            "rests {pause} minutes between two tasks. After how many minutes is {he} done?",
        ),
    ),
    Form(
        "morning",
        4,
        _morning,
        lambda begin, start, dress, eat, walk: begin - start - dress - eat - walk,
        (
            "School begins at {begin:clock}. {name} gets up at {start:clock}, needs {dress} "
            "minutes to wash and dress and {eat} minutes for breakfast, and walks {walk} minutes "
            "to school. How many minutes before the beginning does {he} arrive?",
            "{name}'s bus leaves at {begin:clock}. At {start:clock} {he} starts to pack, which "
            "takes {dress} minutes. Then {he} eats for {eat} minutes, and the way to the stop is "
            "{walk} minutes. How many minutes does {he} wait there for the bus?",
        ),
    ),
    Form(
        "week",
        4,
        _week,
        lambda weekday, weekend, weeks: (5 * weekday + 2 * weekend) * weeks,
        (
            "{name} practises {subject} for {weekday} minutes from Monday to Friday each day, and "
            "for {weekend} minutes on Saturday and on Sunday. How many minutes are that in {weeks} "
            "weeks?",
            "On each of the five days from Monday on {name} spends {weekday} minutes on {subject}, "
            "and {weekend} minutes on each day of the weekend. How many minutes does {he} spend on "
            "it in {weeks} weeks?",
        ),
        {"subject": SUBJECTS},
    ),
    Form(
        "film",
        4,
        _film,
        lambda hours, minutes, start, stop: 60 * hours + minutes - (stop - start),
        (
            "A film lasts {hours} h {minutes} min. {name} begins to watch it at {start:clock} and "
            "stops at {stop:clock}. How many minutes of the film has {he} not seen?",
            "{name} has a recording of {hours} h {minutes} min and listens to it from "
            "{start:clock} to {stop:clock}. How many minutes of it are left?",
        ),
    ),
    Form(
        "laps",
        3,
        _laps,
        lambda laps, seconds, rest: Fraction(laps * seconds, 60) + rest,
        (
            "{name} runs {laps} laps of {seconds} seconds each and rests for {rest} minutes in "
            "between. How many minutes does that take in all?",
            "A wheel turns {laps} times, {seconds} seconds each time, and then stands still for "
            "{rest} minutes. How many minutes have passed since it began to turn?",
        ),
    ),
    Form(
        "typing",
        3,
        _typing,
        lambda rate, words, done: words // rate - done,
        (
            "{name} types {rate} words a minute. A letter has {words} words, and {he} has typed "
            "for {done} minutes. How many minutes does {he} still need?",
            "A text of {words} words is read aloud at {rate} words a minute. {done} minutes are "
            "over. How many minutes will the rest take?",
        ),
    ),
    Form(
        "shift",
        4,
        _shift,
        lambda begin, end, pause, days: Fraction((end - begin - pause) * days, 1),
        (
            "{name} works from {begin:clock} to {end:clock} with an unpaid break of {pause} "
            "minutes. How many minutes of work are paid in {days} such days?",
            "A museum opens at {begin:clock}, closes at {end:clock}, and is shut for {pause} "
            "minutes at noon. For how many minutes is it open in {days} days?",
        ),
    ),
)

FAMILY = stories.family("durations", FORMS)
