"""The calls of a model teacher: each is made once, kept raw from its first second, and only then made into a trace.

A call is one line of a file, on disk before the next is counted, so a killed run asks only for what is missing. Calls of a
server are kept in <out>/calls/, by what is asked and not by run: another choice of rows pays for none of them again. Those
of a local model, whose last bits depend on the whole batch, are kept in the run. A finished run has its calls in
calls.jsonl.gz, sorted and without clocks, so that the same replies give the same bytes. Times and prices are in
timing.jsonl (openness.md, P5).
"""

import contextlib
import dataclasses
import fcntl
import gzip
import json
import os

from ponder.api import replies
from ponder.api.limits import key_of
from ponder.collect import domains
from ponder.errors import UserError
from ponder.runs import dump, read_jsonl, write_atomic, write_jsonl

MADE = "calls.jsonl"  # of a run, until it is finished


def pack(run):
    """Write the calls of the run to calls.jsonl.gz, sorted by purpose and question; nothing for a run that made none.

    What was sent and what came back stand there as JSON in a text, so that every row of every teacher has the same columns.
    """
    made = kept(run.folder / MADE)
    rows = []
    for call in sorted(made.values(), key=lambda row: (row["purpose"], row["id"])):
        flat = {key: value for key, value in call.items() if key != "usage"} | call["usage"]
        rows.append(flat | {key: dump(call[key]).strip() for key in ("request", "response")})
    if rows:
        write_atomic(
            run.folder / "calls.jsonl.gz", gzip.compress("".join(map(dump, rows)).encode(), mtime=0)
        )


def kept(path):
    """Return {key: call} of a file of calls, after dropping a line that a kill cut short; {} where there is none."""
    if not path.exists():
        return {}
    rows = read_jsonl(path, tolerate_cut=True)
    write_jsonl(path, rows)
    return {row["key"]: row for row in rows}


def append(path, rows):
    """Add calls to a file; on return they are on the disk."""
    with open(path, "a", encoding="utf-8") as file:
        file.write("".join(map(dump, rows)))
        file.flush()
        os.fsync(file.fileno())


def put(path, calls):
    """Let a file of calls have these too."""
    write_jsonl(path, (kept(path) | {call["key"]: call for call in calls}).values())


def answering(run, name, asked, client, facts):
    """Return the model that answers a run and write it to the file `name`; a run goes on with the model it began with.

    Raises UserError as client.model_of does.
    """
    from ponder.api import client as clients

    path = run.folder / name
    begun = json.loads(path.read_text())["model"] if path.exists() else None
    model = asked.model or begun or clients.model_of(asked.url, client)
    run.write_json(name, facts | {"model": model})
    return model


def classifier(plan, run):
    """Return the `ask` of domains.label that asks the study's classifier once for each question, or None where there is none."""
    if plan.domains.kind != "classify":
        return None

    def ask(questions):
        spec = plan.domains
        # The key and the prices of the client are those of the teacher.
        own = dataclasses.replace(
            plan.client, key_env=spec.key_env, dollars_in=None, dollars_out=None, max_dollars=None
        )
        model = answering(
            run,
            "classifier.json",
            spec,
            own,
            {"kind": spec.kind, "name": spec.name, "url": spec.url},
        )
        calls = ask_all(
            spec.url,
            domains.requests(questions, spec, model),
            questions,
            {"purpose": "domain", "model": model},
            own,
            run,
        )
        put(run.folder / MADE, calls)
        return [replies.parse(dump(call["response"]), None).answer for call in calls]

    return ask


def request(question, teacher, model):
    """Return the body of one request: the bare question as in s1 (data/gemini.py), and the config's instruction after it."""
    text = question.question + (f"\n\n{teacher.instruction}" if teacher.instruction else "")
    return {"model": model, "messages": [{"role": "user", "content": text}], **teacher.body}


