"""What two runs differ in, and which released run a new one descends from. Plain data in and out; reads records only."""

import json
from pathlib import Path

import yaml

from ponder.errors import UserError


def flat(value, prefix=""):
    """Return {dotted key: leaf} of a nested config; an empty dict or list is a leaf."""
    if not isinstance(value, (dict, list, tuple)) or not value:
        return {prefix: list(value) if isinstance(value, tuple) else value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {
        key: leaf
        for name, item in items
        for key, leaf in flat(item, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def changed(one, other):
    """Return {dotted key: [value in one, value in the other]} where two configs differ; a key that is missing counts as None."""
    one, other = flat(one), flat(other)
    return {
        key: [one.get(key), other.get(key)]
        for key in sorted({*one, *other})
        if one.get(key) != other.get(key)
    }


def identity(folder):
    """Return (what names a run: its config and the hashes of what it read; its status). Raises UserError for a damaged record."""
    try:
        config = yaml.load(
            (folder / "config.yaml").read_text(),
            Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader),
        )
        status = json.loads((folder / "status.json").read_text())
        return {**config, "inputs": status["inputs"]}, status["status"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        said = f"{folder} has no readable config.yaml and status.json ({type(error).__name__}); restore it from git"
        raise UserError(said) from error


def parent(stage, name, config, inputs, logs):
    """Return {"run", "changed"}: the completed released run of this stage and model that a run differs least from, and in what.

    None for a run that is itself released, and where no run of its model is. `changed` has [theirs, ours] for each key. What
    only one of the two configs has counts after what both have, since older runs lack newer keys. For a fork this is where it
    left the released experiment.
    """
    ours, nearest, least = {**config, "inputs": inputs}, None, None
    for folder in sorted(path.parent for path in Path(logs, stage).glob("*/config.yaml")):
        if folder.name == name:
            return None
        theirs, status = identity(folder)
        if status != "completed" or theirs.get("model", {}).get("name") != config.get(
            "model", {}
        ).get("name"):
            continue
        found = changed(theirs, ours)
        distance = sum(None not in pair for pair in found.values()), len(found)
        if least is None or distance < least:
            nearest, least = {"run": f"{stage}/{folder.name}", "changed": found}, distance
    return nearest
