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
import time
from pathlib import Path

from tqdm import tqdm

from ponder import budget as budgets
from ponder import domains, engine, models, replies, shots, teachers
from ponder.config import ConfigError
from ponder.limits import key_of
from ponder.runs import dump, read_jsonl, write_atomic, write_jsonl

MADE = "calls.jsonl"    # of a run, until it is finished


def write(questions, plan, run, chat):
    """Return the graded rows of teachers.write, after every question has been asked once and its call kept."""
    ask = _ask_server if plan.teacher.kind == "openai" else _ask_local
    calls = ask(questions, plan, run)
    put(run.folder / MADE, calls)
    return [trace_of(question, call, plan.teacher, chat) for question, call in zip(questions, calls, strict=True)]


def classifier(plan, run):
    """Return the `ask` of domains.label that asks the study's classifier once for each question, or None where there is none."""
    if plan.domains.kind != "classify":
        return None

    def ask(questions):
        spec = plan.domains
        # The key and the prices of the client are those of the teacher.
        own = dataclasses.replace(plan.client, key_env=spec.key_env, dollars_in=None, dollars_out=None, max_dollars=None)
        model = answering(run, "classifier.json", spec, own, {"kind": spec.kind, "name": spec.name, "url": spec.url})
        calls = ask_all(spec.url, domains.requests(questions, spec, model), questions,
                        {"purpose": "domain", "model": model}, own, run)
        put(run.folder / MADE, calls)
        return [replies.parse(dump(call["response"]), None).answer for call in calls]

    return ask


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
        write_atomic(run.folder / "calls.jsonl.gz", gzip.compress("".join(map(dump, rows)).encode(), mtime=0))


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

    Raises ConfigError as client.model_of does.
    """
    from ponder import client as clients
    path = run.folder / name
    begun = json.loads(path.read_text())["model"] if path.exists() else None
    model = asked.model or begun or clients.model_of(asked.url, client)
    run.write_json(name, facts | {"model": model})
    return model


def facts(plan, run, families):
    """Return what the data card of a finished collection must be told (card.Facts)."""
    from ponder import card, contamination, pools
    path = run.folder / "teacher.json"
    who = json.loads(path.read_text()) if path.exists() else {"model": None}
    teacher = plan.teacher
    return card.Facts(
        name=plan.name, version="1.0.0", published=None, language="en" if plan.questions.kind == "drawn" else None, run=run.name,
        command="python collect.py", kind=teacher.kind, teacher=teacher.name, model=who["model"],
        revision=who.get("revision") or (f"adapter {who['adapter_sha256']}" if who.get("adapter_sha256") else None),
        terms=teacher.terms, sources=pools.sources(plan.questions, families),
        benchmarks=contamination.compared(plan.decontamination), override=None)


# --- a server --------------------------------------------------------------------------


def request(question, teacher, model):
    """Return the body of one request: the bare question as in s1 (data/gemini.py), and the config's instruction after it."""
    text = question.question + (f"\n\n{teacher.instruction}" if teacher.instruction else "")
    return {"model": model, "messages": [{"role": "user", "content": text}], **teacher.body}


@contextlib.contextmanager
def store(url, run):
    """Yield the file of calls of a server, locked: two runs would ask one question twice."""
    path = run.out / "calls" / f"{key_of(url)}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as lock:    # a file of its own: `kept` puts another one in the place of `path`
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"{path} is being written by another collection from {url}; let it finish, or stop it") from None
        yield path


def ask_all(url, requests, questions, facts, client, run):
    """Return the calls of the requests, one per question; a server is asked for those that were not kept, and said to be."""
    ids = {r["key"]: question.id for r, question in zip(requests, questions, strict=True)}
    assert len(ids) == len(questions), "two questions with one text: duplicates go before anybody is asked"
    with store(url, run) as path:
        calls = kept(path)
        missing = {r["key"]: r for r in requests if r["key"] not in calls}
        if missing:
            _ask_missing(url, missing, ids, facts, client, run, path)
            calls = kept(path)
    # Who asks, and for what, is the run's own: the call may have been made for another.
    return [{**calls[r["key"]], **facts, "id": ids[r["key"]]} for r in requests]


