"""Replies of servers: where the thinking stands, what is no trace, and that none can do harm."""

import json
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import answer

from ponder.api import replies
from ponder.runs import dump

NASTY = [
    "<think>",
    "</think>",
    "Final Answer:",
    "\ud800",
    "\udc00",
    "\x00",
    "\x1b[0m",
    "\x85",
    "\ufffd",
    "\u2028",
    "\ufeff",
    "\n",
    '"',
    "\\",
]
TEXTS = st.one_of(
    st.text(),
    st.lists(st.sampled_from([*NASTY, "a", " "]), max_size=6).map("".join),
    st.text(st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF), max_size=3),
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(min_value=10**30), st.floats(), TEXTS
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
FINISHES = st.one_of(
    st.just("stop"), st.sampled_from(["length", "content_filter", None, "STOP", "a\nb"]), VALUES
)


def objects(**fields):
    """Return objects with any of some fields, each of its own kind or any other.

    They may have a field that nobody knows, too.
    """
    known = {name: st.one_of(kind, VALUES) for name, kind in fields.items()}
    return st.fixed_dictionaries({}, optional=known | {"secret_account": st.just("acct-secret")})


DETAILS = objects(reasoning_tokens=st.integers())
USAGE = objects(
    prompt_tokens=st.integers(), completion_tokens=st.integers(), completion_tokens_details=DETAILS
)
MESSAGES = objects(content=TEXTS, reasoning=TEXTS, reasoning_content=TEXTS)
CHOICES = st.lists(
    st.one_of(objects(message=MESSAGES, finish_reason=FINISHES, text=TEXTS), LEAVES), max_size=2
)
RESPONSES = objects(
    id=TEXTS,
    created=st.integers(),
    model=TEXTS,
    choices=CHOICES,
    usage=USAGE,
    system_fingerprint=TEXTS,
)
ENDS = st.one_of(st.none(), st.sampled_from(["Final Answer:", "</think>", "a", ""]))


def whole(text):
    """Return whether a text has no lone surrogate, no U+FFFD and no control character.

    Tab and line ends are none.
    """
    return all(
        c in "\t\n\r" or c != "\ufffd" and unicodedata.category(c) not in ("Cc", "Cs") for c in text
    )


def reply_to(content="Final Answer: 4", finish="stop", ends=None, **fields):
    """Return the Reply to one message."""
    message = {"content": content, **fields}
    return replies.parse(
        json.dumps({"choices": [{"message": message, "finish_reason": finish}]}), ends
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning": "so 4"},
        {"reasoning_content": "so 4"},
        {"reasoning": " \n so 4 \n", "reasoning_content": "ignored"},
        {"reasoning": None, "reasoning_content": "so 4"},
        {"reasoning": "", "reasoning_content": "so 4"},
        {"content": "so 4</think>Final Answer: 4"},  # the chat template wrote the opening tag
        {"content": "<think>so 4</think>Final Answer: 4"},
        {"content": "\n<think>\nso 4\n</think>\n\nFinal Answer: 4\n"},
        {
            "content": "<think>so 4</think>Final Answer: 4",
            "reasoning": "",
            "reasoning_content": None,
        },
        {"content": "so 4\nFinal Answer: 4", "ends": "Final Answer:"},
        {"content": "so 4 </think> Final Answer: 4", "ends": "</think>"},
        {"content": "<think>so 4</think>Final Answer: 4", "ends": "Final Answer:"},
        {"reasoning": "so 4", "ends": "Final Answer:"},
        {"thinking": "so 4"},
        {"reasoning": {"text": "so 4"}},
        {"reasoning": {"summary": [{"type": "summary_text", "text": "so 4"}], "effort": "high"}},
        {"reasoning": None, "reasoning_details": [{"type": "reasoning.text", "text": "so 4"}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "so 4", "index": 0}]},
        {
            "reasoning_details": [
                {"type": "reasoning.encrypted", "data": "gAAAA"},
                {"type": "reasoning.text", "text": "so 4", "signature": "c2ln"},
            ]
        },
        {"thinking_blocks": [{"type": "thinking", "thinking": "so 4", "signature": "c2ln"}]},
        {
            "thinking_blocks": [
                {"type": "redacted_thinking", "data": "gAAAA"},
                {"type": "thinking", "thinking": "so 4"},
            ]
        },
        {"content": [{"type": "text", "text": "Final Answer: 4"}], "reasoning_content": "so 4"},
        {"content": {"type": "text", "text": "Final Answer: 4"}, "reasoning_content": "so 4"},
        {"content": [{"text": "<think>so 4</think>"}, {"text": "Final Answer: 4"}]},
        {
            "content": [
                {"type": "thinking", "thinking": "so 4", "signature": "c2ln"},
                {"type": "text", "text": "Final Answer: 4"},
            ]
        },
        {
            "content": [
                {
                    "type": "thinking",
                    "thinking": [{"type": "text", "text": "so "}, {"type": "text", "text": "4"}],
                },
                {"type": "text", "text": "Final Answer: "},
                {"type": "text", "text": "4"},
            ]
        },
        {
            "content": [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "so 4"}]},
                {
                    "type": "message",
                    "content": [{"type": "output_text", "text": "Final Answer: 4"}],
                },
            ]
        },
        {
            "content": [
                {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "so 4"}]},
                {"type": "output_text", "text": "Final Answer: 4"},
            ]
        },
        *({"reasoning": "so 4", "finish": end} for end in ("eos_token", "end_turn", "STOP", "eos")),
    ],
)
def test_the_thinking_is_found_wherever_a_server_puts_it(fields):
    reply = reply_to(**fields)
    assert (reply.think, reply.answer, reply.rejected) == ("so 4", "Final Answer: 4", None)
    assert reply.finish == fields.get("finish", "stop").lower()


