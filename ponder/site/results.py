"""The tables and figures of paper/generated/results.json, each number and point a link into the
reader of answers.

A table is {"id", "title", "note", "head", "rows"}. A cell is a text, or a list of parts that are a
text or {"text", "href"}. Pure: nothing is read here. A number is the string under `printed`, as in
every document; a point of a figure lies where the number itself is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from ponder.report.arms import OWN
from ponder.report.curves import cuts, waits
from ponder.report.engines import PAIRS
from ponder.report.links import reader
from ponder.report.mistakes import NUDGE_COLUMNS, STEP_COLUMNS

Cell = str | list[Any]
Table = dict[str, Any]
WITHOUT_ORIGINALS = "without originals"  # of a public benchmark; the reader's word for it, too
ENDS = {"cut": "right if cut", "completed": "right if completed"}
SCOPES = ("all", "trained", "within reach", "out of reach", "transfer")


def tables(results: Mapping[str, Any]) -> list[Table]:
    """Return the tables of the results; what an older results.json lacks is left out."""
    printed = results.get("printed") or {}
    found = (
        *plans(printed.get("public") or []),
        rows(printed.get("rows") or [], printed.get("groups") or {}),
        differences(printed.get("comparisons") or [], printed.get("rows") or []),
        contrasts(printed.get("contrasts") or []),
        methods(*((tree.get("methods") or {}).get("table") or [] for tree in (printed, results))),
        seeds(printed.get("contrasts") or []),
        machines(printed.get("machines") or []),
        votes(printed.get("parallel") or {}),
        forcing(printed.get("parallel") or {}),
        *mistakes(printed.get("mistakes") or {}, printed.get("rows") or []),
        engines(printed.get("engines") or []),
    )
    return [table for table in found if table["rows"]]


def figures(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the figures, accuracy against mean thinking tokens: {"id", "title", "curves"}.

    A curve is {"name", "cuts", "waits"}: the points under a cap up to the one without forcing, and
    from that one on those with "Wait". A point is {"x", "y", "low", "high", "words", "href"}.
    """
    printed = results.get("printed") or {}
    found = []
    for plan, numbers in zip(
        printed.get("public") or [], results.get("public") or [], strict=False
    ):
        arms = [row | {"curve": row["arm"]} for row in plan["arms"] if row["budget"] != OWN]
        title = f"Accuracy on {plan['benchmark']}"
        found.append((f"figure-{plan['name']}", title, arms, numbers["arms"]))
    programs = [
        row
        | {
            "curve": row["label"].partition(", ")[0]
            if row["subject"] == "trained"
            else row["label"],
            "words": row["label"],
        }
        for row in printed.get("rows") or []
    ]
    title = "Accuracy on questions that programs make"
    found.append(("figure-rows", title, programs, results.get("rows") or []))
    drawn = [
        {"id": ident, "title": title, "curves": curves(rows, {row["run"]: row for row in numbers})}
        for ident, title, rows, numbers in found
    ]
    return [figure for figure in drawn if figure["curves"]]


