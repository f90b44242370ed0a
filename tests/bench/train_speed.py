"""How fast train.py trains on a CPU, beside TRL's SFTTrainer: the same rows, the same frozen
embeddings, as many rows a step.

    # every arm twice in turn, a fresh process each; about a quarter of an hour
    PYTHONPATH=tests python tests/bench/train_speed.py
    # a look
    PYTHONPATH=tests python tests/bench/train_speed.py --turns 1 --arms ponder trl-packed
    # LoRA on the student of the Qwen2.5 scale; two to three minutes an arm and turn
    PYTHONPATH=tests python tests/bench/train_speed.py --scale qwen

Tokens per second are the median over an arm's steps, the first three of a process left out. All
tokens of a step's rows count, padding never does. The steps of all arms are the same rows in the
same order. After each step a process measures one square matrix product, so that a share of this
ceiling was taken while the machine was as busy as it was for that step.

    ponder          train.py as it is (its own train function, called with a clock in it), float32
    ponder-bf16     the same with the layers' arithmetic in bfloat16, weights in float32
    trl             SFTTrainer as installed: its defaults (8 rows at once, bf16 autocast, gradient
                    checkpointing), plus use_cpu, without which its bf16 default refuses a machine
                    that has no GPU, and two accumulations for 16 rows a step
    trl-float32     the same with bf16 and gradient checkpointing off
    trl-packed      trl-float32 without padding, fewer rows at once, and with the allocator told
                    what ponder.train.memory tells it
    trl-packed-bf16 the same with bf16 autocast

"As installed" is the faster of the two unpacked arms, "at its best" the fastest of all four; each
is held against the faster of ours. The ceiling is float32 for `ponder` and bfloat16 for arms that
compute in it. Exits with 1 when a goal is missed.
"""

import argparse
import collections
import contextlib
import importlib.util
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench.alone import in_a_process
from conftest import ROOT, script, study_of

SCALES = {  # {experiment: (its released rows, the command line)}; a step is one block, never saved
    "cpu": (
        ROOT / "data" / "cpu" / "cpu" / "train.jsonl",
        (
            "experiment=cpu",
            "train.method=full",
            "train.lr=1e-5",
            "train.epochs=1",
            "train.batch_rows=16",
            "train.max_tokens=2048",
            "train.checkpoint_steps=1000",
            "wandb=disabled",
        ),
    ),
    "qwen": (
        ROOT / "data" / "qwen" / "qwen" / "train.jsonl",
        (
            "experiment=qwen",
            "train.epochs=1",
            "train.batch_rows=4",
            "train.checkpoint_steps=1000",
            "wandb=disabled",
        ),
    ),
}
SIDE = 4096  # of the square matrices of the ceiling
WARM, LEAST = 3, 5  # steps of a process that do not count, while its memory grows; that must
INSTALLED, BEST, CEILING = 4, 1.5, 0.85
OFF = {"bf16": False, "gradient_checkpointing": False}
PACKED = OFF | {
    "padding_free": True,
    "max_length": None,
}
ARMS = {  # overrides of train.py, or settings of SFTConfig beside sizes
    "ponder": ("train.compute=float32",),
    "ponder-bf16": ("train.compute=bfloat16",),
    "trl": {},
    "trl-float32": OFF,
    "trl-packed": PACKED,
    "trl-packed-bf16": PACKED | {"bf16": True},
}
GROUPS = {  # what a profile's events belong to, by a part of the name; the first that fits
    "attention": ("scaled_dot_product", "flash_attention"),
    "optimizer and clipping": ("adam", "_foreach", "linalg_vector_norm", "zero_grad"),
    "loss": ("log_softmax", "nll_loss", "cross_entropy", "logsumexp"),
    "matrix products": (
        "aten::mm",
        "aten::addmm",
        "aten::bmm",
        "aten::matmul",
        "aten::linear",
        "mkldnn",
    ),
    "copies and concatenations": (
        "copy_",
        "cat",
        "contiguous",
        "clone",
        "split",
        "narrow_copy",
        "index",
    ),
    "norms, rotary, SiLU, sums": (
        "mul",
        "add",
        "sub",
        "neg",
        "silu",
        "sigmoid",
        "pow",
        "rsqrt",
        "mean",
        "sum",
        "div",
        "norm",
        "fill",
        "zero",
        "cos",
        "sin",
        "embedding",
    ),
}


