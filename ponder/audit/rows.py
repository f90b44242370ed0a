"""Data replayed: the choice of the training rows, the order in which training saw them, that splits are disjoint, and the cards."""

import itertools
import re

from ponder import config
from ponder.audit.checks import DATA, ROOT, completed, place, read, shown
from ponder.card import card, readme
from ponder.collect import contamination, selection, terms
from ponder.grading import families as grading
from ponder.hashing import file_sha256
from ponder.questions import drawn, pools
from ponder.train import batches

NUMBER = re.compile(r"(?<![\w./-])\d[\d,]*(?:\.\d+)*")


def funnel():
    """Whether the filters and the draw, run again over the released traces, choose the released rows in their order."""
    problems, chosen = [], 0
    for folder in completed("collect"):
        made = read(folder / "config.yaml")
        rule = made["selection"]
        if (
            "method" not in rule
        ):  # before the filters had their present form: the rest as conf/ has it
            rule = {**read(ROOT / "conf" / "selection" / f"{rule['name']}.yaml"), **rule}
        rule = config.build(selection.Selection, rule)
        traces, kept, said = (
            read(place(folder, name)) for name in ("traces.jsonl", "train.jsonl", "funnel.json")
        )
        hits = place(folder, "contamination.jsonl")
        contaminated = {row["id"]: row["benchmark"] for row in read(hits)} if hits.exists() else {}
        rows, again = selection.select(
            traces, rule, made["data_seed"], selection.read_attempts(rule), contaminated
        )
        chosen += len(rows)
        if [row["id"] for row in rows] != [row["id"] for row in kept]:
            problems.append(f"{shown(folder)}: the draw gives other rows than train.jsonl has")
        elif rows != kept:
            problems.append(f"{shown(folder)}: rows of train.jsonl are not those of traces.jsonl")
        counts = {
            "draw" if step == "diversity" else step: count for step, count in said["after"].items()
        }  # its older name
        if not counts.items() <= again["after"].items():
            problems.append(
                f"{shown(folder)}: funnel.json counts {said['after']}, the filters {again['after']}"
            )
        directory = made["questions"].get("dir")
        pool = (
            {row["id"]: row for row in read(ROOT / directory / "pool.jsonl")} if directory else {}
        )
        for trace in traces:
            asked = pool.get(trace["id"])
            if pool and (
                asked is None
                or (asked["question"], asked["answer"]) != (trace["question"], trace["gold"])
            ):
                problems.append(
                    f"{shown(folder)}: trace {trace['id']} has a question or gold answer that its pool has not"
                )
            right = grading.is_correct(f"Final Answer: {trace['answer']}", trace["gold"])
            if not trace.get("rejected") and trace["correct"] != right:
                problems.append(
                    f"{shown(folder)}: trace {trace['id']} is marked {trace['correct']}, but its answer is not"
                )
    return f"{len(completed('collect'))} data sets, {chosen:,} rows drawn again", problems


def order():
    """Whether each training saw its rows in the order that its seed gives."""
    problems = []
    for folder in completed("train"):
        if difference := batches.difference(
            read(folder / "batches.jsonl"), batches.planned(folder)[0]
        ):
            problems.append(f"{shown(folder)}: {difference}")
    return f"{len(completed('train'))} trainings", problems


def splits():
    """Whether no question of one split, by id or key, is in another, and no training row is a question of dev or test."""
    problems, seen, groups = [], {}, {}
    for path in sorted(DATA.glob("questions*/**/*.jsonl")):
        split = re.sub(r"/(dev|test)/.*", r"/\1", path.relative_to(DATA).with_suffix("").as_posix())
        groups.setdefault(split, []).extend(read(path))
    for split, rows in groups.items():
        for row in rows:
            for name in ("id", "key"):
                other = seen.setdefault((row["family"], name, str(row[name])), split)
                if other != split:
                    problems.append(
                        f"question {row['id']} of {split} has the {name} of one of {other}"
                    )
    held = {
        row["id"]
        for split, rows in groups.items()
        if split.endswith(("/dev", "/test"))
        for row in rows
    }
    for path in sorted(DATA.glob("*/train.jsonl")):
        problems += [
            f"{shown(path)} holds {row['id']}, a question of dev or test"
            for row in read(path)
            if row["id"] in held
        ]
    for folder in sorted(DATA.glob("questions*")):
        problems += [
            f"{shown(folder)}/{name} is not what its manifest says"
            for name, entry in read(folder / "manifest.json")["files"].items()
            if file_sha256(folder / name) != entry["sha256"]
        ]
    return f"{len(groups)} splits, {len(seen) // 2:,} questions", problems


def recorded(folder, text):
    """Return the card.Facts of a collect run from its records; the day of release is what the card itself says."""
    published = (
        found[1]
        if (found := re.search(r"released on (\d{4}-\d\d-\d\d)", text.read_text()))
        else None
    )
    made, teacher = read(folder / "config.yaml"), {"model": None}
    if "terms" not in made["teacher"]:
        return card.released(text.parent, published)
    if (folder / "teacher.json").exists():
        teacher = read(folder / "teacher.json")
    kinds = {"drawn": drawn.Questions, "jsonl": pools.FilePool, "hub": pools.HubPool}
    asked = config.build(kinds[made["questions"]["kind"]], made["questions"])
    families = {trace["family"] for trace in read(place(folder, "traces.jsonl"))}
    return card.Facts(
        name=folder.name.rsplit("-", 1)[0],
        version="1.0.0",
        published=published,
        language="en" if asked.kind == "drawn" else None,
        run=folder.name,
        command="python collect.py",
        kind=made["teacher"]["kind"],
        teacher=made["teacher"]["name"],
        model=teacher["model"],
        revision=teacher.get("revision")
        or (f"adapter {teacher['adapter_sha256']}" if teacher.get("adapter_sha256") else None),
        terms=config.build(terms.Terms, made["teacher"]["terms"]),
        sources=pools.sources(asked, families),
        benchmarks=contamination.compared(
            config.build(contamination.Decontamination, made["decontamination"])
        ),
        override=None,
    )


def cards():
    """Whether the numbers of each data card are those that its files and the run's records give when it is made again."""
    problems, made = [], 0
    for folder in completed("collect"):
        text = place(folder, "README.md")
        if not text.exists():  # the first sets got theirs afterwards
            text = place(folder, "train.jsonl").parent / "README.md"
        tallies, funnel = card.counted(text.parent)
        facts = recorded(folder, text)
        sizes = {
            name: (text.parent / name).stat().st_size
            for name in card.KNOWN
            if (text.parent / name).exists()
        }
        licences = sorted(
            {facts.sources[family]["licence"] for family in tallies["traces"]["family"]}
            | {facts.terms.licence}
        )
        said, again = text.read_text(), readme.text(facts, tallies, funnel, sizes, licences)
        made += 1
        tables = [
            [
                found
                for line in one.splitlines()
                if line.startswith("|")
                for found in NUMBER.findall(line)
            ]
            for one in (said, again)
        ]
        problems += [
            f"{shown(text)} says {one} in a table where its files give {other}"
            for one, other in itertools.zip_longest(*tables)
            if one != other
        ][:3]
        problems += [
            f"{shown(text)} says {number}, which its files do not give"
            for number in sorted(set(NUMBER.findall(said)) - set(NUMBER.findall(again)))
        ]
    return f"{made} data cards", problems
