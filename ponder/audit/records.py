"""Checks on run folders and data sets: what must be there, hashes, names, and that git never saw a released byte change."""
import hashlib
import json
import re
from collections import defaultdict

from ponder import released
from ponder.audit.checks import DATA, ROOT, STAGES, Verdict, git, no_history, place, read, runs, shown, verdict
from ponder.models import file_sha256
from ponder.runs import run_hash

ALWAYS = {"config.yaml", "environment.json", "manifest.json", "status.json", "timing.jsonl"}
WHOLE = {"collect": {"train.jsonl", "traces.jsonl", "funnel.json"},
         "train": {"metrics.jsonl", "batches.jsonl"},    # and weights, under the name of their method
         "evaluate": {"samples.jsonl", "results.json"}}
STATUS = {"schema": int, "stage": str, "name": str, "status": str, "inputs": dict, "commits": list}
SAMPLE = {"task": str, "id": str, "question": str, "gold": str, "thinking": str, "reply": str, "correct": bool, "ids": list, "forced": list,
          "num_thinking": int, "num_answer": int, "num_ignored": int, "capped": bool, "finish": str, "prompt_sha256": str}
METRIC = {"step": int, "loss": float, "lr": float, "grad_norm": float, "tokens": int, "loss_tokens": int}
TRACE = {"id": str, "family": str, "domain": str, "question": str, "answer": str, "gold": str, "think": str, "tokens": int, "correct": bool,
         "teacher": str}
ROWS = {"samples.jsonl": SAMPLE, "metrics.jsonl": METRIC, "batches.jsonl": {"step": int, "ids": list}, "train.jsonl": TRACE,
        "traces.jsonl": TRACE}


def schema():
    """Whether every run folder and data set has the files and fields that it must have, and nothing that no manifest names."""
    problems, count = [], 0
    for folder in runs():
        status, manifest = read(folder / "status.json"), read(folder / "manifest.json")
        name, stage = shown(folder), folder.parent.name
        problems += [f"{name}: {key} in status.json is missing or no {kind.__name__}" for key, kind in STATUS.items()
                     if type(status.get(key)) is not kind]
        if status["status"] not in ("completed", "failed", "running"):
            problems.append(f"{name}: status {status['status']!r} is none that a run can have")
        if (status["status"] == "failed") != bool(status.get("reason")):
            problems.append(f"{name}: status {status['status']} with reason {status.get('reason')!r}")
        if not status["commits"] or any(entry["dirty"] is not False for entry in status["commits"]):
            problems.append(f"{name}: made from code that no commit holds")
        must = ALWAYS | (WHOLE[stage] if status["status"] == "completed" else set())
        stems = {file.removesuffix(".gz") for file in manifest["files"]} | {"manifest.json"}
        problems += [f"{name}: no {file}" for file in sorted(must - stems)]
        problems += [f"{name}: {file} is gone" for file in manifest["files"] if file not in left_out(folder) and not place(folder, file).exists()]
        if (stage, status["status"]) == ("train", "completed") and not any(file.endswith(".safetensors") for file in stems):
            problems.append(f"{name}: no weights")
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        problems += [f"{name}: {file} is in no manifest" for file in sorted(there - {*manifest["files"], "manifest.json", "released.json"})]
        for file in manifest["files"]:
            if (fields := ROWS.get(file.removesuffix(".gz"))) and place(folder, file).exists():
                count += len(rows := read(place(folder, file)))
                problems += [f"{shown(place(folder, file))} row {number}: {key} is missing or no {kind.__name__}"
                             for number, row in enumerate(rows, 1) for key, kind in fields.items() if type(row.get(key)) is not kind]
    for folder in sets():
        listed = {*read(folder / "manifest.json")["files"], "manifest.json"}
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        problems += [f"{shown(folder)}: {file} is {'missing' if file in listed else 'in no manifest'}" for file in sorted(listed ^ there)
                     if file not in CARD]
    return verdict("schema", f"{len(runs())} runs, {len(sets())} data sets, {count:,} rows",
                   "every released run and data set is complete and of the documented form",
                   "that what the fields say is true", problems)


def left_out(folder):
    """Return the weights that were too large to be released with a run."""
    return read(folder / "released.json").get("left_out", {}) if (folder / "released.json").exists() else {}


CARD = {"README.md", "croissant.json", "family.svg", "length.svg"}    # of the first sets, written after their manifests


def sets():
    """Return the folders of the released data sets."""
    return sorted(path.parent for path in DATA.glob("*/manifest.json"))


