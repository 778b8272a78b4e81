# make run    the whole pipeline at demo scale          make test   the tests
# make ui     MLflow's user interface                   make lint   style, types, workflow
# Each target sets up the environment by itself, once.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.ready
AXE := $(VENV)/axe
APP := work/app/.ready
SERVERS := work/servers/.ready
NOTEBOOKS := work/notebooks/.ready
SITE := work/site/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Without compiled modules every program would compile those of PyTorch anew, which takes longer than its work.
unexport PYTHONDONTWRITEBYTECODE
TARGETS ?=
ARGS ?=

.PHONY: help setup run dry-run test test-docs test-site test-all fuzz test-kills test-slurm test-queues test-container results bench bench-fastai lint audit ui app repro upload-runs lock schema format clean test-servers test-faults docs plots test-first-run

help: ## show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## create the environment (.venv) from requirements.lock

$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Batteryscope needs Python 3.11 or newer; found $$($(PYTHON) --version). Set PYTHON=…"; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@test -x $(VENV)/bin/uv || $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	@echo "Installing the environment (a minute on a fresh machine) …"
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) uv pip sync --quiet --require-hashes requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) uv pip install --quiet --no-deps --no-build-isolation --no-index --editable .
	@python -c 'import importlib; from batteryscope.workflow.fork_server import LIBRARIES as names; \
	  [importlib.import_module(name) for name in (*names, "mlflow")]' # compiled once, not in the first run
	@touch $@

run: $(STAMP) ## run the pipeline (TARGETS="cathode_state", ARGS="--config scale=paper")
	@snakemake $(TARGETS) $(ARGS)

dry-run: $(STAMP) ## show what `make run` would do
	@snakemake --dry-run $(TARGETS) $(ARGS)

test: $(STAMP) $(AXE) ## run the tests
	@python -m pytest tests --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

$(AXE): tests/axe.txt | $(STAMP) # tests of reports in a browser; without it one of them is skipped
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) uv pip install --quiet --no-deps --require-hashes --target $@ --requirements $< && touch $@ || \
	  echo "axe-core could not be fetched; one test is skipped."

$(NOTEBOOKS): docs/notebooks.txt | $(STAMP)
	@rm -rf work/notebooks && uv pip install --quiet --no-deps --require-hashes --target work/notebooks --requirements $< && touch $@

TEST_DOCS := docs_pages registry app compare_versions docs_site several_devices
test-docs: $(STAMP) $(APP) $(NOTEBOOKS) $(SITE) $(AXE) ## follow the pages in docs/ to the letter (10 minutes and more)
	@python -m pytest $(TEST_DOCS:%=tests/test_%.py) -m docs $(ARGS)

# The quick half of it, for every change: the site, the first run, the notebooks.
test-site: $(STAMP) $(NOTEBOOKS) $(SITE) $(AXE) ## build the site, follow its links, the first run and the notebooks (3 minutes)
	@python -m pytest tests/test_docs_site.py tests/test_docs_pages.py -m docs -k "docs_site or first_run or notebook" $(ARGS)

test-all: test test-docs ## all tests that need no server, no cluster and no root

fuzz: $(STAMP) ## damage files of users at random and read them (N=10000 SEED=1)
	@python -m tests.fuzz_readers --inputs $${N:-10000} --seed $${SEED:-1}

test-kills: $(STAMP) ## kill runs of a small study at random and run on (N=50 SEED=1)
	@python -m tests.kill_runs --kills $${N:-50} --seed $${SEED:-1}

test-faults: $(STAMP) ## let everything go wrong: kills, full disks, no memory, damage (as root; SEED=1 N=50; an hour or more)
	@python -m tests.run_fault_cases --kills $${N:-50} --seed $${SEED:-1} $(ARGS)

test-slurm: $(STAMP) ## run a small study through a real Slurm on this machine (as root on Debian; 8 minutes)
	@command -v slurmctld munged > /dev/null || { echo "Slurm is missing: apt-get install slurm-wlm munge"; exit 1; }
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) uv pip install --quiet --no-deps --require-hashes --requirements tests/slurm.txt
	@python -m tests.run_on_slurm

test-queues: $(STAMP) ## run a small study through the profiles for PBS and Kubernetes, whose commands are stand-ins
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) uv pip install --quiet --no-deps --require-hashes --requirements tests/queues.txt
	@python -m tests.run_on_queue

test-container: $(STAMP) ## run the steps of the Dockerfile on a bare Debian and use the result (as root on Debian; 10 minutes)
	@command -v debootstrap > /dev/null || { echo "debootstrap is missing: apt-get install debootstrap"; exit 1; }
	@python -m tests.build_image $(ARGS)

