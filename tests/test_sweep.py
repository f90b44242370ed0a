"""A sweep in one pass makes what its budgets make one by one: samples and run folders, for less."""

import contextlib
import dataclasses
import json
import re
import sys
import zlib

import pytest
import torch
from conftest import (
    ROOT,
    SMOKE,
    answered,
    collected,
    command,
    composed,
    evaluated,
    script,
    study_of,
    trained,
)
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st
from test_hf import MARKS, prompts_of, rule

from ponder import chat, stages
from ponder.decode import attention, hf, sweep
from ponder.decode import budget as budgets
from ponder.decode.budget import Budget, Completion
from ponder.errors import UserError
from ponder.evaluate import plans

SEVEN = [rule(cap) for cap in (0, 1, 2, 4, 8, 16, 30)]
WAITS = [rule(30, num_ignore=n) for n in (1, 2)]
MORE = [
    rule(12, num_ignore=2),
    rule(30, num_ignore=2, nudge="H"),
    rule(30, num_ignore=1, nudge=""),
    rule(9, force_answer="always"),
    rule(8, num_ignore=2, scope="per_segment"),
    rule(30, force_answer="never"),
    rule(30, max_answer=2),
]
TOP_2 = 1e-3  # two logits nearer than this may change places with the shape of the batch


def marks_of(chosen):
    return [dataclasses.replace(MARKS, nudge=tuple(budget.nudge.encode())) for budget in chosen]


def gap(network, prompt, ids):
    """Return the difference of the two largest logits after a prompt and its tokens."""
    with torch.no_grad():
        top = network(torch.tensor([prompt + ids]), use_cache=False).logits[0, -1].topk(2).values
    return float(top[0] - top[1])


def divergences(network, prompts, together, separate):
    """Return (row, position, top-2 gap) of every sample whose tokens are not the same."""
    rows = []
    for i, (one, other) in enumerate(zip(together, separate, strict=True)):
        if one.ids != other.ids:
            at = budgets.common_length(one.ids, other.ids)
            rows.append((i, at, gap(network, prompts[i], one.ids[:at])))
    return rows


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "chosen",
    [SEVEN + WAITS, SEVEN + WAITS + MORE, MORE[::-1] + SEVEN],
    ids=["issue", "all", "reversed"],
)
@pytest.mark.parametrize("size", [5, 64])
def test_a_sweep_gives_each_budget_the_tokens_of_its_own_run(network, size, chosen, dtype):
    network, prompts, marks = network.to(dtype), prompts_of(*range(3, 19)), marks_of(chosen)
    rows = [sweep.row_of_budgets(chosen, marks) for _ in prompts]
    samples = dict(hf.run(network, prompts, rows, size))
    for at, budget in enumerate(chosen):
        separate = hf.decode(network, prompts, budget, marks[at], size)
        together = [samples[i][at] for i in range(len(prompts))]
        different = divergences(network, prompts, together, separate)
        assert all(distance < TOP_2 for _, _, distance in different), different
        assert len(different) <= (0 if dtype == torch.float64 else 1), different
        if not different:
            assert together == separate


def fed(network, monkeypatch, work):
    """Return how many tokens the network read during `work`."""
    count, forward = [0], attention.forward

    def spied(network, store, feeds, tokens, ready):
        count[0] += len(tokens)
        return forward(network, store, feeds, tokens, ready)

    with monkeypatch.context() as patch:
        patch.setattr(attention, "forward", spied)
        work()
    return count[0]


def test_a_sweep_reads_each_prompt_and_each_common_token_once(network, monkeypatch):
    prompts, chosen = prompts_of(*[150] * 8), [*SEVEN, *WAITS]
    marks = marks_of(chosen)
    longest = fed(network, monkeypatch, lambda: hf.decode(network, prompts, WAITS[1], MARKS, 64))
    rows = [sweep.row_of_budgets(chosen, marks) for _ in prompts]
    together = fed(network, monkeypatch, lambda: list(hf.run(network, prompts, rows, 64)))
    one_by_one = sum(
        fed(network, monkeypatch, lambda b=b: hf.decode(network, prompts, b, MARKS, 64))
        for b in chosen
    )
    answers = len(prompts) * len(chosen) * (9 + 5)
    assert together <= longest + answers and together * 4 < one_by_one


