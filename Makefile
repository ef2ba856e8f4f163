# GNU make 3.81 and bash 3.2, the ones of every Mac, are enough. Paths with spaces work.

# Not /bin/sh, also because make 3.81 starts simple commands by itself then, and looks them up on the PATH
# that it was started with, not on the one below.
SHELL := /bin/bash

# DVC starts each stage as `python -m pipeline.NAME`, so `python` has to be the environment's.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup repro test check bench soak lock deps clean-venv

help:
	@echo 'make repro       run what changed of the pipeline: dvc repro'
	@echo 'make test        make check, then all tests but the long ones'
	@echo 'make check       format, lint, types; changes nothing'
	@echo 'make soak        the long tests'
	@echo 'make bench       the scripts behind the figures in README.md'
	@echo 'make deps        write the code dependencies of each stage into dvc.yaml'
	@echo 'make lock        requirements.in -> requirements.txt; UPGRADE=1 for newer versions'
	@echo 'make clean-venv  remove the environment'
	@echo
	@echo 'Each makes its environment in .venv first, once. Choose with'
	@echo '  PYTHON=/path/to/python3.12                               another Python than the one found'
	@echo '  TORCH_INDEX=https://download.pytorch.org/whl/cpu         PyTorch without CUDA'

# Compares the environment with the requirements files and is done at once when they match.
setup:
	@tools/setup.sh

repro: setup
	dvc repro

check: setup
	ruff format --check .
	ruff check .
	mypy

test: check
	pytest

soak: setup
	pytest -m soak

# After `make repro`: they read the sample's chips and model.
bench: setup
	@for script in benchmarks/*.py; do \
	    name=$$(basename "$$script" .py); \
	    case $$name in _*|'*') continue ;; esac; \
	    echo "== $$name"; \
	    python -m "benchmarks.$$name" || exit 1; \
	done

deps: setup
	python tools/deps.py

# In an environment of its own, since a wrong lock prevents .venv. Versions stay unless they have to change.
# requirements-uv.txt pins the uv that set-up and `make lock` use.
COMPILE = .venv-lock/bin/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate $(if $(UPGRADE),--upgrade)

lock:
	python=$$(tools/setup.sh --find-python) && "$$python" -m venv --clear .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	$(COMPILE) --output-file requirements.txt requirements.in
	echo uv | $(COMPILE) --output-file requirements-uv.txt -

clean-venv:
	rm -rf .venv .venv-lock
