"""Run the released evaluations again and compare.

`make reproduce` runs the main arm and the base of the table; `make reproduce-all` runs all rows of
the table, all runs of the methods compared, and each training and evaluation that was released of a
plan over several seeds. `make reproduce-qwen` trains the main arm of the Qwen2.5 scale on its
released rows, for no machine collects them in an hour, and evaluates it; `make reproduce-all` does
so where they are released.

Exits with 1 unless the data hashes are equal and each row's accuracy over all test questions lies
inside the released run's 95% interval. What must be there to compare with is looked for before
anything runs.
"""

import functools
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from ponder import lineage, runs, stages, study
from ponder.errors import UserError, user_errors
from ponder.hashing import file_sha256
from ponder.report import plans, released
from ponder.report.released import MethodRun, SeedRun, TableRow
from ponder.runs import Run
from ponder.study import Study

Evaluation = TableRow | MethodRun | SeedRun
Training = tuple[str, int]  # an experiment and its seed
Groups = dict[str, list[str]]  # {group of the table: its families}
QWEN = "qwen"  # the main arm of the larger scale, and its plan in logs/preregistrations


def script(name: str, *overrides: str) -> None:
    """Run one of the three scripts; stop with its exit code if it fails."""
    print(f"\n$ python {name}.py {' '.join(overrides)}", flush=True)
    code = subprocess.run([sys.executable, f"{name}.py", *overrides], cwd=runs.ROOT).returncode
    if code:
        sys.exit(code)


def planned(stage: str, *overrides: str) -> Study:
    """Return the Study of a script's command line."""
    with initialize_config_dir(str(runs.ROOT / "conf"), version_base="1.3"):
        return study.read(compose(stage, list(overrides)))


# --- names -----------------------------------------------------------------------------


def name_beside(run: Run, folder: Path) -> str:
    """Return a line with the name of a run and that of the released one, and why they differ."""
    line = f"{run.stage}: this run is {run.name}, the released one {folder.name}"
    if run.name == folder.name:
        return line
    here = {**run.config, "inputs": run.inputs}
    differences = lineage.changed(lineage.identity(folder)[0], here)
    added = [key for key, (there, _) in differences.items() if there is None]
    others = [key for key in differences if key not in added]
    reasons = []
    if added:
        parts = ", ".join(dict.fromkeys(key.split(".")[0] for key in added))
        reasons.append(f"{len(added)} of them came after that release (in {parts})")
    if others:
        reasons.append(f"these have another value: {', '.join(others)}")
    why = " and ".join(reasons) or "they were written in another form"
    return f"{line}; a name ends with a hash of config and inputs, and {why}"


def print_name(run: Run, experiment: str) -> None:
    """Print the name of a run beside that of the released one; collections and trainings that were
    not released have none.
    """
    try:
        folder = released.run_folder(run.stage, experiment)
    except UserError:
        print(f"{run.stage}: this run is {run.name}; none of {experiment} is released")
        return
    print(name_beside(run, folder))


# --- data ------------------------------------------------------------------------------


def released_data(experiment: str) -> dict[str, str]:
    """Return {name: SHA-256} of an experiment's released traces and rows; raises UserError without
    a manifest.

    An experiment that trains on the rows of another one has the hash that its released training
    names, and no traces.
    """
    folder = runs.released_data(experiment)
    if folder is None:
        raise UserError(f"data/*/{experiment}/manifest.json is missing; restore data/ from git")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    if "train.jsonl" not in files:
        status = released.run_folder("train", experiment) / "status.json"
        return {"train.jsonl": json.loads(status.read_text())["inputs"]["train.jsonl"]}
    return {name: files[name]["sha256"] for name in ("traces.jsonl", "train.jsonl")}


def same_data(experiment: str) -> bool:
    """Return whether the rows just chosen are the released ones, and print it.

    A model's rows are the same bytes on the same kind of machine only, so they are compared and
    not counted.
    """
    plan = planned("collect", f"experiment={experiment}")
    run = stages.collect_run(plan)
    print_name(run, experiment)
    written_by_program = plan.teacher.kind == "solver"
    difference = "NOT the released bytes"
    if not written_by_program:
        difference = "other bytes: a model wrote them on another machine"
    all_same = True
    for name, digest in released_data(experiment).items():
        same = file_sha256(run.folder / name) == digest
        all_same = all_same and same
        print(f"{experiment}/{name}: {'the released bytes' if same else difference}")
    return all_same or not written_by_program


