"""Budget forcing, specified: which tokens a sample gets, given what the model and the budget say.

Here a token is a character. The thinking ends with ">" (the delimiter that opens an answer) or "<"
(the end of turn), a line with "/", the answer delimiter is "A", the final-answer prefix is "F:",
and the nudge is "W".
"""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder import config
from ponder.chat import Marks
from ponder.decode import budget as budgets
from ponder.decode.budget import Budget, Completion
from ponder.errors import UserError

ENDS = ((">",), ("<",))


def marks(nudge="W", answer="A", ends=ENDS):
    return Marks(ends, ENDS, ("<",), "/", tuple(nudge), tuple(answer), tuple(answer + "F:"))


def budget(
    max_thinking=8,
    num_ignore=0,
    nudge="W",
    max_answer=4,
    force_answer="capped",
    scope="total",
    tries=1,
):
    return Budget("test", max_thinking, num_ignore, nudge, max_answer, force_answer, scope, tries)


def complete(request, stream):
    """Return the Completion of a model that would go on with `stream`."""
    sampled = []
    for token in stream:
        if request.suppress and token in budgets.tokens_to_suppress(sampled, request.stops):
            continue
        sampled.append(token)
        if stop := budgets.stop_of(sampled, request.stops):
            return Completion(tuple(sampled), tuple(stop))
        if len(sampled) == request.limit:
            return Completion(tuple(sampled), ())
    raise AssertionError(f"the model of this test should go on: {sampled} of {request.limit}")


def play(rule, texts, signs=None):
    """Return (sample, requests) of a model that goes on with the next of `texts` at each request.

    A request stands beside the row's tokens when it was made.
    """
    row = budgets.forced(rule, signs or marks(rule.nudge))
    upcoming, requests, ids, completion = iter(texts), [], [], None
    while True:
        try:
            request = row.send(completion)
        except StopIteration as end:
            return end.value, requests
        ids = [*ids[: request.keep], *request.ids]
        completion = complete(request, next(upcoming))
        requests.append((request, "".join(ids)))
        ids += completion.ids


