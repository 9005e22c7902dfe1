"""PaSST, the Patchout Spectrogram Transformer: audio events of AudioSet.

Papers: Koutini et al., "Efficient Training of Audio Transformers with
Patchout", Interspeech 2022, https://arxiv.org/abs/2110.05069; Koutini et al.,
"Learning General Audio Representations with Large-Scale Training of Patchout
Audio Transformers", https://arxiv.org/abs/2211.13956, for the windows.
Reproduces S3PRL's ``upstream/passt``.

Authors
 * The s3prl_sb developers, 2026
"""

import functools

import torch
import torch.nn.functional as F
import torchaudio.compliance.kaldi
import torchaudio.functional

from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, read
from s3prl_sb.lobes.checkpoints.timm_layout import from_timm
from s3prl_sb.lobes.networks.vision_transformer import (
    VisionTransformer,
    VisionTransformerConfig,
)
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

BANDS, N_FFT, WIN = 128, 1024, 800
RATE = 32000  # sample rate of the network, Hz
RATES = (16000, RATE)  # of the waveforms
FMAX = 15000.0  # Hz
MEL_FRAMES = 6  # frames in the window of plain features
#: Number of patches that run through the network at a time.
PATCHES = 1 << 14
#: Weights of a checkpoint besides those of timm's layout.
EMBEDDINGS = (
    "cls_token",
    "dist_token",
    "new_pos_embed",
    "freq_new_pos_embed",
    "time_new_pos_embed",
)


