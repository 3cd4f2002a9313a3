# Needs Python >= 3.11 with pip, and make. Choose with: make PYTHON=python3.13 VENV=.venv313 test
PYTHON ?= $(shell command -v python3 || command -v python)
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP     = $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST  = $(BIN)/python -m pytest

# A Python that is asked for is used, or the reason is said: never silently the one of an older .venv.
ifeq ($(origin PYTHON)$(wildcard $(BIN)/python),command line$(BIN)/python)
  version = $(shell $(1) -c 'import sys; print(sys.version.split()[0])')
  ifneq ($(call version,$(PYTHON)),$(call version,$(BIN)/python))
    $(error $(VENV) holds Python $(call version,$(BIN)/python), and $(PYTHON) is $(call version,$(PYTHON)); \
add VENV=.venv-other, or delete $(VENV))
  endif
endif

.DELETE_ON_ERROR:
.PHONY: demo test lint test-gpu test-deep bench docs help

help:
	@echo "make demo       verify a hand-written gradient on real data"
	@echo "make test       the whole suite"
	@echo "make lint       ruff and mypy"
	@echo "make test-deep  the long runs        make test-gpu   what needs a CUDA device"
	@echo "make bench      the benchmarks       make docs       the manual"

demo: $(VENV)/.examples
	$(BIN)/python examples/01_verify_gradient.py

test: $(VENV)/.dev
	$(PYTEST) -n auto --dist worksteal

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict calcbench

# CALCBENCH_GPU=1 turns the skip of these tests off, so a missing device fails.
test-gpu: $(VENV)/.dev
	CALCBENCH_GPU=1 $(PYTEST) -m gpu

test-deep: $(VENV)/.dev
	CALCBENCH_DEEP=1 $(PYTEST) -n auto --dist worksteal

bench: $(VENV)/.bench
	@set -e; ran=0; for file in benchmarks/bench_*.py; do [ -e "$$file" ] || continue; \
	  ran=1; echo "== $$file"; $(BIN)/python "$$file"; done; \
	  [ $$ran -eq 1 ] || echo "no benchmarks/bench_*.py yet: nothing was measured"
	@$(BIN)/python benchmarks/summary.py

docs:
	@echo "docs/ holds plain Markdown; there is nothing to build yet"

# Debian splits ensurepip off Python: there the pip of PYTHON puts pip into the environment.
$(BIN)/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "calcbench needs Python >= 3.11, \
	and $(PYTHON) is " + sys.version.split()[0] + "; try make PYTHON=python3.12")'
	@"$(PYTHON)" -m venv $(VENV) >/dev/null || { "$(PYTHON)" -m venv --clear --without-pip $(VENV) && \
	  "$(PYTHON)" -m pip --quiet --python $@ install pip; }

$(VENV)/.examples: pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[examples]'
	@touch $@

# With the compiler of CUDA kernels: tests compile them for devices that are not there.
$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[dev,examples,cuda]'
	@touch $@

$(VENV)/.bench: $(VENV)/.examples benchmarks/requirements.txt
	$(PIP) install --requirement benchmarks/requirements.txt
	@touch $@
