"""Rules that the log of any honest run obeys, in code of their own: none of it is shared with what wrote the logs."""

import math
from collections import Counter
from datetime import datetime

from ponder.audit.answers import asked
from ponder.audit.checks import completed, read, runs, shown, status


def schedule(step, steps, recipe):
    """Return the learning rate of a step: linear to lr over the warm-up's share of all steps, then half a cosine down to 0."""
    warm = math.ceil(recipe["warmup"] * steps)
    return recipe["lr"] * (
        step / warm
        if step <= warm
        else (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))) / 2
    )


def train_log():
    """Whether metrics.jsonl of each training is what its plan, its rows and arithmetic allow."""
    problems, count = [], 0
    for folder in runs("train"):
        metrics = read(folder / "metrics.jsonl") if (folder / "metrics.jsonl").exists() else []
        recipe, batches = (
            read(folder / "config.yaml")["train"],
            read(folder / "batches.jsonl") if metrics else [],
        )
        count += len(metrics)

        def broken(rule, folder=folder):
            problems.append(f"{shown(folder)}/metrics.jsonl: {rule}")

        for number, row in enumerate(metrics, 1):
            if row["step"] != number:
                broken(f"row {number} is step {row['step']}")
            if not math.isclose(
                row["lr"], schedule(number, len(batches), recipe), rel_tol=1e-12, abs_tol=1e-18
            ):
                broken(
                    f"step {number} has lr {row['lr']}, its schedule {schedule(number, len(batches), recipe)}"
                )
            if not (
                math.isfinite(row["loss"])
                and row["loss"] >= 0
                and math.isfinite(row["grad_norm"])
                and row["grad_norm"] >= 0
            ):
                broken(f"step {number} has loss {row['loss']} and grad_norm {row['grad_norm']}")
            if not 0 < row["loss_tokens"] <= row["tokens"]:
                broken(f"step {number} has {row['loss_tokens']} loss tokens of {row['tokens']}")
        if status(folder)["status"] != "completed":
            continue
        if len(metrics) != len(batches):
            broken(f"the last step is {len(metrics)}, planned were {len(batches)}")
        epoch = len(batches) // recipe["epochs"]
        for key in ("tokens", "loss_tokens"):  # every epoch sees every row once
            sums = {
                sum(row[key] for row in metrics[start : start + epoch])
                for start in range(0, len(metrics), epoch)
            }
            if len(sums) != 1:
                broken(f"{key} add up to {sorted(sums)} in passes over the same rows")
            if (folder / "cost.json").exists() and read(folder / "cost.json")[key] != sum(
                row[key] for row in metrics
            ):
                broken(
                    f"{key} add up to {sum(row[key] for row in metrics):,}, cost.json says {read(folder / 'cost.json')[key]:,}"
                )
    return f"{len(runs('train'))} trainings, {count:,} steps", problems


def clocks():
    """Whether time moves forward in each run: starts in order, steps in order after each start, nothing negative."""
    problems = []
    for folder in runs():
        rows, last, started = read(folder / "timing.jsonl"), 0, []
        for number, row in enumerate(rows, 1):
            if row.get("event") == "start":
                started.append(datetime.fromisoformat(row["utc"]))
                last = 0
            if "step" in row and last and row["step"] != last + 1:
                problems.append(
                    f"{shown(folder)}/timing.jsonl row {number}: step {row['step']} follows step {last}"
                )
            last = row.get("step", last)
            if row.get("seconds", 0) < 0:
                problems.append(
                    f"{shown(folder)}/timing.jsonl row {number} took {row['seconds']} s"
                )
        if not started or started != sorted(started):
            problems.append(
                f"{shown(folder)}/timing.jsonl: its starts are {[str(at) for at in started]}"
            )
        if status(folder)["status"] == "completed":
            ends = [row["seconds"] for row in rows if row.get("event") == "end"]
            spent = sum(
                row["seconds"]
                for row in rows[
                    len(rows) - 1 - [r.get("event") for r in rows[::-1]].index("start") :
                ]
                if "step" in row
            )
            if not ends or spent > ends[-1] + 1:
                problems.append(
                    f"{shown(folder)}/timing.jsonl: its steps took {spent:.0f} s, the run {ends[-1:]} s"
                )
        if len(started) != len(status(folder)["commits"]):
            problems.append(
                f"{shown(folder)}: {len(started)} starts, but {len(status(folder)['commits'])} commits"
            )
    return f"{len(runs())} runs", problems


