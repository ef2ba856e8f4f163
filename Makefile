# Works with GNU make 3.81 and bash 3.2, as on macOS, and in paths with spaces.

# Not the default /bin/sh: make 3.81 would then run simple commands itself, on its own PATH rather than the one below.
SHELL := /bin/bash

# DVC runs each stage as `python -m pipeline.NAME`, so `python` must be the environment's.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup repro test check bench soak soak-short paper paper-sample paper-losses lock clean-venv

help:
	@echo 'make repro         run the stages that changed: dvc repro'
	@echo 'make test          make check, then all tests except the long ones'
	@echo 'make check         check format, lint and types; changes nothing'
	@echo 'make soak          run the long tests'
	@echo 'make soak-short    run the shorter of them, as CI does'
	@echo 'make bench         run the benchmarks behind the published figures'
	@echo 'make paper         all tables and figures of the study, on the real archives, for a GPU'
	@echo 'make paper-sample  the same on the built-in sample, scaled down: a quarter of an hour'
	@echo 'make paper-losses  the losses on skewed data with five seeds, on the sample'
	@echo 'make lock          update requirements.txt from requirements.in; UPGRADE=1 for newer versions'
	@echo 'make clean-venv    remove the environment'
	@echo
	@echo 'Each first creates the environment in .venv, once. Options:'
	@echo '  PYTHON=/path/to/python3.12                               another Python'
	@echo '  JOBS=2                                                   experiments at a time, of the paper targets'
	@echo '  TORCH_INDEX=https://download.pytorch.org/whl/cpu         PyTorch without CUDA'

# Returns at once if the environment matches the requirements files.
setup:
	@tools/setup.sh

repro: setup
	dvc repro

check: setup
	ruff format --check .
	ruff check .
	mypy

# Two at once, file by file. Threads that wait must sleep: OpenMP's would otherwise keep the cores from each other.
test: check
	OMP_WAIT_POLICY=PASSIVE pytest -n 2 --dist loadfile

soak: setup
	pytest -m soak

soak-short: setup
	pytest -m 'soak and short'

# Each continues after an interruption, and writes plots/report/index.html.
JOBS ?= 1
paper: STUDIES = --settings paper
paper-sample: STUDIES = --settings sample
paper-losses: STUDIES = losses-skewed --settings sample --seeds 5
paper paper-sample paper-losses: setup
	python -m pipeline.sweep $(STUDIES) --jobs $(JOBS) && python -m pipeline.report $(STUDIES)

# Needs the sample's chips and model: run `make repro` before.
bench: setup
	@for script in benchmarks/*.py; do \
	    name=$$(basename "$$script" .py); \
	    case $$name in _*|'*') continue ;; esac; \
	    echo "== $$name"; \
	    python -m "benchmarks.$$name" || exit 1; \
	done

# In a separate environment, since a wrong lock prevents .venv. Versions stay unless they have to change.
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
