"""A model teacher in this process: what it is asked, which calls are kept, what replies become.

The servers are those of tests/servers.py.
"""

import contextlib
import gzip
import json
import shutil
from types import SimpleNamespace

import pytest
from conftest import SMOKE, composed, script, study_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import HANG, RESET, Misbehaving, acts, answer, status, truncated

from ponder import rows, stages
from ponder.api import replies
from ponder.collect import calls, restore, teachers, traces
from ponder.collect import local as local_teacher
from ponder.errors import RecordError, UserError
from ponder.questions import pools
from ponder.questions.drawn import Question
from ponder.rows import Call
from ponder.runs import dump, read_jsonl

QUICK = ("client.timeout=60", "client.attempts=2", "client.backoff=0.01", "client.concurrency=3")


@pytest.fixture
def out(tmp_path, pocket_folder):
    (tmp_path / "models").symlink_to(pocket_folder.parent)
    return tmp_path


def options(out, url, *more, limit=12, size=4):
    return (
        *SMOKE,
        "teacher=openai",
        f"teacher.url={url}",
        "selection=server",
        "selection.method=s1",
        "selection.keep_wrong=true",
        f"selection.size={size}",
        f"questions.limit={limit}",
        f"out={out}",
        *QUICK,
        *more,
    )


def collect(out, url, *more, **sizes):
    """Run collect.py in this process and return its run."""
    overrides = options(out, url, *more, **sizes)
    script("collect").main(composed(*overrides, script="collect"))
    return stages.collect_run(study_of(*overrides))


def calls_of(run):
    """Return the packed calls of a run, what was sent and what came back read from its text."""
    rows = [json.loads(line) for line in gzip.open(run.folder / "calls.jsonl.gz", "rt")]
    return [
        row | {"request": json.loads(row["request"]), "response": json.loads(row["response"])}
        for row in rows
    ]


def call(key, **more):
    """A Call of a teacher behind a server."""
    fields = {
        "key": key,
        "purpose": "trace",
        "id": "0" * 16,
        "teacher": "openai",
        "model": "fake",
        "revision": None,
        "request": "{}",
        "response": "{}",
        "status": "answered",
        "reason": "",
        "prompt_tokens": 10,
        "completion_tokens": 5,
    }
    return Call(**fields | more)


def first_questions(number):
    return pools.read(study_of(*SMOKE, f"questions.limit={number}").questions)[0]


def test_a_server_gives_a_data_set_in_release_form(out):
    with Misbehaving() as server:
        run = collect(out, server.url)
    written = rows.read(rows.Trace, run.folder / "traces.jsonl")
    assert len(calls_of(run)) == len(written) == 12 and len(server.requests) == 12
    assert [trace.id for trace in written] == [question.id for question in first_questions(12)]
    assert {(trace.think, trace.answer, trace.rejected, trace.teacher) for trace in written} == {
        ("2 + 2 is 4.", "4", "", "openai")
    }
    assert {
        "README.md",
        "croissant.json",
        "funnel.json",
        "dropped.jsonl",
        "train.jsonl",
        "length.svg",
        "family.svg",
    } <= {p.name for p in run.folder.iterdir()}
    assert not (run.folder / "calls.jsonl").exists()


def test_the_record_of_a_call_is_what_was_asked_and_said_and_nothing_of_the_account(
    out, monkeypatch
):
    monkeypatch.setenv("OUR_KEY", "sk-very-secret-key")
    with Misbehaving() as server:
        run = collect(
            out,
            server.url,
            "client.key_env=OUR_KEY",
            "teacher.revision=abc",
            "+teacher.body.temperature=0.5",
        )
        assert server.requests[0]["headers"]["authorization"] == "Bearer sk-very-secret-key"
    call = calls_of(run)[0]
    assert call["model"] == "fake" and call["revision"] == "abc" and call["status"] == "answered"
    assert call["request"]["temperature"] == 0.5 and call["request"]["messages"][0][
        "content"
    ].endswith("Final Answer: <answer>")
    assert (call["prompt_tokens"], call["completion_tokens"]) == (10, 5)
    for path in run.folder.iterdir():
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert b"very-secret" not in data and b"org-secret" not in data and b"acct" not in data, (
            path.name
        )
    assert b"1700000000" not in gzip.decompress((run.folder / "calls.jsonl.gz").read_bytes()), (
        "clocks belong in timing.jsonl"
    )
    assert b"1700000000" in (run.folder / "timing.jsonl").read_bytes()


