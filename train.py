"""Train: supervised fine-tuning on the chosen traces (s1, section 4.1 and appendix D), one loop.

    python train.py experiment=cpu
    python train.py experiment=cpu train.lr=1e-3 train.epochs=3
    python train.py -m experiment=smoke seed=0,1
    torchrun --nproc-per-node 8 train.py experiment=...    # the same losses but for rounding
    python train.py experiment=s1-32b plan=true            # what it would cost; trains nothing
    python train.py experiment=cpu show=3    # three rows as the loss sees them; trains nothing

Writes outputs/train/<name>-<hash>/: metrics.jsonl (a row per step), batches.jsonl (the rows each
step saw), cost.json, and adapter/ (the weights in bf16, as peft opens them). A killed run goes on
from its last checkpoint with the same command; SIGTERM and SIGUSR1 make one after their step.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ponder.terminal import cli

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ponder.runs import Run
    from ponder.study import Study
    from ponder.train.processes import Processes


@cli.command("train")
def main(cfg: DictConfig) -> None:
    from ponder import stages, study

    plan = study.read(cfg)
    if plan.plan:
        from ponder.train import costs

        estimate = costs.plan(plan, plan.machines, plan.model.architecture)
        print(costs.report(plan, plan.machines, estimate))
        return
    if plan.show:
        print_rows(plan)
        return
    run = stages.train_run(plan)
    if not run.claim():
        print(f"train {run.name}: finished before, nothing to do -> {run.folder}")
        return
    from ponder.train import processes

    with processes.process_group(plan.hardware.device, plan.train) as group, run:
        train(plan, run, group)


def print_rows(plan: Study) -> None:
    """Print the first rows that the training would see, without loading a weight."""
    from ponder import models, stages
    from ponder.train import show

    base = models.base_folder(plan.model, plan.out)
    chat = models.load_chat(base, plan.model.delimiters, counted=plan.train.control == "steps")
    text = show.report(stages.chosen_rows(plan), chat, plan)
    print(show.printable(text, sys.stdout.encoding))


def train(plan: Study, run: Run, group: Processes) -> None:
    """Fine-tune the base model on the collect run's rows: cross-entropy on trace and answer, AdamW,
    warm-up and cosine.
    """
    import time

    import torch

    from ponder import hashing, models, stages
    from ponder.terminal import load, progress, signals
    from ponder.train import (
        adapters,
        batches,
        checkpoints,
        costs,
        memory,
        meter,
        packing,
        processes,
        sft,
        sharding,
    )

    recipe, kind = plan.train, plan.hardware.device
    torch.set_num_threads(plan.hardware.threads)
    if busy := load.warning():
        run.say(busy)
    if kind == "cpu" and not memory.keep_freed_memory():
        run.say(
            "warning: the C library is not glibc; training may spend much of its time in page "
            "faults"
        )

    base = models.base_folder(plan.model, plan.out)  # made under a lock when the run was named
    network, chat = models.load(
        base,
        plan.model.delimiters,
        "bfloat16" if recipe.weights == "bfloat16" else "auto",
        counted=recipe.control == "steps",
    )
    run.write_json("base.json", models.source_of(base))
    rows = sft.tokenise_rows(stages.chosen_rows(plan), chat, recipe)
    network.set_attn_implementation(packing.ATTENTION)
    seed = hashing.purpose_seed(f"adapter/{plan.seed}")
    network = sft.trainable(network, plan.model, recipe, seed)
    objective = sharding.shard(packing.Objective(network, recipe.loss_rows), recipe, group)
    weights = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        weights,
        lr=recipe.lr,
        betas=(recipe.beta1, recipe.beta2),
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    steps = batches.order(len(rows), recipe.epochs, recipe.batch_rows, plan.seed)
    run.write_jsonl(
        "batches.jsonl",
        [{"step": i, "ids": [rows[r]["id"] for r in b]} for i, b in enumerate(steps, 1)],
    )

    last = checkpoints.resume(run, network, optimizer, group.rank, group.world)
    run.replay()
    bar = progress.bar(len(steps), "step", f"train {run.name}", last, shown=group.first)
    with signals.deferred() as terminated:
        for step in range(last + 1, len(steps) + 1):
            began, energy = time.perf_counter(), meter.packages(kind)
            # for forks that turn on dropout
            torch.manual_seed(hashing.purpose_seed(f"train step/{plan.seed}/{step}/{group.rank}"))
            batch = [rows[r] for r in steps[step - 1]]
            lengths = [len(row["ids"]) for row in batch]
            packs = batches.split_step(lengths, group.world, recipe.max_tokens)[
                group.rank :: group.world
            ]
            tokens, loss_tokens = sft.count_tokens(batch)
            lr = sft.learning_rate(step, len(steps), recipe)
            for parameters in optimizer.param_groups:
                parameters["lr"] = lr
            loss = torch.zeros((), device=group.device)  # the mean over the loss tokens of the step
            for pack in packs:
                examples = [(batch[i]["ids"], batch[i]["loss"]) for i in pack]
                part = objective(packing.pack(examples, group.device)) / loss_tokens
                part.backward()
                loss += part.detach()
            processes.sum_over_processes(loss)
            if step == last + 1:
                adapters.check_gradients(network)
            norm = sharding.full_tensor(torch.nn.utils.clip_grad_norm_(weights, recipe.clip))
            sft.check_finite(loss, norm, step)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            run.metric(
                step=step,
                loss=loss.item(),
                lr=lr,
                grad_norm=norm.item(),
                tokens=tokens,
                loss_tokens=loss_tokens,
            )
            run.timing(
                step=step,
                seconds=round(time.perf_counter() - began, 3),
                joules=meter.joules(energy, meter.packages(kind)),
            )
            bar.set_postfix_str(f"loss {loss.item():.3f}", refresh=False)
            bar.update()
            leaves = processes.in_any_process(terminated())
            if leaves or (step % recipe.checkpoint_steps == 0 and step < len(steps)):
                checkpoints.save(
                    run, network, optimizer, step, group.rank, group.world, processes.barrier
                )
            if leaves:
                raise signals.Terminated
    bar.close()
    adapters.check_moved(network, optimizer, len(steps))
    sft.save_weights(network, run.folder / "adapter", run.writes)
    processes.barrier()  # all measure it at once, for they share the machine
    ceiling = torch.tensor(
        meter.ceiling(kind, recipe.compute), dtype=torch.float64, device=group.device
    )
    processes.sum_over_processes(ceiling)
    if group.first:
        lengths = [len(ids) for ids in rows["ids"]]
        cost = meter.record(
            run,
            plan.model.dimensions,
            costs.sizes(network),
            lengths,
            steps,
            recipe,
            ceiling.item(),
            group.world,
            kind,
        )
        run.say(sft.report(run, cost))


if __name__ == "__main__":
    main()
