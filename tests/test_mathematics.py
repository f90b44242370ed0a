"""The families of mathematics that a language model answers, and the pool drawn from them."""

import dataclasses
import itertools
import json
import math
import random
import re
import string
from fractions import Fraction

import pytest
from conftest import ROOT, study_of
from omegaconf import OmegaConf

from ponder.audit import answers
from ponder.collect import teachers, traces
from ponder.config import build
from ponder.errors import UserError
from ponder.grading import kinds
from ponder.questions import drawing, expressions, gym, marking, shots, solver, stories
from ponder.questions.drawn import Question, Questions, question_id, read_manifest, read_split
from ponder.questions.families import FAMILIES, family
from ponder.questions.family import LIBRARY, PEOPLE

COMMITTED = ROOT / "data/qwen/questions"
SPLITS = ("pool", "probe", "dev", "test")
MOST_BYTES = 5_000_000  # of a released file
PEOPLE_WORDS = {"name", "other", "third", "he", "He", "his", "him"}
GAPS = string.Formatter()


def config():
    return OmegaConf.to_container(OmegaConf.load(ROOT / "conf/questions/qwen.yaml"))


NAMES = tuple(config()["families"])
OWN = [name for name in NAMES if FAMILIES[name].origin != LIBRARY]
TAKEN = [name for name in NAMES if FAMILIES[name].origin == LIBRARY]


def forms(name):
    module = __import__(f"ponder.questions.families.{name}", fromlist=["FORMS"])
    return {form.name: form for form in module.FORMS}


def spec(names, **changed):
    node = config()
    node["families"] = {name: node["families"][name] for name in names}
    node["left_out"] = []
    return build(Questions, node | changed)


@pytest.fixture(scope="module")
def rows():
    return {split: read_split(COMMITTED, split) for split in SPLITS}


@pytest.fixture(scope="module")
def every(rows):
    return [row for split in SPLITS for row in rows[split]]


# --- the committed files ---------------------------------------------------------------


def test_the_pool_is_large_and_half_of_it_are_word_problems(rows):
    counts = config()["counts"]
    for split in SPLITS:
        for name in NAMES:
            assert sum(row.family == name for row in rows[split]) == counts[split]
    told = [row for row in rows["pool"] if row.family in (*OWN, "gsm_symbolic")]
    assert len(rows["pool"]) >= 6_000 and len(told) >= len(rows["pool"]) / 2
    assert max(entry["bytes"] for entry in read_manifest(COMMITTED)["files"].values()) < MOST_BYTES


def test_splits_are_disjoint_by_key_and_by_text(every):
    assert len({row.id for row in every}) == len({row.key for row in every}) == len(every)


def test_ids_and_keys_follow_from_the_rows(every):
    for row in every:
        assert row.id == question_id(row.question)
        assert row.key == FAMILIES[row.family].key(row.facts) != row.id


def test_prompts_carry_no_format_instructions(every):
    told = re.compile(r"final answer\.|Give only|Return only|Do not|significant|\.0\b(?!\d)")
    found = [row.question for row in every if told.search(row.question)]
    assert [text for text in found if not re.search(r"\d\.0\b", text)] == []


def test_no_answer_can_be_guessed(every):
    for name in NAMES:
        answers = [row.answer for row in every if row.family == name]
        assert max(map(answers.count, set(answers))) <= 0.2 * len(answers), name


# --- answers, worked out another way -----------------------------------------------------


def number_of(text):
    return Fraction(text.replace(" ", ""))


CHECKS = {
    "gcd": lambda facts: math.gcd(*facts["numbers"]),
    "lcm": lambda facts: math.lcm(*facts["numbers"]),
    "simple_geometry": lambda facts: 180 * (len(facts["angles"]) - 1) - sum(facts["angles"]),
    "products": lambda facts: math.prod(map(int, facts["expression"].split(" * "))),
    "long_sum": lambda facts: summed(facts["expression"]),
    "decimal_chain_sum": lambda facts: summed(facts["expression"]),
}


def summed(expression):
    return sum(number_of(term) for term in expression.replace("- ", "+ -").split("+ "))


@pytest.mark.parametrize("name", CHECKS)
def test_arithmetic_is_right(name, every):
    for row in every:
        if row.family == name:
            assert CHECKS[name](row.facts) == Fraction(row.answer), row.question


def test_a_solution_solves_its_equation(every):
    for row in every:
        if row.family == "simple_equations":
            left, right = row.facts["equation"].split(" = ")
            put_in = left.replace(row.facts["variable"], f"({row.answer})")
            assert expressions.value(put_in) == Fraction(right)


def test_expressions_have_the_answer_that_exact_arithmetic_gives(every):
    for row in every:
        if row.family in ("basic_arithmetic", "decimal_arithmetic"):
            assert expressions.value(row.facts["expression"]) == Fraction(row.answer)


