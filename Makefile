# What a newcomer, a developer and CI run. Everything is installed into .venv, from hash-pinned requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BUILD_VENV := .venv-build
BUILD_STAMP := $(BUILD_VENV)/.installed
SCAN_VENV := .venv-scan
SCAN_STAMP := $(SCAN_VENV)/.installed
MUTANTS_VENV := .venv-mutants
MUTANTS_STAMP := $(MUTANTS_VENV)/.installed
# What only the Lambda runtime's own version can run or make; empty where this machine has none.
PYTHON_3_13 := $(shell scripts/python_3_13.sh)
RUNTIME_CLIENT := build/runtime-client
MACHINE_ARCHITECTURE := $(patsubst aarch64,arm64,$(shell uname -m))
ARCHITECTURE ?= arm64
JOBS ?= 2
ARGUMENTS ?=
SOURCES := layers client cli emulator testbed functions tests scripts documents
# A suite is a folder of tests, by its path, or by the name that it had below tests/.
SUITES ?= unit layers/parameter_config/tests client/tests template contract/adapters contract/config emulator/tests/unit emulator/tests/contract \
	emulator/tests/integration testbed/tests workflows e2e faults
QUICK ?= tests/unit/domain tests/unit/steps tests/unit/adapters tests/unit/test_entry.py tests/unit/test_errors.py \
	tests/template/test_state_machine.py

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow check fix build sam-local bench-cold-start examples e2e-provisioning faults soak load quick mutants

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP)  ## create .venv with all that development needs

$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it: make PYTHON=python3.13 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: $(STAMP)  ## the whole life of an environment on the embedded emulator
	$(BIN)/ami-lifecycle demo

# A process for each suite: an emulated account belongs to its process. The workflows wait more than they compute.
RUN_SUITES = status=0; for suite in $(SUITES); do \
	[ -d "$$suite" ] || suite=tests/$$suite; \
	echo "$$suite"; workers=2; [ "$$suite" != tests/workflows ] || workers=3; \
	$(BIN)/python -m pytest -n $$workers --dist loadfile --quiet $$suite -m $(1) || { code=$$?; [ $$code -eq 5 ] || status=$$code; }; \
	done; exit $$status

test: $(STAMP)  ## run the tests (SUITES="unit contract" for some of them)
	@$(call RUN_SUITES,"not slow and not e2e_provisioning")

quick: $(STAMP)  ## the tests for the edit loop: domain, steps, adapters, the state machine's agreement with the code
	$(BIN)/python -m pytest -n 2 --dist loadfile --quiet $(QUICK) -m "not slow"

mutants: $(MUTANTS_STAMP)  ## change domain and steps bit by bit; say what no test notices (ARGUMENTS="domain.planning")
	$(MUTANTS_VENV)/bin/python scripts/mutants.py --jobs $(JOBS) $(ARGUMENTS)

test-slow: $(STAMP)  ## run the long tests: every state aborted, many builds in a row, whole lives of environments
	@$(call RUN_SUITES,"slow and not e2e_provisioning")

examples: $(STAMP)  ## install what the Node.js example needs (Node.js 20 or newer), and test all examples
	npm ci --prefix examples/nodejs --no-audit --no-fund
	$(BIN)/python -m pytest tests/e2e/test_examples.py

e2e-provisioning: $(STAMP)  ## run the documents on real machines; on Debian as root it installs what they need
	$(BIN)/python scripts/prepare_machines.py
	$(BIN)/python -m pytest tests/e2e/provisioning -m e2e_provisioning

faults: $(STAMP)  ## try a fault at every call, state and event (ARGUMENTS=--help tells more)
	$(BIN)/python -m tests.faults --jobs $(JOBS) $(ARGUMENTS)

soak: $(STAMP)  ## thousands of random steps over several environments (ARGUMENTS="--steps 5000 --seed 7")
	$(BIN)/python -m tests.faults.soak $(ARGUMENTS)

load: $(STAMP)  ## many environments, pushes, images and records at once
	$(BIN)/python -m tests.faults.load $(ARGUMENTS)

check: $(STAMP) $(BUILD_STAMP) $(SCAN_STAMP)  ## lint, types, templates, scripts; changes nothing
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cfn-lint template.yaml
	SAM_CLI_TELEMETRY=0 $(BUILD_VENV)/bin/sam validate --lint --region us-east-1
	LOG_LEVEL=ERROR $(SCAN_VENV)/bin/checkov --config-file .checkov.yaml
	$(BIN)/shellcheck documents/*.sh scripts/*.sh emulator/aws_emulator/machines/boot.sh $(wildcard .ci/run)
	$(BIN)/python scripts/generate.py --check

fix: $(STAMP)  ## format, apply safe fixes, regenerate what is generated
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/python scripts/generate.py

build: $(BUILD_STAMP)  ## build the layers for deployment (ARCHITECTURE=arm64 or x86_64), then: sam deploy --guided
	SAM_CLI_TELEMETRY=0 ARCHITECTURE=$(ARCHITECTURE) PYTHON=$(CURDIR)/$(BUILD_VENV)/bin/python \
		COMPILER=$(or $(PYTHON_3_13),python3.13) \
		$(BUILD_VENV)/bin/sam build --parameter-overrides Architecture=$(ARCHITECTURE) $(BUILD_OPTIONS)

.aws-sam/local/template.yaml: template.yaml $(shell find layers functions -name '*.py' -o -name 'requirements.txt')
	$(MAKE) build ARCHITECTURE=$(MACHINE_ARCHITECTURE) BUILD_OPTIONS="--build-dir .aws-sam/local"

sam-local: $(STAMP) .aws-sam/local/template.yaml  ## run the functions as built in containers (Docker; Debian as root sets up podman)
	docker info >/dev/null 2>&1 || scripts/container_engine.sh start
	docker info >/dev/null 2>&1 || export DOCKER_HOST=$$(scripts/container_engine.sh address); \
		$(BIN)/python scripts/sam_local.py --sam $(BUILD_VENV)/bin/sam --architecture $(MACHINE_ARCHITECTURE)

bench-cold-start: $(STAMP) .aws-sam/local/template.yaml $(RUNTIME_CLIENT)  ## measure how long functions take to start
	$(BIN)/python scripts/bench_cold_start.py --python $(PYTHON_3_13) --runtime $(RUNTIME_CLIENT) $(ARGUMENTS)

$(RUNTIME_CLIENT): requirements/runtime.txt
	test -n "$(PYTHON_3_13)" || { echo "This machine has no Python 3.13; install it with pyenv or uv." >&2; exit 1; }
	rm -rf $@
	$(PYTHON_3_13) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		--requirement requirements/runtime.txt --target $@
	$(PYTHON_3_13) -m compileall -q $@

$(BUILD_STAMP): requirements/build.txt
	$(PYTHON) -m venv $(BUILD_VENV)
	$(BUILD_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements/build.txt
	touch $(BUILD_STAMP)

$(SCAN_STAMP): requirements/scan.txt
	$(PYTHON) -m venv $(SCAN_VENV)
	$(SCAN_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements/scan.txt
	touch $(SCAN_STAMP)

$(MUTANTS_STAMP): requirements/dev.txt requirements/mutants.txt pyproject.toml
	$(PYTHON) -m venv $(MUTANTS_VENV)
	$(MUTANTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(MUTANTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements/mutants.txt
	$(MUTANTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(MUTANTS_STAMP)
