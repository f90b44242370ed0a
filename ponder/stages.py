"""Where the run of each stage lies.

A run is named by the parts of the study that its stage reads, and by the files that it reads. So a
train run is found from an evaluate config without anybody typing a path.
"""

import dataclasses
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig

from ponder import lineage, models, rows
from ponder.collect import attempts, contamination, selection
from ponder.decode import server
from ponder.errors import RecordError, UserError
from ponder.hashing import file_sha256
from ponder.questions import benchmarks, drawn, pools
from ponder.runs import ROOT, Run, released_data
from ponder.train import saved
from ponder.train.saved import WEIGHTS
from ponder.train.saved import weights as weights

if TYPE_CHECKING:
    from ponder.study import Benchmark, Study


def _run(
    study: "Study",
    stage: str,
    label: str,
    groups: Iterable[str],
    inputs: dict[str, str],
    training: dict[str, Any] | None = None,
    **more: Any,
) -> Run:
    parts = {group: dataclasses.asdict(getattr(study, group)) for group in groups}
    for model in (parts["model"], parts.get("teacher", {}).get("model")):
        if isinstance(model, dict):
            model["folder"] = None  # a place, no part of what a run is; its files are inputs
    return Run(
        stage,
        label,
        {**parts, **more},
        inputs,
        study.out,
        study.wandb,
        study.hardware.threads,
        training,
    )


def collect_run(study: "Study") -> Run:
    """Return the (unopened) collect run.

    It reads the pool, the benchmarks, the attempts of reference models, the tokenizer, and a local
    teacher's model and adapter; and of the recipe what decides how long a row is, unless programs
    teach, whose rows are short. How a server is asked (conf/client) does not name it, so a run goes
    on with another rate or price; what a local teacher runs on does, since its last bits depend on
    it.
    """
    models.check_exact(study.model, study.out)
    if study.questions.kind == "drawn":
        drawn.check_drawn(study.questions)
    inputs = pools.inputs(study.questions)
    paths = selection.files(study.selection) + contamination.files(study.decontamination)
    for path in [*paths, *attempts.files(study.teacher)]:
        inputs[path] = file_sha256(path)
    groups = ["model", "questions", "teacher", "domains", "decontamination", "selection"]
    if study.teacher.kind == "hf":
        _check_device(study)
        groups.append("hardware")
        if study.teacher.adapter:
            inputs |= saved.inputs(study.teacher.adapter, "teacher/")
        if study.teacher.shots and study.questions.kind == "drawn":
            inputs |= drawn.inputs(study.questions.dir, ["probe.jsonl"])
        inputs |= models.inputs(study.teacher.model, study.out, "teacher/")
    inputs |= models.tokenizer_inputs(study.model, study.out)
    more: dict[str, Any] = {}
    if study.teacher.kind != "solver":
        recipe = dataclasses.asdict(study.train)
        more["row"] = {key: recipe[key] for key in ("max_tokens", "trace", "control")}
    return _run(study, "collect", study.name, groups, inputs, data_seed=study.data_seed, **more)


def chosen_rows(study: "Study") -> Path:
    """Return the path of the rows that the collect run of this study chose, or that it names.

    Raises RecordError when that run did not finish, UserError for a path that is no file, and as
    rows.own_traces does for one that cannot be trained on.
    """
    if study.rows:
        if not Path(study.rows).is_file():
            raise UserError(
                f"rows is {study.rows}, which does not exist; name a train.jsonl, or leave it out "
                "to train on the rows that collect.py chose"
            )
        rows.own_traces(study.rows)
        models.check_exact(study.model, study.out)
        return Path(study.rows)
    run = collect_run(study)
    if not run.finished:
        raise RecordError(
            f"{run.folder / 'train.jsonl'} is missing or not finished; make it with: "
            f"{_command('collect', study)}{_released(study)}"
        )
    return run.folder / "train.jsonl"


def _command(script: str, study: "Study") -> str:
    """Return the command of another script for the same study, as the command line of this one."""
    words = [f"experiment={study.name}"]
    if HydraConfig.initialized():
        words = list(HydraConfig.get().overrides.task)
    return f"python {script}.py {shlex.join(words)}"


