"""A data set in release form: what its card, metadata and figures say is so.

And nothing in the data can break them.
"""

import dataclasses
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter

import pytest
import yaml
from conftest import ROOT
from hypothesis import example, given
from hypothesis import strategies as st

from ponder.card import card, croissant, plots, readme
from ponder.collect.terms import Terms
from ponder.errors import UserError
from ponder.hashing import file_sha256
from ponder.rows import Call, Trace, meanings
from ponder.runs import dump, read_jsonl, write_jsonl

HOSTILE = (
    "</svg><script>alert(1)</script>",
    "a|b`c``d\\",
    "---\nlicense: mit\n# heading",
    "$\\frac{$ & <!-- --> ]]>",
    "\u202e\u4e2d\0",
    "![x](http://e.example/x.png)",
    "{{7*7}} ${HOME}",
    "x" * 5000,
)
TERMS = Terms(
    licence="Apache-2.0",
    reading="allowed",
    text="0" * 64,
    quoted=None,
    source="LICENSE",
    why="our own code",
)


def facts(families, **changes):
    """Facts of a data set of these families, written by programs."""
    sources = {
        family: {"source": "a generator", "licence": "Apache-2.0", "revision": None, "rows": None}
        for family in families
    }
    usual = card.Facts(
        name="toy",
        version="1.0.0",
        published="2026-11-22",
        language="en",
        run="toy-0123abcd",
        command="python collect.py experiment=toy",
        kind="solver",
        teacher="solver",
        model=None,
        revision=None,
        terms=TERMS,
        sources=sources,
        benchmarks=(),
        override=None,
    )
    return dataclasses.replace(usual, **changes)


def trace(number, family="sums", **changes):
    return {
        "id": f"a{number:015x}",
        "family": family,
        "domain": family,
        "question": f"{number} + 1?",
        "answer": str(number + 1),
        "gold": str(number + 1),
        "think": f"{number} and one",
        "wrong": [[0, 1]] if number % 2 else [],
        "tokens": 3 + number % 5,
        "correct": True,
        "teacher": "solver",
    } | changes


def data_set(folder, traces, train, **files):
    """Write a data set as collect.py does, and return its folder."""
    folder.mkdir(exist_ok=True)
    ids = {row["id"] for row in train}
    dropped = {row["id"]: "draw: not drawn" for row in traces if row["id"] not in ids}
    write_jsonl(folder / "traces.jsonl", traces)
    write_jsonl(folder / "train.jsonl", train)
    funnel = {
        "after": {"pool": len(traces), "quality": len(traces), "draw": len(train)},
        "dropped": dropped,
    }
    (folder / "funnel.json").write_text(dump(funnel, indent=1))
    for name, rows in files.items():
        packed = {
            "calls": "calls.jsonl.gz",
            "contamination": "contamination.jsonl",
            "dropped": "dropped.jsonl",
        }[name]
        data = "".join(dump(row) for row in rows).encode()
        (folder / packed).write_bytes(
            gzip.compress(data, mtime=0) if packed.endswith(".gz") else data
        )
    return folder


