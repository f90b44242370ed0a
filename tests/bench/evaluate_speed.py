"""What nine budgets cost: in one pass, one by one on our engine, and one by one through lm-eval's
own `hf` model.

    # 120 of the dev questions, one turn; about a quarter of an hour
    PYTHONPATH=tests python tests/bench/evaluate_speed.py
    # all of them, medians of three turns
    PYTHONPATH=tests python tests/bench/evaluate_speed.py --questions 240 --turns 3
    # a minute: that all is right; its speeds mean nothing
    PYTHONPATH=tests python tests/bench/evaluate_speed.py --model pocket --questions 20

One model with its released adapter merged in, the same network object, float32 and threads for all.
Seven caps, and one and two ends of thinking ignored. What is forced is the same everywhere:
budget.forced says it, an engine only answers.

    sweep      all nine in one pass, as evaluate.py does it (ponder/decode/sweep.py)
    alone      one by one on our engine
    lm-eval    one by one, each round of requests one call of HFLM.generate_until

Where there is a choice, lm-eval has the better of it. Its batch size is the fastest of several,
measured first. Text is token ids, so it encodes nothing and no special token is lost. Stops are
until, as a task would name them, and eos_token_id too, without which its rows go on after all stops
but one. Answers wait until no row thinks any more, so that batches are full. A round has one limit,
the largest of its rows', so that rows with different rests of a budget share batches too; what is
beyond a row's own is cut off and not counted, which under greedy decoding is exact.

Useful tokens are those sampled in the samples: no prompt, no forced token, nothing that was thrown
away. Where token ids differ, the gap is that of the two largest logits at the first that does, from
one forward pass of transformers' own attention. Exits with 1 when a goal is missed.
"""

import argparse
import dataclasses
import logging
import os
import statistics
import sys
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass

from conftest import ROOT, SMOKE, study_of

BUDGETS = ("cap0", "cap8", "cap16", "cap32", "cap64", "cap128", "free", "wait1", "wait2")
SINGLE = "free"  # the single run whose speed is compared
ADAPTER = ROOT / "data" / "cpu" / "cpu" / "adapter"
SIZES = (1, 8, 16, 32, 64)  # of lm-eval's batches
FEWEST = 16  # questions on which a size is measured; one batch if that is more
FIRST = 0x10000  # of the characters that stand for token ids, beyond all surrogates
CHEAPER, LONGEST, FASTER = 5, 2, 2.5
EQUAL, GAP = 0.995, 1e-3


@dataclass(frozen=True)
class Point:
    """A budget with the token ids that forcing knows."""

    budget: object
    marks: object


@dataclass(frozen=True)
class Bench:
    """What is measured: a network, its Chat, the prompts, the nine Points, rows at once on our
    engine, threads.
    """

    network: object
    chat: object
    prompts: list
    points: dict
    rows: int
    threads: int


