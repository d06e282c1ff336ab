# Each target sets itself up: nothing is needed but make and Python >= 3.11.
#   make demo ARGS="--port 9000"    hands ARGS to the command
#   make test ARGS="-k claim"     PARALLEL= runs them one after the other
#   PYTHON=/path/to/python make …   chooses the interpreter

VENV := .venv
BIN := $(VENV)/bin
WEB := api/web
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
ARGS ?=
# Tests of one file run one after the other: they may share servers.
PARALLEL ?= -n 4 --dist loadfile
export PYTHON

.PHONY: help demo up test test-all check types security secrets audit lint format bench bench-sweeps chaos chaos-trials chaos-recovery load soak mlflow-compare console console-test requirements clean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.ready-up  ## data to a rolled-back model in under a minute
	@$(BIN)/mlq demo $(ARGS)

up: $(VENV)/.ready-up  ## everything on this machine; Ctrl-C stops it
	@exec $(BIN)/mlq up $(ARGS)

test: $(VENV)/.ready-dev  ## all tests; starts the servers they need
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-all: $(VENV)/.ready-dev  ## the same, and the costly ones on every pair of servers
	MLQ_TEST_ALL=1 $(BIN)/python -m pytest $(PARALLEL) $(ARGS)

check:  ## format, lint, types, security and secrets
	@$(MAKE) --no-print-directory -j 2 lint types security secrets

types: $(VENV)/.ready-dev  ## types
	$(BIN)/mypy

security: $(VENV)/.ready-dev  ## what bandit finds; pyproject.toml says what is noise
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml mlq workers/mlq_workers api/mlq_api

# Examples and made-up accounts of tests; digests are no keys.
NO_SECRETS := (^|[^a-z])(PASSWORD|guest|hunter2|hunter2@db/mlq|pass|sesame|secret|not a secret|broker-secret|a_b-c)$$|^[0-9a-f]{10,64}$$
secrets: $(VENV)/.ready-dev  ## whether a key or a password was committed
	git ls-files -z -- . ':!*package-lock.json' ':!deploy/requirements' ':!*.png' | \
	  xargs -0 -n 400 -P 2 $(BIN)/detect-secrets-hook --exclude-secrets '$(NO_SECRETS)'

audit: $(VENV)/.ready-dev  ## known vulnerabilities of what is installed; needs a package index
	$(BIN)/pip-audit --skip-editable --progress-spinner off $(ARGS)

lint: $(VENV)/.ready-dev  ## format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.ready-dev  ## rewrite the sources as `check` wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.ready-dev  ## the platform's cost next to bare Celery
	$(BIN)/python -m benchmarks.overhead $(ARGS)

bench-sweeps: $(VENV)/.ready-dev  ## sweeps next to joblib and GridSearchCV
	$(BIN)/python -m benchmarks.sweeps $(ARGS)

chaos: $(VENV)/.ready-dev  ## the fault matrix on real processes and servers, as a table
	$(BIN)/python -m benchmarks.chaos $(ARGS)

chaos-trials: $(VENV)/.ready-dev  ## 10,000 trials while something is killed every 2 seconds
	$(BIN)/python -m benchmarks.chaos.trials $(ARGS)

chaos-recovery: $(VENV)/.ready-dev  ## how soon a step runs again after a kill, with default settings
	$(BIN)/python -m benchmarks.chaos.recovery $(ARGS)

load: $(VENV)/.ready-dev  ## 200 clients submit for a minute, and every accepted job ends
	$(BIN)/python -m benchmarks.load $(ARGS)

soak: $(VENV)/.ready-dev  ## the matrix again and again, an hour unless ARGS="--minutes N"
	$(BIN)/python -m benchmarks.chaos $(or $(ARGS),--minutes 60)

# MLflow's own server and full client stay out of what mlq is developed with.
MLFLOW := $(VENV)/mlflow
mlflow-compare: $(VENV)/.ready-dev  ## MLflow's clients against mlq and MLflow's own server
	@[ -e $(MLFLOW)/bin/mlflow ] || { sh deploy/venv.sh $(MLFLOW) && echo "==> Installing MLflow into $(MLFLOW)" && \
	  $(MLFLOW)/bin/python -m pip --disable-pip-version-check install --quiet mlflow; }
	MLQ_TEST_MLFLOW=$(abspath $(MLFLOW))/bin/python $(BIN)/python -m pytest -rP tests/acceptance/test_mlflow_compare.py $(ARGS)

console: $(VENV)/.ready-dev  ## build the console; needs Node
	@cd $(WEB) && { [ -e node_modules/.bin/vitest ] && [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts; }
	$(BIN)/python $(WEB)/scripts/openapi.py > $(WEB)/openapi.json
	@cd $(WEB) && npm run --silent gen && npm run check && npm test
	$(BIN)/python build_backend.py

console-test: console  ## the console in a real Chromium
	@cd $(WEB) && node --test e2e/

requirements: $(VENV)/.ready-dev  ## pin the images' packages again
	$(PIP) uv
	$(BIN)/python deploy/requirements/pin.py

clean:  ## remove what these targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis benchmarks/results

# The stamps live inside the environment, so that they go when it goes.
$(VENV)/.ready-up: pyproject.toml | $(BIN)/python
	@if [ -e $(VENV)/.ready-dev ] && [ ! $(VENV)/.ready-dev -ot pyproject.toml ]; then touch $@; exit 0; fi; \
	echo "==> Installing mlq and what it runs on into $(VENV) (about a minute)"; \
	$(PIP) --editable '.[up]' && touch $@

$(VENV)/.ready-dev: pyproject.toml | $(BIN)/python
	@echo "==> Installing mlq, its tests and its tools into $(VENV) (a minute or two)"
	@$(PIP) --editable '.[dev]' && touch $@

$(BIN)/python:
	@sh deploy/venv.sh $(VENV)
