"""One name, one set of bytes: bases, runs, trained weights and names that cannot be two things."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest
import torch
from conftest import ROOT, SMOKE, collected, composed, evaluated, script, study_of, trained
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from ponder import hashing, models, runs, stages, study
from ponder.config import check_name
from ponder.errors import RecordError, UserError
from ponder.record import manifests
from ponder.runs import Run
from ponder.train import saved

SMALL = ("benchmark.tasks=[coin]", "benchmark.limit=1")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A Study whose collect, train and evaluate runs are finished."""
    os.chdir(ROOT)
    plan = collected(tmp_path_factory.mktemp("identity"), *SMALL)
    trained(plan)
    evaluated(plan)
    return plan


@pytest.fixture
def copy(plan, tmp_path):
    """A copy of it that a test may damage; finished runs are found in it."""
    shutil.copytree(plan.out, tmp_path / "out", symlinks=True)
    return dataclasses.replace(plan, out=str(tmp_path / "out"))


def changed(path, old, new):
    """Replace bytes in a file."""
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


# --- base models -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "override, differs",
    [
        ("model.dimensions.layers=4", True),
        ("model.dimensions.hidden=32", True),
        ("model.context=1024", True),
        ("model.name=purse", True),
        ("+model.delimiters.assistant=model", True),
        ("model.licence=MIT", False),
        ("model.hub=nobody/nothing", False),  # a random model reads none
        ("model.lora_targets=[q_proj]", False),
    ],
)
def test_another_model_config_is_never_given_the_base_of_the_first(tmp_path, override, differs):
    first = models.base_folder(study_of(*SMOKE).model, tmp_path)
    other = study_of(*SMOKE, override).model
    second = models.base_folder(other, tmp_path)
    assert (second != first) == differs
    config = models.load_network(second).config
    assert config.num_hidden_layers == other.dimensions.layers
    assert models.base_folder(study_of(*SMOKE).model, tmp_path) == first  # both stay


def test_other_layers_make_another_run(plan):
    other = study_of(*SMOKE, *SMALL, f"out={plan.out}", "model.dimensions.layers=4")
    assert stages.collect_run(other).name != stages.collect_run(plan).name


def zeros(path):
    """Overwrite 20 KB in the middle, and let the file look as old as before."""
    before = path.stat()
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(20_000))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