def from_a_model(folder):
    """Write a data set as a model teacher gives it, and return its Facts.

    It has rejected calls, hits, domains, and hostile words everywhere.
    """
    traces = [
        trace(
            i,
            HOSTILE[i % len(HOSTILE)],
            domain=f"domain {i % 3}",
            question=HOSTILE[i % 7],
            think=HOSTILE[(i + 1) % 7],
            rejected=None,
        )
        for i in range(40)
    ]
    for row in traces[::4]:
        row |= {
            "rejected": f"failed: 500: {HOSTILE[0]}",
            "think": "",
            "answer": "",
            "correct": False,
            "tokens": 0,
        }
    call = {
        "purpose": "trace",
        "teacher": "m",
        "model": HOSTILE[2],
        "revision": None,
        "request": dump({"messages": []}),
        "response": dump({"choices": [HOSTILE[0]]}),
        "status": "answered",
        "reason": None,
        "prompt_tokens": 4,
    }
    calls = [
        call | {"key": f"b{i:015x}", "id": row["id"], "completion_tokens": row["tokens"] or None}
        for i, row in enumerate(traces)
    ]
    hit = {
        "id": traces[1]["id"],
        "where": "question",
        "benchmark": HOSTILE[1],
        "benchmark_id": "1a",
        "by": "8-gram",
        "form": "words",
        "share": 0.5,
        "overlap": HOSTILE[0],
        "text": HOSTILE[2],
        "benchmark_text": HOSTILE[3],
    }
    dropped = [{"id": row["id"], "step": "draw", "reason": "not drawn"} for row in traces[:30]]
    data_set(
        folder,
        traces,
        traces[1:4] + traces[5:8],
        calls=calls,
        contamination=[hit, hit],
        dropped=dropped,
    )
    families = {row["family"] for row in traces}
    sources = {
        name: {"source": HOSTILE[5], "licence": HOSTILE[2], "revision": "unverified", "rows": 1}
        for name in families
    }
    terms = Terms(
        licence=HOSTILE[0],
        reading="restricted",
        text=None,
        quoted=HOSTILE[1],
        source=HOSTILE[2],
        why=HOSTILE[3],
    )
    return facts(
        families,
        kind="openai",
        teacher=HOSTILE[2],
        model=HOSTILE[0],
        name=HOSTILE[2],
        terms=terms,
        sources=sources,
        benchmarks=(HOSTILE[1], "clean"),
        language=None,
    )


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Copies of the released CPU arms in release form, by name."""
    folders = {}
    for name in ("cpu", "cpu-correct"):
        folders[name] = tmp_path_factory.mktemp("data") / name
        folders[name].mkdir()
        for file in ("traces.jsonl", "train.jsonl", "funnel.json", "manifest.json"):
            shutil.copyfile(ROOT / "data" / "cpu" / name / file, folders[name] / file)
        card.main([str(folders[name]), "2026-11-22"])
    return folders


@pytest.fixture(scope="module")
def model_set(tmp_path_factory):
    """A hostile data set of a model teacher in release form."""
    folder = tmp_path_factory.mktemp("model") / "set"
    card.write(folder, from_a_model(folder))
    return folder


def front_matter(folder):
    return yaml.safe_load(
        (folder / "README.md").read_text().split("\n---\n")[0].removeprefix("---\n")
    )


def opened(folder):
    """Return (dataset, warnings) of a folder's Croissant metadata; mlcroissant raises on errors."""
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    return dataset, set(dataset.metadata.ctx.issues.warnings)


def records(dataset, name):
    """Return the rows of a record set, as JSON has them."""

    def plain(value):
        return value.decode() if isinstance(value, bytes) else value

    return [
        {key.split("/")[1]: plain(value) for key, value in row.items()}
        for row in dataset.records(name)
    ]


def loaded(path, *config):
    """Return the rows of load_dataset, of a file or of a configuration of a folder."""
    import datasets

    datasets.disable_progress_bars()
    cache = str(path.parent / "cache")
    if config:
        return datasets.load_dataset(str(path), *config, split="train", cache_dir=cache)
    return datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=cache)


# --- Croissant -------------------------------------------------------------------------


def test_croissant_validates_without_warnings_and_its_records_are_the_rows(released):
    for folder in released.values():
        dataset, warnings = opened(folder)
        assert warnings == set()
        assert records(dataset, "train") == read_jsonl(folder / "train.jsonl")
    assert records(dataset, "traces") == read_jsonl(folder / "traces.jsonl")


def test_croissant_lists_every_file_with_its_hash_and_types_every_column(released, model_set):
    for folder in (*released.values(), model_set):
        metadata = json.loads((folder / "croissant.json").read_text())
        files = {entry["contentUrl"]: entry["sha256"] for entry in metadata["distribution"]}
        present = {path.name for path in folder.iterdir() if path.is_file()}
        assert set(files) == present - {"manifest.json", "croissant.json"}
        assert all(file_sha256(folder / name) == digest for name, digest in files.items())
        for record_set in metadata["recordSet"]:
            name = next(name for name in files if croissant.stem(name) == record_set["@id"])
            fields = record_set["field"]
            columns = {field["source"]["extract"]["column"] for field in fields}
            assert columns == {key for row in card.lines(folder / name) for key in row}
            assert all(field["description"] and field["dataType"] for field in fields)


def test_columns_of_traces_and_calls_are_the_fields_of_their_rows():
    assert croissant.COLUMNS["train"]["wrong"] == (
        "list of spans",
        meanings(Trace)["wrong"],
    )
    calls = croissant.COLUMNS["calls"]
    assert list(calls) == list(meanings(Call))
    kinds = [calls[name][0] for name in ("key", "reason", "prompt_tokens")]
    assert kinds == ["text", "text or null", "whole number or null"]


