# One command per habit. `make` alone lists them.

ARGS ?=
TIMES ?= 20
MINUTES ?= 10
BIN := .venv/bin
PACKAGES := kk99 journal snapshots gateways replay
# Every worker compiles or loads the kernels, so more of them than this only warm the room.
PYTEST := $(BIN)/pytest -n auto --maxprocesses 8 --dist loadgroup
COMPILE := $(BIN)/uv pip compile pyproject.toml --python-version 3.11 --python-platform linux --generate-hashes \
	--only-binary :all: --custom-compile-command 'make lock' --quiet --group build

.DEFAULT_GOAL := help
.PHONY: help setup run test check format coverage bench guided fuzz crash lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv from the lock (nothing to do when it is up to date)
	@scripts/setup.sh

run: setup ## start the whole venue on this machine
	@exec $(BIN)/kk99 up $(ARGS)

test: setup ## run the test suite (ARGS='-k name' to choose)
	@scripts/strace.sh
	@scripts/browser.sh
	$(PYTEST) $(ARGS)

check: setup ## check format, lint, types, imports and docs
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/kk99 docs --check

format: setup ## format the code and fix what lint can fix
	$(BIN)/ruff check --fix-only --exit-zero
	$(BIN)/ruff format

coverage: setup ## run the test suite with the JIT off and show the lines it misses
	$(BIN)/coverage erase
	KK99_LANE=python $(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: setup ## run every benchmark beside its C++ yardstick
	@scripts/compiler.sh
	$(BIN)/kk99 bench all $(ARGS)

guided: setup ## let a coverage-guided fuzzer at the FIX codec and session, MINUTES each
	MINUTES=$(MINUTES) scripts/guided.sh

fuzz: guided ## run that fuzzer, then the generated tests for long, with fresh seeds
	$(PYTEST) -m hypothesis --hypothesis-profile long --timeout 7200 $(ARGS)

crash: setup ## kill the venue TIMES times under load and prove that nothing acknowledged is lost
	$(BIN)/kk99 drill kill --times $(TIMES) $(ARGS)

lock: setup ## refresh both lock files (ARGS='--upgrade' for newer versions)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(COMPILE) $(ARGS) --output-file requirements.lock
	$(COMPILE) $(ARGS) --constraint requirements.lock --all-extras --group dev --output-file requirements-dev.lock

clean: ## remove caches and build products (.venv and the data in var/ stay)
	rm -rf .cache .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +
