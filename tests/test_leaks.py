"""What a run records is passed on: no config reads the environment, and none holds a key."""

import base64
import os

import pytest
from conftest import command, composed, study_of
from omegaconf import OmegaConf

from ponder import study
from ponder.errors import UserError
from ponder.record import values

SECRET = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("PONDER_TEST_SECRET", SECRET)
    monkeypatch.setenv("PONDER_TEST_PLACE", "/scratch/of/mine")


def config_with(**nodes):
    """The config of experiment=cpu with some values as a YAML file would have them."""
    cfg = composed("experiment=cpu")
    for key, value in nodes.items():
        OmegaConf.update(cfg, key.replace("__", "."), value, force_add=True)
    return cfg


READING = {
    "directly": {"selection__name": "${oc.env:PONDER_TEST_SECRET}"},
    "a variable that is no key": {"name": "${oc.env:PONDER_TEST_PLACE}"},
    "with a default": {"name": "${oc.env:NOT_THERE,x}"},
    "within a text": {"teacher__name": "by-${oc.env:PONDER_TEST_SECRET}"},
    "through another key": {"selection__name": "${name}", "name": "${oc.env:PONDER_TEST_SECRET}"},
    "decoded": {"seed": "${oc.decode:${oc.env:PONDER_TEST_SECRET}}"},
    "decoded from a text": {"name": "${oc.decode:'${oc.env:PONDER_TEST_SECRET}'}"},
    "by a name that is put together": {"name": "${oc.${budget.name}:X}", "budget__name": "env"},
    "selected": {"name": "${oc.select:selection.name}",
                 "selection__name": "${oc.env:PONDER_TEST_SECRET}"},
    "in a list": {"sweep": ["${oc.env:PONDER_TEST_SECRET}"]},
    "in a mapping": {"selection__references": {"a": "${oc.env:PONDER_TEST_SECRET}"}},
    "created": {"selection__references": "${oc.create:{a:${oc.env:PONDER_TEST_SECRET}}}"},
    "of the machine": {"name": "${hydra:runtime.cwd}"},
}  # fmt: skip


@pytest.mark.parametrize("nodes", READING.values(), ids=READING)
def test_a_config_that_reads_the_environment_is_refused(nodes):
    with pytest.raises(
        UserError, match=r"reads the environment with \$\{.*write the value"
    ) as error:
        study.read(config_with(**nodes))
    assert SECRET not in str(error.value) and "\n" not in str(error.value)


HELD = {
    "as it is": {"selection__name": SECRET},
    "within a text": {"teacher__terms__why": f"my key is {SECRET}!"},
    "in base64": {"name": base64.b64encode(SECRET.encode()).decode().rstrip("=")},
    "in a list": {"sweep": [f"cap-{SECRET}"]},
    "as the name of a key": {"selection__references": {SECRET: "x"}},
    "from where runs lie": {"name": "${out}", "out": "${oc.env:PONDER_TEST_SECRET}"},
}


@pytest.mark.parametrize("nodes", HELD.values(), ids=HELD)
def test_a_config_that_holds_the_value_of_a_key_is_refused(nodes):
    with pytest.raises(UserError, match="holds the value of .* PONDER_TEST_SECRET") as error:
        study.read(config_with(**nodes))
    assert SECRET not in str(error.value)


def test_the_place_of_runs_may_come_from_the_environment():
    plan = study.read(config_with(out="${oc.env:PONDER_TEST_PLACE}/runs"))
    assert plan.out == "/scratch/of/mine/runs"


def test_a_config_is_read_as_ever_and_stays_as_it_was():
    cfg = composed("experiment=cpu", "control=tokens", "control.limit=16")
    before = OmegaConf.to_container(cfg, resolve=False)
    assert values.values(cfg) == OmegaConf.to_container(cfg, resolve=True)
    assert OmegaConf.to_container(cfg, resolve=False) == before
    assert study_of("experiment=cpu").name == "cpu"
    reading = OmegaConf.create({"a": "${oc.env:PONDER_TEST_PLACE}"})
    assert reading.a == os.environ["PONDER_TEST_PLACE"], "Hydra's own are there again"


def test_a_script_refuses_in_one_sentence_and_writes_nothing(tmp_path):
    words = (
        "experiment=smoke",
        f"out={tmp_path}/runs",
        "selection.name=${oc.env:PONDER_TEST_SECRET}",
    )
    done = command("collect", *words, env={"PONDER_TEST_SECRET": SECRET})
    assert done.returncode == 2 and done.stderr.startswith("error: selection.name reads the")
    assert SECRET not in done.stderr + done.stdout and len(done.stderr.splitlines()) == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