def _ask_missing(url, missing, ids, facts, client, run, path):
    from ponder import client as clients
    timing = read_jsonl(run.folder / "timing.jsonl")
    spent = sum((row.get("dollars") or 0) + row.get("lost_dollars", 0) for row in timing)
    run.say(f"collect {run.name}: {len(ids) - len(missing)} of {len(ids)} calls were kept before; the others take at most "
            + clients.describe(clients.estimate(list(missing.values()), client, spent=spent)))
    made = {}

    def keep(result):
        record, names = replies.record_of(result.response)
        usage = {"prompt_tokens": result.prompt_tokens, "completion_tokens": result.completion_tokens}
        made[result.key] = result
        run.timing(call=result.key, utc=result.utc, seconds=result.seconds, attempts=result.attempts, dollars=result.dollars,
                   **names)
        append(path, [{"key": result.key, "id": ids[result.key], **facts, "request": missing[result.key]["body"],
                       "response": record, "status": result.status, "reason": result.reason, "usage": usage}])

    clients.ask(url, "chat/completions", list(missing.values()), client, keep, spent,
                lambda dollars: run.timing(lost_dollars=round(dollars, 6)))
    run.say(f"collect {run.name}: {figures(made.values())}")


def figures(results):
    """Return in words what calls took: how many were answered, tokens as the server counts them, and dollars."""
    answered = [result for result in results if result.status == "answered"]
    tokens = [sum(getattr(result, name) or 0 for result in answered) for name in ("prompt_tokens", "completion_tokens")]
    prices = [result.dollars for result in answered if result.dollars is not None]
    unknown = len(answered) - len(prices)
    dollars = (f"{sum(prices):.4f} dollars" * bool(prices) + " and " * bool(prices and unknown)
               + f"{unknown} of unknown price" * bool(unknown))
    return (f"{len(answered)} of {len(results)} calls answered, {tokens[0]:,} prompt and {tokens[1]:,} completion tokens, "
            f"{dollars or '0 dollars'}")


def _ask_server(questions, plan, run):
    teacher = plan.teacher
    facts = {"kind": teacher.kind, "name": teacher.name, "revision": teacher.revision, "url": teacher.url}
    model = answering(run, "teacher.json", teacher, plan.client, facts)
    bodies = [request(question, teacher, model) for question in questions]
    requests = [{"key": key_of("trace", body), "body": body} for body in bodies]
    facts = {"purpose": "trace", "teacher": teacher.name, "model": model, "revision": teacher.revision}
    return ask_all(teacher.url, requests, questions, facts, plan.client, run)


# --- a local model ---------------------------------------------------------------------


