"""Budget forcing as segments: what a row asks of an engine next, given what it got so far.

No model, no engine, no text. A row is a generator: it yields a Request (append these tokens, then
sample up to so many, until one of these stops), gets a Completion, and in the end returns a Sample.
s1, section 3.1: a cap ends the thinking and forces the final answer; ignoring the end of thinking N
times, with "Wait" in its place, makes it longer.
"""

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ponder.chat import Marks, Stop
from ponder.config import Name, at_least
from ponder.errors import UserError


@dataclass(frozen=True)
class Budget:
    """The budget of one evaluation (conf/budget).

    Thinking tokens are all tokens between the two delimiters.
    """

    name: Name
    max_thinking: int  # thinking tokens, sampled and forced; 0 answers at once
    num_ignore: int  # how often an end of thinking is ignored
    # Appended each time instead of the end, e.g. "Wait"; "": nothing, but no end comes first.
    nudge: str
    max_answer: int  # answer tokens
    # When the final-answer prefix is forced; never: nothing is forced at all.
    force_answer: Literal["capped", "always", "never"]
    # What max_thinking holds for: all rounds together, or each round.
    scope: Literal["total", "per_segment"]
    # Draws of a thinking; above 1 one that hits the cap is thrown away: rejection sampling.
    tries: int = 1

    def __post_init__(self) -> None:
        at_least(0, "budget", self, "max_thinking", "num_ignore")
        at_least(1, "budget", self, "tries")
        if self.max_answer < 1:
            raise UserError(
                f"budget.max_answer={self.max_answer} leaves no room for an answer; give at least 1"
            )
        if self.tries > 1:
            self._check_rejection()
        if self.force_answer == "never":
            self._check_unforced()

    def _check_rejection(self) -> None:
        if self.num_ignore or self.force_answer == "never" or not self.max_thinking:
            raise UserError(
                f"budget.tries={self.tries} throws away what hits the cap, which goes with "
                "budget.num_ignore=0, a budget.max_thinking above 0 and any budget.force_answer "
                "but never; set them so, or budget.tries=1"
            )

    def _check_unforced(self) -> None:
        if self.num_ignore:
            raise UserError(
                f"budget.num_ignore={self.num_ignore} forces tokens, but budget.force_answer=never "
                "forces none; set budget.num_ignore=0"
            )
        if not self.max_thinking:
            raise UserError(
                "budget.max_thinking=0 forces the answer at once, but budget.force_answer=never "
                "forces nothing; give at least 1"
            )

    @property
    def most_thinking(self) -> int:
        """The most thinking tokens that a sample may have, over all rounds."""
        return self.max_thinking * (self.num_ignore + 1 if self.scope == "per_segment" else 1)


@dataclass(frozen=True)
class Request:
    """What a row asks of an engine."""

    keep: int  # of the row's tokens after the prompt so many stay
    ids: tuple[int, ...]  # these are appended
    limit: int  # tokens sampled at most, those of a stop included; 1 or more
    stops: tuple[Stop, ...]  # what ends the sampling
    suppress: bool  # no stop may be the first thing sampled (vLLM: min_tokens=1)


@dataclass(frozen=True)
class Completion:
    """What a row gets: all tokens sampled, and the stop that they end with; () at the limit."""

    ids: tuple[int, ...]
    stop: Stop

    @property
    def content(self) -> tuple[int, ...]:
        """The tokens without the stop."""
        return self.ids[: len(self.ids) - len(self.stop)]


@dataclass(frozen=True)
class Sample:
    """The answer of a row.

    `ids` are all tokens after the prompt; those at the positions `forced` were not sampled.
    """

    ids: list[int]
    forced: tuple[int, ...] = ()
    num_thinking: int = 0
    num_answer: int = 0  # sampled tokens of the answer, the stop included
    num_ignored: int = 0
    # Of the thinking: (tokens, the stop that ended it or () at the cap).
    rounds: tuple[tuple[int, Stop], ...] = ()
    capped: bool = False  # the cap on thinking ended it
    closed_at: int | None = None  # position in `ids` of the answer delimiter
    finish: str = ""  # of the answer: stop | length | rejected: no thinking ended under the cap
    tries: int = 1  # thinkings drawn
    thrown: int = 0  # tokens of those that were thrown away


