"""One number down to the questions, the thinking and the teacher behind it; and what two runs differ in, question by question."""

import json
import textwrap
from pathlib import Path

from ponder import lineage
from ponder.audit import claims, notes
from ponder.audit.checks import ROOT, place, read, runs, shown
from ponder.errors import UserError

SHOWN = 3  # right and wrong answers that an explanation quotes


def find(words):
    """Return the claims that some words name: by a claim's id or a path that begins with one, or by a printed number and words.

    Claims over the same answers count as one. Raises UserError where there is none.
    """
    name, known = " ".join(words), read(ROOT / "logs" / "claims.jsonl")
    if exact := [claim for claim in known if f"{name}/".startswith(claim["id"] + "/")]:
        return [max(exact, key=lambda claim: len(claim["id"]))]
    number, rest = words[0], " ".join(words[1:]).casefold()
    hits = [
        claim
        for claim in known
        if rest in claim["id"].casefold()
        and any(
            number in (text, *(word.strip("[],") for word in text.split()))
            for text in claim["printed"]
        )
    ]
    if not hits:
        raise UserError(
            f"no claim is called or printed as {name!r}; give a number as README.md prints it, words of its row "
            "after it, or an id of logs/claims.jsonl"
        )
    return list(
        {json.dumps([claim["runs"], claim["families"]]): claim for claim in hits[::-1]}.values()
    )[::-1]


def explain(words):
    """Return the lines that lead from a number to what it rests on; with several claims that print it, which they are."""
    found = find(words)
    if len(found) > 1:
        lines = [f"{len(found)} claims print {words[0]}. Add words of one, or give its id:", ""]
        return [*lines, *(f'  python audit.py explain "{claim["id"]}"' for claim in found)]
    claim = found[0]
    lines = [
        f"CLAIM      {claim['id']}",
        *(f"  printed  {text}" for text in claim["printed"] if any(c.isdigit() for c in text)),
    ]
    lines += [f"  in       {where}" for where in printed_in(claim)]
    lines += [f"ESTIMATOR  {claims.ESTIMATORS[claim['estimator']]}"]
    lines += [f"  over     {', '.join(claim['families'])}"] if claim["families"] else []
    lines += [f"DECISION   {shown(notes.records()[number][0])}" for number in claim["decisions"]]
    for name in claim["runs"][:4]:
        lines += ["", *chain(ROOT / "logs" / name, claim)]
    rest = [f"  {name}" for name in claim["runs"][4:]]
    return [
        *lines,
        *(
            ["", f"and {len(rest)} more runs, each to be followed in the same way:", *rest]
            if rest
            else []
        ),
    ]


def printed_in(claim):
    """Yield "file line N" for lines that hold a claim by name, or print its interval, beside its label where it has one."""
    label = claim["id"].split("/")[1] if claim["id"].startswith("rows/") else ""
    texts = [text for text in claim["printed"] if "[" in text]
    for name in ("README.md", "data/README.md"):
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
            if f"<!--={claim['id']}" in line or (
                label in line and any(text in line for text in texts)
            ):
                yield f"{name} line {number}"
    yield "paper/paper.pdf, where its template takes it by this path"


def chain(folder, claim):
    """Return the lines on a run: config, code, machine, what it read, and what stands behind that, down to the teacher."""
    status, machine, made = (
        read(folder / name) for name in ("status.json", "environment.json", "config.yaml")
    )
    lines = [
        f"RUN        logs/{folder.parent.name}/{folder.name}: {status['status']}",
        f"  code     commit {', '.join(entry['commit'][:12] for entry in status['commits'])}",
        f"  machine  {machine['cpu']}, {machine['threads']} threads, torch {machine['packages']['torch']}",
    ]
    if folder.parent.name == "evaluate":
        budget = made["budget"]
        asked = f"{made['benchmark']['name']} {made['benchmark'].get('split', '')}"
        lines += [
            f"  config   subject {made['subject']['name']}, budget {budget['name']} (at most {budget['max_thinking']} "
            f"thinking tokens, {budget['num_ignore']} ends ignored), {asked}",
            *quoted(folder, claim["families"]),
        ]
        lines += behind(status["inputs"])
    elif folder.parent.name == "train":
        lines += training(folder)
    else:
        lines += collection(folder)
    return lines


