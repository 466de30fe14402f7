# What each target is for stands in the README. Python: any python3 of 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
# Besides that one; nothing where it is a 3.13 itself.
PYTHON_3_13 := $(shell $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] == (3, 13))' && for python in python3.13 $$HOME/.pyenv/versions/3.13*/bin/python3.13; do \
	$$python -c '' 2>/dev/null && echo $$python && break; done)
# What of the packages is used gets compiled when it is first used: less than half of the time, also with that.
PIP := -m pip install --quiet --disable-pip-version-check --require-hashes --no-compile
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo what-demo-needs run setup test tests checks what-tests-need test-3.13 test-fast tests-but-slow soak fresh bench pictures lock clean

demo: what-demo-needs .venv/.demo
	@$(BIN)/python -m demo

# Before the minute of downloading.
what-demo-needs:
	@test -e .venv/.demo || $(PYTHON) -m demo.system

run: .venv/.app
	$(BIN)/streamlit run app.py $(if $(PORT),--server.port=$(PORT))

setup: .venv/.app .venv/.demo .venv/.dev

test:
	@$(MAKE) --no-print-directory --jobs=2 checks tests $(if $(PYTHON_3_13),test-3.13)

# A process for the browser's tests and two for the others, which take what it leaves of two cores.
tests: what-tests-need
	$(BIN)/python -m pytest -n 3

checks: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

what-tests-need: setup
	$(BIN)/python -m tests.system

# What another Python than that of .venv could break: values, the wire, transactions, and each page once.
test-3.13: .venv-3.13/.dev
	.venv-3.13/bin/python -m pytest -q -k "not postgresql and (not opening or with_one_configuration)" \
		tests/pages/test_opening.py tests/db/test_turns.py $(addprefix tests/connector/test_,response.py stream.py)

test-fast: setup
	@$(MAKE) --no-print-directory --jobs=2 checks tests-but-slow

tests-but-slow: setup
	$(BIN)/python -m pytest -n 2 -m "not browser and not slow"

# Many minutes: hundreds of kills, what the browser does on PostgreSQL, too, and the commands on a fresh Debian.
soak: setup what-tests-need fresh
	$(BIN)/python -m pytest -v --soak --timeout=1800

# As root, with debootstrap. FRESH="--release trixie --only demo" picks one release and one command.
fresh:
	$(PYTHON) tests/fresh.py $(FRESH)

# Minutes, and it writes benchmarks/results.md. BENCH=--check fails where a figure is missed.
bench: setup .venv-litellm/.bench .venv-langchain/.bench
	$(BIN)/python -m benchmarks.connector_speed $(BENCH)
	$(BIN)/python -m benchmarks.start --clone $(BENCH)
	$(BIN)/python -m benchmarks.streaming $(BENCH)
	$(BIN)/python -m benchmarks.showcase $(BENCH)
	$(BIN)/python -m benchmarks.drawing $(BENCH)

# Those of the README, after a change of the look.
pictures: setup what-tests-need
	$(BIN)/python -m tests.pictures

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	@echo "Making .venv and installing into it; this takes a minute the first time."
	$(PYTHON) -m venv .venv

.venv/.app: requirements.txt | .venv/bin/python
	$(BIN)/python $(PIP) -r requirements.txt
	@touch $@

# Without its dependencies: pip would compile an engine that is not used.
.venv/.demo: requirements-demo.txt .venv/.app
	$(BIN)/python $(PIP) --no-deps -r requirements-demo.txt
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.app | .venv/.demo
	$(BIN)/python $(PIP) -r requirements-dev.txt
	@touch $@

.venv-3.13/.dev: requirements.txt requirements-dev.txt requirements-demo.txt
	$(PYTHON_3_13) -m venv .venv-3.13
	.venv-3.13/bin/python $(PIP) -r requirements.txt -r requirements-dev.txt
	.venv-3.13/bin/python $(PIP) --no-deps -r requirements-demo.txt
	@touch $@

# What the benchmarks compare with, in environments of their own: the newest ask for newer versions of what we share.
.venv-litellm/.bench .venv-langchain/.bench: .venv-%/.bench: benchmarks/requirements-%.txt | .venv/bin/python
	$(BIN)/python -m venv .venv-$*
	.venv-$*/bin/python $(PIP) -r $<
	@touch $@

# Needs uv (pip install uv): it resolves for all platforms and Python versions at once.
lock: COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --universal --generate-hashes \
	--python-version 3.11 --no-annotate
lock:
	$(COMPILE) --extra app pyproject.toml -o requirements.txt
	$(COMPILE) --group dev -c requirements.txt -o requirements-dev.txt
	$(COMPILE) --no-deps --group demo -o requirements-demo.txt
	echo litellm | $(COMPILE) - -o benchmarks/requirements-litellm.txt
	echo langchain-openai | $(COMPILE) - -o benchmarks/requirements-langchain.txt

clean:
	rm -rf .venv .venv-3.13 .venv-litellm .venv-langchain .mypy_cache .pytest_cache .ruff_cache build
