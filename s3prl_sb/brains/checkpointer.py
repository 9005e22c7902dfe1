"""A checkpointer that a kill cannot hurt.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
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
    """What training may change: parameters that are trained, and buffers."""
    fixed = {name for name, p in module.named_parameters() if not p.requires_grad}
    return {k: v for k, v in module.state_dict().items() if k not in fixed}


def _save_trained(module, path):
    torch.save(_trained(module), path)


def load_trained(module, path):
    """Loads what :meth:`AtomicCheckpointer.add_trained` has saved.

    Arguments
    ---------
    module : torch.nn.Module
        Its other weights stay as they are.
    path : str
        The file.

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If it cannot be read, if a weight that is trained is missing or of another
        shape, or one is unknown.
    """
    what = f"of this {type(module).__name__}"
    saved = read_tensors(path, "what a module was saved as")
    with naming(path, what):
        missing = sorted(_trained(module).keys() - saved.keys())
        unexpected = sorted(saved.keys() - module.state_dict().keys())
        if missing or unexpected:
            raise ValueError(f"missing {missing[:5]}, unexpected {unexpected[:5]}")
        for name, own in module.state_dict().items():
            if name in saved and saved[name].shape != own.shape:
                shapes = f"{list(saved[name].shape)}, not {list(own.shape)}"
                raise ValueError(f"{name} is of the shape {shapes}")
        module.load_state_dict(saved, strict=False)


def _recover(module, path, end_of_epoch):
    load_trained(module, path)


class AtomicCheckpointer(Checkpointer):
    """SpeechBrain's checkpointer, whose checkpoints are whole or not there.

    SpeechBrain marks a folder as a checkpoint before it has written the
    parameters into it, and deletes old ones file by file: killed in between,
    the next run fails to load. Here a checkpoint has its name only while it is
    whole: it is renamed after it is written, and before it is deleted.

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

    UNFINISHED, DELETED, DAMAGED = "saving-", "deleting-", "damaged-"

    def add_trained(self, name, module):
        """Has the weights saved that training may change, and no others.

        Of a network with adapters these are the adapters; the rest comes from
        where the network came from.

        Arguments
        ---------
        name : str
            Of its file in a checkpoint.
        module : torch.nn.Module
            Nothing is added for one without weights.
        """
        if module.state_dict():
            self.add_recoverable(name, module, _recover, _save_trained)

    def recover_if_possible(self, *args, **kwargs):
        """SpeechBrain's, after clearing away what a kill has left behind, and from
        the newest checkpoint that is whole and older than all damaged ones.

        What is newer may be the fruit of a best checkpoint that is lost; training
        again from there on makes all of it anew, bit by bit the same.

        Returns
        -------
        Checkpoint or None

        Raises
        ------
        s3prl_sb.storage.files.FileError
            If there are checkpoints, but none to go on from.
        """
        if if_main_process():
            for path in self.checkpoints_dir.iterdir():
                if path.name.startswith((self.UNFINISHED, self.DELETED)):
                    shutil.rmtree(path)
        ddp_barrier()
        self._set_damaged_aside()
        return super().recover_if_possible(*args, **kwargs)

    def _set_damaged_aside(self):
        """Leaves the checkpoints that can be gone on from; renames the others."""
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
        ddp_barrier()  # all have looked
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
        """A checkpoint that is whole, and has all that is to be loaded.

        Arguments
        ---------
        path : pathlib.Path
            Its folder.

        Returns
        -------
        Checkpoint

        Raises
        ------
        s3prl_sb.storage.files.FileError
            For a file that has changed, or is missing.
        """
        optional = self.optional_recoverables
        return verified(path, [n for n in self.recoverables if not optional.get(n)])

    def load_checkpoint(self, checkpoint):
        """SpeechBrain's, after making sure that the checkpoint is whole.

        Arguments
        ---------
        checkpoint : Checkpoint
            That is to be loaded, and no other in its place.

        Raises
        ------
        s3prl_sb.storage.files.FileError
            That names the damaged file.
        """
        try:
            self.verified(Path(checkpoint.path))
        except FileError as error:
            raise FileError(f"{error} {WAY_OUT}") from error
        fix = f"To train from the start, delete '{self.checkpoints_dir}'."
        with naming(checkpoint.path, "a checkpoint of this run", fix):
            super().load_checkpoint(checkpoint)

    def list_checkpoints(self):
        """All checkpoints whose description can be read.

        Returns
        -------
        list of Checkpoint
        """
        found = []
        for path in self._list_checkpoint_dirs():
            try:
                found.append(described(path))
            except FileError as error:
                logger.debug("%s", error)  # who loads one says it
        return found

    def _list_checkpoint_dirs(self):
        # Also what lacks its description: it is not for nothing that it is there.
        return [path for path in self.checkpoints_dir.iterdir() if is_checkpoint(path)]

    def save_checkpoint(self, meta={}, verbosity=logging.INFO, **kwargs):
        """Saves a checkpoint; arguments as SpeechBrain's.

        Raises
        ------
        s3prl_sb.storage.files.FileError
            If the disk is full, or gone.
        """
        try:
            saved = super().save_checkpoint(meta, verbosity=logging.DEBUG, **kwargs)
            checkpoint = None if saved is None else self._finish(saved)
        except (OSError, RuntimeError) as error:  # torch has none of its own for disks
            if isinstance(error, FileError):
                raise
            reason = str(error).partition("\n")[0]
            left = shutil.disk_usage(self.checkpoints_dir).free / 1e6
            raise FileError(
                f"'{self.checkpoints_dir}' takes no checkpoint ({reason}), with "
                f"{left:.0f} MB left on its disk. The last one is intact: make room, "
                "and run again with the same command."
            ) from error
        ddp_barrier()  # from here on all processes see it
        if checkpoint is not None:
            logger.debug("Saved a checkpoint: %s", checkpoint.path)
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

        Raises
        ------
        s3prl_sb.storage.files.FileError
            If the meta of a checkpoint cannot be read: it might be the best.
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
        # SpeechBrain gives names again. A later one has the larger name here, so that
        # the order is known where nothing but the names is left.
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
        """Deletes all but the best; arguments as SpeechBrain's."""
        ddp_barrier()
        if if_main_process():
            found = list(filter(ckpt_predicate, self.list_checkpoints()))
            keys = [*importance_keys]
            keys += [ranking(metric, highest=True) for metric in max_keys or []]
            keys += [ranking(metric, highest=False) for metric in min_keys or []]
            kept = set()
            for key in keys:
                ranked = sorted(found, key=key, reverse=True)
                kept.update(checkpoint.path for checkpoint in ranked[:num_to_keep])
            for checkpoint in found:
                if checkpoint.path not in kept:
                    self._delete(checkpoint.path)
                    logger.debug("Deleted a checkpoint: %s", checkpoint.path)
        ddp_barrier()

    def _delete(self, path):
        doomed = path.with_name(self.DELETED + path.name)
        os.replace(path, doomed)
        shutil.rmtree(doomed)


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


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