def quoted(folder, families):
    """Return lines with some right and some wrong answers of an evaluation: question, thinking, reply."""
    samples = [
        s for s in read(folder / "samples.jsonl") if families is None or s["task"] in families
    ]
    right = sum(s["correct"] for s in samples)
    lines = [
        f"  answers  {len(samples)}, of which {right} right: all in {shown(folder)}/samples.jsonl"
    ]
    for word, right in (("right", True), ("wrong", False)):
        for s in [s for s in samples if s["correct"] == right][:SHOWN]:
            lines += [
                f"    {word}    {s['task']}/{s['id']}",
                *said(s, "question", "thinking", "reply", "gold"),
            ]
    return lines


def said(row, *names):
    """Return the lines of some texts of a row."""
    return [line for name in names for line in indented(name, row[name])]


def indented(name, text):
    """Return a text that a model or a pool wrote as lines under a name; what is no plain character is escaped."""
    safe = (
        "".join(c if c.isprintable() else " / " if c == "\n" else repr(c)[1:-1] for c in text)
        or "(empty)"
    )
    return textwrap.wrap(safe, 120, initial_indent=f"      {name:9}", subsequent_indent=" " * 15)


def behind(inputs):
    """Return the lines on what an evaluation read: its questions, and the training behind its weights."""
    asked = sorted(name for name in inputs if name.endswith(".jsonl"))
    lines = [
        f"  read     {len(asked)} files of questions in data/cpu/questions: {', '.join(asked)}"
    ]
    for folder in notes.trained(inputs):
        lines += [f"WEIGHTS    trained by logs/train/{folder.name}", *training(folder)]
    if "adapter_model.safetensors" not in inputs:
        lines.append("WEIGHTS    none of ours: the base model, or no model, answered")
    return lines


def training(folder):
    """Return the lines on a training and on the rows that it read."""
    made, status = read(folder / "config.yaml"), read(folder / "status.json")
    recipe = ", ".join(f"{key} {made['train'][key]}" for key in RECIPE if key in made["train"])
    steps = len(read(folder / "metrics.jsonl")) if (folder / "metrics.jsonl").exists() else 0
    lines = [
        f"  recipe   {recipe}, seed {made['seed']}",
        f"  base     {made['model']['name']}, licence {made['model']['licence']}",
        f"  steps    {steps:,}: each in logs/train/{folder.name}/metrics.jsonl, its rows in batches.jsonl",
    ]
    for other in sorted(
        runs("collect"), key=lambda run: run.name[:-9] != folder.name[:-9]
    ):  # of equal rows those of its name
        files = read(other / "manifest.json")["files"]
        if files.get("train.jsonl", {}).get("sha256") == status["inputs"].get("train.jsonl"):
            return [*lines, f"ROWS       chosen by logs/collect/{other.name}", *collection(other)]
    return [*lines, "ROWS       not released"]


RECIPE = ("method", "lora_rank", "epochs", "batch_rows", "lr", "trace", "control")


def collection(folder):
    """Return the lines on a choice of rows, on the teacher who wrote them, and on the terms that they come under."""
    made = read(folder / "config.yaml")
    rows, teacher = place(folder, "train.jsonl"), made["teacher"]
    terms = (
        teacher.get("terms") or read(ROOT / "conf" / "teacher" / f"{teacher['name']}.yaml")["terms"]
    )
    first = read(rows)[0]
    text = (
        f"data/licenses/{terms['text']}.txt"
        if terms.get("text")
        else f"quoted: {terms.get('quoted')}"
    )
    return [
        f"  rows     {len(read(rows)):,} in {shown(rows)}, of {len(read(place(folder, 'traces.jsonl'))):,} traces in "
        f"{shown(place(folder, 'traces.jsonl'))}",
        f"  pool     {made['questions']['name']}; rule {made['selection']['name']}; why each other row was dropped: "
        f"{shown(place(folder, 'funnel.json'))}",
        f"TEACHER    {teacher['name']} ({teacher.get('kind', 'solver')})",
        f"  terms    of its outputs: {terms['licence']}; our reading, whether they may train: {terms['reading']}; {text}",
        f"  a row    {first['family']}/{first['id']}",
        *said(first, "question", "think", "answer"),
    ]


# --- two runs --------------------------------------------------------------------------


