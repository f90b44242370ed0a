#!/bin/sh
# Collects what tests/bench/gpu.sh needs on a machine that reaches nothing: wheels by requirements.lock, and the base's weights in
# pieces of 50 MB. It runs where the package index is in reach, after make setup:
#
#   tests/bench/gpu_pack.sh FOLDER [PYTHON] [MODEL]
#
# PYTHON is the version of the other machine, such as 3.12; without it this one's. MODEL is an option of conf/model. Of the lock is left
# out what only checks, draws or builds documents. Torch is not among the wheels: the other machine has it, built for its GPU.
set -eu
[ $# -ge 1 ] || { echo "Name the folder to fill: tests/bench/gpu_pack.sh FOLDER [PYTHON] [MODEL]" >&2; exit 2; }
mkdir -p "$1"
folder="$(cd "$1" && pwd)"
cd "$(dirname "$0")/../.."
python=.venv/bin/python
[ -x "$python" ] || { echo "There is no .venv: run make setup first." >&2; exit 2; }
model=${3:-qwen2.5-coder-0.5b}
version=${2:-$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')}
mkdir -p "$folder/wheels" "$folder/weights"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

no_wheel='^(antlr4-python3-runtime|jsonpath-rw|rouge-score|sqlitedict|word2number)=='
left_out='^(colorama|httpx2-jsfetch|ast-serialize|grimp|import-linter|kingfisher-secret-scanner|librt|mypy|mypy-extensions|pandas-stubs|pathspec|ruff|typst|tzdata)=='
awk -v a="$no_wheel" -v b="$left_out" '/^[a-z0-9]/ {skip = $0 ~ a || $0 ~ b} !skip' requirements.lock > "$scratch/wheels.lock"
awk -v a="$no_wheel" '/^[a-z0-9]/ {keep = $0 ~ a} keep' requirements.lock > "$scratch/sources.lock"

echo "Collecting wheels for Python $version on Linux, x86-64"
platforms=""
for name in manylinux1 manylinux2010 manylinux2014 manylinux_2_17 manylinux_2_24 manylinux_2_26 manylinux_2_27 manylinux_2_28 \
	manylinux_2_31 manylinux_2_34 manylinux_2_35; do
	platforms="$platforms --platform ${name}_x86_64"
done
pip="$python -m pip --disable-pip-version-check --no-input"
# shellcheck disable=SC2086
$pip download --quiet --no-deps --require-hashes --only-binary=:all: --implementation cp --python-version "$version" $platforms \
	--dest "$folder/wheels" -r "$scratch/wheels.lock"
# Pure Python: a wheel that is built here fits every machine.
$pip wheel --quiet --no-deps --no-build-isolation --require-hashes --no-binary=:all: --wheel-dir "$folder/wheels" \
	-r "$scratch/sources.lock"

echo "Cutting the weights of $model into pieces"
gguf="$("$python" - "$model" <<'END'
import sys
from pathlib import Path

from ponder.base import weights
from ponder.release import reproduce

print(weights.gguf_file(reproduce.planned("train", "experiment=qwen", f"model={sys.argv[1]}").model, Path("outputs"))[0])
END
)"
rm -f "$folder"/weights/*
split --bytes=50M --numeric-suffixes "$gguf" "$folder/weights/$(basename "$gguf")."
(cd "$(dirname "$gguf")" && sha256sum "$(basename "$gguf")") > "$folder/weights/sha256"
echo "packed $(ls "$folder/wheels" | wc -l) wheels and $(ls "$folder/weights" | wc -l) files of weights -> $folder"
