# `make demo` and `make test` do all the set-up on a fresh machine: a virtual environment in .venv, nothing outside it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DEMO_OUT ?= runs/demo
TRAININGS = tests/engine tests/cli
EXPORTS = tests/engine/test_export_networks.py
CLUSTER = tests/tune tests/cli/test_cluster_commands.py tests/engine/test_training_together.py

.PHONY: demo test docs lint unit slow slow-trainings slow-others slow-cluster slow-exports install object-store clean

demo: install
	$(BIN)/posestream demo --out $(DEMO_OUT)

test: install object-store lint docs unit

# The site of the guides; a dead link inside it, or a reference that does not fit the code, is an error.
docs: install
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

unit:
	$(BIN)/python -m pytest

# Trainings keep one core busy each, so two of the groups run side by side, the longest first.
slow: object-store
	$(MAKE) -j2 --output-sync=target slow-trainings slow-cluster slow-others slow-exports

slow-trainings:
	$(BIN)/python -m pytest -m slow $(TRAININGS) $(CLUSTER:%=--ignore=%) $(EXPORTS:%=--ignore=%)

slow-others:
	$(BIN)/python -m pytest -m slow $(TRAININGS:%=--ignore=%) $(CLUSTER:%=--ignore=%)

slow-cluster:
	$(BIN)/python -m pytest -m slow $(CLUSTER)

slow-exports:
	$(BIN)/python -m pytest -m slow $(EXPORTS)

install: $(VENV)/installed

# torch comes first and pinned, so that no other package picks another version of it. xtcocotools must be
# built against the numpy that is installed; its wheel is for numpy 1.
$(VENV)/installed: pyproject.toml constraints.txt Makefile
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "posestream needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		(echo "no virtual environment: on Debian, apt-get install python3-venv python3-dev gcc"; exit 1)
	$(PIP) install -q -c constraints.txt torch numpy cython setuptools wheel
	$(PIP) install -q -c constraints.txt --no-build-isolation --no-binary xtcocotools xtcocotools
	$(PIP) install -q -c constraints.txt --no-build-isolation -e '.[dev,docs,export]'
	touch $@

# The S3 server that tests start. It has an environment of its own: its botocore wants another python-dateutil.
object-store: $(VENV)/object-store/installed

$(VENV)/object-store/installed: tests/object_store/requirements.txt
	$(PYTHON) -m venv $(VENV)/object-store
	$(VENV)/object-store/bin/python -m pip --disable-pip-version-check install -q -r tests/object_store/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
