# make demo     the main job, on a corpus that the machine speaks itself: probing, then
#               pre-training
# make scenes   the timeline of a mixed scene: who speaks, what is said, which sounds happen
# make test     all checks and all tests
# make quick    lint, format, types, examples, unit tests that start no programs
# make docs     the documentation site, docs/_site/index.html, with the table of upstreams;
#               LINKS=1 also looks whether the addresses on the web answer
# make figures  lengths, circles, documentation: the numbers that tests hold
# make parity   the fixtures of tests/parity, made again by S3PRL and compared
# make wheel    the package as it is published, installed elsewhere and used
#
# All set everything up in .venv first, and are fast the second time.

PYTHON ?= python3
JOBS ?= 3# processes of tests, of one thread each; some of them wait
BIN := .venv/bin
STEPS ?= 3000
DEMO := demo
CORPUS := $(DEMO)/speech_commands
PROBE := --data_folder $(CORPUS) --cache_folder $(DEMO)/cache \
  --total_steps $(STEPS) --steps_per_epoch 500 --lr 0.0003
PRETRAINED := $(DEMO)/pretraining
NETWORK := config: {hidden_size: 128}
SCENES := $(DEMO)/scenes
RECOGNIZER := --num_speakers 2 --total_steps 900 --steps_per_epoch 300 --lr 0.004 \
  --scheduler linear --warmup_steps 0.1 \
  --head "{projection_size: 64, hidden_size: 64, num_layers: 1, word_size: 64}"
# Two processes: each holds torch, and reads half of the pages.
SITE := OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -q -j 2 -c docs -d docs/_site/.doctrees .
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= \
  $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: demo scenes test quick lint types docs figures parity wheel clean

demo: .venv/ready
	@echo "--- A corpus that this machine speaks itself"
	@$(BIN)/s3prl-sb toy speech_commands $(CORPUS)
	@for upstream in fbank_no_cmvn hubert_small_random; do \
	  echo; \
	  echo "--- s3prl-sb run SUPERB/KS --upstream $$upstream"; \
	  $(BIN)/s3prl-sb run SUPERB/KS --upstream $$upstream \
	    --output_folder $(DEMO)/KS/$$upstream $(PROBE) || exit 1; \
	done
	@echo
	@echo "--- s3prl-sb results $(DEMO)/KS"
	@$(BIN)/s3prl-sb results $(DEMO)/KS
	@echo
	@echo "--- s3prl-sb predict $(DEMO)/KS/fbank_no_cmvn, of a \"yes\""
	@$(BIN)/s3prl-sb predict $(DEMO)/KS/fbank_no_cmvn \
	  "$$(ls $(CORPUS)/speech_commands_test_set_v0.01/yes/*.wav | head -n 1)"
	@echo
	@echo "--- s3prl-sb run pretraining/apc, on the same audio without labels or test set"
	@$(BIN)/s3prl-sb run pretraining/apc --train_data $(CORPUS)/speech_commands_v0.01 \
	  --output_folder $(PRETRAINED)/apc --upstream_model "{$(NETWORK)}" \
	  --total_steps 150 --steps_per_epoch 25 --batch_seconds 60 \
	  --lr 0.002 --scheduler linear --warmup_steps 0.1
	@echo
	@echo "--- s3prl-sb run SUPERB/KS --upstream $(PRETRAINED)/apc/card.yaml"
	@$(BIN)/s3prl-sb run SUPERB/KS --upstream $(PRETRAINED)/apc/card.yaml \
	  --output_folder $(PRETRAINED)/KS/apc $(PROBE)
	@echo
	@echo "--- The same with the random weights that its pre-training began with"
	@$(BIN)/s3prl-sb run SUPERB/KS --upstream apc --upstream_name apc_random \
	  --upstream_model "{source: null, seed: 1986, $(NETWORK)}" \
	  --output_folder $(PRETRAINED)/KS/apc_random $(PROBE)
	@echo
	@echo "--- s3prl-sb results $(DEMO)/KS/fbank_no_cmvn $(PRETRAINED)/KS"
	@$(BIN)/s3prl-sb results $(DEMO)/KS/fbank_no_cmvn $(PRETRAINED)/KS
	@echo "Figures: $(PRETRAINED)/apc/training.png and reconstruction.png"

scenes: .venv/ready
	@echo "--- s3prl-sb toy scenes: voices and sounds, mixed by this machine"
	@$(BIN)/s3prl-sb toy scenes $(SCENES)/corpus
	@echo
	@echo "--- s3prl-sb run Scenes/recognition --upstream fbank"
	@$(BIN)/s3prl-sb run Scenes/recognition --upstream fbank \
	  --data_folder $(SCENES)/corpus --output_folder $(SCENES)/fbank \
	  --cache_folder $(DEMO)/cache $(RECOGNIZER)
	@echo
	@echo "--- s3prl-sb predict $(SCENES)/fbank, of a scene of the test set"
	@$(BIN)/s3prl-sb predict $(SCENES)/fbank \
	  $(SCENES)/corpus/audio/test/test-00012-both.wav \
	  --plot $(SCENES)/timeline.png --html $(SCENES)/timeline.html
	@echo "Pictures: $(SCENES)/timeline.png and $(SCENES)/timeline.html"

# The checks before the tests are programs of one thread each.
test: .venv/ready
	@$(MAKE) --no-print-directory --jobs 2 lint types wheel
	$(PYTEST)

quick: lint types
	$(PYTEST) tests/unit s3prl_sb -m "not slow"

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

docs: .venv/ready
	$(BIN)/python -m s3prl_sb.lobes.cards.sizes
	$(BIN)/python -m s3prl_sb.lobes.cards.catalogue > docs/upstreams.md
	@# Without its index of words a build was interrupted: begin again.
	@test -f docs/_site/searchindex.js || rm -rf docs/_site
	$(SITE) -b html -W --keep-going docs/_site
	@echo "The site: docs/_site/index.html"
	@echo "Addresses on the web, not fetched: docs/_site/external_links.txt"
	$(if $(LINKS),$(SITE) -b linkcheck docs/_site/links)

figures: .venv/ready
	$(BIN)/python tests/figures.py

parity: .venv/ready
	$(BIN)/python tests/parity/make.py

wheel: .venv/ready
	$(BIN)/python tests/wheel.py $(WHEEL)

.venv/ready: setup.py constraints.txt | .venv/bin/pip
	@echo "--- Installing into .venv, which takes some minutes"
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	@touch $@

# Debian's and Ubuntu's bare Python has no ensurepip, and so makes no environment.
.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or later is needed" if sys.version_info < (3, 10) else 0)'
	@if $(PYTHON) -c 'import ensurepip' 2> /dev/null; then \
	  $(PYTHON) -m venv .venv; \
	elif command -v uv > /dev/null; then \
	  uv venv --quiet --seed --allow-existing --python "$$(command -v $(PYTHON))" .venv; \
	elif command -v virtualenv > /dev/null; then \
	  virtualenv --quiet --python "$$(command -v $(PYTHON))" .venv; \
	else \
	  echo "$(PYTHON) has no ensurepip, which environments with pip need. Either"; \
	  echo "    sudo apt install python3-venv    (Debian, Ubuntu)"; \
	  echo "    uv venv --seed                   (https://docs.astral.sh/uv)"; \
	  echo "and then make again."; \
	  exit 1; \
	fi

clean:
	rm -rf .venv .venv-s3prl $(DEMO) build dist docs/_site docs/reference *.egg-info
