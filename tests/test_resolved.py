"""Every experiment under every budget and engine resolves to the configuration it always had."""

import hashlib
import json

from conftest import ROOT
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

CONF = ROOT / "conf"
RESOLVED = (
    ROOT / "tests" / "resolved.json"
)  # {experiment: {engine: {budget: sha256, 12 hex}}}, made before the packages were moved


def options(group):
    """Return the names of the options of a group."""
    return sorted(
        path.stem for path in (CONF / group).glob("*.yaml") if not path.stem.startswith("_")
    )


def resolved():
    """Return what resolved.json holds, for the configuration as it is now."""
    digests = {}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for experiment in options("experiment"):
            for engine in options("engine"):
                own = [f"experiment={experiment}", f"engine={engine}"]
                plan = OmegaConf.to_container(compose("evaluate", own), resolve=True)
                for budget in options("budget"):
                    # The group alone is composed again: nothing else in conf/ reads it.
                    plan["budget"] = OmegaConf.to_container(
                        compose(f"budget/{budget}"), resolve=True
                    )["budget"]
                    text = json.dumps(plan, sort_keys=True)
                    digests.setdefault(experiment, {}).setdefault(engine, {})[budget] = (
                        hashlib.sha256(text.encode()).hexdigest()[:12]
                    )
    return digests


def test_no_resolved_configuration_moved():
    before, now = json.loads(RESOLVED.read_text()), resolved()
    moved = [
        (experiment, engine, budget)
        for experiment, engines in before.items()
        for engine, budgets in engines.items()
        for budget, digest in budgets.items()
        if now[experiment][engine][budget] != digest
    ]
    assert not moved, f"{len(moved)} of them, the first: {moved[0]}"


if __name__ == "__main__":  # only when a key is added on purpose: what moves gets other run names
    RESOLVED.write_text(json.dumps(resolved(), indent=1, sort_keys=True) + "\n")