def read_passt(path):
    """Reads a checkpoint of the authors.

    Arguments
    ---------
    path : pathlib.Path
        The file.

    Returns
    -------
    config : dict
        Entries of :class:`VisionTransformerConfig`.
    weights : dict
        Weights of :class:`VisionTransformer`. DeiT's second classifier,
        ``head_dist``, is not used and dropped.

    Raises
    ------
    CheckpointError
        If it is not such a checkpoint.
    """
    weights = as_dict(read(path))
    if not {*EMBEDDINGS, "head.1.weight"} <= weights.keys():
        raise CheckpointError(
            f"'{path}' is not a checkpoint of PaSST: these have "
            f"{', '.join(EMBEDDINGS)} and head.1.weight. Its keys: "
            + ", ".join(sorted(map(str, weights))[:8])
        )
    embeddings = {name: weights[name][0] for name in EMBEDDINGS}
    used = {
        name: tensor
        for name, tensor in weights.items()
        if name not in EMBEDDINGS and not name.startswith("head_dist.")
    }
    config, weights = from_timm(used, path)
    tokens = torch.cat([embeddings["cls_token"], embeddings["dist_token"]])
    tokens = tokens + embeddings["new_pos_embed"]
    bands = embeddings["freq_new_pos_embed"][:, :, 0].T.contiguous()
    times = embeddings["time_new_pos_embed"][:, 0].T.contiguous()
    high = config["patch"][0]
    strides = [s for s in range(1, high + 1) if 1 + (BANDS - high) // s == len(bands)]
    if not strides:
        raise CheckpointError(
            f"'{path}' has positions for {len(bands)} patches of {high} bands, "
            f"which do not divide {BANDS} bands"
        )
    config.update(
        patch_stride=[strides[-1], strides[-1]],
        grid=[len(bands), len(times)],
        positions="factorized",
        num_classes=len(weights["head.weight"]),
    )
    weights.update(tokens=tokens, band_positions=bands, time_positions=times)
    return config, weights


class Passt(PretrainedUpstream):
    """PaSST.

    Its hidden state has the logits of the 527 classes of AudioSet and the 768 features
    below them, for a window around every 50 ms; those of several windows are
    concatenated, and plain log mel features come last.

    Arguments
    ---------
    source : str, optional
        Checkpoint of the authors, or its address. None: a random network of
        ``config``.
    config : dict, optional
        Entries of :class:`VisionTransformerConfig` that differ from the base
        model; only without ``source``.
    hop : int
        Samples at 32 kHz from one frame of the spectrogram to the next, as in
        training: 320, 160 or 100. The checkpoint does not state it.
    scales : list of int
        Length of each window as a multiple of ``window_secs``.
    mel : bool
        Add log mel features of a short window.
    window_secs, stride_secs : float
        Length of the windows, and from one to the next.
    sample_rate : int
        Sample rate of the waveforms, which are resampled to 32 kHz. Default: 16000, as
        in S3PRL; then nothing above 8 kHz reaches the network. 32000: that of the
        training.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    In S3PRL SpecAugment is active until ``eval()`` is called, and audio shorter than
    half the longest window fails. Here nothing is random, and such audio is padded
    with zeros to that length; its number of frames is that of the unpadded audio.

    Example
    -------
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4}
    >>> hidden_states, lens = Passt(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (1, torch.Size([2, 21, 559]))
    """

    packed = True
    num_layers = 1
    Config, Network = VisionTransformerConfig, VisionTransformer
    unknown_entry = "Unknown config"
    read = staticmethod(read_passt)
    defaults = {"grid": [12, 99], "positions": "factorized"}

    def __init__(
        self,
        source=None,
        config=None,
        hop=320,
        scales=(1,),
        mel=False,
        window_secs=0.16,
        stride_secs=0.05,
        sample_rate=16000,
        **options,
    ):
        if sample_rate not in RATES:
            raise ValueError(
                f"sample_rate {sample_rate}: PaSST is for 16000 or 32000 Hz"
            )
        super().__init__(source, config, **options)
        self.hop, self.mel, self.sample_rate = hop, mel, sample_rate
        self.ratio = RATE // sample_rate
        self.stride = round(stride_secs * sample_rate)
        self.windows = [
            self.ratio * round(scale * window_secs * sample_rate) for scale in scales
        ]
        if self.stride < 1 or not scales or hop < WIN // 8:
            raise ValueError(
                f"stride_secs {stride_secs}, scales {list(scales)}, hop {hop}: there "
                f"must be a stride, a scale, and {WIN // 8} samples or more"
            )
        for window in self.windows:
            times = self._patches(window)[1]
            if not 1 <= times <= self.config.grid[1]:
                raise ValueError(
                    f"A window of {window / RATE} s has {times} patches over time; "
                    f"this network is for 1 to {self.config.grid[1]}"
                )
        size = self.config.num_classes + self.config.hidden_size
        self.output_size = len(self.windows) * size + mel * MEL_FRAMES * BANDS

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        return 1 + samples // self.stride

    def encode_packed(self, wavs):
        """See :meth:`Upstream.encode_packed`."""
        frames = [self.frames(len(wav)) for wav in wavs]
        # Reflection needs half a window, at 16 kHz a quarter of its samples.
        least = max(self.windows) // (2 * self.ratio) + 1
        wavs = [F.pad(wav.float(), (0, max(0, least - len(wav)))) for wav in wavs]
        rates = self.sample_rate, RATE
        wavs = [torchaudio.functional.resample(wav, *rates) for wav in wavs]
        parts = []
        for window in self.windows:
            bands, times = self._patches(window)
            size = max(1, PATCHES // (bands * times))
            chunks = self._cut(wavs, frames, window).split(size)
            parts.append(torch.cat([self._embedding(chunk) for chunk in chunks]))
        if self.mel:
            windows = self._cut(wavs, frames, MEL_FRAMES * self.hop)
            parts.append(log_mel(windows, self.hop).flatten(1).to(parts[0].dtype))
        yield torch.cat(parts, dim=1)

    def _patches(self, window):
        """Returns the number of patches of a window, over bands and over time."""
        return self.network.grid(BANDS, 1 + (window - 1) // self.hop)

    def _cut(self, wavs, frames, window):
        """List of [samples_i] at 32 kHz -> windows [total_frames, window].

        Windows are centred; the audio is mirrored at the ends.
        """
        reach = (window // 2, window // 2)
        wavs = [F.pad(wav[None], reach, mode="reflect")[0] for wav in wavs]
        cut = [wav.unfold(0, window, self.ratio * self.stride) for wav in wavs]
        return torch.cat([part[:count] for part, count in zip(cut, frames)])

    def _embedding(self, windows):
        """[windows, samples] -> [windows, num_classes + hidden_size]."""
        for state in self.network(log_mel(windows, self.hop)):
            pass  # only the last one is needed
        return torch.cat(self.network.classify(state), dim=1)


def log_mel(wavs, hop):
    """Computes the features of PaSST.

    Arguments
    ---------
    wavs : torch.Tensor
        [batch, samples] at 32 kHz.
    hop : int
        Samples from one frame to the next.

    Returns
    -------
    torch.Tensor
        [batch, 128, frames], fp32.

    Example
    -------
    >>> log_mel(torch.randn(2, 5120), hop=320).shape
    torch.Size([2, 128, 16])
    """
    with torch.autocast(wavs.device.type, enabled=False):
        window, bands = _constants(wavs.device)
        x = wavs[:, 1:] - 0.97 * wavs[:, :-1]
        x = torch.stft(x, N_FFT, hop, WIN, window, return_complex=True)
        x = bands @ (x.real.square() + x.imag.square())
        return ((x + 1e-5).log() + 4.5) / 5


# Not buffers: these stay fp32 when the module is cast.
@functools.lru_cache(maxsize=4)
def _constants(device):
    """Returns the window of the STFT and the filters [bands, frequencies]."""
    bands, _ = torchaudio.compliance.kaldi.get_mel_banks(
        BANDS, N_FFT, RATE, 0.0, FMAX, vtln_low=100.0, vtln_high=-500.0,
        vtln_warp_factor=1.0,
    )  # fmt: skip
    window = torch.hann_window(WIN, periodic=False)
    return window.to(device), F.pad(bands, (0, 1)).to(device)