DAMAGE = {
    "zeros in the weights": lambda base: zeros(base / "model.safetensors"),
    "weights cut short": lambda base: os.truncate(base / "model.safetensors", 5000),
    "weights gone": lambda base: (base / "model.safetensors").unlink(),
    "another rope": lambda base: changed(base / "config.json", b"10000.0", b"10001.0"),
    "another token": lambda base: changed(base / "tokenizer.json", b'"a"', b'"\\u00e4"'),
    "another template": lambda base: (base / "chat_template.jinja").write_text("x"),
    "an adapter put beside it": lambda base: (base / "adapter_config.json").write_text("{}"),
    "pickled weights beside it": lambda base: (base / "pytorch_model.bin").write_bytes(b"x"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_base_that_was_changed_is_refused_and_not_measured(copy, damage):
    base = models.base_folder(copy.model, copy.out)
    DAMAGE[damage](base)
    with pytest.raises(RecordError, match="delete .*, and it is made again"):
        models.base_folder(copy.model, copy.out)
    with pytest.raises(RecordError):
        stages.train_run(copy)
    shutil.rmtree(base)
    assert stages.train_run(copy).finished


def test_other_weights_under_a_rewritten_record_make_another_run(copy):
    base, name = models.base_folder(copy.model, copy.out), stages.train_run(copy).name
    zeros(base / "model.safetensors")
    source = json.loads((base / "source.json").read_text())
    source["model.safetensors sha256"] = hashing.file_sha256(base / "model.safetensors")
    (base / "source.json").write_text(json.dumps(source))
    assert stages.train_run(copy).name != name


def test_the_files_of_the_base_are_inputs_of_every_stage(plan):
    files = {f"base/{name}" for name in os.listdir(models.base_folder(plan.model, plan.out))}
    files -= {"base/source.json"}
    assert "base/model.safetensors" in files
    assert files <= set(stages.train_run(plan).inputs)
    assert files <= set(stages.evaluate_run(plan).inputs)
    read = {"base/tokenizer.json", "base/tokenizer_config.json"}
    assert {n for n in stages.collect_run(plan).inputs if n.startswith("base/")} == read
    served = study_of(*SMOKE, f"out={plan.out}", "engine=server", "engine.model=m", *SMALL)
    assert {n for n in stages.evaluate_run(served).inputs if n.startswith("base/")} == read
    local = ("teacher=hf", "model@teacher.model=pocket", f"teacher.adapter={adapter_of(plan)}")
    inputs = stages.collect_run(study_of(*SMOKE, f"out={plan.out}", *local)).inputs
    assert {f"teacher/{name}" for name in files} <= set(inputs)
    assert {"teacher/adapter_config.json", "teacher/adapter_model.safetensors"} <= set(inputs)


def test_a_record_names_the_schema_and_the_files(plan):
    run = stages.train_run(plan)
    for name in ("manifest.json", "status.json"):
        assert json.loads((run.folder / name).read_text())["schema"] == runs.SCHEMA == 2
    base = json.loads((run.folder / "base.json").read_text())
    assert base["config.json sha256"] == run.inputs["base/config.json"]


def test_a_changed_folder_of_ones_own_is_another_base(pocket_model, pocket_folder, tmp_path):
    mine = shutil.copytree(pocket_folder, tmp_path / "mine")
    model = dataclasses.replace(pocket_model, source="folder", folder=str(mine))
    first = models.base_folder(model, tmp_path / "out")
    zeros(mine / "model.safetensors")
    second = models.base_folder(model, tmp_path / "out")
    assert second != first and models.base_folder(model, tmp_path / "out") == second
    moved = dataclasses.replace(model, folder=str(mine.rename(tmp_path / "moved")))
    assert models.base_folder(moved, tmp_path / "out") == second  # the bytes, not the place


def test_the_place_of_a_folder_of_ones_own_is_no_part_of_a_run(plan, tmp_path):
    def run():
        mine = ("model.source=folder", f"+model.folder={tmp_path}/mine", "model.name=mine")
        return stages.collect_run(study_of(*SMOKE, f"out={tmp_path}/out", *mine))

    base = models.base_folder(plan.model, plan.out)
    shutil.copytree(base, tmp_path / "mine")
    first = run()
    assert str(tmp_path) not in json.dumps(first.config)
    changed(tmp_path / "mine" / "tokenizer.json", b'"a"', b'"\\u00e4"')
    assert run().name != first.name


def test_two_first_starts_at_once_make_one_base(tmp_path):
    program = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from conftest import SMOKE, study_of\n"
        "from ponder import models\n"
        f"folder = models.base_folder(study_of(*SMOKE).model, {str(tmp_path)!r})\n"
        "print(folder.name, models.load_network(folder).num_parameters())\n"
    )
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    lines = {start.communicate(timeout=200)[0] for start in starts}
    assert len(lines) == 1 and all(start.returncode == 0 for start in starts)
    left = {path.name for path in (tmp_path / "models").iterdir()}
    (folder,) = (name for name in left if name.startswith("pocket-random-") and "." not in name)
    assert left == {folder, f"{folder}.lock", "pocket"}


@pytest.mark.parametrize("left", ["part", "whole", "scratch"])
def test_what_a_kill_left_of_a_base_is_made_again(pocket_model, pocket_folder, tmp_path, left):
    name = pocket_folder.name
    place = {"part": f"{name}.part", "whole": name, "scratch": f"{name}.scratch"}[left]
    folder = tmp_path / "models" / place
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"cut")
    made = models.base_folder(pocket_model, tmp_path)
    assert {p.name: p.read_bytes() for p in made.iterdir()} == {
        p.name: p.read_bytes() for p in pocket_folder.iterdir()
    }
    assert not list(tmp_path.glob("models/*.part")) and not list(tmp_path.glob("models/*.scratch"))


