"""Pre-registrations: the rules of their form, and the evaluations that they ask for.

A plan is a file of logs/preregistrations, of two runs (`runs`) or of several contrasts between
trainings (`contrasts`). Reads these files alone.
"""

import re
import reprlib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from ponder.config import check_name, nearest, yaml_value
from ponder.errors import UserError
from ponder.report import seeds
from ponder.report.released import SeedRun
from ponder.runs import ROOT
from ponder.stages import seeded

Plan = dict[str, Any]


def read(logs: Path | str = ROOT / "logs") -> list[tuple[str, Plan]]:
    """Return (name, plan) of every plan; raises UserError for a file that breaks a rule."""
    found = []
    for path in sorted(Path(logs, "preregistrations").glob("*.yaml")):
        try:
            plan = yaml_value(path.read_text())
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise UserError(f"{path} is not read as YAML ({type(error).__name__})") from error
        if broken := problem(plan):
            raise UserError(f"{path}: {broken}")
        found.append((path.stem, plan))
    return found


def of_contrasts(logs: Path | str = ROOT / "logs") -> list[tuple[str, Plan]]:
    """Return those that `read` returns of several contrasts."""
    return [(name, plan) for name, plan in read(logs) if is_several(plan)]


def of_two_runs(logs: Path | str = ROOT / "logs") -> list[tuple[str, Plan]]:
    """Return those that `read` returns of two runs, `ours` and `theirs`."""
    return [(name, plan) for name, plan in read(logs) if not is_several(plan)]


def is_several(plan: Any) -> bool:
    """Return whether a plan is one of several contrasts."""
    return isinstance(plan, dict) and "contrasts" in plan


def labels(plan: Plan) -> dict[tuple[str, str, int], str]:
    """Return {(arm, budget, seed): label} of every evaluation that a plan of contrasts asks for.

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
    """Return every evaluation on drawn questions that a plan of contrasts asks for, released or
    not.
    """
    return [
        SeedRun(arm, budget, seed)
        for _, plan in of_contrasts(logs)
        if "benchmark" not in plan
        for arm, budget, seed in labels(plan)
    ]


# --- values ----------------------------------------------------------------------------


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_name(value: object) -> bool:
    """Return whether a value may become part of the name of a folder, as those of runs are."""
    try:
        return isinstance(value, str) and bool(check_name("a plan", value))
    except UserError:
        return False


def _is_count(least: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and value >= least


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


def _are_sides(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"ours", "theirs"}
        and all(map(_is_name, value.values()))
        and value["ours"] != value["theirs"]
    )


# --- rules -----------------------------------------------------------------------------

EXPECTED = ("higher", "lower", "no difference")
CORRECTION = "Holm"
CONTRAST = {"name", "ours", "theirs", "expected"}
MAY_LACK = {"benchmark", "read_before"}  # public questions; arms that another plan reads
NAMES = "a list, not empty, of different names of letters, digits, dots, dashes and underscores"
Fields = dict[str, tuple[str, Callable[[Any], bool]]]  # what each must be
COMMON: Fields = {
    "question": ("a sentence", _is_text),
    "written": ("a day, such as 2026-11-29", lambda value: type(value) is date),
    "decision": (
        "the number of a decision record in quotes, such as '0030'",
        lambda value: isinstance(value, str) and bool(re.fullmatch("[0-9]{4}", value)),
    ),
    "families": (NAMES, _are_different(_is_name)),
    "n": ("the number of questions, 2 or more", _is_count(2)),
    "stop": ("a sentence", _is_text),
}
OF_TWO_RUNS: Fields = COMMON | {
    "runs": ("ours and theirs, two evaluate runs by name without their hash", _are_sides),
    "metric": ("a sentence", _is_text),
    "expected": (", ".join(EXPECTED), lambda value: value in EXPECTED),
}
OF_CONTRASTS: Fields = COMMON | {
    "seeds": ("a list, not empty, of different numbers from 0", _are_different(_is_count(0))),
    "budgets": (f"for each arm, by name, {NAMES}", _are_budgets),
    "read_before": (NAMES, _are_different(_is_name)),
    "benchmark": ("the name of a benchmark", _is_name),
    "contrasts": ("a list, not empty", lambda value: isinstance(value, list) and bool(value)),
    "estimator": ("; ".join(seeds.ESTIMATORS), lambda value: value in [*seeds.ESTIMATORS]),
    "correction": (CORRECTION, lambda value: value == CORRECTION),
}


def problem(plan: Any) -> str | None:
    """Return the first rule of its form that a plan breaks, in words, or None.

    `plan` is whatever a YAML file holds; nothing is raised.
    """
    if not isinstance(plan, dict):
        return f"it holds {_shown(plan)}, but must be a mapping"
    if is_several(plan):
        return _fields(plan, OF_CONTRASTS) or _arms(plan) or _contrasts(plan)
    if "runs" in plan:
        return _fields(plan, OF_TWO_RUNS)
    return "it has neither runs, of which there are two, nor contrasts"


def _fields(plan: Plan, fields: Fields) -> str | None:
    for key in fields:
        if key not in plan and key not in MAY_LACK:
            return f"{key} is missing"
    for key, value in plan.items():
        if key not in fields:
            near = nearest(_shown(key).strip("'"), fields)
            hint = f"; did you mean {near}?" if near else ""
            return f"{_shown(key)} is no field of a plan{hint}"
        words, holds = fields[key]
        if not holds(value):
            return f"{key} is {_shown(value)}, but must be {words}"
    return None


def _arms(plan: Plan) -> str | None:
    before = plan.get("read_before", [])
    if other := [arm for arm in before if arm not in plan["budgets"]]:
        return f"read_before has {other[0]}, which is none of the arms of budgets"
    if plan["estimator"] == seeds.ONE_SEED and len(plan["seeds"]) > 1:
        return f"estimator is {seeds.ONE_SEED}, which is of one seed, but there are several seeds"
    return None


def _contrasts(plan: Plan) -> str | None:
    there = [[arm, budget] for arm, budgets in plan["budgets"].items() for budget in budgets]
    names, compared = [], []
    for contrast in plan["contrasts"]:
        if not (isinstance(contrast, dict) and set(contrast) == CONTRAST):
            return f"a contrast is {_shown(contrast)}, but must have {', '.join(sorted(CONTRAST))}"
        name, sides = contrast["name"], [contrast["ours"], contrast["theirs"]]
        if not _is_name(name):
            return f"a contrast is called {_shown(name)}, but must have a name of a few letters"
        if contrast["expected"] not in EXPECTED:
            said = _shown(contrast["expected"])
            return f"{name} expects {said}, but must expect one of: {', '.join(EXPECTED)}"
        if other := [side for side in sides if side not in there]:
            return f"{name} compares {_shown(other[0])}, which is no [arm, budget] of budgets"
        if sides[0] == sides[1] or sides in compared or name in names:
            return f"{name} compares a side with itself, or is there twice"
        names.append(name)
        compared += [sides, sides[::-1]]
    return None


def _shown(value: object) -> str:
    """Return a value as a sentence shows it: short, whatever it is."""
    try:
        return reprlib.repr(value)
    except ValueError:  # of a whole number with thousands of digits
        return f"a value of kind {type(value).__name__}"
