"""The text of a data card: YAML front matter that the Hugging Face hub reads, then Markdown. Pure.

What a question, a teacher or a server said stands in code spans and fences that it cannot end; what
a configuration says stands with its marks as entities.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from statistics import median_low
from typing import TYPE_CHECKING, Any

import yaml

from ponder.card import croissant
from ponder.card.plots import plain

if TYPE_CHECKING:
    from ponder.card.card import Facts, Tally

# The steps of a funnel in their order, which decides where counts are equal.
STEPS = ("pool", "quality", "difficulty", "decontamination", "diversity", "draw")
CITE = (
    "@article{muennighoff2025s1, title={s1: Simple test-time scaling}, author={Muennighoff, Niklas "
    "and others}, journal={arXiv preprint arXiv:2501.19393}, year={2025}}"
)
SHOWN, CELL = 20, 300  # lines of a table of counts; characters of a text in the example
SIZES = (  # what the hub calls them
    "n<1K",
    "1K<n<10K",
    "10K<n<100K",
    "100K<n<1M",
    "1M<n<10M",
    "10M<n<100M",
)
OTHERS = {
    "funnel.json": "One JSON object: rows after each step, and what was dropped and why.",
    "README.md": "The data card.",
    "length.svg": "Figure: thinking tokens of all traces and of the chosen ones.",
    "family.svg": "Figure: rows of each family and domain, all and chosen.",
}
Cell = str | int


def code(text: str, characters: int = 80) -> str:
    """Return a text of the data as a code span that it cannot end, cut after so many characters."""
    return f"`{plain(text, characters)}`" if text.strip() else "(empty)"


def prose(text: str) -> str:
    """Return a text of the configuration on one line.

    What Markdown or HTML could read as its own comes out as entities.
    """
    return re.sub(r"[^A-Za-z0-9_ .,;:()'\"/?=%+-]|\b_|_\b|__+", _entities, " ".join(text.split()))


def _entities(match: re.Match[str]) -> str:
    return "".join(f"&#{ord(character)};" for character in match.group())


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """Return the lines of a table; whole numbers are right-aligned and have separators.

    Other cells are text that is safe already. An empty line follows.
    """
    marks = ["---"] * len(head)
    if rows:
        marks = ["---:" if isinstance(cell, int) else "---" for cell in rows[0]]
    return [_line(cells) for cells in (head, marks, *rows)] + [""]


def _line(cells: Sequence[Cell]) -> str:
    texts = (f"{cell:,}" if isinstance(cell, int) else cell for cell in cells)
    return "| " + " | ".join(texts) + " |"


def most(counts: Mapping[str, int], *head: str) -> list[str]:
    """Return a table of the most frequent texts, and in its last line how many others there are."""
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown, others = ranked[:SHOWN], ranked[SHOWN:]
    rows: list[tuple[Cell, ...]] = [(code(text), count) for text, count in shown]
    if others:
        rows.append((f"{len(others):,} others", sum(count for _, count in others)))
    return table(head, rows)


def summary(facts: Facts, tallies: Mapping[str, Tally]) -> str:
    """Return what a data set is, in two sentences."""
    authors = {"solver": "programs wrote", "traces": "was there before"}
    author = authors.get(facts.kind, "a model wrote")
    return (
        f"{tallies['traces'].rows:,} questions, each with a trace of thinking that {author}, "
        f"and the {tallies['train'].rows:,} rows of them that were chosen to train on. Made by the "
        "collect stage of ponder, an open reproduction of s1 (arXiv:2501.19393)."
    )


def what(name: str) -> str:
    """Return what a file of the release form is."""
    return OTHERS.get(name) or croissant.RECORDS[croissant.stem(name)]


def text(
    facts: Facts,
    tallies: Mapping[str, Tally],
    funnel: Mapping[str, Any],
    sizes: Mapping[str, int],
    licences: Collection[str],
) -> str:
    """Return README.md as ASCII.

    `tallies` and `funnel` are what card.counted returns, `sizes` {file: bytes} of the files with
    rows and the funnel, `licences` the names of all licences.
    """
    traces = tallies["traces"]
    names = {name: croissant.stem(name) for name in sizes if _has_rows(name, tallies)}
    release = f"released on {prose(facts.published)}." if facts.published else "not dated."
    lines = [
        *front_matter(facts, licences, tallies, names),
        f"# ponder {prose(facts.name)}",
        "",
        f"{summary(facts, tallies)} Version {prose(facts.version)}, {release}",
        "",
        nature(facts, traces),
        "",
    ]
    for title, section in _sections(facts, tallies, funnel, sizes, licences, names).items():
        lines += [f"## {title}", "", *section]
    return "\n".join(lines).rstrip("\n") + "\n"


def _has_rows(name: str, tallies: Mapping[str, Tally]) -> bool:
    """Return whether a file holds rows; the funnel is none of rows, and so is not counted."""
    label = croissant.stem(name)
    return label in tallies and tallies[label].rows > 0


def _sections(
    facts: Facts,
    tallies: Mapping[str, Tally],
    funnel: Mapping[str, Any],
    sizes: Mapping[str, int],
    licences: Collection[str],
    names: Mapping[str, str],
) -> dict[str, list[str]]:
    """Return {title: lines} of the card's sections, in their order; `names` is {file: label}."""
    traces, train = tallies["traces"], tallies["train"]
    sections = {
        "How to load": loading(names),
        "Files": files(tallies, sizes),
        "Rows": [
            *numbers(traces, train),
            "![Histogram of thinking tokens, all traces and the chosen ones](length.svg)",
            "",
            "![Rows of each family, all and chosen](family.svg)",
            "",
        ],
        "Sources and licences": sources(facts, traces, train),
        "Teacher and terms": teacher(facts),
        "How rows were chosen": chosen(funnel),
    }
    if traces.counts["rejected"]:
        sections["Rejected calls"] = rejected(traces)
    sections["Contamination"] = contamination(facts, tallies.get("contamination"))
    sections["Columns"] = []
    for name, label in names.items():
        if label != "train":  # which has the columns of traces
            sections["Columns"] += columns(name, tallies[label])
    return sections | {
        "How it was made": [
            f"By {code(facts.command, 200)} of ponder, with the values of `config.yaml` in the run "
            f"{code(facts.run)}: the last 8 digits of its name are a hash of them and of all that "
            "was read.",
            "",
        ],
        "Known limits": limits(facts, tallies, licences),
        "Example": example(train.first),
        "Citation": ["Cite the paper that this reproduces:", "", "```bibtex", CITE, "```", ""],
    }


