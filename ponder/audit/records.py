"""Checks on run folders and data sets: which files must be there, their hashes, the names of runs,
and that git never saw a released byte change.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ponder import rows
from ponder.audit import origins
from ponder.audit.checks import (
    DATA,
    ROOT,
    STAGES,
    Findings,
    git_text,
    need_history,
    place,
    read,
    released,
    runs,
    shown,
    status,
)
from ponder.hashing import file_sha256
from ponder.report.released import superseded
from ponder.runs import run_hash

ALWAYS = {"config.yaml", "environment.json", "manifest.json", "status.json", "timing.jsonl"}
# Of completed runs; a training has weights under their own name too.
WHOLE = {
    "collect": {"train.jsonl", "traces.jsonl", "funnel.json", "stdout.log"},
    "train": {"metrics.jsonl", "batches.jsonl", "stdout.log"},
    "evaluate": {"samples.jsonl", "results.json", "stdout.log"},
}
# Of the first data sets, written after their manifests.
CARD = {"README.md", "croissant.json", "family.svg", "length.svg"}

BASE = re.compile(r"(teacher/)?base/")  # the inputs that are files of a base model

Types = tuple[type, ...]


def one_type(*names: str, of: type) -> dict[str, Types]:
    """Return {name: (of,)} of some fields."""
    return dict.fromkeys(names, (of,))


STATUS = {
    **one_type("stage", "name", "status", of=str),
    **one_type("schema", of=int),
    **one_type("inputs", of=dict),
    **one_type("commits", of=list),
}
# Of each file of rows: the types of its fields, and the fields that every row has.
FIELDS = {
    "samples.jsonl": rows.types_of(rows.SampleRow),
    "traces.jsonl": rows.types_of(rows.Trace),
    "train.jsonl": rows.types_of(rows.Trace),
    "metrics.jsonl": {
        **one_type("step", "tokens", "loss_tokens", of=int),
        **one_type("loss", "lr", "grad_norm", of=float),
    },
    "batches.jsonl": {**one_type("step", of=int), **one_type("ids", of=list)},
}
REQUIRED = {name: list(fields) for name, fields in FIELDS.items()} | {
    "samples.jsonl": rows.required(rows.SampleRow),
    "traces.jsonl": rows.required(rows.Trace),
    "train.jsonl": rows.required(rows.Trace),
}


def schema() -> Findings:
    """Whether every run folder and data set has the files and fields that it must have, and
    nothing that no manifest names.
    """
    problems, count = [], 0
    for folder in runs():
        problems += [*status_problems(folder), *file_problems(folder)]
        for file in read(folder / "manifest.json")["files"]:
            path, name = place(folder, file), file.removesuffix(".gz")
            if name in FIELDS and path.exists():
                count += len(read(path))
                problems += row_problems(path, name)
    for folder in sets():
        listed = {*read(folder / "manifest.json")["files"], "manifest.json"}
        for file in sorted((listed ^ inside(folder)) - CARD):
            what = "missing" if file in listed else "in no manifest"
            problems.append(f"{shown(folder)}: {file} is {what}")
    return Findings(f"{len(runs())} runs, {len(sets())} data sets, {count:,} rows", problems)


def status_problems(folder: Path) -> Iterator[str]:
    """Yield a sentence for each field of status.json that is not as it must be."""
    state, name = status(folder), shown(folder)
    for key, types in STATUS.items():
        if type(state.get(key)) not in types:
            yield f"{name}: {key} in status.json is missing or no {spelled(types)}"
    result, reason = state["status"], state.get("reason")
    if result not in ("completed", "failed", "running") or (result == "failed") != bool(reason):
        yield f"{name}: status {result!r} with reason {reason!r}"
    if not state["commits"] or any(entry["dirty"] is not False for entry in state["commits"]):
        yield f"{name}: made from code that no commit holds"


def file_problems(folder: Path) -> Iterator[str]:
    """Yield a sentence for each file of a run that is missing, and for each that must not be."""
    files, name, stage = read(folder / "manifest.json")["files"], shown(folder), folder.parent.name
    left_out, is_completed = released(folder, "left_out"), status(folder)["status"] == "completed"
    stems = {file.removesuffix(".gz") for file in files} | {"manifest.json"}
    needed = ALWAYS | WHOLE[stage] if is_completed else ALWAYS
    for file in sorted(needed - stems):
        yield f"{name}: no {file}"
    has_weights = any(file.endswith(".safetensors") for file in files)
    if stage == "train" and is_completed and not has_weights:
        yield f"{name}: no weights"
    for file in left_out:
        if not file.endswith(".safetensors"):
            yield f"{name}: released.json leaves out {file}, which is no weights"
    for file in files:
        if file not in left_out and not place(folder, file).exists():
            yield f"{name}: {file} is gone"
    for file in sorted(inside(folder) - {*files, "manifest.json", "released.json"}):
        yield f"{name}: {file} is in no manifest"


def row_problems(path: Path, name: str) -> Iterator[str]:
    """Yield a sentence for each field of a file's rows that is missing, unknown or of another
    type. name: the file's name in FIELDS.
    """
    fields, required = FIELDS[name], REQUIRED[name]
    for number, row in enumerate(read(path), 1):
        for key in required:
            if key not in row:
                yield f"{shown(path)} row {number}: {key} is missing"
        for key, value in row.items():
            types = fields.get(key)
            if types is None:
                yield f"{shown(path)} row {number}: {key} is no field of {name}"
            elif type(value) not in types:
                yield f"{shown(path)} row {number}: {key} is no {spelled(types)}"


def spelled(types: Types) -> str:
    """Return the names of some types as words."""
    return " or ".join(kind.__name__ for kind in types)


def inside(folder: Path) -> set[str]:
    """Return the names of all files in a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def sets() -> list[Path]:
    """Return the folders of the released data sets."""
    return sorted(path.parent for path in DATA.glob("*/manifest.json"))


