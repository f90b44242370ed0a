"""What is compared with what: rows of the table, runs of the methods, and what was announced."""

from collections.abc import Mapping, Sequence
from typing import Any

from ponder import statistics
from ponder.grading.families import extract
from ponder.report import methods, seeds
from ponder.report.printed import difference_text, share_text
from ponder.report.released import MethodRun, Methods, TableRow
from ponder.report.sources import Evaluation, published
from ponder.statistics import Sample

MAIN = "SFT, no forcing"
LEVEL = 0.05  # a corrected p-value below it tells a difference from none
NONE = "not distinguishable from"
WIDE = 0.5  # an interval of an accuracy as wide as half of its scale determines nothing
COMPARISONS = {  # the name in the paper's prose: the row, and the row that is subtracted from it
    "nearest": (MAIN, "Nearest training question"),
    "base": (MAIN, "Base, zero-shot"),
    "shots": (MAIN, "Base, 4 worked examples"),
    "answers": (MAIN, "SFT on answers only"),
    "cut": (MAIN, "SFT, thinking cut at 0"),
    "wait": ("SFT, Wait x1", MAIN),
    "doubt": ("SFT with doubt, no forcing", MAIN),
    "doubt_wait": ("SFT with doubt, Wait x1", "SFT with doubt, no forcing"),
    "doubt_wait2": ("SFT with doubt, Wait x2", "SFT with doubt, no forcing"),
    "distilled": ("Distilled student, no forcing", MAIN),
    "s1_choice": ("SFT on s1's choice of rows, no forcing", MAIN),
    "distilled_shots": ("Distilled student, no forcing", "Base, 4 worked examples"),
}
PLAIN = "BF without SFT"  # the method that has a curve for each family beside the main arm's
# As COMPARISONS, of runs of paper/methods.yaml: (method, run), or the number of samples that vote.
PAIRS: dict[str, tuple[Any, Any]] = {
    "tcc_capped": (("TCC+BF", "32 tokens"), ("BF", "cut at 32")),
    "tcc": (("TCC", "128 tokens"), ("BF", "no forcing")),
    "scc": (("SCC", "16 steps"), ("BF", "no forcing")),
    "short": (("CCC", "short"), ("BF", "no forcing")),
    "long": (("CCC", "long"), ("BF", "no forcing")),
    "rejection": (("RS", "under 32"), ("BF", "cut at 32")),
    "vote": (4, ("BF", "no forcing")),
    "vote_one": (4, 1),
    "plain_cut": (("BF without SFT", "cut at 32"), ("BF without SFT", "cut at 128")),
    "plain_wait": (("BF without SFT", "Wait x1"), ("BF without SFT", "cut at 128")),
    "plain_wait2": (("BF without SFT", "Wait x2"), ("BF without SFT", "cut at 128")),
}


def summary(samples: list[Sample]) -> dict[str, Any] | None:
    """Return statistics.summary with its text, or None without any sample (an empty group)."""
    if not samples:
        return None
    counts = statistics.summary(samples)
    return counts | {"text": share_text(counts)}


def ends(samples: list[Sample]) -> dict[str, Any]:
    """Return how answers end, which their accuracy hides.

    {"cut_share", "unanswered_share": of all answers, "cut": summary of those whose thinking the cap
    ended, None where it ended none, "completed": of the others}.
    """
    cut = [sample for sample in samples if sample["capped"]]
    return {
        "cut_share": len(cut) / len(samples),
        "unanswered_share": sum(extract(s["reply"]) is None for s in samples) / len(samples),
        "cut": _determined(summary(cut)),
        "completed": _determined(summary([sample for sample in samples if not sample["capped"]])),
    }


