"""How Brains that are trained together do, as part of their checkpoints.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import math
from pathlib import Path

from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

from s3prl_sb.storage.files import read_json


@register_checkpoint_hooks
class Standing:
    """How the copies of a sweep do, as part of its checkpoints.

    Arguments
    ---------
    count : int
        Copies.
    """

    def __init__(self, count):
        self.best = [None] * count  # score, loss and epoch of each
        self.diverged = [None] * count  # the step
        self.nonfinite = [0] * count  # losses of this epoch
        self.stacked = None  # whether they train stacked, once that is known

    def update(self, i, score, loss, epoch, highest):
        """Takes a validation down; of equals the earlier stays."""
        before = self.best[i] and self.best[i]["score"]
        better = before is None or (score > before if highest else score < before)
        if better and math.isfinite(score):
            self.best[i] = {"score": score, "loss": loss, "epoch": epoch}

    @mark_as_saver
    def _save(self, path):
        Path(path).write_text(json.dumps(vars(self)), encoding="utf-8")

    @mark_as_loader
    def _load(self, path, end_of_epoch):
        vars(self).update(read_json(path, "the standing of a search", kind=dict))
