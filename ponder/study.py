"""The whole configuration as one checked dataclass, and where each stage's run of it lies.

The three scripts share one config tree; a stage's run is named by the parts of it that the stage reads, so that a train
run is found from an evaluate config without anybody typing a path.
"""
import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ponder import benchmarks, completions, config, contamination, control, domains, pools, questions, selection, teachers
from ponder.budget import Budget
from ponder.client import Client
from ponder.config import ConfigError, at_least, check_choice
from ponder.contamination import Decontamination
from ponder.costs import Machines
from ponder.models import Model, file_sha256
from ponder.runs import Run


@dataclass(frozen=True)
class Train:
    """The SFT recipe (conf/train)."""
    name: str
    method: str
    lora_rank: int
    lora_alpha: int
    trace: str
    control: str
    loss_on_wrong: bool
    epochs: int
    batch_rows: int
    lr: float
    warmup: float
    beta1: float
    beta2: float
    weight_decay: float
    clip: float
    max_tokens: int
    weights: str
    compute: str
    train_embeddings: bool
    recompute: bool
    loss_rows: int
    checkpoint_steps: int

    def __post_init__(self):
        check_choice("train.method", self.method, ("full", "lora"))
        check_choice("train.trace", self.trace, ("full", "none"))
        check_choice("train.control", self.control, ("none", *control.SENTENCES))
        if self.control != "none" and self.trace == "none":
            raise ConfigError(f"train.control={self.control} says how long a trace is, and train.trace=none has none; set one of "
                              "them otherwise")
        check_choice("train.weights", self.weights, ("float32", "bfloat16"))
        check_choice("train.compute", self.compute, ("float32", "bfloat16"))
        at_least(1, "train", self, "epochs", "batch_rows", "checkpoint_steps", "max_tokens", "loss_rows")
        if self.method == "lora":
            at_least(1, "train", self, "lora_rank", "lora_alpha")
        if self.lr <= 0 or self.clip <= 0:
            raise ConfigError(f"train.lr={self.lr} and train.clip={self.clip} must both be above 0")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1 and 0 <= self.warmup <= 1 and self.weight_decay >= 0):
            raise ConfigError(f"train.beta1={self.beta1} and train.beta2={self.beta2} must lie from 0 to below 1, train.warmup="
                              f"{self.warmup} from 0 to 1, and train.weight_decay={self.weight_decay} must be 0 or more")


@dataclass(frozen=True)
class Subject:
    """Who answers in evaluate.py, and in which form it is prompted (conf/subject)."""
    name: str
    kind: str
    adapter: str | None
    think: str | None
    answer: str | None
    shots: int

    def __post_init__(self):
        check_choice("subject.kind", self.kind, ("trained", "base", "nearest"))
        at_least(0, "subject", self, "shots")


@dataclass(frozen=True)
class Benchmark:
    """What is asked (conf/benchmark): families of drawn questions."""
    kind: Literal["drawn"]
    name: str
    dir: str                       # the folder of drawn questions
    tasks: tuple[str, ...]
    split: str
    limit: int | None

    def __post_init__(self):
        check_choice("benchmark.split", self.split, ("dev", "test"))
        if not self.tasks:
            raise ConfigError("benchmark.tasks is empty; name at least one task")
        if self.limit is not None:
            at_least(1, "benchmark", self, "limit")


@dataclass(frozen=True)
class Decoding:
    """How a token is chosen, and how many answers each question gets (conf/decoding)."""
    name: str
    temperature: float
    samples: int
    seed: int

    def __post_init__(self):
        at_least(1, "decoding", self, "samples")
        at_least(0, "decoding", self, "seed")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ConfigError(f"decoding.temperature is {self.temperature}, but must be 0 or more, and finite")
        if (self.name == "greedy") != (self.temperature == 0):
            raise ConfigError(f"decoding.name={self.name} does not go with decoding.temperature={self.temperature:g}; greedy is 0 "
                              "and nothing else is, so take decoding=sampled and set its temperature and name")
        if self.samples > 1 and not self.temperature:
            raise ConfigError(f"decoding.samples={self.samples} at decoding.temperature=0 would all be equal; raise the "
                              "temperature, or set decoding.samples=1")


@dataclass(frozen=True)
class Hardware:
    """What the work runs on (conf/hardware)."""
    name: str
    device: str
    threads: int
    decode_rows: int

    def __post_init__(self):
        check_choice("hardware.device", self.device, ("cpu", "cuda"))
        at_least(1, "hardware", self, "threads", "decode_rows")


