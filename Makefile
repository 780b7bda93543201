# Every target makes its own .venv from nothing but Python >= 3.11. README.md has the plain commands beside these.
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Some environments forbid bytecode; then each of the many processes in the tests would compile all it imports again.
export PYTHONDONTWRITEBYTECODE :=

VENV ?= .venv
BIN := $(VENV)/bin
# Another interpreter: make PYTHON=python3.11 VENV=.venv-3.11 test
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
# Where the real servers of `make test-real` are installed.
export MODEL_EXPORTER_REAL ?= $(CURDIR)/.real
# The installed state is named by what it was made from: a new pin or a new range installs again, nothing else does.
STAMP := $(VENV)/.installed-$(shell cat pyproject.toml constraints.txt | cksum | tr -cd '0-9')
LINTED := exporter dashboards tests benchmarks
# Options for pytest: make test ARGS="-k verdict -x"
ARGS ?=

.PHONY: help
help: ## what can be made (this list)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(STAMP) ## the .venv, with the pinned versions; all other targets begin with it

$(STAMP):
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 was found (tried python3.13, python3.12, python3.11, python3)." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is not Python >= 3.11; name another: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version) (once; about half a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-compile --no-deps -r constraints.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-build-isolation --no-deps -e .
	@$(BIN)/python -m pip check --disable-pip-version-check
	@rm -f $(VENV)/.installed-* && touch $@

.PHONY: demo
demo: $(STAMP) ## fake model servers and the exporter watching them: look around, end with Ctrl-C
	@$(BIN)/model-exporter demo

# Both cores; a file's tests stay together, because they share servers.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile

.PHONY: test
test: $(STAMP) ## the tests, all but those that need real servers, with coverage
	@$(PYTEST) -m "not real and not bench" --cov --cov-report=term $(ARGS)

.PHONY: unit
unit: $(STAMP) # the quick ones, as `check` runs them
	@$(PYTEST) -m "not real and not bench and not slow" --hypothesis-profile=quick -q $(ARGS)

.PHONY: lint
lint: $(STAMP) ## format, lint, types, floors between rooms, generated files in step
	@$(BIN)/ruff format --check $(LINTED)
	@$(BIN)/ruff check $(LINTED)
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@test ! -e exporter/reference.py || $(BIN)/python -m exporter.reference --check
	@$(BIN)/python -m dashboards --check

.PHONY: check
check: $(STAMP) ## all of `lint`, and beside it the tests that are quick: run it before every commit
	@$(MAKE) -j 2 lint unit

.PHONY: format
format: $(STAMP) ## put the code into shape
	@$(BIN)/ruff check --fix-only --quiet $(LINTED)
	@$(BIN)/ruff format $(LINTED)

# Real servers: all by default; CI takes those that are quick to install. Prometheus watches the first three.
CORE := litserve mlserver mlflow
SERVERS ?= $(CORE) bentoml kserve ray pytriton torchstack infinity llamacpp xllamacpp ollama

.PHONY: test-real
test-real: test-watching test-conformance test-trainers test-otlp test-chart ## against real model servers, trainers and a real Prometheus (15 GB, an hour; SERVERS="...": fewer)

.PHONY: test-watching
test-watching: $(STAMP) # three model servers, watched through a real Prometheus
	@sh tests/real/servers/install.sh $(CORE)
	@$(BIN)/python -m pytest -m real tests/real/test_*.py $(ARGS)

.PHONY: test-conformance
test-conformance: $(STAMP) # every protocol against its servers, and the states they bring about; two servers at a time
	@sh tests/real/servers/install.sh $(SERVERS)
	@MODEL_EXPORTER_REAL_SERVERS="$(SERVERS)" $(BIN)/python -m pytest -n 2 --dist loadgroup -m real tests/real/conformance tests/real/states tests/real/rollouts $(ARGS)

.PHONY: test-trainers
test-trainers: $(STAMP) # the logs that real trainers write, and a tracking server of MLflow
	@sh tests/real/servers/install.sh trainers mlflow
	@$(BIN)/python -m pytest -m real tests/real/trainers $(ARGS)

.PHONY: test-otlp
test-otlp: $(STAMP) # the sink otlp with the OpenTelemetry collector and Prometheus 3; both are built with Go (ten minutes)
	@sh tests/real/servers/install.sh otlp
	@$(BIN)/python -m pytest -m real tests/real/otlp $(ARGS)

.PHONY: test-chart
test-chart: $(STAMP) # the Helm charts, rendered; helm and helm-docs are built with Go (three minutes)
	@sh tests/real/servers/install.sh helm
	@$(BIN)/python -m pytest -m real tests/chart $(ARGS)

.PHONY: chart
chart: $(STAMP) ## the chart's schema, copies and README, from values.yaml and deploy/
	@$(BIN)/python -m exporter.reference
	@$(BIN)/python -m dashboards
	@sh tests/real/servers/install.sh helm
	@$(MODEL_EXPORTER_REAL)/helm/bin/helm-docs --chart-search-root deploy/helm/model-exporter \
		--sort-values-order file --skip-version-footer --log-level error

.PHONY: bench
bench: $(STAMP) ## CPU per probe beside Debian's blackbox_exporter, schedule, memory, cost of a scrape (6 minutes)
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: dist
dist: $(STAMP) ## the source distribution and the wheel, in dist/
	@$(BIN)/hatchling build

.PHONY: pins
pins: ## new constraints.txt: the newest versions that the ranges in pyproject.toml allow
	@rm -rf $(VENV)-pins && $(PYTHON) -m venv $(VENV)-pins
	@$(VENV)-pins/bin/python -m pip install --quiet --upgrade pip
	@$(VENV)-pins/bin/python -m pip install --quiet '.[aws,fast,grpc,oauth2,otlp,schema,terminal]' --group dev
	@sed -n '/^#/p' constraints.txt > constraints.new
	@$(VENV)-pins/bin/python -m pip freeze --exclude model-exporter | tr '_A-Z' '-a-z' | LC_ALL=C sort >> constraints.new
	@mv constraints.new constraints.txt && rm -rf $(VENV)-pins && git --no-pager diff --stat -- constraints.txt

.PHONY: proto
proto: # new exporter/protocols/proto/*_pb2.py from the .proto files, by the oldest protobuf we support
	@rm -rf $(VENV)-proto && $(PYTHON) -m venv $(VENV)-proto
	@$(VENV)-proto/bin/python -m pip install --disable-pip-version-check --quiet grpcio-tools==1.75.1
	@$(VENV)-proto/bin/python -m grpc_tools.protoc -I. --python_out=. exporter/protocols/proto/*.proto
	@rm -rf $(VENV)-proto && git --no-pager diff --stat -- exporter/protocols/proto

.PHONY: clean
clean: ## remove everything that was made, the .venv and the real servers included
	rm -rf $(VENV) $(VENV)-* $(MODEL_EXPORTER_REAL) .bench dist build .coverage htmlcov \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find exporter dashboards tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
