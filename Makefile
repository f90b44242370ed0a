# Every number of an experiment is in conf/; nothing here sets one.
# Works with GNU make 3.81 and later, in a folder with any name.

PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
TORCH := $(shell sed -n 's/.*"\(torch==[^"]*\)".*/\1/p' pyproject.toml)
UV := uv==0.13.9

# A wheel runs nothing when it is installed, and a lock names it by its hash. CONTRIBUTING.md has a table of what is not so.
WHEELS := --require-hashes --no-deps --only-binary=:all:
# These have no wheel; all but pycosat are pure Python and need no compiler. They are built by the locked setuptools.
NO_WHEEL := antlr4-python3-runtime|jsonpath-rw|rouge-score|sqlitedict|word2number|cellpylib|pycosat|zss
SOURCES := --require-hashes --no-deps --no-build-isolation --use-pep517 --no-binary=:all:

# Torch, and the packages that only its CUDA build needs.
TORCH_ONLY := ^(torch==|triton==|nvidia-|cuda-)

export TOKENIZERS_PARALLELISM := false
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup lint test test-all smoke bench bench-train bench-collect bench-evaluate bench-peers reproduce reproduce-all reproduce-qwen release tag hub-folder paper table audit audit-full \
	audit-page audit-replay site export export-inspect gen trl xllamacpp openvino vllm launch serve serve-vllm lock clean \
	run-is-named runs-are-named release-is-named model-is-named

help:
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile

##@ Start
setup: .venv/.ready  ## install the locked packages into .venv (again only when the lock changed); minutes
	@:

smoke: setup  ## collect, train and evaluate at toy size, to see that everything runs; a minute
	$(PY) collect.py experiment=smoke
	$(PY) train.py experiment=smoke
	$(PY) evaluate.py experiment=smoke "sweep=[free,cap16]"
	@echo "smoke: everything ran: collect, train and evaluate; the runs are in outputs/"

##@ Work on the code
lint: setup  ## check format, style, types and layers; half a minute
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache

PYTEST := $(PY) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

test: setup  ## run the tests but for those marked slow, two files at a time; 20 minutes
	$(PYTEST) -m "not slow"

test-all: setup  ## run all tests; up to an hour
	$(PYTEST)

##@ Reproduce and release
reproduce: setup  ## reproduce the main result; under an hour
	$(PY) -m ponder.release.reproduce main

reproduce-all: setup  ## reproduce every result of the paper, with reproduce-qwen; eight hours
	$(PY) -m ponder.release.reproduce all

reproduce-qwen: setup  ## train the main arm of the Qwen2.5 scale on its released rows and evaluate it; about an hour where bfloat16 is fast
	$(PY) -m ponder.release.reproduce qwen

release: run-is-named setup  ## pack one run for release: make release RUN=outputs/...
	$(PY) -m ponder.release.release "$(RUN)" $(if $(OVERRIDE),"$(OVERRIDE)")

hub-folder: run-is-named setup  ## write what a model hub takes of a training or a data set to outputs/hub: make hub-folder RUN=data/cpu/cpu
	@$(PY) -m ponder.release.hub "$(RUN)"

run-is-named:
	@if [ -z "$(RUN)" ]; then echo "Name the run: make $(MAKECMDGOALS) RUN=outputs/..." >&2; exit 2; fi

release-is-named:
	@if [ -z "$(RELEASE)" ]; then echo "Name the release: make tag RELEASE=0.2.0" >&2; exit 2; fi

runs-are-named:
	@if [ -z "$(RUNS)" ]; then echo 'Name the evaluations: make table RUNS="cpu-trained-free-test ..."' >&2; exit 2; fi

model-is-named:
	@if [ -z "$(MODEL)" ]; then echo "Name the model: make $(MAKECMDGOALS) MODEL=qwen2.5-coder-1.5b" >&2; exit 2; fi

