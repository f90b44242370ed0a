"""Answers graded again from what was committed: the grader on all, a second grader of another kind beside it."""

import random

from ponder.audit.checks import DATA, ROOT, completed, read, shown
from ponder.grading import crosscheck
from ponder.grading import families as grading

SAMPLED = (
    2_000  # answers that the second grader sees in `make audit`; `make audit-full` shows it all
)


def asked(folder):
    """Return {(task, id): question row} that an evaluate run was to answer, from the released questions of its split.

    None for a public benchmark, whose questions are not ours to release.
    """
    benchmark = read(folder / "config.yaml")["benchmark"]
    if benchmark.get("kind") == "hub":
        return None
    split, limit = benchmark["split"], benchmark["limit"]
    return {
        (task, row["id"]): row
        for task in benchmark["tasks"]
        for row in read(
            ROOT / benchmark["dir"] / split / f"{task}.jsonl"
            if "dir" in benchmark
            else DATA / "questions" / split / f"{task}.jsonl"
        )[:limit]
    }


def second(reply, gold):
    """Return what the second grader (ponder/grading/crosscheck.py) says, item by item: the order of a list counts in these families."""
    found = crosscheck.last_answer(reply)
    ours, theirs = (found or "").casefold().split(","), gold.casefold().split(",")
    return (
        found is not None
        and len(ours) == len(theirs)
        and all(crosscheck.same(a.strip(), b.strip()) for a, b in zip(ours, theirs, strict=True))
    )


def answers():
    """Whether each answer's question and gold are those of the released questions, and its grade is what its reply deserves."""
    problems, count, public = [], 0, []
    for folder in completed("evaluate"):
        if (questions := asked(folder)) is None:
            public.append(folder.name)
            continue
        for number, s in enumerate(read(folder / "samples.jsonl"), 1):
            count += 1
            question, where = (
                questions.get((s["task"], s["id"])),
                f"{shown(folder)}/samples.jsonl row {number}",
            )
            if question is None:
                problems.append(f"{where} answers {s['task']}/{s['id']}, which is not in its split")
            elif (s["question"], s["gold"]) != (question["question"], question["answer"]):
                problems.append(
                    f"{where} has another question or gold answer than data/ has for {s['id']}"
                )
            elif grading.is_correct(s["reply"], question["answer"]) != s["correct"]:
                problems.append(
                    f"{where} is marked {'right' if s['correct'] else 'wrong'}, but its reply is not"
                )
    return f"{count:,} answers" + (
        f"; not those of public benchmarks: {', '.join(public)}" if public else ""
    ), problems


def disagreements(samples):
    """Return the rows of logs/disagreements.jsonl for (run, sample) pairs: where the two graders differ."""
    return [
        {
            "run": run,
            "task": s["task"],
            "id": s["id"],
            "sample": s.get("sample", 0),
            "first": s["correct"],
            "second": found,
        }
        for run, s in samples
        if (found := second(s["reply"], s["gold"])) != s["correct"]
    ]


def everything():
    """Return (run, sample) of every released answer, in the order of the runs."""
    return [
        (folder.name, s)
        for folder in completed("evaluate")
        if asked(folder)
        for s in read(folder / "samples.jsonl")
    ]


def second_grader(full=False):
    """Whether a second grader agrees, but for what logs/disagreements.jsonl lists; on a seeded sample, or on all."""
    every, known = everything(), read(ROOT / "logs" / "disagreements.jsonl")
    drawn = (
        every
        if full
        else random.Random("audit/second grader").sample(every, min(SAMPLED, len(every)))
    )
    found = disagreements(drawn)
    problems = [
        f"{row['run']}: {row['task']}/{row['id']} sample {row['sample']} is graded {row['first']}, by the second grader "
        f"{row['second']}, and logs/disagreements.jsonl does not list it"
        for row in found
        if row not in known
    ]
    if full:
        problems += [
            f"logs/disagreements.jsonl lists {row['run']}: {row['task']}/{row['id']}, where both agree"
            for row in known
            if row not in found
        ]
    return (
        f"{len(drawn):,} of {len(every):,} answers, {len(known)} disagreements listed in all",
        problems,
    )