def peer(
    network,
    tokenizer,
    rows,
    batches,
    folder,
    optimizers=(None, None),
    callbacks=(),
    use_cpu=True,
    **settings,
):
    """Return TRL's SFTTrainer over the tokenised `rows` (columns ids, loss), in the order of
    `batches`, on the CPU unless `use_cpu` is false.

    `settings` are SFTConfig's; what neither they nor this call name keeps TRL's default. A row
    enters as the loop of train.py sees it: input_ids, and labels that are -100 where there is no
    loss.
    """
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    ordered = [rows[r] for batch in batches for r in batch]
    data = Dataset.from_list(
        [
            {
                "input_ids": row["ids"],
                "labels": [t if flag else -100 for t, flag in zip(row["ids"], row["loss"])],
            }
            for row in ordered
        ]
    )
    asked = SFTConfig(
        output_dir=str(folder),
        use_cpu=use_cpu,
        num_train_epochs=1,
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        **settings,
    )
    return SFTTrainer(
        network,
        asked,
        train_dataset=data,
        processing_class=tokenizer,
        optimizers=optimizers,
        callbacks=list(callbacks),
    )


class Enough(Exception):
    """What ends a measured training."""


def own(arm):
    """Return whether an arm is ours."""
    return isinstance(ARMS[arm], tuple)


