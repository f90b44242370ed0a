"""Where the run of each stage lies: named by the parts of the study that the stage reads, and by the files it reads.

So a train run is found from an evaluate config without anybody typing a path.
"""

import dataclasses
from pathlib import Path

from ponder.collect import contamination, selection
from ponder.errors import UserError
from ponder.hashing import file_sha256
from ponder.questions import benchmarks, drawn, pools
from ponder.runs import Run


def _run(study, stage, label, groups, inputs, **more):
    parts = {group: dataclasses.asdict(getattr(study, group)) for group in groups}
    return Run(
        stage, label, {**parts, **more}, inputs, study.out, study.wandb, study.hardware.threads
    )


def collect_run(study):
    """Return the (unopened) collect run: it reads the pool, the benchmarks, the attempts of reference models and a
    teacher's adapter.

    How a server is asked (conf/client) does not name it, so a run goes on with another rate or price; what a local teacher
    runs on does, since its last bits depend on it.
    """
    if study.questions.kind == "drawn":
        drawn.check_drawn(study.questions)
    inputs = pools.inputs(study.questions)
    inputs |= {
        path: file_sha256(path)
        for path in selection.files(study.selection) + contamination.files(study.decontamination)
    }
    if study.teacher.kind == "hf":
        _check_device(study, "collect.py")
    if study.teacher.kind == "hf" and study.teacher.adapter:
        inputs["teacher/adapter_model.safetensors"] = file_sha256(weights(study.teacher.adapter))
    if study.teacher.kind == "hf" and study.teacher.shots and study.questions.kind == "drawn":
        inputs["probe.jsonl"] = drawn.read_manifest(study.questions.dir)["files"]["probe.jsonl"][
            "sha256"
        ]
    groups = (
        "model",
        "questions",
        "teacher",
        "domains",
        "decontamination",
        "selection",
        *(("hardware",) if study.teacher.kind == "hf" else ()),
    )
    return _run(study, "collect", study.name, groups, inputs, data_seed=study.data_seed)


def weights(folder):
    """Return the path of the weights in an adapter folder; raises UserError when they are not there."""
    path = Path(folder) / "adapter_model.safetensors"
    if not path.exists():
        raise UserError(
            f"{folder} holds no adapter_model.safetensors; run train.py with the same overrides first, or "
            "restore it from git"
        )
    return path


def chosen_rows(study):
    """Return the path of the rows that the collect run of this study chose; raises UserError when that did not finish."""
    run = collect_run(study)
    if not run.finished:
        raise UserError(
            f"{run.folder / 'train.jsonl'} is missing or not finished; run collect.py with the same overrides first"
        )
    return run.folder / "train.jsonl"


def train_run(study):
    """Return the (unopened) train run: it reads the rows that the collect run chose."""
    inputs = {"train.jsonl": file_sha256(chosen_rows(study))}
    return _run(
        study,
        "train",
        trained_name(study),
        ("model", "train"),
        inputs,
        seed=study.seed,
        threads=study.hardware.threads,
        device=study.hardware.device,
    )


def trained_name(study):
    """Return the name of what a study trains: its own, and its seed where that is not the usual 0."""
    return f"{study.name}-seed{study.seed}" if study.seed else study.name


def _check_device(study, script):
    """Raise UserError where a script would decode on a GPU, which none of them can yet."""
    if study.hardware.device != "cpu":
        raise UserError(
            f"hardware.device={study.hardware.device} is for train.py alone, and {script} decodes on the CPU; add "
            "hardware=cpu2"
        )


def adapter_folder(study):
    """Return the folder of the weights that evaluate.py puts on the base, or None for a subject without any."""
    if study.subject.kind != "trained":
        return None
    folder = (
        Path(study.subject.adapter)
        if study.subject.adapter
        else train_run(study).folder / "adapter"
    )
    return weights(folder).parent


