"""Which side does a coin show after some people may have flipped it?"""

import random
from collections.abc import Iterator

from ponder.questions.family import OWN, PEOPLE, Candidate, Facts, Family, Step

SIDE = {"heads": "tails", "tails": "heads"}


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate]:
    """Yield questions about the side a coin shows after some people may have flipped it."""
    rng = random.Random(f"candidates/coin/{seed}")
    while True:
        start = rng.choice(("heads", "tails"))
        people = rng.sample(PEOPLE, rng.randint(params["min_people"], params["max_people"]))
        flips = [rng.choice((True, False)) for _ in people]
        names = [name for name, _ in people]
        sentences = [
            f"{name} {'flips' if flip else 'does not flip'} it."
            for name, flip in zip(names, flips, strict=True)
        ]
        question = f"A coin shows {start}. {' '.join(sentences)} Does the coin show heads or tails?"
        answer = start if sum(flips) % 2 == 0 else {"heads": "tails", "tails": "heads"}[start]
        yield Candidate(question, answer, {"start": start, "names": names, "flips": flips})


def key(facts: Facts) -> str:
    """Return the key of a coin question: the start and who flips by place, not by name."""
    return f"{facts['start']} {''.join('f' if flip else '-' for flip in facts['flips'])}"


def steps(facts: Facts) -> list[Step]:
    """Return the start, and the side after each person."""
    solved = [Step("", facts["start"])]
    for name, flip in zip(facts["names"], facts["flips"], strict=True):
        side = SIDE[solved[-1].value] if flip else solved[-1].value
        solved.append(Step(f"{name} {'flips' if flip else 'keeps'}: ", side, (SIDE[side],)))
    return solved


FAMILY = Family(
    OWN,
    "Apache-2.0",
    ("min_people", "max_people"),
    candidates,
    key,
    steps,
    most={"max_people": len(PEOPLE)},
)
