"""How the audit asks git. Settings of a tree that is not trusted could name a program to run: those
are switched off.
"""

import os
import subprocess

from ponder.audit.checks import Unsupported
from ponder.errors import RecordError
from ponder.runs import ROOT

SETTINGS = (
    "log.showSignature=false",
    "log.showRoot=true",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "protocol.allow=never",
)


def git(*words: str) -> str | None:
    """Return what git says of this repository, whatever its settings or a user's are; None if it
    fails.
    """
    settings = [part for setting in SETTINGS for part in ("-c", setting)]
    command = ["git", "-C", str(ROOT), "--no-replace-objects", *settings, *words]
    alone = os.environ | {"GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"}
    process = subprocess.run(command, capture_output=True, text=True, env=alone)
    return process.stdout if process.returncode == 0 else None


def git_text(*words: str) -> str:
    """Return what git says, as `git` does; raises RecordError where it fails."""
    text = git(*words)
    if text is None:
        raise RecordError(f"git {' '.join(words)} failed; repair this clone, or take a new one")
    return text


def commit_times() -> dict[str, int]:
    """Return {commit: when it was made} of the history of this checkout."""
    lines = git_text("log", "--format=%H %ct").splitlines()
    return {commit: int(when) for commit, when in map(str.split, lines)}


def need_history() -> None:
    """Raise Unsupported where git cannot tell the history here."""
    top = git("rev-parse", "--show-toplevel")
    if top is None or not ROOT.samefile(top.strip()):
        raise Unsupported("this is no git checkout; clone the repository")
    if git_text("rev-parse", "--is-shallow-repository").strip() != "false":
        raise Unsupported("this clone is shallow; run git fetch --unshallow")
