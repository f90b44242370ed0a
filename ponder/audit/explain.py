"""One number down to the questions, the thinking and the teacher behind it; and what two runs
differ in, question by question.
"""

import dataclasses
import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ponder import lineage, rows
from ponder.audit import claims, notes
from ponder.audit.answers import questions_folder
from ponder.audit.checks import ROOT, answers_file, place, read, runs, samples, shown
from ponder.audit.decisions import decisions
from ponder.errors import UserError
from ponder.report import links, markdown
from ponder.rows import ABSENT, Claim, SampleRow, Trace
from ponder.runs import read_jsonl

QUOTED = 3  # right and wrong answers that an explanation quotes
RECIPE = ("method", "lora_rank", "epochs", "batch_rows", "lr", "trace", "control")
LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")
Lines = list[str]


def matching(words: list[str]) -> list[Claim]:
    """Return the claims that some words name: by a claim's id or a path that begins with one, or
    by a printed number and words of the id.

    Claims over the same answers count as one. Raises UserError where there is none.
    """
    name = " ".join(words)
    known = [rows.row_of(Claim, values) for values in read(ROOT / "logs" / "claims.jsonl")]
    if by_id := [claim for claim in known if f"{name}/".startswith(claim.id + "/")]:
        return [max(by_id, key=lambda claim: len(claim.id))]
    number, rest = words[0], " ".join(words[1:]).casefold()
    matches = [claim for claim in known if rest in claim.id.casefold() and prints(claim, number)]
    if not matches:
        raise UserError(
            f"no claim is called or printed as {name!r}; give a number as README.md prints it, "
            "words of its row after it, or an id of logs/claims.jsonl"
        )
    first_over_the_same: dict[str, Claim] = {}
    for claim in matches:
        first_over_the_same.setdefault(json.dumps([claim.runs, claim.families]), claim)
    return list(first_over_the_same.values())


def prints(claim: Claim, number: str) -> bool:
    """Whether a number is one of the printed forms of a claim, or a word of one."""
    for text in claim.printed:
        if number in (text, *(word.strip("[],") for word in text.split())):
            return True
    return False


def explain(words: list[str]) -> Lines:
    """Return the lines that lead from a number to what it rests on; with several claims that print
    it, which they are.
    """
    matches = matching(words)
    if len(matches) > 1:
        commands = [f'  python audit.py explain "{claim.id}"' for claim in matches]
        head = f"{len(matches)} claims print {words[0]}. Add words of one, or give its id:"
        return [head, "", *commands]
    claim = matches[0]
    printed = [text for text in claim.printed if any(c.isdigit() for c in text)]
    lines = [
        f"CLAIM      {claim.id}",
        *(f"  printed  {text}" for text in printed),
        *(f"  in       {where}" for where in printed_in(claim)),
        f"ESTIMATOR  {claims.ESTIMATORS[claim.estimator]}",
    ]
    if claim.families:
        lines.append(f"  over     {', '.join(claim.families)}")
    for number in claim.decisions or ():
        lines.append(f"DECISION   {shown(decisions()[number].path)}")
    lines += turned(claim)
    for name in claim.runs[:4]:
        lines += ["", *chain(ROOT / "logs" / name, claim)]
    if others := claim.runs[4:]:
        lines += ["", f"and {len(others)} more runs, each to be followed in the same way:"]
        lines += [f"  {name}" for name in others]
    return lines


def printed_in(claim: Claim) -> Lines:
    """Return "file line N" for lines that print a claim: that name it, whose first cell is its
    label and that hold its interval, or that hold an interval which no other claim prints.
    """
    label, intervals = label_of(claim), [text for text in claim.printed if "[" in text]
    known = read(ROOT / "logs" / "claims.jsonl")
    own = [text for text in intervals if sum(text in other["printed"] for other in known) == 1]
    places = []
    for name in markdown.DOCUMENTS:
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
            wanted = intervals if first_cell(line) == label else own
            if f"<!--={claim.id}" in line or any(text in line for text in wanted):
                places.append(f"{name} line {number}")
    return [*places, "paper/paper.pdf, where its template takes it by this path"]


def label_of(claim: Claim) -> str | None:
    """Return what the first cell of a table's row on a claim says; None for one without a row."""
    known = {other["id"]: other["value"] for other in read(ROOT / "logs" / "claims.jsonl")}
    match claim.id.split("/"):
        case ["rows", label, *_]:
            return label
        case ["comparisons", name, _]:
            pair = known[f"comparisons/{name}"]
            return f"{pair['ours']} minus {pair['theirs']}"
        case ["methods", "table", name]:
            return f"{name}: {known[claim.id]['title']}"
    return None


