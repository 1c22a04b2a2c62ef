# make demo   the main job, offline: draw pets, serve them, crawl them, show the shards
# make test   the test suite
# make check  format, lint, types, import contracts and tests (under 10 minutes)
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

.PHONY: help setup demo test check check-slow format constraints peers clean

help: ; @sed -n 's/^# \(make .*\)/\1/p' Makefile

setup: $(SETUP)

$(SETUP): pyproject.toml constraints.txt
	@test -x $(PY) || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing petdata[$(EXTRAS)] into $(VENV) (some minutes the first time: torch is large)"
	@$(PY) -m pip install -q uv
	@$(UV) pip install -q --python $(PY) -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

constraints:  # tested versions, without addresses
	$(UV) pip compile -q --no-header --no-annotate --no-emit-index-url --no-emit-find-links --all-extras \
	  --python $(PY) pyproject.toml -o constraints.txt
