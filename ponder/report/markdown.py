"""The numbers of the Markdown documents, put into them. Pure: it formats and counts nothing.

A document is its own template: a number in its prose stands between `<!--=path-->` and `<!--/-->`,
which no reader sees, and what is made as a whole between two comments such as `<!-- results -->`
and `<!-- /results -->`. Every number is a string of results.json under `printed`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ponder.card.plots import plain
from ponder.errors import UserError
from ponder.report import public
from ponder.report.arms import OWN
from ponder.report.numbers import GROUPS
from ponder.report.verdicts import findings

INLINE = re.compile(r"(?<=<!--=)(.+?)-->(.*?)(?=<!--/-->)")
BLOCK = re.compile(r"(?<=<!-- )([\w-]+)( -->\n)(.*?)(?=<!-- /\1 -->)", re.DOTALL)


@dataclass(frozen=True)
class Document:
    """A document that holds numbers: how its links reach the root, and the blocks that it has."""

    root: str
    blocks: tuple[str, ...]


DOCUMENTS = {  # by their path from the root of the repository
    "README.md": Document("", ("public-table", "s1-table", "example")),
    "data/README.md": Document("../", ()),
    "conf/README.md": Document("../", ()),
    "paper/results.md": Document("../", ("results",)),
}


def at(results: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path such as `rows/SFT, no forcing/all/n`.

    An item of a list is named by its label, name or k. Raises UserError for a path that is not
    there.
    """
    value: Any = results
    for key in path.split("/"):
        if isinstance(value, list):
            value = {
                str(item.get("label", item.get("name", item.get("k")))): item for item in value
            }
        if not isinstance(value, dict) or key not in value:
            raise UserError(
                f"no number is called {path!r}: {key!r} is not there; take a path in "
                "paper/generated/results.json under `printed`"
            )
        value = value[key]
    return value


def filled(text: str, results: Mapping[str, Any], root: str) -> str:
    """Return a document with its blocks and the numbers in its prose put in anew."""

    def block(match: re.Match) -> str:
        name, opening, old = match.groups()
        return name + opening + (BLOCKS[name](results, root) if name in BLOCKS else old)

    def number(match: re.Match) -> str:
        string = at(results["printed"], match[1])
        if not isinstance(string, str):
            raise UserError(f"{match[1]!r} is no single number; take a path that ends at one")
        return f"{match[1]}-->{string}"

    return INLINE.sub(number, BLOCK.sub(block, text))


def checked(text: str, name: str) -> str:
    """Return the text of a document; raises UserError for one that cannot be what it is filled in.

    It must have the blocks of DOCUMENTS, each once and in order, an end for every number that it
    opens, and a title.
    """
    wanted = DOCUMENTS[name].blocks
    if not re.search("^# ", text, re.MULTILINE):
        raise UserError(f"{name} is empty or has no title; restore it from git")
    if blocks(text) != wanted:
        raise UserError(
            f"{name} has the blocks {', '.join(blocks(text)) or 'none'}, but must have "
            f"{', '.join(wanted) or 'none'}, each from <!-- name --> to <!-- /name -->; restore it "
            "from git"
        )
    if not text.count("<!--=") == text.count("<!--/-->") == len(INLINE.findall(text)):
        raise UserError(
            f"{name} has a number <!--=...--> without its <!--/-->; restore it from git"
        )
    if any(len(re.findall(rf"<!-- /?{block} -->", text)) != 2 for block in wanted):
        raise UserError(f"{name} opens or closes a block more than once; restore it from git")
    return text


def blocks(text: str) -> tuple[str, ...]:
    """Return the names of the blocks of a document, in order."""
    return tuple(match[1] for match in BLOCK.finditer(text))


def table(head: list[str], align: str, rows: list[list[str]]) -> list[str]:
    """Return a table as lines; `align` has a letter for each column, l or r."""
    marks = {"l": "---", "r": "---:"}
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    lines.insert(1, "|" + "|".join(marks[letter] for letter in align) + "|")
    return lines


