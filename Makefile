# Everything runs in .venv, which the first target that needs it makes.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.installed
CODE    = $(wildcard odeopt experiments tests)
# SMOKE=1 draws small versions of the figures, quickly
FLAGS   = $(if $(filter-out 0,$(SMOKE)),--smoke)

export MPLBACKEND ?= agg
# 2026-01-01: PDF files hold this date instead of today's, so that the same figure is the same file
export SOURCE_DATE_EPOCH ?= 1767225600

# ruff does not read setup.cfg. Left out: magic methods without docstrings (D105); methods of the contract, which the
# base class documents once (D102); noun phrases, since most functions here stand for a quantity (D401); Greek letters
# and signs such as the multiplication sign in text (RUF001-RUF003).
RUFF := $(VENV)/bin/ruff check --isolated --line-length 120 --target-version py311 \
        --select E,F,W,I,D,B,UP,NPY,RUF,SIM --ignore D102,D105,D401,RUF001,RUF002,RUF003 \
        --config 'lint.pydocstyle.convention="numpy"' \
        --config 'lint.per-file-ignores = {"tests/**" = ["D"], "experiments/**" = ["D101", "D103"]}'

.DEFAULT_GOAL := help
.PHONY: help env figures test lint bench clean FORCE

help:  ## print this list
	@echo 'make TARGET, where TARGET is one of'
	@sed -n 's/^\([a-z][^:]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | sed 's/%/PAPER\/NAME/' \
		| awk -F'|' '{ printf "%-26s%s\n", $$1, $$2 }'

env: $(READY)  ## make .venv with the versions in constraints.txt

$(READY): setup.cfg pyproject.toml constraints.txt
	$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(PY) -m pip install --quiet -c constraints.txt -e '.[data,test,lint]'
	touch $@

figures: $(READY)  ## draw every figure and the gallery (SMOKE=1: small and quick)
	$(PY) -m experiments $(FLAGS)

figures/%.pdf: $(READY) FORCE  ## draw one figure
	$(PY) -m experiments $* $(FLAGS)

test: $(READY)  ## run the tests (ARGS='-k order' passes arguments to pytest)
	$(PY) -m pytest -n auto --dist worksteal $(ARGS)

lint: $(READY)  ## check style and types
	$(RUFF) $(CODE)
	$(PY) -m mypy

# settings that some machines carry for old versions of OpenBLAS slow NumPy down
bench: $(READY)  ## measure speed beside other tools, into figures/benchmarks (ARGS=--quick: in small)
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(PY) -m experiments.benchmarks $(ARGS)

clean:  ## remove what was made: data and PDFs of figures, builds, caches (keeps .venv)
	rm -rf build dist *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache figures/data figures/smoke
	if [ -d figures ]; then find figures \( -name '*.pdf' -o -name '.*.pdf.*' -o -name '.*.png.*' \) -delete; fi
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
