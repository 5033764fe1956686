# The two commands a fresh machine needs are `make train` and `make test`.

VENV   ?= .venv
LOWEST ?= .venv-lowest
PYTHON ?= python3
# Set TORCH to another version, or to a wheel of your CUDA version:
TORCH  ?= torch==2.13.0
DATA   ?=
ARGS   ?=

PIP := $(VENV)/bin/pip --disable-pip-version-check
PY  := $(VENV)/bin/python
EXTENSIONS := torch-scatter torch-sparse torch-cluster

.PHONY: help install dev ext train test coverage test-lowest bench results docs lint format clean

help:
	@echo "make train   install, then train MENTOR (DATA=folder, ARGS='--epochs 50 ...';"
	@echo "             ARGS=--force to replace the run of an earlier make train)"
	@echo "make test    install, then run the tests"
	@echo "make coverage  the same, and fail if they leave out more than 3 % of the lines"
	@echo "make test-lowest  run the core of the tests without extras, on the lowest versions allowed"
	@echo "make bench   install, then run the benchmarks at Baby's size (three minutes)"
	@echo "make results train all that the documents report (hours; DATA=folder of the datasets)"
	@echo "make docs    install, then build the site in build/site"
	@echo "make lint    check style, format, types and the Pythons that the code runs on"
	@echo "make format  format the code"
	@echo "make ext     build torch-scatter, torch-sparse, torch-cluster from source (slow)"

install: $(VENV)/.installed
dev: $(VENV)/.dev

# The extensions are optional: ready wheels are taken where pip finds them.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q '$(TORCH)'
	$(PIP) install -q -e .
	@$(PIP) install -q --only-binary :all: --no-deps $(EXTENSIONS) 2>/dev/null \
		&& echo "extensions installed: $(EXTENSIONS)" \
		|| echo "no ready wheels of $(EXTENSIONS): going on without (see make ext)"
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) install -q -e '.[dev]'
	@touch $@

ext: $(VENV)/.installed
	$(PIP) install setuptools wheel
	$(PIP) install --no-build-isolation $(EXTENSIONS)

train: install
	$(PY) examples/train_baby.py $(if $(DATA),--data $(DATA)) $(ARGS)

# As many processes as there are cores, four at most, with a thread each.
test: dev
	OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

coverage: dev
	OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile --cov $(ARGS)

# What needs no extra, with the lowest versions that pyproject.toml allows (torch aside).
CORE := tests/datasets tests/evaluation tests/nn tests/serving tests/sparse tests/training \
	tests/transforms tests/test_*.py

test-lowest: $(LOWEST)/.installed
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest $(CORE) --ignore tests/test_docs.py \
		-n auto --maxprocesses 4 --dist loadfile $(ARGS)

$(LOWEST)/.installed: pyproject.toml
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install -q '$(TORCH)' -e . $$($(PYTHON) .ci/lowest.py) \
		pytest pytest-xdist hypothesis
	@touch $@

bench: dev
	$(PIP) install -q -e '.[bench]'
	$(PY) -m pytest benchmarks --quick $(ARGS)

# Hours; goes on where it stopped. Figures of the documents are those of its records.
results: dev
	OMP_NUM_THREADS=1 $(PY) benchmarks/accuracy.py $(if $(DATA),--data $(DATA)) $(ARGS)
	$(PY) benchmarks/tables.py

docs: dev
	$(VENV)/bin/mkdocs build

lint: dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy --python-version 3.13
	$(VENV)/bin/vermin -q -t=3.10- --no-tips --violations --exclude long \
		mentor_pyg tests benchmarks examples .ci

format: dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:
	rm -rf $(VENV) $(LOWEST) .pytest_cache .mypy_cache .ruff_cache
