"""The plans of a sweep: one study for each of its budgets."""

import dataclasses

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from ponder import config, study
from ponder.decode.budget import Budget
from ponder.errors import UserError
from ponder.study import Study
from ponder.terminal import overrides
from ponder.terminal.overrides import Tree

# What may hold for all budgets of a sweep; by the other fields one budget is told from another.
SHARED = {"max_answer"}


def plans(cfg: DictConfig, words: list[str]) -> list[Study]:
    """Return the Studies of an evaluate config: itself alone, or one for each budget of `sweep`.

    `words` is the command line that made the config. Each Study is what the same command line with
    budget=<name> in place of the sweep gives, so their run folders are the same, and so are their
    samples but where two tokens are equal to the last bits: those depend on what is decoded beside
    a row. Raises UserError for a budget that is unknown or named twice, and where a command line or
    a config says what a budget is beside a sweep.
    """
    plan = study.read(cfg)
    if not plan.sweep:
        return [plan]
    sweep, tree = f"sweep={list(plan.sweep)}", overrides.running_tree("evaluate")
    _check_names(plan.sweep, sweep, tree)
    for override in OverridesParser.create().parse_overrides(words):
        group, _, key = override.key_or_group.partition(".")
        if group == "budget" and key not in SHARED:
            raise UserError(
                f"{override.input_line} says what a budget is, and {sweep} names several; leave "
                "one of them out"
            )
    studies = []
    for name in plan.sweep:
        one = compose(tree.name, [*words, f"budget={name}"])
        studies.append(study.read(one))
        own = OmegaConf.merge(one, compose(f"budget/{name}")).budget
        _check_budget(studies[-1].budget, config.build(Budget, own, "budget"), name, sweep)
    return studies


def _check_names(names: tuple[str, ...], sweep: str, tree: Tree) -> None:
    """Raise UserError for a name that is no option of budget, and for one that comes twice."""
    for name in names:
        if name not in tree.options("budget"):
            raise UserError(tree.no_option(f"{name} in {sweep}", name, "budget"))
    if len(set(names)) < len(names):
        raise UserError(f"{sweep} names a budget twice; name each once")


def _check_budget(budget: Budget, own: Budget, name: str, sweep: str) -> None:
    """Raise UserError where a config gives a budget another value than its own file, `own`."""
    for field in dataclasses.fields(Budget):
        value, own_value = getattr(budget, field.name), getattr(own, field.name)
        if value != own_value and field.name not in SHARED:
            raise UserError(
                f"a config sets budget.{field.name}={value} for all of {sweep}, but {name} is a "
                f"budget by its {field.name}, {own_value}; leave one of them out"
            )
