"""The site: small pages whose data lie beside them as scripts; hostile text stays text; a real
browser opens a link to an answer from the disk.
"""

import json
import re
import shutil
from html.parser import HTMLParser
from urllib.parse import parse_qsl

import browser
import pytest

from ponder.audit import answers as audit_answers
from ponder.audit import checks, claims, decisions, heading, notes, page
from ponder.audit.checks import ROOT
from ponder.errors import UserError
from ponder.questions.family import Step
from ponder.report.links import reader
from ponder.report.mistakes import AGAIN, first_wrong, mended
from ponder.rows import SampleRow, row_of
from ponder.runs import read_jsonl, write_jsonl
from ponder.site import answers, build, results

FREE, WAIT = "cpu-trained-free-test-43c273eb", "cpu-trained-wait1-test-1c9529df"
PUBLIC, TRAINING = "qwen-base-boxed-cap64-gsm8k-400-30c9fbe6", "cpu-d57f96ff"
HOSTILE = (
    "</script><img src=x onerror=document.title='taken'><script>document.title='taken'</script>"
    "\u202eABC\0<!--\u2028"
)
MODULES = (checks, decisions, heading, notes, page, audit_answers)
PER_FAMILY = 3
ARM = {"arm": "base", "budget": "cap64", "words": "thinking cut at 64", "run": PUBLIC}
MISSED = "rows/SFT, no forcing/all"
AGAIN_MADE = checks.Verdict(
    "numbers", "FAIL", "all claims", "this", "that", ("one is wrong",), claims=(MISSED,)
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A small checkout: three evaluations with some answers of each family, the first question of
    which is hostile, and a training with a loss that is no number.
    """
    root = tmp_path_factory.mktemp("checkout")
    (root / "data").symlink_to(ROOT / "data")
    for name in (f"evaluate/{FREE}", f"evaluate/{WAIT}", f"evaluate/{PUBLIC}", f"train/{TRAINING}"):
        shutil.copytree(ROOT / "logs" / name, root / "logs" / name)
    for name in (FREE, WAIT, PUBLIC):
        trim(root / "logs" / "evaluate" / name / "samples.jsonl", hostile=name != PUBLIC)
    metrics = root / "logs" / "train" / TRAINING / "metrics.jsonl"
    steps = read_jsonl(metrics)
    steps[7]["loss"] = float("nan")
    write_jsonl(metrics, steps)
    shutil.copytree(ROOT / "logs" / "decisions", root / "logs" / "decisions")
    (root / "logs" / "preregistrations").mkdir()
    shutil.copy(ROOT / "logs/preregistrations/cpu-s1.yaml", root / "logs/preregistrations")
    shutil.copy(ROOT / "logs" / "claims.jsonl", root / "logs")
    known = json.loads((ROOT / "paper/generated/results.json").read_text())
    known["printed"]["public"] = [
        {
            "name": "qwen",
            "benchmark": "gsm8k-400",
            "arms": [
                ARM
                | {
                    "all": {"text": "1.0% [0, 2]", "thinking_tokens": "64.0"},
                    "fresh": {"text": "1.1% [0, 3]"},
                    "ends": {"cut_share": "99.9%", "unanswered_share": "0.5%"},
                }
            ],
        }
    ]
    (root / "paper" / "generated").mkdir(parents=True)
    (root / "paper" / "generated" / "results.json").write_text(json.dumps(known))
    with pytest.MonkeyPatch.context() as patch:
        for module in MODULES:
            patch.setattr(module, "ROOT", root)
        yield root


def trim(path, hostile):
    """Keep the first answers of each family of a file of samples."""
    kept = []
    for row in read_jsonl(path):
        if sum(other["task"] == row["task"] for other in kept) < PER_FAMILY:
            kept.append(row)
    if hostile:
        kept[0] |= {"question": HOSTILE, "thinking": HOSTILE, "reply": HOSTILE}
    write_jsonl(path, kept)


@pytest.fixture(scope="module")
def site(checkout):
    """The site of the small checkout, written twice: the second takes the place of the first."""
    out = checkout / "outputs" / "site"
    build.build(out)
    (out / "stale.html").write_text("")
    assert build.build(out, [AGAIN_MADE]).keys() == {
        path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()
    }
    return out


def loaded(site, name):
    """What a script of data/ hands to put()."""
    text = (site / "data" / f"{name}.js").read_text()
    assert text.startswith(f'put("{name}",') and text.endswith(");\n")
    return json.loads(text[len(f'put("{name}",') : -3])


# --- the files --------------------------------------------------------------------------


class Links(HTMLParser):
    """What a page loads and leads to."""

    def __init__(self):
        super().__init__()
        self.found, self.inline = [], []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.found += [values[name] for name in ("href", "src") if name in values]
        self.inline += [name for name in values if name.startswith("on") or name == "style"]
        if tag == "script":
            assert "src" in values


def test_pages_are_small_and_what_they_name_is_there(site):
    for path in site.glob("*.html"):
        links = Links()
        links.feed(path.read_text())
        assert path.stat().st_size < 10_000 and links.inline == []
        assert all((site / link).exists() for link in links.found if not link.startswith("#"))
        assert "default-src 'none'" in path.read_text() and "unsafe" not in path.read_text()
    assert {path.stem for path in site.glob("*.html")} == {*build.TITLES}
    assert all(path.stat().st_size < 2_000_000 for path in site.rglob("*.*") if path.is_file())


def test_no_script_makes_markup_or_asks_a_network(site):
    for path in [*site.glob("*.js"), *site.glob("*.css")]:
        words = r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|fetch\(|XMLHttp|https?:"
        assert not re.search(words, path.read_text().replace("http://www.w3.org/2000/svg", ""))
        assert path.read_text().isascii()


def test_every_file_of_answers_that_the_index_names_is_there(site):
    index = loaded(site, "runs")
    assert {run["name"] for run in index["runs"]} == {FREE, WAIT, PUBLIC}
    for run in index["runs"]:
        questions = loaded(site, f"split-{run['split']}")
        for number in range(run["parts"]):
            for answer in loaded(site, f"run-{run['name']}-{number}"):
                assert 0 <= answer["q"] < len(questions)
    assert index["runs"][0]["training"] == [TRAINING] and TRAINING in index["trainings"]
    assert [run["split"] for run in index["runs"]] == ["cpu-test", "cpu-test", "gsm8k-400-test"]


def test_questions_of_a_public_benchmark_are_not_shown(site):
    for question in loaded(site, "split-gsm8k-400-test"):
        assert question["question"] == question["gold"] == page.NOT_OURS
        assert question["steps"] == []


def test_a_number_of_the_results_leads_to_runs_and_groups_that_are_known(site):
    index, found = loaded(site, "runs"), loaded(site, "results")
    names = {folder.name for folder in (ROOT / "logs" / "evaluate").iterdir()}
    links = [
        part["href"]
        for table in found["tables"]
        for row in table["rows"]
        for cell in row
        for part in cell
        if isinstance(part, dict)
    ]
    assert len(links) > 200
    for href in links:
        target, _, words = href.partition("#")
        pairs = parse_qsl(words)
        assert (site / target).exists()
        assert {value for key, value in pairs if key in ("run", "a", "b")} <= names
        families = {value for key, value in pairs if key == "family"}
        members = {name for group in index["groups"].values() for name in group}
        assert families <= {*index["groups"], *members, results.WITHOUT_ORIGINALS}
    assert f"answers.html#run={WAIT}" in links and f"answers.html#run={PUBLIC}" in links
    assert found["tables"][0]["id"] == "public-qwen"
    (_, _, *cells) = found["tables"][0]["rows"][0]
    hrefs = [part["href"].partition("&")[2] for (part,) in cells]
    assert hrefs == ["", "family=without+originals", "", "grade=cut", "grade=unanswered"]


def test_every_run_of_a_table_is_a_point_that_lies_where_its_number_is(site):
    known = json.loads((ROOT / "paper" / "generated" / "results.json").read_text())
    public, rows = results.figures(known)
    own = [arm for arm in known["public"][0]["arms"] if arm["budget"] != "math-unforced"]
    for figure, wanted in ((public, own), (rows, known["rows"])):
        points = {
            point["href"]: point
            for curve in figure["curves"]
            for part in ("cuts", "waits")
            for point in curve[part]
        }
        assert points.keys() == {reader(row["run"]) for row in wanted}
        for row in wanted:
            point = points[reader(row["run"])]
            assert (point["x"], point["y"]) == (
                row["all"]["thinking_tokens"],
                row["all"]["accuracy"],
            )
            assert row["all"]["text"] in point["words"]
    sft = next(curve for curve in public["curves"] if curve["name"].startswith("SFT, s1"))
    assert sft["waits"][0] == sft["cuts"][-1] and "no forcing" in sft["cuts"][-1]["words"]
    assert [curve["name"] for curve in loaded(site, "results")["figures"][0]["curves"]] == ["base"]


def test_a_claim_has_the_verdict_of_the_check_that_was_made(site, checkout, tmp_path):
    found = loaded(site, "claims")
    verdicts = {claim["id"]: claim["verdict"] for claim in found["claims"]}
    assert verdicts.pop(MISSED) == "FAIL" and {*verdicts.values()} == {"PASS"}
    assert found["checks"][0]["problems"] == ["one is wrong"]
    assert found["findings"][0]["verdict"] == "same direction"
    build.build(tmp_path / "site")
    found = loaded(tmp_path / "site", "claims")
    assert {claim["verdict"] for claim in found["claims"]} == {"NOT_RUN"} and not found["checks"]


def test_what_the_cap_cut_and_what_has_no_answer_is_told():
    row = {"task": "boolean", "id": "1", "thinking": "", "ids": [], "forced": [], "rounds": []}
    row |= {"num_thinking": 0, "num_answer": 0, "num_ignored": 0, "capped": True}
    row |= {"correct": False, "finish": "stop", "prompt_sha256": "0" * 16}
    for reply, more, is_answered in (
        ("Final Answer: 4", {}, True),
        ("I do not know", {}, False),
        ("It is 4", {"answer": "4"}, True),
        ("Final Answer: 4", {"answer": None}, False),
    ):
        sample = row_of(SampleRow, row | more | {"reply": reply})
        shown = answers.answer(0, sample, ())
        assert shown["answered"] is is_answered and shown["capped"]


def test_results_without_a_public_benchmark_have_the_other_tables():
    known = json.loads((ROOT / "paper" / "generated" / "results.json").read_text())
    known["printed"].pop("public", None)
    names = [table["id"] for table in results.tables(known)]
    assert [name for name in names if name != "machines"] == [
        *("rows", "differences", "contrasts", "methods", "seeds", "votes", "votes-forcing"),
        *("mistakes-steps", "mistakes-nudges", "mistakes-types", "engines"),
    ]
    assert results.tables({}) == [] and results.groups({}) == {}
    assert all(
        len(row) == len(table["head"]) for table in results.tables(known) for row in table["rows"]
    )


def test_each_number_of_the_tables_is_a_string_that_was_formatted_for_documents():
    known = json.loads((ROOT / "paper" / "generated" / "results.json").read_text())
    printed = {*claims.strings(known["printed"])}
    others = [
        cell
        for table in results.tables(known)
        for row in table["rows"]
        for cell in row
        if isinstance(cell, str) and re.search(r"\d", cell) and cell not in printed
    ]
    assert all(re.fullmatch(r"\d+ of \d+|[\w+ ]+: [^:]+", cell) for cell in others), others
    known["printed"]["rows"][0]["all"]["thinking_tokens"] = "as printed"
    assert "as printed" in json.dumps(results.tables(known))


def test_every_claim_decision_and_preregistration_is_there(site):
    found = loaded(site, "decisions")
    assert len(found["decisions"]) == len(list((ROOT / "logs" / "decisions").glob("0*.md")))
    assert all(record["status"] for record in found["decisions"])
    assert [outcome["name"] for outcome in found["outcomes"]] == ["cpu-s1"]
    assert len(loaded(site, "claims")["claims"]) == len(read_jsonl(ROOT / "logs" / "claims.jsonl"))
    assert loaded(site, "tree")["tree"] == "no git checkout, so of no commit"
    (curve,) = loaded(site, "curves")
    assert curve["points"][7][1] == "NaN" and len(curve["points"]) == curve["steps"]


def test_hostile_text_ends_no_script_and_is_whole(site):
    for path in (site / "data").glob("*.js"):
        text = path.read_bytes()
        assert b"<" not in text and b"\0" not in text and text.isascii()
    assert loaded(site, "split-cpu-test")[0]["question"] == HOSTILE
    answer = loaded(site, f"run-{WAIT}-0")[0]
    assert answer["thinking"] == [[HOSTILE, False]] and not answer["marked"]


def test_forced_tokens_and_the_first_wrong_step_are_marked(site):
    questions, wrong = loaded(site, "split-cpu-test"), 0
    for answer in loaded(site, f"run-{WAIT}-0")[1:]:
        assert answer["marked"] and ["Wait", True] in answer["thinking"]
        lines = "".join(text for text, _ in answer["thinking"]).split("\n")
        assert questions[answer["q"]]["steps"]
        line, step = answer["wrong"]["line"], answer["wrong"]["step"]
        wrong += line is not None
        if answer["wrong"]["kind"] in ("value", "step"):
            assert lines[line].removeprefix(AGAIN) != questions[answer["q"]]["steps"][step - 1]
    assert wrong > 10


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="something else"):
        build.build(tmp_path / "site")
    assert [path.name for path in tmp_path.rglob("*.*")] == ["letter.txt"]


# --- small parts ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "thinking",
    ["a: 1\nb: 2", "a: 1\nWait, a: 2\nb: 2\n", "Wait, a: 1\nWait, a: 3\n\nb: 2", "", "\n\n"],
)
def test_the_lines_that_count_are_those_of_the_mistakes(thinking):
    lines = thinking.split("\n")
    said = [lines[number].removeprefix(AGAIN) for number in answers.said_last(thinking)]
    assert said == mended(thinking)
    steps = [Step("a: ", "2"), Step("b: ", "2")]
    found = answers.wrong_step(thinking, steps)
    assert (found["kind"], found["step"]) == first_wrong(thinking, steps)


def test_answers_are_cut_into_files_in_order():
    items = [{"text": "x" * 100, "q": number} for number in range(50)]
    chunks = [*build.chunked(items, 1_000)]
    assert sum(chunks, []) == items and len(chunks) > 5
    assert [*build.chunked([], 1)] == [] and [*build.chunked(items[:1], 1)] == [items[:1]]


def test_an_address_keeps_spaces_and_slashes():
    href = reader("a", "b", family="within reach", q="boolean/1f")
    assert href == "answers.html#run=a&run=b&family=within+reach&q=boolean/1f"


# --- in a browser -----------------------------------------------------------------------

# Loaded first by each page: what it looks like once it is drawn. A table may be wider than its box.
PROBE = """
const errors = [];
onerror = (message, file, line) => { errors.push(`${message} in line ${line}`); };
onunhandledrejection = event => { errors.push(String(event.reason)); };
addEventListener("securitypolicyviolation",
  e => errors.push(`policy: ${e.violatedDirective} ${e.blockedURI}`));
setTimeout(() => {
  const plot = document.querySelector(".plot svg");
  if (plot) plot.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));
  const all = q => [...document.querySelectorAll(q)];
  const texts = q => all(q).map(e => e.textContent);
  const open = all(".item[open]").map(e => e.dataset.key || e.id);
  const wide = all("body *").filter(e => !e.closest(".box, .vh, .skip, script, svg"))
    .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5)
    .map(e => `${e.tagName}.${e.className}`);
  parent.postMessage(JSON.stringify({
    name: location.pathname.split("/").pop(), errors, open, wide, title: document.title,
    scroll: document.documentElement.scrollWidth, columns: texts(".item[open] h3"),
    marks: texts(".item[open] mark"), wrong: texts(".item[open] .first-wrong"),
    question: texts(".item[open] .question"), unseen: texts(".item[open] .unseen"),
    counts: texts("output"), links: all("#page a").length, items: all(".item").length,
    readout: texts(".readout").join(), curves: all(".plot polyline").length,
    state: texts("#state")[0], images: all("img").length,
    focus: document.activeElement.tagName, tables: all("table").length,
    unnamed: all("select, input").filter(e => !e.labels.length).length,
    points: all(".plot a[href][aria-label]").length, notes: texts(".item[open] .soft"),
    verdicts: texts("tr .badge"),
    ground: getComputedStyle(document.body).backgroundColor,
  }), "*");
}, 3000);
"""
FRAME = """
<body>%s<script>
const told = [];
onmessage = e => { told.push(e.data); document.body.dataset.told = btoa(encodeURIComponent(
  `[${told}]`)); };
