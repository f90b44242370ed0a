"""How long collect takes at the paper's scale, and in how much memory: duplicates, decontamination,
selection.

    # 59,029 questions and ten times as many, a fresh process each
    PYTHONPATH=tests python tests/bench/collect_speed.py
    # and the medians
    PYTHONPATH=tests python tests/bench/collect_speed.py --repeats 3

The questions are made up, seeded. Their sources and thinking tokens are the paper's (s1, Table 7);
how long a question is, is not published, so it is a guess. With the benchmark files (see
tests/test_contamination.py) their words are those of the benchmarks in the same frequency, else of
a made-up language. Known shares of them are copies, near copies and copies of benchmark questions,
and some of the rest ends in a stock phrase of a benchmark.

Where something else keeps the machine busy, seconds say little and seconds on a processor are what
to compare. Exits with 1 when a goal is missed.
"""

import argparse
import collections
import dataclasses
import itertools
import json
import os
import random
import resource
import statistics
import sys
import time
from pathlib import Path

from bench.alone import in_a_process

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = Path(os.environ.get("PONDER_BENCHMARKS", ROOT.parent / "shared" / "benchmarks"))

SIZE, TIMES = 59_029, 10  # s1, section 2.1
SECONDS, GIGABYTES, RATIO = 180, 2, 11
SOURCES = {  # rows and mean thinking tokens: s1, Table 7
    "NuminaMATH": (30660, 4100),
    "MATH": (11999, 2900),
    "OlympicArena": (4250, 3200),
    "OmniMath": (4238, 4400),
    "AGIEval": (2385, 1200),
    "xword": (999, 700),
    "OlympiadBench": (896, 3900),
    "AIME": (890, 4700),
    "TheoremQA": (747, 2100),
    "USACO": (519, 3600),
    "JEEBench": (515, 2900),
    "GPQA": (348, 2900),
    "SciEval": (227, 700),
    "s1-prob": (182, 4000),
    "LiveCodeBench": (151, 3500),
    "s1-teasers": (23, 4100),
}
FILES = {
    "aime24": ("question", 30),
    "math500": ("question", 500),
    "gpqa_diamond": (None, 200),
    "gsm8k": ("problem", 8792),
}
EXACT, NEAR, LEAKED, STOCK = (
    0.02,
    0.02,
    0.002,
    0.05,
)  # shares of the questions; the paper's are not known
DOMAINS = 51  # s1, Table 6
PHASES = ("duplicates", "decontamination", "selection")


def sentence(rng, words, cumulative, median):
    """Return a text of lognormal length: half of the texts have `median` words or more, one in 40
    four times as many.
    """
    count = min(4000, max(3, round(rng.lognormvariate(0, 0.7) * median)))
    return " ".join(rng.choices(words, cum_weights=cumulative, k=count))


def language(rng, texts):
    """Return (words, cumulative frequencies) of some texts, or of a made-up language when there are
    none.
    """
    if texts:
        counts = collections.Counter(word for text in texts for word in text.split())
    else:
        parts = ["".join(part) for part in itertools.product("bdfglmnprst", "aeiou")]
        made = ["".join(rng.choices(parts, k=rng.randint(1, 4))) for _ in range(20_000)]
        counts = {word: 1 / (10 + place) for place, word in enumerate(dict.fromkeys(made))}
    return list(counts), list(itertools.accumulate(counts.values()))


def benchmarks(rng, rule):
    """Return ({benchmark: [{id, question, key}]}, names of the real ones, words, cumulative
    frequencies).
    """
    from ponder.collect import contamination
    from ponder.questions.drawn import question_id

    real = {
        name: {"path": str(BENCHMARKS / f"{name}.jsonl"), "field": column, "id": "id", "key": None}
        for name, (column, _) in FILES.items()
        if column and (BENCHMARKS / f"{name}.jsonl").exists()
    }
    rows = contamination.read_benchmarks(dataclasses.replace(rule, benchmarks=real)) if real else {}
    words, cumulative = language(
        rng, [row["question"] for name in sorted(rows) for row in rows[name]]
    )
    for name, (_, count) in FILES.items():
        if name not in rows:
            texts = [sentence(rng, words, cumulative, 45) for _ in range(count)]
            rows[name] = [
                {"id": str(number), "question": text, "key": question_id(text)}
                for number, text in enumerate(texts)
            ]
    return rows, sorted(real), words, cumulative


def changed(rng, text):
    """Return the text with one of its words replaced."""
    words = text.split()
    words[rng.randrange(len(words))] = f"other{rng.randrange(10**6)}"
    return " ".join(words)


def pool(size, rng, held, words, cumulative):
    """Return (questions, how many were planted as what)."""
    from ponder.questions.drawn import Question, question_id

    items = [row["question"] for name in sorted(held) for row in held[name]]
    long = [text for text in items if len(text.split()) >= 12]
    stock = [" ".join(text.split()[:12]) for text in rng.sample(long, 40)]
    families = rng.choices(list(SOURCES), [rows for rows, _ in SOURCES.values()], k=size)
    texts, planted = [], collections.Counter()
    for _ in range(size):
        kind = rng.random()
        if texts and kind < EXACT:
            planted["exact"] += 1
            texts.append(rng.choice(texts).upper())
        elif texts and kind < EXACT + NEAR:
            planted["near"] += 1
            texts.append(changed(rng, rng.choice(texts)))
        elif kind < EXACT + NEAR + LEAKED:
            planted["leaked"] += 1
            texts.append(changed(rng, rng.choice(long)))
        else:
            text = sentence(rng, words, cumulative, 45)
            texts.append(f"{text} {rng.choice(stock)}" if rng.random() < STOCK else text)
    made = [(question_id(text), family, text) for text, family in zip(texts, families, strict=True)]
    return [
        Question(ident, family, text, "1", ident, {}, f"d{rng.randrange(DOMAINS)}")
        for ident, family, text in made
    ], planted


