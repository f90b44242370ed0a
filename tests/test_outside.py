"""Another checkout is audited by this one's code: nothing of the tree is run, whatever lies in it,
and a tree without a history, or whose git changes line ends, gives no false alarm.
"""

import json
import re
import subprocess
import sys

import pytest
from falsify import FREE, ROOT, clone, git, row

from ponder.audit import heading


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A clone with the work tree of this checkout as its last commit."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    tree = tmp_path_factory.mktemp("outside") / "tree"
    clone(tree)
    return tree


@pytest.fixture
def restored(tree):
    yield tree
    git(tree, "checkout", "-q", "--", ".")
    git(tree, "clean", "-fdqx")


def told(tree, *words, alone=("-I",), audit=ROOT / "audit.py"):
    """Return what audit.py says of a tree."""
    command = [sys.executable, *alone, str(audit), "--root", str(tree), *words]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True)


def test_a_module_that_lies_in_the_tree_shadows_no_package(restored, tmp_path):
    mark = tmp_path / "was-run"
    for name in ("typst", "yaml", "signal", "matplotlib"):
        (restored / f"{name}.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    process = told(restored, "numbers")
    assert "PASS        numbers" in process.stdout, process.stdout + process.stderr
    own = told(restored, "numbers", alone=(), audit=restored / "audit.py")
    assert "PASS        numbers" in own.stdout, own.stdout + own.stderr
    assert not mark.exists()


def test_a_check_of_the_tree_that_always_passes_is_not_believed(restored):
    row(f"{FREE}/samples.jsonl", 0, correct=lambda s: not s["correct"])(restored)
    path = restored / "ponder/audit/answers.py"
    path.write_text(path.read_text() + "\n\ndef answers():\n    return Findings('all', [])\n")
    believed = subprocess.run(
        [sys.executable, "audit.py", "answers"], cwd=restored, capture_output=True, text=True
    )
    assert believed.returncode == 0
    process = told(restored, "answers")
    assert process.returncode == 1 and "FAIL        answers" in process.stdout


def test_settings_of_the_trees_git_run_no_program(restored, tmp_path):
    mark, program = tmp_path / "was-run", tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    program.chmod(0o755)
    config = restored / ".git/config"
    before = config.read_text()
    config.write_text(
        f"{before}\n[core]\n\tfsmonitor = {program}\n\tpager = {program}\n"
        f'[filter "x"]\n\tclean = {program}\n\tsmudge = {program}\n[diff]\n\texternal = {program}\n'
    )
    (restored / ".gitattributes").write_text("* filter=x\n")
    (restored / "README.md").write_text("changed\n")
    try:
        process = told(restored, "history", "origins", "names")
    finally:
        config.write_text(before)
    assert "dirty: 2 files differ" in process.stdout, process.stdout + process.stderr
    assert not mark.exists()


def test_every_output_says_what_is_looked_at_by_what_and_when(restored):
    head = git(restored, "rev-parse", "HEAD").strip()
    (restored / "logs/new").write_text("")
    for words in (["names"], ["explain", "counts"], ["diff", FREE, FREE]):
        lines = told(restored, *words).stdout.splitlines()
        assert lines[0] == f"TREE     commit {head}, dirty: 1 files differ"
        assert lines[1].startswith(f"AUDITOR  {heading.code_sha256()[:16]}, ")
        assert "of another checkout than the tree" in lines[1]
        assert re.match(r"DATE     20\d\d-", lines[2]) and lines[3].startswith("TRUSTED  ")
        assert "of the tree nothing is run" in lines[3]


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    process = told(tmp_path)
    assert process.returncode == 2 and "has no folder logs" in process.stderr


def test_a_folder_is_named_from_where_one_stands(tmp_path):
    (tmp_path / "other" / "logs").mkdir(parents=True)
    command = [sys.executable, "-I", str(ROOT / "audit.py"), "--root", "other", "clocks"]
    process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 0 and "no git checkout" in process.stdout, process.stderr


@pytest.mark.parametrize("kind", ["archive", "shallow", "autocrlf"])
def test_no_false_alarm(tree, tmp_path, kind):
    other = tmp_path / "other"
    if kind == "archive":
        other.mkdir()
        archive = subprocess.run(
            ["git", "-C", str(tree), "archive", "HEAD"], check=True, capture_output=True
        )
        subprocess.run(["tar", "x", "-C", str(other)], input=archive.stdout, check=True)
    elif kind == "shallow":
        git(tree, "clone", "-q", "--depth", "1", f"file://{tree}", str(other))
    else:
        git(tree, "clone", "-q", "-c", "core.autocrlf=true", str(tree), str(other))
    process = told(other)
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr
    assert "FAIL" not in process.stdout
    assert ("UNSUPPORTED origins" in process.stdout) == (kind != "autocrlf")
    state = "no git checkout" if kind == "archive" else ", clean"
    assert state in process.stdout.splitlines()[0]


def rewritten(tree, folder):
    """A clone whose history holds the same files in one commit of its own."""
    git(tree, "clone", "-q", str(tree), str(folder))
    commit = git(folder, "commit-tree", "HEAD^{tree}", "-m", "all at once").strip()
    git(folder, "reset", "-q", "--hard", commit)
    return folder


def test_a_rewritten_history_passes_nowhere_and_an_anchor_tells_it(tree, tmp_path):
    anchor = git(tree, "rev-parse", "HEAD~3").strip()
    process = told(tree, "history", "--anchor", anchor[:12])
    assert "PASS        history" in process.stdout, process.stdout + process.stderr
    assert "as it was known until 20" in process.stdout
    process = told(tree, "history")
    assert "UNSUPPORTED history" in process.stdout and "no anchor given" in process.stdout
    other = rewritten(tree, tmp_path / "other")
    process = told(other, "history")
    assert "PASS" not in process.stdout
    (tmp_path / "anchors").write_text(f"# seen in a mail\n{anchor}  2026-11-28\n")
    process = told(other, "history", "--anchor", str(tmp_path / "anchors"))
    assert process.returncode == 1 and "is not in this history" in process.stdout
    process = told(tree, "history", "--anchor", "yesterday")
    assert process.returncode == 1 and "is no commit; give 7 to 40 hex digits" in process.stdout


def test_json_holds_verdicts_and_claims(tree):
    process = told(tree, "names", "numbers", "--json")
    whole = json.loads(process.stdout)
    assert whole["schema"] == 1 and whole["tree"].startswith("commit ")
    assert [verdict["check"] for verdict in whole["verdicts"]] == ["names", "numbers"]
    keys = {"check", "result", "looked_at", "proves", "leaves_open", "problems", "claims"}
    assert all(verdict.keys() == keys | {"complete"} for verdict in whole["verdicts"])
    assert whole["claims"] and {claim["verdict"] for claim in whole["claims"]} == {"PASS"}


def test_the_root_of_a_tree_is_that_of_its_commit_and_changes_with_any_file(restored):
    root = told(restored, "root").stdout
    assert len(root) == 65 and told(restored, "root", "HEAD").stdout == root
    (restored / "Makefile").write_text("all:\n")
    assert told(restored, "root").stdout != root
    assert told(restored, "root", "HEAD").stdout == root


def test_a_release_is_looked_up_by_its_name_and_no_name_is_taken_twice():
    from ponder.audit import roots
    from ponder.errors import UserError

    first = json.loads(roots.RELEASES.read_text().splitlines()[0])
    assert roots.commit_of(first["release"]) == first["commit"]
    assert roots.commit_of("HEAD") == "HEAD", "what is no release is git's to resolve"
    for name, told in (
        (first["release"], "is released already"),
        ("v1", "is no name of a release"),
    ):
        with pytest.raises(UserError, match=told):
            roots.line(name)
