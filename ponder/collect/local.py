"""A teacher on this machine: a transformers model, asked like a subject of evaluate.py."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder import control, hashing, models
from ponder.api.limits import key_of
from ponder.collect.calls import RUNNING, append_calls, json_text, read_calls
from ponder.decode import budget as budgets
from ponder.decode import hf
from ponder.errors import UserError
from ponder.questions import shots
from ponder.rows import Call
from ponder.terminal import progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ponder.chat import Chat
    from ponder.collect.teachers import LocalTeacher
    from ponder.questions.drawn import Question
    from ponder.runs import Run
    from ponder.study import Study


def ask(questions: Sequence[Question], study: Study, run: Run) -> list[Call]:
    """Return the call of each question, in their order, from the study's local teacher.

    Calls that an earlier start of the run recorded are not made again, unless another one of their
    batch is missing. Raises UserError for worked examples of questions that have none, and for a
    prompt that leaves no room in the model's context.
    """
    import torch

    teacher = study.teacher
    assert teacher.kind == "hf"
    torch.set_num_threads(study.hardware.threads)
    base = models.base_folder(teacher.model, study.out)
    network, chat = _load(teacher, base)
    network = network.to(getattr(torch, study.hardware.decode_compute))
    source, adapter_sha256 = models.source_of(base), _adapter_sha256(teacher)
    run.write_json(
        "teacher.json",
        {
            "kind": teacher.kind,
            "name": teacher.name,
            "model": teacher.model.name,
            "base": source,
            "adapter": teacher.adapter,
            "adapter_sha256": adapter_sha256,
        },
    )
    examples = _worked_examples(questions, study, teacher)
    budget = budgets.Budget(
        teacher.name, teacher.max_thinking, 0, "", teacher.max_answer, teacher.force_answer, "total"
    )
    marks = chat.marks("")
    prompts = [
        chat.prompt(
            control.with_sentence(q.question, teacher.instruction), examples.get(q.family, ())
        )
        for q in questions
    ]
    budgets.check_room(budget, marks, max(map(len, prompts)), teacher.model.context)
    purposes = [f"teacher/{question.id}/{study.data_seed}" for question in questions]
    keys = [
        key_of(teacher.name, adapter_sha256, source, prompt, purpose, teacher.temperature)
        for prompt, purpose in zip(prompts, purposes, strict=True)
    ]

    def decode(batch: Sequence[int]) -> list[Call]:
        """Return the calls of the questions at the indices of a batch."""
        began = time.perf_counter()
        choose: hf.Choose = hf.greedy
        if teacher.temperature:
            choose = hf.sampling(teacher.temperature, [purposes[i] for i in batch])
        samples = hf.decode(
            network,
            [prompts[i] for i in batch],
            budget,
            marks,
            len(batch),
            choose,
            len(chat.tokenizer),
        )
        tokens = sum(len(sample.ids) for sample in samples)
        seconds = round(time.perf_counter() - began, 3)
        run.timing(questions=len(batch), tokens=tokens, seconds=seconds)
        return [
            _call(questions[i], teacher, keys[i], prompts[i], purposes[i], sample, chat)
            for i, sample in zip(batch, samples, strict=True)
        ]

    path = run.folder / RUNNING
    calls = read_calls(path)
    with progress.bar(len(questions), "question", f"collect {run.name}") as bar:
        rows = study.hardware.decode_rows
        for batch in batches(questions, prompts, rows, by_family=bool(examples)):
            if not all(keys[i] in calls for i in batch):
                decoded = decode(batch)
                append_calls(path, [call for call in decoded if call.key not in calls])
                calls |= {call.key: call for call in decoded}
            bar.update(len(batch))
    return [calls[key] for key in keys]


def _load(teacher: LocalTeacher, base: Path) -> tuple[PreTrainedModel, Chat]:
    """Return (network, Chat) of a teacher, in evaluation mode and with its adapter."""
    from ponder.train import sft

    delimiters = dataclasses.replace(
        teacher.model.delimiters, think=teacher.think, answer=teacher.answer
    )
    network, chat = models.load(base, delimiters)
    if teacher.adapter:
        return sft.with_weights(network, Path(teacher.adapter)), chat
    return network.eval(), chat


def _adapter_sha256(teacher: LocalTeacher) -> str | None:
    if not teacher.adapter:
        return None
    return hashing.file_sha256(f"{teacher.adapter}/adapter_model.safetensors")


def _worked_examples(
    questions: Sequence[Question], study: Study, teacher: LocalTeacher
) -> dict[str, tuple[shots.Example, ...]]:
    """Return {family: worked examples}; {} for a teacher that is shown none."""
    if not teacher.shots:
        return {}
    pool = study.questions
    if pool.kind != "drawn":
        raise UserError(
            f"teacher.shots={teacher.shots} shows solved questions, but questions={pool.name} has "
            "none; set teacher.shots=0"
        )
    families = {question.family for question in questions}
    return shots.worked_examples(pool.dir, families, teacher.shots, ("probe",))


def batches(
    questions: Sequence[Question], prompts: Sequence[list[int]], rows: int, by_family: bool
) -> list[list[int]]:
    """Return batches of at most `rows` indices, planned from all questions.

    `by_family` keeps worked examples, equal in a family, a prefix of a whole batch.
    """
    groups: dict[str, list[int]] = {}
    for i, question in enumerate(questions):
        groups.setdefault(question.family if by_family else "", []).append(i)
    planned = []
    for group in groups.values():
        for batch in hf.plan([len(prompts[i]) for i in group], rows):
            planned.append([group[place] for place in batch])
    return planned


def _call(
    question: Question,
    teacher: LocalTeacher,
    key: str,
    prompt: list[int],
    purpose: str,
    sample: budgets.Sample,
    chat: Chat,
) -> Call:
    """Return the Call of a sample."""
    thinking, reply = chat.split(sample)
    request: dict[str, Any] = {
        "prompt": chat.decode(prompt),
        "prompt_tokens": len(prompt),
        "temperature": teacher.temperature,
        "seed": purpose,
        "max_thinking": teacher.max_thinking,
        "max_answer": teacher.max_answer,
        "force_answer": teacher.force_answer,
    }
    response = {
        "thinking": thinking,
        "reply": reply,
        "ids": sample.ids,
        "forced": sample.forced,
        "capped": sample.capped,
    }
    return Call(
        key=key,
        purpose="trace",
        id=question.id,
        teacher=teacher.name,
        model=teacher.model.name,
        revision=teacher.model.revision,
        request=json_text(request),
        response=json_text(response),
        status="answered",
        reason=sample.finish,
        prompt_tokens=len(prompt),
        completion_tokens=len(sample.ids),
    )
