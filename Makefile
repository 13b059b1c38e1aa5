# `make demo` and `make test` set up everything they need: Python 3.11 or newer and make is all that has to be there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo_run

.PHONY: demo test test-here test-slurm test-newest lint types benchmarks clean

demo: $(VENV)/ready  ## simulate, run the whole pipeline, compare with the truth
	$(BIN)/scanlink demo --out $(OUT)

test: test-here test-slurm  ## all tests, and the examples in the docstrings; `make -j2 test` takes two thirds of the time

test-here: $(VENV)/ready
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --ignore tests/slurm

test-slurm: $(VENV)/ready  ## one by one: they look at all jobs that there are
	$(BIN)/python -m pytest tests/slurm

test-newest:  ## the wheel, its demo and a real part of the tests on Python 3.13 with the newest releases
	.ci/newest

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

benchmarks: $(VENV)/ready  ## tables of speed and of real data sets
	$(BIN)/python benchmarks/datasets.py

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("scanlink needs Python 3.11 or newer, found " + sys.version.split()[0] + ": make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .venv-newest $(OUT) .pytest_cache .mypy_cache .ruff_cache
