"""Resolve the revisions of a question pool: ask the hub for each `revision: unverified` and write it into the YAML.

    python -m ponder.release.revisions conf/questions/s1-59k.yaml

Only the word `unverified` changes; comments and layout stay. What a hub holds tomorrow is then no longer what a run reads.
"""

import os
import re
import sys
from pathlib import Path

from ponder.errors import UserError, user_errors
from ponder.questions.hub import UNVERIFIED

HUB = re.compile(r"\s*(?:- )?hub: *[\"']?([\w.-]+/[\w.-]+)")
REVISION = re.compile(rf"(\s*(?:- )?revision: *){UNVERIFIED}\b")
SHA = re.compile(r"[0-9a-f]{40}")


def resolved(text, ask):
    """Return (the text with revisions in place, {hub name: sha}, {hub name: why not}).

    A revision belongs to the `hub:` line above it. `ask` returns the sha of a hub name, and may raise.
    """
    found, failed, lines, name = {}, {}, [], None
    for line in text.splitlines(keepends=True):
        if hub := HUB.match(line):
            name = hub[1]
        if name and REVISION.match(line):
            if name not in found and name not in failed:
                _ask(name, ask, found, failed)
            line = REVISION.sub(rf"\g<1>{found[name]}", line, count=1) if name in found else line
        lines.append(line)
    return "".join(lines), found, failed


def _ask(name, ask, found, failed):
    try:
        sha = ask(name)
    except Exception as error:  # a hub fails in many ways: network, names, access
        failed[name] = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        return
    if isinstance(sha, str) and SHA.fullmatch(sha):
        found[name] = sha
    else:
        failed[name] = f"its answer {str(sha)[:50]!r} is no revision"


def ask_hub(name):
    """Return the sha of the newest revision of a data set on the hub."""
    from huggingface_hub import HfApi

    return HfApi().dataset_info(name, timeout=30).sha


@user_errors
def main(path):
    """Resolve one file in place and say what was found; raises UserError, after writing, where something was not."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); name a file like conf/questions/s1-59k.yaml"
        ) from error
    new, found, failed = resolved(text, ask_hub)
    if new != text:
        beside = path.with_name(f"{path.name}.new")
        beside.write_text(new, encoding="utf-8")
        os.replace(beside, path)
    for name, sha in found.items():
        print(f"{name} {sha}")
    for name, why in failed.items() if found else ():  # when all failed, one sentence says it
        print(f"{name} not found: {why}")
    if failed:
        name, why = next(iter(failed.items()))
        raise UserError(
            f"{len(failed)} of {len(found) + len(failed)} data sets could not be asked for, the first being {name} "
            f"({why.rstrip('.')}); run this again where the hub is in reach"
        )
    print(f"{path}: {len(found)} data sets resolved" if found else f"{path}: nothing to resolve")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print(
            "usage: python -m ponder.release.revisions conf/questions/<name>.yaml", file=sys.stderr
        )
        sys.exit(2)
    main(Path(sys.argv[1]).resolve())