def picture(root: str, name: str, words: str) -> list[str]:
    """Return a figure that follows the reader's choice of a light or a dark page, as lines."""
    path = f"{root}paper/generated/{name}"
    return [
        "<picture>",
        f'  <source media="(prefers-color-scheme: dark)" srcset="{path}-dark.svg">',
        f'  <img src="{path}.svg" alt="{words}">',
        "</picture>",
    ]


# --- README.md -------------------------------------------------------------------------


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
            f"{contrast['name']}: {public.named(contrast['ours'])} minus "
            f"{public.named(contrast['theirs'])}",
            contrast["expected"],
            contrast["all"]["text"] if contrast["all"] else "-",
            contrast["outcome"],
        ]
        for contrast in plan["contrasts"]
    ]
    lines = [
        *table(["", *arms], "l" * (1 + len(arms)), rows),
        "",
        f"Right answers to {measured['n']} questions of GSM8K with 95% interval, and mean thinking "
        "tokens; each model was trained once.",
        "",
        *table(["pre-registered", "expected", "points", "outcome"], "llll", verdicts),
        "",
        cost_words(measured["cost"]),
    ]
    return "\n".join(lines) + "\n"


def cost_words(cost: Mapping[str, Any]) -> str:
    """Return a sentence on what the runs behind a plan took."""
    stages = ", ".join(
        f"{stage['name']} {stage['tokens']} tokens in {stage['hours']} hours"
        for stage in cost["stages"]
    )
    return (
        f"The released runs took {stages}: {cost['core_hours']} core-hours, ${cost['dollars']} at "
        f"an assumed ${cost['price']} per core-hour."
    )


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
        "compared, sizes cannot. Where an interval holds 0, the two are not "
        "distinguishable, which does not say that they are equal.",
    ]
    return "\n".join(lines) + "\n"


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
        'within reach that is right without forcing, cut by the cap, and wrong after "Wait".',
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


def spelled(family: str) -> str:
    """Return the name of a family in words."""
    return family.replace("_", " ")


# --- paper/results.md ------------------------------------------------------------------


def results_page(results: Mapping[str, Any], root: str) -> str:
    """Return every row, comparison and method as tables, with the figures."""
    printed = results["printed"]
    lines = [
        *_accuracies(results, printed, root),
        *_comparisons(printed),
        *_public(printed["public"], root),
        *_planned(printed["contrasts"], root),
        *_mistakes(printed["mistakes"]),
        *_methods(printed["methods"], root),
        *_parallel(printed["parallel"], root),
    ]
    return "\n".join(lines) + "\n"


def _accuracies(results: Mapping[str, Any], printed: Mapping[str, Any], root: str) -> list[str]:
    groups, rows = printed["groups"], printed["rows"]
    head = [
        "subject",
        *(f"{name} (n={groups[name]['n']})" for name in GROUPS),
        f"all (n={rows[0]['all']['n']})",
        "mean thinking tokens",
        "cut",
        "unanswered",
        "right if cut",
        "right if completed",
    ]
    constant = [
        groups[name]["constant"] if results["groups"][name]["n"] else "-" for name in GROUPS
    ]
    cells = [["Most frequent answer of each family", *constant, printed["guess"]["constant"]]]
    cells[0] += ["-"] * (len(head) - len(cells[0]))
    for row in rows:
        members = [row["groups"][name] for name in GROUPS]
        shares = [entry["text"] if entry else "-" for entry in [*members, row["all"]]]
        label = f"[{row['label']}]({root}logs/evaluate/{row['run']})"
        cells.append([label, *shares, row["all"]["thinking_tokens"], *_ends(row["ends"])])
    return [
        "## Accuracy",
        "",
        *table(head, "lrrrrrrrrr", cells),
        "",
        "Accuracy on test questions with 95% intervals (Wilson). "
        + " ".join(f"{name.capitalize()}: {groups[name]['words']}." for name in GROUPS)
        + " The first line is what a constant guess would score. Cut: answers whose thinking the "
        "cap ended, which at a cap of 0 is all of them; unanswered: without a final answer that "
        "can be read. All of it is for these eight families. The groups were fixed on other "
        "questions (dev): a family that is trained on is within "
        "reach when SFT without forcing gets half of it right there and beats that constant "
        "guess. Transfer families are never trained on.",
        "",
        *picture(root, "models", "Accuracy of each model without forcing, by group of families"),
        "",
        *picture(root, "scaling", "Accuracy against mean thinking tokens, by group of families"),
        "",
        *picture(root, "families", "Accuracy against mean thinking tokens, by family"),
        "",
    ]


