"""Whether a reply is right, by the kind of the pool that its question comes from."""

from ponder.grading import answers, families, verify

DRAWN = "drawn"  # the kind of a pool of generated questions


def is_right(reply: str, gold: str, kind: str) -> bool:
    """Return whether the answer that answers.extract reads in a reply is the gold one.

    Answers to drawn questions are compared as ponder/grading/families.py does, which is strict: an
    expression is no answer, and a reply in which its own extractor reads another answer is wrong.
    Those to other questions, of a file or a hub or of families that no program solves
    (ponder/questions/marking.py), are compared as ponder/grading/verify.py does for
    benchmarks. Raises RuntimeError as verify.is_right does.
    """
    if kind != DRAWN:
        return verify.is_right(reply, gold)
    answer = answers.extract(reply)
    if answer is None or families.normal(answer.text) != families.normal(gold):
        return False
    return families.extract(reply) is None or families.is_correct(reply, gold)
