"""Inputs of the encoders of transformers: from waveforms to what each network takes.

Each class does for utterances of equal length what a feature extractor of transformers
does for one, in torch and on any device, and counts frames.

Authors
 * The s3prl_sb developers, 2026
"""

import math

import torch
import torch.nn.functional as F

from s3prl_sb.lobes.networks.front_end import frames_of, samples_of
from s3prl_sb.lobes.networks.mel_spectrogram import MelSpectrogram


class Waveforms:
    """Input of networks like wav2vec 2.0: waveforms, for strided convolutions.

    Arguments
    ---------
    config : transformers.PreTrainedConfig
        Configuration of the network.
    preprocessor : dict
        Content of ``preprocessor_config.json``.
    """

    rate = 16000  #: default sample rate, Hz

    def __init__(self, config, preprocessor):
        self.convolutions = self.sizes(config)
        self.squeeze = getattr(config, "squeeze_factor", 1)  # of SEW
        self.stride = math.prod(s for _, s in self.convolutions) * self.squeeze
        self.min_samples = samples_of(self.squeeze, self.convolutions)
        self.normalize = preprocessor.get("do_normalize", True)

    def sizes(self, config):
        """Returns kernel size and stride of each convolution."""
        return list(zip(config.conv_kernel, config.conv_stride))

    def frames(self, samples):
        """Returns the number of frames of a waveform."""
        return frames_of(samples, self.convolutions) // self.squeeze

    def __call__(self, wavs):
        """[batch, samples] -> input of the network, [batch, samples]."""
        return F.layer_norm(wavs, wavs.shape[1:], eps=1e-7) if self.normalize else wavs

    def pieces(self, wavs, seconds):
        """Yields parts that the network can see one after the other.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples]
        seconds : float
            Amount of audio that may run together, at least one window.

        Yields
        ------
        x : torch.Tensor
            Input of the network, of one or more windows of each utterance.
        frames : int or None
            Number of frames of each window, where it does not follow from ``x``.
        """
        yield self(wavs), None


class Moonshine(Waveforms):
    """Input of Moonshine: waveforms, for convolutions that are the same in all sizes.

    The arguments are those of :class:`Waveforms`.
    """

    def sizes(self, config):
        """See :class:`Waveforms`."""
        return [(127, 64), (7, 3), (3, 2)]


class WhisperMel(Waveforms):
    """Input of Whisper: log mel of windows of 30 s, the last one padded.

    The arguments are those of :class:`Waveforms`.
    """

    def __init__(self, config, preprocessor):
        self.hop = preprocessor.get("hop_length", 160)
        self.mel = MelSpectrogram(
            n_fft=preprocessor.get("n_fft", 400),
            hop=self.hop,
            n_mels=config.num_mel_bins,
            fmax=8000.0,
            sample_rate=preprocessor.get("sampling_rate", 16000),
            scale="slaney",
            norm="slaney",
        )
        self.stride = 2 * self.hop
        # GLM-ASR has no table of positions; its windows are of as many.
        positions = "max_source_positions"
        if not hasattr(config, positions):
            positions = "max_position_embeddings"
        self.window = self.stride * getattr(config, positions)
        self.min_samples = 1

    def frames(self, samples):
        """Returns the number of frames that begin within a waveform."""
        return math.ceil(samples / self.stride)

    def log_mel(self, wavs):
        """[batch, samples] -> [batch, bands, frames]."""
        x = self.mel.energies(wavs)[..., :-1].clamp_min(1e-10).log10()
        return (x.maximum(x.amax((1, 2), keepdim=True) - 8) + 4) / 4

    def pieces(self, wavs, seconds):
        """See :class:`Waveforms`."""
        wavs = F.pad(wavs, (0, -wavs.shape[1] % self.window))
        for group in self.groups(wavs.unflatten(1, (-1, self.window)), seconds):
            yield self.log_mel(group.flatten(0, 1)), None

    def groups(self, windows, seconds):
        """Splits [batch, windows, …] into groups of windows that run together."""
        most = seconds * self.mel.sample_rate // self.window // len(windows)
        return windows.split(max(1, int(most)), 1)


