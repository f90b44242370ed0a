"""Rows of other people's tables as dicts: JSONL, CSV and parquet files, and data sets of a hub.

Nothing is known about a row yet: `cell`, `text` and `question` say what it holds, or raise Unfit
with the reason why not.
"""

import codecs
import csv
import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from ponder.errors import UserError
from ponder.questions import drawn

Row = dict[str, Any]

# Characters of a question or an answer; the longest question of s1's 59K has 23,988.
MAX_TEXT = 100_000
# Characters of a family or domain that a file names.
MAX_NAME = 200
# Bytes of a line of JSONL; LiveCodeBench keeps the tests of a question in its row.
MAX_LINE = 2**26
# Rows of a parquet file or hub data set that are Python objects at one time; some hold megabytes.
BATCH_ROWS = 100


class Unfit(ValueError):
    """Why a row gives no question; never a text of the row."""


def cell(row: Row, column: str) -> Any:
    """Return the value of a column; a dot leads into a nested one, or to a place in a list.

    Raises Unfit where there is no such column.
    """
    value: Any = row
    for name in [column] if column in row else column.split("."):
        if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
            continue
        if not isinstance(value, dict) or name not in value:
            raise Unfit(f"no column {column}")
        value = value[name]
    return value


def text(value: Any, column: str, joint: str = "\n") -> str:
    """Return a value as text: "" for null and NaN, a list with `joint` between its items.

    Raises Unfit for a value of another type.
    """
    if value is None or isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, list) and not any(isinstance(item, list) for item in value):
        return joint.join(text(item, column) for item in value)
    if isinstance(value, (str, int, float)):
        return str(value)
    raise Unfit(f"column {column} holds {type(value).__name__}, not text")


def cell_text(row: Row, column: str, joint: str = "\n") -> str:
    """Return the text of a column, as `cell` and `text` do; raises Unfit as they do."""
    return text(cell(row, column), column, joint)


def question(question: str, answer: str, family: str, domain: str = "") -> drawn.Question:
    """Return a Question whose texts can be written as UTF-8.

    Raises Unfit where they cannot, or there is no question.
    """
    question, answer = clean(question, "question", MAX_TEXT), clean(answer, "answer", MAX_TEXT)
    if not question:
        raise Unfit("no question text")
    ident = drawn.question_id(question)
    return drawn.Question(ident, family, question, answer, ident, {}, domain)


def clean(value: str, what: str, most: int) -> str:
    """Return a text with plain line ends and no space around it.

    Raises Unfit for one of more than `most` characters, with a NUL or with a lone surrogate.
    """
    if len(value) > most:
        raise Unfit(f"{what} of more than {most} characters")
    if re.search("[\0\ud800-\udfff]", value):
        raise Unfit(f"{what} with a NUL or half a surrogate pair")
    return value.replace("\r\n", "\n").replace("\r", "\n").strip()


def behind(text: str, mark: str, column: str) -> str:
    """Return what stands behind the last `mark` of a text; raises Unfit where there is none."""
    _, found, rest = text.rpartition(mark)
    if not found or not rest.strip():
        raise Unfit(f"column {column} without {mark!r} and a text behind it")
    return rest.strip()


def file_rows(path: Path | str) -> Iterator[Row]:
    """Yield the rows of a .jsonl, .csv or .parquet file.

    Raises UserError, where it can with the line, for a file that is none of them.
    """
    readers: dict[str, Callable[[Path | str], Iterator[Row]]] = {
        ".jsonl": _jsonl_rows,
        ".csv": _csv_rows,
        ".parquet": _parquet_rows,
    }
    if Path(path).suffix not in readers:
        raise UserError(
            f"{path} must be one of: {', '.join(readers)}; convert it, e.g. with "
            "datasets.load_dataset and to_json"
        )
    return readers[Path(path).suffix](path)


def jsonl(path: Path | str) -> Iterator[tuple[int, Row]]:
    """Yield (line number, row) of a JSONL file.

    Raises UserError, with path and line, for a line that is no object.
    """
    try:
        with open(path, "rb") as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                yield number, _object(f"{path}, line {number}", line)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); give the path of a JSONL file"
        ) from error


def _object(where: str, line: bytes) -> Row:
    if len(line) > MAX_LINE:
        raise UserError(
            f"{where} has more than {MAX_LINE} bytes; a row of questions is far smaller, so cut "
            "the line"
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


def _short(error: Exception) -> str:
    """Return the first line of an error, at most 200 characters.

    Of a Unicode error it is the reason alone: its text would repeat all the bytes.
    """
    if isinstance(error, (UnicodeDecodeError, UnicodeEncodeError)):
        lines = error.reason.splitlines()
    else:
        lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _jsonl_rows(path: Path | str) -> Iterator[Row]:
    return (row for _, row in jsonl(path))


def _csv_rows(path: Path | str) -> Iterator[Row]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            names = table.fieldnames or []
            if len(names) == 1 and re.search("[;\t]", names[0]):
                raise UserError(
                    f"{path} has one column, {names[0]!r:.80}; separate its columns by commas, not "
                    "by semicolons or tabs"
                )
            yield from table
    except (OSError, UnicodeError, csv.Error) as error:
        raise UserError(
            f"{path} cannot be read as CSV in UTF-8 ({_short(error)}); give a whole file, names "
            "first"
        ) from error


def _parquet_rows(path: Path | str) -> Iterator[Row]:
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


def hub_rows(
    name: str,
    revision: str | None,
    config: str | None,
    split: str | None,
    files: Sequence[str],
    columns: Collection[str],
    substitute: str,
) -> Iterator[Row]:
    """Yield the rows of a split of a hub data set, or of JSON `files` of its repository.

    They have only the `columns`. `revision` None is the hub's newest. Raises UserError in one
    sentence, which offers the `substitute`, for whatever keeps the data from being read.
    """
    import datasets

    try:
        if files:
            repository = f"hf://datasets/{name}" + (f"@{revision}" if revision else "")
            table = datasets.load_dataset(
                "json", data_files=[f"{repository}/{file}" for file in files], split="train"
            )
        else:
            table = datasets.load_dataset(name, config, split=split, revision=revision)
    except Exception as error:  # a hub fails in many ways: network, names, access, formats, scripts
        raise UserError(
            f"{name} cannot be read from the hub ({_short(error)}); allow the network, or give "
            f"{substitute}"
        ) from error
    table = table.select_columns([column for column in table.column_names if column in columns])
    # As Arrow, so that no image is decoded.
    for batch in table.with_format("arrow").iter(BATCH_ROWS):
        yield from batch.to_pylist()
