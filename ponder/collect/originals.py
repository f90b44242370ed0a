"""Which questions of a benchmark are the originals of templates that questions are drawn from.

    python -m ponder.collect.originals gsm8k-test.jsonl data/qwen/gsm8k-originals.jsonl

The templates of reasoning-gym's gsm_symbolic were made from questions of GSM8K's test split. What
was published of them names no question, so each template's own words are looked for in order, with
anything in the place of its variables. What is written holds ids and hashes, no text.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ponder.collect.wording import tokens
from ponder.errors import UserError, user_errors
from ponder.questions import gym, tables
from ponder.questions.drawn import question_id

LEAST = 0.6  # of a template's words; of the library's 100 the lowest is 0.65, the best rival 0.79
ROWS = 1319  # questions of GSM8K's test split
VARIABLE = "\0"


class Template(NamedTuple):
    """A numbered template: the words that stand in all of its questions, in their order."""

    number: int
    words: list[str]


def templates(source: str) -> list[Template]:
    """Return the templates of a module of the library, from its text, which is not run.

    Each is a function generate_<number> that sets `question` to one f-string. A word of which a
    variable is a part, such as the plural of one, belongs to the variable.
    """
    found = []
    for function in ast.parse(source).body:
        if isinstance(function, ast.FunctionDef) and function.name.startswith("generate_"):
            number = int(function.name.removeprefix("generate_"))
            texts = [_text(node) for node in ast.walk(function) if _sets_question(node)]
            literal = re.sub(rf"\S*{VARIABLE}\S*", " ", " ".join(texts))
            found.append(Template(number, _words(literal)))
    return sorted(found)


def _sets_question(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "question" for target in node.targets
    )


def _text(node: ast.AST) -> str:
    """Return what an assignment sets, with VARIABLE for everything that is no literal."""
    value = node.value if isinstance(node, ast.Assign) else None
    parts = value.values if isinstance(value, ast.JoinedStr) else [value]
    return "".join(
        part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else VARIABLE
        for part in parts
    )


def _words(text: str) -> list[str]:
    return [token for token in tokens(text) if token.isalnum()]


def in_order(words: Sequence[str], text: Sequence[str]) -> int:
    """Return how many of `words` stand in `text` in the same order, whatever is between them."""
    places = defaultdict(list)
    for place, word in enumerate(text):
        places[word].append(place)
    ends: list[int] = []  # ends[n]: the earliest place where n + 1 words in order can end
    for word in words:
        for place in reversed(places[word]):
            at = bisect_left(ends, place)
            ends[at : at + 1] = [place]
    return len(ends)


def originals(wanted: Sequence[Template], questions: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row for each template that has an original among some questions, by number.

    It is the question that holds the most of the template's words in order, the first of several,
    if these are LEAST of them. A row is {template, position: of the question, from 0, id: its
    question_id, sha256: of its text, share: of the words, next: the share of the best other
    question}.
    """
    texts = [_words(question) for question in questions]
    counts = [Counter(text) for text in texts]
    rows = []
    for template in wanted:
        (best, position), (rival, _) = _two_best(template.words, texts, counts)
        share = best / len(template.words)
        if share >= LEAST:
            question = questions[position]
            row = {"template": template.number, "position": position, "id": question_id(question)}
            row |= {"sha256": hashlib.sha256(question.encode()).hexdigest()}
            row |= {"share": round(share, 4), "next": round(rival / len(template.words), 4)}
            rows.append(row)
    return rows


def _two_best(
    words: list[str], texts: list[list[str]], counts: list[Counter[str]]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (words in order, place) of the best text and of the next, 0 and -1 where none is."""
    wanted = Counter(words)
    # No more words stand in order than stand there at all, so texts come by that bound.
    bounds = sorted((-(wanted & count).total(), place) for place, count in enumerate(counts))
    best, rival = (0, -1), (0, -1)
    for bound, place in bounds:
        if -bound < rival[0]:
            break
        number = in_order(words, texts[place])
        first, second = sorted([(number, -place), (best[0], -best[1]), (rival[0], -rival[1])])[
            :0:-1
        ]
        best, rival = (first[0], -first[1]), (second[0], -second[1])
    return best, rival


def ids(path: Path | str) -> frozenset[str]:
    """Return the ids of the questions that a file of `originals` names, as evaluations use them."""
    return frozenset(row["id"] for _, row in tables.jsonl(str(path)))


def write(benchmark: str, out: str, column: str = "question") -> list[dict[str, Any]]:
    """Write the originals of gsm_symbolic among the questions of a JSONL, and return their rows.

    Raises UserError for a file that is not GSM8K's test split, and without reasoning-gym.
    """
    questions = []
    for number, row in tables.jsonl(benchmark):
        text = row.get(column) if isinstance(row, dict) else None
        if not isinstance(text, str):
            raise UserError(
                f"{benchmark}, line {number} has no text in the column {column!r}; name the column "
                "of the questions as the third argument"
            )
        questions.append(text)
    if len(questions) != ROWS:
        raise UserError(
            f"{benchmark} holds {len(questions)} questions, but GSM8K's test split has {ROWS}; "
            "give that split alone, in its order"
        )
    wanted = [found for source in gym.template_sources() for found in templates(source)]
    rows = originals(wanted, questions)
    lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)
    Path(out).write_text(lines, encoding="ascii")
    return rows


@user_errors
def main(benchmark: str = "", out: str = "", column: str = "question") -> None:
    """Write the file of originals."""
    if not out:
        raise UserError(
            "name the JSONL of GSM8K's test split and the file to write, as in python -m "
            "ponder.collect.originals gsm8k-test.jsonl data/qwen/gsm8k-originals.jsonl"
        )
    rows = write(benchmark, out, column)
    print(f"{len(rows)} templates have their original among {ROWS} questions; wrote {out}")


if __name__ == "__main__":
    main(*sys.argv[1:])
