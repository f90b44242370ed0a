"""Drawing the questions of an experiment: distinct by key, split by a seeded shuffle.

What is drawn depends on the seed and the parameters alone. Two questions with one canonical key are
one question, so splits are disjoint by key; a family that has fewer than 20 times as many keys as
rows is refused, because a model could then learn its questions by heart.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ponder.errors import UserError
from ponder.grading.families import is_correct
from ponder.questions import gym
from ponder.questions.drawn import (
    FIELDS,
    KEYS_PER_ROW,
    SCHEMA,
    TRAINED_SPLITS,
    TRANSFER_SPLITS,
    Question,
    Questions,
    question_id,
    read_manifest,
    read_split,
)
from ponder.questions.families import FAMILIES
from ponder.questions.family import LIBRARY, Candidate, faults_told

CANDIDATES_PER_ROW = 200
RELEASED = "data/cpu/questions"  # drawn with conf/questions/cpu.yaml

Item = TypeVar("Item")
Splits = dict[str, list[Question]]  # {split: its questions of one family}


def draw_family(
    family: str, params: dict[str, int], rows: int, seed: int, taken: Sequence[Question] = ()
) -> tuple[list[Question], int, int]:
    """Return (questions, candidates, distinct keys): the first `rows` distinct ones of a family.

    None of them has the key or the text of a question in `taken`. Candidates are drawn until 20
    times as many keys as rows, those of `taken` included, were seen. Raises UserError if 200 times
    as many candidates do not show them, where a question and its steps do not fit together, and for
    a fault in the module of the family.
    """
    keys = {question.key for question in taken}
    ids = {question.id for question in taken}
    questions: list[Question] = []
    max_candidates = CANDIDATES_PER_ROW * (rows + len(taken))
    min_keys = KEYS_PER_ROW * (rows + len(taken))
    number = 0
    with faults_told(family):
        candidates = FAMILIES[family].candidates(params, seed)
        for number, candidate in enumerate(itertools.islice(candidates, max_candidates), start=1):
            if candidate is None:
                continue
            text, answer, facts = candidate.question, candidate.answer, candidate.facts
            key, ident = FAMILIES[family].key(facts), question_id(text)
            if key not in keys and ident not in ids and len(questions) < rows:
                _check_solved(family, candidate)
                questions.append(Question(ident, family, text, answer, key, facts))
            keys.add(key)
            ids.add(ident)
            if len(keys) >= min_keys and len(questions) == rows:
                return questions, number, len(keys)
    if number < max_candidates:
        raise UserError(
            f"ponder/questions/families/{family}.py: candidates ended after {number} candidates; "
            "it must yield without end, with `while True`"
        )
    raise UserError(
        f"family {family!r} showed {len(keys)} distinct questions in {max_candidates} candidates, "
        f"but {rows} rows need {min_keys}: widen questions.families.{family}.params or lower "
        "questions.counts"
    )


def _check_solved(family: str, candidate: Candidate) -> None:
    """Raise UserError unless the answer of a question can be graded, and its steps lead there.

    They are led from the facts as a file gives them back; a family without steps has none to check.
    """
    where = f"ponder/questions/families/{family}.py: the question {candidate.question!r}"
    try:
        facts = json.loads(json.dumps(candidate.facts))
    except TypeError as error:
        raise UserError(
            f"{where} has facts that JSON cannot hold ({error}); make them of text, numbers, "
            "booleans, lists and dicts"
        ) from error
    if FAMILIES[family].key(facts) != FAMILIES[family].key(candidate.facts):
        raise UserError(
            f"{where} has another key once its facts are read from a file, where a tuple is a list "
            "and every name of a dict is text; make facts that are that already"
        )
    answer, lead = candidate.answer, FAMILIES[family].steps
    if lead is not None:
        answer = FAMILIES[family].answer(lead(facts))
    if answer != candidate.answer:
        raise UserError(
            f"{where} has the answer {candidate.answer!r}, but its steps lead to {answer!r}; mend "
            "the one that is wrong"
        )
    if not is_correct(f"Final Answer: {answer}", answer):
        raise UserError(
            f"{where} has the answer {answer!r}, which no reply could give; make answers of one "
            "line: a word, a number, or several with commas between them"
        )


def split_rows(
    questions: Iterable[Item], sizes: Mapping[str, int], family: str, seed: int
) -> dict[str, list[Item]]:
    """Return {split: questions} by a seeded shuffle; `sizes` {split: rows} must add up to all."""
    shuffled = list(questions)
    random.Random(f"split/{family}/{seed}").shuffle(shuffled)
    cuts = itertools.accumulate(sizes.values(), initial=0)
    return {
        split: shuffled[start:end]
        for split, (start, end) in zip(sizes, itertools.pairwise(cuts), strict=True)
    }


def drawn_files(
    spec: Questions, released: str | None = None
) -> tuple[dict[str, list[Question]], dict[str, dict[str, Any]]]:
    """Return ({relative path: questions}, {family: manifest entry}) for a questions configuration.

    Families come in the order of the configuration. Without reasoning-gym, what it would draw is
    taken from the folder `released`, where that was drawn with the same seed, counts and
    parameters. Raises UserError as draw_family does, and where spec.without cannot be read.
    """
    files: dict[str, list[Question]] = {"pool.jsonl": [], "probe.jsonl": []}
    families = {}
    earlier = []
    if spec.without is not None:
        for split in TRAINED_SPLITS:
            earlier += read_split(spec.without, split)
    for family in spec.families:
        family_spec = spec.spec(family)
        if released and family_spec.origin == LIBRARY and not gym.is_installed():
            splits, families[family] = _released(spec, family, released)
        else:
            taken = [question for question in earlier if question.family == family]
            splits, families[family] = _drawn(spec, family, taken)
        for split, rows in splits.items():
            name = f"{split}/{family}.jsonl" if split in TRANSFER_SPLITS else f"{split}.jsonl"
            files.setdefault(name, []).extend(rows)
    for name in ("pool.jsonl", "probe.jsonl"):
        random.Random(f"order/{name}/{spec.seed}").shuffle(files[name])
    return {name: rows for name, rows in files.items() if rows}, families


def _drawn(
    spec: Questions, family: str, taken: Sequence[Question]
) -> tuple[Splits, dict[str, Any]]:
    """Return (questions of each split, manifest entry) of a family, drawn now."""
    family_spec = spec.spec(family)
    splits = TRAINED_SPLITS if family_spec.trained else TRANSFER_SPLITS
    sizes = {split: getattr(spec.counts, split) for split in splits}
    questions, candidates, distinct_keys = draw_family(
        family, family_spec.params, sum(sizes.values()), spec.seed, taken
    )
    library, origin = family_spec.origin == LIBRARY, family_spec.origin
    entry = {
        "source": f"{origin}=={gym.library_version()} {family}" if library else origin,
        "licence": FAMILIES[family].licence,
        "params": family_spec.params,
        "trained": family_spec.trained,
        "candidates": candidates,
        "distinct_keys": distinct_keys,
    }
    return split_rows(questions, sizes, family, spec.seed), entry


def _released(spec: Questions, family: str, directory: str) -> tuple[Splits, dict[str, Any]]:
    """Return what _drawn would, from a folder that was drawn with the same values.

    Raises UserError where it was not.
    """
    manifest = read_manifest(directory)
    entry = manifest["families"].get(family, {})
    drawn_with = {name: manifest.get(name) for name in ("seed", "counts", "without")}
    drawn_with |= {name: entry.get(name) for name in ("trained", "params")}
    family_spec = spec.spec(family)
    wanted = {
        "seed": spec.seed,
        "counts": dataclasses.asdict(spec.counts),
        "without": spec.without,
        "trained": family_spec.trained,
        "params": family_spec.params,
    }
    if other := [name for name in wanted if wanted[name] != drawn_with[name]]:
        raise UserError(
            f"{family} is a family of reasoning-gym, which is not installed, and {directory} was "
            f"drawn with another value of {', '.join(other)}; run `pip install -e .[gen]`, leave "
            f"the family out with '~questions.families.{family}', or keep the values of "
            "conf/questions/cpu.yaml"
        )
    splits = TRAINED_SPLITS if family_spec.trained else TRANSFER_SPLITS
    rows = {}
    for split in splits:
        questions = read_split(directory, split)
        if split not in TRANSFER_SPLITS:
            questions = _unshuffled(questions, f"order/{split}.jsonl/{spec.seed}")
        rows[split] = [question for question in questions if question.family == family]
    return rows, entry


def _unshuffled(shuffled: Sequence[Item], purpose: str) -> list[Item]:
    """Return the items in the order they had before the shuffle of that purpose."""
    places = list(range(len(shuffled)))
    random.Random(purpose).shuffle(places)
    return [
        item for _, item in sorted(zip(places, shuffled, strict=True), key=lambda pair: pair[0])
    ]


def _dump(value: object, indent: int | None = None) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=indent) + "\n"


def _line(question: Question) -> str:
    """Return the line of a drawn file that holds a question."""
    return _dump({name: getattr(question, name) for name in FIELDS})


def draw(spec: Questions, directory: Path | str, released: str | None = None) -> dict[str, Any]:
    """Draw the questions of a Questions configuration into `directory` and return the manifest.

    The manifest is written last, so an interrupted draw is not readable. Raises UserError as
    drawn_files does, and where a library family is configured, reasoning-gym is absent and
    `released` does not have the same questions.
    """
    files, families = drawn_files(spec, released)
    entries = {}
    directory = Path(directory)
    (directory / "manifest.json").unlink(missing_ok=True)
    for name, questions in files.items():
        data = "".join(_line(question) for question in questions).encode()
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
        entries[name] = {
            "sha256": hashlib.sha256(data).hexdigest(),
            "rows": len(questions),
            "bytes": len(data),
        }
    manifest = {
        "schema": SCHEMA,
        "seed": spec.seed,
        "counts": dataclasses.asdict(spec.counts),
        "families": families,
        "files": entries,
    }
    if spec.without:
        manifest["without"] = spec.without
    (directory / "manifest.json").write_bytes(_dump(manifest, indent=1).encode())
    return manifest


def draw_outside_data(spec: Questions) -> dict[str, Any]:
    """Draw the questions into spec.dir and return the manifest.

    Raises UserError for a folder under data/, whose files are released, and as draw does.
    """
    if Path(spec.dir).resolve().is_relative_to((Path.cwd() / "data").resolve()):
        raise UserError(
            f"questions.dir={spec.dir} is released data; draw elsewhere, e.g. "
            "questions.dir=outputs/questions"
        )
    return draw(spec, spec.dir, RELEASED)
