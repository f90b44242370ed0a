"""The weights that bench-evaluate measures, merged, in the forms that its peers read.

Two are written once into outputs/bench: a folder of safetensors for vLLM and GGUF files for
llama.cpp. Their names begin with the hash of the trained weights and name what they are written as;
after a change of the base, or of a program that writes one, delete the folder. OpenVINO reads what
engine=openvino does.
"""

import shutil

import numpy as np
from conftest import ROOT, study_of

ADAPTER = ROOT / "data" / "cpu" / "cpu" / "adapter"
FOLDER = ROOT / "outputs" / "bench"
# {form: what matrices, and what embeddings become in a GGUF file}. llama.cpp's own Q4_0 has the
# embeddings, which are its output too, in Q6_K, which gguf cannot write; Q8_0 is what the file of
# the base has there.
FILES = {"f32": ("F32", "F32"), "q4": ("Q4_0", "Q8_0")}


def made_once(name, write):
    """Return the path `name` of FOLDER, which `write` writes where it is not yet."""
    from ponder.hashing import file_sha256

    path = FOLDER / f"{file_sha256(ADAPTER / 'adapter_model.safetensors')[:12]}-{name}"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"part-{path.name}")
        shutil.rmtree(part, ignore_errors=True)
        part.unlink(missing_ok=True)
        print(f"writing {path.relative_to(ROOT)}", flush=True)
        write(part)
        part.rename(path)
    return path


def merged():
    """Return the folder of the base with its trained weights merged in, float32."""
    from ponder.release import merge

    plan = study_of("experiment=cpu", f"subject.adapter={ADAPTER}")
    return made_once("merged", lambda part: merge.merge(plan, part))


def gguf_file(form):
    """Return the same weights as a GGUF file in a form of FILES."""
    name = "-".join([form, *FILES[form]]).lower() + ".gguf"
    return made_once(name, lambda part: write_gguf(part, merged(), *FILES[form]))


def write_gguf(path, folder, linear, embeddings):
    """Write the safetensors of a folder as a GGUF file: all but the weights are the base's."""
    import gguf
    from safetensors.numpy import load_file

    from ponder import models

    plan = study_of("experiment=cpu")
    base = gguf.GGUFReader(models.gguf_file(plan.model, plan.out)[0])
    weights, sizes = load_file(folder / "model.safetensors"), plan.model.dimensions
    writer = gguf.GGUFWriter(path, plan.model.architecture)
    own = ("GGUF.", "general.architecture", "general.file_type")  # the writer's, or no more true
    for field in base.fields.values():
        if not field.name.startswith(own):
            more = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], more)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, sizes.layers)
    there = {tensor.name for tensor in base.tensors}
    for name, array in weights.items():
        stem, _, end = name.rpartition(".")
        for kind, heads in (("q_proj", sizes.heads), ("k_proj", sizes.kv_heads)):
            if kind in name:  # llama.cpp orders the rows of a head otherwise
                rows = array.reshape(heads, 2, -1, sizes.hidden).swapaxes(1, 2)
                array = rows.reshape(array.shape)
        form = embeddings if "embed_tokens" in name else linear
        type_ = gguf.GGMLQuantizationType[form if array.ndim == 2 else "F32"]
        said = f"{names.get_name(stem)}.{end}"
        there.remove(said)
        packed = gguf.quants.quantize(np.ascontiguousarray(array), type_)
        writer.add_tensor(said, packed, raw_dtype=type_)
    assert not there, f"the file of the base has {sorted(there)} as well"
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def openvino_folder(python):
    """Return the folder of the same weights that engine=openvino has its process read."""
    from ponder.evaluate import exported

    plan = study_of("experiment=cpu")
    return exported.folder(plan.model, plan.out, ADAPTER, python)
