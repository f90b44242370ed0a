"""Claims: every number that the documents print, and what it follows from: logs/claims.jsonl.

A claim is a part of paper/generated/results.json, named by its path in it. `make paper` makes that
file from the released runs and writes the claims; ponder/audit/numbers.py makes both again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ponder.audit import decisions
from ponder.report import costs, engines, markdown, released
from ponder.report.comparisons import PAIRS
from ponder.report.numbers import DEV
from ponder.rows import Claim, values_of
from ponder.runs import ROOT, dump

ESTIMATORS = {
    "accuracy": "share of right answers with Wilson's 95% interval, and mean thinking tokens "
    "(ponder/statistics.py: summary)",
    "difference": "accuracy of the first minus that of the second, paired by question, by "
    "bootstrap (ponder/statistics.py)",
    "units": "mean over families of the difference in each, with Student's interval over families "
    "(ponder/report/comparisons.py: units)",
    "ends": "shares of cut and unanswered answers, and accuracy among cut and completed ones "
    "(ponder/report/comparisons.py: ends)",
    "mistakes": "answers counted by rule: the first wrong step, what follows a nudge, the type "
    "(ponder/report/mistakes.py)",
    "method": "Control, Scaling and Performance of s1, section 3.2, with bootstrap intervals "
    "(ponder/report/methods.py: row)",
    "votes": "majority vote and coverage of k samples of a question (ponder/report/methods.py: "
    "voting)",
    "training": "sums over metrics.jsonl and timing.jsonl (ponder/report/sources.py: training)",
    "steps": "mean tokens of a counted step, from two trainings on the same rows "
    "(ponder/report/methods.py: tokens_per_step)",
    "reach": "accuracy on dev, and what a constant guess would score (ponder/report/numbers.py: "
    "in_reach)",
    "guess": "share of the most frequent answer (ponder/report/numbers.py: constant_share)",
    "count": "rows or released runs counted, or a value of a manifest (ponder/report/sources.py: "
    "questions, taught)",
    "root": "the last line of logs/releases.jsonl (ponder/audit/roots.py)",
    "base": "the base model that the runs name (ponder/report/sources.py: base_of)",
    "cited": "published by s1, not by us (paper/published.yaml)",
    "setting": "a constant of the code (ponder/statistics.py: RESAMPLES; "
    "ponder/questions/drawn.py: KEYS_PER_ROW)",
    "named": "what is compared and the run of it (paper/rows.yaml; ponder/report/comparisons.py: "
    "COMPARISONS)",
    "announced": "what became of a pre-registration (ponder/report/comparisons.py: announced)",
    "seeds": "mean over questions, and over seeds of training where there are several, as its "
    "pre-registration says (ponder/report/contrasts.py)",
    "machines": "share of questions that one of two trainings alone has right, by bootstrap over "
    "questions (ponder/report/machines.py)",
    "fresh": "as accuracy, without the questions that a template of the training questions was "
    "made from (ponder/report/public.py)",
    "cost": "tokens and seconds of timing.jsonl and metrics.jsonl, at the price of "
    "paper/prices.yaml (ponder/report/costs.py)",
    "example": "the first test question that shows what forcing does (ponder/report/example.py)",
    "trace": "a question with the trace of its teacher, chosen by rule (ponder/report/traces.py)",
    "listed": "said by hand, with a path or command (paper/coverage.yaml, paper/checklist.yaml)",
}
Part = Callable[[Any], Any]


def claims(results: dict[str, Any]) -> list[Claim]:
    """Return each claim of results.json, in the order of logs/claims.jsonl.

    `printed` are the strings in which documents print it, `runs` what it is computed from
    ("stage/name"), `families` None for all.
    """
    linked = decisions.links()
    without_decisions = [
        *_rows(results),
        *_comparisons(results),
        *_groups(results),
        *_planned(results),
        *_public(results),
        *_trainings(results),
        *_methods(results),
        *_parallel(results),
        *_engines(results),
        *_machines(results),
        *_mistakes(results),
        *_others(results),
    ]
    return [_linked(claim, linked) for claim in without_decisions]


def _linked(claim: Claim, linked: dict[str, list[str]]) -> Claim:
    numbers = {number for name in (claim.id, *claim.runs) for number in linked.get(name, ())}
    return replace(claim, decisions=sorted(numbers))


def lines(results: dict[str, Any]) -> str:
    """Return logs/claims.jsonl as text."""
    return "".join(dump(values_of(claim)) for claim in claims(results))


def claim(
    results: dict[str, Any],
    path: str,
    estimator: str,
    runs: Sequence[str] = (),
    families: list[str] | None = None,
    part: Part = lambda entry: entry,
) -> Claim:
    """Return the claim on what stands at a path of results.json, or on a part of that."""
    return Claim(
        id=path,
        estimator=estimator,
        value=part(markdown.at(results, path)),
        printed=sorted({*strings(part(markdown.at(results["printed"], path)))}),
        runs=list(runs),
        families=families,
    )


def strings(value: Any) -> Iterator[str]:
    """Yield the strings of a part of the printed numbers."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def texts(entry: dict[str, Any]) -> dict[str, str]:
    """Return what of an entry is text: its names, without what other claims hold."""
    return {key: value for key, value in entry.items() if isinstance(value, str)}


