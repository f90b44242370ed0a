"""conf/ as a specification: it composes, all of it is read, and a mistake gets a sentence."""

import re

import pytest
from conftest import ROOT, SMOKE, composed, study_of
from omegaconf import OmegaConf

from ponder import study
from ponder.config import build
from ponder.errors import UserError

CONF = ROOT / "conf"
EXPERIMENTS = sorted(p.stem for p in (CONF / "experiment").glob("*.yaml"))
OPTIONS = [
    (p.parent.name, p.stem)
    for p in sorted(CONF.glob("*/*.yaml"))
    if p.parent.name != "experiment" and not p.stem.startswith("_")  # a part, no option
]
COMMENTED = ("train", "budget", "selection", "hardware")  # groups of conf/


@pytest.mark.parametrize("script", ["collect", "train", "evaluate"])
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_for_every_script(experiment, script):
    plan = study.read(composed(f"experiment={experiment}", script=script))
    assert plan.name == experiment


def test_the_named_experiments_are_there():
    arms = {"cpu", "cpu-correct", "cpu-answers", "cpu-distilled", "cpu-s1"}
    assert arms | {"s1-32b", "server", "smoke"} <= set(EXPERIMENTS)


@pytest.mark.parametrize("group, option", OPTIONS)
def test_every_option_of_every_group_composes_and_is_named_after_its_file(group, option):
    needed = ("name", "path", "licence", "source") if option == "jsonl" else ()
    own = [f"questions.{key}={option}" for key in needed]
    plan = study_of("name=any", f"{group}={option}", *own)
    part = getattr(plan, group)
    # control=tokens is named tokens32, and so on.
    number = getattr(part, "limit", None) or getattr(part, "samples", None)
    assert part.name in (option, f"{option}{number}")


def test_a_group_on_the_command_line_wins_over_the_experiment():
    assert study_of("experiment=cpu-answers", "budget=cap32").budget.max_thinking == 32


def test_an_experiment_is_the_same_study_for_all_three_scripts():
    for name in EXPERIMENTS:
        scripts = ("collect", "train", "evaluate")
        plans = [study.read(composed(f"experiment={name}", script=script)) for script in scripts]
        assert plans[0] == plans[1] == plans[2]


MISTAKES = {  # overrides -> words of the sentence
    ("+foo=1",): ["foo is read by nothing"],
    ("+train.extra=1",): ["train.extra is read by nothing"],
    ("+train.learning_rat=1",): ["train.learning_rat is read by nothing"],
    ("+train.epoch=1",): ["train.epoch is read by nothing", "did you mean epochs?"],
    ("+model.delimiters.tool=x",): ["model.delimiters.tool is read by nothing"],
    ("train.epochs=two",): ["train.epochs is 'two' (str)", "must be of type int"],
    ("train.epochs=1.5",): ["train.epochs is 1.5 (float)", "int"],
    ("train.epochs=true",): ["train.epochs is True (bool)", "int"],
    ("train.lr=fast",): ["train.lr is 'fast'", "float"],
    ("train.loss_on_wrong=1",): ["train.loss_on_wrong", "bool"],
    ("train.clip=null",): ["train.clip is None", "float"],
    ("benchmark.tasks=coin",): ["benchmark.tasks is 'coin'", "list"],
    ("benchmark.tasks=[coin,1]",): ["benchmark.tasks[1]", "str"],
    ("~train.lr",): ["train.lr is missing; add it to conf/train/cpu.yaml", "value: +train.lr="],
    ("~model.needs",): ["model.needs is missing; add it to conf/model/pocket.yaml, or give it a"],
    ("~model.dimensions.tied",): ["beside the other keys of model.dimensions", "+model.dim"],
    ("teacher=hf", "~teacher.model.needs"): ["add it to conf/model/smollm2-135m.yaml"],
    ("~seed",): ["seed is missing"],
    ("~budget",): ["budget is missing"],
    ("train.method=dpo",): ["train.method is 'dpo'", "full, lora"],
    ("train.trace=half",): ["train.trace is 'half'", "full, none"],
    ("teacher.doubt=always",): ["teacher.doubt is 'always'", "none, confirm, correct"],
    ("teacher.doubt_rate=1.5",): ["teacher.doubt_rate=1.5", "0 to 1"],
    ("subject.kind=human",): ["subject.kind", "trained, base, nearest"],
    ("benchmark.split=train",): ["benchmark.split", "dev, test"],
    ("model.source=ftp",): ["model.source", "wheel, hub, folder, random"],
    ("wandb=on",): ["wandb", "offline, online, disabled"],
    ("budget.max_thinking=-1",): ["budget.max_thinking is -1", "0 or more"],
    ("train.epochs=0",): ["train.epochs is 0", "1 or more"],
    ("questions.source=hub",): ["questions.source", "committed, draw"],
    ("questions.counts.pool=0",): ["questions.counts.pool is 0", "1 or more"],
    ("questions=jsonl",): ["questions.name is missing; give it a value: questions.name=..."],
    ("questions.kind=web",): ["questions.kind is 'web'", "drawn, jsonl, hub"],
    ("teacher=hf", "teacher.kind=solver"): ["is read by nothing"],
    ("teacher=openai", "teacher.url=http://me:secret@host/v1"): [
        "with no user, password or query in it"
    ],
    ("teacher=openai", "+teacher.body.messages=[]"): ["teacher.body has messages"],
    ("teacher=openai", "teacher.body.max_tokens=0"): [
        "teacher.body.max_tokens is 0",
        "bounds the cost",
    ],
    ("teacher=hf", "teacher.max_answer=0"): ["teacher.max_answer is 0", "1 or more"],
    ("teacher=hf", "teacher.temperature=-1"): ["teacher.temperature is -1", "0 or more"],
    ("teacher.terms.reading=fine",): [
        "teacher.terms.reading is 'fine'",
        "allowed, restricted, unclear",
    ],
    ("teacher.terms.text=null",): ["rests on no text"],
    ("teacher.terms.quoted=so",): ["both a text and a quotation"],
}


