"""Claims: every number of results.json has one, every number of the documents is one or a literal, and they are counted twice."""

import json
from pathlib import Path

import pytest
import yaml
from scipy.stats import binomtest

from ponder.audit import claims, literals
from ponder.errors import UserError
from ponder.report import markdown

ROOT = Path(__file__).resolve().parents[1]
RESULTS = json.loads((ROOT / "paper" / "generated" / "results.json").read_text())
README, PAPER = ((ROOT / name).read_text() for name in ("README.md", "paper/paper.typ"))
PHRASES = [entry["text"] for entry in yaml.safe_load((ROOT / "logs" / "literals.yaml").read_text())]


def leaves(value, path=""):
    """Yield the path of each leaf, as markdown.at names it; a list of plain values is one leaf."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = {str(item.get("label", item.get("name", item.get("k")))): item for item in value}
    if not isinstance(value, dict):
        yield path
        return
    for key, item in value.items():
        yield from leaves(item, f"{path}/{key}" if path else key)


def test_every_number_has_exactly_one_nearest_claim():
    ids = [claim["id"] for claim in claims.claims(RESULTS)]
    assert len(ids) == len(set(ids))
    for path in leaves(RESULTS):
        markdown.at(RESULTS, path)
        over = [ident for ident in ids if f"{path}/".startswith(f"{ident}/")]
        assert over, f"{path} is no claim"
        assert [len(ident) for ident in over].count(max(map(len, over))) == 1, path
    for claim in claims.claims(RESULTS):
        markdown.at(RESULTS, claim["id"])
        assert claim["estimator"] in claims.ESTIMATORS


def test_the_value_of_a_claim_is_what_stands_at_its_path():
    for claim in claims.claims(RESULTS):
        found = markdown.at(RESULTS, claim["id"])
        if (
            claim["value"] != found
        ):  # names and methods leave out what other claims hold, a comparison of methods its name
            assert claim["value"] == found.get("all") or claim["value"].items() <= found.items(), (
                claim["id"]
            )


def test_the_committed_documents_hold_no_other_number():
    for name in ("README.md", "data/README.md", "paper/paper.typ"):
        assert literals.stray((ROOT / name).read_text(), Path(name).suffix, PHRASES) == [], name
    assert not literals.literals()[1] and len(PHRASES) <= 30


MARKDOWN = [
    "The score is 49.6% here.",
    "*49.6%* of them",
    "_49.6%_ of them",
    "accuracy: 49.6%.",
    "accuracy=49.6%",
    "**49.6%**",
    "`49.6%`",
    "`accuracy: 49.6%`",
    "`(49.6%)`",
    "`accuracy=49.6%`",
    "`[45.1,49.6%]`",
    "[49.6%](https://example.com)",
    "see https://example.com) 49.6%",
    "| SFT | 49.6% |",
    "## Accuracy 49.6%",
    "- 49.6%",
    "> 49.6%",
    "+49.6%",
    "a/49.6%",
    "```\n49.6%\n```",
    "```sh\nmake paper    # gives 49.6%\n```",
    "```\naccuracy=49.6%\n```",
    "    49.6%",
    "```\n<!-- 49.6% -->\n```",
    "`<!--=counts/test-->49.6%<!--/-->`",
    "<!--=counts/test-->60<!--/--> and 49.6%",
    "<!--=counts/test-->\n49.6%\n<!--/-->",
    "<!-- a comment --> 49.6%",
]
TYPST = [
    "The score is 49.6% here.",
    "*49.6%* of them",
    "_49.6%_ of them",
    "accuracy: 49.6%",
    "[49.6%]",
    '[#"49.6%"]',
    "#text[49.6%]",
    "#text(size: 9pt)[49.6%]",
    '#text("49.6%")',
    '#strong("49.6%")',
    "#let found = [49.6%]",
    '#let found = "49.6%"',
    "#set text(size: 9pt); 49.6%",
    "#figure(table([49.6%]), caption: [49.6%])",
    '#figure(rect(), caption: "49.6%")',
    "= Accuracy 49.6%",
    "`49.6%`",
    "$49.6%$",
    "#sec[49.6%]",
    '#versus("tcc", [49.6%])',
    "https://example.com 49.6%",
    "([a], [49.6%])",
    "- 49.6%",
]


@pytest.mark.parametrize(
    "suffix, document, typed",
    [*((".md", README, typed) for typed in MARKDOWN), *((".typ", PAPER, typed) for typed in TYPST)],
)
def test_a_result_typed_by_hand_is_reported(suffix, document, typed):
    for text in (typed, f"{document}\n\n{typed}\n"):
        found = literals.stray(text, suffix, PHRASES)
        first = text.count("\n") - typed.count("\n") - (text != typed) + 1
        assert found and all(line >= first for line, _ in found), (typed, found)
        assert any("49.6" in number or "45.1,49.6" in number for _, number in found)
    for other in ("0.496", ".496", "49.6", "238", "238/480", "1,319", "95"):
        if "%" in typed and not typed.startswith(("`", "```")):
            assert literals.stray(typed.replace("49.6%", other), suffix, PHRASES), (typed, other)


def test_a_result_inside_a_sentence_of_the_documents_is_reported_at_its_line():
    for text, suffix in ((README, ".md"), (PAPER, ".typ")):
        place = text.index("budget forcing, ")
        found = literals.stray(f"{text[:place]}49.6% {text[place:]}", suffix, PHRASES)
        assert found == [(text.count("\n", 0, place) + 1, "49.6%")]


def test_code_names_and_literals_are_no_numbers():
    assert not literals.stray(
        "s1-59k, H100, SmolLM2-135M, `train.lr=1e-3`, `seed=0,1,2`, `ids[0]`, `HOST:29500` and wait2",
        ".md",
    )
    code = '#set text(size: 9.2pt)\n#cited("aime24", "base") (#sec[2.2]) #run("BF", "cut at 16").name // 49.6%'
    assert not literals.stray(code, ".typ")
    assert not literals.stray("with 95% intervals", ".md", ["95% intervals"])
    assert literals.stray("with 195% intervals, 95% interval", ".md", ["95% intervals"]) == [
        (1, "195%"),
        (1, "95%"),
    ]


def test_no_mark_stands_where_a_reader_would_see_it():
    for name in ("README.md", "data/README.md"):
        assert not [
            span[0]
            for span in literals.CODE.finditer((ROOT / name).read_text())
            if "<!--" in span[0]
        ], name


@pytest.mark.parametrize("right, n", [(0, 4), (1, 4), (238, 480), (60, 60), (17, 120)])
def test_the_second_count_agrees_with_scipy(monkeypatch, right, n):
    samples = [{"task": "coin", "correct": i < right, "num_thinking": i} for i in range(n)]
    monkeypatch.setattr(claims, "read", lambda path: samples)
    found = claims.recount(
        {"run": "a-run", "families": {"coin": None}}, {"transfer": {"families": ["coin"]}}
    )
    wanted = binomtest(right, n).proportion_ci(method="wilson")
    assert set(found) == {"all", "groups/transfer", "families/coin"}
    for counted in found.values():
        assert (counted["n"], counted["correct"], counted["thinking_tokens"]) == (
            n,
            right,
            (n - 1) / 2,
        )
        assert (counted["low"], counted["high"]) == pytest.approx(
            (wanted.low, wanted.high), abs=1e-9
        )


def test_a_template_is_filled_anew():
    results = {
        "counts": {"pool": 5160, "share": 0.25},
        "rows": [{"label": "SFT, cut at 0", "n": 480, "name": "x"}],
    }
    text = "of <!--=counts/pool-->1<!--/--> and <!--=rows/SFT, cut at 0/n-->?<!--/-->, <!--=counts/share--><!--/-->\nno mark: 1"
    wanted = (
        text.replace(">1<", ">5,160<").replace(">?<", ">480<").replace("share--><", "share-->0.2<")
    )
    assert markdown.filled(text, results, "") == wanted == markdown.filled(wanted, results, "")
    for path in ("counts/none", "counts/pool/more", "rows/another/n", "nothing"):
        with pytest.raises(UserError, match="no number is called"):
            markdown.filled(f"<!--={path}-->1<!--/-->", results, "")
    for text in ("no mark, 1,000 <!-- a comment --> and `code`\n", ""):
        assert markdown.filled(text, results, "") == text
