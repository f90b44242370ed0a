"""Claims: every number of results.json and of the documents has one, and is counted twice."""

import json
import re
from pathlib import Path

import pytest
import yaml
from scipy.stats import binomtest

from ponder.audit import claims, literals, numbers
from ponder.errors import UserError
from ponder.report import front_page, markdown, printed, verdicts
from ponder.rows import SampleRow

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


NUMBERS = {key: value for key, value in RESULTS.items() if key != "printed"}


def test_every_number_has_exactly_one_nearest_claim():
    ids = [claim.id for claim in claims.claims(RESULTS)]
    assert len(ids) == len(set(ids))
    for path in leaves(NUMBERS):
        over = [ident for ident in ids if f"{path}/".startswith(f"{ident}/")]
        assert over, f"{path} is no claim"
        assert [len(ident) for ident in over].count(max(map(len, over))) == 1, path
    for claim in claims.claims(RESULTS):
        markdown.at(RESULTS, claim.id)
        assert claim.estimator in claims.ESTIMATORS


def test_the_value_of_a_claim_is_what_stands_at_its_path():
    for claim in claims.claims(RESULTS):
        entry = markdown.at(RESULTS, claim.id)
        if claim.value != entry:
            # Names and methods leave out what other claims hold, a comparison of methods its name.
            assert claim.value == entry.get("all") or claim.value.items() <= entry.items(), claim.id


def test_every_number_has_one_string_and_a_claim_prints_no_other():
    strings = RESULTS["printed"]
    assert strings == printed.printed(NUMBERS)
    wanted = {path for path in leaves(NUMBERS) if not set(path.split("/")) & printed.UNPRINTED}
    assert set(leaves(strings)) == wanted
    for claim in claims.claims(RESULTS):
        known = {*claims.strings(markdown.at(strings, claim.id))}
        assert set(claim.printed) <= known, claim.id
        values = claim.value if isinstance(claim.value, dict) else {}
        assert (
            "text" not in values
            or not isinstance(values["text"], str)
            or (values["text"] in claim.printed)
        )


@pytest.mark.parametrize(
    "value, kind, wanted",
    [
        (37.05, "number", "37.0"),
        (5160, "number", "5,160"),
        (59029.0, "number", "59,029.0"),
        (0.495833, "share", "49.6%"),
        (1.0, "whole share", "100%"),
        (-0.0001, "points", "+0.0"),
        (-0.366, "points", "-36.6"),
        (-0.04, "slope", "+0.0"),
        (-0.04, "number", "0.0"),
        (16.0, "limit", "16"),
        (11.488, "limit", "11.5"),
        (0.0001, "exact", "0.0001"),
        (True, "exact", "true"),
        ("32B", "number", "32B"),
        (None, "share", None),
    ],
)
def test_a_number_is_printed_by_its_kind(value, kind, wanted):
    assert printed.string(value, kind) == wanted


def test_kinds_follow_from_the_keys():
    assert printed.printed(
        {
            "rows": [{"label": "a", "all": {"accuracy": 0.5, "low": 0.4, "high": 0.6, "n": 4}}],
            "comparisons": [{"name": "x", "t": {"difference": -0.1, "low": -0.2, "high": 0.01}}],
            "table": {"scaling": {"value": 5.1, "low": -1.0, "undefined": 0}, "least": None},
            "s1": {"control": 100, "performance": 56.7},
            "training": {"recipe": {"lr": 0.001, "rank": 8}},
        }
    ) == {
        "rows": [
            {"label": "a", "all": {"accuracy": "50.0%", "low": "40.0%", "high": "60.0%", "n": "4"}}
        ],
        "comparisons": [
            {"name": "x", "t": {"difference": "-10.0", "low": "-20.0", "high": "+1.0"}}
        ],
        "table": {"scaling": {"value": "+5.1", "low": "-1.0"}, "least": None},
        "s1": {"control": "100", "performance": "56.7"},
        "training": {"recipe": {"lr": "0.001", "rank": "8"}},
    }


def test_no_document_formats_a_number():
    """The paper takes strings: it neither rounds nor joins digits, and reads numbers only to choose
    words."""
    code = re.sub(r"//[^\n]*", "", PAPER)
    assert not re.search(r"calc\.|\bround\(|\bstr\(", code)
    numbers_read = re.findall(r"(?<!printed = )\bresults\.(?!printed|json)[^\n]*", code)
    assert numbers_read and all(" [" in use and "== " in use for use in numbers_read)


def test_the_committed_documents_hold_no_other_number():
    for name in (*markdown.DOCUMENTS, "paper/paper.typ"):
        assert literals.stray((ROOT / name).read_text(), Path(name).suffix, PHRASES) == [], name
    assert not literals.literals().problems and len(PHRASES) <= 30


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
        place = text.index(
            "questions that programs make" if suffix == ".md" else "budget forcing, "
        )
        found = literals.stray(f"{text[:place]}49.6% {text[place:]}", suffix, PHRASES)
        assert found == [(text.count("\n", 0, place) + 1, "49.6%")]


def test_code_names_and_literals_are_no_numbers():
    assert not literals.stray(
        "s1-59k, H100, SmolLM2-135M, `train.lr=1e-3`, `seed=0,1,2`, `ids[0]`, `HOST:29500`, wait2",
        ".md",
    )
    code = (
        '#set text(size: 9.2pt)\n#cited("aime24", "base") (#sec[2.2]) '
        '#run("BF", "cut at 16").name // 49.6%'
    )
    assert not literals.stray(code, ".typ")
    assert not literals.stray("with 95% intervals", ".md", ["95% intervals"])
    assert literals.stray("with 195% intervals, 95% interval", ".md", ["95% intervals"]) == [
        (1, "195%"),
        (1, "95%"),
    ]


