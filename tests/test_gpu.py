"""tests/bench/gpu.sh at toy size on a CPU: every step, and again from where it stopped."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT, composed, script

BENCH = ROOT / "tests" / "bench"
sys.path.append(str(BENCH))
import gpu  # noqa: E402

GSM8K = [
    {"question": f"What is {n} plus 1?", "answer": f"{n} and 1.\n#### {n + 1}"} for n in range(3)
]


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The arguments of a rehearsal with the pocket model, and the scripts that it calls, in this
    process.
    """
    (tmp_path / "gsm8k.jsonl").write_text("".join(json.dumps(row) + "\n" for row in GSM8K))
    called = []

    def in_process(name, *words):
        called.append((name, *words))
        sweep = next((word for word in words if word.startswith("sweep=")), "sweep=[]")
        budgets = sweep.removeprefix("sweep=[").removesuffix("]").split(",")
        plain = [word for word in words if word != sweep]
        for budget in budgets:  # one by one, which gives the runs of one pass
            more = [f"budget={budget}"] if budget else []
            script(name).main(composed(*plain, *more, script=name))

    monkeypatch.setattr(gpu, "script", in_process)
    arguments = [
        str(tmp_path / "out"),
        f"--rows={ROOT}/data/cpu/smoke/train.jsonl",
        f"--gsm8k={tmp_path}/gsm8k.jsonl",
        "--experiment=smoke",
        "--hardware=cpu2",
        "--questions=2",
        "--budgets=free,cap16",
        "--seeds=1",
        "hardware.threads=1",
        "budget.max_answer=8",
    ]
    return arguments, called


def test_every_step_is_done_once_and_recorded(toy, tmp_path, monkeypatch, capsys):
    arguments, called = toy
    monkeypatch.setattr(gpu, "BASE", ("subject=base-boxed", "budget=unforced"))
    monkeypatch.setitem(sys.modules, "trl", None)  # as where it is not installed
    gpu.main(arguments)
    done = json.loads((tmp_path / "out" / "times.json").read_text())
    steps = done["steps"]
    assert list(steps) == sorted(gpu.STEPS) and all(s["seconds"] >= 0 for s in steps.values())
    assert steps["ids"]["here"]["equal"] == steps["ids"]["questions"] == 2
    assert steps["sft"]["tokens_per_second"] > 0 and steps["sft"]["cost"]["rows"] == 24
    assert set(steps["sweep"]) - {"seconds"} == {
        "base-unforced",
        "base-free",
        "base-cap16",
        "trained-free",
        "trained-cap16",
    }
    assert all(entry["n"] == 2 for key, entry in steps["sweep"].items() if key != "seconds")
    assert "-seed1-" in steps["seeds"]["1"]["training"]["run"]
    assert "TRL is not installed" in steps["trl"]["not run"]
    runs = {path.name for path in (tmp_path / "out" / "runs").glob("*/*/manifest.json")}
    assert runs and not (tmp_path / "out" / "runs" / "collect").exists()
    count = len(called)
    del steps["sweep"]
    (tmp_path / "out" / "times.json").write_text(json.dumps(done))
    capsys.readouterr()
    gpu.main(arguments)
    assert len(called) == count + 3  # the sweep alone, and its runs were there
    said = capsys.readouterr().out
    assert "sft: recorded in" in said and said.count("finished before") >= 3


@pytest.mark.parametrize(
    "lines, shared", [(([1, 2], [1, 3]), 1), (([1], [1, 2]), 1), (([], []), 0)]
)
def test_tokens_are_shared_up_to_the_first_other_one(lines, shared):
    assert gpu.shared(*lines) == shared


def test_the_shell_script_joins_the_weights_and_hands_on_its_arguments(tmp_path):
    pack, out = tmp_path / "pack", tmp_path / "out"
    (pack / "weights").mkdir(parents=True)
    (pack / "wheels").mkdir()
    for number, part in enumerate((b"one", b"two")):
        (pack / "weights" / f"base.gguf.{number:02}").write_bytes(part)
    digest = subprocess.run(
        ["sha256sum"], input=b"onetwo", capture_output=True, check=True
    ).stdout.split()[0]
    (pack / "weights" / "sha256").write_bytes(digest + b"  base.gguf\n")
    stub = tmp_path / "python"
    stub.write_text(
        f'#!/bin/sh\n[ "$1" = - ] && exec {sys.executable} "$@"\n'
        f'echo "$@" > {tmp_path}/said\nmkdir -p "$2/runs"\necho "{{}}" > "$2/times.json"\n'
    )
    stub.chmod(0o755)
    done = subprocess.run(
        ["sh", str(BENCH / "gpu.sh"), str(pack), str(out), "--seeds", "1"],
        env={**os.environ, "PYTHON": str(stub)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (out / "weights" / "base.gguf").read_bytes() == b"onetwo"
    words = (tmp_path / "said").read_text().split()
    assert words[1:] == [str(out), "--seeds", "1", "--gguf", f"{out}/weights/base.gguf"]
    assert (out / "runs.tar.gz").exists()


@pytest.mark.parametrize("name", ["gpu.sh", "gpu_pack.sh"])
def test_a_folder_that_is_not_named_is_one_sentence(name):
    done = subprocess.run(["sh", str(BENCH / name)], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("Name the ")
    assert done.stderr.count("\n") == 1