def test_a_hostile_data_set_of_a_model_validates_and_loads(model_set):
    dataset, warnings = opened(model_set)
    assert warnings == set()
    for label, name in (
        ("train", "train.jsonl"),
        ("traces", "traces.jsonl"),
        ("calls", "calls.jsonl.gz"),
        ("contamination",) * 2,
    ):
        path = model_set / (name if "." in name else f"{name}.jsonl")
        assert records(dataset, label) == list(card.lines(path)), label


def test_a_set_that_is_not_published_yet_lacks_nothing_but_its_day(tmp_path):
    folder = data_set(tmp_path / "set", [trace(0), trace(1)], [trace(1)])
    card.write(folder, facts({"sums"}, published=None))
    _, warnings = opened(folder)
    assert len(warnings) == 1 and "datePublished" in warnings.pop()


COMMITTED = sorted(ROOT.glob("data/*/*/croissant.json"))


@pytest.mark.skipif(not COMMITTED, reason="no data set is released with a card yet")
@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parent.name)
def test_the_released_croissant_files_validate_and_fit_their_files(path):
    opened(path.parent)
    for entry in json.loads(path.read_text())["distribution"]:
        assert file_sha256(path.parent / entry["contentUrl"]) == entry["sha256"], entry[
            "contentUrl"
        ]


# --- load_dataset ----------------------------------------------------------------------


def test_every_file_opens_with_load_dataset(released, model_set):
    for folder in (*released.values(), model_set):
        for name in (name for name in card.KNOWN if (folder / name).exists()):
            dataset = loaded(folder / name)
            if name == "funnel.json":
                (funnel,) = dataset
                assert funnel["after"] == json.loads((folder / name).read_text())["after"]
            else:
                assert dataset.to_list() == list(card.lines(folder / name)), name


def test_every_configuration_of_the_card_opens_with_the_types_that_it_says(released, model_set):
    for folder in (*released.values(), model_set):
        head = front_matter(folder)
        files = {
            config["config_name"]: config["data_files"][0]["path"] for config in head["configs"]
        }
        assert files.keys() == {entry["config_name"] for entry in head["dataset_info"]}
        present = {name for name in card.KNOWN if (folder / name).exists()}
        assert set(files.values()) == present - {"funnel.json"}
        features = {entry["config_name"]: entry["features"] for entry in head["dataset_info"]}
        for label, name in files.items():
            dataset = loaded(folder, label)
            assert dataset.features._to_yaml_list() == features[label]
            assert dataset.to_list() == list(card.lines(folder / name)), label


# --- the card --------------------------------------------------------------------------


def cells(folder, first):
    """Return the other cells of the table lines of a card whose first cell is this."""
    lines = (folder / "README.md").read_text().splitlines()
    matches = (line for line in lines if line.startswith(f"| {first} |"))
    return [list(map(str.strip, line.strip("|").split("|")))[1:] for line in matches]


def test_the_numbers_of_the_card_are_counted_in_the_files(released):
    folder = released["cpu"]
    traces, train = (read_jsonl(folder / f"{name}.jsonl") for name in ("traces", "train"))
    assert cells(folder, "rows") == [[f"{len(traces):,}", f"{len(train):,}"]]
    tokens, chosen_tokens = (sum(row["tokens"] for row in rows) for rows in (traces, train))
    assert cells(folder, "thinking tokens, sum") == [[f"{tokens:,}", f"{chosen_tokens:,}"]]
    pool, chosen = (Counter(row["family"] for row in rows) for rows in (traces, train))
    for family in pool:
        counts = cells(folder, f"`{family}`")[0][-2:]
        assert counts == [f"{pool[family]:,}", f"{chosen[family]:,}"]
    after = json.loads((folder / "funnel.json").read_text())["after"]
    for step, inert in (("quality", "inert"), ("difficulty", "inert"), ("diversity", "")):
        assert cells(folder, f"`{step}`")[0][1:3] == [f"{after[step]:,}", inert]


def test_the_front_matter_is_what_the_hub_reads(released, model_set):
    head = front_matter(released["cpu"])
    assert (head["license"], head["language"], head["size_categories"]) == (
        "apache-2.0",
        ["en"],
        ["1K<n<10K"],
    )
    assert [config["config_name"] for config in head["configs"] if config.get("default")] == [
        "train"
    ]
    head = front_matter(model_set)
    assert (
        head["license"] == "other"
        and head["size_categories"] == ["n<1K"]
        and "language" not in head
    )


