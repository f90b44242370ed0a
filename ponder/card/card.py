"""The release form of a data set: its card README.md, croissant.json and two figures.

They lie beside the files that collect.py wrote. A folder that was released without them gets them
with the day of its release:

    python -m ponder.card.card data/cpu/cpu 2026-11-22

Numbers are counted in the files, the rest is in Facts. What a question, a teacher or a server says
is never printed raw: it stands in code spans and fences that it cannot end. The same files and
facts give the same bytes.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from ponder.card import croissant, plots, readme
from ponder.card.plots import plain
from ponder.collect import contamination
from ponder.collect.terms import Terms
from ponder.errors import UserError, user_errors
from ponder.hashing import file_sha256
from ponder.questions import pools
from ponder.runs import ROOT, Run, write_atomic

if TYPE_CHECKING:
    from ponder.study import Study

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
COUNTED = ("family", "domain", "correct", "rejected", "benchmark", "status", "graded")


@dataclass(frozen=True)
class Facts:
    """What the files of a data set do not say themselves."""

    name: str  # of the data set
    version: str  # MAJOR.MINOR.PATCH
    published: str | None  # the day, YYYY-MM-DD; None: not yet
    language: str | None  # of the questions, e.g. en; None: nobody has said
    run: str  # the collect run that wrote the files
    command: str  # what writes them again
    kind: Literal["solver", "openai", "hf", "traces", "attempts"]  # of the teacher
    teacher: str  # its name
    model: str | None  # None for programs
    revision: str | None
    terms: Terms
    sources: dict[str, dict[str, Any]]  # by family, as pools.sources returns it
    benchmarks: tuple[str, ...]  # what the rows were compared with
    # The decision record by which rows of a restricted or unclear teacher are released.
    override: str | None


@dataclass
class Tally:
    """What is counted in a file of rows."""

    rows: int = 0
    columns: set[str] = field(default_factory=set)  # those that any row has
    first: dict[str, Any] | None = None  # row
    tokens: list[int] = field(default_factory=list)  # of each trace, where there are any
    without_gold: int = 0  # rows without a reference answer
    has_domains: bool = False  # whether a domain differs from its family
    counts: dict[str, Counter] = field(  # column -> rows with each of its values
        default_factory=lambda: {column: Counter() for column in COUNTED}
    )

    def add(self, row: dict[str, Any]) -> None:
        """Count a row; a rejection counts under its reason without the detail."""
        self.rows += 1
        self.columns |= row.keys()
        self.first = self.first or row
        self.tokens += [row["tokens"]] if row.get("tokens") else []
        self.without_gold += row.get("gold") == ""
        self.has_domains |= row.get("domain") != row.get("family")
        values = {column: row[column] for column in COUNTED if column in row}
        if rejection := values.pop("rejected", None):
            values["rejected"] = readme.without_detail(rejection)
        for column, value in values.items():
            self.counts[column][value] += 1


# --- counting --------------------------------------------------------------------------


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSON-lines file, packed or not, one at a time.

    Raises UserError for a line that is no row.
    """
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


def tally(path: Path) -> Tally:
    """Return what is counted in a file of rows.

    Raises UserError for a column that croissant.COLUMNS does not know, and for a value of another
    kind than it says.
    """
    described = croissant.COLUMNS[croissant.stem(path.name)]
    counts = Tally()
    for number, row in enumerate(lines(path), 1):
        for column, value in row.items():
            if column not in described or not croissant.fits(described[column][0], value):
                raise UserError(
                    f"{path} row {number} has {plain(column)}: {type(value).__name__}, which is "
                    "not what ponder/card/croissant.py describes; describe it there, or collect "
                    "again"
                )
        counts.add(row)
    return counts


def counted(folder: Path) -> tuple[dict[str, Tally], dict[str, Any]]:
    """Return ({label of a file: its Tally}, the funnel) of a data set's folder.

    Raises UserError where its files are missing or do not fit together.
    """
    tallies = {
        croissant.stem(name): tally(folder / name)
        for name in KNOWN
        if name != "funnel.json" and (folder / name).exists()
    }
    if not {"traces", "train"} <= tallies.keys() or not (folder / "funnel.json").exists():
        raise UserError(
            f"{folder} is no data set: it needs traces.jsonl, train.jsonl and funnel.json; let "
            "collect.py write them"
        )
    funnel = json.loads((folder / "funnel.json").read_bytes())
    first, last = funnel["after"]["pool"], min(funnel["after"].values())
    asked, chosen = tallies["traces"].rows, tallies["train"].rows
    if (first, last) != (asked, chosen):
        raise UserError(
            f"{folder / 'funnel.json'} goes from {first} rows to {last}, but traces and train have "
            f"{asked} and {chosen}; restore the files or collect again"
        )
    return tallies, funnel


# --- writing ---------------------------------------------------------------------------


