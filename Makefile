# Two commands do all the set-up: `make run` and `make test`. Both create .venv and install what is missing, Debian
# packages included when root; once that is done, nothing is fetched again until pyproject.toml or a lock file changes.

SHELL := /bin/bash
PY := .venv/bin/python
SETUP := scripts/setup.sh

# The suite must not depend on what somebody's shell happens to export.
unexport $(filter PUSHGATE_%,$(.VARIABLES))

.DEFAULT_GOAL := help
.PHONY: help run test check format chart image lock bench soak clean

help: ## list the commands
	@sed -nE 's/^([a-z]+): ## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

run: ## start the example backend and the gateway in front of it; Ctrl-C ends both
	@$(SETUP) run
	@$(PY) examples/run.py

test: ## run the whole suite
	@$(SETUP) dev browser backends chart
	$(PY) -m pytest -m "not soak"

check: ## format, lint, strict types, unit tests: half a minute, before every commit
	@$(SETUP) dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/unit tests/test_*.py

format: ## put the code into its form
	@$(SETUP) dev
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

chart: ## the Helm chart, the compose file and the systemd unit: what is generated written anew, and all tested
	@$(SETUP) dev chart
	$(PY) scripts/chart.py
	$(PY) -m pytest tests/chart

image: ## build the image without a daemon, and run it as locked up as the chart does
	@$(SETUP) dev image
	@scripts/image.sh

lock: ## pin what the image is made of; UPGRADE=1 takes the newest of everything
	@$(SETUP) dev lock
	@scripts/lock.sh

bench: ## measure, beside real peers, and write docs/performance.md; takes half an hour
	@$(SETUP) dev bench
	$(PY) -m bench

soak: ## property and contract tests with many more examples; takes minutes
	@$(SETUP) dev backends
	PUSHGATE_SOAK=1 $(PY) -m pytest -m "soak or not soak" --timeout 3600 tests/properties tests/contract
	$(PY) -m pytest -m soak tests/integration

clean: ## remove everything that was made here, the virtual environment too
	rm -rf .venv .stamps .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist tests/e2e/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
