"""A run has its folders for itself, and ends with who has started it.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from pathlib import Path

from s3prl_sb.processes import children
from s3prl_sb.storage import locks, parts


def begin(*folders):
    """Keeps other runs out of folders, until all processes of this one have ended.

    Arguments
    ---------
    *folders : str
        Made if need be. One that lies in another of them needs no lock of its own.

    Raises
    ------
    s3prl_sb.storage.locks.OccupiedError
        In all processes of this run, if another one works there.
    """
    import torch
    from speechbrain.utils.distributed import if_main_process

    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun's: it may be killed
        children.look_after_parent()
    said = [None]
    if if_main_process():  # one for all
        try:
            for folder in _outer(folders):
                locks.occupy(folder)
                parts.clear(folder)
        except locks.OccupiedError as error:
            said = [str(error)]
    if torch.distributed.is_initialized():
        torch.distributed.broadcast_object_list(said)
    if said[0]:
        raise locks.OccupiedError(said[0])


def _outer(folders):
    """Absolute, without what lies in another one."""
    paths = {Path(os.path.realpath(folder)) for folder in folders}
    return sorted(path for path in paths if not paths & set(path.parents))
