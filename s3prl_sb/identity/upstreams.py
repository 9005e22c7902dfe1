"""Identity of upstreams: weights, files, arguments and code.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from typing import TYPE_CHECKING, Any

from s3prl_sb.errors import UserError
from s3prl_sb.identity import FORMAT, differences, opened
from s3prl_sb.identity.code import code_of
from s3prl_sb.identity.content import hash_files
from s3prl_sb.identity.objects import Description, hash_weights

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream

logger = logging.getLogger(__name__)


class ChangedFileError(UserError, ValueError):
    """A file that has changed since the upstream was built."""


def upstream_identity(upstream: "Upstream") -> dict[str, Any]:
    """Returns the identity of an upstream: all that its features depend on.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        An upstream in its current state.

    Returns
    -------
    dict
        JSON values: ``format``, ``class``, ``arguments`` (paths replaced by the
        content of the file), ``files`` opened by the constructor, ``weights``, and
        ``code`` with ``modules`` and ``versions``.

    Raises
    ------
    ChangedFileError
        If a file has changed since it was opened.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> mel, linear = (upstream_identity(load(name)) for name in ("mel", "linear"))
    >>> mel["weights"] == linear["weights"], mel["arguments"] == linear["arguments"]
    (True, False)
    """
    record = getattr(upstream, "opened_files", None) or opened.Opened()
    hashes = _hashes(record.files)
    description = Description(lambda value: _stand_in(value, record, hashes))
    arguments = {
        f"{name}.{key}".lstrip("."): description.of(value)
        for name, module in upstream.named_modules()  # it may contain others
        for key, value in getattr(module, "arguments", {}).items()
    }
    classes = {c for module in upstream.modules() for c in type(module).__mro__}
    classes |= description.classes
    return {
        "format": FORMAT,
        "class": type(upstream).__qualname__,
        "arguments": arguments,
        "files": _roles(upstream, record, hashes),
        "weights": hash_weights(upstream),
        "code": code_of(classes - {object}),
    }


def first_identity(upstream: "Upstream") -> dict[str, Any]:
    """Returns the identity that an upstream had at the first call.

    If called before training, it stays that of the loaded weights.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Any upstream.

    Returns
    -------
    dict
        See :func:`upstream_identity`.
    """
    identity = getattr(upstream, "_first_identity", None)
    if identity is None:
        identity = upstream_identity(upstream)
        upstream.__dict__["_first_identity"] = identity
    return identity


def changed_since(trained_with: dict | str, upstream: "Upstream") -> list[str]:
    """Returns how an upstream differs from the one that a run was trained with.

    Arguments
    ---------
    trained_with : dict or str
        Output of :func:`first_identity`; for older runs only the hash of the weights.
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        The upstream, loaded again.

    Returns
    -------
    list of str
        Differences of weights, files and arguments. Differences of code and versions
        are only logged, since exports outlive them.
    """
    now = upstream_identity(upstream)
    if isinstance(trained_with, str):
        return [] if now["weights"] == trained_with else ["other weights"]
    if trained_with.get("code") != now["code"]:
        code = [{"upstream": {"code": side["code"]}} for side in (trained_with, now)]
        logger.warning(
            "The upstream runs by other code than it was trained with: %s.",
            "; ".join(differences.named(*code)),
        )
    sides = [{**side, "code": None} for side in (trained_with, now)]
    return differences.named(*({"upstream": side} for side in sides))


def _hashes(files):
    """Returns the hashes of the opened files."""
    for path, state in files.items():
        try:
            now = opened.state(path)
        except OSError:
            now = None
        if now != state:
            raise ChangedFileError(
                f"'{path}' has been {'changed' if now else 'removed'} since the "
                "upstream was loaded from it. Start again."
            )
    return hash_files(files)


def _stand_in(value, record, hashes):
    """Returns the content of the file or folder that an argument named, or None."""
    place = _place(value, record)
    if place is None:
        return None
    if place in hashes:
        return {"content": hashes[place]}
    return {"content": sorted(h for p, h in hashes.items() if _is_below(p, place))}


def _place(value, record):
    """Returns the opened file or folder that an argument named, or None."""
    place = record.names.get(opened.key(value))
    if place is None and isinstance(value, (str, os.PathLike)):
        place = os.path.abspath(os.path.expanduser(value))
        if place not in record.files:
            return None
    return place


def _roles(upstream, record, hashes):
    """Returns the opened files by the argument that named them, else by their name."""
    places = {}
    for name, value in getattr(upstream, "arguments", {}).items():
        place = _place(value, record)
        if place is not None:
            places.setdefault(place, name)
    roles = {}
    for path, hash_ in hashes.items():
        role = places.get(path)
        if role is None:
            above = next((p for p in places if _is_below(path, p)), None)
            name = os.path.relpath(path, above) if above else os.path.basename(path)
            role = f"{places[above]}/{name}" if above else name
        roles.setdefault(role, []).append(hash_)
    return {role: "+".join(sorted(set(h))) for role, h in roles.items()}


def _is_below(path, folder):
    return path.startswith(folder.rstrip(os.sep) + os.sep)
