"""Evaluate: one subject under one or several thinking budgets, by lm-eval (s1, sections 3 and 4).

    python evaluate.py experiment=cpu budget=cap32
    python evaluate.py experiment=cpu "sweep=[free,cap16,cap32,cap64,wait1]"
    python evaluate.py experiment=cpu subject=base-4shot budget=plain

Writes outputs/evaluate/<name>-<subject>-<budget>-<split>-<hash>/: samples.jsonl (a row per
question: thinking, reply, tokens, what was forced) and results.json, which follows from it. A sweep
writes the folder of each of its budgets in one pass: what two budgets have in common is generated
once. Choices use benchmark.split=dev; every reading of test is logged.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # This file shares its name with the package `evaluate`, which lm-eval imports: look here last.
    sys.path.append(sys.path.pop(0))

import contextlib
from typing import TYPE_CHECKING

from ponder.terminal import cli

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ponder.runs import Run
    from ponder.study import Study


@cli.command("evaluate")
def main(cfg: DictConfig) -> None:
    from hydra.core.hydra_config import HydraConfig

    from ponder import stages
    from ponder.evaluate import plans

    # The words of the command line; none where main is called with a config.
    overrides = HydraConfig.get().overrides.task if HydraConfig.initialized() else ()
    named = [(plan, stages.evaluate_run(plan)) for plan in plans.plans(cfg, list(overrides))]
    studies, runs = [], []
    with contextlib.ExitStack() as stack:
        for plan, run in named:
            if run.claim():
                studies.append(plan)
                runs.append(stack.enter_context(run))
            else:
                print(f"evaluate {run.name}: finished before, nothing to do -> {run.folder}")
        if runs:
            evaluate(studies, runs)


def evaluate(plans: list[Study], runs: list[Run]) -> None:
    """Answer every question of the benchmark under the budget of each plan, grade through lm-eval,
    and write samples and results.

    The plans differ in their budgets alone.
    """
    from ponder import rows
    from ponder.evaluate import harness, results, subjects
    from ponder.grading import verify
    from ponder.questions import drawn

    benchmark = plans[0].benchmark
    if benchmark.kind == "drawn":
        # lm-eval reads the same files, but verifies nothing
        drawn.read_split(benchmark.dir, benchmark.split)
    models = subjects.language_models(plans, runs)
    for run in runs:
        subjects.log_reading(benchmark, run)
    for plan, run, lm in zip(plans, runs, models, strict=True):
        scored, lm_eval_results = harness.run_tasks(lm, benchmark, plan.decoding.samples)
        samples = results.samples(run, scored)
        sample_rows = [rows.values_of(sample) for sample in samples]
        if benchmark.kind == "hub":
            run.write_jsonl("disagreements.jsonl", verify.disagreements(sample_rows))
            run.write_jsonl(results.QUESTIONS, results.public_questions(scored))
        numbers = results.results(plan, samples, lm_eval_results)
        run.write_jsonl("samples.jsonl", sample_rows)
        run.write_json("results.json", numbers)
        run.outcome(**results.outcome(samples, numbers))
        run.say(results.report(run, numbers))


if __name__ == "__main__":
    main()