def test_the_answer_of_a_word_problem_follows_from_its_numbers(every):
    for row in every:
        if row.family in OWN:
            form = forms(row.family)[row.facts["form"]]
            assert stories.answer_text(form, row.facts["numbers"]) == row.answer


@pytest.mark.parametrize(
    ("name", "form", "numbers", "answer"),
    [
        ("shopping", "change", {"count": 3, "price": 925, "paid": 30}, "2.25"),
        ("shopping", "packs", {"size": 11, "single": 5, "needed": 33, "price": 49}, "18"),
        ("travel", "catching", {"slow": 14, "fast": 16, "ahead": 2}, "14"),
        ("travel", "fuel", {"distance": 600, "use": 7, "price": 2, "toll": 18}, "186"),
        ("percentages", "tip", {"bill": 40, "tax": 6, "tip": 15}, "48.4"),
        ("percentages", "before", {"percent": 35, "paid": 364, "more": 15}, "575"),
        ("ages", "ago", {"times": 3, "young": 11, "years": 7, "later": 20}, "39"),
        ("sharing", "boxes", {"bags": 11, "each": 21, "broken": 6, "size": 5}, "45"),
        (
            "production",
            "factory",
            {"rate": 57, "hours": 5, "days": 3, "faulty": 8, "size": 10},
            "83",
        ),
        ("durations", "morning", {"begin": 520, "start": 463, "dress": 14, "eat": 8, "walk": 17},
         "18"),
        ("ratios", "workers", {"painters": 9, "days": 16, "alone": 4, "more": 3}, "9"),
        ("savings", "matched", {"weekly": 40, "goal": 184}, "4"),
        ("comparisons", "backwards", {"given": 20, "now": 44, "found": 12}, "36"),
    ],
)  # fmt: skip
def test_answers_that_were_worked_out_by_hand(name, form, numbers, answer):
    assert stories.answer_text(forms(name)[form], numbers) == answer


# --- word problems -----------------------------------------------------------------------


@pytest.mark.parametrize("name", OWN)
def test_every_wording_tells_all_numbers_and_nothing_that_is_not_there(name):
    rng = random.Random(0)
    for form in forms(name).values():
        numbers = set(form.draw(rng, 20))
        for wording in form.wordings:
            gaps = {gap for _, gap, _, _ in GAPS.parse(wording) if gap}
            assert numbers <= gaps <= numbers | set(form.words) | PEOPLE_WORDS, form.name
        assert len(form.wordings) >= 2, form.name


@pytest.mark.parametrize("name", OWN)
def test_a_family_has_forms_of_several_steps_and_no_two_alike(name):
    found = forms(name)
    assert len(found) >= 5 and len({form.steps for form in found.values()}) >= 2
    assert all(2 <= form.steps <= 6 for form in found.values())


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("most", [10, 20, 60])
def test_answers_are_exact_at_every_size(name, most):
    params = {"min_steps": 2, "max_steps": 6, "max_number": most}
    for candidate in itertools.islice(FAMILIES[name].candidates(params, 1), 2_000):
        assert re.fullmatch(r"\d{1,9}(\.\d{1,2})?", candidate.answer), candidate


def test_steps_choose_the_forms():
    params = {"min_steps": 2, "max_steps": 2, "max_number": 20}
    seen = {c.facts["form"] for c in itertools.islice(FAMILIES["ages"].candidates(params, 0), 200)}
    assert seen == {name for name, form in forms("ages").items() if form.steps == 2}
    with pytest.raises(UserError, match=r"no question of 9 to 9 steps, but of 2, 3, 4; widen"):
        next(FAMILIES["ages"].candidates({**params, "min_steps": 9, "max_steps": 9}, 0))


def test_people_and_things_make_no_other_question():
    params = {"min_steps": 2, "max_steps": 2, "max_number": 3}
    candidates = list(itertools.islice(FAMILIES["comparisons"].candidates(params, 0), 300))
    assert len({c.question for c in candidates}) > len(
        {FAMILIES["comparisons"].key(c.facts) for c in candidates}
    )


def test_money_and_the_time_of_day_are_written_as_people_do():
    def told(text, **numbers):
        form = stories.Form("f", 2, lambda rng, most: numbers, lambda **given: 1, (text,))
        made = stories.family("f", [form])
        return next(made.candidates({"min_steps": 2, "max_steps": 2, "max_number": 9}, 0)).question

    assert told("{a:money} {b:money} {c:money}", a=300, b=325, c=5) == "$3 $3.25 $0.05"
    times = {"a": 0, "b": 12 * 60, "c": 13 * 60 + 5, "d": 24 * 60 + 61}
    assert told("{a:clock} {b:clock} {c:clock} {d:clock}", **times) == (
        "12:00 am 12:00 pm 1:05 pm 1:01 am"
    )
    name = told("{name} and {his}").split(" and ")
    assert {"She": "her", "He": "his"}[dict(PEOPLE)[name[0]]] == name[1]


