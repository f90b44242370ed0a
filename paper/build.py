"""Every number, table and figure of the README and the paper, from the released runs: `make paper`.

Reads logs/ (the runs that paper/rows.yaml and paper/methods.yaml name), the list of families in
data/cpu/questions/manifest.json, the rows of cpu and cpu-distilled, what s1 published
(paper/published.yaml), and nothing else; runs no model. Stops with one sentence at a run that is missing, unreleased or not what
its manifest says. Writes paper/generated/, paper/paper.pdf, logs/claims.jsonl and the numbers of README.md and data/README.md
(ponder/report/markdown.py).
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))  # `python paper/build.py` looks in paper/ only

import yaml  # noqa: E402

from ponder import statistics  # noqa: E402
from ponder.audit import claims  # noqa: E402
from ponder.errors import UserError, user_errors  # noqa: E402
from ponder.hashing import file_sha256  # noqa: E402
from ponder.questions.drawn import KEYS_PER_ROW  # noqa: E402
from ponder.report import curves, markdown, methods, released
from ponder.report.markdown import GROUPS  # noqa: E402
from ponder.runs import dump, read_jsonl  # noqa: E402

MAIN = "SFT, no forcing"
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
PANELS = {
    "asked for in the question": ("BF", "TCC", "TCC+BF", "SCC", "SCC+BF", "CCC"),
    "forced, drawn again, voted on": ("BF", PLAIN, "RS", "majority vote", "coverage"),
}
PAIRS = {  # as COMPARISONS, of runs of paper/methods.yaml: (method, run) or the number of samples that vote
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
DOCUMENTS = {"README.md": "paper/generated/", "data/README.md": "../paper/generated/"}


# --- reading the runs ------------------------------------------------------------------


def read(path):
    """Return the value of a JSON file."""
    return json.loads(Path(path).read_text())


def published():
    """Return what s1 published."""
    return yaml.safe_load((ROOT / "paper" / "published.yaml").read_text())


def run_folder(stage, label, logs):
    """Return the folder of a released run after comparing its files with its manifest."""
    folder = released.run_folder(stage, label, logs)
    moved = read(folder / "released.json")["moved"] if (folder / "released.json").exists() else {}
    for name, entry in read(folder / "manifest.json")["files"].items():
        if name not in moved and not (
            (folder / name).exists() and file_sha256(folder / name) == entry["sha256"]
        ):
            raise UserError(
                f"{stage} run {folder.name}: {name} is not what its manifest says; restore it from git"
            )
    return folder


def samples_of(label, logs, counts, split, times=1):
    """Return (run folder, {(task, id, number of the sample): sample}) of an evaluate run that answered its split in full."""
    folder = run_folder("evaluate", label, logs)
    samples = {
        (s["task"], s["id"], s.get("sample", 0)): s for s in released.samples(folder)
    }  # one answer may have no number
    found = Counter(task for task, _, _ in samples)
    if found != {family: counts[split] * times for family in counts["families"]}:
        raise UserError(
            f"evaluate run {folder.name} has {len(samples)} answers, not {counts[split] * times} for each of the "
            f"{len(counts['families'])} families; release one with benchmark.limit=null and all tasks"
        )
    said, made = read(folder / "results.json")["all"], statistics.summary(list(samples.values()))
    if any(said[key] != made[key] for key in ("n", "correct", "capped", "ignored_ends")):
        raise UserError(
            f"evaluate run {folder.name}: results.json does not follow from samples.jsonl; release it anew"
        )
    return folder, samples


def training(folder):
    """Return what a train run cost, on what machine, and its recipe."""
    steps, clocks = read_jsonl(folder / "metrics.jsonl"), read_jsonl(folder / "timing.jsonl")
    seconds = sum(
        {c["step"]: c["seconds"] for c in clocks if "step" in c}.values()
    )  # an undone step counts once
    tokens = sum(s["tokens"] for s in steps)
    machine = read(folder / "environment.json")
    return {
        "run": folder.name,
        "steps": len(steps),
        "tokens": tokens,
        "minutes": round(seconds / 60, 1),
        "tokens_per_second": round(tokens / seconds),
        "last_loss": round(steps[-1]["loss"], 4),
        "rows": len(
            {ident for step in read_jsonl(folder / "batches.jsonl") for ident in step["ids"]}
        ),
        "machine": f"{machine['cpu']}, {machine['logical_cores']} logical cores, {machine['threads']} threads, "
        f"{machine['system']} {machine['machine']}",
        "recipe": yaml.safe_load((folder / "config.yaml").read_text())["train"],
    }


def taught(experiment, data):
    """Return what became of the calls of a model teacher: questions asked, rejected, right, and rows chosen."""
    traces = read_jsonl(data / experiment / "traces.jsonl")
    return {
        "asked": len(traces),
        "rejected": sum(bool(t["rejected"]) for t in traces),
        "right": sum(t["correct"] for t in traces),
        "chosen": len(read_jsonl(data / experiment / "train.jsonl")),
    }


def counted(drawn):
    """Return from their manifest the questions of each split, of all families together, and what they are drawn by."""
    rows = {
        split: sum(
            entry["rows"]
            for file, entry in drawn["files"].items()
            if file.split("/")[0].split(".")[0] == split
        )
        for split in ("pool", "probe", "dev", "test")
    }
    (library,) = {
        entry["source"].split()[0]
        for entry in drawn["families"].values()
        if "==" in entry["source"]
    }
    return {
        "all": rows,
        "drawn": {family: entry["params"] for family, entry in drawn["families"].items()},
        "seed": drawn["seed"],
        "library": library.replace("==", " "),
    }


def steps_of(trained, data):
    """Return methods.tokens_per_step of the released step-conditional training, which saw the same rows as the main arm."""
    counted, plain = (trained[name] for name in ("cpu-step-conditional", "cpu"))
    rows = Path(data) / "cpu" / "train.jsonl"
    seen, other = (
        [ident for step in read_jsonl(folder / "batches.jsonl") for ident in step["ids"]]
        for folder in (counted, plain)
    )
    used = {read(folder / "manifest.json")["inputs"]["train.jsonl"] for folder in (counted, plain)}
    if seen != other or used != {file_sha256(rows)}:
        raise UserError(
            f"train runs {counted.name} and {plain.name} did not see the rows of data/cpu/cpu in the same order; "
            "train both on them with the same recipe and seed"
        )
    loss = [
        sum(step["loss_tokens"] for step in read_jsonl(folder / "metrics.jsonl"))
        for folder in (counted, plain)
    ]
    return methods.tokens_per_step(read_jsonl(rows), seen, *loss)


def base_of(folder):
    """Return what an evaluate run says about the base model it loaded, or None for a run without a model."""
    said = re.findall(
        r"^evaluate \S+: (\S+) from (.+)$", (folder / "stdout.log").read_text(), re.MULTILINE
    )
    model = yaml.safe_load((folder / "config.yaml").read_text())["model"]
    facts = {"source": model["source"], "licence": model["licence"]}
    return {"name": said[-1][0], "loaded_from": said[-1][1], **facts} if said else None


# --- numbers ---------------------------------------------------------------------------


def summary(samples):
    """Return statistics.summary of samples with its text for a table cell, or None without any (an empty group)."""
    if not samples:
        return None
    found = statistics.summary(samples)
    return found | {
        "text": f"{found['accuracy']:.1%} [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"
    }


def constant_share(samples):
    """Return the share of the most frequent gold answer: what one constant guess would score on these questions."""
    return max(Counter(s["gold"] for s in samples).values()) / len(samples)


def in_reach(dev_samples):
    """Return whether half of the answers on dev are right, and their 95% interval lies above a constant guess (decision 0010)."""
    found = summary(dev_samples)
    return found["accuracy"] >= 0.5 and found["low"] > constant_share(dev_samples)


def difference(ours, theirs, purpose):
    """Return the paired difference of two lists of samples, the answers gained and lost, its verdict and its text."""
    flags, others = ([s["correct"] for s in samples] for samples in (ours, theirs))
    found = statistics.difference(flags, others, purpose)
    verdict = (
        "higher than"
        if found["low"] > 0
        else "lower than"
        if found["high"] < 0
        else "not distinguishable from"
    )
    points = [
        round(100 * found[key], 1) + 0.0 for key in ("difference", "low", "high")
    ]  # + 0.0: no "-0.0"
    return found | {
        "n": len(flags),
        "gained": sum(a > b for a, b in zip(flags, others, strict=True)),
        "lost": sum(a < b for a, b in zip(flags, others, strict=True)),
        "verdict": verdict,
        "text": "{:+.1f} [{:+.1f}, {:+.1f}]".format(*points),
    }


def numbers(logs, data=ROOT / "data" / "cpu"):
    """Return every number of the README and the paper as one JSON value, floats with six decimals."""
    drawn = read(Path(data) / "questions" / "manifest.json")
    counts = drawn["counts"] | {"families": drawn["families"]}
    rows, compared = released.rows(), released.methods()
    asked = {run.run_label("test"): run for run in [*rows, *compared.named().values()]}
    made = {
        label: samples_of(
            label, logs, counts, "test", max(compared.votes) if run == compared.voting else 1
        )
        for label, run in asked.items()
    }
    runs = {row.label: made[row.run_label("test")] for row in rows}
    dev_folder, dev = samples_of("cpu-trained-free-dev", logs, counts, "dev")
    trained = {
        name: run_folder("train", name, logs)
        for name in dict.fromkeys(run.experiment for run in asked.values())
    }
    for experiment, folder in [
        ("cpu", dev_folder),
        *((run.experiment, made[label][0]) for label, run in asked.items()),
    ]:
        used = read(folder / "manifest.json")["inputs"].get("adapter_model.safetensors")
        weights = read(trained[experiment] / "manifest.json")["files"][
            "adapter/adapter_model.safetensors"
        ]["sha256"]
        if used not in (None, weights):
            raise UserError(
                f"evaluate run {folder.name} did not use the weights of the released train run; evaluate again"
            )
    bases = [
        base
        for folder in [dev_folder, *(folder for folder, _ in made.values())]
        if (base := base_of(folder))
    ]
    if any(base != bases[0] for base in bases):
        raise UserError(
            "the released evaluate runs do not all use one base model; evaluate again those that differ"
        )

    def of(samples, *families):
        return [s for key, s in sorted(samples.items()) if key[0] in families]

    group = {
        family: (
            "transfer"
            if not entry["trained"]
            else "within reach"
            if in_reach(of(dev, family))
            else "out of reach"
        )
        for family, entry in sorted(counts["families"].items())
    }
    groups = {name: [family for family in group if group[family] == name] for name in GROUPS}
    scopes = {
        "trained": groups["within reach"] + groups["out of reach"],
        "transfer": groups["transfer"],
    }
    test, cited = runs[MAIN][1], published()
    return rounded(
        {
            "cited": cited["recipe"]
            | {
                "questions": cited["questions"],
                "tokens_per_step": cited["table13"]["tokens_per_step"],
            },
            "settings": {"resamples": statistics.RESAMPLES, "keys_per_row": KEYS_PER_ROW},
            "counts": drawn["counts"] | counted(drawn) | {"evaluations": len(asked)},
            "groups": {
                name: {
                    "families": families,
                    "words": ", ".join(f.replace("_", " ") for f in families) or "none",
                    "n": len(of(test, *families)),
                    "constant": sum(
                        len(of(test, f)) * constant_share(of(test, f)) for f in families
                    )
                    / max(1, len(of(test, *families))),
                }
                for name, families in groups.items()
            },
            "families": {
                family: {
                    "group": group[family],
                    "dev": summary(of(dev, family)),
                    "constant_dev": constant_share(of(dev, family)),
                    "constant_test": constant_share(of(test, family)),
                }
                for family in group
            },
            "rows": [
                {
                    "label": row.label,
                    "experiment": row.experiment,
                    "subject": row.subject,
                    "budget": row.budget,
                    "run": folder.name,
                    "all": summary(list(samples.values())),
                    "groups": {
                        name: summary(of(samples, *families)) for name, families in groups.items()
                    },
                    "families": {family: summary(of(samples, family)) for family in group},
                }
                for row, (folder, samples) in zip(rows, runs.values(), strict=True)
            ],
            "comparisons": [
                {"name": key, "ours": ours, "theirs": theirs}
                | {
                    scope: difference(
                        of(runs[ours][1], *families),
                        of(runs[theirs][1], *families),
                        f"paper/{key}/{scope}",
                    )
                    for scope, families in scopes.items()
                }
                for key, (ours, theirs) in COMPARISONS.items()
            ],
            "training": {name: training(folder) for name, folder in trained.items()},
            "distilled": taught("cpu-distilled", Path(data)),
            "methods": compare(compared, made, steps_of(trained, data), list(group)),
            "base": bases[0],
        }
    )


def compare(compared, made, steps, families):
    """Return the numbers of the compared methods; `made` has (run folder, samples) for each label, `steps` is of `steps_of`."""

    def samples(run):
        return [sample for _, sample in sorted(made[run.run_label("test")][1].items())]

    unasked = statistics.summary(samples(compared.unasked))["thinking_tokens"]
    units = {"tokens": 1, "steps": steps["tokens_per_step"], "unasked": unasked}
    table = [
        methods.row(method, units, [samples(run) for run in method.runs], published())
        for method in compared.methods
    ]
    for method, row in zip(compared.methods, table, strict=True):
        for run, point in zip(method.runs, row["points"], strict=True):
            point |= {
                "run": made[run.run_label("test")][0].name,
                "budget": run.budget,
                "text": summary(samples(run))["text"],
            }
            if method.name == PLAIN:
                point["families"] = {
                    name: summary([s for s in samples(run) if s["task"] == name])
                    for name in families
                }
            if run.budget.startswith("reject"):
                point |= methods.rejection(samples(run))
    votes = methods.voting(samples(compared.voting), compared.votes)
    known = {
        (method.name, run.name): samples(run) for method in compared.methods for run in method.runs
    }
    known |= {point["k"]: [{"correct": score} for score in point.pop("scores")] for point in votes}
    return {
        "steps": steps,
        "unasked": unasked,
        "table": table,
        "source": published()["table3"]["source"],
        "voting": votes,
        "comparisons": [
            {"name": name, "all": difference(known[ours], known[theirs], f"paper/{name}/all")}
            for name, (ours, theirs) in PAIRS.items()
        ],
    }


def rounded(value):
    """Return a JSON value with floats of six decimals, so that the last bits of another machine do not show."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


