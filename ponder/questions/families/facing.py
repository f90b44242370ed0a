"""Where does a person face after some turns?"""

import random
from collections.abc import Iterator

from ponder.questions.family import OWN, PEOPLE, Candidate, Facts, Family, Step

COMPASS = ("north", "east", "south", "west")
QUARTERS = {"right": 1, "around": 2, "left": 3}
TURNED = {
    "left": {"north": "west", "west": "south", "south": "east", "east": "north"},
    "right": {"north": "east", "east": "south", "south": "west", "west": "north"},
    "around": {"north": "south", "south": "north", "east": "west", "west": "east"},
}


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate]:
    """Yield questions about where a person faces after some turns."""
    rng = random.Random(f"candidates/facing/{seed}")
    while True:
        name, pronoun = rng.choice(PEOPLE)
        start = rng.choice(COMPASS)
        count = rng.randint(params["min_turns"], params["max_turns"])
        turns = [rng.choice(sorted(QUARTERS)) for _ in range(count)]
        movements = ", ".join(f"turns {turn}" for turn in turns)
        query = f"Which way does {pronoun.lower()} face?"
        question = f"{name} faces {start}. {pronoun} {movements}. {query}"
        end = (COMPASS.index(start) + sum(QUARTERS[turn] for turn in turns)) % 4
        yield Candidate(question, COMPASS[end], {"start": start, "turns": turns})


def key(facts: Facts) -> str:
    """Return the key of a question: the start and the turns, whoever makes them."""
    return f"{facts['start']} {' '.join(facts['turns'])}"


def steps(facts: Facts) -> list[Step]:
    """Return the start, and the direction after each turn, looked up."""
    solved = [Step("", facts["start"])]
    for turn in facts["turns"]:
        direction = TURNED[turn][solved[-1].value]
        wrong = tuple(other for other in TURNED["left"] if other != direction)
        solved.append(Step(f"{turn}: ", direction, wrong))
    return solved


FAMILY = Family(OWN, "Apache-2.0", ("min_turns", "max_turns"), candidates, key, steps)