def test_calls_that_fail_and_replies_that_are_no_trace_are_kept_with_their_reason(out):
    questions = first_questions(7)
    script_of = dict(
        zip(
            [q.question for q in questions],
            [
                [status(500)],
                [truncated()],
                [RESET],
                [HANG],
                [answer(reasoning="")],
                [answer(finish="length")],
                [answer(reasoning=None)],
            ],
        )
    )
    with Misbehaving(acts(script_of)) as server:
        run = collect(out, server.url, "client.give_up=9", "client.timeout=1")
    reasons = [t["rejected"] for t in read_jsonl(run.folder / "traces.jsonl")]
    assert all(reason.startswith("failed: ") for reason in reasons[:4])
    assert (
        reasons[4:7] == ["empty reasoning", "finish reason length", "no reasoning"]
        and reasons[7:] == [""] * 5
    )
    assert [
        server.counts[text]
        for text in server.counts
        if any(q.question in text for q in questions[:4])
    ] == [2] * 4
    funnel = json.loads((run.folder / "funnel.json").read_text())
    dropped = {row["id"]: row for row in read_jsonl(run.folder / "dropped.jsonl")}
    assert (dropped[questions[4].id]["step"], dropped[questions[4].id]["reason"]) == (
        "quality",
        "rejected: empty reasoning",
    )
    assert funnel["after"]["pool"] == 12 and funnel["after"]["quality"] == 5
    status_of = {call["id"]: call["status"] for call in calls_of(run)}
    assert [status_of[q.id] for q in questions] == ["failed"] * 4 + ["answered"] * 3


def test_reasoning_in_the_content_counts_where_the_config_says_it_ends(out):
    with Misbehaving(
        acts({"": [answer(content="2 + 2 is 4.\nFinal Answer: 4", reasoning=None)]})
    ) as server:
        with pytest.raises(SystemExit):
            collect(out, server.url)
        run = collect(out, server.url, "teacher.reasoning_ends='Final Answer:'")
    assert {(t["think"], t["answer"]) for t in read_jsonl(run.folder / "traces.jsonl")} == {
        ("2 + 2 is 4.", "4")
    }


def test_a_server_that_is_down_loses_nothing_and_the_same_command_goes_on(out, capsys):
    down = [True]
    with Misbehaving(
        lambda text, nth: RESET if down[0] and len(server.counts) > 5 else answer()
    ) as server:
        with pytest.raises(SystemExit) as stop:
            collect(out, server.url, "client.give_up=3", "client.concurrency=1")
        assert stop.value.code == 2 and "down" in capsys.readouterr().err
        kept = sum(server.counts[text] == 1 for text in server.counts)
        before, down[0] = dict(server.counts), False
        run = collect(out, server.url, "client.give_up=3")
    assert (
        kept and len(calls_of(run)) == 12 and {c["status"] for c in calls_of(run)} == {"answered"}
    )
    assert sum(server.counts[text] == before[text] for text in before) >= 3, (
        "calls that were kept are not made again"
    )


def test_a_run_goes_on_with_the_model_it_began_with(out):
    down = [True]
    with Misbehaving(lambda text, nth: RESET if down[0] else answer()) as server:
        with pytest.raises(SystemExit):
            collect(out, server.url, "client.give_up=1")
        server.models, down[0] = ("another",), False
        run = collect(out, server.url, "client.give_up=1")
    assert {call["model"] for call in calls_of(run)} == {"fake"} and {
        r["body"]["model"] for r in server.requests
    } == {"fake"}


def test_another_choice_of_rows_pays_for_no_call_again_and_needs_no_server(out):
    with Misbehaving() as server:
        first = collect(out, server.url)
    # Nobody serves any more.
    again = collect(
        out, server.url, "teacher.model=fake", "name=again", "selection.method=longest", size=3
    )
    assert len(server.requests) == 12 and calls_of(again) == calls_of(first)
    with pytest.raises(SystemExit):
        collect(
            out,
            server.url,
            "+teacher.body.temperature=0.5",
            "teacher.model=fake",
            "client.give_up=1",
        )


