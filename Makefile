# Needs git, make and Python 3.11 or newer; everything else is installed into .venv.
# Another Python: make PYTHON=/path/to/python3.12 install

.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?=
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

# A command may exist and not run (stubs of version managers), or lack venv: try each.
$(STAMP): pyproject.toml constraints.txt
	@set -e; \
	if ! test -x $(BIN)/pip; then \
		found=; \
		for candidate in $(if $(PYTHON),'$(PYTHON)',python3.13 python3.12 python3.11 python3); do \
			if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
			then found=$$candidate; break; fi; \
		done; \
		if test -z "$$found"; then \
			echo "prescreen needs Python 3.11 or newer with its venv module; found: $$("$(or $(PYTHON),python3)" --version 2>&1 | head -n 1). Install one, or name one with make PYTHON=/path/to/python3.12" >&2; \
			exit 1; \
		fi; \
		echo "creating .venv with $$("$$found" --version)"; \
		"$$found" -m venv .venv; \
	fi
	@echo "installing prescreen and what it needs into .venv: several GB, a few minutes the first time"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev,dvc,ray,heic,text]'
	@touch $@

.PHONY: install
install: $(STAMP) ## Create .venv and install prescreen in it

.PHONY: demo
demo: $(STAMP) ## Train, score and rank on the sample; look at demo/report.html afterwards
	$(BIN)/prescreen demo --output demo

# One process more than processors, because some tests wait. Each computes with one thread: threads of several processes
# wait for each other in loops that take the processors from all. Types are checked at the same time.
.PHONY: test
test: export OMP_NUM_THREADS := 1
test: export OPENBLAS_NUM_THREADS := 1
test: lint imports ## All checks, as CI runs them: lint, types, imports, tests
	@$(BIN)/python -m mypy & types=$$!; \
	$(BIN)/python -m pytest -n $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )) --dist loadfile --no-loadscope-reorder; \
	tests=$$?; wait $$types && exit $$tests

.PHONY: docs
docs: $(STAMP) ## Run the guides on the sample and compare what is printed
	$(BIN)/python tests/check_guides.py docs/guides/portraits.md docs/guides/ballot.md

.PHONY: lint
lint: $(STAMP) ## Check format and style
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .

.PHONY: types
types: $(STAMP) ## Check types
	$(BIN)/python -m mypy

.PHONY: imports
imports: $(STAMP) ## Check that imports run downward only
	$(BIN)/lint-imports --no-logo

.PHONY: format
format: $(STAMP) ## Format the code
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .

SECONDS ?= 60

.PHONY: fuzz
fuzz: $(STAMP) ## Feed damaged pictures and other files to their readers, for SECONDS=60
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	$(BIN)/python benchmarks/fuzz.py --seconds $(SECONDS)

.PHONY: audit
audit: $(STAMP) ## Ask a public service for known vulnerabilities of the pinned versions (needs the network)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt pip-audit
	@$(BIN)/python .ci/audit.py $(if $(LENIENT),--lenient)

.PHONY: constraints
constraints: $(STAMP) ## Pin the versions that .venv has now
	@printf '%s\n' \
		'# Versions that prescreen was tested with; "make constraints" writes this file.' \
		'# nvidia-*, cuda-* and triton are not pinned: they follow torch and differ between platforms.' > constraints.new
	@$(BIN)/python -m pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==' \
		| grep -viE '^(pip|setuptools|wheel|portrait-prescreen|random-face|triton|nvidia-[^=]*|cuda-[^=]*)==' >> constraints.new
	@mv constraints.new constraints.txt
	@touch $(STAMP)

.PHONY: clean
clean: ## Remove what the tools and the demo left behind; .venv, models and mlruns stay
	rm -rf build dist demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests data benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