@dataclass(frozen=True)
class Study:
    """One experiment: everything that conf/ says, checked."""
    model: Model
    questions: questions.Questions | pools.File | pools.Hub
    teacher: teachers.Solver | teachers.Server | teachers.Local
    client: Client
    domains: domains.Family | domains.Column | domains.Classify
    decontamination: Decontamination
    selection: selection.Selection
    train: Train
    subject: Subject
    control: control.Control
    budget: Budget
    decoding: Decoding
    engine: completions.Hf | completions.Server
    benchmark: Benchmark | benchmarks.Hub
    hardware: Hardware
    machines: Machines
    sweep: tuple[str, ...]
    plan: bool
    name: str
    seed: int
    data_seed: int
    out: str
    wandb: str

    def __post_init__(self):
        check_choice("wandb", self.wandb, ("offline", "online", "disabled"))
        if self.decoding.temperature and len(self.sweep) > 1:
            raise ConfigError(f"sweep={list(self.sweep)} shares what its budgets have in common, which holds for greedy decoding "
                              "alone; take decoding=greedy, or one budget at a time")
        if self.control.kind != "none" and self.subject.shots:
            raise ConfigError(f"control={self.control.name} says how long to think, and the worked examples of subject="
                              f"{self.subject.name} say otherwise; take one of them")
        if self.benchmark.kind == "hub" and self.subject.shots:
            raise ConfigError(f"subject.shots is {self.subject.shots}, but benchmark={self.benchmark.name} has no questions to "
                              "show as worked examples; take a subject without them")


def read(cfg):
    """Return the Study of a composed config; raises ConfigError for anything it does not know or misses."""
    return config.build(Study, cfg)


def _run(study, stage, label, groups, inputs, **more):
    parts = {group: dataclasses.asdict(getattr(study, group)) for group in groups}
    return Run(stage, label, {**parts, **more}, inputs, study.out, study.wandb, study.hardware.threads)


def collect_run(study):
    """Return the (unopened) collect run: it reads the pool, the benchmarks, the attempts of reference models and a
    teacher's adapter.

    How a server is asked (conf/client) does not name it, so a run goes on with another rate or price; what a local teacher
    runs on does, since its last bits depend on it.
    """
    if study.questions.kind == "drawn":
        questions.check_drawn(study.questions)
    inputs = pools.inputs(study.questions)
    inputs |= {path: file_sha256(path) for path in selection.files(study.selection) + contamination.files(study.decontamination)}
    if study.teacher.kind == "hf":
        _check_device(study, "collect.py")
    if study.teacher.kind == "hf" and study.teacher.adapter:
        inputs["teacher/adapter_model.safetensors"] = file_sha256(weights(study.teacher.adapter))
    if study.teacher.kind == "hf" and study.teacher.shots and study.questions.kind == "drawn":
        inputs["probe.jsonl"] = questions.read_manifest(study.questions.dir)["files"]["probe.jsonl"]["sha256"]
    groups = ("model", "questions", "teacher", "domains", "decontamination", "selection",
              *(("hardware",) if study.teacher.kind == "hf" else ()))
    return _run(study, "collect", study.name, groups, inputs, data_seed=study.data_seed)


def weights(folder):
    """Return the path of the weights in an adapter folder; raises ConfigError when they are not there."""
    path = Path(folder) / "adapter_model.safetensors"
    if not path.exists():
        raise ConfigError(f"{folder} holds no adapter_model.safetensors; run train.py with the same overrides first, or "
                          "restore it from git")
    return path


def chosen_rows(study):
    """Return the path of the rows that the collect run of this study chose; raises ConfigError when that did not finish."""
    run = collect_run(study)
    if not run.finished:
        raise ConfigError(f"{run.folder / 'train.jsonl'} is missing or not finished; run collect.py with the same overrides first")
    return run.folder / "train.jsonl"


def train_run(study):
    """Return the (unopened) train run: it reads the rows that the collect run chose."""
    inputs = {"train.jsonl": file_sha256(chosen_rows(study))}
    return _run(study, "train", trained_name(study), ("model", "train"), inputs, seed=study.seed, threads=study.hardware.threads,
                device=study.hardware.device)


def trained_name(study):
    """Return the name of what a study trains: its own, and its seed where that is not the usual 0."""
    return f"{study.name}-seed{study.seed}" if study.seed else study.name


