# Two commands for a newcomer, and one for whoever changes something:
#   make demo   the doctor/nurse example: two models trained, audited, compared, reported
#   make test   everything that CI runs
#   make lint   the fast half of it
# Each makes .venv on its first call and does nothing twice after that. PYTHON=... chooses the interpreter.

SHELL := /bin/sh
PY := .venv/bin/python
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test lint format clean

help:
	@sed -n 's/^#   //p' Makefile

demo: .venv/.demo-installed
	.venv/bin/camaudit demo --out demo

test: lint
	@sh scripts/setup.sh chromium
	$(PY) -m pytest -n $(WORKERS) --dist loadgroup

lint: .venv/.test-installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

format: .venv/.test-installed
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

# Installed again when what is to be installed changes.
.venv/.demo-installed: pyproject.toml scripts/setup.sh
	sh scripts/setup.sh demo

.venv/.test-installed: pyproject.toml scripts/setup.sh
	sh scripts/setup.sh test

clean:
	rm -rf .venv demo dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
