"""What the features of an upstream depend on, as a hash.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import hashlib
import inspect
from pathlib import Path

import torch

from s3prl_sb.keys import shared

#: Arguments of an upstream that do not change its features.
#: What files hold stands in the weights.
IRRELEVANT = (
    *shared()["upstream_model"].files,
    "freeze",
    "freeze_front_end",
    "layerdrop",
)
#: Packages whose version stands for their code.
LIBRARIES = ("torch", "torchaudio", "speechbrain", "transformers")


def fingerprint(upstream):
    """What the features of an upstream depend on, as a hash.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Its weights, arguments and code count.

    Returns
    -------
    str
        64 hexadecimal digits.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> fingerprint(load("mel")) == fingerprint(load("linear"))
    False
    """
    digest = hashlib.sha256()
    arguments = {k: v for k, v in upstream.arguments.items() if k not in IRRELEVANT}
    digest.update(f"{type(upstream).__qualname__} {arguments!r}".encode())
    # What a checkpoint may have brought; layerdrop is of training alone.
    config = getattr(upstream, "config", None)
    if dataclasses.is_dataclass(config) and hasattr(config, "layerdrop"):
        config = dataclasses.replace(config, layerdrop=0.0)
    digest.update(repr(config).encode())
    _add_weights(digest, upstream)
    classes = {type(m) for m in upstream.modules()} | set(type(upstream).__mro__)
    files = {
        inspect.getsourcefile(c)
        for c in classes
        if c.__module__.split(".")[0] not in (*LIBRARIES, "builtins")
    }
    for file in sorted(files):
        digest.update(Path(file).read_bytes())
    digest.update(torch.__version__.encode())
    return digest.hexdigest()


def first_weights(upstream):
    """The weights of an upstream when this was first asked, as a hash.

    Unlike :func:`fingerprint` it stays the same with another version of this or any
    other package. Asked before training, it stays that of the weights that were
    loaded.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Any.

    Returns
    -------
    str
        64 hexadecimal digits.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> len(first_weights(load("mel")))
    64
    """
    found = getattr(upstream, "_first_weights", None)
    if found is None:
        digest = hashlib.sha256()
        _add_weights(digest, upstream)
        upstream._first_weights = found = digest.hexdigest()
    return found


def _add_weights(digest, upstream):
    for name, tensor in upstream.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(raw.numpy())
