"""The question families: where candidates come from, and when two are the same question.

Five families are adapted from reasoning-gym; three are written here. A library question keeps the
library's sentence and loses the text that explains an answer format, because a prompt token costs
as much as a trace token. reasoning-gym is imported only while questions are drawn: reading drawn
questions never needs it.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ponder.errors import UserError

# (name, pronoun): the names of people in the families written here.
PEOPLE = (
    ("Mia", "She"),
    ("Leo", "He"),
    ("Ann", "She"),
    ("Bo", "He"),
    ("Eva", "She"),
    ("Max", "He"),
    ("Zoe", "She"),
    ("Sam", "He"),
    ("Ida", "She"),
    ("Tom", "He"),
    ("Amy", "She"),
    ("Ben", "He"),
    ("Kim", "She"),
    ("Dan", "He"),
    ("Lia", "She"),
    ("Jack", "He"),
    ("Rose", "She"),
    ("Paul", "He"),
    ("Nora", "She"),
    ("Mark", "He"),
)
COMPASS = ("north", "east", "south", "west")
QUARTERS = {"right": 1, "around": 2, "left": 3}


@dataclass(frozen=True)
class Candidate:
    """A question before it has an id: its text, its answer and the facts a solver needs."""

    question: str
    answer: str
    facts: dict[str, Any]


# A source yields candidates without end; None stands for a draw that is no fair question.
Source = Callable[[dict[str, int], int], Iterator[Candidate | None]]


@dataclass(frozen=True)
class Family:
    """One family: who wrote it, its parameters, its candidates and its canonical key."""

    origin: str
    params: tuple[str, ...]
    candidates: Source
    key: Callable[[dict[str, Any]], str]


# --- families written here -------------------------------------------------------------


def facing(params: dict[str, int], seed: int) -> Iterator[Candidate]:
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


def boolean(params: dict[str, int], seed: int) -> Iterator[Candidate]:
    """Yield questions about a truth value after some operations.

    Every draw is as likely as its mirror image (and/or, True/False exchanged), so both answers are
    equally likely.
    """
    rng = random.Random(f"candidates/boolean/{seed}")
    while True:
        start = rng.choice((True, False))
        value = start
        operations = []
        for _ in range(rng.randint(params["min_operations"], params["max_operations"])):
            word, other = rng.choice(("and", "or", "xor", "not")), rng.choice((True, False))
            if word == "not":
                value = not value
            elif word == "and":
                value = value and other
            elif word == "or":
                value = value or other
            else:
                value = value != other
            operations.append("not" if word == "not" else f"{word} {other}")
        question = f"Start with {start}. Then: {', '.join(operations)}. What is the result?"
        yield Candidate(question, str(value), {"start": str(start), "operations": operations})


def coin(params: dict[str, int], seed: int) -> Iterator[Candidate]:
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


# --- families of reasoning-gym ---------------------------------------------------------


def library_version() -> str:
    """Return the installed version of reasoning-gym, or raise UserError if there is none."""
    try:
        import reasoning_gym  # noqa: F401

        return importlib.metadata.version("reasoning-gym")
    except ImportError as error:
        raise UserError(
            "reasoning-gym is not installed and is needed to draw questions: "
            "run `pip install -e .[gen]`, or use the committed questions (source: committed)"
        ) from error


def entries(name: str, params: dict[str, Any], seed: int) -> Iterator[dict[str, Any]]:
    """Yield the library's entries of one data set without end.

    Raises UserError where the library is absent or refuses the parameters.
    """
    library_version()
    import reasoning_gym

    base = random.Random(f"candidates/{name}/{seed}").getrandbits(32)
    try:
        # The library makes entry i from its seed and i alone; size bounds nothing we use.
        dataset = reasoning_gym.create_dataset(name, seed=base, size=1, **params)
    except (AssertionError, TypeError, ValueError) as error:
        raise UserError(
            f"reasoning-gym refuses the parameters {params} of family {name!r} ({error}): "
            "correct them in the questions configuration"
        ) from error
    for index in itertools.count():
        yield dataset[index]


def between(text: str, head: str, tail: str, name: str) -> str:
    """Return what stands between head and tail, which must be the two ends of text.

    Raises UserError otherwise: the library's template is not the one cut here.
    """
    if not (text.startswith(head) and text.endswith(tail)):
        raise UserError(
            f"reasoning-gym words its {name!r} questions differently from version 0.1.25: "
            "install reasoning-gym==0.1.25"
        )
    return text[len(head) : len(text) - len(tail)]


SORTING_FORMAT = """
Please follow the instruction below:
## 1. Let all your answers be a list of numbers. Instead of reporting your answer as \
-69, -13, 1, 7, 11, 43, 59, 61, use ['-69', '-13', '1', '7', '11', '43', '59', '61'] instead
## 2. Convert all numbers in the square brackets as strings. For example, \
['-69', '-13', '1', '7', '11', '43', '59', '61']
"""


def number_sorting(params: dict[str, int], seed: int) -> Iterator[Candidate]:
    """Yield sorting questions about integers (the library writes them as "5.0")."""
    whole = {"min_decimals": 0, "max_decimals": 0}
    limits = {name: float(params[name]) for name in ("min_value", "max_value")}
    for entry in entries("number_sorting", params | whole | limits, seed):
        metadata = entry["metadata"]
        head = f"Sort these numbers in {metadata['direction']} order: "
        body = between(entry["question"], head, SORTING_FORMAT, "number_sorting")
        numbers = [int(float(number)) for number in body.split(", ")]
        ordered = [str(int(float(number))) for number in metadata["sorted_numbers"]]
        facts = {"direction": metadata["direction"], "numbers": numbers}
        yield Candidate(head + ", ".join(map(str, numbers)), ", ".join(ordered), facts)


def chain_sum(params: dict[str, int], seed: int) -> Iterator[Candidate]:
    """Yield chains of sums and differences of one-digit numbers."""
    head = "State the final answer to the following arithmetic problem: "
    for entry in entries("chain_sum", params | {"min_digits": 1, "max_digits": 1}, seed):
        expression = between(entry["question"], head, " =", "chain_sum")
        yield Candidate(entry["question"], entry["answer"], {"expression": expression})


def needle_haystack(params: dict[str, int], seed: int) -> Iterator[Candidate | None]:
    """Yield questions about who does something, or None where two people share the thing."""
    library_version()
    from reasoning_gym.cognition.needle_data import NAMES, SUBJECTS, VERBS

    names, verbs, things = frozenset(NAMES), frozenset(VERBS), frozenset(SUBJECTS)
    for entry in entries("needle_haystack", params, seed):
        instruction = entry["metadata"]["question"]
        stack = between(entry["question"], "", f". \n{instruction}", "needle_haystack")
        query = between(instruction, "Who ", "? Reply only with a name.", "needle_haystack")
        statements = []
        for statement in stack.split(". "):
            name, deed = split_name(statement, names)
            statements.append([name, *split_deed(deed, verbs, things)])
        facts = {"statements": statements, "asked": list(split_deed(query, verbs, things))}
        fair = len({thing for _, _, thing in statements}) == len(statements)
        text = f"{stack}.\nWho {query}?"
        yield Candidate(text, entry["answer"], facts) if fair else None


def split_name(statement: str, names: frozenset[str]) -> tuple[str, str]:
    """Return (name, deed) of a statement, or raise UserError where no known name begins it."""
    words = statement.split(" ")
    for cut in range(1, len(words)):
        if " ".join(words[:cut]) in names:
            return " ".join(words[:cut]), " ".join(words[cut:])
    raise UserError(f"no known name begins {statement!r}: install reasoning-gym==0.1.25")


def split_deed(deed: str, verbs: frozenset[str], things: frozenset[str]) -> tuple[str, str]:
    """Return (verb, thing) of a deed, or raise UserError where it is not one of each."""
    words = deed.split(" ")
    for cut in range(1, len(words)):
        verb, thing = " ".join(words[:cut]), " ".join(words[cut:])
        if verb in verbs and thing in things:
            return verb, thing
    raise UserError(f"no known verb and thing in {deed!r}: install reasoning-gym==0.1.25")


def letter_counting(params: dict[str, int], seed: int) -> Iterator[Candidate | None]:
    """Yield letter counts, or None where the text is not plain letters or the count is too common.

    A year or an accent is no plain letter. Most counts are 1, so "1" to everything would score 70
    to 85 %: only one in three of those is kept.
    """
    rng = random.Random(f"balance/letter_counting/{seed}")
    for entry in entries("letter_counting", params, seed):
        letter, words = entry["metadata"]["target_letter"], entry["metadata"]["span"]
        text = f'How many times does the letter "{letter}" appear in the text: "{" ".join(words)}"?'
        between(entry["question"], text, "", "letter_counting")
        plain = all(word.isascii() and word.isalpha() for word in words)
        common = rng.random() < 2 / 3 and entry["answer"] == "1"
        facts = {"letter": letter, "words": list(words)}
        yield Candidate(entry["question"], entry["answer"], facts) if plain and not common else None


def word_sorting(params: dict[str, int], seed: int) -> Iterator[Candidate | None]:
    """Yield sorting questions about lower-case words, or None where a word is not plain letters."""
    library_version()
    from reasoning_gym.algorithmic.word_sorting import QUESTION_TEMPLATE, TextTransformation

    lower = {"transformation": TextTransformation.LOWERCASE}
    for entry in entries("word_sorting", params | lower, seed):
        metadata = entry["metadata"]
        words, direction = metadata["transformed_words"], metadata["direction"]
        whole = QUESTION_TEMPLATE.format(direction=direction, words=", ".join(words))
        order = f"ort these words in {direction} order (using ASCII/Unicode ordering)"
        introduction = whole.partition("Now, s")[0]
        head = f"{introduction}Now, s{order} and return them as a comma-separated list: "
        body = between(entry["question"], head, "\n", "word_sorting")
        plain = all(word.isascii() and word.isalpha() for word in words)
        facts = {"direction": direction, "words": list(words)}
        yield Candidate(f"S{order}: {body}", entry["answer"], facts) if plain else None


# --- canonical keys --------------------------------------------------------------------


def needle_key(facts: dict[str, Any]) -> str:
    """Return the key of a needle question: what is done, in any order and by anybody."""
    deeds = sorted(f"{verb} {thing}" for _, verb, thing in facts["statements"])
    return f"{' '.join(facts['asked'])} | {'; '.join(deeds)}"


def coin_key(facts: dict[str, Any]) -> str:
    """Return the key of a coin question: the start and who flips by place, not by name."""
    return f"{facts['start']} {''.join('f' if flip else '-' for flip in facts['flips'])}"


def order_key(direction: str, items: list) -> str:
    """Return the key of a sorting question: direction and what is sorted, in any order."""
    return f"{direction} {' '.join(map(str, sorted(items)))}"


def letter_key(facts: dict[str, Any]) -> str:
    """Return the key of a letter question: the letter and the words in any order and case."""
    return f"{facts['letter']} | {' '.join(sorted(word.lower() for word in facts['words']))}"


LIBRARY, OWN = "reasoning-gym", "ponder"
FAMILIES = {
    "number_sorting": Family(
        LIBRARY,
        ("min_numbers", "max_numbers", "min_value", "max_value"),
        number_sorting,
        lambda facts: order_key(facts["direction"], facts["numbers"]),
    ),
    "chain_sum": Family(
        LIBRARY, ("min_terms", "max_terms"), chain_sum, lambda facts: facts["expression"]
    ),
    "needle_haystack": Family(
        LIBRARY, ("min_num_statements", "max_num_statements"), needle_haystack, needle_key
    ),
    "facing": Family(
        OWN,
        ("min_turns", "max_turns"),
        facing,
        lambda facts: f"{facts['start']} {' '.join(facts['turns'])}",
    ),
    "boolean": Family(
        OWN,
        ("min_operations", "max_operations"),
        boolean,
        lambda facts: f"{facts['start']} {', '.join(facts['operations'])}",
    ),
    "letter_counting": Family(LIBRARY, ("min_words", "max_words"), letter_counting, letter_key),
    "coin": Family(OWN, ("min_people", "max_people"), coin, coin_key),
    "word_sorting": Family(
        LIBRARY,
        ("min_words", "max_words", "min_word_length", "max_word_length"),
        word_sorting,
        lambda facts: order_key(facts["direction"], facts["words"]),
    ),
}
