"""Base of Brains that train nothing and choose a hidden state on the validation set.

Authors
 * The s3prl_sb developers, 2026
"""

import time

import speechbrain as sb

from s3prl_sb.brains import distributed
from s3prl_sb.terminal import progress


class UntrainedBrain(sb.Brain):
    """Brain that measures hidden states, without a training.

    A subclass has ``task``, ``metric`` and ``higher_is_better``, and describes its test
    set in ``tested_on``.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe. Needs ``upstream_model``, ``upstream_name``,
        ``output_folder``, ``save_folder``, ``seed``.
    run_opts : dict
        Options of SpeechBrain.
    """

    origin = None  # nothing is trained
    signatures: dict = {}  # of no metric
    unit = "utterance"  #: what a bootstrap of the test set draws

    def __init__(self, hparams, run_opts=None):
        hparams = {**hparams, "total_steps": 0}
        super().__init__(hparams=hparams, run_opts=run_opts)
        if self.distributed_launch:
            distributed.leave_in_order()
        if self.noprogressbar:
            progress.without_bars()
        self.started = time.time()
        self.upstream = hparams["upstream_model"]
        self.best = {}

    def measures(self):
        """Returns what each item of the test contributed to each metric, see
        :meth:`s3prl_sb.brains.evaluation.Evaluation.measures`; here None."""
        return None