def _ask_local(questions, plan, run):
    import torch

    from ponder import sft
    teacher = plan.teacher
    torch.set_num_threads(plan.hardware.threads)
    base = models.base_folder(teacher.model, plan.out)
    network, chat = models.load(base, dataclasses.replace(teacher.model.delimiters, think=teacher.think, answer=teacher.answer))
    adapter = models.file_sha256(f"{teacher.adapter}/adapter_model.safetensors") if teacher.adapter else None
    network = sft.with_weights(network, Path(teacher.adapter)) if teacher.adapter else network.eval()
    source = models.source_of(base)
    run.write_json("teacher.json", {"kind": teacher.kind, "name": teacher.name, "model": teacher.model.name, "base": source,
                                    "adapter": teacher.adapter, "adapter_sha256": adapter})
    examples = {}
    if teacher.shots:
        if plan.questions.kind != "drawn":
            raise ConfigError(f"teacher.shots={teacher.shots} shows solved questions, but questions={plan.questions.name} has "
                              "none; set teacher.shots=0")
        examples = shots.worked_examples(plan.questions.dir, {q.family for q in questions}, teacher.shots, ("probe",))
    budget = budgets.Budget(teacher.name, teacher.max_thinking, 0, "", teacher.max_answer, teacher.force_answer, "total")
    marks = chat.marks("")
    prompts = [chat.prompt(q.question, examples.get(q.family, ())) for q in questions]
    budgets.check_room(budget, marks, max(map(len, prompts)), teacher.model.context)
    purposes = [f"teacher/{q.id}/{plan.data_seed}" for q in questions]
    keys = [key_of(teacher.name, adapter, source, prompt, purpose, teacher.temperature)
            for prompt, purpose in zip(prompts, purposes, strict=True)]
    path = run.folder / MADE
    calls = kept(path)
    bar = tqdm(total=len(questions), unit="question", desc=f"collect {run.name}")
    for batch in batches(questions, prompts, plan.hardware.decode_rows, by_family=bool(examples)):
        if not all(keys[i] in calls for i in batch):
            began = time.perf_counter()
            choose = engine.sampling(teacher.temperature, [purposes[i] for i in batch]) if teacher.temperature else engine.greedy
            samples = engine.decode(network, [prompts[i] for i in batch], budget, marks, len(batch), choose, len(chat.tokenizer))
            run.timing(questions=len(batch), tokens=sum(len(s.ids) for s in samples), seconds=round(time.perf_counter() - began, 3))
            rows = [_call(questions[i], teacher, keys[i], prompts[i], purposes[i], sample, chat)
                    for i, sample in zip(batch, samples, strict=True)]
            append(path, [row for row in rows if row["key"] not in calls])
            calls |= {row["key"]: row for row in rows}
        bar.update(len(batch))
    bar.close()
    return [calls[key] for key in keys]


def batches(questions, prompts, rows, by_family):
    """Return batches of indices planned from all questions; `by_family` keeps worked examples a prefix of a whole batch."""
    groups = {}
    for i, question in enumerate(questions):
        groups.setdefault(question.family if by_family else "", []).append(i)
    return [[group[i] for i in batch] for group in groups.values()
            for batch in engine.plan([len(prompts[i]) for i in group], rows)]


def _call(question, teacher, key, prompt, purpose, sample, chat):
    thinking, reply = chat.split(sample)
    sampling = {"temperature": teacher.temperature, "seed": purpose, "max_thinking": teacher.max_thinking,
                "max_answer": teacher.max_answer, "force_answer": teacher.force_answer}
    return {"key": key, "purpose": "trace", "id": question.id, "teacher": teacher.name, "model": teacher.model.name,
            "revision": teacher.model.revision,
            "request": {"prompt": chat.decode(prompt), "prompt_tokens": len(prompt), **sampling},
            "response": {"thinking": thinking, "reply": reply, "ids": sample.ids, "forced": sample.forced, "capped": sample.capped},
            "status": "answered", "reason": sample.finish,
            "usage": {"prompt_tokens": len(prompt), "completion_tokens": len(sample.ids)}}


# --- from calls to traces --------------------------------------------------------------


def trace_of(question, call, teacher, chat):
    """Return the row of traces.jsonl that a call gives, a pure function of what was kept; `rejected` says why it is no
    trace, or "".

    Its answer, which is trained on, is what follows the final-answer prefix, of a server's reply the last one, or the whole
    reply: a row writes that prefix itself (s1, data/tokenization.py L18-34, puts "Answer:" before a text without one).
    """
    if call["status"] == "failed":
        think, reply, rejected = "", "", f"failed: {call['reason']}"
    elif teacher.kind == "openai":
        found = replies.parse(dump(call["response"]), teacher.reasoning_ends)
        think, reply, rejected = found.think, found.answer, found.rejected
    else:
        think, reply = call["response"]["thinking"].strip(), call["response"]["reply"]
        rejected = "thinking cut" if call["response"]["capped"] else None if call["reason"] == "stop" else "finish reason length"
        rejected = rejected or (None if think else "no reasoning")
    final = chat.delimiters.final
    answer = reply.rpartition(final)[2] if teacher.kind == "openai" else reply.strip().removeprefix(final)
    return teachers.row(question, think, answer.strip(), reply, teacher, len(chat.encode(think))) | {"rejected": rejected or ""}
