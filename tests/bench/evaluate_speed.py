"""What nine budgets cost: in one pass, one by one on our engine, and one by one by its peers.

    # 120 of the dev questions, one turn; about three quarters of an hour with all peers
    PYTHONPATH=tests python tests/bench/evaluate_speed.py
    # all of them, medians of three turns
    PYTHONPATH=tests python tests/bench/evaluate_speed.py --questions 240 --turns 3
    # two of the peers
    PYTHONPATH=tests python tests/bench/evaluate_speed.py --peers vllm openvino
    # a minute: that all is right; its speeds mean nothing
    PYTHONPATH=tests python tests/bench/evaluate_speed.py --model pocket --questions 20

One model with its released adapter merged in and the same number of threads for all but vLLM,
which takes every core that it may run on (two of two where this was measured). Seven caps,
and one and two ends of thinking ignored. What is forced is the same everywhere: budget.forced says
it, an engine only answers.

    sweep      all nine in one pass, as evaluate.py does it (ponder/decode/sweep.py)
    alone      one by one on our engine
    lm-eval, vllm, llama.cpp-f32, llama.cpp-q4, openvino
               one by one on each peer that is installed (bench/evaluate_peers.py); openvino
               is engine=openvino

How much a peer does at once is the fastest of several, measured first; nothing else of it is
tuned, and its settings are printed. lm-eval encodes nothing, for its text is token ids, and no
special token is lost. Its stops are until, as a task would name them, and eos_token_id too, without
which its rows go on after all stops but one. Its answers wait until no row thinks any more, so that
batches are full. A round has one limit, the largest of its rows', so that rows with different rests
of a budget share batches too; what is beyond a row's own is cut off and not counted, which under
greedy decoding is exact. The starting of a server is in no time, nor are its first answers.

Useful tokens are those sampled in the samples: no prompt, no forced token, nothing that was thrown
away. Where token ids differ, the gap is that of the two largest logits at the first that does, from
one forward pass of transformers' own attention. Exits with 1 when a goal is missed.
"""

import argparse
import dataclasses
import logging
import os
import signal
import statistics
import sys
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass

from bench import evaluate_peers, peer_weights
from conftest import ROOT, SMOKE, study_of

SINGLE = "free"  # the single run whose speed is compared: first, before a server has kept prompts
BUDGETS = (SINGLE, "cap0", "cap8", "cap16", "cap32", "cap64", "cap128", "wait1", "wait2")
WARM, WARM_UP = 3, "cap8"  # prompts and budget of a peer's first answers
FEWEST = 16  # questions on which a size is measured; as many as are done at once if that is more
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


@dataclass(frozen=True)
class Runs:
    """What an arm took and said: {budget: seconds of each turn} and {budget: Samples}."""

    seconds: dict
    samples: dict

    @property
    def totals(self):
        """The seconds of all its budgets in each turn."""
        return [sum(turn) for turn in zip(*self.seconds.values(), strict=True)]

    def rate(self, name):
        """Return the useful tokens per second of a budget, at its median."""
        return useful(self.samples[name]) / statistics.median(self.seconds[name])

    @property
    def total_rate(self):
        """The useful tokens per second of all its budgets."""
        return sum(map(useful, self.samples.values())) / statistics.median(self.totals)


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
        network = sft.with_weights(network, peer_weights.ADAPTER)
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


def timed(work):
    """Return (what `work` returns, the seconds that it took)."""
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


def useful(samples):
    """Return how many tokens of samples were sampled."""
    return sum(len(sample.ids) - len(sample.forced) for sample in samples)


def warm_up(bench, answer):
    """Let a peer give its first answers, to prompts backwards, so that it has kept none."""
    answer([prompt[::-1] for prompt in bench.prompts[:WARM]], bench.points[WARM_UP])


