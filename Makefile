# make demo    watch a model learn: generated images, stock MMPose tools
# make test    lint, types and all tests
# make docs    the documentation as a site, in site/
# make setup   only the virtual environment in .venv, which the others make if it is missing
PYTHON ?= python3
BIN := .venv/bin
FIGURES := configs/body_2d_keypoint/topdown_heatmap/figures/td-hm_cpm-slim-3s_1xb16-3e_figures-96x96.py
# Of MMEngine's 400 lines of each run, which are in --work-dir, too: epochs, tables, and all from an
# error on.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
BRIEF := awk '/Traceback|[Ee]rror:/ { all = 1 } \
	all || /Epoch\(|^\|/ { print all ? $$0 : substr($$0, 1, 120); fflush() }'

.PHONY: demo test docs setup clean

demo: .venv/ready
	$(BIN)/python tools/make_figures.py demo_output/figures --train 3000 --val 300 --size 96 --seed 1
	$(BIN)/python tools/train.py $(FIGURES) --work-dir demo_output/train 2>&1 | $(BRIEF)
	$(BIN)/python tools/test.py $(FIGURES) "$$(cat demo_output/train/last_checkpoint)" \
		--work-dir demo_output/test 2>&1 | $(BRIEF)
	$(BIN)/python tools/analysis/stages.py $(FIGURES) "$$(cat demo_output/train/last_checkpoint)" \
		--out demo_output/stages.png

test: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

setup: .venv/ready

# Without build isolation, because mmpose's chumpy cannot be built in it.
.venv/ready: constraints.txt setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' || \
		{ echo 'needs Python 3.11 or 3.12: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install -q -c constraints.txt 'setuptools<81' wheel
	$(BIN)/pip install -q -c constraints.txt numpy cython
	$(BIN)/pip install -c constraints.txt --no-build-isolation -e '.[mmpose,docs,dev]' mmcv-lite
	touch $@

clean:
	rm -rf .venv demo_output site
