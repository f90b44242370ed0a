"""One hash over everything that a release consists of, and whether each release is what was said of
it: logs/releases.jsonl has a line for each, with its tag, the commit and its root. What belongs to
a root never changes: old roots would not be found again.

    python -m ponder.audit.roots 0.2.0    # makes the commit that is checked out release 0.2.0
"""

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ponder.audit.checks import ROOT, Findings, digests, read
from ponder.audit.git import git, git_text, need_history
from ponder.errors import UserError, user_errors
from ponder.runs import dump

TOPS = ("logs", "data", "conf", "ponder", "tests", "locks", ".ci")
FILES = (
    "audit.py",
    "collect.py",
    "train.py",
    "evaluate.py",
    "Makefile",
    "pyproject.toml",
    "requirements.lock",
    ".gitattributes",
    "LICENSE",
)
# They print the root, or are made from what does.
WITHOUT = ("logs/README.md", "logs/claims.jsonl", "logs/releases.jsonl")
RELEASES = ROOT / "logs" / "releases.jsonl"
NAME, COMMIT = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+"), re.compile("[0-9a-f]{40}")


def belongs(name: str) -> bool:
    """Whether a file of the checkout is part of a release's root: data, records, configuration,
    code, tests, Makefile, CI and locks.
    """
    top = name.split("/")[0]
    is_made = "__pycache__" in name or name.endswith(".pyc")
    return (top in TOPS or name in FILES) and name not in WITHOUT and not is_made


def root_of(digests: dict[str, str]) -> str:
    """Return the root of files: the SHA-256 of a line "SHA-256  path" for each, sorted by path, as
    `sha256sum` prints them.
    """
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


def here() -> dict[str, str]:
    """Return {path: SHA-256} of what belongs to a release, as it lies in the work tree."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed is None:
        paths = [path for top in TOPS for path in (ROOT / top).rglob("*")]
        names = [path.relative_to(ROOT).as_posix() for path in paths] + [*FILES]
    else:
        names = listed.split("\0")
    wanted = sorted({name for name in names if name and belongs(name)})
    files = {name: ROOT / name for name in wanted}
    return {name: digests(path).sha256 for name, path in files.items() if path.is_file()}


def at(commit: str) -> dict[str, str]:
    """Return {path: SHA-256} of what belonged to a release in a commit or tag; raises
    RecordError. What the work tree has of it, by git's id, is not asked of git again.
    """
    blobs = {}
    for entry in git_text("ls-tree", "-r", "-z", commit).split("\0"):
        meta, _, name = entry.partition("\t")
        if name and belongs(name):
            blobs[name] = meta.split()[2]
    paths = [ROOT / name for name in blobs]
    known = {found.blob: found.sha256 for found in map(digests, filter(Path.is_file, paths))}
    missing = sorted({ident for ident in blobs.values() if ident not in known})
    known |= dict(zip(missing, _sha256_of_blobs(missing), strict=True))
    return {name: known[ident] for name, ident in blobs.items()}


def _sha256_of_blobs(blobs: list[str]) -> Iterator[str]:
    command = ["git", "-C", str(ROOT), "cat-file", "--batch"]
    asked = "".join(f"{blob}\n" for blob in blobs).encode()
    answer = subprocess.run(command, input=asked, capture_output=True, check=True).stdout
    place = 0
    for _ in blobs:
        head = answer.index(b"\n", place)
        size = int(answer[place:head].split()[2])
        yield hashlib.sha256(answer[head + 1 : head + 1 + size]).hexdigest()
        place = head + 2 + size


def commit_of(name: str) -> str:
    """Return the commit of a release by its name; any other name as it is, for git to resolve."""
    rows = read(RELEASES) if RELEASES.exists() else []
    return next((row["commit"] for row in rows if row["release"] == name), name)


def releases() -> Findings:
    """Whether the root of each release is that of the files at its commit, and at its tag."""
    rows = read(RELEASES) if RELEASES.exists() else []
    need_history()
    problems, untagged = [], []
    for row in rows:
        commit, tag = row["commit"], f"refs/tags/{row['release']}"
        if not (COMMIT.fullmatch(commit) and NAME.fullmatch(row["release"])):
            problems.append(
                f"logs/releases.jsonl: {row['release']!r} at {commit!r} is no release; its name is "
                "such as 0.2.0, and its commit the whole name of one"
            )
            continue
        if git("merge-base", "--is-ancestor", commit, "HEAD") is None:
            problems.append(
                f"logs/releases.jsonl: the commit of release {row['release']} is none of this "
                "history"
            )
            continue
        places = [commit]
        if git("rev-parse", "--verify", "--quiet", tag) is None:
            untagged.append(row["release"])
        else:
            places.append(tag)
        problems += [
            f"logs/releases.jsonl says that release {row['release']} has the root "
            f"{row['root'][:16]}..., its files at {place} have {root[:16]}..."
            for place in places
            if (root := root_of(at(place))) != row["root"]
        ]
    words = f"{len(rows)} releases; the root of this tree is {root_of(here())}"
    if untagged:
        words += f"; looked up by commit, for this clone has no such tag: {', '.join(untagged)}"
    return Findings(words, problems)


def line(name: str) -> str:
    """Return the line of logs/releases.jsonl that makes the commit which is checked out a release;
    "" where it is there already.

    Raises UserError for a name that no tag can have or that is taken, and for a tree that differs
    from its commit.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name of a release; give one such as 0.2.0")
    commit = git_text("rev-parse", "HEAD").strip()
    rows = read(RELEASES) if RELEASES.exists() else []
    if rows and (rows[-1]["release"], rows[-1]["commit"]) == (name, commit):
        return ""  # what follows the line was interrupted, and is done again
    if name in {row["release"] for row in rows}:
        raise UserError(f"{name} is released already; give the next name")
    root = root_of(here())
    if root != root_of(at(commit)):
        raise UserError("the files differ from the commit that is checked out; commit them first")
    utc = datetime.now(UTC).isoformat(timespec="seconds")
    return dump({"release": name, "commit": commit, "root": root, "utc": utc})


@user_errors
def main(words: list[str]) -> None:
    """Add the line of a release and say what is to be done with it."""
    if len(words) != 1:
        raise UserError("name the release: python -m ponder.audit.roots 0.2.0")
    text = line(words[0])
    with RELEASES.open("a") as file:
        file.write(text)
    print(f"logs/releases.jsonl has release {words[0]}; now make paper, commit, and tag the commit")


if __name__ == "__main__":
    main(sys.argv[1:])