def hashes() -> Findings:
    """Whether every file has the hash that its manifest gives, everything that a run read is a
    released file, and its answers name the weights that it read.
    """
    problems, listed, left_out = [], [], set()
    for folder in runs():
        for name, entry in read(folder / "manifest.json")["files"].items():
            listed.append((place(folder, name), entry))
            if name in released(folder, "left_out"):
                left_out.add(place(folder, name))
    for folder in sets():
        files = read(folder / "manifest.json")["files"]
        listed += [(folder / name, entry) for name, entry in files.items()]
    for path, entry in listed:
        if path in left_out:
            continue
        if not path.is_file() or path.is_symlink():
            problems.append(f"{shown(path)} is missing or no file")
        elif not is_as_listed(path, entry):
            problems.append(f"{shown(path)} is not what its manifest says")
    problems += unreleased_inputs({entry["sha256"] for _, entry in listed})
    problems += origins.named_inputs()
    return Findings(f"{len(listed):,} files, and what {len(runs())} runs read", problems)


def is_as_listed(path: Path, entry: dict[str, Any]) -> bool:
    """Whether a file has the hash of its entry in a manifest, and the size where that has one."""
    size = path.stat().st_size
    return file_sha256(path) == entry["sha256"] and entry.get("bytes", size) == size


def unreleased_inputs(known: set[str]) -> Iterator[str]:
    """Yield a sentence for each file that a run read and whose hash is not among the known.

    The questions of public benchmarks are not ours to release. Nor are base models: what a run read
    of one must be what it recorded of it.
    """
    for folder in runs():
        if read(folder / "config.yaml").get("benchmark", {}).get("kind") == "hub":
            continue
        for name, digest in status(folder)["inputs"].items():
            if BASE.match(name):
                yield from other_base(folder, name, digest)
            elif digest not in known:
                yield f"{shown(folder)} read a {name} that is not released ({digest[:12]}...)"


def other_base(folder: Path, name: str, digest: str) -> Iterator[str]:
    """Yield a sentence where a run's record of its base model, or of its teacher's, gives a file
    another hash. Runs whose record has no hashes of files, such as one of a server, have none.
    """
    path = folder / ("teacher.json" if name.startswith("teacher/") else "base.json")
    record = read(path) if path.exists() else {}
    record = record.get("base", record)
    files = {key for key in record if key.endswith(" sha256")}
    recorded = record.get(f"{name.rpartition('base/')[2]} sha256")
    if "tokenizer.json sha256" in files and recorded != digest:
        yield f"{shown(folder)} read a {name} of {digest[:12]}..., but {path.name} has another"


def names() -> Findings:
    """Whether each run lies under the name that its config and inputs hash to."""
    problems = []
    for folder in runs():
        state, manifest = status(folder), read(folder / "manifest.json")
        names_of_it = {state["name"], manifest["name"], folder.name}
        if state["stage"] != folder.parent.name or len(names_of_it) > 1:
            problems.append(
                f"{shown(folder)}: its records call it {state['stage']}/{state['name']}"
            )
        digest = run_hash(state["stage"], read(folder / "config.yaml"), state["inputs"])
        if not folder.name.endswith(f"-{digest}"):
            problems.append(
                f"{shown(folder)}: config and inputs hash to {digest}; "
                "one of them was changed after the run"
            )
        if manifest["inputs"] != state["inputs"]:
            problems.append(f"{shown(folder)}: manifest and status name different inputs")
    return Findings(f"{len(runs())} runs", problems)


# --- what git saw ----------------------------------------------------------------------