def front_matter(
    facts: Facts,
    licences: Collection[str],
    tallies: Mapping[str, Tally],
    names: Mapping[str, str],
) -> list[str]:
    """Return the YAML that the hub reads, between its marks and with an empty line after them.

    Each file of rows is a configuration, its columns are typed; `names` is {file: label}.
    """
    known = sorted({_hub_licence(name) for name in licences})
    head: dict[str, Any] = {
        "pretty_name": f"ponder {facts.name}",
        "license": known[0] if len(known) == 1 else known,
    }
    if "other" in known:
        head["license_name"] = "see-the-sources-in-this-card"
    if facts.language:
        head["language"] = [facts.language]
    head |= {
        "size_categories": [SIZES[max(0, len(str(tallies["traces"].rows)) - 3)]],
        "task_categories": ["text-generation"],
        "tags": ["reasoning", "s1"],
        "configs": [_configuration(name, label) for name, label in names.items()],
        "dataset_info": [
            {"config_name": label, "features": _features(name, tallies[label])}
            for name, label in names.items()
        ],
    }
    # Through JSON, so that no value is there twice, which YAML would write as a reference.
    written = yaml.safe_dump(json.loads(json.dumps(head)), sort_keys=False, width=1000)
    return ["---", *written.splitlines(), "---", ""]


