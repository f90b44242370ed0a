"""The whole configuration as one checked dataclass: the three scripts share one config tree."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from omegaconf import DictConfig

from ponder import config, control
from ponder.api.client import Client
from ponder.collect import contamination, domains, selection, teachers
from ponder.collect.contamination import Decontamination
from ponder.config import Name, at_least
from ponder.decode import openvino, server
from ponder.decode.budget import Budget
from ponder.errors import UserError
from ponder.models import Model
from ponder.questions import benchmarks, drawn, own, pools
from ponder.record import values as recorded
from ponder.train.costs import Machines


@dataclass(frozen=True)
class Train:
    """The SFT recipe (conf/train)."""

    name: Name
    method: Literal["full", "lora"]
    lora_rank: int
    lora_alpha: int
    trace: Literal["full", "none"]
    control: Literal["none", "tokens", "steps"]
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
    weights: Literal["float32", "bfloat16"]
    compute: Literal["float32", "bfloat16"]
    train_embeddings: bool
    recompute: bool
    loss_rows: int
    checkpoint_steps: int

    def __post_init__(self) -> None:
        if self.control != "none" and self.trace == "none":
            raise UserError(
                f"train.control={self.control} says how long a trace is, and train.trace=none has "
                "none; set one of them otherwise"
            )
        at_least(
            1, "train", self, "epochs", "batch_rows", "checkpoint_steps", "max_tokens", "loss_rows"
        )
        if self.method == "lora":
            at_least(1, "train", self, "lora_rank", "lora_alpha")
        if self.lr <= 0 or self.clip <= 0:
            raise UserError(f"train.lr={self.lr} and train.clip={self.clip} must both be above 0")
        moments = 0 <= self.beta1 < 1 and 0 <= self.beta2 < 1
        if not (moments and 0 <= self.warmup <= 1 and self.weight_decay >= 0):
            raise UserError(
                f"train.beta1={self.beta1} and train.beta2={self.beta2} must lie from 0 to below "
                f"1, train.warmup={self.warmup} from 0 to 1, and train.weight_decay="
                f"{self.weight_decay} must be 0 or more"
            )


@dataclass(frozen=True)
class Subject:
    """Who answers in evaluate.py, and in which form it is prompted (conf/subject)."""

    name: Name
    kind: Literal["trained", "base", "nearest"]
    adapter: str | None
    think: str | None
    answer: str | None
    shots: int
    instruction: str | None = None  # appended to every question; null: the bare question, as s1

    def __post_init__(self) -> None:
        at_least(0, "subject", self, "shots")
        if self.shots and self.instruction:
            raise UserError(
                f"subject.instruction={self.instruction!r} says how to answer, and the worked "
                f"examples of subject={self.name} show it; take one of them"
            )


@dataclass(frozen=True)
class Benchmark:
    """What is asked (conf/benchmark): families of drawn questions."""

    kind: Literal["drawn"]
    name: Name
    dir: str  # the folder of drawn questions
    tasks: tuple[str, ...]
    split: Literal["dev", "test"]
    limit: int | None

    def __post_init__(self) -> None:
        if not self.tasks:
            raise UserError("benchmark.tasks is empty; name at least one task")
        if self.limit is not None:
            at_least(1, "benchmark", self, "limit")


@dataclass(frozen=True)
class Decoding:
    """How a token is chosen, and how many answers each question gets (conf/decoding)."""

    name: Name
    temperature: float
    samples: int
    seed: int

    def __post_init__(self) -> None:
        at_least(1, "decoding", self, "samples")
        at_least(0, "decoding", self, "seed")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UserError(
                f"decoding.temperature is {self.temperature}, but must be 0 or more, and finite"
            )
        if (self.name == "greedy") != (self.temperature == 0):
            raise UserError(
                f"decoding.name={self.name} does not go with decoding.temperature="
                f"{self.temperature:g}; greedy is 0 and nothing else is, so take decoding=sampled "
                "and set its temperature and name"
            )
        if self.samples > 1 and not self.temperature:
            raise UserError(
                f"decoding.samples={self.samples} at decoding.temperature=0 would all be equal; "
                "raise the temperature, or set decoding.samples=1"
            )


@dataclass(frozen=True)
class Hardware:
    """What the work runs on (conf/hardware)."""

    name: Name
    device: Literal["cpu", "cuda"]
    threads: int
    decode_rows: int
    # The type of weights and arithmetic when a model of this process answers; training has its own.
    decode_compute: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        at_least(1, "hardware", self, "threads", "decode_rows")


@dataclass(frozen=True)
class Study:
    """One experiment: everything that conf/ says, checked."""

    model: Model
    questions: drawn.Questions | pools.FilePool | pools.HubPool | own.TraceSource
    teacher: teachers.Teacher
    client: Client
    domains: domains.FamilyDomain | domains.ColumnDomain | domains.ClassifiedDomain
    decontamination: Decontamination
    selection: selection.Selection
    train: Train
    subject: Subject
    control: control.Control
    budget: Budget
    decoding: Decoding
    engine: server.HfEngine | server.ServerEngine | openvino.OpenVinoEngine
    benchmark: Benchmark | benchmarks.HubBenchmark
    hardware: Hardware
    machines: Machines
    sweep: tuple[str, ...]
    plan: bool
    show: int
    name: Name
    seed: int
    data_seed: int
    out: str
    wandb: Literal["offline", "online", "disabled"]
    # A train.jsonl that is trained on in place of what collect.py chose; null: that.
    rows: str | None = None

    def __post_init__(self) -> None:
        if self.show < 0:
            raise UserError(
                f"show={self.show} is no number of rows to print; give one, or 0 to train"
            )
        if not self.out.strip():
            raise UserError("out is empty; name the folder of the runs, such as out=outputs")
        contamination.check_pool(self.decontamination, self.questions.kind == "drawn")
        if self.decoding.temperature and len(self.sweep) > 1:
            raise UserError(
                f"sweep={list(self.sweep)} shares what its budgets have in common, which holds for "
                "greedy decoding alone; take decoding=greedy, or one budget at a time"
            )
        if self.control.kind != "none" and self.subject.shots:
            raise UserError(
                f"control={self.control.name} says how long to think, and the worked examples of "
                f"subject={self.subject.name} say otherwise; take one of them"
            )
        if self.benchmark.kind == "hub" and self.subject.shots:
            raise UserError(
                f"subject.shots is {self.subject.shots}, but benchmark={self.benchmark.name} has "
                "no questions to show as worked examples; take a subject without them"
            )


def read(cfg: Any) -> Study:
    """Return the Study of a composed config.

    Traces that are there bring their questions: conf/questions is not read for them. Raises
    UserError for what is unknown or missing, and as recorded.values does.
    """
    plan = config.build(Study, recorded.values(cfg) if isinstance(cfg, DictConfig) else cfg)
    if plan.teacher.kind == "traces":
        return dataclasses.replace(plan, questions=plan.teacher.pool())
    return plan
