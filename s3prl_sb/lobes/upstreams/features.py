"""Acoustic features as upstreams: spectrogram, fbank, MFCC, mel.

The baselines of SUPERB (Yang et al., "SUPERB: Speech processing Universal
PERformance Benchmark", https://arxiv.org/abs/2105.01051), and the input of
models that were pre-trained on features. Two front-ends, as in S3PRL's
``upstream/baseline``: Kaldi's (only whole frames) and the centred STFT's.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import inspect

import torch
import torchaudio.compliance.kaldi
import torchaudio.functional

from s3prl_sb.lobes.checkpoints import values
from s3prl_sb.lobes.networks.dynamics import (
    add_deltas,
    fill_deltas,
    gathered,
    normalize,
    normalize_in_place,
)
from s3prl_sb.lobes.networks.mel_spectrogram import hann_window, mel_filters
from s3prl_sb.lobes.upstreams.base import PRECISIONS, Upstream

KALDI = {
    "fbank": torchaudio.compliance.kaldi.fbank,
    "mfcc": torchaudio.compliance.kaldi.mfcc,
    "spectrogram": torchaudio.compliance.kaldi.spectrogram,
}
#: Options of Kaldi that users cannot set: dither would make features random.
FIXED = ("waveform", "channel", "dither", "min_duration", "sample_frequency")
STFT = ("mel", "linear", "mfcc", "magnitude")
EPSILON = 1e-10
LONG = 60_000  # frames, ten minutes: longer audio is computed in pieces
PIECE = 10_000  # frames of a piece


class AcousticFeatures(Upstream):
    """Base class of the two front-ends: deltas, then CMVN; one hidden state.

    A subclass implements ``frames``, ``min_samples``, ``stride`` and
    ``spectral``. Features are computed in fp32 and then cast to the precision.
    The arguments are those of the subclasses.
    """

    num_layers = 1

    def __init__(self, deltas, delta_window, cmvn, freeze, precision):
        super().__init__(freeze=freeze, precision=precision)
        if deltas < 0 or delta_window < 3 or delta_window % 2 == 0:
            raise ValueError(
                "deltas must be 0 or more and delta_window odd, 3 or more; "
                f"got {deltas} and {delta_window}"
            )
        self.deltas, self.delta_window, self.cmvn = deltas, delta_window, cmvn
        # Without parameters, only a buffer remembers the device of the module.
        self.register_buffer("place", torch.empty(0), persistent=False)

    def spectral(self, wavs):
        """Returns the features before the deltas, [batch, frames, size], of waveforms
        [batch, samples] in fp32."""
        raise NotImplementedError

    def pieces(self, wavs, frames):
        """Yields the features of long audio in pieces [batch, frames_i, size]."""
        yield self.spectral(wavs)

    def encode(self, wavs):
        """See :meth:`Upstream.encode`."""
        frames = self.frames(wavs.shape[1])
        with torch.autocast(wavs.device.type, enabled=False):
            if frames > LONG and not wavs.requires_grad:
                x = gathered(self.pieces(wavs.float(), frames), frames, self.deltas)
                fill_deltas(x, self.deltas, self.delta_window)
                if self.cmvn:
                    normalize_in_place(x)
            else:
                spectral = self.spectral(wavs.float())
                x = add_deltas(spectral, self.deltas, self.delta_window)
                x = normalize(x) if self.cmvn else x
        return [x.to(PRECISIONS[self.precision])]

    def _probe(self, bands):
        """Returns the size of the features; bad options fail here, not in training."""
        values.check_features(self.min_samples / self.sample_rate, bands)
        return self.encode(torch.zeros(1, self.min_samples))[0].shape[-1]


class KaldiFeatures(AcousticFeatures):
    """Kaldi's features, as torchaudio computes them.

    Arguments
    ---------
    feature : str
        "fbank", "mfcc" or "spectrogram".
    deltas : int
        Number of orders of differences to append.
    delta_window : int
        Number of frames that a difference spans, odd.
    cmvn : bool
        Normalize mean and variance in each utterance.
    freeze, precision
        See :class:`~s3prl_sb.lobes.upstreams.base.Upstream`; nothing is trained.
    **options
        Options of ``torchaudio.compliance.kaldi.<feature>``: ``num_mel_bins``,
        ``frame_length`` and ``frame_shift`` in milliseconds, ``window_type``,
        … with Kaldi's defaults. There is no dither.

    Raises
    ------
    ValueError
        For an unknown feature or option, with the known ones.

    Note
    ----
    Waveforms stay in [-1, 1] as in S3PRL, where Kaldi itself takes 16 bit
    integers: log features without CMVN are lower by a constant.

    Example
    -------
    >>> fbank = KaldiFeatures("fbank", num_mel_bins=80)
    >>> fbank.output_size, fbank.stride, fbank.frames(16000)
    (240, 160, 98)
    >>> hidden_states, lens = fbank(torch.randn(2, 16000))
    >>> hidden_states[0].shape
    torch.Size([2, 98, 240])
    """

    def __init__(
        self,
        feature="fbank",
        deltas=2,
        delta_window=5,
        cmvn=True,
        freeze=True,
        precision="fp32",
        **options,
    ):
        super().__init__(deltas, delta_window, cmvn, freeze, precision)
        _one_of("feature", [feature], KALDI)
        arguments = inspect.signature(KALDI[feature]).parameters.values()
        defaults = {p.name: p.default for p in arguments if p.name not in FIXED}
        _one_of(f"option of kaldi's {feature}", options, defaults)
        self.feature, self.options = feature, {**defaults, **options}
        # torchaudio rounds the same way.
        self.window = int(self.sample_rate * self.options["frame_length"] * 0.001)
        self.stride = int(self.sample_rate * self.options["frame_shift"] * 0.001)
        self.output_size = self._probe(self.options.get("num_mel_bins", 0))

    @property
    def min_samples(self):
        """Length of a window, in samples."""
        return self.window

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        samples = max(samples, self.min_samples)
        if self.options["snip_edges"]:
            return 1 + (samples - self.window) // self.stride
        return max(1, (samples + self.stride // 2) // self.stride)

    def spectral(self, wavs):
        """See :meth:`AcousticFeatures.spectral`."""
        options = {"sample_frequency": self.sample_rate, **self.options}
        return torch.stack([KALDI[self.feature](wav[None], **options) for wav in wavs])

    def pieces(self, wavs, frames):
        """Yields pieces, except with options that depend on the whole utterance."""
        if not self.options["snip_edges"] or self.options["subtract_mean"]:
            yield self.spectral(wavs)
            return
        for first in range(0, frames, PIECE):
            last = min(first + PIECE, frames) - 1
            start, stop = first * self.stride, last * self.stride + self.window
            yield self.spectral(wavs[:, start:stop])


class StftFeatures(AcousticFeatures):
    """Features of the centred short-time Fourier transform.

    Arguments
    ---------
    feature : str
        "linear": power spectrum; "mel": power in mel bands; "mfcc"; or
        "magnitude": magnitude spectrum (S3PRL's ``stft_mag``).
    log : bool
        Take the natural logarithm; MFCCs ignore it.
    deltas, delta_window, cmvn, freeze, precision
        See :class:`KaldiFeatures`.
    n_fft : int
        Size of the transform, in samples.
    win_ms, hop_ms : float
        Hann window and step, in milliseconds.
    n_mels : int, optional
        Number of mel bands. None: 80; 128 for MFCCs, as in S3PRL.
    n_mfcc : int
        Number of cepstral coefficients.

    Raises
    ------
    ValueError
        For an unknown feature or impossible sizes.

    Note
    ----
    In S3PRL an utterance ends at the last sample that is not zero, which cuts off
    digital silence at its end. Here silence is audio.

    Example
    -------
    >>> mel = StftFeatures("mel", n_mels=80)
    >>> mel.output_size, mel.stride, mel.frames(16000)
    (80, 160, 101)
    """

    def __init__(
        self,
        feature="mel",
        log=True,
        deltas=0,
        delta_window=5,
        cmvn=True,
        n_fft=400,
        win_ms=25,
        hop_ms=10,
        n_mels=None,
        n_mfcc=13,
        freeze=True,
        precision="fp32",
    ):
        super().__init__(deltas, delta_window, cmvn, freeze, precision)
        _one_of("feature", [feature], STFT)
        self.feature, self.log = feature, log and feature != "mfcc"
        self.window = round(win_ms * self.sample_rate / 1000)
        self.stride = round(hop_ms * self.sample_rate / 1000)
        self.n_fft, self.n_mfcc = n_fft, n_mfcc
        self.n_mels = n_mels or (128 if feature == "mfcc" else 80)
        if not 0 < self.window <= n_fft or self.stride < 1:
            raise ValueError(
                f"win_ms {win_ms} and hop_ms {hop_ms} are {self.window} and "
                f"{self.stride} samples; the window must fit n_fft, {n_fft}"
            )
        if feature == "mfcc" and n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc {n_mfcc} is more than n_mels {self.n_mels}")
        self.output_size = self._probe(self.n_mels)

    @property
    def min_samples(self):
        """Length that the reflection at both ends needs, in samples."""
        return self.n_fft // 2 + 1

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        samples = max(samples, self.min_samples)
        return 1 + (samples - self.n_fft % 2) // self.stride

    def spectral(self, wavs):
        """See :meth:`AcousticFeatures.spectral`."""
        return self._spectral(wavs, center=True)

    def pieces(self, wavs, frames):
        """Yields pieces of the whole utterance with its reflected ends."""
        reach = self.n_fft // 2
        wavs = torch.nn.functional.pad(wavs[:, None], (reach, reach), "reflect")[:, 0]
        for first in range(0, frames, PIECE):
            last = min(first + PIECE, frames) - 1
            start, stop = first * self.stride, last * self.stride + self.n_fft
            yield self._spectral(wavs[:, start:stop], center=False)

    def _spectral(self, wavs, center):
        sizes = (self.n_fft, self.stride, self.window)
        window = hann_window(self.window, wavs.device)
        options = {"center": center, "pad_mode": "reflect", "return_complex": True}
        stft = torch.stft(wavs, *sizes, window, **options)
        x = stft.abs().transpose(1, 2)
        if self.feature == "magnitude":  # with a floor instead of an offset
            return x.clamp_min(1e-8).log() if self.log else x
        x = x.pow(2)
        if self.feature != "linear":
            sizes = (x.shape[-1], self.n_mels, self.sample_rate)
            x = x @ mel_filters(*sizes, device=x.device)
        if self.feature == "mfcc":
            return (x + 1e-6).log() @ _dct(self.n_mfcc, self.n_mels, x.device)
        return (x + EPSILON).log() if self.log else x


def from_s3prl(config):
    """Builds features from a configuration of S3PRL.

    Arguments
    ---------
    config : dict
        Content of a YAML file of ``baseline_local``, or the ``audio`` block of a
        checkpoint: ``kaldi``, ``delta`` and ``cmvn``, or ``input`` with
        ``win_ms``, ``hop_ms``, ``n_freq`` and so on.

    Returns
    -------
    AcousticFeatures
        Frozen, fp32.

    Raises
    ------
    ValueError
        For an unknown feature or option.

    Note
    ----
    ``dither`` is ignored. For MFCCs of the STFT ``n_mels`` has no effect.

    Example
    -------
    >>> from_s3prl({"n_mels": 40, "input": {"feat_type": "mel"}}).output_size
    40
    """
    if "kaldi" in config:
        feature = config["kaldi"].get("feat_type", "fbank")
        _one_of("feature", [feature], KALDI)
        options = {**config["kaldi"].get(feature, {})}
        options.pop("dither", None)
        delta, cmvn = config.get("delta", {}), config.get("cmvn", {})
        _one_of("option of delta", delta, ("order", "win_length"))
        _one_of("option of cmvn", cmvn, ("use_cmvn",))
        return KaldiFeatures(
            feature,
            deltas=delta.get("order", 2),
            delta_window=delta.get("win_length", 5),
            cmvn=cmvn.get("use_cmvn", True),
            **options,
        )
    if "input" not in config:
        raise ValueError(
            "A configuration of features has 'kaldi' or 'input'; this one has: "
            + (", ".join(config) or "nothing")
        )
    chosen = config["input"]
    _one_of("feature", [chosen["feat_type"]], STFT[:3])
    return StftFeatures(
        chosen["feat_type"],
        log=chosen.get("log", False),
        deltas=chosen.get("delta", 0),
        cmvn=chosen.get("cmvn", False),
        n_fft=2 * (config.get("n_freq", 201) - 1),
        win_ms=config.get("win_ms", 25),
        hop_ms=config.get("hop_ms", 10),
        n_mels=config.get("n_mels", 40) if chosen["feat_type"] == "mel" else None,
        n_mfcc=config.get("n_mfcc", 13),
    )


def _one_of(what, names, choices):
    unknown = [str(name) for name in names if name not in choices]
    if unknown:
        raise ValueError(
            f"Unknown {what}: {', '.join(unknown)}. Known: {', '.join(choices)}"
        )


# No buffer, because it stays fp32 when a module with features is cast.
@functools.lru_cache(maxsize=16)
def _dct(n_mfcc, n_mels, device):
    return torchaudio.functional.create_dct(n_mfcc, n_mels, "ortho").to(device)
