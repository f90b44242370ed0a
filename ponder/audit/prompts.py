"""Prompts made again, and the token ids that a budget may force, from a run's record and a released
tokenizer: code of its own, which shares nothing with ponder/chat.py.
"""

import functools
import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ponder.audit.answers import questions_folder
from ponder.audit.checks import Findings, answers_file, completed, contents, read, samples
from ponder.audit.tokens import vocabulary_of
from ponder.questions import drawn, solver

Ids = tuple[int, ...]
ASKED = {"tokens": "Think for up to {} tokens.", "steps": "Think for up to {} steps."}


@dataclass(frozen=True)
class Template:
    """What stands around the texts of a run, as token ids."""

    path: Path  # of the tokenizer.json
    start: int  # of a turn
    end: int
    newline: int
    think: Ids  # what opens the thinking
    answer: Ids  # what opens the answer; () where the subject has no delimiter
    final: Ids  # the prefix of the final answer
    nudge: Ids
    thinking_ends: tuple[Ids, ...]

    def encode(self, text: str) -> Ids:
        """Return the ids of plain text; a special token written in it stays plain text."""
        return encoded(self.path, text)


@functools.cache
def tokenizer_at(path: Path) -> Any:
    """Return the tokenizer of a released tokenizer.json."""
    tokenizer = Tokenizer.from_str(contents(path).decode())
    tokenizer.encode_special_tokens = True
    return tokenizer


@functools.cache
def encoded(path: Path, text: str) -> Ids:
    """Return the ids of plain text in the tokenizer of a file."""
    return tuple(tokenizer_at(path).encode(text, add_special_tokens=False).ids)


@functools.cache
def template(folder: Path) -> Template | None:
    """Return the Template of an evaluation, None where no model answered or the tokenizer of the
    model is not released.
    """
    config, known = read(folder / "config.yaml"), vocabulary_of(folder)
    if known is None or config["subject"]["kind"] == "nearest":
        return None
    delimiters, subject = config["model"]["delimiters"], config["subject"]
    encode = functools.partial(encoded, known.path)

    def opening(role: str | None) -> Ids:
        return (start, *encode(f"{role}\n")) if role else ()

    start, end = (special(known.path, delimiters[name]) for name in ("turn_start", "turn_end"))
    think, answer = opening(subject["think"]), opening(subject["answer"])
    is_counted = config.get("control", {}).get("kind") == "steps"
    ends: tuple[Ids, ...] = ((start,), (end,))
    if is_counted:  # the answer's turn ends the thinking, and the step that would be number 0
        think, ends = (start,), (answer, (start, *encode("0")), (end,))
    return Template(
        path=known.path,
        start=start,
        end=end,
        newline=encode("\n")[-1],
        think=think,
        answer=answer,
        final=encode(delimiters["final"]),
        nudge=encode(config["budget"]["nudge"]),
        thinking_ends=ends,
    )


def special(path: Path, text: str) -> int:
    """Return the id of a special token in the tokenizer of a file."""
    return tokenizer_at(path).token_to_id(text)


def prompt(folder: Path, known: Template, task: str, question: str) -> list[int]:
    """Return the ids of a question's prompt in an evaluation, up to and with what opens the
    thinking.
    """
    delimiters = read(folder / "config.yaml")["model"]["delimiters"]
    turn = turns(known, delimiters, asked(folder, question))
    return [*beginning(folder, known, task), *turn, *known.think]


@functools.cache
def beginning(folder: Path, known: Template, task: str) -> list[int]:
    """Return the ids before a question's turn: its task's worked examples, as earlier turns."""
    delimiters = read(folder / "config.yaml")["model"]["delimiters"]
    bos, system = delimiters.get("bos"), delimiters.get("system")
    ids = [special(known.path, bos)] if bos else []
    if system:
        ids += [known.start, *known.encode("system\n"), *known.encode(system), known.end]
        ids += known.encode("\n")
    for text, thinking, answer in examples(folder).get(task, ()):
        ids += [*turns(known, delimiters, text), *known.think, *known.encode(thinking)]
        ids += known.encode("\n") if thinking else ()
        ids += [*known.answer, *known.final, *known.encode(f" {answer}"), known.end]
        ids += known.encode("\n")
    return ids


