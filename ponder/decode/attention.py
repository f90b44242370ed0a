"""Attention of packed tokens: in one forward pass each row adds as many tokens as it has to its own keys and values.

A row's keys and values lie in a slot of one large buffer, so that it can be cut back to any length (what forcing needs
after an ignored end, and a sweep at a branch) and another row can take its place. transformers calls `attend` in place of
its own attention; everything else of the network is per token and does not see rows.
"""

from dataclasses import dataclass

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from ponder.errors import UserError

NAME = "ponder_rows"  # of `attend`, in transformers' table
GROW = 256  # tokens; slots grow by whole multiples


class Store:
    """The keys and values of `slots` rows, a pair of tensors (slots, heads, tokens, size) per layer; `room` makes them longer."""

    def __init__(self, network, slots):
        config = network.config.get_text_config()
        heads = config.num_key_value_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.layers = [
            torch.zeros(2, slots, heads, 0, size, dtype=network.dtype, device=network.device)
            for _ in range(config.num_hidden_layers)
        ]

    def room(self, length):
        """Make every slot at least `length` tokens long."""
        have = self.layers[0].shape[3]
        if length <= have:
            return
        more = -(-max(length, have + have // 2) // GROW) * GROW - have
        for at, old in enumerate(self.layers):
            self.layers[at] = torch.cat([old, old.new_zeros(*old.shape[:3], more, old.shape[4])], 3)

    def copy(self, source, target, length):
        """Copy the first tokens of one slot into another."""
        for layer in self.layers:
            layer[:, target, :, :length] = layer[:, source, :, :length]


@dataclass(frozen=True)
class Step:
    """Where the packed tokens of one forward pass belong: N tokens of B rows, row b in slot b."""

    store: Store
    slot_N: torch.Tensor
    position_N: torch.Tensor
    last_B: torch.Tensor  # which of the N is the last of each row
    bias_BT: torch.Tensor  # 0 on the tokens that a row has, T of the longest; minus infinity beyond
    leads: (
        list  # (slot, first, last, mask) of rows with more than one token: all but the last of them
    )


def step_of(store, feeds):
    """Return the Step of `feeds`: for each slot from 0 on (tokens that it has, tokens that it gets), of these one or more."""
    device = store.layers[0].device
    ends = [have + add for have, add in feeds]
    store.room(max(ends))
    slot = [b for b, (_, add) in enumerate(feeds) for _ in range(add)]
    position = [have + i for have, add in feeds for i in range(add)]
    last, leads = [], []
    for b, (have, add) in enumerate(feeds):
        first = last[-1] + 1 if last else 0
        last.append(first + add - 1)
        if add > 1:
            mask = torch.ones(add - 1, have + add - 1, dtype=torch.bool, device=device).tril(have)
            leads.append((b, first, last[-1], mask))
    length_B = torch.tensor(ends, device=device)
    outside_BT = torch.arange(max(ends), device=device) >= length_B[:, None]
    bias_BT = torch.zeros(outside_BT.shape, dtype=store.layers[0].dtype, device=device).masked_fill(
        outside_BT, float("-inf")
    )
    return Step(
        store, *(torch.tensor(x, device=device) for x in (slot, position, last)), bias_BT, leads
    )


def attend(
    module,
    query,
    key,
    value,
    attention_mask,
    scaling,
    step,
    sliding_window=None,
    softcap=None,
    s_aux=None,
    **others,
):
    """Return (output, None) of one layer, as transformers wants it of an attention: (1, N, heads, size)."""
    if sliding_window is not None or softcap is not None or s_aux is not None:
        raise UserError(
            "this model has sliding windows, soft caps or sinks in its attention, which engine hf does not compute; "
            "serve it with vLLM"
        )
    keys, values = step.store.layers[module.layer_idx]  # slots, heads, tokens, size
    keys[step.slot_N, :, step.position_N] = key[0].transpose(0, 1)
    values[step.slot_N, :, step.position_N] = value[0].transpose(0, 1)
    query_NHD = query[0].transpose(0, 1)
    rows, longest = step.bias_BT.shape
    heads, size = keys.shape[1], keys.shape[3]
    keys_BHTD, values_BHTD = keys[:rows, :, :longest], values[:rows, :, :longest]
    # Heads that share keys stand where queries do, so nothing is repeated for them.
    query_BHGD = query_NHD[step.last_B].reshape(rows, heads, -1, size)
    weights = (
        (query_BHGD * scaling) @ keys_BHTD.transpose(2, 3) + step.bias_BT[:, None, None]
    ).softmax(-1)
    last_BHD = (weights @ values_BHTD).reshape(rows, -1, size)
    if not step.leads:
        return last_BHD[None], None
    out_NHD = torch.empty_like(query_NHD)
    out_NHD[step.last_B] = last_BHD
    for slot, first, last, mask in step.leads:
        tokens = mask.shape[1]
        mine = slice(slot, slot + 1), slice(None), slice(tokens)
        out = scaled_dot_product_attention(
            query[:, :, first:last],
            keys[mine],
            values[mine],
            attn_mask=mask,
            scale=scaling,
            enable_gqa=True,
        )
        out_NHD[first:last] = out[0].transpose(0, 1)
    return out_NHD[None], None


AttentionInterface.register(NAME, attend)


def forward(network, store, feeds, tokens, ready):
    """Return the logits (rows `ready`, vocabulary) after a forward pass over the packed `tokens` of `feeds` (see step_of)."""
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
