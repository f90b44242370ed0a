"""What every output of the audit begins with: which tree is looked at, by which code, when, and
what has to be trusted for the verdicts to hold.
"""

import functools
import hashlib
import os
import platform
from datetime import UTC, datetime

from ponder.audit.checks import CODE, ROOT, blob, digests
from ponder.audit.git import git, git_text


def facts() -> dict[str, str]:
    """Return {what: what it is} of an audit: the tree, the auditor, the date, what is trusted."""
    return {
        "tree": tree(),
        "auditor": f"{code_sha256()[:16]}, the hash of its code; {whose()}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "trusted": f"that code, Python {platform.python_version()} with the packages it imports, "
        f"and git; {'of the tree nothing is run' if ROOT != CODE else 'the tree itself is run'}",
    }


def heading() -> list[str]:
    """Return the first lines of every output."""
    return [f"{name.upper():8} {text}" for name, text in facts().items()]


def tree() -> str:
    """Return the commit of the tree that is looked at, and whether its files differ from it."""
    head = git("rev-parse", "HEAD")
    top = git("rev-parse", "--show-toplevel")
    if head is None or top is None or not ROOT.samefile(top.strip()):
        return "no git checkout, so of no commit"
    count = len(changed())
    return f"commit {head.strip()}, {f'dirty: {count} files differ' if count else 'clean'}"


def changed() -> list[str]:
    """Return the files that differ from the commit, that it has not, or that are gone.

    git status would tell it too, and run what the tree's own settings name as a filter.
    """
    listed = {}
    for entry in filter(None, git_text("ls-tree", "-r", "-z", "HEAD").split("\0")):
        meta, _, path = entry.partition("\t")
        listed[path] = meta.split()[2]
    others = git_text("ls-files", "-z", "--others", "--exclude-standard").split("\0")
    return [
        *(path for path, known in listed.items() if blob_of(path) != known),
        *filter(None, others),
    ]


def blob_of(path: str) -> str | None:
    """Return the id that git gives to a file of the tree, None where it is not there."""
    file = ROOT / path
    if file.is_symlink():
        return blob(os.readlink(file).encode())
    return digests(file).blob if file.is_file() else None


def whose() -> str:
    """Return words on where the auditing code lies."""
    if ROOT == CODE:
        return "it is the tree's own: with --root another checkout's code looks at this tree"
    return "of another checkout than the tree"


@functools.cache
def code_sha256() -> str:
    """Return one hash of all code of the audit and of what it imports from this repository."""
    digest = hashlib.sha256()
    for path in sorted([CODE / "audit.py", *(CODE / "ponder").rglob("*.*")]):
        if path.suffix in (".py", ".html"):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(CODE).as_posix()} {content}\n".encode())
    return digest.hexdigest()
