"""A subject inside lm-eval: questions and scores come from its tasks, every reply from us.

Nothing of lm-eval is forked. Its two caches of replies are never used (both can return another
run's answers); what was generated is kept in the run's own generations.jsonl, from which a killed
evaluation goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from lm_eval.api.model import LM

from ponder.chat import Chat
from ponder.decode import hf
from ponder.decode.budget import Sample
from ponder.errors import UserError
from ponder.questions import benchmarks
from ponder.questions.benchmarks import HubBenchmark
from ponder.runs import ROOT, Run, dump, read_jsonl, write_jsonl
from ponder.study import Benchmark
from ponder.terminal import progress

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

TASKS = ROOT / "ponder" / "evaluate" / "tasks"
GENERATIONS = "generations.jsonl"  # the append-only file of what was generated, in a run folder

Key = tuple[str, str, int]  # task, id of the question, number of the sample
Prompt = list[int] | str  # token ids; of a subject without a model the question
Answer = tuple[str, dict[str, Any]]  # the reply, and its record: what an auditor needs to see
Generations = dict[Key, dict[str, Any]]  # the rows of a GENERATIONS file


@dataclass(frozen=True)
class Answerer:
    """A subject, as BudgetedLM asks it."""

    prompt: Callable[[str, str], Prompt]  # of a task and a question
    # (keys, prompts) -> (index, the Answer of each run of a sweep) of each as it is decoded
    answer: Callable[[list[Key], list[Any]], Iterator[tuple[int, list[Answer]]]]
    by_task: bool  # a block never mixes tasks, so that all its rows share their worked examples
    block_rows: int  # answers that are asked for together
    whole_blocks: bool  # rows of a block depend on each other in their last bits


def run_tasks(
    lm: BudgetedLM, benchmark: Benchmark | HubBenchmark, samples: int = 1
) -> tuple[dict[str, list[tuple[dict[str, Any], float]]], dict[str, Any]]:
    """Return ({task: [(question, 0.0 or 1.0)]} in the order of the task, lm-eval's own results).

    With several `samples` of a question lm-eval asks for each of them and scores the first. What it
    caches of the questions lies in `datasets` beside the runs.
    """
    from lm_eval.evaluator import evaluate

    with _quiet(), _datasets_cached_in(lm.run.out / "datasets"):
        loaded = _load(benchmark)
        for task in loaded["tasks"].values():
            task.config.repeats = samples
        results = evaluate(lm, loaded, limit=benchmark.limit, bootstrap_iters=0, log_samples=True)
    scored = {}
    for name, rows in results["samples"].items():
        in_order = sorted(rows, key=lambda row: row["doc_id"])
        scored[name] = [(row["doc"], row["acc"]) for row in in_order]
    return scored, results["results"]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep from the terminal what lm-eval and datasets say where all is well; warnings stay."""
    import datasets
    from lm_eval.api import task

    logger = logging.getLogger("lm_eval")
    level, bar = logger.level, task.tqdm
    had_bars = not datasets.are_progress_bars_disabled()
    logger.setLevel(logging.WARNING)
    of_tasks = logging.getLogger(task.__name__)
    of_tasks.addFilter(_says_more)
    task.tqdm = functools.partial(bar, disable=True)  # the bar of "Building contexts"
    datasets.disable_progress_bars()  # of "Generating split"
    try:
        yield
    finally:
        logger.setLevel(level)
        of_tasks.removeFilter(_says_more)
        task.tqdm = bar
        if had_bars:
            datasets.enable_progress_bars()


def _says_more(record: logging.LogRecord) -> bool:
    """Return whether a warning of lm-eval is more than advice about a command that is not ours."""
    return "Custom kwargs can be passed to" not in record.getMessage()


@contextlib.contextmanager
def _datasets_cached_in(folder: Path) -> Iterator[None]:
    """Let the package `datasets` cache in a folder, unless HF_DATASETS_CACHE names another.

    The package reads that variable once, when it is first imported, and its config from then on.
    """
    from datasets import config

    if "HF_DATASETS_CACHE" in os.environ:
        yield
        return
    downloads = folder / config.DOWNLOADED_DATASETS_DIR
    places = {
        "HF_DATASETS_CACHE": folder,
        "DOWNLOADED_DATASETS_PATH": downloads,
        "EXTRACTED_DATASETS_PATH": downloads / config.EXTRACTED_DATASETS_DIR,
    }
    usual = {name: getattr(config, name) for name in places}
    for name, place in places.items():
        setattr(config, name, place)
    try:
        yield
    finally:
        for name, place in usual.items():
            setattr(config, name, place)


def _load(benchmark: Benchmark | HubBenchmark) -> Any:
    """Return the tasks of a benchmark as lm-eval's TaskManager loads them.

    They are made from the configuration. The files in ponder/evaluate/tasks, which stock lm-eval
    reads, are not looked at but for what all tasks of a kind share.
    """
    from lm_eval.tasks import TaskManager

    configs = drawn_tasks(benchmark) if benchmark.kind == "drawn" else hub_tasks(benchmark)
    return TaskManager(include_defaults=False).load(configs)


def drawn_tasks(benchmark: Benchmark) -> list[dict[str, Any]]:
    """Return lm-eval's configuration of each family of drawn questions, to be asked its split."""
    split = benchmark.split
    return [
        {
            **_shared("_family"),
            "task": family,
            "dataset_kwargs": {"data_files": {split: f"{benchmark.dir}/{split}/{family}.jsonl"}},
            "validation_split": None,
            "test_split": split,  # lm-eval's word for what is asked
        }
        for family in benchmark.tasks
    ]


def hub_tasks(benchmark: HubBenchmark) -> list[dict[str, Any]]:
    """Return lm-eval's configuration of each task of a benchmark, local changes included."""
    return [
        {
            **_shared("_benchmark"),
            "task": task,
            "dataset_kwargs": {"data": benchmarks.facts(benchmark.data(task))},
        }
        for task in benchmark.tasks
    ]


def _shared(name: str) -> dict[str, Any]:
    """Return what all tasks of a kind share, with the functions that its file names."""

    class Loader(yaml.SafeLoader):
        pass

    def function(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Callable[..., Any]:
        module, _, name = loader.construct_scalar(node).rpartition(".")
        return getattr(importlib.import_module(f"ponder.evaluate.tasks.{module}"), name)

    Loader.add_constructor("!function", function)
    return yaml.load((TASKS / name).read_text(encoding="utf-8"), Loader)


class BudgetedLM(LM):
    """lm-eval's view of a subject under one budget: replies to questions, kept in the run folder.

    The runs of a sweep are answered together, by whichever of them is asked first.
    """

    def __init__(self, runs: list[Run], index: int, subject: Answerer) -> None:
        """`runs` are all runs of the sweep, and `index` says which of them this one is."""
        super().__init__()
        self.runs, self.index, self.subject = runs, index, subject

    @property
    def run(self) -> Run:
        """The run whose budget this is."""
        return self.runs[self.index]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return the replies in the order of the requests.

        A question that comes again asks for another sample. Blocks are planned from all requests,
        whatever is kept of an earlier start. Where rows depend on each other in their last bits, a
        block of which anything is missing is decoded again as a whole, and kept as a whole; else
        only what is missing is asked, and each answer is kept as it comes.
        """
        keys = _keys(requests)
        prompts = {
            key: self.subject.prompt(key[0], request.args[0])
            for key, request in zip(keys, requests, strict=True)
        }
        kept = [_generations(run) for run in self.runs]
        with progress.bar(len(keys), "answer", f"evaluate {self.run.name}") as bar:
            for block in self._blocks(keys, prompts):
                missing = [key for key in block if not all(key in rows for rows in kept)]
                bar.update(len(block) - len(missing))
                for answers in self._answers(block, missing, prompts):
                    self._keep(answers, prompts, kept)
                    bar.update(len(answers))
        return [kept[self.index][key]["reply"] for key in keys]

    def _blocks(self, keys: list[Key], prompts: dict[Key, Prompt]) -> Iterator[list[Key]]:
        """Yield the keys in the blocks in which they are asked for."""
        groups: dict[str, list[Key]] = {}
        for key in keys:
            groups.setdefault(key[0] if self.subject.by_task else "", []).append(key)
        for group in groups.values():
            for block in hf.plan([len(prompts[key]) for key in group], self.subject.block_rows):
                yield [group[position] for position in block]

    def _answers(
        self, block: list[Key], missing: list[Key], prompts: dict[Key, Prompt]
    ) -> Iterator[dict[Key, list[Answer]]]:
        """Yield what is missing of a block in the portions in which it is kept, by key.

        A portion is a whole block, or one answer where they do not depend on each other.
        """
        if not missing:
            return
        keys = block if self.subject.whole_blocks else missing
        answers = self.subject.answer(keys, [prompts[key] for key in keys])
        if self.subject.whole_blocks:
            yield {keys[position]: of_runs for position, of_runs in answers}
        else:
            for position, of_runs in answers:
                yield {keys[position]: of_runs}

    def _keep(
        self,
        answers: dict[Key, list[Answer]],
        prompts: dict[Key, Prompt],
        kept: list[Generations],
    ) -> None:
        """Append answers to the runs' files, but for rows that are there, and to what is kept."""
        for index, (run, known) in enumerate(zip(self.runs, kept, strict=True)):
            rows = {key: _row(key, prompts[key], *answers[key][index]) for key in answers}
            new = [row for key, row in rows.items() if key not in known]
            with open(run.folder / GENERATIONS, "a", encoding="utf-8") as file:
                file.write("".join(map(dump, new)))
            known |= rows

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> Any:
        """Raise UserError: what forcing makes is no likelihood of a given text."""
        raise UserError("a budgeted model generates; choose tasks with output_type generate_until")

    loglikelihood_rolling = loglikelihood


def _keys(requests: list[Instance]) -> list[Key]:
    """Return the key of each request; the samples of a question are numbered as they come."""
    keys: list[Key] = []
    samples: Counter[tuple[str, str]] = Counter()
    for request in requests:
        question = request.task_name, request.doc["id"]
        keys.append((*question, samples[question]))
        samples[question] += 1
    return keys


def _generations(run: Run) -> Generations:
    """Return what was generated for a run before, {} at its first start.

    A row that a kill cut short is taken out of the file.
    """
    path = run.folder / GENERATIONS
    rows = read_jsonl(path, tolerate_cut=True) if path.exists() else []
    write_jsonl(path, rows)
    return {(row["task"], row["id"], row["sample"]): row for row in rows}


def _row(key: Key, prompt: Prompt, reply: str, record: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a GENERATIONS file."""
    task, question_id, sample = key
    return {
        "task": task,
        "id": question_id,
        "sample": sample,
        "reply": reply,
        "prompt_sha256": hashlib.sha256(json.dumps(prompt).encode()).hexdigest()[:16],
        **record,
    }


def record_of(sample: Sample, chat: Chat) -> Answer:
    """Return the Answer that a decoded Sample is."""
    thinking, reply = chat.split(sample)
    return reply, {"thinking": thinking, **fields_of(sample)}


def fields_of(sample: Sample) -> dict[str, Any]:
    """Return the fields of a Sample that samples.jsonl has."""
    fields = dataclasses.asdict(sample)
    return {name: value for name, value in fields.items() if name != "closed_at"}
