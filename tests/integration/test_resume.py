"""Killed with -9 at any moment and run again, a recipe ends bit-identical.

What "identical" covers is in ``conftest.assert_same_outcome``: each tensor of the
best checkpoint (featurizer, head, fine-tuned upstream, optimizers), the
predictions and the results.
"""

import random
import shutil
import time

import pytest
from conftest import KS, REPOSITORY, assert_same_outcome, command, results, run

HEAD = """
import torch
from s3prl_sb.lobes.heads import UtteranceClassifier

class DropoutClassifier(UtteranceClassifier):
    def forward(self, features, lens):
        return super().forward(torch.nn.functional.dropout(features, 0.3, self.training), lens)
"""
NOISY_PIPES = """
train_pipes:
    - !new:s3prl_sb.dataio.pipes.LoadAudio
        sample_rate: !ref <sample_rate>
    - !new:s3prl_sb.dataio.pipes.RandomCrop
        seconds: 0.4
        seed: !ref <seed>
    - !new:s3prl_sb.dataio.pipes.AddNoise
        snr: [0, 20]
        seed: !ref <seed>
"""
#: What training depends on differs in each: nothing random but the order; crops,
#: noise, workers and dropout; a trained upstream with dropout, accumulation.
CASES = ("cached", "random", "finetuned")
#: Functions to be killed at, and where in the call.
POINTS = [
    ("os.replace", "before"),  # manifests, shards, checkpoints, results: named
    ("os.replace", "after"),
    ("os.fsync", "before"),
    ("os.unlink", "after"),  # checkpoints: half deleted
    ("torch.save", "half"),  # checkpoints: half written
    ("speechbrain.Brain.evaluate_batch", "after"),
    ("s3prl_sb.brains.base.SSLBrain.fit_batch", "after"),
]


@pytest.fixture(scope="module")
def recipes(corpus, tmp_path_factory):
    """``recipes(case, output)``: the arguments of a case."""
    folder = tmp_path_factory.mktemp("recipes")
    card = folder / "tiny.yaml"
    # Its folder is on the path of modules once the card is read.
    from conftest import TINY

    card.write_text(TINY)
    (folder / "dropout_head.py").write_text(HEAD)
    text = (KS / "hparams/train.yaml").read_text()
    before, _, rest = text.partition("train_pipes:")
    rest = rest.partition("eval_pipes:")[2]
    text = f"{before}{NOISY_PIPES}eval_pipes:{rest}"
    noisy = folder / "noisy.yaml"
    noisy.write_text(
        text.replace("s3prl_sb.lobes.heads.UtteranceClassifier", "dropout_head.DropoutClassifier")
    )
    common = {
        "data_folder": corpus,
        "labels": "folders",
        "version": "v0.02",
        "total_steps": 12,
        "steps_per_epoch": 4,
        "batch_size": 8,
        "lr": 0.01,
        "ckpt_interval_steps": 1,
    }
    loaders = "{batch_size: 8, balance: label, num_workers: 1}"
    cases = {
        "cached": {"upstream": "fbank_no_cmvn"},
        "random": {
            "upstream": card,
            "hparams": noisy,
            "cache": "off",
            "train_dataloader_opts": loaders,
            "valid_dataloader_opts": "{batch_size: 8, num_workers: 0}",
            "test_dataloader_opts": "{batch_size: 8, num_workers: 0}",
        },
        "finetuned": {
            "upstream": card,
            "freeze": False,
            "lr_upstream": 0.001,
            "grad_accumulation_factor": 2,
            "train_dataloader_opts": loaders.replace("1", "0"),
            "valid_dataloader_opts": "{batch_size: 8, num_workers: 0}",
            "test_dataloader_opts": "{batch_size: 8, num_workers: 0}",
        },
    }
    return lambda case, output: command(KS, output, **common, **cases[case])


@pytest.fixture(scope="module")
def uninterrupted(recipes, launcher, tmp_path_factory):
    """``uninterrupted(case)``: the output of a whole run, and its seconds."""
    done = {}

    def get(case):
        if case not in done:
            output = tmp_path_factory.mktemp(case) / "whole"
            started = time.monotonic()
            assert launcher.run(recipes(case, output)) == 0
            done[case] = output, time.monotonic() - started
        return done[case]

    return get
