"""The plans of a sweep: one study for each of its budgets."""

from ponder import study
from ponder.config import check_choice
from ponder.errors import UserError
from ponder.runs import ROOT


def plans(cfg, overrides):
    """Return the Studies of an evaluate config, given the command line that made it: itself, or one per budget of `sweep`.

    Each is what the same command line with budget=<name> in place of the sweep gives, so their run folders are the same, and so
    are their samples but where two tokens are equal to the last bits: those depend on what is decoded beside a row.
    """
    plan = study.read(cfg)
    if not plan.sweep:
        return [plan]
    from hydra import compose

    known = sorted(path.stem for path in (ROOT / "conf" / "budget").glob("*.yaml"))
    for name in plan.sweep:
        check_choice("sweep", name, known)
    if len(set(plan.sweep)) < len(plan.sweep):
        raise UserError(f"sweep={list(plan.sweep)} names a budget twice; name each once")
    own = (
        "budget=",
        "budget.name=",
        "budget.max_thinking=",
        "budget.num_ignore=",
        "budget.nudge=",
        "budget.tries=",
    )
    if chosen := [text for text in overrides if text.startswith(own)]:
        raise UserError(
            f"{chosen[0]} says what a budget is, and sweep={list(plan.sweep)} names several; leave one of them out"
        )
    return [study.read(compose("evaluate", [*overrides, f"budget={name}"])) for name in plan.sweep]
