# Two commands need nothing but Python 3.11: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: venv demo test test-slow test-gpu lint types format lock benchmarks figures scoreboard clean

venv: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

demo: venv
	$(BIN)/invae demo --out demo

test: venv lint types
	$(BIN)/python -m pytest

test-slow: venv
	$(BIN)/python -m pytest -m slow

test-gpu: venv
	$(BIN)/python -m pytest -m gpu

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/pyright

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmarks: venv
	$(BIN)/python -m benchmarks.run

figures: venv
	$(BIN)/python -m examples.cards --out docs

scoreboard: venv
	$(BIN)/python -m benchmarks.scoreboard

# The lock: everything that `pip install -e .[dev]` brings, pinned; torch without the local build's suffix.
lock:
	$(BIN)/python -m pip freeze --exclude-editable | sed -e 's/ @ .*//' -e 's/+cpu$$//' > requirements.lock

clean:
	rm -rf $(VENV) demo results
