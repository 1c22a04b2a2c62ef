# make demo         the main job, offline: draw pets, serve them as a site, crawl it, build, publish, train, compare
# make test         the test suite
# make setup        only the environment (.venv)
# make check        format, lint, types, import contracts and tests: what must pass before a commit
# make check-slow   the full kill matrices and other slow checks
# make format       put the code into the project's format
# make constraints  resolve the tested versions anew into constraints.txt
# make peers        what benchmarks/canonicalise.py compares with (.venv-peers)
VENV ?= .venv
EXTRAS ?= all,dev
PYTHON ?= python3
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
comma := ,
space := $(subst ,, )
# uv does not read pip's settings: hand it the wheel folders and indexes that pip is set up with (both may be empty)
export UV_FIND_LINKS ?= $(subst $(space),$(comma),$(strip $(PIP_FIND_LINKS)))
export UV_INDEX ?= $(shell $(PYTHON) -m pip config get global.extra-index-url 2>/dev/null)
export UV_INDEX_STRATEGY ?= unsafe-best-match
SETUP := $(VENV)/.setup
# which of the slow checks, as pytest takes it: make check-slow SLOW=tests/petdata
SLOW ?= tests

.PHONY: help setup demo test check check-slow format constraints peers clean

help: ; @sed -n 's/^# \(make .*\)/\1/p' Makefile

setup: $(SETUP)

$(SETUP): pyproject.toml constraints.txt
	@test -x $(PY) || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing petdata[$(EXTRAS)] into $(VENV) (some minutes the first time: torch is large)"
	@$(PY) -m pip install -q uv
	@$(UV) pip install -q --python $(PY) -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

demo: $(SETUP)
	@$(VENV)/bin/petdata demo

test: $(SETUP)
	@echo "running the tests"
	@$(PY) -m pytest -q -n auto -m "not slow"

check: $(SETUP)
	@echo "format, lint, types, import contracts"
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo
	@$(MAKE) --no-print-directory test

check-slow: $(SETUP)
	@echo "slow checks: full kill matrices"
	@$(PY) -m pytest -q -n auto -m slow $(SLOW)

format: $(SETUP)
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

# Bare name==version lines, no addresses. What stands there already stays as it is; delete a line to
# have it resolved anew.
constraints: $(SETUP)
	@$(UV) pip compile -q --no-header --no-annotate --no-emit-index-url \
	  --no-emit-find-links --all-extras --python $(PY) pyproject.toml -o constraints.txt

# img2dataset imports imghdr, which Python 3.13 no longer has.
peers: $(SETUP)
	@echo "installing img2dataset into .venv-peers, for benchmarks/canonicalise.py"
	@$(UV) venv -q --allow-existing --python '>=3.11,<3.13' .venv-peers
	@$(UV) pip install -q --python .venv-peers/bin/python img2dataset==1.47.0

clean:
	rm -rf $(VENV) .venv-peers demo-data .mypy_cache .ruff_cache .pytest_cache .hypothesis
