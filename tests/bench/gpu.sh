#!/bin/sh
# The Qwen2.5 scale on one CUDA GPU, from files alone: what tests/bench/gpu_pack.sh collected, a checkout beside it, and a Python with
# torch for that GPU. Nothing is downloaded, nothing installed outside OUT.
#
#   tests/bench/gpu.sh PACK OUT --rows train.jsonl --gsm8k test.jsonl [--seeds 3] [--help]
#
# OUT/times.json has what each step took and gave; the same command goes on behind the last step that it names. OUT/runs.tar.gz has
# the runs, without the base's weights. Not run on a GPU yet; rehearsed on a CPU at toy size (tests/test_gpu.py).
set -eu
[ $# -ge 2 ] || { echo "Name the pack and the folder to fill: tests/bench/gpu.sh PACK OUT --rows ... --gsm8k ..." >&2; exit 2; }
pack="$(cd "$1" && pwd)"
mkdir -p "$2"
out="$(cd "$2" && pwd)"
shift 2
python=${PYTHON:-python3}

# What this Python lacks, or has in another version; torch is its own. Each wheel once.
mkdir -p "$out/site"
"$python" - "$pack/wheels" "$out/site" > "$out/missing" <<'END'
import importlib.metadata
import re
import sys
from pathlib import Path


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


sys.path.insert(0, sys.argv[2])
installed = {}
for known in importlib.metadata.distributions():
    installed.setdefault(plain(known.metadata["Name"]), known.version)
for wheel in sorted(Path(sys.argv[1]).glob("*.whl")):
    name, version = wheel.name.split("-")[:2]
    if installed.get(plain(name)) != version:
        print(wheel)
END
if [ -s "$out/missing" ]; then
	echo "Installing $(wc -l < "$out/missing") wheels into $out/site"
	xargs -d '\n' "$python" -m pip --disable-pip-version-check --no-input install --quiet --no-index --no-deps --upgrade \
		--target "$out/site" < "$out/missing"
fi

set -- "$out" "$@"
if [ -f "$pack/weights/sha256" ]; then
	name="$(awk '{print $2}' "$pack/weights/sha256")"
	if ! (mkdir -p "$out/weights" && cd "$out/weights" && sha256sum --check --status "$pack/weights/sha256" 2>/dev/null); then
		cat "$pack/weights/$name".* > "$out/weights/$name"
		(cd "$out/weights" && sha256sum --check --quiet "$pack/weights/sha256")
	fi
	set -- "$@" --gguf "$out/weights/$name"
fi

here="$(cd "$(dirname "$0")/../.." && pwd)"
export PYTHONPATH="$out/site" HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false WANDB_MODE=disabled
"$python" "$here/tests/bench/gpu.py" "$@"
tar -C "$out" --exclude=models -czf "$out/runs.tar.gz" times.json runs
echo "times: $out/times.json; runs without the base: $out/runs.tar.gz"
