"""Budget forcing, specified: which token a sample gets, given what the model proposes and what the budget says.

Here a token is a character. The thinking ends with ">" or "<", a line with "/", the answer delimiter is "A", the
final-answer prefix is "F:", and the nudge is "W".
"""
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder import budget as budgets
from ponder.budget import Budget, Marks
from ponder.config import ConfigError


def marks(nudge="W", answer="A"):
    return Marks(frozenset("<>"), "/", tuple(nudge), tuple(answer), tuple(answer + "F:"))


def budget(max_thinking=8, num_ignore=0, max_answer=4, force_answer="capped", nudge="W"):
    return Budget("test", max_thinking, num_ignore, nudge, max_answer, force_answer)


def play(rule, proposals, signs=None):
    """Return the finished sample of a stream of proposals; the stream may be longer than what is needed."""
    signs = signs or marks(rule.nudge)
    sample = budgets.start(rule, signs)
    for token in proposals:
        if sample.phase == "done":
            break
        got = budgets.advance(sample, token, rule, signs)
        assert got == sample.ids[-1]
    return sample


# "." is a proposal that a forced token replaces. "^" under a token of the sample says that it was forced.
# Columns: the budget, the proposals, the sample, its forced tokens, (thinking, answer, ignored) counts,
# capped, finish, closed_at.
TABLE = {
    "the thinking ends by itself, inside a line":
        (budget(), "abc>.7>", "abc/A7>", "   ^^  ", (3, 2, 0), False, "stop", 4),
    "the thinking ends by itself, after a line":
        (budget(), "ab/>7>", "ab/A7>", "   ^  ", (3, 2, 0), False, "stop", 3),
    "the other delimiter ends it as well":
        (budget(), "abc<.7>", "abc/A7>", "   ^^  ", (3, 2, 0), False, "stop", 4),
    "the cap bites inside a line":
        (budget(3), "abc....7>", "abc/AF:7>", "   ^^^^  ", (3, 2, 0), True, "stop", 4),
    "the cap bites after a line, and no second newline is forced":
        (budget(3), "ab/...7>", "ab/AF:7>", "   ^^^  ", (3, 2, 0), True, "stop", 3),
    "an end one token before the cap is natural":
        (budget(4), "abc>.7>", "abc/A7>", "   ^^  ", (3, 2, 0), False, "stop", 4),
    "an end where the cap bites comes too late":
        (budget(3), "abc>...7>", "abc/AF:7>", "   ^^^^  ", (3, 2, 0), True, "stop", 4),
    "cap 0 answers at once":
        (budget(0), "...7>", "AF:7>", "^^^  ", (0, 2, 0), True, "stop", 0),
    "cap 0 ignores no end":
        (budget(0, num_ignore=2), "...7>", "AF:7>", "^^^  ", (0, 2, 0), True, "stop", 0),
    "an end at once leaves an empty trace":
        (budget(), ">7>", "A7>", "^  ", (0, 2, 0), False, "stop", 0),
    "Wait once":
        (budget(num_ignore=1), "ab>c>.7>", "abWc/A7>", "  ^ ^^  ", (4, 2, 1), False, "stop", 5),
    "Wait twice":
        (budget(num_ignore=2), "a>b>c>.7>", "aWbWc/A7>", " ^ ^ ^^  ", (5, 2, 2), False, "stop", 6),
    "Wait at the very start":
        (budget(num_ignore=1), ">a>.7>", "Wa/A7>", "^ ^^  ", (2, 2, 1), False, "stop", 3),
    "a nudge of several tokens":
        (budget(num_ignore=1, nudge="/Wa"), "a>..b>.7>", "a/Wab/A7>", " ^^^ ^^  ", (5, 2, 1), False, "stop", 6),
    "an end proposed while a nudge is forced is not an end":
        (budget(num_ignore=1, nudge="Wa"), "a>>b>.7>", "aWab/A7>", " ^^ ^^  ", (4, 2, 1), False, "stop", 5),
    "an end right after the nudge ends it":
        (budget(num_ignore=1), "a>>.7>", "aW/A7>", " ^^^  ", (2, 2, 1), False, "stop", 3),
    "an end right after the nudge is ignored while ends are":
        (budget(num_ignore=2), "a>>>.7>", "aWW/A7>", " ^^^^  ", (3, 2, 2), False, "stop", 4),
    "a nudge that does not fit under the cap is left out":
        (budget(4, num_ignore=1, nudge="Wx"), "abc>.7>", "abc/A7>", "   ^^  ", (3, 2, 0), False, "stop", 4),
    "a nudge that just fits is capped right after":
        (budget(4, num_ignore=1, nudge="Wx"), "ab>.....7>", "abWx/AF:7>", "  ^^^^^^  ", (4, 2, 1), True, "stop", 5),
    "the cap counts all rounds together":
        (budget(4, num_ignore=1), "ab>c....7>", "abWc/AF:7>", "  ^ ^^^^  ", (4, 2, 1), True, "stop", 5),
    "the answer is cut at its own cap":
        (budget(max_answer=3), "a>.1234", "a/A123", " ^^   ", (1, 3, 0), False, "length", 2),
    "an end as the last answer token is a stop":
        (budget(max_answer=3), "a>.12>", "a/A12>", " ^^   ", (1, 3, 0), False, "stop", 2),
    "an answer may be empty":
        (budget(), "a>.>", "a/A>", " ^^ ", (1, 1, 0), False, "stop", 2),
    "a new turn in the answer ends it":
        (budget(num_ignore=2, max_thinking=3), "abc....7<", "abc/AF:7<", "   ^^^^  ", (3, 2, 0), True, "stop", 4),
    "a capped answer is still cut at its cap, the prefix not counted":
        (budget(1, max_answer=2), "a....1234", "a/AF:12", " ^^^^  ", (1, 2, 0), True, "length", 2),
    "force_answer=always forces the prefix at a natural end":
        (budget(force_answer="always"), "abc>...7>", "abc/AF:7>", "   ^^^^  ", (3, 2, 0), False, "stop", 4),
    "force_answer=always changes nothing at the cap":
        (budget(3, force_answer="always"), "abc....7>", "abc/AF:7>", "   ^^^^  ", (3, 2, 0), True, "stop", 4),
}


