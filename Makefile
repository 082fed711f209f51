# make repro | test | study | bench | setup | lab | clean   (make repro DOMAIN=all; make setup GPU=1)

PYTHON ?= python3.11
VENV := .venv
BIN := $(abspath $(VENV))/bin
# An environment made with GPU=1 stays one.
GPU ?= $(if $(wildcard $(VENV)/.installed-requirements-gpu.lock),1)
LOCK := requirements$(if $(GPU),-gpu).lock
STAMP := $(VENV)/.installed-$(LOCK)

# Quiet, the same on every machine, and never waiting for an answer.
export PATH := $(BIN):$(PATH)
export PYTHONHASHSEED := 0
export TF_CPP_MIN_LOG_LEVEL := 3
export DVC_NO_ANALYTICS := 1
export PIP_NO_INPUT := 1

.DEFAULT_GOAL := help
.PHONY: help setup fetch repro study bench test lint types fast nbval lab lock clean

help:
	@echo "make repro   one domain, from raw data to reports/ and README.md (DOMAIN=all; DOMAIN=ecommerce; JOBS=1)"
	@echo "make study   train what notebooks 07 to 10 lack: hours, resumable (DOMAIN=video PART=cold_start MINUTES=60)"
	@echo "make bench   peers and ours side by side, reports/benchmarks/ (ONLY=rating); after make repro DOMAIN=all"
	@echo "make test    everything CI runs: lint, types, unit tests, notebooks of one domain (DOMAIN=all)"
	@echo "             or one of them: make lint | types | fast | nbval"
	@echo "make setup   only the environment in .venv (GPU=1: with the CUDA extra)"
	@echo "make lab     JupyterLab with the environment as its kernel"
	@echo "make lock    pin dependencies anew after a change of pyproject.toml"
	@echo "make clean   remove the environment and everything the pipeline made; data/ stays"

setup: $(STAMP)

# The locks hold every package with its hash; mtrec itself is installed in place.
$(STAMP): $(LOCK) pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info[:2] != (3, 11))" || \
	  { echo "$(PYTHON) is not Python 3.11. Install it, or name it: make setup PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement $(LOCK)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@git config filter.nbstripout.clean "$(BIN)/nbstripout" && git config filter.nbstripout.smudge cat || true
	@touch $@

fetch: setup
	@"$(BIN)/mtrec" fetch

# Which domain if none is named, how many side by side: src/mtrec/pipeline/.
repro: setup
	@"$(BIN)/mtrec" repro $(DOMAIN) $(if $(JOBS),--jobs $(JOBS))

# The studies behind notebooks 07 to 10. What reports/study/ holds already is not trained again.
study: setup $(VENV)/.lightfm
	@"$(BIN)/mtrec" study $(or $(DOMAIN),all) $(if $(PART),--part $(PART)) $(if $(MINUTES),--minutes $(MINUTES))

# Peers of the benchmarks, each set in an environment of its own.
PEERS := $(patsubst benchmarks/environments/%.lock,$(VENV)/bench/%/.installed,\
  $(wildcard benchmarks/environments/*.lock))

bench: fetch $(PEERS)
	@"$(BIN)/mtrec" bench $(if $(ONLY),--only '$(ONLY)')

# What needs torch names its version in a lock of its own, NAME.torch, and takes it first.
$(VENV)/bench/%/.installed: benchmarks/environments/%.lock | setup
	@echo "making $(@D)"
	@$(PYTHON) -m venv --clear $(@D)
	@$(if $(wildcard benchmarks/environments/$*.torch),\
	  $(@D)/bin/python -m pip install --quiet --requirement benchmarks/environments/$*.torch)
	@$(@D)/bin/python -m pip install --quiet --require-hashes --no-deps --requirement $<
	@touch $@

# Notebooks beside types and unit tests, each TensorFlow on its share of the cores. A part that
# fails stops no other, and the whole then fails.
SHARE = $(shell n=$$(($$(getconf _NPROCESSORS_ONLN) / 2)); echo $$((n > 0 ? n : 1)))

test: lint
	@TF_NUM_INTRAOP_THREADS=$(SHARE) MTREC_WORKERS=$(SHARE) \
	  $(MAKE) --no-print-directory --keep-going --jobs 2 --output-sync=line nbval types fast \
	  && echo "make test: all passed"

# A peer of the cold-start study that is compiled from source; without a C compiler it is left out.
$(VENV)/.lightfm: requirements-lightfm.lock | setup
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps \
	  --requirement requirements-lightfm.lock \
	  && touch $@ || echo "LightFM was not built (no C compiler?); it is left out of the cold-start study"

lint: setup
	@echo "lint: ruff"
	@"$(BIN)/ruff" check --quiet .
	@"$(BIN)/ruff" format --check --quiet .

types: setup
	@echo "types: mypy"
	@"$(BIN)/mypy"

fast: fetch $(VENV)/.lightfm
	@echo "fast: unit tests and the examples of docstrings"
	@"$(BIN)/python" -m pytest tests src --doctest-modules

# Executed notebooks, run again in a copy of the tracked files.
nbval: fetch
	@"$(BIN)/python" tests/run_nbval.py $(DOMAIN)

lab: setup
	@"$(BIN)/jupyter" lab notebooks

# torch comes first and from its own file (NAME.torch), with or without these.
CUDA := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti \
  nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand \
  nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink \
  nvidia-nvshmem-cu13 nvidia-nvtx

lock:
	uv pip compile pyproject.toml --extra dev --extra peers --python-version 3.11 --universal --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file requirements.lock
	uv pip compile pyproject.toml --extra dev --extra peers --extra gpu --python-version 3.11 --universal --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file requirements-gpu.lock
	echo lightfm-next | uv pip compile - --no-deps --python-version 3.11 --universal --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file requirements-lightfm.lock

	for name in $(basename $(notdir $(wildcard benchmarks/environments/*.in))); do \
	  uv pip compile benchmarks/environments/$$name.in --python-version 3.11 --universal --generate-hashes \
	    --no-emit-index-url --no-header --quiet $(addprefix --no-emit-package ,$(CUDA)) \
	    --output-file benchmarks/environments/$$name.lock || exit 1; \
	done

clean:
	rm -rf $(VENV) artifacts models build .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