@pytest.mark.parametrize("overrides", MISTAKES, ids=" ".join)
def test_a_mistake_is_told_in_one_sentence(overrides):
    with pytest.raises(UserError) as error:
        study_of(*SMOKE, *overrides)
    sentence = str(error.value)
    assert "\n" not in sentence
    for words in MISTAKES[overrides]:
        assert words in sentence


def test_a_group_that_is_no_mapping_is_told():
    cfg = composed(*SMOKE)
    OmegaConf.set_struct(cfg, False)
    cfg.train = 7
    with pytest.raises(UserError, match="train is 7, but must be a mapping"):
        study.read(cfg)


def test_a_study_without_an_experiment_is_told_to_have_one():
    with pytest.raises(UserError, match="name"):
        study_of()


@pytest.mark.parametrize(
    "override",
    [
        "hardware.threads=0",
        "hardware.decode_rows=0",
        "selection.size=0",
        "subject.shots=-1",
        "benchmark.limit=0",
        "benchmark.tasks=[]",
        "train.lora_rank=0",
        "train.lr=-1",
        "train.clip=0",
        "train.loss_rows=0",
        "train.compute=int8",
        "train.weights=float16",
        "train.beta1=1.5",
        "train.warmup=-0.5",
        "train.weight_decay=-1",
        "hardware.device=tpu",
    ],
)
def test_a_value_that_can_not_work_is_refused_before_any_work(override):
    with pytest.raises(UserError, match=re.escape(override.split("=")[0].split(".")[1])):
        study_of(*SMOKE, override)


def test_an_int_may_stand_for_a_float_and_nothing_else_is_converted():
    assert study_of(*SMOKE, "train.lr=1").train.lr == 1.0
    assert type(study_of(*SMOKE, "train.lr=1").train.lr) is float


def test_a_mapping_is_built_without_hydra_too():
    values = {"name": "x", "device": "cpu", "threads": 1, "decode_rows": 2}
    assert build(study.Hardware, values).decode_rows == 2
    with pytest.raises(UserError, match="Hardware"):
        build(study.Hardware, [1])


def values_of(group):
    """Return the lines of a group's files that give a value, each with where it stands."""
    lines = []
    for path in sorted((CONF / group).glob("*.yaml")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.match(r"[a-z_]\w*:", line) and not line.startswith("name:"):
                lines.append(f"{path.relative_to(CONF)}:{number}: {line}")
    return lines


def test_every_value_of_an_experiment_carries_its_reason_or_source():
    for group in COMMENTED:
        values = values_of(group)
        bare = [line for line in values if not re.search(r"\s# \S.*", line)]
        assert values and not bare, "say why this value, or where it comes from:\n" + "\n".join(
            bare
        )


def test_no_config_names_code_to_run():
    assert not [path for path in CONF.rglob("*.yaml") if "_target_" in path.read_text()]
