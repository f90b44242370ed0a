"""Pre-registrations of several contrasts between trainings: their rules, and the evaluations that
they ask for.

Such a plan is a file of logs/preregistrations with `contrasts`. Reads these files alone.
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from ponder.config import check_name, nearest, yaml_value
from ponder.errors import UserError
from ponder.report import seeds
from ponder.report.released import SeedRun
from ponder.runs import ROOT
from ponder.stages import seeded

EXPECTED = ("higher", "lower", "no difference")
CORRECTION = "Holm"
Plan = dict[str, Any]


def read(logs: Path | str = ROOT / "logs") -> list[tuple[str, Plan]]:
    """Return (name, plan) of the pre-registrations of several contrasts; raises UserError for one
    that breaks a rule.
    """
    paths = sorted(Path(logs, "preregistrations").glob("*.yaml"))
    texts = [(path, yaml_value(path.read_text())) for path in paths]
    found = [(path, plan) for path, plan in texts if is_several(plan)]
    for path, plan in found:
        if broken := problem(plan):
            raise UserError(f"logs/preregistrations/{path.name}: {broken}; write it anew")
    return [(path.stem, plan) for path, plan in found]


def is_several(plan: object) -> bool:
    """Return whether a pre-registration is one of several contrasts."""
    return isinstance(plan, dict) and "contrasts" in plan


def labels(plan: Plan) -> dict[tuple[str, str, int], str]:
    """Return {(arm, budget, seed): label} of every evaluation that a plan asks for.

    An arm is an experiment, or on a public benchmark an experiment with its subject.
    """
    subject, questions = ("", plan["benchmark"]) if "benchmark" in plan else ("trained", "test")
    return {
        (arm, budget, seed): "-".join(filter(None, (seeded(arm, seed), subject, budget, questions)))
        for arm, budgets in plan["budgets"].items()
        for seed in plan["seeds"]
        for budget in budgets
    }


def seed_runs(logs: Path | str = ROOT / "logs") -> list[SeedRun]:
    """Return every evaluation on drawn questions that a plan asks for, released or not."""
    return [
        SeedRun(arm, budget, seed)
        for _, plan in read(logs)
        if "benchmark" not in plan
        for arm, budget, seed in labels(plan)
    ]


# --- rules -----------------------------------------------------------------------------


def problem(plan: Plan) -> str | None:
    """Return the first rule of its form that a plan breaks, in words, or None.

    Whatever its file holds, nothing is raised.
    """
    return _fields(plan) or _values(plan) or _contrasts(plan)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_name(value: object) -> bool:
    """Return whether a value may become part of the name of a folder, as those of runs are."""
    try:
        return isinstance(value, str) and bool(check_name("a plan", value))
    except UserError:
        return False


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_different(holds: Callable[[object], bool]) -> Callable[[object], bool]:
    """Return what says whether a value is a list, not empty, of different values that hold."""
    return lambda values: (
        isinstance(values, list)
        and bool(values)
        and all(map(holds, values))
        and len(set(values)) == len(values)
    )


def _are_budgets(value: object) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(map(_is_name, value))
        and all(map(_are_different(_is_name), value.values()))
    )


NAMES = "a list of different names of letters, digits, dots, dashes, pluses, underscores"
CONTRAST = {"name", "ours", "theirs", "expected"}
MAY_LACK = {"benchmark", "read_before"}  # public questions; arms that another plan reads
FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {  # what each must be
    "question": ("a sentence", _is_text),
    "written": ("a day, such as 2026-11-29", lambda value: isinstance(value, date)),
    "decision": ("the number of a decision record, in quotes", _is_text),
    "seeds": ("a list of different numbers from 0", _are_different(_is_number)),
    "budgets": (f"for each arm, by name, {NAMES}", _are_budgets),
    "read_before": (NAMES, _are_different(_is_name)),
    "benchmark": ("the name of a benchmark", _is_name),
    "families": (NAMES, _are_different(_is_name)),
    "n": ("the number of questions", _is_number),
    "contrasts": ("a list", lambda value: isinstance(value, list) and bool(value)),
    "estimator": (
        f"one of: {'; '.join(seeds.ESTIMATORS)}",
        lambda value: value in [*seeds.ESTIMATORS],
    ),
    "correction": (CORRECTION, lambda value: value == CORRECTION),
    "stop": ("a sentence", _is_text),
}


def _fields(plan: Plan) -> str | None:
    for key in FIELDS:
        if key not in plan and key not in MAY_LACK:
            return f"{key} is missing"
    for key in plan:
        if key not in FIELDS:
            near = nearest(str(key), FIELDS)
            return f"{key!r} is no field of a plan" + (f"; did you mean {near}?" if near else "")
    return None


def _values(plan: Plan) -> str | None:
    for key, (words, holds) in FIELDS.items():
        if key in plan and not holds(plan[key]):
            return f"{key} is {plan[key]!r}, but must be {words}"
    if "read_before" in plan and not set(plan["read_before"]) <= set(plan["budgets"]):
        return f"read_before is {plan['read_before']!r}, which is no list of its arms"
    if plan["estimator"] == seeds.ONE_SEED and len(plan["seeds"]) > 1:
        return f"its estimator, {seeds.ONE_SEED}, is of one seed, but seeds are {plan['seeds']!r}"
    return None


def _contrasts(plan: Plan) -> str | None:
    sides = [[arm, budget] for arm, budgets in plan["budgets"].items() for budget in budgets]
    names = []
    for contrast in plan["contrasts"]:
        if not (isinstance(contrast, dict) and set(contrast) == CONTRAST):
            return f"a contrast is {contrast!r}, but must have {', '.join(sorted(CONTRAST))}"
        if not _is_name(contrast["name"]) or contrast["name"] in names:
            return f"a contrast is called {contrast['name']!r}, but each needs a name of its own"
        names.append(contrast["name"])
        if contrast["expected"] not in EXPECTED:
            return (
                f"{contrast['name']} expects {contrast['expected']!r}, but must expect "
                f"{', '.join(EXPECTED[:-1])} or {EXPECTED[-1]}"
            )
        for side in ("ours", "theirs"):
            if contrast[side] not in sides:
                return (
                    f"{side} of {contrast['name']} is {contrast[side]!r}, which is no [arm, "
                    "budget] of its budgets"
                )
    return None
