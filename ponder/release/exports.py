"""Exports for other programs: released evaluate runs as Every Eval Ever records, and what is installed as a CycloneDX SBOM.

`make export` writes outputs/export/data/, in the layout of the Every Eval Ever datastore, and outputs/export/sbom.cdx.json. Both
are checked by the tools that own the formats, which lie in a venv of their own: neither the lock nor the tests need them.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
import uuid
from datetime import datetime

import yaml

from ponder.errors import UserError, user_errors
from ponder.grading.families import extract
from ponder.runs import ROOT, read_jsonl

SCHEMA = "0.3.0"  # of Every Eval Ever: both schemas in the package of that version
OUT, TOOLS = ROOT / "outputs" / "export", ROOT / "outputs" / "export-venv" / "bin"
WEIGHTS = "adapter/adapter_model.safetensors"


@user_errors
def main():
    """Write both exports anew and print what their tools say of them; exit code 1 where these find a fault."""
    for tool in ("every_eval_ever", "cyclonedx-py"):
        if not (TOOLS / tool).exists():
            raise UserError(
                f"{tool} is not in {TOOLS.relative_to(ROOT)}; run make export, which installs it there"
            )
    shutil.rmtree(OUT, ignore_errors=True)
    rows = [write(aggregate, rows, OUT) for aggregate, rows in records(int(time.time()))]
    files, faults = validated(OUT)
    print(
        f"Every Eval Ever: {len(rows)} runs, {sum(rows)} answers -> {(OUT / 'data').relative_to(ROOT)}; its validator: "
        f"{files} files, {len(faults)} faults",
        *faults[:10],
        sep="\n  ",
        flush=True,
    )
    bom, project = OUT / "sbom.cdx.json", ROOT / "pyproject.toml"
    done = subprocess.run(
        [
            TOOLS / "cyclonedx-py",
            "environment",
            "--pyproject",
            project,
            "--output-reproducible",
            "--validate",
            "--output-file",
            bom,
            sys.prefix,
        ]
    )
    if faults or done.returncode:
        sys.exit(1)
    parts = json.loads(bom.read_text())["components"]
    pins = [
        *(ROOT / "requirements.lock").read_text().splitlines(),
        *re.findall(r'"(torch==[^"]*)"', project.read_text()),
    ]
    extra = ", ".join(unpinned(parts, pins)) or "nothing"
    print(
        f"CycloneDX: {len(parts)} packages -> {bom.relative_to(ROOT)}, valid; installed beside what is pinned: {extra}"
    )


def unpinned(parts, pins):
    """Return the components of an SBOM, as name==version, that no line of a lock pins; a local build counts as its version."""
    found = {
        f"{re.sub('[-_.]+', '-', part['name']).lower()}=={part['version'].split('+')[0]}"
        for part in parts
    }
    return sorted(found - {re.split(r"[\s;\\]", line)[0] for line in pins})


def records(made, logs=ROOT / "logs"):
    """Yield `record` of each completed evaluate run whose subject is a model; `made` is now, in seconds since 1970."""
    models = trained(logs)
    for path in sorted(logs.glob("evaluate/*/config.yaml")):
        kind = yaml.safe_load(path.read_text())["subject"]["kind"]
        if kind != "nearest" and _json(path.parent, "status")["status"] == "completed":
            yield record(path.parent, models, made)


def trained(logs=ROOT / "logs"):
    """Return {SHA-256 of weights: (name of their train run, their place in data/, None where they were too large to release)}."""
    found = {}
    for folder in sorted(path.parent for path in logs.glob("train/*/released.json")):
        if entry := _json(folder, "manifest")["files"].get(WEIGHTS):
            found[entry["sha256"]] = (folder.name, _json(folder, "released")["moved"].get(WEIGHTS))
    return found


def record(folder, models, made):
    """Return (aggregate, rows) of an evaluate run: its record as Every Eval Ever has it, and one for each answer.

    Raises UserError for weights that are not in `models`, which is what `trained` returns.
    """
    config, status = yaml.safe_load((folder / "config.yaml").read_text()), _json(folder, "status")
    results, packages, asked = (
        _json(folder, "results"),
        _json(folder, "environment")["packages"],
        config["benchmark"],
    )
    answers, clocks = read_jsonl(folder / "samples.jsonl"), read_jsonl(folder / "timing.jsonl")
    start = datetime.fromisoformat(
        next(row["utc"] for row in clocks if row.get("event") == "start")
    )
    model, collection = _model(config, status, models), f"ponder-{asked['name']}"
    same = {"schema_version": SCHEMA, "evaluation_id": f"{folder.name}/{model['id']}/{made}"}
    rows = [
        {
            **same,
            "model_id": model["id"],
            **_answer(row, f"{collection}/{asked['split']}/{row['task']}"),
        }
        for row in answers
    ]
    settings = {
        "generation_args": {
            "temperature": config.get("decoding", {"temperature": 0.0})["temperature"],
            "reasoning": any(row["thinking"] for row in answers),
        },
        "additional_details": {
            name: json.dumps(part, sort_keys=True)
            for name, part in config.items()
            if name != "model"
        },
    }
    scores = []
    for name, found in {**results["tasks"], "all": results["all"]}.items():
        title, ends = (
            f"{collection}/{asked['split']}/{name}",
            ".jsonl" if name == "all" else f"/{name}.jsonl",
        )
        read = {file: sha256 for file, sha256 in status["inputs"].items() if file.endswith(ends)}
        scores.append(
            {
                "evaluation_result_id": f"{title}/accuracy",
                "evaluation_name": title,
                "generation_config": settings,
                "source_data": {
                    "dataset_name": title,
                    "source_type": "other",
                    "additional_details": read,
                },
                **_score(found),
            }
        )
    unique = uuid.UUID(
        bytes=hashlib.sha256(folder.name.encode()).digest()[:16], version=4
    )  # the same run gets the same
    return {
        **same,
        "retrieved_timestamp": str(made),
        "evaluation_timestamp": str(int(start.timestamp())),
        "source_metadata": {
            "source_name": "ponder",
            "source_type": "evaluation_run",
            "source_organization_name": "The ponder developers",
            "evaluator_relationship": "first_party"
            if model["developer"] == "ponder"
            else "third_party",
            "additional_details": {"run": folder.name, "commit": status["commits"][-1]["commit"]},
        },
        "eval_library": {"name": "lm_eval", "version": packages["lm_eval"]},
        "model_info": {
            **model,
            "inference_engine": {"name": "transformers", "version": packages["transformers"]},
        },
        "evaluation_results": scores,
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": f"data/{collection}/{model['id']}/{unique}_samples.jsonl",
            "total_rows": len(rows),
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(_lines(rows).encode()).hexdigest(),
        },
    }, rows


def _json(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def _lines(rows):
    return "".join(
        json.dumps(row) + "\n" for row in rows
    )  # ASCII: no character of a text ends a line


def _model(config, status, models):
    base, place = config["model"], "as base_weights"
    ident = base["hub"] or f"ponder/{base['name']}"  # a random model is on no hub
    details = {"base_model": ident, "base_weights": json.dumps(base["wheel"] or base["source"])}
    if config["subject"]["kind"] == "trained":
        if (weights := status["inputs"].get("adapter_model.safetensors")) not in models:
            raise UserError(
                f"{status['name']} has weights that no run in logs/train made; release the run that made them first"
            )
        run, place = models[weights]
        ident, details = (
            f"ponder/{run}",
            details | {"weights": place or "not released", "weights_sha256": weights},
        )
    details |= {
        "deployment_type": "self_deployed",
        "model_availability": "open_weights" if place else "closed_weights",
    }
    return {
        "name": ident.split("/")[1],
        "id": ident,
        "developer": ident.split("/")[0],
        "additional_details": details,
    }


def _score(found):
    n, method = (
        (found["questions"], "bootstrap over questions")
        if "questions" in found
        else (found["n"], "Wilson")
    )
    interval = {
        "lower": found["low"],
        "upper": found["high"],
        "confidence_level": 0.95,
        "method": method,
    }
    more = {
        key: str(found[key])
        for key in ("n", "correct", "thinking_tokens", "capped", "ignored_ends")
    }
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
            "score": found["accuracy"],
            "details": more,
            "uncertainty": {"confidence_interval": interval, "num_samples": n},
        },
    }


def _answer(row, title):
    found = (
        row["answer"] if "answer" in row else extract(row["reply"])
    )  # a row of ponder/questions/benchmarks.py has it
    told = {
        "turn_idx": 0,
        "source": "output.raw",
        "extracted_value": found,
        "extraction_method": "regex",
        "is_terminal": True,
    }
    more = (
        "sample",
        "num_thinking",
        "num_answer",
        "num_ignored",
        "capped",
        "finish",
        "prompt_sha256",
    )
    return {
        "evaluation_name": title,
        "evaluation_result_id": f"{title}/accuracy",
        "sample_id": row["id"],
        "sample_hash": hashlib.sha256((row["question"] + row["gold"]).encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": row["question"], "reference": [row["gold"]]},
        "output": {"raw": [row["reply"]], "reasoning_trace": [row["thinking"]]},
        "answer_attribution": [] if found is None else [told],
        "evaluation": {"score": float(row["correct"]), "is_correct": row["correct"]},
        "metadata": {key: str(row[key]) for key in more if key in row},
    }


def write(aggregate, rows, out):
    """Write a record and its rows below `out`, where the record says that they lie; return the number of rows."""
    path = out / aggregate["detailed_evaluation_results"]["file_path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_lines(rows))
    path.with_name(path.name.replace("_samples.jsonl", ".json")).write_text(
        json.dumps(aggregate, indent=1) + "\n"
    )
    return len(rows)


def validated(out):
    """Return (files, faults): how many files below `out` the validator of Every Eval Ever read, and a line for each fault."""
    done = subprocess.run(
        [TOOLS / "every_eval_ever", "validate", "--format", "json", "data/*/*/*/*.json*"],
        cwd=out,
        capture_output=True,
        text=True,
    )
    if not done.stdout:
        return 0, [done.stderr.strip()]
    reports = json.loads(done.stdout)
    return len(reports), [
        f"{report['file']}: {at['loc']}: {at['msg']}"
        for report in reports
        for at in report["errors"] + report["warnings"]
    ]


if __name__ == "__main__":
    main()
