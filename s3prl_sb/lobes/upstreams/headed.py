"""Upstreams that are a head on another upstream.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import tempfile
from pathlib import Path

from torch import nn

from s3prl_sb.lobes.checkpoints.building import build
from s3prl_sb.lobes.checkpoints.reading import load_weights
from s3prl_sb.lobes.upstreams import card, load
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.storage.tensor_files import write_safetensors

#: How the names of the inner upstream's weights start.
INNER = "upstream.network."
#: Entries of a configuration that are not the head's.
SHARED = ("upstream", "upstream_config", "inner")


class Headed(Upstream):
    """What such upstreams share: the two parts, ``network.upstream`` and
    ``network.head``.

    A subclass calls :meth:`assemble` and implements ``frames`` and ``encode``.

    Arguments
    ---------
    freeze, precision
        As for every upstream, and of the inner one as well.
    """

    def assemble(self, weights, source, seed, head, options=None):
        """Builds both parts, as ``config`` says.

        Its entries: ``upstream``, the name of the inner upstream's card;
        ``upstream_config``, what differs from that card's architecture;
        ``inner``, in place of the latter the whole configuration, which is set
        here and so is in converted files; and the arguments of the head.

        Arguments
        ---------
        weights : dict or None
            Of the head under ``head.``, and of the inner upstream under
            ``upstream.network.``, unless it is to bring its own. None: random.
        source : str or None
            Where they come from.
        seed : int
            Of random ones.
        head : type
            Takes the size of the inner hidden states, and its own arguments.
        options : dict, optional
            Of the inner upstream's card, if it brings its own weights.
        """
        name, inner = self.config["upstream"], _below(weights, INNER)
        freeze = self.freeze
        if "source" not in card(name) or (weights is not None and not inner):
            upstream = load(name, **{**(options or {}), "freeze": freeze})
        elif "inner" in self.config:
            upstream = _converted(name, self.config["inner"], inner, freeze)
        else:
            given = self.config["upstream_config"] or {}
            upstream = load(name, source=None, config=given, freeze=freeze, seed=seed)
            if inner:
                load_weights(upstream.network, inner, source)
        size = upstream.output_size
        sizes = {key: self.config[key] for key in self.config if key not in SHARED}
        own = build(lambda: head(size, **sizes), _below(weights, "head."), source, seed)
        self.config = {**self.config, "inner": _plain(getattr(upstream, "config", {}))}
        self.network = nn.ModuleDict({"upstream": upstream, "head": own})
        self.sample_rate = upstream.sample_rate

    def trimmed(self, samples):
        """Frames of the inner upstream that S3PRL's featurizer keeps: as many
        as strides, rounded."""
        upstream = self.network["upstream"]
        strides = round(max(samples, upstream.min_samples) / upstream.stride)
        return max(1, min(upstream.frames(samples), strides))


def _converted(name, config, weights, freeze):
    """The upstream of a card, as ``s3prl-sb convert`` keeps it."""
    about = {"class": card(name).tag.value, "config": config}
    weights = {key: tensor.contiguous() for key, tensor in weights.items()}
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / f"{name}.safetensors")
        write_safetensors(file, weights, about)
        return load(name, source=file, freeze=freeze)


def _below(weights, prefix):
    """What is under a prefix, without it."""
    if weights is None:
        return None
    return {n[len(prefix) :]: t for n, t in weights.items() if n.startswith(prefix)}


def _plain(config):
    if dataclasses.is_dataclass(config):
        return dataclasses.asdict(config)
    return config


def complete(base, changes):
    """A configuration: ``changes`` over ``base``, which has all known entries.

    Example
    -------
    >>> complete({"upstream": "tera", "classes": 39}, {"classes": 2})
    {'upstream': 'tera', 'classes': 2}
    """
    unknown = [str(key) for key in changes if key not in base]
    if unknown:
        raise ValueError(
            f"Unknown entry of config: {', '.join(unknown)}. Known: {', '.join(base)}"
        )
    return {**base, **changes}