##@ Measure speed
bench: setup  ## measure train beside TRL, evaluate beside lm-eval and other engines, collect at the size of the paper; fails when a goal is missed
	@missed=0; for stage in train evaluate collect; do $(MAKE) --no-print-directory bench-$$stage || missed=1; done; exit $$missed

bench-train: setup  ## tokens per second of train.py and of TRL (installed first), and the share of what the machine can do
	@$(MAKE) --no-print-directory trl || true
	PYTHONPATH=tests $(PY) tests/bench/train_speed.py

bench-collect: setup  ## collect at the size of the paper: 59,029 questions, and ten times as many
	PYTHONPATH=tests $(PY) tests/bench/collect_speed.py

# Peers that are not installed are left out: make xllamacpp, make openvino and make vllm install them.
bench-evaluate: setup  ## nine budgets in one pass, one by one, and one by one through lm-eval, and vLLM, llama.cpp and OpenVINO where they are installed; up to an hour
	PYTHONPATH=tests $(PY) tests/bench/evaluate_speed.py

bench-peers: xllamacpp  ## the 0.5B student beside transformers' generate and llama.cpp; ten minutes
	PYTHONPATH=tests $(PY) tests/bench/peers_speed.py

##@ Paper and audit
paper: setup  ## build the paper from the committed results
	$(PY) paper/build.py

tag: release-is-named setup  ## make the commit that is checked out a release: its root into logs/, README and paper: make tag RELEASE=0.2.0
	@$(PY) -m ponder.audit.roots "$(RELEASE)"
	@$(PY) paper/build.py
	@echo 'Now: git commit -am "Release $(RELEASE)" && git tag $(RELEASE)'

table: runs-are-named setup  ## one table of any evaluations, seeds of one training as one row: make table RUNS="cpu-trained-free-test ..."
	@$(PY) -m ponder.report.table $(RUNS)

audit: setup  ## check every published number against the released records; offline, without torch; half a minute
	$(PY) audit.py

audit-full: setup  ## the same, with the second grader on every answer
	$(PY) audit.py full

audit-page: setup  ## the records and their verdicts as one HTML file: outputs/audit.html
	$(PY) audit.py page

site: setup  ## the records as pages to read in a browser, every answer among them: outputs/site/index.html; 40 seconds
	$(PY) -m ponder.site

audit-replay: setup  ## train three steps and answer five questions of the released experiment again, all of smoke too, and compare bits
	$(PY) audit.py replay

# Sets $python to the first Python 3.11 to 3.13 that can make a venv, or says in a sentence what is missing.
define find_python
python=""; no_venv=""; \
if [ -n "$$PYTHON" ]; then set -- "$$PYTHON"; else set -- python3.13 python3.12 python3.11 python3; fi; \
for name in "$$@"; do \
	"$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || continue; \
	if "$$name" -c 'import ensurepip, venv' 2>/dev/null; then python="$$name"; break; fi; \
	no_venv="$$name"; \
done; \
if [ -z "$$python" ] && [ -n "$$no_venv" ]; then \
	echo "$$no_venv cannot make a virtual environment: install its venv package (on Debian and Ubuntu python3-venv) and try again." >&2; \
	exit 2; \
fi; \
if [ -z "$$python" ]; then \
	echo "ponder needs Python 3.11, 3.12 or 3.13$${PYTHON:+ and $$PYTHON is none of them}: install one, or name one with PYTHON=/path/to/python." >&2; \
	exit 2; \
fi
endef

# Installs a lock: its wheels, then what has none. $(1) is a python, $(2) the lock.
define install_lock
folder="$$(mktemp -d)"; trap 'rm -rf "$$folder"' EXIT; \
awk -v names='^($(NO_WHEEL))==' '/^[a-z0-9]/ {source = $$0 ~ names} !source' $(2) > "$$folder/wheels.lock"; \
awk -v names='^($(NO_WHEEL))==' '/^[a-z0-9]/ {source = $$0 ~ names} source' $(2) > "$$folder/sources.lock"; \
$(1) -m pip --disable-pip-version-check --no-input install --quiet $(WHEELS) -r "$$folder/wheels.lock" && \
if [ -s "$$folder/sources.lock" ]; then \
	$(1) -m pip --disable-pip-version-check --no-input install --quiet $(SOURCES) -r "$$folder/sources.lock"; \
