"""Falsifications of runs that keep every file in its form: commits, output, prompts, forced tokens,
answers that a second run contradicts, and runs that were invented whole.
"""

import functools
import json
import shutil

import yaml
from falsify import (
    FREE,
    REJECT,
    TRAIN,
    WAIT,
    both,
    every,
    git,
    remade,
    replaced,
    row,
    rows,
    value,
)
from tokenizers import Tokenizer

from ponder.runs import run_hash

UNFORCED = "logs/evaluate/cpu-token-conditional-trained-tokens64-unforced-test-26a6be99"
STEPS4 = "logs/evaluate/cpu-step-conditional-trained-steps4-free-test-66bdeee1"
STEPS8 = "logs/evaluate/cpu-step-conditional-trained-steps8-free-test-27df6c50"
CAP16 = "logs/evaluate/cpu-trained-cap16-test-ef936a45"
CAP64 = "logs/evaluate/cpu-trained-cap64-test-5983031d"
SEED1 = "logs/evaluate/cpu-seed1-trained-wait1-test-92c8d98d"
CORRECT = "logs/evaluate/cpu-correct-trained-wait1-test-1e91a62d"
SHOTS = "logs/evaluate/cpu-base-4shot-plain-wait1-test-8e7d034a"
COLLECT = "logs/collect/cpu-eb6b00e3"
PUBLIC = "logs/evaluate/qwen-base-boxed-math-gsm8k-400-982b7edf"


@functools.cache
def tokenizer(tree):
    return Tokenizer.from_file(str(tree / "data/cpu/tokenizer.json"))


def answering(tree, sample, text):
    """A sample whose answer is another text, to the last token."""
    count = len(sample["ids"]) - sample["num_answer"]
    answer = tokenizer(tree).encode(f" {text}", add_special_tokens=False).ids + [2]
    reply = "Final Answer: " + text
    if not [place for place in sample["forced"] if sample["ids"][place] == 29288]:
        answer = tokenizer(tree).encode(reply, add_special_tokens=False).ids + [2]
    return sample | {
        "ids": sample["ids"][:count] + answer,
        "num_answer": len(answer),
        "reply": reply,
        "correct": True,
        "finish": "stop",
    }


def right_answers(run, most):
    """Let so many wrong answers of a run be right, down to its tokens and its output."""

    def edit(tree):
        left = [most]

        def change(sample):
            if sample["correct"] or not left[0]:
                return sample
            left[0] -= 1
            return answering(tree, sample, sample["gold"])

        every(f"{run}/samples.jsonl", change)(tree)
        return remade(tree, run)

    return edit


def other_samples(run, source):
    """Give a run the answers of another one, with all that is counted from them."""

    def edit(tree):
        shutil.copyfile(tree / source / "samples.jsonl", tree / run / "samples.jsonl")
        return remade(tree, run)

    return edit


def invented(run, **changes):
    """A run that was never made: another's records under a new budget, all answers right."""

    def edit(tree):
        source = tree / run
        config = yaml.safe_load((source / "config.yaml").read_text())
        config["budget"] |= changes
        state = json.loads((source / "status.json").read_text())
        digest = run_hash("evaluate", config, state["inputs"])
        folder = source.with_name(f"cpu-trained-{changes['name']}-test-{digest}")
        shutil.copytree(source, folder)
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        for name in ("status.json", "manifest.json"):
            record = json.loads((folder / name).read_text()) | {"name": folder.name}
            (folder / name).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        name = folder.relative_to(tree).as_posix()
        every(f"{name}/samples.jsonl", lambda s: answering(tree, s, s["gold"]))(tree)
        return remade(tree, name)

    return edit


def swapped_hashes(run, other):
    """Give the prompts of a run the hashes of another's."""

    def edit(tree):
        lines = (tree / other / "samples.jsonl").read_text().splitlines()
        hashes = iter([json.loads(line)["prompt_sha256"] for line in lines])
        return every(f"{run}/samples.jsonl", lambda s: s | {"prompt_sha256": next(hashes)})(tree)

    return edit


def edited(run, number, change):
    """Change one sample by a function of (tree, sample), and all that is counted from it."""

    def edit(tree):
        lines = (tree / run / "samples.jsonl").read_text().splitlines()
        new = change(tree, json.loads(lines[number]))
        row(f"{run}/samples.jsonl", number, **new)(tree)
        return remade(tree, run)

    return edit


def cut_answer(tree, sample):
    """An answer that goes on without its end of turn, in text and tokens."""
    return {
        "ids": sample["ids"][:-1],
        "num_answer": sample["num_answer"] - 1,
        "finish": "length",
    }


