# `make demo` and `make test` need nothing but Python 3.11 or newer. `make help` lists all targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# processes of `make test`; each takes about 1.5 GB with its Prefect server
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow test-gpu coverage lint types format lock architecture docs figures benchmarks scoreboard clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(STAMP) ## Make .venv from the pinned lock; does nothing when it is up to date

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

demo: venv ## Simulate a recording, run all stages, compare with the truth (three minutes)
	$(BIN)/invae demo --out demo

test: venv lint types ## Lint, types and all tests but the slow ones
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-slow: venv ## Tests that take minutes: kills, full disks, benchmarks
	$(BIN)/python -m pytest -m slow

test-gpu: venv ## Tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu

# The tests take half as long again under coverage, so `make test` does without.
coverage: venv ## Tests with line coverage by file
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage report

lint: venv ## Ruff: rules and layout
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv ## Pyright: the packages in standard mode, the tests in basic mode
	$(BIN)/pyright
	$(BIN)/pyright --project tests

format: venv ## Let ruff fix and lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

architecture: venv ## Write docs/architecture.md and its picture from the code
	$(BIN)/python -m docs.architecture

# Warnings are errors. The notebooks run when they or the code of invae have changed.
docs: venv ## Build the documentation site, which opens from disk: docs/_build/html/index.html
	$(BIN)/python -m docs.cli_reference
	$(BIN)/python -m docs.settings_reference
	$(BIN)/python -m sphinx -b html -W --keep-going -d docs/_build/doctrees docs docs/_build/html
	@echo docs/_build/html/index.html

figures: venv ## Train the families on cards, write docs/cards.md and its pictures
	$(BIN)/python -m examples.cards --out docs

benchmarks: venv ## Speed of the stages on this machine
	$(BIN)/python -m benchmarks.run

scoreboard: venv ## Scores against published results, written to docs/scoreboard.md (hours)
	$(BIN)/python -m benchmarks.scoreboard

# Everything that `pip install -e .[dev,em,docs]` installs, pinned; torch without the suffix of a local build.
lock: ## Write requirements.lock from what is installed
	$(BIN)/python -m pip freeze --exclude-editable | sed -e 's/ @ .*//' -e 's/+cpu$$//' > requirements.lock

clean: ## Remove .venv and the output of demo and runs
	rm -rf $(VENV) demo results docs/_build
