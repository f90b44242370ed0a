"""What several test files share: configuration, the pocket model, the scripts and commands."""

import copy
import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import absl.logging
import pytest
from hydra import compose, initialize_config_dir
from hypothesis import settings

from ponder.terminal import load

ROOT = Path(__file__).resolve().parent.parent
# evaluate.py shares its name with a package that lm-eval imports: look into the checkout last, as
# evaluate.py does.
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != ROOT] + [str(ROOT)]
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "disabled"
load.wait_briefly()
# absl, which mlcroissant imports, would keep pytest's stream of the moment, and close it when Hydra
# sets up logging while another is in its place.
absl.logging.get_absl_handler().python_handler.setStream(sys.__stderr__)

# A busy machine is no failure, and the same examples every time make a failure one that others see
# too.
settings.register_profile("ponder", deadline=None, derandomize=True, database=None)
settings.load_profile("ponder")

SMOKE = ("experiment=smoke", "hardware.threads=1")


def composed(*overrides, script="train"):
    """Return the config that a script would see, the caller's own to change."""
    return copy.deepcopy(_composed(overrides, script))


@functools.cache
def _composed(overrides, script):
    """Return the config of a script: a third of a second, and tests ask again for the same ones."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose(script, list(overrides))


def study_of(*overrides):
    """Return the checked Study of some overrides."""
    from ponder import study

    return study.read(composed(*overrides))


def script(name):
    """Return one of the three scripts as a module, under a name that hides no package."""
    spec = importlib.util.spec_from_file_location(f"ponder_script_{name}", ROOT / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(name, *arguments, env=(), **options):
    """Return what a real command did: returncode, stdout, stderr."""
    return subprocess.run(
        [sys.executable, f"{name}.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **dict(env)},
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )


def collected(out, *overrides):
    """Run collect.py's main in this process and return the Study whose data it made under `out`."""
    script("collect").main(composed(*SMOKE, f"out={out}", *overrides, script="collect"))
    return study_of(*SMOKE, f"out={out}", *overrides)


def trained(plan):
    """Train a Study in this process and return its finished run."""
    from ponder import stages
    from ponder.train import processes

    run = stages.train_run(plan)
    with processes.process_group(plan.hardware.device, plan.train) as group, run:
        script("train").train(plan, run, group)
    return run


def answered(row, say):
    """Return what a row of forcing (ponder/decode/budget.py) returns.

    `say(held, sampled, barred)` gives the next token, greedily. held: what the row has after its
    prompt, sampled: since its last request, barred: what may not come now.
    """
    from ponder.decode import budget as budgets

    held, completion = [], None
    while True:
        try:
            request = row.send(completion)
        except StopIteration as end:
            return end.value
        held, sampled = [*held[: request.keep], *request.ids], []
        while not budgets.stop_of(sampled, request.stops) and len(sampled) < request.limit:
            barred = budgets.tokens_to_suppress(sampled, request.stops) if request.suppress else ()
            sampled.append(say(held, sampled, barred))
        completion = budgets.Completion(tuple(sampled), budgets.stop_of(sampled, request.stops))
        held += sampled


def evaluated(plan):
    """Evaluate a Study in this process and return its finished run."""
    from ponder import stages

    run = stages.evaluate_run(plan)
    with run:
        script("evaluate").evaluate([plan], [run])
    return run


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    """Relative paths of conf/ start in the checkout."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="session")
def pocket_model():
    """The Model of conf/model/pocket.yaml."""
    return study_of(*SMOKE).model


@pytest.fixture(scope="session")
def pocket_folder(pocket_model, tmp_path_factory):
    """The folder of the random pocket model."""
    from ponder import models

    return models.base_folder(pocket_model, tmp_path_factory.mktemp("pocket"))


@pytest.fixture(scope="session")
def chat(pocket_model, pocket_folder):
    """The Chat of the pocket model."""
    from ponder import models

    return models.load_chat(pocket_folder, pocket_model.delimiters)


@pytest.fixture
def network(pocket_model, pocket_folder):
    """A fresh pocket network in evaluation mode, its weights enlarged so that its tokens vary."""
    import torch

    from ponder import models

    torch.set_num_threads(1)
    network = models.load(pocket_folder, pocket_model.delimiters)[0].eval()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "norm" not in name:
                weight.mul_(6)
    return network
