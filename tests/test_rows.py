"""The rows that flow: every released file holds them, and what is none is refused by its place."""

import copy
import gzip
import json
import pickle

import pytest
from conftest import ROOT

from ponder import rows
from ponder.errors import RecordError
from ponder.grading import verify
from ponder.rows import ABSENT, Call, Claim, SampleRow, Trace
from ponder.runs import dump

RELEASED = {
    Trace: ("data/cpu/*/traces.jsonl", "data/cpu/*/train.jsonl"),
    Call: ("data/cpu/*/calls.jsonl.gz",),
    SampleRow: ("logs/evaluate/*/samples.jsonl", "logs/evaluate/*/samples.jsonl.gz"),
    Claim: ("logs/claims.jsonl",),
}
CLAIM = {
    "id": "results/cpu/accuracy",
    "estimator": "accuracy",
    "value": 0.5,
    "printed": ["50.0%"],
    "runs": ["evaluate/cpu"],
    "families": None,
}


def released(kind):
    return sorted(path for pattern in RELEASED[kind] for path in ROOT.glob(pattern))


def lines_of(path):
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        return file.read().decode().splitlines(keepends=True)


@pytest.mark.parametrize("kind", RELEASED)
def test_every_released_row_is_read_and_written_back_as_it_is(kind):
    assert released(kind)
    for path in released(kind):
        lines = lines_of(path)
        table = rows.read(kind, path)
        assert [dump(rows.values_of(row)) for row in table] == lines, path


@pytest.mark.parametrize("kind", RELEASED)
def test_every_kind_of_row_has_fields_that_say_what_they_mean(kind):
    assert set(rows.meanings(kind)) == set(rows.types_of(kind)) >= set(rows.required(kind))
    assert all(rows.meanings(kind).values())


def test_no_field_is_required_that_a_released_row_lacks_and_none_is_left_out_for_nothing():
    names = [set(json.loads(line)) for path in released(SampleRow) for line in lines_of(path)]
    everywhere = set.intersection(*names)
    assert set(rows.required(SampleRow)) == everywhere - {"question", "gold"}, (
        "the text of a public benchmark is left out"
    )
    grade = verify.grade("Final Answer: 4", "4")
    of_benchmarks = {"answer", "how", "choice", "by", "second"}
    assert of_benchmarks == set(grade) - everywhere
    assert set(rows.meanings(SampleRow)) == set.union(*names) | of_benchmarks | {"gold_sha256"}


@pytest.mark.parametrize("reply", ["Final Answer: 4", "nothing is said", "Final Answer: B"])
@pytest.mark.parametrize("options", [(), ("4", "5", "6", "7")])
def test_the_grade_of_a_benchmark_s_reply_fits_into_its_row(reply, options):
    values = json.loads(next(released(SampleRow)[0].open()))
    grade = verify.grade(reply, "A" if options else "4", options)
    assert rows.values_of(rows.row_of(SampleRow, values | grade)) == values | grade


@pytest.mark.parametrize(
    "values, words",
    [
        ({name: value for name, value in CLAIM.items() if name != "runs"}, "here has no runs"),
        (CLAIM | {"valeu": 1}, "here has 'valeu', which no Claim has"),
        (CLAIM | {"printed": "50.0%"}, "here: printed is of type str"),
        (CLAIM | {"id": None}, "here: id is of type NoneType"),
        ([CLAIM], "here is no mapping"),
    ],
)
def test_what_is_no_row_is_refused_with_its_place(values, words):
    with pytest.raises(RecordError, match=words):
        rows.row_of(Claim, values, "here")


def test_a_whole_number_is_no_flag_and_a_flag_no_number():
    values = json.loads(next(released(SampleRow)[0].open()))
    for name, value in {"correct": 1, "num_thinking": True}.items():
        with pytest.raises(RecordError, match=name):
            rows.row_of(SampleRow, values | {name: value})


def test_a_bad_row_of_a_file_is_named_by_file_and_number(tmp_path):
    path = tmp_path / "claims.jsonl"
    path.write_text(dump(CLAIM) + dump(CLAIM | {"id": 1}))
    with pytest.raises(RecordError, match="claims.jsonl row 2: id is of type int"):
        rows.read(Claim, path)


@pytest.mark.parametrize("cut", [0, 1, 12, -1])
def test_a_packed_file_that_is_cut_or_missing_is_refused(tmp_path, cut):
    path = tmp_path / "calls.jsonl.gz"
    with pytest.raises(RecordError, match="calls.jsonl.gz"):
        rows.read(Call, path)
    path.write_bytes(released(Call)[0].read_bytes()[:cut])
    with pytest.raises(RecordError, match="calls.jsonl.gz"):
        rows.read(Call, path)


def test_a_field_that_is_absent_is_left_out_and_null_is_not():
    row = rows.row_of(Claim, CLAIM)
    assert row.decisions is ABSENT and not row.decisions
    assert rows.values_of(row) == CLAIM and rows.values_of(row)["families"] is None
    for copied in (copy.deepcopy(row), pickle.loads(pickle.dumps(row))):
        assert copied == row and copied.decisions is ABSENT