fi
endef

# Torch comes by version only: pip's own settings decide which build of it (CPU or CUDA) is fetched, and so which hash it has. What it
# needs beside CUDA is there before it, hashes checked.
.venv/.ready: requirements.lock pyproject.toml
	@if [ -n "$$PYTHON" ] || ! $(PY) -c 'import pip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
		$(find_python); \
		echo "Making .venv with $$python"; \
		"$$python" -m venv --clear .venv; \
	fi
	@echo "Installing the packages of requirements.lock"
	@$(call install_lock,$(PY),requirements.lock)
	@echo "Installing $(TORCH)"
	@$(PIP) install --only-binary=:all: $(TORCH)
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@touch .venv/.ready

##@ Other
export: setup outputs/export-venv/.ready  ## write evaluations (Every Eval Ever) and an SBOM (CycloneDX) to outputs/export
	$(PY) -m ponder.release.exports

# Every Eval Ever needs Python 3.12 or later, whatever .venv has.
outputs/export-venv/.ready: locks/export.lock
	@$(find_python); \
	if ! "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then \
		echo "make export needs Python 3.12 or 3.13: install one, or name one with PYTHON=/path/to/python." >&2; \
		exit 2; \
	fi; \
	"$$python" -m venv --clear outputs/export-venv
	@$(call install_lock,outputs/export-venv/bin/python,locks/export.lock)
	@touch outputs/export-venv/.ready

export-inspect: setup outputs/inspect-venv/.ready  ## write evaluations as logs of Inspect to outputs/export/inspect: make export-inspect RUNS="cpu-trained-free-test ..."; all released ones without RUNS
	@$(PY) -m ponder.release.inspect_logs $(RUNS)

outputs/inspect-venv/.ready: locks/inspect.lock
	@$(find_python); "$$python" -m venv --clear outputs/inspect-venv
	@$(call install_lock,outputs/inspect-venv/bin/python,locks/inspect.lock)
	@touch outputs/inspect-venv/.ready

gen: setup  ## install what draws questions of the library families anew; needs a C compiler
	@$(call install_lock,$(PY),locks/gen.lock)

trl: setup  ## install TRL, which training is measured against
	@$(call install_lock,$(PY),locks/trl.lock)

xllamacpp: setup  ## install llama.cpp's server, which make serve starts
	@$(call install_lock,$(PY),locks/serve.lock)

launch: setup  ## install Hydra's launchers: jobs of -m side by side (joblib), or under SLURM (submitit)
	@$(call install_lock,$(PY),locks/launch.lock)

serve: model-is-named xllamacpp  ## serve a model of conf/model by llama.cpp on this machine: make serve MODEL=qwen2.5-coder-1.5b
	@$(PY) -m ponder.serve $(MODEL)

vllm: setup outputs/vllm-venv/.ready  ## install vLLM, which make serve-vllm starts and make bench-evaluate measures, into an environment of its own; 2.4 GB, minutes
	@:

serve-vllm: model-is-named vllm  ## serve a folder, or a model of conf/model, by vLLM on this machine: make serve-vllm MODEL=outputs/merged; the first time it installs 2.4 GB, minutes
	@$(PY) -m ponder.serve_vllm "$(MODEL)"

openvino: setup outputs/openvino-venv/.ready  ## install OpenVINO, by which engine=openvino decodes, into an environment of its own; 1.6 GB, minutes
	@:

# Both need torch's CPU build and another transformers than .venv has.
outputs/vllm-venv/.ready outputs/openvino-venv/.ready: outputs/%-venv/.ready: locks/%.lock
	@$(find_python); "$$python" -m venv --clear outputs/$*-venv
	@echo "Installing the packages of locks/$*.lock"
	@$(call install_lock,outputs/$*-venv/bin/python,locks/$*.lock)
	@outputs/$*-venv/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-deps --only-binary=:all: $(TORCH)+cpu || \
		{ echo "make needs torch's CPU build here: tell pip where it is, as in PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu" >&2; exit 2; }
	@touch outputs/$*-venv/.ready