def test_the_card_tells_programs_from_distillation(released, model_set):
    text = (released["cpu"] / "README.md").read_text()
    assert (
        "program-written traces" in text
        and "**What it is not:** distillation" in text
        and "reasoning-gym==0.1.25" in text
    )
    text = (model_set / "README.md").read_text()
    assert "**What it is:** distillation" in text and "10 of 40 questions got no reply" in text
    assert "**restricted**" in text and "decision record" in text
    assert "2 hits" in text and cells(model_set, "`failed: 500`") == [["10"]]


def test_only_a_release_of_a_restricted_teacher_names_its_decision(tmp_path):
    folder = tmp_path / "set"
    overridden = dataclasses.replace(from_a_model(folder), override="logs/decisions/0099-why.md")
    card.write(folder, overridden)
    assert (
        "released all the same, by the decision record `logs/decisions/0099-why.md`"
        in (folder / "README.md").read_text()
    )


def test_nothing_in_the_data_can_break_the_card(model_set):
    text = (model_set / "README.md").read_text(encoding="ascii")
    body = text.split("\n---\n", 1)[1]
    outside = re.sub(r"`[^`\n]*`", "", body)
    assert "<" not in body and "\0" not in text and "](http" not in outside and "$" not in outside
    assert text.count("\n---\n") == 1 and not re.search(r"^# heading|^license:", body, re.MULTILINE)
    assert len([line for line in body.splitlines() if line == "```" or line.startswith("```")]) == 6
    for line in body.splitlines():
        assert len(line) < 1500
        if line.startswith("| "):
            assert line.count("`") % 2 == 0
    for table in re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=200))
@example("\\" * 100)
@example("\ud800")
@example("a\x7f\x85\u2028|`<&>")
def test_text_of_the_data_stays_on_its_line_and_in_its_span(text):
    for shown in (plots.plain(text), plots.plain(text, 28)):
        assert (
            shown.isascii()
            and shown.isprintable()
            and not set("`|<>&") & set(shown)
            and len(shown) <= 80
        )
    assert readme.prose(text).isascii() and not set("`|<>*[]#~!\\") & set(
        re.sub(r"&#\d+;", "", readme.prose(text))
    )


# --- figures ---------------------------------------------------------------------------


def comments(path):
    """Return the texts that a figure draws: each stands as a comment beside its paths."""
    return [text.strip() for text in re.findall(r"<!--(.*?)-->", path.read_text(), re.DOTALL)]


def test_the_figures_have_their_labels_and_counts(released):
    texts = comments(released["cpu"] / "length.svg")
    assert {
        "thinking tokens of a trace",
        "share of traces, %",
        "all 5,160 traces, median 25 tokens",
    } <= set(texts)
    texts = comments(released["cpu"] / "family.svg")
    chosen = Counter(row["family"] for row in read_jsonl(released["cpu"] / "train.jsonl"))
    labels = {"family", "all 5,160 rows", "1,000 chosen", *chosen, *map(str, chosen.values())}
    assert labels <= set(texts) and "domain" not in texts


def test_a_name_in_a_figure_is_text(model_set):
    from xml.etree import ElementTree

    for name in ("length.svg", "family.svg"):
        text = (model_set / name).read_text(encoding="ascii")
        assert "<script" not in text and "onload" not in text
        tags = {element.tag.split("}")[1] for element in ElementTree.fromstring(text).iter()}
        assert tags <= {
            "svg",
            "metadata",
            "RDF",
            "Work",
            "type",
            "format",
            "defs",
            "style",
            "g",
            "path",
            "use",
            "clipPath",
            "rect",
        }
    texts = comments(model_set / "family.svg")
    assert {"family", "domain", "domain 0"} <= set(texts) and any("$" in text for text in texts)


def test_a_figure_is_opaque_and_needs_no_font(released):
    for name in ("length.svg", "family.svg"):
        text = (released["cpu"] / name).read_text()
        assert "fill: #ffffff" in text and "<text" not in text and "font" not in text


def test_many_groups_and_long_tails_are_drawn_and_counted(tmp_path):
    pool = {f"group {i}": 100 - i for i in range(50)}
    plots.groups(tmp_path / "g.svg", {"domain": (pool, {"group 49": 3})})
    rest = sum(100 - i for i in range(plots.GROUPS, 50))
    assert f"{50 - plots.GROUPS} other groups are not drawn: {rest:,} rows, 3 chosen" in comments(
        tmp_path / "g.svg"
    )
    tokens = [2 ** (i / 10) for i in range(1, 150)]
    plots.length(tmp_path / "l.svg", [int(t) + 1 for t in tokens], [40])
    assert "thinking tokens of a trace (logarithmic)" in comments(tmp_path / "l.svg")
    plots.length(tmp_path / "e.svg", [], [])


