"""Exclusive use of the folders of a run, until its processes end.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from pathlib import Path

from s3prl_sb.processes import children
from s3prl_sb.storage import locks, parts


def begin(*folders):
    """Locks folders against other runs, until all processes of this run have ended.

    Arguments
    ---------
    *folders : str
        Folders; they are created if they do not exist. The lock of a folder also
        covers the folders in it.

    Raises
    ------
    s3prl_sb.storage.locks.OccupiedError
        In all processes of this run, if another run uses one of them.
    """
    import torch
    from speechbrain.utils.distributed import if_main_process

    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun may be killed
        children.look_after_parent()
    message = [None]
    if if_main_process():  # it locks for all processes
        try:
            for folder in _outer(folders):
                locks.occupy(folder)
                parts.clear(folder)
        except locks.OccupiedError as error:
            message = [str(error)]
    if torch.distributed.is_initialized():
        torch.distributed.broadcast_object_list(message)
    if message[0]:
        raise locks.OccupiedError(message[0])


def _outer(folders):
    """Returns the absolute folders, without those inside another one."""
    paths = {Path(os.path.realpath(folder)) for folder in folders}
    return sorted(path for path in paths if not paths & set(path.parents))
