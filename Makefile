# Every target builds what it needs: `make push` works on a fresh checkout.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
RUNS := mlruns
PORT ?= 5000
# Options for training, such as: make push ARGS="--seed_everything 1"
ARGS ?=

TRAININGS := reach push pick double stack three

.DEFAULT_GOAL := help
.PHONY: help setup $(TRAININGS) ui ui-check docs site notebooks test soak lint clean

help:
	@echo "make reach|push|pick   train on FetchReach, FetchPush or FetchPickAndPlace (ARGS=...)"
	@echo "make double|stack|three  push two cubes, stack two, or stack three (ARGS=...)"
	@echo "make ui                open MLflow on the recorded runs (PORT=$(PORT))"
	@echo "make ui-check          open those pages, and the site's, in Chromium and check them"
	@echo "make docs              write docs/configuration.md from the code"
	@echo "make site              build the documentation as a site in site/ (Python 3.11 or later)"
	@echo "make notebooks         run the notebooks again and save their output"
	@echo "make test              format, lint, types and tests"
	@echo "make soak              test with kills, broken input, faults and a long run (an hour; ARGS=...)"
	@echo "make lint              format, lint and types only"
	@echo "make setup             build $(VENV) with PYTHON=$(PYTHON) (3.10 to 3.13)"
	@echo "make clean             remove $(VENV) and caches; runs in $(RUNS) stay"

setup: $(STAMP)

# torch is installed first and alone, so that an index which offers a CPU build is used for it.
$(STAMP): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "error: $(PYTHON) is not Python 3.10 to 3.13: make setup PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

# Configs of the targets that have another name.
config.pick := pick_and_place
config.double := double_push
config.three := three_stack
$(TRAININGS): $(STAMP)
	$(BIN)/python -m rher_pl.fit --config configs/$(or $(config.$@),$@).yaml $(ARGS)

# MLflow's jobs would be eight processes, and nothing here uses them.
ui: $(STAMP)
	@$(BIN)/python -m rher_pl.tracking.store sqlite:///$(RUNS)/mlflow.db \
	  --server http://127.0.0.1:$(PORT)
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --backend-store-uri sqlite:///$(RUNS)/mlflow.db --workers 1 --port $(PORT)

soak: $(STAMP)
	$(BIN)/python -m benchmarks.reliability $(ARGS)

ui-check: $(STAMP)
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev,ui,docs]"
	REQUIRE_BROWSER=1 SCREENSHOTS=$(RUNS)/ui-check $(BIN)/pytest -m ui
	@echo "pictures of the pages: $(RUNS)/ui-check"

docs: $(STAMP)
	$(BIN)/python -m tools.configuration_page

site: $(STAMP)
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev,docs]"
	$(BIN)/python -m tools.site
	@echo "open site/index.html"

notebooks: $(STAMP)
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev,notebooks]"
	$(BIN)/python -m notebooks.run

lint: $(STAMP)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy rher_pl

test: lint
	$(BIN)/pytest -n 2

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