def evaluate_run(study):
    """Return the (unopened) evaluate run: it reads the weights, the questions of its split and the worked examples."""
    here = study.engine.kind != "server"  # else the weights are the server's, and so is the device
    if here:
        _check_device(study, "evaluate.py")
    elif study.subject.kind == "nearest":
        raise UserError(
            f"subject={study.subject.name} is no model, and engine={study.engine.name} serves one; take engine=hf"
        )
    asks, taught = study.control.kind, study.train.control
    if (
        study.subject.kind == "trained"
        and asks != taught
        and ("steps" in (asks, taught) or asks == "tokens")
    ):
        raise UserError(
            f"control.kind={asks} asks a model that train.control={taught} made; take experiment="
            "cpu-token-conditional for control=tokens, experiment=cpu-step-conditional for control=steps, and "
            "another for anything else"
        )
    if study.subject.kind == "nearest" and (
        asks != "none" or study.decoding.temperature or study.budget.tries > 1
    ):
        raise UserError(
            f"subject={study.subject.name} is no model and reads neither control={study.control.name} nor decoding="
            f"{study.decoding.name}; take control=none decoding=greedy"
        )
    if study.subject.kind == "base" and asks == "steps":
        raise UserError(
            f"control={study.control.name} counts steps in a form that subject={study.subject.name} never saw; take "
            "control=none"
        )
    if study.budget.tries > 1 and not study.decoding.temperature:
        raise UserError(
            f"budget.tries={study.budget.tries} draws again, and greedy decoding would draw the same; take "
            "decoding=sampled"
        )
    inputs = benchmarks.inputs(study.benchmark) if study.benchmark.kind == "hub" else _drawn(study)
    if here and (folder := adapter_folder(study)):
        inputs["adapter_model.safetensors"] = file_sha256(folder / "adapter_model.safetensors")
    if study.subject.kind == "nearest":
        inputs["train.jsonl"] = file_sha256(chosen_rows(study))
    if not here and study.engine.model is None:
        raise UserError(
            "engine.model is null, but the model that the server answers with is part of what names a run; name it "
            "with engine.model=..., as the server lists it"
        )
    asked = (
        study.benchmark.split if study.benchmark.kind == "drawn" else study.benchmark.name
    )  # which has one split
    trains = study.subject.kind == "trained" and not study.subject.adapter
    label = evaluate_label(
        trained_name(study) if trains else study.name,
        study.subject.name,
        study.control.name,
        study.budget.name,
        study.decoding.name,
        asked,
        study.engine.name,
    )
    engine = {
        key: value for key, value in dataclasses.asdict(study.engine).items() if key != "url"
    }  # a place, no identity
    groups = ("model", "subject", "control", "budget", "decoding", "benchmark", "hardware")
    return _run(study, "evaluate", label, groups, inputs, engine=engine)


def evaluate_label(experiment, subject, control, budget, decoding, split, engine="hf"):
    """Return the name of an evaluate run without its hash; what most have is not said: no control, greedy decoding, engine hf."""
    usual = ((control, "none"), (decoding, "greedy"), (engine, "hf"))
    control, decoding, engine = ("" if name == common else name for name, common in usual)
    return "-".join(
        part for part in (experiment, subject, control, budget, decoding, engine, split) if part
    )


def _drawn(study):
    """Return what an evaluation on drawn questions reads: its split, and the worked examples."""
    files = drawn.read_manifest(study.benchmark.dir)["files"]
    names = [f"{study.benchmark.split}/{task}.jsonl" for task in study.benchmark.tasks]
    if missing := [name for name in names if name not in files]:
        raise UserError(
            f"benchmark.tasks names {missing[0]}, which {study.benchmark.dir} does not have; known tasks: "
            + ", ".join(sorted({name.split("/")[1][:-6] for name in files if "/" in name}))
        )
    inputs = {name: files[name]["sha256"] for name in names}
    if study.subject.shots:
        inputs |= {
            name: entry["sha256"]
            for name, entry in files.items()
            if name == "probe.jsonl" or name.startswith("dev/")
        }
    return inputs