test-first-run: $(STAMP) ## type docs/first_run.md on a bare Debian with 60 frames of FRAMES=FOLDER (as root on Debian; half an hour)
	@command -v debootstrap > /dev/null || { echo "debootstrap is missing: apt-get install debootstrap"; exit 1; }
	@python -m tests.first_run_transcript --frames $(FRAMES) $(ARGS)

$(SERVERS): tests/servers.txt | $(STAMP) # MLflow with S3, moto, DVC with S3: their libraries do not go with requirements.lock
	@rm -rf work/servers && uv venv --quiet --python $(VENV)/bin/python work/servers && \
	  uv pip install --quiet --python work/servers/bin/python --no-deps --require-hashes --requirements $< && touch $@

test-servers: $(STAMP) $(SERVERS) ## try MLflow, PostgreSQL, S3, SSH with two clones on this machine (Debian; 10 minutes)
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) uv pip install --quiet --no-deps --require-hashes --requirements tests/servers_client.txt
	@work/servers/bin/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	@python -m tests.run_on_servers $(ARGS)

results: $(STAMP) ## renew the numbers of docs/results.md that take under half an hour (RUNS="electrode_paper" for one)
	@python docs/demo_numbers.py --renew $(RUNS)

bench: $(STAMP) ## measure speed and memory against floors (benchmarks/README.md)
	@python benchmarks/measure_speed.py --out work/benchmarks.json $(ARGS)

bench-fastai: $(STAMP) ## let `make bench` compare with fastai too (in work/fastai, nowhere else)
	@uv pip install --quiet --no-deps --target work/fastai --requirements benchmarks/fastai.txt
	@echo "fastai lies in work/fastai; make bench ARGS=\"--only scripts\" compares with it."

lint: $(STAMP) ## ruff, mypy, rooms of the library, snakefmt, snakemake --lint
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache
	snakefmt --check Snakefile workflow/Snakefile rules
	snakemake --lint
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(MAKE) --no-print-directory audit || echo "Found after this version was locked: make lock, or a note in CHANGELOG.md."

audit: $(STAMP) ## look all locked packages up in the list of known weaknesses (osv.dev)
	@if python -c 'import socket; socket.create_connection(("api.osv.dev", 443), 5)' 2> /dev/null; then \
	  uv tool run --quiet pip-audit@2.10.1 --vulnerability-service osv --progress-spinner off \
	    --requirement requirements.lock --require-hashes --disable-pip; \
	else echo "The list of known weaknesses cannot be reached; packages were not looked up."; fi

$(SITE): docs/site.txt docs/mermaid.txt | $(STAMP)
	@rm -rf work/site && for part in site mermaid; do \
	  uv pip install --quiet --no-deps --require-hashes --target work/site/$$part --requirements docs/$$part.txt || exit 1; done
	@touch $@

docs: $(SITE) ## build the documentation site in work/site/html; a dead link is an error
	@PYTHONPATH=work/site/site NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict --quiet
	@echo "Read it: python -m http.server --bind 127.0.0.1 --directory work/site/html 8000"

format: $(STAMP) ## rewrite code in the project's style
	ruff check --fix . || true
	ruff format .
	snakefmt Snakefile workflow/Snakefile rules

ui: $(STAMP) ## open MLflow's user interface on 127.0.0.1:5000
	@python workflow_scripts/open_page.py runs --port $${PORT:-5000} $(ARGS)

$(APP): docs/app.txt | $(STAMP)
	@rm -rf work/app && uv pip install --quiet --no-deps --target work/app --requirements $< && touch $@

app: $(APP) ## open a page to drop an image on, on 127.0.0.1:7860 (Gradio goes into work/app, nowhere else)
	@python workflow_scripts/open_page.py app --port $${PORT:-7860} $(ARGS)

repro: $(STAMP) ## dvc repro: run after data or parameters changed, and version the results
	@dvc repro $(ARGS)

plots: $(STAMP) ## draw DVC's plots of all studies as a page that needs no internet (work/plots/index.html)
	@python workflow_scripts/show_plots.py $(ARGS)

upload-runs: $(STAMP) ## send to MLflow what could not be sent during a run
	@python workflow_scripts/upload_runs.py --work work

lock: ## renew requirements.lock from pyproject.toml
	@uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --extra dev \
	  pyproject.toml --output-file requirements.lock
	@{ echo "# For \`make docs\` alone, written by \`make lock\`: the extra \`docs\` without what requirements.lock has already."; \
	  uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --extra docs --constraint requirements.lock \
	  $$(sed -n 's/^\([a-z0-9.-]*\)==.*/--no-emit-package \1/p' requirements.lock) pyproject.toml; } > docs/site.txt

schema: $(STAMP) ## renew docs/params.schema.json
	@python workflow_scripts/write_schema.py --out docs/params.schema.json

clean: ## remove the workflow's scratch (published models and reports stay)
	rm -rf work .snakemake
