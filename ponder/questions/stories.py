"""Word problems of our own: what the families of everyday arithmetic share.

A family is a list of forms. A form draws its numbers, works the answer out of them, and has several
wordings; people and things are drawn at last and change nothing. So the answer is exact by
construction, and one form with one set of numbers is one question, however it is told.
"""

import random
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from ponder.errors import UserError
from ponder.questions.expressions import decimal
from ponder.questions.family import OWN, PEOPLE, Candidate, Facts, Family

Numbers = dict[str, int]

PARAMS = ("min_steps", "max_steps", "max_number")
PLACES = 2  # decimals of an answer: cents, or a tenth of an hour


@dataclass(frozen=True)
class Form:
    """One kind of question of a family.

    `steps` are the sums, differences, products and quotients that its answer takes. `draw(rng,
    most)` returns its numbers, larger ones the larger `most` is, and `answer` takes them by name.
    Each of `wordings` names them in braces: {count}, {price:money} for cents as dollars,
    {start:clock} for minutes as a time of day. {name}, {other} and {third} are people, and {he},
    {He}, {his} and {him} stand for {name}; every other word in braces is drawn from `words`.
    """

    name: str
    steps: int
    draw: Callable[[random.Random, int], Numbers]
    answer: Callable[..., int | Fraction]
    wordings: tuple[str, ...]
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)


class _Wording(string.Formatter):
    """str.format with two forms more: money, of cents, and clock, of minutes after midnight."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "money":
            whole, cents = divmod(value, 100)
            return f"${whole}.{cents:02d}" if cents else f"${whole}"
        if format_spec == "clock":
            hours, minutes = divmod(value % (24 * 60), 60)
            half = "am" if hours < 12 else "pm"
            return f"{(hours - 1) % 12 + 1}:{minutes:02d} {half}"
        return super().format_field(value, format_spec)


def family(name: str, forms: Sequence[Form]) -> Family:
    """Return the Family of some forms; `name` is that of its module."""

    def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate]:
        """Yield questions without end, each of a form that takes the configured number of steps."""
        wanted = range(params["min_steps"], params["max_steps"] + 1)
        fitting = [form for form in forms if form.steps in wanted]
        if not fitting:
            have = ", ".join(str(number) for number in sorted({form.steps for form in forms}))
            raise UserError(
                f"family {name!r} has no question of {params['min_steps']} to "
                f"{params['max_steps']} steps, but of {have}; widen "
                f"questions.families.{name}.params.min_steps and max_steps"
            )
        rng = random.Random(f"candidates/{name}/{seed}")
        while True:
            yield _told(rng.choice(fitting), params["max_number"], rng)

    def key(facts: Facts) -> str:
        """Return the key of a question: its form and its numbers, whoever it is about."""
        numbers = " ".join(f"{place}={value}" for place, value in sorted(facts["numbers"].items()))
        return f"{name}, {facts['form']}: {numbers}"

    return Family(OWN, "Apache-2.0", PARAMS, candidates, key)


def _told(form: Form, most: int, rng: random.Random) -> Candidate:
    numbers = form.draw(rng, most)
    (name, pronoun), (other, _), (third, _) = rng.sample(PEOPLE, 3)
    he = pronoun.lower()
    people = {"name": name, "other": other, "third": third, "he": he, "He": pronoun}
    people |= {"his": "her", "him": "her"} if he == "she" else {"his": "his", "him": "him"}
    words = {place: rng.choice(choices) for place, choices in form.words.items()}
    text = _Wording().format(rng.choice(form.wordings), **people, **words, **numbers)
    return Candidate(text, answer_text(form, numbers), {"form": form.name, "numbers": numbers})


def answer_text(form: Form, numbers: Mapping[str, int]) -> str:
    """Return the answer of a form with these numbers.

    Raises ValueError for one that is negative or has more than two decimals: the form is wrong.
    """
    answer = Fraction(form.answer(**numbers))
    text = decimal(answer, PLACES)
    if text is None or answer < 0:
        raise ValueError(f"the form {form.name} has the answer {answer} with {dict(numbers)}")
    return text
