"""A checkpointer that a kill cannot hurt.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
import shutil

import yaml
from speechbrain.utils.checkpoints import (
    METAFNAME,
    PARAMFILE_EXT,
    Checkpoint,
    Checkpointer,
)
from speechbrain.utils.distributed import ddp_barrier, if_main_process

logger = logging.getLogger(__name__)


class AtomicCheckpointer(Checkpointer):
    """SpeechBrain's checkpointer, whose checkpoints are whole or not there.

    SpeechBrain marks a folder as a checkpoint before it has written the
    parameters into it, and deletes old ones file by file: killed in between,
    the next run fails to load. Here a checkpoint is written under another
    name, renamed when it is on the disk, and counts as one as long as all its
    files are there.

    Arguments
    ---------
    checkpoints_dir : str
        Folder of the checkpoints.
    recoverables : dict, optional
        What to save, by name.
    **kwargs
        As for SpeechBrain's.

    Example
    -------
    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpointer = AtomicCheckpointer(folder, {"m": torch.nn.Linear(1, 1)})
    ...     checkpoint = checkpointer.save_checkpoint(meta={"accuracy": 0.5})
    ...     checkpointer.find_checkpoint(max_key="accuracy").path.exists()
    True
    """

    UNFINISHED = "saving-"

    def recover_if_possible(self, *args, **kwargs):
        """SpeechBrain's, after clearing away what a kill has left behind."""
        if if_main_process():
            for path in self.checkpoints_dir.iterdir():
                if path.name.startswith(self.UNFINISHED):
                    shutil.rmtree(path)
        return super().recover_if_possible(*args, **kwargs)

    def save_checkpoint(self, meta={}, verbosity=logging.INFO, **kwargs):
        """Saves a checkpoint; arguments as SpeechBrain's."""
        files = sorted(name + PARAMFILE_EXT for name in self.recoverables)
        saved = super().save_checkpoint(
            {**meta, "files": files}, verbosity=logging.DEBUG, **kwargs
        )
        checkpoint = None if saved is None else self._finish(saved)
        # Deleting old ones communicates once a checkpoint: all processes must
        # see the same.
        ddp_barrier()
        if checkpoint is not None:
            logger.log(verbosity, "Saved a checkpoint: %s", checkpoint.path)
        return checkpoint

    def find_best(self, metric, highest=True):
        """The best checkpoint, the earliest of equals.

        SpeechBrain leaves it to the file system which of equals comes first.

        Arguments
        ---------
        metric : str
            Key of the checkpoints' meta.
        highest : bool
            Whether the highest value is the best.

        Returns
        -------
        Checkpoint or None
        """
        return self.find_checkpoint(
            importance_key=ranking(metric, highest),
            ckpt_predicate=lambda checkpoint: metric in checkpoint.meta,
        )

    def _finish(self, saved):
        final = saved.path.with_name(saved.path.name.removeprefix(self.UNFINISHED))
        for file in saved.path.iterdir():
            _sync(file)
        os.replace(saved.path, final)
        _sync(final.parent)
        files = {name: final / path.name for name, path in saved.paramfiles.items()}
        return Checkpoint(final, saved.meta, files)

    def _new_checkpoint_dirpath(self):
        return self._unfinished(super()._new_checkpoint_dirpath())

    def _custom_checkpoint_dirpath(self, name):
        return self._unfinished(super()._custom_checkpoint_dirpath(name))

    def _unfinished(self, path):
        return path.with_name(self.UNFINISHED + path.name)

    def _list_checkpoint_dirs(self):
        # Deletion may have been cut short: all files or no checkpoint.
        return [path for path in super()._list_checkpoint_dirs() if _whole(path)]


def ranking(metric, highest=True):
    """A key that sorts checkpoints: the better, then the earlier.

    Arguments
    ---------
    metric : str
        Key of the checkpoints' meta; those without it come last.
    highest : bool
        Whether the highest value is the best.

    Returns
    -------
    callable
        Of a checkpoint.
    """
    sign = 1 if highest else -1

    def key(checkpoint):
        value = checkpoint.meta.get(metric)
        score = float("-inf") if value is None else sign * value
        return score, -checkpoint.meta.get("epoch", 0)

    return key


def _whole(path):
    meta = yaml.safe_load((path / METAFNAME).read_text(encoding="utf-8"))
    return all((path / name).is_file() for name in meta.get("files", []))


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