class Machine:
    """A greedy model that is a table: its next token depends on all tokens before, by a hash."""

    def __init__(self, seed, letters="abc/<>>>"):
        self.seed, self.letters, self.num_tokens = seed, letters, 0

    def say(self, held, sampled, barred):
        letters = [letter for letter in self.letters if letter not in barred]
        self.num_tokens += 1
        return letters[zlib.crc32(f"{self.seed}/{held}{sampled}".encode()) % len(letters)]


LETTERS = st.lists(
    st.builds(
        Budget,
        st.just("test"),
        st.integers(1, 12),
        st.integers(0, 3),
        st.sampled_from(["W", "", "/H"]),
        st.integers(1, 5),
        st.sampled_from(["capped", "always"]),
        st.sampled_from(["total", "per_segment"]),
    ),
    min_size=1,
    max_size=7,
)


@given(LETTERS, st.integers(0, 10**6))
def test_any_budgets_of_any_greedy_model_are_as_if_alone(chosen, seed):
    ends = ((">",), ("<",), ("a", "b"))
    marks = [
        chat.Marks(ends, ends, ("<",), "/", tuple(b.nudge), ("A",), ("A", "F")) for b in chosen
    ]
    together, apart = Machine(seed), Machine(seed)
    assert answered(sweep.row_of_budgets(chosen, marks), together.say) == [
        answered(budgets.forced(b, m), apart.say) for b, m in zip(chosen, marks)
    ]
    assert together.num_tokens <= apart.num_tokens


@pytest.mark.parametrize(
    "limit, ids, stop", [(5, "abc>", ">"), (4, "abc>", ">"), (3, "abc", ""), (1, "a", "")]
)
def test_a_completion_says_what_it_would_be_under_a_smaller_limit(limit, ids, stop):
    assert sweep.under_limit(Completion(tuple("abc>"), (">",)), limit) == Completion(
        tuple(ids), tuple(stop)
    )


def test_a_completion_that_was_cut_says_nothing_of_a_larger_limit():
    completion = Completion(tuple("abc"), ())
    assert sweep.under_limit(completion, 4) is None and sweep.under_limit(None, 1) is None
    assert sweep.under_limit(completion, 3) == completion


# --- the command -------------------------------------------------------------------------


SMALL = (
    "benchmark.tasks=[coin,facing]",
    "benchmark.limit=3",
    "budget.max_answer=8",
    "hardware.decode_rows=1",
)
NAMES = ("cap16", "free", "wait1", "none2", "unforced")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    trained(collected(folder))
    return folder


def plans_of(*overrides):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return plans.plans(compose("evaluate", [*SMOKE, *overrides]), [*SMOKE, *overrides])


def linked(out, folder):
    """Return `folder` with the data, the adapter and the model of `out`, and no evaluation."""
    folder.mkdir()
    for name in ("collect", "train", "models"):
        (folder / name).symlink_to(out / name)
    return folder


def run_sweep(plans):
    """Evaluate the plans of a sweep in this process and return their finished runs."""
    runs = [stages.evaluate_run(plan) for plan in plans]
    with contextlib.ExitStack() as opened:
        for run in runs:
            opened.enter_context(run)
        script("evaluate").evaluate(plans, runs)
    return runs


def test_without_a_sweep_there_is_one_plan():
    assert plans_of("budget=cap16") == [study_of(*SMOKE, "budget=cap16")]


def test_a_sweep_makes_the_run_folders_of_its_budgets_with_the_same_samples(out, tmp_path):
    together, apart = linked(out, tmp_path / "together"), linked(out, tmp_path / "apart")
    runs = run_sweep(plans_of(f"out={together}", *SMALL, f"sweep=[{','.join(NAMES)}]"))
    for name, run in zip(NAMES, runs, strict=True):
        alone = evaluated(study_of(*SMOKE, f"out={apart}", *SMALL, f"budget={name}"))
        assert alone.name == run.name and run.finished
        assert not (run.folder / "generations.jsonl").exists()
        for file in ("samples.jsonl", "results.json", "config.yaml", "base.json"):
            assert (run.folder / file).read_bytes() == (alone.folder / file).read_bytes(), file