def test_the_link_of_a_name_leads_to_the_base_that_was_used_last(tmp_path):
    plain, four = (study_of(*SMOKE, *more).model for more in ((), ("model.dimensions.layers=4",)))
    link = tmp_path / "models" / "pocket"
    for model in (plain, four, plain):
        folder = models.base_folder(model, tmp_path)
        assert os.readlink(link) == folder.name
    (tmp_path / "models" / "purse").mkdir()
    models.base_folder(study_of(*SMOKE, "model.name=purse").model, tmp_path)
    assert not (tmp_path / "models" / "purse").is_symlink()  # somebody's own stays


def test_a_large_file_is_hashed_again_only_when_it_was_touched(tmp_path, monkeypatch):
    path, stamps, read = tmp_path / "large", tmp_path / "stamps.json", []
    path.write_bytes(bytes(hashing.STAMPED))
    real = hashing.file_sha256
    monkeypatch.setattr(hashing, "file_sha256", lambda path: (read.append(path), real(path))[1])

    def digest():
        return hashing.files_sha256([path], stamps)[path]

    first = digest()
    assert digest() == first and len(read) == 2  # too young for a stamp
    monkeypatch.setattr(hashing, "SETTLED", 0)
    assert [digest(), digest(), digest()] == [first] * 3 and len(read) == 3
    before = path.stat()
    with open(path, "r+b") as file:
        file.write(b"x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digest() != first and len(read) == 4
    stamps.write_text("{cut")
    assert digest() != first and len(read) == 5


# --- finished runs ---------------------------------------------------------------------


def run_of(out, **inputs):
    return Run("collect", "test", {"seed": 0}, inputs, out, "disabled", 1)


def finished_run(out):
    with run_of(out) as run:
        run.write_jsonl("train.jsonl", [{"id": 1}])
    return run


def cut_manifest(run, change):
    path = run.folder / "manifest.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


UNFINISHED = {
    "an empty manifest": lambda run: (run.folder / "manifest.json").write_bytes(b""),
    "half a manifest": lambda run: os.truncate(run.folder / "manifest.json", 100),
    "no bytes of it but zeros": lambda run: (run.folder / "manifest.json").write_bytes(bytes(200)),
    "a list": lambda run: (run.folder / "manifest.json").write_text("[]"),
    "an empty object": lambda run: (run.folder / "manifest.json").write_text("{}"),
    "no file": lambda run: cut_manifest(run, lambda record: record.update(files={})),
    "its own half-written file": lambda run: cut_manifest(
        run, lambda record: record["files"].update({"manifest.json.part": {"sha256": "0"}})
    ),
    "an entry without a hash": lambda run: cut_manifest(
        run, lambda record: record["files"]["train.jsonl"].clear()
    ),
    "no manifest": lambda run: (run.folder / "manifest.json").unlink(),
}


@pytest.mark.parametrize("state", UNFINISHED)
def test_a_manifest_that_no_run_wrote_whole_finishes_none(tmp_path, state):
    run = finished_run(tmp_path)
    assert run.finished
    UNFINISHED[state](run)
    assert not run.finished and run.claim()
    with run:
        run.write_jsonl("train.jsonl", [{"id": 1}])
    assert run.finished and not run.claim()


CHANGED = {
    "rows changed": lambda run: (run.folder / "train.jsonl").write_text('{"id": 2}\n'),
    "rows emptied": lambda run: (run.folder / "train.jsonl").write_text(""),
    "rows gone": lambda run: (run.folder / "train.jsonl").unlink(),
    "rows a folder": lambda run: (
        (run.folder / "train.jsonl").unlink(),
        (run.folder / "train.jsonl").mkdir(),
    ),
    "config changed": lambda run: (run.folder / "config.yaml").write_text("seed: 1\n"),
    "another run's manifest": lambda run: cut_manifest(run, lambda r: r.update(name="test-0")),
    "other inputs": lambda run: cut_manifest(run, lambda r: r.update(inputs={"a": "b"})),
}


@pytest.mark.parametrize("change", CHANGED)
def test_a_finished_run_that_was_changed_is_neither_used_nor_made_anew(tmp_path, change):
    run = finished_run(tmp_path)
    CHANGED[change](run)
    with pytest.raises(RecordError, match="delete .* to make the run again"):
        run.claim()


def test_a_kill_between_write_and_rename_leaves_nothing_in_the_manifest(tmp_path):
    run = finished_run(tmp_path)
    (run.folder / "manifest.json").rename(run.folder / "manifest.json.part")
    (run.folder / "train.jsonl.part").write_text("half a row")
    run = finished_run(tmp_path)
    files = json.loads((run.folder / "manifest.json").read_text())["files"]
    assert run.finished and not [name for name in files if name.endswith(manifests.PART)]
    assert not list(run.folder.glob("*.part"))


def test_rows_that_changed_after_they_were_chosen_are_not_trained_on(copy):
    path = stages.collect_run(copy).folder / "train.jsonl"
    changed(path, b'"coin"', b'"Coin"') if b'"coin"' in path.read_bytes() else path.write_text("")
    with pytest.raises(RecordError, match="train.jsonl is not what its manifest says"):
        stages.train_run(copy)


def test_weights_that_changed_after_training_are_not_evaluated(copy):
    changed(adapter_of(copy) / "adapter_config.json", b'"lora_alpha": 16', b'"lora_alpha": 32')
    with pytest.raises(RecordError, match="adapter_config.json is not what its manifest says"):
        stages.evaluate_run(copy)


def test_questions_that_changed_are_told_though_the_run_is_finished(tmp_path, plan):
    questions = shutil.copytree("data/cpu/questions", tmp_path / "questions")
    mine = study_of(*SMOKE, *SMALL, f"out={plan.out}", f"benchmark.dir={questions}")
    stages.evaluate_run(mine)
    with open(questions / "dev/coin.jsonl", "a", encoding="utf-8") as file:
        file.write("{}\n")
    with pytest.raises(UserError, match="coin.jsonl is not the file that the manifest"):
        stages.evaluate_run(mine)
    pool = study_of(*SMOKE, f"out={plan.out}", f"questions.dir={questions}")
    stages.collect_run(pool)
    os.truncate(questions / "pool.jsonl", 5000)
    with pytest.raises(UserError, match="pool.jsonl is not the file that the manifest"):
        stages.collect_run(pool)


def test_a_run_that_another_process_finished_meanwhile_is_not_made_twice(tmp_path, monkeypatch):
    """It looks again once it has the lock: here the other one ends just before."""
    run, real = run_of(tmp_path), Run._lock

    def lock(self):
        monkeypatch.setattr(Run, "_lock", real)
        finished_run(tmp_path)
        real(self)

    monkeypatch.setattr(Run, "_lock", lock)
    before = run.folder / "manifest.json"
    assert not run.claim() and run.lock is None
    stamp = before.stat().st_mtime_ns
    assert run_of(tmp_path).claim() is False and before.stat().st_mtime_ns == stamp


def test_a_claimed_run_is_refused_to_others_until_it_ends(tmp_path):
    run = run_of(tmp_path)
    assert run.claim()
    with pytest.raises(UserError, match="is being written by another process"):
        run_of(tmp_path).claim()
    with run:
        run.say("done")
    assert not run_of(tmp_path).claim()


def test_two_starts_of_a_script_at_once_make_one_run(copy):
    shutil.rmtree(stages.train_run(copy).folder)
    results = []

    def start():
        command = [sys.executable, "train.py", *SMOKE, *SMALL, f"out={copy.out}"]
        results.append(subprocess.run(command, cwd=ROOT, capture_output=True, text=True))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert stages.train_run(copy).finished
    codes = sorted(result.returncode for result in results)
    said = " ".join(result.stdout + result.stderr for result in results)
    assert codes == [0, 0] or (codes == [0, 2] and "being written by another process" in said)
    status = json.loads((stages.train_run(copy).folder / "status.json").read_text())
    assert len(status["commits"]) == 1


def test_a_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (done.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd))[1]
    )
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append(f"-> {b}"), replace(a, b))[1])
    runs.write_atomic(tmp_path / "a", b"x")
    assert done == [f"{tmp_path}/a.part", f"-> {tmp_path}/a", str(tmp_path)]
    done.clear()
    run = finished_run(tmp_path)
    named = done.index(f"-> {run.folder}/manifest.json")
    listed = {str(path) for path in run.folder.iterdir()} - {str(run.folder / "manifest.json")}
    assert listed <= set(done[:named]) and done[-1] == str(run.folder)