@pytest.mark.parametrize("finish", [None, ""])
@pytest.mark.parametrize(
    "tokens, most, complete, rejected",
    [
        (99, 100, replies.COMPLETE, None),
        (100, 100, replies.COMPLETE, "finish reason missing"),
        (None, 100, replies.COMPLETE, "finish reason missing"),
        (99, None, replies.COMPLETE, "finish reason missing"),
        (None, None, ("stop", ""), None),
    ],
)
def test_a_reply_without_a_finish_reason_is_whole_below_the_limit_of_its_tokens(
    finish, tokens, most, complete, rejected
):
    message = {"content": "Final Answer: 4", "reasoning": "so 4"}
    data = {
        "choices": [{"message": message} | ({} if finish is None else {"finish_reason": finish})],
        "usage": {"completion_tokens": tokens},
    }
    assert replies.parse(json.dumps(data), None, complete, most).rejected == rejected


def test_a_finish_reason_of_the_servers_own_is_whole_where_the_config_says_so():
    message = {"content": "4", "reasoning": "so"}
    data = json.dumps({"choices": [{"message": message, "finish_reason": "natural"}]})
    assert replies.parse(data, None).rejected == "finish reason natural"
    assert replies.parse(data, None, ("stop", "natural")).rejected is None


@pytest.mark.parametrize(
    "before, after",
    [
        ("\ufeff", ""),
        ("\ufeff\r\n", "\n"),
        (": OPENROUTER PROCESSING\n\n", ""),
        (": keep-alive\r\n: keep-alive\r\n\r\n", "\r\n"),
        (":\n", "\n: the end\n"),
        ("\n\n   ", "\n\n"),
        ("data: ", ""),
        (": PROCESSING\n\nevent: message\ndata: ", "\n\ndata: [DONE]\n\n"),
        ("\ufeff: a\n\n", ""),
        ("retry: 10\nid: 7\ndata:", "\n"),
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_what_keeps_a_connection_alive_is_no_part_of_the_reply(before, after, indent):
    data = json.loads(answer("4\u2028\x85", "so\n: 4").body)
    body = json.dumps(data, indent=indent, ensure_ascii=False)
    body = body.replace("\n", "\ndata: ") if before.endswith("data: ") and indent else body
    record, _ = replies.record_of(before + body + after)
    assert record == replies.record_of(body if indent is None else json.dumps(data))[0]
    assert record["choices"][0]["message"]["reasoning"] == "so\n: 4"


def test_the_last_end_of_the_reasoning_counts():
    reply = reply_to("Final Answer: 3? No.\nFinal Answer: 4", ends="Final Answer:")
    assert (reply.think, reply.answer, reply.rejected) == (
        "Final Answer: 3? No.",
        "Final Answer: 4",
        None,
    )


def test_reasoning_that_holds_tags_is_not_split_again():
    reply = reply_to("4", reasoning="I write </think> and <think>")
    assert (reply.think, reply.answer, reply.rejected) == (
        "I write </think> and <think>",
        "4",
        None,
    )


@pytest.mark.parametrize(
    "rejected, fields",
    [
        ("no reasoning", {}),
        ("no reasoning", {"ends": "The answer is"}),
        ("no reasoning", {"content": "a <think>b</think> c"}),
        ("no reasoning", {"content": "b</think> c</think> d"}),
        ("empty reasoning", {"reasoning": " \n"}),
        ("empty reasoning", {"reasoning_content": ""}),
        ("empty reasoning", {"content": "<think> </think>4"}),
        ("empty reasoning", {"content": "Final Answer: 4", "ends": "Final Answer:"}),
        ("unclosed <think>", {"content": "<think>so 4"}),
        ("more than one <think>", {"content": "<think><think>so 4</think>4"}),
        ("more than one <think>", {"content": "<think>so</think>4</think>5"}),
        ("empty answer", {"content": "", "reasoning": "so 4"}),
        ("empty answer", {"content": None, "reasoning": "so 4"}),
        ("empty answer", {"content": "<think>so 4</think> \n"}),
        ("empty answer", {"content": "so 4\nFinal Answer: ", "ends": "Final Answer:"}),
        ("empty answer", {"content": "so 4</think>", "ends": "</think>"}),
        ("malformed reply: no text", {"content": None}),
        ("malformed reply: no text", {"content": ["so 4"]}),
        ("finish reason length", {"finish": "length", "reasoning": "so"}),
        ("finish reason length", {"finish": "length", "content": "<think>so"}),
        ("finish reason length", {"finish": "length", "content": None}),
        ("finish reason missing", {"finish": None, "reasoning": "so"}),
        ("finish reason unknown", {"finish": "stop\nnow", "reasoning": "so"}),
        ("finish reason unknown", {"finish": {"a": 1}, "reasoning": "so"}),
        ("damaged text: control character U+001B", {"reasoning": "so \x1b[31m"}),
        ("damaged text: control character U+0000", {"content": "4\x00", "reasoning": "so"}),
        ("damaged text: U+FFFD", {"reasoning": "so \ud800"}),
        ("damaged text: U+FFFD", {"reasoning": "so \ufffd"}),
    ],
)
def test_what_gives_no_trace_is_rejected_with_its_reason(rejected, fields):
    assert reply_to(**fields).rejected == rejected


def test_a_reply_without_reasoning_keeps_what_was_said_for_those_who_need_no_reasoning():
    assert reply_to("11 Number theory").answer == "11 Number theory"


@pytest.mark.parametrize(
    "response",
    [
        "",
        "{",
        "null",
        "[]",
        "5",
        '"text"',
        "{}",
        '{"choices": 5}',
        '{"choices": []}',
        '{"choices": {}}',
        '{"choices": [{}]',
        "NaN",
        "\ud800",
        "[" * 10**6,
        '{"a":' * 10**6,
        "9" * 10**5,
    ],
    ids=lambda text: text[:20].encode("ascii", "backslashreplace").decode(),
)
def test_what_is_no_reply_is_malformed(response):
    assert replies.parse(response, "Final Answer:").rejected == "malformed reply"


def test_several_choices_are_not_chosen_from():
    one = {"message": {"content": "4", "reasoning": "so"}, "finish_reason": "stop"}
    assert replies.parse(json.dumps({"choices": [one, one]}), None).rejected == "2 choices"
    assert replies.parse(json.dumps({"choices": [one, 5]}), None).rejected == "2 choices"


@pytest.mark.parametrize(
    "count, read",
    [
        (0, 0),
        (12, 12),
        (10**9, 10**9),
        (-1, None),
        (True, None),
        (1.5, None),
        ("7", None),
        (None, None),
        (10**30, None),
        (float("nan"), None),
        ([1], None),
    ],
)
def test_counts_are_whole_and_small_or_none(count, read):
    response = json.dumps({"usage": {"prompt_tokens": count, "completion_tokens": count}})
    assert replies.parse(response, None).usage == {"prompt_tokens": read, "completion_tokens": read}


def test_a_record_has_all_that_was_said_and_nothing_of_an_account():
    sent = json.loads(answer("4", "so").body)
    parts = [{"type": "text", "text": "4", "annotations": []}, {"type": "thinking", "x": [1.5]}]
    sent["choices"][0]["message"] |= {"content": parts, "new_field": {"deep": [None, True]}}
    sent["usage"] |= {"cost": 0.25, "completion_tokens_details": {"reasoning_tokens": 3}}
    record, names = replies.record_of(json.dumps(sent))
    assert names == {"id": "chatcmpl-1", "created": 1700000000}
    for field in ("id", "created", "organization"):
        del sent[field]
    del sent["usage"]["account"]
    assert record == sent


@pytest.mark.parametrize(
    "name",
    "id created account org_id organization user userId project-id request_id requestId user_email "
    "api_key session x_request_id queue_time timings customer_account created_at".split(),
)
def test_a_field_of_an_account_an_id_or_a_clock_is_kept_nowhere(name):
    data = json.loads(answer().body)
    hidden = {name: "hidden", "prompt_token_ids": [1], "system_fingerprint": "fp"}
    data |= hidden
    data["choices"][0] |= hidden
    data["choices"][0]["message"] |= {"reasoning_details": [hidden | {"text": "so"}]}
    record, _ = replies.record_of(json.dumps(data))
    assert "hidden" not in json.dumps(record) and json.dumps(record).count("fp") == 3
    assert record["choices"][0]["prompt_token_ids"] == [1]


@given(st.one_of(RESPONSES.map(json.dumps), VALUES.map(json.dumps), st.text()), ENDS)
def test_nothing_a_server_says_can_raise_or_break_a_row(response, ends):
    reply = replies.parse(response, ends)
    record, names = replies.record_of(response)
    row = dump(
        [record, names, reply.think, reply.answer, reply.finish, reply.usage, reply.rejected]
    )
    assert json.loads(row.encode()) and row.count("\n") == 1 and row.endswith("\n")
    assert "acct-secret" not in row
    assert set(names) <= {"id", "created"}
    assert replies.record_of(dump(record)) == (record, {})  # what is kept gives the reply again
    assert replies.parse(dump(record), ends) == reply
    if reply.rejected is None:
        assert reply.finish == "stop" and all(
            text and text == text.strip() and whole(text) for text in (reply.think, reply.answer)
        )
    else:
        assert reply.rejected.isprintable() and len(reply.rejected) < 100


@given(TEXTS, TEXTS, st.sampled_from(["reasoning", "reasoning_content"]))
def test_whole_texts_come_through_unchanged_and_others_are_rejected(think, content, field):
    reply = reply_to(content, **{field: think})
    think, content = json.loads(
        json.dumps([think, content])
    )  # where two halves of a character become one
    if not whole(think + content):
        assert reply.rejected.startswith("damaged text") and (reply.think, reply.answer) == ("", "")
    elif think.strip():
        assert (reply.think, reply.answer) == (think.strip(), content.strip())
        assert reply.rejected == (None if content.strip() else "empty answer")


def test_ten_megabytes_are_read_in_a_moment():
    began = time.perf_counter()
    reply = reply_to(
        "<think>" + "a <" * 3_000_000 + "</think>" + "Final Answer:" * 300_000, ends="Final Answer:"
    )
    assert reply.rejected is None and len(reply.think) > 8e6
    assert time.perf_counter() - began < 20
