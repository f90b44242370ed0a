"""Budget forcing as segments: what a row asks of an engine next, given what it got so far. No model, no engine, no text.

A row is a generator: it yields a Request (append these tokens, then sample up to so many, until one of these stops), gets
a Completion, and in the end returns a Sample. s1, section 3.1: a cap ends the thinking and forces the final answer;
ignoring the end of thinking N times, with "Wait" in its place, makes it longer.
"""

from dataclasses import dataclass

from ponder.config import at_least, check_choice
from ponder.errors import UserError


@dataclass(frozen=True)
class Budget:
    """The budget of one evaluation (conf/budget). Thinking tokens are all tokens between the two delimiters."""

    name: str
    max_thinking: int  # thinking tokens, sampled and forced; 0 answers at once
    num_ignore: int  # how often an end of thinking is ignored
    nudge: str  # appended each time instead of the end, e.g. "Wait"; "": nothing, but no end comes first
    max_answer: int  # answer tokens
    force_answer: str  # capped | always: when the final-answer prefix is forced; never: nothing is forced at all
    scope: str  # total: max_thinking holds for all rounds together | per_segment: for each round
    tries: int = (
        1  # draws of a thinking; above 1 one that hits the cap is thrown away: rejection sampling
    )

    def __post_init__(self):
        check_choice("budget.force_answer", self.force_answer, ("capped", "always", "never"))
        check_choice("budget.scope", self.scope, ("total", "per_segment"))
        at_least(0, "budget", self, "max_thinking", "num_ignore")
        at_least(1, "budget", self, "tries")
        if self.max_answer < 1:
            raise UserError(
                f"budget.max_answer={self.max_answer} leaves no room for an answer; give at least 1"
            )
        if self.force_answer == "never" and self.num_ignore:
            raise UserError(
                f"budget.num_ignore={self.num_ignore} forces tokens, but budget.force_answer=never forces none; "
                "set budget.num_ignore=0"
            )
        if self.tries > 1 and (
            self.num_ignore or self.force_answer == "never" or not self.max_thinking
        ):
            raise UserError(
                f"budget.tries={self.tries} throws away what hits the cap, which goes with budget.num_ignore=0, a "
                "budget.max_thinking above 0 and any budget.force_answer but never; set them so, or budget.tries=1"
            )
        if self.force_answer == "never" and not self.max_thinking:
            raise UserError(
                "budget.max_thinking=0 forces the answer at once, but budget.force_answer=never forces nothing; "
                "give at least 1"
            )

    @property
    def most_thinking(self):
        """The most thinking tokens that a sample may have, over all rounds."""
        return self.max_thinking * (self.num_ignore + 1 if self.scope == "per_segment" else 1)


@dataclass(frozen=True)
class Request:
    """What a row asks of an engine."""

    keep: int  # of the row's tokens after the prompt so many stay
    ids: tuple  # these are appended
    limit: int  # tokens sampled at most, those of a stop included; 1 or more
    stops: tuple  # sequences of ids that end the sampling
    suppress: bool  # no stop may be the first thing sampled (vLLM: min_tokens=1)


@dataclass(frozen=True)
class Completion:
    """What a row gets: all tokens sampled, and the stop that they end with, () where the limit ended them."""

    ids: tuple
    stop: tuple

    @property
    def said(self):
        """The tokens without the stop."""
        return self.ids[: len(self.ids) - len(self.stop)]


@dataclass(frozen=True)
class Sample:
    """What a row made. `ids` are all tokens after the prompt; those at the positions `forced` were not sampled."""

    ids: list
    forced: tuple = ()
    num_thinking: int = 0
    num_answer: int = 0  # sampled tokens of the answer, the stop included
    num_ignored: int = 0
    rounds: tuple = ()  # of the thinking: (tokens, the stop that ended it or () at the cap)
    capped: bool = False  # the cap on thinking bit
    closed_at: int | None = None  # position in `ids` of the answer delimiter
    finish: str = ""  # stop | length, of the answer | rejected: no thinking ended under the cap
    tries: int = 1  # thinkings drawn
    thrown: int = 0  # tokens of those that were thrown away


def forced(budget, marks):
    """Return the row of a prompt that ends with the opening think delimiter: a generator of Requests that returns a Sample.

    Ending tokens are never part of the thinking; what ends the answer is kept, so that the ids show whether the model
    stopped by itself. Sampled and forced tokens count alike.
    """
    if budget.force_answer == "never":
        return (yield from _free(budget, marks))
    if budget.tries > 1:
        return (yield from _rejecting(budget, marks))
    ids, spots, rounds, kept, nudge = [], [], [], 0, ()
    while True:
        spent = len(ids) if budget.scope == "total" else 0
        limit = budget.max_thinking - spent - len(nudge)
        began = len(ids)
        spots += range(began, began + len(nudge))
        ids += nudge
        stop = ()
        if limit:
            # s1's code lets no round begin with an end (min_tokens=1); its text and README say nothing of it.
            suppress = bool(rounds) and (not nudge or budget.scope == "per_segment")
            done = yield Request(kept, tuple(ids[kept:]), limit, marks.ends, suppress)
            ids += done.said
            kept, stop = len(ids), done.stop
        rounds.append((len(ids) - began, stop))
        room = budget.max_thinking - (len(ids) if budget.scope == "total" else 0)
        if not stop or len(rounds) > budget.num_ignore or len(marks.nudge) > room:
            break
        nudge = marks.nudge
    num_thinking, capped = len(ids), not stop
    closing, closed_at = _closing(ids, budget, marks, capped)
    spots += range(num_thinking, num_thinking + len(closing))
    done = yield Request(kept, (*ids[kept:], *closing), budget.max_answer, marks.answer_ends, False)
    return Sample(
        [*ids, *closing, *done.ids],
        tuple(spots),
        num_thinking,
        len(done.ids),
        len(rounds) - 1,
        tuple(rounds),
        capped,
        closed_at,
        "stop" if done.stop else "length",
    )


