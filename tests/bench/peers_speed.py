"""How fast the student of the Qwen2.5 scale answers, beside what a user would take otherwise.

    # ten minutes
    PYTHONPATH=tests python tests/bench/peers_speed.py
    # a look
    PYTHONPATH=tests python tests/bench/peers_speed.py --turns 1 --questions 16 --tokens 32

The same dev questions in the base's own form, greedy, each answer at most --tokens long. Each arm
is a process of its own that loads its model before the clock starts, and answers four questions to
warm up; the arms take turns. Before the first turn the peers that have a choice of how many answers
they make at once try it, and keep the fastest.

    ponder          our engine, float32: hardware.decode_rows answers at once
    ponder-bf16     the same in bfloat16, as the released runs of this scale
    generate        transformers' generate, float32, rows padded to the left and sorted by length
    generate-bf16   the same in bfloat16
    llama.cpp-q4    llama.cpp from the wheel xllamacpp on the GGUF file itself, whose weights of
                    about four bits the others hold dequantised

Useful tokens are those of an answer up to its end; padding and what is made after an end are not.
Where two arms compute in float32 their token ids are compared. llama.cpp reads other weights, so
its answers are its own. vLLM and OpenVINO are no part of this bench: see decision 0052.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import statistics
import sys
import time
import urllib.request
from collections import defaultdict

from bench.alone import in_a_process
from conftest import ROOT, study_of

RECIPE = ("experiment=qwen", "subject=base-boxed", "budget=math-unforced")
SIZES = {  # how many answers at once each peer may have
    "generate": (8, 24, 64),
    "generate-bf16": (8, 24, 64),
    "llama.cpp-q4": (8, 24),
}
ARMS = ("ponder", "ponder-bf16", *SIZES)
WARM = 4
PORT = 8099  # of llama.cpp, on 127.0.0.1


def planned(arm):
    """Return the Study of an arm: RECIPE on the files of this repository's released models."""
    compute = "bfloat16" if arm.endswith("bf16") else "float32"
    return study_of(*RECIPE, f"hardware.decode_compute={compute}")


