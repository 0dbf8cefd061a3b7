# The commands of this project. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help up test quick coverage check docs lock dist clean setup screenshot

CONFIG ?=
PAGE ?=
READER ?=
PYTEST ?=
PYTHON := .venv/bin/python
QUICK := not e2e and not browser and not slow

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup:
	@scripts/bootstrap

up: setup ## run the sidecar with two demo servers and an agent; CONFIG=my.yaml: your own; PAGE= READER=host:port
	@$(if $(PAGE),export SIDECAR_PAGE='$(PAGE)';) $(if $(READER),export SIDECAR_READER='$(READER)';) \
	exec $(if $(CONFIG),$(PYTHON) -m sidecar up -c '$(CONFIG)',$(PYTHON) examples/demo.py)

test: setup ## set up all the tests need, and run them; PYTEST='-k word' to choose
	@scripts/test-tools
	@PATH="$(CURDIR)/.tools/bin:$$PATH" $(PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST)

quick: setup ## the tests that need no installation, store or browser, in about a minute; PYTEST='-k word' to choose
	@$(PYTHON) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m '$(QUICK)' $(PYTEST)

coverage: setup ## branch coverage of the quick tests over the packages that do no input or output; fails below the floor
	@$(PYTHON) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m '$(QUICK)' --cov --cov-report=term:skip-covered $(PYTEST)

check: setup ## linter, formatter (checking only) and type checker
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

screenshot: setup ## take the screenshot of the README anew, from the demo
	@scripts/test-tools
	@$(PYTHON) scripts/screenshot.py

docs: setup ## make docs/settings.md of the settings' models
	@$(PYTHON) scripts/settings_docs.py

lock: setup ## bring requirements.lock up to date with pyproject.toml
	$(PYTHON) -m uv pip compile -q --universal --python-version 3.13 --generate-hashes --no-emit-index-url \
	    --extra page --extra examples --extra test --group build --custom-compile-command 'make lock' pyproject.toml -o requirements.lock

dist: setup ## the source distribution and the wheel, in dist
	@$(PYTHON) -m hatchling build -d dist

clean: ## remove what was set up, built and recorded here: .venv, .tools, dist, data
	rm -rf .venv .tools dist data .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