def _closing(thinking, budget, marks, capped):
    """Return what closes the thinking, and where in the sample the answer delimiter then is. s1's code forces the
    final-answer prefix only when the cap bit (s1, vllm_causallms.py L401-409); force_answer=always gives an untrained base
    the same help at a natural end."""
    line = () if not thinking or thinking[-1] == marks.newline else (marks.newline,)
    always = (
        capped or budget.force_answer == "always" or not marks.answer
    )  # without a delimiter only the prefix parts them
    return line + tuple(marks.forced_answer if always else marks.answer), len(thinking) + len(line)


def _rejecting(budget, marks):
    """Rejection sampling: thinkings are drawn until one ends under the cap, its end included (s1, section 5.2; vllm_causallms.py
    L286-330). s1 draws without end; here the question stays unanswered after budget.tries."""
    tries = thrown = 0
    while tries < budget.tries:
        done = yield Request(0, (), budget.max_thinking, marks.ends, False)
        tries += 1
        if done.stop:
            break
        thrown += len(done.ids)
    else:
        return Sample([], finish="rejected", tries=tries, thrown=thrown)
    thinking = list(done.said)
    closing, closed_at = _closing(thinking, budget, marks, False)
    answer = yield Request(len(thinking), closing, budget.max_answer, marks.answer_ends, False)
    spots = tuple(range(len(thinking), len(thinking) + len(closing)))
    rounds, ids = ((len(thinking), done.stop),), [*thinking, *closing, *answer.ids]
    finish = "stop" if answer.stop else "length"
    return Sample(
        ids,
        spots,
        len(thinking),
        len(answer.ids),
        0,
        rounds,
        False,
        closed_at,
        finish,
        tries,
        thrown,
    )


def _free(budget, marks):
    """Without forcing: the thinking is prefilled, and nothing else. The model itself writes the answer delimiter, or not."""
    if not marks.answer:  # nothing parts thinking and answer: all of it is the reply
        done = yield Request(
            0, (), budget.max_thinking + budget.max_answer, (marks.turn_end,), False
        )
        return Sample(
            list(done.ids),
            num_answer=len(done.ids),
            closed_at=0,
            finish="stop" if done.stop else "length",
        )
    done = yield Request(0, (), budget.max_thinking, (marks.answer, marks.turn_end), False)
    ids, stop, thinking = done.ids, done.stop, done.said
    rounds = ((len(thinking), stop),)
    if stop != marks.answer:
        return Sample(
            list(ids), (), len(thinking), 0, 0, rounds, not stop, None, "stop" if stop else "length"
        )
    done = yield Request(len(ids), (), budget.max_answer, (marks.turn_end,), False)
    return Sample(
        [*ids, *done.ids],
        (),
        len(thinking),
        len(done.ids),
        0,
        rounds,
        False,
        len(thinking),
        "stop" if done.stop else "length",
    )


def stop_of(sampled, stops):
    """Return the longest of `stops` that the sampled tokens end with, or ()."""
    return max(
        (s for s in stops if s and tuple(sampled[-len(s) :]) == tuple(s)), key=len, default=()
    )


def common(one, other):
    """Return how many leading tokens two sequences have in common."""
    return next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


def barred(sampled, stops):
    """Return the tokens that would make what is sampled a stop and nothing else: what `Request.suppress` forbids next."""
    return sorted({s[-1] for s in stops if tuple(sampled) == tuple(s[:-1])})


def check_room(budget, marks, longest_prompt, context):
    """Raise UserError when prompt, thinking and answer do not fit the context together. Nothing is ever cut off instead."""
    closing = 0 if budget.force_answer == "never" else len(marks.forced_answer) + 1
    need = longest_prompt + budget.most_thinking + closing + budget.max_answer
    if need > context:
        rounds = budget.most_thinking // budget.max_thinking if budget.max_thinking else 1
        most = (context - need + budget.most_thinking) // rounds
        raise UserError(
            f"budget.max_thinking={budget.max_thinking} leaves no room for an answer: the longest prompt has "
            f"{longest_prompt} tokens, closing and answer take {closing + budget.max_answer}, model.context is "
            f"{context}; give at most {most}"
            if most >= 0
            else f"the longest prompt has {longest_prompt} tokens, which with an answer of {budget.max_answer} do not fit "
            f"model.context={context}; take a shorter prompt or lower budget.max_answer"
        )