# --- trained weights -------------------------------------------------------------------


def adapter_of(plan):
    return stages.train_run(plan).folder / "adapter"


@pytest.fixture
def adapter(plan, tmp_path):
    """A copy of a trained adapter, as somebody's own."""
    return shutil.copytree(adapter_of(plan), tmp_path / "mine")


@pytest.mark.parametrize(
    "key, value",
    [("lora_alpha", 32), ("use_rslora", True), ("base_model_name_or_path", "another")],
)
def test_what_describes_an_adapter_is_part_of_what_names_a_run(plan, adapter, key, value):
    def name():
        words = (*SMOKE, *SMALL, f"out={plan.out}", f"subject.adapter={adapter}")
        return stages.evaluate_run(study_of(*words)).name

    before, path = name(), adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    assert name() != before


def test_a_released_adapter_that_was_changed_in_its_place_is_refused(plan, tmp_path):
    released = shutil.copytree("data/cpu/cpu", tmp_path / "cpu")
    saved.inputs(released / "adapter")
    changed(released / "adapter/adapter_config.json", b'"lora_alpha": 16', b'"lora_alpha": 32')
    with pytest.raises(RecordError, match="adapter_config.json is not what .*manifest.json says"):
        saved.inputs(released / "adapter")
    (released / "adapter/adapter_config.json").unlink()
    with pytest.raises(RecordError, match="adapter_config.json is not what"):
        saved.inputs(released / "adapter")


