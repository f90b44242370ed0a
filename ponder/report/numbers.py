"""Every number of the documents as one value, results.json: read, counted, compared, printed."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ponder import statistics
from ponder.questions.drawn import KEYS_PER_ROW, read_split
from ponder.report import (
    comparisons,
    contrasts,
    costs,
    curves,
    engines,
    machines,
    parallel,
    plans,
    public,
    released,
    sources,
    traces,
    verdicts,
)
from ponder.report.comparisons import MAIN, summary, within
from ponder.report.example import decoder, example
from ponder.report.mistakes import mistakes
from ponder.report.printed import printed
from ponder.report.released import MethodRun, TableRow
from ponder.report.sources import Evaluation
from ponder.runs import ROOT, read_jsonl
from ponder.statistics import Sample

DEV = "cpu-trained-free-dev"  # the run that decides on reach
ORIGINALS = ROOT / "data" / "qwen" / "gsm8k-originals.jsonl"
ROWS = ROOT / "data" / "qwen" / "qwen" / "train.jsonl"  # that the second scale is trained on
GROUPS = ("within reach", "out of reach", "transfer")


def numbers(logs: Path | str, data: Path | str = ROOT / "data" / "cpu") -> dict[str, Any]:
    """Return every number of the README and the paper as one JSON value.

    Floats have six decimals; `printed` holds the string of each (ponder/report/printed.py).
    Raises UserError for a run that is missing, unreleased or not what its manifest says.
    """
    logs, data = Path(logs), Path(data)
    drawn = sources.read(data / "questions" / "manifest.json")
    rows, compared = released.rows(), released.methods()
    evaluations, dev = _evaluations(logs, drawn)
    trained = _trainings(logs, evaluations, dev[0])
    table = {row.label: evaluations[row.run_label("test")] for row in rows}
    groups = grouped(drawn["families"], dev[1])
    trained_families = groups["within reach"] + groups["out of reach"]
    scopes = {"trained": trained_families, **groups}
    families = sorted(drawn["families"])
    places = {**groups, **{family: [family] for family in families}, curves.ALL: families}
    decode = decoder(data / "tokenizer.json")
    pairs = comparisons.compare({label: run[1] for label, run in table.items()}, scopes)
    pre_registered = {
        name: (plan, sources.planned_answers(plan, logs, drawn))
        for name, plan in plans.of_contrasts(logs)
    }
    results = {
        "cited": _cited(),
        "settings": {"resamples": statistics.RESAMPLES, "keys_per_row": KEYS_PER_ROW},
        "counts": drawn["counts"] | sources.questions(drawn) | {"evaluations": len(evaluations)},
        "groups": _groups(groups, table[MAIN][1]),
        "guess": {"constant": _constant(table[MAIN][1], families)},
        "families": _families(groups, dev[1], table[MAIN][1]),
        "rows": [_row(row, *table[row.label], groups, families) for row in rows],
        "comparisons": pairs,
        "preregistered": comparisons.announced(plans.of_two_runs(logs), rows, pairs),
        "contrasts": [
            public.worded(contrasts.outcome(name, plan, answers))
            if "benchmark" in plan
            else contrasts.outcome(name, plan, answers, places)
            for name, (plan, answers) in pre_registered.items()
        ],
        "public": [
            _public(name, plan, answers, logs)
            for name, (plan, answers) in pre_registered.items()
            if "benchmark" in plan
        ],
        "training": {name: sources.training(folder) for name, folder in trained.items()},
        "distilled": sources.taught("cpu-distilled", data),
        "methods": comparisons.compare_methods(
            compared, evaluations, sources.step_tokens(trained, data), families
        ),
        "parallel": _parallel(compared, evaluations, logs),
        "engines": engines.engines(logs, data.parent),
        "machines": [
            entry
            for plan, answers in pre_registered.values()
            if "benchmark" not in plan
            for entry in machines.machines(plan, answers, logs, drawn)
        ],
        "mistakes": mistakes(
            {label: run[1] for label, run in table.items()},
            read_split(data / "questions", "test"),
            sorted(trained_families),
            decode,
        ),
        "base": sources.one_base([dev[0], *(folder for folder, _ in evaluations.values())]),
        "costs": {
            "families": costs.total(costs.on_families(logs)),
            "s1": costs.published(),
        },
        "release": sources.last_release(logs),
        "references": sources.references(),
        "coverage": sources.listed("coverage"),
        "checklist": sources.listed("checklist"),
        "example": example(table, groups["within reach"], decode),
        "traces": [
            *traces.solved(read_split(data / "questions", "dev")),
            *traces.shortest(read_jsonl(ROWS)),
        ],
    }
    results = rounded(results)
    results |= {"printed": printed(results)}
    found = [finding.texts() for finding in verdicts.findings(results)]
    return results | {"findings": found, "printed": results["printed"] | {"findings": found}}


# --- runs ------------------------------------------------------------------------------


def _evaluations(logs: Path, drawn: dict) -> tuple[dict[str, Evaluation], Evaluation]:
    """Return the evaluations of test by label, of rows and methods, and the one that reads dev."""
    compared = released.methods()
    voting, votes = released.voting(compared, logs)
    times: dict[TableRow | MethodRun, int]
    times = {compared.voting: max(compared.votes), voting: max(votes)}
    wanted = {run.run_label("test"): run for run in _runs(compared, logs)}
    evaluations = {
        label: sources.evaluation(label, logs, drawn, "test", times.get(run, 1))
        for label, run in wanted.items()
    }
    return evaluations, sources.evaluation(DEV, logs, drawn, "dev")


def _runs(compared: released.Methods, logs: Path) -> list[TableRow | MethodRun]:
    """Return the runs of the table, of the methods, and of what votes beside budget forcing."""
    voting, _ = released.voting(compared, logs)
    forcing = released.sequential(compared, logs)
    return [*released.rows(), *compared.named().values(), voting, *forcing]


def _trainings(logs: Path, evaluations: dict[str, Evaluation], dev: Path) -> dict[str, Path]:
    """Return the train runs behind the evaluations by experiment; each must have used its own."""
    runs = _runs(released.methods(), logs)
    experiments = {run.run_label("test"): run.experiment for run in runs}
    trained = {
        name: sources.run_folder("train", name, logs)
        for name in dict.fromkeys(experiments[label] for label in evaluations)
    }
    sources.check_weights(dev, trained["cpu"])
    for label, (folder, _) in evaluations.items():
        sources.check_weights(folder, trained[experiments[label]])
    return trained


def _parallel(
    compared: released.Methods, evaluations: dict[str, Evaluation], logs: Path
) -> dict[str, Any]:
    """Return the samples that vote beside each run of budget forcing."""
    run, votes = released.voting(compared, logs)
    folder, samples = evaluations[run.run_label("test")]
    runs = {one.name: one for one in released.sequential(compared, logs)}
    sequential = {name: evaluations[one.run_label("test")] for name, one in runs.items()}
    return parallel.parallel(folder.name, list(samples.values()), votes, runs, sequential)


def _public(
    name: str, plan: dict[str, Any], answers: sources.PlannedAnswers, logs: Path
) -> dict[str, Any]:
    """Return what a plan on a public benchmark measured, and what that cost."""
    measured = public.measured(name, plan, answers, public.originals(ORIGINALS))
    trainings = [sources.training(folder) for folder in public.trained(name, logs)]
    return measured | {
        "models": public.models(name, logs),
        "trainings": [{"name": entry["run"][:-9], **entry} for entry in trainings],
        "cost": public.cost(name, measured, logs),
    }


# --- groups of families ----------------------------------------------------------------


def constant_share(samples: list[Sample]) -> float:
    """Return the share of the most frequent gold answer: what one constant guess would score."""
    return max(Counter(s["gold"] for s in samples).values()) / len(samples)


def in_reach(samples: list[Sample]) -> bool:
    """Return whether a family is within reach, from its answers on dev (decision 0010).

    Half of them must be right, and their 95% interval must lie above a constant guess.
    """
    counts = statistics.summary(samples)
    return counts["accuracy"] >= 0.5 and counts["low"] > constant_share(samples)


def grouped(
    families: Mapping[str, dict], dev: Mapping[tuple[str, str, int], Sample]
) -> dict[str, list[str]]:
    """Return {group: families}; a family that nothing is trained on is transfer."""
    groups: dict[str, list[str]] = {name: [] for name in GROUPS}
    for family in sorted(families):
        if not families[family]["trained"]:
            groups["transfer"].append(family)
        elif in_reach(within(dev, [family])):
            groups["within reach"].append(family)
        else:
            groups["out of reach"].append(family)
    return groups


def _groups(groups: dict[str, list[str]], test: Mapping) -> dict[str, dict]:
    """Return what is said of each group: its families, and what a constant guess of each gets."""
    return {
        name: {
            "families": families,
            "words": ", ".join(family.replace("_", " ") for family in families) or "none",
            "n": len(within(test, families)),
            "constant": _constant(test, families),
        }
        for name, families in groups.items()
    }


def _constant(test: Mapping, families: list[str]) -> float:
    """Return what the most frequent answer of each of some families would score together."""
    samples = [within(test, [family]) for family in families]
    right = sum(len(answers) * constant_share(answers) for answers in samples)
    return right / max(1, sum(map(len, samples)))


def _families(groups: dict[str, list[str]], dev: Mapping, test: Mapping) -> dict[str, dict]:
    """Return what is said of each family: its group, and on what that rests."""
    group_of = {family: name for name, families in groups.items() for family in families}
    return {
        family: {
            "group": group_of[family],
            "dev": summary(within(dev, [family])),
            "constant_dev": constant_share(within(dev, [family])),
            "constant_test": constant_share(within(test, [family])),
        }
        for family in sorted(group_of)
    }


# --- rows ------------------------------------------------------------------------------


def _row(
    row: TableRow,
    folder: Path,
    samples: Mapping,
    groups: dict[str, list[str]],
    families: list[str],
) -> dict[str, Any]:
    """Return the numbers of a row of the table: over all questions, by group and by family."""
    return {
        "label": row.label,
        "experiment": row.experiment,
        "subject": row.subject,
        "budget": row.budget,
        "run": folder.name,
        "all": summary(list(samples.values())),
        "ends": comparisons.ends(list(samples.values())),
        "groups": {name: summary(within(samples, members)) for name, members in groups.items()},
        "families": {family: summary(within(samples, [family])) for family in families},
    }


def _cited() -> dict[str, Any]:
    """Return what the documents repeat of s1 in prose."""
    published = sources.published()
    return published["recipe"] | {
        "questions": published["questions"],
        "tokens_per_step": published["table13"]["tokens_per_step"],
    }


def rounded(value: Any) -> Any:
    """Return a JSON value with floats of six decimals: last bits of another machine do not show."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value