Segments = Generator[Request, Any, Sample]  # a row of one Budget, sent a Completion each time


def forced(budget: Budget, marks: Marks) -> Segments:
    """Return the row of a prompt that ends with the opening think delimiter.

    Ending tokens are never part of the thinking; what ends the answer is kept, so that the ids show
    whether the model stopped by itself. Sampled and forced tokens count alike.
    """
    if budget.force_answer == "never":
        return (yield from _unforced(budget, marks))
    if budget.tries > 1:
        return (yield from _rejecting(budget, marks))
    ids: list[int] = []
    positions: list[int] = []  # of forced tokens
    rounds: list[tuple[int, Stop]] = []
    sent = 0  # leading tokens of `ids` that the engine has
    nudge: tuple[int, ...] = ()
    while True:
        start = len(ids)
        limit = budget.max_thinking - len(nudge)
        if budget.scope == "total":
            limit -= start
        positions += range(start, start + len(nudge))
        ids += nudge
        stop: Stop = ()
        if limit:
            # s1's code lets no round begin with an end (min_tokens=1); its text does not say so.
            suppress = bool(rounds) and (not nudge or budget.scope == "per_segment")
            thinking = yield Request(sent, tuple(ids[sent:]), limit, marks.ends, suppress)
            ids += thinking.content
            sent, stop = len(ids), thinking.stop
        rounds.append((len(ids) - start, stop))
        room = budget.max_thinking
        if budget.scope == "total":
            room -= len(ids)
        if not stop or len(rounds) > budget.num_ignore or len(marks.nudge) > room:
            break
        nudge = marks.nudge
    num_thinking, capped = len(ids), not stop
    closing, closed_at = _closing(ids, budget, marks, capped)
    positions += range(num_thinking, num_thinking + len(closing))
    answer = yield Request(
        sent, (*ids[sent:], *closing), budget.max_answer, marks.answer_ends, False
    )
    return Sample(
        ids=[*ids, *closing, *answer.ids],
        forced=tuple(positions),
        num_thinking=num_thinking,
        num_answer=len(answer.ids),
        num_ignored=len(rounds) - 1,
        rounds=tuple(rounds),
        capped=capped,
        closed_at=closed_at,
        finish=_finish(answer),
    )


def _finish(answer: Completion) -> str:
    return "stop" if answer.stop else "length"


def _closing(
    thinking: Sequence[int], budget: Budget, marks: Marks, capped: bool
) -> tuple[tuple[int, ...], int]:
    """Return what closes the thinking, and where in the sample the answer delimiter then is.

    s1's code forces the final-answer prefix only when the cap ended the thinking (s1,
    vllm_causallms.py L401-409); force_answer=always gives an untrained base the same help at a
    natural end. Without an answer delimiter only the prefix separates thinking and answer.
    """
    newline = () if not thinking or thinking[-1] == marks.newline else (marks.newline,)
    prefix = capped or budget.force_answer == "always" or not marks.answer
    delimiter = marks.forced_answer if prefix else marks.answer
    return newline + tuple(delimiter), len(thinking) + len(newline)