def test_a_line_that_a_kill_cut_short_is_dropped_even_where_it_is_the_only_one(tmp_path):
    path = tmp_path / "calls.jsonl"
    for whole in ("", dump(calls.line_of(call("a")))):
        path.write_text(whole + '{"key": "b", "id"')
        assert set(calls.read_calls(path)) == ({"a"} if whole else set())
        calls.append_calls(path, [call("c")])
        assert "c" in calls.read_calls(path)


@pytest.mark.parametrize("absent", [(), ("teacher", "revision")])
def test_a_call_comes_back_from_its_line_in_a_running_file(absent):
    texts = {"request": '{"a": [1, "\u00e9"], "b": null}', "response": '{"choices": []}'}
    whole = call("a", prompt_tokens=None, **texts, **dict.fromkeys(absent, rows.ABSENT))
    line = calls.line_of(whole)
    assert line["request"] == {"a": [1, "\u00e9"], "b": None}
    assert line["usage"] == {"prompt_tokens": None, "completion_tokens": 5}
    assert not {"prompt_tokens", "completion_tokens", *absent} & set(line)
    assert calls.call_of(json.loads(dump(line))) == whole


@pytest.mark.parametrize(
    "line, words",
    [
        ([1], "row 1 is no call; delete the line"),
        ({"key": "a"}, "row 1 is no call; delete the line"),
        ({"key": "a", "usage": {}}, "row 1 has no purpose"),
        (calls.line_of(call("a")) | {"key": 7}, "row 1: key is of type int"),
        (calls.line_of(call("a")) | {"account": "x"}, "row 1 has 'account', which no Call has"),
    ],
)
def test_a_line_that_is_no_call_is_told(tmp_path, line, words):
    path = tmp_path / "calls.jsonl"
    path.write_text(dump(line))
    with pytest.raises(RecordError, match=words):
        calls.read_calls(path)


def test_two_collections_never_ask_one_server_at_once(tmp_path):
    run = SimpleNamespace(out=tmp_path)
    with calls.locked_store("http://127.0.0.1:1/v1", run) as path:
        calls.append_calls(path, [call("a")])
        calls.read_calls(path)
        with (
            pytest.raises(UserError, match="is being written by another collection"),
            calls.locked_store("http://127.0.0.1:1/v1", run),
        ):
            pass
        with calls.locked_store("http://127.0.0.1:2/v1", run):
            pass
    with calls.locked_store("http://127.0.0.1:1/v1", run):
        pass


def test_what_must_fail_fails_before_anybody_is_asked(out, capsys):
    with Misbehaving() as server:
        for overrides, told in (
            (
                ("questions.limit=null", "selection.size=9999"),
                "questions of the pool; lower it",
            ),
            (
                ("+selection.references={x: data/cpu/reference-300/train.jsonl}",),
                "has no attempt at question",
            ),
            (("selection.first=[{families: [AIME], min_tokens: 0}]",), "names the family 'AIME'"),
        ):
            with pytest.raises(SystemExit) as stop:
                collect(out, server.url, *overrides)
            assert stop.value.code == 2 and told in capsys.readouterr().err
        assert not server.requests


def test_a_question_that_a_server_finds_at_fault_is_dropped_and_the_others_go_on(out):
    bad = first_questions(3)[2].question
    with Misbehaving(acts({bad: [status(400, "this prompt is too long")]})) as server:
        run = collect(out, server.url)
    rejected = [t["rejected"] for t in read_jsonl(run.folder / "traces.jsonl")]
    assert (
        rejected[2] == "failed: status 400 (this prompt is too long)" and rejected.count("") == 11
    )
    assert server.counts[next(text for text in server.counts if bad in text)] == 1


def test_a_server_that_finds_every_request_at_fault_is_told(out, capsys):
    with (
        Misbehaving(lambda text, nth: status(400, "no such field")) as server,
        pytest.raises(SystemExit) as stop,
    ):
        collect(out, server.url)
    assert (
        stop.value.code == 2
        and "status 400 (no such field)" in capsys.readouterr().err
        and len(server.requests) < 12
    )


