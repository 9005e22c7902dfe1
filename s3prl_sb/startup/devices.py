"""Where to compute: the GPU, where there is one and nothing else is asked for.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

from s3prl_sb.errors import UserError

logger = logging.getLogger(__name__)

AUTO = "auto"


class DeviceError(UserError, ValueError):
    """A device that there is not."""


def chosen(name=AUTO):
    """The device to compute on; a GPU that was not asked for by name is told.

    Arguments
    ---------
    name : str
        As torch calls it ("cpu", "cuda", "cuda:1", "mps"), or "auto": the first GPU
        of CUDA, else the CPU.

    Returns
    -------
    str

    Raises
    ------
    DeviceError
        If it is not there, with those that are.

    Example
    -------
    >>> chosen("cpu")
    'cpu'
    """
    import torch

    if name != AUTO:
        check(name)
        return name
    if not torch.cuda.is_available():
        return "cpu"
    logger.info("Computes on cuda")
    return "cuda"


def check(device):
    """Makes sure that a device is there.

    Arguments
    ---------
    device : str or None
        As ``--device`` gives it; None: it is chosen.

    Raises
    ------
    DeviceError
        With those that are there.

    Example
    -------
    >>> check("gpu")
    Traceback (most recent call last):
    ...
    s3prl_sb.startup.devices.DeviceError: --device gpu: torch knows no such device. …
    """
    import torch

    if device is None:
        return
    count = torch.cuda.device_count()
    there = ["cpu", *(f"cuda:{index}" for index in range(count))]
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(
            f"--device {device}: torch knows no such device. There are: "
            f"{', '.join(there)}."
        ) from error
    if found.type == "cuda" and (found.index or 0) >= count:
        raise DeviceError(
            f"--device {device}: torch sees {count or 'no'} GPUs on this machine. "
            f"There are: {', '.join(there)}."
        )
    try:
        torch.ones(1, device=found).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DeviceError(
            f"--device {device}: torch cannot compute on it here. There are: "
            f"{', '.join(there)}."
        ) from error
