"""A teacher on this machine: a transformers model, asked like a subject of evaluate.py."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder import control, hashing, models
from ponder.api.limits import key_of
from ponder.collect import calls as teacher_calls
from ponder.collect.calls import json_text
from ponder.decode import budget as budgets
from ponder.decode import hf
from ponder.errors import UserError
from ponder.questions import shots
from ponder.rows import Call
from ponder.terminal import progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ponder.chat import Chat, Delimiters
    from ponder.collect.teachers import LocalTeacher
    from ponder.questions.drawn import Question
    from ponder.runs import Run
    from ponder.study import Hardware, Study

# Times hardware.decode_rows: questions that are asked, and after a kill asked again, together.
BLOCK = 2


def ask(questions: Sequence[Question], study: Study, run: Run) -> list[Call]:
    """Return the call of each question, in their order, from the study's local teacher.

    Questions are asked in blocks of consecutive ones, and the calls of a block are kept in
    <out>/calls, named by the whole block and by what decodes it: they are made once for all runs
    that ask it, whatever comes after it and whichever rows are chosen in the end. Raises UserError
    for worked examples of questions that have none, and for a prompt that leaves no room in the
    model's context.
    """
    import torch

    teacher = study.teacher
    assert teacher.kind == "hf"
    torch.set_num_threads(study.hardware.threads)
    base = models.base_folder(teacher.model, study.out)
    chat = models.load_chat(base, _delimiters(teacher))
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
    prompts = _prompts(questions, study, teacher, chat)
    purposes = [f"teacher/{question.id}/{study.data_seed}" for question in questions]
    blocks = block_plan(questions, BLOCK * study.hardware.decode_rows, bool(teacher.shots))
    facts = _what_decodes(study, teacher, source, adapter_sha256)
    keys = _keys(blocks, prompts, purposes, facts)
    network: PreTrainedModel | None = None
    with (
        teacher_calls.locked_store(teacher_calls.local_store(teacher.name), run) as path,
        progress.bar(len(questions), "question", f"collect {run.name}") as bar,
    ):
        calls = teacher_calls.read_calls(path)
        for block in blocks:
            if not all(keys[i] in calls for i in block):
                network = network or _load(teacher, base, study.hardware)
                began = time.perf_counter()
                samples = _decode(network, block, prompts, purposes, study, teacher, chat)
                made = [
                    _call(questions[i], teacher, keys[i], prompts[i], purposes[i], sample, chat)
                    for i, sample in zip(block, samples, strict=True)
                ]
                teacher_calls.append_calls(path, [call for call in made if call.key not in calls])
                calls |= {call.key: call for call in made}
                seconds = round(time.perf_counter() - began, 3)
                tokens = sum(len(sample.ids) for sample in samples)
                run.timing(questions=len(block), tokens=tokens, seconds=seconds)
            bar.update(len(block))
    return [calls[key] for key in keys]


def _prompts(
    questions: Sequence[Question], study: Study, teacher: LocalTeacher, chat: Chat
) -> list[list[int]]:
    """Return the token ids that ask each question; raises UserError as `ask` does."""
    examples = _worked_examples(questions, study, teacher)
    prompts = [
        chat.prompt(
            control.with_sentence(question.question, teacher.instruction),
            examples.get(question.family, ()),
        )
        for question in questions
    ]
    longest = max(map(len, prompts), default=0)
    budgets.check_room(_budget(teacher), chat.marks(""), longest, teacher.model.context)
    return prompts


def _budget(teacher: LocalTeacher) -> budgets.Budget:
    return budgets.Budget(
        teacher.name, teacher.max_thinking, 0, "", teacher.max_answer, teacher.force_answer, "total"
    )


def _what_decodes(
    study: Study, teacher: LocalTeacher, source: dict[str, str], adapter_sha256: str | None
) -> dict[str, Any]:
    """Return all that the tokens of a block follow from beside its prompts and purposes."""
    how = dataclasses.asdict(teacher)
    for name in ("terms", "adapter", "model"):
        del how[name]
    hardware = dataclasses.asdict(study.hardware)
    facts = {"teacher": how, "base": source, "adapter": adapter_sha256, "hardware": hardware}
    # All calls that were kept before this was a fact of the key were forced by this prefix.
    if teacher.model.delimiters.final != "Final Answer:":
        facts["final"] = teacher.model.delimiters.final
    return facts


def _keys(
    blocks: Sequence[Sequence[int]],
    prompts: Sequence[list[int]],
    purposes: Sequence[str],
    facts: dict[str, Any],
) -> list[str]:
    """Return the key of each call: a hash of its place in its block, and of all of the block."""
    keys = [""] * len(prompts)
    for block in blocks:
        asked = key_of(facts, [prompts[i] for i in block], [purposes[i] for i in block])
        for place, i in enumerate(block):
            keys[i] = key_of(asked, place)
    return keys


def _decode(
    network: PreTrainedModel,
    block: Sequence[int],
    prompts: Sequence[list[int]],
    purposes: Sequence[str],
    study: Study,
    teacher: LocalTeacher,
    chat: Chat,
) -> list[budgets.Sample]:
    """Return the Sample of each question at the indices of a block."""
    choose: hf.Choose = hf.greedy
    if teacher.temperature:
        choose = hf.sampling(teacher.temperature, [purposes[i] for i in block])
    return hf.decode(
        network,
        [prompts[i] for i in block],
        _budget(teacher),
        chat.marks(""),
        study.hardware.decode_rows,
        choose,
        len(chat.tokenizer),
    )


def _delimiters(teacher: LocalTeacher) -> Delimiters:
    return dataclasses.replace(teacher.model.delimiters, think=teacher.think, answer=teacher.answer)


def _load(teacher: LocalTeacher, base: Path, hardware: Hardware) -> PreTrainedModel:
    """Return the network of a teacher, in evaluation mode and with its adapter."""
    import torch

    from ponder.train import memory, sft

    memory.keep_freed_memory()  # large tensors come and go with every token
    network = models.load_network(base)
    if teacher.adapter:
        network = sft.with_weights(network, Path(teacher.adapter))
    return network.eval().to(hardware.device, getattr(torch, hardware.decode_compute))


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


def block_plan(questions: Sequence[Question], size: int, by_family: bool) -> list[list[int]]:
    """Return the indices of the questions in blocks of at most `size`, in their order.

    A block does not depend on what comes after it. `by_family` keeps worked examples, equal in a
    family, a prefix of a whole block.
    """
    groups: dict[str, list[int]] = {}
    for i, question in enumerate(questions):
        groups.setdefault(question.family if by_family else "", []).append(i)
    return [
        group[start : start + size]
        for group in groups.values()
        for start in range(0, len(group), size)
    ]


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
