"""The same weights behind two engines: which runs stand beside each other, and what is counted."""

import pytest
from conftest import ROOT

from ponder.report import engines, front_page, results_page, sources
from ponder.report.printed import printed
from ponder.runs import dump, write_jsonl


def released(root, stage, label, rows):
    """Write a released run with its samples or, of a collection, the traces of its data set."""
    folder = root / "logs" / stage / f"{label}-0123abcd"
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(dump({"status": "completed"}))
    (folder / "manifest.json").write_text(dump({"files": {}}))
    if stage == "evaluate":
        write_jsonl(folder / "samples.jsonl", rows)
        return
    data = root / "data" / "qwen" / label
    data.mkdir(parents=True)
    write_jsonl(data / "traces.jsonl", rows)


def answers(rights, tokens):
    return [
        {"id": ident, "correct": right, "ids": [1] * tokens, "tokens": tokens}
        for ident, right in rights.items()
    ]


def found(root):
    return engines.engines(root / "logs", root / "data")


@pytest.mark.parametrize("name", engines.PAIRS)
def test_the_questions_that_both_answered_are_compared(tmp_path, name):
    pair = engines.PAIRS[name]
    released(tmp_path, pair.stage, pair.ours, answers({"a": True, "b": False, "c": True}, 10))
    assert found(tmp_path) == [], "one engine alone is compared with nothing"
    rights = {"a": False, "c": True, "b": False, "elsewhere": True}
    released(tmp_path, pair.stage, pair.theirs, answers(rights, 20))
    (entry,) = found(tmp_path)
    assert (entry["ours"]["n"], entry["ours"]["correct"], entry["ours"]["tokens"]) == (3, 2, 10)
    assert (entry["theirs"]["n"], entry["theirs"]["correct"], entry["theirs"]["tokens"]) == (
        3,
        1,
        20,
    ), "what one engine alone answered does not count"
    assert (entry["all"]["gained"], entry["all"]["lost"], entry["all"]["n"]) == (1, 0, 3)
    assert entry["all"]["difference"] == pytest.approx(1 / 3)
    assert entry["ours_run"] == f"{pair.ours}-0123abcd"


@pytest.mark.parametrize(
    ("pair", "read"),
    [(engines.PAIRS["student"], engines._answers), (engines.PAIRS["teacher"], engines._traces)],
)
def test_the_released_questions_of_one_are_the_first_of_the_other(pair, read):
    ours, theirs = (
        [*read(sources.run_folder(pair.stage, label, ROOT / "logs"), ROOT / "data")]
        for label in (pair.ours, pair.theirs)
    )
    assert ours == theirs[: len(ours)] and len(ours) < len(theirs), "documents say: the first"


def test_documents_show_both_sides_with_links_to_their_runs(tmp_path):
    for pair in engines.PAIRS.values():
        released(tmp_path, pair.stage, pair.ours, answers({"a": True, "b": False}, 10))
        released(tmp_path, pair.stage, pair.theirs, answers({"a": True, "b": True}, 20))
    results = {"engines": found(tmp_path)}
    results["printed"] = printed(results)
    page = "\n".join(results_page._engines(results["printed"]["engines"], "../"))
    for pair in engines.PAIRS.values():
        for label in (pair.ours, pair.theirs):
            assert f"(../logs/{pair.stage}/{label}-0123abcd)" in page
    assert "-50.0 [-100.0, +0.0]" in page and "| 0, 1 |" in page
    said = front_page.by_llamacpp(results, "")
    assert "The base on the first 2 of them: [50.0% [" in said
    assert "behind llama.cpp, 100.0% in transformers, -50.0 [" in said
    assert f"(logs/evaluate/{engines.PAIRS['student'].ours}-0123abcd)" in said


def test_nothing_is_said_before_an_engine_has_answered():
    assert results_page._engines([], "../") == []
    assert front_page.by_llamacpp({"printed": {"engines": []}}, "") == ""