def write(folder: Path | str, facts: Facts) -> tuple[str, ...]:
    """Write README.md, croissant.json and two figures into a folder, and return their names.

    Raises UserError for files that are missing, malformed or do not fit together, and for a family
    without a source.
    """
    folder = Path(folder)
    tallies, funnel = counted(folder)
    if homeless := sorted(tallies["traces"].counts["family"].keys() - facts.sources.keys()):
        raise UserError(
            f"no source is given for the family {homeless[0]!r}; name it, with its licence, in the "
            "questions config"
        )
    _write_figures(folder, tallies["traces"], tallies["train"])
    names, sizes = licences(facts, tallies), file_sizes(folder)
    text = readme.text(facts, tallies, funnel, sizes, names)
    write_atomic(folder / "README.md", text.encode("ascii"))
    files = {name: _entry(folder / name, tallies) for name in (*sizes, *WRITTEN[:3])}
    summary = readme.summary(facts, tallies)
    record = croissant.metadata(facts, summary, names, readme.CITE, files)
    write_atomic(folder / "croissant.json", (json.dumps(record, indent=1) + "\n").encode())
    return WRITTEN


def _write_figures(folder: Path, traces: Tally, train: Tally) -> None:
    plots.length(folder / "length.svg", traces.tokens, train.tokens)
    columns = ("family", "domain") if traces.has_domains else ("family",)
    panels = {column: (traces.counts[column], train.counts[column]) for column in columns}
    plots.groups(folder / "family.svg", panels)


def licences(facts: Facts, tallies: Mapping[str, Tally]) -> list[str]:
    """Return the names of a data set's licences: of its sources, and of the teacher's terms."""
    families = tallies["traces"].counts["family"]
    return sorted({facts.sources[family]["licence"] for family in families} | {facts.terms.licence})


def file_sizes(folder: Path) -> dict[str, int]:
    """Return {name: bytes} of the files that collect.py wrote into a folder."""
    return {name: (folder / name).stat().st_size for name in KNOWN if (folder / name).exists()}


def _entry(path: Path, tallies: Mapping[str, Tally]) -> dict[str, Any]:
    """Return what croissant.metadata is told of a file."""
    label = croissant.stem(path.name)
    return {
        "sha256": file_sha256(path),
        "bytes": path.stat().st_size,
        "what": readme.what(path.name),
        "columns": tallies[label].columns if label in tallies else set(),
    }


def facts(plan: Study, run: Run, families: Collection[str]) -> Facts:
    """Return the Facts of a finished collection whose rows are of these families."""
    path = run.folder / "teacher.json"
    model = json.loads(path.read_text()) if path.exists() else {"model": None}
    revision = model.get("revision")
    if not revision and model.get("adapter_sha256"):
        revision = f"adapter {model['adapter_sha256']}"
    return Facts(
        name=plan.name,
        version="1.0.0",
        published=None,
        language="en" if plan.questions.kind == "drawn" else None,
        run=run.name,
        command="python collect.py",
        kind=plan.teacher.kind,
        teacher=plan.teacher.name,
        model=model["model"],
        revision=revision or None,
        terms=plan.teacher.terms,
        sources=pools.sources(plan.questions, families),
        benchmarks=contamination.compared(plan.decontamination, plan.questions.kind == "drawn"),
        override=None,
    )


def released(folder: Path, published: str | None) -> Facts:
    """Return the Facts of a folder that was released before there were cards.

    They come from the records of its collect run; `published` is the day of the release. Raises
    UserError where those records are missing.
    """
    manifest = _read(folder / "manifest.json", json.loads)
    run = manifest["files"]["train.jsonl"]["run"]
    config = _read(ROOT / "logs" / "collect" / run / "config.yaml", yaml.safe_load)
    questions = _read(ROOT / config["questions"]["dir"] / "manifest.json", json.loads)
    name = config["teacher"]["name"]
    teacher = _read(ROOT / "conf" / "teacher" / f"{name}.yaml", yaml.safe_load)
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
            for family, entry in questions["families"].items()
        },
        benchmarks=(),
        override=manifest.get("override", {}).get("decision"),
    )


def _read(path: Path, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} is missing; this command is for released data whose collect run is in logs/"
        ) from error


@user_errors
def main(arguments: list[str]) -> None:
    """Write the release form of a released folder; no file there changes.

    `arguments` are the folder and the day of its release. Raises UserError for others, and for a
    folder that has one of the files.
    """
    if len(arguments) != 2 or not re.fullmatch(r"\d{4}-\d\d-\d\d", arguments[1]):
        raise UserError(
            f"the arguments are {arguments}, but must be a folder and the day of its release: "
            "python -m ponder.card.card data/cpu/cpu 2026-11-22"
        )
    folder, published = Path(arguments[0]), arguments[1]
    if existing := next((name for name in WRITTEN if (folder / name).exists()), None):
        raise UserError(f"{folder / existing} exists, and released files never change")
    print(f"wrote {', '.join(write(folder, released(folder, published)))} -> {folder}")


if __name__ == "__main__":
    main(sys.argv[1:])
