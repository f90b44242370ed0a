"""What two runs differ in, which released run a new one descends from, and which training made the
weights that an evaluation measures; reads records only.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from ponder.config import yaml_value
from ponder.errors import RecordError


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return {dotted key: leaf} of a nested config; an empty dict or list is a leaf."""
    if not isinstance(value, (dict, list, tuple)) or not value:
        return {prefix: list(value) if isinstance(value, tuple) else value}
    leaves: dict[str, Any] = {}
    for name, item in value.items() if isinstance(value, dict) else enumerate(value):
        leaves |= flat(item, f"{prefix}.{name}" if prefix else str(name))
    return leaves


def changed(one: dict, other: dict) -> dict[str, list]:
    """Return {dotted key: [value in one, value in the other]} where two configs differ.

    A key that is missing counts as None.
    """
    one, other = flat(one), flat(other)
    return {
        key: [one.get(key), other.get(key)]
        for key in sorted({*one, *other})
        if one.get(key) != other.get(key)
    }


def identity(folder: Path) -> tuple[dict[str, Any], str]:
    """Return (what names a run, its status).

    What names it is its config, and as "inputs" the hashes of what it read.

    Raises RecordError for a record that is missing or damaged.
    """
    try:
        config = _config(folder)
        status = json.loads((folder / "status.json").read_text())
        return {**config, "inputs": status["inputs"]}, status["status"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise RecordError(
            f"{folder} has no readable config.yaml and status.json ({type(error).__name__}); "
            "restore it from git"
        ) from error


def parent(
    stage: str, name: str, config: dict[str, Any], inputs: dict[str, str], logs: Path | str
) -> dict[str, Any] | None:
    """Return {"run", "changed"} of the released run that a run descends from.

    It is the completed run of this stage and model in `logs` that differs least: for a fork the
    point where it left the released experiment. None for a run that is itself released, and where
    no run of its model is. `changed` has [the released value, ours] for each key. What only one of
    the two configs has counts after what both have, since older runs lack newer keys.
    """
    ours = {**config, "inputs": inputs}
    nearest, least = None, None
    for folder in sorted(path.parent for path in Path(logs, stage).glob("*/config.yaml")):
        if folder.name == name:
            return None
        released, status = identity(folder)
        if status != "completed" or _model(released) != _model(config):
            continue
        differences = changed(released, ours)
        in_both = sum(None not in pair for pair in differences.values())
        distance = in_both, len(differences)
        if least is None or distance < least:
            nearest, least = {"run": f"{stage}/{folder.name}", "changed": differences}, distance
    return nearest


def _model(config: dict[str, Any]) -> str | None:
    return config.get("model", {}).get("name")


# --- the training behind an evaluation ---


def training(folder: Path, places: Iterable[Path]) -> dict[str, Any]:
    """Return what is said of a train run where its weights are measured.

    {"run": its name, "seed", "rows": SHA-256 of the rows, "selection": the name of the rule that
    chose them, None where no collect run in `places` (folders of runs by stage) made them,
    "recipe": its configuration of training}.
    """
    config, manifest = _config(folder), json.loads((folder / "manifest.json").read_text())
    rows = manifest["inputs"]["train.jsonl"]
    chosen = next(iter(writers("collect", rows, places)), None)
    selection = _config(chosen).get("selection", {}).get("name") if chosen else None
    return {
        "run": folder.name,
        "seed": config.get("seed"),
        "rows": rows,
        "selection": selection,
        "recipe": config["train"],
    }


def writers(stage: str, digest: str, places: Iterable[Path]) -> Iterator[Path]:
    """Yield the finished runs of a stage in `places` that wrote a file with this SHA-256."""
    for place in places:
        for path in sorted((place / stage).glob("*/manifest.json")):
            if digest in written(path).values():
                yield path.parent


def written(manifest: Path) -> dict[str, str]:
    """Return {file: SHA-256} of a manifest; nothing of one that a crash left cut short."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        entries = json.loads(manifest.read_text())["files"].items()
        return {name: entry["sha256"] for name, entry in entries}
    return {}


def _config(folder: Path) -> dict[str, Any]:
    """Return the configuration of a run."""
    return yaml_value((folder / "config.yaml").read_text())