def _check_device(study, script):
    """Raise ConfigError where a script would decode on a GPU, which none of them can yet."""
    if study.hardware.device != "cpu":
        raise ConfigError(f"hardware.device={study.hardware.device} is for train.py alone, and {script} decodes on the CPU; add "
                          "hardware=cpu2")


def adapter_folder(study):
    """Return the folder of the weights that evaluate.py puts on the base, or None for a subject without any."""
    if study.subject.kind != "trained":
        return None
    folder = Path(study.subject.adapter) if study.subject.adapter else train_run(study).folder / "adapter"
    return weights(folder).parent


def evaluate_run(study):
    """Return the (unopened) evaluate run: it reads the weights, the questions of its split and the worked examples."""
    here = study.engine.kind != "server"    # else the weights are the server's, and so is the device
    if here:
        _check_device(study, "evaluate.py")
    elif study.subject.kind == "nearest":
        raise ConfigError(f"subject={study.subject.name} is no model, and engine={study.engine.name} serves one; take engine=hf")
    asks, taught = study.control.kind, study.train.control
    if study.subject.kind == "trained" and asks != taught and ("steps" in (asks, taught) or asks == "tokens"):
        raise ConfigError(f"control.kind={asks} asks a model that train.control={taught} made; take experiment="
                          "cpu-token-conditional for control=tokens, experiment=cpu-step-conditional for control=steps, and "
                          "another for anything else")
    if study.subject.kind == "nearest" and (asks != "none" or study.decoding.temperature or study.budget.tries > 1):
        raise ConfigError(f"subject={study.subject.name} is no model and reads neither control={study.control.name} nor decoding="
                          f"{study.decoding.name}; take control=none decoding=greedy")
    if study.subject.kind == "base" and asks == "steps":
        raise ConfigError(f"control={study.control.name} counts steps in a form that subject={study.subject.name} never saw; take "
                          "control=none")
    if study.budget.tries > 1 and not study.decoding.temperature:
        raise ConfigError(f"budget.tries={study.budget.tries} draws again, and greedy decoding would draw the same; take "
                          "decoding=sampled")
    inputs = benchmarks.inputs(study.benchmark) if study.benchmark.kind == "hub" else _drawn(study)
    if here and (folder := adapter_folder(study)):
        inputs["adapter_model.safetensors"] = file_sha256(folder / "adapter_model.safetensors")
    if study.subject.kind == "nearest":
        inputs["train.jsonl"] = file_sha256(chosen_rows(study))
    if not here and study.engine.model is None:
        raise ConfigError("engine.model is null, but the model that the server answers with is part of what names a run; name it "
                          "with engine.model=..., as the server lists it")
    asked = study.benchmark.split if study.benchmark.kind == "drawn" else study.benchmark.name    # which has one split
    trains = study.subject.kind == "trained" and not study.subject.adapter
    label = evaluate_label(trained_name(study) if trains else study.name, study.subject.name, study.control.name, study.budget.name, study.decoding.name, asked,
                           study.engine.name)
    engine = {key: value for key, value in dataclasses.asdict(study.engine).items() if key != "url"}    # a place, no identity
    groups = ("model", "subject", "control", "budget", "decoding", "benchmark", "hardware")
    return _run(study, "evaluate", label, groups, inputs, engine=engine)


def evaluate_label(experiment, subject, control, budget, decoding, split, engine="hf"):
    """Return the name of an evaluate run without its hash; what most have is not said: no control, greedy decoding, engine hf."""
    usual = ((control, "none"), (decoding, "greedy"), (engine, "hf"))
    control, decoding, engine = ("" if name == common else name for name, common in usual)
    return "-".join(part for part in (experiment, subject, control, budget, decoding, engine, split) if part)


def _drawn(study):
    """Return what an evaluation on drawn questions reads: its split, and the worked examples."""
    files = questions.read_manifest(study.benchmark.dir)["files"]
    names = [f"{study.benchmark.split}/{task}.jsonl" for task in study.benchmark.tasks]
    if missing := [name for name in names if name not in files]:
        raise ConfigError(f"benchmark.tasks names {missing[0]}, which {study.benchmark.dir} does not have; known tasks: "
                          + ", ".join(sorted({name.split("/")[1][:-6] for name in files if "/" in name})))
    inputs = {name: files[name]["sha256"] for name in names}
    if study.subject.shots:
        inputs |= {name: entry["sha256"] for name, entry in files.items() if name == "probe.jsonl" or name.startswith("dev/")}
    return inputs
