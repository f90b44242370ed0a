"""Claims: every number that the documents print, what it follows from, and the check that it still does.

A claim is a part of paper/generated/results.json, named by its path in it. paper/build.py makes that file from the released runs
and writes logs/claims.jsonl; the check makes both again, counts the accuracies a second time with code of its own, and puts the
numbers into the documents anew. Whatever number a document holds besides must be a literal of logs/literals.yaml.
"""

import importlib.util
import json
import tempfile
from pathlib import Path

from ponder.audit import notes, rules
from ponder.audit.checks import ROOT, read, shown
from ponder.report import markdown, released
from ponder.runs import dump

ESTIMATORS = {
    "accuracy": "share of right answers with Wilson's 95% interval, and mean thinking tokens (ponder/statistics.py: summary)",
    "difference": "accuracy of the first minus that of the second, paired by question, by bootstrap (ponder/statistics.py)",
    "method": "Control, Scaling and Performance of s1, section 3.2, with bootstrap intervals (ponder/report/methods.py: row)",
    "votes": "majority vote and coverage of k samples of a question (ponder/report/methods.py: voting)",
    "training": "sums over metrics.jsonl and timing.jsonl (paper/build.py: training)",
    "steps": "mean tokens of a counted step, from two trainings on the same rows (ponder/report/methods.py: tokens_per_step)",
    "reach": "accuracy on dev, and what a constant guess would score (paper/build.py: in_reach)",
    "guess": "share of the most frequent answer (paper/build.py: constant_share)",
    "count": "rows or released runs counted, or a value of a manifest (paper/build.py: counted, taught, numbers)",
    "base": "the base model as the run's log names it (paper/build.py: base_of)",
    "cited": "published by s1, not by us (paper/published.yaml)",
    "setting": "a constant of the code (ponder/statistics.py: RESAMPLES; ponder/questions/drawn.py: KEYS_PER_ROW)",
    "named": "what is compared and the run of it (paper/rows.yaml; paper/build.py: COMPARISONS)",
}
DEV = "cpu-trained-free-dev"


def claims(results):
    """Yield each claim of results.json: {"id", "estimator", "value", "printed", "runs", "families"}.

    `printed` are the forms in which documents print it, `runs` what it is computed from ("stage/name"), `families` None for all.
    """

    def claim(path, estimator, value, runs=(), families=None):
        return {
            "id": path,
            "estimator": estimator,
            "value": value,
            "printed": sorted({*forms(value)}),
            "runs": list(runs),
            "families": families,
        }

    rows = {row["label"]: f"evaluate/{row['run']}" for row in results["rows"]}
    dev = f"evaluate/{released.run_folder('evaluate', DEV).name}"
    main = f"evaluate/{results['methods']['table'][0]['points'][-1]['run']}"
    for label, run in rows.items():
        row = markdown.at(results, f"rows/{label}")
        yield claim(
            f"rows/{label}", "named", {k: v for k, v in row.items() if isinstance(v, str)}, [run]
        )
        yield claim(f"rows/{label}/all", "accuracy", row["all"], [run])
        for name, group in results["groups"].items():
            yield claim(
                f"rows/{label}/groups/{name}",
                "accuracy",
                row["groups"][name],
                [run],
                group["families"],
            )
        for family in results["families"]:
            yield claim(
                f"rows/{label}/families/{family}",
                "accuracy",
                row["families"][family],
                [run],
                [family],
            )
    scopes = {
        scope: [
            f
            for f, entry in results["families"].items()
            if (entry["group"] == "transfer") == (scope == "transfer")
        ]
        for scope in ("trained", "transfer")
    }
    for entry in results["comparisons"]:
        yield claim(
            f"comparisons/{entry['name']}",
            "named",
            {k: v for k, v in entry.items() if isinstance(v, str)},
            [rows[entry["ours"]], rows[entry["theirs"]]],
        )
        for scope, families in scopes.items():
            yield claim(
                f"comparisons/{entry['name']}/{scope}",
                "difference",
                entry[scope],
                [rows[entry["ours"]], rows[entry["theirs"]]],
                families,
            )
    for name, group in results["groups"].items():
        yield claim(f"groups/{name}", "guess", group, [dev, main], group["families"])
    for family, entry in results["families"].items():
        yield claim(f"families/{family}", "reach", entry, [dev, main], [family])
    for experiment, entry in results["training"].items():
        yield claim(f"training/{experiment}", "training", entry, [f"train/{entry['run']}"])
    yield from methods(results["methods"], claim)
    taught = [f"collect/{released.run_folder('collect', 'cpu-distilled').name}"]
    yield claim("distilled", "count", results["distilled"], taught)
    yield claim("counts", "count", results["counts"])
    yield claim("base", "base", results["base"], [main])
    for key, value in results["cited"].items():
        yield claim(f"cited/{key}", "cited", value)
    for key, value in results["settings"].items():
        yield claim(f"settings/{key}", "setting", value)


