"""Questions that stand in a pool more than once: with one text but for case and white space, or nearly so. Pure.

What is kept of two is the same whatever the order of the input: the one that comes first in the canonical order, which
goes by the place of its source in `prefer` (other sources follow by name), then by id.
"""

import functools
import json
import re

SHINGLE = 3  # words. Of 40 different ones, one changed word leaves a Jaccard similarity of 35/41, two apart 32/44
PERMUTATIONS = 128  # numbers in a sketch
MISSED = (
    0.001  # at most so large a share of the pairs that lie just at the threshold is no candidate
)
BATCH = 4096  # shingles hashed at one time: each is 128 numbers until their minimum is known

# What TeX or a web page lays out with, and what means nothing more than the same without it.
MARKUP = re.compile(
    r"</?(?:c?math|br|p|sub|sup)>|\\(?:begin|end)\{[a-z]{0,20}\*?\}|(?<=\\)[dt](?=frac)|\\[,;:!>\\ ]"
    r"|\\(?:left|right|bigg?[lrm]?|displaystyle|limits|text(?:bf|it|rm)?|math(?:bf|it|rm)|q?quad)(?![a-z])"
)
TOKEN = re.compile(r"""[^\W\d_]+|\d+|[^\w\s\\{}()\[\],.;:'"`$&~?#@%|\u2018\u2019\u201c\u201d]""")


def tokens(text):
    """Return the words of a text in lower case: runs of letters, runs of digits and single signs such as + or <.

    Brackets, punctuation, white space and commands of layout are left out, so that one formula set in two ways is one.
    Signs are kept, since a sum is not a difference. The cost is linear in the text.
    """
    return TOKEN.findall(MARKUP.sub(" ", text.lower()))


def shingles(text):
    """Return the set of all runs of SHINGLE tokens of a text, of the whole text if it has fewer; empty without a token."""
    words = tokens(text)
    return (
        {
            " ".join(words[start : start + SHINGLE])
            for start in range(max(1, len(words) - SHINGLE + 1))
        }
        if words
        else set()
    )


def jaccard(one, other):
    """Return the share of all members of two sets that are in both, 0.0 to 1.0; 0.0 if both are empty."""
    both = len(one & other)
    return both / (len(one) + len(other) - both) if both else 0.0


def bands(threshold):
    """Return (bands, rows): the most rows to a band with which all but MISSED of the pairs at the threshold meet in a band."""
    fit = [
        rows
        for rows in range(1, PERMUTATIONS // 2 + 1)
        if (1 - threshold**rows) ** (PERMUTATIONS // rows) <= MISSED
    ]
    assert fit, f"{PERMUTATIONS} permutations find too few pairs of similarity {threshold}"
    return PERMUTATIONS // fit[-1], fit[-1]


@functools.cache
def _blank():
    from datasketch import MinHash

    return MinHash(num_perm=PERMUTATIONS, seed=1)


def sketch(members):
    """Return the MinHash of a set of texts; it depends on nothing else."""
    made, data = _blank().copy(), [member.encode("utf-8", "surrogatepass") for member in members]
    for start in range(0, len(data), BATCH):
        made.update_batch(data[start : start + BATCH])
    return made


def index(threshold):
    """Return an empty index; of the sketches in it, its `query` names those that may be as similar as the threshold."""
    from datasketch import MinHashLSH

    return MinHashLSH(num_perm=PERMUTATIONS, params=bands(threshold))


def canonical(questions, prefer=()):
    """Return the questions in the order that decides which of several is kept; `prefer` names sources, the first ones first."""
    place = {family: number for number, family in enumerate(prefer)}
    return sorted(
        questions,
        key=lambda q: (
            place.get(q.family, len(place)),
            q.family,
            q.id,
            q.question,
            q.answer,
            q.key,
            json.dumps(q.facts, sort_keys=True),
            q.domain,
        ),
    )


def exact(questions, prefer=()):
    """Return (kept, dropped): the questions, in their order, without the later ones of an id, and pairs (dropped, kept).

    An id hashes the text whatever its case and white space. The pairs are in canonical order.
    """
    first, dropped = {}, []
    for question in canonical(questions, prefer):
        if question.id in first:
            dropped.append((question, first[question.id]))
        else:
            first[question.id] = question
    left, kept = dict(first), []
    for question in questions:
        if left.get(question.id) == question:
            kept.append(left.pop(question.id))
    return kept, dropped


def near(questions, threshold, prefer=()):
    """Return {id of a dropped question: id of the kept one that is so similar}: MinHash over shingles (issue 3, item 1).

    A question is dropped when its shingles have a Jaccard similarity of `threshold` or more, computed from the sets
    themselves, with a question kept before it in canonical order. MinHash only says which pairs are looked at: of those just at
    the threshold it leaves out MISSED, of more similar ones fewer. Ids must be unique: `exact` comes first.
    """
    rows, kept, dropped = canonical(questions, prefer), index(threshold), {}
    assert len({question.id for question in rows}) == len(rows), "two questions have one id"
    for number, question in enumerate(rows):
        if not (mine := shingles(question.question)):
            continue
        made = sketch(mine)
        for other in sorted(kept.query(made)):
            if jaccard(mine, shingles(rows[other].question)) >= threshold:
                dropped[question.id] = rows[other].id
                break
        else:
            kept.insert(number, made, check_duplication=False)
    return dropped


def remove(questions, threshold, prefer=()):
    """Return (kept, copies): the questions, in their order, without exact and near-duplicates, and a row for each dropped one.

    The rows {id, family, kept, kept_family, by: exact | near} are sorted; a `threshold` of None drops exact ones only.
    """
    kept, twins = exact(questions, prefer)
    pairs = [("exact", dropped, first) for dropped, first in twins]
    if threshold is not None:
        similar, by_id = near(kept, threshold, prefer), {question.id: question for question in kept}
        pairs += [("near", by_id[dropped], by_id[first]) for dropped, first in similar.items()]
        kept = [question for question in kept if question.id not in similar]
    copies = [
        {
            "id": dropped.id,
            "family": dropped.family,
            "kept": first.id,
            "kept_family": first.family,
            "by": by,
        }
        for by, dropped, first in pairs
    ]
    return kept, sorted(copies, key=lambda row: (row["id"], row["family"], row["by"]))
