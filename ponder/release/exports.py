"""Exports for other programs: released evaluate runs as Every Eval Ever records, and what is
installed as a CycloneDX SBOM.

`make export` writes outputs/export/data/, in the layout of the Every Eval Ever datastore, and
outputs/export/sbom.cdx.json. Both are checked by the tools that own the formats, which lie in a
venv of their own: neither the lock nor the tests need them.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from ponder import rows
from ponder.errors import UserError, user_errors
from ponder.grading.families import extract
from ponder.rows import ABSENT, SampleRow
from ponder.runs import ROOT, read_jsonl

SCHEMA = "0.3.0"  # of Every Eval Ever: both schemas in the package of that version
OUT, TOOLS = ROOT / "outputs" / "export", ROOT / "outputs" / "export-venv" / "bin"
WEIGHTS = "adapter/adapter_model.safetensors"

Record = dict[str, Any]
# {SHA-256 of weights: (name of their train run, their place in data/, None where they were too
# large to release)}
Weights = dict[str, tuple[str, str | None]]


@user_errors
def main() -> None:
    """Write both exports anew and print what their tools say of them; exit code 1 where these find
    a fault.
    """
    for tool in ("every_eval_ever", "cyclonedx-py"):
        if not (TOOLS / tool).exists():
            raise UserError(
                f"{tool} is not in {TOOLS.relative_to(ROOT)}; run make export, which installs it "
                "there"
            )
    shutil.rmtree(OUT / "data", ignore_errors=True)  # logs of Inspect may lie beside it
    counts = [write(aggregate, answers, OUT) for aggregate, answers in records(int(time.time()))]
    files, faults = validated(OUT)
    print(
        f"Every Eval Ever: {len(counts)} runs, {sum(counts)} answers -> "
        f"{(OUT / 'data').relative_to(ROOT)}; its validator: {files} files, {len(faults)} faults",
        *faults[:10],
        sep="\n  ",
        flush=True,
    )
    is_written = write_sbom(OUT / "sbom.cdx.json")
    if faults or not is_written:
        sys.exit(1)
    print_sbom(OUT / "sbom.cdx.json")


# --- the SBOM --------------------------------------------------------------------------


def write_sbom(path: Path) -> bool:
    """Write what is installed here as a CycloneDX SBOM; return whether its tool calls it valid."""
    options = ["--output-reproducible", "--validate", "--output-file", path]
    project = ["--pyproject", ROOT / "pyproject.toml"]
    command = [TOOLS / "cyclonedx-py", "environment", *project, *options, sys.prefix]
    return subprocess.run([*map(str, command)]).returncode == 0


def print_sbom(path: Path) -> None:
    """Print how many packages an SBOM has, and which of them nothing pins."""
    components = json.loads(path.read_text())["components"]
    torch = re.findall(r'"(torch==[^"]*)"', (ROOT / "pyproject.toml").read_text())
    pins = [*(ROOT / "requirements.lock").read_text().splitlines(), *torch]
    print(
        f"CycloneDX: {len(components)} packages -> {path.relative_to(ROOT)}, valid; installed "
        f"beside what is pinned: {', '.join(unpinned(components, pins)) or 'nothing'}"
    )


def unpinned(components: list[Record], pins: list[str]) -> list[str]:
    """Return the components of an SBOM, as name==version, that no line of a lock pins; a local
    build counts as its version.
    """
    installed = set()
    for component in components:
        name = re.sub("[-_.]+", "-", component["name"]).lower()
        installed.add(f"{name}=={component['version'].split('+')[0]}")
    return sorted(installed - {re.split(r"[\s;\\]", line)[0] for line in pins})


# --- records of Every Eval Ever --------------------------------------------------------


def records(now: int, logs: Path = ROOT / "logs") -> Iterator[tuple[Record, list[Record]]]:
    """Yield `record` of each completed evaluate run whose subject is a model; `now` is in seconds
    since 1970.
    """
    weights = trained(logs)
    for path in sorted(logs.glob("evaluate/*/config.yaml")):
        kind = yaml.safe_load(path.read_text())["subject"]["kind"]
        if kind != "nearest" and _json(path.parent, "status")["status"] == "completed":
            yield record(path.parent, weights, now)


def trained(logs: Path = ROOT / "logs") -> Weights:
    """Return the Weights of all released trainings."""
    weights: Weights = {}
    for folder in sorted(path.parent for path in logs.glob("train/*/released.json")):
        if entry := _json(folder, "manifest")["files"].get(WEIGHTS):
            moved = _json(folder, "released")["moved"]
            weights[entry["sha256"]] = folder.name, moved.get(WEIGHTS)
    return weights


def record(folder: Path, weights: Weights, now: int) -> tuple[Record, list[Record]]:
    """Return (aggregate, answers) of an evaluate run: its record as Every Eval Ever has it, and
    one for each answer.

    Raises UserError for weights that are not among those of `trained`.
    """
    config = yaml.safe_load((folder / "config.yaml").read_text())
    status, packages = _json(folder, "status"), _json(folder, "environment")["packages"]
    benchmark = config["benchmark"]
    samples = rows.read(SampleRow, rows.answers_path(folder))
    model, collection = _model(config, status, weights), f"ponder-{benchmark['name']}"
    title = f"{collection}/{benchmark['split']}"
    head: Record = {"schema_version": SCHEMA, "evaluation_id": f"{folder.name}/{model['id']}/{now}"}
    answers = [
        {**head, "model_id": model["id"], **_answer(sample, f"{title}/{sample.task}")}
        for sample in samples
    ]
    # The same run gets the same name.
    digest = hashlib.sha256(folder.name.encode()).digest()
    unique = uuid.UUID(bytes=digest[:16], version=4)
    is_ours = model["developer"] == "ponder"
    aggregate: Record = {
        **head,
        "retrieved_timestamp": str(now),
        "evaluation_timestamp": str(_started(folder)),
        "source_metadata": {
            "source_name": "ponder",
            "source_type": "evaluation_run",
            "source_organization_name": "The ponder developers",
            "evaluator_relationship": "first_party" if is_ours else "third_party",
            "additional_details": {"run": folder.name, "commit": status["commits"][-1]["commit"]},
        },
        "eval_library": {"name": "lm_eval", "version": packages["lm_eval"]},
        "model_info": {
            **model,
            "inference_engine": _engine(config, samples, packages["transformers"]),
        },
        "evaluation_results": _scores(folder, title, _settings(config, samples)),
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": f"data/{collection}/{model['id']}/{unique}_samples.jsonl",
            "total_rows": len(answers),
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(_lines(answers).encode()).hexdigest(),
        },
    }
    return aggregate, answers


def _engine(config: dict[str, Any], samples: list[SampleRow], transformers: str) -> dict[str, str]:
    """Return the kind of engine that was asked for a run's answers, and its version.

    Another engine than ours says its version itself. The oldest runs name none: there was one.
    """
    name = config.get("engine", {}).get("kind", "hf")
    if name == "hf":
        return {"name": "transformers", "version": transformers}
    return {"name": name, "version": samples[0].engine}


def _json(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text())


def _lines(answers: list[Record]) -> str:
    # ASCII, so that no character of a text ends a line.
    return "".join(json.dumps(answer) + "\n" for answer in answers)


def _started(folder: Path) -> int:
    """Return when a run was started first, in seconds since 1970."""
    clocks = read_jsonl(folder / "timing.jsonl")
    starts = [row["utc"] for row in clocks if row.get("event") == "start"]
    return int(datetime.fromisoformat(starts[0]).timestamp())


def _settings(config: Record, samples: list[SampleRow]) -> Record:
    decoding = config.get("decoding", {"temperature": 0.0})
    return {
        "generation_args": {
            "temperature": decoding["temperature"],
            "reasoning": any(sample.thinking for sample in samples),
        },
        "additional_details": {
            name: json.dumps(part, sort_keys=True)
            for name, part in config.items()
            if name != "model"
        },
    }


def _scores(folder: Path, title: str, settings: Record) -> list[Record]:
    """Return the record of each family's score, and of that over all."""
    results, inputs = _json(folder, "results"), _json(folder, "status")["inputs"]
    scores = []
    for name, result in {**results["tasks"], "all": results["all"]}.items():
        suffix = ".jsonl" if name == "all" else f"/{name}.jsonl"
        files = {file: sha256 for file, sha256 in inputs.items() if file.endswith(suffix)}
        source = {
            "dataset_name": f"{title}/{name}",
            "source_type": "other",
            "additional_details": files,
        }
        scores.append(
            {
                "evaluation_result_id": f"{title}/{name}/accuracy",
                "evaluation_name": f"{title}/{name}",
                "generation_config": settings,
                "source_data": source,
                **_score(result),
            }
        )
    return scores


