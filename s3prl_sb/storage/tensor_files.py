"""Files of tensors: what ``torch.save`` wrote, and safetensors with a checksum.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import os
import stat
import zlib
from typing import TYPE_CHECKING, Any

from s3prl_sb.storage.files import PathLike, naming

if TYPE_CHECKING:
    import torch

#: See :mod:`s3prl_sb.storage.files`.
COMPUTES = False

#: Key of our entry in the metadata of safetensors files, and of the checksum in it.
METADATA, CRC = "s3prl_sb", "crc32 of the rest"


def read_tensors(
    path: PathLike,
    what: str = "a file of tensors",
    fix: str = "",
    mapped: bool = False,
) -> Any:
    """Reads plain values and tensors that ``torch.save`` wrote.

    Arguments
    ---------
    path, what, fix
        See :func:`~s3prl_sb.storage.files.naming`.
    mapped : bool
        Whether the tensors are mapped from the file, which then must not change.

    Returns
    -------
    object
        Its tensors are on the CPU.

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If it cannot be read.
    """
    import torch

    with naming(path, what, fix):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


def read_safetensors(
    path: PathLike,
    what: str = "a safetensors file",
    fix: str = "",
    signed: bool = False,
) -> "dict[str, torch.Tensor]":
    """Reads a safetensors file, and verifies its checksum if it has one.

    Arguments
    ---------
    path, what, fix
        See :func:`~s3prl_sb.storage.files.naming`.
    signed : bool
        Whether it must have the checksum of :func:`write_safetensors`.

    Returns
    -------
    dict
        Names to tensors on the CPU.

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If it cannot be read.
    """
    from safetensors import safe_open

    with naming(path, what, fix), safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        text = (file.metadata() or {}).get(METADATA, "{}")
        metadata = json.loads(text) if CRC in text else {}
        if signed and not metadata:
            raise ValueError("it has no checksum: it is of an older version")
        if metadata and metadata.pop(CRC) != _crc(tensors, metadata):
            raise ValueError("it is damaged, as its checksum says")
        return tensors


def read_metadata(path: PathLike, what: str = "a safetensors file") -> dict:
    """Reads the metadata that :func:`write_safetensors` has written with the tensors.

    Arguments
    ---------
    path, what
        See :func:`~s3prl_sb.storage.files.naming`. :func:`read_safetensors` verifies
        their checksum.

    Returns
    -------
    dict
        JSON values.

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If it cannot be read.
    """
    from safetensors import safe_open

    with naming(path, what), safe_open(path, "pt") as file:
        return json.loads(file.metadata()[METADATA])


def write_safetensors(
    path: PathLike, tensors: "dict[str, torch.Tensor]", metadata: dict
) -> None:
    """Writes a safetensors file with a checksum; equal content gives equal bytes.

    Arguments
    ---------
    path : str
        The file; it is flushed to the disk.
    tensors : dict
        Names to tensors, which share no storage.
    metadata : dict
        JSON values, which are written under :data:`METADATA`.

    Example
    -------
    >>> import tempfile, torch
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     write_safetensors(file.name, {"a": torch.ones(3)}, {"about": "me"})
    ...     read_safetensors(file.name)
    {'a': tensor([1., 1., 1.])}
    """
    from safetensors.torch import save_file

    # One text, since safetensors writes several in any order.
    text = json.dumps({**metadata, CRC: _crc(tensors, metadata)})
    with open(path, "ab") as file:
        mode = os.fstat(file.fileno()).st_mode  # as other files of this user have
    save_file(tensors, path, {METADATA: text})
    os.chmod(path, stat.S_IMODE(mode))  # safetensors makes it private
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _crc(tensors, metadata):
    import torch

    shapes = {name: [str(t.dtype), *t.shape] for name, t in tensors.items()}
    crc = zlib.crc32(json.dumps([metadata, shapes], sort_keys=True).encode())
    for _, tensor in sorted(tensors.items()):
        crc = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy(), crc)
    return str(crc)
