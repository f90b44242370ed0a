"""A run's folder: <out>/<stage>/<label>-<8 hex of config and inputs>, from its first second to its manifest.

Clocks and speeds go to timing.jsonl, cost.json and stdout.log; every other file of a finished run is the same bytes for the
same config on the same kind of CPU with the same number of threads, in one process. Several processes sum in another order.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from omegaconf import OmegaConf

from ponder import lineage
from ponder.errors import UserError
from ponder.hashing import file_sha256

SCHEMA = 1
ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "datasets",
    "lm_eval",
    "peft",
    "accelerate",
    "gguf",
    "hydra-core",
    "omegaconf",
    "numpy",
    "scipy",
    "wandb",
)
# What a run resumes from, files and folders by their patterns; gone once its manifest is written.
SCRATCH = ("checkpoint-*", "generations.jsonl", "calls.jsonl")
NOT_REPRODUCED = (
    "cost.json",
    "environment.json",
    "status.json",
    "stdout.log",
    "timing.jsonl",
)  # differ between equal runs


def dump(value, indent=None):
    """Return one JSON text for one value: sorted keys, no escapes, one newline at the end."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=indent) + "\n"


def write_atomic(path, data):
    """Write bytes so that the file is there whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)


def write_jsonl(path, rows):
    """Write rows as JSON lines, whole or not at all."""
    write_atomic(path, "".join(dump(row) for row in rows).encode())


def read_jsonl(path, tolerate_cut=False):
    """Return the rows of a JSON-lines file.

    Raises UserError for a missing file and for a line that is no JSON, by its number; with `tolerate_cut` a last line
    that a kill cut short is left out, which is how an append-only file of our own is resumed.
    """
    if not Path(path).exists():
        raise UserError(f"{path} is missing; run the stage that writes it, or restore it from git")
    rows, lines = [], Path(path).read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if number == len(lines) and (tolerate_cut or not line):
            break  # what follows the last newline was not written whole
        try:
            rows.append(json.loads(line.decode()))
        except ValueError:
            raise UserError(
                f"{path} line {number} is not whole JSON; restore the file from git or make it again"
            ) from None
    return rows


def run_hash(stage, config, inputs):
    """Return the 8 hex digits that name a run: its stage, resolved config and the hashes of what it reads."""
    return hashlib.sha256(dump([stage, config, inputs]).encode()).hexdigest()[:8]


def commit():
    """Return {"commit", "dirty"} of the checkout, or nulls outside one."""

    def git(*words):
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    return {
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if (s := git("status", "--porcelain")) is None else bool(s),
    }


def environment(threads):
    """Return what the numbers may depend on, with nothing that names a machine, a user or a path."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        models = [
            line
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ]
        cpu = models[0].split(":", 1)[1].strip() if models else cpu
    found = {
        d.metadata["Name"].lower().replace("_", "-"): d.version
        for d in importlib.metadata.distributions()
    }
    versions = {name: found.get(name.replace("_", "-")) for name in PACKAGES}
    record = {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu": cpu,
        "logical_cores": os.cpu_count(),
        "threads": threads,
        "packages": versions,
    }
    if "torch" in sys.modules:
        import torch

        record["torch_build"] = torch.__version__
        record["torch_cpu_capability"] = torch.backends.cpu.get_cpu_capability()
    return record


def plain(value):
    """Return a config as YAML and JSON give it back: lists for tuples."""
    return json.loads(json.dumps(value))


def scratch(folder):
    """Return the paths in a run folder that a run resumes from."""
    return [place for pattern in SCRATCH for place in folder.glob(pattern)]


