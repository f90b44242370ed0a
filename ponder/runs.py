"""A run's folder, <out>/<stage>/<label>-<8 hex of config and inputs>, from start to manifest.

Clocks and speeds go to timing.jsonl, cost.json and stdout.log; every other file of a finished run
is the same bytes for the same config on the same kind of CPU with the same number of threads, in
one process. Several processes sum in another order.
"""

import contextlib
import fcntl
import gzip
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from omegaconf import OmegaConf

from ponder import lineage
from ponder.errors import RecordError, UserError, exit_code, message
from ponder.record import manifests
from ponder.record.manifests import NOT_REPRODUCED as NOT_REPRODUCED
from ponder.record.manifests import PART, SCHEMA, manifest, scratch
from ponder.terminal import signals
from ponder.terminal.signals import Terminated

AGAIN = "restore the file from git or make it again"  # the way out for a damaged record
STAMPS = Path("models", "stamps.json")  # under `out`: hashing.files_sha256
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
NAME_MAX = 120  # characters of a run's name; wandb takes 128, a file system 255


def dump(value: Any, indent: int | None = None) -> str:
    """Return one JSON text for one value: sorted keys, no escapes, one newline at the end."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=indent) + "\n"


def write_atomic(path: Path, data: bytes) -> None:
    """Write bytes so that the file is there whole or not at all, after a power cut too."""
    part = path.with_name(path.name + PART)
    try:
        part.write_bytes(data)
        put_in_place(part, path)
    except OSError:  # a full disk needs the room
        part.unlink(missing_ok=True)
        raise


def put_in_place(part: Path, path: Path) -> None:
    """Give a written file or folder its name, once all that it holds is on the disk."""
    for inside in [*part.rglob("*"), part]:
        flush(inside)
    os.replace(part, path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Wait until a file or folder would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Write rows as JSON lines, whole or not at all."""
    write_atomic(path, "".join(dump(row) for row in rows).encode())


def read_jsonl(path: Path | str, tolerate_cut: bool = False, way_out: str = AGAIN) -> list[Any]:
    """Return the rows of a JSON-lines file; one whose name ends in .gz is unpacked.

    Raises RecordError for a missing file, a damaged packing and a line that is no JSON, by its
    number, with `way_out` as the last words. With `tolerate_cut` a last line that a kill cut short
    is left out, which is how an append-only file of our own is resumed.
    """
    rows, lines = [], _read(Path(path), way_out).split(b"\n")
    for number, line in enumerate(lines, 1):
        if number == len(lines) and (tolerate_cut or not line):
            break  # what follows the last newline was not written whole
        try:
            rows.append(json.loads(line.decode()))
        except ValueError:
            raise RecordError(f"{path} line {number} is not whole JSON; {way_out}") from None
    return rows


def _read(path: Path, way_out: str) -> bytes:
    if not path.exists():
        raise RecordError(
            f"{path} is missing; run the stage that writes it, or restore it from git"
        )
    data = path.read_bytes()
    if path.suffix != ".gz":
        return data
    try:
        if data:
            return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        pass
    raise RecordError(f"{path} is not whole gzip data; {way_out}")


def run_hash(stage: str, config: dict[str, Any], inputs: dict[str, str]) -> str:
    """Return the 8 hex digits that name a run: its stage, config and the hashes of its inputs."""
    return hashlib.sha256(dump([stage, config, inputs]).encode()).hexdigest()[:8]


def released_data(experiment: str, data: Path | None = None) -> Path | None:
    """Return the folder of an experiment's released rows and weights, None where there is none.

    It is data/<group>/<experiment>: a group is a scale of experiments, such as cpu or qwen.
    """
    found = sorted((data or ROOT / "data").glob(f"*/{experiment}/manifest.json"))
    return found[0].parent if found else None


def commit() -> dict[str, str | bool | None]:
    """Return {"commit", "dirty"} of the checkout, or nulls outside one."""
    changes = _git("status", "--porcelain")
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if changes is None else bool(changes),
    }


def _git(*words: str) -> str | None:
    try:
        git = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
    except FileNotFoundError:  # a bare machine
        return None
    return git.stdout.strip() if git.returncode == 0 else None


def environment(threads: int | None) -> dict[str, Any]:
    """Return what the numbers may depend on; nothing of it names a machine, a user or a path."""
    record: dict[str, Any] = {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu": _processor(),
        "logical_cores": os.cpu_count(),
        "threads": threads,
        "packages": _versions(),
    }
    if "torch" in sys.modules:
        import torch

        record["torch_build"] = torch.__version__
        record["torch_cpu_capability"] = torch.backends.cpu.get_cpu_capability()
    return record


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str | None]:
    """Return the installed version of each of PACKAGES, None where there is none."""
    installed = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"].lower().replace("_", "-")
        installed[name] = distribution.version
    return {name: installed.get(name.replace("_", "-")) for name in PACKAGES}


