"""Inputs of the encoders of transformers: from waveforms to what each network takes.

Each class does for utterances of equal length what a feature extractor of transformers
does for one, in torch and on any device, and counts frames.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import math

import torch
import torch.nn.functional as F
import torchaudio.functional

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks.front_end import frames_of, samples_of
from s3prl_sb.lobes.upstreams.features import KaldiFeatures


class Waveforms:
    """Input of networks like wav2vec 2.0: waveforms, for strided convolutions.

    Each class of inputs does for utterances of equal length what a feature extractor
    of transformers does for one, in torch and on any device, and counts frames.

    Arguments
    ---------
    config : transformers.PreTrainedConfig
        Configuration of the network.
    preprocessor : dict
        Content of ``preprocessor_config.json``.
    """

    def __init__(self, config, preprocessor):
        self.convolutions = list(zip(config.conv_kernel, config.conv_stride))
        self.squeeze = getattr(config, "squeeze_factor", 1)  # of SEW
        self.stride = math.prod(config.conv_stride) * self.squeeze
        self.min_samples = samples_of(self.squeeze, self.convolutions)
        self.normalize = preprocessor.get("do_normalize", True)

    def frames(self, samples):
        """Returns the number of frames of a waveform."""
        return frames_of(samples, self.convolutions) // self.squeeze

    def __call__(self, wavs):
        """[batch, samples] -> input of the network, [batch, samples]."""
        return F.layer_norm(wavs, wavs.shape[1:], eps=1e-7) if self.normalize else wavs


class StackedMel:
    """Input of w2v-BERT 2.0: Kaldi's log mel, normalized, frames in pairs.

    The arguments are those of :class:`Waveforms`.
    """

    def __init__(self, config, preprocessor):
        if preprocessor.get("sampling_rate", 16000) != 16000:
            raise CheckpointError(
                f"w2v-BERT's features are of 16000 Hz, this model's of "
                f"{preprocessor['sampling_rate']}."
            )
        bands = preprocessor.get("num_mel_bins", 80)
        self.mel = KaldiFeatures(num_mel_bins=bands, deltas=0, cmvn=False)
        self.stack = preprocessor.get("stride", 2)
        self.stride = self.mel.stride * self.stack
        # At least two frames, which the variance needs.
        self.min_samples = self.mel.window + (max(2, self.stack) - 1) * self.mel.stride

    def frames(self, samples):
        """Returns the number of frames of a waveform."""
        return self.mel.frames(samples) // self.stack

    def __call__(self, wavs):
        """[batch, samples] -> [batch, frames, stacked bands]."""
        x = self.mel.encode(wavs * 2**15)[0]
        variance, mean = torch.var_mean(x, 1, keepdim=True)
        x = (x - mean) / (variance + 1e-7).sqrt()
        x = x[:, : x.shape[1] // self.stack * self.stack]
        return x.unflatten(1, (-1, self.stack)).flatten(2)


class WhisperMel:
    """Input of Whisper: log mel of windows of 30 s, the last one padded.

    The arguments are those of :class:`Waveforms`.
    """

    def __init__(self, config, preprocessor):
        self.n_fft = preprocessor.get("n_fft", 400)
        self.hop = preprocessor.get("hop_length", 160)
        self.rate = preprocessor.get("sampling_rate", 16000)
        self.bands = config.num_mel_bins
        self.stride = 2 * self.hop
        self.window = self.stride * config.max_source_positions
        self.min_samples = 1

    def frames(self, samples):
        """Returns the number of frames that begin within a waveform."""
        return math.ceil(samples / self.stride)

    def __call__(self, wavs):
        """[batch, samples] -> [batch * windows, bands, frames]."""
        wavs = F.pad(wavs, (0, -wavs.shape[1] % self.window)).unflatten(
            1, (-1, self.window)
        )
        window = torch.hann_window(self.n_fft, device=wavs.device)
        spectrum = torch.stft(
            wavs.flatten(0, 1), self.n_fft, self.hop, window=window, return_complex=True
        )[..., :-1]
        bands = _slaney_bands(self.n_fft // 2 + 1, self.bands, self.rate, wavs.device)
        x = (bands.T @ spectrum.abs().pow(2)).clamp_min(1e-10).log10()
        return (x.maximum(x.amax((1, 2), keepdim=True) - 8) + 4) / 4


#: Class of the inputs of a ``model_type``; all others: :class:`Waveforms`.
INPUTS = {"wav2vec2-bert": StackedMel, "whisper": WhisperMel}


@functools.lru_cache(maxsize=8)
def _slaney_bands(n_freqs, n_mels, sample_rate, device):
    sizes = (n_freqs, 0.0, 8000.0, n_mels, sample_rate, "slaney", "slaney")
    return torchaudio.functional.melscale_fbanks(*sizes).to(device)
