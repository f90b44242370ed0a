"""Sort some lower-case words."""

from collections.abc import Iterator

from ponder.questions.family import LIBRARY, Candidate, Facts, Family, Step
from ponder.questions.gym import between, entries, library_version
from ponder.questions.sorting import order_key, picks, sorted_items


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate | None]:
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


def key(facts: Facts) -> str:
    """Return the key of a question: direction and words, in any order."""
    return order_key(facts["direction"], facts["words"])


def steps(facts: Facts) -> list[Step]:
    """Return a line for each pick."""
    return picks(list(facts["words"]), str, facts["direction"])


FAMILY = Family(
    LIBRARY,
    "Apache-2.0",
    ("min_words", "max_words", "min_word_length", "max_word_length"),
    candidates,
    key,
    steps,
    sorted_items,
)
