"""Every experiment under every budget and engine resolves to the configuration it always had."""

import hashlib
import json

from conftest import ROOT
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

CONF = ROOT / "conf"
# {experiment: {engine: {budget: sha256, 12 hex}}}, made before the packages were moved
RESOLVED = ROOT / "tests" / "resolved.json"


def options(group):
    """Return the names of the options of a group."""
    return sorted(
        path.stem for path in (CONF / group).glob("*.yaml") if not path.stem.startswith("_")
    )


def without_later_keys(plan):
    """Return a configuration without what was added to it on purpose since resolved.json.

    train.py can show rows (decision 0036), and pools without canonical keys are compared with
    benchmarks by n-grams and MinHash too (decision 0037).
    """
    rule = {**plan["decontamination"]}
    del rule["instructions"]
    if rule["name"] == "cpu":
        rule |= {"ngrams": [], "minhash": None}
    rest = {key: value for key, value in plan.items() if key != "show"}
    return {**rest, "decontamination": rule}


def composed(name, *overrides):
    """Return a composed configuration as plain values."""
    return OmegaConf.to_container(compose(name, list(overrides)), resolve=True)


def digest(plan):
    """Return the first 12 hex digits of the SHA-256 of a configuration."""
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:12]


def resolved():
    """Return what resolved.json holds, for the configuration as it is now."""
    digests = {}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        # A budget is composed by itself: nothing else in conf/ reads it.
        budgets = {name: composed(f"budget/{name}")["budget"] for name in options("budget")}
        for experiment in options("experiment"):
            for engine in options("engine"):
                plan = composed("evaluate", f"experiment={experiment}", f"engine={engine}")
                digests.setdefault(experiment, {})[engine] = {
                    name: digest(without_later_keys(plan) | {"budget": budget})
                    for name, budget in budgets.items()
                }
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
