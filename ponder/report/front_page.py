"""What the README shows of the results: the public benchmark, what s1 says, and one example."""

from collections.abc import Mapping, Sequence
from typing import Any

from ponder.card.plots import plain
from ponder.report import links
from ponder.report.arms import OWN
from ponder.report.tables import cost_words, picture, spelled, table
from ponder.report.verdicts import SEEDS, by_name, findings

ALT = (
    "Accuracy on GSM8K against mean thinking tokens, each model trained once: cuts as a solid "
    "line, Wait as a dashed one"
)


def public_table(results: Mapping[str, Any], root: str) -> str:
    """Return what the arms get on the public benchmark, what was expected, and the cost."""
    measured = results["printed"]["public"][0]
    plan = next(p for p in results["printed"]["contrasts"] if p["name"] == measured["name"])
    arms = list(dict.fromkeys(arm["arm"] for arm in measured["arms"]))
    cells: dict[str, dict[str, str]] = {}
    for arm in measured["arms"]:
        link = f"[{arm['all']['text']}]({root}logs/evaluate/{arm['run']})"
        said = f"{link}, {arm['all']['thinking_tokens']} tokens"
        if arm["budget"] == OWN:
            said = f"{link}, {arm['written']} tokens written"
        cells.setdefault(arm["words"], {})[arm["arm"]] = said
    rows = [[words, *(of_arm.get(arm, "-") for arm in arms)] for words, of_arm in cells.items()]
    verdicts = [
        [
            f"{contrast['name']}: {contrast['ours_words']} minus {contrast['theirs_words']}",
            contrast["expected"],
            contrast["found"] or "-",
            *(
                (contrast["all"]["text"], contrast["all"]["p_holm"])
                if contrast["all"]
                else ("-", "-")
            ),
            contrast["outcome"],
        ]
        for contrast in plan["contrasts"]
    ]
    lines = [
        *in_words(measured, plan, root),
        *picture(root, "qwen", ALT),
        "",
        *table(["", *arms], "l" * (1 + len(arms)), rows),
        "",
        f"Right answers to {measured['n']} questions of GSM8K with 95% interval, and mean thinking "
        f"tokens.{by_llamacpp(results, root)} Each number of the table leads to its run's folder; "
        "after `make site`, "
        f"the same one in `{links.SITE}index.html` opens its answers, each with its thinking.",
        "",
        *table(
            ["pre-registered", "expected", "found", "points", "p (Holm)", "outcome"],
            "llllrl",
            verdicts,
        ),
        "",
        cost_words(measured["cost"]),
    ]
    return "\n".join(lines) + "\n"


# What a contrast found, in words; each is of what was measured, not of what is so.
FOUND = {
    "training": {
        "higher": "training on traces helps",
        "lower": "training on traces harms",
        "no difference": "training on traces shows no gain",
    },
    "traces": {
        "higher": "traces teach more than their answers",
        "lower": "traces teach less than their answers",
        "no difference": "traces show no gain over their answers",
    },
    "choice": {
        "higher": "s1's choice of traces beats a random one",
        "lower": "s1's choice of traces is worse than a random one",
        "no difference": "s1's choice of traces shows no gain",
    },
    "wait": {
        "higher": 'forcing more thinking by "Wait" helps',
        "lower": 'forcing more thinking by "Wait" harms',
        "no difference": 'forcing more thinking by "Wait" shows no gain',
    },
    "cap": {
        "higher": "cutting the thinking helps",
        "lower": "cutting the thinking costs",
        "no difference": "cutting the thinking shows no loss",
    },
}


def in_words(measured: Mapping[str, Any], plan: Mapping[str, Any], root: str) -> list[str]:
    """Return a paragraph on what the contrasts came to, as lines; none before all have verdicts."""
    sides = {contrast["name"]: contrast for contrast in plan["contrasts"]}
    if any(contrast["found"] is None for contrast in sides.values()):
        return []
    accuracy = {arm["name"]: arm["all"]["accuracy"] for arm in measured["arms"]}
    words = {arm["name"]: arm["words"] for arm in measured["arms"]}

    def said(name: str, side: str) -> str:
        contrast = sides[name]
        return f"{accuracy[contrast[side]]}: **{FOUND[name][contrast['found']]}**"

    missed = [name for name, contrast in sides.items() if contrast["outcome"] != "met"]
    but = f' but "{", ".join(missed)}"' if missed else ""
    return [
        f"Then it answers **{accuracy[sides['training']['ours']]}** of {measured['n']} questions "
        f"of GSM8K right, its base {said('training', 'theirs')}. Trained on the same answers "
        "without their traces, and asked for answers alone, it gets "
        f"{said('traces', 'theirs')}; on traces drawn at random, "
        f'{said("choice", "theirs")}. With "Wait" appended once it gets {said("wait", "ours")}; '
        f"with {words[sides['cap']['ours']]} tokens, {said('cap', 'ours')}. How sure: each verdict "
        f"is corrected over all contrasts of the plan, which were "
        f"[written down]({root}logs/preregistrations/{plan['name']}.yaml) before any answer was "
        f"read; all{but} came out as expected. Each model was trained once, so another seed of "
        "the training may say otherwise.",
        "",
    ]