def settings_of(arm, rows):
    """Return SFTConfig's settings of an arm of TRL for steps of so many `rows`.

    As installed 8 are read at once, or all where a step has fewer; without padding a quarter.
    """
    at_once = max(1, rows // 4) if ARMS[arm].get("padding_free") else min(8, rows)
    sizes = {
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": rows // at_once,
    }
    return sizes | ARMS[arm]


def kind_of(arm):
    """Return the type in which an arm multiplies matrices."""
    if own(arm):
        return ARMS[arm][0].split("=")[1]
    return "bfloat16" if ARMS[arm].get("bf16", True) else "float32"


def clock(seconds, kind="float32"):
    """Return (lap, laps): `lap` is called at the end of each step and returns whether `seconds`
    have been measured.

    laps: {"seconds": of each step, "ceiling": FLOP/s of a square product right after it}.
    """
    import torch

    laps, started = {"seconds": [], "ceiling": []}, []
    left, right, out = (torch.randn(SIDE, SIDE).to(getattr(torch, kind)) for _ in range(3))
    torch.mm(left, right, out=out)

    started.append(time.perf_counter())

    def lap():
        ended = time.perf_counter()
        laps["seconds"].append(ended - started[0])
        torch.mm(left, right, out=out)
        started[0] = time.perf_counter()
        laps["ceiling"].append(2 * SIDE**3 / (started[0] - ended))
        return len(laps["seconds"]) >= WARM + LEAST and sum(laps["seconds"][WARM:]) >= seconds

    return lap, laps


def rows_at(folder, scale, *overrides):
    """Return the Study of the measured training: the released rows of its scale lie under `folder`
    as if collect.py had just chosen them.
    """
    from ponder import stages
    from ponder.record import manifests

    plan = study_of(*SCALES[scale][1], *overrides, f"out={folder}")
    models = ROOT / "outputs" / "models"
    models.mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(models)
    run = stages.collect_run(plan)
    run.folder.mkdir(parents=True)
    shutil.copy(SCALES[scale][0], run.folder / "train.jsonl")
    run.write_json("manifest.json", manifests.manifest(run.folder, run.name, run.inputs))
    return plan


def batches_of(plan, rows):
    """Return ([indices of a step's rows], [what costs count of a step: tokens, loss tokens, pairs
    that see each other]).
    """
    from ponder.train.batches import order

    batches = order(len(rows), plan.train.epochs, plan.train.batch_rows, plan.seed)
    lengths, losses = [len(ids) for ids in rows["ids"]], [sum(loss) for loss in rows["loss"]]
    return batches, [
        (
            sum(lengths[r] for r in batch),
            sum(losses[r] for r in batch),
            sum(lengths[r] * (lengths[r] + 1) // 2 for r in batch),
        )
        for batch in batches
    ]


def loaded(plan):
    """Return (rows, network, tokenizer) as train.py begins with them."""
    from ponder import models, stages
    from ponder.train import sft

    network, chat = models.load(models.base_folder(plan.model, plan.out), plan.model.delimiters)
    return sft.tokenise_rows(stages.chosen_rows(plan), chat, plan.train), network, chat.tokenizer


def ours(plan, ended):
    """Run train.py's train on a run of the plan and call `ended` at the end of each step, until it
    raises Enough.
    """
    from ponder import stages
    from ponder.train import processes

    run = stages.train_run(plan)
    with (
        contextlib.suppress(Enough),
        processes.process_group(plan.hardware.device, plan.train) as group,
        run,
    ):
        timing = run.timing

        def noticed(**row):
            timing(**row)
            if "step" in row:
                ended()

        run.timing = noticed
        script("train").train(plan, run, group)


def theirs(plan, settings, ended):
    """Run TRL's SFTTrainer on the plan's rows and call `ended` at the end of each step, until it
    raises Enough.
    """
    import torch
    from transformers import TrainerCallback

    from ponder.train import memory, sft

    torch.set_num_threads(plan.hardware.threads)
    if settings.get("padding_free"):
        memory.keep_freed_memory()
    rows, network, tokenizer = loaded(plan)
    network = sft.trainable(network, plan.model, plan.train, 0)

    class Clock(TrainerCallback):
        def on_step_end(self, *_, **__):
            ended()

    with contextlib.suppress(Enough):
        peer(
            network,
            tokenizer,
            rows,
            batches_of(plan, rows)[0],
            Path(plan.out) / "trl",
            callbacks=[Clock()],
            **settings,
        ).train()


def measure(arm, seconds, scale):
    """Return laps (see clock) of an arm in this process, with the counts of each step; those of
    warming up are left out.
    """
    import torch

    with tempfile.TemporaryDirectory() as folder:
        plan = rows_at(Path(folder), scale, *(ARMS[arm] if own(arm) else ()))
        rows = loaded(plan)[0]
        torch.set_num_threads(plan.hardware.threads)
        lap, laps = clock(seconds, kind_of(arm))

        def ended():
            if lap():
                raise Enough

        if own(arm):
            ours(plan, ended)
        else:
            theirs(plan, settings_of(arm, plan.train.batch_rows), ended)
    counts = batches_of(plan, rows)[1][: len(laps["seconds"])]
    return {"counts": counts[WARM:]} | {name: values[WARM:] for name, values in laps.items()}


def products(seconds):
    """Return the matrix products of a step alone, over all layers: ({shape: FLOP/s}, {"products":
    FLOP/s, "ceiling": FLOP/s}).

    Each decoder weight three times: forward, back to its input, back to itself; the head forward
    and back to its input, on as many tokens as have loss.
    """
    import torch

    with tempfile.TemporaryDirectory() as folder:
        plan = rows_at(Path(folder), "cpu")
        torch.set_num_threads(plan.hardware.threads)
        from ponder.train import memory

        memory.keep_freed_memory()
        tokens, loss_tokens, _ = batches_of(plan, loaded(plan)[0])[1][0]
    d = plan.model.dimensions
    kv = d.hidden * d.kv_heads // d.heads
    inner = [
        (d.hidden, d.hidden),
        (d.hidden, kv),
        (d.hidden, kv),
        (d.hidden, d.hidden),
        (d.hidden, d.intermediate),
        (d.hidden, d.intermediate),
        (d.intermediate, d.hidden),
    ]
    weights = [(torch.randn(last, first), tokens) for _ in range(d.layers) for first, last in inner]
    weights.append((torch.randn(d.vocabulary, d.hidden), loss_tokens))
    sides = {(n, side): torch.randn(n, side) for w, n in weights for side in w.shape}
    spent, done = collections.Counter(), collections.Counter()

    def once():
        for w, n in weights:
            y, x = (sides[n, side] for side in w.shape)
            kinds = {"forward": lambda x=x, w=w: x @ w.T, "to the input": lambda y=y, w=w: y @ w}
            if n == tokens:
                kinds["to the weight"] = lambda x=x, y=y: y.T @ x
            for kind, work in kinds.items():
                began = time.perf_counter()
                work()
                name = f"{n} x {w.shape[1]} x {w.shape[0]} {kind}"
                spent[name] += time.perf_counter() - began
                done[name] += 2 * n * w.numel()

    lap, laps = clock(seconds)
    for _ in range(WARM):
        once()
        lap()
    spent.clear()
    done.clear()
    while True:
        once()
        if lap():
            break
    rates = {name: done[name] / spent[name] for name in spent}
    return rates, {
        "products": done.total() / spent.total(),
        "ceiling": statistics.median(laps["ceiling"]),
    }


def profile(scale):
    """Return {group: microseconds} of one step of train.py after a first one, and the events that
    no group claims.
    """
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as watch

    watching, seen, began = watch(activities=[ProfilerActivity.CPU]), [], []

    def ended():
        seen.append(time.perf_counter())
        if len(seen) == 1 + WARM:
            watching.stop()
            raise Enough
        if len(seen) == WARM:
            watching.start()
            began.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        ours(rows_at(Path(folder), scale), ended)
    spent, rest = collections.Counter(), collections.Counter()
    for event in watching.key_averages():
        group = next(
            (
                name
                for name, parts in GROUPS.items()
                if any(part in event.key.lower() for part in parts)
            ),
            "other",
        )
        spent[group] += event.self_cpu_time_total
        if group == "other":
            rest[event.key] += event.self_cpu_time_total
    spent["Python, data, waiting"] = max(0, 1e6 * (seen[-1] - began[0]) - spent.total())
    return dict(spent.most_common()), dict(rest.most_common(4))


def report(results, sizes, dimensions):
    """Print the table of the arms; return {arm: (median tokens/s, median share of the ceiling)}."""
    from ponder.train import costs

    print(
        f"\n{'':<17}{'tokens/s':>9}{'turns from':>12}{'to':>6}{'useful GFLOP/s':>16}"
        f"{'ceiling':>9}{'share':>7}{'steps':>7}"
    )
    found = {}
    for arm, turns in results.items():
        steps = [
            step
            for turn in turns
            for step in zip(turn["counts"], turn["seconds"], turn["ceiling"], strict=True)
        ]
        rates = [counts[0] / seconds for counts, seconds, _ in steps]
        done = [
            costs.flops(dimensions, sizes, *counts, recompute=False)[0] / seconds
            for counts, seconds, _ in steps
        ]
        shares = [one / ceiling for one, (_, _, ceiling) in zip(done, steps)]
        medians = [
            statistics.median(c[0] / s for c, s in zip(turn["counts"], turn["seconds"]))
            for turn in turns
        ]
        found[arm] = statistics.median(rates), statistics.median(shares)
        print(
            f"{arm:<17}{found[arm][0]:9.0f}{min(medians):12.0f}{max(medians):6.0f}"
            f"{statistics.median(done) / 1e9:16.1f}"
            f"{statistics.median(c for _, _, c in steps) / 1e9:9.1f}{found[arm][1]:7.0%}"
            f"{len(steps):7}",
            flush=True,
        )
    return found


def report_products(given):
    """Print how fast the matrix products of a step are alone."""
    rates, whole = in_a_process(__file__, "--part", "products", *given)
    share = whole["products"] / whole["ceiling"]
    print(
        f"\nthe matrix products of a step alone: {whole['products'] / 1e9:.1f} GFLOP/s, "
        f"{share:.0%} of the "
        f"{whole['ceiling'] / 1e9:.1f} of {SIDE} x {SIDE} x {SIDE} measured in turn with them"
    )
    for name, rate in rates.items():
        print(f"  {name:<32}{rate / 1e9:7.1f}")


def verdict(found):
    """Print each goal with what was reached; return True when all are met."""

    def fastest(arms):
        return max(
            (arm for arm in arms if arm in found), key=lambda arm: found[arm][0], default=None
        )

    goals, ours = [], fastest(arm for arm in ARMS if own(arm))
    for title, goal, arms in (
        ("TRL as installed", INSTALLED, ("trl", "trl-float32")),
        ("TRL at its best", BEST, [arm for arm in ARMS if not own(arm)]),
    ):
        if ours and (other := fastest(arms)):
            times = found[ours][0] / found[other][0]
            goals.append(
                (
                    f"{ours} has {times:.2f} times the tokens/s of {title}, {other}",
                    f"{goal}x",
                    times >= goal,
                )
            )
    if "ponder" in found:
        share = found["ponder"][1]
        goals.append(
            (
                f"ponder reaches {share:.0%} of the float32 ceiling",
                f"{CEILING:.0%}",
                share >= CEILING,
            )
        )
    for reached, goal, met in goals:
        print(f"goal {goal}: {reached}: {'met' if met else 'MISSED'}")
    return len(goals) == 3 and all(met for *_, met in goals)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=list(SCALES), default="cpu", help="an experiment")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10, help="of steps per arm and turn")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument(
        "--part", help="measure this arm, or products or profile, in this process and print JSON"
    )
    asked = parser.parse_args()
    os.chdir(ROOT)
    if asked.part:
        if asked.part == "profile":
            return print(json.dumps(profile(asked.scale)))
        if asked.part == "products":
            return print(json.dumps(products(asked.seconds)))
        return print(json.dumps(measure(asked.part, asked.seconds, asked.scale)))

    from ponder import models
    from ponder.train import costs

    rows, words = SCALES[asked.scale]
    plan = study_of(*words)
    models.base_folder(plan.model, plan.out)
    sizes = costs.sizes(costs.network(plan.model, plan.model.architecture, plan.train, "float32"))
    arms = asked.arms
    if not importlib.util.find_spec("trl"):
        print(
            "TRL is not installed, so its arms and goals are left out; pip install -e '.[trl]' "
            "brings it"
        )
        arms = [arm for arm in arms if own(arm)]
    print(
        f"{rows.relative_to(ROOT)}, {plan.model.name}: {sizes.trained:,} of {sizes.parameters:,} "
        "parameters trained, "
        f"{plan.train.batch_rows} rows a step, {plan.hardware.threads} threads"
    )
    given = ("--seconds", asked.seconds, "--scale", asked.scale)
    results = {arm: [] for arm in arms}
    for turn in range(asked.turns):
        for arm in arms:
            results[arm].append(in_a_process(__file__, "--part", arm, *given))
            laps = results[arm][-1]["seconds"]
            print(
                f"turn {turn + 1}, {arm}: {len(laps)} steps of {statistics.median(laps):.1f} s",
                flush=True,
            )
    found = report(results, sizes, plan.model.dimensions)

    if plan.train.method == "full":
        report_products(given)
    spent, rest = in_a_process(__file__, "--part", "profile", *given)
    print("a step of train.py, profiled:")
    for name, share in spent.items():
        print(f"  {name:<32}{share / sum(spent.values()):7.1%}")
    print(
        "  other is mostly: "
        + ", ".join(f"{name} {share / sum(spent.values()):.1%}" for name, share in rest.items())
    )
    return 0 if verdict(found) else 1


if __name__ == "__main__":
    sys.exit(main())
