"""What an evaluation writes: the row of each answer, and the results that follow from the rows."""

from __future__ import annotations

from typing import Any

from ponder import rows, statistics
from ponder.evaluate.harness import GENERATIONS
from ponder.grading import answers, sealed, verify
from ponder.grading.families import extract, normal
from ponder.questions.marking import mark
from ponder.rows import ABSENT, SampleRow
from ponder.runs import Run, read_jsonl
from ponder.study import Study

QUESTIONS = "questions.jsonl"  # of public benchmarks; a release leaves it out


def samples(run: Run, scored: dict[str, list[tuple[dict[str, Any], float]]]) -> list[SampleRow]:
    """Return the rows of samples.jsonl, by task and in the task's order of questions.

    They join what was generated with its question and its grade. `scored` is what harness.run_tasks
    returns; our grade of a question's first sample must be lm-eval's.
    """
    generations: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in sorted(read_jsonl(run.folder / GENERATIONS), key=lambda row: row["sample"]):
        generations.setdefault((row["task"], row["id"]), []).append(row)
    sample_rows = []
    for task, questions in sorted(scored.items()):
        for question, score in questions:
            for generation in generations[task, question["id"]]:
                grade = _grade(generation["reply"], question)
                first = generation["sample"] == 0
                assert not first or grade["correct"] == bool(score), "lm-eval graded otherwise"
                text = _text(question)
                sample_rows.append(rows.row_of(SampleRow, {**generation, **text, **grade}))
    return sample_rows


def _text(question: dict[str, Any]) -> dict[str, str]:
    """Return the fields of a SampleRow that say a question and its answer, or the answer's hash."""
    if is_public(question):
        return {"gold_sha256": sealed.seal(question["answer"])}
    return {"question": question["question"], "gold": question["answer"]}


def is_public(question: dict[str, Any]) -> bool:
    """Return whether a question is of a benchmark of ponder/questions/benchmarks.py."""
    return "options" in question


def public_questions(
    scored: dict[str, list[tuple[dict[str, Any], float]]],
) -> list[dict[str, Any]]:
    """Return the rows of questions.jsonl: what samples.jsonl leaves out of public benchmarks.

    `scored` is as for `samples`.
    """
    return [
        {"task": task, **question}
        for task, questions in sorted(scored.items())
        for question, _ in questions
        if is_public(question)
    ]


def _grade(reply: str, question: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a SampleRow that grading gives."""
    if is_public(question):
        return {**verify.grade(reply, question["answer"], question["options"])}
    return {**mark(reply, question["answer"], question["family"])}


def results(
    plan: Study, samples: list[SampleRow], lm_eval_results: dict[str, Any]
) -> dict[str, Any]:
    """Return {"tasks": {task: its summary}, "all": summary} of the samples of an evaluation.

    The accuracies of the first samples must be those that lm-eval computed.
    """
    by_task = {
        task: [sample for sample in samples if sample.task == task] for task in plan.benchmark.tasks
    }
    for task, of_task in by_task.items():
        first = [sample.correct for sample in of_task if sample.sample == 0]
        accuracy = sum(first) / len(first)
        assert abs(accuracy - lm_eval_results[task]["acc,none"]) < 1e-9, (
            "lm-eval counted differently"
        )
    return {
        "tasks": {task: summary(of_task, plan.name) for task, of_task in by_task.items()},
        "all": summary(samples, plan.name),
    }


def summary(samples: list[SampleRow], purpose: str) -> dict[str, Any]:
    """Return statistics.summary of samples; with several of a question also what they say together.

    Then the interval of the accuracy is over questions, drawn by `purpose`.
    """
    numbers = statistics.summary([rows.values_of(sample) for sample in samples])
    several = any(sample.sample for sample in samples)
    return numbers | (together(samples, purpose) if several else {})


def together(samples: list[SampleRow], purpose: str) -> dict[str, Any]:
    """Return statistics.several of samples and {"low", "high"} of their mean accuracy.

    All intervals are over questions.
    """
    questions: dict[tuple[str, str], tuple[list[str | None], list[bool]]] = {}
    for sample in sorted(samples, key=lambda sample: (sample.task, sample.id, sample.sample)):
        votes, correct = questions.setdefault((sample.task, sample.id), ([], []))
        votes.append(vote_of(sample))
        correct.append(sample.correct)
    accuracies = [sum(correct) / len(correct) for _, correct in questions.values()]
    mean = statistics.interval(accuracies, f"{purpose}/accuracy")
    ends = {"low": mean["low"], "high": mean["high"]}
    return statistics.several(list(questions.values()), purpose) | ends


def vote_of(sample: SampleRow) -> str | None:
    """Return the normal form of a sample's answer as text, None where it has none.

    Answers with equal forms are graded alike, but for names and units that conflict with the gold.
    """
    if sample.how is not ABSENT:  # marked as on benchmarks
        return sample.choice or (None if sample.answer is None else answers.normal(sample.answer))
    answer = extract(sample.reply)
    return None if answer is None else repr(normal(answer))


def outcome(samples: list[SampleRow], results: dict[str, Any]) -> dict[str, float]:
    """Return the results as one flat row, for a table of runs: of all answers under their own
    names, of a task under "task/name". Shares are from 0 to 1.
    """
    row = _flat(samples, results["all"])
    for task, numbers in results["tasks"].items():
        of_task = _flat([sample for sample in samples if sample.task == task], numbers)
        row |= {f"{task}/{name}": value for name, value in of_task.items()}
    return row


def _flat(samples: list[SampleRow], numbers: dict[str, Any]) -> dict[str, float]:
    n = numbers["n"]
    return {name: numbers[name] for name in ("accuracy", "low", "high", "n", "thinking_tokens")} | {
        "cut": numbers["capped"] / n,
        "unanswered": sum(vote_of(sample) is None for sample in samples) / n,
    }


def report(run: Run, results: dict[str, Any]) -> str:
    """Return the last lines of an evaluation."""
    lines = [
        f"  {task:18} {r['accuracy']:6.1%} ({r['correct']}/{r['n']})  "
        f"think {r['thinking_tokens']:6.1f} tok  "
        f"capped {r['capped']}  ignored ends {r['ignored_ends']}"
        for task, r in results["tasks"].items()
    ]
    if limit := run.config["benchmark"]["limit"]:
        lines.append(
            f"  of each task at most {limit} questions were asked: benchmark.limit={limit}; "
            "benchmark.limit=null asks all"
        )
    total = results["all"]
    lines.append(
        f"evaluate {run.name}: {total['accuracy']:.1%} ({total['correct']}/{total['n']}) "
        f"-> {run.folder}"
    )
    return "\n".join(lines)