def by_llamacpp(results: Mapping[str, Any], root: str) -> str:
    """Return a sentence on what another engine makes of the base, "" before it has answered."""
    for pair in results["printed"]["engines"]:
        if pair["name"] == "student":
            run = f"{root}logs/evaluate/{pair['ours_run']}"
            return (
                f" The base on the first {pair['all']['n']} of them: "
                f"[{pair['ours']['text']}]({run}) behind llama.cpp, "
                f"{pair['theirs']['accuracy']} in transformers, {pair['all']['text']} points."
            )
    return ""


def s1_table(results: Mapping[str, Any], root: str) -> str:
    """Return the table of what s1 says, what is measured here, and the verdict."""
    rows = [
        [
            finding.says,
            f"[{finding.here}]({root}paper/results.md#{finding.section})",
            finding.verdict,
        ]
        for finding in findings(results)
    ]
    lines = table(["s1 says", "here, with 95% interval", "verdict"], "lll", rows)
    lines += [
        "",
        f"s1's numbers are of a {results['printed']['cited']['parameters']} model on AIME24, ours "
        f"of {results['printed']['base']['name']} on generated questions: directions can be "
        "compared, sizes cannot. Where an interval holds zero, the two are not "
        "distinguishable, which does not say that they are equal.",
        "",
        over_seeds(results, root),
    ]
    return "\n".join(lines) + "\n"


def over_seeds(results: Mapping[str, Any], root: str) -> str:
    """Return what the contrasts between several trainings of each arm came to, a paragraph; before
    all have verdicts, that each row is of one training.
    """
    alone = "their intervals cover the choice of questions, not the seed of the training."
    plan = by_name(results["contrasts"]).get(SEEDS)
    if plan is None or any(contrast["found"] is None for contrast in plan["contrasts"]):
        return f"Each of these rows is of one training: {alone}"
    printed = by_name(results["printed"]["contrasts"])[SEEDS]
    labels = {
        f"{row['experiment']}, {row['budget']}": texts["label"]
        for row, texts in zip(results["rows"], results["printed"]["rows"], strict=True)
        if row["subject"] == "trained"
    }
    said, missed = [], []
    for contrast, texts in zip(plan["contrasts"], printed["contrasts"], strict=True):
        words = f"{labels[contrast['ours']]} minus {labels[contrast['theirs']]}"
        said.append(f"{words} {texts['all']['text']}")
        if contrast["outcome"] != "met":
            missed.append(f"{words} (expected {contrast['expected']}, found {contrast['found']})")
    but = f", but {' and '.join(missed)}" if missed else ""
    return (
        f"**How sure.** The models compared here were trained {printed['seeds']} times each. What "
        f"would be compared was [written down]({root}logs/preregistrations/{SEEDS}.yaml) before "
        "any seed but the first was trained (the first had been read, and counts); in points over "
        f"seeds and questions, with 95% intervals: {'; '.join(said)}. By p-values corrected over "
        f"all of these by Holm, all came out as expected{but} "
        f"([each seed]({root}paper/results.md#pre-registered-contrasts)). The other rows are of "
        f"one training each: {alone}{_machine(results['printed']['machines'], root)}"
    )


def _machine(entries: Sequence[Mapping[str, Any]], root: str) -> str:
    """Return a sentence for each arm that another processor trained once more, "" for none."""
    return "".join(
        f" Trained again by another kind of processor ([{entry['name']}]({root}paper/results.md"
        f"#seed-or-machine)), {entry['machine']['differing_share']} of the answers to {entry['n']} "
        "questions turn from right to wrong or back, the mean over "
        f"{entry['trainings']} trainings; with another seed {entry['seed']['differing_share']}: "
        f"{entry['all']['text']} points, exploratory."
        for entry in entries
    )


def example(results: Mapping[str, Any], root: str) -> str:
    """Return one question with what the model writes freely, cut, and after "Wait"."""
    entry = results["printed"]["example"]
    if entry is None:
        return (
            "No test question of a family within reach is right without forcing, cut by the cap "
            'and wrong after "Wait".\n'
        )
    rows = [
        [
            f"[{answer['name']}]({root}logs/evaluate/{answer['run']})",
            written(answer["thinking"]),
            written(answer["reply"]),
            answer["verdict"],
        ]
        for answer in entry["answers"]
    ]
    lines = [
        f"One question, of the family {spelled(entry['family'])}: "
        f"`{plain(entry['question'], 400)}` Its answer is `{plain(entry['gold'])}`.",
        "",
        *table(["", "thinking", "answer", ""], "llll", rows),
        "",
        "**Bold** is forced, the rest is the model's. It is the first test question of a family "
        'within reach that is right without forcing, cut by the cap, and wrong after "Wait"; after '
        f"`make site` it is at `{links.SITE}{entry['page']}`.",
    ]
    return "\n".join(lines) + "\n"


def written(pieces: list[list[str]]) -> str:
    """Return what a model wrote for a cell of a table: as code, forced pieces in bold.

    The text is hostile: as code and without line breaks, bars or backticks it is text alone.
    """
    lines: list[str] = [""]
    for kind, text in pieces:
        for number, line in enumerate(text.split("\n")):
            if number:
                lines.append("")
            if line.strip():
                code = f"`{plain(line.strip(), 200)}`"
                lines[-1] += (" " if lines[-1] else "") + (
                    f"**{code}**" if kind == "forced" else code
                )
    return "<br>".join(line for line in lines if line)
