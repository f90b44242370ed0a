r"""Write a base with its trained weights as one folder that any server opens:

    python -m ponder.release.merge outputs/merged \
        experiment=cpu subject.adapter=data/cpu/cpu/adapter

The overrides are those of evaluate.py. The folder holds safetensors, tokenizer and chat template,
and in source.json what it was made of.
"""

import shutil
import sys
from pathlib import Path

from ponder import hashing, models, stages, study
from ponder.errors import UserError, user_errors
from ponder.runs import dump
from ponder.study import Study
from ponder.terminal import cli
from ponder.terminal.overrides import composed
from ponder.train import saved


def merge(plan: Study, folder: Path) -> None:
    """Write the model of a Study whose subject is trained into a new folder.

    Raises UserError for any other subject, and for a folder that exists.
    """
    if plan.subject.kind != "trained":
        raise UserError(
            f"subject={plan.subject.name} has no trained weights; serve its base as it is"
        )
    if folder.exists():
        raise UserError(f"{folder} exists; name a new folder")
    base, weights = models.base_folder(plan.model, plan.out), stages.adapter_folder(plan)
    assert weights is not None  # a trained subject has one
    part = folder.with_name(folder.name + ".part")  # a server must not open half a folder
    shutil.rmtree(part, ignore_errors=True)
    try:
        saved.merge(base, weights, plan.model.delimiters, part)
        digest = hashing.file_sha256(weights / "adapter_model.safetensors")
        sources = models.source_of(base) | {"weights sha256": digest}
        (part / "source.json").write_text(dump(sources, indent=1))
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@user_errors
def main(folder: str | None = None, *overrides: str) -> None:
    """Compose the config of evaluate.py from the overrides and write the folder."""
    if folder is None or "=" in folder:
        raise UserError(
            f"the folder to write is {folder!r}; name it first, then the overrides of evaluate.py"
        )
    cli.with_values(
        lambda cfg: merge(study.read(cfg), Path(folder)),
        composed("evaluate", overrides),
    )
    print(f"wrote {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
