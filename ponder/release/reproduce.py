"""Run the released evaluations and compare: `make reproduce` (the main arm and the base of the table), `make reproduce-all` (all
rows of the table, and all runs of the methods compared).

Exits with 1 unless the data hashes are equal and each row's accuracy over all test questions lies inside the released
run's 95% interval. What must be there to compare with is looked for before anything runs.
"""

import json
import re
import subprocess
import sys

from hydra import compose, initialize_config_dir

from ponder import runs, stages, study
from ponder.errors import UserError, user_errors
from ponder.hashing import file_sha256
from ponder.report import released


def script(name, *overrides):
    """Run one of the three scripts; stop with its exit code if it fails."""
    print(f"\n$ python {name}.py {' '.join(overrides)}", flush=True)
    code = subprocess.run([sys.executable, f"{name}.py", *overrides], cwd=runs.ROOT).returncode
    if code:
        sys.exit(code)


def planned(stage, *overrides):
    """Return the Study of a script's command line."""
    with initialize_config_dir(str(runs.ROOT / "conf"), version_base="1.3"):
        return study.read(compose(stage, list(overrides)))


def released_data(experiment):
    """Return {name: SHA-256} of an experiment's released traces and rows; raises UserError without a manifest.

    An experiment that trains on the rows of another one has the hash that its released training names, and no traces.
    """
    path = runs.ROOT / "data" / "cpu" / experiment / "manifest.json"
    if not path.exists():
        raise UserError(f"{path.relative_to(runs.ROOT)} is missing; restore data/ from git")
    files = json.loads(path.read_text())["files"]
    if "train.jsonl" not in files:
        inputs = json.loads((released.run_folder("train", experiment) / "status.json").read_text())[
            "inputs"
        ]
        return {"train.jsonl": inputs["train.jsonl"]}
    return {name: files[name]["sha256"] for name in ("traces.jsonl", "train.jsonl")}


def same_data(experiment):
    """Return whether the rows just chosen are the released ones, and say so.

    A model's rows are the same bytes on the same kind of machine only, so they are compared and not counted.
    """
    there, plan = released_data(experiment), planned("collect", f"experiment={experiment}")
    made = stages.collect_run(plan).folder
    equal = {name: file_sha256(made / name) == digest for name, digest in there.items()}
    for name, same in equal.items():
        other = (
            "NOT the released bytes"
            if plan.teacher.kind == "solver"
            else "other bytes: a model wrote them on another machine"
        )
        print(f"{experiment}/{name}: {'the released bytes' if same else other}")
    return all(equal.values()) or plan.teacher.kind != "solver"


def overrides(run):
    """Return the command line of evaluate.py for a row of the table or a run of a method.

    A control or decoding that is named with a number, as tokens32 or sampled8, is its option with that limit or so many samples.
    """
    line = [
        f"experiment={run.experiment}",
        f"subject={run.subject}",
        f"budget={run.budget}",
        "benchmark.split=test",
    ]
    for group, key, name, usual in (
        ("control", "limit", run.control, "none"),
        ("decoding", "samples", run.decoding, "greedy"),
    ):
        option, number = re.fullmatch(r"(\D+)(\d*)", name).groups()
        line += [f"{group}={option}"] * (name != usual) + [f"{group}.{key}={number}"] * bool(number)
    return line


def wanted(which):
    """Return {label: row or run} of what is run: the `main` rows of the table, or `all` of it and the methods, no run twice."""
    if which == "main":
        return {row.label: row for row in released.rows() if row.main}
    rows = {row.label: row for row in released.rows()}
    known = {row.run_label("test") for row in rows.values()}
    named = released.methods().named().items()
    return rows | {
        f"{method}, {name}": run
        for (method, name), run in named
        if run.run_label("test") not in known
    }


def share(tasks, families):
    """Return the accuracy over some families of an evaluate run's results."""
    return sum(tasks[f]["correct"] for f in families) / sum(tasks[f]["n"] for f in families)


def compare(label, row, groups):
    """Return whether the accuracy just measured lies inside the released interval; print it, and each group's, beside it."""
    made = stages.evaluate_run(planned("evaluate", *overrides(row))).folder
    ours, theirs = (
        json.loads((folder / "results.json").read_text())
        for folder in (made, released.run_folder("evaluate", row.run_label("test")))
    )
    here, there = ours["all"]["accuracy"], theirs["all"]
    inside = there["low"] <= here <= there["high"]
    cells = [
        f"{share(ours['tasks'], g):7.1%} /{share(theirs['tasks'], g):6.1%}" for g in groups.values()
    ]
    print(
        f"{label:36}",
        *cells,
        f"{here:7.1%} /{there['accuracy']:6.1%} [{there['low']:.1%}, {there['high']:.1%}]",
        "inside" if inside else "OUTSIDE",
        sep="  ",
    )
    return inside


@user_errors
def main(which):
    """Run and compare the `main` rows or `all` there is."""
    rows = wanted(which)
    experiments = list(dict.fromkeys(row.experiment for row in rows.values()))
    for row in rows.values():
        released.run_folder("evaluate", row.run_label("test"))
    released.groups()
    for experiment in experiments:
        released_data(experiment)
    good = []
    for experiment in experiments:
        script("collect", f"experiment={experiment}")
        good.append(same_data(experiment))
        script("train", f"experiment={experiment}")
    for row in rows.values():
        script("evaluate", *overrides(row))
    groups = released.groups()
    head = [f"{name:>15}" for name in (*groups, "all")]
    print(f"\n{'test accuracy, here / released':36}", *head, "[95% interval, released]", sep="  ")
    good += [compare(label, row, groups) for label, row in rows.items()]
    print("reproduced" if all(good) else "NOT reproduced: see OUTSIDE or NOT above")
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
