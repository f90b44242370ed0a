"""Decoding rows together gives what decoding each row alone would give.

Whatever leaves, joins, is cut back or goes on.
"""

import collections
import copy
import random

import pytest
import torch
from conftest import answered
from hypothesis import given
from hypothesis import strategies as st

from ponder import chat
from ponder.decode import attention, hf
from ponder.decode import budget as budgets
from ponder.decode.budget import Budget, Completion, Request
from ponder.errors import UserError

SHARED = [random.Random("shared").randrange(256) for _ in range(hf.MIN_SHARED + 9)]
# Many tokens end a part here, so that rows leave at different times; one end has two tokens.
ENDS = (*((token,) for token in range(0, 258, 9)), (87, 98))
MARKS = chat.Marks(
    ENDS, ENDS, (257,), newline=10, nudge=(87, 97), answer=(256, 65), forced_answer=(256, 65, 70)
)


def prompts_of(*lengths, prefix=()):
    rng = random.Random("prompts")
    return [[*prefix, *(rng.randrange(256) for _ in range(length))] for length in lengths]


def alone(network, prompt, row):
    """Return what a row returns when every token is chosen greedily from everything read again."""

    def say(held, sampled, barred):
        tokens = torch.tensor([prompt + held + sampled])
        with torch.no_grad():
            logits = network(tokens, use_cache=False).logits[0, -1]
        logits[list(barred)] = float("-inf")
        return int(logits.argmax())

    return answered(row, say)


def rule(
    max_thinking=24, num_ignore=0, nudge="W", max_answer=9, force_answer="capped", scope="total"
):
    return Budget("test", max_thinking, num_ignore, nudge, max_answer, force_answer, scope)


RULES = {
    "free": rule(),
    "cap": rule(3),
    "zero": rule(0),
    "wait": rule(num_ignore=2, force_answer="always"),
    "per segment": rule(6, num_ignore=2, scope="per_segment"),
    "unforced": rule(force_answer="never"),
}


@pytest.mark.parametrize(
    "prompts",
    [
        prompts_of(7),
        prompts_of(5, 17, 1, 9, 30, 12),
        prompts_of(4, 8, 3, 11, prefix=SHARED),
        [[1, 2, 3]] * 3,
        [SHARED, SHARED + [5], SHARED + [5, 6]],
        [SHARED] * 2,
    ],
    ids=[
        "one row",
        "rows of many lengths",
        "a shared prefix",
        "equal rows",
        "one row is the prefix",
        "only the prefix",
    ],
)
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("size", [2, 64])
def test_rows_together_get_the_tokens_that_each_gets_alone(network, size, name, prompts):
    together = hf.decode(network, prompts, RULES[name], MARKS, size)
    assert together == [
        alone(network, prompt, budgets.forced(RULES[name], MARKS)) for prompt in prompts
    ]


@pytest.mark.parametrize("name", RULES)
def test_the_fused_attention_of_another_type_sees_the_same_tokens(network, name):
    """In float64, where a last bit moves no token; bfloat16 takes the same way."""
    wide = copy.deepcopy(network).double()
    prompts = prompts_of(5, 17, 1, 9, 30, 12)
    assert hf.decode(wide, prompts, RULES[name], MARKS, 4) == [
        alone(wide, prompt, budgets.forced(RULES[name], MARKS)) for prompt in prompts
    ]


def test_bfloat16_stays_near_float32(network):
    store, half = attention.Store(network, 3), copy.deepcopy(network).bfloat16()
    halves, feeds = attention.Store(half, 3), [(0, 4), (0, 2), (0, 7)]
    tokens = list(range(13))
    with torch.inference_mode():
        exact = attention.forward(network, store, feeds, tokens, [0, 1, 2])
        near = attention.forward(half, halves, feeds, tokens, [0, 1, 2]).float()
    assert (near - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("size", [1, 3, 5, 16])
def test_rows_leave_at_different_times_and_others_take_their_place(network, size):
    prompts = prompts_of(*range(3, 19))
    samples = hf.decode(network, prompts, RULES["free"], MARKS, size)
    assert len({len(sample.ids) for sample in samples}) > 3, (
        "the rows of this test should end at different times"
    )
    assert samples[::2] == hf.decode(network, prompts[::2], RULES["free"], MARKS, 64)


def test_what_is_done_when_never_depends_on_a_clock(network, monkeypatch):
    passes = []
    forward = attention.forward

    def spied(network, store, feeds, tokens, ready):
        passes[-1].append((feeds, tokens, ready))
        return forward(network, store, feeds, tokens, ready)

    monkeypatch.setattr(attention, "forward", spied)
    for _ in range(2):
        passes.append([])
        hf.decode(network, prompts_of(*range(3, 19)), RULES["wait"], MARKS, 4)
    assert passes[0] == passes[1] and max(len(feeds) for feeds, _, _ in passes[0]) == 4


def test_a_model_that_varies_is_what_this_file_tests(network):
    samples = hf.decode(network, prompts_of(5, 6, 7, 8), RULES["free"], MARKS, 64)
    assert len({tuple(sample.ids) for sample in samples}) == 4
    assert max(len(set(sample.ids)) for sample in samples) > 5


def test_a_long_prompt_is_read_in_parts_while_others_go_on(network, monkeypatch):
    prompts = prompts_of(40, 300, 3, 120)
    whole = hf.decode(network, prompts, RULES["free"], MARKS, 4)
    monkeypatch.setattr(hf, "CHUNK", 16)
    assert hf.decode(network, prompts, RULES["free"], MARKS, 4) == whole
    assert hf.decode(network, [SHARED + p for p in prompts], RULES["cap"], MARKS, 4) == [
        alone(network, SHARED + prompt, budgets.forced(RULES["cap"], MARKS)) for prompt in prompts
    ]


def asks(*requests):
    """Return a row of fixed requests; it returns its completions."""
    completions = []
    for request in requests:
        completions.append((yield request))
    return completions


def test_a_row_may_be_cut_back_to_any_length_and_goes_on_from_there(network):
    def row():
        return asks(
            Request(0, (), 9, (), False),
            Request(4, (1, 2), 5, (), False),
            Request(4, (), 5, (), False),
            Request(0, (7,), 3, (), False),
            Request(1, (), 2, (), False),
        )

    prompts = prompts_of(6, 2, 11)
    results = dict(hf.run(network, prompts, [row() for _ in prompts], 64))
    assert [results[i] for i in range(3)] == [alone(network, prompt, row()) for prompt in prompts]
    assert results[0][2].ids == results[0][0].ids[4:9], "the same tokens before, the same after"


def test_each_row_has_its_own_limit_and_stops(network):
    prompts = [[5, 6, 7]] * 3
    free = dict(hf.run(network, prompts[:1], [asks(Request(0, (), 8, (), False))], 1))[0][0].ids
    rows = [
        asks(Request(0, (), 3, (), False)),
        asks(Request(0, (), 8, ((free[1],),), False)),
        asks(Request(0, (), 8, (free[2:5],), False)),
    ]
    results = dict(hf.run(network, prompts, rows, 3))
    assert results[0][0] == Completion(free[:3], ())
    assert results[1][0].stop == (free[1],) and results[1][0].ids == free[: free.index(free[1]) + 1]
    assert results[2][0] == Completion(free[:5], free[2:5])


def test_a_stop_is_not_the_first_thing_sampled_where_it_is_suppressed(network):
    def completion_of(request):
        return dict(hf.run(network, [[5, 6, 7]], [asks(request)], 1))[0][0]

    first = completion_of(Request(0, (), 1, (), False)).ids
    assert completion_of(Request(0, (), 4, (first,), True)).ids[:1] != first


def test_fault_3_4_b_no_rows_and_rows_that_ask_for_nothing_are_no_error(network):
    def silent():
        return "nothing"
        yield

    assert list(hf.run(network, [], [], 4)) == []
    assert dict(hf.run(network, [[1], [2]], [silent(), silent()], 4)) == {
        0: "nothing",
        1: "nothing",
    }
    rows = [silent(), asks(Request(0, (), 2, (), False)), silent()]
    results = dict(hf.run(network, [[1], [2], [3]], rows, 1))
    assert results[0] == results[2] == "nothing" and len(results[1][0].ids) == 2


def test_fault_3_4_e_thinking_and_answer_come_from_the_same_weights(network):
    """There, with several GPUs or an adapter, another model, or none, did the thinking."""
    before = hf.decode(network, prompts_of(9), RULES["free"], MARKS, 1)[0]
    with torch.no_grad():
        # New weights, in place, as merging an adapter does it.
        network.model.layers[0].self_attn.q_proj.weight.mul_(-1)
    after = hf.decode(network, prompts_of(9), RULES["free"], MARKS, 1)[0]
    assert after == alone(network, prompts_of(9)[0], budgets.forced(RULES["free"], MARKS))
    assert after.ids[: after.num_thinking] != before.ids[: before.num_thinking]


def test_fault_3_4_g_an_id_that_the_tokenizer_does_not_have_is_never_sampled(network):
    """There the model's spare rows of logits gave ids that could not be fed again."""
    with torch.no_grad():
        network.lm_head.weight[200:] *= 50  # they would win often
    free = hf.decode(network, prompts_of(4, 9, 5), rule(24), MARKS, 64)
    bound = hf.decode(network, prompts_of(4, 9, 5), rule(24), MARKS, 64, vocabulary=200)
    assert any(token >= 200 for s in free for at, token in enumerate(s.ids) if at not in s.forced)
    assert all(token < 200 for s in bound for at, token in enumerate(s.ids) if at not in s.forced)


@pytest.mark.parametrize("says", ["one token for ever", "the end and nothing else"])
def test_a_repetition_loop_and_a_model_that_ends_at_once_are_decoded_to_the_end(network, says):
    token, finish = (65, "length") if says == "one token for ever" else (257, "stop")
    marks = chat.Marks(((257,),), ((257,),), (257,), 10, (87, 97), (256, 65), (256, 65, 70))

    def choose(logits_BV, rows):
        return [token] * len(rows)

    for budget in (
        rule(300),
        rule(300, num_ignore=3),
        rule(300, num_ignore=3, scope="per_segment"),
        rule(300, force_answer="never"),
    ):
        samples = hf.decode(network, prompts_of(3, 30, 8), budget, marks, 2, choose)
        for sample in samples:
            assert sample.num_thinking <= budget.most_thinking and sample.num_answer <= 9
            assert (sample.capped, sample.finish) == (token == 65, finish)


def test_a_row_draws_the_same_whatever_is_beside_it(network):
    prompts, names = prompts_of(5, 6, 7, 8), ["a", "b", "c", "d"]

    def draw(prompts, names, size):
        return hf.decode(network, prompts, RULES["wait"], MARKS, size, hf.sampling(1.0, names))

    samples = draw(prompts, names, 2)
    for i in range(4):
        assert draw([prompts[i]], [names[i]], 1) == [samples[i]]
    assert samples != draw(prompts, names[::-1], 2)


@pytest.mark.parametrize("vocabulary", [3, hf.PART, hf.PART + 1, 5 * hf.PART - 7])
def test_a_draw_by_parts_is_the_draw_over_the_whole_vocabulary(vocabulary):
    generator = torch.Generator().manual_seed(vocabulary)
    logits = 4 * torch.randn(64, vocabulary, generator=generator)
    logits[:, :: max(2, vocabulary // 5)] = float("-inf")
    share = logits.softmax(-1)
    draw = torch.rand(64, dtype=torch.float64, generator=generator)
    draw[:2] = torch.tensor([0.0, 1.0 - 2**-53])
    ends = share.double().cumsum(-1)
    whole = torch.searchsorted(ends, (draw * ends[:, -1])[:, None])[:, 0].tolist()
    by_parts = hf._drawn_by_parts(share, draw)
    assert by_parts[2:] == whole[2:]
    assert all(share[row, token] > 0 for row, token in enumerate(by_parts) if draw[row] > 0)


def test_a_bfloat16_row_draws_the_same_whatever_is_beside_it():
    logits = torch.randn(3, 700, generator=torch.Generator().manual_seed(1)).bfloat16()
    together = hf.sampling(0.7, ["a", "b", "c"])(logits, [0, 1, 2])
    assert together[1:2] == hf.sampling(0.7, ["a", "b", "c"])(logits[1:2], [1])
    counts = collections.Counter(
        hf.sampling(1.0, [str(i)])(torch.tensor([[0.0, 1.0, float("-inf")]]).bfloat16(), [0])[0]
        for i in range(2000)
    )
    assert counts[2] == 0 and abs(counts[1] / 2000 - 0.731) < 0.03


def test_the_network_computes_as_before_when_its_rows_are_done(network):
    ids = torch.tensor([[1, 2, 3, 4]])
    with torch.no_grad():
        before = network(ids).logits
        hf.decode(network, prompts_of(4, 5), RULES["free"], MARKS, 2)
        assert torch.equal(network(ids).logits, before)


def test_an_attention_that_is_not_computed_here_is_refused(network):
    query = torch.zeros(1, 4, 1, 16)
    step = attention.step_of(attention.Store(network, 1), [(0, 9)])
    with pytest.raises(UserError, match="sliding_window=8.* over 9 tokens is not computed"):
        attention.attend(None, query, query, query, None, 1.0, step, sliding_window=8)


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 9))
def test_a_plan_covers_all_rows_once_the_longest_first(lengths, size):
    batches = hf.plan(lengths, size)
    rows = [row for batch in batches for row in batch]
    assert sorted(rows) == list(range(len(lengths)))
    assert all(len(batch) == size for batch in batches[:-1])
    assert [lengths[row] for row in rows] == sorted(lengths, reverse=True)
    assert all(a < b for a, b in zip(rows, rows[1:]) if lengths[a] == lengths[b])


@pytest.mark.parametrize(
    "prompts, shared",
    [
        ([[1, 2, 3], [1, 2, 4]], 2),
        ([[1, 2], [3, 4]], 0),
        ([[1, 2, 3], [1, 2]], 1),
        ([[1, 2], [1, 2]], 1),
        ([[1], [1, 2]], 0),
        ([[1, 2, 3], [1, 2, 5], [1, 3, 4]], 1),
    ],
)
def test_a_shared_prefix_leaves_a_token_to_each_row(prompts, shared):
    assert hf.shared_prefix(prompts) == shared
