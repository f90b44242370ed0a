"""A release refuses what nobody could trust later, and copies the rest unchanged."""

import base64
import errno
import fcntl
import gzip
import hashlib
import itertools
import json
import os
import random
import shutil
from urllib.parse import quote

import pytest
import yaml
from kills.steps import killed_at

from ponder import runs
from ponder.errors import UserError
from ponder.hashing import file_sha256
from ponder.record import leaks
from ponder.release import release
from ponder.report import released
from ponder.rows import answers_path
from ponder.runs import dump, read_jsonl, write_jsonl


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A finished evaluate run in <tmp>/outputs of a repository rooted at <tmp>."""
    monkeypatch.setattr(release, "ROOT", tmp_path)
    folder = tmp_path / "outputs" / "evaluate" / "cpu-trained-free-test-0123abcd"
    folder.mkdir(parents=True)
    (tmp_path / "logs").mkdir()
    write_jsonl(folder / "samples.jsonl", [{"id": "a", "correct": True}])
    status = {
        "schema": 1,
        "stage": "evaluate",
        "name": folder.name,
        "status": "completed",
        "commits": [{"commit": "c", "dirty": False}],
    }
    (folder / "config.yaml").write_text("{}\n")
    (folder / "status.json").write_text(dump(status))
    seal(folder)
    return folder


def seal(folder):
    """Write the manifest that fits the folder's files."""
    files = {
        p.relative_to(folder).as_posix(): {"sha256": file_sha256(p), "bytes": p.stat().st_size}
        for p in folder.rglob("*")
        if p.is_file() and p.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(dump({"schema": 1, "files": files}))


def test_a_finished_run_is_copied_byte_for_byte(finished, tmp_path):
    release.main(str(finished))
    copy = tmp_path / "logs" / "evaluate" / finished.name
    assert {p.name: p.read_bytes() for p in copy.iterdir()} == {
        p.name: p.read_bytes() for p in finished.iterdir()
    }


def test_the_text_of_a_public_benchmark_stays_here(finished, tmp_path, capsys):
    write_jsonl(finished / "questions.jsonl", [{"id": "a", "question": "How many?"}])
    seal(finished)
    release.main(str(finished))
    copy = tmp_path / "logs" / "evaluate" / finished.name
    assert not (copy / "questions.jsonl").exists()
    assert (
        "not ours"
        in json.loads((copy / "released.json").read_text())["left_out"]["questions.jsonl"]
    )
    assert "left out questions.jsonl" in capsys.readouterr().out


def test_many_answers_are_packed_and_read_as_they_were(finished, tmp_path, monkeypatch):
    rows_ = [{"task": "t", "id": str(number)} for number in range(3000)]
    write_jsonl(finished / "samples.jsonl", rows_)
    seal(finished)
    monkeypatch.setattr(release, "MEGABYTES", 0.05)
    release.main(str(finished))
    copy = tmp_path / "logs" / "evaluate" / finished.name
    path = answers_path(copy)
    assert path.name == "samples.jsonl.gz" and not (copy / "samples.jsonl").exists()
    assert read_jsonl(path) == rows_ == read_jsonl(answers_path(finished))
    assert path.stat().st_size < 0.05 * 2**20 < (finished / "samples.jsonl").stat().st_size
    files = json.loads((copy / "manifest.json").read_text())["files"]
    assert files["samples.jsonl.gz"]["sha256"] == file_sha256(path)
    assert "samples.jsonl" not in files and "config.yaml" in files
    packed = json.loads((copy / "released.json").read_text())["packed"]
    assert packed == {"samples.jsonl": file_sha256(finished / "samples.jsonl")}


def test_answers_that_are_too_many_even_packed_are_refused(finished, tmp_path, monkeypatch, capsys):
    noise = random.Random(0)
    rows_ = [{"id": noise.randbytes(500).hex()} for _ in range(200)]
    write_jsonl(finished / "samples.jsonl", rows_)
    seal(finished)
    monkeypatch.setattr(release, "MEGABYTES", 0.05)
    with pytest.raises(SystemExit):
        release.main(str(finished))
    assert "samples.jsonl.gz has 0.1 MB, but a released file has at most" in capsys.readouterr().err
    assert not (tmp_path / "logs" / "evaluate" / finished.name).exists()


def test_a_released_folder_never_changes(finished, capsys):
    release.main(str(finished))
    with pytest.raises(SystemExit) as stop:
        release.main(str(finished))
    assert stop.value.code == 2 and "never change" in capsys.readouterr().err


def test_every_reading_of_test_is_released_once(finished, tmp_path):
    readings = finished.parent.parent / "test-readings.jsonl"
    rows = [{"run": finished.name}, {"run": "cpu-abandoned-00000000"}]
    write_jsonl(readings, rows)
    write_jsonl(tmp_path / "logs" / "test-readings.jsonl", rows[:1])
    release.main(str(finished))
    assert runs.read_jsonl(tmp_path / "logs" / "test-readings.jsonl") == rows


# --- kills -----------------------------------------------------------------------------


def tree(root):
    """Return {path: bytes} of what lies in logs/ and data/."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for name in ("logs", "data")
        for path in sorted((root / name).rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("stage", ["evaluate", "collect"])
def test_a_release_that_was_killed_anywhere_is_finished_by_the_same_command(
    finished, tmp_path, monkeypatch, stage
):
    folder = finished if stage == "evaluate" else collected(tmp_path)
    write_jsonl(tmp_path / "outputs" / "test-readings.jsonl", [{"run": finished.name}])
    write_jsonl(tmp_path / "logs" / "test-readings.jsonl", [{"run": "another"}])
    (tmp_path / "data/cpu/cpu").mkdir(parents=True)
    older = {"schema": 1, "files": {"adapter/x": {"run": "cpu-00000000", "sha256": "0"}}}
    (tmp_path / "data/cpu/cpu/manifest.json").write_text(dump(older, indent=1))
    before, target = tree(tmp_path), f"logs/{stage}/{folder.name}/"
    monkeypatch.setattr(leaks, "found_in", lambda text: None)  # has its own tests, and is slow
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # the same, and a kill needs none

    def fresh(name):
        root = tmp_path / name
        for part in ("logs", "data", "outputs"):
            shutil.copytree(tmp_path / part, root / part)
        monkeypatch.setattr(release, "ROOT", root)
        return root, lambda: release.main(str(root / folder.relative_to(tmp_path)))

    root, whole = fresh("whole")
    whole()
    after, killed = tree(root), 0
    for number in itertools.count():
        root, again = fresh("killed")
        if not killed_at(number, again):
            break
        killed += 1
        left = tree(root)
        assert all(left[name] in (before.get(name), after.get(name)) for name in left), number
        released = {name for name in left if name.startswith(target)}
        assert released in (set(), {name for name in after if name.startswith(target)}), number
        if released:
            with pytest.raises(SystemExit):
                again()
        else:
            again()
            assert not (root / ".staging").exists()
        assert tree(root) == after, number
        shutil.rmtree(root)
    assert killed > 20


def test_two_releases_at_once_do_not_mix(finished, tmp_path, capsys):
    lock = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert "another release or paper is being written" in refused(capsys, str(finished))
    os.close(lock)


def test_a_release_that_fails_while_it_copies_leaves_nothing(finished, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = tree(tmp_path)
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(SystemExit):
        release.main(str(finished))
    assert tree(tmp_path) == before and not (tmp_path / ".staging").exists()


def test_a_file_of_another_run_is_no_release_to_finish(finished, tmp_path, capsys):
    folder, data = collected(tmp_path), tmp_path / "data/cpu/cpu"
    data.mkdir(parents=True)
    shutil.copy(folder / "train.jsonl", data / "train.jsonl")
    other = {"schema": 1, "files": {"train.jsonl": {"run": "cpu-00000000"}}}
    (data / "manifest.json").write_text(dump(other))
    assert "released files never change" in refused(capsys, str(folder))


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_run_whose_manifest_was_cut_short_is_not_released(finished, capsys, text):
    (finished / "manifest.json").write_text(text)
    assert "killed while its manifest was written" in refused(capsys, str(finished))


@pytest.mark.parametrize("status", ["failed", "running"])
def test_a_failed_or_abandoned_run_is_released_with_all_it_wrote_and_a_manifest(
    finished, tmp_path, status
):
    unfinished(finished)
    record = json.loads((finished / "status.json").read_text())
    record |= {"status": status, "reason": "it broke", "inputs": {"a": "b"}}
    (finished / "status.json").write_text(dump(record))
    write_jsonl(finished / "generations.jsonl", [{"scratch": True}])
    release.main(str(finished))
    copy = tmp_path / "logs" / "evaluate" / finished.name
    files = json.loads((copy / "manifest.json").read_text())["files"]
    assert {p.name for p in copy.iterdir()} == {
        "samples.jsonl",
        "config.yaml",
        "status.json",
        "manifest.json",
    }
    assert len(files) == 3
    assert all(file_sha256(copy / name) == entry["sha256"] for name, entry in files.items())


def test_a_run_that_is_being_written_is_not_released(finished):
    lock = os.open(finished, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(UserError, match="being written"):
        release.checked(finished)
    os.close(lock)


# --- what may be passed on -------------------------------------------------------------


TERMS = {
    "licence": "Some API terms",
    "reading": "allowed",
    "text": None,
    "quoted": "do not compete",
    "source": "a page",
    "why": "as read",
}


def collected(tmp_path, reading="allowed", **pool):
    """A finished collect run whose teacher's terms read like this."""
    folder = tmp_path / "outputs" / "collect" / "cpu-0123abcd"
    folder.mkdir(parents=True)
    config = {
        "teacher": {"name": "a model", "terms": TERMS | {"reading": reading}},
        "questions": {"kind": "drawn", "name": "cpu", **pool},
    }
    (folder / "config.yaml").write_text(dump(config))
    write_jsonl(folder / "train.jsonl", [{"id": "a"}])
    (folder / "calls.jsonl.gz").write_bytes(gzip.compress(b"{}\n", mtime=0))
    status = {
        "schema": 1,
        "stage": "collect",
        "name": folder.name,
        "status": "completed",
        "inputs": {},
        "commits": [{"commit": "c", "dirty": False}],
    }
    (folder / "status.json").write_text(dump(status))
    seal(folder)
    return folder


def refused(capsys, *arguments):
    """Return what a release that is refused says."""
    with pytest.raises(SystemExit) as stop:
        release.main(*arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_an_allowed_data_set_is_released_with_its_terms(finished, tmp_path):
    release.main(str(collected(tmp_path)))
    manifest = json.loads((tmp_path / "data/cpu/cpu/manifest.json").read_text())
    assert (
        set(manifest["files"]) == {"train.jsonl", "calls.jsonl.gz"}
        and manifest["terms"] == TERMS
        and "override" not in manifest
    )
    assert {p.name for p in (tmp_path / "logs/collect/cpu-0123abcd").iterdir()} == {
        "config.yaml",
        "manifest.json",
        "released.json",
        "status.json",
    }


@pytest.mark.parametrize(
    "directory, group",
    [("data/qwen/questions", "qwen"), ("data/cpu/questions-new", "cpu"), ("outputs/mine", "cpu")],
)
def test_rows_and_weights_lie_beside_the_questions_that_were_asked(
    finished, tmp_path, directory, group
):
    rows = collected(tmp_path, dir=directory)
    release.main(str(rows))
    folder = tmp_path / "outputs" / "train" / "cpu-seed1-0123abcd"
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    status = json.loads((rows / "status.json").read_text()) | {"name": folder.name}
    inputs = {"train.jsonl": file_sha256(rows / "train.jsonl")}
    (folder / "status.json").write_text(dump(status | {"stage": "train", "inputs": inputs}))
    (folder / "config.yaml").write_text("{}\n")
    seal(folder)
    release.main(str(folder))
    data = tmp_path / "data"
    assert runs.released_data("cpu", data) == data / group / "cpu"
    assert runs.released_data("cpu-seed1", data) == data / group / "cpu-seed1"
    assert (data / group / "cpu-seed1/adapter/adapter_model.safetensors").exists()
    assert runs.released_data("cpu-seed2", data) is None


@pytest.mark.parametrize("reading", ["restricted", "unclear"])
def test_terms_that_do_not_allow_it_refuse_a_release_and_name_the_clause(
    finished, tmp_path, capsys, reading
):
    message = refused(capsys, str(collected(tmp_path, reading)))
    assert reading in message and '"do not compete"' in message
    assert "OVERRIDE=logs/decisions/" in message
    assert not (tmp_path / "data").exists() and not (tmp_path / "logs/collect").exists()


def test_an_override_leaves_its_decision_record_in_the_manifest(finished, tmp_path, capsys):
    name = "logs/decisions/0099-all-the-same.md"
    folder, record = collected(tmp_path, "restricted"), tmp_path / name
    assert "no decision record" in refused(capsys, str(folder), name)
    record.parent.mkdir()
    record.write_text("why")
    release.main(str(folder), name)
    override = json.loads((tmp_path / "data/cpu/cpu/manifest.json").read_text())["override"]
    assert override["decision"] == name and override["sha256"] == file_sha256(record)
    assert "do not compete" in override["refused"]


def test_sources_whose_revision_nobody_read_are_not_released(finished, tmp_path, capsys):
    web = yaml.safe_load((runs.ROOT / "conf/questions/s1-59k.yaml").read_text())
    message = refused(capsys, str(collected(tmp_path, **web)))
    assert "at a revision nobody has read" in message
    assert "python -m ponder.release.revisions conf/questions/s1-59k.yaml" in message


def test_weights_are_released_after_the_rows_they_were_trained_on(finished, tmp_path, capsys):
    folder = tmp_path / "outputs" / "train" / "cpu-0123abcd"
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    rows = collected(tmp_path)
    status = json.loads((rows / "status.json").read_text())
    inputs = {"train.jsonl": file_sha256(rows / "train.jsonl")}
    (folder / "status.json").write_text(dump(status | {"stage": "train", "inputs": inputs}))
    (folder / "config.yaml").write_text("{}\n")
    seal(folder)
    assert "release its collect run first" in refused(capsys, str(folder))
    release.main(str(rows))
    release.main(str(folder))
    assert (tmp_path / "data/cpu/cpu/adapter/adapter_model.safetensors").read_bytes() == b"weights"


# --- keys and places -------------------------------------------------------------------


KEYS = {  # made up
    "OpenAI": "sk-" + "aB3" * 16,
    "OpenAI, of a project": "sk-proj-" + "a1_-" * 12,
    "OpenAI, short": "sk-proj-abcdefgh1234",
    "Anthropic": "sk-ant-api03-" + "Zx9-" * 20,
    "OpenRouter": "sk-or-v1-" + "0af3" * 16,
    "GitHub, classic": "ghp_" + "a1B2" * 9,
    "GitHub, fine-grained": "github_pat_" + "11ABCDEFG0" * 8,
    "GitHub, of an app": "ghs_" + "a1B2" * 9,
    "GitLab": "glpat-" + "x7Yz" * 5,
    "Amazon": "AKIA" + "Q3EGRTLP" * 2,
    "Google": "AIza" + "SyD-3_x" * 5,
    "Slack": "xoxb-123456789012-1234567890123-" + "aBc1" * 6,
    "Hugging Face": "hf_" + "aBcDeFgH" * 4,
    "JSON Web Token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "a1B2" * 10,
    "a header": "Authorization: Bearer " + "q1w2e3r4" * 3,
    "a header in a URL": "?auth=Bearer+" + "q1w2e3r4" * 3,
    "basic authorization": "Authorization: Basic dXNlcjpodW50ZXIyaHVudGVyMg==",
    "RSA": "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA",
    "OpenSSH": "-----BEGIN OPENSSH PRIVATE KEY-----",
    "PGP": "-----BEGIN PGP PRIVATE KEY BLOCK-----",
    "a URL with a password": "postgres://me:hunter2hunter2@example.com/db",
    "Replicate": "r8_" + "a1B2C3d4E5f6" * 3 + "G",
    "Groq": "gsk_" + "a1B2C3d4E5f6G" * 4,
    "Weights & Biases": "WANDB_API_KEY=" + hashlib.sha1(b"made up").hexdigest(),
    "escaped by JSON": "\\u0073\\u006b-" + "aB3" * 16,
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_key_is_known_by_its_form(key):
    assert "looks like a key" in leaks.found_in(f'{{"reason": "got {key} back"}}', {})
    assert key not in leaks.found_in(key, {}), "the message repeats it"


def test_the_names_of_machine_and_user_are_found_as_words(monkeypatch):
    monkeypatch.setattr(leaks.socket, "gethostname", lambda: "node17")
    monkeypatch.setattr(leaks.getpass, "getuser", lambda: "me")
    assert "'node17'" in leaks.found_in("ran on node17.", {})
    assert leaks.found_in("some text of node170", {}) is None


@pytest.mark.parametrize(
    "text",
    [
        "The task-specific step-by-step solution is bearer of responsibility.",
        "ask-a-question-about-the-longest-word-of-all",
        "sha256: " + "0123456789abcdef" * 4,
        "model: sk-learn, hf_hub, AKIA, ghp_x; https://example.com:8000/v1?a=b@c",
        "Bearer authentication is described in the manual.",
        "BEGIN PUBLIC KEY",
        "/homework/ and /worker/ and ~/x",
    ],
)
def test_what_is_no_key_is_none(text):
    assert leaks.found_in(text, {"PATH": "described", "KEYBOARD": "question"}) is None


SECRET = "p@ss/word+hunter 2"
WRITTEN = {
    "as it is": SECRET,
    "in a sentence": f"the server said: {SECRET}!",
    "in JSON": json.dumps({"x": SECRET + '"'}),
    "in a URL": "https://x/?key=" + quote(SECRET, safe=""),
    "in a URL, lower case": "https://x/?key=" + quote(SECRET, safe="").lower(),
    "in a form": quote(SECRET, safe="").replace("%20", "+"),
    "in base64": base64.b64encode(SECRET.encode()).decode(),
    "in base64 with a user": base64.b64encode(b"me:" + SECRET.encode()).decode(),
    "in base64 within more": base64.b64encode(b"user:" + SECRET.encode() + b"@host").decode(),
    "in base64 for URLs": base64.urlsafe_b64encode(b"a" + SECRET.encode()).decode(),
    "in hexadecimal": SECRET.encode().hex(),
}


@pytest.mark.parametrize("name", ["MY_API_KEY", "hf_token", "SECRET", "DB_PASSWORD", "APIKEY2"])
@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_the_value_of_a_variable_that_is_named_like_a_key_is_found(text, name):
    private = leaks.found_in(text, {name: f"{SECRET}\n"})
    assert name in private and SECRET not in private


@pytest.mark.parametrize(
    "name, value", [("SECRET", "short"), ("TOKENIZERS_PARALLELISM", "falsefalse")]
)
def test_a_short_value_and_a_variable_that_holds_no_key_are_passed_on(name, value):
    assert leaks.found_in(f"a text with {value} in it", {name: value}) is None


def in_config(folder):
    (folder / "config.yaml").write_text(f"selection: {{name: {SECRET!r}}}\n")


def in_log(folder):
    (folder / "stdout.log").write_text(f"HTTP 401 for {SECRET}\n")


def in_reason(folder):
    status = json.loads((folder / "status.json").read_text())
    reason = f"ServerError: no access with {SECRET}"
    (folder / "status.json").write_text(dump(status | {"status": "failed", "reason": reason}))


def in_inputs(folder):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(dump(manifest | {"inputs": {f"/data/{SECRET}.jsonl": "0"}}))


def in_trace(folder):
    write_jsonl(folder / "samples.jsonl", [{"id": "a", "think": f"so {SECRET} it is"}])


def in_packed_calls(folder):
    row = dump({"url": "https://x/?key=" + quote(SECRET)}).encode()
    (folder / "calls.jsonl.gz").write_bytes(gzip.compress(row))


def in_packed_file_of_another_name(folder):
    (folder / "calls.bin").write_bytes(gzip.compress(SECRET.encode()))


def in_name_of_file(folder):
    (folder / f"{SECRET.replace('/', '')}.txt").write_text("x")


def in_header_of_weights(folder):
    header = json.dumps({"__metadata__": {"from": SECRET}}).encode()
    weights = len(header).to_bytes(8, "little") + header + b"\0" * 64
    (folder / "adapter_model.safetensors").write_bytes(weights)


def in_readings(folder):
    write_jsonl(folder.parent.parent / "test-readings.jsonl", [{"run": f"cpu-{SECRET}"}])


@pytest.mark.parametrize(
    "spoil",
    [
        in_config,
        in_log,
        in_reason,
        in_inputs,
        in_trace,
        in_packed_calls,
        in_packed_file_of_another_name,
        in_name_of_file,
        in_header_of_weights,
        in_readings,
    ],
)
def test_a_key_is_found_wherever_a_run_wrote_it(finished, tmp_path, capsys, monkeypatch, spoil):
    monkeypatch.setenv(
        "PONDER_TEST_KEY", SECRET.replace("/", "") if spoil is in_name_of_file else SECRET
    )
    spoil(finished)
    if spoil is not in_inputs:
        seal(finished)
    before = tree(tmp_path)
    message = refused(capsys, str(finished))
    assert "PONDER_TEST_KEY" in message and SECRET not in message
    assert tree(tmp_path) == before


def test_a_key_in_the_name_of_a_run_is_found(finished, capsys, monkeypatch):
    monkeypatch.setenv("PONDER_TEST_SECRET", "trained-free-test")
    assert "PONDER_TEST_SECRET" in refused(capsys, str(finished))


def test_a_packed_file_that_cannot_be_read_is_not_released(finished, capsys):
    (finished / "calls.jsonl.gz").write_bytes(gzip.compress(b"x" * 1000)[:-12])
    seal(finished)
    assert "cannot be unpacked" in refused(capsys, str(finished))


def unfinished(folder):
    (folder / "manifest.json").unlink()


def dirty(folder):
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(
        dump(status | {"commits": [{"commit": "c", "dirty": True}]})
    )
    seal(folder)


def edited(folder):
    (folder / "samples.jsonl").write_text("{}\n")


def too_large(folder):
    (folder / "stdout.log").write_bytes(b"x" * (release.MEGABYTES * 2**20 + 1))
    seal(folder)


def private(folder):
    (folder / "stdout.log").write_text("saved to /home/someone/outputs\n")
    seal(folder)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (unfinished, "killed while its"),
        (dirty, "uncommitted"),
        (edited, "its manifest"),
        (too_large, "at most 5"),
        (private, "names a machine"),
    ],
)
def test_a_run_that_cannot_be_trusted_is_refused(finished, spoil, message):
    spoil(finished)
    with pytest.raises(UserError, match=message):
        release.checked(finished)


def test_a_row_of_the_table_needs_exactly_one_completed_run(finished, tmp_path):
    logs = tmp_path / "outputs"
    assert released.run_folder("evaluate", "cpu-trained-free-test", logs) == finished
    for label in ("cpu-trained-free", "cpu-trained-cap16-test"):
        with pytest.raises(UserError, match="0 times"):
            released.run_folder("evaluate", label, logs)


def test_every_row_of_the_table_is_a_label_of_its_own():
    rows = released.rows()
    assert len({row.label for row in rows}) == len(rows)
    assert len({row.run_label("test") for row in rows}) == len(rows)
    assert sum(row.main for row in rows) >= 8


def test_weights_that_are_too_large_are_left_out_and_said_to_be(finished, tmp_path, capsys):
    folder = collected(tmp_path)
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(
        b"x" * (release.WEIGHT_MEGABYTES * 2**20 + 1)
    )
    seal(folder)
    release.main(str(folder))
    record = json.loads((tmp_path / "logs/collect/cpu-0123abcd/released.json").read_text())
    assert list(record["left_out"]) == ["adapter/adapter_model.safetensors"]
    assert "train.jsonl" in record["moved"]
    assert not list((tmp_path / "data").rglob("*.safetensors"))
    assert "left out adapter/adapter_model" in capsys.readouterr().out