def traces_of(questions, rng):
    """Return a Trace for each question, tokens spread about its source's mean.

    What it thinks is not read here.
    """
    from ponder.rows import Trace

    return [
        Trace(
            id=question.id,
            family=question.family,
            domain=question.domain,
            question=question.question,
            answer="1",
            gold="1",
            think="x",
            wrong=[],
            tokens=1 + round(rng.lognormvariate(-0.125, 0.5) * SOURCES[question.family][1]),
            correct=rng.random() < 0.536,
            teacher="made up",
        )
        for question in questions
    ]


def peak():
    """Return the most memory in GB since the last call, or since the start where the system cannot
    say.
    """
    try:
        most = next(
            int(line.split()[1])
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith("VmHWM")
        )
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20


def timed(work, *arguments):
    """Return (what `work` returns, [seconds, of them on a processor, GB])."""
    start, worked = time.perf_counter(), time.process_time()
    done = work(*arguments)
    return done, [time.perf_counter() - start, time.process_time() - worked, peak()]


def measure(size):
    """Return {phase: as of timed} and what was found, for `size` questions in this process."""
    from conftest import composed
    from omegaconf import OmegaConf

    from ponder import config
    from ponder.collect import contamination, duplicates, selection

    rng = random.Random(f"bench/{size}")
    cfg = composed("experiment=cpu", "decontamination=s1", "decontamination.traces=false")
    rule = config.build(contamination.Decontamination, cfg.decontamination)
    choice = config.build(selection.Selection, OmegaConf.load(ROOT / "conf/selection/s1.yaml"))
    choice = dataclasses.replace(choice, size=max(1, round(choice.size * size / SIZE)))
    held, real, words, cumulative = benchmarks(rng, rule)
    questions, planted = pool(size, rng, held, words, cumulative)
    result = {"real": real, "planted": dict(planted), "made": peak()}

    (kept, copies), result["duplicates"] = timed(
        duplicates.remove, questions, rule.near, rule.prefer
    )
    hits, result["decontamination"] = timed(contamination.hits, kept, [], held, rule)
    contaminated, traces = contamination.strongest(hits), traces_of(kept, rng)
    solved = {
        name: {q.id: rng.random() < 0.3 for q in kept} for name in choice.references
    }  # leaves half, as in s1
    (chosen, funnel, _), result["selection"] = timed(
        selection.select, traces, choice, 0, solved, contaminated
    )

    by = collections.Counter(row["by"] for row in copies) + collections.Counter(
        row["by"] for row in hits
    )
    return result | {
        "found": dict(sorted(by.items())),
        "contaminated": len(contaminated),
        "after": funnel["after"],
        "chosen": len(chosen),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--size", type=int, help="measure this many questions in this process and print JSON"
    )
    parser.add_argument("--repeats", type=int, default=1)
    asked = parser.parse_args()
    if asked.size:
        return print(json.dumps(measure(asked.size)))
    totals = {}  # {size: (seconds, of them on a processor, GB)}
    for size in (SIZE, SIZE * TIMES):
        runs = [in_a_process(__file__, "--size", size) for _ in range(asked.repeats)]
        print(
            f"{size:,} questions, made in {runs[0]['made']:.2f} GB; real benchmarks: "
            f"{', '.join(runs[0]['real']) or 'none'}"
        )

        def median(phase, column, runs=runs):
            return statistics.median(run[phase][column] for run in runs)

        print(
            f"  {'':<16}{'seconds':>9}{'on a processor':>16}{'GB':>7}    (medians of "
            f"{asked.repeats})"
        )
        for phase in PHASES:
            print(
                f"  {phase:<16}{median(phase, 0):9.1f}{median(phase, 1):16.1f}"
                f"{median(phase, 2):7.2f}"
            )
        for run in runs:
            run["together"] = [
                *(sum(run[phase][column] for phase in PHASES) for column in (0, 1)),
                max(run[p][2] for p in PHASES),
            ]
        totals[size] = [median("together", column) for column in range(3)]
        print(
            f"  {'together':<16}{totals[size][0]:9.1f}{totals[size][1]:16.1f}{totals[size][2]:7.2f}"
        )
        shown = ("planted", "found", "contaminated", "after", "chosen")
        print("  " + json.dumps({name: runs[0][name] for name in shown}), flush=True)
    (seconds, _, memory), ratio = totals[SIZE], totals[SIZE * TIMES][1] / totals[SIZE][1]
    print(f"{TIMES} times as many took {ratio:.1f} times as long on a processor")
    met = seconds <= SECONDS and memory <= GIGABYTES and ratio <= RATIO
    print(f"goals ({SECONDS} s, {GIGABYTES} GB, {RATIO} times): {'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
