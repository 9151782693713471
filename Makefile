# CarLive Chain. `make` alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] <= (3,12))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PACKAGES := compiler consensus contracts economy genesis identity iov ledger node p2p rpc vm tests

.PHONY: compiled help install devnet test check fix bench simulate golden determinism clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 22

.venv/ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "CarLive needs Python 3.11 or 3.12: install one, or say make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing: on Debian, apt-get install python3-venv"; exit 2; }
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,economy]'
	@touch $@

# Hundreds of processes start in the tests, and environments may forbid Python to keep what it has compiled.
compiled: .venv/ready ## let Python compile all modules ahead; install, devnet and test do it by themselves
	@$(BIN)/python -m compileall -q $(PACKAGES)

install: compiled ## make a ready .venv with the command .venv/bin/carlive

devnet: compiled ## start four super nodes on this machine (state in .devnet/)
	@$(BIN)/carlive devnet

test: compiled ## run the whole test suite
	@$(BIN)/python -m pytest -n 3 --dist loadgroup

check: .venv/ready ## lint, strict types and the order of the layers
	@$(BIN)/ruff check --no-cache .
	@$(BIN)/ruff format --check --no-cache .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

fix: .venv/ready ## format and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: .venv/ready ## run the benchmarks (S=apply for one), see bench/README.md
	@$(BIN)/python -m bench $(S)

simulate: .venv/ready ## networks of whole nodes, drawn from seeds (SEED=1 COUNT=1 STEPS=15000 HEIGHTS=50)
	@$(BIN)/python -m tests.simulation --seed $(or $(SEED),1) --count $(or $(COUNT),1) \
		--steps $(or $(STEPS),15000) --heights $(or $(HEIGHTS),50) --processes $(or $(PROCESSES),2)

golden: .venv/ready ## rewrite the golden files; review the diff
	@$(BIN)/python -m tests.golden

determinism: .venv/ready ## the same history under two hash seeds, time zones and locales gives the same bytes
	@$(BIN)/python -m pytest tests/test_determinism.py

clean: ## remove the virtual environment and everything generated
	rm -rf .venv .devnet build ./*.egg-info .mypy_cache .ruff_cache .hypothesis .import_linter_cache bench/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
