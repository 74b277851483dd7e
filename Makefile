# One command each. `make help` lists them. Needs Python 3.11 or newer and make; everything else is installed into .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed
CLIENTS := $(VENV)/clients/.installed

.DEFAULT_GOAL := help

.PHONY: help install run fmt lint types test test-fault check load bench curves pictures profile secrets rehearse lock lock-images clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(READY): pyproject.toml requirements.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@touch $@

install: $(READY) ## environment with everything for development

run: $(READY) ## gateway with the embedded engine, and proof that events came back; ONCE=1 ends after the proof
	@$(BIN)/python deploy/demo/run.py $(if $(ONCE),--once) $(ARGS)

fmt: $(READY) ## format and mend what can be mended
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: $(READY) ## format, rules and directions of imports
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/lint-imports

types: $(READY) ## mypy, strict
	@$(BIN)/mypy

$(CLIENTS): $(READY) tests/clients/requirements.txt
	@test -x $(VENV)/clients/bin/python || $(BIN)/python -m venv $(VENV)/clients
	@$(VENV)/clients/bin/python -m pip install --quiet --disable-pip-version-check -r tests/clients/requirements.txt
	@touch $@

test: $(READY) $(CLIENTS) ## the whole suite, on the real engine, three files at a time; JOBS=0 one test after the other
	@$(BIN)/python -m pytest -n $(or $(JOBS),3) --dist loadfile $(ARGS)

test-fault: $(READY) ## the unkind ones, in their long form
	@SLUICE_TEST_LONG=1 $(BIN)/python -m pytest -m fault tests/fault $(ARGS)

check: lint types test ## what CI runs

LOADENV := loadtest/.venv/bin/locust

$(LOADENV): loadtest/requirements.txt
	@$(PYTHON) -m venv loadtest/.venv && loadtest/.venv/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

load: $(READY) $(LOADENV) ## user stories with k6 and locust; ARGS="spike --tool locust"
	@$(BIN)/python loadtest/load.py $(or $(ARGS),all --seconds 20)

bench: $(READY) ## both sides of every comparison, in turn; ARGS="--only 1,3 --rounds 5"; wrk makes it better
	@$(BIN)/python loadtest/bench.py $(ARGS)

curves: $(READY) $(LOADENV) ## how it grows, drawn into docs/: about six minutes
	@$(BIN)/python loadtest/curves.py --out docs $(ARGS)

pictures: $(READY) $(LOADENV) ## the dashboard, drawn into docs/img/ from five minutes of a real run; needs prometheus
	@loadtest/.venv/bin/python deploy/grafana/draw.py $(ARGS)

profile: $(READY) $(LOADENV) ## a flame graph of a worker under load; needs the right to look into processes
	@$(BIN)/python loadtest/flame.py --rows 1 --functions $(ARGS)

secrets: ## what docker compose needs and nobody else knows: deploy/secrets/, made once
	@sh deploy/secrets.sh

rehearse: $(READY) ## docker-compose.yml as processes of this machine, tried out; ARGS=--load with k6 and locust
	@$(BIN)/python deploy/rehearse $(ARGS)

lock: ## write requirements.lock and deploy/requirements anew from what pyproject.toml allows
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,postgres]'
	@{ echo '# Exact versions that the suite passes with. Written by `make lock`.'; \
	   $(BIN)/python -m pip freeze --exclude-editable; } > requirements.lock
	@$(MAKE) --no-print-directory lock-images
	@touch $(READY)

HASHED := compile --quiet --no-header --generate-hashes --universal --python-version 3.11 --custom-compile-command 'make lock'
IMAGES := deploy/requirements

lock-images: ## deploy/requirements: what the images install, by hash, in the versions of requirements.lock
	@$(BIN)/python -m venv build/uv && build/uv/bin/pip install --quiet --disable-pip-version-check uv
	@echo 'setuptools>=77' | build/uv/bin/uv pip $(HASHED) -o $(IMAGES)/build.txt -
	@build/uv/bin/uv pip $(HASHED) -c requirements.lock --extra postgres --extra otel -o $(IMAGES)/server.txt pyproject.toml
	@build/uv/bin/uv pip $(HASHED) -c requirements.lock --extra postgres --extra otel --extra embedded -o $(IMAGES)/embedded.txt pyproject.toml

clean: ## remove what the commands above made
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
