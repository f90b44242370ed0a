"""What every column of a data set means, and the Croissant 1.1 metadata that says so to programs.

The specification: mlcommons.org/croissant/1.1. Pure: counts and hashes come in, JSON-LD goes out.
Column names are ours; no text of a row gets in here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any

from ponder import rows

if TYPE_CHECKING:
    from ponder.card.card import Facts

Columns = dict[str, tuple[str, str]]  # column -> (its kind, one of KINDS; its meaning)

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
# What SPDX calls a licence. The Hugging Face hub calls it the same in lower case (its docs, under
# repositories-licenses).
SPDX = (
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-NC-3.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-ND-4.0",
    "CC-BY-NC-SA-3.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-ND-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
)
# Kinds of values: in Python, in Croissant, and as `features` in a card of the hub. A span is a pair
# of character positions.
KINDS: dict[str, tuple[type, str, dict[str, Any]]] = {
    "text": (str, "sc:Text", {"dtype": "string"}),
    "whole number": (int, "sc:Integer", {"dtype": "int64"}),
    "number": (float, "sc:Float", {"dtype": "float64"}),
    "true or false": (bool, "sc:Boolean", {"dtype": "bool"}),
    "list of spans": (list, "sc:Integer", {"list": {"list": "int64"}}),
}
KINDS |= {f"{kind} or null": KINDS[kind] for kind in ("text", "whole number")}


def columns_of(row: type) -> Columns:
    """Return the columns of a kind of row that ponder/rows.py describes, in its order."""
    meanings = rows.meanings(row)
    return {name: (_kind(types), meanings[name]) for name, types in rows.types_of(row).items()}


def _kind(types: tuple[type, ...]) -> str:
    """Return which of KINDS a column is whose values have these Python types, None among them."""
    names = {KINDS[kind][0]: kind for kind in KINDS if not kind.endswith("or null")}
    (value,) = (name for kind, name in names.items() if kind in types)
    return f"{value} or null" if NoneType in types else value


COLUMNS: dict[str, Columns] = {
    "traces": columns_of(rows.Trace),
    "train": columns_of(rows.Trace),
    "dropped": {
        "id": ("text", "the question; one dropped as a near copy is not in `traces`"),
        "step": ("text", "the filter that dropped it"),
        "reason": ("text", "why"),
    },
    "contamination": {
        "id": ("text", "the question of `traces`"),
        "where": ("text", "what resembles the benchmark: its question or its trace"),
        "benchmark": ("text", "the benchmark"),
        "benchmark_id": ("text", "the question there"),
        "by": ("text", "how: 8-gram or another number of words, minhash, whole, or key"),
        "form": ("text", "of an n-gram: words, with punctuation, or plain, without; else empty"),
        "share": (
            "number",
            "of an n-gram: part of the benchmark's that the text has; of minhash: Jaccard; "
            "of a key and of a whole text: 1",
        ),
        "overlap": ("text", "what both have"),
        "text": ("text", "the text of `traces`, or the words around what both have"),
        "benchmark_text": ("text", "the question of the benchmark"),
    },
    "calls": columns_of(rows.Call),
}
RECORDS = {
    "traces": "Every question that was asked, with its trace, chosen or not, right or wrong.",
    "train": "The rows that were chosen for training, in the order in which they were drawn.",
    "dropped": "Every question that was not chosen, with the step and the reason.",
    "contamination": (
        "Questions and traces that resemble a question of a benchmark, with both texts."
    ),
    "calls": "The raw record of every call of the teacher.",
}
# The column that names a row. A row of `dropped` that was a copy has the id of what stayed, and
# `contamination` has a row for each hit, so these two have none.
KEYS = {"traces": "id", "train": "id", "calls": "key"}
FORMATS = {
    "jsonl": "application/jsonlines",
    "gz": "application/jsonlines",
    "json": "application/json",
    "md": "text/markdown",
    "svg": "image/svg+xml",
}
TERMS = (
    "arrayShape citeAs column containedIn equivalentProperty extract field fileObject fileProperty "
    "fileSet format includes isArray isLiveDataset jsonPath key md5 parentField path recordSet "
    "references regex repeated replace samplingRate separator source subField transform"
).split()
CONTEXT = {  # the names and prefixes that the specification gives its terms (appendix 1)
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in TERMS},
}


def stem(name: str) -> str:
    """Return what the rows of a file are called: its name up to the first dot."""
    return name.split(".")[0]


def fits(kind: str, value: Any) -> bool:
    """Return whether a value of a row is of that kind."""
    if kind == "list of spans":
        return type(value) is list and all(map(_is_span, value))
    return type(value) is KINDS[kind][0] or (value is None and kind.endswith("null"))


def _is_span(value: Any) -> bool:
    return type(value) is list and [type(position) for position in value] == [int, int]


def columns(name: str, present: Collection[str]) -> Columns:
    """Return the columns of a file that are `present` in its rows, in the order of COLUMNS."""
    described = COLUMNS[stem(name)]
    return {column: described[column] for column in described if column in present}


def metadata(
    facts: Facts,
    description: str,
    licences: Sequence[str],
    cite: str,
    files: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the JSON-LD of a data set.

    `licences` are names, of SPDX where it has one. `files` is {name: {"sha256", "bytes", "what",
    "columns": those present in its rows}}; a file without rows has no columns and so no record set.
    """
    optional = {"inLanguage": facts.language, "datePublished": facts.published}
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": f"ponder-{facts.name}",
        "description": description,
        "version": facts.version,
        "isLiveDataset": False,
        "citeAs": cite,
        "license": [
            f"https://spdx.org/licenses/{name}" if name in SPDX else name for name in licences
        ],
        "creator": {"@type": "sc:Organization", "name": "The ponder developers"},
        **{key: value for key, value in optional.items() if value is not None},
        "distribution": [_file_object(name, entry) for name, entry in files.items()],
        "recordSet": [
            _record_set(name, entry["columns"]) for name, entry in files.items() if entry["columns"]
        ],
    }


def _file_object(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "description": entry["what"],
        "contentUrl": name,
        "contentSize": f"{entry['bytes']} B",
        "encodingFormat": FORMATS[name.rsplit(".", 1)[1]],
        "sha256": entry["sha256"],
    }


def _record_set(name: str, present: Collection[str]) -> dict[str, Any]:
    label = stem(name)
    record_set: dict[str, Any] = {
        "@type": "cr:RecordSet",
        "@id": label,
        "name": label,
        "description": RECORDS[label],
        "field": [
            _field(name, column, kind, meaning)
            for column, (kind, meaning) in columns(name, present).items()
        ],
    }
    if label in KEYS:
        record_set["key"] = {"@id": f"{label}/{KEYS[label]}"}
    return record_set


def _field(name: str, column: str, kind: str, meaning: str) -> dict[str, Any]:
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{stem(name)}/{column}",
        "name": column,
        "description": meaning,
        "dataType": KINDS[kind][1],
        "source": {"fileObject": {"@id": name}, "extract": {"column": column}},
    }
    if kind == "list of spans":
        field |= {"isArray": True, "arrayShape": "-1,2"}
    return field
