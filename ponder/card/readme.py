"""The text of a data card: YAML front matter that the Hugging Face hub reads, then Markdown. Pure.

What a question, a teacher or a server said stands in code spans and fences that it cannot end; what a configuration says
stands with its marks as entities.
"""

import itertools
import json
import re
from collections import Counter
from statistics import median_low

import yaml

from ponder.card import croissant
from ponder.card.plots import plain

STEPS = (
    "pool",
    "quality",
    "difficulty",
    "decontamination",
    "diversity",
    "draw",
)  # of a funnel, where counts are equal
CITE = (
    "@article{muennighoff2025s1, title={s1: Simple test-time scaling}, author={Muennighoff, Niklas and others}, "
    "journal={arXiv preprint arXiv:2501.19393}, year={2025}}"
)
SHOWN, CELL = 20, 300  # lines of a table of counts; characters of a text in the example
SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M")  # the hub's words
OTHERS = {
    "funnel.json": "One JSON object: rows after each step, and what was dropped and why.",
    "README.md": "The data card.",
    "length.svg": "Figure: thinking tokens of all traces and of the chosen ones.",
    "family.svg": "Figure: rows of each family and domain, all and chosen.",
}


def code(text, characters=80):
    """Return a text of the data as a code span that it cannot end, cut after so many characters."""
    return f"`{plain(text, characters)}`" if text.strip() else "(empty)"


def prose(text):
    """Return a text of the configuration on one line, with what Markdown or HTML could read as its own as entities."""
    return re.sub(
        r"[^A-Za-z0-9_ .,;:()'\"/?=%+-]|\b_|_\b|__+",
        lambda found: "".join(f"&#{ord(c)};" for c in found.group()),
        " ".join(text.split()),
    )


def table(head, rows):
    """Return the lines of a table, whole numbers right-aligned and with separators; other cells are safe text."""
    marks = [
        "---:" if rows and isinstance(cell, int) else "---" for cell in (rows[0] if rows else head)
    ]
    cells = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    return ["| " + " | ".join(row) + " |" for row in (head, marks, *cells)] + [""]


def most(counter, *head):
    """Return a table of the most frequent texts of a Counter, and in its last line how many others there are."""
    ranked = sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))
    shown, others = ranked[:SHOWN], ranked[SHOWN:]
    rest = [(f"{len(others):,} others", sum(n for _, n in others))] if others else []
    return table(head, [(code(text), n) for text, n in shown] + rest)


def summary(facts, tallies):
    """Return what a data set is, in two sentences."""
    author = "programs" if facts.kind == "solver" else "a model"
    return (
        f"{tallies['traces']['rows']:,} questions, each with a trace of thinking that {author} wrote, and the "
        f"{tallies['train']['rows']:,} rows of them that were chosen to train on. Made by the collect stage of ponder, an open "
        "reproduction of s1 (arXiv:2501.19393)."
    )


def what(name):
    """Return what a file of the release form is."""
    return OTHERS.get(name) or croissant.RECORDS[croissant.stem(name)]


