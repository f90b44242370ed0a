"""Answers graded again from what was committed: the grader on all of them, and a second grader of
another kind beside it.
"""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ponder.audit.checks import DATA, ROOT, Findings, answers_file, completed, read, samples
from ponder.grading import crosscheck, sealed, verify
from ponder.grading.kinds import DRAWN
from ponder.questions.marking import FREE, kind_of, mark
from ponder.rows import ABSENT, SampleRow

# Answers that the second grader sees in `make audit`; `make audit-full` shows it all.
SAMPLED = 2_000

Questions = dict[tuple[str, str], dict[str, Any]]


def questions_folder(folder: Path) -> Path | None:
    """Return where the released questions lie that an evaluate run asked; the oldest runs do not
    name it.

    None for a public benchmark, whose questions are not ours to release.
    """
    benchmark = read(folder / "config.yaml")["benchmark"]
    if benchmark.get("kind") == "hub":
        return None
    return ROOT / benchmark["dir"] if "dir" in benchmark else DATA / "questions"


def questions_of(folder: Path) -> Questions | None:
    """Return {(task, id): question row} that an evaluate run was to answer, from the released
    questions of its split; None as questions_folder.
    """
    benchmark, directory = read(folder / "config.yaml")["benchmark"], questions_folder(folder)
    if directory is None:
        return None
    questions: Questions = {}
    for task in benchmark["tasks"]:
        rows = read(directory / benchmark["split"] / f"{task}.jsonl")[: benchmark["limit"]]
        questions |= {(task, row["id"]): row for row in rows}
    return questions


def second_grade(reply: str, gold: str, family: str = "") -> bool:
    """Whether the second grader (ponder/grading/crosscheck.py) calls a reply right, item by item:
    the order of a list counts in the families of programs, and 4 - 3 = 1 is no answer there.
    """
    if kind_of(family, DRAWN) == FREE:
        return crosscheck.is_correct(reply, gold)
    answer = crosscheck.last_answer(reply)
    if answer is None or "=" in answer:
        return False
    items, gold_items = answer.casefold().split(","), gold.casefold().split(",")
    if len(items) != len(gold_items):
        return False
    pairs = zip(items, gold_items, strict=True)
    return all(crosscheck.same(item.strip(), reference.strip()) for item, reference in pairs)


def answers() -> Findings:
    """Whether each answer's question and gold are those of the released questions, and its grade
    is what its reply deserves.
    """
    problems, count, public, unopened = [], 0, [], 0
    golds: dict[tuple[str, str], str] = {}
    for folder in completed("evaluate"):
        questions = questions_of(folder)
        if questions is None:
            public.append(folder.name)
        for number, sample in enumerate(samples(folder), 1):
            count += 1
            if questions is None:
                problem = text_problem(sample, golds)
                unopened += sealed.opened(sample.gold_sha256 or "") is None
            else:
                problem = question_problem(sample, questions.get((sample.task, sample.id)))
            if problem := problem or grade_problem(sample):
                problems.append(f"{answers_file(folder)} row {number} {problem}")
    looked_at = f"{count:,} answers"
    if public:
        looked_at += (
            f"; of public benchmarks by the hash of the gold answer, {unopened:,} of them not "
            f"graded again, since it is no whole number: {', '.join(public)}"
        )
    return Findings(looked_at, problems)


def question_problem(sample: SampleRow, question: dict[str, Any] | None) -> str | None:
    """Return what is wrong with an answer beside its released question, None where nothing is."""
    if question is None:
        return f"answers {sample.task}/{sample.id}, which is not in its split"
    if (sample.question, sample.gold) != (question["question"], question["answer"]):
        return f"has another question or gold answer than data/ has for {sample.id}"
    if sample.gold_sha256 is not ABSENT:
        return "has the hash of a gold answer, though its question is released"
    return None