def made(model, count):
    """Return (the Study, its Bench) of `count` dev questions, spread over all families."""
    import torch

    from ponder import models
    from ponder.questions import drawn
    from ponder.train import sft

    recipe = SMOKE if model == "pocket" else ("experiment=cpu",)
    plan = study_of(*recipe)
    torch.set_num_threads(plan.hardware.threads)
    network, chat = models.load(models.base_folder(plan.model, plan.out), plan.model.delimiters)
    points = {}
    for name in BUDGETS:
        budget = study_of(*recipe, f"budget={name}").budget
        points[name] = Point(budget, chat.marks(budget.nudge))
    if (
        model == "pocket"
    ):  # random weights: larger, so that what it says varies, and with letters that end a part
        with torch.no_grad():
            for name, weight in network.eval().named_parameters():
                if "norm" not in name:
                    weight.mul_(6)
        more = tuple((token,) for token in chat.encode("etaoin"))
        for name, point in points.items():
            ends = point.marks.ends + more
            points[name] = Point(
                point.budget, dataclasses.replace(point.marks, ends=ends, answer_ends=ends)
            )
    else:
        network = sft.with_weights(network, ADAPTER)
    asked = drawn.read_split(plan.benchmark.dir, "dev")
    if not 1 <= count <= len(asked):
        raise SystemExit(
            f"--questions {count} must be from 1 to {len(asked)}, which is how many there are"
        )
    prompts = [chat.prompt(asked[i * len(asked) // count].question) for i in range(count)]
    return plan, Bench(
        network, chat, prompts, points, plan.hardware.decode_rows, plan.hardware.threads
    )


def alone(bench, name):
    """Return the Samples of one budget from our engine."""
    from ponder.decode import hf

    point = bench.points[name]
    return hf.decode(
        bench.network,
        bench.prompts,
        point.budget,
        point.marks,
        bench.rows,
        vocabulary=len(bench.chat.tokenizer),
    )


def swept(bench):
    """Return {budget: Samples} from one pass."""
    from ponder.decode import hf, sweep

    budgets, marks = zip(*((point.budget, point.marks) for point in bench.points.values()))
    rows = [sweep.row_of_budgets(budgets, marks) for _ in bench.prompts]
    got = dict(
        hf.run(bench.network, bench.prompts, rows, bench.rows, vocabulary=len(bench.chat.tokenizer))
    )
    return {
        name: [got[i][at] for i in range(len(bench.prompts))]
        for at, name in enumerate(bench.points)
    }


def text_of(ids):
    """Return token ids as a text of one character each."""
    return "".join(chr(FIRST + token) for token in ids)


def ids_of(text):
    """Return the token ids of such a text."""
    return [ord(character) - FIRST for character in text]


def peer(bench, size):
    """Return lm-eval's `hf` model over the same network, in batches of `size`, with token ids for
    text.
    """
    import torch
    from lm_eval.models.huggingface import HFLM

    class Ids(HFLM):
        def tok_encode(self, string, *_, **__):
            return ids_of(string)

        def tok_batch_encode(self, strings, *_, **__):
            rows = [ids_of(string) for string in strings]
            width = max(map(len, rows))
            return (
                torch.tensor([[0] * (width - len(row)) + row for row in rows]),
                torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows]),
            )

        def tok_decode(self, tokens, *_, **__):
            return (
                self.tokenizer.decode([tokens]) if isinstance(tokens, int) else text_of(tokens)
            )  # an int is its end of text

    return Ids(pretrained=bench.network, tokenizer=bench.chat.tokenizer, batch_size=size)


def completion(ids, request):
    """Return what a Request got, given all that was sampled after it: up to its first stop or its
    limit.
    """
    from ponder.decode import budget as budgets

    for end in range(1, min(len(ids), request.limit) + 1):
        if stop := budgets.stop_of(ids[:end], request.stops):
            return budgets.Completion(tuple(ids[:end]), stop)
    assert len(ids) >= request.limit, "a row ended without a stop"
    return budgets.Completion(tuple(ids[: request.limit]), ())


def through(lm, chat, prompts, point):
    """Return one Sample per prompt, forced like ours, each round of requests one call of lm-eval's
    generate_until.
    """
    from lm_eval.api.instance import Instance

    from ponder.decode import budget as budgets

    rows = [budgets.forced(point.budget, point.marks) for _ in prompts]
    held, samples, waiting = [[] for _ in prompts], [None] * len(prompts), {}

    def go_on(i, got):
        try:
            request = rows[i].send(got)
        except StopIteration as end:
            samples[i] = end.value
            return
        assert not request.suppress and all(len(stop) == 1 for stop in request.stops), (
            "no such budget is measured here"
        )
        waiting[i], held[i] = request, [*held[i][: request.keep], *request.ids]

    for i in range(len(prompts)):
        go_on(i, None)
    while waiting:
        asked = {
            i: request for i, request in waiting.items() if request.limit > point.budget.max_answer
        } or dict(waiting)
        limit = max(request.limit for request in asked.values())
        calls = [
            Instance(
                "generate_until",
                {},
                (
                    text_of(prompts[i] + held[i]),
                    {
                        "until": [chat.decode(stop) for stop in request.stops],
                        "eos_token_id": [stop[0] for stop in request.stops],
                        "max_gen_toks": limit,
                        "do_sample": False,
                    },
                ),
                i,
            )
            for i, request in asked.items()
        ]
        for i, reply in zip(asked, lm.generate_until(calls, disable_tqdm=True), strict=True):
            got = completion(ids_of(reply), waiting.pop(i))
            held[i] += got.ids
            go_on(i, got)
    return samples


def timed(work):
    """Return (what `work` returns, the seconds that it took)."""
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


def useful(samples):
    """Return how many tokens of samples were sampled."""
    return sum(len(sample.ids) - len(sample.forced) for sample in samples)


def best_size(bench):
    """Return the batch size at which lm-eval makes most useful tokens per second."""
    count, rates = len(bench.prompts), {}
    for size in dict.fromkeys(min(size, count) for size in SIZES):
        some = min(count, max(size, FEWEST))
        prompts = [bench.prompts[i * count // some] for i in range(some)]
        lm = peer(bench, size)
        samples, seconds = timed(
            lambda lm=lm, prompts=prompts: through(lm, bench.chat, prompts, bench.points[SINGLE])
        )
        rates[size] = useful(samples) / seconds
        print(
            f"lm-eval, {SINGLE}, batches of {size:>2}: {rates[size]:6.1f} useful tokens/s on "
            f"{some} questions",
            flush=True,
        )
    return max(rates, key=rates.get)


def divergences(bench, ours, theirs):
    """Return (budget, row, position, gap) of every two Samples of {budget: Samples} whose token ids
    differ.
    """
    import torch

    from ponder.decode import budget as budgets

    found = []
    for name in ours:
        for i, (one, other) in enumerate(zip(ours[name], theirs[name], strict=True)):
            if one.ids == other.ids:
                continue
            at = budgets.common_length(one.ids, other.ids)
            with torch.inference_mode():
                logits = bench.network(
                    torch.tensor([bench.prompts[i] + list(one.ids[:at])]), use_cache=False
                ).logits[0, -1]
            top = logits[: len(bench.chat.tokenizer)].topk(2).values
            found.append((name, i, at, float(top[0] - top[1])))
    return found


def compared(bench, title, ours, theirs):
    """Print how far two results agree, each divergence of them; return (share of equal answers, the
    largest gap).
    """
    pairs = [pair for name in ours for pair in zip(ours[name], theirs[name], strict=True)]
    answers = sum(
        bench.chat.split(one)[1] == bench.chat.split(other)[1] for one, other in pairs
    ) / len(pairs)
    found = divergences(bench, ours, theirs)
    print(
        f"\n{title}: {len(pairs) - len(found)} of {len(pairs)} samples have the same token ids, "
        f"{answers:.2%} the same answer"
    )
    for name, i, at, gap in found:
        print(f"  {name}, question {i}, token {at}: top-2 logit gap {gap:.1e}")
    return answers, max((gap for *_, gap in found), default=0.0)


def measure(bench, size, turns):
    """Return ({arm: [seconds]}, the samples of the sweep, alone and through lm-eval); an arm is
    sweep, or (where, budget).
    """
    lm, seconds, own, theirs = peer(bench, size), defaultdict(list), {}, {}
    for work in (
        lambda: alone(bench, "cap8"),
        lambda: through(lm, bench.chat, bench.prompts, bench.points["cap0"]),
    ):
        work()  # the first passes of a process are slower
    for turn in range(turns):
        together, took = timed(lambda: swept(bench))
        seconds["sweep"].append(took)
        print(f"turn {turn + 1}, sweep: {took:.1f} s", flush=True)
        for name, point in bench.points.items():
            own[name], took = timed(lambda name=name: alone(bench, name))
            seconds["alone", name].append(took)
            theirs[name], other = timed(
                lambda point=point: through(lm, bench.chat, bench.prompts, point)
            )
            seconds["lm-eval", name].append(other)
            print(f"turn {turn + 1}, {name}: alone {took:.1f} s, lm-eval {other:.1f} s", flush=True)
    return seconds, together, own, theirs


def report(seconds, own, theirs):
    """Print the table of the points; return {arm: median seconds}."""
    took = {arm: statistics.median(values) for arm, values in seconds.items()}
    longest = max(BUDGETS, key=lambda name: took["alone", name])
    print(
        f"\n{'':<8}{'alone s':>9}{'lm-eval s':>11}{'times':>7}{'useful tokens':>15}"
        f"{'tokens/s':>10}{'lm-eval':>9}"
    )
    for name in BUDGETS:
        ours, other, tokens = took["alone", name], took["lm-eval", name], useful(own[name])
        print(
            f"{name:<8}{ours:9.1f}{other:11.1f}{other / ours:7.1f}{tokens:15,}{tokens / ours:10.1f}"
            f"{useful(theirs[name]) / other:9.1f}"
            f"{'   the longest single run' if name == longest else ''}"
        )
    ours, other = (sum(took[where, name] for name in BUDGETS) for where in ("alone", "lm-eval"))
    print(
        f"{'all':<8}{ours:9.1f}{other:11.1f}{other / ours:7.1f}\n{'sweep':<8}{took['sweep']:9.1f}"
    )
    return took


def verdict(took, own, theirs, answers, gap):
    """Print each goal with what was reached; return True when all are met."""
    other = sum(took["lm-eval", name] for name in BUDGETS) / took["sweep"]
    single = took["sweep"] / max(took["alone", name] for name in BUDGETS)
    ours, lm = (
        useful(own[SINGLE]) / took["alone", SINGLE],
        useful(theirs[SINGLE]) / took["lm-eval", SINGLE],
    )
    goals = [
        (
            f"{CHEAPER}x or more",
            f"one by one through lm-eval takes {other:.2f} times as long as the sweep",
            other >= CHEAPER,
        ),
        (
            f"{LONGEST}x or less",
            f"the sweep takes {single:.2f} times as long as the longest single run",
            single <= LONGEST,
        ),
        (
            f"{FASTER}x or more",
            f"{SINGLE} alone makes {ours:.0f} useful tokens/s, {ours / lm:.2f} times lm-eval's "
            f"{lm:.0f}",
            ours / lm >= FASTER,
        ),
        (
            f"{EQUAL:.1%} or more",
            f"{answers:.2%} of the sweep's answers are those of separate runs",
            answers >= EQUAL,
        ),
        (
            f"below {GAP:.0e}",
            f"the largest top-2 gap where its token ids differ is {gap:.1e}",
            gap < GAP,
        ),
    ]
    print()
    for goal, reached, met in goals:
        print(f"goal {goal}: {reached}: {'MET' if met else 'MISSED'}")
    return all(met for *_, met in goals)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=("smollm2-135m", "pocket"), default="smollm2-135m")
    parser.add_argument(
        "--questions", type=int, default=120, help="of the 240 of dev, evenly spread"
    )
    parser.add_argument(
        "--turns", type=int, default=1, help="times that each arm is measured, in turn"
    )
    asked = parser.parse_args()
    os.chdir(ROOT)
    from transformers.utils import logging as transformers_logging

    from ponder import runs

    transformers_logging.set_verbosity_error()
    warnings.simplefilter("ignore", FutureWarning)  # peft's business
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    plan, bench = made(asked.model, asked.questions)
    machine = runs.environment(bench.threads)
    print(
        f"{plan.model.name}, {len(bench.prompts)} of the dev questions of {plan.benchmark.dir}, "
        "prompts of "
        f"{min(map(len, bench.prompts))} to {max(map(len, bench.prompts))} "
        f"tokens\n{machine['cpu']}, "
        f"{machine['logical_cores']} logical cores, {machine['torch_cpu_capability']}, "
        f"{bench.threads} threads, float32; "
        f"at most {bench.rows} rows at once on our engine",
        flush=True,
    )
    size = best_size(bench)
    seconds, together, own, theirs = measure(bench, size, asked.turns)
    took = report(seconds, own, theirs)
    compared(bench, f"alone against lm-eval in batches of {size}", own, theirs)
    agreement = compared(bench, "the sweep against separate runs", together, own)
    return 0 if verdict(took, own, theirs, *agreement) else 1


if __name__ == "__main__":
    sys.exit(main())
