"""What s1 says, what is measured here, and whether both point the same way: words from numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ponder.report.methods import NOT_DETERMINED

AGREE, OPPOSE, UNCLEAR = "same direction", "opposite direction", "not distinguishable"


@dataclass(frozen=True)
class Finding:
    """One row of the README's table."""

    says: str  # what s1 says
    here: str  # what is measured here, with its interval
    section: str  # where paper/results.md has it
    verdict: str
    public: str = "-"  # what the pre-registered contrast that asks the same says on GSM8K
    public_verdict: str = "-"  # and the verdict of that

    def texts(self) -> dict[str, str]:
        """Return what a document says of it; its name is what s1 says."""
        return {
            "name": self.says,
            "here": self.here,
            "verdict": self.verdict,
            "public": self.public,
            "public_verdict": self.public_verdict,
        }


# The contrast of logs/preregistrations/cpu-seeds.yaml that asks what a finding does, over seeds of
# training; s1's direction in it is "higher".
SEEDS, OVER_SEEDS = "cpu-seeds", {"Appending": "wait", "Rows chosen": "s1_choice"}
# The contrast of logs/preregistrations/qwen.yaml that asks what a finding does, by its first words.
PUBLIC = {
    "Appending": "wait",
    "More thinking": "cap",
    "Rows chosen": "choice",
    "The same, on benchmarks": "training",
}
# What s1's direction would be in these; the cut is ours minus theirs without one.
AS_S1 = {"wait": "higher", "cap": "lower", "choice": "higher", "training": "higher"}


def over_seeds(finding: Finding, words: str, results: Mapping[str, Any]) -> Finding:
    """Return a finding on one training with what several came to, once they have a verdict.

    `words` say what is compared. The difference and the verdict are then those of the
    pre-registered contrast over seeds and questions; without one it is returned as it is.
    """
    plan = by_name(results["printed"]["contrasts"]).get(SEEDS)
    name = next((OVER_SEEDS[said] for said in OVER_SEEDS if finding.says.startswith(said)), None)
    contrast = by_name(plan["contrasts"])[name] if plan and name else None
    if plan is None or contrast is None or contrast["all"] is None:
        return finding
    numbers = contrast["all"]
    here = (
        f"{words}, over {plan['seeds']} trainings: {numbers['text']} points; of {plan['seeds']} x "
        f"{plan['n']} answers {numbers['lost']} are right without it alone, {numbers['gained']} "
        "with it alone"
    )
    verdict = towards("higher", contrast["found"])
    return replace(finding, here=here, section="pre-registered-contrasts", verdict=verdict)


def with_public(finding: Finding, results: Mapping[str, Any]) -> Finding:
    """Return a finding with what was measured of it on the public benchmark."""
    name = next((PUBLIC[words] for words in PUBLIC if finding.says.startswith(words)), None)
    if name is None:
        return finding
    public = results["public"][0]["name"]
    plan = by_name(results["printed"]["contrasts"])[public]
    contrast = by_name(plan["contrasts"])[name]
    arms = by_name(results["printed"]["public"][0]["arms"])
    said, verdict = "not run yet", "-"
    if contrast["ours"] in arms and contrast["theirs"] in arms:
        ours, theirs = (arms[contrast[side]] for side in ("ours", "theirs"))
        said = f"{ours['all']['accuracy']} against {theirs['all']['accuracy']}"
        if ours["arm"] == theirs["arm"]:  # the budget is what differs
            said = f"{ours['words']}: {said}"
        if contrast["all"]:
            said += f": {contrast['all']['text']} points; expected {contrast['expected']}: "
            said += contrast["outcome"]
            verdict = towards(AS_S1[name], contrast["found"])
            if name == "cap" and verdict == AGREE:
                verdict = f"{AGREE}, of less thinking alone"  # no more than usual was thought
        else:
            said += "; no verdict before all runs that the plan compares are there"
    return replace(finding, public=said, public_verdict=verdict)


def towards(direction: str, found: str) -> str:
    """Return whether what a contrast found is "higher" or "lower" as s1 would have it."""
    if found == "no difference":
        return UNCLEAR
    return AGREE if found == direction else OPPOSE


def direction(value: float) -> int:
    """Return 1 for a number above 0, -1 below, and 0."""
    return (value > 0) - (value < 0)


def agreement(published: float, low: float, high: float) -> str:
    """Return whether an interval of ours lies on the side of 0 on which the published value does.

    An interval that holds 0 is distinguishable from neither side.
    """
    if low <= 0 <= high:
        return UNCLEAR
    return AGREE if direction(low) == direction(published) else OPPOSE


