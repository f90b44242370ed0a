"""One test question with what the model writes freely, cut, and after "Wait", chosen by rule."""

from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from ponder.report import links
from ponder.report.comparisons import MAIN
from ponder.report.sources import Evaluation
from ponder.statistics import Sample

CUT, WAIT = "SFT, thinking cut at 16", "SFT, Wait x1"
Decode = Callable[[list[int]], str]


def decoder(path: Path) -> Decode:
    """Return the function from token ids to text of a tokenizer.json; special tokens are kept."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    return lambda ids: tokenizer.decode(ids, skip_special_tokens=False)


def example(
    rows: Mapping[str, Evaluation], families: list[str], decode: Decode
) -> dict[str, Any] | None:
    """Return the first test question of these families that shows what forcing does, or None.

    It is right without forcing, its thinking is longer than the cap of the cut, and it is wrong
    with "Wait". "answers" are {"name": label of the row, "run", "thinking", "reply", "verdict"};
    a text is its `pieces`; "page" is its address in the reader of answers. `rows` are the
    evaluations by label.
    """
    free, cut, wait = (rows[label][1] for label in (MAIN, CUT, WAIT))
    keys = [
        key
        for key, sample in free.items()
        if key[0] in families
        and sample["correct"]
        and cut[key]["capped"]
        and not wait[key]["correct"]
    ]
    if not keys:
        return None
    key = keys[0]
    answers, labels = [], []
    for label in (MAIN, CUT, WAIT):
        folder, samples = rows[label]
        sample = samples[key]
        thinking, reply = pieces(sample, decode)
        labels.append(folder.name.rpartition("-")[0])
        answers.append(
            {
                "name": label,
                "run": folder.name,
                "thinking": thinking,
                "reply": reply,
                "verdict": "right" if sample["correct"] else "wrong",
            }
        )
    question = free[key]
    return {
        "page": links.reader(*labels, q=f"{key[0]}/{key[1]}"),
        "family": key[0],
        "id": key[1],
        "question": question["question"],
        "gold": question["gold"],
        "answers": answers,
    }


def pieces(sample: Sample, decode: Decode) -> tuple[list[list[str]], list[list[str]]]:
    """Return a sample's thinking and reply, each as [["forced" or "sampled", text]] in order.

    The tokens between them, which end the thinking and open the answer, and those that end the
    turn are in neither.
    """
    ids, thinking = sample["ids"], sample["num_thinking"]
    starts = range(thinking, len(ids) + 1)
    ends = range(len(ids), thinking - 1, -1)
    reply = next(
        (
            range(start, end)
            for start in starts
            for end in ends
            if decode(ids[start:end]) == sample["reply"]
        ),
        None,
    )
    assert reply is not None, f"the tokens of {sample['id']} do not say its reply"
    return _pieces(sample, range(thinking), decode), _pieces(sample, reply, decode)


def _pieces(sample: Sample, places: range, decode: Decode) -> list[list[str]]:
    forced = set(sample["forced"])
    stretches = groupby(places, key=lambda place: place in forced)
    return [
        ["forced" if is_forced else "sampled", decode([sample["ids"][place] for place in stretch])]
        for is_forced, stretch in stretches
    ]
