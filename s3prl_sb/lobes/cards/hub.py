"""The upstreams for ``torch.hub``, called as S3PRL's users call them.

``hubconf.py`` at the top level offers what :func:`entries` returns::

    model = torch.hub.load("…/s3prl_sb", "hubert_base")
    hidden_states = model([wav1, wav2])["hidden_states"]

Authors
 * The s3prl_sb developers, 2026
"""

import os

import torch

from s3prl_sb.lobes.cards import catalogue
from s3prl_sb.lobes.upstreams import card, load, names

#: S3PRL loads a file by its family, ``hubert_local(ckpt)``, ``_url(ckpt)`` or
#: ``_custom(ckpt)``. For each family a card whose class reads such files.
FAMILIES = {
    "apc": "apc",
    "audio_albert": "audio_albert",
    "cpc": "modified_cpc",
    "data2vec": "data2vec",
    "decoar": "decoar",
    "decoar2": "decoar2",
    "decoar_layers": "decoar_layers",
    "distiller": "distilhubert",
    "espnet_hubert": "espnet_hubert_base_iter0",
    "hf_hubert": "hubert",
    "hf_wav2vec2": "wav2vec2",
    "hubert": "hubert",
    "lighthubert": "lighthubert",
    "mae_ast": "mae_ast_frame",
    "mockingjay": "mockingjay",
    "mos_apc": "mos_apc",
    "mos_tera": "mos_tera",
    "mos_wav2vec2": "mos_wav2vec2",
    "multires_hubert": "multires_hubert_base",
    "npc": "npc",
    "pase": "pase_plus",
    "spec_augment": "spec_augment",
    "tera": "tera",
    "timit_posteriorgram": "timit_posteriorgram",
    "unispeech_sat": "unispeech_sat",
    "vq_apc": "vq_apc",
    "vq_wav2vec": "vq_wav2vec",
    "wav2vec": "wav2vec",
    "wav2vec2": "wav2vec2",
    "wavlm": "wavlm",
}
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
    """An upstream that also takes a list of waveforms, as S3PRL's do.

    What is asked of it and is not its own is asked of the upstream:
    ``num_layers``, ``output_size``, ``frames(samples)``, …

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Is kept as ``.upstream``.

    Note
    ----
    S3PRL's models are trainable and in training mode until told otherwise.
    Here ``freeze=False`` says so. The hidden states are of the true frames of
    every utterance and zero after its end.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> model = HubUpstream(load("mel"))
    >>> found = model([torch.randn(16000), torch.randn(8000)])
    >>> found["hidden_states"][0].shape, model.get_downsample_rates("hidden_states")
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
        """Hidden states, in the way of the input.

        Arguments
        ---------
        wavs : list, or torch.Tensor
            Waveforms or names of files, all that ``extract`` takes; or a padded batch
            [batch, samples] at the upstream's rate.
        wav_lens : torch.Tensor, optional
            [batch], relative lengths of a padded batch.
        sample_rate : int, optional
            Hz of waveforms in a list, as for ``extract``.

        Returns
        -------
        dict, or tuple
            For a list what ``extract`` of the upstream gives:
            ``hidden_states``, ``last_hidden_state`` and ``lens``. For a batch
            the hidden states and their relative lengths.
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
        """Samples from one frame to the next; of each ``key`` the same."""
        return self.upstream.stride

    def train(self, mode=True):
        """Sets training mode, which a frozen upstream never enters."""
        return super().train(mode and not self.upstream.freeze)

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "upstream":  # not built yet: while it is unpickled
                raise
            return getattr(self.upstream, name)


def entries():
    """What ``hubconf.py`` offers.

    Returns
    -------
    dict
        Names to functions that build a :class:`HubUpstream`: each card, and
        S3PRL's names of families.

    Example
    -------
    >>> model = entries()["mel"]()
    >>> model([torch.randn(16000)])["last_hidden_state"].shape
    torch.Size([1, 101, 80])
    """
    found = {name: _published(name) for name in names()}
    for family, name in FAMILIES.items():
        for suffix in SUFFIXES if name in found else ():
            found[f"{family}_{suffix}"] = _of_file(f"{family}_{suffix}", name)
    found["baseline_local"] = baseline_local
    return found


def baseline_local(model_config, refresh=False):
    """Acoustic features by a yaml of S3PRL.

    model_config : str
        Its path: ``kaldi``, ``delta`` and ``cmvn``, or ``input`` with
        ``win_ms``, ``hop_ms`` and so on.
    refresh : bool
        Has no effect: nothing is downloaded.
    """
    from s3prl_sb.lobes.upstreams.features import from_s3prl
    from s3prl_sb.storage.files import read_yaml

    config = read_yaml(model_config, "a configuration of S3PRL", kind=dict, typ="safe")
    return HubUpstream(from_s3prl(config))


def _published(name):
    """The function of a card."""

    def entry(refresh=False, **options):
        return _load(name, refresh, **options)

    known = catalogue.about(name)
    what = ", ".join(known[key] for key in ("paper", "data", "licence") if known[key])
    return _documented(entry, name, what or "an upstream", ", optional")


def _of_file(name, relative):
    """The function that reads a file of the family of a card."""

    def entry(ckpt, refresh=False, **options):
        return _load(relative, refresh, ckpt=ckpt, **options)

    return _documented(entry, name, f"a model of the kind of {relative}, from any file")


def _documented(entry, name, what, optional=""):
    entry.__name__ = entry.__qualname__ = name
    entry.__doc__ = HELP.format(name=name, what=what, optional=optional)
    return entry


def _load(name, refresh, **options):
    if "ckpt" in options:
        ckpt = options.pop("ckpt")
        options["source"] = None if ckpt is None else os.fspath(ckpt)
    if refresh:
        _forget(card(name, **options).get("source"))
    return HubUpstream(load(name, **options))


def _forget(source):
    """Removes a download, unless there is no way to have it again."""
    from s3prl_sb.lobes.checkpoints import fetch

    if source is not None:
        fetch.forget(source)
