"""Falsifications of files: {what is done: (the edit, the check that must see it, and the one that
must with the manifests recomputed, or None)}.
"""

import json

from falsify import (
    FREE,
    REJECT,
    TRAIN,
    WAIT,
    added,
    both,
    byte,
    copied,
    every,
    failed_run_deleted,
    packed,
    removed,
    replaced,
    row,
    rows,
    set_again,
    swapped,
    swapped_text,
    value,
)


def read_again(name):
    """Add a reading of test by another run than the last."""

    def with_one_more(lines):
        return [*lines, json.dumps(json.loads(lines[-1]) | {"run": name}, sort_keys=True) + "\n"]

    return rows("logs/test-readings.jsonl", with_one_more)


PACKED = "logs/evaluate/cpu-trained-free-sampled16-test-04fad8ed"
# What is done: (the edit, the check that must see it, and the one that must with manifests
# recomputed, or None).
CASES = {
    "a file of a run removed": (removed(f"{FREE}/results.json"), "schema", None),
    "a field of a sample removed": (
        replaced(f"{FREE}/samples.jsonl", r'"finish": "[^"]*", ', ""),
        "schema",
        "schema",
    ),
    "the gold answer of a sample removed": (
        replaced(f"{FREE}/samples.jsonl", r'"gold": "[^"]*", ', ""),
        "answers",
        "answers",
    ),
    "a file added to a run": (added(f"{FREE}/better.jsonl", "{}\n"), "schema", None),
    "a byte of a sample": (
        replaced(f"{FREE}/samples.jsonl", r"north", "North"),
        "hashes",
        "history",
    ),
    "a byte of the weights": (
        byte("data/cpu/cpu/adapter/adapter_model.safetensors", -1),
        "hashes",
        "hashes",
    ),
    "a log removed": (removed(f"{TRAIN}/stdout.log"), "hashes", None),
    "a line of a log": (replaced(f"{TRAIN}/stdout.log", "loss 0", "loss 9"), "hashes", "history"),
    "a config changed after the fact": (
        replaced(f"{TRAIN}/config.yaml", r"lr: 0.001", "lr: 0.002"),
        "names",
        "names",
    ),
    "two runs swapped": (swapped(FREE, WAIT), "names", None),
    "an input changed": (
        value(f"{FREE}/status.json", "inputs", "test/coin.jsonl", to="0" * 64),
        "names",
        "names",
    ),
    "a failed run deleted": (failed_run_deleted, "history", None),
    "a reading of test deleted": (
        rows("logs/test-readings.jsonl", lambda lines: lines[1:]),
        "history",
        None,
    ),
    "a correction rewritten": (
        replaced("logs/corrections.jsonl", "too hard", "too easy"),
        "history",
        None,
    ),
    "a failed run deleted, with a correction that says so": (
        both(
            failed_run_deleted,
            rows(
                "logs/corrections.jsonl",
                lambda lines: [
                    *lines,
                    '{"supersedes": "logs/train", "status": "replaced", "commit": "the work tree", '
                    '"decision": "0007", "by": null, '
                    '"why": "the listing of trainings was tidied"}\n',
                ],
            ),
        ),
        "history",
        None,
    ),
    "labels of the table exchanged": (
        swapped_text("paper/rows.yaml", "SFT, no forcing", "Base, 4 worked examples"),
        "history",
        None,
    ),
    "a limit of a method widened": (
        replaced("paper/methods.yaml", r"most: 16\b", "most: 96"),
        "history",
        None,
    ),
    "a number that s1 published": (
        replaced("paper/published.yaml", "base: 26.7", "base: 36.7"),
        "history",
        None,
    ),
    "a pre-registration deleted": (removed("logs/preregistrations/cpu-s1.yaml"), "history", None),
    "a decision deleted": (
        removed("logs/decisions/0012-keep-the-main-arm-without-doubt.md"),
        "history",
        None,
    ),
    "the terms of a data set": (
        replaced("data/cpu/cpu-s1/manifest.json", '"reading": "allowed"', '"reading": "unclear"'),
        "history",
        None,
    ),
    "samples left out of a release": (
        added(f"{FREE}/released.json", '{"moved": {}, "left_out": {"samples.jsonl": "large"}}\n'),
        "schema",
        None,
    ),
    "the README without its block of results": (
        replaced("README.md", "<!-- s1-table -->", "<!-- table -->"),
        "numbers",
        None,
    ),
    "a figure edited by hand": (
        replaced("paper/generated/scaling.svg", "</svg>", "<text>99</text></svg>"),
        "numbers",
        None,
    ),
    "a false claim before the true one": (
        rows(
            "logs/claims.jsonl",
            lambda lines: [lines[1].replace('"correct": ', '"correct": 9'), *lines],
        ),
        "numbers",
        None,
    ),
    "a number inside a name": (
        replaced(
            "README.md", r"^## What was found$", "## Found\n\nThis is ours-99.9% and `best=99.9%`."
        ),
        "literals",
        None,
    ),
    "a template that reads another file": (
        replaced("paper/paper.typ", r"^= Data$", '#include "other.typ"\n\n= Data'),
        "literals",
        None,
    ),
    "a sample that names another tokenizer": (
        row(f"{WAIT}/samples.jsonl", 5, tokenizer_sha256="0" * 16, reply="Final Answer: 1"),
        "tokens",
        "tokens",
    ),
    "a digit in the README": (
        replaced("README.md", r"\+40\.8 \[\+34\.7", "+60.8 [+34.7"),
        "numbers",
        None,
    ),
    "a digit in the results": (
        replaced(
            "paper/results.md",
            r"\| 49\.6% \[45\.1, 54\.0\] \| 25\.6 \|",
            "| 59.6% [45.1, 54.0] | 25.6 |",
        ),
        "numbers",
        None,
    ),
    "a digit in the index of runs": (
        replaced("logs/README.md", r"\| 49\.6% \[45\.1, 54\.0\] \|$", "| 59.6% [45.1, 54.0] |"),
        "numbers",
        None,
    ),
    "a digit in the README's prose": (
        replaced("README.md", r"(<!--=cited/gpus-->)16<!--/-->", r"\g<1>18<!--/-->"),
        "numbers",
        None,
    ),
    "a claim": (
        replaced("logs/claims.jsonl", r'"correct": 238', '"correct": 239'),
        "numbers",
        None,
    ),
    "the numbers behind the documents": (
        replaced("paper/generated/results.json", r'"minutes": "15\.9"', '"minutes": "5.9"'),
        "numbers",
        None,
    ),
    "a byte of the paper": (byte("paper/paper.pdf", 5000), "numbers", None),
    "a paper set from another number": (
        set_again("paper/generated/results.json", r'"minutes": "15\.9"', '"minutes": "5.9"'),
        "seen",
        None,
    ),
    "a paper with one more number": (
        set_again("paper/paper.typ", r"^= Data$", "= Data\n\nThe student has 61.2% on everything."),
        "seen",
        None,
    ),
    "a paper whose template counts": (
        set_again("paper/paper.typ", r"^= Data$", "= Data\n\nOf #rows.len() rows.", kept=True),
        "seen",
        None,
    ),
    "a paper whose template prints a number that is no string": (
        set_again(
            "paper/paper.typ", r"^= Data$", "= Data\n\nOf #results.distilled.asked.", kept=True
        ),
        "seen",
        None,
    ),
    "a paper that shows another figure": (
        set_again("paper/paper.typ", r"generated/models\.svg", "generated/parallel.svg"),
        "seen",
        None,
    ),
    "a number in the paper that is no claim any more": (
        replaced("logs/claims.jsonl", r'("id": "methods/unasked", "printed": \[")', r"\g<1>9"),
        "seen",
        None,
    ),
    "samples replaced by another run's": (
        copied(f"{WAIT}/samples.jsonl", f"{FREE}/samples.jsonl"),
        "numbers",
        "numbers",
    ),
    "a number typed into the README": (
        replaced("README.md", r"^## What was found$", "## Found\n\nIt has 61.2% on everything."),
        "literals",
        None,
    ),
    "a number typed into the paper": (
        replaced(
            "paper/paper.typ", r"^= Data$", "= Data\n\nThe student has 61.2% on everything.\n"
        ),
        "literals",
        None,
    ),
    "an image in the README that no number draws": (
        replaced("README.md", r"^## What was found$", "## Found\n\n![best](paper/best.png)"),
        "seen",
        None,
    ),
    "a tag in the README": (
        replaced("README.md", r"^## What was found$", "## Found\n\n<h1>sixty percent</h1>"),
        "seen",
        None,
    ),
    "a number spelled by its character codes": (
        replaced("README.md", r"^## What was found$", "## Found\n\nIt has &#54;&#52;&#37;."),
        "literals",
        None,
    ),
    "a sum in the paper's template": (
        replaced("paper/paper.typ", r"#methods\.unasked", "#(float(methods.unasked) + 9)"),
        "literals",
        None,
    ),
    "a sum in the paper's template that holds no digit": (
        replaced(
            "paper/paper.typ", r"#methods\.unasked", "#(float(methods.unasked) + counts.len())"
        ),
        "literals",
        None,
    ),
    "a rounding in the paper's template": (
        replaced("paper/paper.typ", r"#methods\.unasked", "#calc.ceil(methods.unasked)"),
        "literals",
        None,
    ),
    "another text of a printed one": (
        replaced("paper/paper.typ", r"#methods\.unasked", '#methods.unasked.replace(".", "")'),
        "literals",
        None,
    ),
    "a rule that shows another text": (
        replaced("paper/paper.typ", r"^= Data$", '#show "higher": "much higher"\n\n= Data'),
        "literals",
        None,
    ),
    "a number as the name of a look-up": (
        replaced("paper/paper.typ", r"^= Data$", '#let run(x) = x\n#run("98.76")\n\n= Data'),
        "literals",
        None,
    ),
    "a literal without a reason": (
        replaced("logs/literals.yaml", r'reason: "[^"]*"', 'reason: ""'),
        "literals",
        None,
    ),
    "a count in a card": (
        replaced("data/cpu/cpu/README.md", r"5,160, |\| 5,160 \|", "| 6,160 |"),
        "cards",
        None,
    ),
    "a size in a card": (
        replaced("data/cpu/cpu-distilled/README.md", r"\| 2,400 \|", "| 2,401 |"),
        "cards",
        "cards",
    ),
    "a label in a sample": (
        row(f"{FREE}/samples.jsonl", 0, correct=lambda s: not s["correct"]),
        "answers",
        "answers",
    ),
    "a gold answer in a sample": (row(f"{FREE}/samples.jsonl", 7, gold="42"), "answers", "answers"),
    "a question in a sample": (
        row(f"{FREE}/samples.jsonl", 9, question="What is 1 + 1?"),
        "answers",
        "answers",
    ),
    "all labels of a run": (
        every(f"{FREE}/samples.jsonl", lambda s: s | {"correct": True}),
        "second-grader",
        "second-grader",
    ),
    "all replies of a run": (
        every(f"{FREE}/samples.jsonl", lambda s: s | {"reply": f"Final Answer: {s['gold']}"}),
        "second-grader",
        "second-grader",
    ),
    "a token": (
        row(f"{FREE}/samples.jsonl", 3, ids=lambda s: [s["ids"][0] + 1, *s["ids"][1:]]),
        "tokens",
        "tokens",
    ),
    "a thinking": (
        row(f"{FREE}/samples.jsonl", 3, thinking=lambda s: s["thinking"] + " Surely."),
        "tokens",
        "tokens",
    ),
    "two training rows exchanged": (
        rows("data/cpu/cpu/train.jsonl", lambda lines: [lines[1], lines[0], *lines[2:]]),
        "funnel",
        "funnel",
    ),
    "a label of a trace": (
        row("data/cpu/cpu-distilled/traces.jsonl", 0, correct=lambda t: not t["correct"]),
        "funnel",
        "funnel",
    ),
    "a count of the funnel": (
        value("data/cpu/cpu-s1/funnel.json", "after", "difficulty", to=lambda n: n + 1),
        "funnel",
        "funnel",
    ),
    "two ids of a batch": (
        row(f"{TRAIN}/batches.jsonl", 0, ids=lambda b: b["ids"][::-1]),
        "order",
        "order",
    ),
    "a step of the order removed": (
        rows(f"{TRAIN}/batches.jsonl", lambda lines: lines[:-1]),
        "order",
        "order",
    ),
    "a test question in the pool": (
        lambda tree: rows(
            "data/cpu/questions/pool.jsonl",
            lambda lines: [
                *lines,
                (tree / "data/cpu/questions/test/facing.jsonl")
                .read_text()
                .splitlines(keepends=True)[0],
            ],
        )(tree),
        "splits",
        "splits",
    ),
    "a byte of a dev question": (
        replaced("data/cpu/questions/dev/facing.jsonl", "faces", "looks"),
        "splits",
        "history",
    ),
    "a learning rate": (
        row(f"{TRAIN}/metrics.jsonl", 250, lr=lambda m: m["lr"] * 1.0001),
        "train-log",
        "train-log",
    ),
    "the tokens of a step": (
        row(f"{TRAIN}/metrics.jsonl", 250, tokens=lambda m: m["tokens"] + 1),
        "train-log",
        "train-log",
    ),
    "a step removed": (
        rows(f"{TRAIN}/metrics.jsonl", lambda lines: lines[:100] + lines[101:]),
        "train-log",
        "train-log",
    ),
    "a thinking over its budget": (
        row(f"{WAIT}/samples.jsonl", 5, num_thinking=193),
        "evaluate-log",
        "evaluate-log",
    ),
    "an answer left out": (
        rows(f"{WAIT}/samples.jsonl", lambda lines: lines[:-1]),
        "evaluate-log",
        "evaluate-log",
    ),
    "an accuracy in the results": (
        value(f"{WAIT}/results.json", "all", "accuracy", to=0.9),
        "evaluate-log",
        "evaluate-log",
    ),
    "thrown tokens of a rejected draw": (
        row(f"{REJECT}/samples.jsonl", 0, thrown=0),
        "evaluate-log",
        "evaluate-log",
    ),
    "a clock that goes back": (
        rows(
            f"{TRAIN}/timing.jsonl",
            lambda lines: [*lines, '{"event": "start", "utc": "2020-01-01T00:00:00+00:00"}\n'],
        ),
        "clocks",
        "clocks",
    ),
    "a timed step removed": (
        rows(f"{TRAIN}/timing.jsonl", lambda lines: lines[:50] + lines[51:]),
        "clocks",
        "clocks",
    ),
    "evidence that is not there": (
        replaced(
            "logs/decisions/0010-within-reach-is-half-right-on-dev.md", "45e473d7", "00000000"
        ),
        "decisions",
        None,
    ),
    "a choice removed from a decision": (
        replaced(
            "logs/decisions/0012-keep-the-main-arm-without-doubt.md", r"\*\*Choice\.\*\*", "Well."
        ),
        "decisions",
        None,
    ),
    "an answer to a decision that the index does not have": (
        replaced(
            "logs/decisions/0012-keep-the-main-arm-without-doubt.md",
            r"^\*\*Evidence",
            "**Answered 2026-11-29:** all is well.\n\n**Evidence",
        ),
        "decisions",
        None,
    ),
    "an expectation turned round": (
        replaced("logs/preregistrations/cpu-s1.yaml", "expected: higher", "expected: lower"),
        "preregistrations",
        None,
    ),
    "packed answers beside answers that are not": (
        both(
            added(f"{PACKED}/samples.jsonl", "{}\n"),
            replaced(
                f"{PACKED}/manifest.json", r'"samples.jsonl.gz": ', '"samples.jsonl": {}, \\g<0>'
            ),
        ),
        "schema",
        None,
    ),
    "packed answers whose unpacked hash is not told": (
        replaced(f"{PACKED}/released.json", r'"samples.jsonl": ', '"other.jsonl": '),
        "schema",
        None,
    ),
    "an answer of a packed file left out": (
        packed(
            f"{PACKED}/samples.jsonl.gz",
            lambda lines: lines[:-1],
        ),
        "schema",
        "schema",
    ),
    "a pre-registration with a rule of its form broken": (
        replaced("logs/preregistrations/qwen.yaml", "correction: Holm", "correction: none"),
        "preregistrations",
        None,
    ),
    "a pre-registration of a decision that is not there": (
        replaced("logs/preregistrations/cpu-seeds.yaml", 'decision: "0030"', 'decision: "9999"'),
        "preregistrations",
        None,
    ),
    "a pre-registration of fewer questions": (
        replaced("logs/preregistrations/cpu-s1.yaml", "n: 360", "n: 36"),
        "preregistrations",
        None,
    ),
    "an unfinished reading that no decision tells": (
        replaced(
            "logs/decisions/0056-readings-of-test-that-were-not-finished.md",
            "cpu-s1-seed1-trained-free-test-a17f8dea",
            "cpu-s1-seed1-trained-free-test-00000000",
        ),
        "preregistrations",
        None,
    ),
    "no reading of a pre-registered run on a public benchmark": (
        rows(
            "logs/test-readings.jsonl",
            lambda lines: [line for line in lines if "qwen-trained-math-gsm8k-400" not in line],
        ),
        "preregistrations",
        None,
    ),
    "a reading under the name of a pre-registered run": (
        read_again("cpu-s1-seed1-trained-cap16-test-00000000"),
        "preregistrations",
        None,
    ),
    "a reading with the hash of a pre-registered run": (
        read_again("cpu-s1-trained-cap16-test-e2162679"),
        "preregistrations",
        None,
    ),
    "a run whose reading is not told": (
        replaced(
            "logs/test-readings.jsonl",
            "cpu-trained-free-test-43c273eb",
            "cpu-trained-free-test-00000000",
        ),
        "readings",
        None,
    ),
    "a correction without a reason": (
        replaced("logs/corrections.jsonl", r'"why": "[^"]*"', '"why": ""'),
        "readings",
        None,
    ),
}
