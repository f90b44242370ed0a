"""Audit: check every published number against the released records, offline, without torch.

    python audit.py                       # every check on everything released
    python audit.py hashes numbers        # some of them, by name
    python audit.py full                  # with the second grader on every answer
    python audit.py --json                # verdicts and claims for a program
    python audit.py page                  # all of it as one HTML file: outputs/audit.html

    python audit.py explain NUMBER WORDS  # from a printed number, and words of its row, to the
                                          # teacher behind it
    python audit.py explain "rows/SFT, no forcing/all"    # the same by the name of a claim
    python audit.py diff RUN RUN          # what two runs differ in, question by question
    python audit.py root                  # one hash of all released files, to be time-stamped
    python audit.py root 0.1.0            # the same of a release, or of a commit
    python audit.py replay                # train three steps and answer five questions again, and
                                          # compare bits; needs torch
    python audit.py replay RUN            # the same of any run whose weights are released:
                                          # --answers 20, or --steps 1:10, drawn by --seed 7
    python -I audit.py --root OTHER       # any of these on another checkout, with this one's code
    python audit.py --anchor COMMIT       # whether what was known at a commit that you kept is
                                          # unchanged; a file of commits does, too


Exit code 0 when nothing fails, 1 when something does, 2 for a mistake on the command line.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Nothing that lies beside this file shadows a package: it is looked at for `ponder` alone.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import ponder  # noqa: F401

    sys.path[:] = [place for place in sys.path if os.path.abspath(place) != sys.path[0]]

import dataclasses
import functools
import gc
import importlib
import json
import multiprocessing.connection
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.errors import UserError, user_errors

if TYPE_CHECKING:
    from ponder.audit.checks import Verdict

# Each check by its function in ponder/audit/, with what its PASS proves, and what it leaves open.
CHECKS = {
    "schema": (
        "records.schema",
        "every released run and data set is complete and has the documented form, and nothing "
        "else lies in logs/ and data/ but what guides name",
        "that it is true",
    ),
    "hashes": (
        "records.hashes",
        "files are those that the manifests name, every input of a run is a released file, and its "
        "answers name the weights that it read",
        "that manifests were not rewritten with the files: see names and history",
    ),
    "names": (
        "records.names",
        "config and inputs are those that named each run when it started",
        "that the run did what they say",
    ),
    "history": (
        "history.history",
        "no released file changed or went since its first commit, unless logs/corrections.jsonl "
        "says so; lists only grew, and decisions kept their words from their second day on",
        "what came after the anchor, and without one whether the history was written anew",
    ),
    "releases": (
        "roots.releases",
        "the root of each release in logs/releases.jsonl is that of the files at its commit, and "
        "at its tag where this clone has it",
        "a tag that was moved together with its line: a root that was time-stamped outside tells "
        "that (logs/README.md)",
    ),
    "origins": (
        "origins.origins",
        "each run names commits of this history that are older than its starts, and was released "
        "after it ended",
        "that the run was made by their code, and that the clocks of run and git were right",
    ),
    "stdout": (
        "origins.stdout",
        "what each run printed at its end is what its records say",
        "that the lines were printed: they can be forged together",
    ),
    "numbers": (
        "numbers.numbers",
        "what templates put into README, guides, results and paper follows from released samples, "
        "metrics and rows by a named estimator, and the PDF is the bytes that its template gives",
        "that those are what the models did (replay), and the prose around each number",
    ),
    "seen": (
        "seen.seen",
        "every number in the text of the PDF, read back, and in the Markdown documents as they "
        "are rendered stands where a claim prints it, or is a literal or the number of a page, "
        "heading, figure or table; no template computes one, and documents show no images and "
        "tags but a few",
        "that the words around a number are right, so also which claim was put into a sentence; "
        "options and indices in code, where links lead, and what is drawn and no text; the shapes "
        "of figures are those of numbers; Markdown but that of README, data/, conf/, paper/, "
        "results and CONTRIBUTING",
    ),
    "literals": (
        "literals.literals",
        "no other number in the documents was typed by hand, but for those listed here one by one",
        "numbers that are written as words, and all other prose: higher, better, because",
    ),
    "cards": (
        "rows.cards",
        "the numbers of a data card are counted in its files or follow from its run",
        "its words",
    ),
    "answers": (
        "answers.answers",
        "every grade follows from the reply and the gold answer, and question and gold are those "
        "of data/ but for public benchmarks",
        "that gold answers are right, that the hashes of a public benchmark are of its answers, "
        "and that the model wrote the reply (tokens, replay)",
    ),
    "second-grader": (
        "answers.second_grader",
        "a grader that shares no code with the first agrees, except where listed",
        "answers that were not drawn (make audit-full), and what both get wrong",
    ),
    "tokens": (
        "tokens.tokens",
        "the text that is graded is that of the token ids",
        "that the model chose those tokens: see replay",
    ),
    "prompts": (
        "prompts.prompts",
        "the hash of every answer's prompt is that of question, template and tokenizer",
        "that the model was given it, and prompts of tokenizers that are not released",
    ),
    "forcing": (
        "ties.forcing",
        "the forced tokens are exactly those that the budget's rule forces, and thinking and "
        "answer end where it lets them",
        "that the other tokens are the model's: see greedy and replay",
    ),
    "greedy": (
        "ties.greedy",
        "greedy answers of the same weights on the same kind of machine choose the same token "
        "wherever they read the same tokens",
        "tokens that no second run shares, drawn answers, and a forgery of all runs of one "
        "subject: see replay",
    ),
    "funnel": (
        "rows.funnel",
        "the filters and the seed choose the released rows from all released traces",
        "that the traces are what the teacher wrote",
    ),
    "order": (
        "rows.order",
        "batches.jsonl is the order that config, seed and rows give",
        "that training read those rows: replay",
    ),
    "splits": (
        "rows.splits",
        "every id is the hash of its text and every key that of its facts; by both pool, probe, "
        "dev, test and new questions are disjoint, and no training row is of dev or test",
        "that facts are those of the text, and that different keys ask different things",
    ),
    "train-log": (
        "rules.train_log",
        "steps, learning rates and tokens are those that the plan gives",
        "the losses: see replay",
    ),
    "evaluate-log": (
        "rules.evaluate_log",
        "every question is answered as often as planned, no thinking exceeds its budget, and "
        "results.json counts the samples",
        "that the tokens are the model's: see replay",
    ),
    "clocks": (
        "rules.clocks",
        "time moves forward and no step is missing",
        "that the clock was right",
    ),
    "decisions": (
        "notes.decisions",
        "every decision says question, options, choice and when to look again, its evidence "
        "exists, and the index lists it",
        "that it was wise, and that its words were never changed",
    ),
    "preregistrations": (
        "notes.preregistrations",
        "what was expected was committed, and unchanged, before the commit that its "
        "runs started from, and test was read for no other run of their names or hashes",
        "that nobody looked at unreleased runs first, and that readings which a decision record "
        "tells as not finished had no result",
    ),
    "readings": (
        "notes.readings",
        "no released number is of an untold reading of test",
        "readings by code that does not log them",
    ),
}
# Those of a second process: on documents, history and data sets. They take as long as the others.
APART = ("history", "numbers", "seen", "literals", "cards", "preregistrations", "funnel")
STARTED_IN = os.getcwd()
# Options, with what comes after each.
OPTIONS = {
    "--json": "nothing",
    "--root": "the folder of a checkout",
    "--anchor": "a commit that you know from elsewhere, or a file of them",
    "--answers": "how many answers are replayed",
    "--steps": "the first and last step that are replayed, as 1:10",
    "--seed": "what draws the answers or steps that are replayed",
}
SHOWN = 20  # problems of a check that are printed
GARBAGE = 10**6  # records hold no cycles, and looking for them took a fifth of the time


def look_at(root: str) -> None:
    """Let the checks look at another checkout; to be called before any of them is imported."""
    from ponder import runs

    runs.ROOT = Path(STARTED_IN, root).resolve()
    if not (runs.ROOT / "logs").is_dir():
        raise UserError(f"--root {root} has no folder logs; name the top of a checkout")
    os.chdir(runs.ROOT)


def verdicts(
    names: Iterable[str] = tuple(CHECKS), full: bool = False, anchors: Sequence[str] = ()
) -> Iterator[Verdict]:
    """Yield the Verdict of each check; `full` shows all answers to the second grader, `anchors` are
    commits that the auditor knows from elsewhere.
    """
    from ponder.audit import checks

    for name in names:
        path, proves, leaves_open = CHECKS[name]
        path = "answers.second_grader_on_all" if full and name == "second-grader" else path
        check = function_at(path)
        if name == "history":
            check = functools.partial(check, anchors)
        yield checks.verdict_of(name, check, proves, leaves_open)


def side_by_side(
    names: Sequence[str], full: bool = False, anchors: Sequence[str] = ()
) -> Iterator[Verdict]:
    """Yield what verdicts does; a second process makes those APART, which come last.

    Raises UserError where that process is killed.
    """
    from ponder import runs

    apart = [name for name in names if name in APART]
    others = [name for name in names if name not in APART]
    if not apart or not others:
        yield from verdicts(names, full, anchors)
        return
    with ProcessPoolExecutor(1, initializer=begin, initargs=(str(runs.ROOT),)) as pool:
        second = pool.submit(listed, apart, full, anchors)
        yield from verdicts(others, full, anchors)
        try:
            yield from second.result()
        except BrokenProcessPool:
            raise UserError(
                f"the process that looked at {', '.join(apart)} was killed, perhaps for want of "
                "memory; give the same command with these names, and it takes one process"
            ) from None


def begin(root: str) -> None:
    """Make a second process look at the checkout of the first, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=end_with_parent, daemon=True).start()
    gc.set_threshold(GARBAGE)
    look_at(root)


