"""Audit: check every published number against the released records, offline, without torch.

    python audit.py                             # every check on everything released
    python audit.py hashes numbers              # some of them, by name
    python audit.py full                        # with the second grader on every answer
    python audit.py explain 49.6%               # from a number to the questions, thinking and teacher behind it
    python audit.py explain "rows/SFT, no forcing/all"
    python audit.py diff RUN RUN                # what two runs differ in, question by question
    python audit.py page                        # all of it as one HTML file: outputs/audit.html
    python audit.py replay                      # train three steps and answer five questions again, and compare bits; needs torch

Exit code 0 when nothing fails, 1 when something does, 2 for a mistake on the command line.
"""
import functools
import signal
import sys

from ponder.audit import answers, checks, claims, notes, records, rows, rules, tokens
from ponder.config import ConfigError, user_errors

CHECKS = {
    "schema": records.schema, "hashes": records.hashes, "names": records.names, "history": records.history,
    "numbers": claims.numbers, "literals": claims.literals, "cards": rows.cards,
    "answers": answers.answers, "second-grader": answers.second_grader, "tokens": tokens.tokens,
    "funnel": rows.funnel, "order": rows.order, "splits": rows.splits,
    "train-log": rules.train_log, "evaluate-log": rules.evaluate_log, "clocks": rules.clocks,
    "decisions": notes.decisions, "preregistrations": notes.preregistrations, "readings": notes.readings,
}


def verdicts(names=tuple(CHECKS), full=False):
    """Yield the verdict of each check."""
    for name in names:
        yield checks.answered(name, functools.partial(answers.second_grader, True) if full and name == "second-grader" else CHECKS[name])


def told(found):
    """Print verdicts as they come and return the exit code: 1 where a check fails."""
    count = {}
    for verdict in found:
        count[verdict.result] = count.get(verdict.result, 0) + 1
        print(f"{verdict.result:11} {verdict.check:17} {verdict.looked_at}\n{'':29} proves: {verdict.proves}\n{'':29} not: {verdict.leaves_open}",
              flush=True)
        for problem in verdict.problems[:20]:
            print(f"{'':11} - {problem}")
        if len(verdict.problems) > 20:
            print(f"{'':11} - and {len(verdict.problems) - 20} more")
    print(", ".join(f"{n} {result}" for result, n in sorted(count.items())))
    return 1 if "FAIL" in count else 0


@user_errors
def main(words):
    """Do what the command line says and return the exit code."""
    match words:
        case []:
            return told(verdicts())
        case ["full"]:
            return told(verdicts(full=True))
        case ["explain", *what] if what:
            from ponder.audit import explain
            print("\n".join(explain.explain(what)))
        case ["diff", one, other]:
            from ponder.audit import explain
            print("\n".join(explain.diff(one, other)))
        case ["page"]:
            from ponder.audit import page
            out = checks.ROOT / "outputs" / "audit.html"
            out.parent.mkdir(exist_ok=True)
            out.write_text(page.page(list(verdicts()), [notes.outcome(path) for path in notes.preregistered()]))
            print(f"wrote {checks.shown(out)}")
        case ["replay"]:
            from ponder.audit import replay
            return told(replay.replay(checks.ROOT / "outputs" / "replay"))
        case ["-h" | "--help"]:
            print(__doc__)
        case _ if all(word in CHECKS for word in words):
            return told(verdicts(words))
        case _:
            raise ConfigError(f"{' '.join(words)!r} is no command of audit.py; the checks are {', '.join(CHECKS)}, and there are full, "
                              "explain, diff, page and replay: python audit.py -h says what they do")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)    # `audit.py explain ... | head` ends quietly
    sys.exit(main(sys.argv[1:]))
