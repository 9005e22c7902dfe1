"""Encoders of transformers whose hidden states are not simply [batch, frames, size].

These are the audio towers of large language models and CLAP's.

Authors
 * The s3prl_sb developers, 2026
"""

import math

import torch

from s3prl_sb.lobes.networks.bands import frame_size, framed
from s3prl_sb.lobes.networks.huggingface_encoder import Encoder


class MaskedWindows(Encoder):
    """Tower over windows of 30 s whose attention sees the audio alone.

    transformers masks the rest of a window. Here its layers never get it.
    """

    def forward(self, x, frames=None):
        """See :class:`Encoder`."""

        def without_end(args, kwargs):
            x, _, *others = args  # the second one is the mask
            return (x[:, :frames], None, *others), kwargs

        options = {}
        if self.model.config.model_type == "audioflamingo3_encoder":  # requires a mask
            options["input_features_mask"] = x.new_ones(len(x), x.shape[2], dtype=int)
        states, last = self.record(x, of_layers=without_end, **options)
        return [*states, self.of_pairs(last)]


class Packed(Encoder):
    """Tower of Qwen-Omni: utterances in one row, attention in windows of seconds.

    Frames of Qwen3-Omni, of 80 ms, begin again with every chunk of 1 s: the last
    of its 13 frames is of 40 ms. On a regular grid of 40 ms all others are there
    twice.
    """

    def forward(self, x, frames=None):
        """See :class:`Encoder`."""
        batch, bands, length = x.shape
        lens = torch.full((batch,), length, device=x.device)
        states, last = self.record(
            x.transpose(0, 1).reshape(bands, -1),
            feature_lens=lens,
            aftercnn_lens=(lens - 1) // 2 + 1,
        )
        states = [state.unflatten(0, (batch, -1)) for state in [*states, last]]
        if self.layout.pooled:
            return [*states[:-1], self.of_pairs(states[-1])]
        rows = self.grid(length).to(x.device)
        return [state[:, rows] for state in states]

    def grid(self, length):
        """Returns the frame at each point of the regular grid, [frames]."""
        chunk = 2 * self.model.config.n_window
        step = math.gcd(8, chunk)
        points = torch.arange(-(-length // step))
        chunks, points = points // (chunk // step), points % (chunk // step)
        return chunks * -(-chunk // 8) + points // (8 // step)


class Clap(Encoder):
    """CLAP's audio tower, a Swin Transformer over a folded spectrogram.

    The spectrogram of a window is cut into four parts over time, which lie one upon
    the other in a square. Here they are beside each other again. Steps of earlier
    stages that belong to one frame of the last are averaged.

    Arguments
    ---------
    config, network
        See :class:`Encoder`.
    bands : str
        "concat": the frequencies of a frame side by side, the lowest first, which
        gives all stages the same size; or "mean" over them.
    """

    def __init__(self, config, network, bands="concat"):
        super().__init__(config, network)
        self.bands = bands
        self.folds = config.spec_size // config.num_mel_bins

    @property
    def output_sizes(self):
        """Size of each hidden state, a list."""
        encoder = self.model.audio_encoder
        stages = [*range(len(encoder.layers)), len(encoder.layers) - 1]
        sizes = []
        for stage in stages:
            height, _ = encoder.input_resolutions[stage]
            size = self.model.config.patch_embeds_hidden_size * 2**stage
            sizes.append(frame_size(size, height // self.folds, self.bands))
        return sizes

    def forward(self, x, frames=None):
        """See :class:`Encoder`."""
        states, last = self.record(x)
        encoder = self.model.audio_encoder
        steps = encoder.input_resolutions[-1][1]
        result = []
        for state, (height, width) in zip(states, encoder.input_resolutions):
            # [batch, folds, bands, frames of a fold, steps of a frame, size]
            sizes = (self.folds, height // self.folds, steps, width // steps)
            state = state.unflatten(1, sizes).mean(4).transpose(2, 3)
            result.append(framed(state.flatten(1, 2), self.bands))
        return [*result, framed(last.permute(0, 3, 2, 1), self.bands)]


#: Class of each ``model_type``; all others: :class:`Encoder`.
ENCODERS = {
    "audioflamingo3_encoder": MaskedWindows,
    "clap_audio_model": Clap,
    "qwen2_5_omni_audio_encoder": Packed,
    "qwen2_audio_encoder": MaskedWindows,
    "qwen3_omni_moe_audio_encoder": Packed,
}