</script>
"""


def opened(site, folder, addresses, width, dark=False):
    """Return {page: what PROBE says of it} of pages opened from the disk in frames of a width;
    the window of a browser cannot be as narrow as a telephone.
    """
    copy = folder / "site"
    shutil.copytree(site, copy)
    (copy / "probe.js").write_text(PROBE)
    for path in copy.glob("*.html"):
        first = '<script src="elements.js"'
        text = path.read_text().replace(first, f'<script src="probe.js" defer></script>{first}', 1)
        path.write_text(text)
    frames = [
        f'<iframe src="site/{address.replace("&", "&amp;")}" '
        f'style="width:{width}px;height:800px;border:0"></iframe>'
        for address in addresses
    ]
    (folder / "frame.html").write_text(FRAME % "".join(frames))
    told = browser.told(folder, "data-told", dark)
    return {seen["name"].removesuffix(".html"): seen for seen in told}


@browser.needed
def test_every_page_is_drawn_from_the_disk_on_a_telephone(site, tmp_path):
    others = [f"{name}.html" for name in build.TITLES if name != "answers"]
    seen = opened(site, tmp_path, [*others, f"answers.html#run={PUBLIC}"], 400, dark=True)
    assert seen.keys() == build.TITLES.keys()
    for name, told in seen.items():
        assert (told["errors"], told["wide"], told["images"]) == ([], [], 0), name
        assert (
            told["scroll"] <= 400
            and told["unnamed"] == 0
            and browser.brightness(told["ground"]) < 60
        )
        assert told["title"] == f"{build.TITLES[name][0]} - ponder"
    assert seen["index"]["links"] > 200 and seen["index"]["tables"] == len(
        loaded(site, "results")["tables"]
    )
    assert seen["curves"]["curves"] == 2  # one curve, and a gap where the loss is no number
    assert seen["curves"]["readout"].startswith("Step 499 cpu-d57f96ff: ")  # by an arrow key
    assert seen["decisions"]["items"] == len(loaded(site, "decisions")["decisions"])
    curves = [curve for f in loaded(site, "results")["figures"] for curve in f["curves"]]
    points = sum(len(curve["cuts"]) + len(curve["waits"][1:]) for curve in curves)
    assert seen["index"]["points"] == points > 20
    assert seen["claims"]["verdicts"].count("FAIL") == 1
    assert seen["compare"]["curves"] == 2 and seen["compare"]["readout"].startswith("Step ")
    assert seen["compare"]["tables"] == 2 and "B is cpu-trained-wait1" in seen["compare"]["state"]
    assert seen["answers"]["counts"] == [f"{PER_FAMILY} of {PER_FAMILY} questions"]


@browser.needed
def test_a_link_to_an_answer_opens_it(site, tmp_path):
    questions = loaded(site, "split-cpu-test")
    question = next(q for q in questions[1:] if q["task"] == "boolean")
    key = f"{question['task']}/{question['id']}"
    address = f"answers.html#run={WAIT}&run={FREE}&q={key}"
    told = opened(site, tmp_path, [address], 1280)["answers"]
    assert (told["errors"], told["wide"]) == ([], []) and browser.brightness(told["ground"]) > 200
    assert (told["open"], told["columns"]) == ([key], [WAIT, FREE])
    assert told["question"] == [question["question"]] and told["focus"] == "SUMMARY"
    assert not any("no first wrong step" in note for note in told["notes"])
    assert any("Wait" in mark for mark in told["marks"])
    assert any("All steps were there" in line for line in told["wrong"])
    assert told["counts"] == [f"{len(questions)} of {len(questions)} questions"]


@browser.needed
def test_answers_that_a_second_run_loses_are_found(site, tmp_path):
    questions, right = loaded(site, "split-cpu-test"), {}
    for name in (FREE, WAIT):
        right[name] = {answer["q"] for answer in loaded(site, f"run-{name}-0") if answer["correct"]}
    lost = right[FREE] - right[WAIT]
    address = f"answers.html#run={FREE[:-9]}&run={WAIT[:-9]}&pattern=lost"
    told = opened(site, tmp_path, [address], 400)["answers"]
    assert told["errors"] == [] and told["items"] == len(lost) > 2
    assert told["counts"] == [f"{len(lost)} of {len(questions)} questions"]


@browser.needed
def test_answers_that_the_cap_cut_are_found_and_have_no_step_where_no_program_says_one(
    site, tmp_path
):
    shown = loaded(site, f"run-{PUBLIC}-0")
    questions = loaded(site, "split-gsm8k-400-test")
    cut = [questions[answer["q"]] for answer in shown if answer["capped"]]
    key = f"{cut[0]['task']}/{cut[0]['id']}"
    told = opened(site, tmp_path, [f"answers.html#run={PUBLIC}&grade=cut&q={key}"], 400)["answers"]
    assert told["errors"] == [] and told["items"] == len(cut) > 0 and told["open"] == [key]
    assert told["wrong"] == []
    assert any("no first wrong step is marked" in note for note in told["notes"])


@browser.needed
def test_hostile_text_is_only_text_in_a_browser(site, tmp_path):
    question = loaded(site, "split-cpu-test")[0]
    key = f"{question['task']}/{question['id']}"
    address = f"answers.html#run={FREE}&run={WAIT}&pattern=none-such&q={key}"
    seen = opened(site, tmp_path, [address], 400)["answers"]
    assert (seen["errors"], seen["images"], seen["wide"]) == ([], 0, [])
    assert seen["title"] == "Answers - ponder" and seen["open"] == [key]
    assert "</script><img src=x onerror=document.title='taken'>" in seen["question"][0]
    assert {"U+202E", "U+0000", "U+2028"} <= {*seen["unseen"]}


@browser.needed
def test_an_address_of_nothing_is_said_and_loads_nothing(site, tmp_path):
    address = "answers.html#run=../../../etc/passwd&q=boolean/none"
    seen = opened(site, tmp_path, [address], 400)["answers"]
    assert seen["errors"] == [] and seen["open"] == []
    assert seen["state"] == "There is no question boolean/none in cpu-test."
