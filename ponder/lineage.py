"""What two runs differ in, and which released run a new one descends from; reads records only."""

import json
from pathlib import Path
from typing import Any

import yaml

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
        config = yaml.load(
            (folder / "config.yaml").read_text(),
            Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader),
        )
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
