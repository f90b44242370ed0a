"""Token ids of an evaluation by another engine beside those of `engine=hf`, and where they part.

    make serve-vllm MODEL=outputs/merged      # in another terminal; it prints its name and address
    PYTHONPATH=tests python tests/bench/server_ids.py http://127.0.0.1:8000/v1 NAME --limit 5
    PYTHONPATH=tests python tests/bench/server_ids.py openvino    # after make openvino

The sweep of free, cap16 and wait1 by SmolLM2-135M with the released adapter, greedy, in float32,
on the first dev questions of each family. Where two answers part, the gap between the two largest
logits is told: one of float32's rounding is no fault of either. Exits with 1 where an answer parts
at a larger one.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from conftest import ROOT, study_of

STUDY = ("experiment=cpu", "subject.adapter=data/cpu/cpu/adapter", "wandb=disabled")
BUDGETS = ("free", "cap16", "wait1")
# Sums of some hundred float32 products in two orders differ by about this much in a logit of ten.
ROUNDING = 1e-3


@dataclasses.dataclass(frozen=True)
class Parting:
    """Where two answers to one question part."""

    budget: str
    question: str  # its id
    place: int  # tokens that both have before
    tokens: tuple  # the next of each, None where it has ended
    gap: float  # between the two largest logits there

    def __str__(self):
        return (
            f"{self.budget} {self.question}: {self.tokens[0]} or {self.tokens[1]} after "
            f"{self.place} tokens, top-2 gap {self.gap:.2g}"
        )


def place_of(ours, theirs):
    """Return how many tokens two lists have in common at their heads; None where they are equal."""
    if ours == theirs:
        return None
    both = zip(ours, theirs)
    return next(
        (at for at, (one, other) in enumerate(both) if one != other), min(len(ours), len(theirs))
    )


def gap(network, ids):
    """Return the difference of the two largest logits after some token ids."""
    import torch

    with torch.no_grad():
        first, second = network(torch.tensor([ids])).logits[0, -1].float().topk(2).values.tolist()
    return first - second


def evaluated(out, limit, engine, budgets):
    """Return ({(budget, id): sample}, seconds) of a sweep under the folder `out`."""
    out.mkdir()
    (out / "models").symlink_to(ROOT / "outputs" / "models")
    began = time.monotonic()
    asked = [*STUDY, f"out={out}", f"sweep=[{','.join(budgets)}]", f"benchmark.limit={limit}"]
    ended = subprocess.run(
        [sys.executable, "evaluate.py", *asked, *engine], cwd=ROOT, capture_output=True, text=True
    )
    seconds = time.monotonic() - began
    assert ended.returncode == 0, ended.stderr
    samples = {}
    for budget in budgets:
        (path,) = out.glob(f"evaluate/*-{budget}-*/samples.jsonl")
        for line in path.read_text().splitlines():
            sample = json.loads(line)
            samples[budget, sample["id"]] = sample
    return samples, seconds


def partings(ours, theirs):
    """Return a Parting for each sample of a budget and question whose ids differ."""
    from ponder import models
    from ponder.train import sft

    assert ours.keys() == theirs.keys()
    apart = [key for key in ours if ours[key]["ids"] != theirs[key]["ids"]]
    if not apart:
        return []
    plan = study_of(*STUDY)
    network, chat = models.load(models.base_folder(plan.model, plan.out), plan.model.delimiters)
    network = sft.with_weights(network, ROOT / "data/cpu/cpu/adapter").eval()
    found = []
    for budget, question in apart:
        ids = [samples[budget, question]["ids"] for samples in (ours, theirs)]
        place = place_of(*ids)
        prompt = chat.prompt(ours[budget, question]["question"])
        tokens = tuple(answer[place] if place < len(answer) else None for answer in ids)
        between = gap(network, [*prompt, *ids[0][:place]])
        found.append(Parting(budget, question, place, tokens, between))
    return found


def server(url, name):
    """Return the words of evaluate.py that ask a server."""
    words = ("engine=server", f"engine.url={url}", f"engine.model={name}")
    return (*words, "client.concurrency=48")


def compared(folder, limit, engine, budgets=BUDGETS):
    """Return (samples, partings, seconds of hf, seconds of the other) of two evaluations.

    `engine` are the words of evaluate.py that choose the other.
    """
    ours, hf_seconds = evaluated(folder / "hf", limit, ("engine=hf",), budgets)
    theirs, seconds = evaluated(folder / "other", limit, engine, budgets)
    return len(ours), partings(ours, theirs), hf_seconds, seconds


def main():
    """Print what was found; return 1 where an answer parts at more than rounding."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="of the server, up to and with /v1; or openvino")
    parser.add_argument("model", nargs="?", help="what the server calls it")
    parser.add_argument("--limit", type=int, default=5, help="questions of each family (5)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = server(asked.url, asked.model) if asked.model else (f"engine={asked.url}",)
        count, apart, ours, theirs = compared(Path(folder), asked.limit, engine)
    print(f"{count - len(apart)} of {count} samples have the ids of engine=hf")
    print(f"engine=hf {ours:.1f} s, {engine[0]} {theirs:.1f} s, with starting")
    for parting in apart:
        print(parting)
    return int(any(parting.gap > ROUNDING for parting in apart))


if __name__ == "__main__":
    sys.exit(main())