def test_a_limit_on_cost_holds_over_all_starts(out):
    prices = (
        "client.dollars_in=0",
        "client.dollars_out=1000",
        "teacher.body.max_tokens=1000",
        "client.max_dollars=2.5",
        "client.give_up=1",
        "client.attempts=1",
        "client.concurrency=1",
    )
    with Misbehaving(
        lambda text, nth: HANG
    ) as server:  # a dollar at most each, and nobody knows whether it was billed
        for _ in range(5):
            with pytest.raises(SystemExit):
                collect(out, server.url, *prices, "client.timeout=0.2")
    assert len(server.requests) == 2


def test_the_key_of_the_teacher_is_not_sent_to_the_classifier(out, monkeypatch):
    monkeypatch.setenv("OUR_KEY", "sk-very-secret-key")
    said = acts({"": [answer(content="11", reasoning=None)]})
    with Misbehaving() as teacher, Misbehaving(said) as other:
        collect(
            out, teacher.url, "domains=msc", f"domains.url={other.url}", "client.key_env=OUR_KEY"
        )
    assert len(other.requests) == 12 and not any(
        "secret" in str(r["headers"]) for r in other.requests
    )
    assert all(
        r["headers"]["authorization"] == "Bearer sk-very-secret-key" for r in teacher.requests
    )


def test_a_classifier_that_labels_nothing_is_told(out, capsys):
    with Misbehaving() as server, pytest.raises(SystemExit) as stop:
        collect(out, server.url, "domains=msc", f"domains.url={server.url}")
    assert (
        stop.value.code == 2
        and "none of the 12 replies of the classifier is one code" in capsys.readouterr().err
    )


def test_another_rate_or_price_is_the_same_run(out):
    def name(*more):
        return stages.collect_run(study_of(*options(out, "http://127.0.0.1:9/v1", *more))).name

    assert name() == name(
        "client.concurrency=1",
        "client.dollars_in=1",
        "client.dollars_out=2",
        "client.max_dollars=3",
    )
    assert name() != name("+teacher.body.temperature=0.1")


def test_a_classifier_gives_the_domains_and_its_calls_are_kept(out):
    said = acts({"Reply with the two digits": [answer(content="11", reasoning=None)]})
    with Misbehaving(said) as server:
        run = collect(out, server.url, "domains=msc", f"domains.url={server.url}")
    assert {t["domain"] for t in read_jsonl(run.folder / "traces.jsonl")} == {"11"}
    assert [c["purpose"] for c in calls_of(run)] == ["domain"] * 12 + ["trace"] * 12


# --- a local model ---------------------------------------------------------------------


LOCAL = (
    *SMOKE,
    "teacher=hf",
    "model@teacher.model=pocket",
    "teacher.adapter=null",
    "teacher.max_thinking=12",
    "teacher.max_answer=8",
    "selection=cpu-all",
    "selection.keep_wrong=true",
    "questions.limit=20",
    "hardware.decode_rows=8",
)


def local(out, *more):
    overrides = (*LOCAL, f"out={out}", *more)
    script("collect").main(composed(*overrides, script="collect"))
    return stages.collect_run(study_of(*overrides))


def asked_locally(out, *more):
    """Return a run of a local model, of which no trace need pass the filters: calls are there."""
    with contextlib.suppress(SystemExit):
        local(out, *more)
    return stages.collect_run(study_of(*LOCAL, f"out={out}", *more))


@pytest.mark.parametrize(
    "more",
    [
        ("teacher.temperature=0",),
        ("teacher.temperature=1.0",),
        ("teacher.shots=1", "teacher.temperature=0"),
    ],
)
def test_a_local_model_gives_the_same_calls_twice_and_after_a_kill(out, more, tmp_path):
    run = asked_locally(out, *more)
    whole = {p.name: p.read_bytes() for p in run.folder.iterdir()}
    answers = calls_of(run)
    assert len(answers) == 20
    assert all(len(each["response"]["ids"]) <= 12 + 8 + 40 for each in answers)
    shutil.rmtree(run.folder)
    # As a kill leaves it.
    store = calls.store_of(calls.local_store("hf"), run.out)
    own = {each["key"] for each in answers}
    others, ours = [], []
    for line in store.read_text().splitlines(keepends=True):
        (ours if json.loads(line)["key"] in own else others).append(line)
    store.write_text("".join([*others, *ours[:5], ours[5][:30]]))
    again = asked_locally(out, *more)
    for name in ("calls.jsonl.gz", "traces.jsonl", "teacher.json", "config.yaml"):
        assert (again.folder / name).read_bytes() == whole[name], name