def _released(study: "Study") -> str:
    """Return where the released rows and weights of an experiment lie, to end a sentence with."""
    folder = released_data(study.name)
    places = []
    if folder and (folder / "train.jsonl").exists():
        path = (folder / "train.jsonl").relative_to(ROOT)
        places.append(f"rows in {path}, trained on with +rows={path}")
    if folder and (folder / "adapter").exists():
        adapter = (folder / "adapter").relative_to(ROOT)
        places.append(f"weights for evaluate.py subject.adapter={adapter}")
    return f" (released: {', '.join(places)})" if places else ""


def train_run(study: "Study") -> Run:
    """Return the (unopened) train run: it reads the rows that the collect run chose, and a base."""
    inputs = {"train.jsonl": file_sha256(chosen_rows(study))}
    inputs |= models.inputs(study.model, study.out)
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


def trained_name(study: "Study") -> str:
    """Return the name of what a study trains: its own, and its seed where that is not 0."""
    return seeded(study.name, study.seed)


def seeded(name: str, seed: int) -> str:
    """Return the name of an experiment's training with a seed: 0 is not said."""
    return f"{name}-seed{seed}" if seed else name


def _check_device(study: "Study") -> None:
    """Raise UserError where a model would be decoded on a GPU, and this machine has none."""
    if study.hardware.device != "cuda":
        return
    import torch

    if not torch.cuda.is_available():
        raise UserError(
            "hardware.device=cuda asks for a GPU, but torch sees none on this machine; take a GPU, "
            "or add hardware=cpu2"
        )


def adapter_folder(study: "Study") -> Path | None:
    """Return the folder of the weights that evaluate.py puts on the base, None without any."""
    if study.subject.kind != "trained":
        return None
    if study.subject.adapter:
        return weights(study.subject.adapter).parent
    run = train_run(study)
    folder = run.folder / "adapter"
    if not run.finished:
        raise RecordError(
            f"{folder} holds no {WEIGHTS} of a finished run; make it with: "
            f"{_command('train', study)}{_released(study)}"
        )
    return folder


def evaluate_run(study: "Study") -> Run:
    """Return the (unopened) evaluate run.

    It reads the base model, the weights, the questions of its split and the worked examples; of a
    model behind a server the tokenizer alone. Raises UserError for parts of a study that do not go
    together.
    """
    # The weights are the server's, and so is the device.
    served = isinstance(study.engine, server.ServerEngine)
    if study.engine.kind == "openvino":
        _check_openvino(study)
    elif not served:
        _check_device(study)
    if study.engine.kind != "hf" and study.subject.kind == "nearest":
        raise UserError(
            f"subject={study.subject.name} is no model, and engine={study.engine.name} decodes "
            "one; take engine=hf"
        )
    _check_control(study)
    _check_draws(study)
    inputs = _evaluate_inputs(study, served)
    if isinstance(study.engine, server.ServerEngine) and study.engine.model is None:
        raise UserError(
            "engine.model is null, but the model that the server answers with is part of what "
            "names a run; name it with engine.model=..., as the server lists it"
        )
    # The url is a place, no part of what a run is.
    engine = {
        name: value for name, value in dataclasses.asdict(study.engine).items() if name != "url"
    }
    groups = ("model", "subject", "control", "budget", "decoding", "benchmark", "hardware")
    training = None if served else _training(study)
    label = _label(study, training)
    return _run(study, "evaluate", label, groups, inputs, training, engine=engine)


def _check_openvino(study: "Study") -> None:
    """Raise UserError for what OpenVINO was not held to: chance, a GPU, another type."""
    hardware, decoding = study.hardware, study.decoding
    wrong = {
        f"decoding.temperature={decoding.temperature:g}": bool(decoding.temperature),
        f"hardware.device={hardware.device}": hardware.device != "cpu",
        f"hardware.decode_compute={hardware.decode_compute}": hardware.decode_compute != "float32",
    }
    for words, is_wrong in wrong.items():
        if is_wrong:
            raise UserError(
                f"{words} is none that engine={study.engine.name} decodes at: it takes the "
                "likeliest token, in float32, on the CPU; take engine=hf"
            )


