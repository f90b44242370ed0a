"""Who answers: the trained model, the untrained base, or the nearest training question."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ponder import control, hashing, models, stages
from ponder.chat import Chat, Marks
from ponder.decode import budget as budgets
from ponder.decode import hf, openvino, server, sweep
from ponder.decode.budget import Budget, Sample
from ponder.evaluate import exported, harness, nearest
from ponder.evaluate.harness import Answer, Answerer, BudgetedLM, Key
from ponder.questions import shots
from ponder.questions.benchmarks import HubBenchmark
from ponder.rows import Trace
from ponder.rows import read as read_rows
from ponder.runs import Run, dump
from ponder.study import Benchmark, Decoding, Study
from ponder.terminal import load
from ponder.train import sft

# Times hardware.decode_rows: answers that are decoded, and after a kill decoded again, together.
BLOCK = 4

# (prompts, rows of forcing, purposes of draws) -> (index, the Sample of each budget) of each row as
# it is done; greedy decoding draws nothing, and so has no purposes.
Decode = Callable[
    [list[list[int]], list[sweep.Row], list[str] | None], Iterator[tuple[int, list[Sample]]]
]


def language_models(plans: list[Study], runs: list[Run]) -> list[BudgetedLM]:
    """Return the subject of a sweep as lm-eval sees it, once for each of its budgets.

    The plans differ in their budgets alone.
    """
    answerer = _nearest if plans[0].subject.kind == "nearest" else _network
    subject = answerer(plans, runs)
    return [BudgetedLM(runs, index, subject) for index in range(len(runs))]


# --- a model ---------------------------------------------------------------------------


def _network(plans: list[Study], runs: list[Run]) -> Answerer:
    """Return the Answerer of a model: one that is decoded here, or one behind a server."""
    import torch

    plan = plans[0]
    torch.set_num_threads(plan.hardware.threads)
    served = isinstance(plan.engine, server.ServerEngine)
    in_blocks = plan.engine.kind == "hf"
    base = (models.tokenizer_folder if served else models.base_folder)(plan.model, plan.out)
    delimiters = dataclasses.replace(
        plan.model.delimiters, think=plan.subject.think, answer=plan.subject.answer
    )
    chat = models.load_chat(base, delimiters, counted=plan.control.kind == "steps")
    sweep_budgets = [plan.budget for plan in plans]
    marks = [chat.marks(budget.nudge) for budget in sweep_budgets]
    examples = worked_examples(plan)
    engines = {"hf": _decoded, "openvino": _exported}
    decode, facts = engines.get(plan.engine.kind, _served)(plan, base, chat)
    _say_base(plan, runs, base)
    if not served and (busy := load.warning()):
        runs[0].say(busy)

    def prompt(task: str, question: str) -> list[int]:
        instruction = plan.control
        instructed = control.instruct(
            question, instruction.kind, instruction.limit, instruction.sentence
        )
        asked = control.with_sentence(instructed, plan.subject.instruction)
        ids = chat.prompt(asked, examples.get(task, ()))
        for budget, mark in zip(sweep_budgets, marks, strict=True):
            budgets.check_room(budget, mark, len(ids), plan.model.context)
        return ids

    def answer(keys: list[Key], prompts: list[list[int]]) -> Iterator[tuple[int, list[Answer]]]:
        start = time.perf_counter()
        tokens = [0] * len(runs)
        purposes = purposes_of(plan.decoding, keys)
        rows = [_row(plan.decoding, sweep_budgets, marks) for _ in prompts]
        for index, samples in decode(prompts, rows, purposes):
            for run_index, sample in enumerate(samples):
                tokens[run_index] += len(sample.ids) + sample.thrown
            more = facts | {"seed": purposes[index] if purposes else None}
            yield index, [_with_facts(harness.record_of(sample, chat), more) for sample in samples]
        seconds = round(time.perf_counter() - start, 3)  # of all budgets together
        for run, count in zip(runs, tokens, strict=True):
            run.timing(answers=len(prompts), tokens=count, seconds=seconds, budgets=len(runs))

    # Answers of another process are kept one by one, so they need no blocks.
    block_rows = BLOCK * plan.hardware.decode_rows if in_blocks else sys.maxsize
    by_task = in_blocks and plan.subject.shots > 0
    return Answerer(prompt, answer, by_task, block_rows, whole_blocks=in_blocks)


def _say_base(plan: Study, runs: list[Run], base: Path) -> None:
    """Write base.json, what the base model is, and say it in the log of each run."""
    if isinstance(plan.engine, server.ServerEngine):
        source = {"source": f"what a server calls {plan.engine.model}"}
    else:
        source = models.source_of(base)
    for run in runs:
        run.write_json("base.json", source)
        run.say(f"evaluate {run.name}: {plan.model.name} from {source['source']}")


def _row(decoding: Decoding, sweep_budgets: list[Budget], marks: list[Marks]) -> sweep.Row:
    """Return the row of forcing of a prompt, for all budgets of a sweep."""
    if decoding.temperature:
        return sweep.row_of_budget(sweep_budgets[0], marks[0])  # a sweep of several is greedy
    return sweep.row_of_budgets(sweep_budgets, marks)


def _with_facts(answer: Answer, facts: dict[str, Any]) -> Answer:
    reply, record = answer
    return reply, record | facts


def purposes_of(decoding: Decoding, keys: list[Key]) -> list[str] | None:
    """Return the names of the streams that answers are drawn from.

    None under greedy decoding, which draws nothing.
    """
    if not decoding.temperature:
        return None
    return ["/".join(map(str, ("answer", decoding.seed, *key))) for key in keys]


def _decoded(plan: Study, base: Path, chat: Chat) -> tuple[Decode, dict[str, Any]]:
    """Return (decode, facts) of a model that is decoded here by ponder/decode/hf.py."""
    import torch

    from ponder.train import memory

    memory.keep_freed_memory()  # large tensors come and go with every token
    network, adapter = models.load_network(base), stages.adapter_folder(plan)
    network = sft.with_weights(network, adapter) if adapter else network.eval()
    device, compute = plan.hardware.device, plan.hardware.decode_compute
    network = network.to(device, getattr(torch, compute))  # merged in float32, then rounded once
    temperature, size = plan.decoding.temperature, plan.hardware.decode_rows

    def decode(
        prompts: list[list[int]], rows: list[sweep.Row], purposes: list[str] | None
    ) -> Iterator[tuple[int, list[Sample]]]:
        choose = hf.sampling(temperature, purposes) if purposes else hf.greedy
        return hf.run(network, prompts, rows, size, choose, len(chat.tokenizer))

    packages = ("transformers", "torch")
    engine = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    if compute != "float32":
        engine += f", {compute}"
    return decode, _facts(engine, base, adapter)


def _exported(plan: Study, base: Path, chat: Chat) -> tuple[Decode, dict[str, Any]]:
    """Return (decode, facts) of a model that is decoded here by ponder/decode/openvino.py."""
    assert plan.engine.kind == "openvino"
    python = openvino.python_of(os.environ.get("PONDER_OPENVINO_VENV"))
    shape = models.config_of(base).get_text_config()
    openvino.check_cache(plan.engine, shape, plan.model.context)
    adapter, size = stages.adapter_folder(plan), plan.hardware.decode_rows
    folder = exported.folder(plan.model, plan.out, adapter, python)
    command = openvino.command(python, folder, plan.engine, size, plan.hardware.threads)

    def decode(
        prompts: list[list[int]], rows: list[sweep.Row], purposes: list[str] | None
    ) -> Iterator[tuple[int, list[Sample]]]:
        assert not purposes, "stages.evaluate_run lets nothing be drawn"
        with openvino.opened(command, len(chat.tokenizer), size, plan.client.timeout) as child:
            yield from openvino.run(child, prompts, rows)

    installed = openvino.versions(python)
    engine = ", ".join(f"{name} {installed[name]}" for name in ("openvino-genai", "openvino"))
    return decode, _facts(f"{engine}, float32", base, adapter)


def _served(plan: Study, base: Path, chat: Chat) -> tuple[Decode, dict[str, Any]]:
    """Return (decode, facts) of a model behind a server.

    The server says itself what it is; nobody here sees its weights.
    """
    assert isinstance(plan.engine, server.ServerEngine)
    connection = server.connect(plan.engine, plan.client, chat)

    def decode(
        prompts: list[list[int]], rows: list[sweep.Row], purposes: list[str] | None
    ) -> Iterator[tuple[int, list[Sample]]]:
        return server.run(connection, prompts, rows, plan.decoding.temperature, purposes)

    facts = _facts(f"{connection.engine}, model {connection.model}", base, None)
    return decode, facts | {"base_sha256": None}


def _facts(engine: str, base: Path, adapter: Path | None) -> dict[str, Any]:
    """Return what an auditor needs of every sample: what decoded it, and hashes of what it used.

    `engine` is its name and version as it states them.
    """
    weights = [
        digest[:16]
        for name, digest in sorted(models.source_of(base).items())
        if name.endswith(".safetensors sha256")
    ]
    return {
        "engine": engine,
        "base_sha256": ",".join(weights),  # large models have several files
        "adapter_sha256": hashing.file_sha256(stages.weights(adapter))[:16] if adapter else None,
        "tokenizer_sha256": hashing.file_sha256(base / "tokenizer.json")[:16],
    }


def worked_examples(plan: Study) -> dict[str, tuple[shots.Example, ...]]:
    """Return {task: its worked examples} of a study, {} for a subject without any.

    Raises UserError where they would be questions that are asked.
    """
    if not plan.subject.shots:
        return {}
    benchmark = plan.benchmark
    assert benchmark.kind == "drawn", "study.Study lets no other have worked examples"
    splits = ("probe",) if benchmark.split == "dev" else ("probe", "dev")
    return shots.worked_examples(benchmark.dir, benchmark.tasks, plan.subject.shots, splits)


# --- no model --------------------------------------------------------------------------


def _nearest(plans: list[Study], runs: list[Run]) -> Answerer:
    """Return the Answerer that gives the answer of the most similar training question."""
    plan = plans[0]
    traces = read_rows(Trace, stages.chosen_rows(plan))
    no_sample = harness.fields_of(Sample([]))

    def answer(keys: list[Key], questions: list[str]) -> Iterator[tuple[int, list[Answer]]]:
        for index, question in enumerate(questions):
            trace = nearest.nearest(question, traces)
            record = {"thinking": "", "nearest": trace.id, **no_sample}
            yield index, [(f"Final Answer: {trace.answer}", record) for _ in runs]

    block_rows = BLOCK * plan.hardware.decode_rows
    return Answerer(lambda task, question: question, answer, False, block_rows, whole_blocks=False)


# --- the log of readings ---------------------------------------------------------------


def log_reading(benchmark: Benchmark | HubBenchmark, run: Run) -> None:
    """Append a reading of the test split to <out>/test-readings.jsonl.

    Released or not, it happened.
    """
    if benchmark.split != "test":
        return
    row = {
        "run": run.name,
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        **run.status["commits"][-1],
    }
    with open(run.out / "test-readings.jsonl", "a", encoding="utf-8") as file:
        file.write(dump(row))