def test_a_killed_sweep_goes_on_to_the_same_samples(out, tmp_path, monkeypatch):
    straight, killed = linked(out, tmp_path / "straight"), linked(out, tmp_path / "killed")
    names, decode, calls = "sweep=[cap16,wait1]", hf.run, []

    def go(folder):
        return run_sweep(plans_of(f"out={folder}", *SMALL, names))

    def dies(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return decode(*arguments, **options)

    whole = go(straight)
    monkeypatch.setattr(hf, "run", dies)
    with pytest.raises(KeyboardInterrupt):
        go(killed)
    second = stages.evaluate_run(plans_of(f"out={killed}", *SMALL, names)[1])
    half = second.folder / "generations.jsonl"
    half.write_bytes(half.read_bytes()[:-30])  # the kill came between the files of two budgets
    for run, straight_run in zip(go(killed), whole, strict=True):
        samples = (run.folder / "samples.jsonl").read_bytes()
        assert samples == (straight_run.folder / "samples.jsonl").read_bytes()
    assert len(calls) == 4, "the first block again, since a row of it was cut, and the second"


@pytest.mark.parametrize(
    "overrides, words",
    [
        (["sweep=[cap16,cap17]"], "cap17 in sweep=.* names no option.*did you mean cap16"),
        (["sweep=[cap16,cap16]"], "names a budget twice"),
        (["sweep=[cap16]", "budget=free"], "budget=free says what a budget is"),
        (["sweep=cap16"], "sweep is 'cap16', but must be a list"),
    ],
)
def test_a_sweep_that_can_not_be_meant_is_refused(overrides, words):
    with pytest.raises(UserError, match=words):
        plans_of(*overrides)


OF_A_BUDGET = {  # every key, so that a new one is refused or allowed by a decision
    "name": "cap16",
    "max_thinking": "8",
    "num_ignore": "1",
    "nudge": "Hmm",
    "force_answer": "always",
    "scope": "per_segment",
    "tries": "2",
}


def test_the_keys_of_a_budget_are_those_that_hold_for_one_and_those_that_hold_for_all():
    fields = {field.name for field in dataclasses.fields(Budget)}
    assert fields == OF_A_BUDGET.keys() | plans.SHARED


@pytest.mark.parametrize("key", OF_A_BUDGET)
@pytest.mark.parametrize("form", ["budget.{}={}", "++budget.{}={}", "++budget={{{}: {}}}"])
def test_no_override_makes_the_budgets_of_a_sweep_alike(key, form):
    text = form.format(key, OF_A_BUDGET[key])
    with pytest.raises(UserError) as refused:
        plans_of("sweep=[cap16,cap32]", text)
    assert text in str(refused.value) and "says what a budget is" in str(refused.value)


@pytest.mark.parametrize(
    "text, words",
    [
        ("budget=cap16", "budget=cap16 says what a budget is"),
        ("++budget.max_thinking=${seed}", "says what a budget is"),
        ("+budget.more=1", "budget.more is read by nothing"),
        ("~budget.max_thinking", "budget.max_thinking is missing"),
        ("~budget.tries", "~budget.tries says what a budget is"),
        ("~budget", "budget is missing"),
    ],
)
def test_no_other_form_of_an_override_passes_either(text, words):
    with pytest.raises(UserError, match=re.escape(words)):
        plans_of("sweep=[cap16,cap32]", text)


def swept(monkeypatch, tmp_path, *words):
    """Return the budgets that evaluate.py's command would measure, as (name, max_thinking)."""
    measured, module = [], script("evaluate")
    monkeypatch.setattr(module, "evaluate", lambda studies, runs: measured.extend(studies))
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *words, f"out={tmp_path}/out"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    module.main()
    return [(study.budget.name, study.budget.max_thinking) for study in measured]


MINE = "defaults: [evaluate, _self_]\n"
BASE = ("experiment=smoke", "subject=base")


def test_a_sweep_is_composed_from_the_config_that_the_command_names(monkeypatch, tmp_path):
    (tmp_path / "mine.yaml").write_text(f"{MINE}decoding: {{seed: 7}}\nsweep: [cap16, free]\n")
    words = (f"--config-dir={tmp_path}", "--config-name=mine", *BASE)
    assert swept(monkeypatch, tmp_path, *words) == [("cap16", 16), ("free", 192)]
    configs = list(tmp_path.glob("out/evaluate/*/config.yaml"))
    assert len(configs) == 2 and all("\n  seed: 7\n" in path.read_text() for path in configs)


@pytest.mark.parametrize("flags", ["--config-dir={}", "-cd={}"])
def test_a_sweep_knows_the_budgets_of_another_folder(monkeypatch, tmp_path, flags):
    (tmp_path / "budget").mkdir()
    own = "defaults: [free, _self_]\nname: cap5\nmax_thinking: 5\n"
    (tmp_path / "budget" / "cap5.yaml").write_text(own)
    words = (*flags.format(tmp_path).split("=", 1), *BASE, "sweep=[cap5,cap16]")
    assert swept(monkeypatch, tmp_path, *words) == [("cap5", 5), ("cap16", 16)]


@pytest.mark.parametrize(
    "path, text, words",
    [
        (
            "mine.yaml",
            f"{MINE}budget: {{max_thinking: 8}}\n",
            ["--config-name=mine", "experiment=smoke"],
        ),
        (
            "experiment/own.yaml",
            "# @package _global_\ndefaults: [smoke, _self_]\nbudget: {scope: per_segment}\n",
            ["experiment=own"],
        ),
    ],
)
def test_no_config_makes_the_budgets_of_a_sweep_alike(
    monkeypatch, tmp_path, capsys, path, text, words
):
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text(text)
    line = (f"--config-dir={tmp_path}", *words, "subject=base", "sweep=[cap16,cap32]")
    with pytest.raises(SystemExit) as left:
        swept(monkeypatch, tmp_path, *line)
    told = capsys.readouterr().err
    assert left.value.code == 2 and "error: a config sets budget." in told
    assert "for all of sweep=['cap16', 'cap32']" in told and not (tmp_path / "out").exists()


def test_what_is_set_for_a_budget_holds_for_all_of_the_sweep():
    plans = plans_of("sweep=[cap16,wait1]", "budget.max_answer=7")
    assert [(p.budget.name, p.budget.max_answer, p.budget.num_ignore) for p in plans] == [
        ("cap16", 7, 0),
        ("wait1", 7, 1),
    ]


def test_the_real_command_sweeps_and_says_what_is_there_already(out, tmp_path):
    folder = linked(out, tmp_path / "command")
    arguments = [*SMOKE, f"out={folder}", *SMALL, "sweep=[cap16,wait1]"]
    usual = ROOT / "outputs" / "datasets"
    before = {path: path.stat().st_mtime_ns for path in usual.rglob("*.arrow")}
    first = command("evaluate", *arguments)
    assert first.returncode == 0, first.stderr
    assert list((folder / "datasets").rglob("*.arrow")), "what datasets caches lies with the runs"
    assert {path: path.stat().st_mtime_ns for path in usual.rglob("*.arrow")} == before
    again = command("evaluate", *arguments)
    assert again.returncode == 0 and again.stdout.count("finished before, nothing to do") == 2
    runs = sorted(path.parent for path in folder.glob("evaluate/*/manifest.json"))
    assert [run.name.rsplit("-", 1)[0] for run in runs] == [
        "smoke-trained-cap16-dev",
        "smoke-trained-wait1-dev",
    ]
    for run in runs:
        assert json.loads((run / "results.json").read_text())["all"]["n"] == 6
    assert composed().sweep == []
