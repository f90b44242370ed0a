"""A teacher on this machine: a transformers model, asked like a subject of evaluate.py."""

import dataclasses
import time
from pathlib import Path

from tqdm import tqdm

from ponder import hashing, models
from ponder.api.limits import key_of
from ponder.collect.calls import MADE, append, kept
from ponder.decode import budget as budgets
from ponder.decode import hf
from ponder.errors import UserError
from ponder.questions import shots


def ask(questions, plan, run):
    import torch

    from ponder.train import sft

    teacher = plan.teacher
    torch.set_num_threads(plan.hardware.threads)
    base = models.base_folder(teacher.model, plan.out)
    network, chat = models.load(
        base,
        dataclasses.replace(teacher.model.delimiters, think=teacher.think, answer=teacher.answer),
    )
    adapter = (
        hashing.file_sha256(f"{teacher.adapter}/adapter_model.safetensors")
        if teacher.adapter
        else None
    )
    network = (
        sft.with_weights(network, Path(teacher.adapter)) if teacher.adapter else network.eval()
    )
    source = models.source_of(base)
    run.write_json(
        "teacher.json",
        {
            "kind": teacher.kind,
            "name": teacher.name,
            "model": teacher.model.name,
            "base": source,
            "adapter": teacher.adapter,
            "adapter_sha256": adapter,
        },
    )
    examples = {}
    if teacher.shots:
        if plan.questions.kind != "drawn":
            raise UserError(
                f"teacher.shots={teacher.shots} shows solved questions, but questions={plan.questions.name} has "
                "none; set teacher.shots=0"
            )
        examples = shots.worked_examples(
            plan.questions.dir, {q.family for q in questions}, teacher.shots, ("probe",)
        )
    budget = budgets.Budget(
        teacher.name, teacher.max_thinking, 0, "", teacher.max_answer, teacher.force_answer, "total"
    )
    marks = chat.marks("")
    prompts = [chat.prompt(q.question, examples.get(q.family, ())) for q in questions]
    budgets.check_room(budget, marks, max(map(len, prompts)), teacher.model.context)
    purposes = [f"teacher/{q.id}/{plan.data_seed}" for q in questions]
    keys = [
        key_of(teacher.name, adapter, source, prompt, purpose, teacher.temperature)
        for prompt, purpose in zip(prompts, purposes, strict=True)
    ]
    path = run.folder / MADE
    calls = kept(path)
    bar = tqdm(total=len(questions), unit="question", desc=f"collect {run.name}")
    for batch in batches(questions, prompts, plan.hardware.decode_rows, by_family=bool(examples)):
        if not all(keys[i] in calls for i in batch):
            began = time.perf_counter()
            choose = (
                hf.sampling(teacher.temperature, [purposes[i] for i in batch])
                if teacher.temperature
                else hf.greedy
            )
            samples = hf.decode(
                network,
                [prompts[i] for i in batch],
                budget,
                marks,
                len(batch),
                choose,
                len(chat.tokenizer),
            )
            run.timing(
                questions=len(batch),
                tokens=sum(len(s.ids) for s in samples),
                seconds=round(time.perf_counter() - began, 3),
            )
            rows = [
                _call(questions[i], teacher, keys[i], prompts[i], purposes[i], sample, chat)
                for i, sample in zip(batch, samples, strict=True)
            ]
            append(path, [row for row in rows if row["key"] not in calls])
            calls |= {row["key"]: row for row in rows}
        bar.update(len(batch))
    bar.close()
    return [calls[key] for key in keys]


def batches(questions, prompts, rows, by_family):
    """Return batches of indices planned from all questions; `by_family` keeps worked examples a prefix of a whole batch."""
    groups = {}
    for i, question in enumerate(questions):
        groups.setdefault(question.family if by_family else "", []).append(i)
    return [
        [group[i] for i in batch]
        for group in groups.values()
        for batch in hf.plan([len(prompts[i]) for i in group], rows)
    ]


def _call(question, teacher, key, prompt, purpose, sample, chat):
    thinking, reply = chat.split(sample)
    sampling = {
        "temperature": teacher.temperature,
        "seed": purpose,
        "max_thinking": teacher.max_thinking,
        "max_answer": teacher.max_answer,
        "force_answer": teacher.force_answer,
    }
    return {
        "key": key,
        "purpose": "trace",
        "id": question.id,
        "teacher": teacher.name,
        "model": teacher.model.name,
        "revision": teacher.model.revision,
        "request": {"prompt": chat.decode(prompt), "prompt_tokens": len(prompt), **sampling},
        "response": {
            "thinking": thinking,
            "reply": reply,
            "ids": sample.ids,
            "forced": sample.forced,
            "capped": sample.capped,
        },
        "status": "answered",
        "reason": sample.finish,
        "usage": {"prompt_tokens": len(prompt), "completion_tokens": len(sample.ids)},
    }
