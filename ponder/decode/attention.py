"""Attention of packed tokens: one forward pass adds to each row as many tokens as it has due.

A row's keys and values lie in a slot of one large buffer, so that it can be cut back to any length
(what forcing needs after an ignored end, and a sweep at a branch) and another row can take its
place. transformers calls `attend` in place of its own attention; everything else of the network is
per token and does not see rows.

The suffix of a tensor's name says its shape: B rows, N packed tokens, T tokens of the longest row,
H heads of keys, G heads of queries that share one, D the size of a head, V the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from ponder.base import architectures

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "ponder_rows"  # of `attend`, in transformers' table
GROW = 256  # tokens; slots grow by whole multiples
Feed = tuple[int, int]  # of a slot: (tokens that it has, tokens that it gets, one or more)


class Store:
    """The keys and values of `slots` rows; `room` makes them longer.

    `layers` holds for each layer a tensor (2, slots, heads, tokens, size): keys, then values.
    """

    def __init__(self, network: PreTrainedModel, slots: int) -> None:
        config: Any = network.config.get_text_config()
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.layers = [
            torch.zeros(2, slots, heads, 0, size, dtype=network.dtype, device=network.device)
            for _ in range(config.num_hidden_layers)
        ]

    def room(self, length: int) -> None:
        """Make every slot at least `length` tokens long."""
        current = self.layers[0].shape[3]
        if length <= current:
            return
        more = -(-max(length, current + current // 2) // GROW) * GROW - current
        for index, layer in enumerate(self.layers):
            growth = layer.new_zeros(*layer.shape[:3], more, layer.shape[4])
            self.layers[index] = torch.cat([layer, growth], 3)

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first tokens of one slot into another."""
        for layer in self.layers:
            layer[:, target, :, :length] = layer[:, source, :, :length]


@dataclass(frozen=True)
class Lead:
    """The tokens of a row that come before its last one in a forward pass: from `first` to `last`.

    Positions are among the packed tokens, `last` excluded; `mask` says what each of them sees.
    """

    slot: int
    first: int
    last: int
    mask: torch.Tensor


@dataclass(frozen=True)
class Step:
    """Where the packed tokens of one forward pass belong: N tokens of B rows, row b in slot b."""

    store: Store
    slot_N: torch.Tensor
    position_N: torch.Tensor
    last_B: torch.Tensor  # which of the N is the last of each row
    bias_BT: torch.Tensor  # 0 on the tokens that a row has; minus infinity beyond
    leads: list[Lead]  # of the rows that get more than one token


def step_of(store: Store, feeds: Sequence[Feed]) -> Step:
    """Return the Step of the feeds of the slots from 0 on."""
    device = store.layers[0].device
    ends = [length + count for length, count in feeds]
    store.room(max(ends))
    slots = [slot for slot, (_, count) in enumerate(feeds) for _ in range(count)]
    positions = [length + i for length, count in feeds for i in range(count)]
    lasts: list[int] = []
    leads = []
    for slot, (length, count) in enumerate(feeds):
        first = lasts[-1] + 1 if lasts else 0
        lasts.append(first + count - 1)
        if count > 1:
            mask = torch.ones(count - 1, length + count - 1, dtype=torch.bool, device=device)
            leads.append(Lead(slot, first, lasts[-1], mask.tril(length)))
    length_B = torch.tensor(ends, device=device)
    outside_BT = torch.arange(max(ends), device=device) >= length_B[:, None]
    zeros_BT = torch.zeros(outside_BT.shape, dtype=store.layers[0].dtype, device=device)
    return Step(
        store=store,
        slot_N=torch.tensor(slots, device=device),
        position_N=torch.tensor(positions, device=device),
        last_B=torch.tensor(lasts, device=device),
        bias_BT=zeros_BT.masked_fill(outside_BT, float("-inf")),
        leads=leads,
    )


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float,
    step: Step,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Return (output, None) of one layer, as transformers wants it: output is (1, N, heads, size).

    query, key, value: (1, heads, N, size). `step` comes through the model's forward call. Raises
    UserError for a model whose attention does more than this (ponder/base/architectures.py).
    """
    architectures.check_call(step.bias_BT.shape[1], sliding_window, softcap, s_aux, dropout)
    keys, values = step.store.layers[module.layer_idx]  # slots, heads, tokens, size
    keys[step.slot_N, :, step.position_N] = key[0].transpose(0, 1)
    values[step.slot_N, :, step.position_N] = value[0].transpose(0, 1)
    query_NHD = query[0].transpose(0, 1)
    rows, longest = step.bias_BT.shape
    heads, size = keys.shape[1], keys.shape[3]
    keys_BHTD, values_BHTD = keys[:rows, :, :longest], values[:rows, :, :longest]
    # Heads that share keys stand where queries do, so nothing is repeated for them.
    query_BHGD = query_NHD[step.last_B].reshape(rows, heads, -1, size)
    bias_B11T = step.bias_BT[:, None, None]
    if query.dtype == torch.float32:
        # The form that released answers were decoded in: another one has other last bits.
        scores_BHGT = (query_BHGD * scaling) @ keys_BHTD.transpose(2, 3) + bias_B11T
        last_BHGD = scores_BHGT.softmax(-1) @ values_BHTD
    else:  # several times as fast in bfloat16, which it sums in float32 (decision 0043)
        last_BHGD = scaled_dot_product_attention(
            query_BHGD, keys_BHTD, values_BHTD, attn_mask=bias_B11T, scale=scaling
        )
    last_BHD = last_BHGD.reshape(rows, -1, size)
    if not step.leads:
        return last_BHD[None], None
    output_NHD = torch.empty_like(query_NHD)
    output_NHD[step.last_B] = last_BHD
    for lead in step.leads:
        slot = slice(lead.slot, lead.slot + 1)
        seen = slice(lead.mask.shape[1])
        output = scaled_dot_product_attention(
            query[:, :, lead.first : lead.last],
            keys[slot, :, seen],
            values[slot, :, seen],
            attn_mask=lead.mask,
            scale=scaling,
            enable_gqa=True,
        )
        output_NHD[lead.first : lead.last] = output[0].transpose(0, 1)
    return output_NHD[None], None


AttentionInterface.register(NAME, attend)


def forward(
    network: Any,
    store: Store,
    feeds: Sequence[Feed],
    tokens: Sequence[int],
    ready: Sequence[int],
) -> torch.Tensor:
    """Return the logits after a forward pass over the packed `tokens` of `feeds` (see step_of).

    Shape (rows `ready`, vocabulary): a row is ready whose tokens have all been read.
    """
    step = step_of(store, feeds)
    device = step.slot_N.device
    before, network.config._attn_implementation = network.config._attn_implementation, NAME
    try:
        # A mask of four dimensions is handed on as it is, and `attend` reads none.
        return network(
            torch.tensor([tokens], device=device),
            attention_mask=step.bias_BT[None, None],
            use_cache=False,
            position_ids=step.position_N[None],
            logits_to_keep=step.last_B[ready],
            step=step,
        ).logits[0]
    finally:
        network.config._attn_implementation = before
