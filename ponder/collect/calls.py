"""The calls of a model teacher: each is made once, recorded raw, and only then made into a trace.

A call is one line of a file, on disk before the next is counted, so a killed run asks only for what
is missing. Calls are stored in <out>/calls/, by what is asked and not by run: another choice of
rows pays for none of them again. What is asked of a local model, whose last bits depend on all that
is decoded together, is a whole block of questions. A finished run has its calls in
calls.jsonl.gz, sorted and without clocks, so that the same replies give the same bytes. Times and
prices are in timing.jsonl.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder import control, rows
from ponder.api import replies
from ponder.api.limits import Request, key_of
from ponder.collect import domains, first_replies, traces
from ponder.errors import RecordError, UserError
from ponder.rows import Call
from ponder.runs import dump, read_jsonl, write_atomic, write_jsonl

if TYPE_CHECKING:
    from ponder.api.client import Client, Result
    from ponder.collect.domains import ClassifiedDomain
    from ponder.collect.teachers import ServerTeacher
    from ponder.questions.drawn import Question
    from ponder.runs import Run
    from ponder.study import Study

# The calls of a run that is not finished yet.
RUNNING = "calls.jsonl"
OBJECTS = ("request", "response")
COUNTS = ("prompt_tokens", "completion_tokens")


# --- files of calls --------------------------------------------------------------------


def line_of(call: Call) -> dict[str, Any]:
    """Return what a running file holds of a call: request and response as objects, and `usage`."""
    values = rows.values_of(call)
    objects = {name: json.loads(values[name]) for name in OBJECTS}
    usage = {name: values.pop(name) for name in COUNTS}
    return values | objects | {"usage": usage}


def call_of(line: Any, where: str = "a call") -> Call:
    """Return the Call of a line of a running file; raises RecordError for a line that is none."""
    if not isinstance(line, dict) or not isinstance(line.get("usage"), dict):
        raise RecordError(f"{where} is no call; delete the line, and the call is made again")
    values = {name: value for name, value in line.items() if name != "usage"} | line["usage"]
    texts = {name: json_text(values[name]) for name in OBJECTS if name in values}
    return rows.row_of(Call, values | texts, where)


def json_text(value: Any) -> str:
    """Return the JSON of a value as a Call holds it: one line with sorted keys, no line end."""
    return dump(value).strip()


def read_calls(path: Path) -> dict[str, Call]:
    """Return {key: Call} of a running file, and drop a line of it that a kill cut short.

    {} where there is no file; raises RecordError for a line that is no call.
    """
    if not path.exists():
        return {}
    lines = read_jsonl(path, tolerate_cut=True)
    write_jsonl(path, lines)
    calls = [call_of(line, f"{path} row {number}") for number, line in enumerate(lines, 1)]
    return {call.key: call for call in calls}


def append_calls(path: Path, calls: Iterable[Call]) -> None:
    """Add calls to a running file; on return they are on the disk."""
    with open(path, "a", encoding="utf-8") as file:
        file.write("".join(dump(line_of(call)) for call in calls))
        file.flush()
        os.fsync(file.fileno())


def add_calls(path: Path, calls: Iterable[Call]) -> None:
    """Let a running file have these calls, in place of any of the same keys."""
    together = read_calls(path) | {call.key: call for call in calls}
    write_jsonl(path, map(line_of, together.values()))


def pack(run: Run) -> None:
    """Write the calls of a run to calls.jsonl.gz, sorted by purpose and question.

    Nothing for a run that made none. What was sent and what came back stand there as JSON in a
    text, so that every row of every teacher has the same columns.
    """
    calls = sorted(
        read_calls(run.folder / RUNNING).values(), key=lambda call: (call.purpose, call.id)
    )
    if calls:
        lines = [dump(rows.values_of(call)) for call in calls]
        data = gzip.compress("".join(lines).encode(), mtime=0)
        write_atomic(run.folder / "calls.jsonl.gz", data)


# --- asking a server -------------------------------------------------------------------


def choose_model(
    run: Run,
    name: str,
    server: ServerTeacher | ClassifiedDomain,
    client: Client,
    facts: dict[str, Any],
) -> str:
    """Return the model that answers a run, and write it with `facts` to the run's file `name`.

    A run goes on with the model it began with. Raises as client.model_of does.
    """
    from ponder.api import client as clients

    path = run.folder / name
    earlier = json.loads(path.read_text())["model"] if path.exists() else None
    model = server.model or earlier or clients.model_of(server.url, client)
    run.write_json(name, facts | {"model": model})
    return model


def classifier(study: Study, run: Run) -> Callable[[Sequence[Question]], list[str]] | None:
    """Return the `ask` of domains.label, or None for a study without a classifier.

    It asks the study's classifier once for each question, and records the calls in the run.
    """
    spec = study.domains
    if spec.kind != "classify":
        return None

    def ask(questions: Sequence[Question]) -> list[str]:
        client = _classifier_client(spec, study)
        facts = {"kind": spec.kind, "name": spec.name, "url": spec.url}
        model = choose_model(run, "classifier.json", spec, client, facts)
        requests = domains.requests(questions, spec, model)
        origin = {"purpose": "domain", "model": model}
        calls = ask_all(spec.url, requests, questions, origin, client, run)
        add_calls(run.folder / RUNNING, calls)
        return [replies.parse(call.response, None).answer for call in calls]

    return ask


def _classifier_client(spec: ClassifiedDomain, study: Study) -> Client:
    """Return how a classifier is asked; the key and prices of study.client are the teacher's."""
    return dataclasses.replace(
        study.client, key_env=spec.key_env, dollars_in=None, dollars_out=None, max_dollars=None
    )