# --- figures -----------------------------------------------------------------------------


def draw(results, folder):
    """Write the three figures into a folder."""
    curves.draw_groups(folder / "scaling.svg", results, GROUPS)
    draw_families(results, folder / "families.svg")
    draw_methods(results, folder / "methods.svg")


def draw_families(results, path):
    """Write the figure of budget forcing for each family, with and without fine-tuning, beside the points that s1 published."""
    trained = [
        row for row in results["rows"] if (row["experiment"], row["subject"]) == ("cpu", "trained")
    ]
    plain = next(row for row in results["methods"]["table"] if row["name"] == PLAIN)["points"]
    curves.draw(
        path,
        {
            family: {
                name: [{"kind": kind_of(row["budget"]), **row["families"][family]} for row in rows]
                for name, rows in (("after SFT", trained), ("without SFT", plain))
            }
            for family in results["families"]
        },
        published(),
    )


def kind_of(budget):
    """Return how a budget controls the thinking, a key of curves.MARKS; the turn of an untrained base has a cap as well."""
    return {"c": "cap", "f": "free", "w": "wait"}[
        budget.removeprefix("plain-").replace("plain", "cap")[0]
    ]


def draw_methods(results, path):
    """Write the figure of accuracy against thinking tokens by method; of votes the tokens of all samples that vote count."""
    rows = {row["name"]: row["points"] for row in results["methods"]["table"]}
    for name, key in (("majority vote", "accuracy"), ("coverage", "coverage")):
        rows[name] = [
            {
                "thinking_tokens": point["tokens"],
                "n": point["n"],
                "accuracy": point[key]["value"],
                **{end: point[key][end] for end in ("low", "high")},
            }
            for point in results["methods"]["voting"]
        ]
    curves.draw_methods(
        path, {title: {name: rows[name] for name in names} for title, names in PANELS.items()}
    )


