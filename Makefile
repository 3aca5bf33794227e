# Everything lives in .venv and its neighbours, from locked and hashed requirements; nothing outside this folder is changed.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8080
DATA ?= data
PYTEST_ARGS ?=
PLAYERS ?= 40
LOCKS ?= 10
RATE ?= 5
SEED ?= 1

VENV := .venv
BIN := $(VENV)/bin
# Wheels only: a package that would have to be compiled here is an error, not a surprise.
LOCKED := install --quiet --disable-pip-version-check --only-binary :all: --require-hashes
INSTALL := $(BIN)/python -m pip $(LOCKED)
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock'
# Seam's SDK verifies with the svix of the major before.
OTHERS := sed '/^svix==/,/^    \# via/d' test.txt

# The SDKs that tests/sdk drives, each with what it brings in an environment of its own: two versions of one package, and
# its dependencies beside ours; and what tests/webhooks verifies deliveries with. npm writes its stamp itself.
SDKS := .venv-seam-2/.sdk .venv-seam-3/.sdk
NODE := tests/sdk/node tests/webhooks/node
STAMP := node_modules/.package-lock.json
ifneq ($(shell command -v npm),)
SDKS += $(NODE:=/$(STAMP))
FAKE := bench/fake/$(STAMP)
endif

.DEFAULT_GOAL := help
.PHONY: help setup run demo test check bench docs lock

help: ## print this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.test $(SDKS) ## make .venv with all that running, testing and checking need

run: $(VENV)/.runtime ## serve on 127.0.0.1:8080 from ./data (HOST=, PORT= and DATA= change that)
	@mkdir -p -m 700 '$(DATA)'
	@exec $(BIN)/heliograph serve --data '$(DATA)' --host '$(HOST)' --port '$(PORT)'

demo: $(VENV)/.runtime ## serve on 127.0.0.1:8080 from nowhere, with a simulated fleet (PLAYERS=, LOCKS=, RATE=, SEED=)
	@HELIOGRAPH_OPERATION_DEADLINE=60 ./demo.sh $(BIN) '$(HOST)' '$(PORT)' \
		--players '$(PLAYERS)' --locks '$(LOCKS)' --rate '$(RATE)' --seed '$(SEED)'

test: $(VENV)/.test $(SDKS) ## run all tests, on SQLite and on a PostgreSQL of their own (PYTEST_ARGS= adds options)
	$(BIN)/python -m pytest -n logical $(PYTEST_ARGS)

check: $(VENV)/.test $(SDKS) ## everything that CI runs: style, types, import rules, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(wildcard heliograph tests bench docs/*.py)
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

bench: $(VENV)/.bench $(FAKE) ## measure against the peers and the limits of this machine
	$(BIN)/python -m bench

docs: $(VENV)/.runtime ## write the generated pages of docs/ anew
	$(BIN)/python -m docs.generate

lock: ## pin the newest allowed versions in requirements/*.txt (needs uv; LOCK_ARGS=--upgrade)
	cd requirements && $(LOCK) $(LOCK_ARGS) runtime.in --output-file runtime.txt
	cd requirements && $(LOCK) $(LOCK_ARGS) build.in --output-file build.txt
	cd requirements && $(LOCK) $(LOCK_ARGS) --constraints runtime.txt --constraints build.txt test.in --output-file test.txt
	cd requirements && $(OTHERS) | $(LOCK) $(LOCK_ARGS) --constraints - seam-2.in --output-file seam-2.txt
	cd requirements && $(OTHERS) | $(LOCK) $(LOCK_ARGS) --constraints - seam-3.in --output-file seam-3.txt
	cd requirements && $(LOCK) $(LOCK_ARGS) --constraints test.txt bench.in --output-file bench.txt

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Heliograph needs Python 3.11 or newer, but '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)"; \
		echo "Name another one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo 'Making $(VENV) ...'
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
		echo "'$(PYTHON)' cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

$(VENV)/.runtime: $(VENV)/pyvenv.cfg pyproject.toml requirements/build.txt requirements/runtime.txt
	@echo 'Installing the locked requirements ...'
	@$(INSTALL) --requirement requirements/build.txt
	@$(INSTALL) --requirement requirements/runtime.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.runtime requirements/test.txt
	@echo 'Installing the locked requirements of the tests ...'
	@$(INSTALL) --requirement requirements/test.txt
	@touch $@

$(VENV)/.bench: $(VENV)/.test requirements/bench.txt
	@echo 'Installing the locked requirements of the benchmarks ...'
	@$(INSTALL) --requirement requirements/bench.txt
	@touch $@

.venv-seam-%/.sdk: requirements/seam-%.txt | $(VENV)/pyvenv.cfg
	@echo 'Making .venv-seam-$* ...'
	@$(BIN)/python -m venv --clear --without-pip .venv-seam-$*
	@$(BIN)/python -m pip --python .venv-seam-$*/bin/python $(LOCKED) --requirement $<
	@touch $@

%/$(STAMP): %/package.json %/package-lock.json %/.npmrc
	@echo 'Installing the locked packages of $* ...'
	@cd $* && npm ci --ignore-scripts --loglevel=error > /dev/null
