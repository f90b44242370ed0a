"""Who answers: the trained model, the untrained base, or the nearest training question; and the record of it."""

import dataclasses
import importlib.metadata
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from ponder import control, hashing, models, stages
from ponder.decode import budget as budgets
from ponder.decode import hf, server, sweep
from ponder.decode.budget import Sample
from ponder.evaluate import harness, nearest
from ponder.questions import shots
from ponder.runs import dump, read_jsonl
from ponder.train import sft

BLOCK = 4  # times hardware.decode_rows: answers that are decoded, and after a kill decoded again, together


@dataclass(frozen=True)
class Answerer:
    """Who answers, as harness.BudgetedLM asks. A key is (task, id of the question, number of the sample)."""

    prompt: Callable  # (task, question) -> token ids
    answer: Callable  # (keys, prompts) -> iterator of (index, [(reply, record) of each run])
    by_task: bool  # a block never mixes tasks, so that worked examples are a prefix that all its rows share
    block_rows: int  # answers that are asked for together
    whole_blocks: bool  # rows of a block depend on each other in their last bits


def language_models(plans, runs):
    """Return the subject of a sweep as lm-eval sees it, once for each of its budgets; the plans differ in nothing else."""
    subject = (_nearest if plans[0].subject.kind == "nearest" else _network)(plans, runs)
    return [harness.BudgetedLM(runs, own, subject) for own in range(len(runs))]


def _network(plans, runs):
    """Return the Answerer of a model: one that is decoded here, or one behind a server."""
    plan = plans[0]
    import torch

    torch.set_num_threads(plan.hardware.threads)
    served = plan.engine.kind == "server"
    base = (models.tokenizer_folder if served else models.base_folder)(plan.model, plan.out)
    delimiters = dataclasses.replace(
        plan.model.delimiters, think=plan.subject.think, answer=plan.subject.answer
    )
    chat = models.load_chat(base, delimiters, counted=plan.control.kind == "steps")
    chosen, examples = [p.budget for p in plans], worked_examples(plan)
    marks = [chat.marks(budget.nudge) for budget in chosen]
    decoded, facts = (_served if served else _decoded)(plan, base, chat)
    source = (
        {"source": f"what a server calls {plan.engine.model}"} if served else models.source_of(base)
    )
    for run in runs:
        run.write_json("base.json", source)
        run.say(f"evaluate {run.name}: {plan.model.name} from {source['source']}")

    def prompt(task, question):
        asked = control.asked(
            question, plan.control.kind, plan.control.limit, plan.control.sentence
        )
        ids = chat.prompt(asked, examples.get(task, ()))
        for budget, mark in zip(chosen, marks, strict=True):
            budgets.check_room(budget, mark, len(ids), plan.model.context)
        return ids

    def answer(keys, prompts):
        began, tokens = time.perf_counter(), [0] * len(runs)
        rows = [
            sweep.drawn(chosen[0], marks[0])
            if plan.decoding.temperature
            else sweep.swept(chosen, marks)
            for _ in prompts
        ]
        purposes = [purpose_of(plan.decoding, key) for key in keys]
        for index, made in decoded(prompts, rows, purposes):
            tokens = [
                count + len(sample.ids) + sample.thrown
                for count, sample in zip(tokens, made, strict=True)
            ]
            said = (harness.record_of(sample, chat) for sample in made)
            yield (
                index,
                [(reply, record | facts | {"seed": purposes[index]}) for reply, record in said],
            )
        seconds = round(time.perf_counter() - began, 3)  # of all budgets together
        for run, count in zip(runs, tokens, strict=True):
            run.timing(answers=len(prompts), tokens=count, seconds=seconds, budgets=len(runs))

    rows = (
        sys.maxsize if served else BLOCK * plan.hardware.decode_rows
    )  # what is kept singly needs no blocks
    return Answerer(prompt, answer, plan.subject.shots > 0, rows, whole_blocks=not served)


def purpose_of(decoding, key):
    """Return the name of the stream that an answer is drawn from, or None under greedy decoding, which draws nothing."""
    return "/".join(map(str, ("answer", decoding.seed, *key))) if decoding.temperature else None


def _decoded(plan, base, chat):
    """Return (decode, facts) of a model that is decoded here, as engine.run does."""
    network, folder = models.load_network(base), stages.adapter_folder(plan)
    network = sft.with_weights(network, folder) if folder else network.eval()

    def decode(prompts, rows, purposes):
        choose = (
            hf.sampling(plan.decoding.temperature, purposes)
            if plan.decoding.temperature
            else hf.greedy
        )
        return hf.run(
            network, prompts, rows, plan.hardware.decode_rows, choose, len(chat.tokenizer)
        )

    said = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("transformers", "torch")
    )
    return decode, _facts(said, base, folder)


def _served(plan, base, chat):
    """Return (decode, facts) of a model behind a server, which says itself what it is; nobody here sees its weights."""
    connection = server.connect(plan.engine, plan.client, chat)

    def decode(prompts, rows, purposes):
        return server.run(connection, prompts, rows, plan.decoding.temperature, purposes)

    return decode, _facts(f"{connection.said}, model {connection.model}", base, None) | {
        "base_sha256": None
    }


def _facts(said, base, folder):
    """Return what an auditor needs of every sample: engine and version as they say themselves, the hashes of what answered."""
    parts = [
        digest
        for name, digest in sorted(models.source_of(base).items())
        if name.endswith(".safetensors sha256")
    ]
    return {
        "engine": said,
        "base_sha256": ",".join(digest[:16] for digest in parts),  # large models have several
        "adapter_sha256": hashing.file_sha256(stages.weights(folder))[:16] if folder else None,
        "tokenizer_sha256": hashing.file_sha256(base / "tokenizer.json")[:16],
    }


def worked_examples(plan):
    """Return the worked examples of a study's tasks; raises UserError where they would be questions that are asked."""
    if not plan.subject.shots:
        return {}
    asked = plan.benchmark
    return shots.worked_examples(
        asked.dir,
        asked.tasks,
        plan.subject.shots,
        ("probe",) if asked.split == "dev" else ("probe", "dev"),
    )


def _nearest(plans, runs):
    plan = plans[0]
    rows = read_jsonl(stages.chosen_rows(plan))
    empty = {
        key: value for key, value in dataclasses.asdict(Sample([])).items() if key != "closed_at"
    }

    def answer(keys, asked):
        for at, question in enumerate(asked):
            row = nearest.nearest(question, rows)
            yield (
                at,
                [
                    (
                        f"Final Answer: {row['answer']}",
                        {"thinking": "", "nearest": row["id"], **empty},
                    )
                ]
                * len(runs),
            )

    return Answerer(
        lambda task, question: question,
        answer,
        False,
        BLOCK * plan.hardware.decode_rows,
        whole_blocks=False,
    )


def log_reading(asked, run):
    """Append a reading of the test split to <out>/test-readings.jsonl: released or not, it happened."""
    if asked.split == "test":
        row = {
            "run": run.name,
            "utc": datetime.now(UTC).isoformat(timespec="seconds"),
            **run.status["commits"][-1],
        }
        with open(run.out / "test-readings.jsonl", "a", encoding="utf-8") as file:
            file.write(dump(row))
