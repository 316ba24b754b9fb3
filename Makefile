# Everything runs in .venv, which each target makes by itself from requirements/: exact versions, and
# the hashes of their files. tools/lock writes those from constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := tools/install-packages $(VENV)
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check format fuzz crashes bench-native bench-training returns study-tables system clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

LOCKED := $(addprefix requirements/,build.txt torch.txt cuda.txt use.txt)

$(VENV)/.use: pyproject.toml $(LOCKED)
	@echo "setting up $(VENV) (about a minute, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) use
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.use
	@$(INSTALL) dev
	@touch $@

$(VENV)/.peers: requirements/peers.txt $(VENV)/.use
	@$(INSTALL) peers
	@touch $@

system:  # emulators and compilers that the tests of native code run; instant when they are there
	@tools/install-system-packages

demo: $(VENV)/.use  ## unpruned and pruned CartPole policies side by side, with pictures
	@$(BIN)/dspctl demo

test: system $(VENV)/.dev  ## the tests, one real training run among them
	@$(PYTEST) -m "not slow"

test-all: system $(VENV)/.dev  ## the tests, slow training runs included
	@$(PYTEST)

check: system $(VENV)/.dev  ## lint, types, import contracts, licences, known vulnerabilities, tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@PATH="$(BIN):$$PATH" $(BIN)/python tools/licences.py
	@PATH="$(BIN):$$PATH" $(BIN)/python tools/audit.py
	@$(PYTEST) -m "not slow"

format: $(VENV)/.dev  ## rewrite the code in the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

$(VENV)/.fuzz: requirements/fuzz.txt $(VENV)/.dev
	@$(INSTALL) fuzz
	@touch $@

fuzz: $(VENV)/.fuzz  ## every reader against made-up files, a minute each; ARGS='READER --seconds N'
	@$(BIN)/python -m tests.fuzz.run $(ARGS)

crashes: system $(VENV)/.dev  ## 200 kills and 40 bad disks, resumable (an hour); ARGS='--kills N --seed N'
	@$(BIN)/python -m tests.crashes.run $(ARGS)

bench-native: system $(VENV)/.dev  ## generated C against ONNX Runtime and emx-onnx-cgen; ARGS='RUN …' adds runs
	@$(BIN)/python -m dspctl.benchmarks.native $(ARGS)

bench-training: $(VENV)/.peers  ## training speed against Stable-Baselines3 and sbx
	@$(BIN)/python -m dspctl.benchmarks.training $(ARGS)

returns: $(VENV)/.use  ## the table of docs/recipes.md from scratch, resumable (ten minutes)
	@$(BIN)/dspctl study benchmarks/studies/recipes.toml -o runs/recipes
	@cp runs/recipes/results.json benchmarks/results/recipes.json
	@$(BIN)/python -m dspctl.benchmarks.study.recipes

study-tables: $(VENV)/.use  ## tables and pictures of docs/study.md from the stored results
	@$(BIN)/python -m dspctl.benchmarks.study.figures $(sort $(wildcard benchmarks/results/study/*.json)) $(ARGS)

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