def methods(found, claim):
    """Yield the claims on the methods compared."""
    named = {}
    for row in found["table"]:
        named |= {
            (row["name"], point["name"]): f"evaluate/{point['run']}" for point in row["points"]
        }
        yield claim(
            f"methods/table/{row['name']}",
            "method",
            {k: v for k, v in row.items() if k != "points"},
            [f"evaluate/{point['run']}" for point in row["points"]],
        )
        for point in row["points"]:
            yield claim(
                f"methods/table/{row['name']}/points/{point['name']}",
                "accuracy",
                point,
                [f"evaluate/{point['run']}"],
            )
    votes = f"evaluate/{released.run_folder('evaluate', released.methods().voting.run_label('test')).name}"
    for point in found["voting"]:
        yield claim(f"methods/voting/{point['k']}", "votes", point, [votes])
    for entry in found["comparisons"]:
        pair = builder().PAIRS[entry["name"]]
        yield claim(
            f"methods/comparisons/{entry['name']}",
            "difference",
            entry["all"],
            [named.get(side, votes) for side in pair],
        )
    trained = [
        f"train/{released.run_folder('train', name).name}"
        for name in ("cpu-step-conditional", "cpu")
    ]
    yield claim("methods/steps", "steps", found["steps"], trained)
    yield claim("methods/unasked", "accuracy", found["unasked"], [named["BF", "no forcing"]])
    yield claim("methods/source", "cited", found["source"])


SHARES = {"accuracy", "constant", "constant_dev", "constant_test"}
BESIDE = {
    "text",
    "thinking_tokens",
    "n",
    "gained",
    "lost",
    "runs",
    "tokens",
    "tries",
    "thrown",
    "spent",
    "unanswered",
    "tied",
}


def forms(value, key=""):
    """Yield the texts in which a claim's numbers may stand in a document; where it has a text, its shares stand in that."""
    if isinstance(value, dict):
        for name in value.keys() & BESIDE if "text" in value else value.keys():
            yield from forms(value[name], name)
    elif isinstance(value, list):
        for item in value:
            yield from forms(item, key)
    elif isinstance(value, float) and key in SHARES:
        yield f"{value:.1%}"
    elif value is not None and not isinstance(value, bool):
        yield markdown.said(value)