FOREVER = (*(f"logs/{stage}/" for stage in STAGES), "data/", "logs/preregistrations/")
GROWING = ("logs/test-readings.jsonl", "logs/corrections.jsonl")
# Entries are added, and stay as they were.
LISTS = ("paper/rows.yaml", "paper/methods.yaml", "paper/published.yaml")
DOCUMENTS = re.compile(r"data/(README\.md|mof\.yml|licenses/README\.md)$")
MANIFEST = re.compile(r"data/cpu/[^/]+/manifest\.json$")
DECISION = re.compile(r"logs/decisions/(\d{4})-[^/]+\.md$")
GONE = "0" * 40  # what git says for the content of a file that is not there

Version = tuple[str, str]  # the commit, and the blob that the file was in it


def history() -> Findings:
    """Whether git ever saw a released file change or go, apart from what logs/corrections.jsonl
    says; the work tree counts too.

    A decision record may gain a line, such as what answered it; it may not go.
    """
    need_history()
    problems = []
    versions, commits = versions_of(*FOREVER, *GROWING, *LISTS, "logs/decisions/")
    for path, seen in versions.items():
        file = ROOT / path
        seen.append(("the work tree", blob(file.read_bytes()) if file.is_file() else GONE))
        if path in GROWING and not only_longer(seen, file):
            problems.append(f"{path} lost or changed an entry; entries are only added")
        elif path in LISTS and not only_more(seen, file):
            problems.append(f"{path} lost or changed an entry; entries are only added")
        elif decision := DECISION.match(path):
            if not any(file.parent.glob(f"{decision[1]}-*")):  # one was renamed
                problems.append(f"{path} went; a decision is superseded by another one")
        elif path.startswith((*FOREVER,)) and not may_change(path, seen):
            problems += changes(path, seen)
    corrections = "; ".join(f"{what}: {entry['why']}" for what, entry in superseded().items())
    fresh = git_text("ls-files", "--others", "--exclude-standard", "--", *FOREVER).splitlines()
    return Findings(
        f"{len(versions):,} files in {commits} commits, {len(fresh)} not committed yet; "
        f"corrections: {corrections or 'none'}",
        problems,
    )


def versions_of(*paths: str) -> tuple[dict[str, list[Version]], int]:
    """Return ({path: its versions in git, oldest first}, number of commits that changed one)."""
    versions: dict[str, list[Version]] = defaultdict(list)
    commits: list[str] = []
    form = ("--format=%H", "--raw", "--no-abbrev", "--no-renames", "-m")
    log = git_text("log", "--reverse", "--full-history", *form, "--", *paths)
    for line in log.splitlines():
        if line.startswith(":"):
            meta, path = line.split("\t", 1)
            versions[path].append((commits[-1], meta.split()[3]))
        elif line:
            commits.append(line)
    return versions, len(commits)


def may_change(path: str, seen: list[Version]) -> bool:
    """Whether a file in a folder of released files is a document, or a manifest that only grew."""
    if DOCUMENTS.match(path):
        return True
    return bool(MANIFEST.match(path)) and only_more(seen, ROOT / path)


def changes(path: str, seen: list[Version]) -> Iterator[str]:
    """Yield a sentence for each change of a released file that no correction excuses."""
    for (commit, now), (_, before) in zip(seen[1:], seen, strict=False):
        if now != before and not is_excused(path, commit):
            verb = "went" if now == GONE else "changed"
            yield f"{path} {verb} in {commit[:13]} after it was released"


def is_excused(path: str, commit: str) -> bool:
    """Whether logs/corrections.jsonl says that this commit replaced a file; of data alone."""
    return any(
        entry.get("commit") == commit
        and re.fullmatch("data/[^/]+/.+", what)
        and f"{path}/".startswith(f"{what}/")
        for what, entry in superseded().items()
    )


def blob(data: bytes) -> str:
    """Return the id that git gives to a file with these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def only_longer(seen: list[Version], file: Path) -> bool:
    """Whether a file still begins with each of its earlier versions."""
    if not file.is_file() or any(version == GONE for _, version in seen[:-1]):
        return False
    text = file.read_text()
    return all(text.startswith(git_text("cat-file", "blob", version)) for _, version in seen[:-1])


def only_more(seen: list[Version], file: Path) -> bool:
    """Whether a YAML or JSON file still says all that its earlier versions said.

    So a data set gets its weights after its rows.
    """
    if not file.is_file() or any(version == GONE for _, version in seen[:-1]):
        return False
    earlier = (yaml.safe_load(git_text("cat-file", "blob", version)) for _, version in seen[:-1])
    return all(holds_all(read(file), older) for older in earlier)


def holds_all(new: Any, old: Any) -> bool:
    """Whether a value still holds all that an older one held: keys and items may be added, none
    changed or lost.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and holds_all(new[key], value) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return all(any(holds_all(other, item) for other in new) for item in old)
    return old == new
