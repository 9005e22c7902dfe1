"""Checkpointer with atomic, verified checkpoints.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import math
import os
import shutil
from pathlib import Path

import torch
from speechbrain.utils.checkpoints import (
    CKPT_PREFIX,
    Checkpoint,
    Checkpointer,
    ckpt_recency,
)
from speechbrain.utils.distributed import ddp_barrier, if_main_process

from s3prl_sb.brains.checkpoint_files import (
    age,
    described,
    in_order,
    is_checkpoint,
    verified,
)
from s3prl_sb.storage import checksums
from s3prl_sb.storage.files import FileError, naming
from s3prl_sb.storage.tensor_files import read_tensors

logger = logging.getLogger(__name__)


WAY_OUT = (
    "Run the recipe again with the same command: it goes on from an older checkpoint "
    "if there is one."
)


def _trained(module):
    """Returns what training may change: trainable parameters and buffers."""
    fixed = {name for name, p in module.named_parameters() if not p.requires_grad}
    return {k: v for k, v in module.state_dict().items() if k not in fixed}


def _save_trained(module, path):
    # A view, as of the weights of stacked copies, would be saved with all it is of.
    weights = {
        name: w.clone() if w.nbytes < w.untyped_storage().nbytes() else w
        for name, w in _trained(module).items()
    }
    torch.save(weights, path)


def load_trained(module, path):
    """Loads what :meth:`AtomicCheckpointer.add_trained` has saved.

    Arguments
    ---------
    module : torch.nn.Module
        Module to load into. Weights that are not in the file stay unchanged.
    path : str
        Path of the file.

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If the file is unreadable, lacks a trainable weight, or has an unknown weight
        or one of another shape.
    """
    what = f"of this {type(module).__name__}"
    saved = read_tensors(path, "what a module was saved as")
    with naming(path, what):
        missing = sorted(_trained(module).keys() - saved.keys())
        unexpected = sorted(saved.keys() - module.state_dict().keys())
        if missing or unexpected:
            raise ValueError(f"missing {missing[:5]}, unexpected {unexpected[:5]}")
        for name, weight in module.state_dict().items():
            if name in saved and saved[name].shape != weight.shape:
                shapes = f"{list(saved[name].shape)}, not {list(weight.shape)}"
                raise ValueError(f"{name} is of the shape {shapes}")
        module.load_state_dict(saved, strict=False)


def _recover(module, path, end_of_epoch):
    load_trained(module, path)


class AtomicCheckpointer(Checkpointer):
    """SpeechBrain's checkpointer with atomic checkpoints.

    SpeechBrain marks a folder as a checkpoint before it writes the parameters, and
    deletes old checkpoints file by file: after a kill in between, the next run fails
    to load. Here a checkpoint has its name only while it is complete: it is renamed
    after it is written, and before it is deleted.

    Arguments
    ---------
    checkpoints_dir : str
        Folder of the checkpoints.
    recoverables : dict, optional
        Objects to save, by name.
    **kwargs
        See SpeechBrain's ``Checkpointer``.

    Example
    -------
    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpointer = AtomicCheckpointer(folder, {"m": torch.nn.Linear(1, 1)})
    ...     checkpoint = checkpointer.save_checkpoint(meta={"accuracy": 0.5})
    ...     checkpointer.find_checkpoint(max_key="accuracy").path.exists()
    True
    """

    UNFINISHED, DELETED, DAMAGED = "saving-", "deleting-", "damaged-"

    def add_trained(self, name, module):
        """Adds the weights of a module that training may change, and no others.

        In a network with adapters these are the adapters; the other weights are loaded
        with the network.

        Arguments
        ---------
        name : str
            Name of the file in a checkpoint.
        module : torch.nn.Module
            Module to save; one without weights is not added.
        """
        if module.state_dict():
            self.add_recoverable(name, module, _recover, _save_trained)

    def recover_if_possible(self, *args, **kwargs):
        """Loads the newest undamaged checkpoint that is older than all damaged ones.

        Leftovers of a kill are removed first. Newer checkpoints are ignored because a
        lost best checkpoint may precede them; training again from the older one
        reproduces all of them bit by bit.

        Returns
        -------
        Checkpoint or None

        Raises
        ------
        s3prl_sb.storage.files.FileError
            If there are checkpoints, but none to resume from.
        """
        if if_main_process():
            for path in self.checkpoints_dir.iterdir():
                if path.name.startswith((self.UNFINISHED, self.DELETED)):
                    shutil.rmtree(path)
        ddp_barrier()
        self._set_damaged_aside()
        return super().recover_if_possible(*args, **kwargs)

    def _set_damaged_aside(self):
        """Renames all checkpoints that must not be resumed from."""
        problems, whole = {}, []
        for path in self._list_checkpoint_dirs():
            try:
                whole.append(self.verified(path))
            except FileError as error:
                problems[path] = str(error)
        if not problems:
            return
        paths = in_order([*problems, *(checkpoint.path for checkpoint in whole)])
        first = min(map(paths.index, problems))
        older = paths[:first]
        if not older:
            raise FileError(
                f"{problems[paths[first]]} No older checkpoint in "
                f"'{self.checkpoints_dir}' is whole. To train from the start, delete "
                "this folder."
            )
        ddp_barrier()  # all processes have read them
        for path in paths[first:]:
            logger.warning(
                "%s It is set aside as %s, and training goes on from the older %s",
                problems.get(path, f"'{path}' came after a damaged one."),
                self.DAMAGED + path.name,
                older[-1].name,
            )
            if if_main_process():
                aside = path.with_name(self.DAMAGED + path.name)
                shutil.rmtree(aside, ignore_errors=True)
                os.replace(path, aside)
        ddp_barrier()

    def verified(self, path):
        """Returns a checkpoint that is undamaged and has everything to load.

        Arguments
        ---------
        path : pathlib.Path
            Folder of the checkpoint.

        Returns
        -------
        Checkpoint

        Raises
        ------
        s3prl_sb.storage.files.FileError
            If a file has changed or is missing.
        """
        optional = self.optional_recoverables
        return verified(path, [n for n in self.recoverables if not optional.get(n)])

    def load_checkpoint(self, checkpoint):
        """Loads a checkpoint after checking that it is undamaged.

        Arguments
        ---------
        checkpoint : Checkpoint
            Checkpoint to load; there is no fallback to another one.

        Raises
        ------
        s3prl_sb.storage.files.FileError
            If a file is damaged; names it.
        """
        try:
            self.verified(Path(checkpoint.path))
        except FileError as error:
            raise FileError(f"{error} {WAY_OUT}") from error
        fix = f"To train from the start, delete '{self.checkpoints_dir}'."
        with naming(checkpoint.path, "a checkpoint of this run", fix):
            super().load_checkpoint(checkpoint)

    def list_checkpoints(self):
        """Returns all checkpoints with a readable description.

        Returns
        -------
        list of Checkpoint
        """
        checkpoints = []
        for path in self._list_checkpoint_dirs():
            try:
                checkpoints.append(described(path))
            except FileError as error:
                logger.debug("%s", error)  # loading one raises it
        return checkpoints

    def _list_checkpoint_dirs(self):
        # A folder without a description counts: it is a damaged checkpoint.
        return [path for path in self.checkpoints_dir.iterdir() if is_checkpoint(path)]

    def save_checkpoint(self, meta={}, verbosity=logging.INFO, **kwargs):
        """Saves a checkpoint; see SpeechBrain's ``Checkpointer``.

        Raises
        ------
        s3prl_sb.storage.files.FileError
            If the disk is full or missing.
        """
        try:
            saved = super().save_checkpoint(meta, verbosity=logging.DEBUG, **kwargs)
            checkpoint = None if saved is None else self._finish(saved)
        except (OSError, RuntimeError) as error:  # torch raises RuntimeError
            if isinstance(error, FileError):
                raise
            reason = str(error).partition("\n")[0]
            left = shutil.disk_usage(self.checkpoints_dir).free / 1e6
            raise FileError(
                f"'{self.checkpoints_dir}' takes no checkpoint ({reason}), with "
                f"{left:.0f} MB left on its disk. The last one is intact: make room, "
                "and run again with the same command."
            ) from error
        ddp_barrier()  # now all processes see it
        if checkpoint is not None:
            logger.debug("Saved a checkpoint: %s", checkpoint.path)
        return checkpoint

    def find_best(self, metric, highest=True):
        """Returns the best checkpoint; among equal ones the earliest.

        In SpeechBrain the order of equal ones depends on the file system.

        Arguments
        ---------
        metric : str
            Key of the checkpoints' meta.
        highest : bool
            Whether the highest value is the best.

        Returns
        -------
        Checkpoint or None

        Raises
        ------
        s3prl_sb.storage.files.FileError
            If the meta of a checkpoint is unreadable, as it might be the best.
        """
        for path in self._list_checkpoint_dirs():
            try:
                described(path)
            except FileError as error:
                raise FileError(f"{error} {WAY_OUT}") from error
        return self.find_checkpoint(
            importance_key=ranking(metric, highest),
            ckpt_predicate=lambda checkpoint: metric in checkpoint.meta,
        )

    def _finish(self, saved):
        final = saved.path.with_name(saved.path.name.removeprefix(self.UNFINISHED))
        checksums.write(saved.path)
        for file in saved.path.iterdir():
            _sync(file)
        os.replace(saved.path, final)
        _sync(final.parent)
        files = {name: final / path.name for name, path in saved.paramfiles.items()}
        return Checkpoint(final, saved.meta, files)

    def _new_checkpoint_dirpath(self):
        # SpeechBrain reuses names. Here later checkpoints have larger names, so that
        # the names alone tell the order.
        path = super()._new_checkpoint_dirpath()
        stamps = [age(p) for p in self._list_checkpoint_dirs()]
        stamp, number = max([*filter(None, stamps), age(path)])
        if (stamp, number) in stamps:
            number += 1
        return self._unfinished(path.with_name(f"{CKPT_PREFIX}+{stamp}+{number:02d}"))

    def _custom_checkpoint_dirpath(self, name):
        return self._unfinished(super()._custom_checkpoint_dirpath(name))

    def _unfinished(self, path):
        return path.with_name(self.UNFINISHED + path.name)

    def delete_checkpoints(
        self,
        *,
        num_to_keep=1,
        max_keys=None,
        min_keys=None,
        importance_keys=(ckpt_recency,),
        ckpt_predicate=None,
        verbosity=logging.INFO,
    ):
        """Deletes all but the best checkpoints; see SpeechBrain's ``Checkpointer``."""
        ddp_barrier()
        if if_main_process():
            checkpoints = list(filter(ckpt_predicate, self.list_checkpoints()))
            keys = [*importance_keys]
            keys += [ranking(metric, highest=True) for metric in max_keys or []]
            keys += [ranking(metric, highest=False) for metric in min_keys or []]
            kept = set()
            for key in keys:
                ranked = sorted(checkpoints, key=key, reverse=True)
                kept.update(checkpoint.path for checkpoint in ranked[:num_to_keep])
            for checkpoint in checkpoints:
                path = checkpoint.path
                if path not in kept:
                    doomed = path.with_name(self.DELETED + path.name)
                    os.replace(path, doomed)
                    shutil.rmtree(doomed)
                    logger.debug("Deleted a checkpoint: %s", path)
        ddp_barrier()


def ranking(metric, highest=True):
    """Returns a sort key for checkpoints: by the metric, then the earlier.

    Arguments
    ---------
    metric : str
        Key of the checkpoints' meta; checkpoints without it are the worst.
    highest : bool
        Whether the highest value is the best.

    Returns
    -------
    callable
        Maps a checkpoint to its key; NaN is the worst value.
    """
    sign = 1 if highest else -1

    def key(checkpoint):
        value = checkpoint.meta.get(metric)
        valid = value is not None and not math.isnan(value)
        score = sign * value if valid else float("-inf")
        return score, -checkpoint.meta.get("epoch", 0)

    return key


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