def run_named(stage: str, label: str) -> str:
    """Return "stage/name" of the released run with this label."""
    return f"{stage}/{released.run_folder(stage, label).name}"


def row_runs(results: dict[str, Any]) -> dict[str, str]:
    """Return {label: "evaluate/name"} of the rows of the table."""
    return {row["label"]: f"evaluate/{row['run']}" for row in results["rows"]}


def main_run(results: dict[str, Any]) -> str:
    """Return "evaluate/name" of the last run of budget forcing."""
    return f"evaluate/{results['methods']['table'][0]['points'][-1]['run']}"


def _rows(results: dict[str, Any]) -> Iterator[Claim]:
    for label, run in row_runs(results).items():
        yield claim(results, f"rows/{label}", "named", [run], part=texts)
        yield claim(results, f"rows/{label}/all", "accuracy", [run])
        yield claim(results, f"rows/{label}/ends", "ends", [run])
        for name, group in results["groups"].items():
            path = f"rows/{label}/groups/{name}"
            yield claim(results, path, "accuracy", [run], group["families"])
        for family in results["families"]:
            path = f"rows/{label}/families/{family}"
            yield claim(results, path, "accuracy", [run], [family])


def _comparisons(results: dict[str, Any]) -> Iterator[Claim]:
    runs, families = row_runs(results), results["families"]
    transfer = [name for name, entry in families.items() if entry["group"] == "transfer"]
    trained = [name for name in families if name not in transfer]
    scopes = {"trained": trained, "units": trained}
    scopes |= {name: group["families"] for name, group in results["groups"].items()}
    for entry in results["comparisons"]:
        path, pair = f"comparisons/{entry['name']}", [runs[entry["ours"]], runs[entry["theirs"]]]
        yield claim(results, path, "named", pair, part=texts)
        for scope, members in scopes.items():
            estimator = "units" if scope == "units" else "difference"
            yield claim(results, f"{path}/{scope}", estimator, pair, members)


def _groups(results: dict[str, Any]) -> Iterator[Claim]:
    runs = [run_named("evaluate", DEV), main_run(results)]
    for name, group in results["groups"].items():
        yield claim(results, f"groups/{name}", "guess", runs, group["families"])
    yield claim(results, "guess", "guess", runs)
    for family in results["families"]:
        yield claim(results, f"families/{family}", "reach", runs, [family])


def _planned(results: dict[str, Any]) -> Iterator[Claim]:
    for plan in results["contrasts"]:
        path, families = f"contrasts/{plan['name']}", plan["families"]
        runs = {
            arm["name"]: [f"evaluate/{seed['run']}" for seed in arm["seeds"]]
            for arm in plan["arms"]
        }
        everything = [run for of_arm in runs.values() for run in of_arm]
        yield claim(results, path, "announced", everything, families, _without_entries)
        for arm, of_arm in runs.items():
            yield claim(results, f"{path}/arms/{arm}", "seeds", of_arm, families)
        for entry in plan["contrasts"]:
            pair = [*runs.get(entry["ours"], ()), *runs.get(entry["theirs"], ())]
            yield claim(results, f"{path}/contrasts/{entry['name']}", "seeds", pair, families)


def _public(results: dict[str, Any]) -> Iterator[Claim]:
    for plan in results["public"]:
        path = f"public/{plan['name']}"
        everything: list[str] = []
        for arm in plan["arms"]:
            name, run = f"{path}/arms/{arm['name']}", f"evaluate/{arm['run']}"
            everything.append(run)
            yield claim(results, name, "named", [run], part=texts)
            yield claim(results, f"{name}/written", "ends", [run])
            yield claim(results, f"{name}/all", "accuracy", [run])
            yield claim(results, f"{name}/fresh", "fresh", [run])
            yield claim(results, f"{name}/ends", "ends", [run])
        yield claim(results, path, "named", everything, part=_outside)
        yield claim(results, f"{path}/cost", "cost", everything)
        yield claim(results, f"{path}/models", "named", everything)
        for entry in plan["trainings"]:
            train = [f"train/{entry['run']}"]
            yield claim(results, f"{path}/trainings/{entry['name']}", "training", train)


def _outside(measured: dict[str, Any]) -> dict[str, Any]:
    """Return what a measured plan says of itself, without what other claims hold."""
    return {key: measured[key] for key in ("name", "benchmark", "n")}


def _without_entries(plan: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in plan.items() if key not in ("arms", "contrasts")}


