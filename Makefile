# hbids: `make` alone lists what can be made. Everything lands in .venv, build, dist and rust/target; `make clean` ends it.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:
.NOTPARALLEL:

VENV ?= .venv
BIN := $(VENV)/bin
ENGINE_SOURCES := $(shell find rust \( -name target -o -path rust/fuzz \) -prune -o \( -name '*.rs' -o -name 'Cargo.*' \) -print)
CAPTURE ?= pcaps/scan_vuln_stafford.pcap

# The first interpreter that is new enough; name another with `make PYTHON=...`.
PYTHON ?= $(firstword $(foreach python,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(python) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(python))))

.PHONY: help demo test lint fuzz docs wheel bench clean
help:
	@echo 'make demo    install into $(VENV) and replay a shipped capture (another: make demo CAPTURE=file)'
	@echo 'make test    install the test tools where allowed, then run every test (some: make test TESTS=tests/eve)'
	@echo 'make lint    style, types and the walls between the rooms'
	@echo 'make fuzz    look for inputs that break the engines, for two minutes; needs cargo-fuzz'
	@echo 'make docs    write the pages that come from docstrings'
	@echo 'make wheel   build the wheel into dist/'
	@echo 'make bench   measure against tcpdump and others; takes minutes'
	@echo 'make clean   remove everything made here'

demo: $(VENV)/.installed
	@$(call say_engine)
	$(BIN)/hbids replay $(CAPTURE)

test: $(VENV)/.tools $(VENV)/.installed-test
	@$(call say_engine)
	$(BIN)/python -m pytest $(TESTS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
ifneq ($(shell command -v cargo),)
	cargo fmt --manifest-path rust/Cargo.toml --all --check
	cargo fmt --manifest-path rust/fuzz/Cargo.toml --check
	cargo clippy --manifest-path rust/Cargo.toml --workspace --all-targets --locked -- -D warnings
	$(BIN)/stubtest --mypy-config-file setup.cfg hbids._native
else
	@echo 'Rust not checked: no cargo here.'; test -z "$$CI"
endif

fuzz: $(VENV)/.installed-test
	PYTHON=$(BIN)/python tools/fuzz.sh

docs: $(VENV)/.installed
	$(BIN)/python -m tools.generate_docs

wheel: $(VENV)/.created
	rm -rf build/lib build/bdist.* dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@$(BIN)/python -m zipfile -l dist/*.whl | grep '_native.*\.so' >/dev/null \
		|| { echo '*** this wheel has NO native engine: no Rust here, or its build failed'; test -z "$$CI"; }

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.replay

clean:
	rm -rf $(VENV) build dist *.egg-info hbids/_native*.so rust/target rust/fuzz/{target,corpus,captures,artifacts}
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what the above stand on: a stamp file each, so that a second run is quick -----------------------------------------

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo 'hbids needs Python 3.11 or newer, and finds none on PATH.'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo 'This Python lacks its venv module. Debian and Ubuntu: apt-get install python3-venv'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created setup.cfg pyproject.toml $(ENGINE_SOURCES)
	@echo 'installing hbids into $(VENV): a minute or two when the native engine is compiled'
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# A richer install holds the plainer ones.
$(VENV)/.installed-test: $(VENV)/.created setup.cfg pyproject.toml $(ENGINE_SOURCES)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $(VENV)/.installed $@

$(VENV)/.installed-dev: $(VENV)/.created setup.cfg pyproject.toml $(ENGINE_SOURCES)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(VENV)/.installed $(VENV)/.installed-test $@

$(VENV)/.tools: tools/install-test-tools.sh
	@tools/install-test-tools.sh
	@mkdir -p $(VENV) && touch $@

define say_engine
$(BIN)/python -c 'import hbids._native' 2>/dev/null && echo 'native engine: installed' || { \
	echo '*** native engine NOT installed: hbids runs on its reference engine, same results, about 100 times slower.'; \
	if command -v cargo >/dev/null; then echo '*** Rust is here, so the build failed: see `$(BIN)/pip install -v .`'; \
	else echo '*** No Rust here: install Rust 1.85 or newer (rustup.rs), then `make clean demo`.'; fi; }
endef
