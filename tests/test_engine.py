"""Decoding a batch gives what decoding each row alone would give."""
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ponder import budget as budgets
from ponder import engine
from ponder.budget import Budget

SHARED = [random.Random("shared").randrange(256) for _ in range(engine.MIN_SHARED + 9)]
# Many tokens end a phase here, so that rows leave the batch at different times.
MARKS = budgets.Marks(frozenset(range(0, 258, 9)), newline=10, nudge=(87, 97), answer=(256, 65),
                      forced_answer=(256, 65, 70))


def prompts_of(*lengths, prefix=()):
    rng = random.Random("prompts")
    return [[*prefix, *(rng.randrange(256) for _ in range(length))] for length in lengths]


def alone(network, prompt, rule, marks):
    """Decode one row greedily, reading everything again for every token."""
    sample = budgets.start(rule, marks)
    with torch.no_grad():
        while sample.phase != "done":
            logits = network(torch.tensor([prompt + sample.ids]), use_cache=False).logits[0, -1]
            budgets.advance(sample, int(logits.argmax()), rule, marks)
    return sample


RULES = {"free": Budget("free", 24, 0, "W", 9, "capped"), "cap": Budget("cap", 3, 0, "W", 9, "capped"),
         "zero": Budget("zero", 0, 0, "W", 9, "capped"), "wait": Budget("wait", 24, 2, "W", 9, "always")}


@pytest.mark.parametrize("prompts", [
    prompts_of(7), prompts_of(5, 17, 1, 9, 30, 12), prompts_of(4, 8, 3, 11, prefix=SHARED), [[1, 2, 3]] * 3,
    [SHARED, SHARED + [5], SHARED + [5, 6]], [SHARED] * 2],
    ids=["one row", "rows of many lengths", "a shared prefix", "equal rows", "one row is the prefix",
         "only the prefix"])
@pytest.mark.parametrize("name", RULES)
def test_a_batch_gives_each_row_the_tokens_it_gets_alone(network, name, prompts):
    together = engine.decode(network, prompts, RULES[name], MARKS, pad=257)
    assert together == [alone(network, prompt, RULES[name], MARKS) for prompt in prompts]


def test_rows_leave_the_batch_at_different_times_and_disturb_no_other(network):
    prompts = prompts_of(*range(3, 19))
    samples = engine.decode(network, prompts, RULES["free"], MARKS, pad=257)
    assert len({len(sample.ids) for sample in samples}) > 3, "the rows of this test should end at different times"
    half = engine.decode(network, prompts[::2], RULES["free"], MARKS, pad=257)
    assert half == samples[::2]


def test_a_model_that_varies_is_what_this_file_tests(network):
    samples = engine.decode(network, prompts_of(5, 6, 7, 8), RULES["free"], MARKS, pad=257)
    assert len({tuple(sample.ids) for sample in samples}) == 4
    assert max(len(set(sample.ids)) for sample in samples) > 5


def test_the_padding_token_does_not_matter(network):
    prompts = prompts_of(3, 20)
    assert (engine.decode(network, prompts, RULES["free"], MARKS, pad=257)
            == engine.decode(network, prompts, RULES["free"], MARKS, pad=0))


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 9))
def test_a_plan_covers_all_rows_once_the_longest_first(lengths, size):
    batches = engine.plan(lengths, size)
    rows = [row for batch in batches for row in batch]
    assert sorted(rows) == list(range(len(lengths)))
    assert all(len(batch) == size for batch in batches[:-1])
    assert [lengths[row] for row in rows] == sorted(lengths, reverse=True)
    assert all(a < b for a, b in zip(rows, rows[1:]) if lengths[a] == lengths[b])


@pytest.mark.parametrize("prompts, shared", [
    ([[1, 2, 3], [1, 2, 4]], 2), ([[1, 2], [3, 4]], 0), ([[1, 2, 3], [1, 2]], 1), ([[1, 2], [1, 2]], 1),
    ([[1], [1, 2]], 0)])
def test_a_shared_prefix_leaves_a_token_to_each_row(prompts, shared):
    assert engine.shared_prefix(prompts) == shared