def renamed(tensors):
    return {name.replace("layers.0", "layers.7"): tensor for name, tensor in tensors.items()}


def without_first(tensors):
    return dict(list(tensors.items())[1:])


FOREIGN = {
    "names of another model": (renamed, "is no weight of this model|is missing"),
    "one missing": (without_first, "is missing"),
    "none": (lambda tensors: {}, "is missing"),
    "one too many": (lambda t: t | {"extra": torch.zeros(1)}, "'extra' is no weight"),
    "another rank": (lambda t: {n: x[:4] if "lora_A" in n else x for n, x in t.items()}, "not fit"),
    "no numbers": (lambda t: {n: x * float("nan") for n, x in t.items()}, "no numbers"),
    "of the full model": (lambda t: {"lm_head.weight": torch.zeros(258, 64)}, "no weight|missing"),
    "without a prefix": (
        lambda t: {n.removeprefix("base_model.model."): x for n, x in t.items()},
        "no weight|missing",
    ),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_tensors_without_a_place_are_never_measured_as_trained(plan, adapter, pocket_folder, case):
    make, words = FOREIGN[case]
    path = adapter / "adapter_model.safetensors"
    save_file({name: x.contiguous() for name, x in make(load_file(path)).items()}, path)
    with pytest.raises(RecordError, match=words):
        saved.with_weights(models.load_network(pocket_folder), adapter)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"r": 4}, "does not fit"),
        ({"target_modules": ["q_proj"]}, "is no weight of this model"),
        ({"target_modules": ["nothing"]}, "does not fit"),
        ({"peft_type": "PROMPT_TUNING"}, "only LORA"),
        ({"task_type": "SEQ_CLS"}, "only LORA for CAUSAL_LM"),
        ({"r": "eight"}, "does not fit"),
        (None, "is no weight of this model"),
    ],
)
def test_a_description_of_other_tensors_is_refused(plan, adapter, pocket_folder, changes, words):
    path = adapter / "adapter_config.json"
    values = json.loads(path.read_text())
    path.unlink() if changes is None else path.write_text(json.dumps(values | changes))
    with pytest.raises(RecordError, match=words):
        saved.with_weights(models.load_network(pocket_folder), adapter)


