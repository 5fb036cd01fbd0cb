# Everything a developer does, by name. `make setup` is implied by whatever needs it.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do $$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.PHONY: help demo setup fmt lint type test slow mutants golden gpu bench peers docs clean
help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: .venv/installed  ## train four families, judge them, and write one page that compares them
	$(BIN)/genloom compare --data glyphs --set data.size=16 --families gan,vae,flow,autoregressive --minutes 1 --seeds 1 -n 500 --out runs/demo

setup: .venv/tested  ## a virtual environment with everything that tests and lint need

.venv/python:
	$(PYTHON) -m venv .venv && touch $@

# torch comes first and alone; TORCH_ARGS chooses another build: TORCH_ARGS="--index-url ..."
.venv/torch: .venv/python constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt torch $(TORCH_ARGS) && touch $@

.venv/installed: .venv/torch pyproject.toml
	$(BIN)/pip install -q -c constraints.txt -e '.[all]' && touch $@

.venv/tested: .venv/installed
	$(BIN)/pip install -q -c constraints.txt -e '.[test]' && touch $@

peers: .venv/tested  ## what the benchmarks compare with
	$(BIN)/pip install -q -c constraints.txt -e '.[peers]'
	$(BIN)/pip install -q -c constraints.txt --no-deps labml labml-nn labml-helpers denoising-diffusion-pytorch ema-pytorch

fmt: .venv/tested  ## format and sort imports
	$(BIN)/ruff format src tests benchmarks scripts && $(BIN)/ruff check --fix src tests benchmarks scripts

lint: .venv/tested  ## what CI checks of the form
	$(BIN)/ruff format --check src tests benchmarks scripts && $(BIN)/ruff check src tests benchmarks scripts

type: .venv/tested  ## static types
	$(BIN)/pyright

test: .venv/tested  ## the quick tests: offline, no GPU, a few minutes on two cores
	$(PYTEST) -n 2

slow: .venv/tested  ## the tests that train, resume, compare; and those that read the data sets by path
	$(PYTEST) -m slow

mutants: .venv/tested  ## break the package in known ways; every break must be noticed
	$(BIN)/python scripts/mutants.py

golden: .venv/tested  ## rewrite the golden numbers of this platform (say why in CHANGELOG.md)
	GENLOOM_GOLDEN=write $(PYTEST) tests/golden

gpu: .venv/tested  ## the tests that need an accelerator
	$(PYTEST) -m gpu

bench: peers  ## every published figure, one after the other
	$(BIN)/python -m benchmarks

docs: .venv/tested  ## run the code blocks of the README and the docs
	$(PYTEST) tests/e2e/test_readme.py

clean:  ## caches only; runs and the environment stay
	rm -rf .pytest_cache .ruff_cache build dist