def _training(study: "Study") -> dict[str, Any] | None:
    """Return lineage.training of the weights that a study measures.

    None without weights, and for weights of which no train run here or in logs/ is known.
    """
    adapter = adapter_folder(study)
    if adapter is None:
        return None
    places = [Path(study.out), ROOT / "logs"]
    own = adapter.resolve().parent
    if (own / "config.yaml").exists():
        return lineage.training(own, places)
    digest = file_sha256(adapter / WEIGHTS)
    made = next(lineage.writers("train", digest, places), None)
    return lineage.training(made, places) if made else None


def _check_control(study: "Study") -> None:
    """Raise UserError where a subject cannot read the control that its questions carry."""
    subject, instructed, learned = study.subject, study.control.kind, study.train.control
    mixed = "steps" in (instructed, learned) or instructed == "tokens"
    if subject.kind == "trained" and instructed != learned and mixed:
        raise UserError(
            f"control.kind={instructed} asks a model that train.control={learned} made; take "
            "experiment=cpu-token-conditional for control=tokens, experiment=cpu-step-conditional "
            "for control=steps, and another for anything else"
        )
    if subject.kind == "nearest" and (
        instructed != "none" or study.decoding.temperature or study.budget.tries > 1
    ):
        raise UserError(
            f"subject={subject.name} is no model and reads neither control={study.control.name} "
            f"nor decoding={study.decoding.name}; take control=none decoding=greedy"
        )
    if subject.kind == "base" and instructed == "steps":
        raise UserError(
            f"control={study.control.name} counts steps in a form that subject={subject.name} "
            "never saw; take control=none"
        )


def _check_draws(study: "Study") -> None:
    if study.budget.tries > 1 and not study.decoding.temperature:
        raise UserError(
            f"budget.tries={study.budget.tries} draws again, and greedy decoding would draw the "
            "same; take decoding=sampled"
        )


def _evaluate_inputs(study: "Study", served: bool) -> dict[str, str]:
    if study.benchmark.kind == "hub":
        inputs = benchmarks.inputs(study.benchmark)
    else:
        inputs = _drawn_inputs(study.benchmark, study.subject.shots)
    folder = None if served else adapter_folder(study)
    if folder:
        inputs |= saved.inputs(folder)
    if study.subject.kind == "nearest":
        return inputs | {"train.jsonl": file_sha256(chosen_rows(study))}
    read = models.tokenizer_inputs if served else models.inputs
    return inputs | read(study.model, study.out)


def _label(study: "Study", training: dict[str, Any] | None) -> str:
    """Return the name of the evaluate run of a study without its hash.

    It has the seed of the training that it measures, where one is known.
    """
    benchmark = study.benchmark
    questions = benchmark.split if benchmark.kind == "drawn" else benchmark.name  # has one split
    own_training = study.subject.kind == "trained" and not study.subject.adapter
    seed = study.seed if own_training else (training or {}).get("seed") or 0
    return evaluate_label(
        seeded(study.name, seed),
        study.subject.name,
        study.control.name,
        study.budget.name,
        study.decoding.name,
        questions,
        study.engine.name,
    )


def evaluate_label(
    experiment: str,
    subject: str,
    control: str,
    budget: str,
    decoding: str,
    split: str,
    engine: str = "hf",
) -> str:
    """Return the name of an evaluate run without its hash.

    What most runs have is left out: no control, greedy decoding, engine hf.
    """
    parts = [experiment, subject]
    if control != "none":
        parts.append(control)
    parts.append(budget)
    if decoding != "greedy":
        parts.append(decoding)
    if engine != "hf":
        parts.append(engine)
    return "-".join([*parts, split])


def _drawn_inputs(benchmark: "Benchmark", shots: int) -> dict[str, str]:
    """Return what an evaluation on drawn questions reads: its split, and the worked examples."""
    files = drawn.read_manifest(benchmark.dir)["files"]
    names = [f"{benchmark.split}/{task}.jsonl" for task in benchmark.tasks]
    if missing := [name for name in names if name not in files]:
        tasks = {name.split("/")[1].removesuffix(".jsonl") for name in files if "/" in name}
        raise UserError(
            f"benchmark.tasks names {missing[0]}, which {benchmark.dir} does not have; known "
            f"tasks: {', '.join(sorted(tasks))}"
        )
    if shots:
        names += [name for name in files if name == "probe.jsonl" or name.startswith("dev/")]
    return drawn.inputs(benchmark.dir, names)
