"""The auditor is audited: the real released tree is falsified in many ways, and the right check
must say FAIL each time.

Each mutation of a file that a manifest lists is made a second time with that manifest, and every
manifest that names the file, recomputed to hide it.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))
FREE = "logs/evaluate/cpu-trained-free-test-43c273eb"
WAIT = "logs/evaluate/cpu-trained-wait1-test-1c9529df"
REJECT = "logs/evaluate/cpu-trained-reject32-sampled1-test-bfaa880a"
TRAIN = "logs/train/cpu-d57f96ff"
WORKER = """
import json, sys
sys.path.insert(0, ".")
import audit
from ponder.audit import checks
for line in sys.stdin:
    for cached in (checks.contents, checks.read, checks.samples):
        cached.cache_clear()
    verdicts = audit.verdicts(line.split())
    print(json.dumps([[v.check, v.result, v.problems] for v in verdicts]), flush=True)
"""


def git(tree, *words):
    command = ["git", "-C", str(tree), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A clone of the repository with the work tree of this one as its last commit."""
    if subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--git-dir"], capture_output=True
    ).returncode:
        pytest.skip("this is no git checkout, and the tree is falsified in a clone")
    tree = tmp_path_factory.mktemp("audited") / "tree"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tree)], check=True)
    listed = set(git(ROOT, "ls-files", "-z", "-co", "--exclude-standard").split("\0")) - {""}
    for name in (
        set(git(tree, "ls-files", "-z").split("\0"))
        - {""}
        - {n for n in listed if (ROOT / n).is_file()}
    ):
        (tree / name).unlink()
    for name in listed:
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "--allow-empty", "-m", "the work tree")
    return tree