def test_no_mark_stands_where_a_reader_would_see_it():
    for name in markdown.DOCUMENTS:
        assert not [
            span[0]
            for span in literals.CODE.finditer((ROOT / name).read_text())
            if "<!--" in span[0]
        ], name


def answer(**fields):
    """A SampleRow of the family coin."""
    texts = dict.fromkeys(("id", "question", "gold", "thinking", "reply", "finish"), "")
    usual = {"num_answer": 0, "num_ignored": 0, "capped": False, "prompt_sha256": ""}
    return SampleRow(task="coin", ids=[], forced=[], **texts, **usual, **fields)


@pytest.mark.parametrize("right, n", [(0, 4), (1, 4), (238, 480), (60, 60), (17, 120)])
def test_the_second_count_agrees_with_scipy(monkeypatch, right, n):
    samples = [answer(correct=i < right, num_thinking=i) for i in range(n)]
    monkeypatch.setattr(numbers, "samples", lambda path: samples)
    found = numbers.recount(
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
    results["printed"] = printed.printed(results)
    text = (
        "of <!--=counts/pool-->1<!--/--> and <!--=rows/SFT, cut at 0/n-->?<!--/-->, "
        "<!--=counts/share--><!--/-->\nno mark: 1"
    )
    wanted = (
        text.replace(">1<", ">5,160<").replace(">?<", ">480<").replace("share--><", "share-->0.2<")
    )
    assert markdown.filled(text, results, "") == wanted == markdown.filled(wanted, results, "")
    for path in ("counts/none", "counts/pool/more", "rows/another/n", "nothing"):
        with pytest.raises(UserError, match="no number is called"):
            markdown.filled(f"<!--={path}-->1<!--/-->", results, "")
    with pytest.raises(UserError, match="'counts' is no single number"):
        markdown.filled("<!--=counts-->1<!--/-->", results, "")
    for text in ("no mark, 1,000 <!-- a comment --> and `code`\n", ""):
        assert markdown.filled(text, results, "") == text


def test_a_block_is_filled_anew_and_another_comment_is_left_alone():
    text = "a\n<!-- s1-table -->\nold\n<!-- /s1-table -->\n<!-- other -->\nx\n<!-- /other -->\n"
    filled = markdown.filled(text, RESULTS, "")
    assert (
        "\nold\n" not in filled
        and "\nx\n" in filled
        and filled.startswith("a\n<!-- s1-table -->\n|")
    )
    assert markdown.filled(filled, RESULTS, "") == filled
    assert markdown.blocks(filled) == ("s1-table", "other")
    # What stands between comments that no code fills is typed.
    assert literals.stray("<!-- other -->\n49.6%\n<!-- /other -->", ".md") == [(2, "49.6%")]


@pytest.mark.parametrize(
    "published, low, high, word",
    [
        (15, 0.5, 10.8, "same direction"),
        (-35, 8.7, 22.6, "opposite direction"),
        (-35, -3, -1, "same direction"),
        (6.7, -42.2, -31.7, "opposite direction"),
        (6.7, -1, 1, "not distinguishable"),
        (6.7, 0, 1, "not distinguishable"),
    ],
)
def test_a_verdict_is_computed_from_the_interval(published, low, high, word):
    assert verdicts.agreement(published, low, high) == word


def test_every_row_of_the_front_table_follows_from_results():
    """Turn the sign of every comparison, slope and control, and each verdict turns or opens."""
    results = json.loads(json.dumps(RESULTS))
    for pair in results["comparisons"]:
        for scope in ("trained", "transfer"):
            low, high = pair[scope]["low"], pair[scope]["high"]
            pair[scope] |= {"low": -high, "high": -low}
    turned = {"higher": "lower", "lower": "higher"}
    for plan in results["printed"]["contrasts"]:
        if plan["name"] == verdicts.SEEDS:
            for contrast in plan["contrasts"]:
                contrast["found"] = turned.get(contrast["found"], contrast["found"])
    for method in results["methods"]["table"]:
        if scaling := method["scaling"]:
            low, high = scaling["low"], scaling["high"]
            method["scaling"] |= {"low": -high, "high": -low}
    methods = {method["name"]: method for method in results["methods"]["table"]}
    bf, tcc = (methods[name]["control_per_sample"] for name in ("BF", "TCC"))
    methods["BF"]["control_per_sample"], methods["TCC"]["control_per_sample"] = tcc, bf
    before, after = (verdicts.findings(entry) for entry in (RESULTS, results))
    assert len(before) == 7
    other = {verdicts.AGREE: verdicts.OPPOSE, verdicts.OPPOSE: verdicts.AGREE}
    other |= {same: same for same in (verdicts.UNCLEAR, verdicts.NOT_DETERMINED)}
    for one, two in zip(before, after, strict=True):
        assert two.verdict.split(";")[0] == other[one.verdict.split(";")[0]]
        interval = re.search(r"[-+]?\d+\.\d \[[-+]?\d+\.\d, [-+]?\d+\.\d\]", one.here)
        assert bool(interval) == (one.verdict != verdicts.NOT_DETERMINED), one.here
    assert before[-1].verdict.endswith("pre-registered as higher: not met")


def test_what_a_model_wrote_is_text_in_a_table():
    pieces = [["sampled", "a | <b> `c`\n\n **d** "], ["forced", "Wait"], ["sampled", ": [x](y)\n"]]
    cell = front_page.written(pieces)
    assert cell == "`a \\u007c \\u003cb\\u003e \\u0060c\\u0060`<br>`**d**` **`Wait`** `: [x](y)`"
