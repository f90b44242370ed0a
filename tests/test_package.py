"""A built wheel holds every file that the package needs."""

import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """The names of the files in a wheel built from the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = git("ls-files", "-z", "ponder", "pyproject.toml", "README.md", "LICENSE").split("\0")
    for name in filter(None, tracked):
        if (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def git(*words):
    return subprocess.run(
        ["git", *words], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def test_the_wheel_holds_every_tracked_file_of_the_package(members):
    tracked = {name for name in git("ls-files", "ponder").splitlines() if (ROOT / name).exists()}
    assert "ponder/evaluate/tasks/_family" in tracked and "ponder/audit/page.html" in tracked
    assert tracked - members == set()


def test_the_wheel_holds_nothing_else_than_the_package(members):
    assert {name.split("/")[0] for name in members} <= {"ponder", "ponder-0.1.0.dist-info"}