# --- evaluations -----------------------------------------------------------------------


def overrides(run: Evaluation) -> list[str]:
    """Return the command line of evaluate.py for a row of the table or a run of a method.

    A control or decoding that is named with a number, as tokens32 or sampled8, is its option with
    that limit or so many samples.
    """
    line = [
        f"experiment={run.experiment}",
        f"subject={run.subject}",
        f"budget={run.budget}",
        "benchmark.split=test",
    ]
    if run.control != "none":
        line += numbered("control", "limit", run.control)
    if run.decoding != "greedy":
        line += numbered("decoding", "samples", run.decoding)
    return line + with_seed(run.experiment, run.seed)


def with_seed(experiment: str, seed: int) -> list[str]:
    """Return the overrides of a seed of training, none for the usual one.

    Where a model teaches, the other seeds are trained on its released rows (decision 0062).
    """
    if not seed:
        return []
    line = [f"seed={seed}"]
    if taught_by_a_model(experiment):
        line.append(f"+rows={released_rows(experiment).relative_to(runs.ROOT)}")
    return line


@functools.cache
def taught_by_a_model(experiment: str) -> bool:
    """Return whether the rows of an experiment are a model's, which are other bytes on another
    kind of machine.
    """
    return planned("collect", f"experiment={experiment}").teacher.kind != "solver"


def numbered(group: str, key: str, name: str) -> list[str]:
    """Return the overrides that an option's name stands for, its number as the value of a key."""
    match = re.fullmatch(r"(\D+)(\d*)", name)
    assert match, name
    option, number = match.groups()
    line = [f"{group}={option}"]
    return [*line, f"{group}.{key}={number}"] if number else line


def evaluations(which: str) -> dict[str, Evaluation]:
    """Return {label: row or run} of what is run: the `main` rows of the table, or `all` of it and
    the methods and the released seeds, no run twice.
    """
    rows: dict[str, Evaluation] = {
        row.label: row for row in released.rows() if row.main or which == "all"
    }
    if which == "main":
        return rows
    more: dict[str, Evaluation] = {
        f"{method}, {name}": run for (method, name), run in released.methods().named().items()
    }
    compared = released.methods()
    voting, _ = released.voting(compared)
    more |= {run.name: run for run in (voting, *released.sequential(compared))}
    for run in released_seeds():
        more[f"{run.experiment}, seed {run.seed}, {run.budget}"] = run
    labels = {row.run_label("test") for row in rows.values()}
    for name, other in more.items():
        if other.run_label("test") not in labels:
            labels.add(other.run_label("test"))
            rows[name] = other
    return rows


def released_seeds() -> list[SeedRun]:
    """Return the evaluations of plans over several seeds that are released."""
    return [
        run for run in plans.seed_runs() if released.run_folders("evaluate", run.run_label("test"))
    ]


def trainings(which: str, rows: dict[str, Evaluation]) -> list[Training]:
    """Return the trainings that are run, in order: those behind the rows, and of `all` also the
    released seeds that have no evaluation yet.
    """
    wanted = dict.fromkeys((row.experiment, row.seed) for row in rows.values())
    if which == "all":
        wanted |= dict.fromkeys(
            (run.experiment, run.seed)
            for run in plans.seed_runs()
            if released.run_folders("train", stages.seeded(run.experiment, run.seed))
        )
    return list(wanted)


def share(tasks: dict[str, dict[str, Any]], families: list[str]) -> float:
    """Return the accuracy over some families of an evaluate run's results."""
    return sum(tasks[f]["correct"] for f in families) / sum(tasks[f]["n"] for f in families)


def compare(label: str, row: Evaluation, groups: Groups, more: Sequence[str] = ()) -> bool:
    """Return whether the accuracy just measured lies inside the released interval; print it, and
    each group's, beside it. `more` are overrides that the row itself does not give.
    """
    run = stages.evaluate_run(planned("evaluate", *overrides(row), *more))
    released_folder = released.run_folder("evaluate", row.run_label("test"))
    results, reference = (
        json.loads((folder / "results.json").read_text())
        for folder in (run.folder, released_folder)
    )
    accuracy, there = results["all"]["accuracy"], reference["all"]
    inside = there["low"] <= accuracy <= there["high"]
    cells = [
        f"{share(results['tasks'], families):7.1%} /{share(reference['tasks'], families):6.1%}"
        for families in groups.values()
    ]
    interval = f"[{there['low']:.1%}, {there['high']:.1%}]"
    print(
        f"{label:36}",
        *cells,
        f"{accuracy:7.1%} /{there['accuracy']:6.1%} {interval}",
        "inside" if inside else "OUTSIDE",
        sep="  ",
    )
    return inside


