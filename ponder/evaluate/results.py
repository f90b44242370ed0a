"""What an evaluation writes: the row of each answer, and the results that follow from the rows."""

from ponder import statistics
from ponder.grading import answers, verify
from ponder.grading import families as grading
from ponder.runs import read_jsonl


def samples(run, scored):
    """Return the final sample rows: what was generated joined with question, gold and lm-eval's score of the first sample."""
    made = {}
    for row in sorted(read_jsonl(run.folder / "generations.jsonl"), key=lambda row: row["sample"]):
        made.setdefault((row["task"], row["id"]), []).append(row)
    joined = []
    for task, rows in sorted(scored.items()):
        for doc, score in rows:
            for row in made[task, doc["id"]]:
                if "options" in doc:  # a benchmark of ponder/questions/benchmarks.py
                    grade = verify.grade(row["reply"], doc["answer"], doc["options"])
                else:
                    grade = {"correct": grading.is_correct(row["reply"], doc["answer"])}
                assert row["sample"] or grade["correct"] == bool(score)
                joined.append({**row, "question": doc["question"], "gold": doc["answer"], **grade})
    return joined


def results(plan, samples, theirs):
    """Return {"tasks": {task: summary}, "all": summary} of the samples of an evaluation, after comparing with lm-eval's results."""
    tasks = {task: [s for s in samples if s["task"] == task] for task in plan.benchmark.tasks}
    for task, rows in tasks.items():
        first = [s["correct"] for s in rows if s["sample"] == 0]
        assert abs(sum(first) / len(first) - theirs[task]["acc,none"]) < 1e-9, (
            "lm-eval counted differently"
        )
    return {
        "tasks": {task: summary(rows, plan.name) for task, rows in tasks.items()},
        "all": summary(samples, plan.name),
    }


def summary(samples, purpose):
    """Return statistics.summary of samples; with several of a question also what they say together, its interval over questions."""
    several = any(sample.get("sample", 0) for sample in samples)
    return statistics.summary(samples) | (together(samples, purpose) if several else {})


def together(samples, purpose):
    """Return scaling.several of samples and the interval of their mean accuracy, both over questions."""
    questions = {}
    for sample in sorted(samples, key=lambda s: (s["task"], s["id"], s["sample"])):
        votes, correct = questions.setdefault((sample["task"], sample["id"]), ([], []))
        votes.append(voted(sample))
        correct.append(sample["correct"])
    mean = statistics.interval(
        [sum(correct) / len(correct) for _, correct in questions.values()], f"{purpose}/accuracy"
    )
    return statistics.several(list(questions.values()), purpose) | {
        "low": mean["low"],
        "high": mean["high"],
    }


def voted(sample):
    """Return the normal form of a sample's answer as text, None where it has none: equal forms are graded alike."""
    if "how" in sample:  # a benchmark of ponder/questions/benchmarks.py
        return sample["choice"] or (
            None if sample["answer"] is None else answers.normal(sample["answer"])
        )
    found = grading.extract(sample["reply"])
    return None if found is None else repr(grading.normal(found))


def report(run, results):
    """Return the last lines of an evaluation."""
    lines = [
        f"  {task:18} {r['accuracy']:6.1%} ({r['correct']}/{r['n']})  think {r['thinking_tokens']:6.1f} tok  "
        f"capped {r['capped']}  ignored ends {r['ignored_ends']}"
        for task, r in results["tasks"].items()
    ]
    found = results["all"]
    return "\n".join(
        [
            *lines,
            f"evaluate {run.name}: {found['accuracy']:.1%} ({found['correct']}/{found['n']}) -> {run.folder}",
        ]
    )
