"""The release form of a data set: README.md (its card), croissant.json and two figures beside the files that collect.py wrote.

    python -m ponder.card.card data/cpu/cpu 2026-11-22    # for a folder that was released without them, and the day of its release

Numbers are counted in the files, the rest is in Facts. What a question, a teacher or a server says is never printed raw:
it stands in code spans and fences that it cannot end. The same files and facts give the same bytes.
"""

import gzip
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

from ponder.card import croissant, plots, readme
from ponder.card.plots import plain
from ponder.collect.terms import Terms
from ponder.config import check_choice
from ponder.errors import UserError, user_errors
from ponder.hashing import file_sha256
from ponder.runs import ROOT, write_atomic

KNOWN = (
    "traces.jsonl",
    "traces.jsonl.gz",
    "train.jsonl",
    "funnel.json",
    "dropped.jsonl",
    "contamination.jsonl",
    "calls.jsonl.gz",
)
WRITTEN = ("length.svg", "family.svg", "README.md", "croissant.json")
COUNTED = ("family", "domain", "correct", "rejected", "benchmark", "status")


@dataclass(frozen=True)
class Facts:
    """What the files of a data set do not say themselves."""

    name: str  # of the data set
    version: str  # MAJOR.MINOR.PATCH
    published: str | None  # the day, YYYY-MM-DD; None: not yet
    language: str | None  # of the questions, e.g. en; None: nobody has said
    run: str  # the collect run that wrote the files
    command: str  # what writes them again
    kind: str  # of the teacher: solver | openai | hf
    teacher: str  # its name
    model: str | None  # None for programs
    revision: str | None
    terms: Terms
    sources: dict  # family -> {"source", "licence", "revision"}, as pools.sources returns it
    benchmarks: tuple[str, ...]  # what the rows were compared with
    override: (
        str | None
    )  # the decision record by which rows of a restricted or unclear teacher are released

    def __post_init__(self):
        check_choice("teacher.kind", self.kind, ("solver", "openai", "hf"))


# --- counting --------------------------------------------------------------------------


