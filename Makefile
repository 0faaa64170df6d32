.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# Two stamps: what the parts need, and what the tests and checks need on top of it.
PARTS := .venv/.parts
INSTALLED := .venv/.installed
# Files of properties that hold of drawn examples.
PROPERTIES := $(addprefix tests/unit/, $(addsuffix .py, search_spaces/test_properties search_spaces/test_export \
  search_spaces/test_plateau service/test_paired store/test_pruning))
# The tests of pages look at them in the system's Chromium.
BROWSER := .venv/.browser
# Every process would compile our sources anew, and tests start hundreds of them: compiled code is kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo up test browser check soak fuzz bench peers format clean install

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 16

install: $(PARTS)  ## make the virtual environment with the pinned dependencies of the parts

# torch first: any other order lets pip weigh builds that are gigabytes larger.
$(PARTS): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Etude needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[service,workers]'
	touch $@

$(INSTALLED): $(PARTS)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install  ## search a schedule on real data, end to end, and print the answer (under 3 minutes)
	@$(BIN)/etude demo

up: install  ## keep the service, two workers and the Optuna dashboard running; Ctrl-C stops them
	@$(BIN)/etude up

# Without it the tests of pages fail, and say so: what cannot be installed here stops nothing else.
$(BROWSER): | $(INSTALLED)
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get -qq update \
	  && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends chromium >/dev/null; then touch $@; \
	else echo "The tests of pages need Chromium: install your system's package, on Debian: apt-get install chromium"; fi

browser: $(BROWSER)  ## install Chromium for the tests of pages (Debian, as root)

test: $(INSTALLED) $(BROWSER)  ## run the tests (under 8 minutes)
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

soak: $(INSTALLED)  ## run the long tests: many workers, long kills, every optimizer (installs Ray and Syne Tune; under 40 minutes)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[peers,ray]'
	$(BIN)/python -m pytest tests/soak
	$(BIN)/python -m pytest --hypothesis-profile many $(PROPERTIES)
	TESTS_OWN_BUDGETS=yes $(BIN)/python -m pytest tests/promises/test_readme.py tests/acceptance/test_control.py

fuzz: $(INSTALLED)  ## ask every operation of the HTTP surface 5,000 odd things and more (SEED=7: other ones)
	ETUDE_FUZZ_SEED=$(SEED) $(BIN)/python -m pytest tests/soak/test_fuzzing.py

bench: $(INSTALLED)  ## measure what coordination costs against Optuna's own path, on a PostgreSQL of its own
	$(BIN)/python -m benchmarks.coordination

peers: $(INSTALLED)  ## measure the same search by Étude, Optuna, Ray Tune and a bare loop (installs Ray; about 25 minutes)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[peers]'
	$(BIN)/python -m benchmarks.peers

check: $(INSTALLED)  ## lint, types, import contracts and the compose file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/docker-compose --profile '*' config --quiet

format: $(INSTALLED)  ## rewrite the sources in the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the virtual environment and everything that a run left behind
	rm -rf .venv var build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