def _determined(counts: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a summary, its text "n.d." where the interval of so few answers says nothing."""
    if counts is None or counts["high"] - counts["low"] <= WIDE:
        return counts
    return counts | {"text": methods.NOT_PRINTED}


def difference(ours: Sequence[Sample], theirs: Sequence[Sample], purpose: str) -> dict[str, Any]:
    """Return the paired difference of two lists of samples, its verdict and its text.

    "gained" are the answers that only `ours` has right, "lost" those that only `theirs` has. Votes
    may be right in part, where they are tied; `purpose` then names the resamples of the interval,
    and "p" is Student's of the paired differences, not McNemar's exact one.
    """
    flags, others = ([s["correct"] for s in samples] for samples in (ours, theirs))
    paired = [a - b for a, b in zip(flags, others, strict=True)]
    gained, lost = sum(value > 0 for value in paired), sum(value < 0 for value in paired)
    if {*flags, *others} <= {0, 1}:
        interval = statistics.difference(flags, others)
        p = seeds.mcnemar(gained, lost)
    else:
        drawn = statistics.interval(paired, purpose)
        interval = {"difference": drawn.pop("value"), **drawn}
        p = seeds.crossed([paired]).p
    return interval | {
        "n": len(flags),
        "gained": gained,
        "lost": lost,
        "p": p,
        "verdict": verdict(interval),
        "text": difference_text(interval),
    }


def corrected(found: Sequence[dict[str, Any]]) -> None:
    """Put "p_holm" into some differences, each p-value corrected over all of them by Holm, and let
    their verdicts say no more than it does.
    """
    for entry, p in zip(found, seeds.holm([entry["p"] for entry in found]), strict=True):
        entry["p_holm"] = p
        if p >= LEVEL:
            entry["verdict"] = NONE


def verdict(interval: Mapping[str, float]) -> str:
    """Return what the interval of a difference says, to stand between two names."""
    if interval["low"] > 0:
        return "higher than"
    return "lower than" if interval["high"] < 0 else NONE


def compare(
    rows: Mapping[str, Mapping[tuple[str, str, int], Sample]], scopes: Mapping[str, list[str]]
) -> list[dict[str, Any]]:
    """Return each of COMPARISONS within each scope, None in one without a family.

    `rows` are {label: samples}. The p-values of a scope are corrected over all comparisons within
    it; "units" are the families of the scope "trained" as units.
    """
    pairs = [_pair(name, rows, scopes) for name in COMPARISONS]
    for scope in scopes:
        corrected([pair[scope] for pair in pairs if pair[scope]])
    return pairs


def _pair(
    name: str,
    rows: Mapping[str, Mapping[tuple[str, str, int], Sample]],
    scopes: Mapping[str, list[str]],
) -> dict[str, Any]:
    ours, theirs = COMPARISONS[name]
    pair: dict[str, Any] = {"name": name, "ours": ours, "theirs": theirs}
    for scope, families in scopes.items():
        sides = within(rows[ours], families), within(rows[theirs], families)
        pair[scope] = difference(*sides, f"paper/{name}/{scope}") if families else None
    pair["units"] = units(rows[ours], rows[theirs], scopes["trained"])
    return pair


def units(
    ours: Mapping[tuple[str, str, int], Sample],
    theirs: Mapping[tuple[str, str, int], Sample],
    families: list[str],
) -> dict[str, Any]:
    """Return the mean over families of the difference in each, with an interval over families.

    It is Student's t of as many numbers as there are families: what could be said of other families
    like these, if they were drawn at random.
    """
    means = []
    for family in families:
        paired = zip(within(ours, [family]), within(theirs, [family]), strict=True)
        gains = [a["correct"] - b["correct"] for a, b in paired]
        means.append(sum(gains) / len(gains))
    estimate = seeds.crossed([means])
    numbers = {"difference": estimate.mean, "low": estimate.low, "high": estimate.high}
    return numbers | {"n": len(families), "text": difference_text(numbers)}


def within(samples: Mapping[tuple[str, str, int], Sample], families: list[str]) -> list[Sample]:
    """Return the samples of some families, ordered by family and question."""
    return [sample for key, sample in sorted(samples.items()) if key[0] in families]


def compare_methods(
    compared: Methods, evaluations: Mapping[str, Evaluation], steps: dict, families: list[str]
) -> dict[str, Any]:
    """Return the numbers of the compared methods.

    `evaluations` are by label, `steps` is sources.step_tokens.
    """

    def samples(run: MethodRun) -> list[Sample]:
        return [sample for _, sample in sorted(evaluations[run.run_label("test")][1].items())]

    cited = published()
    unasked = statistics.summary(samples(compared.unasked))["thinking_tokens"]
    units = {"tokens": 1, "steps": steps["tokens_per_step"], "unasked": unasked}
    table: list[dict[str, Any]] = []
    sides: dict[Any, Sequence[Sample]] = {}
    for method in compared.methods:
        row = methods.row(method, units, [samples(run) for run in method.runs], cited)
        for run, point in zip(method.runs, row["points"], strict=True):
            sides[method.name, run.name] = samples(run)
            folder = evaluations[run.run_label("test")][0]
            point |= {"run": folder.name, "budget": run.budget}
            point |= _more(method.name, run, samples(run), families)
        table.append(row)
    votes = methods.voting(samples(compared.voting), compared.votes)
    for point in votes:
        sides[point["k"]] = [{"correct": score} for score in point.pop("scores")]
    compared_pairs: list[dict[str, Any]] = [
        {"name": name, "all": difference(sides[ours], sides[theirs], f"paper/{name}/all")}
        for name, (ours, theirs) in PAIRS.items()
    ]
    corrected([pair["all"] for pair in compared_pairs])
    return {
        "steps": steps,
        "unasked": unasked,
        "table": table,
        "source": cited["table3"]["source"],
        "voting": votes,
        "comparisons": compared_pairs,
    }


def _more(
    method: str, run: MethodRun, samples: list[Sample], families: list[str]
) -> dict[str, Any]:
    """Return what a run of a method has beside its metrics."""
    more: dict[str, Any] = {"text": share_text(statistics.summary(samples))}
    if method == PLAIN:
        more["families"] = {
            family: summary([s for s in samples if s["task"] == family]) for family in families
        }
    if run.budget.startswith("reject"):
        more |= methods.rejection(samples)
    return more


def announced(
    plans: list[tuple[str, dict]], rows: list[TableRow], comparisons: list[dict[str, Any]]
) -> list[dict[str, str]]:
    """Return what became of each pre-registration that a comparison of the table answers.

    [{"name", "comparison", "expected", "outcome": met or not met}], the comparison being over the
    families that are trained on. "higher" is met when the whole interval lies above 0, "lower"
    when it lies below, "no difference" when it holds 0.
    """
    labels = {row.label: row.run_label("test") for row in rows}
    by_runs = {(labels[entry["ours"]], labels[entry["theirs"]]): entry for entry in comparisons}
    met = {
        "higher": "higher than",
        "lower": "lower than",
        "no difference": NONE,
    }
    outcomes = []
    for name, plan in plans:
        entry = by_runs.get((plan["runs"]["ours"], plan["runs"]["theirs"]))
        if entry is None:
            continue
        assert entry["trained"]["n"] == plan["n"], f"{name} speaks of other questions"
        reached = verdict(entry["trained"]) == met[plan["expected"]]
        outcomes.append(
            {
                "name": name,
                "comparison": entry["name"],
                "expected": plan["expected"],
                "outcome": "met" if reached else "not met",
            }
        )
    return outcomes
