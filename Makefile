# Every target makes .venv first, from hashed locks: Python 3.11 or newer and make are all it takes.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
BENCH  := .venv-bench
UV     := UV_PYTHON_DOWNLOADS=never $(BIN)/uv
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help env up test check test-data bench docs lock clean

help: ## What can be run here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

env: $(STAMP) ## The virtual environment, installed from the hashed locks

$(STAMP): requirements/dev.txt requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Headrace needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V). Try: make PYTHON=python3.13"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt requirements/uv.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

up: env ## Local cloud and every service; Ctrl-C drains
	@# With job control Ctrl-C reaches headrace alone, and make ends with its status.
	@if [ -t 0 ]; then set -m; fi; $(BIN)/headrace up $(ARGS)

test: env ## Unit, contract and end-to-end tests (under five minutes)
	@$(BIN)/pytest $(ARGS)

check: env ## Format, lint, types, import boundaries
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test-data: env ## The real files of ../shared/data, end to end
	@$(BIN)/pytest tests/data $(ARGS)

bench: $(BENCH)/.installed ## CPU per event beside peers; writes bench/results.json
	@PYTHONPATH=libs:. $(BENCH)/bin/python -m bench $(ARGS)

$(BENCH)/.installed: $(STAMP) requirements/bench.txt
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@$(UV) pip sync --quiet --python $(BENCH)/bin/python --require-hashes requirements/bench.txt
	@touch $@

docs: env ## Write the parts of docs/ that follow from the code
	@$(BIN)/python scripts/generate_docs.py

lock: env ## Compile pyproject.toml into requirements/*.txt, with hashes
	@scripts/lock.sh $(BIN)/uv $(ARGS)

clean: ## Remove .venv, .headrace and caches
	rm -rf $(VENV) $(BENCH) .headrace .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