@pytest.mark.parametrize("answer", [-1, Fraction(1, 3)])
def test_a_form_with_an_answer_that_nobody_could_write_is_an_error(answer):
    form = stories.Form("f", 2, lambda rng, most: {"a": 1}, lambda a: answer, ("{a}",))
    with pytest.raises(ValueError, match="the form f has the answer"):
        stories.answer_text(form, {"a": 1})


# --- drawing -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_family_alone_is_drawn_as_it_was_with_the_others(name, tmp_path, rows):
    """So that one can be taken out of the configuration, and the others stay what they are."""
    if name in TAKEN:
        pytest.importorskip(
            "reasoning_gym", reason="drawing library families needs `pip install -e .[gen]`"
        )
    fresh, committed = drawing.draw(spec([name]), tmp_path), read_manifest(COMMITTED)
    assert fresh["families"][name] == committed["families"][name]
    for split in ("dev", "test"):
        file = f"{split}/{name}.jsonl"
        assert fresh["files"][file] == committed["files"][file]
    for split in ("pool", "probe"):
        ours = {row.id for row in rows[split] if row.family == name}
        assert {row.id for row in read_split(tmp_path, split)} == ours


def test_the_benchmark_asks_the_families_that_are_drawn():
    benchmark = OmegaConf.load(ROOT / "conf/benchmark/qwen.yaml")
    assert tuple(benchmark.tasks) == NAMES and benchmark.dir == config()["dir"]


# --- no program thinks for these families --------------------------------------------------


def test_the_solver_says_that_it_has_no_steps(rows):
    asked = rows["dev"][0]
    with pytest.raises(UserError, match=rf"no program solves the family '{asked.family}'"):
        solver.write(asked, "none", 0.0, random.Random(0))
    with pytest.raises(UserError, match="no program solves .* choose another teacher, or leave"):
        shots.worked_examples(COMMITTED, ["ages"], 2, ("probe",))


def test_a_family_without_steps_is_drawn_and_its_answer_looked_at(monkeypatch):
    monkeypatch.setitem(
        FAMILIES,
        "ages",
        stories.family(
            "ages", [stories.Form("f", 2, lambda rng, m: {"a": 1}, lambda a: 7, ("{a}, {b}",))]
        ),
    )
    assert FAMILIES["ages"].steps is None
    assert family("ages").steps is None


# --- exact arithmetic ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("-( -66 * 57 ) - 79 / 79", 3761),
        ("(7.82+3.4)", Fraction("11.22")),
        ("0.1 + 0.2", Fraction("0.3")),
        ("1 / 3", Fraction(1, 3)),
    ],
)
def test_expressions_are_worked_out_without_rounding(expression, value):
    assert expressions.value(expression) == value


@pytest.mark.parametrize("text", ["2 ** 9", "abs(1)", "x", "'1'", "1 if 1 else 2", "1 // 2"])
def test_nothing_but_arithmetic_is_worked_out(text):
    with pytest.raises(ValueError, match="no sum, difference|invalid|Invalid"):
        expressions.value(text)


@pytest.mark.parametrize(
    ("number", "places", "text"),
    [
        ("3", 2, "3"),
        ("0.5", 2, "0.5"),
        ("12.50", 2, "12.5"),
        ("-0.05", 2, "-0.05"),
        ("-7", 0, "-7"),
        ("100", 2, "100"),
        ("0.125", 2, None),
        ("1/3", 9, None),
    ],
)
def test_numbers_are_written_without_rounding(number, places, text):
    assert expressions.decimal(Fraction(number), places) == text


# --- the library ---------------------------------------------------------------------------


class Entries:
    """Stands in for a data set of the library."""

    def __init__(self, *entries):
        self.entries = entries
        self.task_indices = range(len(entries))

    def __getitem__(self, index):
        return self.entries[index % len(self.entries)]


def candidates_of(name, monkeypatch, *entries):
    made = Entries(*entries)
    monkeypatch.setattr(gym, "data_set", lambda *given: made)
    path = f"ponder.questions.families.{name}.data_set"  # where it is not entries that calls it
    monkeypatch.setattr(path, lambda *given: made, raising=False)
    params = dict.fromkeys(FAMILIES[name].params, 2)
    return list(itertools.islice(FAMILIES[name].candidates(params, 0), len(entries)))


def entry(question, answer, **metadata):
    return {"question": question, "answer": answer, "metadata": metadata}


