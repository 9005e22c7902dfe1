"""Device of the computation: a GPU if there is one and no other is named.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

from s3prl_sb.errors import UserError

logger = logging.getLogger(__name__)

AUTO = "auto"


class DeviceError(UserError, ValueError):
    """Device that does not exist or does not work here."""


def chosen(name: str = AUTO) -> str:
    """Returns the device to compute on, and logs a GPU that was chosen automatically.

    Arguments
    ---------
    name : str
        Device of torch ("cpu", "cuda", "cuda:1", "mps"), or "auto": the first GPU of
        CUDA, else the CPU.

    Returns
    -------
    str

    Raises
    ------
    DeviceError
        If it does not exist, with the devices that do.

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


def check(device: str | None):
    """Checks that a device exists and can compute.

    Arguments
    ---------
    device : str or None
        Value of ``--device``; None is not checked.

    Raises
    ------
    DeviceError
        With the devices that exist.

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
    devices = ["cpu", *(f"cuda:{index}" for index in range(count))]

    def error(problem):
        there = ", ".join(devices)
        return DeviceError(f"--device {device}: torch {problem}. There are: {there}.")

    try:
        parsed = torch.device(device)
    except RuntimeError as cause:
        raise error("knows no such device") from cause
    if parsed.type == "cuda" and (parsed.index or 0) >= count:
        raise error(f"sees {count or 'no'} GPUs on this machine")
    try:
        torch.ones(1, device=parsed).item()
    except (RuntimeError, AssertionError, NotImplementedError) as cause:
        raise error("cannot compute on it here") from cause