@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=50))
def test_every_length_is_in_a_bin(tokens):
    edges = plots.edges(tokens)
    assert (
        edges[0] <= min(tokens)
        and max(tokens) < edges[-1]
        and edges == sorted(set(edges))
        and len(edges) <= 80
    )


# --- bytes and errors ------------------------------------------------------------------


def test_the_same_files_and_facts_give_the_same_bytes_whatever_the_hash_seed(tmp_path):
    code = (
        "import pathlib, sys; sys.path[:0] = ['tests', '.']; import test_card as t; "
        "from ponder.card import card; "
        "folder = pathlib.Path(sys.argv[1]); card.write(folder, t.from_a_model(folder))"
    )
    contents = []
    for seed, backend in (("1", "agg"), ("2", "svg")):
        folder = tmp_path / seed
        env = os.environ | {"PYTHONHASHSEED": seed, "MPLBACKEND": backend}
        subprocess.run(
            [sys.executable, "-c", code, str(folder)], cwd=ROOT, env=env, check=True, timeout=120
        )
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1] and set(card.WRITTEN) < set(contents[0])
    card.write(tmp_path / "1", from_a_model(tmp_path / "1"))
    assert contents[0] == {path.name: path.read_bytes() for path in (tmp_path / "1").iterdir()}


def test_packed_traces_and_an_empty_report_are_described(tmp_path):
    folder = data_set(tmp_path / "set", [trace(i) for i in range(4)], [trace(1)], contamination=[])
    (folder / "traces.jsonl.gz").write_bytes(
        gzip.compress((folder / "traces.jsonl").read_bytes(), mtime=0)
    )
    (folder / "traces.jsonl").unlink()
    card.write(folder, facts({"sums"}, benchmarks=("cpu_dev",)))
    text = (folder / "README.md").read_text()
    assert "`contamination.jsonl` has no rows" in text and "Nothing of the kind was found." in text
    assert [config["config_name"] for config in front_matter(folder)["configs"]] == [
        "traces",
        "train",
    ]
    assert len(records(opened(folder)[0], "traces")) == 4


@pytest.mark.parametrize(
    "break_it, message",
    [
        (lambda folder: (folder / "train.jsonl").unlink(), "is no data set"),
        (
            lambda folder: (folder / "train.jsonl").write_text(""),
            "goes from 3 rows to 1, but traces and train have 3 and 0",
        ),
        (
            lambda folder: (folder / "traces.jsonl").write_text("{}\n[1]\n"),
            "line 2 is no JSON object",
        ),
        (
            lambda folder: write_jsonl(folder / "traces.jsonl", [trace(0) | {"tokens": "3"}]),
            "row 1 has tokens: str",
        ),
        (
            lambda folder: write_jsonl(folder / "traces.jsonl", [trace(0) | {"extra": 1}]),
            "row 1 has extra: int",
        ),
        (
            lambda folder: write_jsonl(
                folder / "traces.jsonl", [trace(i, f"new {i}") for i in range(3)]
            ),
            "the family 'new 0'",
        ),
    ],
)
def test_a_data_set_that_does_not_fit_is_refused_in_one_sentence(tmp_path, break_it, message):
    folder = data_set(tmp_path / "set", [trace(i) for i in range(3)], [trace(1)])
    break_it(folder)
    with pytest.raises(UserError, match=re.escape(message)):
        card.write(folder, facts({"sums"}))
    assert not (folder / "README.md").exists()


def test_the_command_changes_no_file_and_does_nothing_twice(released, capsys):
    folder = released["cpu"]
    for name in ("traces.jsonl", "train.jsonl", "funnel.json", "manifest.json"):
        assert (folder / name).read_bytes() == (ROOT / "data" / "cpu" / "cpu" / name).read_bytes()
    for arguments, message in (
        ([str(folder), "2026-11-22"], "never change"),
        ([str(folder)], "the day of its release"),
    ):
        with pytest.raises(SystemExit) as stop:
            card.main(arguments)
        assert stop.value.code == 2 and message in capsys.readouterr().err