def _ends(ends: Mapping[str, Any]) -> list[str]:
    """Return the cells on cut and unanswered answers."""
    shares = [entry["accuracy"] if (entry := ends[name]) else "-" for name in ("cut", "completed")]
    return [ends["cut_share"], ends["unanswered_share"], *shares]


def _comparisons(printed: Mapping[str, Any]) -> list[str]:
    pairs, main, base = printed["comparisons"], printed["training"]["cpu"], printed["base"]
    scopes = ("trained", *GROUPS)
    names = {"trained": "trained families"}
    sizes = {scope: pairs[0][scope]["n"] for scope in scopes if pairs[0][scope]}
    head = ["difference in points"]
    head += [f"{names.get(scope, scope)} (n={sizes.get(scope, '0')})" for scope in scopes]
    head += ["gained, lost", "p (Holm)", f"families as units (n={pairs[0]['units']['n']})"]
    cells = [
        [
            f"{pair['ours']} minus {pair['theirs']}",
            *(pair[scope]["text"] if pair[scope] else "-" for scope in scopes),
            f"{pair['trained']['gained']}, {pair['trained']['lost']}",
            pair["trained"]["p_holm"],
            pair["units"]["text"],
        ]
        for pair in pairs
    ]
    return [
        "## Differences",
        "",
        *table(head, "lrrrrrrr", cells),
        "",
        "Paired by question, 95% intervals by bootstrap. Where an interval holds 0, the two are "
        "not distinguishable, which does not say that they are equal. Gained and lost: answers on "
        "the trained families that only the first, or only the second, has right; p is McNemar's, "
        "corrected by Holm over the lines of this table, all of them exploratory but for what was "
        "pre-registered. Families as units: the mean over the trained families of the difference "
        "in each, with Student's interval over families, which is what could be said of other "
        "families like these. "
        + "".join(
            f"Pre-registered ({plan['name']}): {plan['expected']}, {plan['outcome']}. "
            for plan in printed["preregistered"]
        )
        + "Each model was trained once: the intervals cover the choice of questions, not the "
        f"training seed. Base: {base['name']} from {base['loaded_from']}. Training: "
        f"{main['rows']} rows, {main['steps']} steps, {main['tokens']} tokens, {main['minutes']} "
        f"minutes ({main['machine']}).",
        "",
    ]


def _public(plans: Sequence[Mapping[str, Any]], root: str) -> list[str]:
    """Return each arm on a public benchmark under each budget, and how its answers end."""
    head = ["answered by", "budget", "accuracy", "without originals", "mean thinking tokens"]
    head += ["tokens written", "cut", "unanswered", "right if cut", "right if completed"]
    lines = ["## On a public benchmark", ""]
    for plan in plans:
        cells = [
            [
                f"[{arm['arm']}]({root}logs/evaluate/{arm['run']})",
                arm["words"],
                arm["all"]["text"],
                arm["fresh"]["text"],
                arm["all"]["thinking_tokens"],
                arm["written"],
                *_ends(arm["ends"]),
            ]
            for arm in plan["arms"]
        ]
        fresh = plan["arms"][0]["fresh"]["n"] if plan["arms"] else "-"
        lines += [
            *picture(root, plan["name"], "Accuracy on GSM8K against mean thinking tokens"),
            "",
            *table(head, "llrrrrrrrr", cells),
            "",
            f"{plan['n']} questions of {plan['benchmark']}; without originals: the {fresh} that no "
            "template of the training questions was made from. Cut: the share of answers whose "
            "thinking the budget ended. Where nothing is forced, all that is written is the "
            "answer. " + cost_words(plan["cost"]),
            "",
        ]
    return lines


