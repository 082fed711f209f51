# make repro | test | study | bench | page | retrieval | scale | book | setup | lab | clean   (make repro DOMAIN=all; make setup GPU=1)

# A Python 3.11 to 3.13 to make the environment with; unnamed, tools/find_python.sh looks for one.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin# relative: make splits a path at its spaces
# An environment made with GPU=1 stays one; GPU= makes it one without.
GPU ?= $(if $(wildcard $(VENV)/.installed-requirements-gpu.lock),1)
LOCK := requirements$(if $(GPU),-gpu).lock

# Quiet, the same on every machine, and never waiting for an answer.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONHASHSEED := 0
export TF_CPP_MIN_LOG_LEVEL := 3
export DVC_NO_ANALYTICS := 1
export PIP_NO_INPUT := 1
# Modules are compiled when they are first imported, and then never again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup fetch repro study bench page retrieval scale test lint types fast nbval several book lab lock clean

help:
	@echo "make repro   one domain, from raw data to reports/ and README.md (DOMAIN=all; DOMAIN=ecommerce; JOBS=1)"
	@echo "make study   train what notebooks 06 to 10, 12, 13 and 19 to 21 lack: hours, resumable (DOMAIN=video PART=cold_start MINUTES=60 WORKERS=2)"
	@echo "make bench   peers and ours side by side, reports/benchmarks/ (ONLY=rating); after make repro DOMAIN=all"
	@echo "make page    a trained domain in the browser: choose, tell, see what changes (DOMAIN=video)"
	@echo "make test    everything CI runs: lint, types, unit tests, notebooks of one domain (DOMAIN=all)"
	@echo "             or one of them: make lint | types | fast | nbval | several"
	@echo "make scale   Ray, DuckDB and JAX in .venv, for more than one machine (docs/scale.md)"
	@echo "make book    the site of executed notebooks, guide, cards and reference: build/book/index.html"
	@echo "make setup   only the environment in .venv (GPU=1: with the CUDA extra)"
	@echo "make lab     JupyterLab with the environment as its kernel"
	@echo "make lock    pin dependencies anew after a change of pyproject.toml"
	@echo "make clean   remove the environment and everything the pipeline made; data/ stays"

# Does nothing when the environment is that of the lock, of the project and of the Python named.
setup:
	@python=$$(sh tools/find_python.sh '$(PYTHON)' $(BIN)/python) && "$$python" -I tools/install.py $(VENV) $(LOCK)
	@git config filter.nbstripout.clean $(BIN)/nbstripout && git config filter.nbstripout.smudge cat || true

fetch: setup
	@"$(BIN)/mtrec" fetch

# Which domain if none is named, how many side by side: src/mtrec/pipeline/.
repro: setup
	@"$(BIN)/mtrec" repro $(DOMAIN) $(if $(JOBS),--jobs $(JOBS)) $(if $(RAY),--ray $(RAY))

# What is divided among processes (WORKERS=2) or on a Ray cluster (RAY=ray://head:10001).
SEVERAL = $(if $(WORKERS), --workers $(WORKERS))$(if $(RAY), --ray $(RAY))

# The studies behind notebooks 06 to 10, 12, 13 and 19 to 21. What reports/study/ holds already is not trained again.
study: setup $(VENV)/.peers
	@"$(BIN)/mtrec" study $(or $(DOMAIN),all) $(if $(PART),--part $(PART)) $(if $(MINUTES),--minutes $(MINUTES))$(SEVERAL)