@pytest.fixture(scope="module")
def audited(tree):
    """A function that runs checks in the tree and returns {check: (result, problems)}."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        cwd=tree,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(*names):
        worker.stdin.write(" ".join(names) + "\n")
        worker.stdin.flush()
        return {
            check: (result, problems)
            for check, result, problems in json.loads(worker.stdout.readline())
        }

    yield run
    worker.stdin.close()
    worker.wait()


# --- ways to falsify -------------------------------------------------------------------


def replaced(path, old, new, count=1):
    """Replace text in a file; `old` is a regular expression that must be there."""

    def edit(tree):
        text = (tree / path).read_text()
        assert re.search(old, text, re.MULTILINE), f"{old} is not in {path}"
        (tree / path).write_text(re.sub(old, new, text, count=count, flags=re.MULTILINE))
        return [path]

    return edit


def row(path, number, **changes):
    """Change values in one row of a JSON-lines file."""

    def edit(tree):
        lines = (tree / path).read_text().splitlines(keepends=True)
        values = json.loads(lines[number])
        for key, value in changes.items():
            values[key] = value(values) if callable(value) else value
        lines[number] = json.dumps(values, sort_keys=True, ensure_ascii=False) + "\n"
        (tree / path).write_text("".join(lines))
        return [path]

    return edit


def rows(path, change):
    """Replace the lines of a file by what `change` returns of them."""

    def edit(tree):
        (tree / path).write_text(
            "".join(change((tree / path).read_text().splitlines(keepends=True)))
        )
        return [path]

    return edit


def every(path, change):
    """Change each row of a JSON-lines file."""
    return rows(
        path,
        lambda lines: [
            json.dumps(change(json.loads(line)), sort_keys=True, ensure_ascii=False) + "\n"
            for line in lines
        ],
    )


def byte(path, at):
    """Flip one bit of one byte."""

    def edit(tree):
        data = bytearray((tree / path).read_bytes())
        data[at] ^= 1
        (tree / path).write_bytes(data)
        return [path]

    return edit


def value(path, *keys, to):
    """Change one value in a JSON file."""

    def edit(tree):
        whole = part = json.loads((tree / path).read_text())
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = to(part[keys[-1]]) if callable(to) else to
        (tree / path).write_text(
            json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        )
        return [path]

    return edit


def swapped_text(path, one, other):
    """Exchange two texts in a file."""

    def edit(tree):
        text = (tree / path).read_text()
        assert one in text and other in text
        (tree / path).write_text(
            text.replace(f'"{one}"', "@")
            .replace(f'"{other}"', f'"{one}"')
            .replace("@", f'"{other}"')
        )
        return [path]

    return edit


def copied(source, path):
    def edit(tree):
        shutil.copyfile(tree / source, tree / path)
        return [path]

    return edit


def removed(path):
    def edit(tree):
        target = tree / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        return []

    return edit


def added(path, text):
    def edit(tree):
        (tree / path).write_text(text)
        return []

    return edit


def swapped(one, other):
    def edit(tree):
        (tree / one).rename(tree / "swap")
        (tree / other).rename(tree / one)
        (tree / "swap").rename(tree / other)
        return []

    return edit


def failed_run_deleted(tree):
    failed = [
        path.parent
        for path in sorted(tree.glob("logs/*/*/status.json"))
        if json.loads(path.read_text())["status"] != "completed"
    ]
    assert failed, "no failed or abandoned run is released"
    shutil.rmtree(failed[0])
    return []


def both(*edits):
    return lambda tree: [path for edit in edits for path in edit(tree)]


def hidden(tree, paths):
    """Recompute each manifest that names one of these files, by its path or by released.json;
    return whether there was one.
    """
    was_listed = False
    for manifest in [*tree.glob("logs/*/*/manifest.json"), *tree.glob("data/cpu/*/manifest.json")]:
        record = json.loads(manifest.read_text())
        places = {name: manifest.parent / name for name in record["files"]}
        if (manifest.parent / "released.json").exists():
            moved = json.loads((manifest.parent / "released.json").read_text())["moved"]
            places |= {name: tree / place for name, place in moved.items()}
        for name, place in places.items():
            if place in {tree / path for path in paths}:
                data = place.read_bytes()
                record["files"][name] |= {
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "bytes": len(data),
                }
                manifest.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
                was_listed = True
    return was_listed


# What is done: (the edit, the check that must see it, and the one that must with manifests
# recomputed, or None).
CASES = {
    "a file of a run removed": (removed(f"{FREE}/results.json"), "schema", None),
    "a field of a sample removed": (
        replaced(f"{FREE}/samples.jsonl", r'"gold": "[^"]*", ', ""),
        "schema",
        "schema",
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
        replaced("README.md", r"(<!--=[^>]*-->)1,000<!--/-->", r"\g<1>2,000<!--/-->"),
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
    "a pre-registration of fewer questions": (
        replaced("logs/preregistrations/cpu-s1.yaml", "n: 360", "n: 36"),
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


def test_the_released_tree_passes_every_check(tree):
    process = subprocess.run([sys.executable, "audit.py"], cwd=tree, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr
    assert "FAIL" not in process.stdout


def test_every_check_has_two_mutations_and_there_are_forty():
    import audit

    seen = {check: sum(check in case for case in CASES.values()) for check in audit.CHECKS}
    assert min(seen.values()) >= 2, seen
    assert len(CASES) >= 40


@pytest.fixture
def restored(tree):
    yield tree
    git(tree, "checkout", "-q", "--", ".")
    git(tree, "clean", "-fdqx", "logs", "data", "paper")


@pytest.mark.parametrize("name", CASES)
def test_a_falsified_tree_fails_the_right_check(name, restored, audited):
    edit, check, _ = CASES[name]
    edit(restored)
    result, problems = audited(check)[check]
    if (
        result == "UNSUPPORTED"
        and git(restored, "rev-parse", "--is-shallow-repository").strip() == "true"
    ):
        pytest.skip("a shallow clone has no history to be checked")
    assert result == "FAIL", f"{check} says {result}"
    assert problems


@pytest.mark.parametrize("name", [name for name, (_, _, check) in CASES.items() if check])
def test_it_fails_with_the_manifests_recomputed_as_well(name, restored, audited):
    edit, _, check = CASES[name]
    assert hidden(restored, edit(restored)) or "questions" in name or "question" in name
    results = {name: result for name, (result, _) in audited(check, "history").items()}
    assert results[check] == "FAIL", results
    assert results["history"] in ("FAIL", "UNSUPPORTED"), results


def test_a_record_that_cannot_be_read_is_a_failure_and_no_crash(restored, audited):
    (restored / FREE / "status.json").write_text("{")
    assert all(audited(name)[name][0] == "FAIL" for name in ("schema", "names", "evaluate-log"))


def test_a_decision_may_gain_a_dated_line_and_the_history_stays_whole(restored, audited):
    edit, _, _ = CASES["an answer to a decision that the index does not have"]
    edit(restored)
    assert audited("history")["history"][0] in ("PASS", "UNSUPPORTED")