def evaluate_log():
    """Whether the samples of each evaluation are complete, within the budget, and what results.json counts."""
    problems, count = [], 0
    for folder in completed("evaluate"):
        made, samples = read(folder / "config.yaml"), read(folder / "samples.jsonl")
        budget, times = made["budget"], made.get("decoding", {}).get("samples", 1)
        most = budget["max_thinking"] * (
            budget["num_ignore"] + 1 if budget.get("scope") == "per_segment" else 1
        )
        count += len(samples)
        found = Counter((s["task"], s["id"], s.get("sample", 0)) for s in samples)
        keys = asked(folder) or dict.fromkeys(
            key[:2] for key in found
        )  # of a public benchmark only that none is half answered
        if found != Counter({(*key, number): 1 for key in keys for number in range(times)}):
            problems.append(
                f"{shown(folder)}: its {len(samples)} answers are not {times} for each of its questions"
            )
        for number, s in enumerate(samples, 1):
            problems += [
                f"{shown(folder)}/samples.jsonl row {number}: {rule}"
                for rule in broken_rules(s, budget, most)
            ]
        said = read(folder / "results.json")
        for name, of in [
            ("all", samples),
            *((task, [s for s in samples if s["task"] == task]) for task in said["tasks"]),
        ]:
            entry = said["all"] if name == "all" else said["tasks"][name]
            counted = {
                "n": len(of),
                "correct": sum(s["correct"] for s in of),
                "capped": sum(s["capped"] for s in of),
                "ignored_ends": sum(s["num_ignored"] for s in of),
                "thinking_tokens": sum(s["num_thinking"] for s in of) / len(of),
                "accuracy": sum(s["correct"] for s in of) / len(of),
            }
            if times == 1:  # else a bootstrap interval over questions
                counted |= dict(
                    zip(("low", "high"), wilson(counted["correct"], len(of)), strict=True)
                )
            problems += [
                f"{shown(folder)}/results.json: {name} has {key} {entry[key]}, its samples {value}"
                for key, value in counted.items()
                if not math.isclose(entry[key], value, rel_tol=1e-9, abs_tol=1e-12)
            ]
        blocks = [row for row in read(folder / "timing.jsonl") if "tokens" in row]
        starts = sum(row.get("event") == "start" for row in read(folder / "timing.jsonl"))
        made_tokens = sum(len(s["ids"]) + s.get("thrown", 0) for s in samples)
        if blocks and starts == 1 and sum(row["tokens"] for row in blocks) != made_tokens:
            problems.append(
                f"{shown(folder)}: its samples have {made_tokens:,} tokens, timing.jsonl has another sum"
            )
    return f"{len(completed('evaluate'))} evaluations, {count:,} answers", problems


def wilson(right, n):
    """Return the ends of Wilson's 95% interval of a share, by its closed form; (0, 1) for none."""
    z, middle = 1.959963984540054, right + 1.959963984540054**2 / 2
    half = z * math.sqrt(right * (n - right) / n + z * z / 4) if n else 0
    return ((middle - half) / (n + z * z), (middle + half) / (n + z * z)) if n else (0.0, 1.0)


def broken_rules(s, budget, most):
    """Yield a sentence for each rule of forcing that a sample breaks; `most` thinking tokens are allowed."""
    length, forced = len(s["ids"]), s["forced"]
    if s["num_thinking"] > most:
        yield f"{s['num_thinking']} thinking tokens, its budget allows {most}"
    if s["num_ignored"] > budget["num_ignore"]:
        yield f"{s['num_ignored']} ends ignored, its budget allows {budget['num_ignore']}"
    if s["num_thinking"] + s["num_answer"] > length:
        yield f"{s['num_thinking']} thinking and {s['num_answer']} answer tokens, but {length} in all"
    if s["num_answer"] > budget["max_answer"] and budget["force_answer"] != "never":
        yield f"{s['num_answer']} answer tokens, its budget allows {budget['max_answer']}"
    if forced != sorted(set(forced)) or (forced and not 0 <= forced[0] <= forced[-1] < length):
        yield f"forced positions {forced} of {length} tokens"
    if forced and budget["force_answer"] == "never":
        yield "forced tokens, but its budget forces none"
    if "rounds" in s and sum(tokens for tokens, _ in s["rounds"]) != s["num_thinking"]:
        yield f"rounds of {[tokens for tokens, _ in s['rounds']]} tokens, {s['num_thinking']} thinking tokens"
    if s["finish"] not in ("stop", "length", "rejected", "") or (
        s["finish"] == "rejected" and (s["correct"] or length)
    ):
        yield f"finish {s['finish']!r} with {length} tokens, marked {s['correct']}"
    if s.get("tries", 1) > budget.get("tries", 1):
        yield f"{s['tries']} tries, its budget allows {budget.get('tries', 1)}"