def rates_of(bench, peer):
    """Return {size: useful tokens per second} of the sizes that a Peer may have; prints each."""
    count, rates = len(bench.prompts), {}
    for size in dict.fromkeys(min(size, count) for size in peer.sizes):
        some = min(count, max(size, FEWEST))
        prompts = [bench.prompts[i * count // some] for i in range(some)]
        with peer.start(size) as answer:
            warm_up(bench, answer)
            samples, seconds = timed(
                lambda answer=answer, prompts=prompts: answer(prompts, bench.points[SINGLE])
            )
        rates[size] = useful(samples) / seconds
        print(
            f"{peer.name}, {SINGLE}, {size:>2} {peer.at_once}: {rates[size]:6.1f} useful tokens/s "
            f"on {some} questions",
            flush=True,
        )
    return rates


def fastest(rates):
    """Return the size with the most tokens per second, of equal ones the smallest."""
    return min(rates, key=lambda size: (-rates[size], size))


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


def measure(bench, peers, sizes, turns):
    """Return ({arm: Runs}, the samples of the sweep): the arms are "sweep", all nine budgets as
    one, "alone" and the peers, each with its best size.
    """
    alone(bench, WARM_UP)  # the first passes of a process are slower
    arms = defaultdict(lambda: Runs(defaultdict(list), {}))

    def took(turn, arm, name, work):
        samples, seconds = timed(work)
        arms[arm].seconds[name].append(seconds)
        print(f"turn {turn + 1}, {arm}, {name}: {seconds:.1f} s", flush=True)
        return samples

    for turn in range(turns):
        together = took(turn, "sweep", "all", lambda: swept(bench))
        arms["sweep"].samples["all"] = [one for samples in together.values() for one in samples]
        for name in BUDGETS:
            arms["alone"].samples[name] = took(
                turn, "alone", name, lambda name=name: alone(bench, name)
            )
        for peer in peers:
            with peer.start(sizes[peer.name]) as answer:
                warm_up(bench, answer)
                for name, point in bench.points.items():
                    arms[peer.name].samples[name] = took(
                        turn,
                        peer.name,
                        name,
                        lambda answer=answer, point=point: answer(bench.prompts, point),
                    )
    return dict(arms), together


def report(arms):
    """Print what each arm took for each budget, and how all of it stands beside ours."""
    ours = [arm for arm in arms if arm != "sweep"]
    print(f"\nseconds {'':<8}" + "".join(f"{arm:>15}" for arm in ours))
    for name in BUDGETS:
        cells = "".join(f"{statistics.median(arms[arm].seconds[name]):15.1f}" for arm in ours)
        print(f"{name:<16}{cells}")
    print(
        f"\n{'nine budgets':<15}{'seconds':>9}{'from':>8}{'to':>8}{'/ sweep':>9}{'tokens/s':>10}"
        f"   {SINGLE:>6} s{'from':>8}{'to':>8}{'/ alone':>9}{'tokens/s':>10}"
    )
    sweep = statistics.median(arms["sweep"].totals)
    single = statistics.median(arms["alone"].seconds[SINGLE])
    for arm, runs in arms.items():
        line = spread(runs.totals, sweep) + f"{runs.total_rate:10.1f}"
        if arm != "sweep":
            line += f"   {spread(runs.seconds[SINGLE], single)[1:]}{runs.rate(SINGLE):10.1f}"
        print(f"{arm:<15}{line}")


def spread(seconds, ours):
    """Return the median of some seconds, the smallest, the largest, and the median over ours."""
    median = statistics.median(seconds)
    return f"{median:9.1f}{min(seconds):8.1f}{max(seconds):8.1f}{median / ours:9.2f}"


def goals(arms, exact, shared, answers, gap):
    """Return (goal, what was reached, whether it is met) of each goal.

    `exact` are the names of the peers that answer from our weights in float32, `shared` is the
    least share of answers that one of them has as ours; `answers` and `gap` are how far the sweep
    agrees with separate runs.
    """
    sweep, own = statistics.median(arms["sweep"].totals), arms["alone"]
    lm = arms["lm-eval"]
    cheaper = statistics.median(lm.totals) / sweep
    longest = sweep / max(map(statistics.median, own.seconds.values()))
    faster = own.rate(SINGLE) / lm.rate(SINGLE)
    peers = [arm for arm in arms if arm not in ("sweep", "alone")]
    nearest = max(peers, key=lambda arm: arms[arm].total_rate)
    ahead = arms["sweep"].total_rate / arms[nearest].total_rate
    # engine=openvino is ours as well.
    rival = max((arm for arm in exact if arm != "openvino"), key=lambda arm: arms[arm].rate(SINGLE))
    engines = ["alone", *(["openvino"] if "openvino" in arms else [])]
    engine = max(engines, key=lambda arm: arms[arm].rate(SINGLE))
    equal = arms[engine].rate(SINGLE) / arms[rival].rate(SINGLE)
    return [
        (
            f"{CHEAPER}x or more",
            f"one by one through lm-eval takes {cheaper:.2f} times as long as the sweep",
            cheaper >= CHEAPER,
        ),
        (
            f"{LONGEST}x or less",
            f"the sweep takes {longest:.2f} times as long as the longest single run",
            longest <= LONGEST,
        ),
        (
            f"{FASTER}x or more",
            f"{SINGLE} alone makes {faster:.2f} times lm-eval's useful tokens/s",
            faster >= FASTER,
        ),
        (
            "above 1x",
            f"the sweep makes {ahead:.2f} times the useful tokens/s of the fastest peer one by "
            f"one, {nearest}",
            ahead > 1,
        ),
        (
            "1x or more",
            f"{SINGLE} by the faster of our engines, {engine}, makes "
            f"{arms[engine].rate(SINGLE):.0f} useful tokens/s, {equal:.2f} times those of the "
            f"fastest exact peer that is not ours, {rival}",
            equal >= 1,
        ),
        (
            f"{EQUAL:.1%} or more",
            f"{shared:.2%} of the answers of each exact peer, or more, are ours",
            shared >= EQUAL,
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


def described(plan, bench):
    """Return what is measured and on which machine, as two lines."""
    from ponder import runs

    machine = runs.environment(bench.threads)
    return (
        f"{plan.model.name}, {len(bench.prompts)} of the dev questions of {plan.benchmark.dir}, "
        f"prompts of {min(map(len, bench.prompts))} to {max(map(len, bench.prompts))} tokens\n"
        f"{machine['cpu']}, {machine['logical_cores']} logical cores, "
        f"{machine['torch_cpu_capability']}, {bench.threads} threads, float32; "
        f"at most {bench.rows} rows at once on our engine"
    )


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=("smollm2-135m", "pocket"), default="smollm2-135m")
    parser.add_argument(
        "--questions", type=int, default=120, help="of the 240 of dev, evenly spread"
    )
    parser.add_argument(
        "--turns", type=int, default=1, help="times that each arm is measured, in turn"
    )
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=evaluate_peers.OTHERS,
        default=list(evaluate_peers.OTHERS),
        help="beside lm-eval; all that are installed",
    )
    asked = parser.parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no server is left behind
    os.chdir(ROOT)
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    warnings.simplefilter("ignore", FutureWarning)  # peft's business
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    plan, bench = made(asked.model, asked.questions)
    print(described(plan, bench), flush=True)
    peers = evaluate_peers.installed(plan, bench, asked.peers)
    sizes = {peer.name: fastest(rates_of(bench, peer)) for peer in peers}
    arms, together = measure(bench, peers, sizes, asked.turns)
    report(arms)
    print()
    for peer in peers:
        print(f"{peer.name}: {peer.settings}; {sizes[peer.name]} {peer.at_once}")
    own, shares = arms["alone"].samples, []
    for peer in peers:
        if peer.exact:
            title = f"alone against {peer.name}, {sizes[peer.name]} {peer.at_once}"
            shares.append(compared(bench, title, own, arms[peer.name].samples)[0])
        else:
            print(f"\n{peer.name} has other weights: its token ids are not compared")
    agreement = compared(bench, "the sweep against separate runs", together, own)
    print()
    reached = goals(arms, [peer.name for peer in peers if peer.exact], min(shares), *agreement)
    for goal, what, met in reached:
        print(f"goal {goal}: {what}: {'MET' if met else 'MISSED'}")
    return 0 if all(met for *_, met in reached) else 1


if __name__ == "__main__":
    sys.exit(main())
