# make run          the whole study of config.yaml
# make test         the tests; those on Slurm only where its packages are installed
# make test-slurm   installs Slurm (Debian or Ubuntu, as root) and runs its tests
# All first make .venv from the lock file requirements.txt, and look for Julia.

PYTHON ?= python3
CORES ?= all
VENV := .venv

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: run test test-slurm setup format lint lock clean

run: setup
	snakemake --cores $(CORES)

test: setup
	python -m pytest tests --numprocesses auto --maxprocesses 4 --dist loadfile

test-slurm: setup
	{ command -v slurmctld && command -v slurmd && command -v munged; } >/dev/null || \
	  { apt-get update && apt-get install --yes --no-install-recommends slurm-wlm munge; }
	python -m pytest tests/test_slurm.py

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

# The container image of the environments; needs conda.
Dockerfile: $(wildcard envs/*.yaml)
	snakemake --containerize > $@

clean:
	rm -rf results .snakemake