def _hub_licence(name: str) -> str:
    """Return what the hub calls a licence."""
    if name in croissant.SPDX:
        return name.lower()
    return "unknown" if name == "unverified" else "other"


def _configuration(name: str, label: str) -> dict[str, Any]:
    configuration: dict[str, Any] = {"config_name": label}
    if label == "train":
        configuration["default"] = True
    return configuration | {"data_files": [{"split": "train", "path": name}]}


def _features(name: str, tally: Tally) -> list[dict[str, Any]]:
    present = croissant.columns(name, tally.columns)
    return [{"name": column, **croissant.KINDS[kind][2]} for column, (kind, _) in present.items()]


def nature(facts: Facts, traces: Tally) -> str:
    """Return the paragraph that tells program-written traces from distillation."""
    if facts.kind == "solver":
        return (
            "**What it is:** program-written traces. Programs that know how a question was made "
            "say each step, so the traces of a family have one wording. **What it is not:** "
            "distillation, since no model wrote any of it."
        )
    failed = traces.counts["rejected"].total()
    if facts.kind == "traces":
        return (
            "**What it is:** traces that were not made here: their source is named below. "
            f"{failed:,} of {traces.rows:,} cannot be used; their rows are there, with the reason. "
            "**What it is not:** checked by people here, or traces whose steps are known to be "
            "right."
        )
    if facts.kind == "attempts":
        return (
            "**What it is:** two collections of a model's traces, joined. Where the first attempt "
            "at a question is wrong and the second right, a trace holds both, and `wrong` covers "
            f"the first; {failed:,} of {traces.rows:,} traces cannot be used. **What it is not:** "
            "a model that noticed its own mistake: both attempts were made without the other."
        )
    return (
        f"**What it is:** distillation, from the model {code(facts.model or 'not stated')} "
        f"(revision {code(facts.revision or 'not stated')}): each trace is what it replied, right "
        f"or wrong. {failed:,} of {traces.rows:,} questions got no reply that can be used; their "
        "rows are there, with the reason. "
        "**What it is not:** checked by people, or traces whose steps are known to be right."
    )


def loading(names: Mapping[str, str]) -> list[str]:
    """Return how each file of rows is opened; `names` is {file: label}."""
    return [
        "```python",
        "from datasets import load_dataset",
        "",
        *(
            f'{label} = load_dataset("json", data_files="{name}", split="train")'
            for name, label in names.items()
        ),
        "",
        "# or by this card, which gives each column its type",
        *(
            f'{label} = load_dataset("path/to/this/folder", "{label}", split="train")'
            for label in names.values()
        ),
        "```",
        "",
        "`mlcroissant` 1.1.1 reads the same rows by `croissant.json`, but makes numbers of a "
        "column where every text is one: `007` becomes `7`.",
        "",
    ]


def files(tallies: Mapping[str, Tally], sizes: Mapping[str, int]) -> list[str]:
    """Return the table of files, and which of them have no rows."""
    counts = {
        name: tallies[croissant.stem(name)].rows if name != "funnel.json" else 1 for name in sizes
    }
    return [
        *table(
            ("file", "rows", "bytes", "what"),
            [(f"`{name}`", counts[name], size, what(name)) for name, size in sizes.items()],
        ),
        *(
            f"`{name}` has no rows, and a file without rows `load_dataset` does not open.\n"
            for name, count in counts.items()
            if count == 0
        ),
        "`croissant.json` has the SHA-256 of each file and the type of each column.",
        "",
    ]


