"""How often does a letter appear in some words?"""

import random
from collections.abc import Iterator

from ponder.questions.family import LIBRARY, Candidate, Facts, Family, Step
from ponder.questions.gym import between, entries


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate | None]:
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


def key(facts: Facts) -> str:
    """Return the key of a letter question: the letter and the words in any order and case."""
    return f"{facts['letter']} | {' '.join(sorted(word.lower() for word in facts['words']))}"


def steps(facts: Facts) -> list[Step]:
    """Return a line for each word: its letters, each with the count so far."""
    solved, count = [], 0
    for word in facts["words"]:
        pieces = []
        for letter in word.lower():
            count += letter == facts["letter"]
            pieces += [letter, str(count)]
        wrong = tuple(str(other) for other in (count - 1, count + 1) if other >= 0)
        solved.append(Step(" ".join(pieces[:-1]) + " ", pieces[-1], wrong))
    return solved


FAMILY = Family(LIBRARY, "Apache-2.0", ("min_words", "max_words"), candidates, key, steps)