def _planned(plans: Sequence[Mapping[str, Any]], root: str) -> list[str]:
    """Return what came of the pre-registered contrasts, and which of their runs are there."""
    lines = [
        "## Pre-registered contrasts",
        "",
        "A contrast has its verdict once all runs of all contrasts of its plan are there, since "
        "each p-value is corrected for all of them. Everything else here is exploratory.",
        "",
    ]
    for plan in plans:
        verdicts = [
            [
                f"{contrast['name']}: {contrast['ours']} minus {contrast['theirs']}",
                contrast["expected"],
                *_of_contrast(contrast["all"]),
                contrast["outcome"],
            ]
            for contrast in plan["contrasts"]
        ]
        head = ["primary contrast", "expected", "points", "p (Holm)", "detectable", "outcome"]
        lines += [
            f"[{plan['name']}]({root}logs/preregistrations/{plan['name']}.yaml), over {plan['n']} "
            f"test questions of {', '.join(map(spelled, plan['families']))}: {plan['outcome']}.",
            "",
            *table(head, "lrrrrl", verdicts),
            "",
            *(_arms(plan["arms"], root) if plan["arms"] else ()),
        ]
    return lines


def _arms(arms: Sequence[Mapping[str, Any]], root: str) -> list[str]:
    """Return the seeds of each arm that are there, with what their intervals cover."""
    head = ["arm, budget", "seeds", "accuracy of each", "over all", "spread of seeds"]
    cells = [
        [
            arm["name"],
            *(", ".join(values) for values in _of_seeds(arm["seeds"], root)),
            arm["all"]["text"],
            arm["all"]["between_seeds"] or "-",
        ]
        for arm in arms
    ]
    return [
        *table(head, "lrrrr", cells),
        "",
        "Accuracy on the same questions. Seeds and questions are two crossed random factors: the "
        "intervals hold for other questions of these families and for other seeds; that of a "
        "single seed covers the choice of questions alone. The spread is the standard deviation of "
        "the seeds, in points. Detectable: the smallest true difference, in points, that would be "
        f"told from none four times in five. Processors: {_processors(arms)}.",
        "",
    ]


def _of_contrast(numbers: Mapping[str, str] | None) -> list[str]:
    if numbers is None:
        return ["-", "-", "-"]
    return [numbers["text"], numbers["p_holm"], numbers["detectable"] or "-"]


def _of_seeds(seeds: Sequence[Mapping[str, str]], root: str) -> tuple[list[str], list[str]]:
    """Return the seeds of an arm as links to their runs, and the accuracy of each."""
    links = [
        f"[{seed['name'].removeprefix('seed ')}]({root}logs/evaluate/{seed['run']})"
        for seed in seeds
    ]
    return links, [seed["accuracy"] for seed in seeds]


def _processors(arms: Sequence[Mapping[str, Any]]) -> str:
    """Return which processor trained which arms and seeds, in words."""
    trained: dict[str, dict[str, None]] = {}
    for arm in arms:
        for seed in arm["seeds"]:
            name = f"{arm['name'].partition(',')[0]} {seed['name']}"
            trained.setdefault(seed["processor"], {})[name] = None
    return "; ".join(f"{processor}: {', '.join(names)}" for processor, names in trained.items())


def _mistakes(mistakes: Mapping[str, Any]) -> list[str]:
    """Return what goes wrong in answers, counted by rule."""
    steps = ("n", "right_answers", "right", "followed", "value", "step", "missing", "extra")
    nudges = ("n", "operation", "followed", "again", "value", "step", "nothing", "other")
    families = list(mistakes["types"][0]["families"])
    types = [
        [entry["name"], *(_type_cell(entry["families"][family]) for family in families)]
        for entry in mistakes["types"]
    ]
    return [
        "## What goes wrong",
        "",
        "Counted by rule over the answers of the table (ponder/report/mistakes.py); no rule looks "
        "at who answered.",
        "",
        *table(
            [
                "the first wrong step, trained families",
                "answers",
                "right answers",
                "every step right",
                "and the answer too",
                "another value",
                "another step",
                "ended early",
                "went on",
            ],
            "lrrrrrrrr",
            [
                [spelled(entry["name"]), *(entry[key] for key in steps)]
                for entry in mistakes["steps"]
            ],
        ),
        "",
        "The programs that wrote the training traces say which line is due. Another value: the "
        "line is the step that was due, with another value. Of letter counting a line is a whole "
        "word, so a letter that is left out makes it another step.",
        "",
        *table(
            [
                "after the last nudge",
                "nudged",
                "`Wait:` as one more operation",
                "its value is the answer",
                "the line before again",
                "with another value",
                "another step",
                "nothing",
                "other words",
            ],
            "lrrrrrrrr",
            [
                [spelled(entry["name"]), *(entry[key] for key in nudges)]
                for entry in mistakes["nudges"]
            ],
        ),
        "",
        *table(
            ["answers of the wrong type", *map(spelled, families)], "l" + "r" * len(families), types
        ),
        "",
        "What the right answers of a family are, numbers, lists or a few words, is its type. In "
        "brackets: those that are among the few answers of another family, and of which.",
        "",
    ]