def lines(path):
    """Yield the rows of a JSON-lines file, packed or not, one at a time; raises UserError for a line that is no row."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line.decode())
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise UserError(
                    f"{path} line {number} is no JSON object; restore the file or collect again"
                )
            yield row


def tally(path):
    """Return what is counted in a file of rows: rows, columns, the first row, tokens above 0, no reference, and COUNTED.

    Raises UserError for a value of another kind than croissant.COLUMNS says, and for a column that it does not know.
    """
    known = croissant.COLUMNS[croissant.stem(path.name)]
    found = {
        "rows": 0,
        "columns": set(),
        "first": None,
        "tokens": [],
        "no gold": 0,
        "apart": False,
        **{column: Counter() for column in COUNTED},
    }
    for row in lines(path):
        for column, value in row.items():
            if column not in known or not croissant.fits(known[column][0], value):
                raise UserError(
                    f"{path} row {found['rows'] + 1} has {plain(column)}: {type(value).__name__}, which is not what "
                    "ponder/card/croissant.py describes; describe it there, or collect again"
                )
        found["rows"] += 1
        found["columns"] |= row.keys()
        found["first"] = found["first"] or row
        found["tokens"] += [row["tokens"]] if row.get("tokens") else []
        found["no gold"] += row.get("gold") == ""
        found["apart"] |= row.get("domain") != row.get("family")
        for column in COUNTED:
            if column in row and (row[column] or column != "rejected"):
                found[column][
                    ": ".join(row[column].split(": ")[:2]) if column == "rejected" else row[column]
                ] += 1
    return found


def counted(folder):
    """Return (tallies by label, funnel) of a folder; raises UserError where its files are missing or do not fit together."""
    tallies = {
        croissant.stem(name): tally(folder / name)
        for name in KNOWN
        if name != "funnel.json" and (folder / name).exists()
    }
    if not {"traces", "train"} <= tallies.keys() or not (folder / "funnel.json").exists():
        raise UserError(
            f"{folder} is no data set: it needs traces.jsonl, train.jsonl and funnel.json; let collect.py write them"
        )
    funnel = json.loads((folder / "funnel.json").read_bytes())
    ends = funnel["after"]["pool"], min(funnel["after"].values())
    if ends != (tallies["traces"]["rows"], tallies["train"]["rows"]):
        raise UserError(
            f"{folder / 'funnel.json'} goes from {ends[0]} rows to {ends[1]}, but traces and train have "
            f"{tallies['traces']['rows']} and {tallies['train']['rows']}; restore the files or collect again"
        )
    return tallies, funnel


# --- writing ---------------------------------------------------------------------------


def write(folder, facts):
    """Write README.md, croissant.json and two figures into a folder, and return their names.

    Raises UserError for files that are missing, malformed or do not fit together, and for a family without a source.
    """
    folder = Path(folder)
    tallies, funnel = counted(folder)
    traces, train = tallies["traces"], tallies["train"]
    if homeless := sorted(traces["family"].keys() - facts.sources.keys()):
        raise UserError(
            f"no source is given for the family {homeless[0]!r}; name it, with its licence, in the questions config"
        )
    licences = sorted(
        {facts.sources[family]["licence"] for family in traces["family"]} | {facts.terms.licence}
    )
    sizes = {name: (folder / name).stat().st_size for name in KNOWN if (folder / name).exists()}
    plots.length(folder / "length.svg", traces["tokens"], train["tokens"])
    panels = ("family", "domain") if traces["apart"] else ("family",)
    plots.groups(
        folder / "family.svg", {column: (traces[column], train[column]) for column in panels}
    )
    write_atomic(
        folder / "README.md", readme.text(facts, tallies, funnel, sizes, licences).encode("ascii")
    )
    files = {
        name: {
            "sha256": file_sha256(folder / name),
            "bytes": (folder / name).stat().st_size,
            "what": readme.what(name),
            "columns": tallies.get(croissant.stem(name), {}).get("columns", ()),
        }
        for name in (*sizes, *WRITTEN[:3])
    }
    record = croissant.metadata(facts, readme.summary(facts, tallies), licences, readme.CITE, files)
    write_atomic(folder / "croissant.json", (json.dumps(record, indent=1) + "\n").encode())
    return WRITTEN


def released(folder, published):
    """Return the Facts of a folder that was released before there were cards, from the records of its collect run."""
    manifest = _read(folder / "manifest.json", json.loads)
    run = manifest["files"]["train.jsonl"]["run"]
    config = _read(ROOT / "logs" / "collect" / run / "config.yaml", yaml.safe_load)
    drawn = _read(ROOT / config["questions"]["dir"] / "manifest.json", json.loads)
    teacher = _read(ROOT / "conf" / "teacher" / f"{config['teacher']['name']}.yaml", yaml.safe_load)
    return Facts(
        name=folder.name,
        version="1.0.0",
        published=published,
        language="en",
        run=run,
        command=f"python collect.py experiment={folder.name}",
        kind=teacher["kind"],
        teacher=teacher["name"],
        model=None,
        revision=None,
        terms=Terms(**teacher["terms"]),
        sources={
            family: {"source": entry["source"], "licence": entry["licence"], "revision": None}
            for family, entry in drawn["families"].items()
        },
        benchmarks=(),
        override=manifest.get("override", {}).get("decision"),
    )


def _read(path, parse):
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} is missing; this command is for released data whose collect run is in logs/"
        ) from error


@user_errors
def main(arguments):
    """Write the release form of a released folder, published on a day; no file there changes. `arguments`: both, as texts."""
    if len(arguments) != 2 or not re.fullmatch(r"\d{4}-\d\d-\d\d", arguments[1]):
        raise UserError(
            f"the arguments are {arguments}, but must be a folder and the day of its release: "
            "python -m ponder.card.card data/cpu/cpu 2026-11-22"
        )
    folder, published = Path(arguments[0]), arguments[1]
    if there := next((name for name in WRITTEN if (folder / name).exists()), None):
        raise UserError(f"{folder / there} exists, and released files never change")
    print(f"wrote {', '.join(write(folder, released(folder, published)))} -> {folder}")


if __name__ == "__main__":
    main(sys.argv[1:])


def facts(plan, run, families):
    """Return what the data card of a finished collection must be told (card.Facts)."""
    from ponder.card import card
    from ponder.collect import contamination
    from ponder.questions import pools

    path = run.folder / "teacher.json"
    who = json.loads(path.read_text()) if path.exists() else {"model": None}
    teacher = plan.teacher
    return card.Facts(
        name=plan.name,
        version="1.0.0",
        published=None,
        language="en" if plan.questions.kind == "drawn" else None,
        run=run.name,
        command="python collect.py",
        kind=teacher.kind,
        teacher=teacher.name,
        model=who["model"],
        revision=who.get("revision")
        or (f"adapter {who['adapter_sha256']}" if who.get("adapter_sha256") else None),
        terms=teacher.terms,
        sources=pools.sources(plan.questions, families),
        benchmarks=contamination.compared(plan.decontamination),
        override=None,
    )