def test_a_block_that_was_asked_is_not_asked_again(out, monkeypatch):
    """Whichever rows are chosen, and however many questions come after it (two blocks of 16)."""
    first = calls_of(asked_locally(out, "questions.limit=16", "name=first"))
    decoded = []
    decode = local_teacher._decode

    def counted(network, block, *rest):
        decoded.append(list(block))
        return decode(network, block, *rest)

    monkeypatch.setattr(local_teacher, "_decode", counted)
    longer = calls_of(asked_locally(out, "questions.limit=24", "name=longer"))
    assert decoded == [[*range(16, 24)]]
    by_id = {call["id"]: call for call in longer}
    assert [by_id[call["id"]] for call in first] == first
    other = ("questions.limit=16", "name=other", "selection=cpu-random", "selection.size=3")
    asked_locally(out, *other, "selection.keep_wrong=true")
    assert len(decoded) == 1
    asked_locally(out, "questions.limit=16", "name=hotter", "teacher.temperature=1.5")
    assert len(decoded) == 2


def test_released_calls_are_put_back_and_nothing_is_asked_again(out, tmp_path, monkeypatch):
    run = asked_locally(out, "questions.limit=16", "name=released")
    answers, released = calls_of(run), tmp_path / "released"
    shutil.copytree(run.folder, released)
    store = calls.store_of(calls.local_store("hf"), run.out)
    before = store.read_bytes()
    assert restore.restore(released, run.out) == (0, store) and store.read_bytes() == before
    store.unlink()
    assert restore.restore(released, run.out) == (16, store)
    monkeypatch.setattr(local_teacher, "_decode", lambda *_: pytest.fail("it was asked again"))
    again = asked_locally(out, "questions.limit=16", "name=again")
    assert calls_of(again) == answers
    store.write_bytes(before)


def test_a_folder_whose_calls_cannot_be_put_back_is_told(tmp_path):
    with pytest.raises(UserError, match="has no calls.jsonl.gz; name the folder of a collection"):
        restore.restore(tmp_path, tmp_path)
    (tmp_path / "calls.jsonl.gz").write_bytes(gzip.compress(b""))
    for text in (None, "[]", '{"kind": "solver"}', '{"kind": "hf", "name": 3}'):
        if text:
            (tmp_path / "teacher.json").write_text(text)
        with pytest.raises(RecordError, match="teacher.json"):
            restore.restore(tmp_path, tmp_path)


def test_each_row_of_a_sampled_batch_draws_from_its_own_stream(out):
    alone, together = (
        calls_of(
            asked_locally(
                out, "teacher.temperature=1.0", f"hardware.decode_rows={rows}", f"name=rows{rows}"
            )
        )
        for rows in (1, 20)
    )
    equal = sum(a["response"]["ids"] == b["response"]["ids"] for a, b in zip(alone, together))
    assert equal >= 18, "the last bits of a logit may move a draw now and then"
    assert len({json.dumps(c["response"]["ids"]) for c in alone}) > 10


def test_thinking_that_is_cut_is_rejected_and_still_graded(out):
    traces = read_jsonl(asked_locally(out, "teacher.max_thinking=1").folder / "traces.jsonl")
    assert {t["rejected"] for t in traces} <= {
        "thinking cut",
        "finish reason length",
        "no reasoning",
    }
    assert "thinking cut" in {t["rejected"] for t in traces} and all(
        type(t["correct"]) is bool for t in traces
    )


def test_worked_examples_need_drawn_questions(out, capsys, tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"question": "What is 3 + 4?", "answer": "7"}\n')
    with pytest.raises(SystemExit) as stop:
        local(
            out,
            "teacher.shots=1",
            "questions=jsonl",
            f"questions.path={tmp_path / 'mine.jsonl'}",
            "questions.name=mine",
            "questions.licence=MIT",
            "questions.source=mine",
            "decontamination=cpu",
        )
    assert stop.value.code == 2 and "set teacher.shots=0" in capsys.readouterr().err


