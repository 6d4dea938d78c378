# make demo [ARGS="--seed 3 --json"]   simulated robot camera, node and questions; needs no torch
# make test [ARGS="tests/core -k depth"] the tests, without the long ones
# Both set up everything they need in .venv; the first time takes minutes.

SHELL := /bin/bash
VENV ?= .venv
PYTHON ?= python3
JOBS ?= 2
ARGS ?=
TEST_EXTRAS := torch,train,export,tensorrt,bag,view,shell,dev
export PYTHON

.PHONY: help venv venv-test demo test test-long lint pictures clean

help:
	@sed -n 's/^# //p' Makefile; echo "make test-long | lint | pictures | venv | clean"

venv:
	@tools/setup_env.sh $(VENV)

venv-test:
	@tools/setup_env.sh $(VENV) $(TEST_EXTRAS)

demo:
	@tools/setup_env.sh $(VENV) >&2
	@$(VENV)/bin/cooper demo $(ARGS)

#: at most nine minutes of processor time: a test that nobody can wait for is not run
test: venv-test
	@COOPER_TEST_BUDGET_S=540 tools/run_tests.sh $(VENV) $(JOBS) -m "not long" $(ARGS)

#: exit status 5 of pytest: ARGS selected none of this half.
test-long: venv-test
	@tools/run_tests.sh $(VENV) $(JOBS) -m "not alone" $(ARGS) || [ $$? -eq 5 ]
	@tools/run_tests.sh $(VENV) 1 -m alone $(ARGS) || [ $$? -eq 5 ]

lint: venv-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

#: docs/*.png and docs/*.jpg anew, from what is committed; look at them before committing
pictures: venv-test
	@$(VENV)/bin/python tools/make_pictures.py $(ARGS)

clean:
	rm -rf $(VENV) *.egg-info build install log
