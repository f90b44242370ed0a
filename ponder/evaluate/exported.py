"""A model in OpenVINO's form: a folder that is made once of a base and trained weights."""

import hashlib
from pathlib import Path

from ponder import models
from ponder.base import folders
from ponder.decode import openvino
from ponder.models import Model
from ponder.runs import dump
from ponder.train import saved


def folder(model: Model, out: Path | str, weights: Path | None, python: Path) -> Path:
    """Return the folder of a base, with its trained weights merged in, in OpenVINO's form.

    It is made once under `out`/models, by the environment of that Python, and named by the hashes
    of the weights and the versions of what writes it. Raises UserError as openvino.export does, and
    RecordError for a folder whose files are not those that were written.
    """
    base, made_by = models.base_folder(model, out), openvino.versions(python)
    digests = folders.files_of(base) | (saved.inputs(weights) if weights else {})
    key = hashlib.sha256(dump([digests, made_by]).encode()).hexdigest()[:8]

    def write(part: Path, scratch: Path) -> dict[str, str]:
        print(f"writing {model.name} for OpenVINO, once", flush=True)
        whole = base
        if weights:
            whole = scratch / "merged"
            saved.merge(base, weights, model.delimiters, whole)
        openvino.export(python, whole, part)
        of = {f"of {name}": digest for name, digest in digests.items()}
        return {"source": f"{model.name} by optimum-intel, float32", **made_by, **of}

    return folders.made_once(Path(out), f"{model.name}-openvino-{key}", write)
