# All commands of this project; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup setup-spark setup-kserve setup-peers run serve train spark notebook test test-slow test-container test-spark lint lock image dist sbom bench soak

IS_PYTHON = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for name in python3.11 python3.12 python3; do \
	$$name -c "$(IS_PYTHON)" 2>/dev/null && { echo $$name; break; }; done)
BIN := .venv/bin
READY := .venv/.ready
SPARK := .venv-spark/bin
SPARK_READY := .venv-spark/.ready
KSERVE_READY := .venv-kserve/.ready
PEERS_READY := .venv-peers/.ready

# As tabserve/__init__.py sets it, for programs that import XGBoost first.
export OMP_WAIT_POLICY ?= passive

# `run`, `train`, `notebook` and `test` are for Santander, or for another case: CASE=categories, CASE=flights.
FOLDER := $(if $(CASE),cases/$(CASE)/)
NOTEBOOK := ml_code.ipynb
NOTEBOOK_PYTHON := $(BIN)/python
COMMA := ,
ifdef CASE
include $(FOLDER)case.mk
endif

# The options of `run` and `train`; `run` uses fewer rows and candidates.
OUT ?= $(if $(CASE),$(or $(MODEL_PATH),build/$(CASE)),build/model)
RUN_CANDIDATES ?= xgboost-stumps$(COMMA)logistic-regression$(COMMA)dummy
TRAIN_OPTIONS = --out "$(OUT)" $(if $(DATA),--data "$(DATA)") $(if $(ROWS),--rows $(ROWS)) \
	$(if $(CANDIDATES),--candidates "$(CANDIDATES)") $(if $(JOBS),--jobs $(JOBS)) $(if $(DEVICE),--device $(DEVICE))
run: ROWS ?= $(if $(CASE),,20000)
run: CANDIDATES ?= $(RUN_CANDIDATES)

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | \
		while IFS="$$(printf '\t')" read -r word meaning; do printf '  %-15s %s\n' "$$word" "$$meaning"; done

setup: $(READY) ## make .venv from requirements/dev.txt, hashes checked (PYTHON=python3.11)

FIND_PYTHON = "$(PYTHON)" -c "$(IS_PYTHON)" 2>/dev/null || { echo "Python 3.11 or 3.12 is needed and was not found:" \
	"install it, or name it with 'make PYTHON=/path/to/python3.11'." >&2; exit 1; }
$(READY): requirements/dev.txt pyproject.toml
	@$(FIND_PYTHON)
	"$(PYTHON)" -m venv --clear .venv
	$(BIN)/pip install --require-hashes --no-deps -r requirements/dev.txt
	$(BIN)/pip install --no-deps --no-build-isolation -e .
	@touch $@

setup-spark: $(SPARK_READY) ## make .venv-spark from requirements/spark.txt, for scoring and training on Spark; needs Java 17

# PySpark is published as source only: install the locked setuptools first, so that its build downloads nothing.
$(SPARK_READY): requirements/spark.txt pyproject.toml
	@$(FIND_PYTHON)
	"$(PYTHON)" -m venv --clear .venv-spark
	sed -n '/^setuptools==/,/# via/p' $< | $(SPARK)/pip install --require-hashes --no-deps -r /dev/stdin
	$(SPARK)/pip install --require-hashes --no-deps --no-build-isolation -r $<
	$(SPARK)/pip install --no-deps --no-build-isolation -e .
	@touch $@

setup-kserve: $(KSERVE_READY) ## make .venv-kserve from requirements/kserve.txt: KServe's client, which a test uses

$(KSERVE_READY): requirements/kserve.txt
	@$(FIND_PYTHON)
	"$(PYTHON)" -m venv --clear .venv-kserve
	.venv-kserve/bin/pip install --require-hashes --no-deps -r $<
	@touch $@

setup-peers: $(PEERS_READY) ## make .venv-peers from requirements/peers.txt: what `bench peers` compares with (7 GB)

$(PEERS_READY): requirements/peers.txt
	@$(FIND_PYTHON)
	"$(PYTHON)" -m venv --clear .venv-peers
	.venv-peers/bin/pip install --require-hashes --no-deps -r $<
	@touch $@

run: $(READY) ## train a quick model, serve it, ask it for predictions (ROWS= DATA= CANDIDATES= OUT= ONCE=1 CASE=)
	@PATH="$(CURDIR)/$(BIN):$$PATH" exec $(FOLDER)scripts/run.sh "$(OUT)" $(TRAIN_OPTIONS)

serve: $(READY) ## serve the committed model, or another one (MODEL=folder)
	@exec $(BIN)/tabserve serve deploy $(if $(MODEL),--model "$(MODEL)")

train: $(READY) ## compare all candidates on all rows and save the model (DATA= ROWS= OUT= CANDIDATES= JOBS= DEVICE= CASE=)
	@exec $(BIN)/python $(FOLDER)scripts/train.py $(TRAIN_OPTIONS)

