#!/usr/bin/env python3
"""Pre-training: any objective over any network, on audio without labels.

> python train.py hparams/tera.yaml --train_data DIR

DIR is searched for audio; README.md lists the objectives, other forms of data, and the
numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.pretraining_data import prepare, splits
from s3prl_sb.brains.pretraining_run import pretrain
from s3prl_sb.startup.experiment import start

if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    pretrain(hparams, run_opts, splits(hparams))