def end_with_parent() -> None:
    """End this process when the one that began it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a second process has a first one"
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def listed(names: Sequence[str], full: bool, anchors: Sequence[str]) -> list[Verdict]:
    """Return what verdicts yields."""
    return list(verdicts(names, full, anchors))


def function_at(path: str) -> Callable[[], tuple[Any, ...]]:
    """Return the function "module.name" of ponder/audit/; only what is asked for is imported."""
    module, name = path.split(".")
    return getattr(importlib.import_module(f"ponder.audit.{module}"), name)


def report(found: Iterable[Verdict]) -> int:
    """Print what is looked at, and Verdicts as they come; return 1 where a check fails, else 0."""
    from ponder.audit import heading

    print("\n".join(heading.heading()), flush=True)
    counts: Counter[str] = Counter()
    untold = []
    for verdict in found:
        counts[verdict.result] += 1
        if verdict.result in ("UNSUPPORTED", "NOT_RUN"):
            untold.append(verdict.check)
        print_verdict(verdict)
    tally = [f"{count} {result}" for result, count in sorted(counts.items())]
    print(", ".join(tally), *(f"(not told here: {name})" for name in untold))
    return 1 if counts["FAIL"] else 0


def in_order(found: Iterable[Verdict]) -> list[Verdict]:
    """Return Verdicts in the order of CHECKS."""
    return sorted(found, key=lambda verdict: [*CHECKS].index(verdict.check))


def print_verdict(verdict: Verdict) -> None:
    """Print a Verdict with its first problems."""
    margin, bullet = " " * 29, " " * 11 + " -"
    print(f"{verdict.result:11} {verdict.check:17} {verdict.looked_at}")
    print(f"{margin} proves: {verdict.proves}")
    print(f"{margin} leaves open: {verdict.leaves_open}")
    for problem in verdict.problems[:SHOWN]:
        print(bullet, problem)
    if len(verdict.problems) > SHOWN:
        print(bullet, f"and {len(verdict.problems) - SHOWN} more")
    sys.stdout.flush()


def write_page(anchors: Sequence[str]) -> int:
    """Write the page with the verdicts of all checks and return the exit code."""
    from ponder.audit import checks, notes, page

    path = checks.CODE / "outputs" / "audit.html"
    path.parent.mkdir(exist_ok=True)
    results = in_order(side_by_side([*CHECKS], anchors=anchors))
    path.write_text(page.page(results, [notes.outcome(plan) for plan in notes.preregistered()]))
    failing = [verdict.check for verdict in results if verdict.result == "FAIL"]
    print(f"wrote outputs/{path.name}; checks that fail: {', '.join(failing) or 'none'}")
    return 1 if failing else 0


def replayed(names: list[str], chosen: dict[str, str]) -> int:
    """Run a part of a run again, or of the main one and of smoke; return the exit code."""
    from ponder.audit import checks, explain, replay

    out = checks.CODE / "outputs" / "replay"
    seed = chosen.get("--seed") or str(random.SystemRandom().randrange(10**9))
    if not names:
        code = report(replay.replay(out, seed))
    else:
        answers = at_least_one("--answers", chosen.get("--answers", str(replay.ANSWERS)))
        span = steps_of(chosen["--steps"]) if "--steps" in chosen else None
        folder = explain.run_named(names[0])
        code = report([replay.replay_run(out, folder, seed, answers, span)])
    print(replay.never_replayed(out))
    return code


def at_least_one(option: str, text: str) -> int:
    """Return the number that an option gives; raises UserError unless it is 1 or more."""
    if not text.isdecimal() or not int(text):
        raise UserError(f"{option}={text} is no number from 1 on; give one, as {option} 20")
    return int(text)


def steps_of(text: str) -> tuple[int, int]:
    """Return the first and last step of a text like 1:10; raises UserError."""
    first, _, last = text.partition(":")
    span = at_least_one("--steps", first), at_least_one("--steps", last)
    if span[0] > span[1]:
        raise UserError(f"--steps {text} ends before it begins; give the smaller step first")
    return span


def options(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return ({option: its value}, the other words) of a command line; raises UserError."""
    found, rest, left = {}, [], iter(words)
    for word in left:
        name, _, value = word.partition("=")
        if not name.startswith("--") or name == "--help":
            rest.append(word)
            continue
        if name not in OPTIONS:
            raise UserError(f"{name} is no option of audit.py; there are {', '.join(OPTIONS)}")
        found[name] = value or ("yes" if name == "--json" else next(left, ""))
        if not found[name]:
            raise UserError(f"{name} needs {OPTIONS[name]} after it")
    return found, rest


