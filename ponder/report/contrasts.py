"""What pre-registered contrasts between trainings came to. Pure.

A plan is a file of logs/preregistrations with `contrasts`. They have a verdict once every run of
every one of them is there, for each p-value is corrected over all; before that it says what is
missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from ponder.report import seeds
from ponder.report.comparisons import LEVEL, summary, within
from ponder.report.printed import difference_text, share_text
from ponder.report.sources import PlannedAnswer, PlannedAnswers

Side = tuple[str, str]  # arm, budget
Table = list[list[int]]  # ours minus theirs: a row for each seed, a column for each question


def outcome(
    name: str,
    plan: Mapping[str, Any],
    runs: PlannedAnswers,
    scopes: Mapping[str, list[str]] | None = None,
) -> dict[str, Any]:
    """Return what a plan came to; each seed also over the families of other scopes,
    as a figure draws it.

    {"name", "outcome": in words, "several_seeds": whether there are, "read_before": the arms that
    another plan reads, in words,
    "arms": each arm under each budget with the seeds that are there, each with its place in every
    scope,
    "contrasts": each with its "outcome" (met, not met, void, or "not run" with what is missing),
    what was "found" and under "all" its numbers, both None without a verdict}.
    """
    contrasts = [_named(contrast) for contrast in plan["contrasts"]]
    sides = [(arm, budget) for arm, budgets in plan["budgets"].items() for budget in budgets]
    lacking = {
        side: [seed for seed in plan["seeds"] if (*side, seed) not in runs] for side in sides
    }
    for contrast, asked in zip(contrasts, plan["contrasts"], strict=True):
        of_sides = {side: lacking[side] for side in _sides(asked)}
        contrast["outcome"] = _missing(of_sides, plan["seeds"])
        contrast["all"] = contrast["found"] = None
    if not any(contrast["outcome"] for contrast in contrasts):
        _judge(contrasts, name, plan, runs)
    for contrast in contrasts:
        contrast["outcome"] = contrast["outcome"] or "not run: its correction waits for the others"
    judged = all(contrast["outcome"] in ("met", "not met", "void") for contrast in contrasts)
    said = "; ".join(f"{contrast['name']}: {contrast['outcome']}" for contrast in contrasts)
    return {
        "name": name,
        "outcome": said if judged else _missing(lacking, plan["seeds"]),
        "seeds": len(plan["seeds"]),
        "several_seeds": len(plan["seeds"]) > 1,
        "families": list(plan["families"]),
        "n": plan["n"],
        "read_before": ", ".join(plan.get("read_before", ())),
        "arms": [
            _arm(side, plan, runs, scopes or {})
            for side in sides
            if len(lacking[side]) < len(plan["seeds"])
        ],
        "contrasts": contrasts,
    }


def _named(contrast: Mapping[str, Any]) -> dict[str, Any]:
    sides = {side: spelled(tuple(contrast[side])) for side in ("ours", "theirs")}
    return {"name": contrast["name"], "expected": contrast["expected"], **sides}


def _sides(contrast: Mapping[str, Any]) -> list[Side]:
    return [(contrast[side][0], contrast[side][1]) for side in ("ours", "theirs")]


def spelled(side: tuple[str, ...]) -> str:
    """Return the name of an arm under a budget."""
    return ", ".join(side)


# --- what is missing -------------------------------------------------------------------


def _missing(lacking: Mapping[Side, Sequence[int]], seeds: Sequence[int]) -> str:
    """Return "not run: seeds 2-4 of cpu (free, wait1); ..." of the seeds that sides lack, or "".

    Where there is to be one seed alone, it is not named.
    """
    budgets: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for (arm, budget), numbers in lacking.items():
        if numbers:
            budgets.setdefault((arm, tuple(numbers)), []).append(budget)
    parts = [
        f"{f'{spans(numbers)} of ' if len(seeds) > 1 else ''}{arm} ({', '.join(names)})"
        for (arm, numbers), names in budgets.items()
    ]
    return f"not run: {'; '.join(parts)}" if parts else ""


def spans(numbers: Iterable[int]) -> str:
    """Return numbers in order as "seed 3", "seeds 1-2, 4"."""
    ordered = sorted(numbers)
    runs = groupby(enumerate(ordered), key=lambda item: item[1] - item[0])
    parts = [[number for _, number in run] for _, run in runs]
    words = [f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts]
    return f"seed{'s' if len(ordered) > 1 else ''} {', '.join(words)}"


# --- verdicts --------------------------------------------------------------------------


def _judge(
    contrasts: Sequence[dict[str, Any]], name: str, plan: Mapping[str, Any], runs: PlannedAnswers
) -> None:
    """Put the outcome and the numbers into the contrasts of a plan whose runs are all there."""
    tables = [_table(contrast, plan, runs) for contrast in plan["contrasts"]]
    if any(table is None for table in tables):
        for contrast in contrasts:
            contrast["outcome"] = "void"
        return
    estimator = seeds.ESTIMATORS[plan["estimator"]]
    for contrast, table in zip(contrasts, tables, strict=True):
        assert table is not None
        contrast["all"] = _numbers(estimator(table), table)
    corrected = seeds.holm([contrast["all"]["p"] for contrast in contrasts])
    for contrast, p in zip(contrasts, corrected, strict=True):
        contrast["all"]["p_holm"] = p
        contrast["found"] = found(contrast["all"]["difference"], p)
        contrast["outcome"] = "met" if contrast["found"] == contrast["expected"] else "not met"


def _table(
    contrast: Mapping[str, Any], plan: Mapping[str, Any], runs: PlannedAnswers
) -> Table | None:
    """Return ours minus theirs, a row for each seed and a column for each question; None where they
    did not all answer the questions that were announced.
    """
    ours, theirs = _sides(contrast)
    rows, asked = [], None
    for seed in plan["seeds"]:
        flags, others = (_flags(runs[(*side, seed)], plan["families"]) for side in (ours, theirs))
        asked = asked or flags.keys()
        if not flags.keys() == others.keys() == asked or len(asked) != plan["n"]:
            return None
        rows.append([flags[key] - others[key] for key in sorted(asked)])
    return rows


def _flags(run: PlannedAnswer, families: Sequence[str]) -> dict[tuple[str, str, int], bool]:
    return {key: s["correct"] for key, s in run.samples.items() if key[0] in families}


def _numbers(estimate: seeds.Estimate, table: Table) -> dict[str, Any]:
    """Return an estimate of ours minus theirs with what it rests on, and its text."""
    cells = [cell for row in table for cell in row]
    numbers: dict[str, Any] = {
        "difference": estimate.mean,
        "low": estimate.low,
        "high": estimate.high,
        "p": estimate.p,
        "detectable": estimate.detectable,
        "between_seeds": estimate.between_seeds if len(table) > 1 else None,
        "gained": sum(cell > 0 for cell in cells),
        "lost": sum(cell < 0 for cell in cells),
    }
    return numbers | {"text": difference_text(numbers)}


def found(mean: float, corrected: float) -> str:
    """Return higher or lower, by the sign of the mean, where the corrected p-value is below LEVEL,
    else no difference.
    """
    if corrected >= LEVEL:
        return "no difference"
    return "higher" if mean > 0 else "lower"


# --- what is there ---------------------------------------------------------------------


def _arm(
    side: Side, plan: Mapping[str, Any], runs: PlannedAnswers, scopes: Mapping[str, list[str]]
) -> dict[str, Any]:
    """Return what is said of an arm under a budget: each seed, and all that are there together.

    Accuracy is over the plan's families. "between_seeds", the standard deviation of the seeds'
    accuracies, is None of one seed.
    """
    families = list(plan["families"])
    there = {seed: runs[(*side, seed)] for seed in plan["seeds"] if (*side, seed) in runs}
    rows = [_flags(run, families) for run in there.values()]
    of_seeds = [
        {
            "name": f"seed {seed}",
            "run": run.folder.name,
            "processor": run.processor,
            **(summary(within(run.samples, families)) or {}),
            "scopes": {name: _point(run, members) for name, members in scopes.items()},
        }
        for seed, run in there.items()
    ]
    together: dict[str, Any] = {
        key: of_seeds[0][key] for key in ("accuracy", "low", "high", "text")
    } | {"between_seeds": None}
    if len(rows) > 1:
        common = sorted(set.intersection(*map(set, rows)))
        estimate = seeds.share([[row[key] for key in common] for row in rows])
        together = {"accuracy": estimate.mean, "low": estimate.low, "high": estimate.high}
        together |= {"between_seeds": estimate.between_seeds, "text": share_text(together)}
    return {
        "name": spelled(side),
        "read_before": side[0] in plan.get("read_before", ()),
        "seeds": of_seeds,
        "all": together,
    }


def _point(run: PlannedAnswer, families: list[str]) -> dict[str, float] | None:
    """Return the place of a run in a figure, None where it answered nothing of the families."""
    found = summary(within(run.samples, families))
    return found and {key: found[key] for key in ("thinking_tokens", "accuracy")}
