"""train.py show=N: what a mask, a template or a delimiter does to a row can be read."""

import dataclasses
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, SMOKE, collected, command, composed, script, study_of

from ponder import models, rows
from ponder.chat import Chat
from ponder.errors import UserError
from ponder.rows import Trace
from ponder.train import show

THINK, ANSWER = "True\nnot: False", "False"


def trace(**changes):
    values = {
        "id": "0" * 16,
        "family": "f",
        "domain": "d",
        "question": "q",
        "gold": "7",
        "think": THINK,
        "answer": ANSWER,
        "wrong": [],
        "tokens": 4,
        "correct": True,
        "teacher": "t",
        **changes,
    }
    return rows.row_of(Trace, values)


def shown(chat, **changes):
    """Return a row as it is shown: its lines."""
    one = trace(**changes)
    ids, loss = chat.row(one.question, one.think, one.answer, one.wrong)
    return show.row(one, ids, loss, chat).split("\n")


def text_of(lines, loss):
    """Return the text of the lines with or without loss, put together again from its tokens."""
    body = lines[[line.split()[:1] == ["at"] for line in lines].index(True) + 1 :]
    text = ""
    for line in body:
        if line[8:12].strip() == ("loss" if loss else ""):
            for token in line[24:].split("' '"):
                text += token
    return text


def test_a_row_is_shown_token_by_token_with_loss_and_delimiters(chat):
    lines = shown(chat)
    assert lines[:2] == [
        f"row {'0' * 16} (f): 71 tokens, 44 with loss, 16 of thinking",
        "    at  loss  opens     tokens",
    ]
    openings = {line[14:22].strip(): line for line in lines[2:] if line[14:22].strip()}
    assert list(openings) == ["thinking", "answer", "final"]
    assert openings["thinking"].endswith("[<|im_start|>] 't' 'h' 'i' 'n' 'k' '\\n'")
    assert openings["answer"].endswith("[<|im_start|>] 'a' 'n' 's' 'w' 'e' 'r' '\\n'")
    assert openings["thinking"][8:12] == "    " and openings["answer"][8:12] == "loss"
    assert openings["final"].endswith("'e' 'r' ':' ' ' 'F' 'a' 'l' 's' 'e'")
    assert lines[-1] == "    70  loss            [<|im_end|>]"


def test_the_numbers_are_those_of_the_loss_itself(chat):
    one = trace()
    ids, loss = chat.row(one.question, one.think, one.answer, ())
    everything = show.row(one, ids, [1] * len(ids), chat)
    # The first token of a row is predicted by nothing.
    assert f"{len(ids)} tokens, {len(ids) - 1} with loss" in everything
    assert "NOT IN" not in everything and "0 with loss" in show.row(one, ids, [0] * len(ids), chat)


def test_a_wrong_step_without_loss_stands_on_a_line_of_its_own(chat):
    lines = shown(chat, think="a: 7 b", wrong=[[3, 4]])
    (line,) = [line for line in lines if line.endswith("  '7'")]
    assert line[8:12] == "    "
    before, after = lines[lines.index(line) - 1], lines[lines.index(line) + 1]
    assert before[8:12] == after[8:12] == "loss"


class Eating(Chat):
    """As a chat template does that drops the thinking of turns that are over."""

    def reasoning(self, think, answer, wrong=()):
        return super().reasoning("", answer)


class HalfEating(Chat):
    """One that keeps the last line of the thinking."""

    def reasoning(self, think, answer, wrong=()):
        return super().reasoning(think.split("\n")[-1], answer)


class Undelimited(Chat):
    """One whose opening of the thinking is lost."""

    def prompt(self, question, shots=()):
        return super().prompt(question)[: -len(self.think_open)]


class Answerless(Chat):
    """One that writes nothing after the thinking."""

    def reasoning(self, think, answer, wrong=()):
        ids, loss = self._trace(think, [])
        return [*ids, self.turn_end], [*loss, 1]


@pytest.mark.parametrize(
    "kind, said",
    [
        (Eating, "2 of the 2 lines of the trace's thinking, the first is 'True'"),
        (HalfEating, "1 of the 2 lines of the trace's thinking, the first is 'True'"),
        (Undelimited, "the delimiter of the thinking"),
        (Answerless, "the delimiter of the answer"),
        (Answerless, "the delimiter of the final"),
    ],
)
def test_what_a_template_eats_is_said(chat, kind, said):
    lines = shown(kind(chat.tokenizer, chat.delimiters), question="Start with what?")
    assert f"  NOT IN THIS ROW: {said}" in lines
    assert not [line for line in shown(chat, question="Start with what?") if "NOT IN" in line]


def test_a_row_that_lost_its_thinking_has_no_tokens_of_it(chat):
    assert "0 of thinking" in shown(Eating(chat.tokenizer, chat.delimiters))[0]
    assert "16 of thinking" in shown(chat)[0]


def test_delimiters_that_a_model_does_not_use_are_not_missed(chat):
    plain = dataclasses.replace(chat.delimiters, think=None, answer=None)
    lines = shown(Chat(chat.tokenizer, plain))
    assert not [line for line in lines if "NOT IN" in line]
    assert {line[14:22].strip() for line in lines[2:]} == {"", "final"}
    counted = Chat(chat.tokenizer, chat.delimiters, counted=True)
    lines = shown(counted)
    assert not [line for line in lines if "NOT IN" in line]
    assert "'2' ' ' 's' 't' 'e' 'p' 's' ' ' 'l' 'e' 'f' 't' '\\n'" in "\n".join(lines)


