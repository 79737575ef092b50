# Every daily task is one command; `make` lists them. Each sets up what it needs first, once.
PYTHON ?= python3
# Where the demo completes: a line of a file of this repository, at its end.
DEMO ?= docs/try_me.py:28

# Where `make debug` writes every LSP message, a JSON document per line.
LSP_LOG ?= midline-lsp.log
# Your own Neovim if you have one, else the one that the tests bring.
NVIM ?= $(shell command -v nvim || echo .venv/bin/nvim)

SETUP := $(PYTHON) .ci/bootstrap.py
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test vsix lint types format bench debug clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## install midline into .venv (compiles llama.cpp the first time: minutes)
	@$(SETUP)

demo: setup ## set up, get the model (490 MB, once) and show a completion
	@$(BIN)/midline model pull
	@$(BIN)/midline complete $(DEMO)

# The tests run even when a linter finds fault, so that one run tells all; pytest's summary stays the last line.
test: ## run every check: ruff, mypy, and the tests with the real model
	@$(SETUP) --dev
	@$(BIN)/midline model pull
	@failed=; section() { printf '\n==> %s\n' "$$*"; "$$@" || failed="$$failed [$$*]"; }; \
	section $(BIN)/ruff check; \
	section $(BIN)/ruff format --check; \
	section $(BIN)/mypy; \
	[ -z "$$failed" ] || printf '\nFailed already:%s\n' "$$failed"; \
	export OMP_WAIT_POLICY=passive; \
	section $(BIN)/pytest; \
	[ -z "$$failed" ]

# Needs node 20 or newer with npm, or the workbench that the tests of VS Code use.
vsix: ## build the VS Code extension, build/midline-VERSION.vsix
	@$(PYTHON) .ci/vsix.py --test

lint: ## ruff: faults and formatting, changing nothing
	@$(SETUP) --dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: ## mypy, strict, on lsp and indexer
	@$(SETUP) --dev
	@$(BIN)/mypy

format: ## let ruff mend what it can
	@$(SETUP) --dev
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: ## measure tokens and times beside llama-server and llama-cpp-python, in small (20 minutes)
	@$(SETUP) --dev
	@$(BIN)/pip install --quiet --editable '.[bench]'
	@$(BIN)/midline model pull
	@for bench in 'replay --keys 300' latency 'side_by_side --keys 16 --llama-keys 6' 'anchoring --places 20'; do \
	    printf '\n==> python -m bench.%s\n' "$$bench"; $(BIN)/python -m bench.$$bench || exit 1; \
	done

debug: ## try it in Neovim, with every LSP message in midline-lsp.log
	@$(SETUP) --dev
	@$(BIN)/midline model pull
	@printf 'Every LSP message goes to %s; another editor: MIDLINE_LSP_LOG=FILE in its environment\n' '$(LSP_LOG)'
	@MIDLINE_LSP_LOG='$(CURDIR)/$(LSP_LOG)' PATH="$(CURDIR)/$(BIN):$$PATH" $(NVIM) --clean \
	    --cmd 'set runtimepath^=editors/neovim' --cmd "lua require('midline').setup()" \
	    +$(lastword $(subst :, ,$(DEMO))) $(firstword $(subst :, ,$(DEMO)))

clean: ## remove what these commands made here; models and pip's cache stay
	rm -rf .venv build dist editors/vscode/node_modules editors/vscode/dist editors/vscode/build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
