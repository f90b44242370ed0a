"""The numbers of the README and of data/README.md, from those that paper/build.py makes. Pure: it formats, and counts nothing.

A document is its own template: a number in its prose stands between `<!--=rows/SFT, no forcing/all/n-->` and `<!--/-->`, which no
reader sees, and the tables between two `results` comments.
"""

import re

from ponder.errors import UserError

INLINE = re.compile(r"(?<=<!--=)(.+?)-->(.*?)(?=<!--/-->)")
BLOCK = re.compile(r"(?<=<!-- results -->\n).*?(?=<!-- /results -->)", re.DOTALL)
GROUPS = ("within reach", "out of reach", "transfer")


def at(results, path):
    """Return the value at a path such as `rows/SFT, no forcing/all/n`; in lists by label, name or k. Raises UserError."""
    value = results
    for key in path.split("/"):
        if isinstance(value, list):
            value = {
                str(item.get("label", item.get("name", item.get("k")))): item for item in value
            }
        if not isinstance(value, dict) or key not in value:
            raise UserError(
                f"no number is called {path!r}: {key!r} is not there; take a path in paper/generated/results.json"
            )
        value = value[key]
    return value


def said(value):
    """Return a number as the documents print it: whole ones with separators, others with one decimal; a text as it is."""
    return (
        value
        if isinstance(value, str)
        else f"{value:,}"
        if isinstance(value, int)
        else f"{value:.1f}"
    )


def filled(text, results, folder):
    """Return a document with its tables and the numbers in its prose put in anew; figures are in `folder`."""
    text = BLOCK.sub(lambda _: table(results, folder), text)
    return INLINE.sub(lambda found: f"{found[1]}-->{said(at(results, found[1]))}", text)


def table(results, folder):
    """Return the README's tables as markdown, with the figures in this folder: accuracies by group, comparisons, methods."""
    groups, main = results["groups"], results["training"]["cpu"]
    head = [
        "subject",
        *(f"{name} (n={groups[name]['n']})" for name in GROUPS),
        f"all (n={results['rows'][0]['all']['n']})",
        "mean thinking tokens",
    ]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * 5 + "|"]
    for row in results["rows"]:
        cells = [row["groups"][name]["text"] if row["groups"][name] else "-" for name in GROUPS]
        lines.append(
            "| "
            + " | ".join(
                [row["label"], *cells, row["all"]["text"], f"{row['all']['thinking_tokens']:.1f}"]
            )
            + " |"
        )
    lines += [
        "",
        f"![Accuracy against mean thinking tokens on the test questions, by group of families]({folder}scaling.svg)",
    ]
    guess = ", ".join(
        f"{name} {groups[name]['constant']:.1%}" for name in GROUPS if groups[name]["n"]
    )
    lines += [
        "",
        "Accuracy on test questions with 95% intervals (Wilson). "
        + " ".join(f"{name.capitalize()}: {groups[name]['words']}." for name in GROUPS)
        + f" Always giving the most frequent answer of each family would score: {guess}. The groups were fixed on other"
        " questions (dev): a family that is trained on is within reach when SFT without forcing gets half of it"
        " right there and beats that constant guess. Transfer families are never trained on.",
        "",
    ]
    n = [results["comparisons"][0][scope]["n"] for scope in ("trained", "transfer")]
    lines += [
        f"| difference in points | trained families (n={n[0]}) | transfer (n={n[1]}) |",
        "|---|---:|---:|",
    ]
    lines += [
        f"| {c['ours']} minus {c['theirs']} | {c['trained']['text']} | {c['transfer']['text']} |"
        for c in results["comparisons"]
    ]
    lines += [
        "",
        "Paired by question, 95% intervals by bootstrap; an interval that holds 0 shows no difference. Each model was"
        " trained once: the intervals cover the choice of questions, not the training seed. "
        f"Base: {results['base']['name']} from {results['base']['loaded_from']}. Training: {main['rows']:,} rows, "
        f"{main['steps']} steps, {main['tokens']:,} tokens, {main['minutes']} minutes ({main['machine']}).",
        "",
    ]
    return "\n".join(lines + _methods(results["methods"], folder)) + "\n"


def _methods(found, folder):
    """Return the lines of the README's table of methods and its figure."""
    lines = [
        "| method | runs | Control, % | single samples, % | Scaling, points per doubling | Performance, % "
        "| s1's Control, Scaling, Performance |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in found["table"]:
        cells = [
            row["text"][key] for key in ("control", "control_per_sample", "scaling", "performance")
        ]
        theirs = "{control}, {scaling}, {performance}".format(**row["s1"]) if row["s1"] else "-"
        lines.append(
            "| "
            + " | ".join([f"{row['name']}: {row['title']}", str(row["runs"]), *cells, theirs])
            + " |"
        )
    lines += [
        "",
        f"![Accuracy against mean thinking tokens on all test questions, by method]({folder}methods.svg)",
        "",
    ]
    votes = "; ".join(f"{point['k']}: {point['accuracy']['text']}" for point in found["voting"])
    lines += [
        "The methods of s1's table 3 with the metrics of its section 3.2, over all test questions. Control: runs whose mean "
        "thinking lies within what was asked, beside it the same of single samples. Scaling: mean slope over all pairs of "
        "runs. Performance: the best run, chosen on these questions. The last column is s1's, 32B on AIME24: other "
        "questions, another model, so its values are not comparable with ours. Accuracy in % when so many samples of the "
        f"model without forcing vote: {votes}."
    ]
    return lines