class MaskedWhisperMel(WhisperMel):
    """Input of Qwen2-Audio and Audio Flamingo 3: the network sees no padding.

    The arguments are those of :class:`Waveforms`.
    """

    def pieces(self, wavs, seconds):
        """See :class:`Waveforms`."""
        samples = wavs.shape[1]
        whole = samples // self.window * self.window
        if whole:
            windows = wavs[:, :whole].unflatten(1, (-1, self.window))
            for group in self.groups(windows, seconds):
                frames = self.frames(self.window)
                yield self.log_mel(group.flatten(0, 1)), frames
        if whole < samples:
            last = F.pad(wavs[:, whole:], (0, whole + self.window - samples))
            yield self.log_mel(last), self.frames(samples - whole)


class WholeWhisperMel(WhisperMel):
    """Input of Voxtral: log mel of the whole audio, relative to its loudest value, in
    windows of 30 s.

    The arguments are those of :class:`Waveforms`.
    """

    def pieces(self, wavs, seconds):
        """See :class:`Waveforms`."""
        x = self.log_mel(F.pad(wavs, (0, -wavs.shape[1] % self.window)))
        windows = x.unflatten(2, (-1, self.window // self.hop)).transpose(1, 2)
        for group in self.groups(windows, seconds):
            yield group.flatten(0, 1), None


class OmniMel(WhisperMel):
    """Input of Qwen2.5-Omni: Whisper's log mel of the whole audio, without padding.

    The arguments are those of :class:`Waveforms`.
    """

    def __init__(self, config, preprocessor):
        super().__init__(config, preprocessor)
        self.window = 2 * config.n_window  # steps that see each other

    def pieces(self, wavs, seconds):
        """See :class:`Waveforms`."""
        hops = math.ceil(wavs.shape[1] / self.hop)
        silence = hops * self.hop - wavs.shape[1] + self.mel.n_fft
        x = self.log_mel(F.pad(wavs, (0, silence)))[..., :hops]
        most = seconds * self.mel.sample_rate // self.hop // len(wavs) // self.window
        size = max(1, int(most)) * self.window
        # A last part shorter than a window is not alone, as it is in none but short
        # utterances.
        cuts = list(range(size, hops - self.window + 1, size))
        for part in x.tensor_split(cuts, 2):
            yield part, None


class Omni3Mel(OmniMel):
    """Input of Qwen3-Omni: the same, for frames of 80 ms in chunks of 1 s.

    The arguments are those of :class:`Waveforms`.
    """

    def __init__(self, config, preprocessor):
        super().__init__(config, preprocessor)
        if self.window != 100:
            raise ValueError(
                f"n_window: {config.n_window} of Qwen3-Omni: transformers counts on 50."
            )
        self.stride = self.hop * math.gcd(8, self.window)
        self.window = config.n_window_infer


class ParakeetMel(Waveforms):
    """Input of Parakeet and NEST: log mel of the audio after pre-emphasis, each band
    normalized over the utterance.

    The arguments are those of :class:`Waveforms`.
    """

    def __init__(self, config, preprocessor):
        self.mel = MelSpectrogram(
            n_fft=preprocessor.get("n_fft", 512),
            window=preprocessor.get("win_length", 400),
            hop=preprocessor.get("hop_length", 160),
            n_mels=config.num_mel_bins,
            sample_rate=preprocessor.get("sampling_rate", 16000),
            scale="slaney",
            norm="slaney",
            periodic=False,
            pad_mode="constant",
        )
        self.preemphasis = preprocessor.get("preemphasis", 0.97)
        self.stride = self.mel.hop * config.subsampling_factor
        kernel, stride = (
            config.subsampling_conv_kernel_size,
            config.subsampling_conv_stride,
        )
        self.subsampling = [(kernel, stride)] * round(
            math.log(config.subsampling_factor, stride)
        )
        self.min_samples = 2 * self.mel.hop  # the deviation needs two frames

    def frames(self, samples):
        """Returns the number of frames of a waveform."""
        frames = samples // self.mel.hop
        for kernel, stride in self.subsampling:
            frames = (frames + (kernel - 1) // 2 * 2 - kernel) // stride + 1
        return frames

    def __call__(self, wavs):
        """[batch, samples] -> [batch, frames, bands]."""
        if self.preemphasis is not None:
            later = wavs[:, 1:] - self.preemphasis * wavs[:, :-1]
            wavs = torch.cat([wavs[:, :1], later], 1)
        x = self.mel.energies(wavs)[..., : wavs.shape[1] // self.mel.hop].mT
        x = (x + 2**-24).log()
        deviation, mean = torch.std_mean(x, 1, keepdim=True)
        return (x - mean) / (deviation + 1e-5)


class ClapMel(Waveforms):
    """Input of CLAP: log mel of windows of 10 s, at 48 kHz; the last one is filled
    with repetitions of itself, then silence.

    The arguments are those of :class:`Waveforms`.
    """

    rate = 48000

    def __init__(self, config, preprocessor):
        self.repeats = preprocessor.get("padding", "repeatpad")
        fused = preprocessor.get("truncation", "fusion") == "fusion"
        rate = preprocessor.get("sampling_rate", self.rate)
        self.mel = MelSpectrogram(
            n_fft=preprocessor.get("fft_window_size", 1024),
            hop=preprocessor.get("hop_length", 480),
            n_mels=preprocessor.get("feature_size", config.num_mel_bins),
            fmin=preprocessor.get("frequency_min", 0.0),
            fmax=preprocessor.get("frequency_max", 14000.0),
            sample_rate=rate,
            scale="htk" if fused else "slaney",
            norm=None if fused else "slaney",
        )
        self.window = preprocessor.get("max_length_s", 10) * rate
        patches = config.spec_size // _first(config.patch_stride)
        last = patches >> (len(config.depths) - 1)
        steps = last * (config.spec_size // config.num_mel_bins)
        if self.window % steps:
            raise ValueError(
                f"CLAP's windows of {self.window} samples are no multiple of its "
                f"{steps} frames: change preprocessor.max_length_s."
            )
        self.stride = self.window // steps
        self.min_samples = 1

    def frames(self, samples):
        """Returns the number of frames that begin within a waveform."""
        return math.ceil(samples / self.stride)

    def filled(self, wavs):
        """[batch, samples] -> [batch, samples of a window]."""
        missing = self.window - wavs.shape[1]
        times = self.window // wavs.shape[1]
        if self.repeats == "repeatpad":
            wavs = wavs.repeat(1, times)
        elif self.repeats == "repeat":
            wavs = wavs.repeat(1, times + 1)[:, : self.window]
        return F.pad(wavs, (0, self.window - wavs.shape[1])) if missing else wavs

    def __call__(self, wavs):
        """[windows, samples] -> [windows, 1, frames, bands]."""
        return 10 * self.mel.energies(wavs).clamp_min(1e-10).log10().mT[:, None]

    def pieces(self, wavs, seconds):
        """See :class:`Waveforms`."""
        most = max(1, int(seconds * self.mel.sample_rate // self.window // len(wavs)))
        whole = wavs.shape[1] // self.window * self.window
        if whole:
            for group in wavs[:, :whole].split(most * self.window, 1):
                yield self(group.reshape(-1, self.window)), None
        if whole < wavs.shape[1]:
            yield self(self.filled(wavs[:, whole:])), None


def _first(value):
    return value if isinstance(value, int) else value[0]


#: Class of the inputs of a ``model_type``, without those of Kaldi's features.
INPUTS = {
    "audioflamingo3_encoder": MaskedWhisperMel,
    "clap_audio_model": ClapMel,
    "glmasr_encoder": WhisperMel,
    "moonshine": Moonshine,
    "parakeet_encoder": ParakeetMel,
    "qwen2_5_omni_audio_encoder": OmniMel,
    "qwen2_audio_encoder": MaskedWhisperMel,
    "qwen3_omni_moe_audio_encoder": Omni3Mel,
    "voxtral_encoder": WholeWhisperMel,
    "whisper": WhisperMel,
}
