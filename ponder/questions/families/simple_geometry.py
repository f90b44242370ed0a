"""How large is the last angle of a convex polygon?"""

from collections.abc import Iterator

from ponder.questions.family import LIBRARY, Candidate, Facts, Family
from ponder.questions.gym import entries

HEAD, TAIL = "Return only the angle", ".0\u00b0"


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate | None]:
    """Yield questions about polygons; None for one that would not be convex, which the library
    does not look at.
    """
    for entry in entries("simple_geometry", params, seed):
        question = entry["question"].partition(HEAD)[0].strip().replace(TAIL, "\u00b0")
        angles = [int(angle) for angle in entry["metadata"]["known_angles"]]
        last = 180 * (len(angles) - 1) - sum(angles)
        if last >= 180 or str(last) != entry["answer"]:
            yield None
        else:
            yield Candidate(question, entry["answer"], {"angles": angles})


def key(facts: Facts) -> str:
    """Return the key of a question: its angles, in any order."""
    return "angles " + " ".join(map(str, sorted(facts["angles"])))


FAMILY = Family(
    LIBRARY, "Apache-2.0", ("min_sides", "max_sides", "min_angle", "max_angle"), candidates, key
)