def test_a_delimiter_that_is_text_inside_a_text_is_not_one(chat):
    lines = shown(chat, question="<|im_start|>think\n", think="<|im_end|>")
    assert sum(line.count("[<|im_start|>]") for line in lines) == 4
    assert sum(line.count("[<|im_end|>]") for line in lines) == 2
    assert [line[14:22].strip() for line in lines].count("thinking") == 1


@pytest.mark.parametrize(
    "hostile", ["\x1b[2J\x1b[31m", "\u202egnp", "a\rb", "\x07", "zero\u200bwidth", "\x9b5m"]
)
def test_no_control_character_of_a_row_reaches_the_terminal(chat, hostile):
    text = "\n".join(shown(chat, question=hostile, think=hostile, answer=hostile, id=hostile[:3]))
    assert all(character.isprintable() for character in text.replace("\n", ""))


def test_a_character_of_several_tokens_is_shown_whole(chat):
    text = "\n".join(shown(chat, think="é ∑ 😀"))
    assert "'é'/2 ' ' '∑'/3 ' ' '😀'/4" in text and "\N{REPLACEMENT CHARACTER}" not in text
    broken = "\n".join(shown(chat, think="a\N{REPLACEMENT CHARACTER}b"))
    assert "'a'" in broken and "'b'" in broken


def test_the_tokens_are_all_there_in_order(chat):
    one = trace(think="é " * 50 + "\n\nThe 😀 end")
    ids, loss = chat.row(one.question, one.think, one.answer, ())
    tokens = list(show._tokens(ids, loss, chat))
    assert [i for token in tokens for i in token.ids] == ids
    assert [token.at for token in tokens] == [
        sum(len(t.ids) for t in tokens[:i]) for i in range(len(tokens))
    ]
    lines = list(show._lines(tokens))
    assert [token for line in lines for token in line] == tokens
    assert all(len(line) > 0 and len({token.loss for token in line}) == 1 for line in lines)


def test_what_a_terminal_cannot_print_is_escaped():
    assert show.printable("é ∑", "ascii") == "\\xe9 \\u2211" == show.printable("é ∑", None)
    assert (
        show.printable("é ∑", "latin-1") == "é \\u2211" and show.printable("é ∑", "utf-8") == "é ∑"
    )


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The folder in which the smoke experiment collected."""
    out = tmp_path_factory.mktemp("show")
    collected(out)
    return out


def test_the_first_rows_of_the_training_are_shown_and_nothing_is_loaded_or_trained(
    smoke, capsys, monkeypatch
):
    monkeypatch.setattr(models, "load_network", lambda *_, **__: pytest.fail("weights were loaded"))
    capsys.readouterr()
    script("train").main(composed(*SMOKE, f"out={smoke}", "show=3"))
    text = capsys.readouterr().out
    plan = study_of(*SMOKE, f"out={smoke}")
    from ponder import stages
    from ponder.train import batches

    traces = list(rows.read(Trace, stages.chosen_rows(plan)))
    steps = batches.order(len(traces), 1, plan.train.batch_rows, plan.seed)
    first = [traces[index].id for step in steps for index in step][:3]
    assert [line.split()[1] for line in text.split("\n") if line.startswith("row ")] == first
    assert f"{len(traces)} rows of " in text and "NOT IN" not in text
    assert not (smoke / "train").exists()


def test_a_row_count_above_the_rows_shows_them_all_and_one_below_zero_is_refused(smoke, capsys):
    script("train").main(composed(*SMOKE, f"out={smoke}", "show=100000"))
    text = capsys.readouterr().out
    assert text.count("\nrow ") == int(text.split()[0])
    with pytest.raises(UserError, match="show=-1 is no number of rows"):
        study_of(*SMOKE, "show=-1")


def test_training_on_answers_alone_says_that_the_thinking_is_not_there(smoke, capsys):
    script("train").main(composed(*SMOKE, f"out={smoke}", "show=1", "train.trace=none"))
    assert "lines of the trace's thinking" in capsys.readouterr().out


def test_it_prints_into_a_pipe_that_knows_ascii_alone(smoke):
    words = [*SMOKE, f"out={smoke}", "show=2"]
    result = command("train", *words, env={"PYTHONIOENCODING": "ascii", "TERM": "dumb"})
    assert result.returncode == 0 and not result.stderr and "\x1b" not in result.stdout
    assert result.stdout.isascii() and result.stdout.count("\nrow ") == 2


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_who_leaves_ends_a_script_in_silence(lines):
    code = f"from ponder import errors; errors.user_errors(lambda: print('row\\n' * {lines}))()"
    line = f'(sleep 0.1; {sys.executable} -c "{code}"; echo $? >&2) | true'
    result = subprocess.run(["sh", "-c", line], cwd=ROOT, capture_output=True, text=True)
    assert result.stderr == f"{128 + signal.SIGPIPE}\n"


def test_rows_that_were_not_collected_are_told_in_one_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit):
        script("train").main(composed(*SMOKE, f"out={tmp_path}", "show=1"))
    assert "make it with: python collect.py" in capsys.readouterr().err
