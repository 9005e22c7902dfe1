"""Parts of a fusion: built by their names or nodes, written into one file, and read.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3prl_sb import own
from s3prl_sb.errors import UserError
from s3prl_sb.foreign import UPSTREAM, find_class
from s3prl_sb.lobes.cards.fusing import fused, name_of_class
from s3prl_sb.lobes.cards.loading import card
from s3prl_sb.lobes.cards.writing import is_file, plain_config
from s3prl_sb.lobes.checkpoints.building import read_source, sizes_only
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, load_weights
from s3prl_sb.schema.constructors import located, parameters

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream

#: The classes, arguments and weights of the parts are part of an identity.
COMPUTES = False
#: Arguments of a part that are the fusion's, or in the file of its weights.
_NOT_KEPT = ("source", "config", "freeze", "precision", "adapter", "seed")


class FusionError(UserError, ValueError):
    """Upstreams that cannot be one."""


def built(
    upstreams: list | dict | None, shared: dict[str, Any]
) -> "dict[str, Upstream]":
    """Builds the parts of a fusion.

    Arguments
    ---------
    upstreams : list or dict
        Names, nodes or functions, see
        :class:`~s3prl_sb.lobes.upstreams.fusion.Fusion`.
    shared : dict
        Arguments for all parts that take them.

    Returns
    -------
    dict
        Labels to upstreams.

    Raises
    ------
    FusionError
        If a part cannot be built; names it.

    Example
    -------
    >>> parts = built(["mel", {"upstream": "mel", "n_mels": 40}], {"freeze": False})
    >>> parts["mel_2"].output_size, parts["mel_2"].freeze
    (40, False)
    """
    parts = {}
    for label, node in fused(upstreams, Path(), card).items():
        make = node if callable(node) else _function(node)
        try:
            parts[str(label)] = make(**_options(make, shared))
        except Exception as error:  # a class may raise anything
            raise FusionError(f"Part '{label}' of the fusion: {error}") from error
    return parts


def described(part: "Upstream") -> dict[str, Any]:
    """Returns what a file of weights says of a part.

    Arguments
    ---------
    part : s3prl_sb.lobes.upstreams.base.Upstream

    Returns
    -------
    dict
        ``class`` and ``arguments``, among them the configuration.

    Example
    -------
    >>> from s3prl_sb.lobes.cards.loading import load
    >>> described(load("mel"))["arguments"]["n_mels"]
    80
    """
    arguments = dict(part.arguments)
    for name, parameter in inspect.signature(type(part).__init__).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(name, {}))
    kept = {
        name: value
        for name, value in arguments.items()
        if name not in _NOT_KEPT and not is_file(value)
    }
    has_config = "config" in inspect.signature(type(part).__init__).parameters
    return {
        "class": own.plain_name(type(part)),
        "arguments": {**kept, "config": plain_config(part)} if has_config else kept,
    }


def read(source: str | list[str], shared: dict[str, Any]) -> "dict[str, Upstream]":
    """Builds the parts of a converted fusion.

    Arguments
    ---------
    source : str
        File of ``s3prl-sb convert``.
    shared : dict
        See :func:`built`.

    Returns
    -------
    dict
        Labels to upstreams.

    Raises
    ------
    CheckpointError
        If it is another file, or its weights do not fit.
    """
    config, weights = read_source(source, _refuse)
    parts = {}
    for label, description in config["parts"].items():
        kind = find_class(description["class"], UPSTREAM)
        if kind is None:  # a file must not choose what is imported
            raise CheckpointError(
                f"'{source}' has a part of {description['class']!r}, which is no "
                "upstream of s3prl_sb. Name the parts instead: upstreams: [A, B]."
            )
        prefix = f"{label}."
        own_weights = {
            name.removeprefix(prefix): weights.pop(name)
            for name in list(weights)
            if name.startswith(prefix)
        }
        make: "Callable[..., Upstream]" = functools.partial(
            kind, **description["arguments"]
        )
        with sizes_only():
            parts[label] = make(**_options(make, shared))
        load_weights(parts[label], own_weights, source)
    if weights:
        raise CheckpointError(f"'{source}' has weights of no part: {min(weights)}, …")
    return parts


def _options(make, shared):
    """Returns the shared arguments that the function of a part lacks and takes."""
    given, kind = getattr(make, "keywords", {}), getattr(make, "func", make)
    # The metaclass of upstreams hides the signature of the class itself.
    taken = parameters(kind.__init__ if isinstance(kind, type) else kind)
    options = {k: v for k, v in shared.items() if k in taken}
    if "seed" in given:
        options.pop("seed", None)
    if given.get("freeze"):
        options["freeze"] = True
    return options


def _function(node):
    """Returns the function of a node that builds a part."""
    dotted = name_of_class(node)
    kind = located(dotted)
    if kind is None:
        raise FusionError(f"There is no {dotted}.")
    return functools.partial(kind, **node)


def _refuse(path):
    raise CheckpointError(
        f"'{path}' is no fusion: only files of s3prl-sb convert are. Give the parts as "
        "upstreams: [A, B]."
    )