def text(facts, tallies, funnel, sizes, licences):
    """Return README.md as ASCII.

    `facts` is a card.Facts, `tallies` and `funnel` are what card.counted returns, `sizes` {file: bytes} of the files with
    rows and the funnel, `licences` the names of all licences.
    """
    traces, train = tallies["traces"], tallies["train"]
    names = {
        name: croissant.stem(name)
        for name in sizes
        if tallies.get(croissant.stem(name), {"rows": 0})["rows"]
    }
    about = [(name, label) for name, label in names.items() if label != "train"]
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
        **({"Rejected calls": rejected(traces)} if traces["rejected"] else {}),
        "Contamination": contamination(facts, tallies.get("contamination")),
        "Columns": [line for name, label in about for line in columns(name, tallies[label])],
        "How it was made": [
            f"By {code(facts.command, 200)} of ponder, with the values of `config.yaml` in the run "
            f"{code(facts.run)}: the last 8 digits of its name are a hash of them and of all that was read.",
            "",
        ],
        "Known limits": limits(facts, tallies, licences),
        "Example": example(train["first"]),
        "Citation": ["Cite the paper that this reproduces:", "", "```bibtex", CITE, "```", ""],
    }
    release = f"Version {prose(facts.version)}, " + (
        f"released on {prose(facts.published)}." if facts.published else "not dated."
    )
    head = [
        *front_matter(facts, licences, tallies, names),
        f"# ponder {prose(facts.name)}",
        "",
        f"{summary(facts, tallies)} {release}",
        "",
        nature(facts, traces),
        "",
    ]
    lines = [
        *head,
        *(line for title, body in sections.items() for line in (f"## {title}", "", *body)),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def front_matter(facts, licences, tallies, names):
    """Return the YAML that the hub reads: each file of rows is a configuration, its columns are typed."""
    known = sorted(
        {
            name.lower()
            if name in croissant.SPDX
            else "unknown"
            if name == "unverified"
            else "other"
            for name in licences
        }
    )
    configs, features = [], []
    for name, label in names.items():
        typed = croissant.columns(name, tallies[label]["columns"]).items()
        configs.append(
            {
                "config_name": label,
                **({"default": True} if label == "train" else {}),
                "data_files": [{"split": "train", "path": name}],
            }
        )
        features.append(
            {
                "config_name": label,
                "features": [
                    {"name": column, **croissant.KINDS[kind][2]} for column, (kind, _) in typed
                ],
            }
        )
    size = SIZES[max(0, len(str(tallies["traces"]["rows"])) - 3)]
    head = {
        "pretty_name": f"ponder {facts.name}",
        "license": known[0] if len(known) == 1 else known,
        **({"license_name": "see-the-sources-in-this-card"} if "other" in known else {}),
        **({"language": [facts.language]} if facts.language else {}),
        "size_categories": [size],
        "task_categories": ["text-generation"],
        "tags": ["reasoning", "s1"],
        "configs": configs,
        "dataset_info": features,
    }
    whole = json.loads(json.dumps(head))  # no value twice, which YAML would write as a reference
    return ["---", *yaml.safe_dump(whole, sort_keys=False, width=1000).splitlines(), "---", ""]


def nature(facts, traces):
    """Return the paragraph that tells program-written traces from distillation."""
    if facts.kind == "solver":
        return (
            "**What it is:** program-written traces. Programs that know how a question was made say each step, so the traces "
            "of a family have one wording. **What it is not:** distillation, since no model wrote any of it."
        )
    failed = sum(traces["rejected"].values())
    return (
        f"**What it is:** distillation, from the model {code(facts.model or 'not stated')} (revision "
        f"{code(facts.revision or 'not stated')}): each trace is what it replied, right or wrong. {failed:,} of "
        f"{traces['rows']:,} questions got no reply that can be used; their rows are there, with the reason. "
        "**What it is not:** checked by people, or traces whose steps are known to be right."
    )


def loading(names):
    """Return how each file of rows is opened."""
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
        "`mlcroissant` 1.1.1 reads the same rows by `croissant.json`, but makes numbers of a column where every text is one: "
        "`007` becomes `7`.",
        "",
    ]


def files(tallies, sizes):
    """Return the table of files."""
    rows = [
        (
            f"`{name}`",
            tallies[croissant.stem(name)]["rows"] if name != "funnel.json" else 1,
            size,
            what(name),
        )
        for name, size in sizes.items()
    ]
    empty = [
        f"{name} has no rows, and a file without rows `load_dataset` does not open.\n"
        for name, n, _, _ in rows
        if n == 0
    ]
    return [
        *table(("file", "rows", "bytes", "what"), rows),
        *empty,
        "`croissant.json` has the SHA-256 of each file and the type of each column.",
        "",
    ]


def numbers(traces, train):
    """Return the table of all rows beside the chosen ones."""

    def row(word, count):
        return (word, count(traces), count(train))

    tokens = [
        row(
            f"thinking tokens, {word}",
            lambda found, of=of: of(found["tokens"]) if found["tokens"] else 0,
        )
        for word, of in (("sum", sum), ("fewest", min), ("median", median_low), ("most", max))
    ]
    return table(
        ("", "all", "chosen"),
        [
            row("rows", lambda found: found["rows"]),
            row("right answer", lambda found: found["correct"][True]),
            row("wrong answer, or none", lambda found: found["correct"][False]),
            row("no reference answer", lambda found: found["no gold"]),
            row("rejected call", lambda found: sum(found["rejected"].values())),
            *tokens,
        ],
    )


def sources(facts, traces, train):
    """Return the table of families, where their questions come from and under what licence; and of domains, if they differ."""
    rows = []
    for family, asked in sorted(traces["family"].items()):
        source = facts.sources[family]
        rows.append(
            (
                code(family),
                prose(source["source"]),
                prose(source["licence"]),
                code(source["revision"]) if source["revision"] else "",
                asked,
                train["family"][family],
            )
        )
    lines = table(
        ("family", "source of the questions", "licence", "revision", "rows", "chosen"), rows
    )
    return lines + (most(traces["domain"], "domain", "rows") if traces["apart"] else [])


