"""paper/results.md: every row, comparison and method as tables, with the figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from ponder.report import engines
from ponder.report.mistakes import NUDGE_COLUMNS, STEP_COLUMNS
from ponder.report.numbers import GROUPS
from ponder.report.tables import cost_words, picture, spelled, table


def results_page(results: Mapping[str, Any], root: str) -> str:
    """Return every row, comparison and method as tables, with the figures."""
    printed = results["printed"]
    lines = [
        *_accuracies(results, printed, root),
        *_comparisons(printed),
        *_public(printed["public"], root),
        *_engines(printed["engines"], root),
        *_planned(printed["contrasts"], root),
        *_machines(printed["machines"], root),
        *_mistakes(printed["mistakes"]),
        *_methods(printed["methods"], printed["cited"], root),
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
        "cap ended, which at a cap of zero is all of them; unanswered: without a final answer that "
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
    head += ["gained, lost", f"families as units (n={pairs[0]['units']['n']})"]
    cells = [
        [
            f"{pair['ours']} minus {pair['theirs']}",
            *(_with_p(pair[scope]) if pair[scope] else "-" for scope in scopes),
            f"{pair['trained']['gained']}, {pair['trained']['lost']}",
            pair["units"]["text"],
        ]
        for pair in pairs
    ]
    return [
        "## Differences",
        "",
        *table(head, "lrrrrrr", cells),
        "",
        "Paired by question, 95% intervals by bootstrap. Where an interval holds zero, the two are "
        "not distinguishable, which does not say that they are equal. Gained and lost: answers on "
        "the trained families that only the first, or only the second, has right; p is McNemar's, "
        "corrected by Holm over the lines of its column, all of them exploratory but for what was "
        "pre-registered; the intervals are not corrected. Families as units: the mean over the "
        "trained families of the difference in each, with Student's interval over families, which "
        "is what could be said of other families like these. "
        + "".join(
            f"Pre-registered ({plan['name']}): {plan['expected']}, {plan['outcome']}. "
            for plan in printed["preregistered"]
        )
        + "Each line is of trainings with seed zero: the intervals cover the choice of questions, "
        "not the training seed ([over seeds](#pre-registered-contrasts)). "
        f"Base: {base['name']} from {base['loaded_from']}. Training: "
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


def _engines(pairs: Sequence[Mapping[str, Any]], root: str) -> list[str]:
    """Return what the same weights get behind llama.cpp and behind transformers."""
    if not pairs:
        return []
    head = ["who answers what", "questions", "llama.cpp", "tokens", "transformers", "tokens"]
    head += ["points", "gained, lost"]
    cells = []
    for pair in pairs:
        stage, cell = engines.PAIRS[pair["name"]].stage, [pair["words"], pair["all"]["n"]]
        for side in ("ours", "theirs"):
            link = f"[{pair[side]['text']}]({root}logs/{stage}/{pair[f'{side}_run']})"
            cell += [link, pair[side]["tokens"]]
        cells.append(
            [*cell, _with_p(pair["all"]), f"{pair['all']['gained']}, {pair['all']['lost']}"]
        )
    return [
        "## The same weights behind two engines",
        "",
        *table(head, "lrrrrrrr", cells),
        "",
        "Right answers with 95% interval, and mean tokens: of GSM8K all that was written, of the "
        "teacher its thinking. llama.cpp multiplies the four-bit file as it is, transformers its "
        "weights in bfloat16. Points: the first minus the second, paired by question; gained are "
        "the questions that llama.cpp alone has right. The teacher samples, so that each engine "
        "draws other answers; the base is greedy. p: McNemar's, corrected by Holm over these "
        "lines. Exploratory.",
        "",
    ]


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
            f"test questions of {', '.join(map(spelled, plan['families']))}: {plan['outcome']}."
            + read_before(plan),
            "",
            *table(head, "lrrrrl", verdicts),
            "",
            *(_arms(plan["arms"], root) if plan["arms"] else ()),
        ]
    return lines


def read_before(plan: Mapping[str, Any]) -> str:
    """Return sentences on what was read before a plan was written; "" of a plan of one seed, where
    nothing was.
    """
    if plan["several_seeds"] == "false":
        return ""
    other = f", and {plan['read_before']} by another plan" if plan["read_before"] else ""
    return (
        f" Seed zero of each arm had been read before this plan was written and is one of its "
        f'seeds{other}. Of so few seeds "no difference" says that none was found, not that there '
        "is none."
    )


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
        "told from none four times in five. An outcome follows from the p-value, corrected by Holm "
        "over the contrasts of its plan; the intervals are not corrected. Processors (the two "
        f"sides of a contrast may have different ones): {_processors(arms)}.",
        "",
    ]


def _machines(entries: Sequence[Mapping[str, Any]], root: str) -> list[str]:
    """Return what another kind of processor turns beside what another seed turns."""
    if not entries:
        return []
    lines = ["## Seed or machine", ""]
    head = ["trained", "by", "accuracy", "again by", "accuracy", "one alone right"]
    for entry in entries:
        cells = []
        for seed in entry["seeds"]:
            cell = [f"{entry['arm']}, {seed['name']}"]
            for side in (seed["first"], seed["again"]):
                cell += [
                    side["processor"],
                    f"[{side['accuracy']}]({root}logs/evaluate/{side['run']})",
                ]
            cells.append([*cell, seed["differing_share"]])
        lines += [
            *table(head, "lrrrrr", cells),
            "",
            "The same rows, recipe and seed, trained and evaluated by two kinds of processor; "
            f"{entry['n']} test questions, nothing forced. One alone right: the share of "
            "questions that one of two trainings alone has right, "
            f"{entry['machine']['differing_share']} with another machine, "
            f"{entry['seed']['differing_share']} with another seed by one kind of machine (seeds "
            f"{entry['pairs']}): {entry['all']['text']} points, paired by question: "
            f"{entry['found']}. The interval is over questions, for these trainings. Exploratory.",
            "",
        ]
    return lines


def _with_p(difference: Mapping[str, str]) -> str:
    """Return a difference with its corrected p-value."""
    return f"{difference['text']}, p {difference['p_holm']}"


def _of_contrast(numbers: Mapping[str, str] | None) -> list[str]:
    if numbers is None:
        return ["-", "-", "-"]
    return [numbers["text"], numbers["p_holm"], numbers["detectable"] or "-"]


def _of_seeds(seeds: Sequence[Mapping[str, str]], root: str) -> tuple[list[str], list[str]]:
    """Return the seeds of an arm as links to their runs, and the accuracy of each."""
    links = [f"[{seed['name']}]({root}logs/evaluate/{seed['run']})" for seed in seeds]
    return links, [seed["accuracy"] for seed in seeds]


def _processors(arms: Sequence[Mapping[str, Any]]) -> str:
    """Return which processor trained which arms and seeds, in words."""
    trained: dict[str, dict[tuple[str, str], None]] = {}
    for arm in arms:
        for seed in arm["seeds"]:
            name = arm["name"].partition(",")[0], seed["name"]
            trained.setdefault(seed["processor"], {})[name] = None
    return "; ".join(
        f"{processor}: {', '.join(f'{arm} {seed}' for arm, seed in names)}"
        for processor, names in trained.items()
    )


def _mistakes(mistakes: Mapping[str, Any]) -> list[str]:
    """Return what goes wrong in answers, counted by rule."""
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
            ["the first wrong step, trained families", *STEP_COLUMNS.values()],
            "lrrrrrrrr",
            [
                [spelled(entry["name"]), *(entry[key] for key in STEP_COLUMNS)]
                for entry in mistakes["steps"]
            ],
        ),
        "",
        "The programs that wrote the training traces say which line is due. Another value: the "
        "line is the step that was due, with another value. Of letter counting a line is a whole "
        "word, so a letter that is left out makes it another step.",
        "",
        *table(
            ["after the last nudge", *NUDGE_COLUMNS.values()],
            "lrrrrrrrr",
            [
                [spelled(entry["name"]), *(entry[key] for key in NUDGE_COLUMNS)]
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


def _methods(methods: Mapping[str, Any], cited: Mapping[str, Any], root: str) -> list[str]:
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
        "answers count once; n.d., not determined, where two think nearly equally long or the "
        "interval is wider than the scale of accuracy. Performance: the best run, chosen on these "
        f"questions. The last column is s1's, {cited['parameters']} on AIME24: other "
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
            p["ratio"],
            _with_p(p["all"]),
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
        "all that vote together. Coverage is the chance that at least one of so many, out of all "
        "samples, is right (unbiased pass@k), which is no accuracy: somebody has to know which.",
        "",
        *table(
            [
                "budget forcing",
                "tokens",
                "accuracy",
                "nearest votes",
                "their tokens",
                "times",
                "votes minus forcing",
            ],
            "lrrrrrr",
            pairs,
        ),
        "",
        "For each run of budget forcing the vote whose tokens are nearest to its own, how many "
        "times its own they are, and the difference in points, paired by question, with p "
        "corrected by Holm over these lines. One vote is one sample, drawn where "
        "forcing is greedy. All of the training with seed zero; exploratory.",
    ]
