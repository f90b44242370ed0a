"""Documents: their links lead somewhere, the front page is short, every document knows its
neighbours."""

import re
import subprocess
import tomllib

import pytest
from conftest import ROOT

DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "conf/README.md",
    "data/README.md",
    "logs/README.md",
    "logs/decisions/README.md",
    "paper/README.md",
    "ponder/README.md",
)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:srcset|src)=\"([^\"]+)\"")


def anchors(text):
    """The anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_of_a_document_leads_somewhere(name):
    folder = (ROOT / name).parent
    links = [one or other for one, other in LINK.findall((ROOT / name).read_text())]
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = folder / path if path else ROOT / name
        assert target.exists(), f"{name}: {link}"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{name}: {link}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_line_begins_with_a_comment_of_a_number_which_would_end_its_paragraph(name):
    assert not re.search(r"^ {0,3}<!--=", (ROOT / name).read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", DOCUMENTS[1:])
def test_the_front_page_is_one_link_away(name):
    assert "README.md)" in (ROOT / name).read_text()


def test_the_front_page_is_short_and_begins_with_commands():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    assert "make smoke" in "\n".join(lines[:15])


def test_every_package_and_module_is_on_the_map():
    text = (ROOT / "ponder" / "README.md").read_text()
    tracked = subprocess.run(
        ["git", "ls-files", "ponder"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    rooms = {name.split("/")[1] for name in tracked if name.endswith(".py")} - {"__init__.py"}
    missing = [room for room in sorted(rooms) if f"({room})" not in text]
    assert not missing


def test_every_module_has_its_floor():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = config["tool"]["importlinter"]["contracts"]
    floors = {name.strip() for layer in contract["layers"] for name in layer.split("|")}
    modules = [
        str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
        for path in (ROOT / "ponder").rglob("*.py")
        if path.name != "__init__.py"
    ]
    homeless = [
        module
        for module in modules
        if not any(module == floor or module.startswith(f"{floor}.") for floor in floors)
    ]
    assert not homeless