def _model(config: Record, status: Record, weights: Weights) -> Record:
    base = config["model"]
    base_id = base["hub"] or f"ponder/{base['name']}"  # a random model is on no hub
    name, is_open = base_id, True
    details = {"base_model": base_id, "base_weights": json.dumps(base["wheel"] or base["source"])}
    if config["subject"]["kind"] == "trained":
        digest = status["inputs"].get("adapter_model.safetensors")
        if digest not in weights:
            raise UserError(
                f"{status['name']} has weights that no run in logs/train made; release the run "
                "that made them first"
            )
        run, place = weights[digest]
        name, is_open = f"ponder/{run}", place is not None
        details |= {"weights": place or "not released", "weights_sha256": digest}
    details |= {
        "deployment_type": "self_deployed",
        "model_availability": "open_weights" if is_open else "closed_weights",
    }
    return {
        "name": name.split("/")[1],
        "id": name,
        "developer": name.split("/")[0],
        "additional_details": details,
    }


def _score(result: Record) -> Record:
    n, method = result["n"], "Wilson"
    if "questions" in result:  # several samples of each
        n, method = result["questions"], "bootstrap over questions"
    interval = {
        "lower": result["low"],
        "upper": result["high"],
        "confidence_level": 0.95,
        "method": method,
    }
    counts = ("n", "correct", "thinking_tokens", "capped", "ignored_ends")
    return {
        "metric_config": {
            "metric_id": "accuracy",
            "metric_kind": "accuracy",
            "metric_unit": "proportion",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0,
            "max_score": 1,
        },
        "score_details": {
            "score": result["accuracy"],
            "details": {key: str(result[key]) for key in counts},
            "uncertainty": {"confidence_interval": interval, "num_samples": n},
        },
    }


