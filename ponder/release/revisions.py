"""Resolve the revisions of a question pool: ask the hub for each `revision: unverified` and write
it into the YAML.

    python -m ponder.release.revisions conf/questions/s1-59k.yaml

Only the word `unverified` changes; comments and layout stay. What a hub holds tomorrow is then no
longer what a run reads.
"""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from ponder.errors import UserError, user_errors
from ponder.questions.hub import UNVERIFIED

HUB = re.compile(r"\s*(?:- )?hub: *[\"']?([\w.-]+/[\w.-]+)")
REVISION = re.compile(rf"(\s*(?:- )?revision: *){UNVERIFIED}\b")
SHA = re.compile(r"[0-9a-f]{40}")


def resolve(
    text: str, ask: Callable[[str], str | None]
) -> tuple[str, dict[str, str], dict[str, str]]:
    """Return (the text with revisions in place, {hub name: sha}, {hub name: why not}).

    A revision belongs to the `hub:` line above it. `ask` returns the sha of a hub name, and may
    raise.
    """
    shas: dict[str, str] = {}
    failures: dict[str, str] = {}
    lines, name = [], None
    for line in text.splitlines(keepends=True):
        if hub := HUB.match(line):
            name = hub[1]
        if name and REVISION.match(line):
            if name not in shas and name not in failures:
                _ask(name, ask, shas, failures)
            if name in shas:
                line = REVISION.sub(rf"\g<1>{shas[name]}", line, count=1)
        lines.append(line)
    return "".join(lines), shas, failures


def _ask(
    name: str,
    ask: Callable[[str], str | None],
    shas: dict[str, str],
    failures: dict[str, str],
) -> None:
    """Ask for a name, and keep its sha or why there is none."""
    try:
        sha = ask(name)
    except Exception as error:  # a hub fails in many ways: network, names, access
        failures[name] = (str(error) or type(error).__name__).splitlines()[0][:200]
        return
    if isinstance(sha, str) and SHA.fullmatch(sha):
        shas[name] = sha
    else:
        failures[name] = f"its answer {str(sha)[:50]!r} is no revision"


def ask_hub(name: str) -> str | None:
    """Return the sha of the newest revision of a data set on the hub."""
    from huggingface_hub import HfApi

    return HfApi().dataset_info(name, timeout=30).sha


@user_errors
def main(path: Path) -> None:
    """Resolve one file in place and print the revisions; raises UserError, after writing, where
    one is not known.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); name a file like conf/questions/s1-59k.yaml"
        ) from error
    resolved, shas, failures = resolve(text, ask_hub)
    if resolved != text:
        beside = path.with_name(f"{path.name}.new")
        beside.write_text(resolved, encoding="utf-8")
        os.replace(beside, path)
    for name, sha in shas.items():
        print(f"{name} {sha}")
    if shas:  # when all failed, one sentence says it
        for name, why in failures.items():
            print(f"{name} not found: {why}")
    if failures:
        name, why = next(iter(failures.items()))
        raise UserError(
            f"{len(failures)} of {len(shas) + len(failures)} data sets could not be asked for, the "
            f"first being {name} ({why.rstrip('.')}); run this again where the hub is in reach"
        )
    print(f"{path}: {len(shas)} data sets resolved" if shas else f"{path}: nothing to resolve")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print(
            "usage: python -m ponder.release.revisions conf/questions/<name>.yaml", file=sys.stderr
        )
        sys.exit(2)
    main(Path(sys.argv[1]).resolve())
