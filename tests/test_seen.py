"""What a reader sees in the text of a PDF: each number where its claim prints it, and no other."""

import json
from types import SimpleNamespace

import pytest
import yaml

from ponder.audit import checks, seen
from ponder.report import pdf

PRINTED = {
    "accuracy": {"text": "49.6% [45.1, 54.0]", "n": "480"},
    "rows": [{"name": "cut at 32", "tokens": "1,032.0"}, {"name": "wait_2", "tokens": "7"}],
    "references": [{"name": "s1", "number": "1", "text": "s1, 2025, arXiv:2501.19393"}],
}
CLAIMS = [("accuracy", ["49.6% [45.1, 54.0]", "480"]), ("rows/cut at 32", ["1,032.0"])]
CLAIMS += [
    ("rows/wait_2", ["7", "wait_2"]),
    ("references", ["1", "s1", PRINTED["references"][0]["text"]]),
]
TEMPLATE = """// A comment of 2026.
#let results = json("generated/results.json")
#let printed = results.printed
#let row(name) = printed.rows.find(row => row.name == name)
#let sec(body) = body
#set page(width: 12cm, height: 9cm, numbering: "1")
#set par(justify: true)
#set text(lang: "en")
#set heading(numbering: "1")
= What was found
Accuracy is #printed.accuracy.text of #printed.accuracy.n questions, as in section #sec[3.2].
@models shows it for "cut at 32" (#row("cut at 32").tokens tokens) and #printed.rows.map(row =>
row.name.replace("_", " ")).join(" and "). #printed.rows.map(row => row.tokens).join(", ").
= What is s1's
#lorem(90) The answers of incomprehensibly characteristic representations.
#figure(image("generated/models.svg", width: 5cm), caption: [With 95% intervals.]) <models>
#figure(table(columns: 2, [n], [#printed.accuracy.n]), caption: [Sizes.]) <sizes>
#lorem(60) See @sizes, and #printed.references.first().number: #printed.references.first().text.
"""
FIGURE = """<svg xmlns="http://www.w3.org/2000/svg" width="90" height="40">
<text x="0" y="15" style="font-size: 9px; font-family: 'DejaVu Sans'">20% &lt; 4</text>
<text x="9" y="35" transform="rotate(-90 9 35)" style="font-size: 9px">step 8</text></svg>"""


@pytest.fixture
def paper(tmp_path, monkeypatch):
    """A paper of three pages with its claims, and what sets it again."""
    monkeypatch.setattr(seen, "ROOT", tmp_path)
    monkeypatch.setattr(seen, "PAPER", tmp_path / "paper")
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    (tmp_path / "paper" / "generated").mkdir(parents=True)
    (tmp_path / "logs").mkdir()
    claims = [{"id": ident, "printed": texts} for ident, texts in CLAIMS]
    (tmp_path / "logs" / "claims.jsonl").write_text("".join(json.dumps(c) + "\n" for c in claims))
    literals = [{"text": "95% intervals", "reason": "the level of every interval"}]
    (tmp_path / "logs" / "literals.yaml").write_text(yaml.safe_dump(literals))
    (tmp_path / "paper" / "generated" / "models.svg").write_text(FIGURE)

    def set_paper(template=TEMPLATE, printed=PRINTED):
        results = {"n": 480, "printed": printed}
        (tmp_path / "paper" / "generated" / "results.json").write_text(json.dumps(results))
        (tmp_path / "paper" / "paper.typ").write_text(template)
        (tmp_path / "paper" / "paper.pdf").write_bytes(pdf.compiled(tmp_path / "paper"))

    set_paper()
    return SimpleNamespace(folder=tmp_path, set=set_paper)


def test_a_paper_of_claims_literals_and_counters_raises_no_alarm(paper):
    assert seen.paper()[:2] == ("3 pages with 9 places where a claim prints", [])


@pytest.mark.parametrize("width", ["5cm", "7.3cm", "9.1cm", "20cm"])
def test_where_lines_and_pages_break_does_not_matter(paper, width):
    paper.set(TEMPLATE.replace("12cm", width))
    assert seen.paper().problems == []


OTHERS = {
    "another number": ("49.6%", "49.7%"),
    "one digit less": ("1,032.0", "1,032"),
    "a sign": ('"7"', '"-7"'),
    "two that changed places": ("45.1, 54.0", "54.0, 45.1"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_pdf_of_other_numbers_is_told_with_the_page(paper, name):
    before = json.dumps(PRINTED)
    after = before.replace(*OTHERS[name])
    assert after != before
    paper.set(printed=json.loads(after))
    there = (paper.folder / "paper" / "paper.pdf").read_bytes()
    paper.set()
    (paper.folder / "paper" / "paper.pdf").write_bytes(there)
    (problem,) = seen.paper().problems
    assert problem.startswith("paper/paper.pdf page 1 reads")


TYPED = {
    "a number": ("= What is", "It has 61.2% on everything.\n= What is", "61.2%"),
    "one that a claim prints elsewhere": ("= What is", "It has 480 rows.\n= What is", "480"),
    "a number that is counted": ("= What is", "It has #printed.rows.len() rows.\n= What is", "2"),
    "one of results.json that is no string": ("= What is", "Of #results.n.\n= What is", "480"),
    "an escape": ("= What is", "Of \\u{37} rows.\n= What is", "7"),
    "a digit of another script": ("= What is", "Of \u00b2 rows.\n= What is", "\u00b2"),
    "a number beside a claim": ("#printed.accuracy.n questions", "#printed.accuracy.n 5", "5"),
    "a figure that is not there": ("= What is", "See Figure 4.\n= What is", "4"),
    "a literal with another number": ("95% intervals", "90% intervals", "90%"),
}


@pytest.mark.parametrize("name", TYPED)
def test_a_number_that_no_claim_puts_there_is_told(paper, name):
    old, new, number = TYPED[name]
    paper.set(TEMPLATE.replace(old, new, 1))
    (problem,) = seen.paper().problems
    assert problem.startswith(f"paper/paper.pdf prints {number} in ")


def test_a_template_that_computes_with_what_it_prints_fails(paper):
    paper.set(TEMPLATE.replace("#printed.accuracy.n questions", "#(int(printed.accuracy.n) * 2)"))
    verdict = checks.verdict_of("seen", seen.paper, "", "")
    assert verdict.result == "FAIL" and verdict.problems


def test_what_is_printed_and_no_claim_is_told(paper):
    path = paper.folder / "logs" / "claims.jsonl"
    path.write_text(path.read_text().replace("1,032.0", "1,033.0"))
    assert seen.paper().problems == [
        "paper/paper.pdf prints '1,032.0' at rows/cut at 32/tokens, which is no claim"
    ]


def test_a_figure_with_other_words_than_its_file_is_told(paper):
    figure = paper.folder / "paper" / "generated" / "models.svg"
    figure.write_text(FIGURE.replace("20%", "30%"))
    (problem,) = seen.paper().problems
    assert "'20%<4" in problem or "20%<4" in problem


def test_a_page_without_its_number_is_a_failure_and_no_crash(paper):
    paper.set(TEMPLATE.replace('numbering: "1")\n#set par', "numbering: none)\n#set par"))
    verdict = checks.verdict_of("seen", seen.paper, "", "")
    assert verdict.result == "FAIL"
    assert verdict.problems == ("page 1 of paper/paper.pdf does not end with its number",)
