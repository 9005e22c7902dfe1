# make demo    the main job, on a corpus that the machine speaks itself
# make test    the test suite
# Both set everything up in .venv first, and are fast the second time.

PYTHON ?= python3
BIN := .venv/bin
STEPS ?= 3000
DEMO := demo
PIP := $(wildcard bootstrap/pip-*.whl)
CORPUS := $(DEMO)/speech_commands

.PHONY: demo test clean

demo: .venv/ready
	@echo "--- A corpus that this machine speaks itself"
	@$(BIN)/s3prl-sb toy speech_commands $(CORPUS)
	@for upstream in fbank_no_cmvn hubert_small_random; do \
	  echo; \
	  echo "--- s3prl-sb run SUPERB/KS --upstream $$upstream"; \
	  $(BIN)/s3prl-sb run SUPERB/KS --upstream $$upstream \
	    --data_folder $(CORPUS) --output_folder $(DEMO)/KS/$$upstream \
	    --cache_folder $(DEMO)/cache \
	    --total_steps $(STEPS) --steps_per_epoch 500 --lr 0.0003 || exit 1; \
	done
	@echo
	@echo "--- s3prl-sb results $(DEMO)/KS"
	@$(BIN)/s3prl-sb results $(DEMO)/KS
	@echo
	@echo "--- s3prl-sb predict $(DEMO)/KS/fbank_no_cmvn, of a \"yes\""
	@$(BIN)/s3prl-sb predict $(DEMO)/KS/fbank_no_cmvn \
	  "$$(ls $(CORPUS)/speech_commands_test_set_v0.01/yes/*.wav | head -n 1)"

test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

.venv/ready: setup.py constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or later is needed" if sys.version_info < (3, 10) else 0)'
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv || $(MAKE) .venv/without-ensurepip
	@echo "--- Installing into .venv, which takes some minutes"
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[all]'
	@touch $@

# Debian's and Ubuntu's bare Python: no pip, and none to be had from venv.
.venv/without-ensurepip:
	$(PYTHON) -m venv --clear --without-pip .venv
	$(BIN)/python $(PIP)/pip install --no-index $(PIP)
	touch $@

clean:
	rm -rf .venv $(DEMO) build *.egg-info
