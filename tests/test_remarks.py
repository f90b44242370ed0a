"""A pre-registration gains dated remarks at its end before the work that they speak of, no more."""

import json

import pytest

from ponder.audit import checks, git, history, notes

PLAN = ["question: Does it?", "n: 400"]


@pytest.mark.parametrize(
    "more, is_allowed",
    [
        (["# 2026-11-29, before any answer: 500 rows."], True),
        (["# 2026-11-29, before any answer:", "# 500 rows."], True),
        (["# before any answer: 500 rows."], False),
        (["n: 200"], False),
        (["# 2026-11-29: as follows", "n: 200"], False),
        ([], False),
    ],
)
def test_only_dated_comments_at_the_end_are_remarks(more, is_allowed):
    assert history.only_remarks(PLAN, [*PLAN, *more]) == is_allowed


@pytest.mark.parametrize(
    "new", [["question: Does it?", "n: 200"], PLAN[:1], ["# 2026-11-29", *PLAN]]
)
def test_a_line_that_was_there_stays_where_it_was(new):
    assert not history.only_remarks(PLAN, new)


@pytest.mark.parametrize(
    "rows, wanted",
    [
        (["start", "end", "start", "work", "end"], ["second"]),
        (["start", "work", "start", "work", "end"], ["first", "second"]),
        (["start", "start"], []),
    ],
)
def test_the_starts_that_came_to_work_are_told_by_the_clock(rows, wanted, tmp_path):
    lines = [{"event": row} if row != "work" else {"answers": 4, "seconds": 1.0} for row in rows]
    (tmp_path / "timing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert notes.worked(tmp_path, ["first", "second"]) == wanted


def test_the_released_plans_are_what_they_were_but_for_remarks():
    for path in notes.preregistered():
        name = checks.shown(path)
        commits = git.git("log", "--format=%H", "--", name)
        if commits is None or not commits.strip():
            pytest.skip("this is no checkout with its history")
        assert notes.gained_remarks(name, commits.split())
