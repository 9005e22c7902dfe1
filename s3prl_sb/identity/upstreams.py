"""Upstreams, known by weights, files, arguments and code.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os

from s3prl_sb.errors import UserError
from s3prl_sb.identity import FORMAT, differences, opened
from s3prl_sb.identity.code import code_of
from s3prl_sb.identity.content import hash_files
from s3prl_sb.identity.objects import Description, hash_weights

logger = logging.getLogger(__name__)


class ChangedFileError(UserError, ValueError):
    """A file that is another one than the upstream was built of."""


def upstream_identity(upstream):
    """Returns what the features of an upstream depend on.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        As it is now.

    Returns
    -------
    dict
        JSON values: ``format``, ``class``, ``arguments`` (a file's content in the
        place of its path), ``files`` that construction opened, ``weights``, and
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
    found = getattr(upstream, "opened_files", None) or opened.Opened()
    hashes = _hashes(found.files)
    description = Description(lambda value: _stand_in(value, found, hashes))
    arguments = {
        f"{name}.{key}".lstrip("."): description.of(value)
        for name, module in upstream.named_modules()  # one may be made of others
        for key, value in getattr(module, "arguments", {}).items()
    }
    classes = {c for module in upstream.modules() for c in type(module).__mro__}
    classes |= description.classes
    return {
        "format": FORMAT,
        "class": type(upstream).__qualname__,
        "arguments": arguments,
        "files": _roles(upstream, found, hashes),
        "weights": hash_weights(upstream),
        "code": code_of(classes - {object}),
    }


def first_identity(upstream):
    """Returns the identity of an upstream when this was first asked.

    Asked before training, it stays that of the weights that were loaded.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Any.

    Returns
    -------
    dict
        As :func:`upstream_identity`.
    """
    found = getattr(upstream, "_first_identity", None)
    if found is None:
        upstream._first_identity = found = upstream_identity(upstream)
    return found


def changed_since(trained_with, upstream):
    """Returns how an upstream differs from the one that a run was trained with.

    Arguments
    ---------
    trained_with : dict or str
        From :func:`first_identity`; of older runs the hash of the weights alone.
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Loaded anew.

    Returns
    -------
    list of str
        What differs in what it computes with: weights, files, arguments. Other code
        and other versions are said in the log: an export outlives them.
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
    """Path to content of the files that were opened."""
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


def _stand_in(value, found, hashes):
    """Of an argument that named a file or folder: that it did. ``files`` says what
    it holds."""
    place = _place(value, found)
    if place is None:
        return None
    if place in hashes:
        return {"content": hashes[place]}
    return {"content": sorted(h for p, h in hashes.items() if _is_below(p, place))}


def _place(value, found):
    """The file or folder that an argument named when it was opened, or None."""
    place = found.names.get(opened.key(value))
    if place is None and isinstance(value, (str, os.PathLike)):
        place = os.path.abspath(os.path.expanduser(value))
        if place not in found.files:
            return None
    return place


def _roles(upstream, found, hashes):
    """What was opened, by the argument that named it, else by its name."""
    places = {}
    for name, value in getattr(upstream, "arguments", {}).items():
        place = _place(value, found)
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
    return {role: "+".join(sorted(set(found))) for role, found in roles.items()}


def _is_below(path, folder):
    return path.startswith(folder.rstrip(os.sep) + os.sep)
