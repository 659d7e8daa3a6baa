# Every target makes .venv first, from hashed locks: Python 3.11 or newer and make are all it takes.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
BENCH  := .venv-bench
CLIENTS := .venv-clients
SPARK  := .venv-spark
ENGINES := .engines
UV     := UV_PYTHON_DOWNLOADS=never $(BIN)/uv
ARGS   ?=
EVENTS ?= 50000
SEED   ?= 1
SEEDS  ?= 300

# Where no bytecode may be kept every process compiles all of our modules as it starts: half a second.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help env up test check test-api test-clients test-data test-deploy test-engines test-spark test-faults test-chaos soak prove compose-test model simulate bench bench-latency bench-batch docs lock clean

help: ## What can be run here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

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
	@$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist worksteal $(ARGS)

check: env ## Format, lint, types, import boundaries, templates
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/cfn-lint deploy/ecs/*.yaml

test-api: env ## schemathesis on the stats API: no 5xx, no undocumented answer
	@$(BIN)/pytest tests/api $(ARGS)

test-data: env ## The real files of ../shared/data, end to end
	@$(BIN)/pytest tests/data $(ARGS)

compose-test: env ## The images and docker compose; installs an engine where none answers (Debian, as root)
	@scripts/compose_test.sh $(BIN)/pytest $(ARGS)

test-clients: $(CLIENTS)/.installed ## The examples of docs/athena.md, with PyAthena, SQLAlchemy and the AWS CLI
	@HEADRACE_CLIENTS=$(CURDIR)/$(CLIENTS)/bin $(BIN)/pytest tests/clients $(ARGS)

test-deploy: $(CLIENTS)/.installed ## The stack in the local cloud: used with its roles' rights only, and deleted (two minutes)
	@$(BIN)/cfn-lint deploy/ecs/*.yaml
	@HEADRACE_CLIENTS=$(CURDIR)/$(CLIENTS)/bin $(BIN)/pytest tests/unit/deploy/ecs tests/deploy $(ARGS)

$(CLIENTS)/.installed: $(STAMP) requirements/clients.txt
	@test -x $(CLIENTS)/bin/python || $(PYTHON) -m venv $(CLIENTS)
	@$(UV) pip sync --quiet --python $(CLIENTS)/bin/python --require-hashes requirements/clients.txt
	@touch $@

test-engines: test-spark ## Contract suites on kinesis-local and DynamoDB Local; Spark; needs node 20, npm, a JDK 17
	@$(BIN)/python scripts/engines.py $(ENGINES)
	@HEADRACE_ENGINES=$(CURDIR)/$(ENGINES) $(BIN)/pytest tests/contract/test_stream.py tests/contract/test_stream_places.py \
	  tests/contract/test_resharding.py tests/contract/test_shard_sync.py tests/contract/test_gaps.py \
	  tests/contract/leases tests/contract/counters tests/contract/test_state.py $(ARGS)

test-spark: $(SPARK)/.installed ## The medallion on PySpark and on DuckDB, row by row; needs a JDK 17
	@PYTHONPATH=$(CURDIR)/libs:$(CURDIR) $(SPARK)/bin/python -m pytest tests/spark $(ARGS)

$(SPARK)/.installed: $(STAMP) requirements/spark.txt
	@test -x $(SPARK)/bin/python || $(PYTHON) -m venv $(SPARK)
	@$(UV) pip sync --quiet --python $(SPARK)/bin/python --require-hashes requirements/spark.txt
	@touch $@

test-faults: env ## Outages and kill -9 of every service, through a fault proxy (about six minutes)
	@$(BIN)/pytest tests/faults $(ARGS)

test-chaos: env ## Exactly once while processes die, stop and are lied to (three minutes; by hand EVENTS=200000)
	@$(BIN)/pytest -p tests.harness.long_run tests/chaos --events $(EVENTS) --seed $(SEED) $(ARGS)

soak: EVENTS = 200000
soak: env ## Exactly once on real engines: kills, drains, stops, lies, reshards (five minutes; node 20, npm, a JDK 17)
	@$(BIN)/python scripts/engines.py $(ENGINES)
	@HEADRACE_ENGINES=$(CURDIR)/$(ENGINES) $(BIN)/pytest -p tests.harness.long_run tests/soak \
	  --events $(EVENTS) --seed $(SEED) $(ARGS)

prove: EVENTS = 2000000
prove: SEEDS = 3000
prove: env ## simulate and soak ten times as long (an hour, by hand)
	@$(MAKE) --no-print-directory simulate SEEDS=$(SEEDS)
	@$(MAKE) --no-print-directory soak EVENTS=$(EVENTS)

model: env ## The delivery protocol as a model, state by state, and its mutants (about a minute)
	@$(BIN)/python -m tests.model $(ARGS)

simulate: env ## The fleet on a virtual clock: every fault at every call, SEEDS=300 walks, mutants, fleets (four minutes)
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

bench: $(BENCH)/.installed ## CPU per event beside peers; writes bench/results.json
	@PYTHONPATH=libs:. $(BENCH)/bin/python -m bench $(ARGS)

bench-latency: $(BENCH)/.installed ## Seconds from the poll to a count and to an answer of Athena; adds to bench/results.json
	@PYTHONPATH=$(CURDIR)/libs:$(CURDIR) $(BENCH)/bin/python -m bench.latency $(ARGS)

bench-batch: $(BENCH)/.installed ## Bronze to gold beside DuckDB and the reference (about six minutes); adds to bench/results.json
	@PYTHONPATH=$(CURDIR)/libs:$(CURDIR) $(BENCH)/bin/python -m bench.batch $(ARGS)

$(BENCH)/.installed: $(STAMP) requirements/bench.txt
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@$(UV) pip sync --quiet --python $(BENCH)/bin/python --require-hashes requirements/bench.txt
	@touch $@

docs: env ## Write the parts of docs/ that follow from the code
	@$(BIN)/python scripts/generate_docs.py

lock: env ## Compile pyproject.toml into requirements/*.txt, with hashes
	@scripts/lock.sh $(BIN)/uv $(ARGS)

clean: ## Remove .venv, .headrace, .soak and caches
	rm -rf $(VENV) $(BENCH) $(CLIENTS) $(SPARK) $(ENGINES) .headrace .soak .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
