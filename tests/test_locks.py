"""What is installed is named by its hash, and what is not stands in a table with the reason."""

import re
import tomllib

import pytest
from conftest import ROOT

LOCKS = [ROOT / "requirements.lock", *sorted((ROOT / "locks").glob("*.lock"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAKEFILE = (ROOT / "Makefile").read_text()


def packages(path):
    """Return {name==version: how many hashes} of a lock."""
    entries = re.split(r"^(?=[a-z0-9])", path.read_text(), flags=re.MULTILINE)[1:]
    return {re.split(r"[\s;\\]", entry)[0]: entry.count("--hash=sha256:") for entry in entries}


def named(requirement):
    """Return a pin as a lock has it: without its extras, in lower case, with dashes."""
    name, version = re.sub(r"\[.*\]", "", requirement).split("==")
    return f"{name.replace('_', '-').lower()}=={version}"


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_package_of_a_lock_has_a_hash(path):
    counts = packages(path)
    assert counts and all("==" in name and count for name, count in counts.items())
    assert str(ROOT) not in path.read_text() and "/tmp/" not in path.read_text()


def test_the_locks_hold_what_the_project_pins():
    pins = {named(pin) for pin in PROJECT["dependencies"]}
    left_out = {pin for pin in pins if pin.startswith("torch==")}
    assert len(left_out) == 1 and pins - left_out <= packages(LOCKS[0]).keys()
    for extra, requirements in PROJECT["optional-dependencies"].items():
        lock = packages(ROOT / "locks" / f"{extra}.lock")
        assert {named(pin) for pin in requirements} <= lock.keys()
        beside = lock.keys() & packages(LOCKS[0]).keys()
        own = ("export", "inspect", "vllm", "openvino")  # have venvs of their own
        assert not beside or extra in own, extra


def test_no_pip_installs_anything_but_locked_wheels_unless_a_table_says_why():
    """A source distribution runs its own code before its hash is looked at."""
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## What is installed")[1]
    (sources,) = re.findall(r"^NO_WHEEL := (.*)", MAKEFILE, re.MULTILINE)
    for name in [*sources.split("|"), "torch"]:
        assert f"{name}," in table or f"{name} " in table, name
    assert "--require-hashes" in re.search("^WHEELS := .*", MAKEFILE, re.MULTILINE)[0]
    assert "--only-binary=:all:" in re.search("^WHEELS := .*", MAKEFILE, re.MULTILINE)[0]
    assert "--require-hashes" in re.search("^SOURCES := .*", MAKEFILE, re.MULTILINE)[0]
    scripts = MAKEFILE + (ROOT / ".ci" / "run").read_text()
    installs = [line for line in scripts.splitlines() if re.search(r"(pip|PIP\)).* install ", line)]
    assert len(installs) == 6
    safe = re.compile(
        r"\$\((WHEELS|SOURCES)\) -r|--only-binary=:all: \$\(TORCH\)"
        r"|--no-deps --no-build-isolation --editable \.$"
    )
    assert [line for line in installs if not safe.search(line)] == []


def test_what_is_built_from_source_is_locked():
    (sources,) = re.findall(r"^NO_WHEEL := (.*)", MAKEFILE, re.MULTILINE)
    locked = {name.split("==")[0] for path in LOCKS for name in packages(path)}
    assert set(sources.split("|")) <= locked and "setuptools" in locked
