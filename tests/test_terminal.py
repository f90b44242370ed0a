"""What a terminal shows: help that begins with commands, mistakes in a sentence, progress lines."""

import contextlib
import dataclasses
import errno
import io
import logging
import os
import re
import resource
import subprocess
import sys
import types
import typing

import pytest
from conftest import ROOT, SMOKE, collected, command, script, study_of
from hydra.core.global_hydra import GlobalHydra

from ponder import stages
from ponder.config import nearest
from ponder.errors import RecordError, UserError, exit_code, message
from ponder.study import Study
from ponder.terminal import cli, overrides, progress, signals
from ponder.terminal.signals import Terminated

UNIONS = (types.UnionType, typing.Union)
MISTAKES = {  # a command line -> words of the sentence
    "train experiment=cpu train.learning_rate=1e-3": ["train.learning_rate", "mean train.lr?"],
    "train experiment=cpu train.epoch=3": ["train.epoch=3", "did you mean train.epochs?"],
    "train experiment=cpu epochs=3": ["there is no epochs", "did you mean train.epochs?"],
    "train experiment=cpu bugdet=free": ["there is no bugdet", "did you mean budget=free?"],
    "train experiment=cpu bugdet.tries=2": ["did you mean budget.tries?"],
    "train experiment=cpu train.foo=1": ["there is no train.foo", "known keys: batch_rows"],
    "train experiment=cpu budget.tries.x=1": ["did you mean budget.tries?"],
    "train experiment=cpu ~train.lrs": ["there is no train.lrs", "did you mean train.lr?"],
    "train experiment=cpu teacher=hf teacher.adaptor=x": ["did you mean teacher.adapter?"],
    "train experiment=cpu rows=my/r.jsonl": ["rows=my/r.jsonl", "before it: +rows=my/r.jsonl"],
    "train experiment=smoke model.folder=mine": ["before it: +model.folder=mine"],
    "train experiment=smoke teacher.model.file=x": ["there is no teacher.model.file"],
    "train experiment=smoke ~rows": ["~rows sets nothing"],
    "train experiment=cpu +seed=1": ["+seed=1", "leave out the +"],
    "train experiment=cpu +foo=1": ["foo is read by nothing"],
    "train experiment=cpu train.epochs=two": ["train.epochs is 'two'", "int"],
    "train experiment=cpu train.method=lorra": ["must be one of: full, lora"],
    "train experiment=cpu-sl": ["experiment=cpu-sl names no option", "did you mean cpu-s1?"],
    "train experiment=": ["names no option of experiment", "known options: cpu, cpu-300"],
    "train experiment=cpu train=7": ["train=7 names no option of train", "cpu, qwen, s1"],
    "train experiment=cpu budget=null": ["budget=null names no option", "known options:"],
    "evaluate experiment=cpu budget=wait3": ["budget=wait3", "did you mean wait4?"],
    "evaluate experiment=cpu sweep=[free,wait3]": ["wait3 in sweep", "did you mean wait4?"],
    "evaluate experiment=cpu sweep=[free,free]": ["names a budget twice"],
    "collect experiment=cpu out=${seeds}": ["out=${seeds}", "did you mean ${seed}?"],
    "collect experiment=cpu out=${oc.env:NOT_SET}": ["out=${oc.env:NOT_SET}", "NOT_SET"],
    "collect -m experiment=cpu out=${oot}": ["hydra.sweep.dir", "oot"],
    "collect": ["name is missing", "experiment=cpu"],
    "collect cpu": ["cpu is no key=value", "did you mean experiment=cpu?"],
    "collect experiment=cpu train.lr": ["train.lr is no key=value", "train.lr=..."],
    "collect experiment=cpu sweep=[free": ["sweep=[free cannot be read", "quotes"],
    "collect experiment=cpu seed=0,1": ["seed=0,1 gives several values", "put -m first"],
    "collect -m experiment=cpu,cpu-sl": ["experiment=cpu-sl", "did you mean cpu-s1?"],
    "collect -m experiment=cpu,smoke train.lrr=1": ["did you mean train.lr?"],
    "collect --experiment cpu": ["--experiment is out of place", "without dashes"],
    "collect experiment=cpu -m seed=0,1": ["seed=0,1 is out of place", "flags such as -m"],
    "collect --multirum experiment=cpu": ["--multirum is no flag", "did you mean --multirun?"],
    "collect experiment=cpu --cfg jobs": ["--cfg", "jobs"],
    "collect experiment=cpu --resolve": ["--resolve"],
    "collect experiment=cpu out=${": ["out=${ cannot be read", "close them all"],
    'collect experiment=cpu out="${foo"': ["is not whole; close every ${"],
    "collect experiment=cpu out=${foo.bar}": ["out=${foo.bar} refers to foo.bar"],
    "collect experiment=cpu out=${nope:1}": ["out=${nope:1}", "Unsupported interpolation type"],
    "collect experiment=cpu out=${out}": ["out=${out} cannot be resolved", "ecursive"],
    "collect experiment=cpu train.lr=${..seeds}": ["refers to ..seeds", "mean ${seed}?"],
    "collect experiment=${x}": ["experiment=${x} names no option", "known options: cpu"],
    "collect experiment=cpu hydra.run.dir=${x}": ["hydra.run.dir cannot be resolved"],
    "collect experiment=cpu hydra.job.chdir=maybe": ["hydra.job.chdir=maybe cannot be set"],
    "collect experiment=cpu hydra/launcher=nope": ["hydra/launcher/nope names no config"],
    "collect ++experiment=cpu": ["++experiment=cpu", "leave out the ++"],
    "collect experiment=cpu/nope": ["experiment=cpu/nope names no option", "did you mean cpu?"],
    "collect --config-name colect experiment=cpu": ["no config colect", "did you mean collect?"],
    "collect --config-dir nowhere experiment=cpu": ["--config-dir nowhere is no folder"],
    "collect --config-path nowhere experiment=cpu": ["--config-path nowhere is no folder"],
    "collect --experimental-rerun x.pickle": ["--experimental-rerun opens a pickle"],
    "collect experiment=cpu out=": ["out is empty", "out=outputs"],
    "train experiment=cpu train.lr=nan": ["train.lr is nan", "a number, and finite"],
    "train experiment=cpu train.lr=inf": ["train.lr is inf", "a number, and finite"],
    "train experiment=cpu train.lr=1e999": ["train.lr is inf", "a number, and finite"],
    "train experiment=cpu train.lr=-1e-3": ["train.lr=-0.001", "above 0"],
    "train experiment=cpu train.warmup=nan": ["train.warmup is nan"],
    "train experiment=cpu client.timeout=nan": ["client.timeout is nan"],
    "train experiment=cpu client.max_dollars=inf": ["client.max_dollars is inf"],
    "train experiment=cpu decontamination.near=nan": ["decontamination.near is nan"],
    "evaluate experiment=cpu decoding.temperature=nan": ["decoding.temperature is nan"],
    "evaluate experiment=cpu machines.reserve_gib=-inf": ["machines.reserve_gib is -inf"],
    "collect train=cpus --cfg job": ["train=cpus names no option", "did you mean cpu?"],
    "collect --help experiment=cpuu": ["experiment=cpuu", "did you mean cpu?"],
}


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line in this process and return (exit code, stdout, stderr)."""

    def at_the_terminal(line, *more):
        name, *words = line.split(" ")
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *words, *more])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        code = 0
        try:
            script(name).main()
        except SystemExit as end:
            code = end.code or 0
        GlobalHydra.instance().clear()
        return code, *capsys.readouterr()

    return at_the_terminal


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_sentence_and_exit_code_2(run, line, tmp_path, monkeypatch):
    monkeypatch.delenv("NOT_SET", raising=False)
    code, shown, said = run(line)
    assert (code, shown) == (2, "")
    assert said.startswith("error: ") and said.count("\n") == 1
    for words in MISTAKES[line]:
        assert words in said


# --- several jobs --------------------------------------------------------------------------


@pytest.fixture
def jobs(monkeypatch, capfd):
    """Run `-m seed=0,1,2` of a script that fails as told; return (code, seeds that ran, stderr)."""

    def with_failures(failures):
        seeds = []

        @cli.command("collect")
        def main(cfg):
            seeds.append(cfg.seed)
            if cfg.seed in failures:
                raise failures[cfg.seed]

        monkeypatch.setattr(sys, "argv", ["collect.py", "-m", "experiment=smoke", "seed=0,1,2"])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        monkeypatch.setattr(signals, "handled", contextlib.nullcontext)
        monkeypatch.setattr(logging.root, "handlers", [])  # Hydra's, of the test before
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        return code, seeds, capfd.readouterr().err

    return with_failures


@pytest.mark.parametrize(
    ("failures", "code"),
    [
        ({}, 0),
        ({0: UserError("a mistake")}, 2),
        ({2: UserError("a mistake")}, 2),
        ({0: UserError("a mistake"), 1: RecordError("another")}, 2),
        ({1: OSError(errno.ENOSPC, "No space left on device")}, 2),
        ({1: ValueError("a bug")}, 1),
        ({1: MemoryError()}, 1),
        ({1: SystemExit(3)}, 1),
        ({0: UserError("a mistake"), 2: ValueError("a bug")}, 1),
    ],
)
def test_a_job_that_fails_ends_no_other(jobs, failures, code):
    exit_code, seeds, said = jobs(failures)
    assert (exit_code, seeds) == (code, [0, 1, 2])
    names = "; ".join(f"seed={seed}" for seed in failures)
    last = f"error: {len(failures)} of 3 jobs failed: {names}\n" if failures else ""
    texts = [str(text) for error in failures.values() for text in error.args[-1:]]
    assert said.endswith(last) and all(text in said for text in texts)
    assert ("Traceback" in said) == (code == 1)


@pytest.mark.parametrize(("ending", "code"), [(KeyboardInterrupt(), 130), (Terminated(), 143)])
def test_a_signal_ends_all_jobs(jobs, ending, code):
    exit_code, seeds, said = jobs({1: ending})
    assert (exit_code, seeds) == (code, [0, 1])
    assert said.endswith("the same command goes on from here\n") and said.count("\n") == 1


def test_a_job_that_fails_under_torchrun_ends_the_others_for_they_wait_for_each_other(
    jobs, monkeypatch
):
    monkeypatch.setenv("WORLD_SIZE", "2")
    exit_code, seeds, said = jobs({0: UserError("a mistake")})
    assert (exit_code, seeds, said) == (2, [0], "error: a mistake\n")


@pytest.mark.slow
def test_a_bad_value_in_a_real_sweep_of_trainings_leaves_the_good_one_finished(tmp_path):
    plan = collected(tmp_path, "train.lr=1e-3")
    done = command("train", "-m", *SMOKE, f"out={tmp_path}", "train.lr=nan,1e-3,-1")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.endswith("error: 2 of 3 jobs failed: train.lr=nan; train.lr=-1\n")
    assert stages.train_run(plan).finished


# --- folders and disks ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("collect", "file"),
        ("collect", "file/deeper/still"),
        ("collect -m seed=0,1", "file"),
        ("train", "file"),
        ("evaluate", "file/deeper"),
    ],
)
def test_a_file_where_runs_should_be_is_one_sentence(run, line, place, tmp_path):
    (tmp_path / "file").write_text("")
    name, _, more = line.partition(" ")
    code, shown, said = run(" ".join(filter(None, [name, more, *SMOKE, f"out={tmp_path}/{place}"])))
    assert (code, shown, said.count("\n")) == (2, "", 1) and str(tmp_path / "file") in said
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_folder_that_may_not_be_written_is_one_sentence(run, number, tmp_path, monkeypatch):
    make = os.mkdir

    def refuse(path, *mode, **more):
        if str(path).startswith(str(tmp_path)):
            raise OSError(number, os.strerror(number), str(path))
        make(path, *mode, **more)

    monkeypatch.setattr(os, "mkdir", refuse)
    code, _, said = run(f"collect experiment=smoke out={tmp_path}/out")
    assert code == 2 and said.count("\n") == 1 and f"({os.strerror(number)})" in said
    assert f"error: {tmp_path}/out" in said and "name another folder with out=" in said


@pytest.mark.parametrize("size", [0, 20_000, 150_000])
def test_a_disk_that_is_full_while_the_base_is_written_leaves_no_half(size, tmp_path):
    def limit_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    done = command("collect", *SMOKE, f"out={tmp_path}", preexec_fn=limit_files)
    assert done.returncode == 2 and not done.stdout
    assert re.fullmatch("error: .* free some space.*\n", done.stderr)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix != ".lock"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/a/file"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        Exception("I/O error: No space left on device (os error 28)"),  # of safetensors, tokenizers
        OSError("Not enough disk space. Needed: 3 GB"),  # of datasets
    ],
)
def test_a_full_disk_is_known_however_a_library_says_it(error):
    wrapped = RuntimeError("in other words")
    wrapped.__cause__ = error
    for told in (error, wrapped):
        assert message(told).startswith("error: the disk is full (") and exit_code(told) == 2
    assert message(RuntimeError("(os error 2)")) is None and exit_code(RuntimeError()) == 1


@pytest.mark.parametrize("name", ["collect", "train", "evaluate"])
def test_help_begins_with_four_commands_that_compose(run, name):
    code, shown, said = run(f"{name} --help")
    lines = shown.splitlines()
    commands = [line.partition("    # ")[0].split() for line in lines[2:6]]
    assert code == 0 and not said and lines[0].startswith(f"{name}.py: ")
    for python, file, *words in commands:
        assert (python, file) == ("python", f"{name}.py")
        settings = [word.strip('"') for word in words if word != "-m"]
        assert study_of(*(text.partition(",")[0] if "[" not in text else text for text in settings))
    assert "budget: " in shown and "max_thinking: 192" in shown


def test_the_config_of_a_job_is_shown(run):
    code, shown, said = run("evaluate experiment=smoke budget=cap16 --cfg job")
    assert code == 0 and not said and "max_thinking: 16\n" in shown and "name: smoke\n" in shown


def test_a_mistake_of_ours_is_no_mistake_of_the_user(run, monkeypatch):
    def broken(plan):
        raise ValueError("a broken invariant")

    monkeypatch.setattr(stages, "collect_run", broken)
    with pytest.raises(ValueError, match="a broken invariant"):
        run("collect experiment=smoke")


@pytest.mark.parametrize("name", ["collect", "train", "evaluate"])
def test_a_real_command_prints_one_line_and_starts_nothing(name, tmp_path):
    done = command(name, *SMOKE, "train.learning_rate=1", f"out={tmp_path}/out")
    assert done.returncode == 2 and not done.stdout and not list(tmp_path.iterdir())
    assert done.stderr == (
        "error: train.learning_rate=1 sets nothing, for there is no train.learning_rate; did you "
        "mean train.lr?\n"
    )


def test_help_and_the_config_need_no_torch(tmp_path):
    for name in ("torch", "transformers", "lm_eval", "datasets"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not for this')\n")
    for words in (["--help"], ["experiment=cpu", "--cfg", "job"]):
        done = command("evaluate", *words, env={"PYTHONPATH": str(tmp_path)})
        assert done.returncode == 0 and not done.stderr and "max_thinking: 192" in done.stdout


def test_what_is_missing_is_told_with_the_command_that_makes_it(run, tmp_path):
    words = (f"out={tmp_path}", "train.lr=1e-3")
    code, _, said = run("train experiment=cpu", *words)
    assert code == 2 and f"python collect.py experiment=cpu {' '.join(words)}" in said
    assert (
        "rows in data/cpu/cpu/train.jsonl" in said and (ROOT / "data/cpu/cpu/train.jsonl").exists()
    )
    code, _, said = run("evaluate experiment=cpu-full", *words)
    assert code == 2 and "python collect.py experiment=cpu-full" in said and "released" not in said


def test_missing_weights_are_told_with_the_command_and_the_released_ones(tmp_path):
    plan = collected(tmp_path)
    with pytest.raises(RecordError) as told:
        stages.adapter_folder(plan)
    assert "make it with: python train.py experiment=smoke" in str(told.value)
    assert "subject.adapter=data/cpu/smoke/adapter" in str(told.value)
    assert (ROOT / "data/cpu/smoke/adapter/adapter_model.safetensors").exists()


def test_make_help_is_grouped_and_has_every_target():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    told = re.findall(r"^  make ([a-z-]+) ", shown, re.M)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert set(told) == set(targets) - {"help", *(t for t in targets if t.endswith("-named"))}
    assert len(re.findall(r"^[A-Z].*\n  make ", shown, re.M)) >= 4 and "smoke" in told


@pytest.mark.parametrize(
    ("word", "names", "near"),
    [
        ("wait3", ["cap16", "wait1", "wait2"], "wait2"),
        ("learning_rate", ["lr", "warmup", "max_tokens"], "lr"),
        ("lr", ["learning_rate", "warmup"], "learning_rate"),
        ("lr", ["learning_rate", "loss_rows"], None),
        ("foo", ["lr", "warmup"], None),
        ("", ["lr"], None),
    ],
)
def test_the_nearest_name(word, names, near):
    assert nearest(word, names) == near


@pytest.mark.parametrize(
    ("target", "way_out"),
    [
        ("release", "make release RUN=outputs/"),
        ("hub-folder", "make hub-folder RUN=outputs/"),
        ("table", 'make table RUNS="cpu-trained-free-test'),
        ("serve", "make serve MODEL=qwen"),
        ("serve-vllm", "make serve-vllm MODEL=qwen"),
    ],
)
def test_a_target_of_make_without_its_name_is_one_sentence_before_anything_is_installed(
    target, way_out
):
    said = subprocess.run(
        ["make", "--no-print-directory", target], cwd=ROOT, capture_output=True, text=True
    )
    first, *rest = said.stderr.splitlines()
    assert said.returncode == 2 and said.stdout == "" and way_out in first
    assert first.startswith("Name the ") and all("Error 2" in line for line in rest)


def defaults_of(kind, where=""):
    """Yield the dotted keys of a dataclass, and of those in it, that need not be given."""
    kinds = typing.get_args(kind) if typing.get_origin(kind) in UNIONS else (kind,)
    for cls in filter(dataclasses.is_dataclass, kinds):
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            if field.default is not dataclasses.MISSING:
                yield where + field.name
            yield from defaults_of(hints[field.name], f"{where}{field.name}.")


def test_a_key_that_is_added_with_a_plus_is_every_one_that_need_not_be_there():
    assert set(overrides.OPTIONAL) == set(defaults_of(Study))


def test_the_options_of_a_group_leave_out_parts_of_others(tmp_path):
    (tmp_path / "budget").mkdir()
    for name in ("_base", "free"):
        (tmp_path / f"budget/{name}.yaml").write_text("")
    tree = overrides.Tree("train", (tmp_path,))
    assert tree.groups() == ["budget"] and tree.options("budget") == ["free"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_in_a_log_file_is_a_line_for_each_tenth(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar = progress.bar(1000, "step", "train x")
    for step in range(1000):
        bar.set_postfix_str(f"loss {step}", refresh=False)
        bar.update()
    bar.close()
    lines = sys.stderr.getvalue().splitlines()
    assert len(lines) == 10 and "\r" not in sys.stderr.getvalue()
    assert lines[0].startswith("train x: 100/1000 steps in ") and lines[0].endswith(", loss 99")
    assert " left, " in lines[0] and " left" not in lines[-1]


def test_progress_in_a_log_file_goes_on_from_what_was_done_and_is_never_silent_for_long(
    monkeypatch,
):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    bar = progress.bar(100, "answer", "evaluate x", done=50)
    for seconds in (59.0, 61.0, 62.0):
        clock[0] = seconds
        bar.update()
    assert sys.stderr.getvalue() == "evaluate x: 52/100 answers in 01:01, about 24:24 left\n"


def test_progress_on_a_terminal_is_a_bar_and_one_of_several_processes_shows_it(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    for shown, wanted in ((True, True), (False, False)):
        sys.stderr.truncate(0)
        bar = progress.bar(2, "step", "train x", shown=shown)
        bar.update(2)
        bar.close()
        assert ("100%" in sys.stderr.getvalue()) is wanted
