"""Batches of whole rows without padding, and attention that never leaves a row.

The suffix of a tensor's name says its shape: T tokens of all rows, L tokens that carry loss, D the
hidden size, V the vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface

from ponder.base import architectures

ATTENTION = "rows"  # the name under which the attention below is registered with transformers


@dataclass(frozen=True)
class Packed:
    """Rows laid end to end. T tokens in all."""

    ids_1T: torch.Tensor
    position_1T: torch.Tensor  # from 0 in each row
    lengths: tuple[int, ...]  # tokens per row
    targets_L: torch.Tensor  # the tokens that carry loss
    before_L: torch.Tensor  # position in T of the token before each of them


def pack(rows: Sequence[tuple[list[int], list[int]]], device: torch.device | str = "cpu") -> Packed:
    """Return the rows (ids, loss) as one Packed batch on `device`.

    Without rows it is one token that carries no loss: a process that has nothing to do in a step
    still gathers and sums.
    """
    rows = rows or [([0], [0])]
    ids = [token for row, _ in rows for token in row]
    loss = [flag for _, flags in rows for flag in flags]
    position = [i for row, _ in rows for i in range(len(row))]
    targets = [t for t, flag in enumerate(loss) if flag and position[t]]
    return Packed(
        torch.tensor([ids], device=device),
        torch.tensor([position], device=device),
        tuple(len(row) for row, _ in rows),
        torch.tensor([ids[t] for t in targets], dtype=torch.long, device=device),
        torch.tensor([t - 1 for t in targets], dtype=torch.long, device=device),
    )


def attend_in_rows(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    scaling: float | None = None,
    lengths: tuple[int, ...] | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention of packed rows: exact, and no work on pairs of tokens of different rows.

    query, key, value: (1, heads, T, head size); `lengths` comes through the model's forward call.
    Returns (output, None) as transformers wants it: output is (1, T, heads, head size). Raises
    UserError for a model whose attention does more than this (ponder/base/architectures.py).
    """
    assert attention_mask is None and lengths is not None and sum(lengths) == query.shape[2]
    architectures.check_call(max(lengths), sliding_window, softcap, s_aux, dropout)
    by_row = (tensor.split(lengths, dim=2) for tensor in (query, key, value))
    outputs = [
        torch.nn.functional.scaled_dot_product_attention(
            q, k, v, is_causal=True, scale=scaling, enable_gqa=True
        )
        for q, k, v in zip(*by_row, strict=True)
    ]
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, attend_in_rows)


class ChunkedLoss(torch.autograd.Function):
    """The summed cross-entropy of targets_L under the logits hidden_LD @ head_VD.T.

    It never holds more than `rows` rows of logits: the gradients are made on the way forward, while
    a chunk's logits are there, and only scaled on the way back.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_LD: torch.Tensor,
        head_VD: torch.Tensor,
        targets_L: torch.Tensor,
        rows: int,
    ) -> torch.Tensor:
        """Return the loss as a float32 scalar."""
        d_hidden_LD = torch.empty_like(hidden_LD)
        d_head_VD = None
        if ctx.needs_input_grad[1]:
            d_head_VD = torch.zeros_like(head_VD, dtype=torch.float32)
        loss = hidden_LD.new_zeros((), dtype=torch.float32)
        chunks = (tensor.split(rows) for tensor in (hidden_LD, targets_L[:, None], d_hidden_LD))
        for hidden, targets, d_hidden in zip(*chunks, strict=True):
            logits = (hidden @ head_VD.T).float()
            top = logits.amax(1, keepdim=True)
            own = logits.gather(1, targets) - top
            share = logits.sub_(top).exp_()  # in place: one float32 copy of the chunk at any time
            mass = share.sum(1, keepdim=True)
            loss += (mass.log() - own).sum()
            share.div_(mass).scatter_add_(1, targets, share.new_full((), -1.0).expand_as(targets))
            share = share.to(hidden.dtype)
            torch.mm(share, head_VD, out=d_hidden)
            if d_head_VD is not None:  # in float32: rounding every chunk would add up
                if hidden.dtype == torch.float32:
                    d_head_VD.addmm_(share.T, hidden)
                else:
                    d_head_VD += share.T @ hidden
            del logits, share  # before the next chunk is made
        ctx.gradients = d_hidden_LD, None if d_head_VD is None else d_head_VD.to(head_VD.dtype)
        return loss

    @staticmethod
    def backward(
        ctx: Any, d_loss: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, None, None]:
        """Return the gradients of hidden_LD and head_VD."""
        d_hidden_LD, d_head_VD = ctx.gradients
        ctx.gradients = None
        d_hidden_LD.mul_(d_loss)
        if d_head_VD is not None:
            d_head_VD.mul_(d_loss)
        return d_hidden_LD, d_head_VD, None, None


def loss_of(network: Any, batch: Packed, loss_rows: int) -> torch.Tensor:
    """Return the summed cross-entropy of the batch's loss tokens, a float32 scalar.

    Logits exist only where there is loss, `loss_rows` tokens at a time.
    """
    hidden_1TD = network.get_decoder()(
        input_ids=batch.ids_1T,
        position_ids=batch.position_1T,
        use_cache=False,
        lengths=batch.lengths,
    ).last_hidden_state
    return ChunkedLoss.apply(
        hidden_1TD[0, batch.before_L],
        network.get_output_embeddings().weight,
        batch.targets_L,
        loss_rows,
    )


class Objective(torch.nn.Module):
    """A network with its loss as one module, around which FSDP2 gathers weights."""

    def __init__(self, network: Any, loss_rows: int) -> None:
        super().__init__()
        head = network.get_output_embeddings()
        assert getattr(head, "bias", None) is None, "ChunkedLoss knows no bias of the logits"
        self.network, self.loss_rows = network, loss_rows

    def forward(self, batch: Packed) -> torch.Tensor:
        """Return loss_of the batch."""
        return loss_of(self.network, batch, self.loss_rows)