def _type_cell(entry: Mapping[str, str]) -> str:
    borrowed = f" ({entry['borrowed']}: {spelled(entry['from'])})" if entry["from"] else ""
    return f"{entry['wrong']}{borrowed}"


def _methods(methods: Mapping[str, Any], root: str) -> list[str]:
    head = [
        "method",
        "runs",
        "Control, %",
        "single samples, %",
        "Scaling, points per doubling",
        "Performance, %",
        "s1's Control, Scaling, Performance",
    ]
    keys = ("control", "control_per_sample", "scaling", "performance")
    cells = []
    for row in methods["table"]:
        s1 = row["s1"]
        published = (
            ", ".join(s1[key] for key in ("control", "scaling", "performance")) if s1 else "-"
        )
        texts = [row["text"][key] for key in keys]
        cells.append([f"{row['name']}: {row['title']}", row["runs"], *texts, published])
    votes = "; ".join(f"{point['k']}: {point['accuracy']['text']}" for point in methods["voting"])
    return [
        "## Methods",
        "",
        *table(head, "lrrrrrr", cells),
        "",
        *picture(root, "methods", "Tokens asked for against tokens got, and accuracy, by method"),
        "",
        "The methods of s1's table 3 with the metrics of its section 3.2, over all test questions. "
        "Control: runs whose mean thinking lies within what was asked, beside it the same of "
        "single samples. Scaling: mean slope over all pairs of runs, of which two with the same "
        "answers count once; not determined where two think nearly equally long. Performance: the "
        "best run, chosen on these questions. The last column is s1's, 32B on AIME24: other "
        "questions, another model, so its values are not comparable with ours. Accuracy in % when "
        f"so many samples of the model without forcing vote: {votes}.",
        "",
    ]


def _parallel(found: Mapping[str, Any], root: str) -> list[str]:
    """Return longer thinking beside several samples at the same tokens."""
    votes = [
        [p["k"], p["tokens"], p["accuracy"]["text"], p["coverage"]["text"], p["tied"]]
        for p in found["votes"]
    ]
    pairs = [
        [
            p["name"],
            p["thinking_tokens"],
            p["text"],
            p["votes"],
            p["votes_tokens"],
            p["all"]["text"],
        ]
        for p in found["sequential"]
    ]
    return [
        "## Sequential against parallel",
        "",
        *table(["samples", "tokens", "majority vote, %", "coverage, %", "tied"], "rrrrr", votes),
        "",
        *picture(root, "parallel", "Accuracy against thinking tokens: cuts, Wait, votes, coverage"),
        "",
        f"The first samples of [{found['samples']} of each question]({root}logs/evaluate/"
        f"{found['run']}), drawn from the main arm without forcing, vote; tokens are the mean of "
        "all that vote together. Coverage is the chance that any of them is right, which is no "
        "accuracy: somebody has to know which.",
        "",
        *table(
            [
                "budget forcing",
                "tokens",
                "accuracy",
                "nearest votes",
                "their tokens",
                "votes minus forcing",
            ],
            "lrrrrr",
            pairs,
        ),
        "",
        "For each run of budget forcing the vote whose tokens are nearest to its own, in points, "
        "paired by question; exploratory.",
    ]


BLOCKS: dict[str, Callable[[Mapping[str, Any], str], str]] = {
    "public-table": public_table,
    "s1-table": s1_table,
    "example": example,
    "results": results_page,
}
