"""Every option of selection with nothing dropped, with one row, and with everything dropped."""

import json

import pytest
from conftest import ROOT, SMOKE, composed, script
from omegaconf import OmegaConf

from ponder import rows as rows_of
from ponder import stages, study
from ponder.audit import rows as audited
from ponder.runs import read_jsonl

OPTIONS = sorted(path.stem for path in (ROOT / "conf" / "selection").glob("*.yaml"))


@pytest.fixture
def out(tmp_path, pocket_folder):
    (tmp_path / "models").symlink_to(pocket_folder.parent)
    return tmp_path


def config_of(option, rows, out, *more):
    """Return the config that chooses all of so many questions by an option of selection."""
    cfg = composed(
        *SMOKE,
        f"selection={option}",
        "selection.min_tokens=0",
        "selection.max_tokens=4000",
        f"selection.size={rows}",
        f"questions.limit={rows}",
        f"out={out}",
        *more,
        script="collect",
    )
    # Rules that read files or families which these questions do not have.
    open_rules = {"references": {}, "first": [], "spared": [], "matched": None}
    for key, value in open_rules.items():
        OmegaConf.update(cfg.selection, key, value, merge=False)
    return cfg


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("option", OPTIONS)
def test_a_selection_that_drops_nothing_is_described(option, rows, out):
    cfg = config_of(option, rows, out)
    script("collect").main(cfg)
    folder = stages.collect_run(study.read(cfg)).folder
    assert len(read_jsonl(folder / "train.jsonl")) == rows
    assert not read_jsonl(folder / "dropped.jsonl")
    assert json.loads((folder / "funnel.json").read_text())["reasons"] == {}
    card = (folder / "README.md").read_text()
    assert "Nothing was dropped." in card and "| draw | 0 |" in card.replace("`", "")


@pytest.mark.parametrize("option", ["s1", "qwen-random"])
def test_a_pool_that_is_cut_below_the_size_is_a_trial_and_says_so(option, out, capsys):
    cfg = config_of(option, 7, out, "selection.size=500")
    script("collect").main(cfg)
    folder = stages.collect_run(study.read(cfg)).folder
    assert len(read_jsonl(folder / "train.jsonl")) == 7
    assert "a trial" in capsys.readouterr().out and "a trial" in (folder / "stdout.log").read_text()
    again, _ = audited.choose_again(folder, rows_of.read(rows_of.Trace, folder / "traces.jsonl"))
    assert [row.id for row in again] == [row["id"] for row in read_jsonl(folder / "train.jsonl")]


@pytest.mark.parametrize("option", OPTIONS)
def test_a_selection_that_drops_everything_is_one_sentence(option, out, capsys):
    cfg = config_of(option, 7, out, "selection.max_tokens=1")
    with pytest.raises(SystemExit) as stop:
        script("collect").main(cfg)
    message = capsys.readouterr().err
    assert stop.value.code == 2 and message.count("\n") == 1
    assert "7 quality: too long" in message
    assert not (stages.collect_run(study.read(cfg)).folder / "README.md").exists()
