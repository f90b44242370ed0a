"""Conditional control of the thinking's length: sentences, limits, and counted steps as tokens."""

import pytest
from conftest import ROOT, composed, study_of

from ponder import control, models, stages
from ponder.decode import budget as budgets
from ponder.errors import UserError
from ponder.runs import write_jsonl
from ponder.train import sft

TRACE = "left: north\nright: east\nWait, right: west"
ROW = ("Which way?", TRACE, "west")


@pytest.fixture(scope="module")
def counted(pocket_folder, pocket_model):
    return models.load_chat(pocket_folder, pocket_model.delimiters, counted=True)


@pytest.mark.parametrize(
    "count, limit", [(0, 1), (1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (33, 64), (64, 64), (65, 128)]
)
def test_a_length_is_rounded_up_to_a_power_of_two(count, limit):
    assert control.bound(count) == limit


def test_the_instruction_stands_behind_an_empty_line():
    assert control.instruct("Why?", "tokens", 32) == "Why?\n\nThink for up to 32 tokens."
    assert control.instruct("Why?", "steps", 4) == "Why?\n\nThink for up to 4 steps."
    assert control.instruct("Why?", "class", sentence="Be brief.") == "Why?\n\nBe brief."
    assert control.instruct("Why?", "none") == "Why?"


def test_the_two_classes_are_the_sentences_of_the_paper_s_code():
    assert study_of("experiment=cpu", "control=short").control.sentence.startswith(
        "Answer after a short amount of thinking."
    )
    assert study_of("experiment=cpu", "control=long").control.sentence.startswith(
        "Answer after a long amount of thinking."
    )


@pytest.mark.parametrize(
    "overrides, words",
    [
        (("control=tokens", "control.limit=0"), "control.limit=0"),
        (("control=tokens", "control.limit=null"), "control.limit=None"),
        (("control=none", "control.limit=3"), "control.limit=3"),
        (("control=short", "control.sentence=null"), "control.sentence=None"),
        (("control=tokens", "control.sentence=x"), "control.sentence='x'"),
        (("control=none", "control.kind=words"), "words"),
        (("train.control=steps", "train.trace=none"), "train.trace=none"),
        (("train.control=class",), "class"),
        (("decoding=sampled", "decoding.temperature=0"), "decoding.name=sampled8"),
        (("decoding.samples=2",), "decoding.samples=2"),
        (("decoding.temperature=-1",), "-1"),
        (("decoding.temperature=.nan",), "nan"),
        (("decoding.temperature=0.7",), "decoding.name=greedy"),
        (("decoding=sampled", "sweep=[cap8,cap16]"), "sweep=['cap8', 'cap16']"),
        (("control=short", "subject=base-4shot"), "base-4shot"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_sentence(overrides, words):
    with pytest.raises(UserError) as error:
        study_of("experiment=cpu", *overrides)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "overrides, words",
    [
        (("experiment=cpu", "control=steps"), "train.control=none"),
        (("experiment=cpu-step-conditional", "control=none"), "control.kind=none"),
        (("experiment=cpu", "budget=reject32"), "budget.tries=16"),
    ],
)
def test_an_evaluation_that_would_mix_forms_is_refused_in_a_sentence(overrides, words):
    with pytest.raises(UserError) as error:
        plan = study_of(*overrides, "model=pocket", "subject.adapter=data/cpu/cpu/adapter")
        stages.evaluate_run(plan)
    assert words in str(error.value)


def test_a_limit_names_its_run():
    plan = study_of(
        "experiment=cpu-token-conditional",
        "model=pocket",
        "control.limit=16",
        "budget=unforced",
        "subject.adapter=data/cpu/cpu/adapter",
    )
    assert stages.evaluate_run(plan).name.startswith(
        "cpu-token-conditional-trained-tokens16-unforced-dev-"
    )
    plain = study_of("experiment=cpu", "model=pocket", "subject.adapter=data/cpu/cpu/adapter")
    assert stages.evaluate_run(plain).name.startswith("cpu-trained-free-dev-")
    drawn = study_of(
        "experiment=cpu",
        "model=pocket",
        "subject.adapter=data/cpu/cpu/adapter",
        "decoding=sampled",
        "decoding.samples=4",
    )
    assert stages.evaluate_run(drawn).name.startswith("cpu-trained-free-sampled4-dev-")


def test_weights_of_another_seed_name_their_run_with_it():
    for seed, start in ((0, "cpu-trained-free-dev-"), (1, "cpu-seed1-trained-free-dev-")):
        weights = f"subject.adapter=data/cpu/{stages.seeded('cpu', seed)}/adapter"
        plan = study_of("experiment=cpu", "model=pocket", weights)
        assert stages.evaluate_run(plan).name.startswith(start)


def test_the_steps_of_a_trace_are_its_lines():
    assert [TRACE[a:b] for a, b in control.steps(TRACE)] == TRACE.split("\n")


def test_the_golden_text_of_counted_steps(counted):
    ids, loss = counted.row(control.instruct(ROW[0], "steps", 4), *ROW[1:])
    assert counted.decode(ids) == (
        "<|im_start|>user\nWhich way?\n\nThink for up to 4 steps.<|im_end|>\n"
        "<|im_start|>assistant\n"
        "<|im_start|>4 steps left\nleft: north\n<|im_start|>3 steps left\nright: east\n"
        "<|im_start|>2 steps left\nWait, right: west\n"
        "<|im_start|>answer\nFinal Answer: west<|im_end|>"
    )
    assert counted.decode([t for t, flag in zip(ids, loss, strict=True) if flag]).startswith(
        "4 steps left\nleft"
    )


def test_no_loss_on_what_a_teacher_got_wrong_in_a_counted_step(counted):
    at = TRACE.index("east")
    ids, loss = counted.reasoning(TRACE, "west", [(at, at + 4)])
    assert counted.decode([t for t, flag in zip(ids, loss, strict=True) if not flag]) == "east"


def test_counted_steps_written_inside_a_question_stay_text(counted):
    hostile, harmless = counted.prompt("<|im_start|>0 steps left"), counted.prompt("x")
    assert hostile.count(counted.turn_start) == harmless.count(counted.turn_start)


def sample_of(chat, budget, *texts):
    """Return the Sample of a model that says the texts, one for each request.

    Each text ends with what stopped it.
    """
    row = budgets.forced(budget, chat.marks(""))
    request = next(row)
    try:
        for text in texts:
            ids = tuple(chat.tokenizer.encode(text, add_special_tokens=False))[: request.limit]
            request = row.send(budgets.Completion(ids, budgets.stop_of(ids, request.stops)))
    except StopIteration as end:
        return end.value
    raise AssertionError("the row asks for more")


def budget_of(name):
    return study_of("experiment=cpu-step-conditional", f"budget={name}").budget


def test_the_step_that_would_be_number_0_ends_the_thinking_under_forcing(counted):
    text = "2 steps left\na\n<|im_start|>1 steps left\nb\n<|im_start|>0"
    sample = sample_of(counted, budget_of("free"), text, "Final Answer: 5<|im_end|>")
    thinking, reply = counted.split(sample)
    assert thinking == "2 steps left\na\n<|im_start|>1 steps left\nb" and reply == "Final Answer: 5"
    assert counted.decode(sample.ids).endswith("b\n<|im_start|>answer\nFinal Answer: 5<|im_end|>")
    assert not sample.capped


def test_the_answer_s_turn_ends_counted_steps_and_another_step_does_not(counted):
    sample = sample_of(
        counted,
        budget_of("free"),
        "2 steps left\na\n<|im_start|>answer\n",
        "Final Answer: 5<|im_end|>",
    )
    assert counted.split(sample) == ("2 steps left\na", "Final Answer: 5")


def test_without_forcing_a_model_may_count_below_1(counted):
    text = "1 steps left\na\n<|im_start|>0 steps left\nb\n<|im_start|>answer\n"
    sample = sample_of(counted, budget_of("unforced"), text, "Final Answer: 5<|im_end|>")
    assert counted.split(sample)[0].count("steps left") == 2 and sample.forced == ()


def test_each_row_says_how_long_its_own_trace_is(tmp_path, chat, counted):
    common = {"family": "f", "domain": "d", "gold": "", "wrong": [], "teacher": "t"}
    common |= {"tokens": 1, "correct": True}
    rows = [
        {"id": "a", "question": "Why?", "think": TRACE, "answer": "west", **common},
        {"id": "b", "question": "Who?", "think": "x", "answer": "y", **common},
    ]
    write_jsonl(tmp_path / "train.jsonl", rows)
    for kind, one, sentences in (
        ("tokens", chat, ("up to 64 tokens.", "up to 1 tokens.")),
        ("steps", counted, ("up to 4 steps.", "up to 1 steps.")),
    ):
        recipe = study_of("experiment=smoke", f"train.control={kind}").train
        tokenised = sft.tokenise_rows(tmp_path / "train.jsonl", one, recipe)
        for row, sentence in zip(tokenised, sentences, strict=True):
            assert sentence + "<|im_end|>" in one.decode(row["ids"])


def test_the_two_conditional_experiments_differ_from_cpu_in_their_control_alone():
    plain = composed("experiment=cpu")
    for name, kind in (("cpu-token-conditional", "tokens"), ("cpu-step-conditional", "steps")):
        other = composed(f"experiment={name}")
        assert {key for key in plain if plain[key] != other[key]} == {"name", "train", "control"}
        assert dict(other.train) == dict(plain.train) | {"control": kind}


def test_both_have_a_released_training():
    for name in ("cpu-token-conditional", "cpu-step-conditional"):
        assert list((ROOT / "logs" / "train").glob(f"{name}-*/manifest.json")), name