def run_named(name):
    """Return the folder of a run, released or in outputs/, named by a path, stage/name or name; raises UserError."""
    places = [
        Path(name),
        *(base / name for base in (ROOT / "logs", ROOT / "outputs")),
        *(
            path
            for base in ("logs", "outputs")
            for path in ROOT.glob(f"{base}/*/{Path(name).name}")
        ),
    ]
    for place_ in places:
        if (place_ / "status.json").exists():
            return place_.resolve()
    raise UserError(
        f"no run is called {name!r}; name a folder in logs/ or outputs/, as evaluate/cpu-trained-free-test-43c273eb"
    )


def diff(one, other):
    """Return the lines on what two runs of a stage differ in: config and inputs, outcome, and for evaluations each question."""
    folders = [run_named(one), run_named(other)]
    stages = [json.loads((folder / "status.json").read_text())["stage"] for folder in folders]
    if stages[0] != stages[1]:
        raise UserError(
            f"{one} is a {stages[0]} run and {other} a {stages[1]} run; compare two of one stage"
        )
    lines = [
        f"A  {stages[0]}/{folders[0].name}",
        f"B  {stages[0]}/{folders[1].name}",
        "",
        "CONFIG AND INPUTS",
    ]
    changed = lineage.changed(*(lineage.identity(folder)[0] for folder in folders))
    lines += [f"  {key}: {a!s:.60} -> {b!s:.60}" for key, (a, b) in changed.items()] or [
        "  the same"
    ]
    for folder, letter in zip(folders, "AB", strict=True):
        if parent := json.loads((folder / "status.json").read_text()).get("parent"):
            lines.append(
                f"  {letter} descends from {parent['run']}, which differs in {', '.join(parent['changed']) or 'nothing'}"
            )
    return [*lines, "", "OUTCOME", *OUTCOMES[stages[0]](*folders)]


def trainings(a, b):
    """Return lines on the losses of two trainings."""
    ones, others = (rows_of(folder, "metrics.jsonl") for folder in (a, b))
    both = min(len(ones), len(others))
    first = next((x["step"] for x, y in zip(ones, others, strict=False) if x != y), None)
    return [
        f"  steps {len(ones)} and {len(others)}; first step that differs: {first or 'none'}",
        *(
            f"  step {step}: loss {ones[step - 1]['loss']:.4f} and {others[step - 1]['loss']:.4f}"
            for step in sorted({1, *range(100, both + 1, 100), both})
            if 0 < step <= both
        ),
    ]


def evaluations(a, b):
    """Return lines on the accuracies of two evaluations, and each question that only one of them has right."""
    ones, others = (
        {(s["task"], s["id"], s.get("sample", 0)): s for s in rows_of(folder, "samples.jsonl")}
        for folder in (a, b)
    )
    both = [key for key in ones if key in others]
    lines = [f"  answers {len(ones)} and {len(others)}, {len(both)} to the same questions"]
    for task in dict.fromkeys(key[0] for key in both):
        mine = [key for key in both if key[0] == task]
        right, thinking = (
            [sum(run[k][key] for k in mine) for run in (ones, others)]
            for key in ("correct", "num_thinking")
        )
        lines.append(
            f"  {task:18} right {right[0]:4} and {right[1]:4} of {len(mine)}; thinking {thinking[0] / len(mine):6.1f} and "
            f"{thinking[1] / len(mine):6.1f} tokens"
        )
    lines.append(
        f"  same tokens in {sum(ones[k]['ids'] == others[k]['ids'] for k in both)} of {len(both)}"
    )
    for title, won in (("ONLY B IS RIGHT", False), ("ONLY A IS RIGHT", True)):
        keys = [k for k in both if ones[k]["correct"] == won != others[k]["correct"]]
        lines += ["", f"{title}: {len(keys)}"]
        for key in keys:
            lines += [
                f"  {key[0]}/{key[1]}",
                *said(ones[key], "question", "gold"),
                *indented("A", f"{ones[key]['thinking']} | {ones[key]['reply']}"),
                *indented("B", f"{others[key]['thinking']} | {others[key]['reply']}"),
            ]
    return lines


def collections(a, b):
    """Return lines on which rows two collections chose."""
    ones, others = ({row["id"] for row in rows_of(folder, "train.jsonl")} for folder in (a, b))
    return [f"  rows {len(ones)} and {len(others)}, {len(ones & others)} in both"]


def rows_of(folder, name):
    """Return the rows of a file of a run, that of a run in outputs/ too; none where it has no such file."""
    path = place(folder, name)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


OUTCOMES = {"collect": collections, "train": trainings, "evaluate": evaluations}
