"""What a server does wrong with status 200, what failed and is asked again, and what is stopped.

The servers are those of tests/servers.py.
"""

import base64
import gzip
import json

import pytest
from conftest import SMOKE, composed, script, study_of
from servers import Act, Misbehaving, acts, answer, status

from ponder import models, stages
from ponder.api import records
from ponder.collect import calls, first_replies, traces
from ponder.questions import pools
from ponder.questions.drawn import Question
from ponder.rows import Call
from ponder.runs import dump, read_jsonl

KEY = "sk-proj-Zq3_very/secret-key0123456789abcd"
QUICK = ("client.timeout=60", "client.attempts=1", "client.backoff=0.01", "client.concurrency=1")


@pytest.fixture
def out(tmp_path, pocket_folder):
    (tmp_path / "models").symlink_to(pocket_folder.parent)
    return tmp_path


def options(out, url, *more, limit=12):
    return (
        *SMOKE,
        "teacher=openai",
        f"teacher.url={url}",
        "selection=server",
        "selection.keep_wrong=true",
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
    return read_jsonl(run.folder / "calls.jsonl.gz")


def texts_of(folder):
    """Return {path: text} of every file under a folder."""
    texts = {}
    for path in folder.rglob("*"):
        if path.is_file() and "models" not in path.parts:
            data = path.read_bytes()
            data = gzip.decompress(data) if path.suffix == ".gz" else data
            texts[path] = data.decode("utf-8", "replace")
    return texts


def body(change, **options):
    """Return a good answer whose JSON was changed."""
    data = json.loads(answer(**options).body)
    change(data)
    return Act(body=json.dumps(data).encode())


def message_with(**fields):
    """Return a good answer with other fields in its message, and no reasoning besides."""
    return body(lambda data: data["choices"][0]["message"].update(fields), reasoning=None)


# --- what was paid for is kept whole, and read -----------------------------------------


def test_every_form_of_a_reply_becomes_traces_and_is_kept_as_it_was_sent(out):
    blocks = [{"type": "thinking", "thinking": "2 + 2 is 4.", "signature": "c2ln"}]
    text = {"type": "text", "text": "Final Answer: 4"}
    forms = [
        {"reasoning_details": [{"type": "reasoning.text", "text": "2 + 2 is 4."}]},
        {"thinking": "2 + 2 is 4."},
        {"thinking_blocks": blocks},
        {"content": [*blocks, text]},
        {"content": [text], "reasoning": "2 + 2 is 4."},
        {"reasoning_content": "2 + 2 is 4.<|im_end|>", "content": "Final Answer: 4<|im_end|>"},
    ]
    bare = Act(body=b"\xef\xbb\xbf: PROCESSING\n\n" + answer().body)
    questions = pools.read(study_of(*SMOKE, "questions.limit=8").questions)[0]
    served = [*map(lambda form: message_with(**form), forms), bare, answer(finish="")]
    table = {q.question: [act] for q, act in zip(questions, served, strict=True)}
    with Misbehaving(acts(table)) as server:
        run = collect(out, server.url, limit=8)
    rows = read_jsonl(run.folder / "traces.jsonl")
    assert [(row["think"], row["answer"], row["rejected"]) for row in rows] == [
        ("2 + 2 is 4.", "4", "")
    ] * 8
    responses = {call["id"]: json.loads(call["response"]) for call in calls_of(run)}
    for question, form in zip(questions, forms, strict=False):
        assert form.items() <= responses[question.id]["choices"][0]["message"].items()


@pytest.mark.parametrize(
    "act, words, remedy",
    [
        (answer(reasoning=None), "no reasoning", "teacher.reasoning_ends"),
        (message_with(content=None, new_reasoning="so"), "malformed reply", "a field of its own"),
        (answer(finish="length"), "finish reason length", "raise teacher.body.max_tokens"),
        (answer(finish="natural"), "finish reason natural", "+teacher.complete=[stop,"),
    ],
)
def test_a_server_whose_first_replies_give_no_trace_is_asked_nothing_more(
    out, capsys, act, words, remedy
):
    with Misbehaving(acts({"": [act]})) as server:
        for _ in range(2):  # the same command does not pay again
            with pytest.raises(SystemExit) as stop:
                collect(out, server.url, limit=40)
            message = capsys.readouterr().err
            assert stop.value.code == 2 and words in message and remedy in message
            assert "none of the first 8 replies" in message
            assert len(server.requests) == first_replies.FIRST
        server.script = acts({})
        run = collect(out, server.url, "client.give_up=9", limit=40)  # go on all the same
        assert len(server.requests) == 40 and len(calls_of(run)) == 40


def test_one_good_reply_among_the_first_is_enough_to_go_on(out):
    good = pools.read(study_of(*SMOKE, "questions.limit=8").questions)[0][7].question
    with Misbehaving(acts({good: [answer()], "": [answer(reasoning=None)]})) as server:
        run = collect(out, server.url, limit=30)
    assert len(calls_of(run)) == len(server.requests) == 30


@pytest.mark.parametrize(
    "error, reason",
    [
        ({"message": "upstream is overloaded", "code": 502}, "(upstream is overloaded)"),
        ({"message": "no credit", "code": "insufficient_quota", "type": "x"}, "(no credit)"),
        ({"code": 500}, ""),
        ("busy", "(busy)"),
        (["busy"], "(['busy'])"),
        (True, "(True)"),
    ],
)
@pytest.mark.parametrize("place", ["reply", "choice"])
def test_an_error_inside_a_reply_is_a_failure_with_its_reason(out, error, reason, place):
    def change(data):
        (data if place == "reply" else data["choices"][0])["error"] = error

    bad = pools.read(study_of(*SMOKE, "questions.limit=1").questions)[0][0]
    with Misbehaving(acts({bad.question: [body(change)]})) as server:
        run = collect(out, server.url, "client.attempts=2", limit=3)
    row = read_jsonl(run.folder / "traces.jsonl")[0]
    assert row["rejected"] == f"failed: a reply with an error {reason}".strip()
    assert row["think"] == row["answer"] == ""
    assert max(server.counts.values()) == 2  # it may pass, so it is tried again


@pytest.mark.parametrize("nothing", [None, "", {}, [], False, 0])
def test_an_error_of_nothing_is_none(out, nothing):
    with Misbehaving(lambda text, nth: body(lambda data: data.update(error=nothing))) as server:
        run = collect(out, server.url, limit=1)
    assert {call["status"] for call in calls_of(run)} == {"answered"}


@pytest.mark.parametrize(
    "think, reply, bare",
    [
        ("so 4<|im_end|>", "Final Answer: 4", True),
        ("so 4", "Final Answer: 4<|im_end|>", True),
        ("so 4 <|im_end|>\n<|im_end|> ", "Final Answer: 4\n<|endoftext|>", True),
        ("so 4</s>", "Final Answer: 4<|eot_id|>", True),
        ("so 4<end_of_turn>", "Final Answer: 4<\uff5cend\u2581of\u2581sentence\uff5c>", True),
        ("<think>\nso 4\n</think>", "Final Answer: 4", True),
        ("so 4</think><|im_end|>", "Final Answer: 4 <|end|>", True),
        ("so 4<|im_start|>", "Final Answer: 4<|im_start|>", True),
        ("so <|im_end|> 4", "Final Answer: 4", False),
        ("so 4", "Final Answer: 4<|im_end|>\n<|im_start|>user\nThanks", False),
        ("so 4", "Final Answer: 4</s> 5", False),
        ("<|im_end|>", "Final Answer: 4", False),
        ("so 4", "<|im_end|>", False),
    ],
)
def test_no_marker_of_an_end_is_trained_on(chat, think, reply, bare):
    teacher = study_of(*SMOKE, "teacher=openai").teacher
    message = {"content": reply, "reasoning": think}
    response = {"choices": [{"message": message, "finish_reason": "stop"}]}
    call = Call(
        key="a",
        purpose="trace",
        id="0" * 16,
        model="fake",
        request="{}",
        response=dump(response),
        status="answered",
        reason="",
        prompt_tokens=1,
        completion_tokens=1,
    )
    question = Question("0" * 16, "f", "What is 2 + 2?", "4", "k", {})
    trace = traces.trace_of(question, call, teacher, chat)
    assert bool(trace.rejected) is not bare
    if bare:
        assert (trace.think, trace.answer, trace.correct) == ("so 4", "4", True)


# --- what failed is asked again --------------------------------------------------------


@pytest.mark.parametrize("fault", [status(503), status(500), status(429), Act(body=b"{}")])
def test_a_call_that_failed_is_made_again_by_the_same_command(out, capsys, fault):
    bad = pools.read(study_of(*SMOKE, "questions.limit=3").questions)[0][1].question
    with Misbehaving(acts({bad: [fault, answer()]})) as server:
        run = collect(out, server.url)
        assert calls.num_failed(run.folder) == 1
        again = collect(out, server.url)
        assert "1 calls that failed are made again" in capsys.readouterr().out
        assert again.name == run.name and again.finished and len(server.requests) == 13
        assert {call["status"] for call in calls_of(again)} == {"answered"}
        assert not any(row["rejected"] for row in read_jsonl(again.folder / "traces.jsonl"))
        collect(out, server.url)
        assert len(server.requests) == 13 and "nothing to do" in capsys.readouterr().out


def test_a_call_that_failed_is_made_again_by_a_run_of_another_name(out):
    bad = pools.read(study_of(*SMOKE, "questions.limit=3").questions)[0][1].question
    with Misbehaving(acts({bad: [status(503), answer()]})) as server:
        first = collect(out, server.url)
        second = collect(out, server.url, "name=another")
        assert len(server.requests) == 13
        collect(out, server.url)  # the first has the answer too, and pays nothing for it
        assert len(server.requests) == 13
    statuses = [{call["status"] for call in calls_of(run)} for run in (first, second)]
    assert statuses == [{"answered"}] * 2


@pytest.mark.parametrize("gone", [True, False])
def test_a_run_whose_calls_fail_again_stays_finished(out, capsys, gone):
    bad = pools.read(study_of(*SMOKE, "questions.limit=3").questions)[0][1].question
    with Misbehaving(acts({bad: [status(503)]})) as server:
        run = collect(out, server.url)
        rows = (run.folder / "train.jsonl").read_bytes()
        if not gone:
            collect(out, server.url)
    if gone:
        collect(out, server.url)
        assert "what failed before stays failed" in capsys.readouterr().out
    assert run.finished and calls.num_failed(run.folder) == 1
    assert (run.folder / "train.jsonl").read_bytes() == rows


def test_a_kill_while_failed_calls_are_made_again_loses_nothing(out, monkeypatch):
    bad = pools.read(study_of(*SMOKE, "questions.limit=3").questions)[0][1].question
    with Misbehaving(acts({bad: [status(503), answer()]})) as server:
        run = collect(out, server.url)
        with monkeypatch.context() as patched:
            patched.setattr(calls, "pack", lambda run: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                collect(out, server.url)
        assert not run.finished
        collect(out, server.url)
        assert run.finished and len(server.requests) == 13 and not calls.num_failed(run.folder)


# --- the key ---------------------------------------------------------------------------


def echoes():
    """Return {where: an answer that repeats the key there}."""
    escaped = json.dumps(json.loads(answer().body)).replace(
        "2 + 2 is 4.", "".join(f"\\u{ord(character):04x}" for character in KEY)
    )

    def nested(data):
        data["choices"][0]["message"]["reasoning_details"] = [{"text": f"Bearer {KEY}"}]

    return {
        "content": answer(content=f"Final Answer: {KEY}"),
        "reasoning": answer(reasoning=f"your key is {KEY}, so 4"),
        "twice": answer(reasoning=f"{KEY}{KEY} {KEY}"),
        "a piece": answer(reasoning=f"you sent {KEY[3:30]}..."),
        "upper case": answer(reasoning=KEY.upper()),
        "model": body(lambda data: data.update(model=KEY)),
        "id": body(lambda data: data.update(id=f"req-{KEY}")),
        "usage": body(lambda data: data["usage"].update(note=KEY)),
        "name of a field": body(lambda data: data.update({KEY: 1})),
        "nested": body(nested),
        "escaped": Act(body=escaped.encode()),
        "slashes": Act(body=answer(reasoning=f"{KEY}").body.replace(b"/", b"\\/")),
        "error": body(lambda data: data.update(error={"message": f"bad key {KEY}"})),
        "finish": answer(finish=KEY),
        "no JSON": Act(body=f"key {KEY} is not valid".encode()),
        "comment": Act(body=f": {KEY}\n\n".encode() + answer(reasoning=KEY).body),
    }


def test_a_key_that_a_reply_repeats_gets_into_no_file(out, monkeypatch, capsys):
    monkeypatch.setenv("OUR_KEY", KEY)
    said = list(echoes().values())
    questions = pools.read(study_of(*SMOKE, f"questions.limit={len(said)}").questions)[0]
    table = {q.question: [act] for q, act in zip(questions, said, strict=True)}
    options = ("client.key_env=OUR_KEY", "client.give_up=30", "client.max_dollars=null")
    with Misbehaving(acts(table)) as server:
        collect(out, server.url, *options, "teacher.model=fake", limit=len(said))
        assert server.requests[0]["headers"]["authorization"] == f"Bearer {KEY}"
    printed = capsys.readouterr()
    for where, text in [*texts_of(out).items(), ("out", printed.out), ("err", printed.err)]:
        for piece in (KEY, KEY[3:30], KEY[-16:]):
            assert piece.lower() not in text.lower(), where


@pytest.mark.parametrize("where", ["content", "reasoning", "a piece", "escaped", "nested"])
def test_a_reply_that_repeats_the_key_gives_no_trace(out, monkeypatch, where):
    monkeypatch.setenv("OUR_KEY", KEY)
    bad = pools.read(study_of(*SMOKE, "questions.limit=1").questions)[0][0].question
    with Misbehaving(acts({bad: [echoes()[where]]})) as server:
        run = collect(out, server.url, "client.key_env=OUR_KEY", limit=3)
    rows = read_jsonl(run.folder / "traces.jsonl")
    if where != "nested":  # where another field holds the thinking, that is what is read
        assert rows[0]["rejected"] == "it repeats the key"
    assert (
        records.KEY_MARK
        in calls_of(run)[[c["id"] for c in calls_of(run)].index(rows[0]["id"])]["response"]
    )


def test_a_list_of_models_that_repeats_the_key_does_not_show_it(out, monkeypatch, capsys):
    monkeypatch.setenv("OUR_KEY", KEY)
    with (
        Misbehaving(models=(KEY, f"{KEY}-2")) as server,
        pytest.raises(SystemExit),
    ):
        collect(out, server.url, "client.key_env=OUR_KEY")
    assert KEY not in capsys.readouterr().err and not any(KEY in t for t in texts_of(out).values())


@pytest.mark.parametrize("key", ["none", "EMPTY", "x", "test"])
def test_a_word_that_is_a_key_of_nothing_changes_no_reply(key):
    text = answer(content=f"{key} Final Answer: 4").body.decode()
    assert records.without_key(text, key) == text


@pytest.mark.parametrize(
    "text", ["", "a", "sk-proj", KEY[:11], base64.b64encode(b"another text").decode(), "\ud800"]
)
def test_a_text_without_the_key_comes_back_as_it_is(text):
    assert records.without_key(text, KEY) == text
    whole = json.dumps({"a": [text, {"b": text}]}, indent=2)
    assert records.without_key(whole, KEY) == whole


# --- who is not there ------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), ("teacher.model=fake",)])
def test_a_server_that_is_not_there_is_told_before_a_model_is_fetched(
    tmp_path, monkeypatch, capsys, more
):
    fetched = []
    for maker in ("base_folder", "tokenizer_folder"):
        monkeypatch.setattr(models, maker, lambda *_: fetched.append(1) or 1 / 0)
    overrides = ("experiment=server", "teacher.url=http://127.0.0.1:9/v1", f"out={tmp_path}")
    with pytest.raises(SystemExit) as stop:
        script("collect").main(composed(*overrides, *more, "wandb=disabled", script="collect"))
    message = capsys.readouterr().err
    assert stop.value.code == 2 and "start the server" in message and not fetched
    assert message.count("\n") == 1


def test_a_classifier_that_is_not_there_is_told_before_a_model_is_fetched(
    tmp_path, monkeypatch, capsys
):
    for maker in ("base_folder", "tokenizer_folder"):
        monkeypatch.setattr(models, maker, lambda *_: 1 / 0)
    with Misbehaving() as server, pytest.raises(SystemExit):
        collect(tmp_path, server.url, "domains=msc", "domains.url=http://127.0.0.1:9/v1")
    assert "start the server" in capsys.readouterr().err and not server.requests


@pytest.mark.parametrize("listing", [status(404), status(500), Act(body=b"no JSON")])
def test_a_server_that_lists_no_models_is_there(out, listing):
    with Misbehaving(models=listing) as server:
        assert len(calls_of(collect(out, server.url, "teacher.model=fake", limit=2))) == 2