def _answer(sample: SampleRow, title: str) -> Record:
    # An answer to a public benchmark holds what its grader read.
    value = extract(sample.reply) if sample.answer is ABSENT else sample.answer
    attribution = {
        "turn_idx": 0,
        "source": "output.raw",
        "extracted_value": value,
        "extraction_method": "regex",
        "is_terminal": True,
    }
    kept = ("sample", "num_thinking", "num_answer", "num_ignored", "capped", "finish")
    values = rows.values_of(sample)
    is_public = sample.question is ABSENT
    named = f"{sample.task}/{sample.id}/{sample.gold_sha256}"
    text = named if is_public else sample.question + sample.gold
    asked = {} if is_public else {"raw": sample.question, "reference": [sample.gold]}
    return {
        "evaluation_name": title,
        "evaluation_result_id": f"{title}/accuracy",
        "sample_id": sample.id,
        "sample_hash": hashlib.sha256(text.encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": asked or {"raw": "not ours to publish", "reference": []},
        "output": {"raw": [sample.reply], "reasoning_trace": [sample.thinking]},
        "answer_attribution": [] if value is None else [attribution],
        "evaluation": {"score": float(sample.correct), "is_correct": sample.correct},
        "metadata": {key: str(values[key]) for key in (*kept, "prompt_sha256") if key in values},
    }


# --- files -----------------------------------------------------------------------------


def write(aggregate: Record, answers: list[Record], out: Path) -> int:
    """Write a record and its answers below `out`, where the record says that they lie; return the
    number of answers.
    """
    path = out / aggregate["detailed_evaluation_results"]["file_path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_lines(answers))
    beside = path.with_name(path.name.replace("_samples.jsonl", ".json"))
    beside.write_text(json.dumps(aggregate, indent=1) + "\n")
    return len(answers)


def validated(out: Path) -> tuple[int, list[str]]:
    """Return (files, faults): how many files below `out` the validator of Every Eval Ever read,
    and a line for each fault.
    """
    command = [TOOLS / "every_eval_ever", "validate", "--format", "json", "data/*/*/*/*.json*"]
    process = subprocess.run([*map(str, command)], cwd=out, capture_output=True, text=True)
    if not process.stdout:
        return 0, [process.stderr.strip()]
    reports = json.loads(process.stdout)
    faults = []
    for report in reports:
        for fault in report["errors"] + report["warnings"]:
            faults.append(f"{report['file']}: {fault['loc']}: {fault['msg']}")
    return len(reports), faults


if __name__ == "__main__":
    main()