def curves(
    rows: Sequence[Mapping[str, Any]], numbers: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the curves of a figure; `numbers` holds, by run, what the rows are strings of."""
    found = []
    for name in dict.fromkeys(row["curve"] for row in rows):
        points = [
            {"budget": row["budget"], "printed": row, **numbers[row["run"]]["all"]}
            for row in rows
            if row["curve"] == name and row["run"] in numbers
        ]
        parts = {"cuts": cuts(points), "waits": waits(points)}
        if points:
            found.append(
                {"name": name} | {part: [*map(point, parts[part])] for part in ("cuts", "waits")}
            )
    return found


def point(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a point of a curve, with its numbers in words."""
    printed = row["printed"]
    accuracy = f"{printed['all']['text']} at {printed['all']['thinking_tokens']} tokens"
    return {
        "x": row["thinking_tokens"],
        "y": row["accuracy"],
        "low": row["low"],
        "high": row["high"],
        "words": f"{printed['words']}: {accuracy}",
        "href": reader(printed["run"]),
    }


def groups(results: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return {group: its families}, with those that were trained on as a group of their own."""
    known = {name: group["families"] for name, group in (results.get("groups") or {}).items()}
    trained = known.get("within reach", []) + known.get("out of reach", [])
    return ({"trained": sorted(trained)} if trained else {}) | known


def link(text: str, href: str) -> list[dict[str, str]]:
    """Return a cell that is a link."""
    return [{"text": text, "href": href}]


def table(name: str, title: str, note: str, head: Sequence[str], rows: list[list[Cell]]) -> Table:
    """Return a table."""
    return {"id": name, "title": title, "note": note, "head": [*head], "rows": rows}


def rows(found: Sequence[Mapping[str, Any]], of_groups: Mapping[str, Any]) -> Table:
    """Return the table of the main runs, with the accuracy of each group of families; `of_groups`
    says what a constant guess of each would get.
    """
    names = [*found[0].get("groups", {})] if found else []
    body: list[list[Cell]] = []
    for row in found:
        accuracies: list[Cell] = [
            link(row["groups"][name]["text"], reader(row["run"], family=name)) for name in names
        ]
        body.append(
            [
                row["label"],
                link(row["all"]["text"], reader(row["run"])),
                *accuracies,
                *lengths(row),
                *(((row.get("ends") or {}).get(key) or {}).get("text", "") for key in ENDS),
            ]
        )
    head = ("who answers", "all", *names, "thinking tokens", "cut", "no answer", *ENDS.values())
    guesses = ", ".join(
        f"{of_groups[name]['constant']} {name}" for name in names if name in of_groups
    )
    return table(
        "rows",
        "On questions that programs make",
        "Accuracy with 95% interval on test, of the training with seed 0. Each opens the answers "
        f"that it counts. A constant guess gets {guesses}.",
        head,
        body,
    )


def lengths(row: Mapping[str, Any]) -> list[Cell]:
    """Return the cells on how long a run thinks, and how many answers the cap cut or lack."""
    shares = row.get("ends") or {}
    cells: list[Cell] = [link(row["all"]["thinking_tokens"], reader(row["run"]))]
    for key, grade in (("cut_share", "cut"), ("unanswered_share", "unanswered")):
        share = shares.get(key)
        cells.append(link(share, reader(row["run"], grade=grade)) if share else "")
    return cells


def differences(found: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of differences in points, with the answers gained and lost."""
    runs = {row["label"]: row["run"] for row in rows}
    scopes = [name for name in SCOPES if any(counted(pair.get(name)) for pair in found)]
    body: list[list[Cell]] = []
    for pair in found:
        if not {pair["ours"], pair["theirs"]} <= runs.keys():
            continue
        ours, theirs = runs[pair["ours"]], runs[pair["theirs"]]
        cells = [difference(pair.get(name), theirs, ours, name) for name in scopes]
        address = f"compare.html#{urlencode([('a', theirs), ('b', ours)])}"
        units = (pair.get("units") or {}).get("text", "")
        body.append([pair["ours"], pair["theirs"], link("configs", address), *cells, units])
    return table(
        "differences",
        "Differences",
        "Points of accuracy, ours minus theirs, paired by question, with 95% interval. Gained: "
        "wrong in theirs and right in ours; lost: the other way round. p is McNemar's, corrected "
        "by Holm over the lines of its column; exploratory but for what was pre-registered, and of "
        "trainings with seed 0. Families as units: the interval is over the trained families.",
        ("ours", "theirs", "compared", *scopes, "families as units"),
        body,
    )


def counted(scope: Any) -> bool:
    """Whether a scope of a comparison says how many answers were gained and lost."""
    return isinstance(scope, Mapping) and "gained" in scope and "text" in scope


def difference(scope: Any, theirs: str, ours: str, name: str) -> Cell:
    """Return the cell of a difference, with links to the answers gained and lost."""
    if not counted(scope):
        return ""
    family = {} if name == "all" else {"family": name}
    parts = [
        {"text": f"{scope[kind]} {kind}", "href": reader(theirs, ours, pattern=kind, **family)}
        for kind in ("gained", "lost")
    ]
    p = f", p {scope['p_holm']}" if "p_holm" in scope else ""
    return [f"{scope['text']}{p}: ", parts[0], ", ", parts[1]]


def methods(found: Sequence[Mapping[str, Any]], unprinted: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of the ways to think longer or shorter; `unprinted` are the same with what
    no document prints: how many answers of each run obey.
    """
    body: list[list[Cell]] = [
        [
            f"{method['name']}: {method['title']}",
            point["name"],
            link(point["text"], reader(point["run"])),
            link(point["thinking_tokens"], reader(point["run"])),
            f"{counts['within']} of {point['n']}" if "within" in counts else "",
        ]
        for method, counted in zip(found, unprinted, strict=True)
        for point, counts in zip(method["points"], counted["points"], strict=True)
    ]
    head = ("method", "variant", "accuracy", "thinking tokens", "within its limit")
    return table("methods", "Methods of s1's table 3", "On all test questions.", head, body)


def plans(public: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> Iterator[Table]:
    """Yield the table of the arms of each plan on a public benchmark."""
    for plan in public.values() if isinstance(public, Mapping) else public:
        body: list[list[Cell]] = []
        for arm in plan.get("arms", []):
            fresh = (arm.get("fresh") or {}).get("text")
            body.append(
                [
                    arm["arm"],
                    arm["words"],
                    link(arm["all"]["text"], reader(arm["run"])),
                    link(fresh, reader(arm["run"], family=WITHOUT_ORIGINALS)) if fresh else "",
                    *lengths(arm),
                ]
            )
        head = ("arm", "budget", "accuracy", WITHOUT_ORIGINALS, "thinking tokens", "cut")
        yield table(
            f"public-{plan['name']}",
            f"On a public benchmark: {plan['benchmark']}",
            "Right answers with 95% interval. Without originals: without the questions that a "
            "template of the training questions was made from.",
            (*head, "no answer"),
            body,
        )


def contrasts(found: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of the pre-registered contrasts with their verdicts."""
    body: list[list[Cell]] = []
    for plan in found:
        for contrast in plan.get("contrasts") or []:
            numbers = contrast.get("all") or {}
            sides = f"{contrast['ours']} minus {contrast['theirs']}"
            keys = ("text", "p_holm", "detectable")
            body.append(
                [
                    plan["name"],
                    f"{contrast['name']}: {sides}",
                    contrast["expected"],
                    contrast.get("found") or "",
                    *(numbers.get(key) or "" for key in keys),
                    contrast["outcome"],
                ]
            )
    head = ("pre-registration", "contrast", "expected", "found", "points", "p (Holm)")
    return table(
        "contrasts",
        "Pre-registered contrasts",
        "Points with 95% interval, over seeds and questions where there are several seeds; p is "
        "corrected over the contrasts of a plan. Detectable: the smallest true difference, in "
        "points, that would be told from none four times in five.",
        (*head, "detectable", "outcome"),
        body,
    )


def machines(found: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of trainings that another kind of processor made again."""
    body: list[list[Cell]] = []
    for entry in found:
        for seed in entry["seeds"]:
            made: list[Cell] = []
            for side in (seed["first"], seed["again"]):
                made += [side["processor"], link(side["accuracy"], reader(side["run"]))]
            arm = f"{entry['arm']}: {seed['name']}"
            both = reader(seed["first"]["run"], seed["again"]["run"])
            body.append([arm, *made, link(seed["differing_share"], both), entry["found"]])
    return table(
        "machines",
        "Seed or machine",
        "The same rows, recipe and seed by two kinds of processor, on the trained families; "
        "exploratory, which moves more is told over all of these trainings together.",
        (
            "trained",
            "by",
            "accuracy",
            "again by",
            "accuracy",
            "one alone right",
            "which moves more",
        ),
        body,
    )


def seeds(found: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of the arms that were trained with several seeds."""
    body: list[list[Cell]] = [
        [
            plan["name"],
            arm["name"],
            seed["name"],
            link(seed["text"], reader(seed["run"])),
            seed.get("processor") or "",
            (arm.get("all") or {}).get("text", ""),
            (arm.get("all") or {}).get("between_seeds") or "",
        ]
        for plan in found
        for arm in plan.get("arms") or []
        for seed in arm.get("seeds") or []
        if "run" in seed and "text" in seed
    ]
    head = ("pre-registration", "arm and budget", "seed", "accuracy over its families")
    return table(
        "seeds",
        "Pre-registered arms by seed",
        "Over all seeds that are there with their 95% interval over seeds and questions, and the "
        "standard deviation of the seeds in points; who trained each.",
        (*head, "trained by", "over all seeds", "spread"),
        body,
    )


def votes(parallel: Mapping[str, Any]) -> Table:
    """Return the table of votes among several samples of each question."""
    body: list[list[Cell]] = [
        [
            vote["k"],
            link(vote["accuracy"]["text"], reader(parallel["run"])),
            link(vote["coverage"]["text"], reader(parallel["run"])),
            vote["tokens"],
        ]
        for vote in parallel.get("votes", [])
    ]
    head = ("samples", "most frequent answer right, %", "any right, %", "thinking tokens")
    return table("votes", "Votes among samples", "", head, body)


def forcing(parallel: Mapping[str, Any]) -> Table:
    """Return the table of the votes nearest in tokens to each run of budget forcing."""
    body: list[list[Cell]] = [
        [
            entry["name"],
            entry["thinking_tokens"],
            link(entry["text"], reader(entry["run"])),
            entry["votes"],
            entry["votes_tokens"],
            entry.get("ratio") or "",
            difference(entry["all"], entry["run"], parallel["run"], "all")
            if entry["votes"] == "1"
            else entry["all"]["text"],
            entry["all"].get("p_holm") or "",
        ]
        for entry in parallel.get("sequential", [])
    ]
    head = ("budget forcing", "tokens", "accuracy", "nearest votes", "their tokens", "times")
    return table(
        "votes-forcing",
        "Votes beside budget forcing",
        "One vote is one sample, drawn where forcing is greedy. p is corrected by Holm over these "
        "lines; exploratory, of the training with seed 0.",
        (*head, "votes minus forcing", "p (Holm)"),
        body,
    )


def mistakes(found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """Yield the tables of what goes wrong, counted by rule (ponder/report/mistakes.py): the first
    wrong step, what follows a nudge, answers of the wrong type.
    """
    runs = {row["label"]: row["run"] for row in rows}

    def whose(name: str) -> Cell:
        label, _, family = name.partition(": ")
        if label not in runs:
            return name
        return link(
            name.replace("_", " "), reader(runs[label], **({"family": family} if family else {}))
        )

    for part, title, columns in (
        ("steps", "The first wrong step", STEP_COLUMNS),
        ("nudges", "What is said after a nudge", NUDGE_COLUMNS),
    ):
        body: list[list[Cell]] = [
            [whose(entry["name"]), *(entry[key] for key in columns)]
            for entry in found.get(part) or []
        ]
        note = "Counted by rule; no rule looks at who answered. On trained families."
        if part == "nudges":
            note = "Counted by rule; no rule looks at who answered. After the last nudge."
        yield table(
            f"mistakes-{part}",
            title,
            note,
            ("who answers", *(words.replace("`", '"') for words in columns.values())),
            body,
        )
    types = found.get("types") or []
    families = [*types[0]["families"]] if types else []
    yield table(
        "mistakes-types",
        "Answers of the wrong type",
        "What the right answers of a family are, numbers, lists or a few words, is its type.",
        ("who answers", *(family.replace("_", " ") for family in families)),
        [
            [whose(entry["name"]), *(entry["families"][family]["wrong"] for family in families)]
            for entry in types
        ],
    )


def engines(found: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of the same weights behind two engines. The reader has the answers of
    evaluations alone, so what a teacher gets is text.
    """
    body: list[list[Cell]] = []
    for pair in found:
        ours, theirs = pair["ours_run"], pair["theirs_run"]
        texts = [pair[side]["text"] for side in ("ours", "theirs")]
        cells: list[Cell] = [*texts, pair["all"]["text"]]
        if PAIRS[pair["name"]].stage == "evaluate":
            cells = [
                *(link(text, reader(run)) for text, run in zip(texts, (ours, theirs), strict=True)),
                difference(pair["all"], theirs, ours, "all"),
            ]
        body.append([pair["words"], pair["all"]["n"], *cells])
    return table(
        "engines",
        "The same weights behind two engines",
        "Right answers with 95% interval, and points of accuracy, llama.cpp minus transformers, "
        "paired by question.",
        ("who answers what", "questions", "llama.cpp", "transformers", "points"),
        body,
    )
