"""Rows laid end to end: the loss of each, and that rows of one pack never see each other."""

import random

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from ponder import hashing
from ponder.train import packing

CHUNK = 7  # rows of logits at once: no row of these tests is a multiple of it


def rows_of(*lengths, seed=0):
    """Return rows (ids, loss) of these lengths.

    The tokens are random, the prompt carries no loss, and there is one hole in the loss.
    """
    rng = random.Random(seed)
    rows = []
    for length in lengths:
        loss = [0] * (length // 3) + [1] * (length - length // 3)
        loss[-2] = 0
        rows.append(([rng.randrange(258) for _ in range(length)], loss))
    return rows


@pytest.fixture
def rows_network(network):
    network.set_attn_implementation(packing.ATTENTION)
    return network


def loss(network, *rows):
    with torch.no_grad():
        return packing.loss_of(network, packing.pack(list(rows)), CHUNK).item()


def by_hand(network, row):
    """Return the summed loss of one row by transformers' own sdpa attention and full logits."""
    ids, flags = row
    network.set_attn_implementation("sdpa")
    with torch.no_grad():
        shares = torch.log_softmax(network(torch.tensor([ids])).logits[0].float(), -1)
    network.set_attn_implementation(packing.ATTENTION)
    return -sum(shares[t - 1, ids[t]].item() for t in range(1, len(ids)) if flags[t])


def test_the_loss_of_a_pack_is_the_sum_over_its_rows(rows_network):
    rows = rows_of(9, 31, 4, 17)
    assert loss(rows_network, *rows) == pytest.approx(
        sum(loss(rows_network, row) for row in rows), rel=1e-5
    )


def test_the_loss_of_a_pack_is_what_transformers_computes_row_by_row(rows_network):
    rows = rows_of(12, 25, 7)
    assert loss(rows_network, *rows) == pytest.approx(
        sum(by_hand(rows_network, row) for row in rows), rel=1e-5
    )


def test_the_gradient_of_a_pack_is_the_sum_over_its_rows(rows_network):
    rows = rows_of(9, 20)
    weights = list(rows_network.parameters())
    packed = torch.autograd.grad(packing.loss_of(rows_network, packing.pack(rows), CHUNK), weights)
    single = [
        torch.autograd.grad(packing.loss_of(rows_network, packing.pack([row]), CHUNK), weights)
        for row in rows
    ]
    for whole, *parts in zip(packed, *single, strict=True):
        torch.testing.assert_close(
            whole, sum(parts), rtol=1e-3, atol=1e-4 * whole.abs().max().item()
        )


def per_row(network, rows):
    """Return the loss of each row inside one pack: the others' tokens carry no loss."""
    return [
        loss(
            network,
            *[(ids, flags if i == at else [0] * len(ids)) for i, (ids, flags) in enumerate(rows)],
        )
        for at in range(len(rows))
    ]


@pytest.mark.parametrize("edited", [0, 1, 2])
def test_editing_one_row_of_a_pack_changes_no_other(rows_network, edited):
    rows = rows_of(10, 14, 8)
    before = per_row(rows_network, rows)
    rows[edited] = ([(t + 1) % 258 for t in rows[edited][0]], rows[edited][1])
    after = per_row(rows_network, rows)
    for at in range(3):
        if at == edited:
            assert after[at] != pytest.approx(before[at], rel=1e-3)
        else:
            assert after[at] == before[at]


def test_the_order_of_the_rows_in_a_pack_does_not_matter(rows_network):
    rows = rows_of(10, 14, 8)
    assert loss(rows_network, *rows) == pytest.approx(loss(rows_network, *reversed(rows)), rel=1e-5)


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=9), min_size=1, max_size=5))
def test_exactly_the_loss_tokens_are_targets_and_never_the_first_of_a_row(flags):
    rows = [
        (list(range(10 * i, 10 * i + len(f))), [int(x) for x in f]) for i, f in enumerate(flags)
    ]
    batch = packing.pack(rows)
    expected = [ids[t] for ids, f in rows for t in range(1, len(ids)) if f[t]]
    assert batch.ids_1T.tolist() == [[token for ids, _ in rows for token in ids]]
    assume(expected)
    assert batch.targets_L.tolist() == expected
    assert batch.ids_1T[0, batch.before_L].tolist() == [token - 1 for token in expected]
    assert batch.position_1T[0].tolist() == [i for ids, _ in rows for i in range(len(ids))]
    assert batch.lengths == tuple(map(len, flags))