@pytest.mark.parametrize("case", TABLE)
def test_a_budget_forces_these_tokens(case):
    rule, proposals, ids, forced, counters, capped, finish, closed_at = TABLE[case]
    sample = play(rule, proposals)
    assert "".join(sample.ids) == ids
    assert sample.forced == [i for i, mark in enumerate(forced) if mark == "^"]
    assert (sample.num_thinking, sample.num_answer, sample.num_ignored) == counters
    assert (sample.capped, sample.finish, sample.closed_at, sample.phase) == (capped, finish, closed_at, "done")


def test_wait_is_not_added_after_the_cap():
    sample = play(budget(3, num_ignore=5), "abc>>>>>>>>>")
    assert sample.num_ignored == 0 and "W" not in sample.ids


PLAIN = {    # the untrained base: no answer delimiter, only the prefix
    "inside a line": ("ab>..7>", "ab/F:7>", [2, 3, 4], 3),
    "after a line": ("a/>.7>", "a/F:7>", [2, 3], 2),
}


@pytest.mark.parametrize("case", PLAIN)
def test_without_an_answer_delimiter_the_prefix_is_what_follows_the_thinking(case):
    proposals, ids, forced, closed_at = PLAIN[case]
    sample = play(budget(force_answer="always"), proposals, marks(answer=""))
    assert ("".join(sample.ids), sample.forced, sample.closed_at) == (ids, forced, closed_at)


def test_without_an_answer_delimiter_and_a_prefix_every_token_is_still_thinking_answer_or_forced():
    sample = play(budget(), "a/>7>>>>>>>", marks(answer=""))
    assert len(sample.ids) == sample.num_thinking + sample.num_answer + len(sample.forced)


BUDGETS = st.builds(Budget, st.just("test"), st.integers(0, 12), st.integers(0, 3),
                    st.sampled_from(["W", "Wait", "/W"]), st.integers(1, 5), st.sampled_from(["capped", "always"]))


@given(BUDGETS, st.lists(st.sampled_from("abc/<>>>A"), max_size=60), st.sampled_from("a>/"))
def test_every_stream_of_proposals_ends_within_its_budget(rule, stream, rest):
    signs = marks(rule.nudge)
    sample = play(rule, itertools.chain(stream, itertools.repeat(rest, 60)), signs)
    longest = rule.max_thinking + 1 + len(signs.forced_answer) + rule.max_answer
    assert sample.phase == "done" and len(sample.ids) <= longest
    assert sample.num_thinking <= rule.max_thinking
    assert 1 <= sample.num_answer <= rule.max_answer
    assert sample.num_ignored <= rule.num_ignore
    assert sample.forced == sorted(set(sample.forced)) and all(0 <= at < len(sample.ids) for at in sample.forced)
    newline = sample.closed_at > sample.num_thinking
    assert sample.num_thinking == sample.closed_at - newline
    assert not newline or (sample.ids[sample.closed_at - 1] == "/" and sample.closed_at - 1 in sample.forced)
    assert not set(sample.ids[:sample.closed_at]) & signs.ends
    assert sample.ids[sample.closed_at] == "A"
    helped = sample.capped or rule.force_answer == "always"
    assert ("".join(sample.ids[sample.closed_at:]).startswith("AF:")) >= helped
    assert not sample.capped or sample.num_thinking == rule.max_thinking
    assert (sample.finish == "stop") == (sample.ids[-1] in signs.ends)


@given(BUDGETS, st.lists(st.sampled_from("abc/<>"), min_size=40, max_size=60))
def test_a_token_that_is_not_forced_is_the_proposed_one(rule, stream):
    sample = play(rule, [*stream, *">" * 60])
    proposals = [*stream, *">" * 60][:len(sample.ids)]
    assert all(got == asked for at, (got, asked) in enumerate(zip(sample.ids, proposals)) if at not in sample.forced)


@pytest.mark.parametrize("change, word", [
    ({"max_thinking": -1}, "max_thinking"), ({"num_ignore": -1}, "num_ignore"), ({"max_answer": 0}, "max_answer"),
    ({"force_answer": "never"}, "capped, always"), ({"num_ignore": 1, "nudge": ""}, "nudge")])
def test_a_budget_that_can_not_work_is_refused(change, word):
    with pytest.raises(ConfigError, match=word):
        budget(**change)
