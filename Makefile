# make run    the whole study of config.yaml
# make test   the tests
# Both first make .venv from the lock file requirements.txt, and look for Julia.

PYTHON ?= python3
CORES ?= all
VENV := .venv

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: run test setup format lint lock clean

run: setup
	snakemake --cores $(CORES)

test: setup
	python -m pytest tests --numprocesses auto --maxprocesses 4 --dist loadfile

setup: $(VENV)/.installed
	python julia/install.py

$(VENV)/.installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

format: setup
	ruff check --fix .
	ruff format .
	snakefmt .

# The lock: what a fresh environment gets from requirements.in, pinned.
lock:
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet -r requirements.in
	$(VENV)/lock/bin/python -m pip freeze | sed 's/+cpu$$//' > requirements.txt
	rm -r $(VENV)/lock

clean:
	rm -rf results .snakemake