def numbers(traces: Tally, train: Tally) -> list[str]:
    """Return the table of all rows beside the chosen ones."""
    ungraded = traces.counts["graded"][False]

    def row(label: str, count: Callable[[Tally], int]) -> tuple[Cell, ...]:
        return label, count(traces), count(train)

    def tokens(label: str, statistic: Callable[[Iterable[int]], int]) -> tuple[Cell, ...]:
        return row(f"thinking tokens, {label}", lambda t: statistic(t.tokens) if t.tokens else 0)

    return table(
        ("", "all", "chosen"),
        [
            row("rows", lambda tally: tally.rows),
            row("right answer", lambda tally: tally.counts["correct"][True]),
            row(
                "wrong answer, or none",
                lambda tally: tally.counts["correct"][False] - tally.counts["graded"][False],
            ),
            *([row("not graded", lambda tally: tally.counts["graded"][False])] if ungraded else []),
            row("no reference answer", lambda tally: tally.without_gold),
            row("rejected call", lambda tally: tally.counts["rejected"].total()),
            tokens("sum", sum),
            tokens("fewest", min),
            tokens("median", median_low),
            tokens("most", max),
        ],
    )


def sources(facts: Facts, traces: Tally, train: Tally) -> list[str]:
    """Return the table of families, where their questions come from and under what licence.

    A table of domains follows where they are other groups than the families.
    """
    rows: list[tuple[Cell, ...]] = []
    for family, count in sorted(traces.counts["family"].items()):
        source = facts.sources[family]
        rows.append(
            (
                code(family),
                prose(source["source"]),
                prose(source["licence"]),
                code(source["revision"]) if source["revision"] else "",
                count,
                train.counts["family"][family],
            )
        )
    head = ("family", "source of the questions", "licence", "revision", "rows", "chosen")
    domains = most(traces.counts["domain"], "domain", "rows") if traces.has_domains else []
    return table(head, rows) + domains


def teacher(facts: Facts) -> list[str]:
    """Return the lines on who wrote the traces and under what terms."""
    terms = facts.terms
    clause = f'- quoted: "{prose(terms.quoted)}"' if terms.quoted else "- text: none is held"
    if terms.text:
        clause = f"- text: `data/licenses/{plain(terms.text)}.txt` of ponder"
    lines = [
        f"- name {code(facts.teacher)}, kind {code(facts.kind)}, model "
        f"{code(facts.model or 'none')}, revision {code(facts.revision or 'none')}",
        f"- terms of its outputs: {prose(terms.licence)}; read in: {prose(terms.source)}",
        clause,
        "- our reading, whether the outputs may train another model: "
        f"**{terms.reading}**; {prose(terms.why)}",
    ]
    if terms.reading != "allowed" and facts.override:
        lines.append(f"- released all the same, by the decision record {code(facts.override)}")
    elif terms.reading != "allowed":
        lines.append(
            "- not to be released without a decision record; `manifest.json` names it under "
            "`override` where there is one"
        )
    return [*lines, ""]


def chosen(funnel: Mapping[str, Any]) -> list[str]:
    """Return the lines on what each step left and dropped, and why."""
    after = funnel["after"]
    rows: list[tuple[Cell, ...]] = []
    for before, step in itertools.pairwise(_steps(after)):
        dropped = after[before] - after[step]
        inert = "inert" if 100 * dropped < after[before] else ""
        rows.append((code(step), dropped, after[step], inert))
    # Funnels of the first releases named the reason of each row.
    rows_dropped = funnel.get("dropped", {}).values()
    reasons = funnel.get("reasons", Counter(map(without_detail, rows_dropped)))
    counts = (
        most(reasons, "step and reason", "dropped") if reasons else ["Nothing was dropped.", ""]
    )
    return [
        _asked(funnel),
        "A step that drops under 1% of what reaches it is called inert.",
        "",
        *table(("step", "dropped", "left", ""), rows),
        *counts,
        "What was not chosen, a wrong answer and a call that gave no trace are in `traces`, and "
        "for each of them the step and the reason are kept; of a duplicate only its id and the id "
        "of what was kept.",
        "",
    ]


def without_detail(reason: str) -> str:
    """Return the first two of a reason's parts, which ": " separates; the rest varies by row."""
    return ": ".join(reason.split(": ")[:2])


