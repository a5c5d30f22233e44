# `make demo` and `make test` set everything up by themselves; a second run installs nothing.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11; do \
	"$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$each" && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Stamps carry a checksum of what was installed: a change of requirements installs again, a touched file does not.
USE := $(VENV)/.use-$(shell cat requirements.txt pyproject.toml | cksum | cut -d' ' -f1)
DEV := $(VENV)/.dev-$(shell cat requirements-dev.txt pyproject.toml | cksum | cut -d' ' -f1)
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs reference bench fuzz chaos screenshots lock clean

help: ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(USE) ## Replay November 2024 and keep the page open. ARGS="--speed 600 --exit"
	$(BIN)/leakdrill demo $(ARGS)

test: $(DEV) ## Run the tests. ARGS="-k revocation"
	$(BIN)/python -m pytest $(ARGS)

lint: $(DEV) ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile

docs: $(DEV) ## Build the documentation as a site in build/docs; a link or an anchor that leads nowhere is an error.
	$(BIN)/sphinx-build --builder html --fail-on-warning --keep-going --quiet --conf-dir docs --doctree-dir build/doctrees . build/docs
	@echo "build/docs/index.html"

reference: $(DEV) ## Make the pages of docs/reference from the code again. ARGS="--check"
	$(BIN)/python -m scripts.reference $(ARGS)

bench: $(DEV) ## Measure, each figure beside its floor. ARGS="--quick"
	@for each in benchmarks/*.py; do echo "== $$each"; $(BIN)/python "$$each" $(ARGS) || exit 1; done

fuzz: $(DEV) ## Send the API many cases that its document allows or forbids. ARGS="--examples 300 --seed 7"
	$(BIN)/python tests/fuzz.py $(ARGS)

chaos: $(DEV) ## End processes at random under load, and prove that nothing is lost or doubled. ARGS="--seed 7 --kills 100"
	PYTHONPATH=tests $(BIN)/python -m chaos $(ARGS)

screenshots: $(DEV) ## Take the pictures of docs/img again, with a real Chromium. ARGS="--folder /tmp/look"
	$(BIN)/python -m scripts.screenshots $(ARGS)

lock: $(DEV) ## Pin the newest versions of all dependencies again.
	$(COMPILE) pyproject.toml --extra page --upgrade --group pyproject.toml:dev -o requirements-dev.txt
	$(COMPILE) pyproject.toml --extra page --group pyproject.toml:build -c requirements-dev.txt -o requirements.txt
	$(COMPILE) --group pyproject.toml:postgres -c requirements-dev.txt -o requirements-postgres.txt
	$(COMPILE) tests/acceptance/litellm/requirements.in --upgrade -o tests/acceptance/litellm/requirements.txt
	$(COMPILE) tests/acceptance/clients/requirements.in --upgrade -o tests/acceptance/clients/requirements.txt

clean: ## Remove the virtual environment and what runs have left.
	rm -rf $(VENV) build .leakdrill .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "leakdrill needs Python 3.11 or newer; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 2; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || { echo "this Python cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 2; }
	"$(PYTHON)" -m venv $(VENV)

$(USE): | $(BIN)/python
	@echo "installing what leakdrill needs (once, a minute or two)"
	$(PIP) install --require-hashes -r requirements.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.use-* && touch $@

$(DEV): | $(BIN)/python
	@echo "installing what leakdrill and its tests need (once, a minute or two)"
	$(PIP) install --require-hashes -r requirements-dev.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.dev-* $(VENV)/.use-* && touch $@ $(USE)
