"""The page: hostile text stays text, forced tokens are marked, no run is hidden; a real browser
lays it out and loads nothing.
"""

import base64
import dataclasses
import hashlib
import json
import re
import shutil

import browser
import pytest

from ponder import rows
from ponder.audit import checks, decisions, page, tokens
from ponder.audit.checks import ROOT, Verdict
from ponder.rows import SampleRow
from ponder.runs import read_jsonl, write_jsonl

FORCED = "evaluate/cpu-trained-wait1-test-1c9529df"
HOSTILE = (
    "</script><img src=x onerror=document.title='taken'><script>document.title='taken'</script>"
)
VERDICTS = [
    Verdict("schema", "PASS", "78 runs", "they are whole", "that they are true"),
    Verdict(
        "numbers",
        "FAIL",
        "358 claims",
        "they follow",
        "the rest",
        ("claim base is 1, the runs give 2",),
        ("base",),
    ),
    Verdict("replay", "NOT_RUN", "takes an hour", "models say the same", "other machines"),
]
OUTCOMES = [
    {
        "name": "cpu-s1",
        "question": "Is it so?",
        "expected": "higher",
        "outcome": "not met",
        "runs": [FORCED],
        "difference": {"difference": -0.01, "low": -0.05, "high": 0.03},
    }
]


@pytest.fixture(scope="module")
def html():
    """The page of the released records."""
    return page.page(VERDICTS, OUTCOMES)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A small checkout: a training that failed with a loss that is no number, one that was
    abandoned, and hostile answers.
    """
    root = tmp_path / "checkout"
    for name in ("logs/train/cpu-full-8478ba71", "logs/train/cpu-300-b88f8a7b", f"logs/{FORCED}"):
        shutil.copytree(ROOT / name, root / name)
    parent = {"run": "train/cpu-300-b88f8a7b", "changed": {"train.lr": [0.001, 9]}}
    for name, status, reason in (
        ("cpu-full-8478ba71", "failed", "loss is no number"),
        ("cpu-300-b88f8a7b", "running", None),
    ):
        path = root / "logs" / "train" / name / "status.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"status": status, "reason": reason, "parent": parent}))
    metrics = root / "logs/train/cpu-full-8478ba71/metrics.jsonl"
    steps = read_jsonl(metrics)
    for step in steps[400:]:
        step["loss"] = float("nan")
    write_jsonl(metrics, steps)
    samples = root / f"logs/{FORCED}/samples.jsonl"
    hostile = {"thinking": HOSTILE, "question": HOSTILE}
    write_jsonl(samples, [row | hostile for row in read_jsonl(samples)])
    entry = {
        "supersedes": FORCED,
        "status": "replaced",
        "by": None,
        "commit": "0" * 40,
        "utc": "2026-11-27",
        "decision": None,
        "why": "a bug",
    }
    (root / "logs" / "corrections.jsonl").write_text(json.dumps(entry) + "\n")
    monkeypatch.setattr(checks, "ROOT", root)
    monkeypatch.setattr(page, "ROOT", root)
    monkeypatch.setattr(decisions, "ROOT", root)
    return root


def shown(html):
    """Return the records in a page."""
    return json.loads(re.search(r'id="records">(.*?)</script>', html, re.DOTALL)[1])


# --- the text of tokens ----------------------------------------------------------------


def test_text_of_tokens_is_what_the_released_samples_say():
    for sample in checks.samples(ROOT / "logs" / FORCED):
        text = tokens.text(sample.ids[: sample.num_thinking], tokens.readable(sample))
        assert text.strip() == sample.thinking.strip()


def test_exactly_the_forced_tokens_are_marked():
    sample = checks.samples(ROOT / "logs" / FORCED)[0]
    pieces = tokens.pieces(sample)
    assert "".join(text for text, _ in pieces) == tokens.text(sample.ids, tokens.readable(sample))
    assert [text for text, forced in pieces if forced] == ["Wait", "<|im_start|>answer\n"]
    thinking = tokens.pieces(sample, 0, sample.num_thinking)
    assert pieces == thinking + tokens.pieces(sample, sample.num_thinking)


def test_a_character_split_over_tokens_is_whole_in_a_piece():
    known = tokens.vocabulary(ROOT / "data" / "cpu" / "tokenizer.json")
    single = {raw[0]: number for number, raw in known.bytes_of.items() if len(raw) == 1}
    ids = [single[byte] for byte in "\u20ac".encode()]
    values = dict.fromkeys(rows.required(SampleRow), "")
    values |= {"ids": ids, "forced": [], "reply": "\u20ac", "tokenizer_sha256": None}
    sample = SampleRow(**values)
    assert tokens.pieces(sample) == [("\u20ac", False)]
    assert tokens.text(ids[:1], known) == "\ufffd"


@pytest.mark.parametrize(
    "change",
    [{"tokenizer_sha256": "0" * 16}, {"ids": [10**6]}, {"ids": []}, {"thinking": "never said"}],
)
def test_a_sample_of_another_tokenizer_is_shown_without_marks(change):
    sample = dataclasses.replace(checks.samples(ROOT / "logs" / FORCED)[0], **change)
    assert tokens.pieces(sample) is None
    answer = page.answer(FORCED, sample)
    assert not answer["marked"]
    assert answer["thinking"] == [(sample.thinking, False)]
    assert answer["reply"] == [(sample.reply, False)]


# --- the file ---------------------------------------------------------------------------


def test_the_page_is_small_and_names_nothing_to_load(html):
    assert len(html.encode()) < 5_000_000 and html.isascii()
    frame = html.replace(re.search(r'id="records">(.*?)</script>', html, re.DOTALL)[1], "")
    assert not re.search(
        r"""\b(src|href|action|data|poster|srcset)\s*=\s*["'](?!#)|@import|url\(""", frame
    )
    assert not re.search(
        r"""unsafe|innerHTML|outerHTML|insertAdjacent|\bwrite\(|\son\w+=["']""", frame
    )
    assert "default-src 'none'" in frame


