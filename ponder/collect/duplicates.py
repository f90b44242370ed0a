"""Questions that stand in a pool more than once: with one text, or nearly so. Pure functions.

Texts are one but for case and white space. What is kept of two is the same whatever the order of
the input: the one that comes first in the canonical order, which goes by the place of its source in
`prefer` (other sources follow by name), then by id.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ponder.collect.wording import tokens

if TYPE_CHECKING:
    from datasketch import MinHash, MinHashLSH

    from ponder.questions.drawn import Question

# Words. Of 40 different ones, one changed word leaves a Jaccard similarity of 35/41, and two that
# stand apart 32/44.
SHINGLE = 3
# Numbers in a sketch.
PERMUTATIONS = 128
# At most so large a share of the pairs that lie just at the threshold is no candidate.
MISSED = 0.001
# Shingles hashed at one time: each is 128 numbers until their minimum is known.
BATCH = 4096


def shingles(text: str) -> set[str]:
    """Return the set of all runs of SHINGLE tokens of a text.

    The whole text is the only one if it has fewer tokens; the set is empty without a token.
    """
    return shingles_of(tokens(text))


def shingles_of(words: list[str]) -> set[str]:
    """Return the shingles of a text that is given as its tokens."""
    if not words:
        return set()
    starts = range(max(1, len(words) - SHINGLE + 1))
    return {" ".join(words[start : start + SHINGLE]) for start in starts}


def jaccard(one: set, other: set) -> float:
    """Return the share of all members of two sets that are in both, 0.0 to 1.0.

    0.0 if both are empty.
    """
    both = len(one & other)
    return both / (len(one) + len(other) - both) if both else 0.0


def bands(threshold: float) -> tuple[int, int]:
    """Return (bands, rows) of an index of MinHash sketches.

    The rows are the most to a band with which all but MISSED of the pairs at the threshold are
    equal in a band.
    """
    possible = [
        rows
        for rows in range(1, PERMUTATIONS // 2 + 1)
        if (1 - threshold**rows) ** (PERMUTATIONS // rows) <= MISSED
    ]
    assert possible, f"{PERMUTATIONS} permutations find too few pairs of similarity {threshold}"
    return PERMUTATIONS // possible[-1], possible[-1]


@functools.cache
def _empty_sketch() -> MinHash:
    from datasketch import MinHash

    return MinHash(num_perm=PERMUTATIONS, seed=1)


def sketch(members: Iterable[str]) -> MinHash:
    """Return the MinHash of a set of texts; it depends on nothing else."""
    minhash = _empty_sketch().copy()
    data = [member.encode("utf-8", "surrogatepass") for member in members]
    for start in range(0, len(data), BATCH):
        minhash.update_batch(data[start : start + BATCH])
    return minhash


def index(threshold: float) -> MinHashLSH:
    """Return an empty index.

    Of the sketches in it, its `query` names those that may be as similar as the threshold.
    """
    from datasketch import MinHashLSH

    return MinHashLSH(num_perm=PERMUTATIONS, params=bands(threshold))


def canonical(questions: Iterable[Question], prefer: Sequence[str] = ()) -> list[Question]:
    """Return the questions in the order that decides which of several is kept.

    `prefer` names sources, the preferred ones first.
    """
    place = {family: number for number, family in enumerate(prefer)}

    def rank(question: Question) -> tuple:
        return (
            place.get(question.family, len(place)),
            question.family,
            question.id,
            question.question,
            question.answer,
            question.key,
            json.dumps(question.facts, sort_keys=True),
            question.domain,
        )

    return sorted(questions, key=rank)


def exact(
    questions: Sequence[Question], prefer: Sequence[str] = ()
) -> tuple[list[Question], list[tuple[Question, Question]]]:
    """Return (unique, pairs): the questions without the later ones of an id, and what was dropped.

    An id hashes the text whatever its case and white space. The questions stay in their order; the
    pairs (dropped question, kept one) are in canonical order.
    """
    first: dict[str, Question] = {}
    pairs = []
    for question in canonical(questions, prefer):
        if question.id in first:
            pairs.append((question, first[question.id]))
        else:
            first[question.id] = question
    missing, unique = dict(first), []
    for question in questions:
        if missing.get(question.id) == question:
            unique.append(missing.pop(question.id))
    return unique, pairs


def near(
    questions: Iterable[Question], threshold: float, prefer: Sequence[str] = ()
) -> dict[str, str]:
    """Return {id of a dropped question: id of the kept one that is so similar}.

    A question is dropped when its shingles have a Jaccard similarity of `threshold` or more,
    computed from the sets themselves, with a question kept before it in canonical order. MinHash
    only says which pairs are looked at: of those just at the threshold it leaves out MISSED, of
    more similar ones fewer. Ids must be unique: `exact` comes first.
    """
    ordered, sketches = canonical(questions, prefer), index(threshold)
    assert len({question.id for question in ordered}) == len(ordered), "two questions have one id"
    kept_of = {}
    for number, question in enumerate(ordered):
        members = shingles(question.question)
        if not members:
            continue
        minhash = sketch(members)
        for candidate in sorted(sketches.query(minhash)):
            other = ordered[candidate]
            if jaccard(members, shingles(other.question)) >= threshold:
                kept_of[question.id] = other.id
                break
        else:
            sketches.insert(number, minhash, check_duplication=False)
    return kept_of


def remove(
    questions: Sequence[Question], threshold: float | None, prefer: Sequence[str] = ()
) -> tuple[list[Question], list[dict[str, Any]]]:
    """Return (unique, copies): the questions without exact and near-duplicates, and those.

    The questions stay in their order. The copies, one row {id, family, kept, kept_family, by: exact
    | near} for each dropped question, are sorted; a `threshold` of None drops exact ones only.
    """
    unique, exact_pairs = exact(questions, prefer)
    pairs = [("exact", question, first) for question, first in exact_pairs]
    if threshold is not None:
        similar = near(unique, threshold, prefer)
        by_id = {question.id: question for question in unique}
        pairs += [("near", by_id[ident], by_id[first]) for ident, first in similar.items()]
        unique = [question for question in unique if question.id not in similar]
    copies = [
        {
            "id": question.id,
            "family": question.family,
            "kept": first.id,
            "kept_family": first.family,
            "by": by,
        }
        for by, question, first in pairs
    ]
    return unique, sorted(copies, key=lambda row: (row["id"], row["family"], row["by"]))
