"""The questions of a benchmark: one form for all of them, whatever the columns of its data set."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypedDict

from ponder.errors import UserError
from ponder.grading.answers import LETTERS, MAX_CHARACTERS
from ponder.grading.families import extract
from ponder.questions import tables
from ponder.questions.benchmarks import BOX, Data
from ponder.questions.drawn import question_id
from ponder.questions.hub import UNVERIFIED
from ponder.questions.tables import Row

if TYPE_CHECKING:
    from datasets import Dataset


class BenchmarkQuestion(TypedDict):
    """A question of a benchmark; its id hashes the text.

    `options` is [] unless the question is multiple choice; then they are part of the question, and
    the answer is a letter.
    """

    id: str
    question: str
    answer: str
    options: list[str]


def read(source: Data) -> list[BenchmarkQuestion]:
    """Return the questions of a Data in its order, which is that of its rows or of their ids.

    Raises UserError, with the row, for what gives no question, for two equal ones, and where their
    number is not that of the benchmark.
    """
    questions: dict[str, BenchmarkQuestion] = {}
    for number, row in enumerate(_rows(source), start=1):
        try:
            question = _question(source, row)
        except tables.Unfit as error:
            raise UserError(
                f"{source.task}, row {number}: {error}; name the columns with "
                f"++benchmark.local.{source.task}.<key>=<column>, or mend the row"
            ) from error
        if question["id"] in questions:
            raise UserError(
                f"{source.task}, row {number}: the same question as an earlier one; give each once"
            )
        questions[question["id"]] = question
    if source.rows not in (None, len(questions)):
        place = ", ".join(source.data_files) or source.hub
        raise UserError(
            f"{source.task} has {source.rows} questions, but {place} has {len(questions)}; give "
            "the right split, or say so with "
            f"++benchmark.local.{source.task}.rows={len(questions)}"
        )
    if source.order == "hash":  # the ids are hashes
        return [questions[ident] for ident in sorted(questions)]
    return list(questions.values())


def _rows(source: Data) -> Iterator[Row]:
    if source.data_files:
        for path in source.data_files:
            yield from tables.file_rows(path)
        return
    assert source.hub, "Data has either files or a hub"
    try:
        yield from tables.hub_rows(
            source.hub,
            None if source.revision == UNVERIFIED else source.revision,
            source.config,
            source.split,
            (),
            {part for name in _columns(source) for part in (name, name.split(".")[0])},
            f"a local copy with ++benchmark.local.{source.task}.data_files=[{source.task}.jsonl]",
        )
    except UserError as error:
        raise UserError(f"{source.task}: {error}") from error


def _columns(source: Data) -> list[str]:
    """Return the columns that are read."""
    columns = [source.question, source.answer, *source.wrong]
    return [*columns, source.options] if source.options else columns


def _question(source: Data, row: Row) -> BenchmarkQuestion:
    question, answer = _text(row, source.question), _answer(source, _text(row, source.answer))
    if not question or not answer:
        empty = source.answer if question else source.question
        raise tables.Unfit(f"column {empty} is empty")
    ident = question_id(question)
    if source.options:
        options = _listed_options(row, source.options)
        right = _place(answer, options, source.answer)
        return _choice(ident, question, options, right)
    if source.wrong:
        texts = [answer, *(_text(row, column) for column in source.wrong)]
        order = option_order(ident)
        return _choice(ident, question, [texts[at] for at in order], order.index(0))
    if len(answer) > MAX_CHARACTERS:
        raise tables.Unfit(
            f"an answer of {len(answer)} characters, but only {MAX_CHARACTERS} can be graded"
        )
    return {"id": ident, "question": question, "answer": answer, "options": []}


def _text(row: Row, column: str) -> str:
    return tables.clean(tables.cell_text(row, column), column, tables.MAX_TEXT)


def _choice(ident: str, question: str, options: list[str], right: int) -> BenchmarkQuestion:
    """Return a question with its options, in s1's form (gpqa_diamond_openai).

    It is the question, a blank line, a line for each option, and no instruction.
    """
    letters = LETTERS[: len(options)]
    lines = [f"{letter}) {text}" for letter, text in zip(letters, options, strict=True)]
    return {
        "id": ident,
        "question": question + "\n\n" + "\n".join(lines),
        "answer": LETTERS[right],
        "options": options,
    }


def _listed_options(row: Row, column: str) -> list[str]:
    """Return the options that a column lists, in its order; raises Unfit for another number."""
    cells = tables.cell(row, column)
    if not isinstance(cells, list):
        raise tables.Unfit(f"column {column} holds {type(cells).__name__}, not a list")
    options = [tables.clean(tables.text(cell, column), column, tables.MAX_TEXT) for cell in cells]
    if not 2 <= len(options) <= len(LETTERS) or "" in options:
        raise tables.Unfit(
            f"column {column} lists {len(options)} options, but must list 2 to {len(LETTERS)}, "
            "none of them empty"
        )
    return options


def _place(answer: str, options: list[str], column: str) -> int:
    """Return the place of the right option: `answer` is its text, its letter or its place from 0.

    Raises Unfit where it is none of them, or more than one option.
    """
    named = [at for at, text in enumerate(options) if text == answer]
    if not named and answer in LETTERS[: len(options)]:
        named = [LETTERS.index(answer)]
    if not named and answer in [str(at) for at in range(len(options))]:
        named = [int(answer)]
    if len(named) != 1:
        raise tables.Unfit(
            f"column {column} names {len(named)} of the options, but must name one: by its "
            "letter, its place from 0, or its text"
        )
    return named[0]


def _answer(source: Data, text: str) -> str:
    """Return the right answer in the text of its column."""
    if source.after is None:
        return text
    if source.after == BOX:
        answer = extract(text) if BOX in text else None
        if answer is None:
            raise tables.Unfit(f"column {source.answer} without a whole {BOX}{{...}}")
        return answer
    _, mark, answer = text.rpartition(source.after)
    if not mark:
        raise tables.Unfit(f"column {source.answer} without {source.after!r}")
    return answer.strip()


def option_order(ident: str) -> list[int]:
    """Return the order of the four options, the right one being 0, by a hash of the question's id.

    Nothing else decides it. s1 shuffled by the stream of the whole process, so its order depended
    on what ran before.
    """
    digests = [hashlib.sha256(f"{ident}/{at}".encode()).hexdigest() for at in range(len(LETTERS))]
    return sorted(range(len(LETTERS)), key=lambda at: digests[at])


def load(source: Data) -> "dict[str, Dataset]":
    """Return lm-eval's form of a Data: {"test": Dataset}.

    It is made once, so that prompts and scores come from the same rows. Raises UserError as `read`
    does.
    """
    import datasets

    return {"test": datasets.Dataset.from_list(read(source))}