def test_the_policy_names_the_script_and_the_style_of_the_page(html):
    for tag in ("script", "style"):
        code = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)[1]
        assert f"{tag}-src {sha256(code)};" in html


def test_every_run_claim_and_decision_is_in_the_page(html):
    found = shown(html)
    assert [entry["id"] for entry in found["runs"]] == [
        page.name_of(folder) for folder in checks.runs()
    ]
    assert len(found["claims"]) == len(checks.read(ROOT / "logs" / "claims.jsonl"))
    assert len(found["decisions"]) == len(list((ROOT / "logs" / "decisions").glob("0*.md")))
    assert all(len(entry["curve"]) <= page.POINTS for entry in found["runs"])
    assert {entry["id"] for entry in found["claims"] if entry["verdict"] == "FAIL"} == {"base"}


def test_runs_of_a_split_answer_the_same_questions(html):
    found = shown(html)["samples"]
    questions = [(entry["task"], entry["id"]) for entry in found["cpu, test"]]
    assert len(questions) == len(set(questions)) == 8 * page.PER_FAMILY
    whole = {
        entry["id"]
        for entry in shown(html)["runs"]
        if "-free-test-" in entry["id"] and entry["results"]["all"]["n"] == 480
    }
    assert len(whole) > 5
    for entry in found["cpu, test"]:
        assert whole <= {answer["run"] for answer in entry["answers"]}


def test_a_claim_fails_where_the_check_of_numbers_names_it():
    verdict = Verdict("numbers", "FAIL", "", "all", "", ("x", "y"), ("rows/a/all", "b (x)"))
    names = ("rows/a/all", "rows/a", "b (x)", "b")
    results = [page.claim_verdict(name, [verdict]) for name in names]
    assert results == ["FAIL", "PASS", "FAIL", "PASS"]
    stopped = checks.verdict_of("numbers", lambda: 1 / 0, "", "")
    assert stopped.result == "FAIL"
    assert page.claim_verdict("rows/a", [stopped]) == "NOT_RUN"
    assert page.claim_verdict("rows/a", []) == "NOT_RUN"


def test_no_text_of_a_model_ends_the_records(checkout):
    html = page.page(VERDICTS, OUTCOMES)
    assert "<img" not in html and "onerror=document" in html and html.count("</script>") == 2
    first = next(iter(shown(html)["samples"].values()))[0]
    assert first["question"] == first["answers"][0]["thinking"][0][0] == HOSTILE


def test_failed_abandoned_superseded_and_damaged_runs_are_shown(checkout):
    (checkout / "logs/train/cpu-broken-00000000").mkdir()
    found = {entry["id"]: entry for entry in shown(page.page(VERDICTS, OUTCOMES))["runs"]}
    failed = found["train/cpu-full-8478ba71"]
    assert (failed["status"], failed["reason"]) == ("failed", "loss is no number")
    assert failed["curve"][-1][1] == "NaN"
    assert failed["parent"]["changed"] == {"train.lr": [0.001, 9]}
    assert failed["starts"] and failed["machine"]["cpu"] and failed["commits"]
    assert found["train/cpu-300-b88f8a7b"]["status"] == "running"
    assert found[FORCED]["superseded"]["why"] == "a bug"
    assert found["train/cpu-broken-00000000"]["status"] == "damaged"


