# Every target sets up what it needs; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv with everything, from the hashed lock

$(STAMP): requirements/dev.txt pyproject.toml instrumentation/pyproject.toml
	@deploy/setup.sh "$(PYTHON)" "$(VENV)"
	@touch $@

demo: $(STAMP) ## ModelWatch, three model APIs and traffic; prints the page's address
	@exec $(BIN)/modelwatch demo

run: $(STAMP) ## ModelWatch alone: receiver, processor, page and API in one process
	@exec $(BIN)/modelwatch up

test: $(STAMP) ## the whole test suite, with private servers; ARGS=tests/api runs a part of it
	@deploy/test-servers.sh
	@$(BIN)/python -m pytest $(if $(ARGS),$(ARGS),--numprocesses=2 --dist=loadfile --no-loadscope-reorder)

test-compose: $(STAMP) ## compose.yaml on a private Docker engine, as root on Debian; ten minutes
	@deploy/test-servers.sh compose
	@$(BIN)/python -m pytest -m compose tests/compose

fuzz: $(STAMP) ## the decoders by coverage, a minute each; ARGS='--seconds 600 bodies'
	@$(BIN)/python -m tests.fuzz $(ARGS)

lint: $(STAMP) ## ruff, mypy, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(STAMP) ## speed, freshness and memory, as a table and as JSON
	@deploy/test-servers.sh
	@$(BIN)/python -m benchmarks $(ARGS)

lock: $(STAMP) ## renew the hashed locks in requirements/
	@deploy/lock.sh "$(BIN)"

clean: ## remove the virtual environment and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.PHONY: help setup demo run test test-compose fuzz lint bench lock clean