def test_changing_a_token_without_loss_at_the_end_of_a_row_changes_nothing(rows_network):
    ids, flags = rows_of(12)[0]
    flags[-1] = 0
    assert loss(rows_network, (ids, flags)) == loss(
        rows_network, (ids[:-1] + [(ids[-1] + 1) % 258], flags)
    )


def test_the_attention_refuses_a_batch_without_row_lengths(rows_network):
    with pytest.raises(AssertionError):
        rows_network(torch.tensor([[1, 2, 3]]))


def test_a_network_with_adapters_takes_the_same_path(network, pocket_model):
    from conftest import SMOKE, study_of

    from ponder.train import sft

    rows = rows_of(9, 12)
    network.set_attn_implementation(packing.ATTENTION)
    before = loss(network, *rows)
    adapted = sft.trainable(
        network, pocket_model, study_of(*SMOKE).train, hashing.purpose_seed("x")
    )
    assert loss(adapted, *rows) == pytest.approx(before, rel=1e-6)


@pytest.mark.parametrize("chunk", [1, 5, 64, 1000])
@pytest.mark.parametrize("head_trained", [False, True])
def test_the_chunked_loss_and_its_gradients_are_those_of_torch(chunk, head_trained):
    draw = torch.Generator().manual_seed(0)
    hidden, head = (torch.randn(size, 16, generator=draw, dtype=torch.float64) for size in (64, 50))
    targets, leaves = (
        torch.randint(0, 50, (64,), generator=draw),
        [hidden.requires_grad_(), head.requires_grad_(head_trained)],
    )
    leaves = [leaf for leaf in leaves if leaf.requires_grad]
    expected = torch.nn.functional.cross_entropy(hidden @ head.T, targets, reduction="sum")
    ours = packing.ChunkedLoss.apply(hidden, head, targets, chunk)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-6)
    for a, b in zip(
        torch.autograd.grad(ours / 3, leaves),
        torch.autograd.grad(expected / 3, leaves),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_the_chunked_loss_stands_logits_that_would_overflow():
    hidden, head = (
        torch.full((3, 4), 100.0, requires_grad=True),
        torch.tensor([[100.0] * 4, [-100.0] * 4]),
    )
    loss = packing.ChunkedLoss.apply(hidden, head, torch.tensor([0, 1, 0]), 2)
    loss.backward()
    assert loss.item() == 80000.0 and hidden.grad.isfinite().all()


def test_the_cache_of_transformers_lets_packed_rows_see_each_other_and_ours_does_not(network):
    """Why loss_of says use_cache=False and brings its own attention.

    With the cache that is on by default, positions that start anew do not start a row.
    """
    (first, _), (second, _) = rows_of(12, 12)
    ids, position = torch.tensor([first + second]), torch.tensor([[*range(12), *range(12)]])
    network.set_attn_implementation("sdpa")
    with torch.no_grad():
        alone = network(torch.tensor([second])).logits[0]
        leaks = network(ids, position_ids=position).logits[0, 12:]
        apart = network(ids, position_ids=position, use_cache=False).logits[0, 12:]
        network.set_attn_implementation(packing.ATTENTION)
        hidden = network.get_decoder()(
            input_ids=ids, position_ids=position, use_cache=False, lengths=(12, 12)
        ).last_hidden_state
        ours = network.get_output_embeddings()(hidden)[0, 12:]
    assert (leaks - alone).abs().max() > 1e-2
    torch.testing.assert_close(apart, alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours, alone, rtol=1e-4, atol=1e-4)