def first_cell(line: str) -> str | None:
    """Return the text of the first cell of a table's row, a link without its address; None for
    another line.
    """
    if not line.startswith("| "):
        return None
    return LINK.sub(r"\1", line.split(" | ")[0].removeprefix("| ")).strip()


def turned(claim: Claim) -> Lines:
    """Return the lines on a difference of two runs: the answers that became right and wrong, with
    an example of each, and what was expected of it.
    """
    if claim.estimator != "difference" or len(claim.runs) != 2:
        return []
    ours, theirs = (answers_of(ROOT / "logs" / name) for name in claim.runs)
    keys = [key for key in ours if key in theirs and key[0] in (claim.families or {key[0]})]
    lines: Lines = []
    for word, first, second in (("gained", ours, theirs), ("lost", theirs, ours)):
        found = [key for key in keys if first[key].correct and not second[key].correct]
        lines.append(f"{word.upper():10} {len(found)} of {len(keys)} answers")
        for key in found[:1]:
            lines += [f"  as       {key[0]}/{key[1]}", *texts(ours[key], "question", "gold")]
            lines += indented("theirs", f"{theirs[key].thinking} | {theirs[key].reply}")
            lines += indented("ours", f"{ours[key].thinking} | {ours[key].reply}")
    return [*lines, *expected_of(claim)]


def expected_of(claim: Claim) -> Lines:
    """Return a line for each pre-registration whose runs are those of a claim, with its outcome."""
    lines = []
    for path in notes.preregistered():
        found = notes.outcome(path)
        if sorted(found["runs"] or ()) == sorted(claim.runs):
            lines.append(f"EXPECTED   {found['expected']}: {found['outcome']} ({shown(path)})")
    return lines


def chain(folder: Path, claim: Claim) -> Lines:
    """Return the lines on a run: config, code, machine, what it read, and what stands behind that,
    down to the teacher.
    """
    status, machine = read(folder / "status.json"), read(folder / "environment.json")
    commits = ", ".join(entry["commit"][:12] for entry in status["commits"])
    torch = machine["packages"]["torch"]
    lines = [
        f"RUN        logs/{folder.parent.name}/{folder.name}: {status['status']}",
        f"  code     commit {commits}",
        f"  machine  {machine['cpu']}, {machine['threads']} threads, torch {torch}",
    ]
    if folder.parent.name == "evaluate":
        lines += [*asked(folder), *quoted(folder, claim.families), *behind(folder)]
    elif folder.parent.name == "train":
        lines += training(folder)
    else:
        lines += collection(folder)
    return lines


def asked(folder: Path) -> Lines:
    """Return the line on who was asked what in an evaluation, and under which budget."""
    config = read(folder / "config.yaml")
    budget, benchmark = config["budget"], config["benchmark"]
    return [
        f"  config   subject {config['subject']['name']}, budget {budget['name']} (at most "
        f"{budget['max_thinking']} thinking tokens, {budget['num_ignore']} ends ignored), "
        f"{benchmark['name']} {benchmark.get('split', '')}"
    ]


def quoted(folder: Path, families: list[str] | None) -> Lines:
    """Return lines with some right and some wrong answers of an evaluation: question, thinking,
    reply.
    """
    answers = [s for s in samples(folder) if families is None or s.task in families]
    right = [sample for sample in answers if sample.correct]
    wrong = [sample for sample in answers if not sample.correct]
    where = answers_file(folder)
    page = f"{links.SITE}{links.reader(folder.name)}"
    lines = [
        f"  answers  {len(answers)}, of which {len(right)} right: all in {where}",
        f"  page     {page} after make site",
    ]
    for word, group in (("right", right), ("wrong", wrong)):
        for sample in group[:QUOTED]:
            question = f"{sample.task}/{sample.id}"
            answer = f"{links.SITE}{links.reader(folder.name, q=question)}"
            lines += [f"    {word}    {question}", f"      page     {answer}"]
            lines += texts(sample, "question", "thinking", "reply", "gold")
    return lines


def texts(row: SampleRow | Trace, *names: str) -> Lines:
    """Return the lines of some texts of a row."""
    lines = []
    for name in names:
        if (text := getattr(row, name)) is not ABSENT:  # as the question of a public benchmark
            lines += indented(name, text)
    return lines


def indented(name: str, text: str) -> Lines:
    """Return a text that a model or a pool wrote as lines under a name; what is no plain character
    is escaped.
    """
    plain = "".join(escaped(character) for character in text) or "(empty)"
    return textwrap.wrap(plain, 120, initial_indent=f"      {name:9}", subsequent_indent=" " * 15)


def escaped(character: str) -> str:
    """Return a character that cannot move a terminal's cursor."""
    if character == "\n":
        return " / "
    return character if character.isprintable() else repr(character)[1:-1]


