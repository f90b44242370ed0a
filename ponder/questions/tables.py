"""Rows of somebody else's tables as dicts: JSONL, CSV and parquet files, and data sets of a model hub.

Nothing is known about a row yet; `cell`, `text` and `question` say what it holds, or raise Unfit with the reason why not.
"""

import codecs
import csv
import json
import math
import re
from pathlib import Path

from ponder.errors import UserError
from ponder.questions import drawn

MAX_TEXT = (
    100_000  # characters of a question or an answer; the longest question of s1's 59K has 23,988
)
MAX_NAME = 200  # characters of a family or domain that a file names
MAX_LINE = 2**26  # bytes of a line of JSONL; LiveCodeBench keeps the tests of a question in its row
BATCH_ROWS = 100  # rows of a parquet file or hub data set that are Python objects at one time; some hold megabytes


class Unfit(ValueError):
    """Why a row gives no question; never a text of the row."""


def cell(row, column):
    """Return the value of a column; a dot leads into a nested one. Raises Unfit where there is no such column."""
    for name in [column] if column in row else column.split("."):
        if not isinstance(row, dict) or name not in row:
            raise Unfit(f"no column {column}")
        row = row[name]
    return row


def text(value, column, joint="\n"):
    """Return a value as text: "" for null and NaN, a list with `joint` between its items. Raises Unfit for another type."""
    if value is None or isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, list) and not any(isinstance(item, list) for item in value):
        return joint.join(text(item, column) for item in value)
    if isinstance(value, (str, int, float)):
        return str(value)
    raise Unfit(f"column {column} holds {type(value).__name__}, not text")


def question(question, answer, family, domain=""):
    """Return a Question whose texts can be written as UTF-8; raises Unfit where they cannot, or there is no question."""
    question, answer = clean(question, "question", MAX_TEXT), clean(answer, "answer", MAX_TEXT)
    if not question:
        raise Unfit("no question text")
    ident = drawn.question_id(question)
    return drawn.Question(ident, family, question, answer, ident, {}, domain)


def clean(value, what, most):
    """Return a text with plain line ends and no space around it; raises Unfit for a long one, a NUL or a lone surrogate."""
    if len(value) > most:
        raise Unfit(f"{what} of more than {most} characters")
    if re.search("[\0\ud800-\udfff]", value):
        raise Unfit(f"{what} with a NUL or half a surrogate pair")
    return value.replace("\r\n", "\n").replace("\r", "\n").strip()


def local(path):
    """Yield the rows of a .jsonl, .csv or .parquet file; raises UserError, where it can with the line, for one that is not."""
    readers = {
        ".jsonl": lambda: (row for _, row in jsonl(path)),
        ".csv": lambda: _csv(path),
        ".parquet": lambda: _parquet(path),
    }
    if Path(path).suffix not in readers:
        raise UserError(
            f"{path} must be one of: {', '.join(readers)}; convert it, e.g. with datasets.load_dataset and to_json"
        )
    return readers[Path(path).suffix]()


def jsonl(path):
    """Yield (line number, dict) of a JSONL file; raises UserError, with path and line, for a line that is no object."""
    try:
        with open(path, "rb") as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                yield (
                    number,
                    _object(
                        f"{path}, line {number}",
                        line.removeprefix(codecs.BOM_UTF8) if number == 1 else line,
                    ),
                )
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); give the path of a JSONL file"
        ) from error


def _object(where, line):
    if len(line) > MAX_LINE:
        raise UserError(
            f"{where} has more than {MAX_LINE} bytes; a row of questions is far smaller, so cut the line"
        )
    try:
        row = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{where} is not whole JSON in UTF-8 ({_short(error)}); mend or delete the line"
        ) from error
    if not isinstance(row, dict):
        raise UserError(
            f'{where} is no JSON object; write one like {{"question": "...", "answer": "..."}}'
        )
    return row


def _short(error):
    """Return the first line of an error, at most 200 characters; a Unicode error would repeat all its bytes."""
    lines = (error.reason if isinstance(error, UnicodeError) else str(error)).splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _csv(path):
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(file)
    except (OSError, UnicodeError, csv.Error) as error:
        raise UserError(
            f"{path} cannot be read as CSV in UTF-8 ({_short(error)}); give a whole file, names first"
        ) from error


def _parquet(path):
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS):
                yield from batch.to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(
            f"{path} cannot be read as parquet ({_short(error)}); give a whole file"
        ) from error


def hub(name, revision, config, split, files, columns):
    """Yield the rows of a split of a hub data set, or of JSON `files` of its repository, with only these columns.

    `revision` None is the hub's newest. Raises UserError in one sentence for whatever keeps the data from being read.
    """
    import datasets

    try:
        if files:
            at = f"hf://datasets/{name}" + (f"@{revision}" if revision else "")
            table = datasets.load_dataset(
                "json", data_files=[f"{at}/{file}" for file in files], split="train"
            )
        else:
            table = datasets.load_dataset(name, config, split=split, revision=revision)
    except Exception as error:  # a hub fails in many ways: network, names, access, formats, scripts
        raise UserError(
            f"{name} cannot be read from the hub ({_short(error)}); allow the network, or give local "
            "files as data_files in questions.sources"
        ) from error
    table = table.select_columns([column for column in table.column_names if column in columns])
    # As Arrow, so that no image is decoded.
    for batch in table.with_format("arrow").iter(BATCH_ROWS):
        yield from batch.to_pylist()