def judged(words: list[str], chosen: dict[str, str]) -> int:
    """Run checks, all where none is named; return the exit code. Raises UserError for a word that
    is no check.
    """
    if not all(word in (*CHECKS, "full") for word in words):
        raise UserError(
            f"{' '.join(words)!r} is no command of audit.py; the checks are {', '.join(CHECKS)}, "
            "and there are full, explain, diff, page, root and replay: python audit.py -h says "
            "what they do"
        )
    names = [word for word in words if word != "full"] or [*CHECKS]
    found = side_by_side(names, "full" in words, anchors_of(chosen))
    return as_json(found) if "--json" in chosen else report(found)


def anchors_of(chosen: dict[str, str]) -> list[str]:
    """Return the anchors of a command line, a file of them as its whole path."""
    anchor = chosen.get("--anchor")
    if anchor is None:
        return []
    path = os.path.join(STARTED_IN, anchor)
    return [path if os.path.isfile(path) else anchor]


def as_json(found: Iterable[Verdict]) -> int:
    """Print Verdicts and claims as one JSON object; return the exit code.

    Its form is said in logs/README.md, and `schema` there changes with it.
    """
    from ponder.audit import checks, heading, page

    results = in_order(found)
    path = checks.ROOT / "logs" / "claims.jsonl"
    claims = page.read(path, [])
    whole = {
        "schema": 1,
        **heading.facts(),
        "verdicts": [dataclasses.asdict(verdict) for verdict in results],
        "claims": [
            claim | {"verdict": page.claim_verdict(claim["id"], results)} for claim in claims
        ],
    }
    print(json.dumps(whole, indent=1, sort_keys=True))
    return 1 if any(verdict.result == "FAIL" for verdict in results) else 0


def told(words: list[str]) -> list[str]:
    """Return the lines that explain, diff and root print."""
    from ponder.audit import explain, heading, roots

    match words:
        case ["root", *commit]:
            return [roots.root_of(roots.at(roots.commit_of(commit[0])) if commit else roots.here())]
        case ["diff", a, b]:
            return [*heading.heading(), "", *explain.diff(a, b)]
        case _:
            return [*heading.heading(), "", *explain.explain(words[1:])]


@user_errors
def main(words: list[str]) -> int:
    """Do what the command line says and return the exit code."""
    chosen, words = options(words)
    if "--root" in chosen:
        look_at(chosen["--root"])
    match words:
        case ["-h" | "--help"]:
            print(__doc__)
        case ["explain", _, *_] | ["diff", _, _] | ["root"] | ["root", _]:
            print("\n".join(told(words)))
        case ["page"]:
            return write_page(anchors_of(chosen))
        case ["replay"] | ["replay", _]:
            return replayed(words[1:], chosen)
        case _:
            return judged(words, chosen)
    return 0


if __name__ == "__main__":
    gc.set_threshold(GARBAGE)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `audit.py explain ... | head` ends quietly
    sys.exit(main(sys.argv[1:]))