def text_problem(sample: SampleRow, golds: dict[tuple[str, str], str]) -> str | None:
    """Return what is wrong with what an answer holds of a public benchmark, None where nothing is.

    `golds` are the hashes of the gold answers that were seen, and gains that of the answer: every
    run has the same.
    """
    if sample.question is not ABSENT or sample.gold is not ABSENT:
        return "holds the text of a public benchmark, which is not ours to publish"
    if sample.gold_sha256 is ABSENT:
        return "has no gold_sha256"
    if golds.setdefault((sample.task, sample.id), sample.gold_sha256) != sample.gold_sha256:
        return f"has another gold_sha256 than another answer to {sample.id}"
    return None


def grade_problem(sample: SampleRow) -> str | None:
    """Return what is wrong with the grade of an answer, None where nothing is, and where the gold
    answer is a hash that no whole number has.

    The options of a multiple choice are not in its row: such an answer is right where its letter
    is the gold one.
    """
    gold = sample.gold
    if gold is ABSENT:
        opened = sealed.opened(sample.gold_sha256 or "")
        if opened is None:
            return None
        gold = opened
    if sample.by == "choice":
        is_right = sample.choice == gold
    elif sample.how is not ABSENT:  # marked as on benchmarks
        is_right = verify.is_right(sample.reply, gold)
    else:
        is_right = mark(sample.reply, gold, sample.task)["correct"]
    if is_right != sample.correct:
        return f"is marked {'right' if sample.correct else 'wrong'}, but its reply is not"
    return None


def disagreements(answered: Iterable[tuple[str, SampleRow]]) -> list[dict[str, Any]]:
    """Return the rows of logs/disagreements.jsonl for (run, sample) pairs: where the two graders
    differ.
    """
    rows = []
    for run, sample in answered:
        second = second_grade(sample.reply, sample.gold, sample.task)
        if second != sample.correct:
            rows.append(
                {
                    "run": run,
                    "task": sample.task,
                    "id": sample.id,
                    "sample": sample.sample or 0,
                    "first": sample.correct,
                    "second": second,
                }
            )
    return rows


def all_answers() -> list[tuple[str, SampleRow]]:
    """Return (run, sample) of every released answer to our questions, in the order of the runs."""
    return [
        (folder.name, sample)
        for folder in completed("evaluate")
        if questions_of(folder)
        for sample in samples(folder)
    ]


def second_grader() -> Findings:
    """Whether a second grader agrees on a seeded sample of the answers, but for what
    logs/disagreements.jsonl lists.
    """
    everything = all_answers()
    generator = random.Random("audit/second grader")
    drawn = generator.sample(everything, min(SAMPLED, len(everything)))
    listed = read(ROOT / "logs" / "disagreements.jsonl")
    problems = unlisted(disagreements(drawn), listed)
    looked_at = f"{len(drawn):,} of {len(everything):,} answers"
    return Findings(f"{looked_at}, {len(listed)} disagreements listed in all", problems)


def second_grader_on_all() -> Findings:
    """Whether a second grader agrees on every answer, but for exactly what
    logs/disagreements.jsonl lists.
    """
    everything, listed = all_answers(), read(ROOT / "logs" / "disagreements.jsonl")
    differing = disagreements(everything)
    problems = unlisted(differing, listed)
    problems += [
        f"logs/disagreements.jsonl lists {row['run']}: {row['task']}/{row['id']}, where both agree"
        for row in listed
        if row not in differing
    ]
    looked_at = f"{len(everything):,} answers, {len(listed)} disagreements listed"
    return Findings(looked_at, problems)


def unlisted(differing: list[dict[str, Any]], listed: list[dict[str, Any]]) -> list[str]:
    """Return a sentence for each disagreement that is not listed."""
    return [
        f"{row['run']}: {row['task']}/{row['id']} sample {row['sample']} is graded {row['first']}, "
        f"by the second grader {row['second']}, and logs/disagreements.jsonl does not list it"
        for row in differing
        if row not in listed
    ]