spark: ROWS ?= 20000
spark: CANDIDATES ?= xgboost-stumps
spark: OUT := build/spark/model
spark: $(SPARK_READY) ## train a quick model on Spark, check its folder, score rows with it (ROWS= DATA= CANDIDATES= OUT= JOBS=)
	$(SPARK)/python scripts/train.py --engine spark $(TRAIN_OPTIONS)
	$(SPARK)/tabserve check "$(OUT)"
	$(SPARK)/python scripts/score.py --engine spark --model "$(OUT)" --data scripts/rows.csv --out build/spark/scores --overwrite

notebook: $(READY) ## run the notebook from top to bottom and store its outputs (CASE=)
	$(NOTEBOOK_PYTHON) -m jupyter execute --inplace $(NOTEBOOK)

PYTEST = -m pytest -n 2 --dist loadfile $(if $(CASE),$(FOLDER)tests)
test: $(READY) ## run the tests that are not slow and need no container (ARGS="-k name" CASE=); COVERAGE=1 asks for 95 %
	$(if $(COVERAGE),$(BIN)/coverage erase)
	$(if $(COVERAGE),COVERAGE_ROOT="$(CURDIR)" )$(BIN)/$(if $(COVERAGE),coverage run,python) $(PYTEST) --quick $(ARGS)
	$(if $(COVERAGE),$(BIN)/coverage combine --quiet)
	$(if $(COVERAGE),$(BIN)/coverage report)

test-slow: $(READY) ## run the tests that `test` leaves out as slow (ARGS="-k name" CASE=)
	$(BIN)/python $(PYTEST) -m slow $(ARGS)

test-container: $(READY) ## build the image and test it; needs a Docker engine (DOCKER_BUILD_OPTIONS=)
	@docker info >/dev/null 2>&1 || { echo "No Docker engine answers: start one and try again." >&2; exit 1; }
	TABSERVE_TEST_CONTAINER=1 $(BIN)/python -m pytest -m container $(ARGS)

test-spark: $(SPARK_READY) ## run the tests of scoring and training on Spark (ARGS="-k name"); needs Java 17
	$(SPARK)/python -m pytest tests/spark $(ARGS)

lint: $(READY) ## check formatting, code, types and workflows; changes nothing
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/zizmor --offline --quiet .github
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
image: ## build the container image `tabserve`
	docker build $(DOCKER_BUILD_OPTIONS) -t tabserve --build-arg VERSION=$(VERSION) --build-arg CREATED=$$(date -u +%FT%TZ) \
		--build-arg REVISION=$$(git rev-parse HEAD) -f deploy/Dockerfile .

dist: $(READY) ## build the wheel and the source archive into dist/
	$(BIN)/hatchling build --directory dist

SBOM := build/sbom
sbom: $(SBOM)/serve.cdx.json ## list the packages of the locked serving requirements and of the built image (CycloneDX)
	$(BIN)/python scripts/sbom.py tabserve --out $(SBOM)/image.cdx.json

# The hidden warning says that a lock has no dependency graph. Validation of 2,000 hashes would take ten seconds.
$(SBOM)/serve.cdx.json: requirements/serve.txt pyproject.toml $(READY)
	@mkdir -p $(@D)
	PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --no-validate \
		--output-file $@ $<

bench: $(READY) ## measure speed against stock MLServer, FastAPI and the bare limit (ARGS="serving --seconds 1")
	$(BIN)/python -m bench $(ARGS)

soak: $(READY) ## send good and bad traffic for 10 minutes; fails if an answer is wrong or memory grows (ARGS="--minutes 60")
	$(BIN)/python -m bench soak $(ARGS)

# One resolution for every system, then the trimmed ones for Linux x86-64 with the same versions (Spark: except pandas).
COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --generate-hashes --python-version 3.11 $(UPGRADE)
LINUX = --python-platform x86_64-manylinux_2_28
TRIM = $(LINUX) --override requirements/overrides.txt --constraint requirements/environment.txt
lock: $(READY) ## rewrite requirements/*.txt from pyproject.toml (UPGRADE=--upgrade for newer versions)
	$(COMPILE) --universal --extra train --extra serve --extra postgresql --extra notebook --extra dev pyproject.toml \
		-o requirements/environment.txt
	sed -i -e "s/ ; python_full_version < '3.13' and / ; /" -e "s/ ; python_full_version < '3.13' / /" \
		-e "s/ and python_full_version < '3.13'//" requirements/environment.txt
	$(COMPILE) $(TRIM) --extra train --extra serve --extra postgresql --extra dev pyproject.toml -o requirements/dev.txt
	sed -n 's/^xgboost==\([^ ]*\).*/xgboost-cpu==\1/p' requirements/environment.txt | $(COMPILE) $(TRIM) \
		--override requirements/overrides-serve.txt --extra serve --extra postgresql pyproject.toml - -o requirements/serve.txt
	echo hatchling | $(COMPILE) $(TRIM) - -o requirements/build.txt
	sed -e '/^pandas==/,/# via/d' -e 's/^xgboost==/xgboost-cpu==/' requirements/environment.txt | \
		$(COMPILE) $(LINUX) --override requirements/overrides-spark.txt --constraint - \
		--extra spark pyproject.toml requirements/spark.in -o requirements/spark.txt
	$(COMPILE) $(LINUX) requirements/kserve.in -o requirements/kserve.txt
	$(COMPILE) $(LINUX) requirements/peers.in -o requirements/peers.txt
