r"""A folder as a model hub takes it, of a training or of a data set; nothing here pushes it.

    make hub-folder RUN=logs/train/cpu-d57f96ff     # a training: outputs/train/... works too
    make hub-folder RUN=data/cpu/cpu                # a data set with its card

writes outputs/hub/<name>/ anew. Of a training it holds the adapter, which names its base, the
tokenizer, the licence and a model card with every evaluation of these very weights; of a data set
its card, rows, Croissant and figures. To push it, log in with `hf auth login`, then

    hf upload YOU/NAME outputs/hub/NAME --repo-type model     # or: --repo-type dataset
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ponder import models
from ponder.card import card
from ponder.config import build
from ponder.errors import UserError, user_errors
from ponder.hashing import file_sha256
from ponder.models import Model
from ponder.record import leaks
from ponder.release import release
from ponder.report import printed
from ponder.runs import ROOT, dump
from ponder.train import saved

OUT = ROOT / "outputs"
ROWS = (".jsonl", ".jsonl.gz")
TOKENIZER = ("tokenizer", "special_tokens", "chat_template", "vocab", "merges", "added_tokens")


def folder_of(run: Path, out: Path = OUT) -> Path:
    """Write the folder of a run or data set to `out`/hub and return it.

    Raises UserError for what is neither a finished training nor a data set with its card, and for
    a text that must not be passed on.
    """
    if (run / "croissant.json").is_file() and (run / "README.md").is_file():
        return _written(out / "hub" / run.resolve().name, lambda part: _data_set(run, part))
    status = release.whole_json(run / "status.json")
    if status is None:
        raise UserError(
            f"{str(run)!r} is no run and no data set with a card; name a training, such as "
            "logs/train/cpu-d57f96ff, or a data set, such as data/cpu/cpu"
        )
    if (status["stage"], status["status"]) != ("train", "completed"):
        raise UserError(
            f"{run} is of the stage {status['stage']} and {status['status']}, but only a completed "
            "training has weights; name one, or the folder of a data set"
        )
    return _written(out / "hub" / status["name"], lambda part: _training(run, status, out, part))


def _written(folder: Path, write: Any) -> Path:
    """Return the folder that `write` filled; it has its name only when it is whole."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        write(part)
        for path in sorted(part.iterdir()):
            release.check_text(path.name, leaks.text_of(path))
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _data_set(data: Path, part: Path) -> None:
    names = [name for name in (*card.KNOWN, *card.WRITTEN) if (data / name).exists()]
    if not any(name.endswith(ROWS) for name in names):
        raise UserError(f"{data} has no rows; name a data set that collect.py wrote")
    for name in names:
        shutil.copyfile(data / name, part / name)
    front = (data / "README.md").read_text().split("---")[1]
    if yaml.safe_load(front)["license"] == "apache-2.0":  # others are named in the card
        shutil.copyfile(ROOT / "LICENSE", part / "LICENSE")