def print_names(rows: dict[str, Evaluation]) -> None:
    """Print the name of each evaluation just made beside that of the released one."""
    print()
    for row in rows.values():
        run = stages.evaluate_run(planned("evaluate", *overrides(row)))
        print_name(run, row.run_label("test"))


# --- the Qwen2.5 scale -----------------------------------------------------------------


def released_rows(experiment: str) -> Path:
    """Return the released rows of an experiment that a model teaches; raises UserError without."""
    folder = runs.released_data(experiment)
    path = folder / "train.jsonl" if folder else None
    if path is None or not path.exists():
        raise UserError(
            f"the rows of experiment={experiment} are not released: this checkout has no "
            f"data/*/{experiment}/train.jsonl; make your own in some hours with "
            f"python collect.py experiment={experiment}"
        )
    return path


def released_qwen() -> list[SeedRun]:
    """Return the released evaluations of the main arm on the test questions of its own pool."""
    plan = dict(plans.of_contrasts())[QWEN]
    wanted = [SeedRun(QWEN, budget, 0) for budget in plan["budgets"][f"{QWEN}-trained"]]
    return [run for run in wanted if released.run_folders("evaluate", run.run_label("test"))]


def qwen_runs() -> list[SeedRun]:
    """Return the released evaluations of the main arm on the test questions of its own pool; raises
    UserError where there is none.
    """
    found = released_qwen()
    if not found:
        raise UserError(
            f"no evaluation of experiment={QWEN} on its test questions is released in logs/, so "
            "there is nothing to compare with"
        )
    return found


def again_qwen() -> list[bool]:
    """Train and evaluate the main arm of the Qwen2.5 scale; return whether each comparison holds.

    All its budgets are decoded in one pass.
    """
    rows, found = released_rows(QWEN), qwen_runs()
    base = [f"experiment={QWEN}", f"+rows={rows.relative_to(runs.ROOT)}"]
    script("train", *base)
    print_name(stages.train_run(planned("train", *base)), QWEN)
    budgets = ",".join(run.budget for run in found)
    script("evaluate", *base, "benchmark.split=test", f"sweep=[{budgets}]")
    print_head({})
    return [compare(run.run_label("test"), run, {}, base[1:]) for run in found]


# --- all of it -------------------------------------------------------------------------


def again(which: str) -> list[bool]:
    """Run the `main` rows or `all` there is of the small scale; return whether each comparison of
    data and of accuracies holds.
    """
    rows = evaluations(which)
    wanted = trainings(which, rows)
    experiments = list(dict.fromkeys(experiment for experiment, _ in wanted))
    for row in rows.values():
        released.run_folder("evaluate", row.run_label("test"))
    groups = released.groups()
    for experiment in experiments:
        released_data(experiment)
    good = []
    for experiment in experiments:
        script("collect", f"experiment={experiment}")
        good.append(same_data(experiment))
        for seed in (seed for other, seed in wanted if other == experiment):
            line = [f"experiment={experiment}", *with_seed(experiment, seed)]
            script("train", *line)
            run = stages.train_run(planned("train", *line))
            print_name(run, stages.seeded(experiment, seed))
    for row in rows.values():
        script("evaluate", *overrides(row))
    print_names(rows)
    print_head(groups)
    return good + [compare(label, row, groups) for label, row in rows.items()]


def print_head(groups: Groups) -> None:
    """Print the head of the table of accuracies."""
    head = [f"{name:>15}" for name in (*groups, "all")]
    print(f"\n{'test accuracy, here / released':36}", *head, "[95% interval, released]", sep="  ")


@user_errors
def main(which: str) -> None:
    """Run and compare the `main` rows, `all` there is, or the main arm of `qwen`."""
    good = [] if which == "qwen" else again(which)
    if which == "qwen" or which == "all" and released_qwen():
        good += again_qwen()
    print("reproduced" if all(good) else "NOT reproduced: see OUTSIDE or NOT above")
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