def asked(plan, count):
    """Return (the Chat, the prompts) of `count` dev questions, spread over all families."""
    from ponder import control, models
    from ponder.questions import drawn

    delimiters = dataclasses.replace(
        plan.model.delimiters, think=plan.subject.think, answer=plan.subject.answer
    )
    chat = models.load_chat(models.tokenizer_folder(plan.model, plan.out), delimiters)
    questions = drawn.read_split(plan.benchmark.dir, "dev")
    if not WARM <= count <= len(questions):
        raise SystemExit(f"--questions {count} must be from {WARM} to {len(questions)}")
    chosen = [questions[i * len(questions) // count].question for i in range(count)]
    sentence = plan.subject.instruction
    return chat, [chat.prompt(control.with_sentence(one, sentence)) for one in chosen]


def up_to_end(ids, ends):
    """Return ids up to and with the first that ends a turn."""
    return next((ids[: at + 1] for at, token in enumerate(ids) if token in ends), ids)


def ours(plan, chat, tokens, ends):
    """Return the function that answers prompts by our engine."""
    from ponder.decode import budget, hf

    network = loaded(plan)

    def row(prompt):
        done = yield budget.Request(0, (), tokens, tuple((end,) for end in ends), False)
        return list(done.ids)

    def answer(prompts):
        rows = [row(prompt) for prompt in prompts]
        size, vocabulary = plan.hardware.decode_rows, len(chat.tokenizer)
        got = dict(hf.run(network, prompts, rows, size, vocabulary=vocabulary))
        return [got[i] for i in range(len(prompts))]

    return answer


def loaded(plan):
    """Return the network in the type in which it answers, and keep freed memory as we do."""
    import torch

    from ponder import models
    from ponder.train import memory

    torch.set_num_threads(plan.hardware.threads)
    memory.keep_freed_memory()
    network = models.load_network(models.base_folder(plan.model, plan.out)).eval()
    return network.to(getattr(torch, plan.hardware.decode_compute))


def generate(plan, chat, tokens, ends, size):
    """Return the function that answers prompts by transformers' generate, `size` at once."""
    import torch

    network = loaded(plan)
    padding = ends[0]

    def batch(prompts):
        width = max(map(len, prompts))
        ids = torch.tensor([[padding] * (width - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        with torch.inference_mode():
            made = network.generate(
                ids,
                attention_mask=mask,
                do_sample=False,
                max_new_tokens=tokens,
                eos_token_id=list(ends),
                pad_token_id=padding,
                repetition_penalty=1.0,
            )
        return [up_to_end(row[width:].tolist(), ends) for row in made]

    def answer(prompts):
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        got = {}
        for first in range(0, len(order), size):
            chosen = order[first : first + size]
            got |= zip(chosen, batch([prompts[i] for i in chosen]), strict=True)
        return [got[i] for i in range(len(prompts))]

    return answer


def llamacpp(plan, chat, tokens, ends, size):
    """Return the function that answers prompts by a server of llama.cpp with `size` slots."""
    from ponder import models, serve

    path, sha256 = models.gguf_file(plan.model, plan.out)
    served = serve.start(
        path, serve.served_name(plan.model, sha256), PORT, size, plan.hardware.threads
    )

    def one(prompt):
        fields = {"prompt": prompt, "n_predict": tokens, "temperature": 0.0, "return_tokens": True}
        fields |= {"cache_prompt": False, "repeat_penalty": 1.0}
        body = json.dumps(fields).encode()
        url = f"{served.listening_address}/completion"
        call = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(call) as reply:
            return up_to_end(json.loads(reply.read())["tokens"], ends)

    def answer(prompts):
        with concurrent.futures.ThreadPoolExecutor(size) as pool:
            return list(pool.map(one, prompts))

    return answer


def measure(arm, size, count, tokens):
    """Return {seconds, useful, ids} of an arm in this process."""
    plan = planned(arm)
    chat, prompts = asked(plan, count)
    ends = tuple(end[0] for end in chat.marks(plan.budget.nudge).ends)
    if arm.startswith("ponder"):
        answer = ours(plan, chat, tokens, ends)
    else:
        answer = (generate if arm.startswith("generate") else llamacpp)(
            plan, chat, tokens, ends, size
        )
    answer(prompts[:WARM])
    began = time.perf_counter()
    ids = answer(prompts)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "useful": sum(map(len, ids)), "ids": ids}


def part(arm, size, count, tokens):
    """Return what measure gives in a process of its own."""
    words = ["--part", arm, "--size", size, "--questions", count, "--tokens", tokens]
    return in_a_process(__file__, *words)


def best_size(arm, count, tokens):
    """Return at how many answers at once an arm is the fastest; prints each."""
    rates = {}
    for size in dict.fromkeys(min(size, count) for size in SIZES[arm]):
        got = part(arm, size, count, tokens)
        rates[size] = got["useful"] / got["seconds"]
        print(f"{arm}, {size:>2} at once: {rates[size]:6.1f} useful tokens/s", flush=True)
    return max(rates, key=rates.get)


def report(results):
    """Print the table: medians over the turns, their range, and what ponder-bf16 is ahead by."""
    rates = {
        arm: [got["useful"] / got["seconds"] for got in turns] for arm, turns in results.items()
    }
    ours = statistics.median(rates["ponder-bf16"])
    print(f"\n{'':<15}{'useful tokens/s':>16}{'from':>8}{'to':>8}{'ponder-bf16 has':>17}")
    for arm, values in rates.items():
        median = statistics.median(values)
        print(f"{arm:<15}{median:16.1f}{min(values):8.1f}{max(values):8.1f}{ours / median:16.2f}x")
    if {"ponder", "generate"} <= results.keys():
        pairs = list(zip(results["ponder"][0]["ids"], results["generate"][0]["ids"], strict=True))
        same = sum(one == other for one, other in pairs)
        print(f"{same} of {len(pairs)} answers of ponder and generate have the same token ids")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--questions", type=int, default=32, help="of dev, evenly spread")
    parser.add_argument("--tokens", type=int, default=48, help="at most, of an answer")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--size", type=int, default=0, help="answers at once, of a --part")
    parser.add_argument("--part", choices=ARMS, help="measure this arm here and print JSON")
    words = parser.parse_args()
    os.chdir(ROOT)
    if words.part:
        return print(json.dumps(measure(words.part, words.size, words.questions, words.tokens)))

    import torch

    from ponder import runs

    plan = planned("ponder-bf16")
    machine = runs.environment(plan.hardware.threads)
    print(
        f"{plan.model.name}, {words.questions} dev questions, at most {words.tokens} tokens each; "
        f"{machine['cpu']}, {torch.backends.cpu.get_cpu_capability()}, "
        f"{plan.hardware.threads} threads",
        flush=True,
    )
    sizes = {
        arm: best_size(arm, words.questions, words.tokens) if arm in SIZES else 0
        for arm in words.arms
    }
    results = defaultdict(list)
    for turn in range(words.turns):
        for arm in words.arms:
            got = part(arm, sizes[arm], words.questions, words.tokens)
            results[arm].append(got)
            print(f"turn {turn + 1}, {arm}: {got['useful']} in {got['seconds']:.1f} s", flush=True)
    report(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
