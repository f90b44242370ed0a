"""Our model inside lm-eval: questions come from its tasks, scores from its metrics, and every token in between from us.

Nothing of lm-eval is forked. Its two caches are never used (both can return another run's answers); what was generated
is kept in the run's own generations.jsonl, from which a killed evaluation goes on.
"""

import dataclasses
import hashlib
import json
import os
from collections import Counter

from ponder.runs import ROOT, dump, read_jsonl, write_jsonl

os.environ.setdefault(
    "HF_DATASETS_CACHE", str(ROOT / "outputs" / "datasets")
)  # what lm-eval caches stays in scratch

from lm_eval.api.model import LM  # noqa: E402
from tqdm import tqdm  # noqa: E402

from ponder.decode import hf  # noqa: E402
from ponder.errors import UserError  # noqa: E402

TASKS = ROOT / "ponder" / "evaluate" / "tasks"
GENERATIONS = "generations.jsonl"  # the append-only file of what was generated, in a run folder


def run_tasks(lm, benchmark, samples=1):
    """Return ({task: [(question, 0.0 or 1.0)]} in the order of the task, lm-eval's own results).

    With several `samples` of a question lm-eval asks for each of them and scores the first. Raises UserError when a task
    reads another file than the one in benchmark.dir that the run names as its input.
    """
    from lm_eval.evaluator import evaluate
    from lm_eval.tasks import TaskManager

    local = benchmark.local if benchmark.kind == "hub" else {}
    manager = TaskManager(
        include_path=str(TASKS),
        include_defaults=False,
        metadata={"local": local} if local else None,
    )
    loaded = manager.load(list(benchmark.tasks))
    for name, task in loaded["tasks"].items() if benchmark.kind == "drawn" else ():
        read, named = (
            task.config.dataset_kwargs["data_files"][benchmark.split],
            f"{benchmark.dir}/{benchmark.split}/{name}.jsonl",
        )
        if read != named:
            raise UserError(
                f"ponder/evaluate/tasks/{name}.yaml reads {read}, but benchmark.dir says {named}; make them agree"
            )
        task.config.test_split = (
            "test" if benchmark.split == "test" else None
        )  # without one lm-eval reads dev
    for task in loaded["tasks"].values():
        task.config.repeats = samples
    results = evaluate(lm, loaded, limit=benchmark.limit, bootstrap_iters=0, log_samples=True)
    scored = {
        task: [(row["doc"], row["acc"]) for row in sorted(rows, key=lambda r: r["doc_id"])]
        for task, rows in results["samples"].items()
    }
    return scored, results["results"]


class BudgetedLM(LM):
    """lm-eval's view of a subject under one budget: replies to questions, kept in the run folder.

    The runs of a sweep are answered together, by whichever of them is asked first.
    """

    def __init__(self, runs, own, subject):
        """`runs` are all runs of the sweep, `own` says which of them this one is; `subject` is an Answerer of subjects.py."""
        super().__init__()
        self.runs, self.own, self.subject = runs, own, subject

    def generate_until(self, requests, disable_tqdm=False):
        """Return the replies in the order of the requests; blocks are planned from all of them, done or not.

        A question that comes again asks for another sample. Where rows depend on each other in their last bits, a block of
        which anything is missing is decoded again as a whole, and kept as a whole; else what is done is done.
        """
        subject, seen, keys = self.subject, Counter(), []
        for request in requests:
            name = request.task_name, request.doc["id"]
            keys.append((*name, seen[name]))
            seen[name] += 1
        prompts = {
            key: subject.prompt(key[0], request.args[0])
            for key, request in zip(keys, requests, strict=True)
        }
        kept = [self._kept(run) for run in self.runs]
        bar = tqdm(total=len(requests), unit="answer", desc=f"evaluate {self.runs[self.own].name}")
        for block in self._blocks(keys, prompts):
            missing = [key for key in block if not all(key in rows for rows in kept)]
            bar.update(len(block) - len(missing))
            if missing:
                asked = block if subject.whole_blocks else missing
                answers = subject.answer(asked, [prompts[key] for key in asked])
                for done in (
                    [list(answers)] if subject.whole_blocks else ([answer] for answer in answers)
                ):
                    self._keep([(asked[at], made) for at, made in done], prompts, kept)
                    bar.update(len(done))
        bar.close()
        return [kept[self.own][key]["reply"] for key in keys]

    def _blocks(self, keys, prompts):
        groups = {}
        for key in keys:
            groups.setdefault(key[0] if self.subject.by_task else "", []).append(key)
        for group in groups.values():
            for block in hf.plan([len(prompts[key]) for key in group], self.subject.block_rows):
                yield [group[at] for at in block]

    def _kept(self, run):
        path = run.folder / GENERATIONS
        rows = read_jsonl(path, tolerate_cut=True) if path.exists() else []
        write_jsonl(path, rows)  # without the row a kill cut short
        return {(row["task"], row["id"], row["sample"]): row for row in rows}

    def _keep(self, answers, prompts, kept):
        """Append what was answered, [(key, [(reply, record) of each run])], to the runs' files and to what is kept."""
        for at, (run, had) in enumerate(zip(self.runs, kept, strict=True)):
            rows = {}
            for key, made in answers:
                reply, record = made[at]
                digest = hashlib.sha256(json.dumps(prompts[key]).encode()).hexdigest()[:16]
                task, ident, sample = key
                rows[key] = {
                    "task": task,
                    "id": ident,
                    "sample": sample,
                    "reply": reply,
                    "prompt_sha256": digest,
                    **record,
                }
            with open(run.folder / GENERATIONS, "a", encoding="utf-8") as file:
                file.write("".join(dump(row) for key, row in rows.items() if key not in had))
            had |= rows

    def loglikelihood(self, requests, disable_tqdm=False):
        raise UserError("a budgeted model generates; choose tasks with output_type generate_until")

    loglikelihood_rolling = loglikelihood


def record_of(sample, chat):
    """Return (reply, record) of one Sample: what lm-eval grades, and what an auditor needs to see."""
    thinking, reply = chat.split(sample)
    facts = dataclasses.asdict(sample)
    return reply, {
        "thinking": thinking,
        **{key: value for key, value in facts.items() if key != "closed_at"},
    }
