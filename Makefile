# Two commands do everything: `make study` and `make test`. Both make .venv first.
.PHONY: study test coverage test-slow lint plan lock clean-venv
SHELL := /bin/bash
PYTHON ?= python3.11
BIN := .venv/bin

# Snakemake 9.27 looks at all waiting jobs once per finished job and timespan, for ever: with its
# timespan of 1 s a study of 333 jobs, smaller than today's, cost it some 150 s of processor time; 5 s cost less.
study: .venv/.ready
	$(BIN)/snakemake --cores all --max-jobs-per-timespan 500/5s
	@$(MAKE) --no-print-directory results/report.html
	@echo
	@echo "report   results/report.html  (every single answer: results/browser.html)"
	@echo "tables   $$(ls results/tables/*.html | tr '\n' ' ')  (also .csv, .tex)"
	@echo "figures  $$(ls results/figures/*.pdf | tr '\n' ' ')  (also .svg, .png)"

results/report.html: $(wildcard results/browser.html results/findings.html results/provenance.html results/runs.html results/figures/*.svg results/tables/*.html results/tables/paper/*.html workflow/report/*)
	@$(BIN)/snakemake --report $@ > results/logs/report.log 2>&1 || { cat results/logs/report.log; exit 1; }

test: .venv/.ready
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto -m "not slow"

coverage: .venv/.ready
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto -m "not slow" --cov --cov-report=term

test-slow: .venv/.ready
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint
	@$(MAKE) --no-print-directory plan

# Every configuration of this repository, planned; the folders with ImageNet are empty ones here.
plan: .venv/.ready
	@empty=$$(mktemp -d) && trap 'rmdir "$$empty"' EXIT && \
	for config in $(filter-out %.lock.yaml,$(wildcard config/*.yaml)); do \
		echo "plan $$config"; IMAGENET_VAL=$$empty IMAGENET_TRAIN=$$empty $(BIN)/snakemake -n --quiet rules \
			--configfile $$config --replace-workflow-config > $$empty.log 2>&1 || { cat $$empty.log; exit 1; }; \
	done; rm -f $$empty.log

# The environment is the lock file, hashes checked and nothing resolved: it names every package.
.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
		echo "error: $(PYTHON) is no Python 3.11, for which requirements.lock is made: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -q --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --disable-pip-version-check -q --no-deps -e .
	@touch $@

# Resolve the pins of pyproject.toml to every package, with hashes.
lock:
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install -q uv==0.13.8
	.venv-lock/bin/uv pip compile -q --python-version 3.11 --generate-hashes --extra all \
		--custom-compile-command "make lock" pyproject.toml -o requirements.lock
	rm -r .venv-lock

clean-venv:
	rm -rf .venv
