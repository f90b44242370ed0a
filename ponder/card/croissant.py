"""What every column of a data set means, and the Croissant 1.1 metadata that says so to programs (mlcommons.org/croissant/1.1).

Pure: counts and hashes come in, JSON-LD goes out. Column names are ours; no text of a row gets in here.
"""

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
# What a licence is called by SPDX; in lower case it is also what the Hugging Face hub calls it (its docs, repositories-licenses).
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
# Kinds of values: Python, Croissant, and `features` in a card of the hub. A span is a pair of character positions.
KINDS = {
    "text": (str, "sc:Text", {"dtype": "string"}),
    "whole number": (int, "sc:Integer", {"dtype": "int64"}),
    "number": (float, "sc:Float", {"dtype": "float64"}),
    "true or false": (bool, "sc:Boolean", {"dtype": "bool"}),
    "list of spans": (list, "sc:Integer", {"list": {"list": "int64"}}),
}
KINDS |= {f"{kind} or null": KINDS[kind] for kind in ("text", "whole number")}
TRACE = {
    "id": (
        "text",
        "name of the question: the first 16 hex digits of the SHA-256 of its text in lower case with single spaces",
    ),
    "family": ("text", "the generator or data set that the question comes from"),
    "domain": (
        "text",
        "the group that the draw goes by: the family, a column of the source, or a classifier's label",
    ),
    "question": ("text", "what the teacher was asked"),
    "answer": ("text", "the teacher's final answer"),
    "gold": ("text", "the reference answer; empty where the source has none"),
    "think": ("text", "the teacher's thinking; empty where a call gave none"),
    "wrong": (
        "list of spans",
        "[start, end) in characters of each value in `think` that a program wrote wrong on purpose",
    ),
    "tokens": (
        "whole number",
        "tokens of `think` in the tokenizer of the model to be trained, a program's doubt left out",
    ),
    "correct": (
        "true or false",
        "whether `answer` equals `gold`, as ponder/grading.py compares them",
    ),
    "teacher": ("text", "who wrote `think` and `answer`"),
    "rejected": (
        "text or null",
        "why the call gave no trace that can be used; null or empty for one that did",
    ),
}
COLUMNS = {
    "traces": TRACE,
    "train": TRACE,
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
        "by": ("text", "how it was found: 8-gram or another number of words, minhash, or key"),
        "form": ("text", "of an n-gram: words, with punctuation, or plain, without; else empty"),
        "share": (
            "number",
            "of an n-gram: part of the benchmark's that the text has; of minhash: Jaccard; of a key: 1",
        ),
        "overlap": ("text", "what both have"),
        "text": ("text", "the text of `traces`, or the words around what both have"),
        "benchmark_text": ("text", "the question of the benchmark"),
    },
    "calls": {
        "key": ("text", "name of the call: 16 hex digits of a hash of everything that was asked"),
        "purpose": ("text", "what it was made for"),
        "id": ("text", "the question of `traces`"),
        "teacher": ("text", "as in `traces`"),
        "model": ("text", "the model or the name of an API"),
        "revision": ("text or null", "of an open model, where it is known"),
        "request": ("text", "all that was sent, sampling parameters included, as JSON"),
        "response": ("text", "what came back, without ids and account fields, as JSON"),
        "status": ("text", "how the call ended"),
        "reason": ("text or null", "why it failed, or how a local model's text ended"),
        "prompt_tokens": (
            "whole number or null",
            "tokens of the prompt, as the server counts them",
        ),
        "completion_tokens": (
            "whole number or null",
            "tokens that were made, thinking included, as the server counts them",
        ),
    },
}
RECORDS = {
    "traces": "Every question that was asked, with its trace, chosen or not, right or wrong.",
    "train": "The rows that were chosen for training, in the order in which they were drawn.",
    "dropped": "Every question that was not chosen, with the step and the reason.",
    "contamination": "Questions and traces that resemble a question of a benchmark, with both texts.",
    "calls": "The raw record of every call of the teacher.",
}
FORMATS = {
    "jsonl": "application/jsonlines",
    "gz": "application/jsonlines",
    "json": "application/json",
    "md": "text/markdown",
    "svg": "image/svg+xml",
}
TERMS = (
    "arrayShape citeAs column containedIn equivalentProperty extract field fileObject fileProperty fileSet format includes "
    "isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate "
    "separator source subField transform"
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


def stem(name):
    """Return what the rows of a file are called: its name up to the first dot."""
    return name.split(".")[0]


def fits(kind, value):
    """Return whether a value of a row is of that kind."""
    if kind == "list of spans":
        return type(value) is list and all(
            type(span) is list and [type(place) for place in span] == [int, int] for span in value
        )
    return type(value) is KINDS[kind][0] or (value is None and kind.endswith("null"))


def columns(name, found):
    """Return {column: (kind, meaning)} of a file, of the columns that were found in its rows."""
    return {column: meaning for column, meaning in COLUMNS[stem(name)].items() if column in found}


def metadata(facts, description, licences, cite, files):
    """Return the JSON-LD of a data set.

    `files` is {name: {"sha256", "bytes", "what", "columns": those found in its rows}}; a file without rows has no columns
    and so no record set. `facts` is a card.Facts.
    """
    known = {"inLanguage": facts.language, "datePublished": facts.published}
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
        **{key: value for key, value in known.items() if value is not None},
        "distribution": [_file(name, entry) for name, entry in files.items()],
        "recordSet": [
            _records(name, entry["columns"]) for name, entry in files.items() if entry["columns"]
        ],
    }


def _file(name, entry):
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


def _records(name, found):
    label = stem(name)
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{label}/{column}",
            "name": column,
            "description": meaning,
            "dataType": KINDS[kind][1],
            "source": {"fileObject": {"@id": name}, "extract": {"column": column}},
            **({"isArray": True, "arrayShape": "-1,2"} if kind == "list of spans" else {}),
        }
        for column, (kind, meaning) in columns(name, found).items()
    ]
    key = {"calls": "key", "contamination": None, "dropped": None}.get(
        label, "id"
    )  # a copy has the id of what is kept
    return {
        "@type": "cr:RecordSet",
        "@id": label,
        "name": label,
        "description": RECORDS[label],
        "field": fields,
        **({"key": {"@id": f"{label}/{key}"}} if key else {}),
    }
