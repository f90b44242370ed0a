"""Collect: from questions to the rows that are trained on (s1, section 2).

    python collect.py experiment=cpu
    python collect.py experiment=cpu selection=cpu-s1 name=s1    # another choice of rows
    python collect.py experiment=server                 # the model at http://127.0.0.1:8000/v1
    python collect.py experiment=traces teacher.path=mine.jsonl    # traces that are there

Writes outputs/collect/<name>-<hash>/, a data set in release form: traces.jsonl (every trace, right
or wrong), train.jsonl (the chosen rows), funnel.json and dropped.jsonl (what each step dropped, and
why), contamination.jsonl where there is any, the raw calls of a model teacher, a data card with
Croissant metadata and two plots.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ponder.terminal import cli

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ponder.runs import Run
    from ponder.study import Study


@cli.command("collect")
def main(cfg: DictConfig) -> None:
    from ponder import models, stages, study
    from ponder.collect import calls
    from ponder.questions import drawing

    plan = study.read(cfg)
    if plan.questions.kind == "drawn" and plan.questions.source == "draw":
        drawing.draw_outside_data(plan.questions)
    if not models.is_made(plan.model, plan.out):  # a download that may be in vain
        calls.check_listening(plan)
    run = stages.collect_run(plan)
    if not run.claim():
        failed = calls.num_failed(run.folder)
        if not failed:
            print(f"collect {run.name}: finished before, nothing to do -> {run.folder}")
            return
        print(f"collect {run.name}: finished before; {failed} calls that failed are made again")
        run.reopen()
    with run:
        collect(plan, run)


def collect(plan: Study, run: Run) -> None:
    """Read the pool without its duplicates, let the teacher answer it, filter, decontaminate and
    draw, and describe what came out.
    """
    from ponder import models
    from ponder.card import card
    from ponder.collect import calls, contamination, domains, duplicates, selection, teachers, terms
    from ponder.questions import pools
    from ponder.rows import values_of
    from ponder.train import adapters, sft

    terms.check_text(plan.teacher.terms)
    attempts = selection.read_attempts(plan.selection)
    benchmarks = contamination.read_benchmarks(plan.decontamination)
    base = models.base_folder(plan.model, plan.out)
    chat = models.load_chat(base, plan.model.delimiters)
    if plan.train.method == "lora":  # mended after this run, it would give the run another name
        adapters.target_layers(models.skeleton(base), plan.model)

    pool, read = pools.read(plan.questions)
    pool, copies = duplicates.remove(pool, plan.decontamination.near, plan.decontamination.prefer)
    rule = selection.of_pool(plan.selection, pools.limit_of(plan.questions), len(pool))
    if rule != plan.selection:
        run.say(
            f"collect {run.name}: a trial, for questions.limit leaves {len(pool)} questions and "
            f"selection.size is {rule.size}: every row that passes the filters is taken"
        )
        plan = dataclasses.replace(plan, selection=rule)
    selection.check(pool, rule, attempts)
    pool = domains.label(pool, plan.domains, calls.classifier(plan, run))
    traces = teachers.write(pool, plan, run, chat)
    calls.pack(run)
    run.write_jsonl("traces.jsonl", map(values_of, traces))

    hits = contamination.hits(pool, traces, benchmarks, plan.decontamination)
    long_rows = {}
    if plan.teacher.kind != "solver":
        rows_chat = models.load_chat(base, plan.model.delimiters, plan.train.control == "steps")
        long_rows = sft.long_rows(traces, rows_chat, plan.train)
    rows, funnel, drops = selection.select(
        traces, plan.selection, plan.data_seed, attempts, contamination.strongest(hits), long_rows
    )
    run.write_jsonl("train.jsonl", map(values_of, rows))
    if hits:
        run.write_jsonl("contamination.jsonl", hits)
    run.write_jsonl("dropped.jsonl", selection.dropped_rows(copies, drops))
    run.write_json("funnel.json", {"read": read, "duplicates": len(copies), **funnel})
    card.write(run.folder, card.facts(plan, run, {trace.family for trace in traces}))
    tokens = sum(row.tokens for row in rows)
    run.say(f"collect {run.name}: {funnel['after']} {tokens} trace tokens -> {run.folder}")


if __name__ == "__main__":
    main()
