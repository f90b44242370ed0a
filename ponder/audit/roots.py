"""One hash over everything that a release consists of, and whether each release is what was said of
it: logs/releases.jsonl has a line for each, with its tag and its root.
"""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ponder.audit.checks import ROOT, Findings, git, git_text, need_history, read

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
    return {name: sha256(path) for name, path in files.items() if path.is_file()}


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def at(commit: str) -> dict[str, str]:
    """Return {path: SHA-256} of what belonged to a release in a commit or tag; raises
    RecordError.
    """
    blobs = {}
    for entry in git_text("ls-tree", "-r", "-z", commit).split("\0"):
        meta, _, name = entry.partition("\t")
        if name and belongs(name):
            blobs[name] = meta.split()[2]
    return dict(zip(blobs, _sha256_of_blobs([*blobs.values()]), strict=True))


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


def releases() -> Findings:
    """Whether the root of each release is that of the files at its tag."""
    rows = read(RELEASES) if RELEASES.exists() else []
    need_history()
    problems, missing = [], []
    for row in rows:
        tag = row["release"]
        if git("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}") is None:
            missing.append(tag)
            continue
        root = root_of(at(f"refs/tags/{tag}"))
        if root != row["root"]:
            problems.append(
                f"logs/releases.jsonl says that release {tag} has the root {row['root'][:16]}..., "
                f"its files at that tag have {root[:16]}..."
            )
    words = f"{len(rows)} releases; the root of this tree is {root_of(here())}"
    if missing:
        words += f"; tags that this clone has not: {', '.join(missing)}"
    return Findings(words, problems)
