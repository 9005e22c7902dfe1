"""Pre-training of a tiny network on tones."""

import sys

from toy_parts import Tones

from s3prl_sb.brains.pretraining_run import pretrain
from s3prl_sb.startup.experiment import start

if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], lambda hparams: None)
    pretrain(hparams, run_opts, {"train": Tones(), "valid": Tones(first=40)})
