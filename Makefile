# Two commands on a fresh machine: `make compare` and `make test`. Each sets up .venv by itself.
PYTHON ?= python3
VENV ?= .venv
# For the small CPU build of PyTorch where there is one: make compare TORCH=torch==2.13.0
TORCH ?= torch

BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: compare reports test chaos lint format clean

compare: $(READY)
	$(BIN)/python -m experiments.compare

# What is committed in reports/: says what is older than the code and makes it again, hours of it; NAME=tasks only that
reports: $(READY)
	$(BIN)/python -m experiments.reports $(NAME)

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup

# Kills, signals, full disks, runs that hang: ten minutes, each test in processes of its own
chaos: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -o addopts="-ra --strict-markers --durations=0" tests/chaos

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(READY): pyproject.toml
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('bayesreg needs Python 3.11 or newer, this is ' + sys.version.split()[0] + ': make PYTHON=python3.12 ...')"
	@echo "Setting up $(VENV), once: some minutes, and some GB where PyTorch comes with CUDA."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet '$(TORCH)' --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV)
