"""What other programs read of a release: the model openness file, the records of Every Eval Ever,
the SBOM.

The Croissant files are in tests/test_card.py.
"""

import contextlib
import json
import shutil
import tomllib
import uuid
from collections import Counter

import pytest
import yaml
from conftest import ROOT

from ponder.card import croissant
from ponder.errors import UserError
from ponder.grading.families import extract
from ponder.hashing import file_sha256
from ponder.release import exports
from ponder.runs import read_jsonl, write_jsonl

MOF = yaml.safe_load((ROOT / "data" / "mof.yml").read_text(encoding="ascii"))
RELEASE = MOF["release"]
COMPONENTS = {part["name"]: part for part in RELEASE["components"]}
# The names of the components, in their order, and what a class asks for; the sources are named in
# data/mof.yml.
NAMES = (
    "Model architecture",
    "Data preprocessing code",
    "Training code",
    "Inference code",
    "Evaluation code",
    "Supporting libraries and tools",
    "Model parameters (Final)",
    "Model parameters (Intermediate)",
    "Datasets",
    "Evaluation data",
    "Model metadata",
    "Sample model outputs",
    "Model card",
    "Data card",
    "Technical report",
    "Research paper",
    "Evaluation results",
)
CLASS_III = {
    "Model architecture",
    "Model parameters (Final)",
    "Technical report",
    "Evaluation results",
    "Model card",
    "Data card",
}
CLASS_II = CLASS_III | {
    "Training code",
    "Inference code",
    "Evaluation code",
    "Evaluation data",
    "Supporting libraries and tools",
}
CLASS_I = {
    "Model parameters (Intermediate)",
    "Research paper",
    "Datasets",
    "Data preprocessing code",
}  # among others

EVALUATE = ROOT / "logs" / "evaluate"
MAIN, SAMPLED = (
    EVALUATE / "cpu-trained-free-test-43c273eb",
    EVALUATE / "cpu-trained-free-sampled4-test-4896a1f8",
)
BASE, FULL = (
    EVALUATE / "cpu-base-plain-test-3cb39811",
    EVALUATE / "cpu-full-trained-free-dev-1ef80881",
)
MADE = 1_800_000_000


def value(path):
    return json.loads(path.read_text())


def record(folder):
    return exports.record(folder, exports.trained(), MADE)


# --- the model openness file -----------------------------------------------------------


def test_the_openness_file_has_the_form_that_its_tool_reads():
    assert MOF == {
        "framework": {"name": "Model Openness Framework", "version": "1.0", "date": "2024-12-15"},
        "release": RELEASE,
    }
    assert list(RELEASE) == [
        "name",
        "version",
        "date",
        "type",
        "architecture",
        "origin",
        "producer",
        "contact",
        "repository",
        "huggingface",
        "license",
        "components",
    ]
    assert RELEASE["license"] == {"distribution": {"name": "Apache-2.0", "path": "LICENSE"}}
    texts = [text for key, text in RELEASE.items() if key not in ("license", "components")]
    for part in RELEASE["components"]:
        assert list(part) == ["name", "description", "component_path", "license", "license_path"]
        texts += part.values()
    assert all(type(text) is str for text in texts)
    assert list(COMPONENTS) == [name for name in NAMES if name in COMPONENTS]
    assert len(COMPONENTS) == len(RELEASE["components"])


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_lies_where_the_openness_file_says_under_a_licence_that_is_here(name):
    part = COMPONENTS[name]
    for path in (part["component_path"], part["license_path"]):
        assert (ROOT / path).exists()
        assert (ROOT / path).resolve().relative_to(ROOT).as_posix() == path
    assert part["license"] in croissant.SPDX