# What the model would say at each request; "^" under a token of the sample says that it was forced.
# Columns: the budget, the texts that the model would say, the sample, its forced tokens, (thinking,
# answer, ignored) counts, capped, finish, closed_at.
TABLE = {
    "the thinking ends by itself, inside a line": (
        budget(),
        ["abc>", "7>"],
        "abc/A7>",
        "   ^^  ",
        (3, 2, 0),
        False,
        "stop",
        4,
    ),
    "the thinking ends by itself, after a line": (
        budget(),
        ["ab/>", "7>"],
        "ab/A7>",
        "   ^  ",
        (3, 2, 0),
        False,
        "stop",
        3,
    ),
    "the end of turn ends it as well": (
        budget(),
        ["abc<", "7>"],
        "abc/A7>",
        "   ^^  ",
        (3, 2, 0),
        False,
        "stop",
        4,
    ),
    "the cap bites inside a line": (
        budget(3),
        ["abcdefg", "7>"],
        "abc/AF:7>",
        "   ^^^^  ",
        (3, 2, 0),
        True,
        "stop",
        4,
    ),
    "the cap bites after a line, and no second newline is forced": (
        budget(3),
        ["ab/cdef", "7>"],
        "ab/AF:7>",
        "   ^^^  ",
        (3, 2, 0),
        True,
        "stop",
        3,
    ),
    "an end one token before the cap is natural": (
        budget(4),
        ["abc>", "7>"],
        "abc/A7>",
        "   ^^  ",
        (3, 2, 0),
        False,
        "stop",
        4,
    ),
    "an end where the cap bites comes too late": (
        budget(3),
        ["abc>", "7>"],
        "abc/AF:7>",
        "   ^^^^  ",
        (3, 2, 0),
        True,
        "stop",
        4,
    ),
    "cap 0 answers at once": (budget(0), ["7>"], "AF:7>", "^^^  ", (0, 2, 0), True, "stop", 0),
    "cap 0 ignores no end": (
        budget(0, num_ignore=2),
        ["7>"],
        "AF:7>",
        "^^^  ",
        (0, 2, 0),
        True,
        "stop",
        0,
    ),
    "an end at once leaves an empty trace": (
        budget(),
        [">", "7>"],
        "A7>",
        "^  ",
        (0, 2, 0),
        False,
        "stop",
        0,
    ),
    "a model that never ends its thinking is capped": (
        budget(5),
        ["a" * 99, "7>"],
        "aaaaa/AF:7>",
        "     ^^^^  ",
        (5, 2, 0),
        True,
        "stop",
        6,
    ),
    "a model that never ends anything is cut twice": (
        budget(5),
        ["a" * 99, "b" * 99],
        "aaaaa/AF:bbbb",
        "     ^^^^    ",
        (5, 4, 0),
        True,
        "length",
        6,
    ),
    "a model that ends at once, whatever it is asked": (
        budget(num_ignore=2),
        [">", ">", ">", ">"],
        "WW/A>",
        "^^^^ ",
        (2, 1, 2),
        False,
        "stop",
        3,
    ),
    "delimiters as plain text are thinking": (
        budget(),
        ["(a)F:>", "7>"],
        "(a)F:/A7>",
        "     ^^  ",
        (5, 2, 0),
        False,
        "stop",
        6,
    ),
    "Wait once": (
        budget(num_ignore=1),
        ["ab>", "c>", "7>"],
        "abWc/A7>",
        "  ^ ^^  ",
        (4, 2, 1),
        False,
        "stop",
        5,
    ),
    "Wait twice": (
        budget(num_ignore=2),
        ["a>", "b>", "c>", "7>"],
        "aWbWc/A7>",
        " ^ ^ ^^  ",
        (5, 2, 2),
        False,
        "stop",
        6,
    ),
    "another string": (
        budget(num_ignore=1, nudge="Hmm"),
        ["a>", "b>", "7>"],
        "aHmmb/A7>",
        " ^^^ ^^  ",
        (5, 2, 1),
        False,
        "stop",
        6,
    ),
    "Wait at the very start": (
        budget(num_ignore=1),
        [">", "a>", "7>"],
        "Wa/A7>",
        "^ ^^  ",
        (2, 2, 1),
        False,
        "stop",
        3,
    ),
    "a nudge of several tokens": (
        budget(num_ignore=1, nudge="/Wa"),
        ["a>", "b>", "7>"],
        "a/Wab/A7>",
        " ^^^ ^^  ",
        (5, 2, 1),
        False,
        "stop",
        6,
    ),
    "an end right after the nudge ends it": (
        budget(num_ignore=1),
        ["a>", ">", "7>"],
        "aW/A7>",
        " ^^^  ",
        (2, 2, 1),
        False,
        "stop",
        3,
    ),
    "an end right after the nudge is ignored while ends are": (
        budget(num_ignore=2),
        ["a>", ">", ">", "7>"],
        "aWW/A7>",
        " ^^^^  ",
        (3, 2, 2),
        False,
        "stop",
        4,
    ),
    "a nudge that does not fit under the cap is left out": (
        budget(4, num_ignore=1, nudge="Wx"),
        ["abc>", "7>"],
        "abc/A7>",
        "   ^^  ",
        (3, 2, 0),
        False,
        "stop",
        4,
    ),
    "a nudge that just fits is capped right after": (
        budget(4, num_ignore=1, nudge="Wx"),
        ["ab>", "7>"],
        "abWx/AF:7>",
        "  ^^^^^^  ",
        (4, 2, 1),
        True,
        "stop",
        5,
    ),
    "the cap counts all rounds together": (
        budget(4, num_ignore=1),
        ["ab>", "cdef", "7>"],
        "abWc/AF:7>",
        "  ^ ^^^^  ",
        (4, 2, 1),
        True,
        "stop",
        5,
    ),
    "a round that the cap ends is the last, however many are left": (
        budget(4, num_ignore=9),
        ["ab>", "cdef", "7>"],
        "abWc/AF:7>",
        "  ^ ^^^^  ",
        (4, 2, 1),
        True,
        "stop",
        5,
    ),
    "per segment, each round has the whole cap": (
        budget(3, num_ignore=1, scope="per_segment"),
        ["ab>", "cd>", "7>"],
        "abWcd/AF:7>",
        "  ^  ^^^^  ",
        (5, 2, 1),
        True,
        "stop",
        6,
    ),
    "per segment, the nudge counts for the round that it begins": (
        budget(4, num_ignore=1, scope="per_segment"),
        ["abc>", "de>", "7>"],
        "abcWde/A7>",
        "   ^  ^^  ",
        (6, 2, 1),
        False,
        "stop",
        7,
    ),
    "per segment, no round begins with an end": (
        budget(4, num_ignore=1, scope="per_segment"),
        ["a>", ">b>", "7>"],
        "aWb/A7>",
        " ^ ^^  ",
        (3, 2, 1),
        False,
        "stop",
        4,
    ),
    "without a string the end is only not the first token of the next round": (
        budget(num_ignore=1, nudge=""),
        ["a>", ">>b>", "7>"],
        "ab/A7>",
        "  ^^  ",
        (2, 2, 1),
        False,
        "stop",
        3,
    ),
    "without a string, at the very start": (
        budget(num_ignore=1, nudge=""),
        [">", "<a>", "7>"],
        "a/A7>",
        " ^^  ",
        (1, 2, 1),
        False,
        "stop",
        2,
    ),
    "without a string the cap still counts all rounds together": (
        budget(3, num_ignore=1, nudge=""),
        ["ab>", "cd", "7>"],
        "abc/AF:7>",
        "   ^^^^  ",
        (3, 2, 1),
        True,
        "stop",
        4,
    ),
    "the answer is cut at its own cap": (
        budget(max_answer=3),
        ["a>", "1234"],
        "a/A123",
        " ^^   ",
        (1, 3, 0),
        False,
        "length",
        2,
    ),
    "an end as the last answer token is a stop": (
        budget(max_answer=3),
        ["a>", "12>"],
        "a/A12>",
        " ^^   ",
        (1, 3, 0),
        False,
        "stop",
        2,
    ),
    "an answer may be empty": (budget(), ["a>", ">"], "a/A>", " ^^ ", (1, 1, 0), False, "stop", 2),
    "a new turn in the answer ends it, and Wait does not come there": (
        budget(3, num_ignore=2),
        ["abcd", "7<"],
        "abc/AF:7<",
        "   ^^^^  ",
        (3, 2, 0),
        True,
        "stop",
        4,
    ),
    "a capped answer is cut at its own cap, the prefix not counted": (
        budget(1, max_answer=2),
        ["abc", "1234"],
        "a/AF:12",
        " ^^^^  ",
        (1, 2, 0),
        True,
        "length",
        2,
    ),
    "force_answer=always forces the prefix at a natural end": (
        budget(force_answer="always"),
        ["abc>", "7>"],
        "abc/AF:7>",
        "   ^^^^  ",
        (3, 2, 0),
        False,
        "stop",
        4,
    ),
    "force_answer=always changes nothing at the cap": (
        budget(3, force_answer="always"),
        ["abcd", "7>"],
        "abc/AF:7>",
        "   ^^^^  ",
        (3, 2, 0),
        True,
        "stop",
        4,
    ),
    "without forcing the model writes the delimiter itself, or goes on": (
        budget(4, force_answer="never"),
        ["ab/A", "7<"],
        "ab/A7<",
        "      ",
        (3, 2, 0),
        False,
        "stop",
        3,
    ),
    "without forcing, and without an answer": (
        budget(5, force_answer="never"),
        ["ab>c<"],
        "ab>c<",
        "     ",
        (4, 0, 0),
        False,
        "stop",
        None,
    ),
    "without forcing a model that never ends its thinking has no answer": (
        budget(4, force_answer="never"),
        ["a" * 99],
        "aaaa",
        "    ",
        (4, 0, 0),
        True,
        "length",
        None,
    ),
    "without forcing an answer may be cut": (
        budget(2, force_answer="never"),
        ["aA", "12345"],
        "aA1234",
        "      ",
        (1, 4, 0),
        False,
        "length",
        1,
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_a_budget_forces_these_tokens(case):
    rule, texts, ids, forced, counters, capped, finish, closed_at = TABLE[case]
    sample, requests = play(rule, texts)
    assert len(requests) == len(texts), "each of the texts should be asked for"
    assert "".join(sample.ids) == ids
    assert sample.forced == tuple(i for i, mark in enumerate(forced) if mark == "^")
    assert (sample.num_thinking, sample.num_answer, sample.num_ignored) == counters
    assert (sample.capped, sample.finish, sample.closed_at) == (capped, finish, closed_at)


LONG = {  # the end is "</t>", and only that
    "an end of several tokens": (budget(), ["ab</t>", "7>"], "ab/A7>", (2, 2, 0), False),
    "one that begins as another does": (
        budget(9),
        ["a</x</t>", "7>"],
        "a</x/A7>",
        (4, 2, 0),
        False,
    ),
    "Wait in place of it": (
        budget(9, num_ignore=1),
        ["a</t>", "b</t>", "7>"],
        "aWb/A7>",
        (3, 2, 1),
        False,
    ),
    "cut by the cap it is thinking": (budget(4), ["ab</t>", "7>"], "ab</AF:7>", (4, 2, 0), True),
    "its last token at the cap still ends it": (
        budget(6),
        ["ab</t>", "7>"],
        "ab/A7>",
        (2, 2, 0),
        False,
    ),
    "without a string it is not what the next round begins with": (
        budget(9, num_ignore=1, nudge=""),
        ["a</t>", "</t>b</t>", "7>"],
        "a</tb/A7>",
        (5, 2, 1),
        False,
    ),
    "an end that would begin in the nudge is none": (
        budget(10, num_ignore=1, nudge="W<"),
        ["a</t>", "/t></t>", "7>"],
        "aW</t>/A7>",
        (6, 2, 1),
        False,
    ),
}


@pytest.mark.parametrize("case", LONG)
def test_an_end_may_have_several_tokens(case):
    rule, texts, ids, counters, capped = LONG[case]
    sample, _ = play(rule, texts, marks(rule.nudge, ends=(tuple("</t>"),)))
    assert "".join(sample.ids) == ids
    assert (sample.num_thinking, sample.num_answer, sample.num_ignored, sample.capped) == (
        *counters,
        capped,
    )


def test_of_two_ends_the_longer_is_taken_off():
    sample, _ = play(budget(), ["ab</t>", "7>"], marks(ends=((">",), tuple("</t>"))))
    assert "".join(sample.ids) == "ab/A7>" and sample.rounds == ((2, tuple("</t>")),)


PLAIN = {  # the untrained base: no answer delimiter, only the prefix
    "inside a line": (["ab>", "7>"], "ab/F:7>", (2, 3, 4), 3),
    "after a line": (["a/>", "7>"], "a/F:7>", (2, 3), 2),
}


@pytest.mark.parametrize("case", PLAIN)
def test_without_an_answer_delimiter_the_prefix_is_what_follows_the_thinking(case):
    texts, ids, forced, closed_at = PLAIN[case]
    for force_answer in ("always", "capped"):
        sample, _ = play(budget(force_answer=force_answer), texts, marks(answer=""))
        assert ("".join(sample.ids), sample.forced, sample.closed_at) == (ids, forced, closed_at)


def test_without_forcing_and_without_a_delimiter_everything_is_the_reply():
    sample, _ = play(budget(force_answer="never"), ["abc<"], marks(answer=""))
    assert (sample.closed_at, sample.num_thinking, sample.num_answer, sample.forced) == (
        0,
        0,
        4,
        (),
    )


def test_wait_is_not_added_after_the_cap():
    sample, _ = play(budget(3, num_ignore=5), ["abc>", ">"])
    assert sample.num_ignored == 0 and "W" not in sample.ids


# --- the faults of s1's harness (its budget forcing, vllm_causallms.py) -------------------


def test_fault_3_4_a_no_round_gets_more_than_what_is_left_and_a_cut_row_is_closed_with_the_prefix():
    """There each round got the whole cap.

    The overflow was cut later, from the ids alone, and closed as a natural end.
    """
    sample, requests = play(budget(6, num_ignore=2), ["abc>", "de>", "7>"])
    assert [request.limit for request, _ in requests] == [6, 2, 4]
    assert "".join(sample.ids) == "abcWde/AF:7>" and sample.num_thinking == 6 and sample.capped
    assert requests[-1][1] == "abcWde/AF:", (
        "what the answer is made from is what is counted and recorded"
    )


def test_fault_3_4_b_a_round_with_no_row_left_is_not_asked_for():
    """There an empty request raised once all rows were done before the last round.

    See also tests/test_hf.py.
    """
    _, requests = play(budget(3, num_ignore=5), ["abcd", "7>"])
    assert len(requests) == 2


def test_fault_3_4_c_an_end_of_turn_in_the_thinking_is_told_apart_from_the_end_of_thinking():
    """There both counted as the same end.

    Here Wait replaces both too, but each round says which one it was.
    """
    sample, _ = play(budget(num_ignore=2), ["a<", "b>", "c<", "7>"])
    assert "".join(sample.ids) == "aWbWc/A7>" and sample.num_ignored == 2
    assert sample.rounds == ((1, ("<",)), (2, (">",)), (2, ("<",)))


def test_fault_3_4_d_an_empty_trace_is_closed_without_looking_at_its_last_character():
    for rule in (budget(), budget(0), budget(force_answer="always")):
        sample, _ = play(rule, [">", "7>"] if rule.max_thinking else ["7>"])
        assert sample.ids[0] == "A" and sample.closed_at == sample.num_thinking == 0


def test_fault_3_4_f_what_does_not_fit_the_context_is_refused_and_nothing_is_cut_off():
    signs = marks()
    budgets.check_room(budget(10, max_answer=5), signs, longest_prompt=20, context=20 + 10 + 4 + 5)
    with pytest.raises(UserError, match="leaves no room for an answer.*give at most 9$"):
        budgets.check_room(
            budget(10, max_answer=5), signs, longest_prompt=20, context=20 + 10 + 4 + 4
        )
    with pytest.raises(UserError, match="give at most 9$"):
        budgets.check_room(
            budget(10, num_ignore=2, scope="per_segment"),
            signs,
            longest_prompt=0,
            context=30 + 4 + 3,
        )
    with pytest.raises(UserError, match="take a shorter prompt"):
        budgets.check_room(budget(10, max_answer=5), signs, longest_prompt=100, context=100)


def test_fault_3_4_h_there_is_one_rule_for_what_ends_a_round_and_what_is_left_for_the_next():
    """There the harness and the README's example differ.

    One subtracts what was used, and they stop on other tokens.
    """
    _, requests = play(budget(9, num_ignore=2), ["ab<", "c>", "d>", "7>"])
    thinking = [request for request, _ in requests[:-1]]
    assert [request.limit for request in thinking] == [9, 6, 4]
    assert {request.stops for request in thinking} == {ENDS}


# --- rules that hold for everything a model may say ---------------------------------------

BUDGETS = st.builds(
    Budget,
    st.just("test"),
    st.integers(0, 12),
    st.integers(0, 3),
    st.sampled_from(["W", "Wait", "/W", ""]),
    st.integers(1, 5),
    st.sampled_from(["capped", "always"]),
    st.sampled_from(["total", "per_segment"]),
)
STREAMS = st.lists(st.text("abc/<>>>A", max_size=40), min_size=5, max_size=5)


def endless(texts):
    return [text + "a" * 40 for text in texts]


@given(BUDGETS, STREAMS)
def test_whatever_is_said_a_sample_keeps_to_its_budget(rule, texts):
    signs = marks(rule.nudge)
    sample, _ = play(rule, endless(texts), signs)
    assert sample.num_thinking <= rule.most_thinking and (rule.scope == "total") <= (
        sample.num_thinking <= rule.max_thinking
    )
    assert 1 <= sample.num_answer <= rule.max_answer and sample.num_ignored <= rule.num_ignore
    assert len(sample.rounds) == sample.num_ignored + 1
    assert sum(tokens for tokens, _ in sample.rounds) == sample.num_thinking
    assert sample.forced == tuple(sorted(set(sample.forced))) and all(
        0 <= at < len(sample.ids) for at in sample.forced
    )
    newline = sample.closed_at > sample.num_thinking
    assert sample.num_thinking == sample.closed_at - newline
    assert not newline or (
        sample.ids[sample.closed_at - 1] == "/" and sample.closed_at - 1 in sample.forced
    )
    assert not set(sample.ids[: sample.closed_at]) & {"<", ">"}
    assert sample.ids[sample.closed_at] == "A"
    helped = sample.capped or rule.force_answer == "always"
    assert "".join(sample.ids[sample.closed_at :]).startswith("AF:") >= helped
    assert not sample.capped or rule.scope != "total" or sample.num_thinking == rule.max_thinking
    assert (sample.finish == "stop") == (sample.ids[-1] in "<>")


@given(BUDGETS, STREAMS)
def test_a_token_that_is_not_forced_is_what_the_model_said_and_the_others_are_not(rule, texts):
    signs = marks(rule.nudge)
    row = budgets.forced(rule, signs)
    upcoming, ids, sampled, completion = iter(endless(texts)), [], {}, None
    while True:
        try:
            request = row.send(completion)
        except StopIteration as end:
            sample = end.value
            break
        ids = [*ids[: request.keep], *request.ids]
        completion = complete(request, next(upcoming))
        sampled |= {len(ids) + i: token for i, token in enumerate(completion.content)}
        ids += completion.ids
    assert sample.ids == ids
    tail = 1 if sample.finish == "stop" else 0
    assert set(sampled) == set(range(len(sample.ids) - tail)) - set(sample.forced)
    assert all(sample.ids[at] == token for at, token in sampled.items())
    assert all(sample.ids[at] in (*signs.nudge, *signs.forced_answer, "/") for at in sample.forced)


@pytest.mark.parametrize(
    "change, word",
    [
        ({"max_thinking": -1}, "max_thinking"),
        ({"num_ignore": -1}, "num_ignore"),
        ({"max_answer": 0}, "max_answer"),
        ({"force_answer": "sometimes"}, "budget.force_answer .*capped, always, never"),
        ({"scope": "round"}, "budget.scope .*total, per_segment"),
        ({"force_answer": "never", "num_ignore": 1}, "num_ignore=1 forces tokens"),
        ({"force_answer": "never", "max_thinking": 0}, "give at least 1"),
    ],
)
def test_a_budget_that_can_not_work_is_refused(change, word):
    with pytest.raises(UserError, match=word):
        config.build(Budget, {**dataclasses.asdict(budget()), **change}, "budget")


# --- rejection sampling ----------------------------------------------------------------


def test_a_thinking_that_hits_the_cap_is_thrown_away_and_drawn_again():
    sample, requests = play(budget(3, tries=3), ["abcd", "efgh", "ab>", "7>"])
    assert "".join(sample.ids) == "ab/A7>" and sample.forced == (2, 3) and sample.closed_at == 3
    assert (sample.tries, sample.thrown, sample.capped, sample.num_thinking) == (3, 6, False, 2)
    assert [held for _, held in requests] == ["", "", "", "ab/A"], (
        "what was thrown away is not read again"
    )


def test_a_thinking_is_accepted_when_its_end_too_lies_under_the_cap():
    """The stop token counts (s1, vllm_causallms.py L286-330)."""
    assert play(budget(3, tries=2), ["ab>", "7>"])[0].tries == 1
    assert play(budget(3, tries=2), ["abc>", "a>", "7>"])[0].tries == 2


def test_after_the_last_try_the_question_stays_unanswered():
    sample, requests = play(budget(3, tries=2), ["abcd", "efgh"])
    assert (sample.ids, sample.finish, sample.tries, sample.thrown, sample.closed_at) == (
        [],
        "rejected",
        2,
        6,
        None,
    )
    assert len(requests) == 2


@pytest.mark.parametrize(
    "changes", [{"num_ignore": 1}, {"force_answer": "never"}, {"max_thinking": 0}]
)
def test_rejection_goes_with_no_other_forcing(changes):
    with pytest.raises(UserError, match="budget.tries=2"):
        budget(tries=2, **changes)


def test_no_tries_at_all_are_refused():
    with pytest.raises(UserError, match="tries"):
        budget(tries=0)