def turns(known: Template, delimiters: dict[str, Any], text: str) -> list[int]:
    """Return the ids of a user's turn with a text, and of the opening of the turn after it."""
    user, assistant = (delimiters.get(role, role) for role in ("user", "assistant"))
    return [
        known.start,
        *known.encode(f"{user}\n"),
        *known.encode(text),
        known.end,
        *known.encode("\n"),
        known.start,
        *known.encode(f"{assistant}\n"),
    ]


def asked(folder: Path, question: str) -> str:
    """Return a question with what the run puts behind it: a wish for its length, and what the
    subject is told.
    """
    config = read(folder / "config.yaml")
    control = config.get("control") or {"kind": "none"}
    wish = control.get("sentence")
    if control["kind"] in ASKED:
        wish = ASKED[control["kind"]].format(control["limit"])
    parts = [question, wish, config["subject"].get("instruction")]
    return "\n\n".join(part for part in parts if part)


@functools.cache
def examples(folder: Path) -> dict[str, list[tuple[str, str, str]]]:
    """Return {task: its worked examples (question, thinking, answer)} of an evaluation: the first
    questions of probe, or of dev for a family that probe has not, with a program's thinking.
    """
    config, directory = read(folder / "config.yaml"), questions_folder(folder)
    count, benchmark = config["subject"]["shots"], config["benchmark"]
    if not count or directory is None:
        return {}
    shown_of = {}
    for task in benchmark["tasks"]:
        rows = [row for row in read(directory / "probe.jsonl") if row["family"] == task]
        if not rows and benchmark["split"] != "dev":
            rows = read(directory / "dev" / f"{task}.jsonl")
        shown_of[task] = [_example(row) for row in rows[:count]]
    return shown_of


def _example(row: dict[str, Any]) -> tuple[str, str, str]:
    question = drawn.Question(**row)
    generator = random.Random(f"shot/{question.id}")
    thinking = solver.write(question, "none", 0.0, generator).think
    return question.question, thinking, question.answer


def prompts() -> Findings:
    """Whether the hash of each answer's prompt is that of the prompt made again from question,
    template and tokenizer.
    """
    problems, count, left_out, public = [], 0, [], []
    for folder in completed("evaluate"):
        if questions_folder(folder) is None:
            public.append(folder.name)
            continue
        if template(folder) is None and not is_nearest(folder):
            left_out.append(folder.name)
            continue
        count += len(samples(folder))
        problems += [f"{answers_file(folder)} row {rule}" for rule in wrong_prompts(folder)]
    words = f"{count:,} prompts"
    if left_out:
        words += f"; not those whose tokenizer is not released: {', '.join(left_out)}"
    if public:
        words += f"; not those of public benchmarks: {', '.join(public)}"
    return Findings(words, problems)


def is_nearest(folder: Path) -> bool:
    """Whether an evaluation asked no model."""
    return read(folder / "config.yaml")["subject"]["kind"] == "nearest"


def wrong_prompts(folder: Path) -> Iterator[str]:
    """Yield a sentence for each answer of an evaluation whose prompt has another hash."""
    known = template(folder)
    made: dict[tuple[str, str], str] = {}
    for number, sample in enumerate(samples(folder), 1):
        key = sample.task, sample.question
        if key not in made:
            text = sample.question if known is None else prompt(folder, known, *key)
            made[key] = hashlib.sha256(json.dumps(text).encode()).hexdigest()[:16]
        if sample.prompt_sha256 != made[key]:
            yield f"{number}: prompt_sha256 is {sample.prompt_sha256}, made again {made[key]}"