def plain(value: Any) -> Any:
    """Return a config as YAML and JSON give it back: lists for tuples."""
    return json.loads(json.dumps(value))


def being_written(folder: Path) -> bool:
    """Return whether a process has this run open."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


class Run:
    """An open run folder, used as a context.

    Leaving it writes `status`, and the manifest when nothing was raised. Of several processes that
    work on one run (torchrun numbers them in RANK) only the first writes.
    """

    def __init__(
        self,
        stage: str,
        label: str,
        config: dict[str, Any],
        inputs: dict[str, str],
        out: Path | str,
        wandb: Literal["offline", "online", "disabled"],
        threads: int | None = None,
        training: dict[str, Any] | None = None,
    ) -> None:
        """`training` is what lineage.training says of the weights that an evaluation measures; it
        goes to the record and the mirror, and does not name the run.
        """
        self.stage, self.config, self.inputs, self.threads = stage, config, inputs, threads
        self.training = training
        self.name = f"{label}-{run_hash(stage, config, inputs)}"
        if len(self.name) > NAME_MAX:
            raise UserError(
                f"the run {self.name} has a name of {len(self.name)} characters, but at most "
                f"{NAME_MAX}; shorten name or the names of its groups, such as budget.name"
            )
        self.folder = Path(out) / stage / self.name
        self.out = Path(out)
        self.wandb_mode = wandb
        self.lock: int | None = None  # the open folder, while this process may write
        self.mirror: Any = None
        self.unsent = 0  # the first step that the mirror lacks
        self.writes = os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"

    @property
    def finished(self) -> bool:
        """Whether this very run was completed before.

        Raises RecordError where its files are not what they were then.
        """
        stamps = self.out / STAMPS
        return manifests.is_finished(self.folder, self.name, self.inputs, stamps)

    def claim(self) -> bool:
        """Return whether this run is to be made, which no other process then can; a run that is
        finished is tidied.

        Raises UserError where another process writes it.
        """
        if self.finished:
            self.tidy()
            return False
        if self.writes:
            self._lock()
            if self.finished:  # by a process that had the lock until now
                self._unlock()
                return False
        return True

    def reopen(self) -> None:
        """Claim a run that was finished, to make it again from what it can still get.

        Raises UserError where another process writes it.
        """
        self._lock()
        (self.folder / "manifest.json").unlink(missing_ok=True)

    def __enter__(self) -> "Run":
        signals.run_opened()
        if not self.writes:
            return self
        if self.lock is None:
            self._lock()
        self.started = time.monotonic()
        self.status = self._first_status()
        try:
            self._begin()
        except BaseException as error:  # a signal, say: the run must not stay "running"
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def _begin(self) -> None:
        """Write what a run has from its start, and open its mirror."""
        for part in self.folder.glob(f"*{PART}"):  # files that a kill left half written
            if part.is_file():
                part.unlink()
        self._write_status()
        config = OmegaConf.to_yaml(OmegaConf.create(self.config))
        write_atomic(self.folder / "config.yaml", config.encode())
        self.write_json("environment.json", environment(self.threads))
        if (clocks := self.folder / "timing.jsonl").exists():
            # Without a row that a kill cut short.
            write_jsonl(clocks, read_jsonl(clocks, tolerate_cut=True))
        self.timing(event="start", utc=datetime.now(UTC).isoformat(timespec="seconds"))
        self._open_mirror()

    def _lock(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._unlock()
            raise UserError(
                f"{self.folder} is being written by another process; let it finish, or stop it"
            ) from None

    def _unlock(self) -> None:
        assert self.lock is not None
        os.close(self.lock)
        self.lock = None

    def _first_status(self) -> dict[str, Any]:
        previous = self.folder / "status.json"
        commits = []
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            commits = json.loads(previous.read_text())["commits"]
        return {
            "schema": SCHEMA,
            "stage": self.stage,
            "name": self.name,
            "status": "running",
            "reason": None,
            "inputs": self.inputs,
            "commits": [*commits, commit()],
            "parent": lineage.parent(
                self.stage, self.name, plain(self.config), self.inputs, ROOT / "logs"
            ),
        } | self._training()

    def _training(self) -> dict[str, Any]:
        """Return {"training": what is said of it} of an evaluation, {} of another stage."""
        return {"training": self.training} if self.stage == "evaluate" else {}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.writes:
            return
        try:
            self.timing(event="end", seconds=round(time.monotonic() - self.started, 2))
            if error is None:
                self.status["status"] = "completed"
                self._write_status()
                self._write_manifest()
                self.tidy()
            else:
                self.status |= {"status": "failed", "reason": self._reason(error)}
                self._write_status()
        except BaseException as problem:  # no room for the end of it, say: no success in the mirror
            self._close(exit_code(problem))
            raise
        self._close(exit_code(error) if error else 0)

    def _reason(self, error: BaseException) -> str:
        """Return why a run failed, in a line without the places of this machine."""
        if isinstance(error, KeyboardInterrupt | Terminated):
            return message(error) or ""
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return self._without_places(reason)[:300]

    def _close(self, code: int) -> None:
        """Let other processes open the run, and tell the mirror with which exit code it ended."""
        self._unlock()
        if self.mirror:
            self.mirror.finish(exit_code=code)

    def _write_status(self) -> None:
        self.write_json("status.json", self.status)

    def _write_manifest(self) -> None:
        for path in [*self.folder.rglob("*"), self.folder]:
            flush(path)  # a manifest must not outlive what it lists
        self.write_json("manifest.json", manifest(self.folder, self.name, self.inputs))

    def tidy(self) -> None:
        """Remove what a run resumes from.

        A finished run is tidied too: a kill may have come between its manifest and this.
        """
        if not self.writes:
            return
        for path in scratch(self.folder):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _open_mirror(self) -> None:
        """Mirror metrics to wandb, under the run's own name: a resumed run goes on with its curve.

        The mirror's files hold host names and paths, so they stay outside the run folder. The runs
        of a sweep are open together, and each has a mirror of its own.
        """
        if self.wandb_mode == "disabled":
            return
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        folder = self.out / "wandb"
        folder.mkdir(parents=True, exist_ok=True)
        usual = {
            "project": ("WANDB_PROJECT", "ponder"),
            "group": ("WANDB_RUN_GROUP", self.stage),
            "job_type": ("WANDB_JOB_TYPE", self.stage),
            "dir": ("WANDB_DIR", str(folder)),
        }
        # None where the environment says it: wandb reads it there, and entity, tags and notes too.
        options: dict[str, Any] = {
            name: None if os.environ.get(variable) else value
            for name, (variable, value) in usual.items()
        }
        try:
            self.mirror = wandb.init(
                mode=self.wandb_mode,
                id=self.name,
                resume="allow",
                reinit="create_new",
                name=self.name,
                **options,
                config=self.config | self._training(),
                settings=wandb.Settings(console="off", x_disable_stats=True),
            )
            # 0, or the step after what an online run already has.
            self.unsent = self.mirror.starting_step
        except wandb.errors.Error as error:
            self.say(
                f"warning: wandb is off ({str(error).splitlines()[0]}); metrics.jsonl has "
                "everything"
            )

    def say(self, text: str) -> None:
        """Print a line and keep it in stdout.log."""
        if not self.writes:
            return
        print(text, flush=True)
        with open(self.folder / "stdout.log", "a", encoding="utf-8") as file:
            file.write(self._without_places(text) + "\n")

    def _without_places(self, text: str) -> str:
        """Return the text without the paths of this machine: the checkout and the run folders."""
        for place, name in ((self.out.resolve(), "outputs"), (self.out, "outputs"), (ROOT, ".")):
            text = text.replace(str(place), name) if place.is_absolute() else text
        return text

    def metric(self, **row: Any) -> None:
        """Append one row to metrics.jsonl, then mirror it."""
        self._append("metrics.jsonl", row)
        self._send(row)

    def outcome(self, **row: Any) -> None:
        """Mirror what a run without steps came to; its record has it in files of its own."""
        self._send({"step": 0, **row})

    def replay(self) -> None:
        """Send the rows of metrics.jsonl to the mirror, for a run that goes on.

        Each start of an offline mirror makes a new folder; this way the newest one holds the whole
        curve.
        """
        path = self.folder / "metrics.jsonl"
        for row in read_jsonl(path) if self.mirror and path.exists() else ():
            self._send(row)

    def _send(self, row: dict[str, Any]) -> None:
        """Send a row to the mirror, unless it has that step already."""
        if self.mirror and row["step"] >= self.unsent:
            self.mirror.log(row, step=row["step"])
            self.unsent = row["step"] + 1

    def timing(self, **row: Any) -> None:
        """Append one row of clocks or speeds to timing.jsonl."""
        self._append("timing.jsonl", row)

    def _append(self, name: str, row: dict[str, Any]) -> None:
        if not self.writes:
            return
        with open(self.folder / name, "a", encoding="utf-8") as file:
            file.write(dump(row))

    def write_jsonl(self, name: str, rows: Iterable[Any]) -> None:
        """Write a file of rows into the folder."""
        if self.writes:
            write_jsonl(self.folder / name, rows)

    def write_json(self, name: str, value: Any) -> None:
        """Write one JSON file into the folder."""
        if self.writes:
            write_atomic(self.folder / name, dump(value, indent=1).encode())
