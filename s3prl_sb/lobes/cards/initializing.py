"""Weights of another upstream as the start of a pre-training.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import logging
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.cards.places import card_of
from s3prl_sb.lobes.cards.sources import open_source

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream

logger = logging.getLogger(__name__)

#: Parts that predict something in pre-training; those of another pre-training do not
#: fit, so they may stay random.
PREDICTORS = ("heads.", "quantizer.")
#: Entries of configurations that do not change what given weights compute, or that
#: show in the shapes and the number of weights.
FREE = re.compile(
    r"dropout|layerdrop|num_layers|num_hidden_layers|targets|target_size|inner_size"
    r"|codebook_size|code_dim|target_lang|normalize_eps|initializer_range"
    r"|sequence_length"
)
#: Entries that show in the number of weights, not in their shapes.
DEPTH = re.compile(r"num_layers|num_hidden_layers")
#: Blocks of Mockingjay's configurations that say how to train, not what to compute.
TRAINING = ("task", "dataloader", "optimizer", "runner", "hparams")
SHOWN = 6  # names in a message


class InitError(UserError, ValueError):
    """Error of weights that do not fit a network."""


class Initialization(NamedTuple):
    """Result of :func:`initialize_from`: names of weights."""

    copied: list[str]  #: the same in both
    left_out: list[str]  #: of the source, which the network has no place for
    random: list[str]  #: of the network, which keep the values that they had


def initialize_from(network: "Upstream", source: "str | Upstream") -> Initialization:
    """Copies the weights of an upstream into a network of the same architecture.

    All weights are matched by name and shape. A network may have fewer layers than the
    source, such as a student that starts from the first layers of its teacher; or more,
    and then the further ones stay random. Heads and quantizers of pre-training may stay
    random as well. The log lists what is left out and what stays random.

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream to change.
    source : str or s3prl_sb.lobes.upstreams.base.Upstream
        Name or file of a card; the folder of a run of pre-training; a checkpoint, see
        :func:`~s3prl_sb.lobes.cards.sources.open_source`; or an upstream.

    Returns
    -------
    Initialization

    Raises
    ------
    InitError
        If a weight has another shape, if the source lacks one, or if it was trained
        with other options of the configuration.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.hubert import Hubert
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 4, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> student, teacher = Hubert(config={**tiny, "num_layers": 1}), Hubert(config=tiny)
    >>> result = initialize_from(student, teacher)
    >>> len(result.left_out), result.random
    (48, [])
    """
    name = source if isinstance(source, str) else type(source).__name__
    ours, weights = _matched(network, source, name)
    random = sorted(ours.keys() - weights.keys())
    copied = [key for key in ours if key in weights]
    with torch.no_grad():
        for key in copied:
            ours[key].copy_(weights[key])
    left_out = sorted(weights.keys() - ours.keys())
    logger.info("init: %s: %d weights are copied.", name, len(copied))
    if left_out:
        logger.info("init: left out: %s", shortened(left_out))
    if random:
        logger.warning("init: these stay random: %s", shortened(random))
    return Initialization(copied, left_out, random)


def check_init(network: "Upstream", source: str) -> None:
    """Checks that :func:`initialize_from` will work; nothing is changed.

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream to begin with the weights.
    source : str
        See :func:`initialize_from`, also for the errors.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.apc import Apc
    >>> check_init(Apc(config={"hidden_size": 16}), "hubert_small_random")
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.cards.initializing.InitError: init: 'hubert_small_random' is of …
    """
    _matched(network, source, source)


def _matched(network, source, name):
    """Returns the weights of a network, and those of a source that fits it."""
    config, weights = _content(source)
    ours = network.network.state_dict()
    other = _differences(network.config, config)
    _check_shapes(name, ours, weights, other)
    _check_missing(name, sorted(ours.keys() - weights.keys()), _depths(weights))
    _check_options(name, other)
    return ours, weights


def _content(source):
    """Returns the configuration and the weights of a source."""
    try:
        is_text = isinstance(source, str)
        upstream = open_source(card_of(source)) if is_text else source
    except (UserError, FileNotFoundError) as error:
        raise InitError(f"init: {error}") from error
    if not isinstance(getattr(upstream, "network", None), torch.nn.Module):
        raise InitError(
            f"init: '{source}' is a {type(upstream).__name__}, which has no weights."
        )
    return upstream.config, upstream.network.state_dict()


def _check_shapes(name, ours, weights, other):
    wrong = [
        f"{key} {list(weights[key].shape)} instead of {list(ours[key].shape)}"
        for key in ours
        if key in weights and weights[key].shape != ours[key].shape
    ]
    if wrong:
        sizes = [
            f"{key}: {theirs}"
            for key, (_, theirs) in other.items()
            if isinstance(theirs, int | list) and not DEPTH.search(key)
        ]
        raise InitError(
            f"init: '{name}' does not fit upstream_model; {len(wrong)} weights have "
            f"other shapes: {'; '.join(wrong[:3])}. Give upstream_model the sizes of "
            f"the source in its config: {', '.join(sizes)}."
        )


def _check_missing(name, random, depths):
    missing = [
        key
        for key in random
        if not key.startswith(PREDICTORS) and not _is_further(key, depths)
    ]
    if missing:
        raise InitError(
            f"init: '{name}' is of another architecture than upstream_model: it lacks "
            f"{len(missing)} weights, {shortened(missing)}. Choose a source of the "
            "same class, or remove init."
        )


def _check_options(name, other):
    wrong = [
        f"{key}: {theirs} instead of {ours}"
        for key, (ours, theirs) in other.items()
        if not FREE.search(key)
    ]
    if wrong:
        raise InitError(
            f"init: '{name}' was trained with {', '.join(wrong)}. The same weights "
            "compute something else in upstream_model; give its config these values."
        )


def _differences(ours, theirs):
    """Returns the entries that two configurations have with different values."""
    ours, theirs = dict(_entries(ours)), dict(_entries(theirs))
    return {
        key: (value, theirs[key])
        for key, value in ours.items()
        if key in theirs and theirs[key] != value
    }


def _entries(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields dotted names and values of a configuration."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = vars(config)
    if not isinstance(config, dict):
        yield prefix, list(config) if isinstance(config, tuple) else config
        return
    for key, value in config.items():
        if key not in TRAINING:
            yield from _entries(value, f"{prefix}.{key}" if prefix else str(key))


def _depths(weights):
    """Returns the number of layers of each list of layers."""
    depths: dict[str, int] = {}
    for key in weights:
        for part, number in _layers(key):
            depths[part] = max(depths.get(part, 0), number + 1)
    return depths


def _is_further(key, depths):
    return any(number >= depths.get(part, number + 1) for part, number in _layers(key))


def _layers(key):
    """Yields the lists of layers that a weight is in, and its number there."""
    for match in re.finditer(r"(?<=layers)\.(\d+)\.", key):
        yield key[: match.start()], int(match[1])


def shortened(names: Sequence[str]) -> str:
    """Joins the first names, with the number of the others."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