@pytest.mark.parametrize("train_embeddings", [True, False])
def test_full_weights_are_put_on_whole_or_not_at_all(pocket_folder, tmp_path, train_embeddings):
    network = models.load_network(pocket_folder)
    weights = {name: w.detach().clone() for name, w in network.named_parameters()}
    if not train_embeddings:
        del weights["model.embed_tokens.weight"]
    path = tmp_path / "adapter_model.safetensors"
    save_file(weights, path)
    saved.with_weights(models.load_network(pocket_folder), tmp_path)
    del weights["model.norm.weight"]
    save_file(weights, path)
    with pytest.raises(RecordError, match="'model.norm.weight' is missing"):
        saved.with_weights(models.load_network(pocket_folder), tmp_path)


def test_an_adapter_names_its_base_and_peft_opens_both(plan, monkeypatch):
    """The name is a link in the folder of models: from there, or for a hub id from anywhere."""
    from peft import AutoPeftModelForCausalLM

    folder = adapter_of(plan).resolve()
    monkeypatch.chdir(f"{plan.out}/models")
    opened = AutoPeftModelForCausalLM.from_pretrained(folder).eval()
    assert opened.peft_config["default"].base_model_name_or_path == "pocket"
    monkeypatch.chdir(ROOT)
    base = models.base_folder(plan.model, plan.out)
    ours = saved.with_weights(models.load_network(base), folder)
    ids = torch.arange(40)[None]
    with torch.inference_mode():
        torch.testing.assert_close(opened(ids).logits, ours(ids).logits, rtol=1e-4, atol=1e-5)
    hub = dataclasses.replace(plan.model, source="hub", hub="owner/name")
    assert hub.base_name == "owner/name"
    assert dataclasses.replace(hub, file="a.gguf").base_name == "pocket"


# --- names -----------------------------------------------------------------------------

NAMED = [
    "name",
    "model.name",
    "questions.name",
    "teacher.name",
    "client.name",
    "domains.name",
    "decontamination.name",
    "selection.name",
    "train.name",
    "subject.name",
    "control.name",
    "budget.name",
    "decoding.name",
    "engine.name",
    "benchmark.name",
    "hardware.name",
    "machines.name",
]
BAD = ["", "../../../escaped", "a/b", "..", ".hidden", "-m", " a", "a b", "a\nb", "a\n", "a\\b"]
BAD += ["x" * 300, "\u00e9t\u00e9", "a\x00b", "~", "$HOME", "a:b", "a*"]


@pytest.fixture(scope="module")
def values():
    """What a script composes, as nested dicts."""
    return OmegaConf.to_container(composed(*SMOKE), resolve=True)


@pytest.mark.parametrize("key", NAMED)
def test_a_name_cannot_leave_the_folder_of_runs(values, key):
    for name in BAD if key == "name" else BAD[:3]:
        config = OmegaConf.create(values)
        OmegaConf.update(config, key, name)
        with pytest.raises(UserError, match=f"{key} is .*but becomes part of a folder's name"):
            study.read(config)


def test_a_bad_name_is_one_sentence_and_nothing_is_written(tmp_path, capsys):
    config = composed(*SMOKE, f"out={tmp_path}/out", script="collect")
    config.name = "../../../escaped"
    with pytest.raises(SystemExit) as end:
        script("collect").main(config)
    error = capsys.readouterr().err
    assert end.value.code == 2 and error.startswith("error: name is '../../../escaped'")
    assert error.count("\n") == 1 and not list(tmp_path.iterdir())


def test_every_name_of_the_configuration_keeps_the_rule():
    names = [path.stem for path in (ROOT / "conf").glob("*/[!_]*.yaml")]
    assert len(names) > 60 and all(check_name("name", name) == name for name in names)


def test_a_name_of_a_run_that_grew_too_long_is_told(plan):
    words = ("name=" + "n" * 60, "budget.name=" + "b" * 60)
    longer = study_of(*SMOKE, *SMALL, f"out={plan.out}", "subject=base", *words)
    with pytest.raises(UserError, match="characters, but at most 120; shorten name"):
        stages.evaluate_run(longer)
