"""What any decoding obeys: the rule of its budget, and one token for one context. A model of chance
answers under every kind of budget, and no check finds fault; then one token is changed.
"""

import dataclasses
import hashlib
import itertools
from pathlib import Path

import pytest
from conftest import answered

from ponder.audit import prompts, ties
from ponder.chat import Marks
from ponder.decode import budget as budgets
from ponder.decode.budget import Budget
from ponder.rows import SampleRow, required

START, STOP, NEWLINE = 1, 2, 3
ANSWER, FINAL, ZERO = (START, 4, NEWLINE), (5, 6), (7,)
KINDS = {
    "free": {},
    "cap": {"max_thinking": 5},
    "nothing": {"max_thinking": 0},
    "always": {"force_answer": "always"},
    "wait": {"num_ignore": 2},
    "wait under a cap": {"num_ignore": 3, "max_thinking": 9},
    "nothing in place of the end": {"num_ignore": 2, "nudge": ""},
    "each round": {"num_ignore": 2, "max_thinking": 6, "scope": "per_segment"},
    "unforced": {"force_answer": "never"},
    "drawn again": {"tries": 3, "max_thinking": 6},
}


def budget(**changes):
    """A Budget that differs from the plainest in some values."""
    plain = {"name": "b", "max_thinking": 24, "num_ignore": 0, "nudge": "Wait", "max_answer": 4}
    return Budget(**plain | {"force_answer": "capped", "scope": "total"} | changes)


def template(counted=False, answer=ANSWER, nudge=(8, 9)):
    """The Template of a model whose tokens are small numbers."""
    ends = ((START,), (STOP,))
    if counted:
        ends = (answer, (START, *ZERO), (STOP,))
    return prompts.Template(Path(), START, STOP, NEWLINE, (START,), answer, FINAL, nudge, ends)


def marks(known):
    """The Marks of the same model, as forcing knows them."""
    return Marks(
        ends=known.thinking_ends,
        answer_ends=((START,), (STOP,)),
        turn_end=(STOP,),
        newline=NEWLINE,
        nudge=known.nudge,
        answer=known.answer,
        forced_answer=known.answer + known.final,
    )


def sample(seed, chosen, known):
    """What a model of chance answers under a budget, as a row of samples.jsonl."""

    def say(held, sampled, barred):
        context = f"{seed} {[*held, *sampled]}".encode()
        order = sorted(range(1, 12), key=lambda t: hashlib.sha256(context + bytes([t])).hexdigest())
        return next(token for token in order if token not in barred)

    row = budgets.forced(chosen, marks(known))
    fields = dataclasses.asdict(answered(row, say))
    fields = {name: value for name, value in fields.items() if name != "closed_at"}
    fields["forced"] = [*fields["forced"]]
    fields["rounds"] = [[count, [*stop]] for count, stop in fields["rounds"]]
    return SampleRow(**dict.fromkeys(required(SampleRow), "") | fields)


FORMS = [template(), template(counted=True), template(answer=())]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("form", range(len(FORMS)))
def test_what_forcing_makes_breaks_no_rule(name, form):
    chosen = budget(**KINDS[name])
    known = FORMS[form]
    if chosen.nudge == "":
        known = dataclasses.replace(known, nudge=())
    for seed in range(300):
        one = sample(seed, chosen, known)
        broken = list(ties.rule_problems(one, dataclasses.asdict(chosen), known))
        assert broken == [], (one, broken)


@pytest.mark.parametrize("form", range(len(FORMS)))
def test_two_budgets_share_what_they_read_alike(form):
    known = FORMS[form]
    kinds = [kind for name, kind in KINDS.items() if "nothing in" not in name]
    shared = [budget(**kind) for kind in kinds if not {"scope", "tries"} & {*kind}]
    for seed in range(100):
        answers = [sample(seed, chosen, known) for chosen in shared]
        for one, other in itertools.combinations(answers, 2):
            assert ties.parting(one, other) is None, (one, other)


def test_a_token_that_another_run_contradicts_is_found_in_runs_without_rounds_too():
    known, found = template(), 0
    for seed in range(60):
        free, cap = (sample(seed, budget(max_thinking=most), known) for most in (24, 5))
        if cap.num_thinking != 5 or not cap.capped:
            continue
        ids = [*cap.ids]
        ids[2] = 11 if ids[2] != 11 else 10
        forged = dataclasses.replace(cap, ids=ids)
        old = dataclasses.replace(free, rounds=ties.ABSENT)
        assert ties.parting(old, cap) is None
        assert ties.parting(free, forged) == ties.parting(old, forged) == 2
        found += 1
    assert found > 5


def test_a_thinking_that_ended_is_not_the_beginning_of_a_longer_one():
    known = template()
    pairs = [
        [sample(seed, budget(max_thinking=most), known) for most in (24, 20)] for seed in range(40)
    ]
    ended = [pair for pair in pairs if not pair[0].capped and pair[0].num_thinking < 15]
    free, same = ended[0]
    longer = dataclasses.replace(
        same,
        ids=[*same.ids[: same.num_thinking], 9, *same.ids[same.num_thinking :]],
        num_thinking=same.num_thinking + 1,
        rounds=[[same.num_thinking + 1, same.rounds[0][1]]],
        forced=[place + 1 for place in same.forced],
    )
    assert ties.parting(free, longer) == same.num_thinking


def test_only_runs_of_one_kind_of_machine_are_compared(tmp_path, monkeypatch):
    machine = {"cpu": "A", "system": "Linux", "machine": "x86_64", "packages": {"torch": "1"}}
    timing = [{"budgets": 2, "seconds": 1.5}]
    files = {"environment.json": machine, "timing.jsonl": timing}
    monkeypatch.setattr(ties, "read", lambda path: files[path.name])
    config = {"budget": {}}
    cpu = ties.machine_of(tmp_path, config)
    files["environment.json"] = machine | {"torch_cpu_capability": "AVX512", "threads": 9}
    assert ties.machine_of(tmp_path, config) == cpu
    files["environment.json"] = machine | {"cpu": "B"}
    assert ties.machine_of(tmp_path, config) != cpu
    cuda = config | {"hardware": {"device": "cuda"}}
    sweep = ties.machine_of(tmp_path, cuda)
    files["timing.jsonl"] = [{"budgets": 2, "seconds": 1.6}]
    assert ties.machine_of(tmp_path, cuda) != sweep
