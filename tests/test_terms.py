"""The terms of teachers' outputs: what each config rests on, and what is refused for it."""

import dataclasses

import pytest
from conftest import ROOT, study_of

from ponder.collect import terms
from ponder.errors import UserError
from ponder.hashing import file_sha256

TEACHERS = sorted(path.stem for path in (ROOT / "conf" / "teacher").glob("*.yaml"))


def terms_of(teacher):
    return study_of("experiment=cpu", f"teacher={teacher}").teacher.terms


@pytest.mark.parametrize("teacher", TEACHERS)
def test_the_text_that_a_teacher_rests_on_is_held(teacher):
    terms.check_text(terms_of(teacher))


def test_every_text_is_named_by_its_hash_and_used_by_a_teacher():
    hashes = {path.stem: file_sha256(path) for path in (ROOT / "data" / "licenses").glob("*.txt")}
    assert hashes and all(name == sha256 for name, sha256 in hashes.items())
    assert set(hashes) == {terms_of(teacher).text for teacher in TEACHERS} - {None}


def test_the_teacher_of_the_paper_is_restricted_by_a_clause_and_an_unknown_one_unclear():
    gemini = terms_of("gemini")
    assert gemini.reading == "restricted" and "compete" in gemini.quoted and gemini.text is None
    assert terms_of("openai").reading == "unclear"
    assert {terms_of(teacher).reading for teacher in ("solver", "hf", "deepseek-r1")} == {"allowed"}


@pytest.mark.parametrize(
    "teacher, words",
    [
        ("solver", None),
        ("hf", None),
        ("gemini", "compete with the Services"),
        ("openai", "no text is held"),
    ],
)
def test_a_refusal_names_the_clause(teacher, words):
    message = terms.refusal(dataclasses.asdict(terms_of(teacher)))
    assert (
        message is None
        if words is None
        else words in message and terms_of(teacher).reading in message
    )


def test_a_text_that_is_missing_or_another_is_told(tmp_path, monkeypatch):
    allowed = terms_of("solver")
    monkeypatch.setattr(terms, "ROOT", tmp_path)
    (tmp_path / "data" / "licenses").mkdir(parents=True)
    for content in (None, "another text"):
        if content:
            (tmp_path / "data" / "licenses" / f"{allowed.text}.txt").write_text(content)
        with pytest.raises(
            UserError, match=f"data/licenses/{allowed.text}.txt, which is missing or another text"
        ):
            terms.check_text(allowed)
