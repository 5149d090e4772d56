# `make` lists the targets. Settings: make lab PORT=9000 BROWSER=no PYTHON=python3.12 VENV=/elsewhere/venv

VENV ?= .venv
PORT ?= 8888
ARGS ?=
# The first Python that is new enough; with none, python3, so that the bootstrap can say what is wrong with it.
PYTHON ?= $(or $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done),python3)

BOOTSTRAP = @$(PYTHON) labs/bootstrap.py --venv $(VENV) --extras
RUN = $(VENV)/bin/python -m
NOTEBOOKS = $(wildcard labs/[0-9]*.ipynb labs/solutions/[0-9]*.ipynb)

.DEFAULT_GOAL := help
.PHONY: help lab doctor test test-slow test-slurm test-tensorflow labs-test labs-check labs-browser labs lint bench pins clean

help: ## this list
	@echo 'aurora-labs: start with   make lab'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18
	@echo 'settings: PORT=8888  BROWSER=no  PYTHON=python3.12  VENV=.venv  ARGS="more for pytest or a benchmark"'
	@echo 'The pinned torch comes from your package index; where that offers CUDA builds, a CPU index saves gigabytes:'
	@echo '  PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make lab'

lab: ## install what is missing, check this machine, open the labs in JupyterLab
	$(BOOTSTRAP) labs,mpi,models
	@$(RUN) labs.cli doctor || { echo 'To start all the same: $(VENV)/bin/aurora lab'; exit 1; }
	@$(RUN) labs.cli lab --port $(PORT) $(if $(filter no,$(BROWSER)),--no-browser)

doctor: ## check this machine, line by line, with the mending command
	$(BOOTSTRAP) labs,mpi,models
	@$(RUN) labs.cli doctor

test: ## the fast tests
	$(BOOTSTRAP) labs,mpi,models,test
	$(RUN) pytest $(ARGS)

test-slow: ## the slow tests
	$(BOOTSTRAP) labs,mpi,models,test
	$(RUN) pytest -m slow $(ARGS)

test-slurm: ## what runs on a real Slurm, four of them at a time; as root: apt-get install slurm-wlm munge
	$(BOOTSTRAP) labs,mpi,models,test
	$(RUN) pytest -n 4 --dist loadfile -m slurm $(ARGS) tests/slurm

test-tensorflow: ## the tests of Keras with TensorFlow, in an environment of their own, .venv-tensorflow
	@$(PYTHON) labs/bootstrap.py --venv $(VENV)-tensorflow --extras tensorflow,test
	KERAS_BACKEND=tensorflow $(VENV)-tensorflow/bin/python -m pytest -m tensorflow $(ARGS) tests/keras

labs-test: ## run every notebook, the learner's and the solutions, cell by cell
	$(BOOTSTRAP) labs,mpi,models,test
	@test -n "$(NOTEBOOKS)" || { echo 'no notebooks yet: write labs/source/NN_name.py, then make labs'; exit 1; }
	d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && SOL_CACHE_DIR=$$d/cache AURORA_PROGRESS_DIR=$$d/progress AURORA_STRICT=1 \
		$(RUN) pytest -p no:python --nbval-lax --nbval-current-env --nbval-cell-timeout 300 $(ARGS) $(NOTEBOOKS)

labs-check: ## run the solutions with other parameters, as an instructor would; minutes stated beside minutes taken
	$(BOOTSTRAP) labs,mpi,models,test
	@$(RUN) labs.cli check 00 01 04 05 -p runs=2
	@$(RUN) labs.cli check 02 -p runs=2 -p batch=2
	@$(RUN) labs.cli check 06 -p runs=2 -p threads=1
	@$(RUN) labs.cli check 07 08 -p runs=2 -p ranks=2
	@$(RUN) labs.cli check 10 -p patience=5

labs-browser: ## every lab in JupyterLab in a browser: errors, widths, accessibility, widgets
	$(BOOTSTRAP) labs,mpi,models,test
	$(RUN) pytest -m "slow or not slow" $(ARGS) tests/labs/test_browser.py

labs: ## make the notebooks anew from labs/source
	$(BOOTSTRAP) labs
	@$(RUN) labs.cli build

lint: ## ruff: the rules and the format
	$(BOOTSTRAP) labs,test
	$(RUN) ruff check .
	$(RUN) ruff format --check .

bench: ## every benchmark, each a table of ratios taken in one run (about an hour)
	$(BOOTSTRAP) labs,mpi,bench,models
	$(RUN) benchmarks.inference $(ARGS)

# torch is named exactly: a range would bring the newest build, with gigabytes of CUDA packages beside it.
TORCH ?= 2.13.0
# soupsieve 3 and later refuse Debian 12's Python 3.11.2.
pins: ## constraints.txt anew, from the newest versions of everything but torch (TORCH=2.13.0)
	rm -rf build/pins && $(PYTHON) -m venv build/pins
	build/pins/bin/python -m pip install --quiet --upgrade 'torch==$(TORCH)' 'soupsieve<3' setuptools '.[labs,mpi,bench,models,test,tensorflow]'
	head -1 constraints.txt > build/pins/list
	build/pins/bin/python -m pip freeze --all --exclude aurora-labs --exclude pip | sed 's/+.*//' >> build/pins/list
	mv build/pins/list constraints.txt && rm -rf build/pins

clean: ## remove what was built, the environment too; notebooks and results stay
	rm -rf $(VENV) $(VENV)-tensorflow build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
