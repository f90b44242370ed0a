"""What a check answers, and how records are read: once each, and with a sentence for a file that is not readable."""

import functools
import gzip
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from ponder.errors import UserError
from ponder.runs import ROOT

STAGES = ("collect", "train", "evaluate")
DATA = ROOT / "data" / "cpu"


@dataclass(frozen=True)
class Verdict:
    """The answer of one check."""

    check: str
    result: str  # PASS | FAIL | UNSUPPORTED: cannot be told here | NOT_RUN: there is nothing to look at yet
    looked_at: str  # what was looked at, with counts; for UNSUPPORTED and NOT_RUN why
    proves: str
    leaves_open: str  # what it does not prove
    problems: tuple[str, ...] = ()


class Damaged(UserError):
    """A record that no check can read; its text says which and how."""


class Unsupported(Exception):
    """What a check asks cannot be told here; its text says why and what helps."""


def answered(name, check, proves, leaves_open):
    """Return the Verdict of a check; records that it cannot read, or that lack what it needs, are a FAIL and no crash."""
    try:
        looked_at, problems = check()
    except Unsupported as why:
        return Verdict(name, "UNSUPPORTED", str(why), proves, leaves_open)
    except Exception as error:  # records are hostile: whatever they bring up is a finding
        said = (
            str(error)
            if isinstance(error, Damaged)
            else f"{type(error).__name__}: {str(error)[:200]}"
        )
        return Verdict(
            name, "FAIL", "stopped at a record that it could not read", proves, leaves_open, (said,)
        )
    return Verdict(
        name, "FAIL" if problems else "PASS", looked_at, proves, leaves_open, tuple(problems)
    )


@functools.cache
def contents(path):
    """Return the bytes of a file, read once, unpacked where it is packed; raises Damaged."""
    try:
        data = Path(path).read_bytes()
        return gzip.decompress(data) if path.name.endswith(".gz") else data
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        raise Damaged(f"{shown(path)} cannot be read ({type(error).__name__})") from error


@functools.cache
def read(path):
    """Return the value of a .json or .yaml file, or the rows of a .jsonl file, read once; raises Damaged."""
    text = contents(path)
    try:
        if ".jsonl" in path.name:
            return [json.loads(line) for line in text.splitlines()]
        return (
            yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            if path.suffix == ".yaml"
            else json.loads(text)
        )
    except (ValueError, yaml.YAMLError) as error:
        raise Damaged(
            f"{shown(path)} is no {path.suffix[1:]} ({str(error).splitlines()[0]})"
        ) from error


def shown(path):
    """Return a path as seen from the repository."""
    return Path(path).relative_to(ROOT).as_posix()


def runs(*stages):
    """Return the folders of the released runs of some stages, or of all."""
    return [
        path
        for stage in stages or STAGES
        for path in sorted((ROOT / "logs" / stage).glob("*"))
        if path.is_dir()
    ]


def status(folder):
    """Return status.json of a released run."""
    return read(folder / "status.json")


def completed(stage):
    """Return the folders of the released runs of a stage that came to their end."""
    return [folder for folder in runs(stage) if status(folder)["status"] == "completed"]


def released(folder, key):
    """Return what released.json says under `moved` or `left_out`, {} where a run has none."""
    return (
        read(folder / "released.json").get(key, {}) if (folder / "released.json").exists() else {}
    )


def place(folder, name):
    """Return where a file of a released run lies: in its folder, or where released.json says that it was moved."""
    moved = released(folder, "moved")
    return ROOT / moved[name] if name in moved else folder / name


def git(*words):
    """Return what git says of this repository, or None where it fails."""
    plain = (
        "--no-replace-objects",
        "-c",
        "log.showSignature=false",
        "-c",
        "log.showRoot=true",
    )  # whatever a user's settings say
    done = subprocess.run(["git", "-C", str(ROOT), *plain, *words], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def need_history():
    """Raise Unsupported where git cannot tell the history here."""
    if (top := git("rev-parse", "--show-toplevel")) is None or not ROOT.samefile(top.strip()):
        raise Unsupported("this is no git checkout; clone the repository")
    if git("rev-parse", "--is-shallow-repository").strip() != "false":
        raise Unsupported("this clone is shallow; run git fetch --unshallow")