def without_wait(tree, sample):
    """The answer of a Wait run as if no end had been ignored."""
    return json.loads((tree / FREE / "samples.jsonl").read_text().splitlines()[0])


def thinking_changed(tree, sample):
    """A thinking whose last sampled token is another one."""
    ids, last = [*sample["ids"]], sample["num_thinking"] - 1
    ids[last] = ids[last - 3]
    text = tokenizer(tree).decode(ids[: last + 1], skip_special_tokens=False)
    return {"ids": ids, "thinking": text}


def start_before(run, year):
    """Let the starts of a run lie in another year."""
    return replaced(f"{run}/timing.jsonl", r'"utc": "2026', f'"utc": "{year}')


def grade_turned(run, was):
    """Turn the grade of the first answer of a run that had that grade."""

    def change(lines):
        samples = [json.loads(line) for line in lines]
        at = next(i for i, sample in enumerate(samples) if sample["correct"] == was)
        samples[at]["correct"] = not was
        return [json.dumps(s, sort_keys=True, ensure_ascii=False) + "\n" for s in samples]

    return rows(f"{run}/samples.jsonl", change)


CASES = {
    "a commit that is in no history": (
        replaced(f"{FREE}/status.json", r'"commit": "\w{40}"', f'"commit": "{"f" * 40}"'),
        "origins",
        "origins",
    ),
    "a commit of the history that is younger than the run": (
        lambda tree: value(
            f"{FREE}/status.json", "commits", 0, "commit", to=git(tree, "rev-parse", "HEAD").strip()
        )(tree),
        "origins",
        "origins",
    ),
    "a run that started before its commit": (start_before(WAIT, 2025), "origins", "origins"),
    "a training that started before its commit": (
        start_before(TRAIN, 2025),
        "origins",
        "origins",
    ),
    "a run that ended after it was released": (
        replaced(f"{WAIT}/timing.jsonl", r'"event": "end", "seconds": \d', r"\g<0>00000000"),
        "origins",
        "origins",
    ),
    "an accuracy in an output": (
        replaced(f"{FREE}/stdout.log", r"49\.6% \(238/480\)", "64.2% (308/480)"),
        "stdout",
        "stdout",
    ),
    "a family's line in an output": (
        replaced(
            f"{FREE}/stdout.log", r"coin +1\.7% \(1/60\)", "coin                21.7% (13/60)"
        ),
        "stdout",
        "stdout",
    ),
    "the mean thinking in an output": (
        replaced(f"{FREE}/stdout.log", r"think +12\.4", "think   14.2"),
        "stdout",
        "stdout",
    ),
    "the last line of an output removed": (
        rows(f"{FREE}/stdout.log", lambda lines: lines[:-1]),
        "stdout",
        "stdout",
    ),
    "the last loss in a training's output": (
        replaced(f"{TRAIN}/stdout.log", r"last loss 0\.0212", "last loss 0.0112"),
        "stdout",
        "stdout",
    ),
    "the last loss in a training's metrics": (
        row(f"{TRAIN}/metrics.jsonl", 499, loss=0.0112),
        "stdout",
        "stdout",
    ),
    "the tokens in a collection's output": (
        replaced(f"{COLLECT}/stdout.log", "26186 trace", "36186 trace"),
        "stdout",
        "stdout",
    ),
    "the filters in a collection's output": (
        replaced(f"{COLLECT}/stdout.log", "'quality': 5160", "'quality': 5159"),
        "stdout",
        "stdout",
    ),
    "an output of another run": (
        replaced(f"{FREE}/stdout.log", "cpu-trained-free", "cpu-trained-best", count=0),
        "stdout",
        "stdout",
    ),
    "labels and results raised, the output forgotten": (
        both(
            every(f"{FREE}/samples.jsonl", lambda s: s | {"correct": True}),
            lambda tree: remade(tree, FREE, with_output=False),
        ),
        "stdout",
        "stdout",
    ),
    "the hash of a prompt": (
        row(f"{FREE}/samples.jsonl", 8, prompt_sha256="0" * 16),
        "prompts",
        "prompts",
    ),
    "the hashes of all prompts, of another instruction": (
        swapped_hashes(STEPS4, STEPS8),
        "prompts",
        "prompts",
    ),
    "the hash of a prompt with worked examples": (
        swapped_hashes(SHOTS, FREE),
        "prompts",
        "prompts",
    ),
    "an answer that names another adapter": (
        row(f"{SEED1}/samples.jsonl", 4, adapter_sha256="68c2a082ce3fcb16"),
        "hashes",
        "hashes",
    ),
    "answers that name no adapter": (
        every(f"{SEED1}/samples.jsonl", lambda s: s | {"adapter_sha256": None}),
        "hashes",
        "hashes",
    ),
    "answers that name another base": (
        every(f"{SEED1}/samples.jsonl", lambda s: s | {"base_sha256": "0" * 16}),
        "hashes",
        "hashes",
    ),
    "a base model of another hash, with answers that name it": (
        both(
            every(f"{SEED1}/samples.jsonl", lambda s: s | {"base_sha256": "0" * 16}),
            value(f"{SEED1}/base.json", "model.safetensors sha256", to="0" * 64),
        ),
        "hashes",
        "hashes",
    ),
    "answers that name another tokenizer": (
        every(f"{SEED1}/samples.jsonl", lambda s: s | {"tokenizer_sha256": "b6883db68996775b"}),
        "hashes",
        "hashes",
    ),
    "a forced position left out": (
        row(f"{FREE}/samples.jsonl", 3, forced=lambda s: s["forced"][:-1]),
        "forcing",
        "forcing",
    ),
    "a sampled token called forced": (
        row(f"{FREE}/samples.jsonl", 3, forced=lambda s: [0, *s["forced"]]),
        "forcing",
        "forcing",
    ),
    "the nudge called sampled": (
        row(f"{WAIT}/samples.jsonl", 0, forced=lambda s: s["forced"][1:]),
        "forcing",
        "forcing",
    ),
    "a Wait that was not appended": (edited(WAIT, 0, without_wait), "forcing", "forcing"),
    "an end of turn inside a thinking": (
        row(f"{FREE}/samples.jsonl", 3, ids=lambda s: [s["ids"][0], 2, *s["ids"][2:]]),
        "forcing",
        "forcing",
    ),
    "a cap that is not told": (
        row(f"{CAP16}/samples.jsonl", 0, capped=lambda s: not s["capped"]),
        "forcing",
        "forcing",
    ),
    "an answer cut short": (edited(FREE, 2, cut_answer), "forcing", "forcing"),
    "another end of a round": (
        row(f"{SEED1}/samples.jsonl", 2, rounds=lambda s: [[n, [7]] for n, _ in s["rounds"]]),
        "forcing",
        "forcing",
    ),
    "rounds that are cut elsewhere": (
        row(
            f"{SEED1}/samples.jsonl",
            2,
            rounds=lambda s: [[s["rounds"][0][0] - 1, [1]], [s["rounds"][1][0] + 1, [1]]],
        ),
        "forcing",
        "forcing",
    ),
    "more thrown away than was drawn": (
        row(f"{REJECT}/samples.jsonl", 1, thrown=lambda s: (s["thrown"] or 0) + 32),
        "forcing",
        "forcing",
    ),
    "an unforced answer that went on after its end": (
        row(f"{UNFORCED}/samples.jsonl", 1, ids=lambda s: [*s["ids"], 2]),
        "forcing",
        "forcing",
    ),
    "one wrong answer made right, in text and tokens": (right_answers(FREE, 1), "greedy", "greedy"),
    "238 wrong answers made right, in text and tokens": (
        right_answers(FREE, 238),
        "greedy",
        "greedy",
    ),
    "right answers in the run that asks for one more step": (
        right_answers(CAP64, 20),
        "greedy",
        "greedy",
    ),
    "a last token of a thinking": (edited(CAP16, 1, thinking_changed), "greedy", "greedy"),
    "the answers of another model under this one's name": (
        other_samples(WAIT, CORRECT),
        "greedy",
        "greedy",
    ),
    "the answers of another seed": (other_samples(WAIT, SEED1), "hashes", "hashes"),
    "a run invented whole, with all answers right": (
        invented(WAIT, name="wait7", num_ignore=1),
        "greedy",
        None,
    ),
    "a run invented whole under a budget that it does not keep": (
        invented(WAIT, name="wait2", num_ignore=2),
        "forcing",
        None,
    ),
    "the text of a question of a public benchmark": (
        row(f"{PUBLIC}/samples.jsonl", 3, question="How many eggs are left?"),
        "answers",
        "answers",
    ),
    "the gold answer of a public benchmark": (
        row(f"{PUBLIC}/samples.jsonl", 3, gold="18"),
        "answers",
        "answers",
    ),
    "a wrong answer to a public benchmark called right": (
        grade_turned(PUBLIC, False),
        "answers",
        "answers",
    ),
    "a right answer to a public benchmark called wrong": (
        grade_turned(PUBLIC, True),
        "answers",
        "answers",
    ),
    "another gold answer of a public benchmark": (
        every(f"{PUBLIC}/samples.jsonl", lambda s: s | {"gold_sha256": "0" * 16}),
        "answers",
        "answers",
    ),
}
