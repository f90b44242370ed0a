"""Ways to falsify a released tree, and the clone in which tests do it."""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from ponder.evaluate import results
from ponder.report import pdf
from ponder.rows import SampleRow, row_of

ROOT = Path(__file__).resolve().parents[1]
FREE = "logs/evaluate/cpu-trained-free-test-43c273eb"
WAIT = "logs/evaluate/cpu-trained-wait1-test-1c9529df"
REJECT = "logs/evaluate/cpu-trained-reject32-sampled1-test-bfaa880a"
TRAIN = "logs/train/cpu-d57f96ff"
# The checks of this checkout's code on another tree, asked line by line. What they know of a file
# goes by its time and size, and the grade of a reply by its text; what they made of several files
# is forgotten.
WORKER = """
import functools, json, sys
sys.path.insert(0, sys.argv[1])
import audit
sys.path.remove(sys.argv[1])
audit.look_at(sys.argv[2])
KEPT = {"_contents", "_read", "_samples", "encoded", "tokenizer_at", "_hash"}
def forget():
    for name, module in list(sys.modules.items()):
        if name.startswith("ponder.") and not name.startswith("ponder.grading."):
            for name, value in list(vars(module).items()):
                if isinstance(value, functools._lru_cache_wrapper) and name not in KEPT:
                    value.cache_clear()
def once(make, key_of):
    known = {}
    def remembered(*arguments):
        key = key_of(*arguments)
        if key not in known:
            known.clear()
            known[key] = make(*arguments)
        return known[key]
    return remembered
def inputs(logs):
    files = [*logs.rglob("*"), *logs.parent.glob("data/**/*"), *logs.parent.glob("paper/*.yaml")]
    files += logs.parent.glob("conf/**/*")
    made = ("claims.jsonl", "README.md")
    return tuple((file, checks.stamp(file)) for file in files if file.name not in made)
from ponder.audit import answers, checks, numbers, seen
from ponder.grading import verify
verify.is_right = functools.cache(verify.is_right)
KEPT |= {"mark", "is_right"}
answers.mark = functools.cache(answers.mark)
numbers.made_numbers = once(numbers.made_numbers, inputs)
numbers.drawn_again = once(numbers.drawn_again, lambda results: json.dumps(results))
def paper(logs):
    files = [*(logs.parent / "paper").rglob("*.*"), logs / "claims.jsonl", logs / "literals.yaml"]
    files = [file for file in files if file.suffix != ".md"]
    return tuple((file, checks.stamp(file)) for file in files)
seen.paper = once(seen.paper, lambda: paper(checks.ROOT / "logs"))
for line in sys.stdin:
    forget()
    verdicts = audit.verdicts(line.split())
    print(json.dumps([[v.check, v.result, v.problems] for v in verdicts]), flush=True)
"""


def git(tree, *words):
    """Return what git says in a tree; raises CalledProcessError."""
    command = ["git", "-C", str(tree), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def clone(tree):
    """Make a clone of the repository with the work tree of this one as its last commit."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tree)], check=True)
    listed = set(git(ROOT, "ls-files", "-z", "-co", "--exclude-standard").split("\0")) - {""}
    here = {name for name in listed if (ROOT / name).is_file()}
    for name in set(git(tree, "ls-files", "-z").split("\0")) - {""} - here:
        (tree / name).unlink()
    for name in here:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tree / name)
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "--allow-empty", "-m", "the work tree")


def auditor(tree):
    """Return the process that answers which checks fail in a tree, a line for a line."""
    return subprocess.Popen(
        [sys.executable, "-I", "-c", WORKER, str(ROOT), str(tree)],
        cwd=tree,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


# --- ways to falsify -------------------------------------------------------------------


def replaced(path, old, new, count=1):
    """Replace text in a file; `old` is a regular expression that must be there."""

    def edit(tree):
        text = (tree / path).read_text()
        assert re.search(old, text, re.MULTILINE), f"{old} is not in {path}"
        (tree / path).write_text(re.sub(old, new, text, count=count, flags=re.MULTILINE))
        return [path]

    return edit


def set_again(path, old, new, kept=False):
    """Replace text in a file that the paper is set from and set it; put the file back, or not."""

    def edit(tree):
        before = (tree / path).read_text()
        paths = replaced(path, old, new)(tree)
        (tree / "paper" / "paper.pdf").write_bytes(pdf.compiled(tree / "paper"))
        if not kept:
            (tree / path).write_text(before)
        return [*paths, "paper/paper.pdf"]

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


def packed(path, change):
    """Replace the lines of a packed file by what `change` returns of them."""

    def edit(tree):
        lines = gzip.decompress((tree / path).read_bytes()).decode().splitlines(keepends=True)
        (tree / path).write_bytes(gzip.compress("".join(change(lines)).encode(), mtime=0))
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


def remade(tree, run, with_output=True):
    """Count again what follows from the samples of an evaluation, and print it as it would have;
    return the files that changed.
    """
    folder = tree / run
    answers = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    answers = [row_of(SampleRow, answer) for answer in answers]
    old = json.loads((folder / "results.json").read_text())
    new = {
        "tasks": {
            task: results.summary([s for s in answers if s.task == task], "forged")
            for task in old["tasks"]
        },
        "all": results.summary(answers, "forged"),
    }
    (folder / "results.json").write_text(json.dumps(new, indent=1, sort_keys=True) + "\n")
    retimed(folder, sum(len(answer.ids) + (answer.thrown or 0) for answer in answers))
    if with_output:
        log = folder / "stdout.log"
        kept = [line for line in log.read_text().splitlines() if "%" not in line]
        output = SimpleNamespace(
            name=folder.name,
            folder=f"outputs/evaluate/{folder.name}",
            config={"benchmark": {"limit": None}},
        )
        log.write_text("\n".join([*kept, results.report(output, new)]) + "\n")
    paths = [f"{run}/{path.name}" for path in folder.iterdir() if path.name != "manifest.json"]
    hidden(tree, paths)
    return paths


def retimed(folder, tokens):
    """Let the blocks of timing.jsonl add up to so many tokens."""
    lines = [json.loads(line) for line in (folder / "timing.jsonl").read_text().splitlines()]
    counted = [line for line in lines if "tokens" in line]
    if counted:
        counted[0]["tokens"] += tokens - sum(line["tokens"] for line in counted)
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    (folder / "timing.jsonl").write_text(text)
