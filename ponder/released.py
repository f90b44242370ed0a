"""The released records: the rows of the table and the runs in logs/ behind them. Reads files, changes nothing."""
import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from ponder.config import ConfigError, build
from ponder.runs import ROOT, read_jsonl


@dataclass(frozen=True)
class Row:
    """One row of the released table (paper/rows.yaml)."""
    label: str
    experiment: str
    subject: str
    budget: str
    main: bool

    def run_label(self, split):
        """Return the name of the row's evaluate run, without its hash."""
        return f"{self.experiment}-{self.subject}-{self.budget}-{split}"


def rows():
    """Return the rows of the released table, in its order."""
    return [build(Row, node) for node in yaml.safe_load((ROOT / "paper" / "rows.yaml").read_text())]


def run_folder(stage, label, logs=ROOT / "logs"):
    """Return the one completed run of a stage whose name is `label` plus a hash.

    Raises ConfigError when there is none or more than one: a released run is superseded by name, never silently.
    """
    size = len(label) + len("-") + 8
    found = [p.parent for p in sorted(Path(logs, stage).glob(f"{label}-*/manifest.json")) if len(p.parent.name) == size]
    found = [p for p in found if json.loads((p / "status.json").read_text())["status"] == "completed"]
    if len(found) != 1:
        raise ConfigError(f"{stage} run {label} is {len(found)} times in {Path(logs).name}/, but must be there once; "
                          "release it with make release, or remove the one that it supersedes")
    return found[0]


def groups():
    """Return {group: families} of the released table: within reach, out of reach, transfer."""
    path = ROOT / "paper" / "generated" / "results.json"
    if not path.exists():
        raise ConfigError("paper/generated/results.json is missing; restore it from git, or run make paper")
    found = json.loads(path.read_text())["groups"]
    return {name: group["families"] for name, group in found.items() if group["families"]}


def samples(folder):
    """Return the samples of an evaluate run."""
    return read_jsonl(Path(folder) / "samples.jsonl")
