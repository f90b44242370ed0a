"""Falsifications of what lies beside runs: strays, links, names, words that stand, splits by text,
and releases.
"""

import hashlib
import json
import shutil

from falsify import FREE, TRAIN, added, byte, git, replaced, row, rows

from ponder.audit import roots

DECISION = "logs/decisions/0010-within-reach-is-half-right-on-dev.md"
LATE = "logs/decisions/0027-which-settings-make-one-cpu-reproduce-anothers-bits.md"


def linked(path):
    """Put a link to a copy in place of a file."""

    def edit(tree):
        copy = tree / "outputs" / "copy"
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(tree / path, copy)
        (tree / path).unlink()
        (tree / path).symlink_to(copy)
        return [path]

    return edit


def renamed(path, name):
    """Rename a file in its folder."""

    def edit(tree):
        (tree / path).rename((tree / path).with_name(name))
        return []

    return edit


def copied_to(path, name):
    """Copy a file beside itself."""

    def edit(tree):
        shutil.copyfile(tree / path, (tree / path).with_name(name))
        return []

    return edit


def question_of_test(path, number):
    """Give a row the text of a test question, and leave its id and key as they were."""

    def edit(tree):
        test = (tree / "data/cpu/questions/test/facing.jsonl").read_text().splitlines()[0]
        return row(path, number, question=json.loads(test)["question"])(tree)

    return edit


def released_as(name, root, commit="HEAD"):
    """Tag the tree as a release, with a line more that says its root and commit."""

    def edit(tree):
        git(tree, "tag", "-f", name)
        line = {"release": name, "root": root, "utc": "2026-11-28T00:00:00+00:00"}
        line["commit"] = git(tree, "rev-parse", commit).strip()
        with (tree / "logs/releases.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        return []

    return edit


CASES = {
    "a file beside the runs": (added("logs/results.json", "{}\n"), "schema", None),
    "a file beside the runs of a stage": (added("logs/evaluate/best.json", "{}\n"), "schema", None),
    "a file beside the data sets": (added("data/cpu/better.jsonl", "{}\n"), "schema", None),
    "a file in data/": (added("data/results.md", "64%\n"), "schema", None),
    "a decision of another form of name": (
        added("logs/decisions/notes.txt", "we knew\n"),
        "schema",
        None,
    ),
    "a second tokenizer": (
        copied_to("data/cpu/tokenizer.json", "tokenizer2.json"),
        "schema",
        None,
    ),
    "a byte of the tokenizer": (byte("data/cpu/tokenizer.json", 3000), "schema", None),
    "a link in place of samples": (linked(f"{FREE}/samples.jsonl"), "schema", None),
    "a link in place of rows": (linked("data/cpu/cpu/train.jsonl"), "schema", None),
    "a name in another case": (renamed(f"{TRAIN}/batches.jsonl", "Batches.jsonl"), "schema", None),
    "a second file whose name differs in case": (
        copied_to("data/cpu/cpu/README.md", "readme.md"),
        "schema",
        None,
    ),
    "a choice of an old decision reworded": (
        replaced(DECISION, r"\*\*Choice\.\*\*", "**Choice.** Of course:"),
        "history",
        None,
    ),
    "a measurement of an old decision": (
        lambda tree: rows(DECISION, lambda lines: [*lines[:6], *lines[7:]])(tree),
        "history",
        None,
    ),
    "two lines of an old decision exchanged": (
        rows(
            "logs/decisions/0012-keep-the-main-arm-without-doubt.md",
            lambda lines: [*lines[:4], lines[6], lines[5], lines[4], *lines[7:]],
        ),
        "history",
        None,
    ),
    "a row of the glossary reworded": (
        replaced("logs/README.md", r"right answers \|$", "right answers, rounded up |"),
        "history",
        None,
    ),
    "a row of the glossary removed": (
        replaced("logs/README.md", r"^\| `capped` \| samples whose .*\n", ""),
        "history",
        None,
    ),
    "a licence of the model's parts": (
        replaced("data/mof.yml", r"name: Apache-2\.0", "name: MIT"),
        "history",
        None,
    ),
    "a disagreement of the graders removed": (
        rows("logs/disagreements.jsonl", lambda lines: lines[1:]),
        "history",
        None,
    ),
    "a disagreement of the graders turned round": (
        replaced("logs/disagreements.jsonl", '"first": false', '"first": true'),
        "history",
        None,
    ),
    "a pre-registration that gains a line": (
        replaced("logs/preregistrations/cpu-s1.yaml", r"\Z", "# as expected\n"),
        "history",
        None,
    ),
    "a row of the pool with the text of a test question": (
        question_of_test("data/cpu/questions/pool.jsonl", 4),
        "splits",
        "splits",
    ),
    "a training row with the text of a test question": (
        question_of_test("data/cpu/cpu/train.jsonl", 4),
        "splits",
        "splits",
    ),
    "a key of a question": (
        row("data/cpu/questions/pool.jsonl", 7, key="another"),
        "splits",
        "splits",
    ),
    "a root of a release": (released_as("v0", "0" * 64), "releases", None),
    "a release that was tagged before its last change": (
        lambda tree: released_as("v0", root_with_another_makefile(tree))(tree),
        "releases",
        None,
    ),
    "a root of a release that is found in no commit of its line": (
        row("logs/releases.jsonl", 0, root="0" * 64),
        "releases",
        None,
    ),
    "a release of another commit": (
        row("logs/releases.jsonl", 0, commit=lambda line: line["commit"][::-1]),
        "releases",
        None,
    ),
    "a release of whatever is checked out": (
        row("logs/releases.jsonl", 0, commit="HEAD"),
        "releases",
        None,
    ),
    "a release of an older commit": (
        lambda tree: row(
            "logs/releases.jsonl",
            0,
            commit=git(tree, "rev-list", "--max-parents=0", "HEAD").split()[0],
        )(tree),
        "releases",
        None,
    ),
    "a release rewritten": (row("logs/releases.jsonl", 0, release="9.9.9"), "history", None),
}


def root_with_another_makefile(tree):
    """The root that the tree would have with another Makefile."""
    names = [name for name in git(tree, "ls-files", "-z").split("\0") if name]
    digests = {
        name: hashlib.sha256((tree / name).read_bytes()).hexdigest()
        for name in names
        if roots.belongs(name)
    }
    return roots.root_of(digests | {"Makefile": "0" * 64})