def request_body(question: Question, teacher: ServerTeacher, model: str) -> dict[str, Any]:
    """Return the body of one request.

    The bare question as in s1 (data/gemini.py), and the config's instruction after it.
    """
    text = control.with_sentence(question.question, teacher.instruction)
    return {"model": model, "messages": [{"role": "user", "content": text}], **teacher.body}


def local_store(teacher: str) -> str:
    """Return by what the calls of a local teacher are stored, in place of a url."""
    return f"local teacher {teacher}"


def store_of(url: str, out: Path) -> Path:
    """Return the path of the calls of a server, or of a local_store."""
    return out / "calls" / f"{key_of(url)}.jsonl"


@contextlib.contextmanager
def locked_store(url: str, run: Run) -> Iterator[Path]:
    """Yield the file of a server's calls, locked: two runs would ask one question twice.

    Raises UserError where another process has it.
    """
    path = store_of(url, run.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The lock is a file of its own: `read_calls` puts another file in the place of `path`.
    with open(path.with_suffix(".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"{path} is being written by another collection from {url}; let it finish, or "
                "stop it"
            ) from None
        yield path


def ask_all(
    url: str,
    requests: Sequence[Request],
    questions: Sequence[Question],
    origin: dict[str, Any],
    client: Client,
    run: Run,
    why_rejected: Callable[[Call], str] | None = None,
) -> list[Call]:
    """Return the calls of the requests, one per question; a server is asked for missing ones alone.

    Missing is a call that was never made, and one that failed. Where nothing but failed ones is
    missing, the server need not be there: they stay failed, and the run says why. `origin` holds
    what the requests have in common: the fields purpose and model of a Call, and of a teacher's
    calls teacher and revision. `why_rejected` returns why an answered call gives no trace, "" for
    one that does. Raises ServerError as first_replies.judge_of and client.ask do.
    """
    ids = {
        request["key"]: question.id for request, question in zip(requests, questions, strict=True)
    }
    assert len(ids) == len(questions), (
        "two questions with one text: duplicates go before anybody is asked"
    )
    with locked_store(url, run) as path:
        calls = read_calls(path)
        missing = _missing(requests, calls)
        if missing:
            failed_alone = all(request["key"] in calls for request in missing)
            kept = [calls[key] for key in ids if key in calls]
            try:
                judge = first_replies.judge_of(url, kept, client, why_rejected)
                _ask_missing(url, missing, ids, origin, client, run, path, judge)
            except UserError as error:
                if not failed_alone:
                    raise
                run.say(f"collect {run.name}: {error}; what failed before stays failed")
            calls = read_calls(path)
    # The stored call may have been made for another run: who asks, and for what, is this run's own.
    return [
        dataclasses.replace(calls[request["key"]], **origin, id=ids[request["key"]])
        for request in requests
    ]


def _missing(requests: Sequence[Request], calls: dict[str, Call]) -> list[Request]:
    """Return the requests that no call of a store answers."""
    return [
        request
        for request in requests
        if request["key"] not in calls or calls[request["key"]].status == "failed"
    ]


def num_failed(folder: Path) -> int:
    """Return how many calls of a finished run's folder failed."""
    path = folder / "calls.jsonl.gz"
    lines = read_jsonl(path) if path.exists() else []
    return sum(line["status"] == "failed" for line in lines)


def _ask_missing(
    url: str,
    missing: Sequence[Request],
    ids: dict[str, str],
    origin: dict[str, Any],
    client: Client,
    run: Run,
    path: Path,
    judge: Callable[[Call], None],
) -> None:
    """Ask a server for the missing calls, append each to the file at `path`, then judge it."""
    from ponder.api import client as clients

    clocks = read_jsonl(run.folder / "timing.jsonl")
    spent = sum((row.get("dollars") or 0) + row.get("lost_dollars", 0) for row in clocks)
    estimate = clients.describe(clients.estimate(missing, client, spent=spent))
    run.say(
        f"collect {run.name}: {len(ids) - len(missing)} of {len(ids)} calls were kept before; the "
        f"others take at most {estimate}"
    )
    bodies = {request["key"]: request["body"] for request in missing}
    results = []

    def record(result: Result) -> None:
        response, names = replies.record_of(result.response)
        results.append(result)
        run.timing(
            call=result.key,
            utc=result.utc,
            seconds=result.seconds,
            attempts=result.attempts,
            dollars=result.dollars,
            **names,
        )
        call = Call(
            key=result.key,
            id=ids[result.key],
            **origin,
            request=json_text(bodies[result.key]),
            response=json_text(response),
            status=result.status,
            reason=result.reason,
            prompt_tokens=result.prompt_tokens,
            completion_tokens=result.completion_tokens,
        )
        append_calls(path, [call])
        judge(call)

    def record_loss(dollars: float) -> None:
        run.timing(lost_dollars=round(dollars, 6))

    clients.ask(url, "chat/completions", missing, client, record, spent, record_loss)
    run.say(f"collect {run.name}: {summary(results)}")


def summary(results: Sequence[Result]) -> str:
    """Return in words what calls took: answers, tokens as the server counts them, dollars."""
    answered = [result for result in results if result.status == "answered"]
    prompt = sum(result.prompt_tokens or 0 for result in answered)
    completion = sum(result.completion_tokens or 0 for result in answered)
    prices = [result.dollars for result in answered if result.dollars is not None]
    costs = []
    if prices:
        costs.append(f"{sum(prices):.4f} dollars")
    if unknown := len(answered) - len(prices):
        costs.append(f"{unknown} of unknown price")
    return (
        f"{len(answered)} of {len(results)} calls answered, {prompt:,} prompt and {completion:,} "
        f"completion tokens, {' and '.join(costs) or '0 dollars'}"
    )


def ask_server(questions: Sequence[Question], study: Study, run: Run) -> list[Call]:
    """Return the call of each question, in their order, from the study's teacher behind a server.

    Raises as ask_all and client.model_of do.
    """
    teacher = study.teacher
    assert teacher.kind == "openai"
    facts = {
        "kind": teacher.kind,
        "name": teacher.name,
        "revision": teacher.revision,
        "url": teacher.url,
    }
    model = choose_model(run, "teacher.json", teacher, study.client, facts)
    bodies = [request_body(question, teacher, model) for question in questions]
    requests: list[Request] = [{"key": key_of("trace", body), "body": body} for body in bodies]
    origin = {
        "purpose": "trace",
        "teacher": teacher.name,
        "model": model,
        "revision": teacher.revision,
    }

    def why_rejected(call: Call) -> str:
        return traces.reply_of(call, teacher).rejected or ""

    return ask_all(teacher.url, requests, questions, origin, study.client, run, why_rejected)


def check_listening(study: Study) -> None:
    """Raise ServerError where nobody listens at a server of which this study has no calls yet."""
    from ponder.api import client as clients

    servers = {}
    if study.teacher.kind == "openai":
        servers[study.teacher.url] = study.client
    if study.domains.kind == "classify":
        servers.setdefault(study.domains.url, _classifier_client(study.domains, study))
    for url, client in servers.items():
        if not store_of(url, Path(study.out)).exists():
            clients.check_listening(url, client)
