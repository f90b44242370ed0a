"""Who does something, among statements about several people?"""

from collections.abc import Iterator, Sequence

from ponder.errors import UserError
from ponder.questions.family import LIBRARY, Candidate, Facts, Family, Step
from ponder.questions.gym import between, entries, library_version


def candidates(params: dict[str, int], seed: int) -> Iterator[Candidate | None]:
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


def key(facts: Facts) -> str:
    """Return the key of a needle question: what is done, in any order and by anybody."""
    deeds = sorted(f"{verb} {thing}" for _, verb, thing in facts["statements"])
    return f"{' '.join(facts['asked'])} | {'; '.join(deeds)}"


def steps(facts: Facts) -> list[Step]:
    """Return the one statement that says it."""
    sentences = {thing: f"{name} {verb} {thing}." for name, verb, thing in facts["statements"]}
    thing = facts["asked"][1]
    wrong = tuple(sentence for other, sentence in sentences.items() if other != thing)
    return [Step(f"{thing}: ", sentences[thing], wrong)]


def answer(solved: Sequence[Step]) -> str:
    """Return the name that the statement begins with."""
    return solved[-1].value.split(" ")[0]


FAMILY = Family(
    LIBRARY,
    "Apache-2.0",
    ("min_num_statements", "max_num_statements"),
    candidates,
    key,
    steps,
    answer,
)
