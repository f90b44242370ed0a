"""The auditor is audited: the real released tree is falsified in many ways, and the right check
must say FAIL each time.

Each mutation of a file that a manifest lists is made a second time with that manifest, and every
manifest that names the file, recomputed to hide it. The checks run in a process of this checkout's
code, on a clone; a tenth of the mutations, drawn anew each time, go through the command line.
"""

import json
import random
import subprocess
import sys

import mutations_documents
import mutations_files
import mutations_history
import mutations_runs
import pytest
from falsify import FREE, ROOT, auditor, clone, git, hidden

import audit

TABLES = (
    mutations_files.CASES,
    mutations_documents.CASES,
    mutations_runs.CASES,
    mutations_history.CASES,
)
CASES = {name: case for table in TABLES for name, case in table.items()}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A clone of the repository with the work tree of this one as its last commit."""
    if subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--git-dir"], capture_output=True
    ).returncode:
        pytest.skip("this is no git checkout, and the tree is falsified in a clone")
    tree = tmp_path_factory.mktemp("audited") / "tree"
    clone(tree)
    return tree


@pytest.fixture(scope="module")
def audited(tree):
    """A function that runs checks in the tree and returns {check: (result, problems)}."""
    worker = auditor(tree)

    def run(*names):
        worker.stdin.write(" ".join(names) + "\n")
        worker.stdin.flush()
        verdicts = json.loads(worker.stdout.readline())
        return {check: (result, problems) for check, result, problems in verdicts}

    yield run
    worker.stdin.close()
    worker.wait()


@pytest.fixture
def restored(tree):
    yield tree
    git(tree, "checkout", "-q", "--", ".")
    git(tree, "clean", "-fdqx", "logs", "data", "paper")


def told(tree, *words):
    """Return what audit.py of this checkout says of a tree."""
    command = [sys.executable, "-I", str(ROOT / "audit.py"), "--root", str(tree), *words]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_released_tree_passes_every_check(tree):
    process = told(tree)
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr
    assert "FAIL" not in process.stdout


def test_every_check_has_two_mutations_and_there_are_a_hundred_and_ten():
    seen = {check: sum(check in case for case in CASES.values()) for check in audit.CHECKS}
    assert min(seen.values()) >= 2, seen
    assert len(CASES) == sum(map(len, TABLES)) and len(CASES) >= 110


@pytest.mark.parametrize("name", CASES)
def test_a_falsified_tree_fails_the_right_check(name, restored, audited):
    edit, check, _ = CASES[name]
    edit(restored)
    result, problems = audited(check)[check]
    if (
        result == "UNSUPPORTED"
        and git(restored, "rev-parse", "--is-shallow-repository").strip() == "true"
    ):
        pytest.skip("a shallow clone has no history to be checked")
    assert result == "FAIL", f"{check} says {result}"
    assert problems


@pytest.mark.parametrize("name", [name for name, (_, _, check) in CASES.items() if check])
def test_it_fails_with_the_manifests_recomputed_as_well(name, restored, audited):
    edit, _, check = CASES[name]
    assert hidden(restored, edit(restored)) or "questions" in name or "question" in name
    results = {name: result for name, (result, _) in audited(check, "history").items()}
    assert results[check] == "FAIL", results
    assert results["history"] in ("FAIL", "UNSUPPORTED"), results


def test_a_tenth_of_them_fails_through_the_command_line(tree):
    seed = random.SystemRandom().randrange(10**6)
    for name in random.Random(seed).sample(sorted(CASES), len(CASES) // 10):
        edit, check, _ = CASES[name]
        edit(tree)
        process = told(tree, check)
        git(tree, "checkout", "-q", "--", ".")
        git(tree, "clean", "-fdqx", "logs", "data", "paper")
        failed = process.returncode == 1 and "FAIL" in process.stdout
        assert failed, f"{name}, drawn by {seed}: {process.stdout[-500:]}{process.stderr}"


def test_a_record_that_cannot_be_read_is_a_failure_and_no_crash(restored, audited):
    (restored / FREE / "status.json").write_text("{")
    assert all(audited(name)[name][0] == "FAIL" for name in ("schema", "names", "evaluate-log"))


def test_a_broken_pre_registration_is_told_with_its_rule_and_stops_nothing(restored, audited):
    broken = "a pre-registration with a rule of its form broken"
    undecided = "a pre-registration of a decision that is not there"
    for name, words in ((broken, "correction is 'none', but must be Holm"), (undecided, "'9999'")):
        edit, check, _ = CASES[name]
        edit(restored)
        _, problems = audited(check)[check]
        assert len(problems) == 1 and words in problems[0], problems
        git(restored, "checkout", "-q", "--", "logs/preregistrations")


def test_a_decision_may_gain_a_dated_line_and_the_history_stays_whole(restored, audited):
    edit, _, _ = CASES["an answer to a decision that the index does not have"]
    edit(restored)
    assert audited("history")["history"][0] in ("PASS", "UNSUPPORTED")
