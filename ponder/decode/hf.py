"""The engine `hf`: rows of Requests (ponder/decode/budget.py) decoded by transformers.

On a CPU or a GPU; no text, no files. At most `size` rows are decoded together, each with its own
limit and stops. A row that is finished makes room for the next, a row that asks for something else
goes on from the tokens it shares with that, and what all prompts begin with (worked examples) is
read once. What happens when depends on the tokens alone, never on a clock.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from ponder.chat import Marks, Stop
from ponder.decode import attention
from ponder.decode import budget as budgeting
from ponder.decode.budget import Budget, Completion, Request, Sample

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MIN_SHARED = 64  # tokens; below this a shared prefix costs more to split off than to read again
PART = 512  # tokens of the vocabulary that are added up at once
CHUNK = 4096  # tokens of one forward pass, beyond one for each row: bounds its memory
Row = Generator[Request, Any, Any]
Choose = Callable[[torch.Tensor, Sequence[int]], list[int]]


def plan(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Return batches of row indices, rows of like prompt length together, longest first.

    Ties keep their order.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    return [order[i : i + size] for i in range(0, len(order), size)]


def shared_prefix(prompts: Sequence[list[int]]) -> int:
    """Return how many leading tokens all prompts have in common, leaving one or more to each."""
    shortest = min(map(len, prompts))
    return min(budgeting.common_length(min(prompts), max(prompts)), shortest - 1)


def greedy(logits_BV: torch.Tensor, rows: Sequence[int]) -> list[int]:
    """Return the likeliest token of each of B rows (V: vocabulary); a `choose` of `run`."""
    return logits_BV.argmax(-1).tolist()


def sampling(temperature: float, purposes: Sequence[str]) -> Choose:
    """Return a `choose` of `run` that draws at `temperature`, which is above 0.

    Each row draws from a stream of its own, named by its purpose: so what it draws does not depend
    on the rows beside it.
    """
    streams = [random.Random(purpose) for purpose in purposes]

    def choose(logits_BV: torch.Tensor, rows: Sequence[int]) -> list[int]:
        draw_B = torch.tensor(
            [streams[row].random() for row in rows], dtype=torch.float64, device=logits_BV.device
        )
        if logits_BV.dtype != torch.float32:
            return _drawn_by_parts((logits_BV.float() / temperature).softmax(-1), draw_B)
        share_BV = (logits_BV.double() / temperature).softmax(-1).cumsum(-1)
        return torch.searchsorted(share_BV, (draw_B * share_BV[:, -1])[:, None])[:, 0].tolist()

    return choose


def _drawn_by_parts(share_BV: torch.Tensor, draw_B: torch.Tensor) -> list[int]:
    """Return the token of each row where its shares, added up in order, reach its draw.

    The part of PART tokens is found first: adding up a whole vocabulary in float64 takes several
    times as long, and so long as a third of a forward pass (decision 0043).
    """
    padding = -share_BV.shape[1] % PART
    parts_BPV = torch.nn.functional.pad(share_BV, (0, padding)).unflatten(1, (-1, PART))
    ends_BP = parts_BPV.sum(-1, dtype=torch.float64).cumsum(-1)
    wanted_B1 = (draw_B * ends_BP[:, -1])[:, None]
    part_B1 = torch.searchsorted(ends_BP, wanted_B1)
    before_B1 = ends_BP.gather(1, (part_B1 - 1).clamp(min=0)) * (part_B1 > 0)
    part_BV = parts_BPV[torch.arange(len(draw_B)), part_B1[:, 0]].double().cumsum(-1)
    # Rounding may leave the last token of the part below what is wanted; then it is that one.
    place_B1 = torch.searchsorted(part_BV, wanted_B1 - before_B1).clamp(max=PART - 1)
    return (part_B1 * PART + place_B1)[:, 0].tolist()


@dataclass
class _Live:
    """A row in a slot."""

    index: int
    prompt: list[int]
    row: Row
    in_slot: list[int]  # tokens whose keys and values are in the slot
    request: Any = None  # the Request that is being served
    ids: list[int] = field(default_factory=list)  # after the prompt
    start: int = 0  # where in `ids` the sampling of this request began
    due: list[int] = field(default_factory=list)  # tokens that are still to be read

    def ask(self, request: Request) -> None:
        """Take on a request: cut, append, and keep of the slot what is the same."""
        assert request.limit >= 1 and request.keep <= len(self.ids)
        self.request = request
        self.ids = [*self.ids[: request.keep], *request.ids]
        self.start = len(self.ids)
        tokens = self.prompt + self.ids
        # One token must be read to have logits.
        common = min(budgeting.common_length(self.in_slot, tokens), len(tokens) - 1)
        self.in_slot, self.due = tokens[:common], tokens[common:]

    def take(self, token: int) -> bool:
        """Add a sampled token; return whether it ends the request."""
        self.ids.append(token)
        self.due = [token]
        return bool(self.stop) or len(self.sampled) == self.request.limit

    @property
    def sampled(self) -> list[int]:
        """The tokens sampled for this request."""
        return self.ids[self.start :]

    @property
    def stop(self) -> Stop:
        """The stop that the sampled tokens end with, or ()."""
        return budgeting.stop_of(self.sampled, self.request.stops)


@torch.inference_mode()
def run(
    network: PreTrainedModel,
    prompts: Sequence[list[int]],
    rows: Sequence[Row],
    size: int,
    choose: Choose = greedy,
    vocabulary: int | None = None,
) -> Iterator[tuple[int, Any]]:
    """Yield (index, what the row returned) of each row as it is finished.

    `prompts` are lists of token ids, rows are generators as budget.forced makes them,
    `choose(logits_BV, indices)` samples, ids from `vocabulary` on are never sampled (a model may
    have more rows of logits than its tokenizer has tokens). Numbers may differ in the last bits
    with the other rows of the call, so callers who resume plan calls from all questions and never
    from what is left to do.
    """
    if not prompts:
        return
    size = min(size, len(prompts))
    store = attention.Store(network, size)
    shared = _read_shared_prefix(network, store, prompts, size)
    finished: list[tuple[int, Any]] = []
    waiting = _opened(prompts, rows, shared, finished)
    lives = list(itertools.islice(waiting, size))
    while lives:
        feeds, tokens = _next_tokens(lives)
        ready = [slot for slot, live in enumerate(lives) if not live.due]
        logits_BV = attention.forward(network, store, feeds, tokens, ready)
        _forbid(logits_BV, [lives[slot] for slot in ready], vocabulary)
        sampled = choose(logits_BV, [lives[slot].index for slot in ready]) if ready else []
        for slot, token in sorted(zip(ready, sampled, strict=True), reverse=True):
            if not lives[slot].take(token) or _goes_on(lives[slot], finished):
                continue
            if following := next(waiting, None):
                lives[slot] = following
            else:
                _close_slot(slot, lives, store)
        yield from sorted(finished, key=lambda pair: pair[0])
        finished.clear()
    yield from finished


def _read_shared_prefix(
    network: PreTrainedModel,
    store: attention.Store,
    prompts: Sequence[list[int]],
    size: int,
) -> int:
    """Read what all prompts begin with into every slot and return how many tokens that is."""
    shared = shared_prefix(prompts) if len(prompts) > 1 else 0
    if shared < MIN_SHARED:
        return 0
    for start in range(0, shared, CHUNK):
        part = prompts[0][start : min(start + CHUNK, shared)]
        attention.forward(network, store, [(start, len(part))], part, [])
    for slot in range(1, size):
        store.copy(0, slot, shared)
    return shared


def _opened(
    prompts: Sequence[list[int]],
    rows: Sequence[Row],
    shared: int,
    finished: list[tuple[int, Any]],
) -> Iterator[_Live]:
    """Yield the rows that ask for anything, longest prompt first; others are `finished` at once."""
    for index in sorted(range(len(prompts)), key=lambda index: -len(prompts[index])):
        prompt = list(prompts[index])
        live = _Live(index, prompt, rows[index], in_slot=prompt[:shared])
        try:
            live.ask(next(live.row))
        except StopIteration as end:
            finished.append((index, end.value))
        else:
            yield live


def _next_tokens(lives: Sequence[_Live]) -> tuple[list[attention.Feed], list[int]]:
    """Return (feeds, tokens) of the next forward pass and count them as read.

    Each row gets the tokens that it has due, as long as CHUNK has room, and at least one.
    """
    room = CHUNK
    feeds, tokens = [], []
    for live in lives:
        part = live.due[: max(1, room)]
        room -= len(part)
        feeds.append((len(live.in_slot), len(part)))
        tokens += part
        live.in_slot, live.due = live.in_slot + part, live.due[len(part) :]
    return feeds, tokens


def _forbid(logits_BV: torch.Tensor, lives: Sequence[_Live], vocabulary: int | None) -> None:
    """Set to minus infinity the logits of tokens that may not come next."""
    if vocabulary is not None:
        logits_BV[:, vocabulary:] = float("-inf")
    for index, live in enumerate(lives):
        if live.request.suppress:
            tokens = budgeting.tokens_to_suppress(live.sampled, live.request.stops)
            logits_BV[index, tokens] = float("-inf")


def _goes_on(live: _Live, finished: list[tuple[int, Any]]) -> bool:
    """Give a row its completion and return whether it asks for more; else it is `finished`."""
    try:
        live.ask(live.row.send(Completion(tuple(live.sampled), live.stop)))
    except StopIteration as end:
        finished.append((live.index, end.value))
        return False
    return True


def _close_slot(slot: int, lives: list[_Live], store: attention.Store) -> None:
    """Take a row out of the batch; the last row moves into its slot."""
    last = lives.pop()
    if slot < len(lives):
        lives[slot] = last
        store.copy(len(lives), slot, len(last.in_slot))


def decode(
    network: PreTrainedModel,
    prompts: Sequence[list[int]],
    budget: Budget,
    marks: Marks,
    size: int,
    choose: Choose = greedy,
    vocabulary: int | None = None,
) -> list[Sample]:
    """Return one Sample per prompt, decoded under `budget`; see `run`."""
    rows = [budgeting.forced(budget, marks) for _ in prompts]
    samples = dict(run(network, prompts, rows, size, choose, vocabulary))
    return [samples[index] for index in range(len(prompts))]