# Peers of the benchmarks, each set in an environment of its own.
PEERS := $(patsubst benchmarks/environments/%.lock,$(VENV)/bench/%/.installed,\
  $(wildcard benchmarks/environments/*.lock))

bench: fetch $(PEERS)
	@"$(BIN)/python" -m benchmarks $(if $(ONLY),--only '$(ONLY)')$(SEVERAL)

# The service, whose page answers at the address that it prints; Ctrl-C ends it.
page: setup
	@"$(BIN)/mtrec" serve $(or $(DOMAIN),video)

# Search among 10^4 to 10^7 items, exact and by an index: benchmarks/scale/retrieval.json.
retrieval: $(VENV)/bench/retrieval/.installed
	@PYTHONPATH=src OMP_NUM_THREADS=1 "$(VENV)/bench/retrieval/bin/python" -m benchmarks.scale.retrieval

# What needs torch names its version in a lock of its own, NAME.torch, and takes it first.
$(VENV)/bench/%/.installed: benchmarks/environments/%.lock | setup
	@echo "making $(@D)"
	@python=$$(sh tools/find_python.sh python3.11 2>/dev/null || echo $(BIN)/python); \
	"$$python" -m venv --clear $(@D) && \
	$(if $(wildcard benchmarks/environments/$*.torch),\
	  $(@D)/bin/python -m pip install --quiet --requirement benchmarks/environments/$*.torch &&) \
	$(@D)/bin/python -m pip install --quiet --require-hashes --no-deps --requirement $< && \
	touch $@ || { rm -rf $(@D); echo "$< is pinned for Python 3.11 and was not installed: what needs it is left out"; }

# Notebooks beside types and unit tests, each on its share of the cores. A part that fails stops no
# other, and the whole then fails.
SHARE = $(shell n=$$(($$(getconf _NPROCESSORS_ONLN) / 2)); echo $$((n > 0 ? n : 1)))

test: lint
	@MTREC_WORKERS=$(SHARE) \
	  $(MAKE) --no-print-directory --keep-going --jobs 2 --output-sync=line nbval types fast \
	  && $(MAKE) --no-print-directory several && echo "make test: all passed"

# Peers of the cold-start study. For Python 3.11 LightFM is compiled from source; without a C
# compiler it is left out.
$(VENV)/.peers: requirements-peers.lock requirements-lightfm.lock | setup
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement requirements-peers.lock
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps \
	  --requirement requirements-lightfm.lock 2>$(VENV)/lightfm.log \
	  || echo "LightFM was not built ($(VENV)/lightfm.log) and is left out of the cold-start study"
	@touch $@

# For a cluster; nothing else needs it.
scale: $(VENV)/.scale

$(VENV)/.scale: requirements-scale.lock | setup
	@echo "adding Ray, DuckDB and JAX"
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement $<
	@touch $@

# What needs them, after all else and alone: a cluster that starts on busy cores may not come up.
CROWDED := $(patsubst %,tests/scale/test_%.py,cluster training events)
several: fetch
	@$(MAKE) --no-print-directory scale || echo "$(VENV)/.scale was not made: no tests of a cluster"
	@echo "several: a Ray cluster, training in several processes, events out of memory"
	@"$(BIN)/python" -m pytest -rs $(CROWDED) tests/scale/test_cluster_files.py

lint: setup
	@echo "lint: ruff"
	@"$(BIN)/ruff" check --quiet .
	@"$(BIN)/ruff" format --check --quiet .

types: setup
	@echo "types: mypy"
	@"$(BIN)/mypy"

# Keras on JAX without TensorFlow, for tests/test_jax.py. Where it cannot be had, that test is left
# out.
$(VENV)/jax/.installed: requirements-jax.lock | setup
	@echo "making $(@D)"
	@$(BIN)/python -m venv --clear --without-pip $(@D) && \
	$(BIN)/python -m pip --python $(@D)/bin/python install --quiet --no-compile --require-hashes \
	  --no-deps --requirement $< && \
	touch $@ || { rm -rf $(@D); echo "$< was not installed: tests/test_jax.py is left out"; }

fast: fetch $(VENV)/jax/.installed
	@echo "fast: unit tests and the examples of docstrings"
	@"$(BIN)/python" -m pytest tests src benchmarks --doctest-modules --doctest-ignore-import-errors -rs \
	  $(addprefix --ignore ,$(CROWDED)) --numprocesses logical --maxprocesses 4 --dist loadfile

# Executed notebooks, run again in a copy of the tracked files.
nbval: fetch
	@"$(BIN)/python" tests/run_nbval.py $(DOMAIN)

# Sphinx in an environment of its own; without a network once that is made. Warnings are errors.
$(VENV)/book/.installed: requirements-book.lock | setup
	@echo "making $(@D)"
	@$(BIN)/python -m venv --clear --without-pip $(@D) && \
	$(BIN)/python -m pip --python $(@D)/bin/python install --quiet --no-compile --require-hashes \
	  --no-deps --requirement $< && \
	touch $@ || { rm -rf $(@D); exit 1; }

book: setup $(VENV)/book/.installed
	@echo "book: a minute or two"
	@"$(BIN)/python" -m mtrec.report.book build/book-sources
	@rm -rf build/book
	@"$(VENV)/book/bin/python" -m sphinx --fail-on-warning --keep-going --quiet --write-all \
	  --conf-dir docs --doctree-dir build/book-doctrees build/book-sources build/book
	@"$(VENV)/book/bin/python" docs/_ext/check_site.py build/book
	@echo "the book: build/book/index.html"

lab: setup
	@"$(BIN)/jupyter" lab notebooks

# torch comes first and from its own file (NAME.torch), with or without these.
CUDA := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti \
  nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand \
  nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink \
  nvidia-nvshmem-cu13 nvidia-nvtx

# One resolution for every Python, so that all of them compute with the same packages.
COMPILE := uv pip compile --python-version 3.11 --universal --generate-hashes \
  --no-emit-index-url --no-header --quiet

lock:
	$(COMPILE) pyproject.toml requirements-cpu.in --extra dev --overrides requirements-cpu.in \
	  --fork-strategy fewest --output-file requirements.lock
	$(COMPILE) pyproject.toml --extra dev --extra gpu --constraints requirements.lock \
	  --fork-strategy fewest --no-annotate --output-file requirements-gpu.lock
	echo catboost | $(COMPILE) - --constraints requirements.lock \
	  --fork-strategy fewest --no-annotate --output-file requirements-peers.lock
	$(COMPILE) requirements-jax.in --constraints requirements.lock \
	  --fork-strategy fewest --no-annotate --output-file requirements-jax.lock
	$(COMPILE) requirements-scale.in --constraints requirements.lock \
	  --fork-strategy fewest --no-annotate --output-file requirements-scale.lock
	$(COMPILE) requirements-book.in --constraints requirements.lock \
	  --fork-strategy fewest --no-annotate --output-file requirements-book.lock
	echo lightfm-next | $(COMPILE) - --no-deps --output-file requirements-lightfm.lock
	for name in $(basename $(notdir $(wildcard benchmarks/environments/*.in))); do \
	  $(COMPILE) benchmarks/environments/$$name.in $(addprefix --no-emit-package ,$(CUDA)) \
	    --output-file benchmarks/environments/$$name.lock || exit 1; \
	done

clean:
	rm -rf $(VENV) artifacts models build .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