def _rejecting(budget: Budget, marks: Marks) -> Segments:
    """Rejection sampling: thinkings are drawn until one ends under the cap, its end included.

    s1, section 5.2; vllm_causallms.py L286-330. s1 draws without end; here the question stays
    unanswered after budget.tries.
    """
    tries = thrown = 0
    while tries < budget.tries:
        draw = yield Request(0, (), budget.max_thinking, marks.ends, False)
        tries += 1
        if draw.stop:
            break
        thrown += len(draw.ids)
    else:
        return Sample([], finish="rejected", tries=tries, thrown=thrown)
    thinking = list(draw.content)
    closing, closed_at = _closing(thinking, budget, marks, False)
    answer = yield Request(len(thinking), closing, budget.max_answer, marks.answer_ends, False)
    return Sample(
        ids=[*thinking, *closing, *answer.ids],
        forced=tuple(range(len(thinking), len(thinking) + len(closing))),
        num_thinking=len(thinking),
        num_answer=len(answer.ids),
        rounds=((len(thinking), draw.stop),),
        closed_at=closed_at,
        finish=_finish(answer),
        tries=tries,
        thrown=thrown,
    )


def _unforced(budget: Budget, marks: Marks) -> Segments:
    """Without forcing: the thinking delimiter is part of the prompt, and nothing else is forced.

    The model itself writes the answer delimiter, or not.
    """
    ends = (marks.turn_end,)
    if not marks.answer:  # nothing separates thinking and answer: all of it is the reply
        limit = budget.max_thinking + budget.max_answer
        answer = yield Request(0, (), limit, ends, False)
        return Sample(
            ids=list(answer.ids),
            num_answer=len(answer.ids),
            closed_at=0,
            finish=_finish(answer),
        )
    thinking = yield Request(0, (), budget.max_thinking, (marks.answer, *ends), False)
    num_thinking = len(thinking.content)
    rounds = ((num_thinking, thinking.stop),)
    if thinking.stop != marks.answer:
        return Sample(
            ids=list(thinking.ids),
            num_thinking=num_thinking,
            rounds=rounds,
            capped=not thinking.stop,
            finish=_finish(thinking),
        )
    answer = yield Request(len(thinking.ids), (), budget.max_answer, ends, False)
    return Sample(
        ids=[*thinking.ids, *answer.ids],
        num_thinking=num_thinking,
        num_answer=len(answer.ids),
        rounds=rounds,
        closed_at=num_thinking,
        finish=_finish(answer),
    )


def stop_of(sampled: Sequence[int], stops: Collection[Stop]) -> Stop:
    """Return the longest of `stops` that the sampled tokens end with, or ()."""
    endings = [stop for stop in stops if stop and tuple(sampled[-len(stop) :]) == tuple(stop)]
    return max(endings, key=len, default=())


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many leading tokens two sequences have in common."""
    for length, (token, counterpart) in enumerate(zip(one, other, strict=False)):
        if token != counterpart:
            return length
    return min(len(one), len(other))


def tokens_to_suppress(sampled: Sequence[int], stops: Collection[Stop]) -> list[int]:
    """Return the tokens that would make the sampled tokens a stop and nothing else.

    These are what `Request.suppress` forbids next.
    """
    return sorted({stop[-1] for stop in stops if tuple(sampled) == tuple(stop[:-1])})


def check_room(budget: Budget, marks: Marks, longest_prompt: int, context: int) -> None:
    """Raise UserError when prompt, thinking and answer do not fit the context together.

    Nothing is ever cut off instead.
    """
    closing = 0 if budget.force_answer == "never" else len(marks.forced_answer) + 1
    need = longest_prompt + budget.most_thinking + closing + budget.max_answer
    if need <= context:
        return
    rounds = budget.most_thinking // budget.max_thinking if budget.max_thinking else 1
    most = (context - need + budget.most_thinking) // rounds
    if most >= 0:
        raise UserError(
            f"budget.max_thinking={budget.max_thinking} leaves no room for an answer: the longest "
            f"prompt has {longest_prompt} tokens, closing and answer take "
            f"{closing + budget.max_answer}, model.context is {context}; give at most {most}"
        )
    raise UserError(
        f"the longest prompt has {longest_prompt} tokens, which with an answer of "
        f"{budget.max_answer} do not fit model.context={context}; take a shorter prompt or lower "
        "budget.max_answer"
    )
