"""The openness table follows from its facts, and what it says of this repository is there."""

import copy
import re

import pytest
import yaml
from conftest import ROOT

from ponder.audit import literals
from ponder.errors import UserError
from ponder.report import openness

FACTS = yaml.safe_load((ROOT / openness.SOURCE).read_text())
OURS = [cell for row in openness.rows(FACTS) for cell in row.cells if cell.project == FACTS["ours"]]
# Numbers that are part of a name, and the first step of a training.
NAMES = ("OLMo 3", "step 0")


def test_the_table_is_what_its_facts_give():
    assert (ROOT / openness.TABLE).read_text() == openness.text(FACTS)


def test_the_projects_are_those_that_were_asked_for():
    names = ["s1", "open-r1", "OpenThoughts", "OLMo 3", "Marin", "OPEN-1B"]
    assert list(FACTS["projects"].values()) == ["this repository", *names]


@pytest.mark.parametrize("cell", OURS, ids=lambda cell: cell.evidence.text)
def test_each_path_and_command_of_ours_is_there(cell):
    if cell.evidence.kind == "path":
        assert (ROOT / cell.evidence.text).exists()
        return
    program, target = cell.evidence.text.split()
    assert program == "make"
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_ours_is_known_in_every_row_and_others_rest_on_a_page_at_a_commit():
    assert len(OURS) == len(FACTS["rows"])
    for row in openness.rows(FACTS):
        for cell in row.cells:
            assert (cell.evidence is None) == (cell.answer == openness.UNVERIFIED)
            if cell.evidence and cell.evidence.kind == "page":
                assert re.fullmatch(
                    r"https://github\.com/[\w.-]+/[\w.-]+/blob/[0-9a-f]{40}/\S+", cell.evidence.text
                )


def test_every_page_is_cited_and_no_number_is_typed():
    text = (ROOT / openness.TABLE).read_text()
    assert all(openness.address(page) in text for page in FACTS["pages"].values())
    assert literals.stray(text, ".md", NAMES) == []


def changed(**entry):
    """Return the facts with another first cell of s1."""
    facts = copy.deepcopy(FACTS)
    facts["rows"][0]["cells"]["s1"] = {"answer": "yes", "page": "s1", "note": ""} | entry
    return facts


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"answer": True}, "the answer True of s1"),
        ({"answer": "unverified"}, "the answer 'unverified' of s1"),
        ({"page": "s2"}, "the page 's2' of s1"),
        ({"SFT": None}, "the keys ['SFT', 'answer', 'note', 'page'] of s1"),
        ({"path": "README.md"}, "the evidence ['path', 'page'] of s1"),
    ],
)
def test_a_fact_that_cannot_be_is_one_sentence(entry, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        openness.rows(changed(**entry))


def test_a_project_that_is_not_in_the_list_is_told():
    facts = copy.deepcopy(FACTS)
    facts["rows"][0]["cells"]["limo"] = {}
    with pytest.raises(UserError, match="the project 'limo'; take one of ponder, s1"):
        openness.rows(facts)


def test_a_project_that_a_row_leaves_out_is_unverified():
    facts = copy.deepcopy(FACTS)
    del facts["rows"][0]["cells"]["s1"]
    cell = next(cell for cell in openness.rows(facts)[0].cells if cell.project == "s1")
    assert (cell.answer, cell.evidence) == (openness.UNVERIFIED, None)
