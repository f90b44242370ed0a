"""The engine `hf`: rows of Requests (ponder/decode/budget.py) decoded by transformers, on a CPU or a GPU. No text, no files.

At most `size` rows are decoded together, each with its own limit and stops. A row that is done makes room for the next, a
row that asks for something else goes on from the tokens it shares with that, and what all prompts begin with (worked
examples) is read once. What happens when depends on the tokens alone, never on a clock.
"""

import random
from collections import deque
from dataclasses import dataclass, field

import torch

from ponder.decode import attention
from ponder.decode import budget as budgets

MIN_SHARED = 64  # tokens; below this a shared prefix costs more to split off than to read again
CHUNK = 4096  # tokens of one forward pass, beyond one for each row: bounds its memory


def plan(lengths, size):
    """Return batches of row indices, rows of like prompt length together, longest first; ties keep their order."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    return [order[i : i + size] for i in range(0, len(order), size)]


def shared_prefix(prompts):
    """Return how many leading tokens all prompts have in common, leaving at least one token to each."""
    shortest = min(map(len, prompts))
    return min(budgets.common(min(prompts), max(prompts)), shortest - 1)


def greedy(logits_BV, rows):
    """Return the likeliest token of each row of the batch (B rows, V vocabulary); a `choose` of `run`."""
    return logits_BV.argmax(-1).tolist()


def sampling(temperature, purposes):
    """Return a `choose` of `run` that draws at `temperature`, each row from a stream of its own named by its purpose.

    So what a row draws does not depend on the rows beside it. Raises nothing; `temperature` is above 0.
    """
    streams = [random.Random(purpose) for purpose in purposes]

    def choose(logits_BV, rows):
        share_BV = (logits_BV.double() / temperature).softmax(-1).cumsum(-1)
        drawn_B = torch.tensor(
            [streams[row].random() for row in rows], dtype=torch.float64, device=share_BV.device
        )
        return torch.searchsorted(share_BV, (drawn_B * share_BV[:, -1])[:, None])[:, 0].tolist()

    return choose


@dataclass
class _Live:
    """A row in a slot."""

    index: int
    prompt: list
    row: object  # the generator
    request: object = None
    ids: list = field(default_factory=list)  # after the prompt
    begun: int = 0  # where in `ids` the sampling of this request began
    held: list = field(default_factory=list)  # tokens whose keys and values are in the slot
    due: list = field(default_factory=list)  # tokens that are not yet

    def ask(self, request):
        """Take on a request: cut, append, and keep of the slot what is the same."""
        assert request.limit >= 1 and request.keep <= len(self.ids)
        self.request, self.ids = request, [*self.ids[: request.keep], *request.ids]
        self.begun, wanted = len(self.ids), self.prompt + self.ids
        same = min(
            budgets.common(self.held, wanted), len(wanted) - 1
        )  # one token must be read to have logits
        self.held, self.due = wanted[:same], wanted[same:]

    def take(self, token):
        """Add a sampled token; return whether it ends the request."""
        self.ids.append(token)
        self.due = [token]
        return bool(self.stop) or len(self.ids) - self.begun == self.request.limit

    @property
    def stop(self):
        return budgets.stop_of(self.ids[self.begun :], self.request.stops)


@torch.inference_mode()
def run(network, prompts, rows, size, choose=greedy, vocabulary=None):
    """Yield (index, what the row returned) of each row as it is done; rows are generators as budget.forced makes them.

    `prompts` are lists of token ids, `choose(logits_BV, indices)` samples, ids from `vocabulary` on are never sampled
    (a model may have more rows of logits than its tokenizer has tokens). Numbers may differ in the last bits with the
    other rows of the call, so callers who resume plan calls from all questions and never from what is left to do.
    """
    waiting = deque(sorted(range(len(prompts)), key=lambda i: -len(prompts[i])))
    if not waiting:
        return
    size = min(size, len(prompts))
    store = attention.Store(network, size)
    shared = shared_prefix(prompts) if len(prompts) > 1 else 0
    shared = shared if shared >= MIN_SHARED else 0
    for have in range(0, shared, CHUNK):
        part = prompts[0][have : min(have + CHUNK, shared)]
        attention.forward(network, store, [(have, len(part))], part, [])
    for slot in range(1, size if shared else 0):
        store.copy(0, slot, shared)
    done = []

    def next_row():
        """Return the next row that asks for anything, or None; a row that asks for nothing is done."""
        while waiting:
            index = waiting.popleft()
            live = _Live(
                index, list(prompts[index]), rows[index], held=list(prompts[index][:shared])
            )
            try:
                live.ask(next(live.row))
                return live
            except StopIteration as end:
                done.append((index, end.value))

    lives = [live for _ in range(size) if (live := next_row())]
    while lives:
        room, feeds, tokens = CHUNK, [], []
        for live in lives:
            part = live.due[: max(1, room)]
            room -= len(part)
            feeds.append((len(live.held), len(part)))
            tokens += part
            live.held, live.due = live.held + part, live.due[len(part) :]
        ready = [slot for slot, live in enumerate(lives) if not live.due]
        logits_BV = attention.forward(network, store, feeds, tokens, ready)
        if vocabulary is not None:
            logits_BV[:, vocabulary:] = float("-inf")
        for at, live in enumerate(lives[slot] for slot in ready):
            if live.request.suppress:
                logits_BV[at, budgets.barred(live.ids[live.begun :], live.request.stops)] = float(
                    "-inf"
                )
        chosen = choose(logits_BV, [lives[slot].index for slot in ready]) if ready else []
        for slot, token in sorted(zip(ready, chosen, strict=True), reverse=True):
            live = lives[slot]
            if not live.take(token):
                continue
            try:
                live.ask(
                    live.row.send(budgets.Completion(tuple(live.ids[live.begun :]), live.stop))
                )
            except StopIteration as end:
                done.append((live.index, end.value))
                if following := next_row():
                    lives[slot] = following
                    continue
                last = lives.pop()
                if slot < len(lives):
                    lives[slot] = last
                    store.copy(len(lives), slot, len(last.held))
        yield from sorted(done, key=lambda pair: pair[0])
        done.clear()
    yield from done


def decode(network, prompts, budget, marks, size, choose=greedy, vocabulary=None):
    """Return one Sample per prompt, decoded under `budget`; see `run`."""
    made = dict(
        run(
            network,
            prompts,
            [budgets.forced(budget, marks) for _ in prompts],
            size,
            choose,
            vocabulary,
        )
    )
    return [made[index] for index in range(len(prompts))]