def findings(results: Mapping[str, Any]) -> list[Finding]:
    """Return the rows of the README's table, each verdict computed from its interval."""
    return [with_public(finding, results) for finding in _findings(results)]


def _findings(results: Mapping[str, Any]) -> list[Finding]:
    printed, cited = results["printed"], results["cited"]["aime24"]
    quoted, methods = printed["cited"]["aime24"], by_name(results["methods"]["table"])
    pairs, differences = by_name(results["comparisons"]), by_name(printed["comparisons"])
    texts = by_name(printed["methods"]["table"])

    def compared(
        says: str, gain: float, name: str, scope: str, words: str, more: str = ""
    ) -> Finding:
        pair = pairs[name][scope]
        here = f"{words}: {differences[name][scope]['text']} points{more}"
        return Finding(says, here, "differences", agreement(gain, pair["low"], pair["high"]))

    def slope(says: str, name: str) -> Finding:
        scaling = methods[name]["scaling"]
        if methods[name]["slope"] == NOT_DETERMINED:
            here = (
                "Scaling not determined: two runs think nearly equally long, or the interval is "
                "wider than the scale of accuracy"
            )
            return Finding(says, here, "methods", NOT_DETERMINED)
        here = f"Scaling {texts[name]['text']['scaling']} points per doubling"
        published = methods[name]["s1"]["scaling"]
        return Finding(says, here, "methods", agreement(published, scaling["low"], scaling["high"]))

    forcing, asking = texts["BF"], texts["TCC"]
    flips = differences["wait"]["trained"]
    held, asked = methods["BF"]["control_per_sample"], methods["TCC"]["control_per_sample"]
    more_control = methods["BF"]["s1"]["control"] - methods["TCC"]["s1"]["control"]
    tuning = (
        f"{printed['cited']['rows']} traces lift a model from {quoted['base']}% to {quoted['sft']}%"
    )
    one_wait, uniform = "One Wait, families trained on", "s1's choice against a uniform draw"
    choice = compared(
        "Rows chosen for difficulty, diversity and quality teach more than random ones",
        1,
        "s1_choice",
        "trained",
        uniform,
    )
    return [
        compared(
            tuning,
            cited["sft"] - cited["base"],
            "shots",
            "trained",
            "Families trained on, against the base with four examples",
        ),
        compared(
            "The same, on benchmarks that are not what it was trained on",
            cited["sft"] - cited["base"],
            "shots",
            "transfer",
            "Families never trained on, against the same base",
            f"; a constant guess gets {printed['groups']['transfer']['constant']}",
        ),
        slope(
            "More thinking under budget forcing, higher accuracy "
            f"(Scaling {forcing['s1']['scaling']})",
            "BF",
        ),
        over_seeds(
            compared(
                f'Appending "Wait" lifts {quoted["sft"]}% to {quoted["forced"]}%',
                cited["forced"] - cited["sft"],
                "wait",
                "trained",
                one_wait,
                f"; {flips['lost']} right answers became wrong, {flips['gained']} wrong ones right",
            ),
            one_wait,
            results,
        ),
        Finding(
            f"Forcing controls the length ({forcing['s1']['control']}% of runs), asking for a "
            f"number of tokens does not ({asking['s1']['control']}%)",
            f"Answers within the limit, in %: forced {forcing['text']['control_per_sample']}, "
            f"asked {asking['text']['control_per_sample']}",
            "methods",
            agreement(more_control, held["low"] - asked["high"], held["high"] - asked["low"]),
        ),
        slope(
            f"Rejection sampling scales the wrong way (Scaling {texts['RS']['s1']['scaling']})",
            "RS",
        ),
        announced(over_seeds(choice, uniform, results), results["preregistered"]),
    ]


def announced(finding: Finding, preregistered: list[Mapping[str, str]]) -> Finding:
    """Return the finding on the choice of rows with the outcome of its pre-registration."""
    for plan in preregistered:
        if plan["comparison"] == "s1_choice":
            outcome = f"of one training pre-registered as {plan['expected']}: {plan['outcome']}"
            return Finding(
                finding.says, finding.here, finding.section, f"{finding.verdict}; {outcome}"
            )
    return finding


def by_name(entries: list[dict]) -> dict[str, dict]:
    """Return {name: entry} of a list of entries that have names."""
    return {entry["name"]: entry for entry in entries}