# --- writing ---------------------------------------------------------------------------


def build(logs, paper, documents, data=ROOT / "data" / "cpu"):
    """Write generated/ and paper.pdf in the folder `paper` (which holds paper.typ), and the numbers of the documents.

    `documents` are {path: where the figures are, seen from it}.
    """
    import typst

    results = numbers(logs, data)
    generated = Path(paper) / "generated"
    generated.mkdir(exist_ok=True)
    (generated / "results.json").write_text(dump(results, indent=1))
    (generated / "table.md").write_text(markdown.table(results, ""))
    draw(results, generated)
    typst.compile(
        Path(paper) / "paper.typ",
        output=Path(paper) / "paper.pdf",
        root=paper,
        ignore_system_fonts=True,
    )
    for path, folder in documents.items():
        Path(path).write_text(markdown.filled(Path(path).read_text(), results, folder))
    return results


@user_errors
def main():
    """Build from logs/ of this repository and say what was written."""
    results = build(
        ROOT / "logs", ROOT / "paper", {ROOT / path: folder for path, folder in DOCUMENTS.items()}
    )
    (ROOT / "logs" / "claims.jsonl").write_text(claims.lines(results))
    print(
        f"wrote paper/generated/, paper/paper.pdf, logs/claims.jsonl and the numbers of {' and '.join(DOCUMENTS)}"
    )


if __name__ == "__main__":
    main()
