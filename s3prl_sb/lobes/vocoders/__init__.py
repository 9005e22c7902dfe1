"""Vocoders: waveforms of log mel spectrograms.

``load_vocoder("griffin_lim")`` needs no weights, ``load_vocoder(folder)`` reads a
network. ``vocoder.waveform(log_mel)`` takes [frames, bands] and returns [samples].
"""

from s3prl_sb.lobes.vocoders.files import VocoderError
from s3prl_sb.lobes.vocoders.loading import Vocoder, load_vocoder
from s3prl_sb.lobes.vocoders.phase_reconstruction import griffin_lim

__all__ = ["Vocoder", "VocoderError", "griffin_lim", "load_vocoder"]
