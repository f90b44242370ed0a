"""Evaluate: one subject under one or several thinking budgets, through lm-eval (s1, sections 3 and 4).

    python evaluate.py experiment=cpu budget=cap32
    python evaluate.py experiment=cpu "sweep=[free,cap16,cap32,cap64,wait1]"
    python evaluate.py experiment=cpu subject=base-4shot budget=plain

Writes outputs/evaluate/<name>-<subject>-<budget>-<split>-<hash>/: samples.jsonl (a row per question: thinking, reply,
tokens, what was forced) and results.json, which follows from it. A sweep writes the folder of each of its budgets in one
pass: what two budgets have in common is generated once. Choices use benchmark.split=dev; every reading of test is logged.
"""

import sys

if __name__ == "__main__":
    # This file shares its name with the PyPI package `evaluate`, which lm-eval imports. Look here last, not first.
    sys.path.append(sys.path.pop(0))

import contextlib

import hydra
from hydra.core.hydra_config import HydraConfig

from ponder.errors import user_errors


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
@user_errors
def main(cfg):
    from ponder import stages
    from ponder.evaluate import plans

    waiting, runs = [], []
    overrides = (
        HydraConfig.get().overrides.task if HydraConfig.initialized() else ()
    )  # of the command line
    for plan in plans.plans(cfg, list(overrides)):
        run = stages.evaluate_run(plan)
        if run.finished:
            run.tidy()
            print(f"evaluate {run.name}: finished before, nothing to do -> {run.folder}")
        else:
            waiting, runs = [*waiting, plan], [*runs, run]
    if runs:
        with contextlib.ExitStack() as opened:
            for run in runs:
                opened.enter_context(run)
            evaluate(waiting, runs)


def evaluate(plans, runs):
    """Answer every question of the benchmark under the budget of each plan, grade through lm-eval, write samples and results.

    The plans differ in their budgets alone.
    """
    from ponder.evaluate import harness, results, subjects
    from ponder.grading import verify
    from ponder.questions import drawn

    asked = plans[0].benchmark
    if asked.kind == "drawn":
        drawn.read_split(
            asked.dir, asked.split
        )  # lm-eval reads the same files, but verifies nothing
    models = subjects.language_models(plans, runs)
    for run in runs:
        subjects.log_reading(asked, run)
    for plan, run, lm in zip(plans, runs, models, strict=True):
        scored, theirs = harness.run_tasks(lm, asked, plan.decoding.samples)
        samples = results.samples(run, scored)
        if asked.kind == "hub":
            run.write_jsonl("disagreements.jsonl", verify.disagreements(samples))
        numbers = results.results(plan, samples, theirs)
        run.write_jsonl("samples.jsonl", samples)
        run.write_json("results.json", numbers)
        run.say(results.report(run, numbers))


if __name__ == "__main__":
    main()