def _steps(after: Mapping[str, int]) -> list[str]:
    """Return the steps of a funnel in their order; `after` is {step: rows left}."""
    place = {step: position for position, step in enumerate(STEPS)}
    return sorted(after, key=lambda step: (-after[step], place.get(step, len(STEPS)), step))


def _asked(funnel: Mapping[str, Any]) -> str:
    """Return the sentence on how many questions were read and asked."""
    asked = funnel["after"]["pool"]
    if not (read := funnel.get("read")):
        return f"{asked:,} questions were asked."
    rows, kept = (sum(entry[key] for entry in read.values()) for key in ("rows", "kept"))
    return (
        f"{rows:,} rows were read: {rows - kept:,} gave no question, {kept - asked:,} were "
        f"duplicates, and {asked:,} were asked."
    )


def rejected(traces: Tally) -> list[str]:
    """Return the lines on calls that gave no trace."""
    return [
        "Their rows are in `traces`, with the whole reason in `rejected`; the replies are in "
        "`calls`.",
        "",
        *most(traces.counts["rejected"], "reason", "rows"),
    ]


def contamination(facts: Facts, hits: Tally | None) -> list[str]:
    """Return the lines on which rows resemble a benchmark; `hits` counts contamination.jsonl."""
    if not facts.benchmarks:
        return ["The rows were compared with no benchmark.", ""]
    compared = f"Compared with {', '.join(code(name) for name in facts.benchmarks)}."
    if hits is None or not hits.rows:
        return [compared, "Nothing of the kind was found.", ""]
    return [
        compared,
        f"There are {hits.rows:,} hits, each with both texts; a question with a hit was not "
        "chosen.",
        "",
        *most(hits.counts["benchmark"], "benchmark", "hits"),
    ]


def columns(name: str, tally: Tally) -> list[str]:
    """Return the table of a file's columns."""
    title = f"### {name}"
    if croissant.stem(name) == "traces":
        title += " and train.jsonl"
    rows = [
        (f"`{column}`", kind, meaning)
        for column, (kind, meaning) in croissant.columns(name, tally.columns).items()
    ]
    return [title, "", *table(("column", "kind", "meaning"), rows)]


def limits(facts: Facts, tallies: Mapping[str, Tally], licences: Collection[str]) -> list[str]:
    """Return the lines on what a user should not expect."""
    traces = tallies["traces"]
    revisions = {facts.sources[family]["revision"] for family in traces.counts["family"]}
    lines = [
        "- `correct` compares final answers by rules: a right answer in a form that they do not "
        "know counts as wrong, and a right answer says nothing about the steps before it.",
        "- There is one trace for each question.",
    ]
    if ungraded := traces.counts["graded"][False]:
        lines.append(
            f"- {ungraded:,} answers could not be graded: `graded` is false there, and `correct` "
            "says nothing."
        )
    if traces.without_gold and not traces.counts["graded"]:
        lines.append(
            f"- {traces.without_gold:,} questions have no reference answer, so their answers count "
            "as wrong."
        )
    if "unverified" in licences or "unverified" in revisions:
        lines.append(
            "- What is called `unverified` nobody here could read. Find it out before you use "
            "those rows."
        )
    if facts.kind == "solver":
        lines.append(
            "- The questions come from generators: they are short and have few sentence patterns."
        )
    else:
        lines.append(
            "- Nobody has searched the texts for personal data, or for what is harmful or false."
        )
    return [*lines, ""]


def example(row: Mapping[str, Any] | None) -> list[str]:
    """Return a row as JSON in a fence, long texts cut."""
    if row is None:
        return ["No row was chosen.", ""]
    shown = json.dumps({key: _cut(value) for key, value in row.items()}, indent=1, sort_keys=True)
    for mark in "<>&`":
        shown = shown.replace(mark, f"\\u{ord(mark):04x}")
    return ["The first row of `train`:", "", "```json", shown, "```", ""]


def _cut(value: Any) -> Any:
    if not isinstance(value, str) or len(value) <= CELL:
        return value
    return f"{value[:CELL]}... ({len(value) - CELL:,} more characters)"