def builder():
    """Return paper/build.py as a module."""
    spec = importlib.util.spec_from_file_location("paper_build", ROOT / "paper" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(results):
    """Return logs/claims.jsonl as text."""
    linked = notes.links()
    about = (
        {number for name in (claim["id"], *claim["runs"]) for number in linked.get(name, ())}
        for claim in claims(results)
    )
    return "".join(
        dump(claim | {"decisions": sorted(found)})
        for claim, found in zip(claims(results), about, strict=True)
    )


def recount(row, groups):
    """Return the accuracies of a row of the table, counted from its samples by this function alone: {path: {key: value}}."""
    samples = read(ROOT / "logs" / "evaluate" / row["run"] / "samples.jsonl")
    scopes = {
        "all": None,
        **{f"groups/{name}": group["families"] for name, group in groups.items()},
        **{f"families/{family}": [family] for family in row["families"]},
    }
    found = {}
    for path, families in scopes.items():
        of = [s for s in samples if families is None or s["task"] in families]
        n, right = len(of), sum(1 for s in of if s["correct"])
        low, high = rules.wilson(right, n)
        found[path] = {
            "n": n,
            "correct": right,
            "accuracy": right / n,
            "low": low,
            "high": high,
            "thinking_tokens": sum(s["num_thinking"] for s in of) / n,
        }
    return found


def numbers():
    """Whether every number of the documents follows from the released runs: made again, and the accuracies counted twice."""
    paper, problems = builder(), []
    results, kept = (
        paper.numbers(ROOT / "logs"),
        read(ROOT / "paper" / "generated" / "results.json"),
    )
    made = [json.loads(line) for line in lines(results).splitlines()]
    known = {claim["id"]: claim for claim in read(ROOT / "logs" / "claims.jsonl")}
    for claim in made:
        if known.get(claim["id"]) != claim:
            listed = short(known.get(claim["id"]))
            problems.append(
                f"claim {claim['id']} is {listed} in logs/claims.jsonl, but the runs give {short(claim)}"
            )
    problems += [
        f"claim {name} follows from no run"
        for name in sorted(known.keys() - {claim["id"] for claim in made})
    ]
    if not problems and (ROOT / "logs" / "claims.jsonl").read_text() != lines(results):
        problems.append("logs/claims.jsonl has other lines, or the same in another order")
    if kept != results and not problems:
        problems.append("paper/generated/results.json is not what the runs give")
    for row in results["rows"]:
        for path, counted in recount(row, results["groups"]).items():
            said = markdown.at(row, path)
            problems += [
                f"claim rows/{row['label']}/{path}: {key} is {said[key]}, counted here {value:.6f}"
                for key, value in counted.items()
                if abs(said[key] - value) > 1e-6
            ]
    for name, folder in paper.DOCUMENTS.items():
        text = (ROOT / name).read_text()
        problems += differing(name, text, markdown.filled(text, results, folder))
        if len(markdown.BLOCK.findall(text)) != (name == "README.md"):
            problems.append(
                f"{name} has {len(markdown.BLOCK.findall(text))} blocks of results; put its `results` comments back"
            )
    problems += figures(paper, results)
    table = ROOT / "paper" / "generated" / "table.md"
    problems += differing(shown(table), table.read_text(), markdown.table(results, ""))
    import typst

    pdf = typst.compile(ROOT / "paper" / "paper.typ", root=ROOT / "paper", ignore_system_fonts=True)
    if pdf != (ROOT / "paper" / "paper.pdf").read_bytes():
        problems.append("paper/paper.pdf is not what paper.typ and results.json give")
    return f"{len(made)} claims, {len(paper.DOCUMENTS)} documents, the paper", problems


def figures(paper, results):
    """Return a sentence for each figure that is not drawn from the numbers: drawn again, with the matplotlib that drew them."""
    with tempfile.TemporaryDirectory() as made:
        paper.draw(results, Path(made))
        return [
            f"{shown(path)} is not what the numbers give when it is drawn again"
            for path in sorted((ROOT / "paper" / "generated").glob("*.svg"))
            if path.read_bytes() != (Path(made) / path.name).read_bytes()
        ]


def short(claim):
    """Return the value of a claim in a few words."""
    return (
        "missing"
        if claim is None
        else (text := json.dumps(claim["value"], sort_keys=True))[:160] + "..." * (len(text) > 160)
    )


def differing(name, text, wanted):
    """Return a sentence for each line of a document that is not as wanted."""
    pairs = list(zip(text.splitlines(), wanted.splitlines(), strict=False))
    found = [
        f"{name} line {number} prints {one.strip()[:100]!r}, the runs give {other.strip()[:100]!r}"
        for number, (one, other) in enumerate(pairs, 1)
        if one != other
    ]
    return found or ([f"{name} has other lines than the runs give"] if text != wanted else [])