def behind(folder: Path) -> Lines:
    """Return the lines on what an evaluation read: its questions, and the training behind its
    weights.
    """
    inputs = read(folder / "status.json")["inputs"]
    files = sorted(name for name in inputs if name.endswith(".jsonl"))
    directory = questions_folder(folder)
    where = shown(directory) if directory else "a public benchmark, not ours to release"
    lines = [f"  read     {len(files)} files of questions in {where}: {', '.join(files)}"]
    for folder in notes.trained(inputs):
        lines += [f"WEIGHTS    trained by logs/train/{folder.name}", *training(folder)]
    if "adapter_model.safetensors" not in inputs:
        lines.append("WEIGHTS    none of ours: the base model, or no model, answered")
    return lines


def training(folder: Path) -> Lines:
    """Return the lines on a training and on the rows that it read."""
    config, status = read(folder / "config.yaml"), read(folder / "status.json")
    settings = [f"{key} {config['train'][key]}" for key in RECIPE if key in config["train"]]
    steps = len(read(folder / "metrics.jsonl")) if (folder / "metrics.jsonl").exists() else 0
    lines = [
        f"  recipe   {', '.join(settings)}, seed {config['seed']}",
        f"  base     {config['model']['name']}, licence {config['model']['licence']}",
        f"  steps    {steps:,}: each in logs/train/{folder.name}/metrics.jsonl, its rows in "
        "batches.jsonl",
    ]
    label = folder.name[:-9]
    same_name_first = sorted(runs("collect"), key=lambda run: run.name[:-9] != label)
    for collected in same_name_first:
        files = read(collected / "manifest.json")["files"]
        if files.get("train.jsonl", {}).get("sha256") == status["inputs"].get("train.jsonl"):
            chosen = f"ROWS       chosen by logs/collect/{collected.name}"
            return [*lines, chosen, *collection(collected)]
    return [*lines, "ROWS       not released"]


def collection(folder: Path) -> Lines:
    """Return the lines on a choice of rows, on the teacher who wrote them, and on the terms that
    they come under.
    """
    config = read(folder / "config.yaml")
    teacher = config["teacher"]
    terms = teacher.get("terms")
    if terms is None:
        terms = read(ROOT / "conf" / "teacher" / f"{teacher['name']}.yaml")["terms"]
    wording = f"quoted: {terms.get('quoted')}"
    if terms.get("text"):
        wording = f"data/licenses/{terms['text']}.txt"
    paths = [place(folder, name) for name in ("train.jsonl", "traces.jsonl", "funnel.json")]
    chosen, traces, funnel = paths
    first = rows.row_of(Trace, read(chosen)[0], f"{shown(chosen)} row 1")
    return [
        f"  rows     {len(read(chosen)):,} in {shown(chosen)}, of {len(read(traces)):,} traces in "
        f"{shown(traces)}",
        f"  pool     {config['questions']['name']}; rule {config['selection']['name']}; why each "
        f"other row was dropped: {shown(funnel)}",
        f"TEACHER    {teacher['name']} ({teacher.get('kind', 'solver')})",
        f"  terms    of its outputs: {terms['licence']}; our reading, whether they may train: "
        f"{terms['reading']}; {wording}",
        f"  a row    {first.family}/{first.id}",
        *texts(first, "question", "think", "answer"),
    ]


# --- two runs --------------------------------------------------------------------------


def run_named(name: str) -> Path:
    """Return the folder of a run, released or in outputs/, named by a path, stage/name or name;
    raises UserError.
    """
    folders = [Path(name), ROOT / "logs" / name, ROOT / "outputs" / name]
    for base in ("logs", "outputs"):
        folders += ROOT.glob(f"{base}/*/{Path(name).name}")
    for folder in folders:
        if (folder / "status.json").exists():
            return folder.resolve()
    raise UserError(
        f"no run is called {name!r}; name a folder in logs/ or outputs/, as "
        "evaluate/cpu-trained-free-test-43c273eb"
    )


def diff(name_a: str, name_b: str) -> Lines:
    """Return the lines on what two runs of a stage differ in: config and inputs, outcome, and for
    evaluations each question.
    """
    folder_a, folder_b = run_named(name_a), run_named(name_b)
    status_a, status_b = (
        json.loads((folder / "status.json").read_text()) for folder in (folder_a, folder_b)
    )
    stage = status_a["stage"]
    if stage != status_b["stage"]:
        raise UserError(
            f"{name_a} is a {stage} run and {name_b} a {status_b['stage']} run; compare two of "
            "one stage"
        )
    lines = [
        f"A  {stage}/{folder_a.name}",
        f"B  {stage}/{folder_b.name}",
        "",
        "CONFIG AND INPUTS",
    ]
    changed = lineage.changed(lineage.identity(folder_a)[0], lineage.identity(folder_b)[0])
    lines += [f"  {key}: {a!s:.60} -> {b!s:.60}" for key, (a, b) in changed.items()]
    if not changed:
        lines.append("  the same")
    for letter, status in (("A", status_a), ("B", status_b)):
        if parent := status.get("parent"):
            keys = ", ".join(parent["changed"]) or "nothing"
            lines.append(f"  {letter} descends from {parent['run']}, which differs in {keys}")
    return [*lines, "", "OUTCOME", *OUTCOMES[stage](folder_a, folder_b)]