def test_a_quotient_that_the_library_rounds_is_left_out(monkeypatch):
    entries = [
        entry("Calculate 7 / 2.", "3", expression="7 / 2"),
        entry("Calculate 6 / 2.", "3", expression="6 / 2"),
    ]
    left_out, kept = candidates_of("basic_arithmetic", monkeypatch, *entries)
    assert left_out is None and kept.answer == "3"


def test_a_polygon_that_is_not_convex_is_left_out(monkeypatch):
    text = "Consider a convex 4-gon whose first 3 interior angles are: {}.Return only the angle"
    entries = [
        entry(text.format("50.0\u00b0"), "210", known_angles=[50.0, 50.0, 50.0]),
        entry(text.format("90.0\u00b0"), "90", known_angles=[90.0, 90.0, 90.0]),
    ]
    left_out, kept = candidates_of("simple_geometry", monkeypatch, *entries)
    assert left_out is None and kept.facts == {"angles": [90, 90, 90]}
    assert kept.question.endswith("angles are: 90\u00b0.")


def test_gsm_symbolic_keeps_the_sentence_and_names_the_template(monkeypatch):
    tail = " Give the result as your final answer. Do not include units."
    kept, long, negative = candidates_of(
        "gsm_symbolic",
        monkeypatch,
        entry(f"Ann has 3 pears and 1,200 figs. How many?{tail}", "1203"),
        entry(f"Ann eats 0.6666666 pears of 3. How many?{tail}", "2"),
        entry(f"Ann owes 3 pears. How many?{tail}", "-3"),
    )
    assert long is None and negative is None
    assert kept.question == "Ann has 3 pears and 1,200 figs. How many?"
    assert FAMILIES["gsm_symbolic"].key(kept.facts) == "gsm 0: 3 1,200 = 1203"


def test_a_question_read_from_a_file_has_the_key_of_its_draw(every):
    for row in every[::97]:
        facts = json.loads(json.dumps(row.facts))
        assert isinstance(row, Question) and FAMILIES[row.family].key(facts) == row.key


def test_the_solver_as_teacher_of_the_pool_is_refused_in_one_sentence(tmp_path):
    plan = study_of("experiment=smoke", "questions=qwen", f"out={tmp_path}")
    pool = read_split(COMMITTED, "pool")[:1]
    with pytest.raises(UserError, match="no program solves the family"):
        teachers.write(pool, plan, None, None)


# --- marking -------------------------------------------------------------------------------

WORDS_OF_ONES_OWN = [
    (r"So she pays \boxed{1,125}.", "1125"),
    (r"\boxed{\$23}", "23"),
    (r"That is \boxed{25\%}.", "25"),
    (r"\boxed{8 \text{ km}}", "8"),
    (r"\[ \boxed{x = 6} \]", "6"),
    ("The answer is $48.40.", "48.4"),
]


@pytest.mark.parametrize(("reply", "gold"), WORDS_OF_ONES_OWN)
def test_a_model_may_answer_in_its_own_words(reply, gold):
    assert marking.mark(reply, gold, "shopping")["correct"]
    assert kinds.is_right(reply, gold, marking.kind_of("shopping", "drawn"))
    assert not marking.mark("\\boxed{7}", gold, "shopping")["correct"]


@pytest.mark.parametrize(("reply", "gold"), WORDS_OF_ONES_OWN[:5])
def test_the_families_of_programs_are_marked_as_they_were_released(reply, gold):
    assert marking.mark(reply, gold, "chain_sum") == {"correct": False}
    assert marking.kind_of("chain_sum", "drawn") == "drawn"


def test_other_pools_are_marked_as_they_say():
    assert marking.kind_of("shopping", "jsonl") == "jsonl"
    assert marking.kind_of("nobody knows it", "drawn") == "drawn"


@pytest.mark.parametrize("name", NAMES)
def test_every_gold_answer_is_right_and_its_neighbour_is_not(name, rows):
    for row in rows["test"]:
        if row.family == name:
            told = f"\\boxed{{{row.answer}}}"
            assert marking.mark(told, row.answer, name)["correct"]
            beside = f"\\boxed{{{Fraction(row.answer) + 1}}}"
            assert not marking.mark(beside, row.answer, name)["correct"]


def test_a_trace_is_marked_by_its_family(rows):
    asked = next(row for row in rows["dev"] if row.family == "shopping")
    asked = dataclasses.replace(asked, answer="1125")
    reply = r"\boxed{\$1,125}"
    assert traces.graded_trace(asked, "", "1,125", reply, "t", 0).correct
    asked = dataclasses.replace(asked, family="chain_sum")
    assert not traces.graded_trace(asked, "", "1,125", reply, "t", 0).correct
    assert not answers.second_grade(reply, "1125", "chain_sum")
    assert answers.second_grade(reply, "1125", "shopping")
