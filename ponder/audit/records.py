"""Checks on run folders and data sets: which files must be there and no others, their hashes, and
the names of runs.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ponder import rows
from ponder.audit import origins
from ponder.audit.checks import (
    ROOT,
    Findings,
    contents,
    digests,
    groups,
    place,
    read,
    released,
    runs,
    shown,
    status,
    tokenizers,
)
from ponder.audit.tokens import tokenizers_of_models, vocabulary
from ponder.rows import ANSWERS
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
    problems += [*strays(), *odd_names()]
    return Findings(f"{len(runs())} runs, {len(sets())} data sets, {count:,} rows", problems)


# Beside runs and data sets: what people wrote, what is made from the records, and what a guide
# names.
LISTED = re.compile(
    r"logs/(README\.md|\w+/README\.md|literals\.yaml|(claims|corrections|disagreements|releases)\.jsonl"
    r"|test-readings\.jsonl|decisions/\d{4}-[a-z0-9-]+\.md|preregistrations/[a-z0-9-]+\.yaml)"
    r"|data/(README\.md|mof\.yml|licenses/(README\.md|[0-9a-f]{64}\.txt))"
)


def strays() -> Iterator[str]:
    """Yield a sentence for each file of logs/ and data/ that lies in no run and no data set, and
    that is none of those that must be there.
    """
    folders = {*runs(), *sets()}
    guide = (ROOT / "data" / "README.md").read_text()
    for path in everything():
        name = shown(path)
        is_inside = any(parent in folders for parent in path.parents)
        is_named = name.startswith("data/") and f"`{name.removeprefix('data/')}`" in guide
        if not is_inside and not is_named and not LISTED.fullmatch(name):
            yield f"{name} is named by no manifest and no guide; remove it, or release it"
    for path in tokenizers():
        if vocabulary(path).digest not in tokenizers_of_models().values():
            yield f"{shown(path)} is the tokenizer of no released run"


def everything() -> list[Path]:
    """Return all files and links of logs/ and data/."""
    found = [path for top in ("logs", "data") for path in (ROOT / top).rglob("*")]
    return sorted(path for path in found if path.is_symlink() or not path.is_dir())


def odd_names() -> Iterator[str]:
    """Yield a sentence for each link among the released files, and for each name that differs from
    another, or from what a manifest says, in case alone.
    """
    seen: dict[str, str] = {}
    for path in everything():
        name = shown(path)
        if path.is_symlink():
            yield f"{name} is a link; release the file itself"
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            yield f"{name} and {other} differ in case alone"
    for folder in {*runs(), *sets()}:
        for file in read(folder / "manifest.json")["files"]:
            named = shown(place(folder, file))
            if seen.get(named.casefold(), named) != named:
                yield f"{named} is there as {seen[named.casefold()]}; names keep their case"


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
        if not file.endswith(".safetensors") and (stage, file) != ("evaluate", "questions.jsonl"):
            yield f"{name}: released.json leaves out {file}, which is no weights"
    yield from packing_problems(folder, {*files})
    for file in files:
        if file not in left_out and not place(folder, file).exists():
            yield f"{name}: {file} is gone"
    for file in sorted(inside(folder) - {*files, "manifest.json", "released.json"}):
        yield f"{name}: {file} is in no manifest"


def packing_problems(folder: Path, files: set[str]) -> Iterator[str]:
    """Yield a sentence where packed answers are not what released.json says (decision 0063).

    `files` are those of the manifest. The hash under `packed` is that of the unpacked answers.
    """
    said, packed = released(folder, "packed"), f"{ANSWERS}.gz"
    if {*said} != ({ANSWERS} if packed in files else set()) or {ANSWERS, packed} <= files:
        yield (
            f"{shown(folder)}: released.json says that {sorted(said)} is packed, but the manifest "
            f"lists {sorted(files & {ANSWERS, packed})}"
        )
    elif said and hashlib.sha256(contents(folder / packed)).hexdigest() != said[ANSWERS]:
        yield f"{shown(folder)}: {packed} does not hold the {ANSWERS} that was packed"


def row_problems(path: Path, name: str) -> Iterator[str]:
    """Yield a sentence for each field of a file's rows that is missing, unknown or of another
    type. name: the file's name in FIELDS.
    """
    fields, required = FIELDS[name], REQUIRED[name]
    alike = set()  # the keys and types of rows that are as they must be
    for number, row in enumerate(read(path), 1):
        form = (*row, *map(type, row.values()))
        if form in alike:
            continue
        problems = [f"{key} is missing" for key in required if key not in row]
        for key, value in row.items():
            types = fields.get(key)
            if types is None:
                problems.append(f"{key} is no field of {name}")
            elif type(value) not in types:
                problems.append(f"{key} is no {spelled(types)}")
        if not problems:
            alike.add(form)
        yield from (f"{shown(path)} row {number}: {problem}" for problem in problems)


def spelled(types: Types) -> str:
    """Return the names of some types as words."""
    return " or ".join(kind.__name__ for kind in types)


def inside(folder: Path) -> set[str]:
    """Return the names of all files in a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def sets() -> list[Path]:
    """Return the folders of the released data sets."""
    return [path.parent for group in groups() for path in sorted(group.glob("*/manifest.json"))]


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
    # Beside the data sets of a group lie files that data/README.md names (see strays).
    beside = {digests(path).sha256 for path in (ROOT / "data").glob("*/*") if path.is_file()}
    problems += unreleased_inputs({entry["sha256"] for _, entry in listed} | beside)
    problems += origins.named_inputs()
    return Findings(f"{len(listed):,} files, and what {len(runs())} runs read", problems)


def is_as_listed(path: Path, entry: dict[str, Any]) -> bool:
    """Whether a file has the hash of its entry in a manifest, and the size where that has one."""
    size = path.stat().st_size
    return digests(path).sha256 == entry["sha256"] and entry.get("bytes", size) == size


def unreleased_inputs(known: set[str]) -> Iterator[str]:
    """Yield a sentence for each file that a run read and whose hash is not among the known.

    The questions of public benchmarks are not ours to release. Nor are base models: what a run read
    of one must be what it recorded of it.
    """
    for folder in runs():
        config = read(folder / "config.yaml")
        if config.get("benchmark", {}).get("kind") == "hub":
            continue
        compared = config.get("decontamination", {}).get("benchmarks", {}).values()
        public = {entry["path"] for entry in compared if not entry["path"].startswith("data/")}
        for name, digest in status(folder)["inputs"].items():
            if name in public:
                continue
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