# Of an extra: what it needs beyond requirements.lock, which it must not change, and beyond torch with its CUDA build. $(1) is its
# name, $(2) the oldest Python, $(3) what else uv is told, $(4) what is locked already.
define lock_extra
sed -n 's/^$(1) = \[\(.*\)\].*/\1/p' pyproject.toml | tr -d '" ' | tr ',' '\n' > "$$folder/$(1).in"; \
$$compile "$$folder/$(1).in" --no-annotate --python-version $(2) $(3) --output-file "$$folder/$(1).all" >/dev/null; \
{ echo "# Written by make lock from pyproject.toml: what [$(1)] needs beyond requirements.lock."; \
  awk -v torch='$(TORCH_ONLY)' 'FILENAME == ARGV[1] {if (/^[a-z0-9]/) locked[$$1]; next} \
	/^[a-z0-9]/ {skip = $$1 in locked || $$0 ~ torch || /sys_platform == .never./} !skip' $(4) "$$folder/$(1).all"; \
} > locks/$(1).lock
endef

lock:  ## write requirements.lock and locks/ anew from pyproject.toml (delete the first to take newer versions)
	@$(find_python); \
	set -e; folder="$$(mktemp -d)"; trap 'rm -rf "$$folder"' EXIT; \
	"$$python" -m venv "$$folder/venv"; \
	"$$folder/venv/bin/python" -m pip --disable-pip-version-check --no-input install --quiet $(WHEELS) -r locks/uv.lock; \
	compile="$$folder/venv/bin/uv pip compile --quiet --python $$folder/venv/bin/python --universal --fork-strategy fewest \
		--generate-hashes --no-header --no-emit-index-url"; \
	if [ -f requirements.lock ]; then cp requirements.lock "$$folder/all.lock"; fi; \
	$$compile pyproject.toml --python-version 3.11 --output-file "$$folder/all.lock" >/dev/null; \
	{ echo "# Written by make lock from pyproject.toml, for Python 3.11 to 3.13."; \
	  echo "# Left out: torch, which make setup installs by version, and the packages that only its CUDA build needs."; \
	  awk -v torch='$(TORCH_ONLY)' '/^[a-z0-9]/ {skip = $$0 ~ torch} !skip' "$$folder/all.lock"; \
	} > "$$folder/requirements.lock"; \
	cp "$$folder/requirements.lock" requirements.lock; \
	$(call lock_extra,gen,3.11,--constraint "$$folder/all.lock","$$folder/all.lock"); \
	$(call lock_extra,trl,3.11,--constraint "$$folder/all.lock","$$folder/all.lock"); \
	$(call lock_extra,serve,3.11,--constraint "$$folder/all.lock","$$folder/all.lock"); \
	$(call lock_extra,launch,3.11,--constraint "$$folder/all.lock","$$folder/all.lock"); \
	$(call lock_extra,export,3.12,,/dev/null); \
	$(call lock_extra,inspect,3.11,,/dev/null); \
	$(call lock_extra,vllm,3.11,--overrides locks/cpu.overrides,/dev/null); \
	$(call lock_extra,openvino,3.11,--overrides locks/cpu.overrides,/dev/null); \
	echo "$(UV)" > "$$folder/uv.in"; \
	$$compile "$$folder/uv.in" --no-annotate --python-version 3.11 --output-file locks/uv.lock >/dev/null; \
	for lock in requirements.lock locks/*.lock; do echo "$$lock: $$(grep -c '==.*[\]$$' "$$lock") packages"; done

clean:  ## remove .venv and caches; outputs/, data/ and logs/ stay
	rm -rf .venv .pytest_cache .hypothesis .ruff_cache build ./*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
