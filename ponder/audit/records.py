"""Checks on run folders and data sets: what must be there, hashes, names, and that git never saw a released byte change."""

import hashlib
import re
from collections import defaultdict

import yaml

from ponder.audit.checks import (
    DATA,
    ROOT,
    STAGES,
    git,
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
WHOLE = {
    "collect": {"train.jsonl", "traces.jsonl", "funnel.json"},
    "train": {"metrics.jsonl", "batches.jsonl"},
    "evaluate": {"samples.jsonl", "results.json"},
}  # of completed runs; a training has weights under their own name too
CARD = {
    "README.md",
    "croissant.json",
    "family.svg",
    "length.svg",
}  # of the first data sets, written after their manifests


def fields(kind, names):
    """Return {name: kind} of names in one text."""
    return dict.fromkeys(names.split(), kind)


STATUS = fields(str, "stage name status") | {"schema": int, "inputs": dict, "commits": list}
ROWS = {
    "samples.jsonl": fields(str, "task id question gold thinking reply finish prompt_sha256")
    | fields(list, "ids forced")
    | fields(bool, "correct capped")
    | fields(int, "num_thinking num_answer num_ignored"),
    "metrics.jsonl": fields(int, "step tokens loss_tokens") | fields(float, "loss lr grad_norm"),
    "batches.jsonl": {"step": int, "ids": list},
    "train.jsonl": fields(str, "id family domain question answer gold think teacher")
    | {"tokens": int, "correct": bool},
}
ROWS["traces.jsonl"] = ROWS["train.jsonl"]


def schema():
    """Whether every run folder and data set has the files and fields that it must have, and nothing that no manifest names."""
    problems, count = [], 0
    for folder in runs():
        state, files, name, stage = (
            status(folder),
            read(folder / "manifest.json")["files"],
            shown(folder),
            folder.parent.name,
        )
        problems += [
            f"{name}: {key} in status.json is missing or no {kind.__name__}"
            for key, kind in STATUS.items()
            if type(state.get(key)) is not kind
        ]
        if state["status"] not in ("completed", "failed", "running") or (
            state["status"] == "failed"
        ) != bool(state.get("reason")):
            problems.append(
                f"{name}: status {state['status']!r} with reason {state.get('reason')!r}"
            )
        if not state["commits"] or any(entry["dirty"] is not False for entry in state["commits"]):
            problems.append(f"{name}: made from code that no commit holds")
        done = state["status"] == "completed"
        stems = {file.removesuffix(".gz") for file in files} | {"manifest.json"}
        problems += [
            f"{name}: no {file}"
            for file in sorted((ALWAYS | WHOLE[stage] if done else ALWAYS) - stems)
        ]
        if (stage, done) == ("train", True) and not any(
            file.endswith(".safetensors") for file in files
        ):
            problems.append(f"{name}: no weights")
        problems += [
            f"{name}: released.json leaves out {file}, which is no weights"
            for file in released(folder, "left_out")
            if not file.endswith(".safetensors")
        ]
        problems += [
            f"{name}: {file} is gone"
            for file in files
            if file not in released(folder, "left_out") and not place(folder, file).exists()
        ]
        extra = inside(folder) - {*files, "manifest.json", "released.json"}
        problems += [f"{name}: {file} is in no manifest" for file in sorted(extra)]
        for file in files:
            if (columns := ROWS.get(file.removesuffix(".gz"))) and place(folder, file).exists():
                count += len(rows := read(place(folder, file)))
                problems += [
                    f"{shown(place(folder, file))} row {number}: {key} is missing or no {kind.__name__}"
                    for number, row in enumerate(rows, 1)
                    for key, kind in columns.items()
                    if type(row.get(key)) is not kind
                ]
    for folder in sets():
        listed = {*read(folder / "manifest.json")["files"], "manifest.json"}
        problems += [
            f"{shown(folder)}: {file} is {'missing' if file in listed else 'in no manifest'}"
            for file in sorted(listed ^ inside(folder))
            if file not in CARD
        ]
    return f"{len(runs())} runs, {len(sets())} data sets, {count:,} rows", problems


def inside(folder):
    """Return the names of all files in a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def sets():
    """Return the folders of the released data sets."""
    return sorted(path.parent for path in DATA.glob("*/manifest.json"))


def hashes():
    """Whether every file has the hash that its manifest gives, and everything that a run read is a released file."""
    problems, named = [], []
    for folder in runs():
        named += [
            (place(folder, name), entry, name in released(folder, "left_out"))
            for name, entry in read(folder / "manifest.json")["files"].items()
        ]
    for folder in sets():
        named += [
            (folder / name, entry, False)
            for name, entry in read(folder / "manifest.json")["files"].items()
        ]
    known = {entry["sha256"] for _, entry, _ in named}
    for path, entry, absent in named:
        if not absent and (not path.is_file() or path.is_symlink()):
            problems.append(f"{shown(path)} is missing or no file")
        elif not absent and (file_sha256(path), path.stat().st_size) != (
            entry["sha256"],
            entry.get("bytes", path.stat().st_size),
        ):
            problems.append(f"{shown(path)} is not what its manifest says")
    problems += [
        f"{shown(folder)} read a {name} that is not released ({digest[:12]}...)"
        for folder in runs()
        if read(folder / "config.yaml").get("benchmark", {}).get("kind")
        != "hub"  # whose questions are not ours
        for name, digest in status(folder)["inputs"].items()
        if digest not in known
    ]
    return f"{len(named):,} files, and what {len(runs())} runs read", problems


def names():
    """Whether each run lies under the name that its config and inputs hash to."""
    problems = []
    for folder in runs():
        state, manifest = status(folder), read(folder / "manifest.json")
        if not (
            state["stage"] == folder.parent.name
            and state["name"] == manifest["name"] == folder.name
        ):
            problems.append(
                f"{shown(folder)}: its records call it {state['stage']}/{state['name']}"
            )
        digest = run_hash(state["stage"], read(folder / "config.yaml"), state["inputs"])
        if not folder.name.endswith(f"-{digest}"):
            problems.append(
                f"{shown(folder)}: config and inputs hash to {digest}; one of them was changed after the run"
            )
        if manifest["inputs"] != state["inputs"]:
            problems.append(f"{shown(folder)}: manifest and status name different inputs")
    return f"{len(runs())} runs", problems


# --- what git saw ----------------------------------------------------------------------


FOREVER = (*(f"logs/{stage}/" for stage in STAGES), "data/", "logs/preregistrations/")
GROWING = ("logs/test-readings.jsonl", "logs/corrections.jsonl")
KEPT = (
    "paper/rows.yaml",
    "paper/methods.yaml",
    "paper/published.yaml",
)  # entries are added, and stay as they were
DOCUMENTS = re.compile(r"data/(README\.md|mof\.yml|licenses/README\.md)$")
MANIFEST = re.compile(r"data/cpu/[^/]+/manifest\.json$")
GONE = "0" * 40  # what git says for the content of a file that is not there


def history():
    """Whether git ever saw a released file change or go, apart from what logs/corrections.jsonl tells; the work tree counts too."""
    need_history()
    versions, commits, problems = defaultdict(list), [], []
    log = git(
        "log",
        "--reverse",
        "--full-history",
        "--format=%H",
        "--raw",
        "--no-abbrev",
        "--no-renames",
        "-m",
        "--",
        *FOREVER,
        *GROWING,
        *KEPT,
        "logs/decisions/",
    )
    for line in log.splitlines():
        if line.startswith(":"):
            meta, path = line.split("\t", 1)
            versions[path].append((commits[-1], meta.split()[3]))
        elif line:
            commits.append(line)
    excused = {
        (what, entry.get("commit"))
        for what, entry in superseded().items()
        if re.fullmatch("data/[^/]+/.+", what)
    }
    for path, seen in versions.items():
        file = ROOT / path
        seen.append(("the work tree", blob(file.read_bytes()) if file.is_file() else GONE))
        if path in GROWING:
            problems += [f"{path} lost or changed an entry; entries are only added"] * (
                not only_longer(seen, file)
            )
        elif path in KEPT:
            problems += [f"{path} lost or changed an entry; entries are only added"] * (
                not only_more(seen, file)
            )
        elif path.startswith("logs/decisions/"):
            problems += [f"{path} went; a decision is superseded by another one"] * (
                not any(file.parent.glob(f"{file.name[:4]}-*"))
            )  # one was renamed
        elif not DOCUMENTS.match(path) and not (MANIFEST.match(path) and only_more(seen, file)):
            problems += [
                f"{path} {'went' if now == GONE else 'changed'} in {commit[:13]} after it was released"
                for (commit, now), (_, before) in zip(seen[1:], seen, strict=False)
                if now != before
                and not any(
                    when == commit and f"{path}/".startswith(f"{what}/") for what, when in excused
                )
            ]
    told = "; ".join(f"{what}: {entry['why']}" for what, entry in superseded().items())
    fresh = (git("ls-files", "--others", "--exclude-standard", "--", *FOREVER) or "").splitlines()
    return (
        f"{len(versions):,} files in {len(commits)} commits, {len(fresh)} not committed yet; corrections: {told or 'none'}",
        problems,
    )


def blob(data):
    """Return the id that git gives to a file with these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def only_longer(seen, file):
    """Whether a file still begins with each of its earlier versions."""
    return file.is_file() and all(
        b != GONE and file.read_text().startswith(git("cat-file", "blob", b)) for _, b in seen[:-1]
    )


def only_more(seen, file):
    """Whether a YAML or JSON file still says all that its earlier versions said: a data set gets its weights after its rows."""
    olds = [None if b == GONE else yaml.safe_load(git("cat-file", "blob", b)) for _, b in seen[:-1]]
    return file.is_file() and all(old is not None and kept(old, read(file)) for old in olds)


def kept(old, new):
    """Whether a value still holds all that an older one held: keys and items may be added, none changed or lost."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and kept(value, new[key]) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return all(any(kept(item, other) for other in new) for item in old)
    return old == new