@contextlib.contextmanager
def store(url, run):
    """Yield the file of calls of a server, locked: two runs would ask one question twice."""
    path = run.out / "calls" / f"{key_of(url)}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(
        path.with_suffix(".lock"), "w"
    ) as lock:  # a file of its own: `kept` puts another one in the place of `path`
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"{path} is being written by another collection from {url}; let it finish, or stop it"
            ) from None
        yield path


def ask_all(url, requests, questions, facts, client, run):
    """Return the calls of the requests, one per question; a server is asked for those that were not kept, and said to be."""
    ids = {r["key"]: question.id for r, question in zip(requests, questions, strict=True)}
    assert len(ids) == len(questions), (
        "two questions with one text: duplicates go before anybody is asked"
    )
    with store(url, run) as path:
        calls = kept(path)
        missing = {r["key"]: r for r in requests if r["key"] not in calls}
        if missing:
            _ask_missing(url, missing, ids, facts, client, run, path)
            calls = kept(path)
    # Who asks, and for what, is the run's own: the call may have been made for another.
    return [{**calls[r["key"]], **facts, "id": ids[r["key"]]} for r in requests]


def _ask_missing(url, missing, ids, facts, client, run, path):
    from ponder.api import client as clients

    timing = read_jsonl(run.folder / "timing.jsonl")
    spent = sum((row.get("dollars") or 0) + row.get("lost_dollars", 0) for row in timing)
    run.say(
        f"collect {run.name}: {len(ids) - len(missing)} of {len(ids)} calls were kept before; the others take at most "
        + clients.describe(clients.estimate(list(missing.values()), client, spent=spent))
    )
    made = {}

    def keep(result):
        record, names = replies.record_of(result.response)
        usage = {
            "prompt_tokens": result.prompt_tokens,
            "completion_tokens": result.completion_tokens,
        }
        made[result.key] = result
        run.timing(
            call=result.key,
            utc=result.utc,
            seconds=result.seconds,
            attempts=result.attempts,
            dollars=result.dollars,
            **names,
        )
        append(
            path,
            [
                {
                    "key": result.key,
                    "id": ids[result.key],
                    **facts,
                    "request": missing[result.key]["body"],
                    "response": record,
                    "status": result.status,
                    "reason": result.reason,
                    "usage": usage,
                }
            ],
        )

    clients.ask(
        url,
        "chat/completions",
        list(missing.values()),
        client,
        keep,
        spent,
        lambda dollars: run.timing(lost_dollars=round(dollars, 6)),
    )
    run.say(f"collect {run.name}: {figures(made.values())}")


def figures(results):
    """Return in words what calls took: how many were answered, tokens as the server counts them, and dollars."""
    answered = [result for result in results if result.status == "answered"]
    tokens = [
        sum(getattr(result, name) or 0 for result in answered)
        for name in ("prompt_tokens", "completion_tokens")
    ]
    prices = [result.dollars for result in answered if result.dollars is not None]
    unknown = len(answered) - len(prices)
    dollars = (
        f"{sum(prices):.4f} dollars" * bool(prices)
        + " and " * bool(prices and unknown)
        + f"{unknown} of unknown price" * bool(unknown)
    )
    return (
        f"{len(answered)} of {len(results)} calls answered, {tokens[0]:,} prompt and {tokens[1]:,} completion tokens, "
        f"{dollars or '0 dollars'}"
    )


def ask_server(questions, plan, run):
    teacher = plan.teacher
    facts = {
        "kind": teacher.kind,
        "name": teacher.name,
        "revision": teacher.revision,
        "url": teacher.url,
    }
    model = answering(run, "teacher.json", teacher, plan.client, facts)
    bodies = [request(question, teacher, model) for question in questions]
    requests = [{"key": key_of("trace", body), "body": body} for body in bodies]
    facts = {
        "purpose": "trace",
        "teacher": teacher.name,
        "model": model,
        "revision": teacher.revision,
    }
    return ask_all(teacher.url, requests, questions, facts, plan.client, run)
