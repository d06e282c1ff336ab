# Each target sets itself up: nothing is needed but make and Python >= 3.11.
#   make demo ARGS="--port 9000"    hands ARGS to the command
#   make test ARGS="-k claim"
#   PYTHON=/path/to/python make …   chooses the interpreter

VENV := .venv
BIN := $(VENV)/bin
WEB := api/web
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
ARGS ?=
export PYTHON

.PHONY: help demo up test test-all check lint format bench bench-sweeps console console-test requirements clean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.ready-up  ## data to a rolled-back model in under a minute
	@$(BIN)/mlq demo $(ARGS)

up: $(VENV)/.ready-up  ## everything on this machine; Ctrl-C stops it
	@exec $(BIN)/mlq up $(ARGS)

test: $(VENV)/.ready-dev  ## all tests; starts the servers they need
	$(BIN)/python -m pytest $(ARGS)

test-all: $(VENV)/.ready-dev  ## the same, and the costly ones on every pair of servers
	MLQ_TEST_ALL=1 $(BIN)/python -m pytest $(ARGS)

check: lint  ## format, lint and types
	$(BIN)/mypy

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

console: $(VENV)/.ready-dev  ## build the console; needs Node
	@cd $(WEB) && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts; }
	$(BIN)/python $(WEB)/scripts/openapi.py > $(WEB)/openapi.json
	@cd $(WEB) && npm run --silent gen && npm run check && npm test && npm run build

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