def test_the_licences_of_the_openness_file_are_those_that_the_repository_states():
    said = {part["license"] for part in COMPONENTS.values()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = yaml.safe_load((ROOT / "conf" / "model" / "smollm2-135m.yaml").read_text())
    terms = yaml.safe_load((ROOT / "conf" / "teacher" / "hf.yaml").read_text())[
        "terms"
    ]  # of the weights, base and adapter
    families = value(ROOT / COMPONENTS["Evaluation data"]["component_path"] / "manifest.json")[
        "families"
    ]
    card = value(ROOT / COMPONENTS["Datasets"]["component_path"] / "croissant.json")
    stated = {
        project["license"],
        base["licence"],
        terms["licence"],
        *(family["licence"] for family in families.values()),
        *(url.removeprefix("https://spdx.org/licenses/") for url in card["license"]),
    }
    assert said == stated == {"Apache-2.0"}
    # The text itself, by the hash under which it is held.
    assert file_sha256(ROOT / "LICENSE") == terms["text"]


def test_the_openness_file_claims_class_two_and_has_all_that_it_asks_for():
    assert "it is class II of the framework" in (ROOT / "data" / "mof.yml").read_text()
    assert CLASS_III | CLASS_II <= set(COMPONENTS) and CLASS_II | CLASS_I <= set(NAMES)
    # So it is not class I.
    assert CLASS_I - set(COMPONENTS) == {"Model parameters (Intermediate)", "Research paper"}


def test_the_openness_file_is_about_the_weights_that_were_evaluated():
    weights = file_sha256(
        ROOT
        / COMPONENTS["Model parameters (Final)"]["component_path"]
        / "adapter_model.safetensors"
    )
    evaluated = {
        (ROOT / COMPONENTS[name]["component_path"]).parent
        for name in ("Evaluation results", "Sample model outputs")
    }
    assert (
        evaluated == {MAIN}
        and value(MAIN / "status.json")["inputs"]["adapter_model.safetensors"] == weights
    )
    assert (
        exports.trained()[weights][0]
        == (ROOT / COMPONENTS["Model metadata"]["component_path"]).name
    )
    card = value(ROOT / COMPONENTS["Datasets"]["component_path"] / "croissant.json")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (RELEASE["version"], RELEASE["date"]) == (project["version"], card["datePublished"])
    base = yaml.safe_load((ROOT / "conf" / "model" / "smollm2-135m.yaml").read_text())
    assert RELEASE["origin"] == base["hub"].split("/")[1]
    said = COMPONENTS["Model parameters (Final)"]["description"]
    assert base["wheel"]["requirement"].replace("==", " ") in said and base["licence"] in said


def test_the_openness_file_says_what_is_not_here():
    lacking = {name for name, part in COMPONENTS.items() if "not here" in part["description"]}
    assert lacking == {
        "Model architecture",
        "Data preprocessing code",
        "Training code",
        "Supporting libraries and tools",
        "Model parameters (Final)",
        "Datasets",
        "Model metadata",
        "Model card",
    }


# --- Every Eval Ever -------------------------------------------------------------------


@pytest.mark.parametrize("folder", [MAIN, SAMPLED, BASE, FULL], ids=lambda folder: folder.name)
def test_the_scores_of_a_record_are_those_of_the_results(folder):
    aggregate, _ = record(folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    split, results = config["benchmark"]["split"], value(folder / "results.json")
    scores = {
        score["evaluation_name"].removeprefix(f"ponder-cpu/{split}/"): score
        for score in aggregate["evaluation_results"]
    }
    assert set(scores) == {*results["tasks"], "all"}
    assert len(scores) == len(aggregate["evaluation_results"])
    samples, method = (4, "bootstrap over questions") if folder == SAMPLED else (1, "Wilson")
    for name, result in {**results["tasks"], "all": results["all"]}.items():
        score = scores[name]["score_details"]
        interval = score["uncertainty"]["confidence_interval"]
        assert score["score"] == result["accuracy"]
        assert (interval["lower"], interval["upper"]) == (result["low"], result["high"])
        assert score["uncertainty"]["num_samples"] == result["n"] // samples
        assert interval["method"] == method
        details = {key: json.loads(text) for key, text in score["details"].items()}
        assert details == {key: result[key] for key in details}
        assert {"n", "correct", "thinking_tokens"} <= set(details)
    inputs = value(folder / "status.json")["inputs"]
    assert scores["coin"]["source_data"]["additional_details"] == {
        f"{split}/coin.jsonl": inputs[f"{split}/coin.jsonl"]
    }
    assert set(scores["all"]["source_data"]["additional_details"]) == {
        f"{split}/{task}.jsonl" for task in results["tasks"]
    }


@pytest.mark.parametrize("folder", [MAIN, SAMPLED, BASE], ids=lambda folder: folder.name)
def test_every_answer_is_a_row_of_its_score(folder):
    aggregate, rows = record(folder)
    samples = read_jsonl(folder / "samples.jsonl")
    assert len(rows) == len(samples) == aggregate["detailed_evaluation_results"]["total_rows"]
    right = Counter()
    for row, sample in zip(rows, samples):
        assert (row["evaluation_id"], row["model_id"]) == (
            aggregate["evaluation_id"],
            aggregate["model_info"]["id"],
        )
        assert row["sample_id"] == sample["id"]
        assert row["input"] == {"raw": sample["question"], "reference": [sample["gold"]]}
        assert row["output"] == {"raw": [sample["reply"]], "reasoning_trace": [sample["thinking"]]}
        extracted = [entry["extracted_value"] for entry in row["answer_attribution"]]
        assert extracted == [answer for answer in [extract(sample["reply"])] if answer]
        assert row["metadata"]["num_thinking"] == str(sample["num_thinking"])
        right[row["evaluation_result_id"]] += row["evaluation"]["is_correct"]
        assert row["evaluation"]["score"] == sample["correct"]
    counted = {
        score["evaluation_result_id"]: int(score["score_details"]["details"]["correct"])
        for score in aggregate["evaluation_results"]
        if not score["evaluation_name"].endswith("/all")
    }
    assert dict(right) == counted


def test_a_record_says_whose_weights_were_asked_and_how():
    own, base, full = (record(folder)[0] for folder in (MAIN, BASE, FULL))
    details = own["model_info"]["additional_details"]
    assert (
        own["model_info"]["id"] == "ponder/cpu-d57f96ff"
        and details["model_availability"] == "open_weights"
    )
    assert file_sha256(ROOT / details["weights"]) == details["weights_sha256"]
    assert (
        base["model_info"]["id"] == details["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    )
    assert (
        "weights" not in base["model_info"]["additional_details"]
        and "Q4_1" in details["base_weights"]
    )
    assert full["model_info"]["id"] == "ponder/cpu-full-8478ba71"
    # Its weights are too large for a release.
    assert full["model_info"]["additional_details"]["model_availability"] == "closed_weights"
    assert {made["source_metadata"]["evaluator_relationship"] for made in (own, full)} == {
        "first_party"
    }
    assert base["source_metadata"]["evaluator_relationship"] == "third_party"
    packages = value(MAIN / "environment.json")["packages"]
    assert own["eval_library"] == {"name": "lm_eval", "version": packages["lm_eval"]}
    assert own["model_info"]["inference_engine"] == {
        "name": "transformers",
        "version": packages["transformers"],
    }
    served = record(EVALUATE / "qwen-base-boxed-math-unforced-llamacpp-gsm8k-400-5ddefde2")[0]
    engine = served["model_info"]["inference_engine"]
    assert engine["name"] == "llamacpp" and "xllamacpp 2026.10.11549" in engine["version"]
    sampled, greedy = (
        record(folder)[0]["evaluation_results"][0]["generation_config"]
        for folder in (SAMPLED, MAIN)
    )
    assert sampled["generation_args"]["temperature"] == 1.0 and greedy["generation_args"] == {
        "temperature": 0.0,
        "reasoning": True,
    }
    assert json.loads(greedy["additional_details"]["budget"])["max_thinking"] == 192


def test_every_released_run_of_a_model_has_a_record_of_its_own():
    made = [aggregate for aggregate, _ in exports.records(MADE)]
    runs = {aggregate["source_metadata"]["additional_details"]["run"] for aggregate in made}
    kinds = {
        path.parent.name: yaml.safe_load(path.read_text())["subject"]["kind"]
        for path in EVALUATE.glob("*/config.yaml")
    }
    assert runs == {name for name, kind in kinds.items() if kind in ("base", "trained")}
    assert len(made) == len(runs)
    # Subject nearest looks answers up and is no model.
    assert set(kinds.values()) == {"base", "trained", "nearest"}
    places = [aggregate["detailed_evaluation_results"]["file_path"] for aggregate in made]
    assert len(set(places)) == len({aggregate["evaluation_id"] for aggregate in made}) == len(made)
    assert all(
        uuid.UUID(place.rsplit("/", 1)[1].removesuffix("_samples.jsonl")).version == 4
        for place in places
    )


def test_weights_that_nobody_released_are_refused():
    with pytest.raises(
        UserError, match="43c273eb has weights that no run in logs/train made; release the run"
    ):
        exports.record(MAIN, {}, MADE)


def test_a_text_stays_on_its_line_and_what_another_grader_found_is_kept(tmp_path):
    folder = shutil.copytree(MAIN, tmp_path / MAIN.name)
    samples = read_jsonl(folder / "samples.jsonl")[:3]
    samples[0]["reply"] = "one\u2028two\x85three\n\u4e2d"
    samples[1]["answer"] = "found by another"
    write_jsonl(folder / "samples.jsonl", samples)
    aggregate, rows = record(folder)
    assert exports.write(aggregate, rows, tmp_path / "out") == 3
    place = tmp_path / "out" / aggregate["detailed_evaluation_results"]["file_path"]
    lines = place.read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows and place.read_text().isascii()
    assert rows[0]["output"]["raw"] == [samples[0]["reply"]] and rows[0]["answer_attribution"] == []
    assert rows[1]["answer_attribution"][0]["extracted_value"] == "found by another"
    assert file_sha256(place) == aggregate["detailed_evaluation_results"]["checksum"]
    assert value(place.with_name(place.name.replace("_samples.jsonl", ".json"))) == aggregate


@pytest.mark.skipif(
    not (exports.TOOLS / "every_eval_ever").exists(),
    reason="every-eval-ever is not installed; make export does",
)
def test_the_validator_of_every_eval_ever_takes_the_records_and_finds_a_fault(tmp_path):
    for folder in (MAIN, SAMPLED, BASE, FULL):
        exports.write(*record(folder), tmp_path)
    assert exports.validated(tmp_path) == (8, [])
    path = sorted(tmp_path.glob("data/*/*/*/*.json"))[0]
    path.write_text(json.dumps(value(path) | {"evaluation_id": "another"}))
    files, faults = exports.validated(tmp_path)
    assert files == 8 and any(path.name in fault and "evaluation_id" in fault for fault in faults)


# --- the command and the SBOM ----------------------------------------------------------


SBOM = {
    "components": [
        {"name": name, "version": version}
        for name, version in (("PyYAML", "6.0.3"), ("torch", "2.13.0+cpu"), ("trl", "9"))
    ]
}


def stand_ins(folder, warnings, cyclonedx):
    """Write stand-ins for both tools: a validator with these warnings, and the shell code that
    stands for the other.
    """
    folder.mkdir()
    (folder / "report").write_text(
        json.dumps([{"file": "a.json", "errors": [], "warnings": warnings}])
    )
    (folder / "sbom").write_text(json.dumps(SBOM))
    for name, code in (("every_eval_ever", f"cat {folder}/report"), ("cyclonedx-py", cyclonedx)):
        (folder / name).write_text(f"#!/bin/sh\n{code}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize(
    "warnings, fails", [([], False), ([{"loc": "id", "msg": "is odd"}], False), ([], True)]
)
def test_the_command_says_what_the_tools_found(tmp_path, monkeypatch, capsys, warnings, fails):
    out, made = tmp_path / "out", record(MAIN)
    write = f"cp {tmp_path}/tools/sbom {out}/sbom.cdx.json"
    monkeypatch.setattr(
        exports, "TOOLS", stand_ins(tmp_path / "tools", warnings, "exit 3" if fails else write)
    )
    monkeypatch.setattr(exports, "OUT", out)
    monkeypatch.setattr(exports, "ROOT", tmp_path)
    monkeypatch.setattr(exports, "records", lambda now: [made])
    (tmp_path / "requirements.lock").write_text(
        "# a lock\npyyaml==6.0.3 ; python_version > '3' \\\n    --hash=sha256:0\n"
    )
    (tmp_path / "pyproject.toml").write_text('dependencies = ["torch==2.13.0"]\n')
    good = not warnings and not fails
    with contextlib.nullcontext() if good else pytest.raises(SystemExit, match="1"):
        exports.main()
    said = capsys.readouterr().out
    assert "1 runs, 480 answers -> out/data; its validator: 1 files" in said and (
        "a.json: id: is odd" in said
    ) == bool(warnings)
    assert (
        "3 packages -> out/sbom.cdx.json, valid; installed beside what is pinned: trl==9" in said
    ) == good


def test_without_its_tools_the_command_is_refused_in_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exports, "OUT", tmp_path / "out")
    monkeypatch.setattr(exports, "TOOLS", ROOT / "outputs" / "no-such-venv")
    with pytest.raises(SystemExit) as stop:
        exports.main()
    assert (
        stop.value.code == 2
        and "run make export" in capsys.readouterr().err
        and not (tmp_path / "out").exists()
    )