def _trainings(results: dict[str, Any]) -> Iterator[Claim]:
    for experiment, entry in results["training"].items():
        yield claim(results, f"training/{experiment}", "training", [f"train/{entry['run']}"])


def _methods(results: dict[str, Any]) -> Iterator[Claim]:
    methods = results["methods"]
    runs: dict[tuple[str, str], str] = {}
    for row in methods["table"]:
        path = f"methods/table/{row['name']}"
        names = {point["name"]: f"evaluate/{point['run']}" for point in row["points"]}
        runs |= {(row["name"], name): run for name, run in names.items()}
        yield claim(results, path, "method", list(names.values()), part=_without_points)
        for name, run in names.items():
            yield claim(results, f"{path}/points/{name}", "accuracy", [run])
    votes = run_named("evaluate", released.methods().voting.run_label("test"))
    for point in methods["voting"]:
        yield claim(results, f"methods/voting/{point['k']}", "votes", [votes])
    for entry in methods["comparisons"]:
        pair = [runs.get(side, votes) for side in PAIRS[entry["name"]]]
        path = f"methods/comparisons/{entry['name']}"
        yield claim(results, path, "difference", pair, part=lambda entry: entry["all"])
    trained = [run_named("train", name) for name in ("cpu-step-conditional", "cpu")]
    yield claim(results, "methods/steps", "steps", trained)
    yield claim(results, "methods/unasked", "accuracy", [runs["BF", "no forcing"]])
    yield claim(results, "methods/source", "cited")


def _without_points(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "points"}


def _parallel(results: dict[str, Any]) -> Iterator[Claim]:
    found = results["parallel"]
    votes = f"evaluate/{found['run']}"
    yield claim(results, "parallel/run", "named", [votes])
    yield claim(results, "parallel/samples", "votes", [votes])
    for point in found["votes"]:
        yield claim(results, f"parallel/votes/{point['k']}", "votes", [votes])
    for entry in found["sequential"]:
        path, run = f"parallel/sequential/{entry['name']}", f"evaluate/{entry['run']}"
        yield claim(results, path, "accuracy", [run], part=_without_difference)
        yield claim(results, f"{path}/all", "difference", [votes, run])


def _without_difference(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "all"}


def _engines(results: dict[str, Any]) -> Iterator[Claim]:
    for entry in results["engines"]:
        stage = engines.PAIRS[entry["name"]].stage
        runs = [f"{stage}/{entry[side]}" for side in ("ours_run", "theirs_run")]
        yield claim(results, f"engines/{entry['name']}", "difference", runs)


def _machines(results: dict[str, Any]) -> Iterator[Claim]:
    if not results["machines"]:  # none was made again: the list alone is a claim
        yield claim(results, "machines", "machines")
    for entry in results["machines"]:
        made = [seed[side]["run"] for seed in entry["seeds"] for side in ("first", "again")]
        runs = [f"evaluate/{run}" for run in made]
        yield claim(results, f"machines/{entry['name']}", "machines", runs, entry["families"])


def _mistakes(results: dict[str, Any]) -> Iterator[Claim]:
    runs = row_runs(results)
    for part, entries in results["mistakes"].items():
        for entry in entries:
            label, _, family = entry["name"].partition(": ")
            path = f"mistakes/{part}/{entry['name']}"
            families = [family] if family else None
            yield claim(results, path, "mistakes", [runs[label]], families)


def _others(results: dict[str, Any]) -> Iterator[Claim]:
    yield claim(results, "distilled", "count", [run_named("collect", "cpu-distilled")])
    yield claim(results, "counts", "count")
    yield claim(results, "release", "root")
    yield claim(results, "references", "cited")
    yield claim(results, "coverage", "listed")
    yield claim(results, "checklist", "listed")
    yield claim(results, "costs/s1", "cited")
    everything = costs.on_families(ROOT / "logs")
    runs_there = [f"{stage}/{path.name}" for stage, paths in everything.items() for path in paths]
    yield claim(results, "costs/families", "cost", runs_there)
    for entry in results["traces"]:
        yield claim(results, f"traces/{entry['name']}", "trace")
    yield claim(results, "findings", "named")
    yield claim(results, "base", "base", [main_run(results)])
    for key in results["cited"]:
        yield claim(results, f"cited/{key}", "cited")
    for key in results["settings"]:
        yield claim(results, f"settings/{key}", "setting")
    runs, entries = row_runs(results), {entry["name"]: entry for entry in results["comparisons"]}
    for plan in results["preregistered"]:
        entry = entries[plan["comparison"]]
        pair = [runs[entry["ours"]], runs[entry["theirs"]]]
        yield claim(results, f"preregistered/{plan['name']}", "announced", pair)
    if example := results["example"]:
        answers = [f"evaluate/{answer['run']}" for answer in example["answers"]]
        yield claim(results, "example", "example", answers, [example["family"]])