def _training(run: Path, status: Mapping[str, Any], out: Path, part: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    weights = saved.weights(_weights(run))
    description = release.whole_json(weights.with_name(saved.CONFIG))
    if description is None:
        raise UserError(
            f"{run} trained all weights, and only an adapter goes with the name of its base; write "
            "the whole model by python -m ponder.release.merge"
        )
    model = base_of(config["model"])
    description["base_model_name_or_path"] = model.hub or model.name
    (part / saved.CONFIG).write_text(dump(description, indent=1))
    shutil.copyfile(weights, part / saved.WEIGHTS)
    for path in models.tokenizer_folder(model, out).iterdir():
        if path.name.startswith(TOKENIZER):
            shutil.copyfile(path, part / path.name)
    shutil.copyfile(ROOT / "LICENSE", part / "LICENSE")
    found = evaluations(file_sha256(weights), (ROOT / "logs", run.parent.parent))
    text = model_card(status, config, model, found)
    (part / "README.md").write_text(text)


def _weights(run: Path) -> Path:
    """Return the folder with the weights of a run, which a release moved to data/."""
    moves = release.whole_json(run / "released.json")
    if moves is None:
        return run / "adapter"
    name = f"adapter/{saved.WEIGHTS}"
    if name not in moves["moved"]:
        raise UserError(
            f"{run} was released without its weights ({moves['left_out'][name]}); name the run "
            "under outputs/ that made them"
        )
    return (ROOT / moves["moved"][name]).parent


def base_of(values: Mapping[str, Any]) -> Model:
    """Return the base of a run; what its config is too old to say comes from conf/model."""
    path = ROOT / "conf" / "model" / f"{values['name']}.yaml"
    known = yaml.safe_load(path.read_text()) if path.exists() else {}
    return build(Model, {**known, **values}, "model")


def evaluations(digest: str, trees: Sequence[Path]) -> list[tuple[str, dict[str, Any]]]:
    """Return (name, result over all questions) of the completed evaluations below the trees whose
    weights have this SHA-256, each once, by name.
    """
    found = {}
    for tree in trees:
        for path in tree.glob("evaluate/*/status.json"):
            status = release.whole_json(path) or {}
            inputs = status.get("inputs", {})
            if status.get("status") == "completed" and inputs.get(saved.WEIGHTS) == digest:
                results = json.loads((path.parent / "results.json").read_text())
                found[status["name"]] = results["all"]
    return sorted(found.items())


# --- the card --------------------------------------------------------------------------


def model_card(
    status: Mapping[str, Any],
    config: Mapping[str, Any],
    model: Model,
    found: Sequence[tuple[str, Mapping[str, Any]]],
) -> str:
    """Return the README.md of a trained adapter: YAML that the hub reads, then what it is."""
    base = model.hub or model.name
    head = {
        "license": "apache-2.0",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["lora", "reasoning", "s1", "test-time-scaling"],
    }
    if model.hub:
        head["base_model"] = model.hub
    where = (
        f"The base is `{base}` on a hub. It was read from: {model.source}; its licence, as "
        f"conf/model says: {model.licence}."
        if model.hub
        else f"The base `{base}` is on no hub: `conf/model` of ponder makes it, in "
        f"`outputs/models/{base}`, and peft finds it from there."
    )
    lines = [
        "---",
        *yaml.safe_dump(head, sort_keys=False).splitlines(),
        "---",
        "",
        f"# {status['name']}",
        "",
        "A LoRA adapter from ponder, a reproduction of s1 (simple test-time scaling, "
        "arXiv:2501.19393): it thinks before it answers, for as long as its caller lets it.",
        "",
        where,
        "",
        "## What was measured",
        "",
        *_results(found),
        "",
        "## How it was made",
        "",
        f"By the run `{status['name']}` at commit `{status['commits'][-1]['commit']}`, on rows "
        f"with the SHA-256 `{status['inputs']['train.jsonl']}`:",
        "",
        "```yaml",
        *yaml.safe_dump(
            {"seed": config["seed"], "train": config["train"]}, sort_keys=False
        ).splitlines(),
        "```",
        "",
        "## How to open it",
        "",
        "```python",
        "from peft import AutoPeftModelForCausalLM",
        "from transformers import AutoTokenizer",
        "",
        'model = AutoPeftModelForCausalLM.from_pretrained("path/to/this/folder")',
        'tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")',
        "```",
        "",
        "The chat template writes the turns of the training. Cutting the thinking, and forcing "
        "more of it, is done by `evaluate.py` of ponder.",
        "",
        "## What it is not",
        "",
        "An assistant: it was trained on few questions of few kinds, to study how thinking "
        "longer changes accuracy. What its rows are, and what their teacher's terms allow, is in "
        "the card of the data set.",
    ]
    return "\n".join(lines) + "\n"


def _results(found: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return the table of evaluations, or the sentence that there is none."""
    if not found:
        return ["Nothing yet: no completed evaluation of these weights was found."]
    return [
        "Each row is a run of `evaluate.py` with exactly these weights, whose answers lie in "
        "ponder's `logs/evaluate` where it is released.",
        "",
        "| run | questions answered right, with 95% interval | answers | mean thinking tokens |",
        "|---|---|---|---|",
        *(
            f"| `{name}` | {printed.share_text(result)} | {printed.string(result['n'])} | "
            f"{printed.string(float(result['thinking_tokens']))} |"
            for name, result in found
        ),
    ]


@user_errors
def main(run: str) -> None:
    """Write the folder of a run or data set, and say where it is."""
    folder = folder_of(Path(run))
    print(
        f"wrote {folder.relative_to(ROOT)}: {', '.join(sorted(p.name for p in folder.iterdir()))}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