def teacher(facts):
    """Return the lines on who wrote the traces and under what terms."""
    terms = facts.terms
    said = f'- quoted: "{prose(terms.quoted)}"' if terms.quoted else "- text: none is held"
    if terms.text:
        said = f"- text: `data/licenses/{plain(terms.text)}.txt` of ponder"
    lines = [
        f"- name {code(facts.teacher)}, kind {code(facts.kind)}, model {code(facts.model or 'none')}, revision "
        f"{code(facts.revision or 'none')}",
        f"- terms of its outputs: {prose(terms.licence)}; read in: {prose(terms.source)}",
        said,
        f"- our reading, whether the outputs may train another model: **{terms.reading}**; {prose(terms.why)}",
    ]
    if terms.reading != "allowed":
        lines.append(
            f"- released all the same, by the decision record {code(facts.override)}"
            if facts.override
            else "- not to be released without a decision record; `manifest.json` names it under `override` where there is one"
        )
    return [*lines, ""]


def chosen(funnel):
    """Return the lines on what each step left and dropped, and why."""
    after = funnel["after"]
    steps = sorted(
        after,
        key=lambda step: (-after[step], STEPS.index(step) if step in STEPS else len(STEPS), step),
    )
    rows = []
    for before, step in itertools.pairwise(steps):
        gone = after[before] - after[step]
        rows.append((code(step), gone, after[step], "inert" if 100 * gone < after[before] else ""))
    why = funnel.get("reasons") or Counter(
        ": ".join(reason.split(": ")[:2]) for reason in funnel["dropped"].values()
    )
    lines = [f"{after['pool']:,} questions were asked."]
    if read := funnel.get("read"):
        came, kept = (sum(entry[key] for entry in read.values()) for key in ("rows", "kept"))
        lines = [
            f"{came:,} rows were read: {came - kept:,} gave no question, {kept - after['pool']:,} were duplicates, and "
            f"{after['pool']:,} were asked."
        ]
    return [
        *lines,
        "A step that drops under 1% of what reaches it is called inert.",
        "",
        *table(("step", "dropped", "left", ""), rows),
        *most(why, "step and reason", "dropped"),
        "What was not chosen, a wrong answer and a call that gave no trace are in `traces`, and for each of them the step and "
        "the reason are kept; of a duplicate only its id and the id of what was kept.",
        "",
    ]


def rejected(traces):
    """Return the lines on calls that gave no trace."""
    return [
        "Their rows are in `traces`, with the whole reason in `rejected`; the replies are in `calls`.",
        "",
        *most(traces["rejected"], "reason", "rows"),
    ]


def contamination(facts, found):
    """Return the lines on which rows resemble a benchmark."""
    if not facts.benchmarks:
        return ["The rows were compared with no benchmark.", ""]
    lines = [f"Compared with {', '.join(code(name) for name in facts.benchmarks)}."]
    if not found or not found["rows"]:
        return [*lines, "Nothing of the kind was found.", ""]
    return [
        *lines,
        f"There are {found['rows']:,} hits, each with both texts; a question with a hit was not chosen.",
        "",
        *most(found["benchmark"], "benchmark", "hits"),
    ]


def columns(name, tallied):
    """Return the table of a file's columns."""
    title = f"### {name}" + (" and train.jsonl" if croissant.stem(name) == "traces" else "")
    rows = [
        (f"`{column}`", kind, meaning)
        for column, (kind, meaning) in croissant.columns(name, tallied["columns"]).items()
    ]
    return [title, "", *table(("column", "kind", "meaning"), rows)]


def limits(facts, tallies, licences):
    """Return the lines on what a user should not expect."""
    traces = tallies["traces"]
    unread = "unverified" in licences or any(
        facts.sources[family]["revision"] == "unverified" for family in traces["family"]
    )
    lines = [
        "- `correct` compares final answers by rules: a right answer in a form that they do not know counts as wrong, and a "
        "right answer says nothing about the steps before it.",
        "- There is one trace for each question.",
    ]
    if traces["no gold"]:
        lines.append(
            f"- {traces['no gold']:,} questions have no reference answer, so their answers count as wrong."
        )
    if unread:
        lines.append(
            "- What is called `unverified` nobody here could read. Find it out before you use those rows."
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


def example(row):
    """Return a row as JSON in a fence, long texts cut."""
    if row is None:
        return ["No row was chosen.", ""]
    shown = json.dumps({key: _cut(value) for key, value in row.items()}, indent=1, sort_keys=True)
    for mark in "<>&`":
        shown = shown.replace(mark, f"\\u{ord(mark):04x}")
    return ["The first row of `train`:", "", "```json", shown, "```", ""]


def _cut(value):
    if not isinstance(value, str) or len(value) <= CELL:
        return value
    return value[:CELL] + f"... ({len(value) - CELL:,} more characters)"
