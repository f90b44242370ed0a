"""What a reader of a rendered Markdown document sees: each number at the place of its claim."""

import json
from types import SimpleNamespace

import pytest
import yaml

from ponder.audit import checks, literals, seen
from ponder.audit.marks import Mark, Marks, with_marks
from ponder.audit.rendered import rendered
from ponder.report import markdown

PRINTED = {
    "accuracy": {"text": "49.6% [45.1, 54.0]", "n": "480"},
    "rows": [{"name": "wait1", "n": "7"}, {"name": "free", "n": "7"}],
}
CLAIMS = {"accuracy": ["480", "49.6% [45.1, 54.0]"], "rows/wait1": ["7"], "rows/free": ["7"]}
SOURCE = """# Title

Right are <!--=accuracy/text-->49.6% [45.1, 54.0]<!--/--> with 95% intervals of
<!--=accuracy/n-->480<!--/--> questions.

<!-- table -->
| of wait1 | 7 |
<!-- /table -->

```sh
make table RUNS=cap32    # a comment
```
"""


def table(results, root):
    """A block that looks a row up by its name."""
    rows = {row["name"]: row["n"] for row in results["printed"]["rows"]}
    return f"| of wait1 | {rows['wait1']} |\n"


@pytest.fixture
def document(tmp_path, monkeypatch):
    """A tree with one document and its claims, and what changes them."""
    monkeypatch.setattr(seen, "ROOT", tmp_path)
    monkeypatch.setattr(seen, "PAPER", tmp_path / "paper")
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    monkeypatch.setattr(literals, "GUIDES", ())
    monkeypatch.setattr(markdown, "DOCUMENTS", {"R.md": markdown.Document("", ("table",))})
    monkeypatch.setattr(markdown, "BLOCKS", {"table": table})
    (tmp_path / "paper" / "generated").mkdir(parents=True)
    (tmp_path / "paper/generated/results.json").write_text(json.dumps({"printed": PRINTED}))
    (tmp_path / "logs").mkdir()
    listed = [{"id": ident, "printed": texts} for ident, texts in CLAIMS.items()]
    (tmp_path / "logs/claims.jsonl").write_text("".join(json.dumps(c) + "\n" for c in listed))
    literal = {"text": "95% intervals", "reason": "the level of every interval"}
    (tmp_path / "logs/literals.yaml").write_text(yaml.safe_dump([literal]))
    (tmp_path / "R.md").write_text(SOURCE)

    def changed(old, new, path="R.md"):
        text = (tmp_path / path).read_text()
        assert old in text
        (tmp_path / path).write_text(text.replace(old, new, 1))

    return SimpleNamespace(
        changed=changed, block=lambda b: monkeypatch.setattr(markdown, "BLOCKS", {"table": b})
    )


def test_claims_literals_and_names_raise_no_alarm(document):
    assert seen.documents()[:2] == ("1 documents with 3", [])


def test_another_number_at_a_claims_place_is_told_with_its_line(document):
    document.changed("| 7 |", "| 8 |")
    (problem,) = seen.documents().problems
    assert problem.startswith("R.md line 6 reads") or problem.startswith("R.md line 7 reads")


def test_what_is_printed_and_no_claim_is_told(document):
    document.changed('"480"', '"481"', "logs/claims.jsonl")
    (problem,) = seen.documents().problems
    assert problem == "R.md prints '480' at accuracy/n, which is no claim"


TYPED_BY_CODE = {
    "a number": lambda row: f"| of wait1 | {row} | 3 |\n",
    "a digit after a claim": lambda row: f"| of wait1 | {row}0 |\n",
    "a percent sign after a claim": lambda row: f"| of wait1 | {row}% |\n",
    "a sign before a claim": lambda row: f"| of wait1 | -{row} |\n",
    "a count": lambda row: f"| of wait1 | {row} | {len('ab')} |\n",
}


@pytest.mark.parametrize("name", TYPED_BY_CODE)
def test_a_number_that_the_reports_code_types_or_counts_is_told(document, name):
    """`numbers` makes a block again by the same code, and finds nothing."""
    block = TYPED_BY_CODE[name]
    document.block(lambda results, root: block(results["printed"]["rows"][0]["n"]))
    document.changed("| of wait1 | 7 |\n", block("7"))
    assert seen.documents().problems


def test_what_is_not_seen_is_no_text():
    text = rendered("R.md", "a<!-- 64% --> [b](u/64)\n\n[c]: v/64 '64'\n").text
    assert text.split() == ["a", "b"]


def test_code_is_told_from_prose():
    found = rendered("R.md", "a `b 1` c\n\n```\nd 2\n```\n")
    assert [found.text[start:end] for start, end in found.code] == ["`b 1`", "`\nd 2\n`"]


def test_a_mark_is_looked_up_as_what_it_stands_for():
    marks = Marks()
    marked = with_marks({"a": "x1", "b": ["x1", "none"]}, marks)
    assert {marked["a"]: 5}["x1"] == 5 and marked["a"] == marked["b"][0] == "x1"
    assert marked["a"] != "x2" and not marked["a"] != "x1"
    assert [mark.text for mark in marks.values()] == ["x1", "x1"] and marked["b"][1] == "none"
    assert isinstance(str(marked["a"]), Mark) and marks.without(f"{marked['a']}") == "x1"
    assert [mark.path for mark in marks.printed(" ".join([marked["a"], *marked["b"]]))] == [
        "a",
        "b/x1",
    ]
