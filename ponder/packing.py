"""Batches of whole rows without padding: which rows each step sees, and attention that never leaves a row."""
import random
from dataclasses import dataclass

import torch
from transformers import AttentionInterface

ATTENTION = "rows"    # the name under which the attention below is registered with transformers


def order(num_rows, epochs, batch_rows, seed):
    """Return, per optimizer step, the indices of its rows: each epoch a fresh shuffle, the last batch of it short."""
    steps = []
    for epoch in range(epochs):
        rows = list(range(num_rows))
        random.Random(f"train order/{epoch}/{seed}").shuffle(rows)
        steps += [rows[i:i + batch_rows] for i in range(0, num_rows, batch_rows)]
    return steps


@dataclass(frozen=True)
class Packed:
    """Rows laid end to end. T tokens in all."""
    ids_1T: torch.Tensor
    position_1T: torch.Tensor    # from 0 in each row
    lengths: tuple               # tokens per row
    targets_L: torch.Tensor      # the tokens that carry loss
    before_L: torch.Tensor       # position in T of the token before each of them


def pack(rows):
    """Return the rows (ids, loss) as one Packed batch."""
    ids = [token for row, _ in rows for token in row]
    loss = [flag for _, flags in rows for flag in flags]
    position = [i for row, _ in rows for i in range(len(row))]
    targets = [t for t, flag in enumerate(loss) if flag and position[t]]
    return Packed(torch.tensor([ids]), torch.tensor([position]), tuple(len(row) for row, _ in rows),
                  torch.tensor([ids[t] for t in targets]), torch.tensor([t - 1 for t in targets]))


def attend_in_rows(module, query, key, value, attention_mask, scaling=None, lengths=None, **_):
    """Causal attention of packed rows, one call per row: exact, and no work on pairs of tokens of different rows.

    query, key, value: (1, heads, T, head size); `lengths` comes through the model's forward call.
    """
    assert attention_mask is None and lengths is not None and sum(lengths) == query.shape[2]
    pieces = [torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, enable_gqa=True)
              for q, k, v in zip(*(t.split(lengths, dim=2) for t in (query, key, value)), strict=True)]
    return torch.cat(pieces, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, attend_in_rows)


def loss_of(network, batch):
    """Return the summed cross-entropy of the batch's loss tokens; logits exist only where there is loss."""
    hidden_1TD = network.get_decoder()(input_ids=batch.ids_1T, position_ids=batch.position_1T, use_cache=False,
                                       lengths=batch.lengths).last_hidden_state
    logits_LV = network.get_output_embeddings()(hidden_1TD[0, batch.before_L])
    return torch.nn.functional.cross_entropy(logits_LV.float(), batch.targets_L, reduction="sum")
