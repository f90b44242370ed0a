"""The site: pages and the data beside them, written aside and put in place when all are there.

A page loads its data as classic scripts, since a browser that reads pages from a disk lets no
script fetch a file. What models and teachers wrote is hostile here: it goes into these scripts as
ASCII JSON without a `<`, and onto a page by textContent.
"""

import json
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ponder.audit import checks, page
from ponder.audit.checks import Verdict
from ponder.errors import UserError
from ponder.site import answers, records, results

PAGES = Path(__file__).with_name("pages")
ORIGINALS = "data/qwen/gsm8k-originals.jsonl"  # questions that templates were made from
LIMIT = 1_500_000  # bytes of a file of answers, before it is one of several
TITLES = {  # {page: (its title, what it is)}
    "index": ("Results", "All results. A number or a point opens the answers that it counts."),
    "answers": ("Answers", "Every question of a split, with what the chosen runs answered."),
    "compare": ("Compare", "Two runs: answers gained and lost, configs, curves of training."),
    "curves": ("Curves", "The loss of every training, step by step."),
    "claims": ("Claims", "What s1 says and what is found here; every number that is printed."),
    "decisions": ("Decisions", "What was announced before it was measured, and why things are so."),
}
SHARED = ("elements", "markdown", "plot")  # scripts that the pages have in common


def build(out: Path, verdicts: Sequence[Verdict] = ()) -> dict[str, int]:
    """Write the site to a folder and return {file: its bytes}; an older site there is replaced.
    `verdicts` are those of the audit's checks that were made; without them no claim has one.

    Raises UserError for a folder that holds something else.
    """
    if out.exists() and not (out / "data").is_dir():
        raise UserError(f"{out} holds something else than a site; move it away, then try again")
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".site-", dir=out.parent))
    try:
        fresh, old = aside / "new", aside / "old"
        sizes = {}
        for name, text in files(list(verdicts)):
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sizes[name] = path.stat().st_size
        if out.exists():
            os.rename(out, old)
        os.rename(fresh, out)
        return sizes
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def files(verdicts: list[Verdict]) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of every file of the site."""
    for name in TITLES:
        yield f"{name}.html", frame(name)
    for path in sorted(PAGES.glob("*.*")):
        if path.suffix in (".css", ".js"):
            yield path.name, path.read_text()
    for name, value in data(verdicts):
        yield f"data/{name}.js", script(name, value)


def frame(name: str) -> str:
    """Return the HTML of a page; its own script fills it."""
    title, lead = TITLES[name]
    menu = "\n".join(
        f'<a href="{other}.html"{" aria-current=page" * (other == name)}>{words[0]}</a>'
        for other, words in TITLES.items()
    )
    scripts = "\n".join(f'<script src="{script}.js" defer></script>' for script in (*SHARED, name))
    text = (PAGES / "frame.html").read_text()
    for word, value in (("title", title), ("lead", lead), ("menu", menu), ("scripts", scripts)):
        text = text.replace(f"@{word}@", value)
    return text


def script(name: str, value: Any) -> str:
    """Return a classic script that hands a value to the page that loads it."""
    # A NaN becomes a text, so that it is no point of a curve.
    plain = json.loads(json.dumps(value, default=str), parse_constant=str)
    text = json.dumps(plain, separators=(",", ":")).replace("<", "\\u003c")
    return f"put({json.dumps(name)},{text});\n"


def data(verdicts: list[Verdict]) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of everything that the pages load."""
    known = page.read(checks.ROOT / "paper" / "generated" / "results.json", {})
    tables, figures, groups = results.tables(known), results.figures(known), results.groups(known)
    originals = {row["id"] for row in page.read(checks.ROOT / ORIGINALS, [])}
    yield "tree", records.tree()
    yield "results", {"tables": tables, "figures": figures, "example": known.get("example")}
    parts: dict[str, int] = {}
    splits: dict[str, list[Path]] = defaultdict(list)
    for folder in checks.runs("evaluate"):
        if split := answers.split_of(folder):
            splits[split].append(folder)
    for split, folders in splits.items():
        asked = answers.questions(folders, originals)
        yield f"split-{split}", [*asked.values()]
        numbers = {key: number for number, key in enumerate(asked)}
        for folder in folders:
            chunks = [*chunked(answers.answers(folder, numbers))]
            parts[folder.name] = len(chunks)
            for number, chunk in enumerate(chunks):
                yield f"run-{folder.name}-{number}", chunk
    yield "runs", records.runs(parts, groups)
    yield "curves", records.curves()
    yield "claims", records.claims(known, verdicts)
    yield "decisions", records.choices()


def chunked(items: list[dict[str, Any]], limit: int = LIMIT) -> Iterator[list[dict[str, Any]]]:
    """Yield the items in order, in lists that take about `limit` bytes at most."""
    chunk: list[dict[str, Any]] = []
    size = 0
    for item in items:
        length = len(json.dumps(item))
        if chunk and size + length > limit:
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += length
    if chunk:
        yield chunk