def being_written(folder):
    """Return whether a process has this run open."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def manifest(folder, name, inputs):
    """Return the manifest of a run folder: every file but the manifest and what a run resumes from, with hash and size."""
    left_out = {folder / "manifest.json", *scratch(folder)}
    files = sorted(
        p for p in folder.rglob("*") if p.is_file() and left_out.isdisjoint((p, *p.parents))
    )
    entries = {
        p.relative_to(folder).as_posix(): {
            "sha256": file_sha256(p),
            "bytes": p.stat().st_size,
            "reproducible": p.name not in NOT_REPRODUCED,
        }
        for p in files
    }
    return {"schema": SCHEMA, "name": name, "inputs": inputs, "files": entries}


class Run:
    """An open run folder. Use as a context: leaving it writes `status`, and the manifest when nothing was raised.

    Of several processes that work on one run (torchrun numbers them in RANK) only the first writes.
    """

    def __init__(self, stage, label, config, inputs, out, wandb, threads=None):
        self.stage, self.config, self.inputs, self.threads = stage, config, inputs, threads
        self.name = f"{label}-{run_hash(stage, config, inputs)}"
        self.folder = Path(out) / stage / self.name
        self.out, self.wandb_mode, self.mirror = Path(out), wandb, None
        self.writes = os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"

    @property
    def finished(self):
        """Whether this very run was completed before."""
        return (self.folder / "manifest.json").exists()

    def __enter__(self):
        if not self.writes:
            return self
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self.lock)
            raise UserError(
                f"{self.folder} is being written by another process; let it finish, or stop it"
            ) from None
        previous = self.folder / "status.json"
        status = json.loads(previous.read_text()) if previous.exists() else {"commits": []}
        self.status = {
            "schema": SCHEMA,
            "stage": self.stage,
            "name": self.name,
            "status": "running",
            "reason": None,
            "inputs": self.inputs,
            "commits": [*status["commits"], commit()],
            "parent": lineage.parent(
                self.stage, self.name, plain(self.config), self.inputs, ROOT / "logs"
            ),
        }
        self._write_status()
        (self.folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(self.config)))
        (self.folder / "environment.json").write_text(dump(environment(self.threads), indent=1))
        if (clocks := self.folder / "timing.jsonl").exists():
            write_jsonl(
                clocks, read_jsonl(clocks, tolerate_cut=True)
            )  # without a row that a kill cut short
        self.started = time.monotonic()
        self.timing(event="start", utc=datetime.now(UTC).isoformat(timespec="seconds"))
        self._open_mirror()
        return self

    def __exit__(self, kind, error, trace):
        if not self.writes:
            return False
        self.timing(event="end", seconds=round(time.monotonic() - self.started, 2))
        if kind is None:
            self.status["status"] = "completed"
            self._write_status()
            self._write_manifest()
            self.tidy()
        else:
            self.status |= {
                "status": "failed",
                "reason": self._without_places(f"{kind.__name__}: {error}".splitlines()[0])[:300],
            }
            self._write_status()
        os.close(self.lock)
        if self.mirror:
            self.mirror.finish()
        return False

    def _write_status(self):
        write_atomic(self.folder / "status.json", dump(self.status, indent=1).encode())

    def _write_manifest(self):
        write_atomic(
            self.folder / "manifest.json",
            dump(manifest(self.folder, self.name, self.inputs), indent=1).encode(),
        )

    def tidy(self):
        """Remove what a run resumes from; for a finished run too, since a kill may have come between its manifest and this."""
        for place in scratch(self.folder) if self.writes else ():
            shutil.rmtree(place) if place.is_dir() else place.unlink()

    def _open_mirror(self):
        """Mirror metrics to wandb, under the run's own name so that a resumed run goes on with its curve.

        Its files hold host names and paths, so they stay in scratch.
        """
        if self.wandb_mode == "disabled":
            return
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        folder = self.out / "wandb"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self.mirror = wandb.init(
                mode=self.wandb_mode,
                project="ponder",
                id=self.name,
                resume="allow",
                name=self.name,
                group=self.stage,
                dir=str(folder),
                config=self.config,
                settings=wandb.Settings(console="off", x_disable_stats=True),
            )
            self.unsent = (
                self.mirror.starting_step
            )  # 0, or what an online run that is known already lacks
        except wandb.errors.Error as error:
            self.say(
                f"warning: wandb is off ({str(error).splitlines()[0]}); metrics.jsonl has everything"
            )

    def say(self, text):
        """Print a line and keep it in stdout.log."""
        if not self.writes:
            return
        print(text, flush=True)
        with open(self.folder / "stdout.log", "a", encoding="utf-8") as file:
            file.write(self._without_places(text) + "\n")

    def _without_places(self, text):
        """Return the text without the paths of this machine: the checkout and the folder of the runs."""
        for place, name in ((self.out.resolve(), "outputs"), (self.out, "outputs"), (ROOT, ".")):
            text = text.replace(str(place), name) if place.is_absolute() else text
        return text

    def metric(self, **row):
        """Append one row to metrics.jsonl, then mirror it."""
        self._append("metrics.jsonl", row)
        self._send(row)

    def replay(self):
        """Send the rows of metrics.jsonl to the mirror, for a run that goes on.

        Each start of an offline mirror makes a new folder; this way the newest one holds the whole curve.
        """
        path = self.folder / "metrics.jsonl"
        for row in read_jsonl(path) if self.mirror and path.exists() else ():
            self._send(row)

    def _send(self, row):
        """Send a row to the mirror, unless it has that step already."""
        if self.mirror and row["step"] >= self.unsent:
            self.mirror.log(row, step=row["step"])
            self.unsent = row["step"] + 1

    def timing(self, **row):
        """Append one row of clocks or speeds to timing.jsonl."""
        self._append("timing.jsonl", row)

    def _append(self, name, row):
        if not self.writes:
            return
        with open(self.folder / name, "a", encoding="utf-8") as file:
            file.write(dump(row))

    def write_jsonl(self, name, rows):
        """Write a file of rows into the folder."""
        if self.writes:
            write_jsonl(self.folder / name, rows)

    def write_json(self, name, value):
        """Write one JSON file into the folder."""
        if self.writes:
            write_atomic(self.folder / name, dump(value, indent=1).encode())
