"""The upstreams for ``torch.hub``, with the interface of S3PRL.

``hubconf.py`` at the top level exports what :func:`entries` returns::

    model = torch.hub.load("…/s3prl_sb", "hubert_base")
    hidden_states = model([wav1, wav2])["hidden_states"]

S3PRL loads a file by the name of its family, ``hubert_local(ckpt)``, ``_url(ckpt)`` or
``_custom(ckpt)``. A card file says under ``_hub`` which of its cards reads such files::

    _hub: {distiller: distilhubert}

Authors
 * The s3prl_sb developers, 2026
"""

import os
from collections.abc import Callable
from pkgutil import resolve_name

import torch

from s3prl_sb.foreign import UPSTREAM
from s3prl_sb.lobes.cards import catalogue
from s3prl_sb.lobes.cards.finding import names, notes, published
from s3prl_sb.lobes.cards.fusing import sources
from s3prl_sb.lobes.cards.loading import card, load
from s3prl_sb.lobes.checkpoints import fetch
from s3prl_sb.storage.files import read_yaml

SUFFIXES = ("local", "url", "custom")
HELP = """{name}: {what}

Arguments
---------
ckpt : str{optional}
    Weights: a file, an address, a folder or an id of Hugging Face. (Elsewhere
    in s3prl_sb this is `source`, which torch.hub.load keeps for itself.)
refresh : bool
    Download again what lies in the cache.
**options
    Any other argument of the card: freeze=False, precision="bf16", ...

Returns
-------
torch.nn.Module
    model([wav1, wav2])["hidden_states"] as in S3PRL, of files or waveforms, or
    model(wavs, wav_lens) of a batch at model.sample_rate as in SpeechBrain. Frozen,
    unless freeze=False.
"""


class HubUpstream(torch.nn.Module):
    """Upstream that also takes a list of waveforms, as S3PRL's upstreams do.

    All other attributes are those of the upstream: ``num_layers``, ``output_size``,
    ``frames(samples)``, …

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        The wrapped upstream, kept as ``.upstream``.

    Note
    ----
    S3PRL's models are trainable and in training mode by default; here that needs
    ``freeze=False``. The hidden states of an utterance are zero after its last frame.

    Example
    -------
    >>> model = HubUpstream(load("mel"))
    >>> features = model([torch.randn(16000), torch.randn(8000)])
    >>> features["hidden_states"][0].shape, model.get_downsample_rates("hidden_states")
    (torch.Size([2, 101, 80]), 160)
    >>> hidden_states, lens = model(torch.randn(2, 16000), torch.tensor([1, 0.5]))
    >>> len(hidden_states) == model.num_layers
    True
    """

    def __init__(self, upstream):
        super().__init__()
        self.upstream = upstream
        self.train(upstream.training)

    def forward(self, wavs, wav_lens=None, sample_rate=None):
        """Computes hidden states of a list of waveforms, or of a padded batch.

        Arguments
        ---------
        wavs : list, or torch.Tensor
            Waveforms or names of files, see ``extract`` of the upstream; or a padded
            batch [batch, samples] at the upstream's sample rate.
        wav_lens : torch.Tensor, optional
            Relative lengths [batch] of a padded batch.
        sample_rate : int, optional
            Sample rate in Hz of the waveforms in a list.

        Returns
        -------
        dict, or tuple
            For a list: the dict of ``extract``, with ``hidden_states``,
            ``last_hidden_state`` and ``lens``. For a batch: the hidden states and
            their relative lengths.
        """
        if sample_rate is None:
            return self.upstream(wavs, wav_lens)
        if wav_lens is not None:
            raise ValueError(
                "wav_lens are of a padded batch at the upstream's rate, and "
                "sample_rate is of unpadded waveforms: give one of them."
            )
        return self.upstream.extract(wavs, sample_rate)

    def get_downsample_rates(self, key="hidden_states"):
        """Returns the samples from one frame to the next, equal for every ``key``."""
        return self.upstream.stride

    def train(self, mode=True):
        """Sets training mode; a frozen upstream stays in evaluation mode."""
        return super().train(mode and not self.upstream.freeze)

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "upstream":  # not set yet, during unpickling
                raise
            return getattr(self.upstream, name)


def loaders() -> dict[str, str]:
    """Returns S3PRL's names of families, each with the card that reads its files.

    Returns
    -------
    dict

    Example
    -------
    >>> loaders()["distiller"]
    'distilhubert'
    """
    return {
        family: name
        for file in published()
        for family, name in notes(file, "_hub").items()
    }


def entries() -> dict[str, Callable[..., HubUpstream]]:
    """Returns the functions of ``hubconf.py``.

    Returns
    -------
    dict
        Names to functions that build a :class:`HubUpstream`: one for each card, those
        of :func:`loaders`, and :func:`upstream`.

    Example
    -------
    >>> model = entries()["mel"]()
    >>> model([torch.randn(16000)])["last_hidden_state"].shape
    torch.Size([1, 101, 80])
    """
    functions = [_card_entry(name) for name in names()]
    functions += [
        _file_entry(f"{family}_{suffix}", name)
        for family, name in loaders().items()
        for suffix in SUFFIXES
    ]
    functions += [upstream, baseline_local]
    return {function.__name__: function for function in functions}


def upstream(name, refresh=False, **options):
    """Any upstream: a card file, a folder, or one on the Hugging Face hub.

    name : str
        ``mine.yaml``, the folder of a pre-training, ``owner/name``,
        ``owner/name@REVISION``, or any name in the list.
    refresh : bool
        Download again what lies in the cache; a commit on the hub never changes.
    options
        Arguments of the card, see the other entries; ``trust=True`` lets code run that
        comes with it.
    """
    return _load(name, refresh, **options)


def baseline_local(model_config, refresh=False):
    """Acoustic features by a yaml of S3PRL.

    model_config : str
        Its path: ``kaldi``, ``delta`` and ``cmvn``, or ``input`` with
        ``win_ms``, ``hop_ms`` and so on.
    refresh : bool
        Has no effect: nothing is downloaded.
    """
    config = read_yaml(model_config, "a configuration of S3PRL", kind=dict, typ="safe")
    # The families are above this room: the reader is known by its name.
    from_s3prl = resolve_name(f"{UPSTREAM.package}.features.from_s3prl")
    return HubUpstream(from_s3prl(config))


def _card_entry(name):
    """Returns the function that loads a card."""

    def entry(refresh=False, **options):
        return _load(name, refresh, **options)

    facts = catalogue.about(name)
    stated = (facts["paper"], facts["data"], catalogue.marked(facts["licence"]))
    what = ", ".join(fact for fact in stated if fact)
    return _documented(entry, name, what or "an upstream", ", optional")


def _file_entry(name, card_name):
    """Returns the function that loads a file of the family of a card."""

    def entry(ckpt, refresh=False, **options):
        return _load(card_name, refresh, ckpt=ckpt, **options)

    what = f"a model of the kind of {card_name}, from any file"
    return _documented(entry, name, what)


def _documented(entry, name, what, optional=""):
    entry.__name__ = entry.__qualname__ = name
    entry.__doc__ = HELP.format(name=name, what=what, optional=optional)
    return entry


def _load(name, refresh, **options):
    if "ckpt" in options:
        ckpt = options.pop("ckpt")
        options["source"] = None if ckpt is None else os.fspath(ckpt)
    for node in sources(card(name, **options)) if refresh else ():
        if node["source"] is not None:
            fetch.forget(node["source"])
    return HubUpstream(load(name, **options))
