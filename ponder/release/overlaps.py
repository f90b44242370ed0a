r"""Write which questions of a drawn pool resemble benchmarks, without a text of a benchmark:

    python -m ponder.release.overlaps data/qwen/overlaps.jsonl experiment=qwen \
        decontamination.benchmarks.gsm8k.path=test.jsonl (and the others that it names)

The overrides are those of collect.py. Where these benchmarks are not at hand,
decontamination=qwen-released rejects the same questions by their keys.
"""

import dataclasses
import hashlib
import sys
from pathlib import Path
from typing import Any

from ponder import study
from ponder.collect import contamination
from ponder.errors import UserError, user_errors
from ponder.questions import drawn
from ponder.questions.drawn import question_id
from ponder.runs import dump
from ponder.study import Study
from ponder.terminal import cli
from ponder.terminal.overrides import composed


def found(plan: Study) -> list[dict[str, Any]]:
    """Return a row for each question of the pool that resembles a benchmark without keys, by id.

    It tells the strongest hit: {id, family, question, key: of the pool's question, benchmark,
    benchmark_id: the question_id of the other, sha256: of its text, by, form, share: as of
    contamination.hits}. All of the pool is looked at. Raises UserError for a pool that is not
    drawn, and as contamination.read_benchmarks does.
    """
    if plan.questions.kind != "drawn":
        raise UserError(
            f"questions={plan.questions.name} is not drawn, and what has no key cannot be named by "
            "it; choose a drawn pool, such as questions=qwen"
        )
    rule = plan.decontamination
    public = {name: node for name, node in rule.benchmarks.items() if not rule.source(name).key}
    rule = dataclasses.replace(rule, benchmarks=public)
    pool = {question.id: question for question in drawn.read_split(plan.questions.dir, "pool")}
    hits = contamination.hits([*pool.values()], [], contamination.read_benchmarks(rule), rule)
    return [_row(pool[ident], hit) for ident, hit in sorted(contamination.strongest(hits).items())]


def _row(question: drawn.Question, hit: dict[str, Any]) -> dict[str, Any]:
    text = hit["benchmark_text"]
    row = {name: getattr(question, name) for name in ("id", "family", "question", "key")}
    row |= {"benchmark_id": question_id(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    return row | {name: hit[name] for name in ("benchmark", "by", "form", "share")}


@user_errors
def main(path: str | None = None, *overrides: str) -> None:
    """Compose the config of collect.py from the overrides and write the file."""
    if path is None or "=" in path:
        raise UserError(
            f"the file to write is {path!r}; name it first, then the overrides of collect.py"
        )
    rows: list[dict[str, Any]] = []
    cli.with_values(lambda cfg: rows.extend(found(study.read(cfg))), composed("collect", overrides))
    Path(path).write_text("".join(dump(row) for row in rows), encoding="utf-8")
    print(f"wrote {path}: {len(rows)} questions")


if __name__ == "__main__":
    main(*sys.argv[1:])
