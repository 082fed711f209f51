# make repro | test | bench | setup | lab | lint | nbval | clean   (make repro DOMAIN=video; make setup GPU=1)

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
.PHONY: help setup fetch repro patient stages study bench test fast lint nbval lab lock clean

help:
	@echo "make repro   fetch the data, run the pipeline, write reports/ and the results in README.md"
	@echo "make study   train what notebooks 07 to 10 lack: hours, resumable (DOMAIN=video PART=cold_start MINUTES=60)"
	@echo "make bench   peers and ours side by side, reports/benchmarks/ (ONLY=rating); after make repro"
	@echo "make test    everything CI runs: lint, types, fast tests, notebooks of one domain"
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
	@$(BIN)/mtrec fetch

# Domains share no stage but the raw data, settled first, and training keeps one core busy: two run
# at a time, the one with most text first, each TensorFlow on its share of the cores (the same
# numbers, sooner). What that leaves undone, or what failed, is for the last command to report.
JOBS ?= 2
SHARE = $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) / $(JOBS))))
FIRST := social_reviews
STAGES = $(filter %@$(DOMAIN),$(shell $(BIN)/dvc stage list --name-only))

repro: fetch
	@$(if $(DOMAIN),,$(BIN)/dvc status --quiet || { $(BIN)/dvc repro --quiet data.dvc && \
	  $(BIN)/dvc stage list --name-only | sed -n 's/.*@//p' | \
	  awk '!seen[$$0]++ {print $$0 != "$(FIRST)", $$0}' | sort -s -n -k 1,1 | cut -d ' ' -f 2 | \
	  TF_NUM_INTRAOP_THREADS=$(SHARE) \
	  xargs -P $(JOBS) -I '{}' $(MAKE) --no-print-directory patient DOMAIN='{}'; })
	@$(MAKE) --no-print-directory stages
	@$(BIN)/mtrec readme

# DVC gives up when another process holds its lock for three seconds; here it comes back. Stages one
# by one, in their order: to look at what they depend on, DVC would have to own the raw data.
patient:
	@said=$$(mktemp); \
	until $(BIN)/dvc repro --single-item $(STAGES) 2>$$said; do \
	  grep -q 'Unable to acquire lock' $$said || { cat $$said >&2; break; }; \
	  sleep 3; \
	done; rm -f $$said

stages:
	@$(BIN)/dvc repro $(if $(DOMAIN),$(or $(STAGES),evaluation@$(DOMAIN)))

# The studies behind notebooks 07 to 10. What reports/study/ holds already is not trained again.
study: fetch $(VENV)/.lightfm
	@for domain in $(or $(DOMAIN),video ecommerce social_reviews social_trust education_courses education_mastery); do \
	  $(BIN)/dvc repro task_embedding@$$domain && \
	  $(BIN)/mtrec study $$domain $(if $(PART),--part $(PART)) $(if $(MINUTES),--minutes $(MINUTES)) || exit 1; \
	done

# Peers of the benchmarks, each set in an environment of its own.
PEERS := $(patsubst benchmarks/environments/%.lock,$(VENV)/bench/%/.installed,\
  $(wildcard benchmarks/environments/*.lock))

bench: fetch $(PEERS)
	@$(BIN)/mtrec bench $(if $(ONLY),--only '$(ONLY)')

# What needs torch names its version in a lock of its own, NAME.torch, and takes it first.
$(VENV)/bench/%/.installed: benchmarks/environments/%.lock | setup
	@echo "making $(@D)"
	@$(PYTHON) -m venv --clear $(@D)
	@$(if $(wildcard benchmarks/environments/$*.torch),\
	  $(@D)/bin/python -m pip install --quiet --requirement benchmarks/environments/$*.torch)
	@$(@D)/bin/python -m pip install --quiet --require-hashes --no-deps --requirement $<
	@touch $@

# Tests and notebooks side by side, each TensorFlow on its share of the cores.
test: lint fetch $(VENV)/.lightfm
	@TF_NUM_INTRAOP_THREADS=$(SHARE) $(MAKE) --no-print-directory --jobs $(JOBS) --output-sync=line fast nbval

# A peer of the cold-start study that is compiled from source; without a C compiler it is left out.
$(VENV)/.lightfm: requirements-lightfm.lock | setup
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps \
	  --requirement requirements-lightfm.lock \
	  && touch $@ || echo "LightFM was not built (no C compiler?); it is left out of the cold-start study"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fast: fetch $(VENV)/.lightfm
	$(BIN)/python -m pytest tests src --doctest-modules

# Executed notebooks of one domain, run again in a copy of the tracked files.
nbval: fetch
	@$(BIN)/python tests/run_nbval.py $(or $(DOMAIN),video)

lab: setup
	$(BIN)/jupyter lab notebooks

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