def test_a_thinned_curve_keeps_both_ends():
    for count in (0, 1, 2, 249, 250, 251, 500, 10_000):
        points = [*range(count)]
        thinned = page.thinned(points)
        assert len(thinned) == min(count, page.POINTS) == len(set(thinned))
        assert (thinned[:1], thinned[-1:]) == (points[:1], points[-1:])


# --- in a browser -----------------------------------------------------------------------

WATCH = """
const errors = [];
onerror = (message, file, line) => { errors.push(`${message} in line ${line}`); };
addEventListener("securitypolicyviolation",
  e => errors.push(`policy: ${e.violatedDirective} ${e.blockedURI}`));
"""
# What the page looks like once it is laid out; a table may be wider than its box, which scrolls.
TELL = """
addEventListener("load", () => {
  const all = q => [...document.querySelectorAll(q)], n = q => all(q).length;
  const texts = q => all(q).map(e => e.textContent), style = q => getComputedStyle(all(q)[0]);
  for (const e of all("details")) e.open = true;
  const wide = all("body *")
    .filter(e => !e.closest(".box, nav > *, script, svg"))
    .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5)
    .map(e => `${e.tagName}.${e.className}`);
  parent.postMessage(JSON.stringify({
    errors, wide, width: innerWidth, scroll: document.documentElement.scrollWidth,
    title: document.title, claims: n(".claim"), verdicts: n(".verdict"), runs: n(".run"),
    odd: n(".odd"), decisions: n(".decision"), outcomes: n(".outcome"), curves: n("polyline"),
    marks: n(".sample mark"), samples: n(".sample"), images: n("img"), scripts: n("script"),
    marked: texts(".sample mark"), badges: texts(".verdict .badge"),
    underlined: style("mark").textDecorationLine,
    bad: texts("main")[0].match(/.{40}(\\[object|undefined|damaged record:).{40}/g),
    ground: style("body").backgroundColor, ink: style("body").color,
  }), "*");
});
"""
FRAME = """
<iframe src="page.html" style="width:%dpx;height:800px;border:0"></iframe>
<script>
onmessage = e => { document.body.dataset.layout = btoa(encodeURIComponent(e.data)); };
</script>
"""


def sha256(code):
    """Return a script's hash as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


def layout(html, folder, width, dark):
    """Return what TELL says of a page in a frame of this width; the window of a browser cannot be
    as narrow as a telephone.
    """
    html = html.replace("script-src ", f"script-src {sha256(WATCH)} {sha256(TELL)} ", 1)
    html = html.replace("<title>", f"<script>{WATCH}</script><title>", 1)
    html = html.replace("</body>", f"<script>{TELL}</script></body>")
    (folder / "page.html").write_text(html)
    (folder / "frame.html").write_text(FRAME % width)
    return browser.told(folder, "data-layout", dark)


@browser.needed
@pytest.mark.parametrize(("width", "dark"), [(360, True), (1600, False)])
def test_a_browser_lays_the_page_out(html, tmp_path, width, dark):
    seen, records = layout(html, tmp_path, width, dark), shown(html)
    assert seen["errors"] == [] and seen["bad"] is None and seen["images"] == 0
    assert seen["badges"] == ["PASS", "FAIL", "NOT_RUN"]
    assert (seen["verdicts"], seen["outcomes"]) == (3, 1)
    assert all(seen[name] == len(records[name]) for name in ("claims", "runs", "decisions"))
    assert seen["curves"] >= 2 * sum(entry["steps"] > 0 for entry in records["runs"])
    assert seen["marks"] > 20 and "Wait" in seen["marked"] and seen["underlined"] == "underline"
    assert seen["width"] == width and seen["scroll"] <= width and seen["wide"] == []
    ground, ink = browser.brightness(seen["ground"]), browser.brightness(seen["ink"])
    assert (ground < 60) == dark and abs(ground - ink) > 150


@browser.needed
def test_hostile_text_is_only_text_in_a_browser(checkout, tmp_path):
    seen = layout(page.page(VERDICTS, OUTCOMES), tmp_path, 360, False)
    assert seen["errors"] == [] and seen["title"] == "ponder: audit"
    assert (seen["images"], seen["scripts"], seen["odd"]) == (0, 4, 3)
    assert seen["samples"] == 1 and seen["wide"] == []