def hashes():
    """Whether every file has the hash that its manifest gives, and everything that a run read is a released file."""
    problems, checked, known = [], 0, defaultdict(set)

    def compare(path, entry):
        nonlocal checked
        checked += 1
        found = file_sha256(path) if path.is_file() else None
        if found != entry["sha256"]:
            problems.append(f"{shown(path)} is {'not what its manifest says' if found else 'missing'}")
        if path.is_file() and path.stat().st_size != entry.get("bytes", path.stat().st_size):
            problems.append(f"{shown(path)} has {path.stat().st_size} bytes, its manifest says {entry['bytes']}")
    for folder in runs():
        for name, entry in read(folder / "manifest.json")["files"].items():
            known[entry["sha256"]].add(shown(folder / name))
            if name not in left_out(folder):
                compare(place(folder, name), entry)
    for folder in sets():
        for name, entry in read(folder / "manifest.json")["files"].items():
            known[entry["sha256"]].add(shown(folder / name))
            compare(folder / name, entry)
    for folder in runs():
        for name, digest in {**read(folder / "status.json")["inputs"], **read(folder / "manifest.json")["inputs"]}.items():
            if digest not in known:
                problems.append(f"{shown(folder)} read a {name} that is not released ({digest[:12]}...)")
    return verdict("hashes", f"{checked:,} files, and what {len(runs())} runs read",
                   "files are those that the manifests name, and every input of a run is a released file",
                   "that manifests were not rewritten with the files: see names and history", problems)


def names():
    """Whether each run lies under the name that its config and inputs hash to."""
    problems = []
    for folder in runs():
        status, config = read(folder / "status.json"), read(folder / "config.yaml")
        digest = run_hash(status["stage"], config, status["inputs"])
        if (status["stage"], status["name"]) != (folder.parent.name, folder.name) or read(folder / "manifest.json")["name"] != folder.name:
            problems.append(f"{shown(folder)}: its records call it {status['stage']}/{status['name']}")
        if not folder.name.endswith(f"-{digest}"):
            problems.append(f"{shown(folder)}: config and inputs hash to {digest}; one of them was changed after the run")
        if read(folder / "manifest.json")["inputs"] != status["inputs"]:
            problems.append(f"{shown(folder)}: manifest and status name different inputs")
    return verdict("names", f"{len(runs())} runs", "config and inputs are those that named the run when it started",
                   "that the run did what its config says", problems)


RECORDS = tuple(f"logs/{stage}/" for stage in STAGES) + ("data/",)
GROWING = ("logs/test-readings.jsonl", "logs/corrections.jsonl")
MANIFEST = re.compile(r"data/cpu/[^/]+/manifest\.json$")
GONE = "0" * 40    # what git says for the content of a file that is not there
DOCUMENTS = re.compile(r"data/(README\.md|mof\.yml|licenses/README\.md)$")


def history():
    """Whether git ever saw a released file change or go, apart from what logs/corrections.jsonl tells; the work tree counts too."""
    proves = "since its first commit no released file changed or went, except where logs/corrections.jsonl says which and why"
    leaves_open = "anything against who rewrites git's history as well; a copy cloned earlier, or a known commit hash, tells that"

    if why := no_history():
        return Verdict("history", "UNSUPPORTED", why, proves, leaves_open)
    versions, commits = defaultdict(list), 0
    for line in git("log", "--reverse", "--format=%H", "--raw", "--no-abbrev", "--no-renames", "-m", "--", *RECORDS, *GROWING).splitlines():
        if line.startswith(":"):
            fields, path = line.split("\t", 1)
            versions[path].append((commit, fields.split()[3]))
        elif line:
            commit, commits = line, commits + 1
    excused = {(entry["supersedes"], entry.get("commit")) for entry in released.superseded().values()}
    problems = []
    for path, seen in versions.items():
        file = ROOT / path
        seen.append(("the work tree", blob(file.read_bytes()) if file.is_file() else GONE))
        changes = [(commit, now) for (commit, now), (_, before) in zip(seen[1:], seen, strict=False) if now != before]
        if path in GROWING or DOCUMENTS.match(path):
            continue
        if MANIFEST.match(path) and file.is_file() and only_grew([b for _, b in seen[:-1]], file):
            continue    # a data set gets its weights after its rows
        problems += [f"{path} {'went' if now == GONE else 'changed'} in {commit[:13]} after it was released" for commit, now in changes
                     if not any(when == commit and (path == what or path.startswith(f"{what}/")) for what, when in excused)]
    for path in GROWING:
        text, file = "", ROOT / path
        for _, b in versions[path][:-1]:
            text = "" if b == GONE else git("cat-file", "blob", b)
            if not (file.is_file() and file.read_text().startswith(text)):
                problems.append(f"{path} lost or changed an entry; entries are only added")
                break
    untracked = (git("ls-files", "--others", "--exclude-standard", "--", *RECORDS) or "").splitlines()
    return verdict("history", f"{len(versions):,} files in {commits} commits, {len(untracked)} not committed yet", proves, leaves_open, problems)


def blob(data):
    """Return the id that git gives to a file with these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def only_grew(older, file):
    """Whether a data set's manifest still says all that its earlier versions said."""
    now, olds = read(file)["files"], [json.loads(git("cat-file", "blob", b))["files"] for b in older if b != GONE]
    return all(now.get(name) == entry for old in olds for name, entry in old.items())