def trainings(a: Path, b: Path) -> Lines:
    """Return lines on the losses of two trainings."""
    steps_a, steps_b = (rows_in(folder, "metrics.jsonl") for folder in (a, b))
    both = min(len(steps_a), len(steps_b))
    pairs = zip(steps_a, steps_b, strict=False)
    first = next((x["step"] for x, y in pairs if x != y), None)
    lines = [
        f"  steps {len(steps_a)} and {len(steps_b)}; first step that differs: {first or 'none'}"
    ]
    for step in sorted({1, *range(100, both + 1, 100), both}):
        if 0 < step <= both:
            losses = [steps[step - 1]["loss"] for steps in (steps_a, steps_b)]
            lines.append(f"  step {step}: loss {losses[0]:.4f} and {losses[1]:.4f}")
    return lines


def evaluations(a: Path, b: Path) -> Lines:
    """Return lines on the accuracies of two evaluations, and each question that only one of them
    has right.
    """
    answers_a, answers_b = answers_of(a), answers_of(b)
    both = [key for key in answers_a if key in answers_b]
    lines = [f"  answers {len(answers_a)} and {len(answers_b)}, {len(both)} to the same questions"]
    for task in dict.fromkeys(key[0] for key in both):
        keys = [key for key in both if key[0] == task]
        lines.append(
            f"  {task:18} {family_line([answers_a[k] for k in keys], [answers_b[k] for k in keys])}"
        )
    same = sum(answers_a[key].ids == answers_b[key].ids for key in both)
    lines.append(f"  same tokens in {same} of {len(both)}")
    only_b = [key for key in both if answers_b[key].correct and not answers_a[key].correct]
    only_a = [key for key in both if answers_a[key].correct and not answers_b[key].correct]
    for title, keys in (("ONLY B IS RIGHT", only_b), ("ONLY A IS RIGHT", only_a)):
        lines += ["", f"{title}: {len(keys)}"]
        for key in keys:
            one, other = answers_a[key], answers_b[key]
            lines += [
                f"  {key[0]}/{key[1]}",
                *texts(one, "question", "gold"),
                *indented("A", f"{one.thinking} | {one.reply}"),
                *indented("B", f"{other.thinking} | {other.reply}"),
            ]
    return lines


def answers_of(folder: Path) -> dict[tuple[str, str, int], SampleRow]:
    """Return {(task, id, sample): answer} of an evaluation, that of a run in outputs/ too."""
    path, beside = rows.answers_path(folder), folder / "questions.jsonl"
    answers = rows.read(SampleRow, path) if path.exists() else []
    if beside.exists():  # of a public benchmark, in outputs/ alone
        texts = {(row["task"], row["id"]): row for row in read(beside)}
        answers = [with_text(answer, texts[answer.task, answer.id]) for answer in answers]
    return {(s.task, s.id, s.sample or 0): s for s in answers}


def with_text(sample: SampleRow, question: dict[str, str]) -> SampleRow:
    """Return an answer with the text and the gold answer of its question."""
    return dataclasses.replace(sample, question=question["question"], gold=question["answer"])


def family_line(a: list[SampleRow], b: list[SampleRow]) -> str:
    """Return how many of a family's answers are right in two runs, and their mean thinking."""
    right_a, right_b = (sum(s.correct for s in answers) for answers in (a, b))
    mean_a, mean_b = (sum(s.num_thinking for s in answers) / len(answers) for answers in (a, b))
    return (
        f"right {right_a:4} and {right_b:4} of {len(a)}; thinking {mean_a:6.1f} and "
        f"{mean_b:6.1f} tokens"
    )


def collections(a: Path, b: Path) -> Lines:
    """Return lines on which rows two collections chose."""
    ids_a, ids_b = ({row["id"] for row in rows_in(folder, "train.jsonl")} for folder in (a, b))
    return [f"  rows {len(ids_a)} and {len(ids_b)}, {len(ids_a & ids_b)} in both"]


def rows_in(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of a file of a run, that of a run in outputs/ too; none where it has no such
    file.
    """
    path = place(folder, name)
    return read_jsonl(path) if path.exists() else []


OUTCOMES: dict[str, Callable[[Path, Path], Lines]] = {
    "collect": collections,
    "train": trainings,
    "evaluate": evaluations,
}
