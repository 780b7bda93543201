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
LINTED := exporter dashboards supply tests benchmarks docs/*.py
# Options for pytest: make test ARGS="-k verdict -x"
ARGS ?=

.PHONY: help
help: ## what can be made (this list)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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
# Which lines are run is counted where that costs little: from Python 3.12 on. Before, all takes twice as long.
LINES := $$($(BIN)/python -c 'import sys; print("--cov --cov-report=term" * (sys.version_info >= (3, 12)))')

.PHONY: test
test: $(STAMP) ## the tests, all but those that need real servers; with coverage from Python 3.12 on
	@COVERAGE_CORE=sysmon $(PYTEST) -m "not real and not bench" $(LINES) $(ARGS)

.PHONY: coverage
coverage: $(STAMP) ## the same, with coverage on any Python, of branches too: twice as long
	@COVERAGE_CORE=ctrace $(PYTEST) -m "not real and not bench" --cov --cov-branch --cov-report=term $(ARGS)

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
	@$(BIN)/python -m supply.licences --check
	@$(BIN)/bandit --quiet --recursive exporter dashboards supply -lll

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
test-real: test-watching test-conformance test-trainers test-otlp test-chart test-cluster test-browser test-compose test-image ## against real model servers, trainers and a real Prometheus (15 GB, an hour; SERVERS="...": fewer)

.PHONY: test-watching
test-watching: $(STAMP) # three model servers, watched through a real Prometheus; beside them what needs others
	@sh tests/real/servers/install.sh $(CORE)
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m real tests/real/test_*.py $(ARGS)

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
test-chart: $(STAMP) # the Helm charts, rendered; helm and what checks them are built with Go (four minutes)
	@sh tests/real/servers/install.sh helm
	@$(BIN)/python -m pytest -m real tests/chart $(ARGS)

.PHONY: test-cluster
test-cluster: $(STAMP) # the chart and discovery with a real Kubernetes API server; it is built with Go (twenty minutes, 5 GB)
	@sh tests/real/servers/install.sh helm cluster
	@$(BIN)/python -m pytest -m real tests/real/cluster $(ARGS)

.PHONY: test-compose
test-compose: $(STAMP) # the compose file, by the schema of its specification (needs Go); its configs, with the real programs
	@sh tests/real/servers/install.sh compose
	@$(BIN)/python -m pytest tests/compose tests/real/test_compose.py $(ARGS)

.PHONY: test-image
test-image: $(STAMP) # the image, built with buildah on a base of debootstrap, run with nothing writable; as root (two minutes)
	@sh tests/real/servers/install.sh image supply
	@$(BIN)/python -m pytest -m real tests/real/image $(ARGS)

.PHONY: test-browser
test-browser: $(STAMP) docs # the page and the site in a Chromium (Debian: chromium npm)
	@sh tests/real/servers/install.sh axe
	@$(BIN)/python -m pytest -m browser tests/browser $(ARGS)

.PHONY: pictures
pictures: $(STAMP) ## docs/pictures, from the running page (needs a Chromium)
	@MODEL_EXPORTER_PICTURES=docs/pictures $(BIN)/python -m pytest -m browser tests/browser/test_pictures.py $(ARGS)

.PHONY: chart
chart: $(STAMP) ## the chart's schema, copies and README, from values.yaml and deploy/
	@$(BIN)/python -m exporter.reference
	@$(BIN)/python -m dashboards
	@sh tests/real/servers/install.sh helm
	@$(MODEL_EXPORTER_REAL)/helm/bin/helm-docs --chart-search-root deploy/helm/model-exporter \
		--sort-values-order file --skip-version-footer --log-level error

# How long, and the fuzzer: it is no dependency of ours, and exists for few Pythons.
FUZZ_SECONDS ?= 300
ATHERIS := $(MODEL_EXPORTER_REAL)/atheris

.PHONY: fuzz
fuzz: $(STAMP) ## any bytes at all that parses, guided by coverage (FUZZ_SECONDS=300)
	@test -d $(ATHERIS) || $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps \
		--target $(ATHERIS) -r tests/fuzz/requirements.txt
	@PYTHONPATH=$(ATHERIS) FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m tests.fuzz.harness

.PHONY: bench
bench: $(STAMP) ## what it costs, beside Debian's blackbox_exporter: one table, every target met or not (10 minutes)
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: cloudprober
cloudprober: ## the peer that `make bench` compares with beside blackbox_exporter; it is built with Go (ten minutes)
	@sh tests/real/servers/install.sh cloudprober

.PHONY: hostile
hostile: $(STAMP) ## everything a server and a network can do wrong, put to a running exporter: one table (4 minutes)
	@$(BIN)/python -m tests.hostile $(ARGS)

.PHONY: storms
storms: $(STAMP) ## reloads, signals and clocks without end, and what they cost (9 minutes)
	@MODEL_EXPORTER_STORMS=whole $(BIN)/python -m pytest tests/storms -q $(ARGS)

.PHONY: truth
truth: $(STAMP) ## how wrong reported times are: against a server that knows, beside an engine that only measures (a minute)
	@$(BIN)/python -m benchmarks.truth $(ARGS)

.PHONY: soak
soak: $(STAMP) ## half an hour of 10,000 targets, 5 % hostile; fails when a bound is broken (ARGS="--minutes 3 --targets 2000")
	@$(BIN)/python -m benchmarks.soak $(ARGS)

.PHONY: docs
docs: ## the pages of docs/ as a site, in dist/docs; a link or a page that leads nowhere is an error
	@test -e $(VENV)-docs/.ready-$(shell cksum < docs/site.txt | tr -cd '0-9') || { rm -rf $(VENV)-docs && $(PYTHON) -m venv $(VENV)-docs \
		&& $(VENV)-docs/bin/python -m pip install --disable-pip-version-check --quiet --no-deps -r docs/site.txt \
		&& touch $(VENV)-docs/.ready-$(shell cksum < docs/site.txt | tr -cd '0-9'); }
	@told=$$(NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs build 2>&1) || { echo "$$told" >&2; exit 1; }; echo "dist/docs/index.html"

.PHONY: dist
dist: $(STAMP) ## the source distribution and the wheel, in dist/
	@$(BIN)/hatchling build

# uv, as tests/real/servers/install.sh puts it there.
UV := UV_CACHE_DIR=$(MODEL_EXPORTER_REAL)/uv-cache UV_SYSTEM_CERTS=1 \
	$(if $(PIP_INDEX_URL),UV_DEFAULT_INDEX=$(PIP_INDEX_URL)) $(MODEL_EXPORTER_REAL)/uv/bin/uv --quiet

.PHONY: pins
pins: ## new constraints.txt: the newest versions that the ranges in pyproject.toml allow, with their hashes
	@$(MAKE) lock ARGS=--upgrade

.PHONY: lock
lock: ## constraints.txt in step with pyproject.toml; what is pinned stays, and gets its hashes
	@sh tests/real/servers/install.sh supply
	@cp constraints.txt constraints.new
	@$(UV) pip compile pyproject.toml --all-extras --group dev --python-version 3.11 --generate-hashes \
		--no-annotate --no-header $(ARGS) -o constraints.new >/dev/null
	@{ sed -n '/^#/p' constraints.txt; grep -v '^#' constraints.new; } > constraints.lock
	@mv constraints.lock constraints.txt && rm constraints.new && git --no-pager diff --stat -- constraints.txt

.PHONY: audit
audit: ## no pinned version has a known vulnerability; fails when it cannot look
	@sh tests/real/servers/install.sh supply
	@$(MODEL_EXPORTER_REAL)/supply/bin/python -m supply.audit constraints.txt

.PHONY: sbom
sbom: ## the bill of materials of what is installed with all extras, as CycloneDX, in dist/
	@sh tests/real/servers/install.sh supply
	@$(UV) venv --clear --python $(PYTHON) $(VENV)-sbom
	@$(UV) pip install --python $(VENV)-sbom/bin/python --constraint constraints.txt \
		--requirement pyproject.toml --all-extras
	@$(UV) pip install --python $(VENV)-sbom/bin/python --no-deps .
	@mkdir -p dist && $(MODEL_EXPORTER_REAL)/supply/bin/python -m supply.sbom $(VENV)-sbom > dist/model-exporter.cdx.json
	@rm -rf $(VENV)-sbom && ls -l dist/model-exporter.cdx.json

.PHONY: licences
licences: $(STAMP) ## docs/licences.md; refuses a licence that nobody has agreed to
	@$(BIN)/python -m supply.licences

.PHONY: test-lowest
test-lowest: # the quick tests with the oldest versions that pyproject.toml allows
	@sh tests/real/servers/install.sh supply
	@$(UV) venv --clear --python $(PYTHON) $(VENV)-lowest
	@$(UV) pip compile pyproject.toml --all-extras --resolution lowest-direct \
		--python $(VENV)-lowest/bin/python -o $(VENV)-lowest/pins.txt >/dev/null
	@$(UV) pip install --python $(VENV)-lowest/bin/python --requirement $(VENV)-lowest/pins.txt --group dev
	@$(UV) pip install --python $(VENV)-lowest/bin/python --no-deps --no-build-isolation --editable .
	@$(VENV)-lowest/bin/python -m pytest -n auto --dist loadfile -m "not real and not bench and not slow" \
		--hypothesis-profile=quick -q -p no:cacheprovider $(ARGS)

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
	find exporter dashboards supply tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +
