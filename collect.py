"""Collect: from questions to the rows that are trained on (s1, section 2).

    python collect.py experiment=cpu
    python collect.py experiment=cpu-correct selection.size=500
    python collect.py experiment=cpu questions.source=draw questions.dir=outputs/questions    # needs the extra [gen]

Writes outputs/collect/<name>-<hash>/: traces.jsonl (every trace, right or wrong), train.jsonl (the chosen rows),
funnel.json (what each filter dropped, and why).
"""
import hydra

from ponder.config import user_errors


@hydra.main(version_base="1.3", config_path="conf", config_name="collect")
@user_errors
def main(cfg):
    from ponder import models, questions, selection, study, teachers
    plan = study.read(cfg)
    if plan.questions.source == "draw":
        questions.draw_outside_data(plan.questions)
    pool = questions.read_split(plan.questions.dir, "pool")
    run = study.collect_run(plan)
    if run.finished:
        return print(f"collect {run.name}: finished before, nothing to do -> {run.folder}")
    with run:
        chat = models.load_chat(models.base_folder(plan.model, plan.out), plan.model.delimiters)
        traces = teachers.write(pool, plan.teacher, plan.data_seed, chat)
        rows, funnel = selection.select(traces, plan.selection, plan.data_seed)
        run.write_jsonl("traces.jsonl", traces)
        run.write_jsonl("train.jsonl", rows)
        run.write_json("funnel.json", funnel)
        run.say(f"collect {run.name}: {funnel['after']} {sum(row['tokens'] for row in rows)} trace tokens -> {run.folder}")


if __name__ == "__main__":
    main()