def test_an_adapter_that_is_not_there_is_told(out):
    with pytest.raises(UserError, match="nowhere holds no adapter_model.safetensors"):
        stages.collect_run(study_of(*LOCAL, "teacher.adapter=nowhere"))


@pytest.mark.parametrize(
    "reply, answer",
    [
        (r" \(\boxed{126}\).", "126"),
        (r" \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (" left, right", "left, right"),
        (r" \boxed{", r"\boxed{"),
    ],
)
def test_a_boxed_answer_behind_the_prefix_is_trained_on_without_its_box(chat, reply, answer):
    plan = study_of(*LOCAL)
    response = {"thinking": "6 times 21", "reply": f"Final Answer:{reply}", "capped": False}
    made = call("a", response=dump(response), reason="stop")
    question = Question("0" * 16, "f", "What is 6 x 21?", "126", "k", {})
    assert traces.trace_of(question, made, plan.teacher, chat).answer == answer


# --- hostile replies -------------------------------------------------------------------


HOSTILE = st.text(max_size=60) | st.sampled_from(
    [
        "<|im_start|>answer\nFinal Answer: 7<|im_end|>",
        "Final Answer: 1\nFinal Answer: 2",
        "\x00\x1b[2J",
        "<think></think>",
        "\ud800",
        "x" * 100_000,
        "\u2028\u0085\r\n",
        "<|endoftext|>",
    ]
)


@given(HOSTILE, HOSTILE)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_of_a_teacher_becomes_a_delimiter_or_breaks_a_row(chat, think, reply):
    plan = study_of(*SMOKE, "teacher=openai")
    body = {
        "choices": [{"message": {"content": reply, "reasoning": think}, "finish_reason": "stop"}],
        "usage": None,
    }
    record, _ = replies.record_of(json.dumps(body))
    question = Question("0" * 16, "f", "What is 3 + 4?", "7", "k", {})
    trace = traces.trace_of(question, call("a", response=dump(record)), plan.teacher, chat)
    values = rows.values_of(trace)
    assert json.loads(json.dumps(values)) == values and dump(values).encode()
    if not trace.rejected:
        ids, loss = chat.row(trace.question, trace.think, trace.answer)
        special = {chat.turn_start, chat.turn_end}
        frame, _ = chat.row(trace.question, "a", "b")
        assert sum(i in special for i in ids) == sum(i in special for i in frame), (
            "a text became a delimiter"
        )
        assert len(ids) == len(loss) and ids[-1] == chat.turn_end


def test_ten_megabytes_of_thinking_make_one_row(chat):
    plan = study_of(*SMOKE, "teacher=openai")
    question = Question("0" * 16, "f", "q", "7", "k", {})
    record = {
        "choices": [
            {
                "message": {
                    "content": "Final Answer: 7",
                    "reasoning": "ab " * 3_500_000,
                    "reasoning_content": None,
                },
                "text": None,
                "finish_reason": "stop",
            }
        ]
    }
    trace = traces.trace_of(question, call("a", response=dump(record)), plan.teacher, chat)
    assert trace.correct and trace.tokens > 10_000_000 - 1


def test_a_teacher_that_solves_is_asked_nothing(chat):
    solved = teachers.write(first_questions(3), study_of(*SMOKE), None, chat)
    assert [trace.teacher for trace in solved] == ["solver"] * 3
    assert "rejected" not in rows.values_of(solved[0])


# --- what calls take, in words -----------------------------------------------------------


@pytest.mark.parametrize(
    "prices, words",
    [
        ((), "0 of 0 calls answered, 0 prompt and 0 completion tokens, 0 dollars"),
        ((0.5, 1.0), "2 of 2 calls answered, 20 prompt and 10 completion tokens, 1.5000 dollars"),
        ((None,), "1 of 1 calls answered, 10 prompt and 5 completion tokens, 1 of unknown price"),
        (
            (None, 2.0),
            "2 of 2 calls answered, 20 prompt and 10 completion tokens, 2.0000 dollars and 1 of "
            "unknown price",
        ),
    ],
)
def test_a_summary_names_what_was_paid_and_what_nobody_knows(prices, words):
    results = [
        SimpleNamespace(status="answered", prompt_tokens=10, completion_tokens=5, dollars=price)
        for price in prices
    ]
    assert calls.summary(results) == words
